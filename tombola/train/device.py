"""What a training asks of the device that it runs on: its clock, and how many threads it takes."""

import contextlib
import time
from collections.abc import Generator

import torch

from tombola.core.machine import Machine


def device_clock(device: torch.device) -> float:
    """Seconds that a device has worked for this process: processor time, or on a GPU the time that it was held."""
    if device.type == "cpu":
        return time.process_time()
    torch.accelerator.synchronize(device)
    return time.perf_counter()


@contextlib.contextmanager
def threads(machine: Machine) -> Generator[None]:
    """The machine's number of threads while a computation runs, then what was there before."""
    before = torch.get_num_threads()
    torch.set_num_threads(machine.threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)

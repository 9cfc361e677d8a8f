"""The exact global threshold: seconds and extra memory, each size in a fresh process; and the usual ways beside it."""

import ctypes
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tombola.core.mask import Mask
from tombola.core.select import keep_best, threshold

HEAD = ["| what | seconds, median (min to max) | MiB extra | bar | |", "| --- | --- | --- | --- | --- |"]
KEEP = 0.8
TENSORS = 50
"""As many as ResNet-50 has; the scores of all are ranked together."""
ROUNDS = 7
BARS = {25_000_000: (0.3, 100.0), 1_000_000_000: (15.0, 100.0)}
"""Seconds and MiB for finding the threshold."""


def measure(*, sizes: tuple[int, ...] = tuple(BARS), threads: int = 2) -> list[str]:
    """Lines of the table. The bars are for the threshold; `keep_best` adds the masks, one byte a weight."""
    lines: list[str] = []
    for size in sizes:
        for what, found in in_a_process("benchmarks.selection", threads, str(size)).items():
            lines.append(_line(what, size, [spent for spent, _ in found], max(extra for _, extra in found)))
    return lines


def _line(what: str, size: int, seconds: list[float], extra: float) -> str:
    bar, met = "", ""
    if what == "threshold" and size in BARS:
        most, room = BARS[size]
        bar = f"{most:g} s, {room:.0f} MiB"
        met = "met" if max(seconds) <= most and extra <= room else "NOT met"
    return f"| {what}, {size / 1e6:,.0f} M weights | {spread(seconds)} | {extra:.0f} | {bar} | {met} |"


def compare(size: int, threads: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds and MiB of every way, in turn; the ways that copy all scores only where that takes little memory."""
    torch.set_num_threads(threads)
    scores = _scores(size)
    mask, names, kept = Mask.dense({n: tuple(s.shape) for n, s in scores.items()}), list(scores), round(size * KEEP)
    ways: dict[str, Callable[[], object]] = {
        "threshold": lambda: threshold(mask, scores, names, kept),
        "keep_best, with its masks": lambda: keep_best(mask, scores, names, kept),
    }
    if size <= 100_000_000:
        ways |= {
            "numpy.partition": lambda: np.partition(_joined(scores).numpy(), size - kept),
            "torch.kthvalue": lambda: torch.kthvalue(_joined(scores), size - kept + 1),
        }
    rounds = ROUNDS if size <= 100_000_000 else 3
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways)[:: 1 if number % 2 else -1]:
            found[name].append(cost(ways[name]))
    return found


def _scores(size: int) -> dict[str, Tensor]:
    """Absolute normal values, as magnitudes are, made in place so that no more memory is ever touched."""
    generator = torch.Generator().manual_seed(0)
    each = [size // TENSORS + (number < size % TENSORS) for number in range(TENSORS)]
    return {f"w{i}": torch.empty(n).normal_(generator=generator).abs_() for i, n in enumerate(each)}


def _joined(scores: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([value.reshape(-1) for value in scores.values()])


def in_a_process(module: str, threads: int, *said: str) -> dict[str, Any]:
    """What a benchmark's module prints, run by itself with so many threads: its last line, as JSON."""
    words = [sys.executable, "-m", module, *said, str(threads)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(words, check=True, capture_output=True, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def spread(seconds: list[float]) -> str:
    """The median, and the least and the most."""
    return f"{statistics.median(seconds):.3f} ({min(seconds):.3f} to {max(seconds):.3f})"


def cost(way: Callable[[], object]) -> tuple[float, float]:
    """Wall time, and how far the highest resident memory during the call lies above what was resident before it."""
    ctypes.CDLL(None).malloc_trim(0)  # What an earlier call freed is not to be had for nothing.
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # The highest mark starts anew (Linux).
    before = _resident("VmRSS")
    start = time.perf_counter()
    result = way()
    spent = time.perf_counter() - start
    extra = _resident("VmHWM") - before
    del result
    return spent, extra


def _resident(field: str) -> float:
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(field + ":"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    print(json.dumps(compare(int(sys.argv[1]), int(sys.argv[2]))))

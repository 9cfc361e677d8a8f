"""CUDA graphs: a step that was captured once is replayed without the host, each seat on a stream of its own."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

WARM = 3
"""Steps before capturing, in which libraries choose kernels and set up their memory; they are undone."""


SPARE = 0.8
"""The part of a GPU's free memory that a fleet may fill."""


@runtime_checkable
class Stepping(Protocol):
    """What is captured: steps on tensors that never move."""

    def turn(self, size: int) -> None:
        """One step."""
        ...

    def tensors(self) -> list[Tensor]:
        """Everything that a step changes."""
        ...


def captured(seats: Sequence[Stepping], size: int) -> Callable[[], None]:
    """One graph of a step of every seat. Nothing is trained by capturing: what the warm-up changed is put back."""
    tensors = [tensor for seat in seats for tensor in seat.tensors()]
    before = [tensor.clone() for tensor in tensors]
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    try:
        with torch.cuda.stream(aside):
            for _ in range(WARM):
                for seat in seats:
                    seat.turn(size)
    finally:  # Whoever goes on in another way begins where it was.
        torch.cuda.current_stream().wait_stream(aside)
        with torch.no_grad():
            torch._foreach_copy_(tensors, before)  # pyright: ignore[reportPrivateImportUsage]
    del before
    graph = torch.cuda.CUDAGraph()
    streams = [torch.cuda.Stream() for _ in seats[1:]]
    with torch.cuda.graph(graph):
        here = torch.cuda.current_stream()
        for stream in streams:
            stream.wait_stream(here)
        seats[0].turn(size)
        for stream, seat in zip(streams, seats[1:], strict=True):
            with torch.cuda.stream(stream):
                seat.turn(size)
        for stream in streams:
            here.wait_stream(stream)
    return graph.replay


def room(seat: Stepping, size: int) -> int:
    """How many such seats a GPU's free memory holds, by the memory that a step of one takes; at least 1."""
    tensors = seat.tensors()
    before = [tensor.clone() for tensor in tensors]
    torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated()
    seat.turn(size)
    taken = torch.cuda.max_memory_allocated() - held + sum(t.numel() * t.element_size() for t in tensors)
    with torch.no_grad():
        torch._foreach_copy_(tensors, before)  # pyright: ignore[reportPrivateImportUsage]
    return max(1, int(SPARE * torch.cuda.mem_get_info()[0] / taken))


def let_go() -> None:
    """Give back memory that nothing uses any more."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()

"""A ticket's file, survivors only: its size and how long it takes to load, beside PyTorch's own way of keeping both."""

import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable

import torch

from tombola.archs.resnet import ResNet
from tombola.core.layout import Interface, initial_weights, shapes
from tombola.core.layout import blank as make_blank
from tombola.core.mask import Mask
from tombola.core.ticket import Ticket
from tombola.prune import prune

HEAD = ["| ResNet-20, 95 % zeros | MB | load, ms: median (min to max), n | bar | |", "| --- | --- | --- | --- | --- |"]
DENSITY = 0.05
ROUNDS = 101
BARS = (0.12, 5.0)
"""Megabytes, and milliseconds to load in a process that has loaded one before."""


def measure() -> list[str]:
    """Lines of the table; loads are timed in turn, after two that are not."""
    ticket = sample()
    with tempfile.TemporaryDirectory() as folder:
        ours, usual = pathlib.Path(folder, "a.ticket"), pathlib.Path(folder, "usual.pt")
        ticket.save(ours)
        masks = {name: flags.float() for name, flags in ticket.mask.items()}
        torch.save({"weights": dict(ticket.weights), "masks": masks}, usual)
        ways: dict[str, Callable[[], object]] = {
            "Ticket.load, survivors only": lambda: Ticket.load(ours),
            "torch.load, all weights and float masks": lambda: torch.load(usual, weights_only=True),
        }
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(-2, ROUNDS):
            for name in list(ways)[:: 1 if number % 2 else -1]:
                start = time.perf_counter()
                ways[name]()
                if number >= 0:
                    spent[name].append((time.perf_counter() - start) * 1000)
        sizes = [path.stat().st_size / 1e6 for path in (ours, usual)]
    return [
        _line(name, size, spent[name], barred=name.startswith("Ticket")) for name, size in zip(ways, sizes, strict=True)
    ]


def _line(name: str, size: float, spent: list[float], *, barred: bool) -> str:
    median = statistics.median(spent)
    met = "met" if size <= BARS[0] and median <= BARS[1] else "NOT met"
    bar = f"{BARS[0]} MB, {BARS[1]:g} ms | {met} |" if barred else "| |"
    return f"| {name} | {size:.3f} | {median:.2f} ({min(spent):.2f} to {max(spent):.2f}), {len(spent)} | {bar}"


def sample() -> Ticket:
    """A ticket of ResNet-20 for CIFAR's pictures, cut once by the magnitude of its initial weights."""
    arch, io = ResNet(depth=20), Interface(inputs=(3, 32, 32), classes=10)
    sizes, weights = shapes(make_blank(arch, io)), initial_weights(arch, io, "init", 0)
    dense = Mask.dense({name: sizes[name] for name in arch.layout().prunable})
    mask = prune(dense, {name: weights[name].abs() for name in dense}, density=DENSITY)
    return Ticket(arch=arch, io=io, mask=mask, weights=mask.apply(weights), holding="alive")


if __name__ == "__main__":
    print("\n".join([*HEAD, *measure()]))

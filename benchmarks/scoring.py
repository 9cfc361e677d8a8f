"""Global magnitude on a network of 25 M weights, from scores to mask: seconds and extra memory, in a fresh process."""

import json
import sys
from collections.abc import Mapping

import torch
from torch import Tensor

from benchmarks.selection import cost, in_a_process, spread
from tombola.archs.imagenet_resnet import ImageNetResNet
from tombola.archs.mlp import Mlp
from tombola.core.layout import Arch, Interface, blank, shapes
from tombola.core.mask import Mask
from tombola.criteria.magnitude import Magnitude
from tombola.prune import Everywhere, in_rounds
from tombola.train.network import Network

ARCH, IO = ImageNetResNet(depth=50), Interface(inputs=(3, 224, 224), classes=1000)
SMALL, SMALL_IO = Mlp(hidden=(8,)), Interface(inputs=(1, 8, 8), classes=10)
KEEP, ROUNDS = 0.8, 7
MOST_SECONDS, MOST_SHARE = 1.5, 0.3
"""The bar: seconds on two cores, and memory as a share of that of the weights; the new mask is a quarter of it."""


def measure(*, threads: int = 2) -> list[str]:
    """Lines of the table: the first cut, which has the bar, and one of a network that was cut before."""
    told = in_a_process("benchmarks.scoring", threads)
    return [line(what, told["weights"], found) for what, found in told["costs"].items()]


def line(what: str, weights: int, found: list[tuple[float, float]]) -> str:
    """One line: the median time and the largest memory."""
    seconds, extra = [spent for spent, _ in found], max(extra for _, extra in found)
    room = MOST_SHARE * weights * 4 / 2**20
    bar = f"{MOST_SECONDS:g} s, {room:.1f} MiB" if what == "dense" else ""
    met = ("met" if max(seconds) <= MOST_SECONDS and extra <= room else "NOT met") if bar else ""
    return f"| magnitude, {what}, {weights / 1e6:.1f} M weights | {spread(seconds)} | {extra:.1f} | {bar} | {met} |"


def costs(threads: int) -> dict[str, object]:
    """Seconds and MiB of each round, for a dense network and one at half density."""
    torch.set_num_threads(threads)
    small, _ = network(SMALL, SMALL_IO)
    cut(small, small_mask := Mask.dense({name: tuple(value.shape) for name, value in small.items()}))
    cut(small, cut(small, small_mask))  # What the libraries load when they are first used is not the cut's.
    state, size = network(ARCH, IO)
    dense = Mask.dense({name: tuple(value.shape) for name, value in state.items()})
    half = cut(state, dense, keep=0.5)
    found = {"dense": dense, "half of it dead": half}
    return {
        "weights": size,
        "costs": {k: [cost(lambda m=m: cut(state, m)) for _ in range(ROUNDS)] for k, m in found.items()},
    }


def cut(state: Mapping[str, Tensor], mask: Mask, *, keep: float = KEEP) -> Mask:
    """Score and prune."""
    return in_rounds(Network(state, mask), Magnitude(), scope=Everywhere(), keep=keep)


def network(arch: Arch, io: Interface) -> tuple[dict[str, Tensor], int]:
    """Normal values for the prunable tensors, made in place as in `selection`, and their number."""
    generator, sizes = torch.Generator().manual_seed(0), shapes(blank(arch, io))
    state = {name: torch.empty(sizes[name]).normal_(generator=generator) for name in arch.layout().prunable}
    return state, sum(value.numel() for value in state.values())


if __name__ == "__main__":
    print(json.dumps(costs(int(sys.argv[1]))))

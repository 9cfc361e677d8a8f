"""A ticket of 25 M parameters carried to a deeper network: seconds and extra memory, in a fresh process."""

import json
import sys

import torch

from benchmarks.selection import cost, in_a_process, spread
from tombola.archs.imagenet_resnet import ImageNetResNet
from tombola.archs.mlp import Mlp
from tombola.core.layout import Arch, Interface, dense_mask, initial_weights
from tombola.core.mask import Mask
from tombola.core.ticket import Ticket
from tombola.moves.stretch import Stretch

IO = Interface(inputs=(3, 224, 224), classes=1000)
SOURCE, TARGET = ImageNetResNet(depth=26, width=69), ImageNetResNet(depth=34, width=69)
SMALL, SMALLER_IO = Mlp(hidden=(8, 8)), Interface(inputs=(1, 8, 8), classes=10)
DENSITY, ROUNDS = 0.2, 7
MOST_SECONDS, MOST_SHARE = 1.0, 2.0
"""The bar: seconds beyond reading and writing, and memory as a share of that of the target's weights."""


def measure(*, threads: int = 1) -> list[str]:
    """Lines of the table: the move by itself, and with the digests that its lineage needs."""
    told = in_a_process("benchmarks.stretching", threads)
    return [line(what, told["parameters"], found) for what, found in told["costs"].items()]


def line(what: str, parameters: int, found: list[tuple[float, float]]) -> str:
    """One line: the median time and the largest memory."""
    seconds, extra = [spent for spent, _ in found], max(extra for _, extra in found)
    room = MOST_SHARE * parameters * 4 / 2**20
    met = "met" if max(seconds) <= MOST_SECONDS and extra <= room else "NOT met"
    bar = f"{MOST_SECONDS:g} s, {room:.0f} MiB"
    return f"| {what}, to {parameters / 1e6:.1f} M parameters | {spread(seconds)} | {extra:.1f} | {bar} | {met} |"


def costs(threads: int) -> dict[str, object]:
    """Seconds and MiB of each round."""
    torch.set_num_threads(threads)
    stretched(ticket(SMALL, SMALLER_IO), Mlp(hidden=(8, 8, 8)))  # What is loaded at the first use is not the move's.
    own = ticket(SOURCE, IO)
    size = sum(value.numel() for value in stretched(own, TARGET).module().parameters())
    return {
        "parameters": size,
        "costs": {
            "stretch": [cost(lambda: Stretch(to=TARGET)(own)) for _ in range(ROUNDS)],
            "stretch, with digests": [cost(lambda: stretched(own.rebuilt(), TARGET).digest) for _ in range(ROUNDS)],
        },
    }


def stretched(own: Ticket, to: Arch) -> Ticket:
    """Carried, with a line in its lineage; the digest of the source is made anew for a rebuilt one."""
    return own | Stretch(to=to)


def ticket(arch: Arch, io: Interface) -> Ticket:
    """A random ticket."""
    generator = torch.Generator().manual_seed(0)
    shapes = dense_mask(arch, io).shapes
    mask = Mask({name: torch.rand(shape, generator=generator) < DENSITY for name, shape in shapes.items()})
    return Ticket(arch=arch, io=io, mask=mask, weights=initial_weights(arch, io, "stretching"))


if __name__ == "__main__":
    print(json.dumps(costs(int(sys.argv[1]))))

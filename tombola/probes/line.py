"""The straight line between two trained networks, as one network whose values are blended in place."""

from typing import Literal

import torch
from torch import nn

from tombola.core.errors import Failed
from tombola.core.machine import Machine
from tombola.train.trained import Trained

Weights = Literal["own", "shared"]
"""Whether each end has the weights that live in it, or both have only those that live in both."""
WEIGHTS = ("own", "shared")


class Line:
    """The networks (1 - t) a + t b: weights, biases and buffers, with dead weights zero at both ends.

    No network is built for a point: `go` writes into the values of `net`, which is in evaluation mode.

    They are of one architecture and one interface.

    Raises:
        Failed: If a value of theirs is not finite.
    """

    def __init__(self, a: Trained, b: Trained, machine: Machine, *, weights: Weights = "own") -> None:
        self.arch = a.ticket.arch
        self.net = placed(a, machine)
        values = {**dict(self.net.named_parameters()), **dict(self.net.named_buffers())}
        self._values = {name: value.detach() for name, value in values.items() if value.is_floating_point()}
        self._ends = [{name: torch.empty_like(value) for name, value in self._values.items()} for _ in "ab"]
        masks = (a.mask & b.mask,) * 2 if weights == "shared" else (a.mask, b.mask)
        for one, mask, end in zip((a, b), masks, self._ends, strict=True):
            living = mask.apply(one.weights)
            for name, value in end.items():
                if not bool(value.copy_(living[name]).isfinite().all()):
                    raise Failed(f"'{name}' of {one!r} is not finite: its training went astray. No line leads there.")

    def go(self, t: float) -> None:
        """Take the values of a point: 0 is a and 1 is b, to the bit."""
        first, second = self._ends
        for name, value in self._values.items():
            torch.lerp(first[name], second[name], t, out=value)


def placed(trained: Trained, machine: Machine) -> nn.Module:
    """The network of a training on its device, in the memory layout of the machine, in evaluation mode."""
    net: nn.Module = trained.module().to(torch.device(machine.device)).eval()
    if len(trained.ticket.io.inputs) == 3 and machine.layout == "channels_last":
        return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net

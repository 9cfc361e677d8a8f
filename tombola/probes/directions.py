"""The directions in which a trained network can move: along what learns and lives."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Self

import torch
from torch import Tensor, nn

from tombola.core.mask import Mask
from tombola.core.seeds import numbers
from tombola.core.task import Task
from tombola.probes.held import held
from tombola.probes.predictions import check_same, typed
from tombola.train.trained import Trained

Exact = Literal["float32", "float64"]
EXACT = ("float32", "float64")
"""In which numbers is computed."""


class Directions:
    """Moves of a network along all that can learn and lives, and what its mean loss on some examples does meanwhile.

    The network is in evaluation mode. Dead weights are no directions; biases, scales and shifts, of which no mask
    knows, are. `size` is their number, and `examples` that of the examples. `name` is that of the random streams.
    """

    name = "directions"

    def __init__(
        self, net: nn.Module, mask: Mapping[str, Tensor], task: Task, batches: Sequence[tuple[Tensor, Tensor]]
    ) -> None:
        self.net, self.task, self.batches = net.eval(), task, batches
        self.parameters = dict(net.named_parameters())
        self.places = {name: mask[name].flatten().nonzero()[:, 0] for name in self.parameters if name in mask}
        self.size = sum(len(self.places.get(name, value.flatten())) for name, value in self.parameters.items())
        self.examples = sum(len(targets) for _, targets in batches)

    @classmethod
    def of(
        cls, trained: Trained, task: Task, *, examples: int, at_once: int, exact: Exact, device: torch.device
    ) -> Self:
        """Those of a trained network, with so many of its training examples, `at_once` of them in memory at a time.

        Raises:
            Refused: If it is not for this task.
        """
        check_same(cls.name, trained, task)
        net = trained.module().to(device=device, dtype=getattr(torch, exact))
        whole = held(cls.name, trained, task, "train", examples, device)()
        parts = [pair for x, y in whole for pair in zip(x.split(at_once), y.split(at_once), strict=True)]
        return cls(net, living_of(trained.mask), task, parts)

    def living(self, values: Iterable[Tensor]) -> Tensor:
        """One value for each direction, of one tensor for each parameter."""
        flat = [(name, value.flatten()) for name, value in zip(self.parameters, values, strict=True)]
        return torch.cat([v[self.places[n].to(v.device)] if n in self.places else v for n, v in flat])

    def whole(self, vector: Tensor) -> list[Tensor]:
        """One tensor for each parameter, zero where it is dead."""
        made: list[Tensor] = []
        for name, value in self.parameters.items():
            places = self.places.get(name)
            number = value.numel() if places is None else len(places)
            here, vector = vector[:number], vector[number:]
            if places is not None:
                here = torch.zeros(value.numel(), dtype=here.dtype, device=here.device).index_copy_(
                    0, places.to(here.device), here
                )
            made.append(here.reshape(value.shape))
        return made

    def go(self, to: Tensor) -> None:
        """Take these values, one for each direction."""
        with torch.no_grad():
            for parameter, value in zip(self.parameters.values(), self.whole(to), strict=True):
                parameter.copy_(value)

    def shares(self) -> Iterable[Tensor]:
        """The mean loss on the examples, in parts that add up to it."""
        for inputs, targets in self.batches:
            yield self.task.loss(self.net(typed(inputs, self.net)), targets) * len(targets) / self.examples

    def loss(self) -> float:
        """The mean loss where the network is."""
        with torch.no_grad():
            return sum(float(share) for share in self.shares())

    def gradient(self) -> tuple[float, Tensor]:
        """The mean loss where the network is, and its gradient by every direction."""
        loss, total, values = 0.0, None, list(self.parameters.values())
        for share in self.shares():
            found = self.living(torch.autograd.grad(share, values, allow_unused=True, materialize_grads=True))
            loss, total = loss + float(share.detach()), found if total is None else total + found
        assert total is not None  # Splits that are empty are refused before.
        return loss, total

    def drawn(self, *names: str | int, kind: str = "normal") -> Tensor:
        """A random vector, normal or of signs, by the names of its stream."""
        rng = numbers(self.name, *names)
        made = rng.standard_normal(self.size) if kind == "normal" else rng.choice([-1.0, 1.0], self.size)
        like = next(iter(self.parameters.values()))
        return torch.from_numpy(made).to(like)


def living_of(mask: Mask) -> Mapping[str, Tensor]:
    """The tensors of a mask of which something is dead."""
    return {name: mask[name] for name in mask if mask.kept_in(name) < mask[name].numel()}

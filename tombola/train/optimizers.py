"""Optimisers as plug-ins: their numbers, and the fused PyTorch optimiser made of them.

`decay` is coupled (added to the gradient, "L2") in `sgd` and `adam`, decoupled in `adamw` and in
`sgd(coupling=decoupled)`.
"""

import math
from collections.abc import Iterable
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import nn

from tombola.core.errors import Refused
from tombola.core.plugin import plugin


@runtime_checkable
class Optimizer(Protocol):
    """Learning rate and the rest; `make` gives the PyTorch optimiser."""

    @property
    def lr(self) -> float:
        """The rate that the schedule's factor multiplies."""
        ...

    def make(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """A fresh optimiser, without state."""
        ...


@plugin("optimizer", "sgd")
class Sgd:
    """Stochastic gradient descent, with momentum (0 for none) and weight decay."""

    lr: float = 0.1
    momentum: float = 0.9
    decay: float = 0.0
    nesterov: Literal["no", "yes"] = "no"
    coupling: Literal["coupled", "decoupled"] = "coupled"

    def __post_init__(self) -> None:
        """Numbers are checked as soon as they are written."""
        for field in ("lr", "momentum", "decay"):
            _number(f"sgd: field '{field}'", getattr(self, field))
        if self.nesterov == "yes" and not self.momentum:
            raise Refused("sgd: nesterov='yes' looks ahead along the momentum, which is 0. Give momentum=0.9, say.")

    def make(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """`torch.optim.SGD`, fused."""
        cls = DecoupledSgd if self.coupling == "decoupled" else torch.optim.SGD
        return cls(
            parameters,
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.decay,
            nesterov=self.nesterov == "yes",
            fused=True,
        )


class DecoupledSgd(torch.optim.SGD):
    """SGD whose decay shrinks weights by `lr * decay` and never enters the momentum (Loshchilov and Hutter 2019)."""

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Decay, then a step of plain SGD."""
        assert closure is None
        decays = [group["weight_decay"] for group in self.param_groups]
        for group, decay in zip(self.param_groups, decays, strict=True):
            if decay:
                weights = [p for p in group["params"] if p.grad is not None]
                torch._foreach_mul_(weights, 1 - group["lr"] * decay)  # pyright: ignore[reportPrivateImportUsage]
            group["weight_decay"] = 0.0
        super().step()
        for group, decay in zip(self.param_groups, decays, strict=True):
            group["weight_decay"] = decay


@plugin("optimizer", "adam")
class Adam:
    """Adam (Kingma and Ba 2015); decay is coupled."""

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    decay: float = 0.0

    def __post_init__(self) -> None:
        """Numbers are checked as soon as they are written."""
        _moments(self, "adam")

    def make(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """`torch.optim.Adam`, fused."""
        return torch.optim.Adam(
            parameters, lr=self.lr, betas=self.betas, eps=self.eps, weight_decay=self.decay, fused=True
        )


@plugin("optimizer", "adamw")
class AdamW:
    """Adam with decoupled decay (Loshchilov and Hutter 2019)."""

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    decay: float = 0.01

    def __post_init__(self) -> None:
        """Numbers are checked as soon as they are written."""
        _moments(self, "adamw")

    def make(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """`torch.optim.AdamW`, fused."""
        return torch.optim.AdamW(
            parameters, lr=self.lr, betas=self.betas, eps=self.eps, weight_decay=self.decay, fused=True
        )


def _number(where: str, value: float, *, below: float = math.inf) -> None:
    if not 0 <= value < below:
        raise Refused(f"{where} is {value}. It must be a number from 0 on{'' if below == math.inf else ', below 1'}.")


def _moments(of: "Adam | AdamW", name: str) -> None:
    for field in ("lr", "eps", "decay"):
        _number(f"{name}: field '{field}'", getattr(of, field))
    for beta in of.betas:
        _number(f"{name}: field 'betas'", beta, below=1)

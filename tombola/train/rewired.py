"""A mask that changes while training: the account of it, and what changes with it, to the exact weight.

Between two steps the network holds what it computes with: dead weights are exactly zero. Where a method keeps shadows,
the variables that the optimiser changes lie beside it, and take the network's place during an update.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tombola.core.artifact import Parts
from tombola.core.errors import Failed
from tombola.core.mask import Mask
from tombola.core.rewire import Live, Masks, Rewire, as_masks, number, zero
from tombola.train.masked import Masking, states_of

GROUP = "rewire"


class Rewiring:
    """One rewiring method at work on one network."""

    @torch.no_grad()
    def __init__(
        self,
        method: Rewire,
        net: nn.Module,
        masking: Masking,
        mask: Mask,
        *,
        optimizer: torch.optim.Optimizer,
        first: Mapping[str, Tensor],
        seed: int,
        step: int,
        steps: int,
    ) -> None:
        method.check(mask)
        self.method, self.masking, self.optimizer = method, masking, optimizer
        parameters = dict(net.named_parameters())
        self.parameters = {name: parameters[name] for name in mask}
        device = next(iter(parameters.values())).device
        shadow = method.dead == "shadow"
        begun = {name: first[name].to(device) for name in mask}
        variables: dict[str, Tensor] = (
            {name: torch.empty_like(p).copy_(begun[name]) for name, p in self.parameters.items()}
            if shadow
            else {name: p.detach() for name, p in self.parameters.items()}
        )
        self.live = Live(step, steps, seed, variables, as_masks(mask, device), {}, begun, {})
        self.explored = {name: torch.zeros_like(alive) for name, alive in self.live.masks.items()}
        self.history: list[dict[str, Any]] = []
        self.untold = {"step": step, "died": 0, "came": 0}
        self.forward = dict.fromkeys(mask, 0)
        self.backward = dict.fromkeys(mask, 0)
        self._change(method.begin(self.live), at=step)
        self._tell()
        if shadow:
            self._show()

    @property
    def mask(self) -> Mask:
        """What is alive now."""
        return Mask(self.live.masks)

    @property
    def explored_weights(self) -> int:
        """How many weights have ever been alive (in-time over-parameterisation, Liu et al. 2021)."""
        return sum(number(ever) for ever in self.explored.values())

    @torch.no_grad()
    def update(self, step: int, rate: float, optimise: Callable[[], object]) -> None:
        """One update of the weights, and of the mask where it is due; gradients of all weights are in the network."""
        live, method = self.live, self.method
        live.step, live.rate = step, rate
        live.gradients = {name: _gradient(p) for name, p in self.parameters.items()}
        method.watch(live)
        due = method.due(step, live.steps)
        for name, kept in live.counts.items():
            self.forward[name] += kept
            whole = due and method.grows == "by gradient"
            self.backward[name] += live.masks[name].numel() if whole else method.trained(name, live)
        if not (due and method.instead == "yes"):
            if due:  # The update masks and clips them where they are.
                live.gradients = {name: gradient.clone() for name, gradient in live.gradients.items()}
            self._optimise(optimise)
        if due:
            self._change(method.rewired(live), at=step + 1)
            if method.told == "change":
                self._tell()
        if method.dead == "shadow":
            live.step = step + 1  # The network is to compute with what the next step needs.
            self._show()
        live.gradients = {}

    def _optimise(self, optimise: Callable[[], object]) -> None:
        if self.method.dead == "zero":
            self.masking.mask_gradients()
            optimise()
            self.method.after(self.live)
            return
        for name, parameter in self.parameters.items():
            parameter.grad = _laid_out(self.method.pulled(name, self.live), parameter)
            parameter.copy_(self.live.variables[name])
        optimise()
        for name, parameter in self.parameters.items():
            variable, free = self.live.variables[name], self.method.free(name, self.live)
            if free is None:
                variable.copy_(parameter)
                continue
            variable.copy_(torch.where(free, parameter, variable))
            for value in states_of(self.optimizer, parameter).values():
                value.masked_fill_(~free, 0.0)
        self.method.after(self.live)

    def _change(self, masks: Masks, *, at: int) -> None:
        """Go on with new masks: what died and what came is zero, in the network and in the optimiser."""
        live, died, came = self.live, 0, 0
        for name, old in live.masks.items():
            new = masks[name]
            if new.dtype != torch.bool or new.shape != old.shape:
                raise Failed(f"{self.method} gave for '{name}' a mask of {new.dtype}, {tuple(new.shape)}.")
            gone = old & ~new
            died, came = died + number(gone), came + number(new & ~old)
            if self.method.dead == "zero":  # What was dead before is zero already.
                parameter, renewed = self.parameters[name], live.renewed.get(name)
                zero([parameter], gone)
                zero(states_of(self.optimizer, parameter).values(), gone if renewed is None else gone | renewed)
            self.explored[name] |= new
        laid = torch.contiguous_format  # As masks come back from a checkpoint.
        live.masks = {name: masks[name].clone(memory_format=laid) for name in live.masks}
        self.masking.take(live.masks)
        live.renewed = {}
        live.counts = {name: number(mask) for name, mask in live.masks.items()}
        self.untold = {"step": at, "died": self.untold["died"] + died, "came": self.untold["came"] + came}

    def _tell(self) -> None:
        """A row of the history: all that changed since the last one, and what is alive now."""
        mask = self.mask
        kept, explored = [mask.kept_in(name) for name in mask], self.explored_weights
        self.history.append({**self.untold, "kept": kept, "explored": explored, "mask": mask.digest()[:16]})
        self.untold = {**self.untold, "died": 0, "came": 0}

    @torch.no_grad()
    def _show(self) -> None:
        """Put into the network what it computes with."""
        for name, parameter in self.parameters.items():
            shown = self.method.weights(name, self.live)
            parameter.copy_(torch.where(self.live.masks[name], shown, torch.zeros_like(shown)))

    def row(self) -> dict[str, float]:
        """What a point of the curve tells of the mask; changes that the history has not told yet, it tells now."""
        if self.history[-1]["step"] < self.untold["step"]:
            self._tell()
        size = sum(mask.numel() for mask in self.live.masks.values())
        own = self.method.row(self.live)
        return {"density": sum(self.live.counts.values()) / size, "explored": self.explored_weights / size, **own}

    def pack(self, parts: Parts) -> Parts:
        """A checkpoint with all of this in it too."""
        tensors = {
            **{f"variable/{n}": v.clone() for n, v in self.live.variables.items() if self.method.dead == "shadow"},
            **{f"mask/{n}": v.to(torch.uint8) for n, v in self.live.masks.items()},
            **{f"explored/{n}": v.to(torch.uint8) for n, v in self.explored.items()},
            **{f"state/{n}": v.clone() for n, v in self.live.state.items()},
        }
        counts: dict[str, Any] = {"forward": dict(self.forward), "backward": dict(self.backward)}
        counts |= {"channels_last": [name for name, value in self.live.state.items() if _is_channels_last(value)]}
        header = {**parts.header, GROUP: {"history": list(self.history), "untold": dict(self.untold), **counts}}
        return Parts(header, {**parts.groups, GROUP: tensors}, parts.rows)

    def restore(self, parts: Parts) -> None:
        """Go on from such a checkpoint; network and optimiser have been put back already."""
        tensors, live = parts.groups[GROUP], self.live
        for name, parameter in self.parameters.items():
            device = parameter.device
            live.masks[name] = tensors[f"mask/{name}"].to(device, torch.bool)
            self.explored[name] = tensors[f"explored/{name}"].to(device, torch.bool)
            if self.method.dead == "shadow":
                live.variables[name].copy_(tensors[f"variable/{name}"])
        first = next(iter(self.parameters.values())).device
        live.state = {n.removeprefix("state/"): v.to(first) for n, v in tensors.items() if n.startswith("state/")}
        for name in parts.header[GROUP]["channels_last"]:  # The layout decides the last bits of what is computed.
            live.state[name] = live.state[name].contiguous(memory_format=torch.channels_last)
        self.masking.take(live.masks)
        live.counts = {name: number(mask) for name, mask in live.masks.items()}
        held = parts.header[GROUP]
        self.history, self.forward, self.backward = list(held["history"]), held["forward"], held["backward"]
        self.untold = dict(held["untold"])


def _laid_out(value: Tensor, like: Tensor) -> Tensor:
    """A gradient that lies in memory as its weight does: fused kernels run through both side by side."""
    return value if value.stride() == like.stride() else torch.empty_like(like).copy_(value)


def _is_channels_last(value: Tensor) -> bool:
    return value.dim() == 4 and not value.is_contiguous() and value.is_contiguous(memory_format=torch.channels_last)


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.detach()

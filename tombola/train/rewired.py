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
from tombola.core.rewire import Live, Masks, Rewire, as_masks
from tombola.train.masked import Masking, states_of

GROUP = "rewire"


class Rewiring:
    """One rewiring method at work on one network."""

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
        self.explored = as_masks(mask, device)
        self.history: list[dict[str, Any]] = []
        self.forward = dict.fromkeys(mask, 0)
        self.backward = dict.fromkeys(mask, 0)
        self.changed = False
        self._change(method.begin(self.live), at=step)

    @property
    def mask(self) -> Mask:
        """What is alive now."""
        return Mask(self.live.masks)

    @property
    def explored_weights(self) -> int:
        """How many weights have ever been alive (in-time over-parameterisation, Liu et al. 2021)."""
        return sum(int(ever.sum()) for ever in self.explored.values())

    @torch.no_grad()
    def update(self, step: int, rate: float, optimise: Callable[[], object]) -> None:
        """One update of the weights, and of the mask where it is due; gradients of all weights are in the network."""
        live, method = self.live, self.method
        live.step, live.rate = step, rate
        live.gradients = {name: _gradient(p) for name, p in self.parameters.items()}
        method.watch(live)
        due = method.due(step, live.steps)
        for name in live.masks:
            self.forward[name] += self._kept[name]
            self.backward[name] += live.masks[name].numel() if due else method.trained(name, live)
        if not (due and method.instead == "yes"):
            self._optimise(optimise)
        if due:
            self._change(method.rewired(live), at=step + 1)
        if method.dead == "shadow":
            self._show()
        live.gradients = {}

    def _optimise(self, optimise: Callable[[], object]) -> None:
        if self.method.dead == "zero":
            self.masking.mask_gradients()
            optimise()
            return
        for name, parameter in self.parameters.items():
            parameter.grad = self.method.pulled(name, self.live)
            parameter.copy_(self.live.variables[name])
        optimise()
        for name, parameter in self.parameters.items():
            self.live.variables[name].copy_(parameter)

    def _change(self, masks: Masks, *, at: int) -> None:
        """Go on with new masks: what died and what came is zero, in the network and in the optimiser."""
        live, died, came = self.live, 0, 0
        for name, old in live.masks.items():
            new = masks[name]
            if new.dtype != torch.bool or new.shape != old.shape:
                raise Failed(f"{self.method} gave for '{name}' a mask of {new.dtype}, {tuple(new.shape)}.")
            died, came = died + int((old & ~new).sum()), came + int((new & ~old).sum())
            self.explored[name] |= new
        live.masks = {name: masks[name].clone() for name in live.masks}
        self.masking.take(live.masks)
        if self.method.dead == "zero":
            for (name, parameter), mask in zip(self.parameters.items(), live.masks.values(), strict=True):
                parameter.masked_fill_(~mask, 0.0)
                stale = ~mask | live.renewed[name] if name in live.renewed else ~mask
                for value in states_of(self.optimizer, parameter).values():
                    value.masked_fill_(stale, 0.0)
            live.renewed = {}
        else:
            self._show()
        self._kept = {name: int(mask.sum()) for name, mask in live.masks.items()}
        mask = self.mask
        kept, explored = [mask.kept_in(name) for name in mask], self.explored_weights
        row = {"step": at, "died": died, "came": came, "kept": kept, "explored": explored}
        self.history.append({**row, "mask": mask.digest()[:16]})

    @torch.no_grad()
    def _show(self) -> None:
        """Put into the network what it computes with."""
        for name, parameter in self.parameters.items():
            shown = self.method.weights(name, self.live)
            parameter.copy_(torch.where(self.live.masks[name], shown, torch.zeros_like(shown)))

    def row(self) -> dict[str, float]:
        """What a point of the curve tells of the mask."""
        size = sum(mask.numel() for mask in self.live.masks.values())
        return {"density": sum(self._kept.values()) / size, "explored": self.explored_weights / size}

    def pack(self, parts: Parts) -> Parts:
        """A checkpoint with all of this in it too."""
        tensors = {
            **{f"variable/{n}": v.clone() for n, v in self.live.variables.items() if self.method.dead == "shadow"},
            **{f"mask/{n}": v.to(torch.uint8) for n, v in self.live.masks.items()},
            **{f"explored/{n}": v.to(torch.uint8) for n, v in self.explored.items()},
            **{f"state/{n}": v.clone() for n, v in self.live.state.items()},
        }
        counts = {"forward": dict(self.forward), "backward": dict(self.backward)}
        header = {**parts.header, GROUP: {"history": list(self.history), **counts}}
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
        self.masking.take(live.masks)
        self._kept = {name: int(mask.sum()) for name, mask in live.masks.items()}
        held = parts.header[GROUP]
        self.history, self.forward, self.backward = list(held["history"]), held["forward"], held["backward"]


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.detach()

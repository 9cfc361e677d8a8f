"""What a criterion sees of a network: its weights and mask, and on demand derivatives, inputs and flow (`Prunable`)."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Literal, Self

import torch
from torch import Tensor, nn

from tombola.core.errors import Refused
from tombola.core.layout import Arch, Biases, Interface, Mode, Norm, Wiring, blank, initial_weights
from tombola.core.lazily import Lazily
from tombola.core.mask import Mask
from tombola.core.noise import by_name
from tombola.train import bfloat, linear, wiring
from tombola.train.examples import Batch, Examples
from tombola.train.flops import LAYERS

CPU = torch.device("cpu")
STEPS = ("round", "floor", "ceil", "trunc", "sign")
"""Functions that torch differentiates to zero, which no error tells of."""
DEAD_ENDS = {"torch::autograd::Error", "torch::autograd::NotImplemented", "NotImplemented"}
"""What torch leaves in place of a second derivative; where no weight lies behind it, it is passed over in silence."""
INSTEAD = "Use a criterion without second derivatives: snip, taylor, magnitude."


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """A state dict under a mask; with `arch` and `io` it can be run, with `examples` on data.

    `first` is the state dict that its training began with; its own where none is given.
    """

    state: Mapping[str, Tensor]
    mask: Mask
    arch: Arch | None = None
    io: Interface | None = None
    first: Mapping[str, Tensor] | None = None
    examples: Examples | None = None
    device: torch.device = CPU

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """Values of the prunable tensors, zero where the mask is dead; made when asked for."""
        return Lazily(self.mask, lambda name: self.mask.living(name, self.state[name]))

    @property
    def whole(self) -> Mapping[str, Tensor]:
        """The values under dead positions too."""
        return Lazily(self.mask, lambda name: self.state[name])

    @property
    def start(self) -> Mapping[str, Tensor]:
        """The values from which the training began."""
        first = self.state if self.first is None else self.first
        return Lazily(self.mask, lambda name: first[name])

    def masked(self, mask: Mask) -> Self:
        """The same network under another mask."""
        return dataclasses.replace(self, mask=mask)

    def in_round(self, number: int) -> Self:
        """The same network with other batches, for the next round of scoring."""
        examples = None if self.examples is None else dataclasses.replace(self.examples, turn=number)
        return dataclasses.replace(self, examples=examples)

    def fresh(self, seed: int, *, part: Literal["all", "head"] = "all") -> Self:
        """The same mask on newly drawn initial weights, of the whole network or of its head."""
        arch, io = self._built_from()
        drawn, heads = initial_weights(arch, io, "score", seed), arch.layout().head
        if part == "head":
            drawn = {n: v for n, v in drawn.items() if any(n.startswith(f"{head}.") for head in heads)}
        return dataclasses.replace(self, state={**self.state, **{n: v.to(self.state[n]) for n, v in drawn.items()}})

    def gradients(
        self, *, batches: int = 1, per_class: int = 0, mode: Mode = "train", temperature: float = 1.0
    ) -> dict[str, Tensor]:
        """The gradient of the mean loss by every weight, dead ones too."""
        total = {name: torch.zeros_like(self.state[name]) for name in self.mask}
        seen = 0
        for net, weights, batch in self._passes(batches, per_class, mode):
            loss = self._loss(net, batch, temperature)
            found = self._derivatives(loss, weights)
            for name, value in found.items():
                total[name] += value.cpu() * len(batch[1])
            seen += len(batch[1])
        if not any(bool(value.any()) for value in total.values()):
            raise Refused(
                "the gradient of the loss is zero everywhere: some part of the network has no derivative (rounding, "
                "a step function), or no path is alive. Use a criterion without gradients: magnitude, random."
            )
        return {name: value / seen for name, value in total.items()}

    def curvature(
        self,
        vectors: Mapping[str, Tensor],
        *,
        batches: int = 1,
        per_class: int = 0,
        mode: Mode = "train",
        temperature: float = 1.0,
    ) -> dict[str, Tensor]:
        """The Hessian of the mean loss by the prunable weights, times the vectors."""
        if self.examples is not None and self.examples.recipe.precision != "float32":
            raise no_curvature(self.examples.recipe.precision)
        total = {name: torch.zeros_like(self.state[name]) for name in self.mask}
        seen = 0
        for net, weights, batch in self._passes(batches, per_class, mode):
            first = self._derivatives(self._loss(net, batch, temperature), weights, graph=True)
            along = torch.stack([(first[n] * vectors[n].to(self.device)).sum() for n in first]).sum()
            if not along.requires_grad:
                raise Refused(f"this network has no second derivatives: its loss is linear in the weights. {INSTEAD}")
            if DEAD_ENDS & _nodes(along):
                raise Refused(f"a part of this network can be differentiated only once. {INSTEAD}")
            second = torch.autograd.grad(along, list(weights.values()), allow_unused=True)
            for name, value in zip(weights, second, strict=True):
                if value is not None:
                    total[name] += value.detach().cpu() * len(batch[1])
            seen += len(batch[1])
        if not any(bool(value.any()) for value in total.values()):
            raise Refused(
                "the Hessian times the vectors is zero everywhere: the loss has no curvature in the weights, or no "
                f"path is alive. {INSTEAD}"
            )
        return {name: value / seen for name, value in total.items()}

    @torch.no_grad()
    def inputs(self, *, batches: int = 1) -> dict[str, Tensor]:
        """The Euclidean norm of what each weight is multiplied with, over examples and places; fits the weight."""
        squares: dict[str, Tensor] = {}

        def watch(name: str, module: nn.Module, given: tuple[Tensor, ...]) -> None:
            weight, values = module.get_parameter("weight"), given[0].double()
            if isinstance(module, nn.Linear):
                found = values.reshape(-1, values.shape[-1]).square().sum(0)[None]
            else:
                found = values.square().sum(dim=[0, *range(2, values.dim())])
                own = found.view(getattr(module, "groups", 1), 1, weight.shape[1])
                each = weight.shape[0] // len(own)
                found = own.expand(-1, each, -1).reshape(len(weight), -1, *[1] * (weight.dim() - 2))
            squares[name] = squares.get(name, torch.zeros_like(found)) + found

        for net, _, (given, _) in self._passes(batches, 0, "eval", watch=watch):
            net(given)
        if missing := [name for name in self.mask if name not in squares]:
            raise Refused(f"'{missing[0]}' is no weight of a linear layer or a convolution: its inputs are not known.")
        return {n: squares[n].sqrt().to(self.state[n].dtype).cpu().expand_as(self.state[n]) for n in self.mask}

    def flow(
        self, weights: Mapping[str, Tensor], *, norm: Norm = "scale", bias: Biases = "zero", power: int = 1
    ) -> Tensor:
        """The sum of the outputs, for an input of ones, of the network made linear."""
        return linear.flow(*self._built_from(), self.state, weights, norm=norm, bias=bias, power=power)

    def wiring(self) -> Wiring:
        """How the prunable tensors follow one another."""
        arch, io = self._built_from()
        return wiring.read(blank(arch, io), io, tuple(self.mask))

    def _built_from(self) -> tuple[Arch, Interface]:
        if self.arch is None or self.io is None:
            raise Refused("this criterion runs the network, and here are only weights and a mask. Give arch and io.")
        return self.arch, self.io

    def _passes(
        self, batches: int, per_class: int, mode: Mode, *, watch: object = None
    ) -> Iterator[tuple[nn.Module, dict[str, Tensor], Batch]]:
        """For each batch, the network as it is before any of them, its prunable weights by name, and the batch."""
        arch, io = self._built_from()
        if self.examples is None:
            raise Refused("this criterion needs data, and here is none. Use it where a task is given: cut, cut_early.")
        net = by_name(blank(arch, io))
        state = {n: v.to(self.device, copy=True) for n, v in self.mask.apply(self.state).items()}
        net.load_state_dict(state, assign=True)
        net.train(mode == "train")
        buffers = {name: value.clone() for name, value in net.named_buffers()}
        weights: dict[str, Tensor] = {name: net.get_parameter(name) for name in self.mask}
        for name, module in net.named_modules() if callable(watch) else ():
            if f"{name}.weight" in self.mask and isinstance(module, LAYERS):
                module.register_forward_pre_hook(lambda m, given, n=f"{name}.weight": watch(n, m, given))  # type: ignore
        exact = next(iter(weights.values())).dtype
        for given, targets in self.examples.batches(batches, per_class):
            for name, value in net.named_buffers():
                value.copy_(buffers[name])
            yield net, weights, (given.to(exact) if given.is_floating_point() else given, targets)

    def _loss(self, net: nn.Module, batch: Batch, temperature: float) -> Tensor:
        assert self.examples is not None
        with bfloat.cast(self.examples.recipe.precision, self.device):
            return self.examples.task.loss(net(batch[0]) / temperature, batch[1])

    def _derivatives(self, loss: Tensor, weights: Mapping[str, Tensor], *, graph: bool = False) -> dict[str, Tensor]:
        if not loss.requires_grad:
            raise Refused(
                "no gradient comes out of this network. Use a criterion without gradients: magnitude, random."
            )
        found = torch.autograd.grad(loss, list(weights.values()), create_graph=graph, allow_unused=True)
        missing = [name for name, value in zip(weights, found, strict=True) if value is None]
        if missing:
            raise Refused(
                f"no gradient reaches '{missing[0]}': a part of the network behind it is not differentiable, or it is "
                "not used. Use a criterion without gradients (magnitude, random), or exclude it from the scope."
            )
        flat = [name for name, value in zip(weights, found, strict=True) if not bool(value.any())]
        if flat and (steps := sorted(step for step in STEPS if f"{step.title()}Backward0" in _nodes(loss))):
            raise Refused(
                f"the gradient by '{flat[0]}' is zero everywhere, and the network has steps ({', '.join(steps)}) whose "
                "derivative is zero. Use a criterion without gradients (magnitude, random)."
            )
        return {n: v if graph else v.detach() for n, v in zip(weights, found, strict=True)}


def _nodes(value: Tensor) -> set[str]:
    """The names of all functions in the graph that a value was computed by."""
    seen, waiting = set[object](), [value.grad_fn]
    while waiting:
        if (node := waiting.pop()) is not None and node not in seen:
            seen.add(node)
            waiting += [before for before, _ in node.next_functions]
    return {node.name() for node in seen}  # type: ignore[attr-defined]


def no_curvature(precision: str) -> Refused:
    """That second derivatives are asked for where numbers are too rough for them."""
    return Refused(
        f"second derivatives are not to be had in {precision}: rounding drowns them. Use a recipe with "
        "precision='float32' (cut_early takes one of its own), or a criterion without them."
    )

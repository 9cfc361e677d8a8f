"""Networks of some thirty weights in float64, and the derivatives of their loss without the code that is tested."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from tests.train.toys import Points
from tombola.core.initial import draw_state
from tombola.core.layout import Arch, Interface, Layout, Mode, initial_weights
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.seeds import Seeds, numbers
from tombola.core.task import Task
from tombola.train.examples import Batch, Examples
from tombola.train.network import Network
from tombola.train.recipe import Recipe

Between = Literal["smooth", "round", "through", "detach", "argmax", "once", "unused"]


class Once(torch.autograd.Function):
    """A square that says that it can be differentiated only once."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, pulled: Tensor) -> Tensor:
        return 2 * ctx.saved_tensors[0] * pulled


@plugin("arch", "tiny_smooth")
class Smooth:
    """Two linear layers with tanh, batch norm or not, and between them what some test needs."""

    hidden: int = 4
    norm: Literal["no", "yes"] = "no"
    between: Between = "smooth"

    def build(self, io: Interface) -> nn.Module:
        return SmoothNet(io, self.hidden, self.norm, self.between)

    def layout(self) -> Layout:
        return Layout(stem=("body",), stages=(), head=("head",), prunable=("body.weight", "head.weight"), axes={})

    def initial(self, net: nn.Module, *names: str | int) -> dict[str, Tensor]:
        return draw_state(net, *names)


class SmoothNet(nn.Module):
    def __init__(self, io: Interface, hidden: int, norm: str, between: str) -> None:
        super().__init__()
        self.body, self.between = nn.Linear(io.features, hidden), between
        self.norm = nn.BatchNorm1d(hidden) if norm == "yes" else nn.Identity()
        self.head = nn.Linear(hidden, io.classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.norm(self.body(x)))
        match self.between:
            case "round":
                x = torch.round(4 * x)
            case "through":
                x = x + (torch.round(4 * x) / 4 - x).detach()
            case "detach":
                x = x.detach()
            case "argmax":
                x = nn.functional.one_hot(x.argmax(1), x.shape[1]).to(x)
            case "once":
                x = Once.apply(x)
            case "unused":
                x = torch.ones_like(x)
        return self.head(x)


@plugin("arch", "tiny_scale")
class Scale:
    """One weight for each input: outputs are their products, so that a loss of squares has a diagonal Hessian."""

    def build(self, io: Interface) -> nn.Module:
        return ScaleNet(io.features)

    def layout(self) -> Layout:
        return Layout(stem=(), stages=(), head=("scale",), prunable=("scale.weight",), axes={})

    def initial(self, net: nn.Module, *names: str | int) -> dict[str, Tensor]:
        shape = tuple(net.get_parameter("scale.weight").shape)
        return {"scale.weight": torch.from_numpy(numbers(*names).normal(size=shape))}


class ScaleNet(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.scale = nn.Module()
        self.scale.weight = nn.Parameter(torch.zeros(features))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale.weight


@plugin("task", "tiny_squares")
class Squares(Points):
    """The toy's points with a loss that is a power of the outputs, summed; of power 1 it is linear."""

    power: int = 2

    def loss(self, outputs: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
        return (outputs if self.power == 1 else outputs.pow(self.power)).sum(1).mean()


POINTS = Points(inputs=(3,), train=26)


def tiny(
    arch: Arch = Smooth(),
    task: Task = POINTS,
    *,
    density: float = 1.0,
    batch: int = 8,
    precision: Literal["float32", "bfloat16"] = "float32",
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> Network:
    """A network as a criterion sees it; the values under dead positions are not zero. An epoch has 26 examples."""
    state = initial_weights(arch, task.io, "tiny", seed)
    state = {n: v.to(dtype) if v.is_floating_point() else v for n, v in state.items()}
    throws = {n: numbers("tiny", "mask", seed, n).random(tuple(state[n].shape)) for n in arch.layout().prunable}
    mask = Mask({n: torch.from_numpy(throw < density) for n, throw in throws.items()})
    recipe = Recipe(steps=1, batch=batch, validation=0.0, precision=precision)
    examples = Examples(task, recipe, Seeds(), torch.device("cpu"))
    return Network(state, mask, arch, task.io, examples=examples)


class Loss:
    """The mean loss as a function of all prunable weights, one after another in one vector."""

    def __init__(
        self, net: Network, *, batches: int = 1, per_class: int = 0, mode: Mode = "train", temperature: float = 1.0
    ) -> None:
        assert net.arch is not None and net.io is not None and net.examples is not None
        self.net, self.temperature = net, temperature
        self.module = net.arch.build(net.io).double().train(mode == "train")
        self.data: list[Batch] = list(net.examples.batches(batches, per_class))

    def __call__(self, vector: Tensor) -> Tensor:
        state = {name: value.clone() for name, value in self.net.state.items()} | self.unflat(vector)
        task, total, seen = self.net.examples.task, vector.new_zeros(()), 0
        for inputs, targets in self.data:
            copy = {n: v.clone() for n, v in state.items()}
            outputs = functional_call(self.module, copy, (inputs.double(),))
            total = total + task.loss(outputs / self.temperature, targets) * len(targets)
            seen += len(targets)
        return total / seen

    def unflat(self, vector: Tensor) -> dict[str, Tensor]:
        shapes = self.net.mask.shapes
        parts = vector.split([self.net.mask[name].numel() for name in shapes])
        return {n: part.reshape(shapes[n]) for n, part in zip(shapes, parts, strict=True)}

    def gradient(self, vector: Tensor) -> Tensor:
        return torch.autograd.functional.jacobian(self, vector)

    def hessian(self, vector: Tensor) -> Tensor:
        return torch.autograd.functional.hessian(self, vector)


def flat(values: object) -> Tensor:
    """The tensors of a mapping one after another."""
    return torch.cat([values[name].reshape(-1) for name in values])  # type: ignore[attr-defined]


def slopes(function, point: Tensor, *, step: float = 1e-5) -> Tensor:
    """The gradient of a scalar function by central differences, without any differentiation."""
    sides = torch.eye(len(point), dtype=point.dtype) * step
    return torch.stack([(function(point + side) - function(point - side)) / (2 * step) for side in sides]).detach()


def close(one: Tensor, other: Tensor, *, within: float = 1e-8) -> bool:
    """Whether two vectors agree to a fraction of the largest entry, which is not zero."""
    assert one.dtype == other.dtype == torch.float64 and one.shape == other.shape
    scale = float(other.abs().max())
    assert scale > 0
    return bool((one - other).abs().max() <= within * scale)

"""The linearised network, against sums over paths and convolutions written out in loops."""

import itertools
from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tombola.archs.conv import Conv
from tombola.archs.imagenet_resnet import ImageNetResNet
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.archs.vgg import Vgg
from tombola.core.errors import Refused
from tombola.core.initial import draw_state
from tombola.core.layout import Arch, Interface, Layout, initial_weights
from tombola.core.plugin import plugin
from tombola.train.linear import flow

PIXELS = Interface(inputs=(2, 4, 4), classes=2)

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    **{"relu": nn.ReLU, "leaky": nn.LeakyReLU, "elu": nn.ELU, "identity": nn.Identity},
    **{"tanh": nn.Tanh, "gelu": nn.GELU, "silu": nn.SiLU, "sigmoid": nn.Sigmoid, "softplus": nn.Softplus},
    **{
        "relu6": nn.ReLU6,
        "hardswish": nn.Hardswish,
        "layer_norm": lambda: nn.LayerNorm((3, 4, 4), elementwise_affine=False),
    },
    **{"group_norm": lambda: nn.GroupNorm(1, 3, affine=False), "max_pool": lambda: nn.MaxPool2d(2, padding=1)},
    **{"average_pool": lambda: nn.AvgPool2d(3, stride=2, padding=1), "adaptive": lambda: nn.AdaptiveMaxPool2d(2)},
    **{"batch_norm": lambda: nn.BatchNorm2d(3), "softmax": lambda: nn.Softmax(1)},
}
LINEAR = ("relu", "leaky", "elu", "identity", "max_pool", "average_pool", "adaptive", "batch_norm")


@plugin("arch", "toy_flow")
class Toy:
    """A convolution, one thing in between, a linear head."""

    between: str = "relu"

    def build(self, io: Interface) -> nn.Module:
        body = nn.Sequential(nn.Conv2d(io.inputs[0], 3, 3, padding=1), ACTIVATIONS[self.between](), nn.Flatten())
        with torch.device("meta"):
            size = body.to("meta")(torch.empty((1, *io.inputs))).shape[1]
        return nn.Sequential(body, nn.Linear(size, io.classes))

    def layout(self) -> Layout:
        return Layout(stem=("0",), stages=(), head=("1",), prunable=("0.0.weight", "1.weight"), axes={})

    def initial(self, net: nn.Module, *names: str | int) -> dict[str, Tensor]:
        return draw_state(net, *names)


def drawn(arch: Arch, io: Interface, *, seed: int = 0) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A state with biases, shifts, scales and statistics that are not those of the start, and the absolute weights."""
    rng = np.random.default_rng(seed)
    state = initial_weights(arch, io, "flow", seed)
    for name, value in state.items():
        if value.is_floating_point() and value.dim() == 1:
            state[name] = torch.from_numpy(rng.normal(size=tuple(value.shape)) + (2 if "var" in name else 0)).abs()
            if not name.endswith("running_var"):
                state[name] *= torch.from_numpy(rng.choice([-1.0, 1.0], size=tuple(value.shape)))
    return state, {name: state[name].double().abs() for name in arch.layout().prunable}


def convolved(x: np.ndarray, weight: Tensor, *, stride: int = 1, padding: int = 1) -> np.ndarray:
    """A convolution of one image, (channels, height, width), place by place."""
    x, w = np.pad(x, ((0, 0), (padding, padding), (padding, padding))), weight.numpy()
    size = (x.shape[1] - w.shape[2]) // stride + 1
    out = np.zeros((len(w), size, size))
    for i, j in itertools.product(range(size), range(size)):
        part = x[:, i * stride : i * stride + w.shape[2], j * stride : j * stride + w.shape[3]]
        out[:, i, j] = (w * part).sum((1, 2, 3))
    return out


def pooled(x: np.ndarray) -> np.ndarray:
    """The largest of each 2x2 places."""
    return x.reshape(len(x), x.shape[1] // 2, 2, x.shape[2] // 2, 2).max((2, 4))


def test_the_flow_of_a_multilayer_perceptron_is_a_product_of_absolute_weights():
    arch, io = Mlp(hidden=(5, 4)), Interface(inputs=(2, 3), classes=3)
    state, weights = drawn(arch, io)
    first, second, head = (state[name].double().abs().numpy() for name in arch.layout().prunable)
    expected = np.ones(3) @ head @ second @ first @ np.ones(6)
    assert float(flow(arch, io, state, weights)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("norm", ["scale", "folded", "identity"])
@pytest.mark.parametrize("shortcut", ["projection", "identity"])
@pytest.mark.parametrize("power", [1, 2])
def test_the_flow_of_a_residual_network_in_loops(
    norm: Literal["scale", "folded", "identity"], shortcut: Literal["projection", "identity"], power: int
):
    arch = ResNet(depth=8, width=2, shortcut=shortcut, bn_scale="uniform")
    state, weights = drawn(arch, PIXELS)
    weights = {name: value**power for name, value in weights.items()}

    def normed(x: np.ndarray, name: str) -> np.ndarray:
        scale = state[f"{name}.weight"].double().abs().numpy()
        if norm == "folded":
            scale = scale / np.sqrt(state[f"{name}.running_var"].double().numpy() + 1e-5)
        return x * ((scale if norm != "identity" else np.ones_like(scale)) ** power)[:, None, None]

    x = normed(convolved(np.ones((2, 4, 4)), weights["stem.conv.weight"]), "stem.bn")
    for i in range(3):
        stride, block = 1 if i == 0 else 2, f"stages.{i}.0"
        y = normed(convolved(x, weights[f"{block}.conv1.weight"], stride=stride), f"{block}.bn1")
        y = normed(convolved(y, weights[f"{block}.conv2.weight"]), f"{block}.bn2")
        if i and shortcut == "identity":
            x = np.concatenate([x[:, ::2, ::2], np.zeros_like(x[:, ::2, ::2])])
        elif i:
            x = convolved(x, weights[f"{block}.shortcut.conv.weight"], stride=2, padding=0)
            x = normed(x, f"{block}.shortcut.bn")
        x = x + y
    expected = (weights["head.weight"].numpy() @ x.mean((1, 2))).sum()
    found = float(flow(arch, PIXELS, state, weights, norm=norm, power=power))
    if norm == "folded" and power == 2:  # The variance's epsilon is squared on its own.
        assert found == pytest.approx(expected, rel=1e-3)
    else:
        assert found == pytest.approx(expected, rel=1e-6)


def test_the_flow_through_max_pooling_in_loops():
    arch, io = Vgg(depth=11, width=1, linear=2), Interface(inputs=(1, 16, 16), classes=2)
    state, weights = drawn(arch, io)
    x = np.ones((1, 16, 16))
    for name in arch.layout().prunable[:-2]:
        if name.endswith("0.conv.weight") and "stages.0" not in name:
            x = pooled(x)
        scale = state[name.replace("conv", "bn")].double().abs().numpy()
        x = convolved(x, weights[name]) * scale[:, None, None]
    hidden = weights["stages.5.0.weight"].numpy() @ x.mean((1, 2))
    expected = (weights["head.weight"].numpy() @ hidden).sum()
    assert float(flow(arch, io, state, weights)) == pytest.approx(expected, rel=1e-12)


def test_absolute_biases_add_to_the_flow():
    arch, io = Mlp(hidden=(2,)), Interface(inputs=(1,), classes=1)
    state = {
        "stages.0.0.weight": torch.tensor([[-1.0], [2.0]]),
        "stages.0.0.bias": torch.tensor([0.5, -0.25]),
        "head.weight": torch.tensor([[3.0, -4.0]]),
        "head.bias": torch.tensor([-7.0]),
    }
    weights = {name: state[name].double().abs() for name in arch.layout().prunable}
    assert float(flow(arch, io, state, weights)) == 1 * 3 + 2 * 4
    assert float(flow(arch, io, state, weights, bias="absolute")) == 1.5 * 3 + 2.25 * 4 + 7
    squares = {name: value**2 for name, value in weights.items()}
    assert float(flow(arch, io, state, squares, bias="absolute", power=2)) == 1.25 * 9 + 4.0625 * 16 + 49


@pytest.mark.parametrize("size", [1.0, 1e6, 1e-6])
@pytest.mark.parametrize("between", list(ACTIVATIONS))
def test_what_is_not_linear_is_refused_however_large_the_weights(between: str, size: float):
    state, weights = drawn(arch := Toy(between=between), PIXELS)
    weights = {name: value * size for name, value in weights.items()}
    if between in LINEAR:
        doubled = {**weights, "0.0.weight": 2 * weights["0.0.weight"]}
        once, twice = (float(flow(arch, PIXELS, state, given)) for given in (weights, doubled))
        assert 0 < once and twice == pytest.approx(2 * once, rel=1e-12)
    else:
        with pytest.raises(Refused, match="is not linear for positive weights and inputs"):
            flow(arch, PIXELS, state, weights)


@pytest.mark.parametrize(
    "arch",
    [Conv(layers=2, width=1), ImageNetResNet(width=4), ImageNetResNet(depth=50, width=4), ResNet(depth=32, width=1)],
    ids=str,
)
def test_networks_of_the_catalogue_are_linear(arch: Arch):
    state, weights = drawn(arch, PIXELS)
    assert float(flow(arch, PIXELS, state, weights)) > 0


def test_nothing_flows_where_a_layer_is_dead():
    arch, io = Mlp(hidden=(3,)), Interface(inputs=(2,), classes=2)
    state, weights = drawn(arch, io)
    assert float(flow(arch, io, state, {**weights, "head.weight": torch.zeros(2, 3, dtype=torch.float64)})) == 0


def test_what_overflows_is_refused():
    arch, io = Mlp(hidden=(3,)), Interface(inputs=(2,), classes=2)
    state, weights = drawn(arch, io)
    huge = {name: torch.full_like(value, 1e200) for name, value in weights.items()}
    with pytest.raises(Refused, match="overflows even in float64"):
        flow(arch, io, state, huge)

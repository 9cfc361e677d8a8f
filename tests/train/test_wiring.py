"""The wiring read off a pass, against wiring written by hand and what autograd says is reached."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tombola.archs.conv import Conv
from tombola.archs.imagenet_resnet import ImageNetResNet
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.archs.vgg import Vgg
from tombola.core.errors import Refused
from tombola.core.layout import Arch, Interface, Joint, Wiring, blank
from tombola.train.wiring import read


class Built(nn.Module):
    """Layers by name, and what is done with them."""

    def __init__(self, run: Callable[["Built", Tensor], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.run = run
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


def named(net: nn.Module) -> tuple[str, ...]:
    return tuple(name for name, value in net.named_parameters() if value.dim() > 1)


def wiring(net: nn.Module, *inputs: int) -> Wiring:
    return read(net, Interface(inputs=inputs, classes=2), named(net))


def catalogue() -> list[tuple[Arch, Interface]]:
    pixels, wide = Interface(inputs=(3, 16, 16), classes=3), Interface(inputs=(3, 32, 32), classes=3)
    return [
        (Mlp(hidden=(6, 4, 4)), Interface(inputs=(2, 3, 2), classes=3)),
        (Conv(layers=2, width=2), Interface(inputs=(3, 8, 8), classes=3)),
        (Conv(layers=4, width=2), Interface(inputs=(3, 8, 4), classes=3)),
        (Vgg(depth=11, width=2), pixels),
        (Vgg(depth=13, width=2, linear=3), pixels),
        (ResNet(depth=14, width=2), pixels),
        (ResNet(depth=14, width=2, shortcut="identity"), pixels),
        (ImageNetResNet(depth=18, width=2), wide),
        (ImageNetResNet(depth=50, width=4), wide),
    ]


def reached(net: nn.Module, io: Interface) -> dict[str, dict[str, np.ndarray]]:
    """For each layer, and each one (or the input) right before it: which inputs (rows) its units (columns) move.

    Each layer's result is cut off from what made it, so that derivatives stop at the nearest layer.
    """
    net = net.double().eval()
    for value in net.parameters():
        value.data = value.data.abs() + 0.1
    leaves: dict[str, Tensor] = {"": torch.ones((1, *io.inputs), dtype=torch.float64, requires_grad=True)}
    given: dict[str, Tensor] = {}

    def cut(name: str) -> Callable[..., Tensor]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            given[name] = inputs[0]
            # Different values: max pooling passes on the derivative of one place only, whichever it is.
            leaves[name] = (output.detach().abs() + 1).requires_grad_()
            return leaves[name]

        return hook

    for path, module in net.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.register_forward_hook(cut(f"{path}.weight"))
    given["output"] = net(leaves[""])
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, value in given.items():
        found[name] = {}
        for position in range(value.shape[1]):
            slopes = torch.autograd.grad(
                value[0, position].sum(), list(leaves.values()), retain_graph=True, allow_unused=True
            )
            for source, slope in zip(leaves, slopes, strict=True):
                if slope is not None and slope.any():
                    units = slope[0].flatten(1).any(1) if slope.dim() > 2 and io.inputs != slope.shape[1:] else slope[0]
                    rows = found[name].setdefault(source, np.zeros((value.shape[1], *units.shape), dtype=bool))
                    rows[position] = units.numpy() != 0
    return found


@pytest.mark.parametrize("arch, io", catalogue(), ids=str)
def test_the_wiring_is_what_derivatives_say(arch: Arch, io: Interface):
    torch.manual_seed(0)
    net = arch.build(io)
    found, expected = read(blank(arch, io), io, arch.layout().prunable), reached(net, io)
    assert [joint.name for joint in found.joints] == list(arch.layout().prunable)
    assert set(found.outputs) == set(expected["output"])
    for joint in found.joints:
        assert set(joint.sources) == set(expected[joint.name])
        weight = net.get_parameter(joint.name)
        for source, run, offset in zip(joint.sources, joint.runs, joint.offsets, strict=True):
            units = len(net.get_parameter(source)) if source else found.inputs
            rows = np.zeros((weight.shape[1] * joint.groups, units), dtype=bool)
            for unit in range(units):
                rows[offset + unit * run : offset + (unit + 1) * run, unit] = True
            actual = expected[joint.name][source]
            actual = actual.reshape(len(actual), units, -1).any(2)
            assert np.array_equal(rows, actual), (joint, source)


def test_an_mlp_by_hand():
    arch, io = Mlp(hidden=(4, 3)), Interface(inputs=(2, 3), classes=2)
    first, second, head = arch.layout().prunable
    joints = (Joint(first, ("",), (1,), (0,)), Joint(second, (first,), (1,), (0,)), Joint(head, (second,), (1,), (0,)))
    assert read(blank(arch, io), io, arch.layout().prunable) == Wiring(joints, (head,), 6)


def test_a_flattened_map_gives_runs():
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 5))
    found = wiring(net, 3, 6, 6)
    expected = (Joint("0.weight", ("",), (1,), (0,)), Joint("3.weight", ("0.weight",), (4,), (0,)))
    assert found == Wiring(expected, ("3.weight",), 3)


@pytest.mark.parametrize(
    "flat",
    [
        lambda x: x.flatten(1),
        lambda x: torch.flatten(x, start_dim=1),
        lambda x: x.view(x.size(0), -1),
        lambda x: x.reshape(x.shape[0], -1),
        lambda x: torch.reshape(x, (x.size()[0], 18)),
    ],
)
def test_ways_to_flatten(flat: Callable[[Tensor], Tensor]):
    net = Built(lambda m, x: m.b(flat(F.relu(m.a(x)))), a=nn.Conv2d(1, 2, 2), b=nn.Linear(18, 2))
    assert wiring(net, 1, 4, 4).joints[1] == Joint("b.weight", ("a.weight",), (9,), (0,))


def test_sums_join_and_concatenations_shift():
    def run(m: nn.Module, x: Tensor) -> Tensor:
        a, b = F.relu(m.a(x)), torch.tanh(m.b(x))
        both = torch.cat([a + b * 2, m.c(a), x], dim=1)
        return m.d(both.mean((2, 3)))

    convs = {name: nn.Conv2d(2, 2, 1) for name in "abc"}
    found = wiring(Built(run, **convs, d=nn.Linear(6, 2)), 2, 3, 3)
    assert found.joints[3] == Joint("d.weight", ("a.weight", "b.weight", "c.weight", ""), (1,) * 4, (0, 0, 2, 4))
    assert found.joints[2].sources == ("a.weight",) and found.inputs == 2


def test_padded_channels_shift_and_padded_places_do_not():
    def run(m: nn.Module, x: Tensor) -> Tensor:
        y = F.pad(m.a(x)[:, :, ::2, ::2], (1, 1, 0, 0, 1, 2))
        return m.c(F.relu(y + m.b(F.pad(x[:, :, ::2, ::2], (1, 1)))).flatten(1))

    layers = {"a": nn.Conv2d(1, 2, 1), "b": nn.Conv2d(1, 5, 1), "c": nn.Linear(5 * 2 * 4, 2)}
    found = wiring(Built(run, **layers), 1, 4, 4)
    assert found.joints[2] == Joint("c.weight", ("a.weight", "b.weight"), (8, 8), (8, 0))


def test_groups_are_named():
    net = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 8, 1, groups=2), nn.Flatten())
    found = wiring(net, 4, 1, 1)
    assert found.joints[1] == Joint("1.weight", ("0.weight",), (1,), (0,), groups=2)


def test_an_input_read_flat_and_whole_has_channels_for_units():
    net = Built(lambda m, x: m.a(x).flatten(1) + m.b(x.flatten(1)), a=nn.Conv2d(2, 3, 2), b=nn.Linear(8, 3))
    found = wiring(net, 2, 2, 2)
    assert [joint.runs for joint in found.joints] == [(1,), (4,)] and found.inputs == 2
    assert found.outputs == ("a.weight", "b.weight")


def test_the_network_is_left_as_it_was():
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))
    net[1].eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    wiring(net, 1, 1, 1)
    assert net.training and not net[1].training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def refusals() -> dict[str, tuple[nn.Module, str]]:
    a, b = nn.Linear(4, 4), nn.Linear(4, 2)
    conv = nn.Conv2d(4, 4, 1)
    return {
        "branch": (Built(lambda m, x: m.b(m.a(x) if x.tolist() else x), a=a, b=b), "cannot be run without values"),
        "mask": (Built(lambda m, x: m.b(m.a(x) * (x > 0)), a=a, b=b), "how 'gt'"),
        "split": (Built(lambda m, x: m.b(torch.cat(m.a(x).chunk(2, 1), 1)), a=a, b=b), "how 'chunk'"),
        "softmax": (Built(lambda m, x: m.b(m.a(x).softmax(1)), a=a, b=b), "how 'softmax'"),
        "layer_norm": (nn.Sequential(a, nn.LayerNorm(4), b), "how 'layer_norm'"),
        "product": (Built(lambda m, x: m.b(m.a(x) * x), a=a, b=b), "how 'mul'"),
        "matmul": (Built(lambda m, x: m.b(m.a(x) @ m.a.weight), a=a, b=b), "how 'matmul'"),
        "twice": (Built(lambda m, x: m.b(m.a(m.a(x))), a=a, b=b), "'a.weight' is used twice"),
        "broadcast": (Built(lambda m, x: m.a(x) + m.c(x), a=a, c=nn.Linear(4, 1)), "how 'add'"),
        "slice": (Built(lambda m, x: m.b(m.a(x)[:, :4]), a=a, b=b), "how 'getitem'"),
        "mean": (
            Built(lambda m, x: m.b(m.a(x).mean(1, keepdim=True).flatten(1)), a=a, b=nn.Linear(1, 2)),
            "how 'mean'",
        ),
        "transposed": (Built(lambda m, x: m.b(m.a(x).t().t()), a=a, b=b), "how 't'"),
        "stacked": (Built(lambda m, x: m.b(torch.cat([m.a(x), x], 0)), a=a, b=b), "how 'cat'"),
        "input": (Built(lambda m, x: m.a(x) + x, a=a), "is not that of prunable tensors alone"),
        "unused": (Built(lambda m, x: m.b(x), a=a, b=b), "'a.weight' is used by no"),
        "places": (Built(lambda m, x: m.b(m.c(x[:, :, None, None]).permute(0, 2, 3, 1)), b=b, c=conv), "how 'permute'"),
    }


@pytest.mark.parametrize("case", refusals())
def test_what_is_not_known_is_refused_with_a_way_out(case: str):
    net, message = refusals()[case]
    with pytest.raises(Refused, match=f"{message}.*Use a criterion that does not need the wiring"):
        wiring(net, 4)


def test_a_layer_that_is_not_prunable_is_refused():
    with pytest.raises(Refused, match="'0.weight' is not among the prunable tensors"):
        read(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), Interface(inputs=(2,), classes=2), ("1.weight",))


def test_other_parameters_have_no_place():
    arch, io = ResNet(depth=8, width=2), Interface(inputs=(3, 8, 8), classes=2)
    everything = tuple(name for name, _ in blank(arch, io).named_parameters())
    assert read(blank(arch, io), io, everything) == read(blank(arch, io), io, arch.layout().prunable)
    assert dataclasses.is_dataclass(Joint)

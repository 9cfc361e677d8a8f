import pytest
import torch
import torch.nn.functional as F

from tombola.archs.conv import Conv
from tombola.core.errors import Refused
from tombola.core.layout import Interface, Stage
from tombola.core.text import parse

CIFAR = Interface(inputs=(3, 32, 32), classes=10)


@pytest.mark.parametrize(
    "text, weights",
    [
        ("conv(layers=2)", 4_300_992),  # "4.3M" in Frankle & Carbin 2019, figure 2.
        ("conv(layers=4)", 2_425_024),  # Maene et al. 2021, table 1.
        ("conv(layers=6)", 2_261_184),  # The sum over the layers of figure 2, which itself prints 1.7M.
    ],
)
def test_counts(count, text, weights):
    assert count(text, CIFAR)[1] == weights


def test_every_layer_has_a_bias(count):
    total, weights = count("conv()", CIFAR)
    assert total - weights == 64 + 64 + 128 + 128 + 256 + 256 + 10


def test_pairs_are_stages():
    layout = Conv(layers=2).layout()
    assert layout.stages == (Stage("stages.0.0", ("stages.0.1",)), Stage("stages.1.0", ("stages.1.1",)))
    assert layout.axes["stages.0.1.weight"] == ("stages.0.1", "stages.0.0", "", "")
    assert layout.axes["stages.1.0.weight"] == ("stages.1.0", "stages.0.1")


def test_forward_against_a_plain_calculation(loaded):
    """As figure 2 of Frankle & Carbin 2019 lists the layers, with widths of a quarter."""
    net = loaded(Conv(layers=4, width=16), CIFAR)
    p, start = net.state_dict(), torch.linspace(-1, 1, 2 * 3 * 32 * 32).sin().view(2, 3, 32, 32)
    x = start
    for i, width in enumerate((16, 32)):
        for j in range(2):
            x = F.conv2d(x, p[f"stages.{i}.{j}.weight"], p[f"stages.{i}.{j}.bias"], padding=1).relu()
        x = F.max_pool2d(x, 2)
        assert x.shape[1] == width
    x = x.flatten(1)
    for j in range(2):
        x = F.linear(x, p[f"stages.2.{j}.weight"], p[f"stages.2.{j}.bias"]).relu()
        assert x.shape[1] == 64
    torch.testing.assert_close(net(start), F.linear(x, p["head.weight"], p["head.bias"]))


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 9, 17)])
@pytest.mark.parametrize("layers", [2, 4, 6])
def test_input_sizes(loaded, shape, layers):
    io = Interface(inputs=shape, classes=10)
    assert loaded(Conv(layers=layers, width=2), io)(torch.zeros(2, *shape)).shape == (2, 10)


def test_too_small():
    Conv(layers=6, width=1).build(Interface(inputs=(1, 8, 8), classes=2))
    with pytest.raises(Refused, match="halves its images 3 times, and of 8x7 pixels nothing would be left.*8x8"):
        Conv(layers=6, width=1).build(Interface(inputs=(1, 8, 7), classes=2))
    with pytest.raises(Refused, match=r"takes images of shape \(channels, height, width\).*\(64,\)"):
        Conv().build(Interface(inputs=(64,), classes=10))


@pytest.mark.parametrize(
    "text, message",
    [("conv(layers=3)", "must be one of: 2, 4, 6"), ("conv(width=0)", "'width' is 0"), ("conv(width=70000)", "70,000")],
)
def test_refused(text, message):
    with pytest.raises(Refused, match=message):
        parse("arch", text)


def test_too_many_parameters():
    with pytest.raises(Refused, match="parameters"):
        Conv(width=65_536).build(CIFAR)

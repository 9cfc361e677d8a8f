import pytest
import torch
import torch.nn.functional as F

from tombola.archs.resnet import EverySecondPixel, ResNet
from tombola.core.errors import Refused
from tombola.core.layout import Interface, blank
from tombola.core.text import parse

CIFAR = Interface(inputs=(3, 32, 32), classes=10)


@pytest.mark.parametrize(  # Chen et al. 2021, section 3.1.
    "depth, total, weights, tensors",
    [
        (14, 175_258, 174_128, 16),
        (20, 272_474, 270_896, 22),
        (32, 466_906, 464_432, 34),
        (44, 661_338, 657_968, 46),
        (56, 855_770, 851_504, 58),
    ],
)
def test_counts(count, depth, total, weights, tensors):
    assert count(f"resnet(depth={depth})", CIFAR) == (total, weights)
    assert len(ResNet(depth=depth).layout().prunable) == tensors


def test_counts_of_the_other_forms(count):
    assert count("resnet(bn_affine='no')", CIFAR) == (270_906, 270_896)  # Maene et al. 2021; 10 biases in the head.
    assert count("resnet(shortcut='identity')", CIFAR) == (269_722, 268_336)  # He et al. 2016, table 6: "0.27M".
    running = sum(v.numel() for n, v in blank(ResNet(), CIFAR).named_buffers() if "running" in n)
    assert 272_474 + running == 274_042  # The "274K" of Maene et al. 2021, table 1.


def test_streams_and_insides():
    axes = ResNet(depth=14).layout().axes
    assert axes["stem.conv.weight"] == ("stages.0", "", "", "") and axes["stem.bn.running_var"] == ("stages.0",)
    assert axes["stages.0.0.conv1.weight"] == ("stages.0.0.conv1", "stages.0", "", "")
    assert axes["stages.0.1.conv2.weight"] == ("stages.0", "stages.0.1.conv1", "", "")
    assert axes["stages.1.0.conv1.weight"] == ("stages.1.0.conv1", "stages.0", "", "")
    assert axes["stages.1.0.shortcut.conv.weight"] == ("stages.1", "stages.0", "", "")
    assert axes["stages.1.1.conv1.weight"][:2] == ("stages.1.1.conv1", "stages.1")
    assert axes["head.weight"] == ("", "stages.2")


def test_option_a_ties_the_streams_but_not_the_insides():
    axes = ResNet(depth=8, shortcut="identity").layout().axes
    assert not any("shortcut" in name for name in axes)
    assert axes["stem.conv.weight"] == ("", "", "", "") and axes["head.weight"] == ("", "")
    assert axes["stages.1.0.conv1.weight"] == ("stages.1.0.conv1", "", "", "")
    assert axes["stages.1.0.conv2.weight"] == ("", "stages.1.0.conv1", "", "")


def test_every_second_pixel_by_hand():
    out = EverySecondPixel(1)(torch.arange(1.0, 10.0).view(1, 1, 3, 3))
    assert out.tolist() == [[[[1.0, 3.0], [7.0, 9.0]], [[0.0, 0.0], [0.0, 0.0]]]]


@pytest.mark.parametrize("shortcut", ["projection", "identity"])
def test_forward_against_a_plain_calculation(loaded, images, shortcut):
    """The whole network again, from its state dict and PyTorch's functions."""
    arch = ResNet(depth=8, width=2, shortcut=shortcut)
    net = loaded(arch, images, statistics=True)
    p, x = net.state_dict(), torch.linspace(-1, 1, 2 * 3 * 16 * 16).view(2, 3, 16, 16)

    def norm(x, name):
        return F.batch_norm(x, *(p[f"{name}.{e}"] for e in ("running_mean", "running_var", "weight", "bias")))

    y = F.conv2d(x, p["stem.conv.weight"], padding=1)
    y = norm(y, "stem.bn").relu()
    for i in range(3):
        at, stride = f"stages.{i}.0", 1 if i == 0 else 2
        z = norm(F.conv2d(y, p[f"{at}.conv1.weight"], padding=1, stride=stride), f"{at}.bn1").relu()
        z = norm(F.conv2d(z, p[f"{at}.conv2.weight"], padding=1), f"{at}.bn2")
        if i and shortcut == "projection":
            y = norm(F.conv2d(y, p[f"{at}.shortcut.conv.weight"], stride=stride), f"{at}.shortcut.bn")
        elif i:
            y = torch.cat([y[:, :, ::2, ::2], torch.zeros_like(y[:, :, ::2, ::2])], 1)
        y = (y + z).relu()
    assert y.shape[-2:] == (4, 4)
    torch.testing.assert_close(net(x), y.mean((2, 3)) @ p["head.weight"].T + p["head.bias"])


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 9, 15), (2, 1, 1)])
@pytest.mark.parametrize("shortcut", ["projection", "identity"])
def test_input_sizes(loaded, shape, shortcut):
    io = Interface(inputs=shape, classes=10)
    assert loaded(ResNet(depth=8, width=2, shortcut=shortcut), io)(torch.zeros(2, *shape)).shape == (2, 10)


@pytest.mark.parametrize(
    "text, message",
    [
        ("resnet(depth=21)", r"is 21. It must be 6n \+ 2 .*, e.g. 20 or 26"),
        ("resnet(depth=2)", "'depth' is 2. It must be between 8 and 2,000"),
        ("resnet(depth=2006)", "'depth' is 2,006"),
        ("resnet(depth=20.0)", "must be of type int"),
        ("resnet(depth=True)", "must be of type int"),
        ("resnet(width=0)", "'width' is 0"),
        ("resnet(width=65537)", "'width' is 65,537"),
        ("resnet(shortcut=option_a)", "must be one of: 'projection', 'identity'"),
        ("resnet(bn_affine='no', bn_scale='uniform')", "has no meaning without scales"),
    ],
)
def test_refused(text, message):
    with pytest.raises(Refused, match=message):
        parse("arch", text)


def test_other_inputs_are_refused():
    with pytest.raises(Refused, match=r"resnet\(\) takes images of shape \(channels, height, width\)"):
        ResNet().build(Interface(inputs=(3, 32), classes=10))


def test_too_many_parameters():
    with pytest.raises(Refused, match="parameters"):
        ResNet(width=65_536).build(CIFAR)


def test_the_deepest_is_described(count):
    total, weights = count("resnet(depth=2000, width=1)", CIFAR)
    assert len(ResNet(depth=2000, width=1).layout().prunable) == 2000 + 2 and total > weights > 0

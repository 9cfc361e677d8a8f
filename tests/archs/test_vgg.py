import pytest
import torch
import torch.nn.functional as F

from tombola.archs.vgg import Vgg
from tombola.core.errors import Refused
from tombola.core.layout import Interface, Stage
from tombola.core.text import parse

CIFAR = Interface(inputs=(3, 32, 32), classes=10)


@pytest.mark.parametrize(  # Chen et al. 2021, section 3.3.
    "depth, total, weights", [(13, 9_416_010, 9_407_168), (16, 14_728_266, 14_715_584), (19, 20_040_522, 20_024_000)]
)
def test_counts(count, depth, total, weights):
    assert count(f"vgg(depth={depth})", CIFAR) == (total, weights)


@pytest.mark.parametrize("linear, total", [(1, 9_416_010), (2, 9_678_666), (3, 9_941_322), (5, 10_466_634)])
def test_counts_of_linear_variants(count, linear, total):
    assert count(f"vgg(depth=13, linear={linear})", CIFAR)[0] == total


@pytest.mark.parametrize(
    "depth, convs", [(11, [1, 1, 2, 2, 2]), (13, [2] * 5), (16, [2, 2, 3, 3, 3]), (19, [2, 2, 4, 4, 4])]
)
def test_stages(depth, convs):
    stages = Vgg(depth=depth).layout().stages
    assert [stage.entry for stage in stages] == [*(f"stages.{i}.0" for i in range(5)), ""]
    assert [len(stage.blocks) + 1 for stage in stages[:5]] == convs and stages[5] == Stage("")


def test_hidden_linear_layers_are_interchangeable():
    layout = Vgg(linear=3).layout()
    assert layout.stages[5] == Stage(entry="", blocks=("stages.5.0", "stages.5.1"))
    assert layout.axes["stages.5.0.weight"] == ("stages.5.0", "stages.4.1")
    assert layout.axes["head.weight"] == ("", "stages.5.1")
    assert layout.axes["stages.1.0.bn.running_mean"] == layout.axes["stages.1.0.conv.bias"] == ("stages.1.0",)


def test_forward_against_a_plain_calculation(loaded):
    """As the paper describes it: a 2x2 average pool at the end, for 32x32 images."""
    net = loaded(Vgg(depth=11, width=3, linear=2), CIFAR, statistics=True)
    p, x = net.state_dict(), torch.linspace(-1, 1, 2 * 3 * 32 * 32).sin().view(2, 3, 32, 32)
    for i, count in enumerate((1, 1, 2, 2, 2)):
        for at in (f"stages.{i}.{j}" for j in range(count)):
            x = F.conv2d(x, p[f"{at}.conv.weight"], p[f"{at}.conv.bias"], padding=1)
            norm = (p[f"{at}.bn.{entry}"] for entry in ("running_mean", "running_var", "weight", "bias"))
            x = F.batch_norm(x, *norm).relu()
        x = F.max_pool2d(x, 2) if i < 4 else F.avg_pool2d(x, 2)
    x = F.linear(x.flatten(1), p["stages.5.0.weight"], p["stages.5.0.bias"]).relu()
    expected = F.linear(x, p["head.weight"], p["head.bias"])
    got = net(torch.linspace(-1, 1, 2 * 3 * 32 * 32).sin().view(2, 3, 32, 32))
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 28, 28), (3, 64, 48)])
def test_input_sizes(loaded, shape):
    io = Interface(inputs=shape, classes=10)
    assert loaded(Vgg(width=2, linear=2), io)(torch.zeros(2, *shape)).shape == (2, 10)


def test_too_small():
    with pytest.raises(Refused, match="halves its images 4 times, and of 8x8 pixels nothing would be left.*16x16"):
        Vgg().build(Interface(inputs=(1, 8, 8), classes=10))


@pytest.mark.parametrize(
    "text, message",
    [
        ("vgg(depth=12)", "must be one of: 11, 13, 16, 19"),
        ("vgg(linear=0)", "'linear' is 0"),
        ("vgg(linear=1001)", "'linear' is 1,001. It must be between 1 and 1,000"),
        ("vgg(width=0)", "'width' is 0"),
    ],
)
def test_refused(text, message):
    with pytest.raises(Refused, match=message):
        parse("arch", text)


def test_too_many_parameters():
    with pytest.raises(Refused, match="parameters"):
        Vgg(linear=1000, width=65_536).build(CIFAR)

import pytest
import torch

from tombola.archs.mlp import Mlp
from tombola.core.errors import Refused
from tombola.core.layout import Interface, Stage
from tombola.core.text import parse

MNIST = Interface(inputs=(1, 28, 28), classes=10)


@pytest.mark.parametrize(
    "text, total, weights",
    [
        ("mlp()", 266_610, 266_200),  # LeNet: Maene et al. 2021, table 1.
        ("mlp(hidden=(300, 300, 100))", 356_910, 356_200),  # MLP-2 to MLP-4: Chen et al. 2021, section 3.4.
        ("mlp(hidden=(300, 300, 300, 100))", 447_210, 446_200),
        ("mlp(hidden=(300, 300, 300, 300, 100))", 537_510, 536_200),
    ],
)
def test_counts(count, text, total, weights):
    assert count(text, MNIST) == (total, weights)


def test_runs_of_equal_width_are_stages():
    layout = Mlp(hidden=(8, 8, 8, 4, 8)).layout()
    assert layout.stages == (
        Stage(entry="stages.0.0", blocks=("stages.0.1", "stages.0.2")),
        Stage(entry="stages.1.0"),
        Stage(entry="stages.2.0"),
    )
    assert layout.stem == () and layout.head == ("head",)
    assert layout.axes["stages.1.0.weight"] == ("stages.1.0", "stages.0.2")
    assert layout.axes["stages.0.0.weight"] == ("stages.0.0", "") and layout.axes["head.weight"] == ("", "stages.2.0")
    assert layout.axes["head.bias"] == ("",)


def test_by_hand():
    net = Mlp(hidden=(2,)).build(Interface(inputs=(1, 1, 2), classes=1))
    net.load_state_dict(
        {
            "stages.0.0.weight": torch.tensor([[1.0, 0.0], [0.0, 1.0]]),
            "stages.0.0.bias": torch.tensor([0.0, 1.0]),
            "head.weight": torch.tensor([[10.0, 100.0]]),
            "head.bias": torch.tensor([0.5]),
        }
    )
    assert net(torch.tensor([[[[-3.0, 2.0]]]])).tolist() == [[300.5]]  # 10 * max(-3, 0) + 100 * (2 + 1) + 0.5


@pytest.mark.parametrize("shape", [(64,), (1, 8, 8), (3, 5, 7)])
def test_any_shape_is_flattened(loaded, shape):
    io = Interface(inputs=shape, classes=4)
    assert loaded(Mlp(hidden=(3,)), io)(torch.zeros(2, *shape)).shape == (2, 4)


@pytest.mark.parametrize(
    "text, message",
    [
        ("mlp(hidden=(0,))", "a width in 'hidden' is 0. It must be between 1 and 65,536"),
        ("mlp(hidden=(300, -1))", "is -1"),
        ("mlp(hidden=(65537,))", "is 65,537"),
        (f"mlp(hidden={(1,) * 1001})", "1,001 hidden layers are asked for. The most allowed is 1,000"),
        ("mlp(hidden=300)", "must be of type"),
        ("mlp(hidden=(1.5,))", "must be of type int"),
        ("mlp(init='ones')", "must be one of: 'kaiming_normal'"),
    ],
)
def test_refused(text, message):
    with pytest.raises(Refused, match=message):
        parse("arch", text)


def test_too_many_parameters_take_no_memory():
    with pytest.raises(Refused, match="would have 4,29.,...,... parameters .* The most allowed is 1,000,000,000"):
        Mlp(hidden=(65_536, 65_536)).build(Interface(inputs=(1,), classes=1))
    with pytest.raises(Refused, match="size of one input"):
        Mlp().build(Interface(inputs=(10**30,), classes=1))
    with pytest.raises(Refused, match="number of classes"):
        Mlp().build(Interface(inputs=(1,), classes=10**30))


def test_the_deepest_is_built_at_once(count):
    assert count(f"mlp(hidden={(2,) * 1000})", Interface(inputs=(2,), classes=2))[0] == 1001 * 6

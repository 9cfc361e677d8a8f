"""LAMP: by hand, against the definition as a double sum, and that no layer vanishes."""

import numpy as np
import pytest
import torch

from tombola.archs.mlp import Mlp
from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.core.seeds import Seeds
from tombola.criteria.lamp import Lamp
from tombola.criteria.magnitude import Magnitude
from tombola.find import cut, draw
from tombola.prune import Erk, Everywhere, PerLayer, in_rounds
from tombola.tasks.digits import Digits
from tombola.train.loop import train
from tombola.train.network import Network
from tombola.train.recipes import Quickstart


def network(rng: np.random.Generator, scales: list[float]) -> Network:
    state = {
        f"w{i}": torch.from_numpy(scale * rng.standard_normal((3, 2 + i))).float() for i, scale in enumerate(scales)
    }
    mask = Mask({n: torch.from_numpy(rng.random(tuple(v.shape)) < 0.7) for n, v in state.items()})
    return Network(state, mask)


def test_by_hand():
    weights = torch.tensor([[3.0, -1.0], [2.0, 7.0]])
    net = Network({"w": weights}, Mask({"w": torch.tensor([[True, True], [True, False]])}))
    scores = Lamp()(net)["w"]
    # 9 / 9; 1 / (9 + 4 + 1); 4 / (9 + 4); and the dead weight neither scores nor counts.
    assert scores.flatten().tolist() == pytest.approx([1, 1 / 14, 4 / 13, 0], rel=1e-15)
    assert scores.dtype == torch.float64


def test_equal_weights_by_hand():
    net = Network({"w": torch.tensor([1.0, -2.0, 2.0, 1.0])}, Mask.dense({"w": (4,)}))
    assert Lamp()(net)["w"].tolist() == pytest.approx([1 / 9, 1, 4 / 8, 1 / 10], rel=1e-15)


def test_against_the_double_sum():
    net = network(np.random.default_rng(0), [1.0, 1e-3, 1e4])
    scores = Lamp()(net)
    for name, value in net.state.items():
        flat, alive = value.double().flatten().tolist(), net.mask[name].flatten().tolist()
        expected = [
            a * w * w / sum(b * v * v for v, b in zip(flat, alive, strict=True) if abs(v) >= abs(w)) if a else 0.0
            for w, a in zip(flat, alive, strict=True)
        ]
        assert scores[name].flatten().tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("scale", [1e-40, 1e-30, 1e30, 1e38])
def test_scale_is_no_matter(scale: float):
    """Squares of float32 numbers leave its range, and float64's when a network is in float64."""
    weights = torch.tensor([1.0, 0.5, 0.25, -2.0])
    dense = Mask.dense({"w": (4,)})
    expected = Lamp()(Network({"w": weights}, dense))["w"]
    for scaled in (weights * scale, weights.double() * scale**6):
        assert Lamp()(Network({"w": scaled}, dense))["w"].tolist() == pytest.approx(expected.tolist(), rel=1e-4)


def test_a_long_tensor_loses_nothing_to_rounding_and_orders_ties_by_index():
    """A sum in float32 would be right to six digits only."""
    net = Network({"w": torch.tensor([1.0, 0.3]).repeat(50_000)}, Mask.dense({"w": (100_000,)}))
    small = torch.tensor(0.3).double().item() ** 2
    scores = Lamp()(net)["w"]
    assert scores[-1].item() == pytest.approx(small / (50_000 + 50_000 * small), rel=1e-12)
    assert scores[1].item() == pytest.approx(small / (50_000 + small), rel=1e-12)
    assert scores[::2].tolist() == [1 / k for k in range(1, 50_001)]


def test_globally_every_tensor_keeps_one_while_there_are_as_many_weights_as_tensors():
    """Scales that make plain magnitude empty all tensors but one; every count down to the number of tensors."""
    rng = np.random.default_rng(1)
    for _ in range(10):
        net = network(rng, [1e-6, 1.0, 1e6, 1e3])
        for count in range(4, net.mask.kept + 1):
            mask = in_rounds(net, Lamp(), scope=Everywhere(), density=count / net.mask.size)
            assert mask.kept == count and all(mask.kept_in(n) > 0 for n in mask if net.mask.kept_in(n))
        assert (
            min(in_rounds(net, Magnitude(), scope=Everywhere(), density=4 / net.mask.size).kept_in(n) for n in net.mask)
            == 0
        )


def test_fewer_weights_than_tensors_are_refused():
    net = network(np.random.default_rng(1), [1.0, 1.0, 1.0])
    with pytest.raises(Refused, match="leaves no weight in 'w2'.*Keep more"):
        in_rounds(net, Lamp(), scope=Everywhere(), density=2 / net.mask.size)


def test_a_tensor_of_zeros_keeps_its_first_weight():
    state = {"a": torch.zeros(3), "b": torch.tensor([5.0, 6.0, 7.0]), "gone": torch.ones(2)}
    alive = {"a": torch.tensor([False, True, True]), "b": torch.ones(3).bool(), "gone": torch.zeros(2).bool()}
    net = Network(state, Mask(alive))
    assert Lamp()(net)["a"].tolist() == [0, 1, 0] and Lamp()(net)["gone"].tolist() == [0, 0]
    mask = in_rounds(net, Lamp(), scope=Everywhere(), density=2 / 8)
    assert mask["a"].tolist() == [False, True, False] and mask["b"].tolist() == [False, False, True]


@pytest.mark.parametrize("scope", [PerLayer(), Erk()], ids=str)
def test_within_a_tensor_it_is_magnitude(scope: PerLayer | Erk):
    net = network(np.random.default_rng(2), [1.0, 10.0, 100.0])
    net.state["w1"][0, :2] = 1.5  # Ties, too.
    assert in_rounds(net, Lamp(), scope=scope, keep=0.5) == in_rounds(net, Magnitude(), scope=scope, keep=0.5)


def test_cut_after_a_training():
    task, recipe = Digits(), Quickstart(steps="2ep")
    trained = train(draw(Mlp(hidden=(8,)), task, recipe), task, recipe, Seeds())
    ticket = cut(trained, criterion=Lamp(), density=0.25)
    assert ticket.mask.kept == 148 and ticket.mask != cut(trained, density=0.25).mask
    assert ticket.lineage.last.call.endswith("criterion=lamp(), density=0.25)")

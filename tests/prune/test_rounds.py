"""Pruning in rounds: what a scope's numbers mean there, and what may come back."""

from typing import Any

import pytest
import torch

from tombola.core.criterion import Habits
from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.criteria.magnitude import Magnitude
from tombola.prune import Everywhere, PerLayer, in_rounds
from tombola.train.network import Network


@pytest.mark.parametrize(("revives", "left"), [("no", [1, 0, 0, 0]), ("yes", [0, 0, 0, 1])])
def test_only_a_criterion_that_revives_takes_back_what_it_pruned(revives: Any, left: list[int]):
    """First 4, 3, 2, 1, of which two stay; then the other way round, and of all four the last is the best."""

    class Turning:
        habits = Habits(rounds=2, revives=revives)

        def __call__(self, net: Any) -> dict[str, torch.Tensor]:
            falling = torch.tensor([4.0, 3, 2, 1])
            return {"w": falling if net.mask.kept == 4 else torch.tensor([2.0, 1, 3, 4])}

    net = Network({"w": torch.ones(4)}, Mask.dense({"w": (4,)}))
    assert in_rounds(net, Turning(), scope=Everywhere(), density=0.25)["w"].int().tolist() == left


@pytest.mark.parametrize(("asked", "said"), [({"density": 0.01}, "density 0.01"), ({"keep": 0.1}, "keep 0.1")])
def test_no_cut_leaves_nothing(asked: dict[str, float], said: str):
    net = Network({"w": torch.arange(8.0), "b": torch.ones(1)}, Mask.dense({"w": (8,)}))
    with pytest.raises(Refused, match=rf"^{said} leaves none of 8 weights, and everywhere\(\) is to keep one at least"):
        in_rounds(net, Magnitude(), scope=Everywhere(), **asked)
    assert in_rounds(net, Magnitude(), scope=Everywhere(), density=0.125).kept == 1


def test_a_density_in_each_layer_means_the_same_in_rounds():
    """The excluded head is no part of it: ten of a hundred stay, and not as many as of all 200 together."""

    class Thrice:
        habits = Habits(rounds=3)

        def __call__(self, net: Any) -> dict[str, torch.Tensor]:
            return {name: value.abs() for name, value in net.weights.items()}

    shapes = {"body": (10, 10), "head": (10, 10)}
    weights = {name: torch.arange(100.0).reshape(shape) for name, shape in shapes.items()}
    net = Network(weights, Mask.dense(shapes))
    for asked in ({"density": 0.1}, {"keep": 0.1}):
        mask = in_rounds(net, Thrice(), scope=PerLayer(exclude=("head",)), **asked)
        assert (mask.kept_in("body"), mask.kept_in("head")) == (10, 100)
        assert mask["body"].flatten().nonzero().flatten().tolist() == list(range(90, 100))

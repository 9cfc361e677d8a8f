"""What every criterion must keep to: each one in the catalogue."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.core import catalogue
from tombola.core.layout import Interface, Prunable, dense_mask, initial_weights
from tombola.core.mask import Mask
from tombola.core.seeds import Seeds
from tombola.core.text import parse
from tombola.criteria.magnitude import Magnitude
from tombola.criteria.random_ import Random
from tombola.prune import prune
from tombola.tasks.digits import Digits
from tombola.train.examples import Examples
from tombola.train.network import Network
from tombola.train.recipe import Recipe

IO = Interface(inputs=(1, 8, 8), classes=10)
EXAMPLES = Examples(Digits(), Recipe(steps=1, batch=30), Seeds(), torch.device("cpu"))
CRITERIA = [entry.name for entry in catalogue.entries("criterion") if all(default for _, default in entry.fields)]


def network(arch: Mlp | ResNet, *, density: float, seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)
    mask = Mask({n: torch.from_numpy(rng.random(s) < density) for n, s in dense_mask(arch, IO).shapes.items()})
    first = initial_weights(arch, IO, "before", seed)
    return Network(initial_weights(arch, IO, "test", seed), mask, arch, IO, first=first, examples=EXAMPLES)


@pytest.fixture(params=[Mlp(hidden=(12, 8)), ResNet(depth=8, width=4)], ids=str)
def net(request: pytest.FixtureRequest) -> Network:
    return network(request.param, density=0.6)


def copied(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in weights.items()}


@pytest.mark.parametrize("name", CRITERIA)
def test_a_criterion_keeps_to_the_contract(net: Network, name: str):
    criterion = parse("criterion", name)
    assert parse("criterion", str(criterion)) == criterion
    before = copied(net.state)
    scores, again = criterion(net), parse("criterion", name)(net)
    assert isinstance(net, Prunable)
    assert list(scores) == list(net.weights)
    for tensor, weight in net.weights.items():
        assert scores[tensor].shape == weight.shape and scores[tensor].dtype.is_floating_point
        assert torch.isfinite(scores[tensor]).all()
        assert torch.equal(scores[tensor], again[tensor])
    assert all(torch.equal(before[n], net.state[n]) for n in before), "the network was changed"


@pytest.mark.parametrize("name", CRITERIA)
def test_dead_weights_stay_dead(net: Network, name: str):
    criterion = parse("criterion", name)
    first = prune(net.mask, criterion(net), keep=0.5)
    second = prune(first, criterion(net.masked(first)), keep=0.5)
    assert second <= first <= net.mask
    assert second.kept == first.kept // 2


def test_magnitude_by_hand():
    net = Network({"w": torch.tensor([[1.0, -3.0], [0.5, -0.0]]), "b": torch.ones(2)}, Mask.dense({"w": (2, 2)}))
    assert {n: s.tolist() for n, s in Magnitude()(net).items()} == {"w": [[1.0, 3.0], [0.5, 0.0]]}


def test_a_criterion_sees_no_dead_weight():
    alive = torch.tensor([True, False])
    net = Network({"w": torch.tensor([1.0, 9.0])}, Mask({"w": alive}))
    assert Magnitude()(net)["w"].tolist() == [1.0, 0.0]


def test_random_scores_depend_on_the_seed_and_the_tensor_alone():
    a, b = network(Mlp(hidden=(12, 12)), density=0.5), network(Mlp(hidden=(12, 12)), density=0.9, seed=1)
    assert all(torch.equal(Random()(a)[n], Random()(b)[n]) for n in a.weights)
    assert not torch.equal(Random()(a)["head.weight"], Random(seed=1)(a)["head.weight"])
    same = Mask.dense({"x": (4, 4), "y": (4, 4)})
    scores = Random()(Network({"x": torch.ones(4, 4), "y": torch.ones(4, 4)}, same))
    assert not torch.equal(scores["x"], scores["y"])


def test_random_scores_are_uniform():
    scores = Random()(Network({"w": torch.ones(100, 200)}, Mask.dense({"w": (100, 200)})))["w"]
    assert 0 <= scores.min() and scores.max() < 1
    assert np.histogram(scores.numpy(), bins=10, range=(0, 1))[0] == pytest.approx(np.full(10, 2000), abs=250)

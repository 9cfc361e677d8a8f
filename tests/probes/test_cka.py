"""Linear CKA against its definition over all quadruples, and what it must not change under."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.core.errors import Refused
from tombola.core.seeds import Seeds
from tombola.find import draw
from tombola.moves.permuting import permuted, sizes
from tombola.probes.cka import cka, hsic, parts_of
from tombola.tasks.digits import Digits
from tombola.train.loop import train
from tombola.train.recipe import Recipe
from tombola.train.trained import Trained

RNG = np.random.default_rng(1)
RECIPE = Recipe(steps=20, batch=60)


def quadruples(k: np.ndarray, l: np.ndarray) -> float:  # noqa: E741
    """The U-statistic, by its definition: the mean over ordered quadruples of different examples."""
    found = [k[i, j] * (l[i, j] + l[q, r] - 2 * l[i, q]) for i, j, q, r in itertools.permutations(range(len(k)), 4)]
    return float(np.mean(found))


def test_the_estimator_is_the_mean_over_quadruples():
    x, y = RNG.normal(size=(6, 3)), RNG.normal(size=(6, 2))
    k, other = x @ x.T, y @ y.T
    assert hsic(*map(torch.from_numpy, (k, other))) == pytest.approx(quadruples(k, other))
    assert hsic(*map(torch.from_numpy, (k, k))) == pytest.approx(quadruples(k, k))


def test_what_has_nothing_in_common_is_0_however_wide():
    """The biased estimate of such wide layers would be near 1."""
    found = []
    for _ in range(20):
        x, y = (torch.from_numpy(RNG.normal(size=(30, 500))) for _ in "xy")
        k, other = x @ x.T, y @ y.T
        found.append(hsic(k, other) / np.sqrt(hsic(k, k) * hsic(other, other)))
    assert np.mean(found) == pytest.approx(0, abs=0.1)


@pytest.fixture(scope="module")
def pair() -> list[Trained]:
    return [train(draw(Mlp(hidden=(12, 9)), Digits(), RECIPE, Seeds(s)), Digits(), RECIPE, Seeds(s)) for s in (0, 1)]


def test_by_hand_from_the_features(pair: list[Trained]):
    """In batches of 120 of the 360, HSIC averaged before the division; a's first part with b's second one too."""
    inputs = torch.cat([x for x, _ in Digits().evaluation("test")]).double().flatten(1)
    features = []
    for one in pair:
        w = {name: value.double() for name, value in one.weights.items()}
        first = inputs @ w["stages.0.0.weight"].T + w["stages.0.0.bias"]
        features.append([first, first.relu() @ w["stages.1.0.weight"].T + w["stages.1.0.bias"]])

    def mean(x: torch.Tensor, y: torch.Tensor) -> float:
        pieces = zip(x.split(120), y.split(120), strict=True)
        return float(np.mean([hsic(one @ one.T, other @ other.T) for one, other in pieces]))

    pairs = cka(*pair, examples=0, at_once=120).tables["pairs"]
    found = {(row["a"], row["b"]): row["cka"] for row in pairs}
    parts = [name for name in parts_of(pair[0].ticket.arch) if name.startswith("stages")]
    for i, j in itertools.product(range(2), repeat=2):
        x, y = features[0][i], features[1][j]
        known = mean(x, y) / np.sqrt(mean(x, x) * mean(y, y))
        assert found[parts[i], parts[j]] == pytest.approx(known, rel=1e-4)


def test_units_in_another_order_are_the_same_representation(pair: list[Trained]):
    one = pair[0]
    axes = one.ticket.arch.layout().axes
    orders = {group: RNG.permutation(size) for group, size in sizes(one.weights, axes).items()}
    other = dataclasses.replace(one, weights=permuted(one.weights, axes, orders))
    found = cka(one, other, examples=200, at_once=50)
    assert found.numbers()["cka_mean"] == pytest.approx(1, abs=1e-6) and found.numbers()["cka_last"] > 0.99
    away = cka(*pair, examples=200, at_once=50).numbers()
    assert 0.1 < away["cka_mean"] < 0.99


def test_the_other_way_round(pair: list[Trained]):
    there, back = (cka(*two, examples=100).tables["pairs"] for two in (pair, pair[::-1]))
    turned = {(row["b"], row["a"]): row["cka"] for row in back}
    assert {(row["a"], row["b"]): row["cka"] for row in there} == pytest.approx(turned)


def test_residual_networks_and_their_picture():
    recipe = Recipe(steps=2, batch=60)
    ends = [train(draw(ResNet(depth=8, width=2), Digits(), recipe, Seeds(s)), Digits(), recipe) for s in (0, 1)]
    found = cka(*ends, examples=40, at_once=20)
    size = len(parts_of(ends[0].ticket.arch))
    assert found.numbers()["parts"] == size == 4 and np.shape(found.pictures[0]["values"]) == (size, size)


def test_what_is_refused(pair: list[Trained]):
    with pytest.raises(Refused, match="batches of 3 examples. Give 4 or more"):
        cka(*pair, at_once=3)
    with pytest.raises(Refused, match="has arch"):
        cka(pair[0], train(draw(Mlp(hidden=(3,)), Digits(), RECIPE), Digits(), RECIPE))

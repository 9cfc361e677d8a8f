"""Magnitude: by hand, and that its scores are made a piece at a time without any other result."""

import numpy as np
import pytest
import torch

from tombola.archs.mlp import Mlp
from tombola.core.lazily import Lazily
from tombola.core.mask import Mask
from tombola.core.seeds import Seeds
from tombola.core.select import CHUNK, keep_best, threshold
from tombola.criteria.magnitude import Magnitude
from tombola.find import cut, draw
from tombola.prune import Everywhere, in_rounds, prune
from tombola.tasks.digits import Digits
from tombola.train.loop import train
from tombola.train.network import Network
from tombola.train.recipes import Quickstart


def network(*, alive: float, dtype: torch.dtype = torch.float32) -> Network:
    """Two tensors, one longer than a chunk, with ties, and what must not be seen under dead weights."""
    rng = np.random.default_rng(0)
    state = {
        "a": torch.from_numpy(rng.standard_normal((3, 5)).round(1)).to(dtype),
        "b": torch.from_numpy(rng.standard_normal((2, CHUNK // 2 + 7)).round(2)).to(dtype),
    }
    mask = Mask({n: torch.from_numpy(rng.random(tuple(v.shape)) < alive) for n, v in state.items()})
    if alive < 1:
        state = {n: torch.where(mask[n], v, float("nan")) for n, v in state.items()}
    return Network(state, mask)


@pytest.mark.parametrize("alive", [1.0, 0.7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_it_is_the_absolute_value_and_zero_where_dead(alive: float, dtype: torch.dtype):
    net = network(alive=alive, dtype=dtype)
    scores = Magnitude()(net)
    assert list(scores) == ["a", "b"]
    for name, value in net.state.items():
        expected = np.where(net.mask[name].numpy(), np.abs(value.double().numpy()), 0.0)
        assert scores[name].dtype == dtype and np.array_equal(scores[name].double().numpy(), expected)


@pytest.mark.parametrize("alive", [1.0, 0.7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_cut_is_that_of_a_stable_sort(alive: float, dtype: torch.dtype):
    """Against sorting all living weights by size and position, which no part of the cut does."""
    net = network(alive=alive, dtype=dtype)
    living = np.concatenate([net.mask[n].numpy().ravel() for n in net.state])
    sizes = np.concatenate([v.double().abs().numpy().ravel() for v in net.state.values()])
    order = np.lexsort((np.arange(len(sizes)), -np.where(living, sizes, -1.0)))
    expected = np.zeros(len(sizes), dtype=bool)
    expected[order[: len(sizes) // 3]] = True
    kept = prune(net.mask, Magnitude()(net), density=1 / 3)
    assert np.array_equal(np.concatenate([kept[n].numpy().ravel() for n in net.state]), expected)


def test_made_piece_by_piece_or_at_once_is_the_same():
    net = network(alive=0.7)
    scores = Magnitude()(net)
    whole = Lazily(scores, lambda name: scores[name])
    for count in (1, 1000, 100_000):
        assert threshold(net.mask, scores, ["a", "b"], count) == threshold(net.mask, whole, ["a", "b"], count)
        one, other = (keep_best(net.mask, given, ["b", "a"], count) for given in (scores, whole))
        assert all(torch.equal(one[name], other[name]) for name in ("a", "b"))


def test_a_new_mask_shares_nothing_that_the_caller_may_change():
    net = network(alive=1.0)
    scores = {name: value.clone() for name, value in Magnitude()(net).items()}
    kept = prune(net.mask, scores, keep=0.5)
    before = kept.digest()
    for value in scores.values():
        value.zero_()
    assert kept.digest() == before and in_rounds(net, Magnitude(), scope=Everywhere(), keep=0.5) == kept


def test_cut_after_a_training():
    task, recipe = Digits(), Quickstart(steps="2ep")
    trained = train(draw(Mlp(hidden=(8,)), task, recipe), task, recipe, Seeds())
    ticket = cut(trained, criterion=Magnitude(), density=0.25)
    assert ticket.mask.kept == 148
    sizes = torch.cat([trained.weights[name].abs().flatten() for name in ticket.mask])
    flags = torch.cat([ticket.mask[name].flatten() for name in ticket.mask])
    assert sizes[flags].min() >= sizes[~flags].max()

"""Constant fan-in: counts of rows, by hand and against a loop over rows."""

import torch

from tombola.core.mask import Mask
from tombola.criteria.magnitude import Magnitude
from tombola.prune import prune
from tombola.prune.per_row import PerRow
from tombola.train.network import Network


def test_by_hand():
    scores = {"w": torch.tensor([[4.0, 3.0, 2.0, 1.0], [0.1, 0.2, 0.4, 0.3]])}
    kept = prune(Mask.dense({"w": (2, 4)}), scores, density=0.5, scope=PerRow())["w"]
    assert kept.tolist() == [[True, True, False, False], [False, False, True, True]]
    odd = prune(Mask.dense({"w": (2, 4)}), scores, density=0.375, scope=PerRow())["w"]
    assert odd.tolist() == [[True, True, False, False], [False, False, True, False]]


def test_ties_fall_to_the_lower_index_and_short_rows_keep_what_lives():
    alive = Mask({"w": torch.tensor([[True, False, False, False], [True, True, True, True]])})
    kept = prune(alive, {"w": torch.ones(2, 4)}, density=0.5, scope=PerRow())["w"]
    assert kept.tolist() == [[True, False, False, False], [True, True, True, False]]


def test_filters_against_a_loop():
    torch.manual_seed(0)
    net = Network({"conv": torch.randn(6, 4, 3, 3, dtype=torch.float64)}, Mask.dense({"conv": (6, 4, 3, 3)}))
    kept = prune(net.mask, Magnitude()(net), density=0.25, scope=PerRow())["conv"]
    for row, alive in zip(net.state["conv"], kept, strict=True):
        best = row.abs().flatten().argsort(descending=True)[:9]
        assert sorted(alive.flatten().nonzero().flatten().tolist()) == sorted(best.tolist())

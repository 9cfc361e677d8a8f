"""Layers in trouble: what is warned of, and what is told."""

import logging

import pytest
import torch

from tombola.core.mask import Mask
from tombola.prune import PerLayer, prune, warn_of_collapse, weak_layers


def test_a_layer_that_collapses_is_warned_of_once(caplog: pytest.LogCaptureFixture):
    shapes = {"big": (10,), "small": (10,)}
    scores = {"big": torch.arange(10.0) + 100, "small": torch.arange(10.0)}
    with caplog.at_level(logging.WARNING):
        mask = prune(Mask.dense(shapes), scores, density=0.5)
        assert [record.getMessage() for record in caplog.records] == [
            "layer collapse: 'small' has no weight left at density 0.5; prune less, or use scope per_layer() or erk()."
        ]
        caplog.clear()
        assert prune(mask, scores, keep=0.8).kept_in("big") == 8
        assert not caplog.records
        prune(Mask.dense(shapes), scores, density=0.5, scope=PerLayer())
        assert not caplog.records
        assert warn_of_collapse(prune(mask, scores, density=1e-6), before=mask) == ["big"]


def test_what_is_weak_is_told():
    mask = Mask(
        {
            "fine": torch.ones(2, 2, dtype=torch.bool),
            "conv": torch.tensor([True, False, True, False, False, False, False, False]).reshape(4, 2, 1, 1),
            "gone": torch.zeros(3, 3, dtype=torch.bool),
            "bias": torch.tensor([True, False]),
        }
    )
    assert weak_layers(mask, most=0.5) == [said for said in weak_layers(mask) if "no weight" in said]
    assert weak_layers(mask) == [
        "'conv': 2 of 4 units have no living input",
        "'gone' has no weight left (layer collapse)",
    ]

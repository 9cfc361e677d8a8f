"""Sizes, thresholds and hills of living weights, by hand and against the cut itself."""

import numpy as np
import pytest
import scipy.stats
import torch

from tests.probes.given import Given, trained
from tests.probes.test_distance import of
from tombola.archs.mlp import Mlp
from tombola.core.errors import Refused
from tombola.find import cut, draw
from tombola.probes.weights import weights
from tombola.tasks.digits import Digits
from tombola.train.loop import train
from tombola.train.recipe import Recipe

RNG = np.random.default_rng(5)


def wide(values: np.ndarray, **given: float) -> dict[str, float]:
    """Those of a network with these weights."""
    arch, task = (
        Mlp(hidden=(2,)),
        Given(rows=((0.0,) * (len(values) // 2 - 2),), labels=(0,), width=len(values) // 2 - 2),
    )
    state = dict(arch.build(task.io).state_dict())
    names = [name for name in state if name.endswith("weight")]
    parts = torch.from_numpy(values).float().split([state[name].numel() for name in names])
    state |= {name: part.reshape(state[name].shape) for name, part in zip(names, parts, strict=True)}
    return weights(trained(arch, task, state), **given).numbers()


def test_by_hand():
    found = weights(of([3, -4, 9, 1, 0, 0, -0.5, 2], [1, 1, 0, 1, 0, 0, 1, 1]), keep=0.6).numbers()
    living = [3, -4, 1, -0.5, 2]
    assert found["kept"] == 5 and found["threshold"] == 2  # Three of five stay: 4, 3 and 2.
    assert found["absolute"] == pytest.approx(2.1) and found["largest"] == 4
    assert found["deviation"] == pytest.approx(np.std(living))
    skew, kurtosis = scipy.stats.skew(living), scipy.stats.kurtosis(living, fisher=False)
    assert found["bimodality"] == pytest.approx((skew**2 + 1) / kurtosis)


def test_the_threshold_is_where_the_cut_falls():
    recipe = Recipe(steps=20, batch=60)
    end = train(draw(Mlp(hidden=(9,)), Digits(), recipe), Digits(), recipe)
    for _ in range(2):
        ticket = cut(end, keep=0.8)
        found = weights(end).numbers()["threshold"]
        kept = torch.cat([end.weights[name][ticket.mask[name]].abs() for name in ticket.mask])
        gone = torch.cat([end.weights[name][end.mask[name] & ~ticket.mask[name]].abs() for name in ticket.mask])
        assert float(kept.min()) == pytest.approx(found) and float(gone.max()) <= found
        end = train(ticket, Digits(), recipe)


def test_one_hill_and_two():
    one, two = RNG.normal(size=40_000), RNG.normal(size=40_000) * 0.2 + np.repeat([-1, 1], 20_000)
    hill, hills = wide(one), wide(two)
    assert hill["valley"] > 0.9 and hills["valley"] < 0.01
    assert hill["bimodality"] == pytest.approx(1 / 3, abs=0.01) and hills["bimodality"] > 0.8
    assert wide(RNG.uniform(-1, 1, size=40_000))["bimodality"] == pytest.approx(5 / 9, abs=0.01)


@pytest.mark.parametrize("reach", [0.0, 0.5, 20.0])
def test_how_far_the_table_goes_does_not_move_the_valley(reach: float):
    one, two = RNG.normal(size=40_000) * 0.6, RNG.normal(size=40_000) * 0.1 + np.repeat([-1, 1], 20_000)
    assert wide(one, reach=reach)["valley"] > 0.85 and wide(two, reach=reach)["valley"] < 0.01


def test_the_histogram_counts_every_weight():
    end = of([3, -4, 9, 1, 0, 0, -0.5, 2], [1, 1, 0, 1, 0, 0, 1, 1])
    table = weights(end).tables["histogram"]
    assert sum(row["share"] for row in table) == pytest.approx(1)
    filled = [row["weight"] for row in table if row["share"]]
    assert filled == pytest.approx([-4, -0.5, 1, 2, 3], abs=4 / 60)


def test_a_reach_of_ones_own():
    end = of([3, -4, 9, 1, 0, 0, -0.5, 2], [1, 1, 0, 1, 0, 0, 1, 1])
    table = weights(end, reach=3.0).tables["histogram"]
    assert [row["weight"] for row in table] == pytest.approx(np.arange(-2.95, 3, 0.1))
    assert table[0]["share"] == pytest.approx(1 / 5) and table[-1]["share"] == pytest.approx(1 / 5)  # -4 and 3.


def test_equal_weights_have_no_hills():
    found = weights(of([2] * 8, [1] * 8)).numbers()
    assert (found["deviation"], found["bimodality"], found["threshold"]) == (0, 0, 2)


def test_what_is_refused():
    with pytest.raises(Refused, match="keep is 0"):
        weights(of([1] * 8, [1] * 8), keep=0)
    with pytest.raises(Refused, match="reach is -1"):
        weights(of([1] * 8, [1] * 8), reach=-1)
    with pytest.raises(Refused, match="of 8 living weights keep=0.001 leaves none"):
        weights(of([1] * 8, [1] * 8), keep=0.001)
    with pytest.raises(Refused, match="1 weights live"):
        weights(of([1] * 8, [1] + [0] * 7))

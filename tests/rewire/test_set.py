"""SET by hand: which weights go, how many come, and where."""

from typing import Any

import pytest
import torch

from tombola.core.rewire import Live
from tombola.rewire._parts import Regrown
from tombola.rewire.set_ import Set

VALUES = [0.5, -0.1, 0.2, -0.9, 0.05, -0.3, 0.8, 0.4, -0.6, 0.7] + [0.0] * 10
ALIVE = [True] * 10 + [False] * 10


def a_live(values: list[float] = VALUES, alive: list[bool] = ALIVE, *, step: int = 4, seed: int = 0) -> Live:
    weights = torch.tensor(values, dtype=torch.float64).view(2, -1)
    masks = {"w": torch.tensor(alive).view(2, -1)}
    return Live(step, 100, seed, {"w": weights}, masks, {}, {"w": weights.clone()}, {})


def places(mask: torch.Tensor) -> set[int]:
    return set(mask.reshape(-1).nonzero().view(-1).tolist())


def test_the_smallest_go_and_as_many_come_at_random():
    """A third of ten, rounded down, is three: 0.05, -0.1 and 0.2, at 4, 1 and 2."""
    stay = set(range(10)) - {1, 2, 4}
    found = {frozenset(places(Set(every=5).rewired(a_live(seed=seed))["w"])) for seed in range(50)}
    assert all(stay <= alive and len(alive) == 10 for alive in found)
    assert len(found) > 40
    come = set().union(*found) - stay
    assert come == {1, 2, 4, *range(10, 20)}  # Those just dropped may come back.


def test_dropped_weights_do_not_come_back_at_once_where_that_is_forbidden():
    found = [places(Set(every=5, regrow="forbidden").rewired(a_live(seed=seed))["w"]) for seed in range(50)]
    assert all(set(range(10)) - {1, 2, 4} <= alive and len(alive) == 10 for alive in found)
    assert set().union(*found) == set(range(20)) - {1, 2, 4}


def test_by_sign_a_share_of_either_side_goes():
    """Of six positive weights three: 0.05, 0.2, 0.4. Of four negative ones two, the largest: -0.1, -0.3."""
    method = Set(every=5, drop=0.5, by="sign", regrow="forbidden")
    stay = set(range(10)) - {4, 2, 7, 1, 5}
    for seed in range(10):
        alive = places(method.rewired(a_live(seed=seed))["w"])
        assert alive & set(range(10)) == stay and len(alive) == 10
    # Magnitude would take the three smallest of all, and no negative one.
    uneven = [0.1, 0.2, 0.3, 0.4, -5.0, -6.0, 0, 0, 0, 0, 0, 0]
    live = a_live(uneven, [True] * 6 + [False] * 6)
    assert places(method.rewired(live)["w"]) & set(range(6)) == {2, 3, 5}
    live = a_live(uneven, [True] * 6 + [False] * 6)
    assert places(Set(every=5, drop=0.5, regrow="forbidden").rewired(live)["w"]) & set(range(6)) == {3, 4, 5}


def test_a_weight_that_goes_and_comes_at_once_is_new_unless_it_is_kept():
    cases: tuple[tuple[Regrown, float], ...] = (("zero", 0.0), ("kept", 0.05))
    for regrown, value in cases:
        live = a_live([0.05, 1.0, 0.0, 0.0], [True, True, False, False])
        for seed in range(20):
            live.seed = seed
            alive = Set(every=5, drop=0.5, regrown=regrown).rewired(live)["w"]
            if alive[0, 0]:
                break
        else:
            pytest.fail("the dropped weight never came back")
        assert live.variables["w"][0, 0] == value


def test_a_dense_tensor_stays_as_it_is_and_an_almost_dense_one_keeps_its_count():
    dense = a_live(alive=[True] * 20)
    assert Set(every=5).rewired(dense)["w"].all()
    assert (dense.variables["w"].reshape(-1) == torch.tensor(VALUES, dtype=torch.float64)).all()
    for by in ("magnitude", "sign"):
        for regrow in ("allowed", "forbidden"):
            almost = a_live([0.1 * n for n in range(-9, 11)], [True] * 19 + [False])
            assert int(Set(every=5, drop=1.0, by=by, regrow=regrow).rewired(almost)["w"].sum()) == 19


def test_the_stream_is_of_seed_step_and_tensor():
    def alive(**when: Any) -> set[int]:
        return places(Set(every=5).rewired(a_live(**when))["w"])

    assert alive() == alive()
    assert len({frozenset(alive(step=step, seed=seed)) for step in (4, 9) for seed in (0, 1)}) == 4

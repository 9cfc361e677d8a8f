"""MEST by hand: worth from value and gradient, fractions that fall, and memory that is lent."""

from typing import Any

import pytest
import torch

from tombola.core.errors import Refused
from tombola.core.rewire import Live
from tombola.rewire.mest import Mest


def a_live(alive: list[bool], values: list[float], slopes: list[float], *, step: int = 9) -> Live:
    weights, gradients = (torch.tensor(v, dtype=torch.float64) for v in (values, slopes))
    return Live(step, 100, 0, {"w": weights}, {"w": torch.tensor(alive)}, {"w": gradients}, {"w": weights.clone()}, {})


def moved(method: Mest, live: Live) -> dict[str, torch.Tensor]:
    method.begin(live)
    return dict(method.rewired(live))


@pytest.mark.parametrize(("lam", "goes"), [(0.0, {0, 3}), (1.0, {3, 1}), (0.1, {0, 3})])
def test_worth_is_value_plus_gradient_by_hand(lam: float, goes: set[int]):
    """|w| is 0.1, 0.4, 0.9, 0.2; |g| is 5, 0.2, 0, 0.1. With lam 1 the worths are 5.1, 0.6, 0.9, 0.3."""
    live = a_live([True] * 4 + [False] * 4, [0.1, -0.4, 0.9, 0.2, 0, 0, 0, 0], [-5, 0.2, 0, 0.1, 9, 9, 9, 9])
    method = Mest(every=10, drop=0.5, lam=lam, regrow="forbidden")
    if lam == 0.1:
        goes = {3, 1}  # 0.6, 0.42, 0.9, 0.21.
    found = moved(method, live)["w"]
    assert {i for i in range(4) if not found[i]} == goes and int(found.sum()) == 4


@pytest.mark.parametrize(
    ("decay", "counts"), [("none", [40, 40, 40, 0]), ("linear", [34, 20, 10, 0]), ("cosine", [38, 20, 5, 0])]
)
def test_fractions_fall_to_the_end_by_hand(decay: Any, counts: list[int]):
    """After 12, 40, 60 and 80 of 80 steps, 0.4 of 100: linear 0.85, 0.5, 0.25; cosine 0.945503, 0.5, 0.146447."""
    method = Mest(every=4, drop=0.4, decay=decay, end=0.8)
    found = []
    for done in (12, 40, 60, 80):
        live = a_live([True] * 100 + [False] * 100, [1.0] * 200, [0.0] * 200, step=done - 1)
        found.append(int(method._fraction(live) * 100 + 1e-9))
    expected = {"cosine": [37, 20, 5, 0]}.get(decay, counts)
    assert found == expected


def test_lent_memory_is_given_back_to_the_exact_weight():
    """Ten of thirty; drop 0.4 and linear to step 40: after 10, 20, 30 steps 0.3, 0.2 and 0.1 of ten are lent."""
    method = Mest(every=10, drop=0.4, decay="linear", memory="soft", end=0.4, regrow="forbidden")
    torch.manual_seed(0)
    live = a_live([True] * 10 + [False] * 20, [0.0] * 30, [0.0] * 30)
    live.masks = dict(method.begin(live))
    counts = []
    for step in range(100):
        live.step, live.variables["w"] = step, torch.rand(30, dtype=torch.float64) + 0.1
        if method.due(step, 100):
            before, values = live.masks["w"], live.variables["w"].clone()
            live.masks = dict(method.rewired(live))
            gone = before & ~live.masks["w"]
            assert int(gone.sum()) == int(before.sum()) - 10  # What was lent, and the least of all.
            if gone.any():
                assert values[gone].max() < values[before & live.masks["w"]].min()
            counts.append((step + 1, int(live.masks["w"].sum())))
    assert counts == [(10, 13), (20, 12), (30, 11), (40, 10)]


def test_no_more_is_lent_than_there_is():
    for regrow in ("allowed", "forbidden"):
        method = Mest(every=10, drop=1.0, memory="soft", end=1.0, regrow=regrow)
        live = a_live([True] * 3 + [False], [1.0, 2.0, 3.0, 0.0], [0.0] * 4)
        live.masks = dict(method.begin(live))
        for step in (9, 19, 99):
            live.step = step
            live.masks = dict(method.rewired(live))
            assert int(live.masks["w"].sum()) == (3 if step == 99 or (regrow, step) == ("forbidden", 19) else 4)


def test_a_dense_tensor_stays():
    live = a_live([True] * 4, [0.1, 0.2, 0.3, 0.4], [0.0] * 4)
    for memory in ("hard", "soft"):
        assert moved(Mest(every=10, memory=memory), live)["w"].all()
    assert live.variables["w"].tolist() == [0.1, 0.2, 0.3, 0.4] and not live.renewed


def test_a_negative_weight_of_the_gradient_is_refused():
    with pytest.raises(Refused, match="mest: field 'lam' is -1.0. It weighs"):
        Mest(lam=-1.0)

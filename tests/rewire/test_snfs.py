import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from tests.rewire.stepped import TASK, a_live, a_recipe, a_start, agrees, begun, changed, flags, largest, plainly, sizes
from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.rewire.snfs import Snfs
from tombola.train.loop import train


def in_steps(steps: int = 100, **fields: Any) -> Snfs:
    given: dict[str, Any] = {"every": 10, "decay": "none", **fields}
    return Snfs(**given).in_steps(epoch=10, steps=steps)


def test_gradients_are_smoothed_as_a_velocity_is():
    """m = 0.9 m + 0.1 g is a tenth of the velocity v = 0.9 v + g of SGD, of dead weights too."""
    method = in_steps()
    live = a_live({"w": [1, 2]}, {"w": [1, 0]}, steps=100)
    begun(method, live)
    for gradient in ([1.0, 3.0], [2.0, -5.0]):
        live.gradients = {"w": torch.tensor(gradient, dtype=torch.float64)}
        method.watch(live)
    assert torch.allclose(live.state["smooth/w"], torch.tensor([0.29, -0.23], dtype=torch.float64), rtol=1e-12)
    assert method.trained("w", live) == 2


def test_a_dozen_weights_by_hand():
    """4 of 8 living weights are dropped, and shared 3 : 1 as their mean |m|; growth goes where |m| is largest."""
    method = in_steps(smoothing=0.0, regrown="kept")
    live = a_live({"a": [8, 7, 6, 5, 0, 0], "b": [4, 3, 2, 1, 0, 0]}, {n: [1, 1, 1, 1, 0, 0] for n in "ab"}, steps=100)
    begun(method, live)
    masks = changed(method, live, 10, {"a": [6, 0, 6, 0, -9, 1], "b": [-1, 0, 0, 3, 2, 2]})  # Means 3 and 1.
    assert flags(masks, "a") == [1, 1, 1, 0, 1, 1]
    assert flags(masks, "b") == [1, 1, 0, 1, 0, 0]
    assert live.variables["a"].tolist() == [8, 7, 6, 0, 0, 0]
    assert live.variables["b"].tolist() == [4, 3, 0, 1, 0, 0]


def test_what_is_dropped_and_grown_at_once_begins_anew():
    method = in_steps(smoothing=0.0)
    live = a_live({"w": [4, 3, 0]}, {"w": [1, 1, 0]}, steps=100)
    begun(method, live)
    assert flags(changed(method, live, 10, {"w": [1, 9, 2]})) == [1, 1, 0]
    assert live.variables["w"].tolist() == [4, 0, 0]


def test_full_tensors_pass_the_rest_on():
    """`a` wishes for nearly all of what 2 and 4 dropped, and has room for 3; ties in `b` fall to the lower index."""
    method = in_steps(smoothing=0.0)
    live = a_live({"a": [4, 3, 2, 1, 0], "b": [8, 7, 6, 5, 4, 3, 2, 1, 0, 0]},
                  {"a": [1, 1, 1, 1, 0], "b": [1] * 8 + [0, 0]}, steps=100)  # fmt: skip
    begun(method, live)
    masks = changed(method, live, 10, {"a": [100] * 5, "b": [0.001] * 10})
    assert flags(masks, "a") == [1] * 5
    assert flags(masks, "b") == [1] * 7 + [0] * 3


def test_no_tensor_is_ever_empty():
    """One weight is never dropped, and of two at most one, whatever the fraction; only `c` is wished for."""
    method = in_steps(smoothing=0.0, drop=1.0)
    weights = {"a": [4, 0], "b": [2, 1, 0], "c": [3, 2, 1, 0, 0, 0, 0]}
    live = a_live(weights, {"a": [1, 0], "b": [1, 1, 0], "c": [1, 1, 1, 0, 0, 0, 0]}, steps=100)
    begun(method, live)
    masks = changed(method, live, 10, {"a": [0, 0], "b": [0, 0, 0], "c": [1, 0, 0, 0, 0, 0, 0]})
    assert [int(mask.sum()) for mask in masks.values()] == [1, 1, 4]
    for time in (20, 30):
        masks = changed(method, live, time)  # Without any gradient the total stays too.
        assert sum(int(mask.sum()) for mask in masks.values()) == 6 and all(mask.any() for mask in masks.values())
    masks = changed(method, live, 40, {"a": [math.nan, 0], "b": [math.inf, 0, 0], "c": [1, 0, 0, 0, 0, 0, 0]})
    assert sum(int(mask.sum()) for mask in masks.values()) == 6


def test_shares_by_magnitude_and_to_each_its_own():
    """2 of 4 and 2 of 4 are dropped; the mean weights are 7 and 1, so that of four 3.5 and 0.5: 4 and 0 by order."""
    for shares, expected in (("magnitude", [6, 2]), ("own", [4, 4])):
        method = in_steps(smoothing=0.0, shares=shares)
        weights = {"a": [7.0, 7.0, 7.0, 7.0, 0, 0, 0, 0], "b": [1.0, 1.0, 1.0, 1.0, 0, 0, 0, 0]}
        live = a_live(weights, {n: [1, 1, 1, 1, 0, 0, 0, 0] for n in "ab"}, steps=100)
        begun(method, live)
        masks = changed(method, live, 10, {"a": [0] * 8, "b": [5] * 8})
        assert [int(mask.sum()) for mask in masks.values()] == expected


def test_momentum_as_adam_has_it():
    """A large gradient that changes its sign counts less than a small one that does not."""
    for scale, expected in (("plain", [1, 0, 1, 0]), ("adam", [1, 0, 0, 1])):
        method = in_steps(smoothing=0.5, squares=0.5, scale=scale)
        live = a_live({"w": [9, 1, 0, 0]}, {"w": [1, 1, 0, 0]}, steps=100)
        begun(method, live)
        live.gradients = {"w": torch.tensor([0.0, 0.0, -4.0, 0.2], dtype=torch.float64)}
        method.watch(live)  # Then m is -1 + 4 = 3 and 0.15, m over the root of squares 3 / sqrt(22) and 1.
        assert flags(changed(method, live, 10, {"w": [0, 0, 8, 0.2]})) == expected


def test_momentum_of_the_dead_may_become_the_mean_of_the_living():
    for reset, expected in (("no", [1.0, 3.0, 2.0, 5.0]), ("mean", [1.0, 3.0, 3.0, 5.0])):
        method = in_steps(smoothing=0.0, reset=reset)
        live = a_live({"w": [9, 8, 1, 0]}, {"w": [1, 1, 1, 0]}, steps=100)
        begun(method, live)
        assert flags(changed(method, live, 10, {"w": [1, 3, 2, 5]})) == [1, 1, 0, 1]
        assert live.state["smooth/w"].tolist() == expected


def test_when_it_changes_and_how_much():
    def times(method: Snfs) -> list[int]:
        return [step + 1 for step in range(100) if method.due(step, 100)]

    assert times(in_steps(every="2ep")) == [20, 40, 60, 80]
    assert times(in_steps(every="2ep", end=0.75)) == [20, 40, 60]
    for decay, dropped in (("cosine", 26), ("linear", 28), ("none", 50)):
        method = in_steps(decay=decay, floor=0.1, end=0.6, shares="own")
        live = a_live({"w": [1] * 200}, {"w": [1, 0] * 100}, steps=100)
        begun(method, live)
        old, live.step = live.masks["w"], 33
        live.state["smooth/w"] = (~old).double()
        found = method.rewired(live)["w"]  # 0.4 (1 + cos(pi 34 / 60)) / 2 is 0.1584, 0.4 * 26 / 60 is 0.1733.
        assert (int((old & ~found).sum()), int(found.sum())) == (dropped, 100)


def test_what_is_refused():
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"drop": 1.5}, "field 'drop' is 1.5"),
        ({"smoothing": 1.0}, "field 'smoothing' is 1.0"),
        ({"squares": -0.1}, "field 'squares' is -0.1"),
        ({"floor": 1.5}, "field 'floor' is 1.5"),
    ]
    for fields, message in wrong:
        with pytest.raises(Refused, match=message):
            Snfs(**fields)
    with pytest.raises(Refused, match="every 100 steps the mask is to change"):
        in_steps(every=100)
    with pytest.raises(Refused, match="this ticket is dense"):
        Snfs().check(Mask.dense({"w": (4,)}))
    with pytest.raises(Refused, match="'b' has none"):
        Snfs().check(Mask({"a": torch.tensor([True]), "b": torch.tensor([False])}))


def apportioned(wishes: list[float], caps: list[int], total: int) -> list[int]:
    """By a search: the fixed point of filling what is over its cap, then largest remainders."""
    full = [False] * len(caps)
    while True:
        rest = total - sum(c for c, f in zip(caps, full, strict=True) if f)
        weight = sum(Fraction(w) for w, f in zip(wishes, full, strict=True) if not f)
        exact = [Fraction(c) if f else rest * Fraction(w) / weight
                 for w, c, f in zip(wishes, caps, full, strict=True)]  # fmt: skip
        if not any(e > c for e, c in zip(exact, caps, strict=True)):
            break
        full = [f or e > c for f, e, c in zip(full, exact, caps, strict=True)]
    counts = [math.floor(e) for e in exact]
    for index in sorted(range(len(caps)), key=lambda i: counts[i] - exact[i])[: total - sum(counts)]:
        counts[index] += 1
    return counts


@pytest.mark.parametrize("regrown", ["zero", "kept"])
def test_a_training_agrees_with_a_plain_loop(regrown: Any):
    ticket = a_start(density=0.4)
    trained = train(ticket, TASK, a_recipe(Snfs(every=6, regrown=regrown)))
    velocities: dict[str, np.ndarray] = {}

    def change(time: int, weights: Any, gradients: Any, masks: Any) -> Any:
        for name in masks:
            velocities[name] = 0.9 * velocities.get(name, np.float32(0)) + gradients[name]
        if time % 6 or time >= 40:
            return None
        rate = 0.005 + 0.495 * (1 + math.cos(math.pi * time / 40)) / 2
        stay = {}
        for name, mask in masks.items():
            living = int(mask.sum())
            count = min(math.ceil(rate * living), living - 1)
            stay[name] = mask & ~largest({name: -abs(weights[name])}, count, {name: mask})[name]
        gone = sum(sizes(masks)) - sum(sizes(stay))
        wishes = [float(abs(velocities[name])[mask].mean(dtype=np.float64)) for name, mask in masks.items()]
        counts = apportioned(wishes, [int((~mask).sum()) for mask in stay.values()], gone)
        found, anew = {}, {}
        for (name, mask), count in zip(stay.items(), counts, strict=True):
            grown = largest({name: abs(velocities[name])}, count, {name: ~mask})[name]
            found[name] = mask | grown
            anew[name] = grown if regrown == "zero" else grown & ~masks[name]
        return found, anew

    agrees(trained, plainly(ticket, a_recipe(Snfs()), change))
    assert trained.mask.kept == ticket.mask.kept
    assert [row["step"] for row in trained.history[1:]] == [6, 12, 18, 24, 30, 36]
    assert all(sum(row["kept"]) == ticket.mask.kept for row in trained.history)
    assert any(row["kept"] != trained.history[0]["kept"] for row in trained.history)

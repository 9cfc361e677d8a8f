import math
from typing import Any

import numpy as np
import pytest
import torch

from tests.rewire.stepped import TASK, a_live, a_recipe, a_start, agrees, begun, changed, flags, largest, plainly, sizes
from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.prune.everywhere import Everywhere
from tombola.prune.nm import NM
from tombola.prune.per_layer import PerLayer
from tombola.rewire.granet import GraNet
from tombola.train.loop import train


def in_steps(steps: int = 100, **fields: Any) -> GraNet:
    return GraNet(**fields).in_steps(epoch=10, steps=steps)


def test_a_dozen_weights_by_hand():
    """From 12 to 4 in two cuts: 4 + 8 / 8 is 5; of 4 in `a`, half go and two come, of 1 in `b` the one."""
    method = in_steps(density=1 / 3, decay="none", end=0.4, every=20, regrown="kept")
    live = a_live({"a": [8, 7, 6, 5, 1, 1], "b": [9, 1, 1, 1, 1, 1]}, steps=100)
    begun(method, live)
    masks = changed(method, live, 20, {"a": [0, 0, 0.1, 3, 2, 1], "b": [0, 0.5, 0, 0, 0, 0.5]})
    assert flags(masks, "a") == [1, 1, 0, 1, 1, 0]  # 6 and 5 go; 5 has the largest gradient and comes back.
    assert flags(masks, "b") == [0, 1, 0, 0, 0, 0]  # Of two that are equal the first.
    assert live.variables["a"].tolist() == [8, 7, 0, 5, 0, 0]  # It has kept its value.
    assert live.variables["b"].tolist() == [0] * 6  # This had died in the cut, so it begins anew.
    live.variables["a"][4] = -6.0
    masks = changed(method, live, 40, {"a": [0, 0, 1, 0, 0, 0], "b": [0, 1, 0, 0, 0, 0]})
    assert flags(masks, "b") == [0] * 6  # The smallest of five: a tensor may lose its last weight.
    assert flags(masks, "a") == [1, 1, 1, 1, 0, 0]  # 5 and -6 go; then come 2, and of those without a gradient 3.


def test_what_is_grown_at_once():
    """4 and 3 are dropped, and have the largest gradients of those that may be grown."""
    cases: list[tuple[dict[str, Any], list[int], list[int]]] = [
        ({"regrown": "zero"}, [1, 1, 1, 1, 0], [6, 5, 0, 0, 0]),
        ({"regrown": "kept"}, [1, 1, 1, 1, 0], [6, 5, 4, 3, 0]),
        ({"regrow": "forbidden"}, [1, 1, 1, 0, 1], [6, 5, 4, 0, 0]),
    ]
    for fields, mask, values in cases:
        method = in_steps(density=0.8, decay="none", end=0.2, every=20, **fields)
        live = a_live({"w": [6, 5, 4, 3, 2]}, {"w": [1, 1, 1, 1, 0]}, steps=100)
        begun(method, live)
        assert flags(changed(method, live, 20, {"w": [9, 9, 3, 3, 1]})) == mask
        assert live.variables["w"].tolist() == values


def test_when_it_changes():
    def times(method: GraNet) -> list[int]:
        return [step + 1 for step in range(100) if method.due(step, 100)]

    assert times(in_steps(every=20, start=0.1, end=0.6)) == [30, 50, 70, 90]
    assert times(in_steps(every=20, start=0.1, end=0.6, after_end="still")) == [30, 50]
    assert times(in_steps(every=20, end=1.0)) == [20, 40, 60, 80]
    assert times(in_steps(every=20, start=0.1, end=0.6).in_steps(epoch=7, steps=100)) == [30, 50, 70, 90]


def test_the_fraction_decays_to_the_floor():
    """Of 100 living weights, half way from 0.5 to 0.1 after half of the steps; the cosine at 36 and 144 degrees."""
    for decay, dropped in (("cosine", [47, 30, 14]), ("linear", [42, 30, 18]), ("none", [50, 50, 50])):
        method = in_steps(density=0.5, floor=0.1, decay=decay, end=0.2, every=20, regrow="forbidden")
        live = a_live({"w": [1] * 200}, {"w": [1, 0] * 100}, steps=100)
        begun(method, live)
        found = []
        for time in (20, 50, 80):
            old = live.masks["w"]
            live.step, live.gradients = time - 1, {"w": torch.ones(200)}
            live.masks = dict(method.rewired(live))
            found.append(int((old & ~live.masks["w"]).sum()))
            assert int(live.masks["w"].sum()) == 100
        assert found == dropped


def test_scopes():
    method = in_steps(density=0.5, drop=0.5, decay="none", end=0.2, every=20, scope=PerLayer())
    live = a_live({"a": [4, 3, 2, 1], "b": [9, 8, 7, 6]}, steps=100)
    begun(method, live)
    masks = changed(method, live, 20, {"a": [0, 0, 0, 1], "b": [0, 0, 1, 0]})
    assert [flags(masks, name) for name in "ab"] == [[1, 0, 0, 1], [1, 0, 1, 0]]
    method = in_steps(density=0.75, decay="none", end=0.2, every=20, scope=Everywhere(exclude=("a",)))
    live = a_live({"a": [4, 3, 2, 0], "b": [9, 8, 7, 6]}, {"a": [1, 1, 1, 0], "b": [1, 1, 1, 1]}, steps=100)
    begun(method, live)
    masks = changed(method, live, 20, {"a": [0, 0, 0, 1], "b": [0, 0, 0, 1]})
    assert [flags(masks, name) for name in "ab"] == [[1, 1, 1, 0], [1, 1, 0, 1]]


def test_what_is_refused():
    with pytest.raises(Refused, match="field 'drop' is 0.0"):
        GraNet(drop=0.0)
    with pytest.raises(Refused, match="field 'floor' is 2.0"):
        GraNet(floor=2.0)
    with pytest.raises(Refused, match="the start before the end"):
        GraNet(start=0.6)
    with pytest.raises(Refused, match="no room for one"):
        in_steps(every=51)
    with pytest.raises(Refused, match="Pruning cannot revive"):
        GraNet(density=0.8).check(Mask({"w": torch.tensor([True, False])}))
    with pytest.raises(Refused, match="undoes the structure that nm"):
        GraNet(density=0.5, scope=NM()).check(Mask.dense({"w": (1, 4)}))
    with pytest.raises(Refused, match="the last cut is at step 50"):
        in_steps(every=10).begin(a_live({"w": list(range(20))}, steps=100, step=50))


@pytest.mark.parametrize("after", ["exchange", "still"])
def test_a_training_agrees_with_a_plain_loop(after: Any):
    """From a ticket of about half of the weights; written with sorts, from the paper's description."""
    ticket = a_start(density=0.6)
    method = GraNet(density=0.2, end=0.5, every=5, after_end=after)
    trained = train(ticket, TASK, a_recipe(method))
    size, first = ticket.mask.size, ticket.mask.kept
    final = math.floor(0.2 * size + 0.5)

    def change(time: int, weights: Any, gradients: Any, masks: Any) -> Any:
        if time % 5 or time >= 40 or (after == "still" and time > 20):
            return None
        kept = math.floor(final + (first - final) * max(0.0, 1 - time / 20) ** 3 + 0.5)
        left = largest({n: abs(v) for n, v in weights.items()}, kept, masks)
        rate = 0.005 + 0.495 * (1 + math.cos(math.pi * time / 40)) / 2
        found, anew = {}, {}
        for name, mask in left.items():
            living, dead = int(mask.sum()), int((~mask).sum())
            count = math.ceil(rate * living) if dead else 0
            stay = mask & ~largest({name: -abs(weights[name])}, count, {name: mask})[name]
            grown = largest({name: abs(gradients[name])}, count, {name: ~stay})[name]
            found[name], anew[name] = stay | grown, grown
        assert sum(sizes(found)) == kept
        return found, anew

    agrees(trained, plainly(ticket, a_recipe(method), change))
    assert trained.mask.kept == final
    assert len(trained.history) == (8 if after == "exchange" else 5)
    assert all(row["came"] > 0 for row in trained.history[1:])
    assert np.isfinite(trained.scores["test_loss"])

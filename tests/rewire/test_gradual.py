from typing import Any

import numpy as np
import pytest
import torch

from tests.rewire.stepped import (
    TASK,
    a_live,
    a_recipe,
    a_start,
    agrees,
    begun,
    changed,
    flags,
    largest,
    plainly,
    sizes,
    weights_in_all,
)
from tombola.core.criterion import Habits
from tombola.core.errors import Refused
from tombola.core.layout import Prunable, Scores
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.prune.everywhere import Everywhere
from tombola.prune.nm import NM
from tombola.prune.per_layer import PerLayer
from tombola.rewire.gradual import Gradual
from tombola.train.loop import train


@plugin("criterion", "test_gradual_asks")
class Asks:
    """Scores from whatever a method of the network is named."""

    what: str = "gradients"
    collapse: str = "allowed"

    @property
    def habits(self) -> Habits:
        return Habits(collapse="forbidden" if self.collapse == "forbidden" else "allowed")

    def __call__(self, net: Prunable) -> Scores:
        if self.what == "gradients":
            return {name: (net.weights[name] * value).abs() for name, value in net.gradients().items()}
        if self.what == "start":
            return {name: (net.weights[name] - net.start[name]).abs() for name in net.mask}
        asked: dict[str, Any] = {
            "batches": lambda: net.gradients(batches=2),
            "mode": lambda: net.gradients(mode="eval"),
            "temperature": lambda: net.gradients(temperature=200.0),
            "per_class": lambda: net.gradients(per_class=1),
            "fresh": lambda: net.fresh(0),
            "curvature": lambda: net.curvature(net.weights),
            "inputs": lambda: net.inputs(),
            "flow": lambda: net.flow(net.weights),
            "wiring": lambda: net.wiring(),
        }
        asked[self.what]()
        raise AssertionError("that was to be refused")


def in_steps(steps: int = 100, **fields: Any) -> Gradual:
    return Gradual(**fields).in_steps(epoch=10, steps=steps)


def test_the_schedule_by_hand():
    """Four cuts from 1000 weights to 200: 800 times 27, 8, 1 and 0 of 64 are 337.5, 100, 12.5, 0."""
    method = in_steps(density=0.2, start=0.1, end=0.95, every="2ep")
    live = a_live({"w": list(range(1000))}, steps=100)
    begun(method, live)
    assert [step + 1 for step in range(100) if method.due(step, 100)] == [30, 50, 70, 90]
    kept = [int(changed(method, live, time)["w"].sum()) for time in (30, 50, 70, 90)]
    assert kept == [538, 300, 213, 200]
    assert flags(live.masks) == [0] * 800 + [1] * 200


def test_it_begins_at_the_density_of_the_ticket():
    """From 8 of 16 to 2 in two cuts: 2 + 6 / 8 is 2.75."""
    method = in_steps(density=0.125, start=0.0, end=0.4, every=20)
    live = a_live({"w": list(range(16))}, {"w": [1, 0] * 8}, steps=100)
    begun(method, live)
    assert flags(changed(method, live, 20)) == [0] * 10 + [1, 0] * 3
    assert flags(changed(method, live, 40)) == [0] * 12 + [1, 0, 1, 0]


def test_no_cut_comes_after_the_last_update():
    method = in_steps(steps=40, density=0.5, start=0.0, end=1.0, every=10)
    assert [step + 1 for step in range(40) if method.due(step, 40)] == [10, 20, 30]


def test_ties_fall_to_the_lower_index_and_what_is_pruned_stays_so():
    method = in_steps(density=0.25, start=0.0, end=0.2, every=10)
    live = a_live({"a": [1, 1, 1, 1], "b": [1, -1, 1, -1]}, steps=100)
    begun(method, live)
    masks = changed(method, live, 10)  # 2 + 6 / 8, rounded: 3.
    assert (flags(masks, "a"), flags(masks, "b")) == ([1, 1, 1, 0], [0, 0, 0, 0])
    live.variables["b"] += 9  # Whatever the optimiser might do there.
    masks = changed(method, live, 20)
    assert (flags(masks, "a"), flags(masks, "b")) == ([1, 1, 0, 0], [0, 0, 0, 0])


def test_kept_weights_come_back_when_others_have_shrunk():
    method = in_steps(density=0.25, start=0.0, end=0.2, every=10, pruned="kept")
    assert method.dead == "shadow" and Gradual().dead == "zero"
    live = a_live({"w": [9, 8, 7, 6, 5, 4, 3, 2]}, {"w": [0, 1, 1, 1, 1, 1, 1, 1]}, steps=100)
    begun(method, live)
    live.variables["w"][0] = 9.0  # Dead in the ticket: never ranked.
    assert flags(changed(method, live, 10)) == [0, 1, 1, 1, 0, 0, 0, 0]  # 2 + 5 / 8, rounded.
    live.gradients = {"w": torch.ones(8)}
    assert method.pulled("w", live).tolist() == flags(live.masks)
    assert torch.equal(method.free("w", live), live.masks["w"])  # type: ignore[arg-type]
    assert method.trained("w", live) == 3
    live.variables["w"][1] = 0.5
    assert flags(changed(method, live, 20)) == [0, 0, 1, 1, 0, 0, 0, 0]
    live.variables["w"][2] = 0.25
    live.step = 19
    assert flags(method.rewired(live)) == [0, 0, 0, 1, 1, 0, 0, 0]


def test_criteria_of_the_gradient_and_of_the_way_gone():
    gradients = {"w": [0.1, 1.0, 2.0, 1.0]}
    for what, expected in (("gradients", [0, 0, 1, 1]), ("start", [1, 0, 0, 1])):
        method = in_steps(density=0.5, start=0.0, end=0.1, every=10, criterion=Asks(what=what))
        live = a_live({"w": [4, 1, 3, 2]}, steps=100)
        begun(method, live)
        live.variables["w"] += torch.tensor([3.0, 0.0, 0.0, 2.0])  # Now 7, 1, 3, 4.
        assert flags(changed(method, live, 10, gradients)) == expected


@pytest.mark.parametrize(
    "what",
    ["batches", "mode", "temperature", "per_class", "fresh", "curvature", "inputs", "flow", "wiring"],
)
def test_a_criterion_that_asks_for_more_is_refused_before_the_first_step(what: str):
    method = in_steps(criterion=Asks(what=what), every=10)
    with pytest.raises(Refused, match="this criterion asks for"):
        begun(method, a_live({"w": [4, 1, 3, 2] * 9}, steps=100))


def test_a_collapse_that_the_criterion_forbids():
    method = in_steps(density=0.5, start=0.0, end=0.1, every=10, criterion=Asks(what="start", collapse="forbidden"))
    live = a_live({"a": [1, 1], "b": [1, 1]}, steps=100)
    begun(method, live)
    live.variables["b"] += 1
    with pytest.raises(Refused, match="leaves no weight in 'a' at density 0.5, step 9"):
        changed(method, live, 10)


def test_scopes_share_the_cuts():
    """Each tensor falls by a cubic of its own: from 8 and 2 to 2 and 1; with 2:4 the groups are kept throughout."""
    method = in_steps(density=0.25, start=0.0, end=0.2, every=10, scope=PerLayer())
    live = a_live({"a": list(range(8)), "b": [3, 2, 1, 9]}, {"a": [1] * 8, "b": [1, 0, 0, 1]}, steps=100)
    begun(method, live)
    assert [int(mask.sum()) for mask in changed(method, live, 10).values()] == [3, 1]
    assert [flags(changed(method, live, 20), name) for name in "ab"] == [[0] * 6 + [1, 1], [0, 0, 0, 1]]
    method = in_steps(density=0.5, start=0.0, end=0.2, every=10, scope=NM())
    live = a_live({"w": [[4, 3, 2, 1, 8, 7, 6, 5]]}, steps=100)
    begun(method, live)
    assert flags(changed(method, live, 10)) == [1, 1, 0, 0, 1, 1, 1, 0]  # 4 + 4 / 8, rounded: 5.
    assert flags(changed(method, live, 20)) == [1, 1, 0, 0, 1, 1, 0, 0]
    method = in_steps(density=0.75, start=0.0, end=0.1, every=10, scope=Everywhere(exclude=("a",)))
    live = a_live({"a": [1, 1], "b": [3, 2]}, steps=100)
    begun(method, live)
    assert [flags(changed(method, live, 10), name) for name in "ab"] == [[1, 1], [1, 0]]


def test_what_is_refused():
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"density": 0.0}, "field 'density' is 0.0"),
        ({"start": 0.5, "end": 0.5}, "the start before the end"),
        ({"end": 1.1}, "the start before the end"),
        ({"every": 0}, "'every' is 0"),
    ]
    for fields, message in wrong:
        with pytest.raises(Refused, match=message):
            Gradual(**fields)
    with pytest.raises(Refused, match="no room for one"):
        in_steps(every=51)
    assert in_steps(every=50).every == 50
    half = Mask({"w": torch.tensor([True, False])})
    with pytest.raises(Refused, match="Pruning cannot revive weights"):
        Gradual(density=0.9).check(half)
    with pytest.raises(Refused, match="tensors='prunable'"):
        Gradual(density=0.1, scope=Everywhere(tensors="all")).check(half)
    live = a_live({"w": list(range(20))}, steps=100, step=75)
    with pytest.raises(Refused, match="the last cut is at step 75, and this ticket begins at step 75"):
        in_steps(every=10, end=0.75).begin(live)
    live.step = 74
    in_steps(every=10, end=0.75).begin(live)


@pytest.mark.parametrize("pruned", ["zero", "kept"])
def test_a_training_agrees_with_a_plain_loop(pruned: Any):
    method = Gradual(density=0.3, start=0.0, end=0.9, every=4, pruned=pruned)
    ticket, size = a_start(), weights_in_all()
    trained = train(ticket, TASK, a_recipe(method))
    final = int(np.floor(0.3 * size + 0.5))
    counts = {4 * k: int(np.floor(final + (size - final) * (1 - k / 9) ** 3 + 0.5)) for k in range(1, 10)}
    assert [row["step"] for row in trained.history[1:]] == list(counts)
    assert [sum(row["kept"]) for row in trained.history[1:]] == list(counts.values())
    assert trained.mask.kept == final

    def change(time: int, weights: Any, gradients: Any, masks: Any) -> Any:
        if time not in counts:
            return None
        every = {name: np.ones_like(mask) for name, mask in masks.items()}
        best = largest({n: abs(v) for n, v in weights.items()}, counts[time], masks if pruned == "zero" else every)
        assert sum(sizes(best)) == counts[time]
        return best, {}

    agrees(trained, plainly(ticket, a_recipe(method), change, kept=pruned == "kept"))
    came = sum(row["came"] for row in trained.history)
    assert (came > 0) == (pruned == "kept")

"""What a ticket cost: epochs, operations and seconds added up by hand, each thing once."""

import dataclasses
import inspect
import pathlib
from typing import Any

import pytest
import torch

from tests.train.toys import Points
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.core.criterion import Habits
from tombola.core.layout import Prunable, Scores
from tombola.core.plugin import plugin
from tombola.core.seeds import Seeds
from tombola.core.ticket import Ticket
from tombola.criteria.magnitude import Magnitude
from tombola.criteria.snip import Snip
from tombola.find import cut_early, draw, find
from tombola.probes.price import COUNTED, RENORMED, looked_at, price, seen
from tombola.renorm import renorm
from tombola.study.deferred import defer
from tombola.study.goals import row
from tombola.study.graph import graph_of, resolve
from tombola.study.step import now
from tombola.study.store import Store
from tombola.tasks.digits import Digits
from tombola.train.flops import flops
from tombola.train.loop import train
from tombola.train.recipe import Recipe
from tombola.train.trained import Cost, Trained

# 23 examples in batches of 10: an epoch is three steps, of 10, 10 and 3 examples. Ten steps from step 2 on see
# 3 * 23 + 10 - 20 = 59 examples, and the draw before them 20.
TASK, ARCH = Points(), Mlp(hidden=(5,))
RECIPE = Recipe(steps=10, batch=10, rewind=2, validation=0.0, evaluate=10)
FORWARD = 2 * (6 * 5 + 5 * 3)
EXAMPLE = 3 * FORWARD - 2 * 6 * 5  # The first layer's inputs need no gradient.
ONCE = 79


def timed(one: Trained, seconds: float) -> Trained:
    """The same training, having taken so many seconds of the clock and half of them of the device."""
    cost = dataclasses.replace(one.cost, seconds=seconds, device_seconds=seconds / 2)
    return dataclasses.replace(one, cost=cost)


@pytest.fixture(scope="module")
def ladder() -> tuple[list[Ticket], list[Trained]]:
    """Two cuts after training, the trainings before them, and that of the last ticket: 1, 2 and 4 seconds."""
    trained: list[Trained] = []

    def call(function: Any, *args: Any, **given: Any) -> Any:
        result = now(function, *args, **given)
        trained.extend([result] if isinstance(result, Trained) else [])
        return result

    tickets = list(find(ARCH, TASK, RECIPE, levels=2, keep=0.5, call=call))
    trained.append(train(tickets[-1], TASK, RECIPE))
    return tickets, [timed(one, 2.0**number) for number, one in enumerate(trained)]


def test_a_ladder_by_hand(ladder: tuple[list[Ticket], list[Trained]]):
    tickets, (dense, first, last) = ladder
    found = price(last, behind=(dense, first))
    assert found.checks == {COUNTED: True} and set(found.tables) == {"parts"}
    parts = found.tables["parts"]
    assert [(line["part"], line["key"], line["images"]) for line in parts] == [
        ("draw", tickets[0].key, 20),
        ("train", dense.key, 59),
        ("train", first.key, 59),
        ("train", last.key, 59),
    ]
    sparse = [one.cost.flops_sparse for one in (dense, first, last)]
    assert sparse[0] == 59 * EXAMPLE > sparse[1] > sparse[2]
    rate = 7 / (3 * 59)
    assert found.numbers() == pytest.approx(
        {
            **{"last_epochs": 59 / 23, "last_flops_dense": 59 * EXAMPLE, "last_flops_sparse": sparse[2]},
            **{"last_seconds": 4.0, "last_device_seconds": 2.0},
            **{"search_epochs": 138 / 23, "search_flops_dense": 138 * EXAMPLE},
            "search_flops_sparse": 20 * EXAMPLE + sparse[0] + sparse[1],
            **{"search_seconds": 3 + 20 * rate, "search_device_seconds": (3 + 20 * rate) / 2},
            **{"total_epochs": 197 / 23, "total_flops_dense": 197 * EXAMPLE},
            "total_flops_sparse": 20 * EXAMPLE + sum(sparse),
            **{"total_seconds": 7 + 20 * rate, "total_device_seconds": (7 + 20 * rate) / 2},
            **{"trainings": 3, "seconds_estimated": 20 * rate, "dense_trainings": 197 / ONCE},
            "dense_trainings_flops_dense": 197 / ONCE,
            "dense_trainings_flops_sparse": (20 * EXAMPLE + sum(sparse)) / (ONCE * EXAMPLE),
        }
    )
    assert all(type(value) is float for value in found.numbers().values())


def test_a_dense_training_costs_one_dense_training(ladder: tuple[list[Ticket], list[Trained]]):
    numbers = price(ladder[1][0]).numbers()
    for name in ("dense_trainings", "dense_trainings_flops_dense", "dense_trainings_flops_sparse"):
        assert numbers[name] == pytest.approx(1.0)
    assert numbers["search_epochs"] == pytest.approx(20 / 23)


def test_each_training_is_counted_once(ladder: tuple[list[Ticket], list[Trained]]):
    _, (dense, first, last) = ladder
    found = price(last, behind=(dense, first))
    again = price(last, behind=(dense, last, first, dense, timed(first, 9.0)))
    assert again.numbers()["trainings"] == 3
    assert again.numbers()["search_epochs"] == found.numbers()["search_epochs"]


def test_a_training_that_is_missing_is_told(ladder: tuple[list[Ticket], list[Trained]]):
    _, (dense, first, last) = ladder
    for behind, missing in (((), {dense.key, first.key}), ((first,), {dense.key}), ((dense,), {first.key})):
        found = price(last, behind=behind)
        assert found.checks == {COUNTED: False}
        assert {line["key"] for line in found.tables["missing"]} == missing
    other = train(draw(ARCH, TASK, RECIPE, Seeds(1)), TASK, RECIPE, Seeds(1))
    more = price(last, behind=(dense, first, other))
    assert more.checks == {COUNTED: True} and more.numbers()["trainings"] == 4
    assert [line["part"] for line in more.tables["parts"]].count("draw") == 2


def test_trainings_of_the_search_bring_their_own_parents(ladder: tuple[list[Ticket], list[Trained]]):
    """What chose the settings must be whole too."""
    _, (dense, first, last) = ladder
    found = price(dense, behind=(last,))
    assert found.checks == {COUNTED: False} and found.tables["missing"] == ({"key": first.key},)


@plugin("criterion", "toy_looker")
class Looker:
    """A criterion with fields for what it sees; it looks at nothing."""

    batches: int = 2
    per_class: int = 0
    samples: int = 1
    rounds: int = 1

    @property
    def habits(self) -> Habits:
        return Habits(moment="before", rounds=self.rounds)

    def __call__(self, net: Prunable) -> Scores:
        return {name: torch.arange(float(value.numel())).view(value.shape) for name, value in net.weights.items()}


@pytest.mark.parametrize(
    "criterion, images",
    [
        (None, 0),
        (Magnitude(), 0),
        (Looker(), 20),
        (Looker(batches=3), 23),
        (Looker(batches=0), 23),
        (Looker(batches=7), 56),
        (Looker(rounds=4), 80),
        (Looker(batches=2, per_class=3), 18),
        (Looker(samples=5, rounds=2), 200),
        (Snip(), 10),
        (Snip(rounds=3), 30),
    ],
    ids=str,
)
def test_what_a_criterion_sees(criterion: Any, images: int):
    assert looked_at(criterion, TASK, RECIPE) == images


def test_an_early_cut_by_hand():
    """No rewinding: nothing was drawn. Two rounds of two batches; then one training from the start."""
    recipe = dataclasses.replace(RECIPE, rewind=0, validation=0.0)
    dense = draw(ARCH, TASK, recipe)
    early = dataclasses.replace(recipe, batch=6)
    ticket = cut_early(dense, TASK, early, Looker(rounds=2), density=0.5)
    found = price(timed(train(ticket, TASK, recipe), 79.0))
    score, last = found.tables["parts"]
    assert (score["part"], score["key"], score["images"], last["part"]) == ("cut_early", ticket.key, 24, "train")
    assert score["flops_dense"] == score["flops_sparse"] == 24 * EXAMPLE
    numbers = found.numbers()
    assert (numbers["last_epochs"], numbers["search_epochs"]) == (79 / 23, 24 / 23)
    assert numbers["search_seconds"] == numbers["seconds_estimated"] == pytest.approx(24.0)
    assert numbers["dense_trainings"] == pytest.approx((79 + 24) / 79) and found.checks == {COUNTED: True}


def test_a_late_cut_sees_the_batches_of_the_training_that_it_cuts():
    """The data and batches of the training behind it, though that itself is not there."""
    small = dataclasses.replace(RECIPE, batch=4, rewind=0)
    _, ticket = find(ARCH, TASK, small, criterion=Looker(), levels=1, keep=0.5, moment="after")
    found = price(train(ticket, TASK, dataclasses.replace(RECIPE, rewind=0)))
    (cut,) = [line for line in found.tables["parts"] if line["part"] == "cut"]
    assert cut["images"] == 8 and found.checks == {COUNTED: False}


def test_an_estimate_of_statistics_costs_its_forward_passes():
    arch, task, recipe = ResNet(depth=8, width=2), Digits(), Recipe(steps=1, batch=60, validation=0.0)
    assert inspect.signature(renorm.function).parameters["batches"].default == RENORMED
    for batches, images in ((3, 180), (0, 1437), (RENORMED, 60 * 96 + 57 * 4)):
        known = renorm(draw(arch, task, recipe), task, recipe, batches=batches)
        parts = price(train(known, task, recipe)).tables["parts"]
        (part,) = [line for line in parts if line["part"] == "renorm"]
        assert part["images"] == images
        assert part["flops_dense"] == part["flops_sparse"] == images * flops(arch, task.io, known.mask).forward_dense


@pytest.mark.parametrize("steps, images", [(0, 0), (1, 10), (2, 20), (3, 23), (4, 33), (10, 79)])
def test_the_last_batch_of_an_epoch_is_smaller(steps: int, images: int):
    assert seen(TASK, RECIPE, steps) == images
    took = train(draw(ARCH, TASK, dataclasses.replace(RECIPE, rewind=0)), TASK, dataclasses.replace(RECIPE, steps=3))
    assert isinstance(took.cost, Cost) and took.cost.images == 23


def test_in_a_study(tmp_path: pathlib.Path):
    tickets = list(find(ARCH, TASK, RECIPE, levels=1, keep=0.5, call=defer))
    last = defer(train, ticket=tickets[1], task=TASK, recipe=RECIPE)
    goal = row(defer(price, trained=last, behind=tickets[1].inputs), probe="price")
    made = resolve(graph_of([goal]), Store(tmp_path))[goal.of.key]
    assert made.checks == {COUNTED: True} and made.numbers()["trainings"] == 2

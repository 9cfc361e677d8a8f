"""Lists among the arguments of `train` are many trainings: same keys and results as one after the other."""

import pathlib
import tempfile
import time
from typing import Any

import pytest

from tests.train.toys import Points, a_ticket, same
from tombola.archs.mlp import Mlp
from tombola.core.call import Call
from tombola.core.errors import Failed, Refused
from tombola.core.machine import Machine
from tombola.core.seeds import Seeds
from tombola.find import draw
from tombola.study.deferred import Deferred, defer
from tombola.study.step import now
from tombola.study.store import Store
from tombola.train import fleet
from tombola.train.loop import train
from tombola.train.optimizers import Adam, Sgd
from tombola.train.recipe import Recipe
from tombola.train.trained import Trained

POINTS, MLP = Points(), Mlp(hidden=(8,))
RECIPE = Recipe(steps="3ep", batch=5, optimizer=Sgd(lr=0.05))
TICKETS = [a_ticket(MLP, POINTS, density=density) for density in (0.5, 1.0, 0.25)]
SEEDS = [Seeds(0), Seeds(1), Seeds(2)]


@pytest.fixture(autouse=True)
def _no_hall_of_another_test() -> None:
    fleet.HALLS.clear()


def result(trained: Trained) -> Any:
    kept = trained.key, dict(trained.weights), list(trained.log), dict(trained.scores), dict(trained.checks)
    return [*kept, trained.cost.steps, trained.cost.flops_sparse, trained.cost.images, trained.lineage.to_json()]


@pytest.fixture(scope="module")
def singles() -> list[Trained]:
    return [train(ticket, POINTS, RECIPE, seeds) for ticket, seeds in zip(TICKETS, SEEDS, strict=True)]


class Heard:
    """Who started, ended and was loaded."""

    def __init__(self) -> None:
        self.happenings: list[tuple[str, str]] = []

    def __call__(self, happening: str, call: Call, **facts: Any) -> None:
        self.happenings.append((happening, call.key))

    def count(self, happening: str) -> int:
        return sum(one == happening for one, _ in self.happenings)


def check_same(found: list[Trained], singles: list[Trained]) -> None:
    assert isinstance(found, list) and len(found) == len(singles)
    assert all(same(result(one), result(other)) for one, other in zip(found, singles, strict=True))


def test_lists_at_once(singles: list[Trained]):
    check_same(train(TICKETS, POINTS, RECIPE, SEEDS), singles)
    check_same(now(train, ticket=TICKETS, task=POINTS, recipe=[RECIPE] * 3, seeds=SEEDS), singles)


@pytest.mark.parametrize("machine", [Machine(), Machine(fleet=2), Machine(fleet=3)], ids=str)
def test_lists_in_a_store(machine: Machine, singles: list[Trained], tmp_path: pathlib.Path):
    heard = Heard()
    store = Store(tmp_path, machine=machine, listen=heard)
    check_same(store(train, TICKETS, POINTS, RECIPE, SEEDS), singles)
    assert [heard.count(what) for what in ("start", "done", "loaded")] == [3, 3, 0]
    single = Store(tmp_path, listen=heard)(train, TICKETS[1], POINTS, RECIPE, SEEDS[1])
    check_same([single], singles[1:2])
    assert heard.count("loaded") == 1
    assert not list((tmp_path / "partial").glob("*/*"))  # Nothing half-done is left.


def test_a_store_trains_what_it_lacks(singles: list[Trained], tmp_path: pathlib.Path):
    store = Store(tmp_path, machine=Machine(fleet=3))
    store(train, TICKETS[1], POINTS, RECIPE, SEEDS[1])
    heard = Heard()
    again = Store(tmp_path, machine=Machine(fleet=3), listen=heard)
    check_same(again(train, TICKETS, POINTS, RECIPE, SEEDS), singles)
    assert [heard.count(what) for what in ("start", "done", "loaded")] == [2, 2, 1]


def test_equal_calls_of_a_list_run_once(singles: list[Trained], tmp_path: pathlib.Path):
    heard = Heard()
    store = Store(tmp_path, machine=Machine(fleet=3), listen=heard)
    order = [2, 0, 2, 2, 0]
    found = store(train, [TICKETS[n] for n in order], POINTS, RECIPE, [SEEDS[n] for n in order])
    check_same(found, [singles[n] for n in order])
    assert heard.count("start") == 2


def test_deferred_lists(singles: list[Trained]):
    found = defer(train, TICKETS, POINTS, RECIPE, SEEDS)
    assert [one.key for one in found] == [one.key for one in singles]
    drawn = [defer(draw, arch=MLP, task=POINTS, recipe=RECIPE, seeds=seeds) for seeds in SEEDS]
    later = defer(train, ticket=drawn, task=POINTS, recipe=RECIPE, seeds=SEEDS)
    assert all(isinstance(one, Deferred) for one in later)
    one_by_one = [
        defer(train, ticket=ticket, task=POINTS, recipe=RECIPE, seeds=seeds)
        for ticket, seeds in zip(drawn, SEEDS, strict=True)
    ]
    assert [one.key for one in later] == [one.key for one in one_by_one] and len({one.key for one in later}) == 3


def test_a_list_of_one_gives_a_list(singles: list[Trained]):
    check_same(train(TICKETS[:1], POINTS, RECIPE), singles[:1])
    assert len(defer(train, TICKETS[:1], POINTS, RECIPE)) == 1


CALLS = [now, Store, defer]


@pytest.mark.parametrize("way", CALLS, ids=["now", "store", "defer"])
def test_lists_that_do_not_fit_are_refused(way: Any, tmp_path: pathlib.Path):
    call = Store(tmp_path) if way is Store else way
    with pytest.raises(Refused, match=r"^train: lists of 2 and 3\. Lists are of one length, 1 or more\.$"):
        call(train, TICKETS, POINTS, RECIPE, SEEDS[:2])
    with pytest.raises(Refused, match=r"^train: lists of 0\. Lists are of one length, 1 or more\.$"):
        call(train, [], POINTS, RECIPE)
    with pytest.raises(Refused, match=r"^train: lists of 0 and 3\."):
        call(train, TICKETS, POINTS, RECIPE, [])


OTHERS = [
    ("network", {"ticket": a_ticket(Mlp(hidden=(9,)), POINTS)}),
    ("task", {"task": Points(train=29)}),
    ("batch", {"recipe": Recipe(steps="3ep", batch=6, optimizer=Sgd(lr=0.05))}),
    ("clip", {"recipe": Recipe(steps="3ep", batch=5, optimizer=Sgd(lr=0.05), clip=1.0)}),
    ("smoothing", {"recipe": Recipe(steps="3ep", batch=5, optimizer=Sgd(lr=0.05), smoothing=0.1)}),
    ("validation", {"recipe": Recipe(steps="3ep", batch=5, optimizer=Sgd(lr=0.05), validation=0.2)}),
    ("split_seed", {"recipe": Recipe(steps="3ep", batch=5, optimizer=Sgd(lr=0.05), split_seed=1)}),
    ("precision", {"recipe": Recipe(steps="3ep", batch=5, optimizer=Sgd(lr=0.05), precision="bfloat16")}),
    ("optimizer apart from its rate", {"recipe": Recipe(steps="3ep", batch=5, optimizer=Sgd(lr=0.05, momentum=0.8))}),
    ("optimizer apart from its rate", {"recipe": Recipe(steps="3ep", batch=5, optimizer=Adam(lr=0.05))}),
]


@pytest.mark.parametrize(("name", "change"), OTHERS, ids=[str(one[1]) for one in OTHERS])
def test_trainings_that_do_not_belong_together_are_refused(name: str, change: Any, tmp_path: pathlib.Path):
    usual = {"ticket": TICKETS[0], "task": POINTS, "recipe": RECIPE}
    lists = {field: [value, value, change.get(field, value)] for field, value in usual.items()}
    heard = Heard()
    match = rf"^train: call 3 of 3 does not belong to the others: its {name} is .*, and that of the first is .*apart"
    for call in (now, Store(tmp_path, machine=Machine(fleet=3), listen=heard)):
        with pytest.raises(Refused, match=match):
            call(train, **lists)
    assert not heard.happenings  # Nothing ran before.


def test_rates_schedules_and_lengths_are_free():
    recipes = [RECIPE, Recipe(steps=7, batch=5, optimizer=Sgd(lr=0.02), warmup=3, evaluate=2, select="best")]
    found = train(TICKETS[0], POINTS, recipes)
    check_same(found, [train(TICKETS[0], POINTS, recipe) for recipe in recipes])


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("machine", [Machine(), Machine(fleet=3)], ids=str)
def test_one_that_fails_leaves_the_others_kept(
    machine: Machine, place: int, singles: list[Trained], tmp_path: pathlib.Path
):
    """The message counts the calls as they were asked for, not in the order in which a store takes them."""
    wild = Recipe(steps="3ep", batch=5, optimizer=Sgd(lr=1e18))
    recipes, sound = [wild if n == place else RECIPE for n in range(3)], [n for n in range(3) if n != place]
    message = rf"^1 of 3 calls failed; call {place + 1}: the loss is no longer finite"
    with pytest.raises(Failed, match=message) as caught:
        Store(tmp_path, machine=machine)(train, TICKETS, POINTS, recipes, SEEDS)
    assert str(Seeds(place)) in str(caught.value) and "sgd(lr=1e+18)" in str(caught.value)
    heard = Heard()
    again = Store(tmp_path, machine=machine, listen=heard)
    found = again(train, [TICKETS[n] for n in sound], POINTS, RECIPE, [SEEDS[n] for n in sound])
    check_same(found, [singles[n] for n in sound])
    assert heard.count("loaded") == 2 and not heard.count("start")
    with pytest.raises(Failed, match=message):
        train(TICKETS, POINTS, recipes, SEEDS)


def test_what_is_no_ticket_is_named_and_a_tuple_is_a_list():
    task, recipe = POINTS, Recipe(steps=10, batch=5)
    ticket = a_ticket(MLP, task)
    with pytest.raises(Refused, match=r"^train: 'ticket' is 3 \(int\)\. It must be a Ticket\.$"):
        train([ticket, 3], task, recipe)
    with pytest.raises(
        Refused, match=r"^Deferred\(train\(.*\) has not been made: give it to defer, or make it first\.$"
    ):
        train([ticket, defer(train, ticket, task, recipe)], task, recipe)
    one, two = train((ticket, ticket), task, recipe, (Seeds(0), Seeds(1)))
    assert one.key == train(ticket, task, recipe, Seeds(0)).key != two.key


def test_members_of_a_fleet_share_the_time_that_it_took():
    task, recipe = POINTS, Recipe(steps=1500, batch=5, evaluate=0)
    before = time.monotonic()
    store = Store(tempfile.mkdtemp(), machine=Machine(fleet=3))
    made = store(train, [a_ticket(MLP, task)] * 3, task, recipe, [Seeds(number) for number in range(3)])
    took = time.monotonic() - before
    shares = [one.cost.seconds for one in made]
    assert 0 < sum(shares) <= took
    kept = [store.record(one.key)["provenance"]["seconds"] for one in made]
    assert sum(kept) <= took

"""The search for a map: who goes on is worked out by hand from scores that are made up, then run once for real."""

import dataclasses
import pathlib
from typing import Any

import pytest

from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.archs.vgg import Vgg
from tombola.core.errors import Failed, Refused
from tombola.core.text import parse
from tombola.core.ticket import Ticket
from tombola.find import carry, draw
from tombola.moves.copying import Append, Early, Interpolate, Late
from tombola.moves.explicit import Explicit
from tombola.moves.keeping import KeepFirst, KeepLast
from tombola.moves.stretch import Stretch
from tombola.search import DEEPER, SHALLOWER, search
from tombola.study.deferred import defer
from tombola.study.step import now
from tombola.study.store import Store
from tombola.tasks.digits import Digits
from tombola.train.loop import train
from tombola.train.recipe import Recipe
from tombola.train.schedules import StepDecay
from tombola.train.trained import Trained

TASK = Digits()
TO = Mlp(hidden=(4,) * 8)
MAPS = (Interpolate(), Append(), Early(), Late(), Early(blocks=2), Late(blocks=2))


def shallow(recipe: Recipe, hidden: int = 5) -> Ticket:
    return draw(Mlp(hidden=(4,) * hidden), TASK, recipe)


RECIPE = Recipe(steps=80, batch=60, warmup=8, schedule=StepDecay(at=(40, 60)), evaluate=80)


class Scripted:
    """Carries tickets, and makes up what their trainings come to: a score for each map and rung."""

    def __init__(self, scores: dict[str, tuple[float, ...]]) -> None:
        ticket = shallow(RECIPE)
        self.scores, self.calls = scores, list[tuple[Any, ...]]()
        self.like = train(ticket, TASK, dataclasses.replace(RECIPE, steps=2))

    def __call__(self, function: Any, **given: Any) -> Any:
        if function is not train:
            return now(function, **given)
        self.calls.append((given["recipe"], given["seeds"], given["ticket"]))
        if isinstance(given["ticket"], Ticket):
            return self.like
        rung = len(self.calls) - 1
        assert given["task"] == TASK
        made: list[Trained] = []
        for ticket in given["ticket"]:
            right = self.scores[ticket.lineage.last.call.partition("by=")[2].removesuffix(")")][rung]
            scores = {**self.like.scores, "validation_accuracy": right, "test_accuracy": 1 - right}
            made.append(dataclasses.replace(self.like, ticket=ticket, scores=scores))
        return made


def texts(maps: Any) -> list[str]:
    """What stands in a lineage for the moves by these maps."""
    return [f"stretch(to={TO}" + ("" if one == Interpolate() else f", by={one}") + ")" for one in maps]


def scripted(*scores: tuple[float, ...]) -> Scripted:
    return Scripted(dict(zip(texts(MAPS), scores, strict=True)))


def test_the_better_half_goes_on():
    call = scripted((0.1, 0, 0), (0.6, 0.2, 0), (0.5, 0.7, 0), (0.3, 0, 0), (0.9, 0.7, 0), (0.2, 0, 0))
    found = search(shallow(RECIPE), TO, TASK, RECIPE, maps=MAPS, call=call)
    shown = [(one.map, one.rung, one.validation_accuracy) for one in found.trials]
    assert shown == [
        ("early(blocks=2)", 1, 0.9),
        ("append()", 1, 0.6),
        ("early()", 1, 0.5),
        ("late()", 1, 0.3),
        ("late(blocks=2)", 1, 0.2),
        ("interpolate()", 1, 0.1),
        ("early(blocks=2)", 2, 0.7),  # Equal to the next one, and better in the rung before.
        ("early()", 2, 0.7),
        ("append()", 2, 0.2),
    ]
    assert found.map == Early(blocks=2) and found.trained is None
    wanted = carry(shallow(RECIPE), Stretch(to=TO, by=Early(blocks=2)))
    assert found.ticket.key == wanted.key and found.ticket.digest == wanted.digest
    assert [(recipe.steps, len(tickets)) for recipe, _, tickets in call.calls] == [(20, 6), (40, 3)]


def test_of_equals_the_first_named_is_better():
    call = scripted(*[(0.5, 0.5, 0.5)] * 6)
    assert search(shallow(RECIPE), TO, TASK, RECIPE, maps=MAPS, call=call).map == Interpolate()


def test_the_recipe_is_drawn_in_as_a_whole():
    call = scripted(*[(0.5, 0.5)] * 6)
    search(shallow(RECIPE), TO, TASK, RECIPE, maps=MAPS, call=call)
    first, second = (recipe for recipe, _, _ in call.calls)
    assert (first.steps, first.warmup, first.schedule) == (20, 2, StepDecay(at=(10, 15)))
    assert (second.steps, second.warmup, second.schedule) == (40, 4, StepDecay(at=(20, 30)))
    assert dataclasses.replace(first, steps=80, warmup=8, schedule=RECIPE.schedule) == RECIPE


def test_rungs_that_are_named_and_how_many_go_on():
    call = scripted(*[(0.1 * n, 0.1 * n, 0.1 * n) for n in range(6)])
    found = search(shallow(RECIPE), TO, TASK, RECIPE, maps=MAPS, rungs=(5, "0.5ep", "80it"), keep=0.7, call=call)
    assert [(recipe.steps, len(tickets)) for recipe, _, tickets in call.calls] == [(5, 6), (11, 4), (80, 2)]
    assert call.calls[-1][0] == RECIPE and len(found.trials) == 12 and found.map == Late(blocks=2)
    call = scripted(*[(0.1 * n,) for n in range(6)])
    found = search(shallow(RECIPE), TO, TASK, RECIPE, maps=MAPS, rungs=(5,), call=call)
    assert len(call.calls) == 1 and found.map == Late(blocks=2)
    call = scripted(*[(0.1 * n,) for n in range(6)])
    search(shallow(RECIPE), TO, TASK, RECIPE, maps=MAPS, rungs=(5, 10, 20), keep=0.1, call=call)
    assert len(call.calls) == 1  # One was left.


def test_rungs_begin_where_the_ticket_does():
    recipe = dataclasses.replace(RECIPE, rewind=16)
    call = scripted(*[(0.5, 0.5, 0.5)] * 6)
    search(shallow(recipe), TO, TASK, recipe, maps=MAPS, call=call)
    assert [one.steps for one, _, _ in call.calls] == [32, 48]


def test_rungs_pass_through_the_rates_behind_the_ticket():
    """From step 50 of 80 on the whole training drops once, at step 60; it has dropped at 40, and warmed up before."""
    recipe = dataclasses.replace(RECIPE, rewind=50)
    call = scripted(*[(0.5, 0.5, 0.5)] * 6)
    search(shallow(recipe), TO, TASK, recipe, maps=MAPS, call=call)
    assert [one.steps for one, _, _ in call.calls] == [58, 65]
    for one, _, _ in call.calls:
        end = int(one.steps)
        whole = [recipe.rate(50 + (step - 50) * 30 // (end - 50)) for step in range(50, end)]
        assert [one.rate(step) for step in range(50, end)] == whole
        assert one.rate(50) == recipe.rate(50) and one.rate(end - 1) == recipe.rate(79)
        assert dataclasses.replace(one, steps=80, schedule=RECIPE.schedule) == recipe


def test_the_whole_training_only_if_asked_for():
    call = scripted(*[(0.5, 0.5)] * 6)
    found = search(shallow(RECIPE), TO, TASK, RECIPE, maps=MAPS, last="trained", call=call)
    assert found.trained is call.like
    recipe, _, ticket = call.calls[-1]
    assert recipe == RECIPE and ticket.key == found.ticket.key and len(call.calls) == 3


def test_maps_that_come_to_the_same_blocks_are_tried_once():
    maps = (Append(), Explicit(blocks=((1, 2, 1, 2, 3, 4, 4),)), Append(extra="first"), Interpolate())
    ticket, heard = shallow(RECIPE), []

    def call(function: Any, **given: Any) -> Any:
        heard.append(function)
        return now(function, **given)

    short = dataclasses.replace(RECIPE, steps=8)
    found = search(ticket, Mlp(hidden=(4,) * 8), TASK, short, maps=(Append(), Append(extra="first")), call=call)
    assert found.trials == () and found.map == Append() and heard == [carry]
    found = search(ticket, Mlp(hidden=(4,) * 8), TASK, short, maps=maps, call=call)
    assert sorted(one.map for one in found.trials if one.rung == 1) == sorted(map(str, (maps[0], maps[1], maps[3])))


@pytest.mark.parametrize(("hidden", "first"), [(8, DEEPER), (3, SHALLOWER)])
def test_the_usual_maps(hidden: int, first: tuple[Any, ...]):
    short = dataclasses.replace(RECIPE, steps=4, schedule=StepDecay(at=(2,)), warmup=0)
    to = Mlp(hidden=(4,) * hidden)
    found = search(shallow(short), to, TASK, short, rungs=(1,))
    blocks = {Stretch(to=to, by=one).maps(shallow(short).arch, TASK.io) for one in first}
    assert len(found.trials) == len(blocks) > 2
    assert {one.map for one in found.trials} <= {str(one) for one in first}


def test_a_real_search_ranks_by_validation_accuracy(tmp_path: pathlib.Path):
    recipe = Recipe(steps=44, batch=60, evaluate=44)
    ticket, to = shallow(recipe, 4), Mlp(hidden=(4,) * 6)
    store = Store(tmp_path)
    found = search(ticket, to, TASK, recipe, last="trained", call=store)
    again = search(ticket, to, TASK, recipe, last="trained", call=store)
    assert again.trials == found.trials and again.ticket.digest == found.ticket.digest
    for trial in found.trials:
        by = parse("depth_map", trial.map)
        own = train(carry(ticket, Stretch(to=to, by=by)), TASK, dataclasses.replace(recipe, steps=trial.steps))
        assert (own.key, own.scores["validation_accuracy"]) == (trial.key, trial.validation_accuracy)
        assert own.ticket.density == trial.density
    rungs = [[t for t in found.trials if t.rung == rung] for rung in range(1, found.trials[-1].rung + 1)]
    for rung, after in zip(rungs, [*rungs[1:], []], strict=True):
        scores = [one.validation_accuracy for one in rung]
        assert scores == sorted(scores, reverse=True)
        if after:
            assert {one.map for one in after} == {one.map for one in rung[: len(rung) // 2]}
    assert str(found.map) == rungs[-1][0].map
    assert found.trained is not None and found.trained.ticket.key == found.ticket.key
    assert found.trained.key == train(found.ticket, TASK, recipe).key


# What is refused.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"recipe": dataclasses.replace(RECIPE, validation=0.0)}, "holds out no validation data"),
        ({"keep": 0.0}, "keep is 0.0. It is the fraction that goes on"),
        ({"keep": 1.0}, "keep is 1.0"),
        ({"rungs": (10, 10)}, "end at steps 10, 10. They rise"),
        ({"rungs": (20, 10)}, "They rise"),
        ({"rungs": (0, 10)}, "begin behind step 0"),
        ({"rungs": (10, 81)}, "do not go beyond the recipe's end, step 80"),
        ({"rungs": ("1day",)}, "search: a rung is '1day'"),
        ({"rungs": "1ep"}, r"rungs is '1ep', and several are looked for. Give a tuple: rungs=\(...,\)"),
        ({"maps": (KeepFirst(),)}, r"keep_first\(\) drops blocks"),
        ({"maps": (Interpolate(), KeepLast())}, r"keep_last\(\) drops blocks"),
        ({"to": Vgg(depth=11, width=2)}, "another family"),
        ({"to": Mlp(hidden=(5,) * 8)}, "Only the depth may differ"),
        ({"task": Digits(size=16)}, "Find one on that task"),
    ],
)
def test_what_cannot_be_searched_is_refused(settings: dict[str, Any], message: str):
    given = {"to": TO, "task": TASK, "recipe": RECIPE, **settings}

    def call(function: Any, **_: Any) -> Any:
        assert function is not train, "it was not refused before the first training"
        return now(function, **_)

    with pytest.raises(Refused, match=message):
        search(shallow(RECIPE), given.pop("to"), given.pop("task"), given.pop("recipe"), call=call, **given)


def test_a_target_that_is_deeper_here_and_shallower_there_needs_named_maps():
    ticket = draw(Mlp(hidden=(4, 4, 4, 3, 3)), TASK, RECIPE)
    to = Mlp(hidden=(4, 4, 3, 3, 3))
    with pytest.raises(Refused, match="deeper than those of .* some shallower: no usual map does both"):
        search(ticket, to, TASK, RECIPE)
    short = dataclasses.replace(RECIPE, steps=2, schedule=StepDecay(at=(1,)), warmup=0)
    maps = (Explicit(blocks=((1,), (1, 1))), Explicit(blocks=((2,), (1, 1))))
    assert search(ticket, to, TASK, short, maps=maps).map in maps


def test_it_cannot_be_planned():
    with pytest.raises(Refused, match="has not been made, and a search looks at what its trainings come to"):
        search(shallow(RECIPE), TO, TASK, RECIPE, call=defer)


def test_a_training_that_fails_is_told_with_the_maps():
    ticket = draw(ResNet(depth=20, width=2), TASK, RECIPE)
    bad = ticket.rebuilt(weights={**ticket.weights, "head.bias": ticket.weights["head.bias"] * float("nan")})
    with pytest.raises(Failed, match=r"(?s)loss is no longer finite.*in order: keep_first\(\), keep_last\(\)"):
        search(bad, ResNet(depth=14, width=2), TASK, RECIPE, maps=(KeepFirst(), KeepLast()), rungs=(2,))

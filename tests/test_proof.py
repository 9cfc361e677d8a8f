"""The proofs of a ticket as a step of a study: the same as `verify` gives, and they fail where it fails."""

import dataclasses
import importlib
import pathlib

import pytest

from tombola.archs.mlp import Mlp
from tombola.core.mask import Mask
from tombola.core.measurement import Measurement
from tombola.core.ticket import Ticket
from tombola.find import find
from tombola.proof import prove
from tombola.study.deferred import defer
from tombola.study.goals import row
from tombola.study.graph import graph_of, resolve
from tombola.study.store import Store
from tombola.tasks.digits import Digits
from tombola.train.recipe import Recipe
from tombola.train.trained import Trained

verify = importlib.import_module("tombola.verify").verify
RECIPE = Recipe(steps=2, batch=60, validation=0.0, evaluate=2)


@pytest.fixture(scope="module")
def ladder(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Ticket], list[Trained]]:
    """Three tickets, and the trainings between them."""
    store = Store(tmp_path_factory.mktemp("runs"))
    tickets = list(find(Mlp(hidden=(5,)), Digits(), RECIPE, levels=2, keep=0.5, call=store))
    return tickets, [store.load(key, Trained) for key in store.keys() if key.startswith("train:")]


def test_a_ticket_with_its_parents_is_proved(ladder: tuple[list[Ticket], list[Trained]]):
    tickets, trained = ladder
    found = prove(tickets[2], parents=tuple(trained))
    assert found.checks and all(found.checks.values())
    assert {"lineage", "as many live as the cuts leave"} <= set(found.checks)
    assert [name for name in found.checks if "nested" in name and name.endswith("every cut behind it")]
    assert not any(":" in name for name in found.checks), "what is told of one event is taken together"
    table = found.tables["checks"]
    verdict = verify(tickets[2], parents=[*trained, *(one.ticket for one in trained)])
    assert [(line["check"], line["held"], line["seen"]) for line in table] == [
        (check.name, check.ok, check.detail) for check in verdict.checks
    ]
    assert found.numbers() == {"checks": len(table), "held": len(table)}
    assert found.key == prove.call(tickets[2], parents=tuple(trained)).key


def test_parents_are_no_check_but_are_counted(ladder: tuple[list[Ticket], list[Trained]]):
    tickets, trained = ladder
    alone, whole = prove(tickets[2]), prove(tickets[2], parents=tuple(trained))
    assert len(alone.tables["checks"]) < len(whole.tables["checks"])
    (said,) = [line["seen"] for line in alone.tables["checks"] if line["check"] == "parents"]
    assert said.startswith("0 of 2 cuts") and "parents" not in alone.checks


def test_what_does_not_hold_is_told(ladder: tuple[list[Ticket], list[Trained]]):
    """One weight more lives than the cuts leave."""
    tickets, trained = ladder
    mask = dict(tickets[2].mask)
    name = next(iter(mask))
    more = mask[name].clone()
    more.view(-1)[int((~more).view(-1).nonzero()[0])] = True
    forged = dataclasses.replace(tickets[2], mask=Mask({**mask, name: more}))
    found = prove(forged, parents=tuple(trained))
    assert found.checks["as many live as the cuts leave"] is False
    assert found.numbers()["held"] < found.numbers()["checks"]
    assert [line["check"] for line in found.tables["checks"] if not line["held"]]


def test_one_that_fails_among_several_of_a_kind_fails_them_all(
    ladder: tuple[list[Ticket], list[Trained]], monkeypatch: pytest.MonkeyPatch
):
    proof, module = importlib.import_module("tombola.proof"), importlib.import_module("tombola.verify")
    names = ("nested: cut:a", "nested: cut:b", "nested: cut:c", "nested: carry:a", "parents", "lineage")
    held = (True, False, True, True, False, True)
    checks = tuple(module.Check(name, ok, "seen") for name, ok in zip(names, held, strict=True))
    monkeypatch.setattr(proof, "verify", lambda *words, **named: module.Verdict(checks))
    found = prove(ladder[0][0])
    assert found.checks == {
        "nested, every cut behind it": False,
        "nested, every carry behind it": True,
        "lineage": True,
    }
    assert found.numbers() == {"checks": 6, "held": 4}


def test_in_a_study_it_has_the_key_that_was_planned(tmp_path: pathlib.Path):
    task, recipe, store = Digits(), dataclasses.replace(RECIPE, steps=1, evaluate=1), Store(tmp_path)
    tickets = list(find(Mlp(hidden=(5,)), task, recipe, levels=1, keep=0.5, call=defer))
    goal = row(defer(prove, ticket=tickets[1], parents=tickets[1].inputs), probe="proof")
    graph = graph_of([goal])
    assert [key.partition(":")[0] for key in graph.calls] == ["draw", "train", "cut", "prove"]
    made = resolve(graph, store)[goal.of.key]
    assert all(made.checks.values()) and store.record(goal.of.key)["checks"] == made.checks
    assert store.load(goal.of.key, Measurement).tables == made.tables

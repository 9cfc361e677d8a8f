"""The study behind `make demo`: what it wants, and that its numbers are those that the verbs give by themselves."""

import json
import pathlib
from typing import Any

import pytest

from tombola import cli
from tombola.archs.mlp import Mlp
from tombola.core.seeds import Seeds
from tombola.find import carry, find
from tombola.moves.controls import Reinit, Shuffle
from tombola.probes.anatomy import anatomy
from tombola.proof import prove
from tombola.report.findings import Missing
from tombola.report.match import check, rows_of
from tombola.studies import quickstart
from tombola.study.graph import graph_of
from tombola.study.module import open_study
from tombola.tasks.digits import Digits
from tombola.train.loop import train
from tombola.train.recipes import Quickstart

SHORT = Quickstart(steps=10, evaluate=5)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """Trainings of ten steps, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(quickstart, "Quickstart", lambda: SHORT)


def ran(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    with pytest.raises(SystemExit) as stop:
        cli.main([*words, "--json"])
    assert not stop.value.code
    return json.loads(capsys.readouterr().out)


def test_what_make_demo_runs():
    study = open_study("quickstart")
    assert dict(study.settings) == {"levels": 10, "keep": 0.65, "seeds": (0, 1, 2)}
    assert study.title == "A winning ticket on digits"
    graph = graph_of(study.goals())
    kinds = [key.partition(":")[0] for key in graph.calls]
    # 3 seeds: 11 tickets, a reinit and a shuffle of each but the first; each of the 31 starts is trained.
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "draw": 3, "cut": 30, "carry": 60, "train": 93, "anatomy": 33, "prove": 3}  # fmt: skip
    assert len(graph.goals) == 93 + 33 + 3


def test_rows_are_told_apart_by_seed_level_and_name():
    goals = open_study("quickstart(levels=2, seeds=(4,))").goals()
    assert [tuple(goal.labels.values()) for goal in goals if "name" in goal.labels] == [
        (4, 0, "ticket"),
        *((4, level, name) for level in (1, 2) for name in ("ticket", "reinit", "shuffle")),
    ]
    probes = [(goal.labels["level"], goal.labels["probe"]) for goal in goals if "probe" in goal.labels]
    assert probes == [(0, "anatomy"), (1, "anatomy"), (2, "anatomy"), (2, "proof")]
    proof = goals[-1].of
    assert [one.function.name for one in proof.inputs] == ["cut", "train", "train", "train"]
    assert all("seeds=seeds(seed=4)" in one.call.text for one in proof.inputs[1:])


def test_every_claim_finds_its_rows():
    study = open_study("quickstart(levels=3)")
    rows = [Missing(labels=goal.labels, key=goal.of.key) for goal in study.goals()]
    claims = study.declared("claims")
    check(claims, rows)
    assert [claim.sentence for claim in claims] == [
        f"the ticket wins with {share} % of the weights" for share in ("65", "42", "27")
    ]
    for claim in claims:
        assert len(claim.tests) == 3
        for test in claim.tests:
            assert [len(rows_of(rows, where)) for where in (test.where, test.than)] == [3, 3]
    assert open_study("quickstart(levels=0)").declared("claims") == ()


def test_figures_and_tables_speak_of_what_is_there():
    study = open_study("quickstart")
    ((curve,), (pivot,)) = study.declared("figures"), study.declared("tables")
    rows = [Missing(labels=goal.labels, key=goal.of.key) for goal in study.goals()]
    assert len(rows_of(rows, curve.baseline)) == 3
    assert {pivot.lines, pivot.columns, *curve.arms} <= set(rows[0].labels)


def test_its_numbers_are_those_of_the_verbs(short: None, capsys: pytest.CaptureFixture[str]):
    told = ran(capsys, "run", "quickstart(levels=1, seeds=(3,))", "--workers", "1")
    rows = {
        (one["labels"].get("name", one["labels"].get("probe")), one["labels"]["level"]): one for one in told["rows"]
    }
    task, seeds = Digits(), Seeds(3)
    dense, ticket = find(Mlp(), task, SHORT, levels=1, keep=0.65, seeds=seeds)
    starts = {("ticket", 0): dense, ("ticket", 1): ticket}
    starts["reinit", 1] = carry(ticket=ticket, by=Reinit(seed=3))
    starts["shuffle", 1] = carry(ticket=ticket, by=Shuffle(seed=3))
    made: dict[Any, Any] = {n: train(ticket=one, task=task, recipe=SHORT, seeds=seeds) for n, one in starts.items()}
    parents = (made["ticket", 0], made["ticket", 1])
    made["anatomy", 0], made["anatomy", 1] = anatomy(dense), anatomy(ticket)
    made["proof", 1] = prove(ticket=ticket, parents=parents)
    assert {name: row["key"] for name, row in rows.items()} == {name: one.key for name, one in made.items()}
    times = {"seconds", "device_seconds", "images_per_second", "peak_memory", "parallel"}
    for name, one in made.items():
        there, here = rows[name]["numbers"], one.numbers()
        assert set(there) == set(here)
        assert {n: v for n, v in there.items() if n not in times} == {n: v for n, v in here.items() if n not in times}
    assert made["proof", 1].proofs() and all(made["proof", 1].proofs().values())


def test_it_is_planned_run_and_reported(short: None, capsys: pytest.CaptureFixture[str]):
    text = "quickstart(levels=1, seeds=(0, 1))"
    assert ran(capsys, "plan", text)["to_run"] == 2 * (2 + 2 + 4 + 2 + 1)
    told = ran(capsys, "run", text, "--workers", "1")
    assert told["done"] == 22 and told["missing"] == [] and [one["n"] for one in told["claims"]] == [2]
    report = ran(capsys, "report", text, "--out", "page/report.html")
    page = pathlib.Path("page/report.html").read_text()
    assert "A winning ticket on digits" in page and quickstart.QUESTION in page and text in page
    assert all(row["key"] in page for row in report["rows"]) and "the ticket wins with 65 % of the weights" in page
    before = {path: path.stat().st_mtime_ns for path in pathlib.Path("runs").rglob("record.json")}
    assert ran(capsys, "run", text)["done"] == 0 and len(before) == 22
    assert {path: path.stat().st_mtime_ns for path in pathlib.Path("runs").rglob("record.json")} == before

"""Rows of several environments: told in a caution, a table, a column, and by every claim that pairs them."""

import csv
import io
import json
import pathlib
import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from typing import Any

import pytest

from tombola.core.machine import Machine
from tombola.core.measurement import Measurement
from tombola.report import page, table, terminal
from tombola.report.cautions import cautions
from tombola.report.claim_words import evidence_text
from tombola.report.claims import Better, Claim
from tombola.report.collect import collect
from tombola.report.data import data_json
from tombola.report.environments import beneath, environments
from tombola.report.findings import Findings, StepFacts
from tombola.report.judge import judge
from tombola.study.deferred import defer
from tombola.study.environment import environment, in_words
from tombola.study.goals import row
from tombola.study.graph import Graph, graph_of
from tombola.study.module import open_study
from tombola.study.record import read_record, seal
from tombola.study.step import Context, step
from tombola.study.store import Store

Make = Callable[..., Findings]
CLAIM = Claim("c", tests=(Better(where={"name": "a"}, than={"name": "b"}),))
HERE, THERE = in_words(environment(Machine())), in_words(environment(Machine(threads=2)))


def told(make_plain: Make, **where: str) -> Findings:
    """Three seeds of two arms; those that are named (arm and seed: a0) come from another environment than X."""
    found = make_plain({("a", 1): (0.9, 0.91, 0.92), ("b", 1): (0.8, 0.81, 0.82)}, claims=(CLAIM,))
    rows = [replace(one, environment=where.get(f"{one.labels['name']}{one.labels['seed']}", "X")) for one in found.rows]
    return replace(found, rows=tuple(rows))


def words(text: str) -> str:
    body = re.sub(r"<(style|script)\b.*?</\1>", "", text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body)))


def test_one_environment_is_a_line_where_it_is_told_how_it_was_made(make_plain: Make):
    found = told(make_plain)
    assert environments(found.rows) == {"X": 6} and cautions(found) == ()
    shown = page.render(found)
    assert words(shown).count("environment X") == 1 and 'id="environments"' not in shown
    assert "environment" not in table.to_csv(found.rows)
    assert [one.mixed for one in judge(found)[0].tested] == [0]


def test_rows_that_tell_of_none_make_no_environment(make_plain: Make):
    found = told(make_plain, a0="", b0="")
    assert environments(found.rows) == {"X": 4} and cautions(found) == ()
    found = told(make_plain, a0="", a1="")
    assert cautions(found) == () and judge(found)[0].tested[0].mixed == 0


def test_several_are_cautioned_of_with_the_pairs_that_mix_them(make_plain: Make):
    found = told(make_plain, a0="Y", a1="Y", b1="Y")
    (said,) = cautions(found)
    assert said == (
        "Rows come from 2 environments: 3 from Y; 3 from X. Results of different environments differ by rounding, and "
        "their times cannot be compared. Paired comparisons mix them in 1 pair."
    )
    assert said in words(page.render(found))
    assert any(said in str(part) for part in terminal.overview(found).renderables)  # type: ignore[attr-defined]
    (tested,) = judge(found)[0].tested
    assert tested.mixed == 1 and evidence_text(tested).endswith("n = 3; 1 of 3 pairs mix environments")
    (said,) = cautions(told(make_plain, a0="Y", b0="Y"))
    assert "Paired" not in said
    (said,) = cautions(told(make_plain, a0="Y", a1="Z", a2="V"))
    assert "Rows come from 4 environments: 3 from X; 1 from Y; 1 from Z; and 1 more." in said
    assert said.endswith("mix them in 3 pairs.")


def test_a_note_on_rows_left_out_stands_beside_it(make_plain: Make):
    found = told(make_plain, a0="Y")
    found = replace(found, rows=found.rows[:-1])
    (tested,) = judge(found)[0].tested
    assert tested.note == "1 row without a counterpart left out; 1 of 2 pairs mix environments"


def test_several_are_a_table_on_the_page_and_a_column_of_the_rows(make_plain: Make):
    found = told(make_plain, a0="Y")
    shown = page.render(found)
    assert "Environments environment rows X 5 Y 1 Equal calls" in words(shown)
    read = list(csv.DictReader(io.StringIO(table.to_csv(found.rows))))
    assert [line["environment"] for line in read] == ["Y", "X", "X", "X", "X", "X"]
    assert list(read[0])[-2:] == ["environment", "key"]
    rows = json.loads(str(data_json(found)))["rows"]
    assert rows["labels"]["environment"] == {"known": ["Y", "X"], "at": [0, 1, 1, 1, 1, 1]}
    assert "environment" not in json.loads(str(data_json(told(make_plain))))["rows"]["labels"]


def test_a_label_of_that_name_stays_apart(make_plain: Make):
    found = told(make_plain, a0="Y")
    rows = tuple(replace(one, labels={**one.labels, "environment": "wet"}) for one in found.rows)
    read = list(csv.DictReader(io.StringIO(table.to_csv(rows))))
    assert (read[0]["label:environment"], read[0]["environment"]) == ("wet", "Y")
    labels = json.loads(str(data_json(replace(found, rows=rows))))["rows"]["labels"]
    assert labels["environment"]["known"] == ["wet"] and labels["made in"]["known"] == ["Y", "X"]


def test_steps_beneath_rows_of_one_environment_are_told(make_plain: Make):
    found = told(make_plain)
    steps = {
        key: StepFacts(key=key, call="c()", environment=where, versions={"torch": "2"})
        for key, where in (("s:1", "X"), ("s:2", "Y"), ("s:3", ""))
    }
    found = replace(found, steps=steps)
    assert beneath(found) == {"Y": 1}
    assert cautions(found) == ("1 step behind the rows was made in another environment than any row: 1 in Y.",)
    sets = json.loads(str(data_json(found)))["steps"]
    assert [sets["sets"][at] for at in sets["versions"]] == [
        {"environment": "X", "torch": "2"}, {"environment": "Y", "torch": "2"}, {"torch": "2"}]  # fmt: skip


@step("toy_reported")
def reported(number: float, *, context: Context = Context()) -> Measurement:
    return Measurement({"number": number + context.machine.threads / 1000})


@step("toy_reported_after")
def after(of: Measurement) -> Measurement:
    return Measurement({"number": of.values["number"]})


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "runs"


def collected(graph: Graph, store: Store) -> Findings:
    return collect(open_study("quickstart"), graph, store, command="c", failed={})


def graph(*numbers: float) -> Graph:
    return graph_of(row(defer(reported, number), seed=at) for at, number in enumerate(numbers))


def test_rows_are_told_with_their_environment(folder: pathlib.Path):
    Store(folder)(reported, 1.0)
    Store(folder, machine=Machine(threads=2))(reported, 2.0)
    found = collected(graph(1.0, 2.0), Store(folder))
    assert [one.environment for one in found.rows] == [HERE, THERE]
    assert [one.environment for one in found.steps.values()] == [HERE, THERE]
    assert Findings.from_json(found.to_json()) == found


def test_an_older_record_makes_no_environment_of_its_own(folder: pathlib.Path):
    for number in (1.0, 2.0, 3.0):
        Store(folder, machine=Machine(threads=2 if number == 3 else 1))(reported, number)
    for number in (1.0, 3.0):
        path = Store(folder).home(reported.call(number).key) / "record.json"
        record: dict[str, Any] = read_record(path)
        del record["environment"]
        path.write_bytes(seal(record))
    found = collected(graph(1.0, 2.0, 3.0), Store(folder))
    assert [one.environment for one in found.rows][:2] == [HERE, HERE]
    assert "2 threads, layout ?" in found.rows[2].environment and len(environments(found.rows)) == 2


def test_a_row_that_only_another_environment_made_says_so(folder: pathlib.Path):
    Store(folder)(reported, 1.0)
    Store(folder, machine=Machine(threads=2))(reported, 2.0)
    found = collected(graph(1.0, 2.0, 3.0), Store(folder, machine=Machine(threads=2), reuse="same"))
    assert [one.environment for one in found.rows] == [THERE]
    assert [one.why for one in found.missing] == [
        f"made in another environment only ({HERE}); --reuse any shows it",
        "not run yet",
    ]


def test_a_strange_environment_is_damage_and_the_rest_is_told(folder: pathlib.Path):
    first = Store(folder)(reported, 1.0)
    Store(folder)(after, Store(folder)(reported, 2.0))
    path = Store(folder).home(first.key) / "record.json"
    path.write_bytes(seal({**read_record(path), "environment": {"device": 3}}))
    goals = [row(defer(reported, 1.0), seed=0), row(defer(after, defer(reported, 2.0)), seed=1)]
    found = collected(graph_of(goals), Store(folder))
    assert [one.environment for one in found.rows] == [HERE]
    assert found.missing[0].why.startswith(f"damaged: the record of {first.key} tells no sound environment")

"""From a graph and a store to findings: nothing is run or loaded, and what is not there is said to be missing."""

import pathlib
import shutil
import types
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tombola.core.errors import Refused
from tombola.core.measurement import Measurement
from tombola.core.seeds import Seeds
from tombola.report.claims import Better, Claim
from tombola.report.collect import UNFIT, collect
from tombola.report.declared import Curve, Pivot
from tombola.report.findings import Findings
from tombola.report.page import render
from tombola.study.deferred import Deferred, defer
from tombola.study.goals import row
from tombola.study.graph import Graph, graph_of, resolve
from tombola.study.module import Study
from tombola.study.record import seal
from tombola.study.step import step
from tombola.study.store import Store
from tombola.tasks.digits import Digits

LAYERS = ({"layer": "head", "density": 0.5, "kept": 1, "size": 2},)
PICTURE = {"name": "first", "caption": "two pixels", "values": [[0, 1.0]]}


@step("toy_begin")
def begin(number: float, seeds: Seeds = Seeds(), task: Any = None) -> Measurement:
    return Measurement({"number": number, "test_accuracy": number}, {"is fine": True}, {"layers": LAYERS}, (PICTURE,))


@step("toy_more")
def more(of: Measurement, seeds: Seeds = Seeds(), task: Any = None) -> Measurement:
    return Measurement({"number": of.values["number"] + 1})


@step("toy_odd")
def odd(number: float, picture: Any = None) -> Measurement:
    return Measurement({"test_accuracy": number}, pictures=(picture,) if picture else ())


def study(**told: Any) -> Study:
    """A study whose module declares this."""
    module = types.ModuleType("toy", "Do numbers add up?\n\nMore.")
    module.__dict__.update({"goals": lambda *, levels=3: (), "__file__": __file__, **told})
    return Study(module, "toy.py", {"levels": 4})


def collected(graph: Graph, store: Store, of: Study | None = None, **failed: str) -> Findings:
    said = {key.replace("__", ":"): error for key, error in failed.items()}
    return collect(of or study(), graph, store, command="tombola run toy.py", failed=said)


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Store:
    return Store(tmp_path / "runs")


@pytest.fixture
def calls() -> list[Deferred]:
    """Two chains of two."""
    task = Digits()
    firsts = [defer(begin, number=n / 4, seeds=Seeds(n), task=task) for n in (1, 2)]
    return [*firsts, *(defer(more, of=first, seeds=Seeds(3), task=task) for first in firsts)]


@pytest.fixture
def graph(calls: list[Deferred]) -> Graph:
    """The ends of both chains, and the first beginning."""
    return graph_of([row(calls[2], seed=0), row(calls[3], seed=1), row(calls[0], seed=0, name="begin")])


def altered(store: Store, key: str, change: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
    (store.home(key) / "record.json").write_bytes(seal(change(store.record(key))))


def test_rows_have_what_the_records_say(graph: Graph, store: Store, calls: list[Deferred]):
    resolve(graph, store)
    found = collected(graph, store)
    assert found.missing == ()
    assert [row.key for row in found.rows] == [calls[2].key, calls[3].key, calls[0].key]
    assert [dict(row.labels) for row in found.rows] == [{"seed": 0}, {"seed": 1}, {"seed": 0, "name": "begin"}]
    first, second, third = found.rows
    assert (dict(first.numbers), dict(second.numbers)) == ({"number": 1.25}, {"number": 1.5})
    assert dict(third.numbers) == {"number": 0.25, "test_accuracy": 0.25} and dict(third.checks) == {"is fine": True}
    assert dict(third.tables["layers"][0]) == LAYERS[0]
    assert third.pictures[0].values == ((0.0, 1.0),) and third.pictures[0].caption == "two pixels"


def test_steps_are_those_behind_the_rows_with_time_and_versions(graph: Graph, store: Store, calls: list[Deferred]):
    resolve(graph, store)
    altered(store, calls[0].key, lambda one: {**one, "provenance": {
        **one["provenance"], "seconds": 2.5, "finished": "2026-01-02T03:04:05Z", "torch": "9.9",
        "commit": "0123456789abcdef", "dirty": True}})  # fmt: skip
    found = collected(graph, store)
    assert set(found.steps) == set(graph.calls)
    facts = found.steps[calls[0].key]
    assert (facts.call, facts.inputs) == (calls[0].call.text, ())
    assert (facts.seconds, facts.finished) == (2.5, "2026-01-02T03:04:05Z")
    assert facts.versions["torch"] == "9.9" and facts.versions["commit"] == "0123456789ab, with changes"
    assert found.steps[calls[2].key].inputs == (calls[0].key,)
    assert found.provenance["torch"].split("; ").count("9.9") == 1 and len(found.provenance["torch"].split("; ")) == 2
    assert "cores" in found.machine and ";" not in found.machine


def test_what_a_study_says_of_itself_is_taken_over(graph: Graph, store: Store):
    resolve(graph, store)
    claim = Claim("It is more.", tests=(Better(where={"seed": 1}, than={"seed": 0}),))
    told = {"claims": lambda *, levels: [claim] * levels, "figures": lambda: [Curve()], "tables": lambda: [Pivot()]}
    names = {
        "never": "of no row",
        "begin": "where it begins",
        "end": "where it ends",
        "one": "of two",
        "two": "the other",
    }
    goals = [*graph.goals, row(graph.goals[0].of, comparison="one against two")]
    found = collected(graph_of(goals), store, study(QUESTION="Do they?", NAMES=names, **told))
    assert list(found.names) == ["begin", "one", "two"] and found.names["begin"] == "where it begins"
    shown = render(found)
    assert "What the names mean: begin; one; two" in shown and "<dt>two</dt><dd>the other</dd>" in shown
    assert "What the names mean" not in render(collected(graph, store)) and "of no row" not in shown
    assert (found.title, found.question, found.study) == ("Do numbers add up?", "Do they?", "toy.py(levels=4)")
    assert found.command == "tombola run toy.py"
    assert (found.claims, found.figures, found.tables) == ((claim,) * 4, (Curve(),), (Pivot(),))
    assert collected(graph, store).question == "" and collected(graph, store).claims == ()


def test_what_all_calls_have_in_common(graph: Graph, store: Store):
    assert dict(collected(graph, store).about) == {"task": "digits()"}
    both = graph_of([*graph.goals, row(defer(begin, number=1.0, task=Digits(size=10)), seed=7)])
    assert dict(collected(both, store).about) == {}


def test_a_row_that_is_not_there_says_why(graph: Graph, store: Store, calls: list[Deferred]):
    store(begin, *(calls[0].call.arguments.values()))
    found = collected(graph, store)
    assert [row.key for row in found.rows] == [calls[0].key]
    assert [(one.key, dict(one.labels), one.why) for one in found.missing] == [
        (calls[2].key, {"seed": 0}, "not run yet"),
        (calls[3].key, {"seed": 1}, "not run yet"),
    ]
    failed = {calls[1].key: "no luck.", calls[2].key: "too large."}
    told = collect(study(), graph, store, command="", failed=failed)
    assert [one.why for one in told.missing] == [
        "failed: too large.",
        f"it needs {calls[1].key}, which failed: no luck.",
    ]


def test_nothing_is_there_at_all(graph: Graph, store: Store):
    found = collected(graph, store)
    assert found.rows == () and len(found.missing) == 3 and found.steps == {} and found.machine == ""
    assert "not run yet" in render(found) and not store.folder.exists()


def test_a_damaged_record_is_missing_and_the_rest_is_told(graph: Graph, store: Store, calls: list[Deferred]):
    resolve(graph, store)
    for call in (calls[1], calls[2]):  # One is a row, the other stands behind one.
        path = store.home(call.key) / "record.json"
        path.write_bytes(path.read_bytes().replace(b'"number"', b'"humber"'))
    found = collected(graph, store)
    (missing,) = found.missing
    assert missing.key == calls[2].key and missing.why.startswith("damaged: ") and "Run the study again." in missing.why
    assert len(found.rows) == 2
    assert found.steps[calls[1].key].seconds is None and found.steps[calls[1].key].call == calls[1].call.text


def test_what_was_swept_away_behind_a_row_keeps_its_call(graph: Graph, store: Store, calls: list[Deferred]):
    resolve(graph, store)
    shutil.rmtree(store.home(calls[1].key))
    found = collected(graph, store)
    assert found.missing == () and len(found.steps) == 4
    assert found.steps[calls[1].key].call == calls[1].call.text and found.steps[calls[1].key].finished == ""


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (defer(odd, number=93.0), "test_accuracy is 93.0, it must be a fraction from 0 to 1"),
        (defer(odd, number=0.5, picture={"name": "x"}), "a picture of it has no 'caption'."),
        (defer(odd, number=0.5, picture={"name": "x", "caption": "y", "values": []}), "values must be a grid"),
        (defer(odd, number=0.5, picture={"name": "x", "caption": "y", "values": [["z"]]}), "'z'"),
    ],
    ids=str,
)
def test_what_cannot_be_shown_is_missing_with_the_reason(store: Store, call: Deferred, said: str):
    graph = graph_of([row(call, seed=0), row(defer(begin, number=0.5), seed=1)])
    resolve(graph, store)
    found = collected(graph, store)
    (missing,) = found.missing
    assert missing.why.startswith(UNFIT) and said in missing.why and len(found.rows) == 1


@pytest.mark.parametrize("told", [{}, {"seconds": 1, "finished": "2026-01-02T03:04:05Z"}], ids=["nothing", "little"])
def test_a_record_may_tell_little_of_its_run(graph: Graph, store: Store, told: dict[str, Any]):
    for key in resolve(graph, store):
        altered(store, key, lambda one: {**one, "provenance": told})
    found = collected(graph, store)
    assert found.missing == () and found.machine == "?, ? cores, ?, ?"
    assert {step.seconds for step in found.steps.values()} == {told.get("seconds")}
    assert all(key in render(found) for key in found.steps)


@pytest.mark.parametrize("part", ["numbers", "checks", "header"])
def test_a_row_whose_record_lacks_a_part_is_missing(store: Store, part: str):
    graph = graph_of([row(defer(begin, number=0.5), seed=0)])
    (key,) = resolve(graph, store)
    altered(store, key, lambda one: {name: value for name, value in one.items() if name != part})
    (missing,) = collected(graph, store).missing
    assert missing.why == f"{UNFIT}: '{part}'"


def test_numbers_that_are_none_are_shown(store: Store):
    graph = graph_of([row(defer(odd, number=float("1e-3")), seed=0)])
    (key,) = resolve(graph, store)
    altered(store, key, lambda one: {**one, "numbers": {"test_accuracy": float("nan"), "test_loss": float("inf")}})
    found = collected(graph, store)
    assert repr(dict(found.rows[0].numbers)) == "{'test_accuracy': nan, 'test_loss': inf}" and found.missing == ()
    assert key in render(found)


def test_every_record_is_read_once_and_nothing_is_loaded(graph: Graph, store: Store, monkeypatch: pytest.MonkeyPatch):
    resolve(graph, store)
    read, real = Counter[str](), Store.record

    def counted(self: Store, key: str) -> dict[str, Any]:
        read[key] += 1
        return real(self, key)

    monkeypatch.setattr(Store, "record", counted)
    monkeypatch.setattr(Store, "load", lambda *words: pytest.fail("it loads"))
    monkeypatch.setattr(Store, "make", lambda *words: pytest.fail("it runs"))
    collected(graph, store)
    assert read == dict.fromkeys(graph.calls, 1)


def test_a_declaration_that_raises_is_refused(graph: Graph, store: Store):
    def claims():
        raise KeyError("gone")

    with pytest.raises(Refused, match=r"toy.py, line \d+ in claims\(\): KeyError: 'gone'"):
        collected(graph, store, study(claims=claims))


@pytest.mark.parametrize("names", [["reinit"], {"reinit": 1}, {1: "one"}])
def test_names_that_are_no_texts_are_refused(graph: Graph, store: Store, names: Any):
    with pytest.raises(Refused, match="toy.py: NAMES must be texts by name"):
        collected(graph, store, study(NAMES=names))

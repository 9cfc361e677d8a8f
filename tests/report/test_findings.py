"""Findings survive their file, and a wrong file is refused by place and name."""

import json
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tombola.core.errors import Refused
from tombola.report.claims import Agrees, Better, Beyond, Claim, NotWorse, Published, winning
from tombola.report.declared import Curve, Pivot
from tombola.report.findings import Findings, Measured, Missing, Picture, StepFacts

ROW = {"labels": {"seed": 0, "name": "a", "x": 0.5, "on": True}, "numbers": {"test_loss": 0.5}, "key": "k"}
PLAIN = {name: "" for name in ("title", "question", "study", "command")}


def text_with(**changes: object) -> str:
    row = {name: value for name, value in {**ROW, **changes}.items() if value is not ...}
    return json.dumps({"format": "tombola-findings/1", **PLAIN, "rows": [row]})


def everything(made: Findings) -> Findings:
    paper = Published(value=0.98, source="a paper", reading=0.002)
    tests = (
        Better(where={"name": "a"}, than={"name": "b"}, by=("seed", "fold"), higher=False),
        NotWorse(where={"on": True}, than={"on": False}, equal_density="any", of="test_loss"),
        Agrees(where={"level": 3}, published=paper),
        Beyond(where={"level": 3}, of="barrier", value=0.02, higher=False, error="barrier_error"),
    )
    return replace(
        made,
        claims=(Claim("all of it", tests=tests, published=paper, family="f"), winning(2)),
        figures=(Curve(by=("a", "b"), baseline={"level": 0}, log_x=False), Curve()),
        tables=(Pivot(lines="depth", columns="", where={"name": "a"}, verdicts="hide"),),
        missing=(Missing(labels={"seed": 1}, key="train:1", why="the disk was full"),),
    )


def test_round_trip(make_synthetic: Callable[..., Findings]):
    made = everything(make_synthetic(seeds=(0, 1), levels=2))
    back = Findings.from_json(made.to_json())
    assert back == made
    assert [type(test) for test in back.claims[0].tests] == [Better, NotWorse, Agrees, Beyond]
    assert back.rows[0].labels == made.rows[0].labels


@given(
    st.text(),
    st.one_of(st.floats(allow_nan=False), st.integers()),
    st.dictionaries(st.text(), st.one_of(st.text(), st.booleans(), st.integers(), st.floats(-1e300, 1e300))),
)
def test_any_text_number_and_label_round_trips(title: str, loss: float, labels: dict[str, str | int | float | bool]):
    row = Measured(labels=labels, numbers={"test_loss": loss}, key="k")
    made = Findings(**{**PLAIN, "title": title}, rows=(row,))
    back = Findings.from_json(made.to_json())
    assert back == made
    assert [type(value) for value in back.rows[0].labels.values()] == [type(value) for value in labels.values()]
    assert type(back.rows[0].numbers["test_loss"]) is type(loss)


def test_a_diverged_loss_is_written_as_a_word():
    made = Findings(**PLAIN, rows=(Measured(labels={}, numbers={"test_loss": math.nan}, key="k"),))
    assert '"nan"' in made.to_json()
    assert math.isnan(Findings.from_json(made.to_json()).rows[0].numbers["test_loss"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": {"seed": [0]}}, r"findings.rows\[0\].labels.seed: got \[0\] \(list\), this must be str or int"),
        ({"labels": {"seed": None}}, r"labels.seed: got null \(NoneType\), this must be str or int or float or bool"),
        ({"numbers": {"test_loss": "low"}}, r"numbers.test_loss: got \"low\" \(str\), this must be float"),
        ({"numbers": {"test_loss": True}}, r"numbers.test_loss: got true \(bool\), this must be int or float"),
        ({"speed": 1}, r"findings.rows\[0\]: unknown speed. Measured has labels, numbers"),
        ({"key": ...}, r"findings.rows\[0\]: key is missing"),
        ({"checks": {"zero": 1}}, r"findings.rows\[0\].checks.zero: got 1 \(int\), this must be bool"),
        ({"numbers": {"test_accuracy": 95.0}}, r"test_accuracy is 95.0, it must be a fraction"),
        ({"numbers": {"density": -0.1}}, r"density is -0.1, it must be a fraction"),
        ({"key": ""}, r"cannot be traced"),
        ({"tables": {"layers": [{"a": {}}]}}, r"tables.layers\[0\].a: got \{\} \(dict\)"),
    ],
)
def test_wrong_rows_are_refused_by_place(changes: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        Findings.from_json(text_with(**changes))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "this is not JSON"),
        ("[]", "the format is None, this reads 'tombola-findings/1'"),
        ('{"format": "tombola-findings/9"}', "the format is 'tombola-findings/9'"),
        ('{"format": "a", "format": "a"}', "the key 'format' is given twice"),
        ('{"format": NaN}', "NaN is not JSON"),
    ],
)
def test_wrong_files_are_refused(text: str, message: str):
    with pytest.raises(ValueError, match=message):
        Findings.from_json(text)


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (
            {"sentence": "s", "tests": [{"kind": "worse"}]},
            r"claims\[0\].tests\[0\]: its kind is 'worse'. Known: better",
        ),
        (
            {"sentence": "s", "tests": [{"kind": "better", "where": {}}]},
            r"tests\[0\]: than is missing. Better has where",
        ),
        ({"sentence": "s", "tests": []}, r"claims\[0\]: the claim 's' has no tests"),
        (
            {"sentence": "s", "tests": [7]},
            r"tests\[0\]: got 7 \(int\), this must be Better or NotWorse or Beyond or Agrees",
        ),
    ],
)
def test_wrong_claims_are_refused_by_place(claim: dict[str, object], message: str):
    text = json.dumps({"format": "tombola-findings/1", **PLAIN, "rows": [], "claims": [claim]})
    with pytest.raises(ValueError, match=message):
        Findings.from_json(text)


def test_a_word_that_is_not_a_choice_is_refused():
    made = Findings(**PLAIN, rows=(), tables=(Pivot(verdicts="hide"),))
    with pytest.raises(ValueError, match=r"tables\[0\].verdicts: got \"maybe\" \(str\), this must be 'show' or 'hide'"):
        Findings.from_json(made.to_json().replace('"hide"', '"maybe"'))


def test_a_step_stands_under_its_own_key():
    with pytest.raises(ValueError, match="'a' holds the step 'b'"):
        Findings(**PLAIN, rows=(), steps={"a": StepFacts(key="b", call="b()")})


def test_what_was_measured_cannot_be_changed():
    given_labels = {"seed": 0}
    row = Measured(labels=given_labels, numbers={}, key="k", tables={"t": ({"a": 1},)})
    given_labels["seed"] = 7
    assert row.labels["seed"] == 0
    with pytest.raises(TypeError):
        row.labels["seed"] = 7  # type: ignore[index]
    with pytest.raises(TypeError):
        row.tables["t"][0]["a"] = 7  # type: ignore[index]


def test_a_picture_is_a_grid_of_fractions():
    with pytest.raises(ValueError, match="every line as long as the first"):
        Picture(name="p", caption="", values=((1.0, 1.0), (1.0,)))
    with pytest.raises(ValueError, match="a value of a picture is 1.5"):
        Picture(name="p", caption="", values=((1.5,),))


def test_declared_figures_and_tables_refuse_what_cannot_be_meant():
    with pytest.raises(Refused, match="Give two different labels"):
        Pivot(lines="level", columns="level")
    with pytest.raises(Refused, match="Curve: where is 'ticket'"):
        Curve(where="ticket")  # type: ignore[arg-type]
    assert Curve(by="name").arms == ("name",) and Curve(by=("a", "b")).arms == ("a", "b")

"""A summary survives its file, and a wrong file is refused by place and name."""

import json
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tombola.report.summary import Picture, Row, Summary

GOOD = {
    "seed": 0, "name": "ticket", "level": 1, "density": 0.5, "kept": 50, "size": 100, "test_accuracy": 0.9,
    "test_loss": 0.3, "validation_accuracy": None, "seconds": 1.5, "steps": 10, "peak_memory": 1024,
    "flops_dense": 1e6, "flops_sparse": 5e5, "key": "k", "call": "train()", "checks": {"zero": True},
}  # fmt: skip


def text_with(**changes: object) -> str:
    plain = {name: "" for name in ("title", "question", "arch", "task", "recipe", "command")}
    row = {name: value for name, value in {**GOOD, **changes}.items() if value is not ...}
    return json.dumps({"format": "tombola-summary/1", **plain, "rows": [row]})


def test_round_trip(make_synthetic: Callable[..., Summary]):
    summary = make_synthetic(seeds=(0, 1), levels=2)
    assert Summary.from_json(summary.to_json()) == summary


@given(st.text(), st.floats(allow_nan=False), st.dictionaries(st.text(), st.text()))
def test_any_text_and_any_loss_round_trip(title: str, loss: float, provenance: dict[str, str]):
    row = replace(Summary.from_json(text_with()).rows[0], test_loss=loss)
    made = Summary(
        title=title, question="", arch="", task="", recipe="", command="", rows=(row,), provenance=provenance
    )
    assert Summary.from_json(made.to_json()) == made


def test_a_diverged_loss_is_written_as_a_word():
    row = replace(Summary.from_json(text_with()).rows[0], test_loss=math.nan)
    text = Summary(title="", question="", arch="", task="", recipe="", command="", rows=(row,)).to_json()
    assert '"nan"' in text
    assert math.isnan(Summary.from_json(text).rows[0].test_loss)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": True}, r"summary.rows\[0\].seed: got true \(bool\), this must be int"),
        ({"density": "0.5"}, r"summary.rows\[0\].density: got \"0.5\" \(str\), this must be float"),
        ({"speed": 1}, r"summary.rows\[0\]: unknown speed. Row has seed, name"),
        ({"key": ...}, r"summary.rows\[0\]: key is missing"),
        ({"checks": {"zero": 1}}, r"summary.rows\[0\].checks.zero: got 1 \(int\), this must be bool"),
        ({"test_accuracy": 95.0}, r"test_accuracy is 95.0, it must be a fraction"),
        ({"density": 0.4}, r"density is 0.4, but 50 of 100 is 0.5"),
        ({"kept": 101}, r"kept is 101 of size 100"),
        ({"seconds": -1.0}, r"seconds is -1.0, it must be a finite number"),
        ({"key": ""}, r"cannot be traced"),
    ],
)
def test_wrong_rows_are_refused_by_place(changes: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        Summary.from_json(text_with(**changes))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "this is not JSON"),
        ("[]", "the format is None, this reads 'tombola-summary/1'"),
        ('{"format": "tombola-summary/9"}', "the format is 'tombola-summary/9'"),
        ('{"format": "a", "format": "a"}', "the key 'format' is given twice"),
        ('{"format": NaN}', "NaN is not JSON"),
    ],
)
def test_wrong_files_are_refused(text: str, message: str):
    with pytest.raises(ValueError, match=message):
        Summary.from_json(text)


def test_a_seed_counts_once():
    row = Row(**GOOD)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="two rows for 'ticket', level 1, seed 0"):
        Summary(title="", question="", arch="", task="", recipe="", command="", rows=(row, row))


def test_what_was_measured_cannot_be_changed():
    given_checks = {"zero": True}
    row = Row(**{**GOOD, "checks": given_checks})  # type: ignore[arg-type]
    given_checks["zero"] = False
    assert row.checks["zero"]
    with pytest.raises(TypeError):
        row.checks["zero"] = False  # type: ignore[index]


def test_a_picture_is_a_grid():
    with pytest.raises(ValueError, match="every line as long as the first"):
        Picture(seed=0, name="ticket", level=0, density=1.0, values=((1.0, 1.0), (1.0,)), caption="")

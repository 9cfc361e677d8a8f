"""Measurements: by hand, through a store and back, and what is no measurement."""

import dataclasses
import math
import pathlib
from typing import Any

import pytest

from tombola.core.artifact import Parts
from tombola.core.errors import Damaged, Refused
from tombola.core.measurement import Measurement
from tombola.study.step import now, step
from tombola.study.store import Store

LAYERS = ({"layer": "head", "density": 0.5, "name": None}, {"layer": "body", "density": 1})
PICTURE = {"name": "first", "caption": "two pixels", "values": [[0.0, 1.0]]}


@step("toy_measure")
def measure(number: float) -> Measurement:
    return Measurement({"number": number, "n": 3}, {"is fine": number < 2}, {"layers": LAYERS}, (PICTURE,))


@step("toy_remeasure")
def remeasure(of: Measurement) -> Measurement:
    return Measurement({"number": of.values["number"] + 1})


def test_numbers_and_proofs_are_copies():
    one = Measurement({"number": 1.0}, {"is fine": True})
    assert one.numbers() == {"number": 1.0} and one.proofs() == {"is fine": True}
    one.numbers()["number"] = 2.0
    one.proofs().clear()
    assert one.numbers() == {"number": 1.0} and one.proofs() == {"is fine": True}


def test_one_made_by_hand_has_a_key_of_its_content():
    one = Measurement({"number": 1.0}, {"is fine": True}, {"layers": LAYERS}, (PICTURE,))
    assert one.key == dataclasses.replace(one, values={"number": 1.0}).key
    assert Measurement({"a": 1.0, "b": 2.0}).key == Measurement({"b": 2.0, "a": 1.0}).key
    assert one.key.startswith("measurement:") and len(one.key.partition(":")[2]) == 16
    others = [
        dataclasses.replace(one, values={"number": 2.0}),
        dataclasses.replace(one, values={"other": 1.0}),
        dataclasses.replace(one, values={"number": math.nan}),
        dataclasses.replace(one, checks={"is fine": False}),
        dataclasses.replace(one, tables={"layers": LAYERS[:1]}),
        dataclasses.replace(one, pictures=()),
    ]
    assert len({one.key, *(other.key for other in others)}) == 7


def test_one_that_a_call_made_has_the_key_of_the_call():
    call = measure.call(number=1.0)
    assert now(measure, number=1.0).key == call.key
    assert Measurement({}).stamped(call).key == call.key


@pytest.mark.parametrize("number", [1.5, math.nan, math.inf, -math.inf], ids=str)
def test_through_a_store_and_back(tmp_path: pathlib.Path, number: float):
    """What is no number is kept as it is: a diverged network may have no accuracy, and a page can say so."""
    store = Store(tmp_path / "runs")
    made = store(measure, number=1.0) if math.isnan(number) else now(measure, 1.0)
    values = {"number": number, "n": 3}
    made = dataclasses.replace(made, values=values)
    back = Measurement.from_parts(made.parts())
    assert back.key == made.key and repr(back.numbers()) == repr(values)
    assert back.checks == {"is fine": True} and back.tables == {"layers": LAYERS} and back.pictures == (PICTURE,)


@step("toy_divide")
def divide(by: float, of: Measurement | None = None) -> Measurement:
    return Measurement({"number": 1 / by if by else math.nan, "most": math.inf})


def test_a_store_loads_what_it_kept(tmp_path: pathlib.Path):
    store, again = Store(tmp_path / "runs"), Store(tmp_path / "runs")
    for kept, function, arguments in (
        (store(measure, number=1.0), measure, {"number": 1.0}),
        (store(divide, by=0.0), divide, {"by": 0.0}),
    ):
        back = again(function, **arguments)
        assert back.key == kept.key and back is not kept
        assert (back.checks, back.tables, back.pictures) == (kept.checks, kept.tables, kept.pictures)
        assert repr(back.numbers()) == repr(kept.numbers()) == repr(store.record(kept.key)["numbers"])
        assert store.record(kept.key)["checks"] == kept.proofs()
    assert math.isnan(again.load(divide.call(by=0.0).key, Measurement).values["number"])
    assert store(remeasure, of=store(measure, number=1.0)).values == {"number": 2.0}


@pytest.mark.parametrize("lacking", ["numbers", "checks", "tables", "pictures", "made_by"])
def test_a_header_that_lacks_something_is_damaged(lacking: str):
    header: dict[str, Any] = {**now(measure, number=1.0).parts().header}
    del header[lacking]
    with pytest.raises(Damaged, match=f"not a sound measurement: '{lacking}' is not in it."):
        Measurement.from_parts(Parts(header, {}))


def test_an_altered_number_is_never_returned(tmp_path: pathlib.Path):
    store = Store(tmp_path / "runs")
    kept = store(measure, number=1.0)
    path = store.home(kept.key) / "record.json"
    path.write_text(path.read_text().replace('"number": 1.0', '"number": 9.0'))
    with pytest.raises(Damaged, match="does not match the digest"):
        store.load(kept.key, Measurement)
    assert store(measure, number=1.0).values["number"] == 1.0  # Made again.


def test_what_is_no_plain_number_cannot_be_kept(tmp_path: pathlib.Path):
    @step("toy_odd")
    def odd() -> Measurement:
        return Measurement({"number": pathlib.Path()})  # type: ignore[dict-item]

    with pytest.raises(Refused, match=r"^a Measurement's 'number' is a PosixPath\. Its values are numbers\.$"):
        Store(tmp_path / "runs")(odd)
    assert Store(tmp_path / "runs").keys() == []
    with pytest.raises(Refused, match=r"^a Measurement's 'yes' is a bool\. Its values are numbers\.$"):
        Measurement({"yes": True})
    with pytest.raises(Refused, match=r"^a Measurement's check 'held' is a int\. It is True or False\.$"):
        Measurement({}, checks={"held": 1})  # type: ignore[dict-item]

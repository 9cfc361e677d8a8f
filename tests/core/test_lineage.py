from typing import Any

import pytest

from tombola.core.call import Call
from tombola.core.errors import Damaged
from tombola.core.lineage import Event, Lineage


def test_calls_in_order():
    draw, cut = Call("draw", 1, {"seed": 3}), Call("cut", 1, {"keep": 0.5})
    lineage = Lineage().then(draw, digest="a").then(cut, digest="b").then(cut, digest="c")
    assert [event.call for event in lineage] == ["draw(seed=3)", "cut(keep=0.5)", "cut(keep=0.5)"]
    assert [event.key for event in lineage] == [draw.key, cut.key, cut.key]
    assert (len(lineage), lineage.count("cut"), lineage.count("draw"), lineage.count("train")) == (3, 2, 1, 0)
    assert lineage.last.digest == "c" and lineage.last.function == "cut"
    assert Lineage.from_json(lineage.to_json()) == lineage
    assert Lineage().last == Event("", "", "")


def test_the_key_is_that_of_the_content():
    call = Call("draw", 1, {})
    lineage = Lineage().then(call, digest="d" * 32)
    assert lineage.key_for("d" * 32, otherwise="ticket") == call.key
    assert lineage.key_for("e" * 32, otherwise="ticket") == "ticket:" + "e" * 16
    assert Lineage().key_for("e" * 32, otherwise="ticket") == "ticket:" + "e" * 16
    assert Lineage().key_for("", otherwise="ticket") == "ticket:"


@pytest.mark.parametrize(
    "data",
    [None, 1, "x", {}, [1], [[]], [["a", "b"]], [["a", "b", "c", "d"]], [["a", "b", 1]], [("a", "b", "c")], ["abc"]],
)
def test_data_of_another_form(data: Any):
    with pytest.raises(Damaged, match="the lineage"):
        Lineage.from_json(data)

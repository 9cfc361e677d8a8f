"""Rows of a study."""

import pytest

from tests.study.toys import add
from tombola.core.errors import Refused
from tombola.study.deferred import defer
from tombola.study.goals import row
from tombola.study.step import now


def test_a_row_holds_a_deferred_call_and_its_labels():
    late = defer(add, 1.0)
    goal = row(late, name="ticket", level=3, density=0.5, wins=True)
    assert goal.of is late
    assert goal.labels == {"name": "ticket", "level": 3, "density": 0.5, "wins": True}
    assert row(late).labels == {}


def test_what_is_not_deferred_is_refused():
    with pytest.raises(Refused, match=r"^row\(\) takes a deferred call and was given a Sum\. .* through defer: row\("):
        row(now(add, 1.0), seed=0)
    with pytest.raises(Refused, match=r"^row\(\) takes a deferred call and was given a Step\."):
        row(add)


@pytest.mark.parametrize("value", [None, (1, 2), [1], {"a": 1}, add])
def test_labels_are_plain_values(value: object):
    kind = type(value).__name__
    with pytest.raises(
        Refused, match=rf"^row\(\): label 'level' is a {kind}\. Labels are text, numbers, or yes and no"
    ):
        row(defer(add, 1.0), seed=0, level=value)


def test_a_label_that_is_a_number_is_finite():
    with pytest.raises(Refused, match=r"^row\(\): label 'level' is nan\. A label that is a number is finite\.$"):
        row(defer(add, 1.0), level=float("nan"))

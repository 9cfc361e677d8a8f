"""Factors of the learning rate, by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tombola.core.errors import Refused
from tombola.train.schedules import Constant, Cosine, DrawnIn, Linear, Schedule, StepDecay


def test_constant():
    assert [Constant()(step, 10) for step in (0, 5, 9)] == [1.0, 1.0, 1.0]


def test_steps_drop_at_their_times_and_not_before():
    schedule = StepDecay(at=(2, 4), factor=0.5)
    assert [schedule(step, 6) for step in range(6)] == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    assert StepDecay(at=())(3, 6) == 1.0
    assert StepDecay(at=(0,), factor=0.1)(0, 6) == 0.1


def test_cosine():
    assert [round(Cosine()(step, 6), 12) for step in range(7)] == [
        1.0,
        round((1 + math.sqrt(3) / 2) / 2, 12),
        0.75,
        0.5,
        0.25,
        round((1 - math.sqrt(3) / 2) / 2, 12),
        0.0,
    ]
    assert [round(Cosine(floor=0.2)(step, 2), 12) for step in range(3)] == [1.0, 0.6, 0.2]


def test_linear():
    assert [Linear()(step, 4) for step in range(5)] == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert [Linear(floor=0.5)(step, 4) for step in range(5)] == [1.0, 0.875, 0.75, 0.625, 0.5]


def test_the_rest_of_a_schedule_drawn_in_has_its_rates_from_the_start_on():
    drops = DrawnIn(of=StepDecay(at=(100, 150)), start=100, end=200)
    assert [round(drops(step, 120), 9) for step in (99, 100, 109, 110, 119)] == [1.0, 0.1, 0.1, 0.01, 0.01]
    half = DrawnIn(of=Cosine(), start=50, end=100)
    assert [half(step, 60) for step in range(50, 61)] == [Cosine()(step, 100) for step in range(50, 101, 5)]
    late = DrawnIn(of=StepDecay(at=("3ep",)), start=5, end=20)
    assert late.in_steps(4) == DrawnIn(of=StepDecay(at=(12,)), start=5, end=20)
    for start, end in ((-1, 5), (5, 5)):
        with pytest.raises(Refused, match="there is no part of a training"):
            DrawnIn(of=Constant(), start=start, end=end)


def test_times_of_schedules_become_steps():
    assert StepDecay(at=("56ep", "71ep", 7, "9it")).in_steps(391) == StepDecay(at=(21_896, 27_761, 7, 9))
    assert StepDecay(at=("1ep",), factor=0.5).in_steps(10).factor == 0.5
    for schedule in (Constant(), Cosine(floor=0.1), Linear()):
        assert schedule.in_steps(10) is schedule


@given(
    st.sampled_from([Constant(), Cosine(), Cosine(floor=0.3), Linear(), Linear(floor=1.0), StepDecay(at=(3, 50))]),
    st.integers(1, 500),
    st.data(),
)
def test_factors_never_rise_and_stay_between_floor_and_one(schedule: Schedule, steps: int, data: st.DataObject):
    step = data.draw(st.integers(0, steps - 1))
    now, later = schedule(step, steps), schedule(step + 1, steps)
    assert getattr(schedule, "floor", 0.0) - 1e-12 <= later <= now <= 1.0


def test_what_makes_no_sense_is_refused():
    for floor in (-0.1, 1.1):
        for kind in (Cosine, Linear):
            with pytest.raises(Refused, match=f"^floor is {floor}. It is a fraction of the rate, between 0 and 1.$"):
                kind(floor=floor)
    with pytest.raises(Refused, match=r"^step: field 'factor' is -1.0. The rate is multiplied by it: 0 or more\.$"):
        StepDecay(at=(1,), factor=-1.0)
    with pytest.raises(Refused, match=r"^step: field 'factor' is nan\. It must be a finite number\.$"):
        StepDecay(at=(1,), factor=float("nan"))
    with pytest.raises(Refused, match=r"^step: field 'at' is 'soon'\. Write steps as 500 or '500it'"):
        StepDecay(at=(1, "soon"))
    with pytest.raises(Refused, match=r"^step: field 'at' is -1\. Steps are counted from 0"):
        StepDecay(at=(-1,))

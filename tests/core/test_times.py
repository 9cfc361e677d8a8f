"""Times as people write them, in steps."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tombola.core.errors import Refused
from tombola.core.times import checked, in_steps


@pytest.mark.parametrize(
    ("value", "epoch", "steps"),
    [
        (0, 469, 0),
        (500, 469, 500),
        ("500it", 469, 500),
        ("0it", 469, 0),
        ("85ep", 391, 33_235),
        ("160ep", 391, 62_560),
        ("0ep", 391, 0),
        ("0.5ep", 391, 196),
        ("0.5ep", 4, 2),
        ("1.5ep", 7, 11),
        ("24000it", 1000, 24_000),
        ("2.5it", 10, 3),
    ],
)
def test_times_in_steps(value: int | str, epoch: int, steps: int):
    assert in_steps(value, epoch=epoch) == steps
    assert checked(value, where="x") == value


@given(st.integers(0, 500), st.integers(1, 5000))
def test_whole_epochs_and_steps_are_exact(number: int, epoch: int):
    assert in_steps(f"{number}ep", epoch=epoch) == number * epoch
    assert in_steps(f"{number}it", epoch=epoch) == in_steps(number, epoch=epoch) == number


@given(st.integers(0, 100), st.integers(0, 999), st.integers(1, 2000))
def test_fractions_of_an_epoch_are_rounded_up_by_less_than_a_step(whole: int, thousandths: int, epoch: int):
    exact = (whole + Fraction(thousandths, 1000)) * epoch
    assert exact <= in_steps(f"{whole}.{thousandths:03d}ep", epoch=epoch) <= exact + 1


@pytest.mark.parametrize(("value", "epoch", "steps"), [("0.07ep", 100, 7), ("0.14ep", 50, 7), ("0.28ep", 25, 7)])
def test_fractions_of_an_epoch_are_taken_as_written(value: str, epoch: int, steps: int):
    assert in_steps(value, epoch=epoch) == steps


@pytest.mark.parametrize("value", ["", "ep", "5", "-3ep", "5 ep", "5epochs", "1e3it", ".5ep", "5.ep", "x"])
def test_what_is_no_time_is_refused(value: str):
    with pytest.raises(Refused) as caught:
        checked(value, where="recipe: field 'steps'")
    assert str(caught.value) == (
        f"recipe: field 'steps' is '{value}'. Write steps as 500 or '500it', epochs as '85ep'."
    )


def test_times_before_the_start_are_refused():
    with pytest.raises(Refused, match=r"^recipe: field 'warmup' is -1\. Steps are counted from 0\.$"):
        checked(-1, where="recipe: field 'warmup'")

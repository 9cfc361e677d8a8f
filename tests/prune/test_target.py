"""How many weights a cut leaves, exactly."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tombola.core.errors import Refused
from tombola.prune import target

# A busy machine is slow now and then, which is no failure.
BUSY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize(
    ("living", "keep", "rounding", "stay"),
    [
        (
            20,
            0.65,
            "ceil",
            13,
        ),  # (1 - 0.65) * 20 is 7.0 in decimals, 6.999... in binary and 7.000000000000001 in another.
        (20, 0.65, "floor", 13),
        (20, 0.65, "one_more", 12),
        (20, 0.64, "ceil", 12),
        (20, 0.64, "floor", 13),
        (100, 0.7, "ceil", 70),
        (1000, 0.9, "ceil", 900),
        (10, 0.3, "floor", 3),
        (10, 1.0, "one_more", 10),  # A cut that keeps all is no cut.
        (1, 0.8, "ceil", 0),
        (1, 0.8, "floor", 1),
        (1, 0.8, "one_more", 0),
        (0, 0.5, "one_more", 0),
        (10, 0.999, "floor", 10),  # Amounts that round to nothing.
        (10, 0.999, "ceil", 9),
        (10**9, 1e-9, "floor", 1),
    ],
)
def test_target_by_hand(living: int, keep: float, rounding: str, stay: int):
    assert target(living, living, keep=keep, density=None, rounding=rounding) == stay


@BUSY
@given(living=st.integers(0, 10**9), keep=st.decimals("0.000001", "1", places=6))
def test_target_is_exact_in_decimals(living: int, keep: Decimal):
    pruned = (1 - keep) * living
    for rounding, mode in (("ceil", ROUND_CEILING), ("floor", ROUND_FLOOR)):
        stay = living - int(pruned.to_integral_value(mode))
        assert target(living, living, keep=float(keep), density=None, rounding=rounding) == stay


@BUSY
@given(size=st.integers(1, 10**9), density=st.decimals("0.000001", "1", places=6))
def test_a_density_is_rounded_to_the_nearest_weight(size: int, density: Decimal):
    stay = target(size, size, keep=None, density=float(density))
    assert abs(stay - density * size) <= Decimal("0.5")


def test_a_number_of_numpy_is_the_number():
    assert target(20, 20, keep=np.float64(0.65), density=None) == 13
    assert target(20, 20, keep=None, density=np.float64(0.25)) == 5


@pytest.mark.parametrize("keep", [0.0, -0.1, 1.0001, float("nan"), float("inf")])
def test_impossible_fractions_are_refused(keep: float):
    with pytest.raises(Refused, match="keep is"):
        target(10, 10, keep=keep, density=None)
    with pytest.raises(Refused, match="density is"):
        target(10, 10, keep=None, density=keep)


def test_a_cut_takes_either_a_rate_or_a_density():
    for keep, density in ((0.5, 0.5), (None, None)):
        with pytest.raises(Refused, match="neither was given" if keep is None else "both were given"):
            target(10, 10, keep=keep, density=density)

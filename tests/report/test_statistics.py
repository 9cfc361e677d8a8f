"""Means, intervals and verdicts against small sums and the printed tables of Student's t."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tombola.report.statistics import Lead, holm, interval, needed, paired, sample, verdict, verdicts


def test_sample_by_hand():
    found = sample([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0])  # Squared deviations: 9+1+1+1+0+0+4+16 = 32.
    assert (found.n, found.mean, found.low, found.high) == (8, 5.0, 2.0, 9.0)
    assert found.sd == pytest.approx(math.sqrt(32 / 7))


def test_one_value_has_no_spread_and_none_is_refused():
    assert sample([0.5]).sd is None
    assert interval([0.5]) is None
    with pytest.raises(ValueError, match="needs at least one"):
        sample([])


@pytest.mark.parametrize(("n", "t"), [(2, 12.706), (3, 4.303), (5, 2.776), (10, 2.262), (30, 2.045)])
def test_interval_uses_the_printed_t_table(n: int, t: float):
    """Two-sided 95 % points of Student's t with n - 1 degrees of freedom, as printed in any table."""
    values = [float(i) for i in range(n)]
    low, high = interval(values) or (0.0, 0.0)
    sd = math.sqrt(n * (n + 1) / 12)  # Of 0, 1, ..., n - 1.
    assert (low + high) / 2 == pytest.approx((n - 1) / 2)
    assert (high - low) / 2 == pytest.approx(t * sd / math.sqrt(n), rel=2e-4)


def test_interval_at_another_confidence():
    low, high = interval([1.0, 2.0, 3.0], confidence=0.9) or (0.0, 0.0)
    assert (high - low) / 2 == pytest.approx(2.920 / math.sqrt(3), rel=2e-4)


def test_paired_keeps_shared_seeds_in_order():
    assert paired({3: 5.0, 1: 2.0, 9: 1.0}, {1: 1.0, 3: 1.0, 4: 0.0}) == (1.0, 4.0)


def test_p_value_from_the_printed_table():
    """Mean 1, sd 1, n = 5: t = sqrt(5) / 1 = 2.236; shifted so that t is the table's 2.776, p is 0.05."""
    differences = (0.0, 1.0, 2.0, 1.0 - math.sqrt(0.5) * 1.0, 1.0 + math.sqrt(0.5) * 1.0)
    sd = math.sqrt((1 + 1 + 0.5 + 0.5) / 4)
    bound = 1.0 - 2.7764 * sd / math.sqrt(5)
    assert Lead("c", differences, bound).p == pytest.approx(0.05, rel=1e-3)


def test_holm_by_hand():
    """0.01 * 4, then 0.02 * 3, then max(0.06, 0.03 * 2), then max(0.06, 0.04): Holm's steps."""
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx((0.06, 0.04, 0.06, 0.06))
    assert holm([]) == ()
    assert holm([0.9, 0.8]) == (1.0, 1.0)


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_keeps_the_order_and_lies_between_the_raw_and_bonferroni(ps: list[float]):
    adjusted = holm(ps)
    for p, corrected in zip(ps, adjusted, strict=True):
        assert p <= corrected + 1e-12
        assert corrected <= min(1.0, p * len(ps)) or corrected <= max(adjusted)
    ranked = sorted(range(len(ps)), key=lambda i: ps[i])
    assert [adjusted[i] for i in ranked] == sorted(adjusted)


MARGIN = 0.002


@pytest.mark.parametrize(
    ("differences", "outcome"),
    [
        ((-0.001, 0.0, 0.001), "holds"),
        ((-0.001, 0.0, -0.0021), "undecided"),
        ((-0.003, -0.004, -0.0025), "fails"),
        ((-0.001,), "undecided"),
        ((-0.1,), "undecided"),
        ((-0.001, 0.0), "holds"),
    ],
)
def test_few_seeds_are_clear_only_when_all_agree(differences: tuple[float, ...], outcome: str):
    found = verdict(Lead("dense", differences, bound=-MARGIN))
    assert (found.outcome, found.basis, found.n) == (outcome, "clear", len(differences))
    assert (found.needed is None) == (outcome != "undecided")


def test_better_than_a_control_must_clear_the_margin_when_seeds_are_few():
    assert verdict(Lead("reinit", (0.003, 0.004), 0.0, clearance=MARGIN)).outcome == "holds"
    assert verdict(Lead("reinit", (0.001, 0.004), 0.0, clearance=MARGIN)).outcome == "undecided"
    assert verdict(Lead("reinit", (-0.001, -0.004), 0.0, clearance=MARGIN)).outcome == "undecided"
    assert verdict(Lead("reinit", (-0.003, -0.004), 0.0, clearance=MARGIN)).outcome == "fails"


def test_a_statement_holds_when_all_claims_do_and_fails_with_one():
    good, bad = Lead("a", (1.0, 1.1), 0.0), Lead("b", (-1.0, -1.1), 0.0)
    open_ = Lead("c", (-1.0, 1.0), 0.0)
    assert verdict(good, good).outcome == "holds"
    assert verdict(good, bad, open_).outcome == "fails"
    assert verdict(good, open_).outcome == "undecided"
    assert verdict().outcome == "undecided"


def test_from_five_seeds_the_interval_decides():
    """sd 1, n = 5: the half width is 2.776 / sqrt(5) = 1.2416; means just inside and outside of it."""
    unit = [-math.sqrt(2), 0.0, 0.0, 0.0, math.sqrt(2)]  # Squares sum to 4, so sd is 1.
    for mean, outcome in [(1.25, "holds"), (1.23, "undecided"), (-1.25, "fails"), (-1.23, "undecided")]:
        found = verdict(Lead("c", tuple(u + mean for u in unit), bound=0.0))
        assert (found.outcome, found.basis) == (outcome, "interval")
    assert verdict(Lead("c", (0.1,) * 5, bound=0.0)).outcome == "holds"  # No spread at all: p is 0.
    assert verdict(Lead("c", (0.0,) * 5, bound=0.0)).outcome == "undecided"


def test_a_family_is_corrected_by_holm():
    """p just below 0.05 decides alone, but not beside another one: 2 * p is above 0.05."""
    unit = [-math.sqrt(2), 0.0, 0.0, 0.0, math.sqrt(2)]
    near = [Lead("c", tuple(u + 1.25 for u in unit), bound=0.0)]
    sure = [Lead("c", tuple(u + 50.0 for u in unit), bound=0.0)]
    assert [found.outcome for found in verdicts([near])] == ["holds"]
    assert [found.outcome for found in verdicts([near, near])] == ["undecided", "undecided"]
    assert [found.outcome for found in verdicts([near, sure])] == ["holds", "holds"]
    assert all((found.needed or 0) > 5 for found in verdicts([near, near]))


def test_one_failed_claim_among_two_is_corrected():
    """p just below 0.05 against one claim is not enough beside another: 2 * p is above 0.05."""
    unit = [-math.sqrt(2), 0.0, 0.0, 0.0, math.sqrt(2)]
    bad, good = (Lead("c", tuple(u + mean for u in unit), bound=0.0) for mean in (-1.25, 50.0))
    assert verdict(bad).outcome == "fails"
    assert verdict(bad, good).outcome == "undecided"


def test_needed_by_hand():
    """sd 1, mean 1: t * 1 / sqrt(n) < 1. n = 6: 2.571 / 2.449 = 1.050. n = 7: 2.447 / 2.646 = 0.925."""
    assert needed(Lead("c", (0.0, 1.0, 2.0), bound=0.0)) == 7
    assert needed(Lead("c", (1.0,), bound=0.0)) == 5
    assert needed(Lead("c", (-1.0, 1.0), bound=0.0)) is None
    assert needed(Lead("c", (1.0, 1.0), bound=0.0)) == 5


def test_equal_values_have_no_spread():
    """Three times 0.05 has a mean that differs from it in the last bit."""
    assert sample([0.05, 0.05, 0.05]).sd == 0.0 and sample([0.1, 0.1, 0.1]).sd == 0.0

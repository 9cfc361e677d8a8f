"""Correlations of numbers that are chosen by hand, and against scipy's."""

import math

import numpy as np
import pytest
from scipy import stats

from tombola.core.errors import Refused
from tombola.core.measurement import Measurement
from tombola.probes.correlation import correlation


def of(name: str, *values: float) -> tuple[Measurement, ...]:
    return tuple(Measurement({name: value, "place": float(n)}) for n, value in enumerate(values))


X, Y = (0.1, 0.4, 0.2, 0.2, 0.9, 0.5), (1.0, 3.0, 2.0, 1.5, 2.5, 4.0)


def test_against_scipy():
    found = correlation(of("shift", *X), of("loss", *Y), "shift", "loss").numbers()
    assert found["spearman"] == pytest.approx(stats.spearmanr(X, Y).statistic)
    assert found["pearson"] == pytest.approx(stats.pearsonr(X, Y).statistic)
    exact = stats.permutation_test((X,), lambda x: stats.spearmanr(x, Y).statistic, permutation_type="pairings").pvalue
    assert found["p"] == pytest.approx(exact, abs=0.015)
    rng = np.random.default_rng(1)
    draws = [rng.integers(6, size=6) for _ in range(2000)]
    again = [stats.spearmanr(np.array(X)[d], np.array(Y)[d]).statistic for d in draws if len(set(d)) > 2]
    low, high = np.nanquantile(again, [0.025, 0.975])
    assert (found["spearman_low"], found["spearman_high"]) == pytest.approx((low, high), abs=0.06)


def test_several_of_y_are_averaged():
    """Seeds of a pair stand together: means 1, 2, 3, 4."""
    x, y = of("shift", 1.0, 2.0, 3.0, 4.0), of("loss", 0.0, 2.0, 1.0, 3.0, 2.0, 4.0, 3.0, 5.0)
    found = correlation(x, y, "shift", "loss")
    assert found.numbers()["spearman"] == pytest.approx(1)
    assert [line["loss"] for line in found.tables["pairs"]] == [1.0, 2.0, 3.0, 4.0]
    assert [line["n"] for line in found.tables["pairs"]] == [2] * 4
    assert found.tables["pairs"][0]["sd"] == pytest.approx(math.sqrt(2))


def test_equal_numbers_have_no_correlation():
    found = correlation(of("shift", *[1.0] * 4), of("loss", 1.0, 2.0, 3.0, 4.0), "shift", "loss").numbers()
    assert found == {"pairs": 4}


def test_what_does_not_match():
    four = of("shift", 1.0, 2.0, 3.0, 4.0)
    with pytest.raises(Refused, match="3 measurements and 3"):
        correlation(four[:3], four[:3], "shift", "place")
    with pytest.raises(Refused, match="4 measurements and 6"):
        correlation(four, of("loss", *Y), "shift", "loss")
    with pytest.raises(Refused, match="no finite number 'lost'. It has shift, place"):
        correlation(four, four, "shift", "lost")
    with pytest.raises(Refused, match="no finite number 'shift'"):
        correlation((*four[:3], *of("shift", math.inf)), four, "shift", "place")

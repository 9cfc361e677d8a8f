"""Confidence against sums over examples one by one, searches on a grid, and numbers worked by hand."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from tombola.core.errors import Refused
from tombola.core.seeds import numbers
from tombola.probes.calibration import COLDEST, HOTTEST, brier, ece, ece_mass, nll, temperature


def drawn(number: int = 200, classes: int = 4, *, sharp: float = 2.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outputs, their softmax, and targets that follow other probabilities."""
    rng = numbers("toy", "calibration", number, classes)
    outputs = sharp * rng.normal(size=(number, classes))
    likely = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    true = np.exp(outputs / 3) / np.exp(outputs / 3).sum(1, keepdims=True)
    return outputs, likely, np.array([rng.choice(classes, p=p) for p in true])


def by_bins(likely: np.ndarray, targets: np.ndarray, bin_of: list[int]) -> float:
    """The calibration error from the definition, example by example."""
    total = 0.0
    for one in set(bin_of):
        inside = [i for i, b in enumerate(bin_of) if b == one]
        confidence = math.fsum(max(likely[i]) for i in inside) / len(inside)
        accuracy = sum(int(np.argmax(likely[i])) == targets[i] for i in inside) / len(inside)
        total += len(inside) / len(bin_of) * abs(accuracy - confidence)
    return total


def test_likelihood_and_brier_score_one_by_one():
    outputs, likely, targets = drawn()
    expected = float(functional.cross_entropy(torch.from_numpy(outputs), torch.from_numpy(targets)))
    assert nll(outputs, targets) == pytest.approx(expected, rel=1e-13)
    squares = [sum((p - (k == t)) ** 2 for k, p in enumerate(row)) for row, t in zip(likely, targets, strict=True)]
    assert brier(likely, targets) == pytest.approx(math.fsum(squares) / len(squares), rel=1e-12)


def test_brier_of_two_classes_is_not_halved():
    assert brier(np.array([[0.7, 0.3], [0.4, 0.6]]), np.array([0, 0])) == pytest.approx((0.18 + 0.72) / 2)


def test_likelihood_of_what_is_thought_impossible():
    """From probabilities it would be cut off at about 36 or be infinite."""
    assert nll(np.array([[1000.0, 0.0]]), np.array([1])) == 1000.0


@pytest.mark.parametrize("bins", [1, 3, 15])
def test_bins_of_equal_width(bins: int):
    _, likely, targets = drawn()
    bin_of = [int(max(row) * bins) for row in likely]
    assert ece(likely, targets, bins=bins) == pytest.approx(by_bins(likely, targets, bin_of), abs=1e-6)


def test_certainty_counts_to_the_last_bin():
    """Half sure and wrong, half nearly sure and right: in one bin they make up for each other in part."""
    likely = np.array([[1.0, 0.0], [1.0 - 1e-12, 1e-12], [0.96, 0.04], [0.95, 0.05]])
    targets = np.array([1, 0, 0, 0])
    assert ece(likely, targets, bins=10) == pytest.approx(abs(0.75 - (2 + 0.96 + 0.95) / 4), abs=1e-6)


def test_bins_of_equal_mass():
    _, likely, targets = drawn(203)
    order = np.argsort(likely.max(1))
    edges = [turn * 203 // 15 for turn in range(16)]
    bin_of = [0] * 203
    for number in range(15):
        for place in order[edges[number] : edges[number + 1]]:
            bin_of[place] = number
    assert ece_mass(likely, targets, bins=15) == pytest.approx(by_bins(likely, targets, bin_of), abs=1e-12)
    shuffled = numbers("toy", "shuffle").permutation(203)
    assert ece_mass(likely[shuffled], targets[shuffled]) == pytest.approx(ece_mass(likely, targets), abs=1e-12)


def test_equal_confidences_share_a_bin():
    likely = np.array([[0.9, 0.1]] * 4 + [[0.6, 0.4]] * 2)
    targets = np.array([0, 1, 0, 0, 1, 1])
    assert ece_mass(likely, targets, bins=6) == pytest.approx((4 * 0.15 + 2 * 0.6) / 6)
    assert ece_mass(likely[:4], targets[:4], bins=3) == pytest.approx(0.15)
    assert ece_mass(likely, targets, bins=50) == pytest.approx((4 * 0.15 + 2 * 0.6) / 6), "more bins than examples"


def test_no_bins_are_refused():
    _, likely, targets = drawn(5)
    for error in (ece, ece_mass):
        with pytest.raises(Refused, match="0 bins is asked for"):
            error(likely, targets, bins=0)


def test_the_best_temperature_is_found():
    outputs, _, targets = drawn(400)
    found = temperature(outputs, targets)
    grid = np.exp(np.linspace(np.log(0.2), np.log(20), 4001))
    values = [nll(outputs / one, targets) for one in grid]
    assert found == pytest.approx(grid[int(np.argmin(values))], rel=2e-3)
    assert nll(outputs / found, targets) <= min(values)
    assert temperature(5 * outputs, targets) == pytest.approx(5 * found, rel=1e-9)
    slope = (nll(outputs / (found + 1e-5), targets) - nll(outputs / (found - 1e-5), targets)) / 2e-5
    assert abs(slope) < 1e-7


def test_where_there_is_no_best_temperature():
    right = np.array([[3.0, 0.0], [0.0, 2.0]])
    assert temperature(right, np.array([0, 1])) == COLDEST
    assert temperature(right, np.array([1, 0])) == HOTTEST
    assert temperature(1000 * right, np.array([0, 1])) == COLDEST

"""Telling two sets apart, against counts over all pairs and all thresholds."""

import itertools
import math

import numpy as np
import pytest

from tests.probes.given import Given, passing
from tombola.core.errors import Refused
from tombola.core.seeds import numbers
from tombola.probes.detection import detection, energy, max_softmax, told_apart

COARSE = [
    np.round(numbers("toy", "scores", word).normal(loc=shift, size=size), 1)
    for word, shift, size in (("in", 0.7, 60), ("out", 0.0, 45))
]


def by_pairs(inside: np.ndarray, outside: np.ndarray) -> float:
    wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in itertools.product(inside, outside)]
    return sum(wins) / len(wins)


def by_thresholds(inside: np.ndarray, outside: np.ndarray) -> tuple[float, float]:
    """Average precision, and the share from outside that passes where 95 % from inside do."""
    area, recall, passes = 0.0, 0.0, None
    for bar in sorted({*inside, *outside}, reverse=True):
        true, false = int((inside >= bar).sum()), int((outside >= bar).sum())
        area += (true / len(inside) - recall) * true / (true + false)
        recall = true / len(inside)
        if passes is None and 100 * true >= 95 * len(inside):
            passes = false / len(outside)
    assert passes is not None
    return area, passes


def test_over_all_pairs_and_thresholds():
    """Sixty from inside: 57 of them are 95 %; scores are rounded, so that many are equal."""
    found = told_apart(*COARSE)
    area, passes = by_thresholds(*COARSE)
    assert found == pytest.approx({"auroc": by_pairs(*COARSE), "aupr": area, "fpr95": passes}, rel=1e-12)
    back = told_apart(*COARSE[::-1])
    assert back["auroc"] == pytest.approx(1 - found["auroc"])


def test_the_two_ends():
    low, high = np.arange(20.0), np.arange(20.0) + 100
    assert told_apart(high, low) == {"auroc": 1.0, "aupr": 1.0, "fpr95": 0.0}
    assert told_apart(low, high)["auroc"] == 0.0 and told_apart(low, high)["fpr95"] == 1.0
    assert told_apart(np.zeros(3), np.zeros(9)) == {"auroc": 0.5, "aupr": 0.25, "fpr95": 1.0}


def test_one_of_twenty_may_fail():
    """With 20 from inside, 19 are 95 %: the lowest of them lies below everything, and does not count."""
    inside = np.array([-5.0, *range(1, 20)])
    assert told_apart(inside, np.array([0.0, 0.5, 1.5]))["fpr95"] == pytest.approx(1 / 3)


def test_nothing_on_one_side_is_refused():
    with pytest.raises(Refused, match="is empty"):
        told_apart(np.zeros(3), np.zeros(0))


def test_scores_from_the_definition():
    outputs = numbers("toy", "outputs").normal(size=(7, 4)) * 3
    for row, sure, free in zip(outputs, max_softmax(outputs), energy(outputs), strict=True):
        total = math.fsum(math.exp(value) for value in row)
        assert sure == pytest.approx(math.log(max(math.exp(value) / total for value in row)), abs=1e-12)
        assert free == pytest.approx(math.log(total), abs=1e-12)


def test_confidences_that_round_to_one_stay_apart():
    outputs = np.array([[0.0, 50.0], [0.0, 60.0], [70.0, 0.0]])
    first, second, third = max_softmax(outputs)
    assert first < second < third < 0
    assert max_softmax(np.array([[1e4, 0.0]])).tolist() == [0.0]
    assert energy(np.array([[1e4, 0.0]])).tolist() == [1e4]


def test_a_network_on_two_tasks():
    """Outside is less sure but larger: the largest probability tells what energy gets the wrong way round."""
    inside = Given(rows=((3.0, 0.0), (0.0, 2.5), (4.0, 0.0)), labels=(0, 1, 1))
    outside = Given(rows=((5.0, 5.0), (9.0, 8.5)), labels=(0, 1))
    found = detection(passing(inside), outside).numbers()
    assert (found["max_softmax_auroc"], found["max_softmax_fpr95"]) == (1.0, 0.0)
    assert (found["energy_auroc"], found["energy_fpr95"]) == (0.0, 1.0)
    assert found["max_softmax_aupr"] == 1.0
    assert found["energy_aupr"] == pytest.approx((1 / 3 + 2 / 4 + 3 / 5) / 3)
    assert (found["examples_inside"], found["examples_outside"]) == (3, 2)
    again = detection(passing(inside), outside, inside=outside).numbers()
    assert again["energy_auroc"] == 0.5 and again["examples_inside"] == 2


def test_other_classes_will_do_and_other_inputs_not():
    inside = Given(rows=((3.0, 0.0, 0.0),), labels=(0,), width=3)
    one = passing(inside)
    other = Given(rows=((1.0, 1.0, 1.0),), labels=(2,), width=3, classes=3)
    assert detection(one, other).numbers()["max_softmax_auroc"] == 1.0
    with pytest.raises(Refused, match="Only the classes may differ"):
        detection(one, Given(rows=((3.0, 0.0),), labels=(0,)))
    with pytest.raises(Refused, match="equal inputs and classes"):
        detection(one, other, inside=other)
    with pytest.raises(Refused, match="no example in its test part"):
        detection(one, Given(width=3))

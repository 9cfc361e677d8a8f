"""Networks that answer four questions, as if they had been trained on ever more labels; counted by hand."""

import math

import numpy as np
import pytest

from tests.probes.test_contrast import ALL, HALF, NONE, OTHER, ROWS, TASK, answering
from tombola.core.errors import Refused
from tombola.probes.learning_curve import learning_curve

BACK = answering(TASK, 1, 1)
"""Right in the last two of four."""


def test_by_hand():
    """Accuracies 0, 1/2, 1 against 0, 1/2, 1/2 at 10, 20 and 80 labels: ln 2 and ln 4 apart, a third and two thirds."""
    found = learning_curve((NONE, BACK, ALL), (NONE, HALF, HALF), (10, 20, 80)).numbers()
    assert found["area_accuracy"] == pytest.approx(1 / 3 * 0.25 + 2 / 3 * 0.75)
    assert found["area_other_accuracy"] == pytest.approx(1 / 3 * 0.25 + 2 / 3 * 0.5)
    # By example: weights 1/6, 1/2, 1/3; BACK - HALF is -1 -1 1 1, ALL - HALF is 0 0 1 1.
    each = np.array([-0.5, -0.5, 0.5 + 1 / 3, 0.5 + 1 / 3])
    assert found["area_lead_points"] == pytest.approx(100 * each.mean())
    assert found["area_lead_points_error"] == pytest.approx(100 * math.sqrt(each.var(ddof=1) / 4))
    assert (found["reached"], found["labels_needed"], found["labels_share"]) == (1, 20, pytest.approx(0.25))
    assert found["examples"] == 4


def test_the_area_is_that_of_numpy():
    labels = (50, 200, 1000, 1400)
    found = learning_curve((NONE, ALL, HALF, ALL), (HALF,) * 4, labels).numbers()
    width = np.log(labels[-1] / labels[0])
    assert found["area_accuracy"] == pytest.approx(np.trapezoid([0, 1, 0.5, 1], np.log(labels)) / width)


def test_labels_are_read_off_a_line_in_the_logarithm():
    """From 0 at 10 to 1 at 1000: a half lies at 100, where the other side is with the most."""
    found = learning_curve((NONE, ALL), (NONE, HALF), (10, 1000)).numbers()
    assert found["labels_needed"] == pytest.approx(100) and found["labels_share"] == pytest.approx(0.1)


def test_the_fewest_may_be_enough_and_the_most_too_few():
    enough = learning_curve((HALF, NONE), (NONE, HALF), (10, 40)).numbers()
    assert (enough["reached"], enough["labels_needed"]) == (1, 10)
    never = learning_curve((NONE, HALF), (NONE, ALL), (10, 40)).numbers()
    assert never["reached"] == 0 and not {"labels_needed", "labels_share"} & set(never)


@pytest.mark.parametrize(
    ("here", "labels", "message"),
    [
        ((ALL,), (10, 20), "1 networks, 2 beside them, 2 points"),
        ((ALL, ALL), (20, 10), "each above the one before"),
        ((ALL, ALL), (0, 10), "each above the one before"),
        ((ALL, answering(OTHER, 0, 0)), (10, 20), "two tasks"),
    ],
)
def test_what_is_no_curve_is_refused(here: tuple, labels: tuple[int, ...], message: str):
    with pytest.raises(Refused, match=message):
        learning_curve(here, (ALL, ALL), labels)


def test_a_single_point_is_no_curve():
    with pytest.raises(Refused, match="two numbers of labels or more"):
        learning_curve((ALL,), (ALL,), (10,))


def test_other_test_sets_are_refused():
    assert len(ROWS) != len(OTHER.labels)
    both = (ALL, answering(OTHER, 0, 0))
    with pytest.raises(Refused, match="not tested on the same examples"):
        learning_curve(both, both, (10, 20))

"""Chains of networks that answer four questions, counted by hand."""

import dataclasses
import math

import pytest
import torch

from tests.probes.given import Given, passing
from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.probes.contrast import contrast
from tombola.train.trained import Trained

ROWS = ((1.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.0, 1.0))
TASK = Given(rows=ROWS, labels=(0, 0, 1, 1))
OTHER = Given(rows=ROWS[:2] * 4, labels=(0,) * 8)


def answering(task: Given, first: int, second: int) -> Trained:
    """A network that answers rows (1, 0) with the class `first`, and rows (0, 1) with `second`."""
    matrix = torch.zeros(2, 2)
    matrix[first, 0] = matrix[second, 1] = 1.0
    return passing(task, matrix=matrix)


ALL, HALF, NONE = answering(TASK, 0, 1), answering(TASK, 0, 0), answering(TASK, 1, 0)
"""Right in 4, in the first 2, and in none of 4 examples."""
ALWAYS = ("weights_apart", "examples")
"""Numbers that no span decides."""


def test_by_hand():
    found = contrast((ALL, HALF, NONE), (HALF, HALF, HALF), (1, 2, 4), spans=((1, 2), (2, 4), (5, 9))).numbers()
    # Rounds 1 and 2: differences 0 0 1 1 and 0 0 0 0; their mean by example is 0 0 .5 .5, variance 1/12.
    # Rounds 2 and 4: 0 0 0 0 and -1 -1 0 0: -.5 -.5 0 0. The accuracy falls from 1/2 to 0 in two rounds.
    error = 100 * math.sqrt(1 / 12 / 4)
    assert found == pytest.approx(
        {
            "lead_1_to_2_points": 25.0,
            "lead_1_to_2_points_error": error,
            "mean_1_to_2_accuracy": 0.75,
            "fall_1_to_2_points": 50.0,  # From 4 of 4 to 2 of 4; by example 0 0 1 1, variance 1/3.
            "fall_1_to_2_points_error": 2 * error,
            "fall_apart_1_to_2_points": 50.0,
            "fall_apart_1_to_2_points_error": 2 * error,
            "fall_above_half_1_to_2_points": 50.0,
            "fall_above_half_1_to_2_points_error": 2 * error,
            "lead_2_to_4_points": -25.0,
            "lead_2_to_4_points_error": error,
            "mean_2_to_4_accuracy": 0.25,
            "fall_2_to_4_points": 25.0,
            "fall_2_to_4_points_error": error,
            "fall_apart_2_to_4_points": 25.0,
            "fall_apart_2_to_4_points_error": error,
            "fall_above_half_2_to_4_points": 25.0,
            "fall_above_half_2_to_4_points_error": error,
            "weights_apart": 0.0,
            "examples": 4,
        }
    )


def test_a_slope_is_that_of_least_squares():
    """Accuracies 1, 1/2, 0, 1/2 at rounds 1, 2, 3, 6: numpy fits the line."""
    import numpy as np

    at, values = (3, 1, 6, 2), (0.0, 1.0, 0.5, 0.5)
    chain = (NONE, ALL, HALF, HALF)
    found = contrast(chain, (ALL,) * 4, at, spans=((1, 6),)).numbers()
    slope = -100 * float(np.polyfit(at, values, 1)[0])
    assert found["fall_1_to_6_points"] == pytest.approx(slope)
    assert found["fall_apart_1_to_6_points"] == pytest.approx(slope)  # The other one does not fall.


def test_a_fall_apart_is_of_both():
    found = contrast((ALL, HALF), (HALF, NONE), (1, 2), spans=((1, 2),)).numbers()
    assert found["fall_1_to_2_points"] == pytest.approx(50)
    assert found["fall_apart_1_to_2_points"] == pytest.approx(0)
    assert found["fall_above_half_1_to_2_points"] == pytest.approx(25)  # It loses 50, the other one 50.
    assert found["lead_1_to_2_points"] == pytest.approx(50)


def test_a_bend_is_a_later_slope_less_an_earlier_one():
    """From 1 to 1/2 in a round, then from 1/2 to 0 in two: 50 points a round, then 25."""
    given = {"spans": (), "bends": (((1, 2), (2, 4)), ((1, 2), (5, 9)))}
    found = contrast((ALL, HALF, NONE), (ALL,) * 3, (1, 2, 4), **given).numbers()
    assert found["bend_1_to_2_and_2_to_4_points"] == pytest.approx(-25)
    # By example: 0 0 1 1 at first, then 1/2 1/2 0 0: the differences are 1/2 1/2 -1 -1, of variance 3/4.
    assert found["bend_1_to_2_and_2_to_4_points_error"] == pytest.approx(100 * math.sqrt(0.75 / 4))
    assert set(found) == {"bend_1_to_2_and_2_to_4_points", "bend_1_to_2_and_2_to_4_points_error", *ALWAYS}


def test_a_span_that_rounds_do_not_reach_is_left_out():
    chain = (ALL, HALF, NONE)
    named = {
        name
        for name in contrast(chain, (ALL,) * 3, (2, 4, 6), spans=((1, 5), (2, 6), (3, 5), (4, 7))).numbers()
        if name.startswith("lead") and not name.endswith("error")
    }
    assert named == {"lead_2_to_6_points"}  # Of 3 to 5 there is round 4 alone.


def test_one_round_has_no_slope():
    found = contrast((ALL,), (HALF,), (3,), spans=((3, 3),)).numbers()
    assert set(found) == {"lead_3_to_3_points", "lead_3_to_3_points_error", "mean_3_to_3_accuracy", *ALWAYS}


def test_examples_of_two_tasks_are_two_sets():
    """Two pairs lead by 50 points on four examples and by 100 on eight that all say so: the mean is 75 points."""
    here, there = (ALL, answering(OTHER, 0, 0)), (HALF, answering(OTHER, 1, 0))
    found = contrast(here, there, (1, 1), spans=((1, 1),)).numbers()
    assert found["lead_1_to_1_points"] == pytest.approx(75)
    assert found["lead_1_to_1_points_error"] == pytest.approx(100 * math.sqrt((0.25 / 3) / 4))  # 0 0 .5 .5
    assert found["examples"] == 12


def test_the_same_questions_asked_twice_make_no_more_of_them():
    once = contrast((ALL,), (HALF,), (1,), spans=((1, 1),)).numbers()
    twice = contrast((ALL, ALL), (HALF, HALF), (1, 2), spans=((1, 2),)).numbers()
    assert twice["lead_1_to_2_points_error"] == pytest.approx(once["lead_1_to_1_points_error"])


def test_questions_in_another_guise_are_the_same_questions():
    guise = Given(rows=ROWS[::-1], labels=(1, 1, 0, 0))
    here, there = (ALL, answering(guise, 0, 1)), (HALF, answering(guise, 0, 0))
    apart = contrast(here, there, (1, 1), spans=((1, 1),)).numbers()
    # By example 0 0 1 1 and 1 1 0 0: together 1/2 everywhere.
    shared = contrast(here, there, (1, 1), spans=((1, 1),), questions="shared").numbers()
    assert (apart["lead_1_to_1_points"], shared["lead_1_to_1_points"]) == (pytest.approx(50), pytest.approx(50))
    assert (apart["examples"], shared["examples"]) == (8, 4)
    assert apart["lead_1_to_1_points_error"] == pytest.approx(100 * math.sqrt(2 * (0.25 / 3) / 4))
    assert shared["lead_1_to_1_points_error"] == pytest.approx(0)
    with pytest.raises(Refused, match=r"tasks of \[4, 8\] test examples do not share"):
        contrast((ALL, answering(OTHER, 0, 0)), (HALF, answering(OTHER, 1, 0)), (1, 1), questions="shared")


def test_questions_that_overlap_are_no_more_than_twice_as_certain():
    guise = Given(rows=ROWS[::-1], labels=(1, 1, 0, 0))
    here, there = (ALL, answering(guise, 0, 1)), (HALF, answering(guise, 0, 0))
    found = contrast(here, there, (1, 1), spans=((1, 1),), questions="overlapping").numbers()
    assert found["lead_1_to_1_points_error"] == pytest.approx(100 * 2 * math.sqrt((0.25 / 3) / 4))


def test_at_home_and_abroad_by_hand():
    """Abroad it answers 8 of 8, at home 2 of 4: 50 points better, and the errors are those of two test sets."""
    abroad, home = answering(OTHER, 0, 0), HALF
    with pytest.raises(Refused, match="are two tasks. Compare accuracies on one"):
        contrast((abroad,), (home,), (1,))
    found = contrast((abroad,), (home,), (1,), spans=((1, 1),), questions="of two tasks").numbers()
    assert found["lead_1_to_1_points"] == pytest.approx(50) and found["examples"] == 12
    assert found["lead_1_to_1_points_error"] == pytest.approx(100 * math.sqrt((1 / 3) / 4))  # 1 1 0 0 at home.


def test_unequal_numbers_of_weights_are_told():
    dense = Mask({name: torch.ones_like(mask) for name, mask in ALL.mask.items()})
    (name,) = dense
    less = dataclasses.replace(ALL, ticket=ALL.ticket.rebuilt(mask=Mask({name: torch.eye(2, dtype=torch.bool)})))
    assert (dense.kept, less.mask.kept) == (4, 2)
    assert contrast((ALL,), (less,), (1,)).numbers()["weights_apart"] == 0.5
    assert contrast((less,), (ALL,), (1,)).numbers()["weights_apart"] == 1.0


def test_its_table_has_every_round():
    (line, _) = contrast((ALL, HALF), (HALF, HALF), (1, 2)).tables["rounds"]
    assert (line["round"], line["accuracy"], line["other_accuracy"], line["density"]) == (1, 1.0, 0.5, 1.0)


def test_what_cannot_be_compared():
    with pytest.raises(Refused, match="2 networks, 1 to compare them with, and 2 rounds"):
        contrast((ALL, HALF), (HALF,), (1, 2))
    with pytest.raises(Refused, match="0 networks"):
        contrast((), (), ())
    with pytest.raises(Refused, match="a span from round 5 to 1"):
        contrast((ALL,), (HALF,), (1,), spans=((5, 1),))
    with pytest.raises(Refused, match="are two tasks"):
        contrast((ALL,), (dataclasses.replace(HALF, task=OTHER),), (1,))

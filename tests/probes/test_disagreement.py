"""Two networks on five examples, counted by hand."""

import math

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax

from tests.probes.given import Given, passing
from tombola.core.errors import Refused
from tombola.probes.disagreement import disagreement

ROWS = ((2.0, 0.0, 1.0, 0.0), (2.0, 0.0, 0.0, 1.0), (0.0, 1.0, 3.0, 0.0), (0.0, 1.0, 0.0, 1.0), (0.5, 0.0, 0.0, 2.0))
TASK = Given(rows=ROWS, labels=(0, 0, 0, 0, 1), width=4)
FIRST, SECOND = torch.eye(4)[:2], torch.eye(4)[2:]
A, B = passing(TASK, matrix=FIRST), passing(TASK, matrix=SECOND)
"""`a` answers by the first two numbers, 0 0 1 1 0: right are the first two. `b` by the others, 0 1 0 1 1."""


def test_by_hand():
    found = disagreement(A, B).numbers()
    pairs = [(softmax(row[:2]), softmax(row[2:])) for row in ROWS]
    # The mean favours class 0 in the first three, by 0.81, 0.57 and 0.61, and class 1 in the last two.
    favours = [sum(p[0] for p in pair) / 2 for pair in pairs]
    assert [value > 0.5 for value in favours] == [True, True, True, False, False]
    assert found == pytest.approx(
        {
            "disagreement": 3 / 5,
            "double_fault": 1 / 5,
            "lost": 1 / 2,
            "gained": 2 / 3,
            "kl_nats": sum(float(rel_entr(p, q).sum()) for p, q in pairs) / 5,
            "kl_nats_reversed": sum(float(rel_entr(q, p).sum()) for p, q in pairs) / 5,
            "accuracy_a": 2 / 5,
            "accuracy_b": 3 / 5,
            "ensemble_accuracy": 4 / 5,
            "ensemble_gain": 4 / 5 - 1 / 2,
            "examples": 5,
        },
        rel=1e-12,
    )


def test_exchanged():
    one, other = disagreement(A, B).numbers(), disagreement(B, A).numbers()
    swapped = {"lost": "gained", "kl_nats": "kl_nats_reversed", "accuracy_a": "accuracy_b"}
    swapped |= {b: a for a, b in swapped.items()}
    assert {swapped.get(name, name): value for name, value in one.items()} == pytest.approx(other)


def test_a_network_and_itself():
    found = disagreement(A, A).numbers()
    assert (found["disagreement"], found["lost"], found["kl_nats"]) == (0, 0, 0)
    assert found["ensemble_accuracy"] == found["accuracy_a"] and found["ensemble_gain"] == 0


def test_one_that_is_never_right_loses_nothing():
    task = Given(rows=((1.0, 0.0, 0.0, 1.0),), labels=(1,), width=4)
    found = disagreement(passing(task, matrix=FIRST), passing(task, matrix=SECOND)).numbers()
    assert (found["lost"], found["gained"]) == (0.0, 1.0)


def test_what_is_thought_impossible_costs_a_finite_number():
    task = Given(rows=((0.0, 0.0, 2000.0, 0.0),), labels=(0,), width=4)
    found = disagreement(passing(task, matrix=FIRST), passing(task, matrix=SECOND)).numbers()
    assert found["kl_nats"] == pytest.approx(1000 - math.log(2))
    assert found["kl_nats_reversed"] == pytest.approx(math.log(2))


def test_probabilities_are_averaged_and_not_outputs():
    """One network is nearly sure of class 0 and the other of class 1, by larger outputs; class 2 is second to both."""
    task = Given(rows=((9.0, 0.0, 8.0, 0.0, 9.5, 9.0),), labels=(0,), width=6, classes=3)
    found = disagreement(*(passing(task, matrix=torch.eye(6)[part]) for part in (slice(0, 3), slice(3, 6)))).numbers()
    first, second = softmax([9.0, 0.0, 8.0]), softmax([0.0, 9.5, 9.0])
    assert (first + second).argmax() == 0 and np.argmax([9.0, 9.5, 17.0]) == 2
    assert found["ensemble_accuracy"] == 1.0


def test_another_task_and_what_is_refused():
    other = Given(rows=ROWS[:2], labels=(0, 0), width=4)
    assert disagreement(A, B, other).numbers()["disagreement"] == 0.5
    with pytest.raises(Refused, match="equal inputs and classes"):
        disagreement(A, passing(Given(rows=((1.0, 0.0),), labels=(0,))))
    with pytest.raises(Refused, match="make other examples the train part"):
        disagreement(A, passing(TASK, matrix=SECOND, validation=0.5), split="train")
    assert disagreement(A, passing(TASK, matrix=SECOND, validation=0.5)).numbers()["disagreement"] == 3 / 5

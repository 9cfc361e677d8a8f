"""From where on two chains differ: accuracies that are chosen by hand."""

import dataclasses
import math
import statistics

import numpy as np
import pytest

from tests.probes.given import Given, passing
from tombola.core.errors import Refused
from tombola.probes.transition import transition
from tombola.train.trained import Trained

END = passing(Given(rows=((1.0, 0.0),), labels=(0,)))


def chains(lines: tuple[tuple[float, ...], ...]) -> tuple[Trained, ...]:
    """A line of accuracies for each run."""
    return tuple(dataclasses.replace(END, scores={**END.scores, "test_accuracy": v}) for line in lines for v in line)


HERE = chains(((0.80, 0.80, 0.80, 0.80), (0.82, 0.82, 0.82, 0.82), (0.81, 0.81, 0.81, 0.81)))
THERE = chains(((0.80, 0.79, 0.70, 0.40), (0.82, 0.80, 0.75, 0.60), (0.81, 0.82, 0.71, 0.50)))


def test_by_hand():
    """Standard deviations are 1 point here; 1, 1.53, 2.65, 10 there. Pooled 1, 1.29, 2, 7.11; gaps 0, 0.67, 9, 31."""
    found = transition(HERE, THERE, at=(1, 2, 3, 4), runs=3, early=(1, 2), late=(3, 4)).numbers()
    spreads = [statistics.stdev(line) for line in ((80, 82, 81), (79, 80, 82), (70, 75, 71), (40, 60, 50))]
    assert found["found"] == 1 and found["transition_round"] == 3 and found["transition_sparsity"] == 0.0
    assert found["gap_early_points"] == pytest.approx(1 / 3)
    assert found["gap_late_points"] == pytest.approx(20)
    assert found["gap_growth_points"] == pytest.approx(20 - 2 / 3)
    assert found["spread_early_points"] == pytest.approx(sum(spreads[:2]) / 2)
    assert found["spread_late_points"] == pytest.approx(sum(spreads[2:]) / 2)
    assert found["spread_growth_points"] == pytest.approx(sum(spreads[2:]) / 2 - sum(spreads[:2]))
    assert found["spread_here_late_points"] == pytest.approx(1)
    lines = transition(HERE, THERE, at=(1, 2, 3, 4), runs=3).tables["rounds"]
    assert [line["pooled_points"] for line in lines] == pytest.approx(
        [math.sqrt((1 + spread**2) / 2) for spread in spreads]
    )


def test_the_order_of_rounds_does_not_matter():
    turned = [tuple(side[run * 4 + place] for run in range(3) for place in (2, 0, 3, 1)) for side in (HERE, THERE)]
    again = transition(turned[0], turned[1], at=(3, 1, 4, 2), runs=3)
    assert again.numbers() == transition(HERE, THERE, at=(1, 2, 3, 4), runs=3).numbers()
    assert again.tables == transition(HERE, THERE, at=(1, 2, 3, 4), runs=3).tables


def test_the_factor_moves_it():
    at = {"at": (1, 2, 3, 4), "runs": 3}
    assert transition(HERE, THERE, **at, factor=0.5).numbers()["transition_round"] == 2
    assert transition(HERE, THERE, **at, factor=4.4).numbers()["transition_round"] == 3  # 31 / 7.11 = 4.36, 9 / 2 = 4.5
    assert transition(HERE, THERE, **at, factor=4.6).numbers()["found"] == 0


def test_the_other_side_ahead_is_no_transition():
    found = transition(THERE, HERE, at=(1, 2, 3, 4), runs=3).numbers()
    assert found["found"] == 0 and found["never"] == 1
    assert "transition_round" not in found and found["round_low"] == math.inf


def test_the_interval_is_that_of_runs_drawn_anew():
    """Gaps are 0 and 10 points at round 1, whose pooled deviation is 5, and 10 and 10 at round 2, where it is 0.

    Of four draws of two runs, alike likely, one has a mean gap of 10 at round 1, two of 5, one of 0.
    """
    here = chains(((0.8, 0.8), (0.8, 0.8)))
    there = chains(((0.8, 0.7), (0.7, 0.7)))
    found = transition(here, there, at=(1, 2), runs=2, factor=1.01).numbers()
    assert (found["transition_round"], found["round_low"], found["round_high"], found["never"]) == (2, 1, 2, 0)


def test_it_has_an_interval_that_holds_the_truth_about_as_often_as_it_says():
    """Many studies of five runs, whose gap is 0 to round 4 and then 3 standard deviations: the round is 5."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(40):
        here = rng.normal(0.8, 0.01, (5, 8))
        there = here - np.where(np.arange(8) >= 4, 0.03 * math.sqrt(2), 0) + rng.normal(0, 0.004, (5, 8))
        found = transition(chains(tuple(map(tuple, here))), chains(tuple(map(tuple, there))), tuple(range(1, 9)), 5)
        held += found.numbers()["round_low"] <= 5 <= found.numbers()["round_high"]
    assert held >= 34


def test_what_is_not_whole():
    with pytest.raises(Refused, match="1 runs of 4 rounds"):
        transition(HERE[:4], THERE[:4], at=(1, 2, 3, 4), runs=1)
    with pytest.raises(Refused, match="'there' has 11 networks, and 3 runs of 4 rounds have 12"):
        transition(HERE, THERE[:-1], at=(1, 2, 3, 4), runs=3)
    with pytest.raises(Refused, match="each round once"):
        transition(HERE, THERE, at=(1, 1, 3, 4), runs=3)
    other = dataclasses.replace(HERE[0], task=Given(rows=((0.0, 1.0),), labels=(1,)))
    with pytest.raises(Refused, match="are two tasks"):
        transition((other, *HERE[1:]), THERE, at=(1, 2, 3, 4), runs=3)

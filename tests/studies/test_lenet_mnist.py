"""The comparison with the published LeNet: its rows, and its claims on numbers that a person can check."""

import math
from collections.abc import Sequence

import pytest

from tombola.report.claims import Agrees
from tombola.report.findings import Findings, Measured, Missing
from tombola.report.judge import Judged, judge
from tombola.report.match import check, rows_of
from tombola.studies import lenet_mnist
from tombola.study.graph import graph_of
from tombola.study.module import open_study


def test_what_it_runs():
    study = open_study("lenet_mnist")
    assert dict(study.settings) == {"levels": 21, "seeds": (0, 1, 2), "controls": ("reinit",)}
    kinds = [key.partition(":")[0] for key in graph_of(study.goals()).calls]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "draw": 3, "cut": 63, "carry": 63, "train": 3 * (22 + 21), "anatomy": 66, "prove": 3}  # fmt: skip


def test_controls_are_those_that_are_named():
    def names(text: str) -> set[str]:
        return {str(goal.labels["name"]) for goal in open_study(text).goals() if "name" in goal.labels}

    assert names("lenet_mnist(levels=1, controls=())") == {"ticket"}
    assert names("lenet_mnist(levels=1, controls=('shuffle', 'reinit'))") == {"ticket", "reinit", "shuffle"}


def test_every_claim_finds_its_rows():
    study = open_study("lenet_mnist")
    rows = [Missing(labels=goal.labels, key=goal.of.key) for goal in study.goals()]
    check(study.declared("claims"), rows)
    for claim in study.declared("claims"):
        for test in claim.tests:
            assert len(rows_of(rows, test.where)) == 3 and len(rows_of(rows, getattr(test, "than", test.where))) == 3


@pytest.mark.parametrize(("levels", "claims"), [(21, 6), (20, 3), (15, 3), (14, 0)])
def test_a_shorter_study_claims_less(levels: int, claims: int):
    assert len(open_study(f"lenet_mnist(levels={levels})").declared("claims")) == claims


def test_published_figures_are_those_of_the_paper():
    claims = open_study("lenet_mnist").declared("claims")
    found = {claim.sentence: one.published for claim in claims for one in claim.tests if isinstance(one, Agrees)}
    published = {said: one.value for said, one in found.items()}
    assert published == {
        "ticket at 3.52% of the weights reaches 98.35%": 0.9835,
        "ticket at 0.92% of the weights reaches 97.84%": 0.9784,
        "reinit at 3.52% of the weights reaches 98.07%": 0.9807,
        "reinit at 0.92% of the weights reaches 96.85%": 0.9685,
    }
    assert all(one.reading == 0.002 and "Maene" in one.source for one in found.values())


def judged(*accuracies: float) -> Judged:
    """The first claim, on a ticket at level 15 whose runs came to these accuracies."""
    (claim, *_) = lenet_mnist.claims(levels=15)
    assert isinstance(claim.tests[0], Agrees) and dict(claim.tests[0].where) == {"name": "ticket", "level": 15}
    (found,) = judge(findings(claim, accuracies))
    return found


def findings(claim: object, accuracies: Sequence[float]) -> Findings:
    labels = {"name": "ticket", "level": 15}
    rows = tuple(
        Measured(labels={**labels, "seed": seed}, numbers={"test_accuracy": one}, key=f"train:{seed}")
        for seed, one in enumerate(accuracies)
    )
    return Findings(title="", question="", study="", command="", rows=rows, claims=(claim,))  # type: ignore[arg-type]


REACH = 4.302653 * 0.002 * math.sqrt(4 / 3) + 0.002
"""How far off one further run may lie: Student's t of 2 degrees of freedom, and the reading error of the plot."""


@pytest.mark.parametrize(
    ("off", "outcome"),
    [
        (0.0, "confirmed"),
        (0.0039, "confirmed"),  # The margin and the reading error are 0.2 points each.
        (0.0041, "undecided"),
        (REACH - 1e-5, "undecided"),
        (REACH + 1e-5, "contradicted"),
    ],
)
def test_a_published_run_is_compared_with_one_more_run_of_ours(off: float, outcome: str):
    for mean in (0.9835 - off, 0.9835 + off):
        found = judged(mean - 0.002, mean, mean + 0.002)
        assert (found.outcome, found.n) == (outcome, 3)


def test_one_run_alone_is_compared_with_nothing():
    assert judged(0.9835).outcome in ("undecided", "not measured")

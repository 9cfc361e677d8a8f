"""The comparison with the published LeNet: by hand, on numbers that a person can check."""

import math

import pytest

from tombola.report.summary import Row, Summary
from tombola.studies.lenet_mnist import Comparison, compare, table_of


def row(seed: int, name: str, level: int, accuracy: float) -> Row:
    return Row(
        seed=seed,
        name=name,
        level=level,
        density=1.0,
        kept=1,
        size=1,
        test_accuracy=accuracy,
        test_loss=0.1,
        validation_accuracy=None,
        seconds=1.0,
        steps=1,
        peak_memory=1,
        flops_dense=1.0,
        flops_sparse=1.0,
        key="train:0",
        call="train()",
        checks={"fine": True},
    )


def summary(*rows: Row) -> Summary:
    return Summary(
        title="T",
        question="Q?",
        arch="mlp()",
        task="mnist()",
        recipe="lenet()",
        command="c",
        margin=0.002,
        rows=rows,
        pictures=(),
        layers=(),
        machine="m",
        provenance={},
    )


def test_a_published_run_is_compared_with_one_more_run_of_ours():
    ours = [row(seed, "ticket", 15, accuracy) for seed, accuracy in enumerate((0.981, 0.983, 0.985))]
    (found,) = compare(summary(*ours, row(0, "ticket", 14, 0.5), row(0, "reinit", 15, 0.9)))
    assert (found.name, found.level, found.published, found.n) == ("ticket", 15, 98.35, 3)
    assert (found.mean, found.sd) == (pytest.approx(98.3), pytest.approx(0.2))
    reach = 4.302653 * 0.2 * math.sqrt(4 / 3) + 0.2  # t of 2 degrees of freedom; the reading error of the plot.
    assert (found.low, found.high) == (pytest.approx(98.3 - reach, abs=1e-5), pytest.approx(98.3 + reach, abs=1e-5))
    assert found.agrees


def test_one_run_alone_is_compared_with_nothing():
    assert compare(summary(row(0, "ticket", 15, 0.98), row(0, "ticket", 21, 0.97))) == []


def test_what_disagrees_is_said():
    far = Comparison("reinit", 21, 96.85, 95.0, 0.1, 5, 94.5, 95.5)
    assert not far.agrees
    assert table_of([far]).splitlines()[2] == (
        "| reinit | 21 | 0.92 % | 96.85 | 95.00 ± 0.10 (5) | -1.85 | 94.50 to 95.50 | no |"
    )

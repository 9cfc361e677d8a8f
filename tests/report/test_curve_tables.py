"""Figures of tables: what a row measured point by point, drawn over the seeds."""

import pytest

from tombola.report.cautions import cautions
from tombola.report.curves import drawn
from tombola.report.declared import Curve
from tombola.report.findings import Findings, Measured
from tombola.report.page import render

CURVE = Curve(table="curve", x="t", y="error", by="arm", where={"probe": "barrier"}, log_x=False)


def measured(arm: str, seed: int, errors: tuple[float, ...], **labels: int) -> Measured:
    table = tuple({"t": place / 2, "error": error, "said": "so"} for place, error in enumerate(errors))
    return Measured(
        labels={"probe": "barrier", "arm": arm, "seed": seed, **labels},
        numbers={"error": 9.0},
        key=f"barrier:{arm}{seed}",
        tables={"curve": table},
    )


def of(*rows: Measured, curve: Curve = CURVE) -> Findings:
    return Findings(title="a", question="b", study="c", command="d", rows=rows, figures=(curve,))


ROWS = measured("IMP", 0, (0.1, 0.5, 0.2)), measured("IMP", 1, (0.3, 0.7, 0.2)), measured("reinit", 0, (0.1, 0.9, 0.1))


def test_lines_of_a_table_are_points_over_the_seeds():
    figure = drawn(of(*ROWS), CURVE)
    assert [arm.name for arm in figure.arms] == ["IMP", "reinit"]
    points = figure.arms[0].points
    assert [point.x for point in points] == [0, 0.5, 1]
    assert [point.found.mean for point in points] == pytest.approx([0.2, 0.6, 0.2])
    assert [(point.found.low, point.found.high, point.found.n) for point in points][1] == (0.5, 0.7, 2)
    assert points[0].where == {"probe": "barrier", "arm": "IMP"}  # Rows have no label t to be found by.
    assert {row.key for row in points[0].rows} == {"barrier:IMP0", "barrier:IMP1"}


def test_a_page_shows_it_and_findings_keep_it():
    findings = of(*ROWS)
    assert Findings.from_json(findings.to_json()).figures == (CURVE,)
    shown = render(findings)
    assert "IMP, seed 1: 0.7 at t 0.5" in shown and not cautions(findings)


def test_lines_without_both_numbers_are_left_out():
    odd = Measured(labels={"probe": "barrier", "arm": "odd"}, numbers={}, key="k", tables={"curve": ({"t": 1.0},)})
    assert [arm.name for arm in drawn(of(*ROWS, odd), CURVE).arms] == ["IMP", "reinit"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"table": "curves"}, "no row has a table 'curves'; there is curve"),
        ({"y": "loss"}, "the table 'curve' has no numbers 't' and 'loss'; it has t, error, said"),
        ({"where": {"probe": "distance"}}, "probe"),
    ],
)
def test_what_cannot_be_drawn_is_said(change: dict, message: str):
    curve = Curve(**{"table": "curve", "x": "t", "y": "error", "by": "arm", "log_x": False, **change})
    (said,) = [one for one in cautions(of(*ROWS, curve=curve)) if "shows nothing" in one]
    assert message in said


def test_rows_that_differ_elsewhere_are_told_apart():
    rows = measured("IMP", 0, (0.1, 0.5, 0.2), level=1), measured("IMP", 0, (0.2, 0.6, 0.3), level=2)
    assert any("joins rows that differ in level" in one for one in cautions(of(*rows)))

"""What a reader is warned of: dead layers, cells and lines that mix runs, figures and tables that show nothing."""

import dataclasses
from typing import Any

import pytest

from tombola.core.errors import Refused
from tombola.report import page, terminal
from tombola.report.cautions import cautions, misnamed
from tombola.report.claims import Agrees, Better, NotWorse, Published
from tombola.report.declared import Curve, Pivot
from tombola.report.findings import Findings, Measured, Missing


def findings(rows: list[tuple[dict[str, Any], dict[str, float]]], **more: Any) -> Findings:
    measured = tuple(
        Measured(labels=labels, numbers=numbers, key=f"train:{n:016x}") for n, (labels, numbers) in enumerate(rows)
    )
    return Findings(title="t", question="q", study="s", command="c", rows=measured, **more)


def ladder(**dead: float) -> list[tuple[dict[str, Any], dict[str, float]]]:
    return [
        ({"seed": seed, "level": level, "name": "a"}, {"x": float(level + 1), "y": 0.5 + seed, **dead})
        for seed in (0, 1)
        for level in (0, 1)
    ]


def test_a_sound_study_has_none():
    shown = {"figures": (Curve(x="x", y="y", by="name"),), "tables": (Pivot(lines="level", columns="name", of="y"),)}
    assert cautions(findings(ladder(dead_layers=0), **shown)) == ()


def test_dead_layers_are_named_everywhere():
    found = findings([*ladder(dead_layers=0), ({"seed": 0, "level": 2, "name": "a"}, {"y": 0.1, "dead_layers": 1})])
    (said,) = cautions(found)
    assert said.startswith("Layer collapse: 1 row is of networks with a layer in which no weight is left (")
    assert "level 2" in said and "level 1" not in said
    assert said in page.render(found)
    assert any(said in str(part) for part in terminal.overview(found).renderables)  # type: ignore[attr-defined]
    (many,) = cautions(findings(ladder(dead_layers=2)))
    assert "4 rows are of networks" in many and many.count("level") == 3 and " and 1 more)" in many


def test_cells_and_lines_that_mix_runs_are_named():
    rows = [({**labels, "lr": lr}, numbers) for labels, numbers in ladder() for lr in (0.1, 0.2)]
    pivot, curve = Pivot(lines="level", columns="name", of="y"), Curve(x="x", y="y", by="name")
    table, figure = cautions(findings(rows, tables=(pivot,), figures=(curve,)))
    assert table.startswith("The table of y puts rows together that differ in lr, and counts them as n")
    assert figure == "A line of the figure of y joins rows that differ in lr; add it to by."
    apart = (Pivot(lines="level", columns="lr", of="y"),), (Curve(x="x", y="y", by=("name", "lr")),)
    assert cautions(findings(rows, tables=apart[0], figures=apart[1])) == ()


def test_a_label_that_says_where_a_point_lies_mixes_nothing():
    rows = [
        ({"seed": seed, "name": "a", "at": at}, {"x": at + 1e-4 * seed, "y": 1.0})
        for seed in (0, 1)
        for at in (1.0, 2.0)
    ]
    curve = Curve(x="x", y="y", by="name")
    shown = {"figures": (curve,), "tables": (Pivot(lines="name", columns="at", of="y"),)}
    assert cautions(findings(rows, **shown)) == ()
    apart = [
        ({**labels, "name": "a", "at": at}, {**numbers, "x": 1.0}) for labels, numbers in rows[:1] for at in (1.0, 2.0)
    ]
    assert "differ in at" in cautions(findings(apart, **shown))[0]


def test_what_shows_nothing_says_why():
    shown = {"figures": (Curve(x="xx", y="y", by="name"),), "tables": (Pivot(lines="level", columns="name", of="z"),)}
    assert cautions(findings(ladder(), **shown)) == (
        "The figure of y against xx shows nothing: none of its 4 rows has the number 'xx'; the nearest is 'x'.",
        "The table of z shows nothing: none of its 4 rows has the number 'z'; known: x, y.",
    )


def test_what_waits_for_rows_is_counted_and_not_called_wrong():
    late = Missing(labels={"part": "few", "name": "a", "level": 3}, key="train:0")
    pivots = (Pivot(lines="level", columns="name", of="z", title="Named"),)
    pivots += tuple(Pivot(lines="level", columns="name", of=of, where={"part": "few"}) for of in "yz")
    pivots += (Pivot(lines="comparison", columns="domain", of="lead"),)
    late = (late, Missing(labels={"comparison": "a against b", "domain": "d"}, key="contrast:0"))
    curve = Curve(x="x", y="y", where={"part": "few"})
    found = dataclasses.replace(findings(ladder(), tables=pivots, figures=(curve,)), missing=late)
    assert cautions(found) == (
        "The table 'Named' of z shows nothing: none of its 4 rows has the number 'z'; known: x, y.",
        "4 of 5 figures and tables are empty until their rows are there: run the study on.",
    )


def test_labels_that_no_row_has_are_found_before_anything_runs():
    rows = [Missing(labels={"level": 0, "name": "a"}, key="train:0")]
    shown = (Curve(by="nam"), Pivot(lines="level", columns="name", where={"lvl": 1}), Curve(by="name"))
    assert misnamed(shown, rows) == [
        "the figure of test_accuracy: no row has the label 'nam'; the nearest is 'name'.",
        "the table of test_accuracy: no row has the label 'lvl'; the nearest is 'level'.",
    ]


@pytest.mark.parametrize(
    "make",
    [
        lambda: NotWorse(where={}, than={}, margin=0.2),
        lambda: Better(where={}, than={}, margin=-0.2),
        lambda: Agrees(where={}, published=Published(value=0.9, source="x"), margin=0.2),
    ],
)
def test_margins_in_points_are_refused(make: Any):
    with pytest.raises(
        Refused, match=r"20 points of test_accuracy\. For an accuracy it is a fraction.*0\.2 points are 0"
    ):
        make()


def test_margins_of_other_numbers_are_free():
    assert NotWorse(where={}, than={}, of="loss", margin=5.0).margin == 5.0

"""Every row as CSV, and a study in the terminal."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace

from rich.console import Console

from tombola.report.claims import winning
from tombola.report.findings import Findings, Measured, Missing
from tombola.report.table import to_csv
from tombola.report.terminal import overview

Make = Callable[..., Findings]


def test_csv_has_every_row_and_each_check(make_synthetic: Make):
    made = make_synthetic(seeds=(0, 1), levels=1)
    first = replace(made.rows[0], checks={"extra, quoted": False})
    read = list(csv.DictReader(io.StringIO(to_csv((first, *made.rows[1:])))))
    assert len(read) == len(made.rows) == 8
    assert float(read[0]["test_accuracy"]) == made.rows[0].numbers["test_accuracy"]
    assert (read[0]["check:extra, quoted"], read[0]["check:mask is nested"]) == ("False", "")
    assert read[1]["check:mask is nested"] == "True"
    assert [row["key"] for row in read] == [row.key for row in made.rows]
    assert [row["name"] for row in read[:2]] == ["ticket", "ticket"]


def test_columns_of_the_same_name_are_told_apart():
    row = Measured(labels={"key": "a", "size": "large"}, numbers={"size": 7, "key": 8}, key="k")
    (read,) = csv.DictReader(io.StringIO(to_csv([row])))
    assert read == {"label:key": "a", "size": "large", "number:size": "7", "number:key": "8", "key": "k"}


def shown(findings: Findings, width: int = 200) -> str:
    text = io.StringIO()
    Console(file=text, width=width, color_system=None).print(overview(findings))
    return text.getvalue()


def test_the_terminal_shows_table_claims_and_tally(make_synthetic: Make):
    said = shown(make_synthetic(levels=2, claims=(winning(1), winning(2), winning(5)))).splitlines()
    assert said[0] == "Test accuracy by level (test accuracy in %, mean ± sd, n = 3)"
    assert said[1].split() == ["level", "density", "ticket", "reinit", "shuffle", "verdict"]
    assert said[4].split()[:2] == ["2", "42.3"] and said[4].rstrip().endswith("✓ confirmed")
    assert any(line.startswith("– not measured") and "no row has level 5; the nearest is 2" in line for line in said)
    assert "1 is not measured." in said[-1]


def test_a_terminal_shows_the_first_of_many_claims(make_plain: Make):
    said = shown(make_plain({("ticket", 0): (0.5,)}, claims=tuple(winning(level) for level in range(1, 41))))
    assert "... and 10 more; the page has them all." in said
    assert said.count("– not measured") == 30 and "40 of 40 claims are not measured." in said


def test_text_of_a_study_is_not_read_as_markup(make_plain: Make):
    lines = shown(make_plain({("[red]a[/red]", 0): (0.5,), ("b", 0): (0.5,)}))
    columns = shown(make_plain({("[red]a[/red]", 0): (0.5,), ("b", 0): (0.5,), ("b", 1): (0.6,)}))
    assert "[red]a[/red]" in lines and "[red]a[/red]" in columns


def test_missing_rows_are_named_with_their_reason(make_plain: Make):
    waiting = tuple(Missing(labels={"seed": seed}, key=f"k{seed}") for seed in range(7))
    broken = Missing(labels={"seed": 9}, key="k", why="the disk was full")
    said = shown(make_plain({("a", 0): (0.5,)}, missing=(*waiting, broken)))
    assert "7 missing, not run yet: seed 0; seed 1; seed 2; seed 3; seed 4 and 2 more." in said
    assert "1 missing, the disk was full: seed 9." in said

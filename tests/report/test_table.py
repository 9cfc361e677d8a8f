"""The table as CSV and in the terminal."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace

from rich.console import Console

from tombola.report.summary import Summary
from tombola.report.table import lines, terminal_table, to_csv


def test_csv_has_every_row_and_each_check(make_synthetic: Callable[..., Summary]):
    summary = make_synthetic(seeds=(0, 1), levels=1)
    first = replace(summary.rows[0], checks={"extra, quoted": False})
    read = list(csv.DictReader(io.StringIO(to_csv((first, *summary.rows[1:])))))
    assert len(read) == len(summary.rows) == 8
    assert float(read[0]["test_accuracy"]) == summary.rows[0].test_accuracy
    assert (read[0]["check:extra, quoted"], read[0]["check:mask is nested"]) == ("False", "")
    assert read[1]["check:mask is nested"] == "True"
    assert [row["key"] for row in read] == [row.key for row in summary.rows]


def shown(summary: Summary) -> list[str]:
    text = io.StringIO()
    Console(file=text, width=200, color_system=None).print(terminal_table(summary))
    return text.getvalue().splitlines()


def test_terminal_table_has_one_line_a_level(make_synthetic: Callable[..., Summary]):
    said = shown(make_synthetic(levels=3))
    assert len(said) == 1 + 4
    assert said[0].split("  ")[0] == "level" and said[0].count("(n = 3)") == 3
    assert "dense network" in said[1]
    assert "(n = 3)" not in said[4]
    assert "✓ wins, clear" in said[4]


def test_unequal_densities_are_both_shown(make_synthetic: Callable[..., Summary]):
    summary = make_synthetic(levels=1)
    thin = [replace(row, kept=row.size // 2, density=0.5) for row in summary.rows if row.name == "shuffle"]
    changed = replace(summary, rows=(*(row for row in summary.rows if row.name != "shuffle"), *thin))
    assert "at 50 %" in shown(changed)[2]
    assert [cell.density for cell in lines(changed)[1].cells] == [None, None, 0.5]


def test_an_arm_without_results_is_a_dash(make_synthetic: Callable[..., Summary]):
    assert shown(make_synthetic(levels=1))[1].count("–") == 2


def test_unequal_numbers_of_seeds_stand_in_the_cells(make_synthetic: Callable[..., Summary]):
    summary = make_synthetic(levels=1)
    fewer = replace(summary, rows=tuple(row for row in summary.rows if (row.name, row.seed) != ("reinit", 0)))
    assert "(n = " not in shown(fewer)[0]
    assert shown(fewer)[2].count("(n = 3)") == 2 and shown(fewer)[2].count("(n = 2)") == 1

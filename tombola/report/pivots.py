"""Pivots laid out: lines, columns, cells with mean and spread, and the verdicts on claims about a line."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from tombola.report.claim_words import MARKS, basis_text, outcome_text
from tombola.report.claims import Better, Label, NotWorse, Where
from tombola.report.declared import Pivot
from tombola.report.findings import Findings, Measured
from tombola.report.gather import label_values, sampled, varying
from tombola.report.judge import EQUAL, Judged
from tombola.report.match import rows_of
from tombola.report.statistics import Sample
from tombola.report.wording import density_text, label_text, number_text, sample_text, spoken, unit_of


@dataclass(frozen=True)
class Cell:
    """The rows at one place; `where` are the labels that pick them, `density` is set where it is not the line's."""

    found: Sample | None
    where: Where = field(hash=False)
    key: str = ""
    density: float | None = None


@dataclass(frozen=True)
class Line:
    """One line: its label, the numbers beside it, its cells, and the claims that speak of it."""

    value: Label
    beside: tuple[str, ...]
    cells: tuple[Cell, ...]
    judged: tuple[Judged, ...]


@dataclass(frozen=True)
class Sheet:
    """A pivot as it is shown; `n` is the number of rows in every cell that has any, None where they differ."""

    pivot: Pivot
    title: str
    columns: tuple[Label | None, ...]
    beside: tuple[str, ...]
    lines: tuple[Line, ...]
    n: int | None
    mixed: tuple[str, ...]

    @property
    def verdicts(self) -> bool:
        """Whether any line has a verdict."""
        return any(line.judged for line in self.lines)

    @property
    def unit(self) -> str:
        """The unit of the cells, "" where they name their own."""
        return unit_of(self.pivot.of)

    def short(self, line: Line, judged: Judged) -> str:
        """The verdict in a word; beside others of its line, the column that it speaks of."""
        test = _comparison(judged)
        if len(line.judged) < 2 or test is None or self.pivot.columns not in test.where:
            return judged.outcome
        columns = [_comparison(other) for other in line.judged]
        values = {None if other is None else other.where.get(self.pivot.columns) for other in columns}
        return self.heading(test.where[self.pivot.columns]) if len(values) > 1 else judged.outcome

    def heading(self, column: Label | None) -> str:
        """The heading of a column."""
        if column is None:
            return spoken(self.pivot.of)
        plain = isinstance(column, str) or self.pivot.columns == "name"
        return label_text(column) if plain else f"{spoken(self.pivot.columns)} {label_text(column)}"


def lay_out(findings: Findings, pivot: Pivot, judged: Sequence[Judged]) -> Sheet:
    """A pivot with everything that its table shows."""
    rows = [row for row in rows_of(findings.rows, pivot.where) if pivot.of in row.numbers and pivot.lines in row.labels]
    columns: list[Label | None] = [*label_values(rows, pivot.columns)] if pivot.columns else []
    if not columns or any(pivot.columns not in row.labels for row in rows):
        columns.append(None)
    beside = [name for name in pivot.beside if name != pivot.of and any(name in row.numbers for row in rows)]
    places: dict[tuple[Label, Label | None], list[Measured]] = {}
    for row in rows:
        places.setdefault((row.labels[pivot.lines], row.labels.get(pivot.columns)), []).append(row)
    claims = judged if pivot.verdicts == "show" else ()
    lines = [
        _line(pivot, value, columns, places, beside, [claim for claim in claims if _about(claim, pivot, value)])
        for value in label_values(rows, pivot.lines)
    ]
    numbers = {cell.found.n for line in lines for cell in line.cells if cell.found}
    settled = (pivot.lines, pivot.columns, *pivot.over)
    mixed = sorted({name for inside in places.values() for name in varying(inside, without=settled)})
    title = pivot.title or f"{spoken(pivot.of).capitalize()} by {spoken(pivot.lines)}"
    return Sheet(
        pivot,
        title,
        tuple(columns),
        tuple(beside),
        tuple(lines),
        numbers.pop() if len(numbers) == 1 else None,
        tuple(mixed),
    )


def _line(
    pivot: Pivot,
    value: Label,
    columns: Sequence[Label | None],
    places: dict[tuple[Label, Label | None], list[Measured]],
    beside: Sequence[str],
    judged: Sequence[Judged],
) -> Line:
    cells = [places.get((value, column), []) for column in columns]
    density = next((sampled(rows, "density") for rows in cells if rows), None)
    shown: list[Cell] = []
    for column, rows in zip(columns, cells, strict=True):
        where = {**pivot.where, pivot.lines: value, **({} if column is None else {pivot.columns: column})}
        own = sampled(rows, "density") if "density" in beside else None
        other = own.mean if own and density and abs(own.mean - density.mean) > EQUAL * density.mean else None
        key = rows[0].key if len(rows) == 1 else ""
        shown.append(Cell(sampled(rows, pivot.of), where, key, other))
    texts: list[str] = []
    for name in beside:
        found = next((sampled(rows, name) for rows in cells if rows and sampled(rows, name)), None)
        texts.append(number_text(name, found.mean) if found else "–")
    return Line(value, tuple(texts), tuple(shown), tuple(judged))


def _about(judged: Judged, pivot: Pivot, value: Label) -> bool:
    """Whether the first comparison of a claim speaks of this line of this pivot."""
    test = _comparison(judged)
    if test is None:
        return False
    if test.of != pivot.of or pivot.lines not in test.where or test.where[pivot.lines] != value:
        return False
    return all(test.where.get(name, wanted) == wanted for name, wanted in pivot.where.items())


def _comparison(judged: Judged) -> Better | NotWorse | None:
    return next((test for test in judged.claim.tests if isinstance(test, Better | NotWorse)), None)


def cell_text(sheet: Sheet, cell: Cell, *, n: Literal["always", "differs"] = "differs") -> str:
    """A cell as plain text; n stands in it where it is not the same in all, or always."""
    text = sample_text(sheet.pivot.of, cell.found)
    if cell.found and (sheet.n is None or n == "always"):
        text += f" (n = {cell.found.n})"
    return text if cell.density is None else f"{text} at {density_text(cell.density)}"


def headings(sheet: Sheet) -> list[str]:
    """What stands above the columns, from left to right."""
    unit = f", {sheet.unit}" if sheet.unit else ""
    columns = [sheet.heading(column) + unit for column in sheet.columns]
    verdict = ["verdict"] if sheet.verdicts else []
    return [spoken(sheet.pivot.lines), *map(spoken, sheet.beside), *columns, *verdict]


def texts(sheet: Sheet) -> list[list[str]]:
    """The lines of a pivot as plain text, for the terminal and for Markdown."""
    found: list[list[str]] = []
    for line in sheet.lines:
        alone = len(line.judged) == 1
        verdicts = "; ".join(
            f"{MARKS[judged.outcome]} {outcome_text(judged) if alone else sheet.short(line, judged)}"
            for judged in line.judged
        )
        cells = [cell_text(sheet, cell) for cell in line.cells]
        found.append([label_text(line.value), *line.beside, *cells, *([verdicts] if sheet.verdicts else [])])
    return found


def to_markdown(sheet: Sheet) -> str:
    """A pivot as a Markdown table under its title."""
    heads = headings(sheet)
    body = [heads, ["---"] * len(heads), *texts(sheet)]
    note = f"Mean ± sample standard deviation, n = {sheet.n}." if sheet.n else "Mean ± sample standard deviation."
    lines = ["| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in body]
    return f"## {sheet.title}\n\n" + "\n".join(lines) + f"\n\n{note}\n"


def to_csv(sheet: Sheet) -> str:
    """A pivot as CSV: one line a cell, its mean, sd, n and extremes as numbers."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [sheet.pivot.lines, sheet.pivot.columns or "column", "number", "mean", "sd", "n", "low", "high", "verdict"]
    )
    for line in sheet.lines:
        said = "; ".join(f"{outcome_text(judged)}: {basis_text(judged)}" for judged in line.judged)
        for column, cell in zip(sheet.columns, line.cells, strict=True):
            if found := cell.found:
                place = [line.value, "" if column is None else column, sheet.pivot.of]
                spread = "" if found.sd is None else found.sd
                writer.writerow([*place, found.mean, spread, found.n, found.low, found.high, said])
    return text.getvalue()

"""The results as a table: every row as CSV, and one line a level for the terminal."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, fields

from rich.table import Table

from tombola.report.judge import Judgement, accuracy, arms, density_of, judge, levels
from tombola.report.statistics import Sample
from tombola.report.summary import Row, Summary
from tombola.report.wording import MARKS, accuracy_text, density_text, verdict_text, with_n


@dataclass(frozen=True)
class Cell:
    """One arm at one level; `density` is set only where it is not the ticket's (more than 1 % away)."""

    name: str
    found: Sample | None
    density: float | None = None


@dataclass(frozen=True)
class Line:
    """One level: its density, what each arm reached, and the verdict on the ticket (None for the dense network)."""

    level: int
    density: float
    cells: tuple[Cell, ...]
    judgement: Judgement | None


def lines(summary: Summary) -> tuple[Line, ...]:
    """One line for every level that occurs, densest first.

    Example:
        >>> lines(Summary(title="", question="", arch="", task="", recipe="", command="", rows=()))
        ()
    """
    judged = {judgement.level: judgement for judgement in judge(summary)}
    found: list[Line] = []
    for level in levels(summary):
        density = density_of(summary, level)
        assert density is not None, "a level that occurs has rows"
        cells = tuple(_cell(summary, name, level, density) for name in arms(summary))
        found.append(Line(level, density, cells, judged.get(level)))
    return tuple(found)


def _cell(summary: Summary, name: str, level: int, density: float) -> Cell:
    own = density_of(summary, level, name) if accuracy(summary, name, level) else None
    other = own if own is not None and abs(own - density) > 0.01 * density else None
    return Cell(name, accuracy(summary, name, level), other)


def to_csv(rows: Sequence[Row]) -> str:
    """Every row as one line of CSV text; each check that occurs gets a column, empty where it was not made.

    Example:
        >>> to_csv([]).startswith("seed,name,level,density")
        True
    """
    plain = [field.name for field in fields(Row) if field.name != "checks"]
    checks = sorted({check for row in rows for check in row.checks})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*plain, *(f"check:{check}" for check in checks)])
    for row in rows:
        writer.writerow([*(getattr(row, name) for name in plain), *(row.checks.get(check, "") for check in checks)])
    return text.getvalue()


def terminal_table(summary: Summary) -> Table:
    """A table for `rich` to print: one line a level, mean and sample sd over n seeds, and the verdict in a word.

    Where every figure rests on as many seeds, their number stands in the heading.
    """
    table = Table(title=None, box=None, pad_edge=False, header_style="bold")
    table.add_column("level", justify="right")
    table.add_column("density", justify="right")
    numbers = {cell.found.n for line in lines(summary) for cell in line.cells if cell.found}
    common = f" (n = {numbers.pop()})" if len(numbers) == 1 else ""
    for name in arms(summary):
        table.add_column(name + common, justify="right")
    table.add_column("verdict")
    for line in lines(summary):
        text = accuracy_text if common else with_n
        shown = [text(cell.found) if cell.found else "–" for cell in line.cells]
        for index, cell in enumerate(line.cells):
            if cell.density is not None:
                shown[index] += f" at {density_text(cell.density)}"
        verdict = "dense network" if not line.level else "–"
        if line.judgement:
            verdict = f"{MARKS[line.judgement.outcome]} {verdict_text(line.judgement).partition(':')[0]}"
        table.add_row(str(line.level), density_text(line.density), *shown, verdict)
    return table

"""A study in the terminal: its claims with their verdicts, its tables, what is missing."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tombola.report.cautions import cautions
from tombola.report.claim_words import MARKS, basis_text, confirmed_text, outcome_text, tally
from tombola.report.defaults import tables_of
from tombola.report.findings import Findings, Missing
from tombola.report.judge import Judged, judge
from tombola.report.pivots import Sheet, headings, lay_out, texts
from tombola.report.wording import labels_text, spoken

COLOURS = {"confirmed": "green", "contradicted": "red", "undecided": "yellow", "not measured": "dim"}
MOST_CLAIMS = 30
MOST_NAMED = 5


def overview(findings: Findings) -> RenderableType:
    """All that a terminal shows of a study, for `rich` to print.

    Raises:
        Refused: If a claim picks two rows for one seed.

    Example:
        >>> from rich.console import Console
        >>> Console().print(overview(Findings(title="", question="", study="", command="", rows=())))
        Nothing was measured yet.
    """
    if not findings.rows and not findings.missing:
        return Text("Nothing was measured yet.")
    judged = judge(findings)
    parts: list[RenderableType] = []
    for pivot in tables_of(findings):
        sheet = lay_out(findings, pivot, judged)
        if sheet.lines:
            parts += [Text(_title(sheet), style="bold"), sheet_table(sheet), Text("")]
    if judged:
        parts.append(claims_table(judged[:MOST_CLAIMS]))
        if len(judged) > MOST_CLAIMS:
            parts.append(Text(f"... and {len(judged) - MOST_CLAIMS} more; the page has them all."))
        parts.append(Text(f"{tally(judged)} {confirmed_text(judged)}".strip()))
    parts += [Text(f"Careful. {said}", style="yellow") for said in cautions(findings)]
    if findings.missing:
        parts.append(Text(missing_text(findings)))
    return Group(*parts)


def _title(sheet: Sheet) -> str:
    n = f", n = {sheet.n}" if sheet.n else ""
    unit = f" in {sheet.unit}" if sheet.unit else ""
    return f"{sheet.title} ({spoken(sheet.pivot.of)}{unit}, mean ± sd{n})"


def sheet_table(sheet: Sheet) -> Table:
    """A pivot for `rich` to print; its title and unit stand above it."""
    table = _bare()
    for heading in headings(sheet):
        plain = Text(heading.removesuffix(f", {sheet.unit}") if sheet.unit else heading)
        table.add_column(plain, justify="left" if heading == "verdict" else "right")
    for line in texts(sheet):
        table.add_row(*map(Text, line))
    return table


def claims_table(judged: Sequence[Judged]) -> Table:
    """The claims for `rich` to print: a verdict each, and what it rests on or what would decide it."""
    table = _bare()
    for heading in ("verdict", "claim", "because"):
        table.add_column(heading)
    for claim in judged:
        verdict = Text(f"{MARKS[claim.outcome]} {outcome_text(claim)}", style=COLOURS[claim.outcome])
        table.add_row(verdict, Text(claim.claim.sentence), Text(basis_text(claim), style="dim"))
    return table


def missing_text(findings: Findings) -> str:
    """How many rows are missing and why, the first few by name."""
    whys: dict[str, list[Missing]] = {}
    for row in findings.missing:
        whys.setdefault(row.why, []).append(row)
    said: list[str] = []
    for why, rows in whys.items():
        named = "; ".join(labels_text(row.labels) for row in rows[:MOST_NAMED])
        more = f" and {len(rows) - MOST_NAMED:,} more" if len(rows) > MOST_NAMED else ""
        said.append(f"{len(rows):,} missing, {why.rstrip('.')}: {named}{more}.")
    return "\n".join(said)


def _bare() -> Table:
    return Table(title=None, box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))

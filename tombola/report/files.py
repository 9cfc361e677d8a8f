"""A study as files beside its page: rows, claims, tables and figures, for papers and for other programs."""

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, cast

from tombola.core.files import write_bytes
from tombola.report import pivots, table
from tombola.report.claim_words import (
    MARKS,
    basis_text,
    evidence_text,
    outcome_text,
    published_of,
    published_text,
    statement_text,
    tally,
)
from tombola.report.claims import Agrees, Beyond
from tombola.report.curves import drawn
from tombola.report.defaults import figures_of, tables_of
from tombola.report.figures import FORMATS, save_figure
from tombola.report.findings import Findings
from tombola.report.judge import Judged, Tested, judge

OURS = re.compile(r"(figure|table)-\d+(-[^.]*)?\.(png|svg|pdf|csv|md)")
"""How the files of figures and tables are called."""
WRITTEN = "written.json"
"""The names of the files that a report wrote: what of them the next one does not write is removed, and nothing else."""


def write_all(
    findings: Findings, folder: str | Path, *, figures: Literal["draw", "leave out"] = "draw"
) -> tuple[Path, ...]:
    """Write findings.json, rows.csv, claims.md, claims.csv, each table as CSV and Markdown, each figure in all formats.

    Figures and tables that an earlier report wrote there, as its `written.json` says, and this one does not, are
    removed.

    Returns:
        What was written, without `written.json`.

    Raises:
        Failed: If a file cannot be written, or matplotlib is not there to draw (all else is written then).
        Refused: If a claim picks two rows for one seed.
    """
    home = Path(folder)
    judged = judge(findings)
    texts = {"findings.json": findings.to_json(), "rows.csv": table.to_csv(findings.rows)}
    if judged:
        texts |= {"claims.md": claims_markdown(judged), "claims.csv": claims_csv(judged)}
    sheets = [pivots.lay_out(findings, pivot, judged) for pivot in tables_of(findings)]
    for name, sheet in zip(_names("table", [sheet.title for sheet in sheets]), sheets, strict=True):
        if sheet.lines:
            texts |= {f"{name}.csv": pivots.to_csv(sheet), f"{name}.md": pivots.to_markdown(sheet)}
    earlier = _earlier(home)
    written = [write_bytes(home / name, text.encode()) for name, text in texts.items()]
    _remember(home, [*(path.name for path in written), *earlier])  # Should it fail to draw, nothing is forgotten.
    ready = [figure for curve in figures_of(findings) if (figure := drawn(findings, curve)).points]
    if ready and figures == "draw":
        for name, figure in zip(_names("figure", [figure.title for figure in ready]), ready, strict=True):
            written += [save_figure(figure, home / f"{name}.{ending}") for ending in FORMATS]
    names = [path.name for path in written]
    for old in earlier:  # Of another study, or of this one with more figures.
        if old not in names:
            (home / old).unlink(missing_ok=True)
    _remember(home, names)
    return tuple(written)


def _remember(home: Path, names: Sequence[str]) -> None:
    write_bytes(home / WRITTEN, json.dumps(list(dict.fromkeys(names)), indent=1).encode() + b"\n")


def _earlier(home: Path) -> list[str]:
    """The figures and tables that an earlier report wrote; none if nothing sound tells of them."""
    try:
        told: Any = json.loads((home / WRITTEN).read_bytes())
    except (OSError, ValueError):
        return []
    names = cast(list[Any], told) if isinstance(told, list) else []
    return [name for name in names if isinstance(name, str) and OURS.fullmatch(name) and (home / name).is_file()]


def _names(what: str, titles: Sequence[str]) -> list[str]:
    """A number and a title that any file system takes."""
    plain = [re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60] for title in titles]
    return [f"{what}-{at}-{title}".rstrip("-") for at, title in enumerate(plain, start=1)]


def claims_markdown(judged: Sequence[Judged]) -> str:
    """The claims with their verdicts and tests, as Markdown.

    Example:
        >>> claims_markdown([])
        '# Claims\\n'
    """
    lines = ["# Claims", *(["", tally(judged)] if judged else [])]
    for claim in judged:
        lines += ["", f"## {MARKS[claim.outcome]} {outcome_text(claim).capitalize()}: {claim.claim.sentence}", ""]
        lines += [f"{basis_text(claim)}.", ""]
        for name, published, ours in published_of(claim):
            lines.append(f"- published: {published_text(name, published)}; ours: {ours}")
        for tested in claim.tested:
            said = f"{statement_text(tested)}. {evidence_text(tested)}."
            lines.append(f"- {MARKS[tested.outcome]} {tested.outcome}: {said}")
    return "\n".join(lines) + "\n"


def _other(tested: Tested) -> float | None:
    """What ours was held against."""
    test = tested.test
    if isinstance(test, Agrees):
        return test.published.value
    if isinstance(test, Beyond):
        return test.value
    return tested.there.mean if tested.there else None


def claims_csv(judged: Sequence[Judged]) -> str:
    """The claims as CSV, one line a test, its figures as numbers."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["claim", "family", "verdict", "n", "needed", "p", "test", "by itself", "number", "ours", "other"]
        + ["difference", "low", "high", "pairs", "why"]
    )
    for claim in judged:
        head = [claim.claim.sentence, claim.claim.family, claim.outcome, claim.n, claim.needed, claim.p]
        for tested in claim.tested:
            test = tested.test
            other = _other(tested)
            differences = tested.lead.differences if tested.lead else ()
            mean = sum(differences) / len(differences) if differences else None
            ours = tested.here.mean if tested.here else None
            low, high = tested.between or (None, None)
            figures = [test.of, ours, other, mean, low, high, tested.n, tested.why]
            writer.writerow([*head, statement_text(tested), tested.outcome, *figures])
    return text.getvalue()

"""One self-contained HTML page from findings: no network, light and dark, fit for a phone, every number traceable."""

import base64
import hashlib
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from tombola.core.files import write_bytes
from tombola.report import claim_words, wording
from tombola.report.cautions import cautions
from tombola.report.costs import MOST, cost_sentence, costs, total_seconds
from tombola.report.curves import drawn
from tombola.report.data import data_json
from tombola.report.defaults import figures_of, tables_of
from tombola.report.environments import environments
from tombola.report.findings import Findings
from tombola.report.judge import judge
from tombola.report.links import to_key, to_rows
from tombola.report.panels import MOST_PICTURES, albums, heat_svg, heats, picture_svg, strongest
from tombola.report.pivots import lay_out
from tombola.report.plot import curve_svg, legend_mark

FIGURE = re.compile(r"\(n = \d+\)|\bn = \d+|[+−]?\d[\d.,]*\d?( ± [\d.]+)?( %| points?)?")
MOST_CLAIMS = 12
MOST_MISSING = 100
MOST_BROKEN = 10


def render(findings: Findings) -> str:
    """The page as text. It reads the findings and nothing else, and all text from outside is escaped.

    Raises:
        Refused: If a claim picks two rows for one seed.

    Example:
        >>> "a &lt; b" in render(Findings(title="a < b", question="", study="", command="", rows=()))
        True
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(together=_together, duration=wording.duration, density=wording.density_text)
    judged = judge(findings)
    figures = [drawn(findings, curve) for curve in figures_of(findings)]
    style, script = _asset("page.css"), _script()
    cost = costs(findings)
    return environment.from_string(_asset("page.html.j2")).render(
        findings=findings,
        policy=_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        data=data_json(findings),
        judged=judged,
        places=_Places(judged),
        tally=claim_words.tally(judged),
        confirmed=claim_words.confirmed_text(judged),
        cautions=cautions(findings),
        words=claim_words,
        figures=[
            (figure, curve_svg(figure, width=760, height=400), curve_svg(figure, width=360, height=310))
            for figure in figures
            if figure.points
        ],
        sheets=[sheet for pivot in tables_of(findings) if (sheet := lay_out(findings, pivot, judged)).lines],
        albums=albums(findings),
        heats=[(heat, heat_svg(heat, width=760), heat_svg(heat, width=360)) for heat in heats(findings)],
        checks=_checks(findings),
        environments=environments(findings.rows),
        costs=cost,
        cost_sentence=cost_sentence(cost),
        seconds=total_seconds(findings),
        most_claims=MOST_CLAIMS,
        most_costs=MOST,
        most_missing=MOST_MISSING,
        most_pictures=MOST_PICTURES,
        legend_mark=legend_mark,
        picture_svg=picture_svg,
        strongest=strongest,
        to_key=to_key,
        to_rows=to_rows,
        label_text=wording.label_text,
        labels_text=wording.labels_text,
        sample_text=wording.sample_text,
        scaled=wording.scaled,
        sentence=lambda text: text[:1].upper() + text[1:],
        spoken=wording.spoken,
    )


def write(findings: Findings, path: str | Path) -> Path:
    """Render the page into the file `path`, whole or not at all; `Failed` says why it cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> nothing = Findings(title="t", question="", study="", command="", rows=())
        >>> with TemporaryDirectory() as folder:
        ...     write(nothing, Path(folder) / "report.html").name
        'report.html'
    """
    return write_bytes(path, render(findings).encode("utf-8"))


class _Places:
    """Where a claim stands in the list, by identity: claims hold mappings, which have no hash."""

    def __init__(self, judged: Sequence[object]) -> None:
        self._at = {id(claim): index for index, claim in enumerate(judged, start=1)}

    def __getitem__(self, claim: object) -> int:
        return self._at[id(claim)]


def _asset(name: str) -> str:
    return files("tombola.report").joinpath(name).read_text(encoding="utf-8")


def _script() -> str:
    """The page's script, in one function, so that it leaves no names behind."""
    parts = "".join(_asset(f"page_{part}.js") for part in ("tools", "rows", "lineage"))
    return f'"use strict";(() => {{\n{parts}}})();'


def _policy(style: str, script: str) -> str:
    """Nothing is fetched; of scripts and styles only the page's own run, known by their hashes."""
    return (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> Markup:
    return Markup("'sha256-{}'").format(base64.b64encode(hashlib.sha256(text.encode()).digest()).decode())


def _together(text: str) -> Markup:
    """Keep a number, its spread and its unit on one line."""
    found, end = Markup(""), 0
    for match in FIGURE.finditer(text):
        found += escape(text[end : match.start()]) + Markup('<span class="nb">{}</span>').format(match.group())
        end = match.end()
    return found + escape(text[end:])


def _checks(findings: Findings) -> list[tuple[str, int, int, list[str]]]:
    """Name, how many held, how many were made, and the keys of the first that did not hold."""
    made: dict[str, list[str]] = {}
    count: dict[str, int] = {}
    held: dict[str, int] = {}
    for row in findings.rows:
        for check, ok in row.checks.items():
            count[check] = count.get(check, 0) + 1
            held[check] = held.get(check, 0) + ok
            if not ok:
                made.setdefault(check, []).append(row.key)
    return [(check, held[check], count[check], made.get(check, [])[:MOST_BROKEN]) for check in sorted(count)]

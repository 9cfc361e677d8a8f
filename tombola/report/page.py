"""One self-contained HTML page from a summary: no network, light and dark, readable on a phone."""

import re
from collections import Counter
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from tombola.core.files import write_bytes
from tombola.report import wording
from tombola.report.costs import cost_sentence, costs
from tombola.report.headline import headline
from tombola.report.judge import Judgement, arms, judge, rows_of
from tombola.report.panels import layers_svg, mask_svg, strongest
from tombola.report.plot import accuracy_svg, arm_class, legend_mark
from tombola.report.statistics import interval, sample, verdict
from tombola.report.summary import Picture, Summary
from tombola.report.table import lines

FIGURE = re.compile(r"\(n = \d+\)|[+−]?\d[\d.,]*( ± [\d.]+)?( %| points?)?")


def render(summary: Summary) -> str:
    """The page as text. It reads the summary and nothing else, and all text from outside is escaped.

    Example:
        >>> nothing = Summary(title="a < b", question="", arch="", task="", recipe="", command="", rows=())
        >>> "a &lt; b" in render(nothing)
        True
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(together=_together, duration=wording.duration, density=wording.density_text)
    template = environment.from_string(files("tombola.report").joinpath("page.html.j2").read_text(encoding="utf-8"))
    cost = costs(summary)
    names = arms(summary)
    return template.render(
        summary=summary,
        style=Markup(files("tombola.report").joinpath("page.css").read_text(encoding="utf-8")),
        headline=headline(summary),
        wide=accuracy_svg(summary, width=760, height=400),
        narrow=accuracy_svg(summary, width=360, height=310),
        legend=[(name, legend_mark(index)) for index, name in enumerate(names)],
        arms=names,
        arm_class=arm_class,
        lines=lines(summary),
        claims=_claims(judge(summary)),
        albums=_albums(summary),
        mask_svg=mask_svg,
        strongest=strongest,
        layers_wide=layers_svg(summary, width=760),
        layers_narrow=layers_svg(summary, width=360),
        checks=_checks(summary),
        costs=cost,
        cost_sentence=cost_sentence(cost),
        seconds=sum(row.seconds for row in summary.rows),
        groups=[(index, name, level, rows_of(summary, name, level)) for index, name, level in _places(summary)],
        wording=wording,
    )


def write(summary: Summary, path: str | Path) -> Path:
    """Render the page into the file `path`, whole or not at all; `Failed` says why it cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> nothing = Summary(title="t", question="", arch="", task="", recipe="", command="", rows=())
        >>> with TemporaryDirectory() as folder:
        ...     write(nothing, Path(folder) / "report.html").name
        'report.html'
    """
    return write_bytes(path, render(summary).encode("utf-8"))


def _together(text: str) -> Markup:
    """Keep a number, its spread and its unit on one line."""
    found, end = Markup(""), 0
    for match in FIGURE.finditer(text):
        found += escape(text[end : match.start()]) + Markup('<span class="nb">{}</span>').format(match.group())
        end = match.end()
    return found + escape(text[end:])


def _places(summary: Summary) -> list[tuple[int, str, int]]:
    at = {name: index for index, name in enumerate(arms(summary))}
    return sorted({(at[row.name], row.name, row.level) for row in summary.rows})


def _checks(summary: Summary) -> list[tuple[str, int, int]]:
    """Name, how many held, how many were made."""
    made = Counter(check for row in summary.rows for check in row.checks)
    held = Counter(check for row in summary.rows for check, ok in row.checks.items() if ok)
    return [(check, held[check], count) for check, count in sorted(made.items())]


def _claims(judged: tuple[Judgement, ...]) -> list[dict[str, object]]:
    """Each claim by itself: mean difference in points, its 95 % interval (not corrected), n and outcome."""
    found: list[dict[str, object]] = []
    for judgement in judged:
        for claim in judgement.claims:
            ends = interval(claim.differences)
            between = "no spread" if ends is None else " to ".join(wording.points(end) for end in ends)
            found.append(
                {
                    "level": judgement.level,
                    "claim": wording.claim_text(claim),
                    "mean": wording.points(sample(claim.differences).mean),
                    "interval": between,
                    "n": len(claim.differences),
                    "outcome": verdict(claim).outcome,
                }
            )
    return found


def _albums(summary: Summary) -> list[tuple[str, int, list[Picture]]]:
    """The pictures by arm and seed, each from dense to sparse; the first album of an arm is that of its lowest seed."""
    usual = {name: index for index, name in enumerate(arms(summary))}
    keys = sorted({(usual.get(p.name, len(usual)), p.name, p.seed) for p in summary.pictures})
    return [
        (name, seed, sorted((p for p in summary.pictures if (p.name, p.seed) == (name, seed)), key=lambda p: p.level))
        for _, name, seed in keys
    ]

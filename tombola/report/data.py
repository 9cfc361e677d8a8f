"""Rows and steps as compact JSON inside the page: a column each, so that ten thousand rows stay light."""

import json
import math
from typing import Any

from markupsafe import Markup

from tombola.report.environments import environments
from tombola.report.findings import Findings
from tombola.report.table import names
from tombola.report.wording import label_text

MOST_LINES = 20_000
"""Of the rows' own tables: so many lines the page carries, the rest is in the store."""


def data_json(findings: Findings) -> Markup:
    """Rows and steps for the page's script; nothing in it can end the element that it stands in."""
    text = json.dumps(
        {"rows": _rows(findings), "steps": _steps(findings)}, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


def _rows(findings: Findings) -> dict[str, Any]:
    rows = findings.rows
    labels, numbers, checks = (names(rows, kind) for kind in ("labels", "numbers", "checks"))
    shown = {name: _indexed([_label(row.labels, name) for row in rows]) for name in labels}
    if len(environments(rows)) > 1:
        heading = "made in" if "environment" in {*labels, *numbers} else "environment"
        shown[heading] = _indexed([row.environment for row in rows])
    return {
        "keys": [row.key for row in rows],
        "labels": shown,
        "numbers": {name: [_number(row.numbers.get(name)) for row in rows] for name in numbers},
        "checks": {name: "".join(_made(row.checks.get(name)) for row in rows) for name in checks},
        "tables": _tables(findings),
    }


def _indexed(values: list[str | None]) -> dict[str, Any]:
    """Few values many times: each once, and where it stands."""
    known = {value: at for at, value in enumerate(dict.fromkeys(values))}
    return {"known": list(known), "at": [known[value] for value in values]}


def _label(labels: Any, name: str) -> str | None:
    return label_text(labels[name]) if name in labels else None


def _number(value: float | None) -> float | str | None:
    if value is None or math.isfinite(value):
        return value
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"


def _made(check: bool | None) -> str:
    return "-" if check is None else "1" if check else "0"


def _tables(findings: Findings) -> dict[str, Any]:
    found: dict[str, Any] = {}
    room = MOST_LINES
    for row in findings.rows:
        for name, lines in row.tables.items():
            room -= len(lines)
            if room >= 0:
                plain = [{key: _plain(value) for key, value in line.items()} for line in lines]
                found.setdefault(row.key, {})[name] = plain
    return found


def _plain(value: Any) -> Any:
    return _number(value) if isinstance(value, float) else value


def _steps(findings: Findings) -> dict[str, Any]:
    steps = list(findings.steps.values())
    told = [tuple({"environment": step.environment, **step.versions}.items()) for step in steps]
    told = [tuple((name, text) for name, text in facts if text or name != "environment") for facts in told]
    sets = dict.fromkeys(told)
    versions = {found: at for at, found in enumerate(sets)}
    places = {step.key: at for at, step in enumerate(steps)}
    return {
        "keys": [step.key for step in steps],
        "calls": [step.call for step in steps],
        "inputs": [[places.get(key, key) for key in step.inputs] for step in steps],
        "seconds": [_number(step.seconds) for step in steps],
        "finished": [step.finished for step in steps],
        "versions": [versions[facts] for facts in told],
        "sets": [dict(found) for found in sets],
    }

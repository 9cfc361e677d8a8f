"""What is shown of a study that declares no figures or tables: numbers against the labels that vary most."""

from collections.abc import Mapping
from itertools import product

from tombola.report.claims import Label
from tombola.report.declared import Curve, Pivot
from tombola.report.findings import Findings, Measured
from tombola.report.gather import label_values, varying
from tombola.report.wording import labels_text, spoken

TRAINING = "test_accuracy"
COUNTED = {
    "density", "kept", "size", "seconds", "steps", "peak_memory", "flops_dense", "flops_sparse", "train_accuracy",
    "train_loss", "test_loss", "validation_accuracy", "validation_loss",
    "device_seconds", "images", "images_per_second",
}  # fmt: skip
MOST_NUMBERS = 4
MOST_TABLES = 6


def figures_of(findings: Findings) -> tuple[Curve, ...]:
    """The figures that a study declares, or a sensible one.

    Example:
        >>> figures_of(Findings(title="", question="", study="", command="", rows=()))
        ()
    """
    if findings.figures or not findings.rows:
        return findings.figures
    found: list[Curve] = []
    for number, rows in _numbers(findings).items():
        labels = varying(rows)
        if number == TRAINING and len({row.numbers.get("density") for row in rows}) > 1:
            arms = tuple(name for name in labels if name != "level")[:2]
            wanted = {"name": "ticket", "level": 0}
            dense = wanted if any(_has(row, wanted) for row in rows) else None
            found.append(Curve(by=arms, baseline=dense, title="Test accuracy against density"))
            continue
        numeric = [name for name in labels if len(label_values(rows, name)) > 2 and _numeric(rows, name)]
        if numeric:
            arms = tuple(name for name in labels if name != numeric[0])[:2]
            found.append(Curve(x=numeric[0], y=number, by=arms, log_x=False))
    return tuple(found)


def tables_of(findings: Findings) -> tuple[Pivot, ...]:
    """The tables that a study declares, or sensible ones: a few where a third label varies, not one that mixes.

    Example:
        >>> tables_of(Findings(title="", question="", study="", command="", rows=()))
        ()
    """
    if findings.tables or not findings.rows:
        return findings.tables
    found: list[Pivot] = []
    for number, rows in _numbers(findings).items():
        labels = varying(rows)
        if not labels:
            continue
        lines, columns = labels[0], labels[1] if len(labels) > 1 else ""
        if columns == "level":
            lines, columns = columns, lines
        apart = [label_values(rows, name) for name in labels[2:]]
        places = [dict(zip(labels[2:], values, strict=True)) for values in product(*apart)]
        for where in places if len(places) <= MOST_TABLES else [{}]:
            if any(_has(row, where) for row in rows):
                found.append(
                    Pivot(lines=lines, columns=columns, of=number, where=where, title=_title(number, lines, where))
                )
    return tuple(found)


def _title(number: str, lines: str, where: Mapping[str, Label]) -> str:
    said = f", {labels_text(where)}" if where else ""
    return f"{spoken(number).capitalize()} by {spoken(lines)}{said}"


def _numbers(findings: Findings) -> dict[str, list[Measured]]:
    """The numbers worth a figure, each with the rows that have it: a training's accuracy, whatever probes found."""
    found: dict[str, list[Measured]] = {}
    for row in findings.rows:
        for name in (TRAINING,) if TRAINING in row.numbers else row.numbers:
            if name not in COUNTED:
                found.setdefault(name, []).append(row)
    if not found and findings.rows:
        found = {name: [row for row in findings.rows if name in row.numbers] for name in findings.rows[0].numbers}
    return dict(list(found.items())[:MOST_NUMBERS])


def _has(row: Measured, where: Mapping[str, Label]) -> bool:
    return all(row.labels.get(name) == value for name, value in where.items())


def _numeric(rows: list[Measured], name: str) -> bool:
    values = label_values(rows, name)
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)

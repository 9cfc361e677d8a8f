"""Rows gathered by their labels, in the order of the study or by size: what curves, pivots and costs are made of."""

import math
from collections.abc import Iterable, Mapping, Sequence

from tombola.report.claims import Label
from tombola.report.findings import Measured, Missing
from tombola.report.statistics import Sample, sample

SEED = ("seed",)


def value_of(row: Measured, name: str) -> float | None:
    """A number of a row, or a label that is a number; None where it has neither."""
    value = row.numbers.get(name, row.labels.get(name))
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def sampled(rows: Iterable[Measured], name: str) -> Sample | None:
    """A number over the rows that have it; a value that is not finite makes the mean so too."""
    values = [value for row in rows if (value := value_of(row, name)) is not None]
    if not values:
        return None
    if not all(map(math.isfinite, values)):
        return Sample(len(values), math.nan, None, math.nan, math.nan)
    return sample(values)


def label_values(rows: Iterable[Measured | Missing], name: str) -> list[Label]:
    """The values of a label: by size where all are numbers, else in the order of the study."""
    values = list(dict.fromkeys(row.labels[name] for row in rows if name in row.labels))
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return sorted(values, key=lambda value: float(value)) if numeric else values


def varying(rows: Sequence[Measured | Missing], *, without: Sequence[str] = SEED) -> list[str]:
    """The labels that have more than one value, the one with most values first."""
    seen: dict[str, dict[Label, None]] = {}
    for row in rows:
        for name, value in row.labels.items():
            seen.setdefault(name, {})[value] = None
    found = [name for name, values in seen.items() if name not in without and len(values) > 1]
    return sorted(found, key=lambda name: -len(seen[name]))


def grouped(
    rows: Iterable[Measured], *, without: Sequence[str] = SEED
) -> list[tuple[Mapping[str, Label], list[Measured]]]:
    """The rows that share all labels but these, with the labels that they share, in order."""
    found: dict[tuple[tuple[str, Label], ...], list[Measured]] = {}
    for row in rows:
        shared = tuple((name, value) for name, value in row.labels.items() if name not in without)
        found.setdefault(shared, []).append(row)
    return [(dict(shared), inside) for shared, inside in found.items()]

"""Every row of a study as CSV: labels, numbers, checks, and the key that it came from."""

import csv
import io
from collections.abc import Iterable, Sequence

from tombola.report.environments import environments
from tombola.report.findings import Measured, Missing
from tombola.report.wording import label_text


def names(rows: Iterable[Measured | Missing], kind: str) -> list[str]:
    """The names that occur among the labels, numbers or checks of rows, in the order of the study."""
    return list(dict.fromkeys(name for row in rows for name in getattr(row, kind)))


def to_csv(rows: Sequence[Measured]) -> str:
    """Every row as one line of CSV text: its labels, its numbers, its checks, its key; empty where it has none.

    A number that has the name of a label, or a label that is called key, is told apart by what it is. Where rows come
    from several environments, each tells its own.

    Example:
        >>> to_csv([Measured(labels={"seed": 0}, numbers={"loss": 0.5}, key="train:0")])
        'seed,loss,key\\n0,0.5,train:0\\n'
    """
    labels, numbers, checks = (names(rows, kind) for kind in ("labels", "numbers", "checks"))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    several = len(environments(rows)) > 1
    fixed = ["environment", "key"] if several else ["key"]
    taken = {*fixed, *labels}
    heads = [f"label:{name}" if name in fixed else name for name in labels]
    heads += [f"number:{name}" if name in taken else name for name in numbers]
    writer.writerow([*heads, *(f"check:{check}" for check in checks), *fixed])
    for row in rows:
        said = [label_text(row.labels[name]) if name in row.labels else "" for name in labels]
        last = [row.environment, row.key] if several else [row.key]
        made = [row.checks.get(check, "") for check in checks]
        writer.writerow([*said, *(row.numbers.get(name, "") for name in numbers), *made, *last])
    return text.getvalue()

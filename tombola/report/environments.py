"""The environments that rows come from: results of several are never put together unseen."""

from collections import Counter
from collections.abc import Iterable

from tombola.report.findings import Findings, Measured


def environments(rows: Iterable[Measured]) -> dict[str, int]:
    """How many rows come from each environment, most first; rows that tell of none are left out.

    Example:
        >>> environments([Measured(labels={}, numbers={}, key="train:0", environment="cpu AVX2")])
        {'cpu AVX2': 1}
    """
    return dict(Counter(row.environment for row in rows if row.environment).most_common())


def beneath(findings: Findings) -> dict[str, int]:
    """How many steps behind the rows come from environments that no row comes from."""
    known = {row.environment for row in findings.rows}
    others = (step.environment for step in findings.steps.values() if step.environment)
    return dict(Counter(one for one in others if one not in known).most_common())

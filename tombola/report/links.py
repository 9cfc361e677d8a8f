"""Addresses within the page: of one result, and of the rows that a number sums up."""

from urllib.parse import quote

from tombola.report.claims import Where
from tombola.report.wording import label_text


def to_rows(where: Where) -> str:
    """The address of the rows that have these labels.

    Example:
        >>> to_rows({"name": "ticket", "level": 3})
        '#rows?name=ticket&level=3'
    """
    said = "&".join(f"{quote(name, safe='')}={quote(label_text(value), safe='')}" for name, value in where.items())
    return f"#rows?{said}"


def to_key(key: str) -> str:
    """The address of a result and of its lineage.

    Example:
        >>> to_key("train:0123")
        '#train:0123'
    """
    return f"#{quote(key, safe=':')}"

"""What a probe gives: numbers, checks, tables and small pictures; never a plot."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, Self, cast

from tombola.core.artifact import Artifact, Parts
from tombola.core.call import Call
from tombola.core.canon import fingerprint
from tombola.core.errors import Damaged, Refused

_NAMES = ("numbers", "checks", "tables", "pictures")


@dataclasses.dataclass(frozen=True, eq=False)
class Measurement(Artifact):
    """Measured values, as plain data.

    Args:
        values: Name -> number (accuracies as fractions). What is not a number or infinite is kept and shown as such.
        checks: Name -> whether it held.
        tables: Name -> lines, each a name -> plain value.
        pictures: Grids: {"name": text, "caption": text, "values": lines of numbers from 0 to 1}; with "full" what full
            colour stands for (the largest value if it is not told), with "path" places (x, y) to mark, in cells from
            the upper left corner.

    Example:
        >>> Measurement({"distance": 0.5}).numbers()
        {'distance': 0.5}
    """

    values: Mapping[str, float]
    checks: Mapping[str, bool] = dataclasses.field(default_factory=dict[str, bool])
    tables: Mapping[str, tuple[Mapping[str, Any], ...]] = dataclasses.field(default_factory=dict[str, Any])
    pictures: tuple[Mapping[str, Any], ...] = ()
    made_by: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no number, or no yes or no."""
        for name, value in cast(dict[str, Any], self.values).items():
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise Refused(f"a Measurement's '{name}' is a {type(value).__name__}. Its values are numbers.")
        for name, held in cast(dict[str, Any], self.checks).items():
            if not isinstance(held, bool):
                raise Refused(f"a Measurement's check '{name}' is a {type(held).__name__}. It is True or False.")

    @property
    def key(self) -> str:
        """The key of the call that made it; one of its content if it was made by hand."""
        return self.made_by or f"measurement:{fingerprint(json.dumps(self._plain(), sort_keys=True))}"

    def numbers(self) -> dict[str, float]:
        """The measured values."""
        return dict(self.values)

    def proofs(self) -> dict[str, bool]:
        """The checks."""
        return dict(self.checks)

    def stamped(self, call: Call) -> Self:
        """The same values, made by this call."""
        return dataclasses.replace(self, made_by=call.key)

    def _plain(self) -> dict[str, Any]:
        tables = {name: [dict(line) for line in lines] for name, lines in self.tables.items()}
        pictures = [dict(picture) for picture in self.pictures]
        return {"numbers": dict(self.values), "checks": dict(self.checks), "tables": tables, "pictures": pictures}

    def parts(self) -> Parts:
        """All of it is header."""
        return Parts({**self._plain(), "made_by": self.made_by}, {})

    @classmethod
    def from_parts(cls, parts: Parts) -> "Measurement":
        """The measurement in a header.

        Raises:
            Damaged: If something is missing.
        """
        header = parts.header
        if missing := [name for name in (*_NAMES, "made_by") if name not in header]:
            raise Damaged(f"not a sound measurement: '{missing[0]}' is not in it.")
        tables = {name: tuple(lines) for name, lines in header["tables"].items()}
        return cls(header["numbers"], header["checks"], tables, tuple(header["pictures"]), header["made_by"])

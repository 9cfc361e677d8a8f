"""What a verification saw: its checks, one by one."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that was looked at, whether it held, and what was seen."""

    name: str
    ok: bool
    detail: str = ""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """All checks of one ticket or trained network; `ok` only if every one held."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether every check held."""
        return all(check.ok for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"ok": self.ok, "checks": [dataclasses.asdict(check) for check in self.checks]}

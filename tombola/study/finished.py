"""How a run of a study went, and what to say if something failed."""

import dataclasses
from collections.abc import Mapping

from tombola.core.counted import number_of
from tombola.core.errors import Failed

MOST_NAMED = 5
"""So many failures are told in full."""


@dataclasses.dataclass(frozen=True)
class Finished:
    """How a run went: numbers of calls; why calls failed, by key; which ones were not tried because of which."""

    stored: int
    done: int
    failed: Mapping[str, str]
    blocked: Mapping[str, str]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether everything that was wanted is there."""
        return not self.failed


def failure(finished: Finished, *, command: str, log: str) -> Failed:
    """What to say of a run in which something failed."""
    count, blocked = len(finished.failed), len(finished.blocked)
    lines = [f"{number_of(count, 'step')} failed:"]
    lines += [f"  {key}: {error}" for key, error in list(finished.failed.items())[:MOST_NAMED]]
    lines += [f"  and {count - MOST_NAMED:,} more"] if count > MOST_NAMED else []
    waiting = (
        f"{blocked:,} that needed {'it' if count == 1 else 'them'} {'was' if blocked == 1 else 'were'} not tried. "
    )
    kept = f"What was finished is kept. The same command tries the rest again: {command}"
    return Failed("\n".join([*lines, waiting * bool(blocked) + kept, f"Tracebacks are in {log}."]))

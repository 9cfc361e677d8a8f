"""The words of the commands on what is here and what works."""

import dataclasses
from typing import Annotated

from tyro.conf import Positional, arg

from tombola.words.shared import Shared


@dataclasses.dataclass(frozen=True, kw_only=True)
class List(Shared):
    """List the plug-ins there are: networks, data sets, criteria, scopes, moves, recipes, ...; and the studies."""

    kind: Annotated[Positional[str], arg(metavar="[KIND]")] = ""
    """arch, task, criterion, scope, move, recipe, probe, study, ...; all of them if not given."""
    name: Annotated[Positional[str], arg(metavar="[NAME]")] = ""
    """One of that kind, to read all that is said of it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data(Shared):
    """Tell which data sets are here, and fetch and check the named ones."""

    names: Annotated[Positional[tuple[str, ...]], arg(metavar="[NAME...]")] = ()
    """Data sets to fetch; none for a list of all."""

    @property
    def named(self) -> list[tuple[str, str]]:
        """The data sets."""
        return [("task", name) for name in self.names]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Doctor(Shared):
    """Tell what works on this machine and what does not, with the way out."""

    store: str = "runs"
    """The store to look at."""

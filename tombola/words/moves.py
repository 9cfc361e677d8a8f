"""The words of the commands on moves."""

import dataclasses
import pathlib
from typing import Annotated

from tyro.conf import Positional, arg

from tombola.words.shared import Shared


@dataclasses.dataclass(frozen=True, kw_only=True)
class Carry(Shared):
    """Apply a move to a ticket: stretch, reinit, shuffle, ... (see: tombola list move)."""

    file: Annotated[Positional[pathlib.Path], arg(metavar="FILE")]
    """The .ticket file."""
    move: Annotated[Positional[str], arg(metavar="MOVE")]
    """The move, e.g. shuffle or "reinit(seed=1)"."""
    out: str
    """The .ticket file to write."""

    @property
    def named(self) -> list[tuple[str, str]]:
        """The move."""
        return [("move", self.move)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlanMove(Shared):
    """Show what a stretch or a squeeze would do: the map, densities, parameters and operations. Writes nothing."""

    file: Annotated[Positional[pathlib.Path], arg(metavar="FILE")]
    """The .ticket file."""
    move: Annotated[Positional[str], arg(metavar="MOVE")]
    """The move, e.g. "stretch(to=resnet(depth=56))"."""

    @property
    def named(self) -> list[tuple[str, str]]:
        """The move."""
        return [("move", self.move)]

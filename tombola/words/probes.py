"""The words of the command that measures."""

import dataclasses
import pathlib
from typing import Annotated

from tyro.conf import Positional, arg

from tombola.words.shared import Shared


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probe(Shared):
    """Measure tickets and trained networks: barriers, distances, overlap, curvature, ... (see: tombola list probe)."""

    probe: Annotated[Positional[str], arg(metavar="PROBE")]
    """What to measure, e.g. overlap or "barrier(points=11, stats=recompute)". Settings: tombola list probe barrier."""
    files: Annotated[Positional[tuple[pathlib.Path, ...]], arg(metavar="FILE...")] = ()
    """The .ticket and .trained files, in the order in which the probe takes them."""
    task: str = ""
    """The data set, for probes that ask a network; its own if not given."""
    recipe: str = ""
    """How data are batched and held out, for probes that take a recipe; the network's own if not given."""
    store: str = "runs"
    """Folder of finished work."""
    machine: str = "machine"
    """Where to run."""

    @property
    def named(self) -> list[tuple[str, str]]:
        """Kinds and texts of the plug-ins that are named."""
        return [("task", self.task), ("recipe", self.recipe), ("machine", self.machine)]

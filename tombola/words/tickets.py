"""The words of the commands on tickets."""

import dataclasses
import pathlib
from typing import Annotated

from tyro.conf import Positional, arg

from tombola.words.shared import Shared


@dataclasses.dataclass(frozen=True, kw_only=True)
class Find(Shared):
    """Find winning tickets: train, prune, rewind, and again. Needs nothing but a network and a data set."""

    arch: Annotated[Positional[str], arg(metavar="ARCH")] = ""
    """The network, e.g. mlp (where none is named) or "resnet(depth=20)" (see: tombola list arch)."""
    task: Annotated[Positional[str], arg(metavar="TASK")] = ""
    """The data set, e.g. digits (where none is named) or mnist (see: tombola list task)."""
    start: str = ""
    """Go on from this .ticket file, found or carried from elsewhere, with its network, data and recipe."""
    levels: int | None = None
    """Cuts (10 if none are asked for)."""
    keep: float = 0.8
    """Fraction of the living weights that a cut keeps."""
    densities: tuple[float, ...] = ()
    """A density for each level, instead of --levels and --keep."""
    criterion: str = "magnitude"
    """What makes a weight worth keeping (see: tombola list criterion)."""
    scope: str = "everywhere"
    """How density is shared (see: tombola list scope)."""
    recipe: str = ""
    """How to train (see: tombola list recipe); the task's own if not given."""
    moment: str = ""
    """When to cut: before training, all densities from the dense network, or after, level by level (default: the
    criterion's habit)."""
    restart: str = "weights"
    """What a ticket restarts from: weights (rewound), rate (only the schedule), fine-tune."""
    then: str = ""
    """A move that each ticket goes through before it is trained: "reinit(draw=fresh)" is a chain of random tickets."""
    seed: int = 0
    """One number for everything that is drawn at random."""
    store: str = "runs"
    """Folder of finished work: what is there is not done again."""
    out: str = ""
    """Write the sparsest ticket to this .ticket file."""
    alive: bool = False
    """Write its survivors only: the smallest file, for sharing."""
    machine: str = "machine"
    """Where to run, e.g. "machine(threads=2)"."""

    @property
    def named(self) -> list[tuple[str, str]]:
        """Kinds and texts of the plug-ins that are named."""
        named = [("arch", self.arch), ("task", self.task), ("criterion", self.criterion), ("scope", self.scope)]
        return [*named, ("recipe", self.recipe), ("move", self.then), ("machine", self.machine)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Show(Shared):
    """Show a ticket: where it comes from, its density by layer, how to make it again."""

    file: Annotated[Positional[pathlib.Path], arg(metavar="FILE")]
    """A .ticket or .trained file."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verify(Shared):
    """Check that tickets are what they say. Files given together serve as each other's parents."""

    files: Annotated[Positional[tuple[pathlib.Path, ...]], arg(metavar="FILE...")]
    """.ticket and .trained files."""
    store: str = "runs"
    """A store in which their parents may be found."""
    replay: bool = False
    """Run all the calls that made them again, and compare."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train(Shared):
    """Train a ticket to the end and tell its accuracy."""

    file: Annotated[Positional[pathlib.Path], arg(metavar="FILE")]
    """The .ticket file."""
    task: str = ""
    """The data set; the one it was found on if not given."""
    recipe: str = ""
    """How to train; as it was found if not given."""
    seed: int = 0
    """Order of the data and augmentation."""
    store: str = "runs"
    """Folder of finished work."""
    out: str = ""
    """Write the trained network to this .trained file."""
    machine: str = "machine"
    """Where to run."""

    @property
    def named(self) -> list[tuple[str, str]]:
        """Kinds and texts of the plug-ins that are named."""
        return [("task", self.task), ("recipe", self.recipe), ("machine", self.machine)]

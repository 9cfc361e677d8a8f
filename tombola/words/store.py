"""The words of the commands on a store."""

import dataclasses
import pathlib
from typing import Annotated

from tyro.conf import Positional, UseAppendAction, arg, subcommand

from tombola.words.shared import Shared


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfStore(Shared):
    """What every command on a store takes."""

    store: str = "runs"
    """The store's folder."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ls(OfStore):
    """List what is stored: a line for each function, or for each result of one."""

    function: Annotated[Positional[str], arg(metavar="[FUNCTION]")] = ""
    """train, cut, ...; all of them, summed up, if not given."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Show(OfStore):
    """Show one result: its call, numbers, checks, where and when it ran, and what it was made of."""

    key: Annotated[Positional[str], arg(metavar="KEY")]
    """Its key, or as many digits of it as no other has: train:01ab."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gc(OfStore):
    """Remove what nothing can need: left-over files, half-done work of finished calls, what is damaged."""

    keep: UseAppendAction[tuple[str, ...]] = ()
    """A STUDY whose results stay, those of no named study go; may be given several times."""
    dry_run: bool = False
    """Only tell what would be removed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verify(OfStore):
    """Check every record, key and file."""

    set_aside: bool = False
    """Move what is bad out of the way, so that the next run makes it again."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Export(OfStore):
    """Write the rows of a study: rows.csv and rows.parquet for reading, rows.jsonl for importing."""

    study: Annotated[Positional[str], arg(metavar="STUDY")]
    """The study, with its settings: "depth.py(levels=3)"."""
    out: pathlib.Path
    """The folder to write them to."""
    inputs: bool = False
    """Also what its open steps are made of, so that it can go on where the folder is imported."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Import(OfStore):
    """Take in rows that were exported elsewhere, or the results of another store."""

    path: Annotated[Positional[pathlib.Path], arg(metavar="PATH")]
    """A rows.jsonl, a folder that holds one, or the folder of a store."""


Deed = (
    Annotated[Ls, subcommand("ls")]
    | Annotated[Show, subcommand("show")]
    | Annotated[Gc, subcommand("gc")]
    | Annotated[Verify, subcommand("verify")]
    | Annotated[Export, subcommand("export")]
    | Annotated[Import, subcommand("import")]
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Store:
    """Look after a store: what is in it, is it sound, what can go; rows of studies to and from other machines."""

    deed: Deed

    @property
    def use(self) -> tuple[str, ...]:
        """Python files with plug-ins."""
        return self.deed.use

    @property
    def named(self) -> list[tuple[str, str]]:
        """No plug-ins."""
        return self.deed.named

"""Which data sets are here, where from, checked or not: what `tombola data` and `tombola doctor` show."""

import dataclasses

from tombola.core.catalogue import entries, load
from tombola.core.errors import Refused
from tombola.core.text import parse
from tombola.tasks import sources
from tombola.tasks.sources import Sourced, Where


@dataclasses.dataclass(frozen=True)
class Status:
    """One data set as it stands on this machine.

    `where` is "built in" (comes with a dependency), "folder" (under `$TOMBOLA_DATA`), "cache" (the user's own) or
    "hub" (not here: it would have to be fetched); `path` is the folder or file, if there is one. `checked` says that
    the content was read once and, where its digest is known beforehand, is the published one. `train` and `test` count
    examples, None where that is not known without reading.
    """

    task: str
    where: Where
    path: str
    checked: bool
    train: int | None
    test: int | None
    digest: str
    hub_id: str

    @property
    def here(self) -> bool:
        """Whether it can be used without a network."""
        return self.where != "hub"


def status(text: str) -> Status:
    """How a task's data stand, given the task's text form; reads no pictures.

    Example:
        >>> status("digits").where, status("digits").train
        ('built in', 1437)
    """
    return _status(text, _sourced(text))


def statuses() -> list[Status]:
    """How the data of every task stand that can be named without further fields."""
    plain = [entry for entry in entries("task") if all(default for _, default in entry.fields)]
    return [status(entry.name) for entry in plain if issubclass(load(entry), Sourced)]


def fetch(text: str) -> Status:
    """Read a task's data from wherever they are, the hub if need be, check them and keep a copy that is quick to read.

    Raises:
        Refused: If the data are nowhere to be had; the message says where was looked.
        Damaged: If they are not what they should be.
    """
    task = _sourced(text)
    found = task.fetched()
    return dataclasses.replace(_status(text, task), checked=True, **found._asdict())


def _sourced(text: str) -> Sourced:
    task = parse("task", text)
    if not isinstance(task, Sourced):
        raise Refused(f"{task} reads no data set of its own, so there is nothing to find or fetch.")
    return task


def _status(text: str, task: Sourced) -> Status:
    source = task.source()
    place = None if source.pinned else sources.locate(source)
    file, kept = task.kept()
    checked = kept is not None and kept.digest == (source.pinned or kept.digest)
    if source.make is None and checked and sources.local_folder(source.folder) is None:
        where, path = "cache", str(file)  # So `datasets`, slow to import, need not be asked.
    else:
        where, path = place or sources.locate(source)
    sizes = (kept.train, kept.test) if kept and checked else source.sizes or (None, None)
    return Status(
        task=text,
        where=where,
        path=path if where in ("folder", "cache") else "",
        checked=checked,
        train=sizes[0],
        test=sizes[1],
        digest=kept.digest if kept and checked else source.pinned,
        hub_id=source.hub_id,
    )

"""What lies in a store, and the removal of what nothing can need; others may go on writing meanwhile."""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import time
from collections.abc import Iterator, Set
from typing import Literal

from tombola.core.call import function_of
from tombola.core.errors import Damaged, Failed
from tombola.study import shelf
from tombola.study.environment import environment_of, in_words
from tombola.study.keeper import Keeper, children, size_of, touched
from tombola.study.record import read_record
from tombola.study.store import Store

HOUR = 3600.0


@dataclasses.dataclass(frozen=True)
class Entry:
    """One thing in a store: a result, an imported row, half-done work, or something damaged."""

    key: str
    state: Literal["stored", "noted", "partial", "damaged"]
    bytes: int = 0
    seconds: float = 0.0
    finished: str = ""
    call: str = ""
    environment: str = ""


@dataclasses.dataclass(frozen=True)
class Total:
    """All that is there of one function; `bytes` are on this disk, `seconds` were spent wherever it ran."""

    function: str
    results: int
    bytes: int
    seconds: float
    finished: str
    noted: int
    partial: int
    damaged: int


@dataclasses.dataclass(frozen=True)
class Removed:
    """Something that is removed from a store, and why."""

    what: Literal["unfinished file", "result", "half-done work", "damaged", "shared file"]
    name: str
    bytes: int


def entries(keeper: Keeper, function: str = "") -> Iterator[Entry]:
    """Everything in a store, or what is there of one function; results by key, then the rest."""
    present: set[str] = set()
    for key, path in keeper.results():
        present.add(key)
        if function in ("", function_of(key)):
            yield _entry(key, "stored", path, path / "record.json")
    for key, path in keeper.notes():
        if function in ("", function_of(key)) and (key not in present or "@" in path.name):
            yield _entry(key, "noted", path, path)
    for key, path in keeper.half_done():
        if function in ("", function_of(key)):
            yield Entry(key, "partial", size_of(path))
    for path in children(keeper.folder / "damaged"):
        room, name, _ = (path.name.rsplit("-", 2) + ["", ""])[:3]
        if function in ("", room):
            yield Entry(f"{room}:{name}", "damaged", size_of(path))


def totals(keeper: Keeper) -> list[Total]:
    """A sum for each function."""
    found: dict[str, list[Entry]] = {}
    for entry in entries(keeper):
        found.setdefault(function_of(entry.key), []).append(entry)
    return [_total(function, some) for function, some in sorted(found.items())]


def shared(keeper: Keeper) -> tuple[int, int]:
    """The number of files that several results may share, and their bytes."""
    files = children(keeper.folder / shelf.BLOBS)
    return len(files), sum(map(size_of, files))


def _total(function: str, some: list[Entry]) -> Total:
    def number(state: str) -> int:
        return sum(entry.state == state for entry in some)

    return Total(
        function,
        number("stored"),
        sum(entry.bytes for entry in some),
        sum(entry.seconds for entry in some),
        max(entry.finished for entry in some),
        number("noted"),
        number("partial"),
        number("damaged"),
    )


def _entry(key: str, state: Literal["stored", "noted"], path: pathlib.Path, record_path: pathlib.Path) -> Entry:
    size = size_of(path)
    try:
        record = read_record(record_path)
        made_in = in_words(environment_of(record))
    except (Damaged, Failed):
        return Entry(key, "damaged", size)
    took = record["provenance"]
    return Entry(key, state, size, took["seconds"], took["finished"], record["call"], made_in)


def sweep(keeper: Keeper, *, act: Literal["look", "remove"], keep: Set[str] | None = None) -> Iterator[Removed]:
    """Remove what nothing can need, and tell of each.

    That is: files whose writer died more than an hour ago, half-done work of finished calls, what is damaged, and
    shared files that no record names and nobody has touched for an hour. What a running process works on is left alone:
    it holds the lock of its key, and touches a shared file before it relies on it.

    Args:
        act: "look" only tells.
        keep: The keys to keep, with everything else gone; imported rows stay. None keeps all results.

    Raises:
        Failed: If the store cannot be written.
    """
    limit = (time.time() if act == "look" else keeper.clock()) - HOUR
    try:
        yield from _unfinished(keeper, limit, act)
        gone: set[str] = set()
        for key in sorted(keeper.present()) if keep is not None else ():
            assert keep is not None
            for home in keeper.homes(key) if key not in keep else ():
                for removed in _locked_away(keeper, key, home, "result", act):
                    gone.add(key)
                    yield removed
        present = keeper.present()
        for key, path in keeper.half_done():
            unwanted = key in gone or (keep is not None and key not in keep)
            if unwanted or (key in present and keeper.finished(key, path)):
                yield from _locked_away(keeper, key, path, "half-done work", act)
        for path in children(keeper.folder / "damaged"):
            yield from _away(keeper, path, "damaged", act)
        yield from _orphans(keeper, limit, act, gone)
    except OSError as error:
        raise Failed(
            f"cannot remove from the store {keeper.folder}: {error.strerror or error}. Make it writable; what was "
            "named before is gone, the rest is as it was."
        ) from error


def _unfinished(keeper: Keeper, limit: float, act: Literal["look", "remove"]) -> Iterator[Removed]:
    """What a writer that was killed has left: folders under `tmp`, and files begun beside their place."""
    begun = [*children(keeper.folder / "tmp")]
    for room in (keeper.folder / shelf.BLOBS, *children(keeper.folder / "noted")):
        begun += [path for path in children(room) if path.name.startswith(".")]
    for path in begun:
        if touched(path) < limit:
            size = size_of(path)
            if act == "remove":
                _delete(path)
            yield Removed("unfinished file", _shown(keeper, path), size)


def _locked_away(
    keeper: Keeper,
    key: str,
    path: pathlib.Path,
    what: Literal["result", "half-done work"],
    act: Literal["look", "remove"],
) -> Iterator[Removed]:
    """Remove what belongs to a key, unless a process is at work on it."""
    with contextlib.nullcontext(True) if act == "look" else keeper.unless_busy(key) as free:
        if free:
            yield from _away(keeper, path, what, act)


def _away(
    keeper: Keeper, path: pathlib.Path, what: Literal["result", "half-done work", "damaged"], act: str
) -> Iterator[Removed]:
    size = size_of(path)
    if act == "remove":
        aside = keeper.away(path)  # In one move: nobody sees half a result.
        if aside is None:
            return
        _delete(aside)
    yield Removed(what, _shown(keeper, path), size)


def _orphans(keeper: Keeper, limit: float, act: Literal["look", "remove"], gone: Set[str]) -> Iterator[Removed]:
    """Shared files that no record names. A writer touches them before its record is there, and after."""
    old = [path for path in children(keeper.folder / shelf.BLOBS) if _stale(path, limit) and path.name[0] != "."]
    named = _named(keeper, gone) if old else set[str]()
    for path in old:
        if path.name in named or not _stale(path, limit):
            continue
        size = size_of(path)
        if act == "remove":
            aside = keeper.away(path)
            if aside is None:
                continue
            if not _stale(aside, limit):  # Touched between the look and the move.
                os.replace(aside, path)
                continue
            _delete(aside)
        yield Removed("shared file", _shown(keeper, path), size)


def _named(keeper: Keeper, gone: Set[str]) -> set[str]:
    found: set[str] = set()
    for key, path in Store.results(keeper):  # Those of any name: an older tombola let steps be called otherwise.
        with contextlib.suppress(Damaged):
            if key not in gone:
                found.update(name.rpartition("/")[2] for name in read_record(path / "record.json")["files"])
    return found


def _stale(path: pathlib.Path, limit: float) -> bool:
    try:
        return path.stat().st_mtime < limit
    except FileNotFoundError:
        return False


def _delete(path: pathlib.Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _shown(keeper: Keeper, path: pathlib.Path) -> str:
    return str(path.relative_to(keeper.folder))

"""A store from the inside: what its upkeep does and what callers of steps have no need of."""

import contextlib
import hashlib
import os
import pathlib
import re
import shutil
import time
import uuid
from collections.abc import Generator, Iterator, Mapping
from typing import Any

from tombola.core import call
from tombola.core.call import function_of
from tombola.core.errors import Damaged, Failed, Refused
from tombola.study import shelf
from tombola.study.environment import NAME, environment_of, name_of
from tombola.study.places import apart
from tombola.study.record import seal, unseal
from tombola.study.store import Busy, Store

KEY = re.compile(call.KEY)


class Keeper(Store):
    """A store that is there, opened for upkeep.

    Raises:
        Refused: If there is none, or one of another version.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        super().__init__(folder)
        if not self.folder.exists():
            raise Refused(f"there is no store {self.folder}: no such folder. Name another (--store).")
        if not (self.folder / "store.json").exists():
            raise Refused(f"{self.folder} is no store: there is no store.json in it. Name another (--store).")

    def functions(self) -> list[str]:
        """The names of the functions that results or imported rows are here of."""
        return sorted({function_of(key) for key in self.present() | self.noted()})

    def present(self) -> set[str]:
        """The keys of everything that is here; folders of other names (a store in a store) are nobody's results."""
        return {key for key, _ in self.results()}

    def results(self) -> Iterator[tuple[str, pathlib.Path]]:
        """Key and folder of every result: several under one key where several environments made it."""
        return ((key, path) for key, path in super().results() if KEY.fullmatch(key))

    def half_done(self) -> list[tuple[str, pathlib.Path]]:
        """The scratch folders of calls, with their keys: one for each environment that began the call apart."""
        found: list[tuple[str, pathlib.Path]] = []
        for path in children(self.folder / "partial"):
            key = ":".join(path.name.partition("@")[0].rsplit("-", 1))
            if KEY.fullmatch(key) and ("@" not in path.name or NAME.fullmatch(path.name.partition("@")[2])):
                found.append((key, path))
        return found

    def finished(self, key: str, half: pathlib.Path) -> bool:
        """Whether the call was finished that this half-done work is of, in its environment if it has one of its own."""
        name = half.name.partition("@")[2]
        told = (self.told(home / "record.json") for home in self.homes(key))
        return any(not name or (one is not None and name_of(one) == name) for one in told)

    def find(self, prefix: str) -> str:
        """The key that begins like this.

        Raises:
            Refused: If none does, or several do.
        """
        everything = self.present() | self.noted()
        if prefix in everything:
            return prefix
        found = sorted(key for key in everything if prefix and key.startswith(prefix))
        if len(found) == 1:
            return found[0]
        if found:
            shown = ", ".join(found[:4]) + (", ..." if len(found) > 4 else "")
            raise Refused(f"{len(found)} keys in {self.folder} begin with '{prefix}': {shown}. Give more digits.")
        known = ", ".join(self.functions()) or "nothing"
        raise Refused(
            f"no key in {self.folder} begins with '{prefix}'. Write FUNCTION:DIGITS, as in train:01ab; there is "
            f"{known} here. See: tombola store ls FUNCTION"
        )

    def lineage(self, key: str) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
        """The key and everything that it was made of, roots first, with its record; None for what is not here."""
        seen: set[str] = set()
        stack: list[tuple[str, Mapping[str, Any] | None, bool]] = [(key, None, False)]
        while stack:
            key, record, ready = stack.pop()
            if ready:
                yield key, record
            elif key not in seen:
                seen.add(key)
                record = self._known(key)
                stack.append((key, record, True))
                stack += [(one, None, False) for one in reversed(record["inputs"] if record else [])]

    def _known(self, key: str) -> Mapping[str, Any] | None:
        try:
            return self.record(key)
        except (Refused, Damaged):
            return None

    @contextlib.contextmanager
    def unless_busy(self, key: str) -> Generator[bool]:
        """Whether the key's lock could be had; while it is held here nobody else makes the result."""
        try:
            with self._locked(key, False):
                yield True
        except Busy:
            yield False

    def clock(self) -> float:
        """The time by the clock of the disk, which may be another machine's; proves that the store can be written."""
        self.prepare()
        path = self.folder / "tmp" / f"clock-{uuid.uuid4().hex}"
        try:
            path.touch()
            told = path.stat().st_mtime
            path.unlink()
        except OSError as error:
            raise self._unwritable(error) from error
        return told

    def away(self, path: pathlib.Path) -> pathlib.Path | None:
        """Take something out of the store in one move, to be deleted; None if it was gone."""
        aside = self.folder / "tmp" / uuid.uuid4().hex
        aside.parent.mkdir(exist_ok=True)
        try:
            os.rename(path, aside)
        except FileNotFoundError:
            return None
        return aside

    def keep_note(self, record: Mapping[str, Any]) -> None:
        """Write the record of a row whose files are elsewhere; beside that of another environment, if there is one."""
        path, made_in = self.plain_note(record["key"]), environment_of(record)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.enlist(made_in)
            path = apart(path, name_of(made_in)) if path.exists() else path
            shelf.write(path, seal(record))
        except OSError as error:
            raise self._full(error, record["key"]) from error

    def copy(self, other: Store, key: str, source: pathlib.Path) -> None:
        """Take a result over from a folder of another store, with its files checked.

        Raises:
            Damaged: If it is not what its record says.
            Failed: If it cannot be written, or if there is another value under the key here.
        """
        beside = self.folder / "tmp" / uuid.uuid4().hex
        data = _read(source / "record.json")
        record = unseal(data, source / "record.json")
        try:
            beside.mkdir(parents=True)
            shared: dict[str, bytes] = {}
            for name, checksum in record["files"].items():
                content = _read(shelf.place(other.folder, source, name))
                if hashlib.sha256(content).hexdigest() != checksum:
                    raise Damaged(f"{shelf.place(other.folder, source, name)} does not match its checksum.")
                if name.startswith(f"{shelf.BLOBS}/"):
                    shared[name] = content
                else:
                    shelf.write(beside / name, content)
            packed = shelf.Packed(record["header"], record["groups"], record["files"], shared, 0)
            shelf.share(self.folder, packed)
            shelf.write(beside / "record.json", data)
            self._put(key, beside, record)
            shelf.share(self.folder, packed)
        except OSError as error:
            raise self._full(error, key) from error
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def _full(self, error: OSError, key: str) -> Failed:
        return Failed(
            f"cannot keep {key} in {self.folder}: {error.strerror or error}. Free space there or name another store "
            "(--store); what was imported before is kept."
        )


def made_or_there(folder: str | os.PathLike[str]) -> Keeper:
    """A store for upkeep that is made if it is not there."""
    Store(folder).prepare()
    return Keeper(folder)


def _read(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Damaged(f"{path} cannot be read: {error.strerror or error}.") from error


def children(path: pathlib.Path) -> list[pathlib.Path]:
    """What is in a folder, sorted; nothing if it is not there."""
    try:
        return sorted(path.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def size_of(path: pathlib.Path) -> int:
    """Bytes of a file, or of all files in a folder; what vanishes meanwhile counts as nothing."""
    total = 0
    stack = [path]
    while stack:
        path = stack.pop()
        try:
            if path.is_dir() and not path.is_symlink():
                stack += path.iterdir()
            else:
                total += path.lstat().st_size
        except FileNotFoundError:
            continue
    return total


def touched(path: pathlib.Path) -> float:
    """When anything in a folder, or a file, was last written; now if it is just being moved."""
    times: list[float] = []
    stack = [path]
    while stack:
        path = stack.pop()
        try:
            times.append(path.lstat().st_mtime)
            if path.is_dir() and not path.is_symlink():
                stack += path.iterdir()
        except FileNotFoundError:
            times.append(time.time())
    return max(times)

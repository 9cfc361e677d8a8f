"""A store: key -> artifact, on disk, written whole or not at all.

    runs/train/0123456789abcdef/record.json    the call, its inputs, numbers, checks, checksums, provenance
                                weights.safetensors, rows.jsonl
    runs/blobs/<sha256>.safetensors            tensors that several artifacts share, once
    runs/noted/<function>/<key>.json           records without artifacts: rows that were imported
    runs/partial/<function>-<key>/             half-done work, taken up again
    runs/damaged/                              what a checksum found out, set aside
    runs/studies/<name>/                       logs: what happened, and what workers printed

A folder is written under `tmp` and renamed, so that it exists means that it is complete. Several processes may use one
store: a lock for each key decides who runs a call, the others wait and load. A process that dies lets go of its locks.
"""

import contextlib
import json
import os
import pathlib
import shutil
import time
import uuid
from collections.abc import Generator, Mapping
from typing import Any

import filelock

from tombola.core.artifact import Artifact
from tombola.core.call import Call
from tombola.core.canon import KEY_DIGITS
from tombola.core.errors import Damaged, Failed, Refused
from tombola.core.machine import Machine
from tombola.study import provenance, shelf
from tombola.study.record import read_json, same, seal, unseal
from tombola.study.step import ROOMS, Context, Listener, Meter, Step, deaf

STORE_VERSION = 2


class Busy(Exception):
    """Another process is running the call."""


class Unwritable(Failed):
    """Nothing can be kept: the disk is full, or may not be written."""


class Store:
    """A folder of finished calls. Call it like `now`: `store(train, ticket=..., task=...)`.

    Args:
        folder: Where it is, or is to be.
        machine: Where calls run that have not been stored yet.
        listen: Hears what happens.

    Raises:
        Refused: If the folder is a store of another version.

    Example:
        >>> import tempfile
        >>> store = Store(tempfile.mkdtemp())
        >>> store.keys()
        []
    """

    def __init__(
        self, folder: str | os.PathLike[str] = "runs", *, machine: Machine = Machine(), listen: Listener = deaf
    ) -> None:
        self.folder, self.machine, self.listen = pathlib.Path(folder), machine, listen
        marker = self.folder / "store.json"
        if marker.exists():
            version = read_json(marker).get("version")
            if version != STORE_VERSION:
                raise Refused(
                    f"{self.folder} is a store of version {version}; this tombola keeps version {STORE_VERSION}. "
                    "Name another folder (--store), or use the tombola that made it."
                )

    def __call__(self, function: Step, *args: Any, **kwargs: Any) -> Any:
        """The result of a call: loaded if it is here, else made, kept and returned."""
        return self.make(function, function.call(*args, **kwargs))

    def make(self, function: Step, call: Call, *, wait: bool = True) -> Any:
        """The result of a call of a step, loaded or made.

        Args:
            wait: Whether to wait if another process is making it.

        Raises:
            Busy: If another process is, and `wait` is false.
            Failed: If the result cannot be written.
        """
        scratch = self._path("partial", call.key)
        found = self._load(function, call)
        if found is not None:
            if scratch.exists():  # Whoever made it was killed before it could tidy up.
                shutil.rmtree(scratch, ignore_errors=True)
            return found
        self.prepare()
        with self._locked(call.key, wait):
            found = self._load(function, call)  # Another process may have made it while this one waited.
            if found is not None:
                return found
            started, context = time.perf_counter(), Context(self.machine, scratch, self.listen)
            result = function.run(call, context)
            self._keep(call, result, seconds=time.perf_counter() - started, meter=context.meter)
            shutil.rmtree(scratch, ignore_errors=True)
            return result

    def present(self) -> set[str]:
        """The keys of everything that is here."""
        found: set[str] = set()
        for room in _folders(self.folder):
            if room not in ROOMS:
                names = _folders(self.folder / room)
                found.update(f"{room}:{name}" for name in names if len(name) == KEY_DIGITS)
        return found

    def keys(self) -> list[str]:
        """The keys of everything that is here, sorted."""
        return sorted(self.present())

    def noted(self) -> set[str]:
        """The keys of rows that were imported: their numbers are known, their artifacts are not here."""
        paths = (self.folder / "noted").glob("*/*.json")
        return {f"{path.parent.name}:{path.stem}" for path in paths}

    def record(self, key: str) -> dict[str, Any]:
        """What is written about a stored result, or about an imported row.

        Raises:
            Refused: If it is not here.
            Damaged: If it was altered.
        """
        for path in (self.home(key) / "record.json", self.note(key)):
            try:
                return unseal(path.read_bytes(), path)
            except (FileNotFoundError, NotADirectoryError):
                continue
        raise Refused(f"nothing is stored under {key} in {self.folder}.")

    def load(self, key: str, kind: type[Artifact]) -> Any:
        """The artifact of a key.

        Raises:
            Refused: If it is not here.
            Damaged: If its files do not match their checksums.
        """
        path = self.home(key) / "record.json"
        if not path.exists():
            raise Refused(f"nothing is stored under {key} in {self.folder}.")
        return kind.from_parts(shelf.unpack(self.folder, path.parent, unseal(path.read_bytes(), path), self.set_aside))

    def _load(self, function: Step, call: Call) -> Any:
        if not self.home(call.key).exists():
            return None
        try:
            result = self.load(call.key, function.result)
            if result.key != call.key:  # A key is made of the content too, so an altered header gives another.
                raise Damaged(f"{self.home(call.key)} holds {result.key}, not {call.key}.")
        except (Damaged, OSError, ValueError) as error:
            aside = self.set_aside(self.home(call.key))
            self.listen("damaged", call, error=str(error), aside=str(aside))
            return None
        self.listen("loaded", call, result=result)
        return result

    def set_aside(self, path: pathlib.Path) -> pathlib.Path:
        """Move something damaged out of the way, so that it is made again."""
        aside = self.folder / "damaged" / f"{path.parent.name}-{path.name}-{uuid.uuid4().hex[:8]}"
        try:
            aside.parent.mkdir(parents=True, exist_ok=True)
            os.rename(path, aside)
        except FileNotFoundError:  # Another process found the damage too and was faster.
            pass
        except OSError as error:
            raise Failed(
                f"{path} is damaged and cannot be set aside: {error.strerror or error}. Make {self.folder} writable or "
                "name another store (--store)."
            ) from error
        return aside

    @contextlib.contextmanager
    def _locked(self, key: str, wait: bool) -> Generator[None]:
        lock = filelock.FileLock(self._path("locks", key).with_suffix(".lock"))
        try:
            lock.acquire(blocking=wait)
        except filelock.Timeout as error:
            raise Busy(key) from error
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            yield
        finally:
            lock.release()

    def prepare(self) -> None:
        """Make the store ready to be written.

        Raises:
            Unwritable: If it cannot be.
        """
        try:
            for name in ("tmp", "locks", "blobs"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            marker = self.folder / "store.json"
            if not marker.exists():
                shelf.write(marker, json.dumps({"version": STORE_VERSION}).encode())
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> Unwritable:
        return Unwritable(f"cannot write the store {self.folder}: {error.strerror or error}. Name another (--store).")

    def _keep(self, call: Call, result: Artifact, *, seconds: float, meter: Meter) -> None:
        beside = self.folder / "tmp" / uuid.uuid4().hex
        try:
            beside.mkdir(parents=True)
            packed = shelf.pack(result.parts(), beside)
            shelf.share(self.folder, packed)
            took = {
                "machine": str(self.machine),
                "device": self.machine.device,
                "seconds": seconds,
                "peak_memory": provenance.peak_memory(),
                "flops": meter.flops,
                "bytes": packed.size,
                "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            }
            record = {
                "call": call.text,
                "key": call.key,
                "function": call.function,
                "version": call.version,
                "arguments": call.canonical,
                "inputs": call.inputs,
                "numbers": result.numbers(),
                "checks": result.proofs(),
                "header": packed.header,
                "groups": packed.groups,
                "files": packed.files,
                "provenance": {**provenance.software(), **provenance.hardware(), **took},
            }
            shelf.write(beside / "record.json", seal(record))
            self._put(call.key, beside, record)
            shelf.share(
                self.folder, packed
            )  # Whoever swept the store may have thought them unused before the record was there.
        except OSError as error:
            raise Unwritable(
                f"cannot keep {call.key} in {self.folder}: {error.strerror or error}. Free space there or name another "
                "store (--store); everything finished before is kept."
            ) from error
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def _put(self, key: str, beside: pathlib.Path, record: Mapping[str, Any]) -> None:
        """Rename a finished folder to where it belongs, unless an equal one is there.

        Raises:
            Failed: If another value is there.
        """
        home = self.home(key)
        home.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(beside, home)
        except OSError:
            if not home.exists():
                raise
            if not same(record, self.record(key)):
                raise Failed(
                    f"two different values under {key}: {home} holds one, and this run made another. Equal calls must "
                    "give equal results: look for a step that depends on more than its arguments, or for results "
                    "of another kind of machine in this store (tombola store verify)."
                ) from None

    def home(self, key: str) -> pathlib.Path:
        """The folder of a key, whether it is there or not."""
        function, _, digits = key.partition(":")
        return self.folder / function / digits

    def note(self, key: str) -> pathlib.Path:
        """Where the record of an imported row lies, whether it is there or not."""
        function, _, digits = key.partition(":")
        return self.folder / "noted" / function / f"{digits}.json"

    def place(self, key: str) -> pathlib.Path:
        """What there is of a key: the folder of a result, else the record of an imported row."""
        return self.home(key) if self.home(key).exists() else self.note(key)

    def _path(self, room: str, key: str) -> pathlib.Path:
        function, _, digits = key.partition(":")
        return self.folder / room / f"{function}-{digits}"


def _folders(path: pathlib.Path) -> list[str]:
    try:
        with os.scandir(path) as found:
            return [entry.name for entry in found if entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []

"""A store: key -> artifact, on disk, written whole or not at all.

    runs/store.json                            the version of the store, and the environments that wrote to it
    runs/train/0123456789abcdef/record.json    the call, inputs, environment, numbers, checks, checksums, provenance
                                weights.safetensors, rows.jsonl
    runs/train/0123456789abcdef@12ab34cd/      the result of the same call in another environment, if it was wanted
    runs/blobs/<sha256>.safetensors            tensors that several artifacts share, once
    runs/noted/<function>/<key>.json           records without artifacts: rows that were imported
    runs/partial/<function>-<key>/             half-done work, taken up again
    runs/damaged/                              what a checksum found out, set aside
    runs/studies/<name>/                       logs: what happened, and what workers printed

A folder is written under `tmp` and renamed, so that it exists means that it is complete. Several processes may use one
store: a lock for each key decides who runs a call, the others wait and load. A process that dies lets go of its locks.
"""

import contextlib
import errno
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
from tombola.core.errors import Damaged, Failed
from tombola.core.machine import Machine
from tombola.study import shelf
from tombola.study.entry import record_of
from tombola.study.environment import UNKNOWN, Reuse, alike, environment_of, name_of
from tombola.study.places import Places, apart
from tombola.study.record import has_record, read_record, same, seal, there
from tombola.study.several import make_all
from tombola.study.step import Context, Listener, Meter, Step, deaf


class Busy(Exception):
    """Another process is running the call."""


class Unwritable(Failed):
    """Nothing can be kept: the disk is full, or may not be written."""


class Store(Places):
    """A folder of finished calls. Call it like `now`: `store(train, ticket=..., task=...)`.

    Args:
        folder: Where it is, or is to be.
        machine: Where calls run that have not been stored yet.
        listen: Hears what happens.
        reuse: Whether results of "any" environment count as done, or only those of the "same" one.

    Raises:
        Refused: If the folder is a store of another version.

    Example:
        >>> import tempfile
        >>> store = Store(tempfile.mkdtemp())
        >>> store.keys()
        []
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] = "runs",
        *,
        machine: Machine = Machine(),
        listen: Listener = deaf,
        reuse: Reuse = "any",
    ) -> None:
        super().__init__(folder, machine=machine, reuse=reuse)
        self.listen = listen

    def __call__(self, function: Step, *args: Any, **kwargs: Any) -> Any:
        """The result of a call: loaded if it is here, else made, kept and returned; lists are many calls."""
        calls = function.calls(*args, **kwargs)
        return self.make(function, function.call(*args, **kwargs)) if calls is None else make_all(self, function, calls)

    def make(self, function: Step, call: Call, *, wait: bool = True) -> Any:
        """The result of a call of a step, loaded or made.

        Args:
            wait: Whether to wait if another process is making it.

        Raises:
            Busy: If another process is, and `wait` is false.
            Failed: If the result cannot be written.
        """
        with self.claim(function, call, wait=wait) as claim:
            if claim.found is not None:
                return claim.found
            started, context = time.perf_counter(), Context(self.machine, claim.scratch, self.listen)
            result = function.run(call, context)
            claim.keep(result, seconds=time.perf_counter() - started, meter=context.meter)
            return result

    @contextlib.contextmanager
    def claim(self, function: Step, call: Call, *, wait: bool = True) -> Generator["Claim"]:
        """Take a call on: what is stored of it is found, else nobody else makes it until this ends.

        Several may be held at once. Who waits for one while holding another takes them in the order of their keys, as
        everybody else does: else two might wait for each other.

        Args:
            wait: Whether to wait if another process has taken it on.

        Raises:
            Busy: If another process has, and `wait` is false.
            Unwritable: If nothing can be kept.

        Example:
            >>> import tempfile
            >>> from tombola.find import draw
            >>> from tombola.archs.mlp import Mlp
            >>> from tombola.tasks.digits import Digits
            >>> from tombola.train.recipes import Quickstart
            >>> call = draw.call(Mlp(hidden=(6,)), Digits(), Quickstart())
            >>> with Store(tempfile.mkdtemp()).claim(draw, call) as claim:
            ...     claim.found is None
            True
        """
        scratch = self.scratch(call.key)
        found = self._load(function, call)
        if found is not None:
            if scratch.exists():  # Whoever made it was killed before it could tidy up, or is still at it.
                with contextlib.suppress(Busy, Unwritable), self._locked(call.key, False):
                    shutil.rmtree(scratch, ignore_errors=True)
            yield Claim(self, call, scratch, found)
            return
        self.prepare()
        with self._locked(call.key, wait):  # Another process may have made it while this one waited.
            yield Claim(self, call, scratch, self._load(function, call))

    def scratch(self, key: str) -> pathlib.Path:
        """Where half-done work of a key lies; that of another environment is not gone on from where it may not be."""
        path = self.room_for("partial", key)
        return path.with_name(f"{path.name}@{name_of(self.here)}") if self.reuse == "same" else path

    def load(self, key: str, kind: type[Artifact]) -> Any:
        """The artifact of a key.

        Raises:
            Refused: If it is not here.
            Damaged: If it has no record, or its files do not match their checksums.
            Failed: If the system cannot read them.
        """
        home = self.home(key)
        if not there(home):
            raise self.absent(key)
        if not has_record(home):
            raise Damaged(f"{home} has no record.json.")
        return kind.from_parts(shelf.unpack(self.folder, home, read_record(home / "record.json"), self.set_aside))

    def _load(self, function: Step, call: Call) -> Any:
        if not there(self.home(call.key)):
            return None
        try:
            result = self.load(call.key, function.result)
            if result.key != call.key:  # A key is made of the content too, so an altered header gives another.
                raise Damaged(f"{self.home(call.key)} holds {result.key}, not {call.key}.")
        except ValueError as error:  # `Damaged` is one; so is what a file holds that was sealed by another hand.
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
        lock = filelock.FileLock(self.room_for("locks", key).with_suffix(".lock"))
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
            if not self.marker.exists():
                self.enlist()
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> Unwritable:
        way = "Raise the limit of open files (ulimit -n)" if error.errno == errno.EMFILE else "Name another (--store)"
        return Unwritable(f"cannot write the store {self.folder}: {error.strerror or error}. {way}.")

    def _keep(self, call: Call, result: Artifact, *, seconds: float, meter: Meter) -> None:
        beside = self.folder / "tmp" / uuid.uuid4().hex
        try:
            beside.mkdir(parents=True)
            packed = shelf.pack(result.parts(), beside)
            shelf.share(self.folder, packed)
            facts: dict[str, Any] = {"machine": self.machine, "environment": self.here}
            record = record_of(call, result, packed, seconds=seconds, meter=meter, **facts)
            shelf.write(beside / "record.json", seal(record))
            self._put(call.key, beside, record)
            # Whoever swept the store may have thought them unused before the record was there.
            shelf.share(self.folder, packed)
        except OSError as error:
            raise Unwritable(
                f"cannot keep {call.key} in {self.folder}: {error.strerror or error}. Free space there or name another "
                "store (--store); everything finished before is kept."
            ) from error
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def _put(self, key: str, beside: pathlib.Path, record: Mapping[str, Any]) -> None:
        """Rename a finished folder to where it belongs, unless an equal one is there.

        A value that another environment made is left where it is, and this one kept beside it.

        Raises:
            Failed: If another value of the same environment is there.
        """
        made_in = environment_of(record)
        self.enlist(made_in)  # Before it is there: what lies apart is found by the list.
        plain = self.plain(key)
        plain.parent.mkdir(parents=True, exist_ok=True)
        for home in (plain, apart(plain, name_of(made_in))):
            try:
                os.rename(beside, home)
                return
            except OSError:
                if not home.exists():
                    raise
            there = read_record(home / "record.json")
            if alike(made_in, environment_of(there)):
                if same(record, there):
                    return
                raise Failed(_two_values(key, home, record, there))


class Claim:
    """A call that was taken on (see `Store.claim`): what is stored of it, else the right to make and keep it.

    Attributes:
        found: The result, if it is there.
        scratch: The folder for half-done work.
    """

    def __init__(self, store: Store, call: Call, scratch: pathlib.Path, found: Any) -> None:
        self.store, self.call, self.scratch, self.found = store, call, scratch, found

    def keep(self, result: Artifact, *, seconds: float, meter: Meter) -> None:
        """Write the result, and remove the half-done work.

        Args:
            seconds: How long the call took.
            meter: What it counted.

        Raises:
            Unwritable: If it cannot be written.
        """
        self.store._keep(self.call, result, seconds=seconds, meter=meter)  # pyright: ignore[reportPrivateUsage]
        shutil.rmtree(self.scratch, ignore_errors=True)


def _two_values(key: str, home: pathlib.Path, record: Mapping[str, Any], there: Mapping[str, Any]) -> str:
    here, other = (str(one["provenance"].get("processor", UNKNOWN)) for one in (record, there))
    told = f" That one was made on {other}, this one on {here}." if here != other else ""
    return (
        f"two different values under {key}: {home} holds one, and this run made another.{told} Equal calls must give "
        "equal results: look for a step that depends on more than its arguments, or for results of another kind of "
        "machine whose record does not tell so (tombola store verify); --reuse same keeps results of other "
        "environments apart."
    )

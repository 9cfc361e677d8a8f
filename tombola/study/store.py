"""A store: key -> artifact, on disk, written whole or not at all.

    runs/train/0123456789abcdef/record.json    the call in text, its inputs, the header, checksums, provenance
                                weights.safetensors, rows.jsonl
    runs/blobs/<sha256>.safetensors            tensors that several artifacts share, once
    runs/partial/<function>/<key>/             half-done work, taken up again
    runs/damaged/                              what a checksum found out, set aside

A folder is written under `tmp` and renamed, so that it exists means that it is complete. Two processes may use one
store: a lock for each key decides who runs a call, the other waits and loads.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import time
import uuid
from collections.abc import Generator, Mapping
from typing import Any, cast

import filelock
import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from tombola.core.artifact import Artifact, Parts
from tombola.core.call import Call
from tombola.core.errors import Damaged, Failed, Refused
from tombola.core.machine import Machine
from tombola.study import provenance
from tombola.study.step import Context, Listener, Step, deaf

STORE_VERSION = 1


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
            version = _json(marker).get("version")
            if version != STORE_VERSION:
                raise Refused(
                    f"{self.folder} is a store of version {version}; this tombola keeps version {STORE_VERSION}. "
                    "Name another folder (--store), or use the tombola that made it."
                )

    def __call__(self, function: Step, *args: Any, **kwargs: Any) -> Any:
        """The result of a call: loaded if it is here, else made, kept and returned."""
        call = function.call(*args, **kwargs)
        scratch = self._path("partial", call.key)
        found = self._load(function, call)
        if found is not None:
            if scratch.exists():  # Whoever made it was killed before it could tidy up.
                shutil.rmtree(scratch, ignore_errors=True)
            return found
        self._prepare()
        with self._locked(call.key):
            found = self._load(function, call)  # Another process may have made it while this one waited.
            if found is not None:
                return found
            started = time.perf_counter()
            result = function.run(call, Context(self.machine, scratch, self.listen))
            self._keep(call, result, seconds=time.perf_counter() - started)
            shutil.rmtree(scratch, ignore_errors=True)
            return result

    def keys(self) -> list[str]:
        """The keys of everything that is here."""
        records = self.folder.glob("*/*/record.json")
        return sorted(
            f"{path.parent.parent.name}:{path.parent.name}" for path in records if len(path.parent.name) == 16
        )

    def record(self, key: str) -> dict[str, Any]:
        """What is written about a stored result.

        Raises:
            Refused: If it is not here.
        """
        path = self._home(key) / "record.json"
        if not path.exists():
            raise Refused(f"nothing is stored under {key} in {self.folder}.")
        return _json(path)

    def load(self, key: str, kind: type[Artifact]) -> Any:
        """The artifact of a key.

        Raises:
            Refused: If it is not here.
            Damaged: If its files do not match their checksums.
        """
        record = self.record(key)
        return kind.from_parts(self._read(key, record))

    def _load(self, function: Step, call: Call) -> Any:
        if not self._home(call.key).exists():
            return None
        try:
            result = self.load(call.key, function.result)
            if result.key != call.key:  # A key is made of the content too, so an altered header gives another.
                raise Damaged(f"{self._home(call.key)} holds {result.key}, not {call.key}.")
        except (Damaged, OSError, ValueError) as error:
            aside = self._aside(self._home(call.key))
            self.listen("damaged", call, error=str(error), aside=str(aside))
            return None
        self.listen("loaded", call, result=result)
        return result

    def _read(self, key: str, record: Mapping[str, Any]) -> Parts:
        home = self._home(key)
        if missing := [name for name in ("files", "groups", "header") if not isinstance(record.get(name), dict)]:
            raise Damaged(f"the record in {home} has no {missing[0]}.")
        files: dict[str, bytes] = {}
        for name, checksum in record["files"].items():
            path = home / name if not name.startswith("blobs/") else self.folder / name
            try:
                data = path.read_bytes()
            except FileNotFoundError as error:
                raise Damaged(f"{path} is missing from the store.") from error
            if hashlib.sha256(data).hexdigest() != checksum:
                if path.parent.name == "blobs":  # Else its name would keep a sound one from being written.
                    self._aside(path)
                raise Damaged(f"{path} does not match its checksum.")
            files[name] = data
        try:
            groups = {group: safetensors.torch.load(files[name]) for group, name in record["groups"].items()}
        except (SafetensorError, KeyError) as error:
            raise Damaged(f"{home} cannot be read: {error}") from error
        rows = tuple(json.loads(line) for line in files.get("rows.jsonl", b"").splitlines())
        return Parts(record["header"], groups, rows)

    def _aside(self, path: pathlib.Path) -> pathlib.Path:
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
    def _locked(self, key: str) -> Generator[None]:
        lock = filelock.FileLock(self._path("locks", key).with_suffix(".lock"))
        try:
            lock.acquire()
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            yield
        finally:
            lock.release()

    def _prepare(self) -> None:
        try:
            for name in ("tmp", "locks", "blobs"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            marker = self.folder / "store.json"
            if not marker.exists():
                _write(marker, json.dumps({"version": STORE_VERSION}).encode())
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> Failed:
        return Failed(f"cannot write the store {self.folder}: {error.strerror or error}. Name another (--store).")

    def _keep(self, call: Call, result: Artifact, *, seconds: float) -> None:
        parts = result.parts()
        beside = self.folder / "tmp" / uuid.uuid4().hex
        try:
            beside.mkdir(parents=True)
            files: dict[str, str] = {}
            groups: dict[str, str] = {}
            for group, tensors in parts.groups.items():
                data = _tensors(tensors)
                checksum = hashlib.sha256(data).hexdigest()
                name = f"blobs/{checksum}.safetensors" if group in parts.shared else f"{group}.safetensors"
                if group not in parts.shared:
                    _write(beside / name, data)
                elif not (self.folder / name).exists():
                    _write(self.folder / name, data)
                groups[group], files[name] = name, checksum
            if parts.rows:
                data = b"".join(json.dumps(row).encode() + b"\n" for row in parts.rows)
                _write(beside / "rows.jsonl", data)
                files["rows.jsonl"] = hashlib.sha256(data).hexdigest()
            record = {
                "call": call.text,
                "key": call.key,
                "function": call.function,
                "version": call.version,
                "inputs": call.inputs,
                "header": parts.header,
                "groups": groups,
                "files": files,
                "provenance": {
                    **provenance.software(),
                    **provenance.hardware(),
                    "machine": str(self.machine),
                    "seconds": seconds,
                    "peak_memory": provenance.peak_memory(),
                    "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                },
            }
            _write(beside / "record.json", json.dumps(record, indent=1).encode())
            home = self._home(call.key)
            home.parent.mkdir(parents=True, exist_ok=True)
            os.rename(beside, home)
        except OSError as error:
            shutil.rmtree(beside, ignore_errors=True)
            raise Failed(
                f"cannot keep {call.key} in {self.folder}: {error.strerror or error}. Free space there or name another "
                "store (--store); everything finished before is kept."
            ) from error

    def _home(self, key: str) -> pathlib.Path:
        function, _, digits = key.partition(":")
        return self.folder / function / digits

    def _path(self, room: str, key: str) -> pathlib.Path:
        function, _, digits = key.partition(":")
        return self.folder / room / f"{function}-{digits}"


def _json(path: pathlib.Path) -> dict[str, Any]:
    """What a JSON file holds.

    Raises:
        Damaged: If that is no JSON object.
    """
    try:
        value: Any = json.loads(path.read_bytes())
    except ValueError as error:
        raise Damaged(f"{path} is damaged: {error}.") from error
    if not isinstance(value, dict):
        raise Damaged(f"{path} is damaged: it holds no JSON object.")
    return cast(dict[str, Any], value)


def _tensors(tensors: Mapping[str, Tensor]) -> bytes:
    return safetensors.torch.save({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()})


def _write(path: pathlib.Path, data: bytes) -> None:
    """Write beside and rename, so that a file that exists is whole, also after a power cut."""
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise

"""The files of one artifact in a store: tensors and rows with their checksums; what several artifacts share, once."""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from tombola.core.artifact import Parts
from tombola.core.errors import Damaged
from tombola.study.record import MISSING, read_whole

BLOBS = "blobs"


@dataclasses.dataclass(frozen=True)
class Packed:
    """An artifact as files: name -> checksum, group -> name; `shared` is yet to be written, `size` counts the rest."""

    header: Mapping[str, Any]
    groups: Mapping[str, str]
    files: Mapping[str, str]
    shared: Mapping[str, bytes]
    size: int


def pack(parts: Parts, folder: pathlib.Path) -> Packed:
    """Write an artifact's own tensors and rows into a folder."""
    groups: dict[str, str] = {}
    files: dict[str, str] = {}
    shared: dict[str, bytes] = {}
    own: dict[str, bytes] = {}
    for group, tensors in parts.groups.items():
        data = _bytes(tensors)
        checksum = hashlib.sha256(data).hexdigest()
        name = f"{BLOBS}/{checksum}.safetensors" if group in parts.shared else f"{group}.safetensors"
        (shared if group in parts.shared else own)[name] = data
        groups[group], files[name] = name, checksum
    if parts.rows:
        own["rows.jsonl"] = b"".join(json.dumps(row, sort_keys=True).encode() + b"\n" for row in parts.rows)
        files["rows.jsonl"] = hashlib.sha256(own["rows.jsonl"]).hexdigest()
    for name, data in own.items():
        write(folder / name, data)
    return Packed(parts.header, groups, files, shared, sum(map(len, own.values())))


def share(store: pathlib.Path, packed: Packed) -> None:
    """Write what several artifacts share, unless it is there; what is there is marked as in use."""
    for name, data in packed.shared.items():
        try:
            os.utime(store / name)
        except FileNotFoundError:
            write(store / name, data)


def unpack(
    store: pathlib.Path, home: pathlib.Path, record: Mapping[str, Any], aside: Callable[[pathlib.Path], object]
) -> Parts:
    """The parts of an artifact from its files.

    Args:
        aside: Where a damaged shared file goes; else its name would keep a sound one from being written.

    Raises:
        Damaged: If a file is missing, or is not what was written.
        Failed: If the system cannot read one.
    """
    if missing := [name for name in ("files", "groups", "header") if not isinstance(record.get(name), dict)]:
        raise Damaged(f"the record in {home} has no {missing[0]}.")
    files: dict[str, bytes] = {}
    for name, checksum in record["files"].items():
        path = place(store, home, name)
        try:
            data = read_whole(path)
        except MISSING as error:
            raise Damaged(f"{path} is missing from the store.") from error
        if hashlib.sha256(data).hexdigest() != checksum:
            if path.parent.name == BLOBS:
                aside(path)
            raise Damaged(f"{path} does not match its checksum.")
        files[name] = data
    try:
        groups = {group: safetensors.torch.load(files[name]) for group, name in record["groups"].items()}
    except (SafetensorError, KeyError) as error:
        raise Damaged(f"{home} cannot be read: {error}") from error
    rows = tuple(json.loads(line) for line in files.get("rows.jsonl", b"").splitlines())
    return Parts(record["header"], groups, rows)


def place(store: pathlib.Path, home: pathlib.Path, name: str) -> pathlib.Path:
    """Where a file of an artifact lies."""
    return store / name if name.startswith(f"{BLOBS}/") else home / name


def _bytes(tensors: Mapping[str, Tensor]) -> bytes:
    return safetensors.torch.save({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()})


def write(path: pathlib.Path, data: bytes) -> None:
    """Write beside and rename, so that a file that exists is whole, also after a power cut."""
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise

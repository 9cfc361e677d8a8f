"""One file for an artifact: safetensors with a JSON header, closed by a digest over everything.

The encoding is canonical: equal artifacts are equal files, byte for byte. Reading runs no code, allocates no more than
the file is long, and answers anything that is not such a file with one `Damaged` error.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, cast

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from tombola.core.artifact import Parts
from tombola.core.canon import encoded
from tombola.core.errors import Damaged

FORMAT_VERSION = 1
LARGEST_HEADER = 16 * 2**20
_SLOT = "tombola"


def tensor_bytes(value: Tensor) -> memoryview:
    """The bytes of a tensor in row-major order, whatever its memory format or type."""
    return value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def content_digest(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """The SHA-256 of a header and of names, types, shapes and bytes of tensors; their order does not matter."""
    total = hashlib.sha256(encoded(dict(header)))
    for name in sorted(tensors):
        value = tensors[name]
        total.update(encoded([name, str(value.dtype), list(value.shape)]))
        total.update(tensor_bytes(value))
    return total.hexdigest()


def encode(kind: str, parts: Parts) -> bytes:
    """The file's bytes. `kind` is what the file holds: "ticket", "trained", ..."""
    tensors = {
        f"{group}.{name}": value.detach().cpu().contiguous()
        for group, members in parts.groups.items()
        for name, value in members.items()
    }
    header: dict[str, Any] = {"format": kind, "version": FORMAT_VERSION, **parts.header}
    if parts.rows:
        header["rows"] = [dict(row) for row in parts.rows]
    header["digest"] = content_digest(header, tensors)
    return safetensors.torch.save(_unshared(tensors), {_SLOT: encoded(header).decode()})


def _unshared(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    seen: set[int] = set()
    result: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if value.numel() and value.data_ptr() in seen:  # safetensors refuses tensors that share memory.
            value = value.clone()
        seen.add(value.data_ptr())
        result[name] = value
    return result


def decode(kind: str, data: bytes, *, source: str = "the data") -> Parts:
    """The artifact's parts from a file's bytes.

    Raises:
        Damaged: If it is not such a file, or anything in it was altered.
    """
    if len(data) < 10:
        raise Damaged(f"{source} is no {kind} file: it has only {len(data)} bytes.")
    length = int.from_bytes(data[:8], "little")
    if length > min(LARGEST_HEADER, len(data) - 8):
        raise Damaged(
            f"{source} is no {kind} file or is cut short: it announces a header of {length:,} bytes and has "
            f"{len(data) - 8:,} (the largest allowed is {LARGEST_HEADER:,})."
        )
    try:
        outer = json.loads(data[8 : 8 + length])
        read = json.loads(outer["__metadata__"][_SLOT])
        tensors = safetensors.torch.load(data)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise Damaged(f"{source} is no {kind} file, or is damaged: {_first_line(error)}.") from error
    header = cast(dict[str, Any], read) if isinstance(read, dict) else {}
    if (found := header.get("format")) != kind:
        raise Damaged(f"{source} holds {brief(found)}, not a {kind}.")
    if header.get("version") != FORMAT_VERSION:
        raise Damaged(
            f"{source} is a {kind} file of version {brief(header.get('version'))}; this tombola reads version "
            f"{FORMAT_VERSION}. A newer tombola may read it."
        )
    digest = header.pop("digest", None)
    try:
        found = content_digest(header, tensors)
    except (ValueError, RecursionError) as error:  # It may hold what canonical JSON cannot: NaN, broken Unicode.
        raise Damaged(f"{source} is damaged: its header is not canonical ({_first_line(error)}).") from error
    if digest != found:
        raise Damaged(f"{source} is damaged: its content does not match the digest in its header. Get a fresh copy.")
    groups: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        group, _, rest = name.partition(".")
        groups.setdefault(group, {})[rest] = value
    rows: Any = header.pop("rows", [])
    if not isinstance(rows, list):
        raise Damaged(f"{source} is damaged: its rows are not a list.")
    del header["format"], header["version"]
    return Parts(header, groups, tuple(cast(list[Any], rows)))


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def check_printable(parts: Parts) -> None:
    """Whether all text in a header, and every tensor's name, can be shown as it is: nothing that a terminal obeys.

    Raises:
        Damaged: If some cannot. Texts of calls and plug-ins always can.
    """
    left: list[Any] = [parts.header, list(parts.rows), *(list(group) for group in parts.groups.values())]
    while left:
        value = left.pop()
        if isinstance(value, str) and not value.isprintable():
            raise Damaged(f"it holds text with characters that cannot be printed: {brief(value)}.")
        if isinstance(value, Mapping):
            members = cast(Mapping[str, Any], value)
            left += [*members, *members.values()]
        elif isinstance(value, list | tuple):
            left += cast(Sequence[Any], value)


def brief(value: Any) -> str:
    """What stands in a header, for a message: in full only if it is short."""
    plain = value is None or isinstance(value, bool | int | float | str)
    return repr(value) if plain and len(str(value)) <= 80 else f"a {type(value).__name__}"


def kind_of(path: str | os.PathLike[str]) -> str:
    """What a file says it holds ("ticket", "trained"), read from its header only; "" if it is no file of ours."""
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            outer = json.loads(file.read(min(length, LARGEST_HEADER)))
        return str(json.loads(outer["__metadata__"][_SLOT])["format"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""

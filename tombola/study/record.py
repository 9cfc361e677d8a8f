"""What is written about a stored result: JSON closed by the digest of its own text: no number changes unseen."""

import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any, cast

from tombola.core.errors import Damaged

_SEAL = b',\n "digest": "%s"\n}\n'
_LENGTH = len(_SEAL % (b"0" * 64))


def seal(record: Mapping[str, Any]) -> bytes:
    """A record as text, closed by the digest of all that stands before it.

    Example:
        >>> unseal(seal({"key": "cut:00"}), "there")
        {'key': 'cut:00'}
    """
    body = json.dumps(record, indent=1).encode().removesuffix(b"\n}")
    return body + _SEAL % hashlib.sha256(body).hexdigest().encode()


def digest(record: Mapping[str, Any]) -> str:
    """The digest that closes a record.

    Example:
        >>> digest({"key": "cut:00"}) in seal({"key": "cut:00"}).decode()
        True
    """
    return seal(record)[-_LENGTH:].split(b'"')[3].decode()


def unseal(data: bytes, path: pathlib.Path | str) -> dict[str, Any]:
    """The record in a text.

    Raises:
        Damaged: If the text is not what was written.
    """
    body = data[:-_LENGTH]
    if data[-_LENGTH:] != _SEAL % hashlib.sha256(body).hexdigest().encode():
        raise Damaged(f"{path} is damaged: its text does not match the digest at its end.")
    try:
        return cast(dict[str, Any], json.loads(body + b"\n}"))
    except ValueError as error:
        raise Damaged(f"{path} is damaged: {error}.") from error


def read_record(path: pathlib.Path) -> dict[str, Any]:
    """The record in a file.

    Raises:
        Damaged: If it was altered, or cannot be read.
    """
    try:
        return unseal(path.read_bytes(), path)
    except OSError as error:
        raise Damaged(f"{path} cannot be read: {error.strerror or error}.") from error


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two records tell of the same result: the same tensors and rows, or, without any, the same header."""
    return one["files"] == other["files"] and (bool(one["files"]) or one["header"] == other["header"])


def read_json(path: pathlib.Path) -> dict[str, Any]:
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

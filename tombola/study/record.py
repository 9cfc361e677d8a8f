"""What is written about a stored result: JSON closed by the digest of its own text: no number changes unseen."""

import hashlib
import json
import os
import pathlib
import stat
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from tombola.core.errors import Damaged, Failed

MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
"""What the system says where there is no such file."""
_T = TypeVar("_T")

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


def asked(path: pathlib.Path, ask: Callable[[], _T]) -> _T:
    """What the system says of a path; where it cannot tell, which says nothing of what lies there, it is asked again.

    Raises:
        OSError: If there is no such file: one of `MISSING`.
        Failed: If the system cannot tell when it is asked again.
    """
    try:
        return ask()
    except MISSING:
        raise
    except OSError:  # A network disk that was just mounted anew, or too many open files for a moment.
        pass
    try:
        return ask()
    except MISSING:
        raise
    except OSError as error:
        raise Failed(
            f"cannot read {path}: {error.strerror or error}. It is left as it is: see to the disk, to permissions or "
            "to the limit of open files (ulimit -n), then run the command again."
        ) from error


def read_whole(path: pathlib.Path) -> bytes:
    """The bytes of a file in a store.

    Raises:
        OSError: If there is no such file: one of `MISSING`.
        Failed: If the system cannot read it, also when it is asked again.
    """
    return asked(path, path.read_bytes)


def there(path: pathlib.Path) -> bool:
    """Whether something lies there.

    Raises:
        Failed: If the system cannot tell, also when it is asked again.
    """
    return _mode(path) != 0


def has_record(home: pathlib.Path) -> bool:
    """Whether a folder of a store holds a record: without one it is no result, whatever else is in it.

    Raises:
        Failed: If the system cannot tell, also when it is asked again.
    """
    return stat.S_ISREG(_mode(home / "record.json"))


def _mode(path: pathlib.Path) -> int:
    try:
        return asked(path, lambda: os.stat(path)).st_mode
    except MISSING:
        return 0


def read_record(path: pathlib.Path) -> dict[str, Any]:
    """The record in a file.

    Raises:
        Damaged: If it was altered, or there is no such file.
        Failed: If the system cannot read it.
    """
    try:
        return unseal(read_whole(path), path)
    except MISSING as error:
        raise Damaged(f"{path} cannot be read: {error.strerror or error}.") from error


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two records tell of the same result: the same tensors and rows, or, without any, the same header."""
    return one["files"] == other["files"] and (bool(one["files"]) or one["header"] == other["header"])


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """What a JSON file holds.

    Raises:
        Damaged: If that is no JSON object, or cannot be read.
    """
    try:
        value: Any = json.loads(path.read_bytes())
    except OSError as error:
        raise Damaged(
            f"{path} cannot be read: {error.strerror or error}. Make it a file that you may read, or name another "
            "store (--store)."
        ) from error
    except ValueError as error:
        raise Damaged(f"{path} is damaged: {error}.") from error
    if not isinstance(value, dict):
        raise Damaged(f"{path} is damaged: it holds no JSON object.")
    return cast(dict[str, Any], value)

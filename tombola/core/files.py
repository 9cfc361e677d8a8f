"""Files that are read or written whole, with one clear message where that cannot be done."""

import os
import pathlib
import stat
import tempfile

from tombola.core.errors import Damaged, Failed


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """A file's bytes.

    Raises:
        Damaged: If there is no such file or it cannot be read.
    """
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise Damaged(f"cannot read {path}: {error.strerror or error}.") from error


def write_bytes(path: str | os.PathLike[str], data: bytes) -> pathlib.Path:
    """Write a file whole or not at all, also across a power cut: beside its place first, then renamed.

    A link stays, and what it leads to is written.

    Raises:
        Failed: If the disk is full or the place cannot be written; an older file there is untouched. So is what is
            no file, such as a device.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_bytes(pathlib.Path(folder) / "a.txt", b"new").read_bytes()
        b'new'
    """
    path = pathlib.Path(path)
    beside = ""
    try:
        target = _target(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:80]}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, 0o666 & ~_umask())  # mkstemp makes a private file; this should be like any new one.
        os.replace(beside, target)
    except OSError as error:
        raise Failed(
            f"cannot write {path}: {error.strerror or error}. Free space there or name another place; "
            "what was there before is unchanged."
        ) from error
    finally:
        if beside:  # It is there no more if all went well.
            pathlib.Path(beside).unlink(missing_ok=True)
    return path


def check_writable(path: str | os.PathLike[str]) -> None:
    """Find out before a long run whether its result can be written.

    Raises:
        Failed: If it cannot.
    """
    path = pathlib.Path(path)
    try:
        target = _target(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise Failed(f"cannot write {path}: {error.strerror or error}. Name a place that you may write to.") from error


def _target(path: pathlib.Path) -> pathlib.Path:
    """Where a file lies, or would lie, that is written under a path: where its links lead to."""
    try:
        kind = path.stat().st_mode  # The system follows links that name no place, such as /dev/stdout.
    except FileNotFoundError:
        kind = stat.S_IFREG
    if stat.S_ISDIR(kind):
        raise Failed(f"cannot write {path}: it is a folder. Name a file in it.")
    if not stat.S_ISREG(kind):
        raise Failed(f"cannot write {path}: it is no plain file. Name one, or a place for a new one.")
    return pathlib.Path(os.path.realpath(path)) if path.is_symlink() else path


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current

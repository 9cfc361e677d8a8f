"""Prepared data on disk: learning a vocabulary or decoding pictures takes many seconds, reading their numbers none.

A file is written beside and renamed, checked by its digest whenever it is read, and made again if it is damaged. Where
nothing can be written everything still works, only slower.
"""

import hashlib
import logging
import os
import pathlib
import tempfile
from collections.abc import Mapping

import numpy as np
import safetensors
from safetensors.numpy import save_file

_LOG = logging.getLogger(__name__)
Tensors = Mapping[str, np.ndarray]


def folder() -> pathlib.Path:
    """Where prepared data are kept: `$TOMBOLA_CACHE`, else `tombola` in the user's cache folder."""
    if own := os.environ.get("TOMBOLA_CACHE"):
        return pathlib.Path(own).expanduser()
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "tombola"


def path(name: str) -> pathlib.Path:
    """The file of a set that is kept ready."""
    return folder() / f"{name}.safetensors"


def digest(tensors: Tensors) -> str:
    """The SHA-256 over names, shapes and content, in the order of the names."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        value = np.ascontiguousarray(tensors[name])
        total.update(f"{name} {value.dtype.str} {value.shape}\n".encode())
        total.update(value.data if value.size else b"")
    return total.hexdigest()


def read(name: str) -> dict[str, np.ndarray] | None:
    """The arrays of that name, or None if there is no sound file."""
    try:
        with safetensors.safe_open(path(name), framework="np") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            expected = (file.metadata() or {}).get("digest")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        _LOG.warning("%s cannot be read (%s); it is made again.", path(name), error)
        return None
    if digest(tensors) != expected:
        _LOG.warning("%s is damaged (its digest is wrong); it is made again.", path(name))
        return None
    return tensors


def facts(name: str) -> dict[str, str]:
    """What was noted of the arrays of that name; the arrays are not read. Nothing if there is no such file."""
    try:
        with safetensors.safe_open(path(name), framework="np") as file:
            return dict(file.metadata() or {})
    except (OSError, safetensors.SafetensorError):
        return {}


def write(name: str, tensors: Tensors, **noted: str) -> bool:
    """Keep arrays, and what is to be noted of them; False, and no trace, where the folder cannot be written."""
    return save(name, tensors, {**noted, "digest": digest(tensors)})


def save(name: str, tensors: Tensors, metadata: Mapping[str, str]) -> bool:
    """Write a file whole or not at all; False, and no trace, where the folder cannot be written."""
    beside = None
    try:
        folder().mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder(), prefix=f".{name}-", delete=False) as file:
            beside = pathlib.Path(file.name)
        save_file({n: np.ascontiguousarray(value) for n, value in tensors.items()}, beside, metadata=dict(metadata))
        os.replace(beside, path(name))
    except (OSError, safetensors.SafetensorError) as error:
        _LOG.info("prepared data are not kept: %s.", error)
        if beside is not None:
            beside.unlink(missing_ok=True)
        return False
    return True

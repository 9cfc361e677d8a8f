"""Decoded sets on disk: reading 60,000 compressed pictures takes up to 20 seconds, reading their bytes less than one.

A file holds the arrays (safetensors) and their digest. It is written beside and renamed, checked by its digest
whenever it is read, and made again if it is damaged. Where nothing can be written everything still works, only slower.
"""

import json
import logging
from typing import NamedTuple

import safetensors

from tombola.tasks.arrays import Arrays, digest
from tombola.tasks.kept import folder, path, save

__all__ = ["Recorded", "folder", "path", "read", "recorded", "write"]

_LOG = logging.getLogger(__name__)
_TENSORS = ("train_images", "train_labels", "test_images", "test_labels")
_GROUPS = ("train_groups", "test_groups")


class Recorded(NamedTuple):
    """What a file says that it holds: the digest of the data, and numbers of training and test examples."""

    digest: str
    train: int
    test: int


def recorded(name: str) -> Recorded | None:
    """Digest and numbers of pictures by the file's own account, or None; the pictures are not read."""
    try:
        with safetensors.safe_open(path(name), framework="np") as file:
            sizes = [file.get_slice(f"{split}_labels").get_shape()[0] for split in ("train", "test")]
            return Recorded((file.metadata() or {}).get("digest", ""), sizes[0], sizes[1])
    except (OSError, safetensors.SafetensorError):
        return None


def read(name: str) -> tuple[Arrays, str] | None:
    """The arrays of a decoded set and their digest, or None if there is no sound file."""
    try:
        with safetensors.safe_open(path(name), framework="np") as file:
            meta = file.metadata() or {}
            arrays = Arrays(*(file.get_tensor(tensor) for tensor in _TENSORS), classes=int(meta.get("classes", "0")))
            if "groups" in meta:
                train, test = (file.get_tensor(tensor) for tensor in _GROUPS)
                arrays = arrays._replace(groups=(train, test), group_names=tuple(json.loads(meta["groups"])))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        _LOG.warning("%s cannot be read (%s); the set is decoded again.", path(name), error)
        return None
    found = digest(arrays)
    if found != meta.get("digest") or arrays.classes <= max(arrays.train_labels.max(), arrays.test_labels.max()):
        _LOG.warning("%s is damaged (its digest is wrong); the set is decoded again.", path(name))
        return None
    return arrays, found


def write(name: str, arrays: Arrays, found: str) -> bool:
    """Keep a decoded set; False, and no trace, where the folder cannot be written."""
    tensors = {tensor: getattr(arrays, tensor) for tensor in _TENSORS}
    meta = {"digest": found, "classes": str(arrays.classes)}
    if arrays.groups is not None:
        tensors.update(zip(_GROUPS, arrays.groups, strict=True))
        meta["groups"] = json.dumps(arrays.group_names)
    return save(name, tensors, meta)

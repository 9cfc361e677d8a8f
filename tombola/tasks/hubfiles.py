"""Reading a set in the hub's layout with `datasets`: splits, columns, pictures. Imported only when a set is decoded."""

import contextlib
import io
import logging
import os
import socket
import tempfile
import urllib.parse
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import datasets
import datasets.config as hub_config
import numpy as np
import pyarrow
from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError
from PIL import Image

from tombola.core.errors import Damaged, Refused, unknown
from tombola.tasks.arrays import Arrays, Groups, Labels, Pixels, picture
from tombola.tasks.sources import Source, Where

_CHUNK = 1000


def read_set(source: Source, path: str, *, where: Where) -> Arrays:
    """Both splits of a set, decoded.

    Raises:
        OSError: If the set is not there or cannot be reached.
        Refused: If a split or column is missing or of the wrong kind.
        Damaged: If a file or a picture cannot be read.
    """
    check_place(source, path, where=where)
    # Files of a folder are converted into a scratch folder: the decoded copy is ours, a second one only takes space.
    with quietly(offline=where == "cache"), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        cache = scratch if where == "folder" else None
        sets = loaded(source, path, cache=cache)
        splits = source.train, source.test
        parts = [split_of(source, sets, name, path, cache=cache) for name in splits]
        labels = [_labels(source, part, split) for part, split in zip(parts, splits, strict=True)]
        named = getattr(parts[0].features[source.label], "num_classes", 0)
        classes = max(named, *(int(part.max()) + 1 for part in labels))
        groups, names = _groups(source, parts) if source.group else (None, ())
        if groups is not None and source.only:
            kept, groups, names = _chosen(source, groups, names)
            parts = [part.select(rows) for part, rows in zip(parts, kept, strict=True)]
            labels = [part[rows] for part, rows in zip(labels, kept, strict=True)]
        images = [_images(source, part, split) for part, split in zip(parts, splits, strict=True)]
    if images[0].shape[1:] != images[1].shape[1:]:
        raise Refused(
            f"{source.name}: pictures of {source.train} are {_by(images[0])}, those of {source.test} {_by(images[1])}. "
            "Give a size."
        )
    return Arrays(images[0], labels[0], images[1], labels[1], classes, groups, names)


def check_place(source: Source, path: str, *, where: Where) -> None:
    """Whether a set can be where it is looked for, before anybody is asked.

    Raises:
        OSError: If it is not there or cannot be reached.
        Refused: If `datasets` would read something else.
    """
    if where == "hub" and not source.hub_id:
        raise FileNotFoundError("the hub has no copy")
    if where != "folder" and os.path.isdir(path):
        raise Refused(
            f"{source.name}: a folder {path} in the current one would be read in place of the hub's. Go elsewhere."
        )
    if where == "hub" and not _reachable():
        raise ConnectionError("cannot be reached")


@contextlib.contextmanager
def quietly(*, offline: bool) -> Iterator[None]:
    """No progress bars, no counting of downloads, no log lines; offline, `datasets` reads its own cache at once."""
    bars = datasets.are_progress_bars_disabled()
    before = hub_config.HF_HUB_OFFLINE, hub_config.HF_UPDATE_DOWNLOAD_COUNTS, datasets.logging.get_verbosity()
    hub_config.HF_HUB_OFFLINE, hub_config.HF_UPDATE_DOWNLOAD_COUNTS = offline or before[0], False
    datasets.logging.set_verbosity(logging.CRITICAL)
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        hub_config.HF_HUB_OFFLINE, hub_config.HF_UPDATE_DOWNLOAD_COUNTS = before[:2]
        datasets.logging.set_verbosity(before[2])
        if not bars:
            datasets.enable_progress_bars()


def _reachable() -> bool:
    """Whether the hub's name can be resolved at all; asking the hub itself would take half a minute to fail."""
    if hub_config.HF_HUB_OFFLINE:
        return False
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True
    try:
        socket.getaddrinfo(urllib.parse.urlsplit(hub_config.HF_ENDPOINT).hostname, 443)
    except OSError:
        return False
    return True


def loaded(source: Source, path: str, *, cache: str | None, split: str | None = None, **more: Any) -> Any:
    """What `datasets` makes of a folder or a hub id.

    Raises:
        OSError: If the hub has no such set.
        Refused: If it cannot be loaded.
        Damaged: If a file cannot be read.
    """
    try:
        return datasets.load_dataset(path, name=source.config or None, cache_dir=cache, split=split, **more)
    except DatasetNotFoundError as error:
        raise FileNotFoundError("no such data set on the hub, or no access to it") from error
    except (DatasetGenerationError, pyarrow.ArrowException) as error:
        cause = error.__cause__ or error
        raise Damaged(
            f"{source.name}: a file of {path} cannot be read ({type(cause).__name__}: {_line(cause)}). It is "
            "truncated, altered or not a data file. Copy the set again."
        ) from error
    except (ValueError, RuntimeError) as error:
        raise Refused(f"{source.name}: {path} cannot be loaded: {' '.join(str(error).split())[:500]}") from error


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0][:300]


def split_of(source: Source, sets: Any, name: str, path: str, *, cache: str | None) -> Any:
    """A split of a set, or a part of one, by its name.

    Raises:
        UnknownName: If there is none of that name.
    """
    if "[" in name:
        return loaded(source, path, cache=cache, split=name)
    if name not in sets:
        raise unknown(f"split of {source.name} ({path})", name, map(str, sets))
    return sets[name]


def _column(source: Source, part: Any, name: str, kind: str, fits: Any) -> Any:
    if name not in part.features:
        raise unknown(f"column of {source.name}", name, part.features)
    if not fits(part.features[name]):
        others = ", ".join(n for n, feature in part.features.items() if fits(feature)) or "none"
        shown = getattr(part.features[name], "dtype", None) or type(part.features[name]).__name__
        raise Refused(f"{source.name}: column '{name}' holds {shown}, not {kind}. Columns of {kind}: {others}.")
    return part.features[name]


def _is_label(feature: Any) -> bool:
    whole = isinstance(feature, datasets.Value) and feature.dtype.startswith(("int", "uint"))
    return isinstance(feature, datasets.ClassLabel) or whole


def _is_image(feature: Any) -> bool:
    return isinstance(feature, datasets.Image) or (isinstance(feature, dict) and set(feature) == {"bytes", "path"})


def _labels(source: Source, part: Any, split: str) -> Labels:
    _column(source, part, source.label, "whole-number labels", _is_label)
    if len(part) == 0:
        raise Refused(f"{source.name}: split '{split}' is empty.")
    column = part.with_format("arrow")[:][source.label]
    if column.null_count or min(labels := np.array(column.to_numpy(), dtype=np.int64)) < 0:
        raise Refused(
            f"{source.name}: split '{split}' has examples without a label (empty or negative). Name a labelled split, "
            f"e.g. train='{source.train}[:80%]', test='{source.train}[80%:]'."
        )
    return labels


def _is_group(feature: Any) -> bool:
    return _is_label(feature) or (isinstance(feature, datasets.Value) and feature.dtype in ("string", "large_string"))


def _groups(source: Source, parts: list[Any]) -> tuple[tuple[Groups, Groups], tuple[str, ...]]:
    """The group numbers of both splits' examples, and the names of the groups that are there, in order.

    Class labels keep the order of their names, whole numbers and texts are sorted.
    """
    found: list[list[Any]] = []
    for part, split in zip(parts, (source.train, source.test), strict=True):
        feature = _column(source, part, source.group, "groups (whole numbers, text or class labels)", _is_group)
        column = part.with_format("arrow")[:][source.group]
        labelled = isinstance(feature, datasets.ClassLabel)
        values = column.to_pylist()
        if column.null_count or (labelled and min(values) < 0):
            raise Refused(f"{source.name}: split '{split}' has examples without a group ('{source.group}').")
        found.append([(value, feature.names[value]) for value in values] if labelled else [(v, str(v)) for v in values])
    try:
        there = sorted({*found[0], *found[1]})
    except TypeError as error:
        raise Refused(f"{source.name}: the groups in '{source.group}' are of two kinds in the two splits.") from error
    names = tuple(name for _, name in there)
    if len(set(names)) < len(names):
        raise Refused(f"{source.name}: the groups in '{source.group}' are numbered in two ways in the two splits.")
    numbers = {group: number for number, group in enumerate(there)}
    train, test = (np.array([numbers[group] for group in groups], dtype=np.int64) for groups in found)
    return (train, test), names


def _chosen(
    source: Source, groups: tuple[Groups, Groups], names: tuple[str, ...]
) -> tuple[list[np.ndarray], tuple[Groups, Groups], tuple[str, ...]]:
    """The rows of both splits that belong to the groups asked for, with the groups' numbers and names among these."""
    for name in source.only:
        if name not in names:
            raise unknown(f"group of {source.name}", name, names)
        for numbers, split in zip(groups, (source.train, source.test), strict=True):
            if names.index(name) not in numbers:
                there = ", ".join(names[number] for number in np.unique(numbers))
                raise Refused(
                    f"{source.name}: group '{name}' has no example in split '{split}', whose groups are: {there}. "
                    "Choose among these, or name splits that both have the group, such as parts of one."
                )
    kept = [np.flatnonzero(np.isin(numbers, [names.index(name) for name in source.only])) for numbers in groups]
    left = tuple(name for name in names if name in source.only)
    new = np.array([left.index(name) if name in left else -1 for name in names])
    train, test = (new[numbers[rows]] for numbers, rows in zip(groups, kept, strict=True))
    return kept, (train, test), left


def _images(source: Source, part: Any, split: str) -> Pixels:
    _column(source, part, source.image, "images", _is_image)
    part = part.select_columns([source.image]).cast_column(source.image, datasets.Image(decode=False))
    out: Pixels | None = None
    for start in range(0, len(part), _CHUNK):
        for at, item in enumerate(part[start : start + _CHUNK][source.image], start):
            pixels = _picture(source, item, f"picture {at} of {split}")
            if out is None:
                out = np.empty((len(part), *pixels.shape), dtype=np.uint8)
            if pixels.shape != out.shape[1:]:
                raise Refused(
                    f"{source.name}: picture {at} of {split} is {pixels.shape[1]} x {pixels.shape[0]}, the first is "
                    f"{_by(out)}. Give a size."
                )
            out[at] = pixels
    assert out is not None, "an empty split was refused before"
    return out


def _picture(source: Source, item: Any, what: str) -> Pixels:
    if item is None or not (item["bytes"] or item["path"]):
        raise Damaged(f"{source.name}: {what} is empty.")
    try:
        with Image.open(io.BytesIO(item["bytes"]) if item["bytes"] else item["path"]) as image:
            if image.mode.startswith(("I", "F")):
                raise Refused(
                    f"{source.name}: {what} has more than 8 bits a channel (mode {image.mode}). Convert the set."
                )
            return picture(image, side=source.side, channels=source.channels)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise Damaged(f"{source.name}: {what} cannot be decoded ({_line(error)}). Copy the set again.") from error


def _by(images: Pixels) -> str:
    return f"{images.shape[2]} x {images.shape[1]}"

"""Where image sets come from: `$TOMBOLA_DATA`, else the user's cache, else the hub; decoded once and checked.

A `Source` says which folder, hub id and columns hold a set, and, where it is known, the digest of its content. All
reading goes through `datasets.load_dataset`, whose columns are the same for a folder and for the hub.
"""

import abc
import dataclasses
import functools
import hashlib
import os
import pathlib
import re
from collections.abc import Callable
from typing import Literal, NamedTuple

from tombola.core.errors import Damaged, Refused
from tombola.tasks import decoded
from tombola.tasks.arrays import Arrays, digest
from tombola.tasks.decoded import Recorded

Where = Literal["built in", "folder", "cache", "hub"]
_PATHS = ("/", "./", "../", "~")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A set and where it may be: `folder` under `$TOMBOLA_DATA` (or a path), `hub_id` ("" if the hub has no copy).

    `side` and `channels` are those it is decoded to (0: as it is); `pinned` is its digest where that is known; `group`
    is the column of groups ("" for none), of which those in `only` are kept (all, if it is empty).
    """

    name: str
    folder: str = ""
    hub_id: str = ""
    config: str = ""
    image: str = "image"
    label: str = "label"
    train: str = "train"
    test: str = "test"
    side: int = 0
    channels: int = 1
    group: str = ""
    only: tuple[str, ...] = ()
    pinned: str = ""
    sizes: tuple[int, int] | None = None
    make: Callable[[], Arrays] | None = None


class Sourced(abc.ABC):
    """A task whose data can be found, fetched and checked."""

    @abc.abstractmethod
    def source(self) -> Source:
        """Where its data come from."""

    def kept(self) -> tuple[pathlib.Path, Recorded | None]:
        """The file that keeps its data ready, and what it says that it holds."""
        source = self.source()
        name = cache_name(source, None if source.pinned else locate(source))
        return decoded.path(name), decoded.recorded(name)

    def fetched(self) -> Recorded:
        """Read and check its data from wherever they are, and keep them ready."""
        arrays, found = load(self.source())
        return Recorded(found, len(arrays.train_labels), len(arrays.test_labels))


class Place(NamedTuple):
    """Where a set was found: the kind of place, and what `load_dataset` is to be given."""

    where: Where
    path: str


def is_hub_id(text: str) -> bool:
    """Whether a text has the form owner/name that the hub allows."""
    odd = len(text) > 96 or "--" in text or ".." in text or text.endswith(".py") or text.startswith("buckets/")
    return _HUB_ID.fullmatch(text) is not None and not odd


def check_id(text: str) -> None:
    """Refuse what is neither a hub id, nor a path, nor a folder's name, by its form alone.

    Raises:
        Refused: Such texts mean something else to `load_dataset`: builders, addresses, scripts.
    """
    named = _NAME.fullmatch(text) is not None or is_hub_id(text)
    if not (named or (text.startswith(_PATHS) and text.isprintable())):
        raise Refused(
            f"hub: id {text!r} is neither a hub id, nor a path, nor the name of a folder. Write hub(id='owner/name'), "
            "hub(id='./folder') or hub(id='folder') for a folder in $TOMBOLA_DATA."
        )


def local_folder(folder: str) -> pathlib.Path | None:
    """The folder of that path, or of that name in `$TOMBOLA_DATA`, if it holds files."""
    path = _spot(folder)
    return path.resolve() if path is not None and path.is_dir() and _files(path) else None


def _spot(folder: str) -> pathlib.Path | None:
    if folder.startswith(_PATHS):
        return pathlib.Path(folder).expanduser()
    root = os.environ.get("TOMBOLA_DATA", "")
    return pathlib.Path(root).expanduser() / folder if root else None


def locate(source: Source) -> Place:
    """Where the set would be read from now; for "hub" nobody has asked yet whether it is there."""
    if source.make is not None:
        return Place("built in", source.name)
    if source.folder and (path := local_folder(source.folder)):
        return Place("folder", str(path))
    if source.hub_id and _in_hub_cache(source):
        return Place("cache", source.hub_id)
    return Place("hub", source.hub_id)


def load(source: Source) -> tuple[Arrays, str]:
    """The set's arrays and their digest: from the decoded copy if there is one, else read, checked and kept.

    Raises:
        Refused: If it is nowhere, or has not the splits and columns that were asked for.
        Damaged: If its files cannot be read or hold other data than the results of this task are keyed by.
    """
    if source.pinned and (known := decoded.read(cache_name(source))) and known[1] == source.pinned:
        return known
    place = locate(source)
    if not source.pinned and source.make is None and (known := decoded.read(cache_name(source, place))):
        return known
    arrays = read(source, place)
    sizes = len(arrays.train_labels), len(arrays.test_labels)
    if source.sizes and sizes != source.sizes:
        raise Damaged(
            f"{source.name}: the data from {_described(place)} have {sizes[0]:,} training and {sizes[1]:,} test "
            f"pictures, the set has {source.sizes[0]:,} and {source.sizes[1]:,}. Get the whole set, or use a part by "
            f"naming it: hub(id={source.folder!r}, ...)."
        )
    found = digest(arrays)
    if source.pinned and found != source.pinned:
        raise Damaged(
            f"{source.name}: the data from {_described(place)} have the digest {found}, expected is {source.pinned}. "
            "Results are keyed by the content of a set, so another content is refused. Get the published files, or use "
            f"these as they are by naming them: hub(id={source.folder or source.hub_id or source.name!r}, ...)."
        )
    if source.pinned or source.make is None:  # What a function makes may change with the function, unseen by any name.
        decoded.write(cache_name(source, place), arrays, found)
    return arrays, found


def read(source: Source, place: Place) -> Arrays:
    """The set decoded from where it is, past the decoded copy and unchecked."""
    if source.make is not None:
        return source.make()
    from tombola.tasks.hubfiles import read_set  # Imports `datasets`, which takes a second.

    try:
        return read_set(source, place.path, where=place.where)
    except OSError as error:
        raise Refused(absent(source, place, error)) from error


def cache_name(source: Source, place: Place | None = None) -> str:
    """The name of the decoded copy: by content where that is pinned, else by where it is and what it is read as."""
    if source.pinned:
        return f"{source.name}-{source.pinned[:16]}"
    place = place or locate(source)
    content = _files(pathlib.Path(place.path)) if place.where == "folder" else ()
    spot = os.path.abspath(place.path) if place.where == "folder" else source.hub_id
    asked = dataclasses.replace(source, make=None)
    plain = re.sub(r"\W+", "-", source.name)[:60].strip("-")
    return f"{plain}-{hashlib.sha256(repr((asked, spot, content)).encode()).hexdigest()[:16]}"


def _files(path: pathlib.Path) -> tuple[tuple[str, int, int], ...]:
    """Name, size and time of every file of a folder: what a copy of it was made from."""
    return tuple(
        (str(file.relative_to(path)), file.stat().st_size, file.stat().st_mtime_ns)
        for file in sorted(path.rglob("*"))
        if file.is_file() and not file.name.startswith(".")
    )


@functools.cache
def _hub_cache() -> pathlib.Path:
    import datasets.config as hub_config

    return pathlib.Path(hub_config.HF_DATASETS_CACHE)


def _in_hub_cache(source: Source) -> bool:
    from datasets.naming import camelcase_to_snakecase

    owner, _, name = source.hub_id.rpartition("/")
    folder = _hub_cache() / f"{owner}___{camelcase_to_snakecase(name)}"
    return any(folder.glob(f"{source.config or '*'}/*/*/dataset_info.json"))


def _described(place: Place) -> str:
    return {"folder": f"the folder {place.path}", "built in": "scikit-learn"}.get(place.where, f"hub id '{place.path}'")


def absent(source: Source, place: Place, error: OSError) -> str:
    """That a set is not here: where was looked, and the ways out."""
    if place.where == "folder":
        return f"{source.name}: the folder {place.path} cannot be read ({_first_line(error)})."
    spot = _spot(source.folder)
    tried = [f"folder {spot}" if spot else f"folder {source.folder} (TOMBOLA_DATA is not set)"]
    ways = []
    if source.folder.startswith(_PATHS):
        ways.append("Name a folder that holds data files")
    elif pathlib.Path(source.folder).is_dir():
        ways.append(f"Write id='./{source.folder}' for the folder {source.folder} here")
    else:
        ways.append(f"Set TOMBOLA_DATA to a folder that holds {source.folder}/")
    if source.hub_id:
        tried.append(f"the user's cache; hub id '{source.hub_id}' ({_first_line(error)})")
        ways.append("connect to a network")
    ways.append("use the task 'digits', which needs neither")
    return f"{source.name} is not on this machine. Tried: {'; '.join(tried)}. {', or '.join(ways)}."


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")

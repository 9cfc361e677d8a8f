"""What lies where in a store, and which of several results under one key is meant.

The first result of a key lies in `function/<digits>`. One that another environment made of the same call, where that
was wanted, lies beside it in `function/<digits>@<name of its environment>`. `store.json` lists the environments that
ever wrote to the store: with one, the normal case, no record need be read to know what is of this environment.
"""

import functools
import itertools
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any, cast

import filelock

from tombola.core.canon import KEY_DIGITS
from tombola.core.errors import Damaged, Refused
from tombola.core.machine import Machine
from tombola.study import shelf
from tombola.study.environment import (
    NAME,
    Environment,
    Reuse,
    alike,
    checked,
    environment,
    environment_of,
    in_words,
    name_of,
)
from tombola.study.names import ROOMS
from tombola.study.record import MISSING, asked, read_json, read_record, read_whole, there, unseal

STORE_VERSION = 2


class Places:
    """The folders of a store, as they are seen from one environment: with `reuse="same"` results of others are not.

    Raises:
        Refused: If the folder is a store of another version.
        Damaged: If its `store.json` is.
    """

    def __init__(self, folder: str | os.PathLike[str], *, machine: Machine, reuse: Reuse) -> None:
        if reuse not in ("any", "same"):
            raise Refused(f"reuse is {reuse!r}. It is 'any' (results of any environment count as done) or 'same'.")
        self.folder, self.machine = pathlib.Path(folder), machine
        self.reuse: Reuse = reuse
        self.marker = self.folder / "store.json"
        if self.marker.exists():
            version = read_json(self.marker).get("version")
            if version != STORE_VERSION:
                raise Refused(
                    f"{self.folder} is a store of version {version}; this tombola keeps version {STORE_VERSION}. "
                    "Name another folder (--store), or use the tombola that made it."
                )
            self.environments()

    @functools.cached_property
    def here(self) -> Environment:
        """The environment of what is run here."""
        return environment(self.machine)

    def environments(self) -> dict[str, Environment] | None:
        """The environments that wrote to the store, by name; None where no list was kept of them yet.

        Raises:
            Damaged: If the list is not sound.
        """
        if not self.marker.exists():
            return None
        told = read_json(self.marker).get("environments")
        if told is None:
            return None
        way = "Take 'environments' out of it: the list is made again from the records, and no result is lost."
        if not isinstance(told, dict):
            raise Damaged(f"{self.marker} is damaged: its 'environments' are no object. {way}")
        listed = cast(dict[str, Any], told)
        try:
            found: dict[str, Environment] = {name: checked(one, f"'{name}'") for name, one in listed.items()}
        except Damaged as error:
            raise Damaged(f"{self.marker} is damaged: {error} {way}") from error
        for name, one in found.items():
            if name != name_of(one):
                raise Damaged(f"{self.marker} is damaged: '{name}' does not name {in_words(one)}. {way}")
        return found

    def enlist(self, *added: Environment) -> None:
        """Add environments to the list; where none was kept it is made from the records first."""
        listed = self.environments()
        if listed is not None and all(name_of(one) in listed for one in added):
            return
        with filelock.FileLock(self.folder / "locks" / "environments.lock"):
            listed = self.environments()
            listed = self._found() if listed is None else listed
            listed |= {name_of(one): one for one in added}
            content = {"version": STORE_VERSION, "environments": listed}
            shelf.write(self.marker, json.dumps(content, indent=1).encode())

    def _found(self) -> dict[str, Environment]:
        """The environments of all records; what is damaged tells of none."""
        paths = [path / "record.json" for _, path in self.results()] + [path for _, path in self.notes()]
        found = (self.told(path) for path in paths)
        return {name_of(one): one for one in found if one is not None}

    def others(self) -> bool:
        """Whether results of other environments than this one may be here; found out without reading a record."""
        listed = self.environments()
        return listed is None or not all(alike(self.here, one) for one in listed.values())

    def results(self) -> Iterator[tuple[str, pathlib.Path]]:
        """Key and folder of every result: several under one key where several environments made it."""
        for room in sorted(_folders(self.folder)):
            if room not in ROOMS:
                for name in sorted(_folders(self.folder / room)):
                    if digits := _digits(name):
                        yield f"{room}:{digits}", self.folder / room / name

    def notes(self) -> Iterator[tuple[str, pathlib.Path]]:
        """Key and record of every row that was imported."""
        for path in sorted((self.folder / "noted").glob("*/*.json")):
            if digits := _digits(path.stem):
                yield f"{path.parent.name}:{digits}", path

    def present(self) -> set[str]:
        """The keys of all results that count here; a folder without a record is none."""
        every = self._all_count()
        found = ((key, path / "record.json") for key, path in self.results())
        return {key for key, record in found if os.path.isfile(record) and (every or self._fits(record))}

    def keys(self) -> list[str]:
        """The keys of all results that count here, sorted."""
        return sorted(self.present())

    def noted(self) -> set[str]:
        """The keys of rows that were imported: their numbers are known, their artifacts are not here."""
        every = self._all_count()
        return {key for key, path in self.notes() if every or self._fits(path)}

    def _all_count(self) -> bool:
        return self.reuse == "any" or not self.others()

    def told(self, record: pathlib.Path) -> Environment | None:
        """The environment in a record; None if there is no sound one."""
        try:
            return environment_of(read_record(record))
        except Damaged:
            return None

    def _fits(self, record: pathlib.Path) -> bool:
        """Whether a record's result counts here; whoever uses a damaged one finds out and makes it again."""
        told = self.told(record)
        return told is None or alike(self.here, told)

    def homes(self, key: str) -> Iterator[pathlib.Path]:
        """The folders that there are of a key: that of this environment, the first result's, then others."""
        return self._there(self.folder, key)

    def notes_of(self, key: str) -> Iterator[pathlib.Path]:
        """The records that there are of an imported row, in the same order."""
        return self._there(self.folder / "noted", key, ".json")

    def plain(self, key: str) -> pathlib.Path:
        """The folder of the first result of a key, whichever environment made it."""
        return _plain(self.folder, key)

    def plain_note(self, key: str) -> pathlib.Path:
        """Where the first record of an imported row lies, whichever environment made it."""
        return _plain(self.folder / "noted", key, ".json")

    def home(self, key: str) -> pathlib.Path:
        """The folder of a key's result that counts here; if there is none, the one that it would be kept in."""
        found = (path for path in self.homes(key) if self.reuse == "any" or self._fits(path / "record.json"))
        return next(found, None) or self._free(self.plain(key))

    def note(self, key: str) -> pathlib.Path:
        """Where the record of an imported row lies that counts here, whether it is there or not."""
        found = (path for path in self.notes_of(key) if self.reuse == "any" or self._fits(path))
        return next(found, None) or self._free(self.plain_note(key))

    def place(self, key: str) -> pathlib.Path:
        """What there is of a key: the folder of a result, else the record of an imported row."""
        home = self.home(key)
        return home if there(home) else self.note(key)

    def record(self, key: str) -> dict[str, Any]:
        """What is written about a stored result, or about an imported row.

        Raises:
            Refused: If it is not here.
            Damaged: If it was altered.
            Failed: If the system cannot read it.
        """
        for look in (lambda: self.home(key) / "record.json", lambda: self.note(key)):
            try:
                path = look()
                return unseal(read_whole(path), path)
            except MISSING:
                continue
        raise self.absent(key)

    def absent(self, key: str) -> Refused:
        """What to say of a key of which nothing counts here."""
        made_in = self.made_in(key)
        other = made_in is not None and not alike(made_in, self.here)
        of = f" of this environment ({in_words(self.here)}); another made it: see --reuse any" if other else ""
        return Refused(f"nothing is stored under {key} in {self.folder}{of}.")

    def room_for(self, room: str, key: str) -> pathlib.Path:
        """Where something of a key lies in one of the other rooms."""
        function, _, digits = key.partition(":")
        return self.folder / room / f"{function}-{digits}"

    def made_in(self, key: str) -> Environment | None:
        """The environment of what counts here of a key, else of what is there of it; None if nothing tells of one."""
        paths = itertools.chain((home / "record.json" for home in self.homes(key)), self.notes_of(key))
        known = (told for path in paths if (told := self.told(path)) is not None)
        return next(known, None)

    def _there(self, room: pathlib.Path, key: str, suffix: str = "") -> Iterator[pathlib.Path]:
        plain, listed = _plain(room, key, suffix), self.environments()
        here = apart(plain, name_of(self.here))
        if listed is None:
            others = sorted(plain.parent.glob(f"{plain.stem}@*{suffix}"))
        else:
            others = [apart(plain, name) for name in sorted(listed)]
        looked = [here, plain, *(path for path in others if path != here)]
        yield from (path for path in looked if there(path))

    def _free(self, plain: pathlib.Path) -> pathlib.Path:
        return apart(plain, name_of(self.here)) if self.reuse == "same" and there(plain) else plain


def apart(plain: pathlib.Path, name: str) -> pathlib.Path:
    """Where a result of the environment of this name lies if the first one of its key is another's.

    Example:
        >>> print(apart(pathlib.Path("noted/train/01.json"), "abcdef01"))
        noted/train/01@abcdef01.json
    """
    return plain.with_name(f"{plain.stem}@{name}{plain.suffix}")


def _plain(room: pathlib.Path, key: str, suffix: str = "") -> pathlib.Path:
    function, _, digits = key.partition(":")
    return room / function / f"{digits}{suffix}"


def _digits(name: str) -> str:
    """The digits of the key in the name of a folder or file; "" if it is that of no result."""
    digits, _, environment = name.partition("@")
    named = "@" not in name or NAME.fullmatch(environment)
    return digits if named and len(digits) == KEY_DIGITS else ""


def _folders(path: pathlib.Path) -> list[str]:
    def look() -> list[str]:
        with os.scandir(path) as found:
            return [entry.name for entry in found if entry.is_dir()]

    try:
        return asked(path, look)
    except MISSING:
        return []

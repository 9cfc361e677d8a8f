"""Is a store what it says it is? Every seal, key and checksum, one after the other."""

import contextlib
import dataclasses
import hashlib
import pathlib
from collections.abc import Iterator, Mapping, Set
from typing import Any, cast

from tombola.core.call import function_of, key_of
from tombola.core.errors import Damaged, Failed
from tombola.study import shelf
from tombola.study.environment import Environment, environment_of, in_words, name_of
from tombola.study.keeper import KEY, Keeper, children
from tombola.study.names import ROOMS
from tombola.study.record import same, unseal

SHAPE: Mapping[str, type] = {
    "call": str,
    "key": str,
    "function": str,
    "version": int,
    "arguments": dict,
    "inputs": list,
    "numbers": dict,
    "checks": dict,
    "header": dict,
    "groups": dict,
    "files": dict,
    "provenance": dict,
}
"""What is in a record."""
LISTS: Mapping[str, type | tuple[type, ...]] = {
    "inputs": str,
    "numbers": (int, float),
    "checks": bool,
    "groups": str,
    "files": str,
}
"""What is in its parts."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """What was found out about one thing in a store: a result, a shared file or an imported row.

    Args:
        name: Its key; for a shared file its place in the store.
        path: Where it lies.
        problems: What is wrong with it: it cannot be used.
        notes: What is worth knowing of it, though it is sound.
    """

    name: str
    path: pathlib.Path
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def faults(record: Mapping[str, Any]) -> list[str]:
    """What is wrong with a record in itself: its parts, its key, its inputs, the names of its files."""
    if wrong := [name for name, kind in SHAPE.items() if not isinstance(record.get(name), kind)]:
        return [f"its record has no sound '{wrong[0]}'"]
    if wrong := [name for name, kind in LISTS.items() if not _all(record[name], kind)]:
        return [f"something in '{wrong[0]}' of its record is of another type"]
    if not _all([record["provenance"].get("seconds")], (int, float)) or not _all(
        [record["provenance"].get("finished")], str
    ):
        return ["its record does not tell how long it took and when"]
    if not KEY.fullmatch(record["key"]) or function_of(record["key"]) in ROOMS:
        return [f"{record['key']!r} is no key of a step"]
    try:
        key = key_of(record["function"], record["version"], record["arguments"])
    except (ValueError, RecursionError):
        return ["its arguments are no canonical data"]
    found: list[str] = []
    try:
        environment_of(record)
    except Damaged as error:
        found.append(str(error).rstrip("."))
    if key != record["key"]:
        found.append(f"its record says it is {record['key']}, but its arguments give {key}")
    if set(record["inputs"]) != {one for form in record["arguments"].values() for one in _references(form)}:
        found.append("its inputs are not those that its arguments name")
    for name, checksum in record["files"].items():
        if name.startswith(f"{shelf.BLOBS}/"):
            if name != f"{shelf.BLOBS}/{checksum}.safetensors" or "/" in checksum:
                found.append(f"the shared file {name!r} does not bear its checksum")
        elif "/" in name or name.startswith(".") or name in ("", "record.json"):
            found.append(f"{name!r} is no name of a file of a result")
    return found


def _all(values: Any, kinds: type | tuple[type, ...]) -> bool:
    members = cast(dict[str, Any], values).values() if isinstance(values, dict) else cast(list[Any], values)
    return all(isinstance(value, kinds) for value in members)


def audit(keeper: Keeper) -> Iterator[Finding]:
    """A finding about every result, every shared file and every imported row; others may go on writing meanwhile."""
    results, notes = list(keeper.results()), list(keeper.notes())
    known = {key for key, _ in (*results, *notes)}
    listed = keeper.environments()
    blobs: dict[pathlib.Path, str] = {}
    for key, home in results:
        found = _result(keeper, key, home, known, blobs, listed)
        if home.exists():  # Else it was removed while it was looked at.
            yield found
    for path in children(keeper.folder / shelf.BLOBS):
        if not path.name.startswith("."):  # A file that is being written.
            problem = _altered(path, path.stem, blobs)
            if path.exists():
                yield Finding(f"{shelf.BLOBS}/{path.name}", path, (problem,) if problem else ())
    for key, path in notes:
        yield _note(keeper, key, path, known, listed)


def count(keeper: Keeper) -> int:
    """How many findings there will be."""
    return sum(1 for some in (keeper.results(), keeper.notes(), children(keeper.folder / shelf.BLOBS)) for _ in some)


def _result(
    keeper: Keeper,
    key: str,
    home: pathlib.Path,
    known: Set[str],
    blobs: dict[pathlib.Path, str],
    listed: Mapping[str, Environment] | None,
) -> Finding:
    record, problems = _opened(home / "record.json", key)
    if record is None:
        return Finding(_named(key, home.name), home, problems)
    found: list[str] = [*problems, *_misplaced(record, home.name)]
    notes: list[str] = [*_strangers(record, known), *_unlisted(record, listed)]
    for name, checksum in record["files"].items():
        if problem := _altered(shelf.place(keeper.folder, home, name), checksum, blobs):
            found.append(problem)
    more = {path.name for path in children(home)} - {"record.json", *record["files"]}
    notes += [f"{name} in its folder is not in its record" for name in sorted(more)]
    return Finding(_named(key, home.name), home, tuple(found), tuple(notes))


def _note(
    keeper: Keeper, key: str, path: pathlib.Path, known: Set[str], listed: Mapping[str, Environment] | None
) -> Finding:
    record, problems = _opened(path, key)
    if record is None:
        return Finding(_named(key, path.stem), path, problems)
    problems = (*problems, *_misplaced(record, path.stem))
    notes = [*_strangers(record, known), *_unlisted(record, listed)]
    with contextlib.suppress(Damaged, Failed):
        if not same(record, keeper.record(key)):  # That of the result, if it was made here too.
            notes.append("this imported row is not bit for bit the result that was made here")
    return Finding(_named(key, path.stem), path, problems, tuple(notes))


def _named(key: str, name: str) -> str:
    """The key, with the name of the environment where the result lies apart."""
    return "@".join([key, *name.split("@")[1:]])


def _misplaced(record: Mapping[str, Any], name: str) -> list[str]:
    told = in_words(environment_of(record))
    apart = name.partition("@")[2]
    return [f"it lies apart as that of another environment than {told}"] * bool(
        apart and apart != name_of(environment_of(record))
    )


def _unlisted(record: Mapping[str, Any], listed: Mapping[str, Environment] | None) -> list[str]:
    made_in = environment_of(record)
    if listed is None or name_of(made_in) in listed:
        return []
    return [f"store.json does not list its environment ({in_words(made_in)}); take 'environments' out of it"]


def _opened(path: pathlib.Path, key: str) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """A record if it can be judged further, and what is wrong with it."""
    try:
        record = unseal(path.read_bytes(), path)
    except FileNotFoundError:
        return None, ("it has no record",)
    except OSError as error:
        return None, (f"its record cannot be read: {error.strerror or error}",)
    except Damaged:
        return None, ("its record was altered: the text does not match the digest at its end",)
    found = faults(record)
    if not found and record["key"] != key:
        found = [f"its record is that of {record['key']}"]
    return (None if found else record), tuple(found)


def _strangers(record: Mapping[str, Any], known: Set[str]) -> list[str]:
    return [f"its input {key} is not here" for key in dict.fromkeys(record["inputs"]) if key not in known]


def _altered(path: pathlib.Path, checksum: str, seen: dict[pathlib.Path, str]) -> str:
    """What is wrong with a file; "" if nothing is. What many results share is read once."""
    told = seen.get(path)
    if told is None:
        try:
            with open(path, "rb") as file:
                same = hashlib.file_digest(file, "sha256").hexdigest() == checksum
            told = "" if same else f"{path.name} does not match its checksum"
        except FileNotFoundError:
            told = f"{path.name} is missing"
        except OSError as error:
            told = f"{path.name} cannot be read: {error.strerror or error}"
        if path.parent.name == shelf.BLOBS:
            seen[path] = told
    return told


def _references(form: Any) -> Iterator[str]:
    """The keys in an argument's canonical form: the inputs of its call."""
    if isinstance(form, list):
        for item in cast(list[Any], form):
            yield from _references(item)
    elif isinstance(form, dict):
        tagged = cast(dict[str, Any], form)
        if "ref" in tagged:
            yield str(tagged["ref"])
        yield from _references(tagged.get("tuple"))
        if isinstance(tagged.get("dict"), dict):
            yield from _references(list(tagged["dict"].values()))

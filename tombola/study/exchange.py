"""Rows of a study to a table and back: `rows.csv`, `rows.parquet`, and `rows.jsonl`, which a store can take in.

A line of `rows.jsonl` is one row: the study, its labels, and the record of its result with the digest that closes it.
"""

import csv
import dataclasses
import io
import itertools
import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any, cast

from tombola.core.errors import Damaged, Failed, Refused
from tombola.core.files import write_bytes
from tombola.study.audit import faults
from tombola.study.environment import alike, environment_of
from tombola.study.goals import Goal
from tombola.study.graph import Graph
from tombola.study.keeper import KEY, Keeper, made_or_there
from tombola.study.record import digest, read_record, same
from tombola.study.settings import Plain, settings_of
from tombola.study.store import Store

LINES = "rows.jsonl"
INPUTS = "inputs"
"""The store beside exported rows, with what open steps are made of."""
FIXED = frozenset({"study", "key", "call"})
"""Columns that every table has."""


@dataclasses.dataclass(frozen=True)
class Exported:
    """What was written, and which rows could not be: not made yet, or damaged."""

    rows: int
    files: tuple[pathlib.Path, ...]
    missing: tuple[str, ...]
    damaged: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Taken:
    """How one row, or one result of another store, was taken in; `why` tells what was refused about it."""

    name: str
    how: str
    why: str = ""


def export(
    goals: Sequence[Goal], store: Store, folder: str | os.PathLike[str], *, study: str, begun: bool = False
) -> Exported:
    """Write the rows of a study that are there: labels, numbers, checks, where from, and every setting.

    Columns are named after labels and numbers; a name that is taken already becomes `labels.NAME` or `numbers.NAME`.
    Settings and what is told of the run have full names: `train.recipe.optimizer.lr`, `provenance.seconds`.

    Args:
        goals: The rows.
        store: Where they are.
        folder: Where the files go; it is made if need be.
        study: What the study is called in them.
        begun: Whether it may have no row yet. Then the lines are written, without any, and no tables.

    Raises:
        Failed: If no row is there, or the files cannot be written.
    """
    lines: list[bytes] = []
    table: list[dict[str, Plain]] = []
    missing: list[str] = []
    damaged: list[str] = []
    labels = {name for goal in goals for name in goal.labels}
    for goal in goals:
        try:
            record = store.record(goal.of.key)
        except Refused:
            missing.append(goal.of.key)
        except Damaged:
            damaged.append(goal.of.key)
        else:
            line = {"study": study, "labels": dict(goal.labels), "record": record, "digest": digest(record)}
            lines.append(json.dumps(line).encode() + b"\n")
            table.append(_row(goal, record, study, labels))
    if not table and not begun:
        raise Failed(
            f"{study}: none of its {len(goals)} rows is in {store.folder}; nothing was written. Run it first: "
            f"tombola run {study!r}, or name its store (--store)."
        )
    columns = list(dict.fromkeys(name for line in table for name in line))
    out = pathlib.Path(folder)
    files: list[pathlib.Path] = []
    if table:
        files.append(write_bytes(out / "rows.csv", _csv(columns, table)))
        files.append(write_bytes(out / "rows.parquet", _parquet(columns, table)))
    files.append(write_bytes(out / LINES, b"".join(lines)))
    return Exported(len(table), tuple(files), tuple(missing), tuple(damaged))


def export_inputs(graph: Graph, store: Keeper, folder: str | os.PathLike[str]) -> list[str]:
    """Copy the results that the open steps of a study are made of, so that it can go on where its rows are imported.

    They come to a store of their own in the folder, `inputs`. Gives their keys; nothing is written where none is open.

    Raises:
        Damaged: If one of them is not what its record says.
        Failed: If they cannot be written.
    """
    present = store.present()
    todo = graph.needed(present=present, noted=store.noted())
    needed = {key for of in todo for key in graph.inputs[of]}
    wanted = [key for key in graph.calls if key in needed & present]
    if wanted:
        other = made_or_there(pathlib.Path(folder) / INPUTS)
        for key in wanted:
            other.copy(store, key, store.home(key))
    return wanted


def _row(goal: Goal, record: Mapping[str, Any], study: str, labels: Set[str]) -> dict[str, Plain]:
    found: dict[str, Plain] = {"study": study}
    for name, value in goal.labels.items():
        found[f"labels.{name}" if name in FIXED else name] = value
    for name, value in record["numbers"].items():
        found[f"numbers.{name}" if name in FIXED or name in labels else name] = value
    found.update({f"checks.{name}": value for name, value in record["checks"].items()})
    found.update({"key": record["key"], "call": record["call"]})
    found.update({f"environment.{name}": value for name, value in environment_of(record).items()})
    found.update({f"provenance.{name}": value for name, value in record["provenance"].items()})
    for name, value in settings_of(goal.of).items():
        found[f"settings.{name}" if name in found else name] = value
    return found


def _csv(columns: Sequence[str], table: Iterable[Mapping[str, Plain]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for line in table:
        writer.writerow([_written(line.get(name)) for name in columns])
    return text.getvalue().encode()


def _written(value: Plain) -> Plain:
    return str(value).lower() if isinstance(value, bool) else value


def _parquet(columns: Sequence[str], table: Sequence[Mapping[str, Plain]]) -> bytes:
    import pyarrow  # type: ignore[reportMissingTypeStubs]
    import pyarrow.parquet  # type: ignore[reportMissingTypeStubs]

    arrays: dict[str, Any] = {}
    for name in columns:
        values = [line.get(name) for line in table]
        arrays[name] = pyarrow.array(_alike(values))  # type: ignore[reportUnknownMemberType]
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(arrays), sink)  # type: ignore[reportUnknownMemberType]
    return sink.getvalue()


def _alike(values: list[Plain]) -> list[Plain]:
    """The values of a column as one type: text with numbers becomes text, whole numbers with others the others."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        return [None if value is None else float(value) for value in values]
    if len(kinds) > 1 or any(isinstance(value, int) and abs(value) >= 2**63 for value in values):
        return [None if value is None else str(_written(value)) for value in values]
    return values


def take_in(path: str | os.PathLike[str], store: Store) -> Iterator[Taken]:
    """Take in rows that were exported, or all that another store holds; tells of each how it went.

    A row is taken in without the files of its result: studies count it as done. Its digest and its key are checked; a
    row that is there already is passed over, and one that says something else than what is there is refused. Inputs
    that were exported beside rows are taken in with the folder.

    Raises:
        Refused: If the path holds neither.
        Failed: If the store cannot be written.
    """
    path = pathlib.Path(path)
    if path.is_dir() and (path / "store.json").exists():
        return _store(Keeper(path), store)
    file = path / LINES if path.is_dir() else path
    if path.is_dir() and not file.exists():
        raise Refused(f"{path} holds neither {LINES} nor a store. Name what `tombola store export` wrote, or a store.")
    if file.suffix in (".csv", ".parquet"):
        raise Refused(
            f"{file} is a table for reading: its rows carry no records and no digests. Import the {LINES} that "
            "`tombola store export` writes beside it."
        )
    if not file.is_file():
        raise Refused(f"there is no {file} to import. Name the {LINES} that `tombola store export` wrote, or a store.")
    rows = _rows(file, made_or_there(store.folder))
    inputs = file.parent / INPUTS
    return itertools.chain(rows, _store(Keeper(inputs), store)) if path.is_dir() and inputs.is_dir() else rows


def _rows(file: pathlib.Path, keeper: Keeper) -> Iterator[Taken]:
    with open(file, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _line(line, f"line {number}", keeper)


def _line(line: bytes, where: str, keeper: Keeper) -> Taken:
    try:
        told: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        return Taken(where, "refused", f"it is no JSON: {error}")
    row = cast(dict[str, Any], told) if isinstance(told, dict) else {}
    record = row.get("record")
    if not isinstance(record, dict):
        return Taken(where, "refused", "it is no row: it has no record")
    record = cast(dict[str, Any], record)
    key = record.get("key")
    name = f"{where}, {key}" if isinstance(key, str) and KEY.fullmatch(key) else where
    if row.get("digest") != digest(record):
        return Taken(name, "refused", "it was altered: its record does not match its digest")
    if found := faults(record):
        return Taken(name, "refused", "; ".join(found))
    return _noted(keeper, record, name)


def _noted(keeper: Keeper, record: Mapping[str, Any], name: str) -> Taken:
    again = _again(keeper, record, _there(keeper, record["key"]), name)
    if again is None:
        keeper.keep_note(record)
        return Taken(name, "taken")
    return again


def _there(keeper: Keeper, key: str) -> list[Mapping[str, Any]]:
    """What is known under a key, of each environment; what is damaged makes room."""
    found: list[Mapping[str, Any]] = []
    for path in [*(home / "record.json" for home in keeper.homes(key)), *keeper.notes_of(key)]:
        try:
            found.append(read_record(path))
        except Damaged:
            keeper.set_aside(path.parent if path.name == "record.json" else path)
    return found


def _again(keeper: Keeper, record: Mapping[str, Any], there: Sequence[Mapping[str, Any]], name: str) -> Taken | None:
    """What to say of a row that is there already; None for one that is not, in its environment."""
    if any(same(record, one) for one in there):
        return Taken(name, "there")
    if not any(alike(environment_of(record), environment_of(one)) for one in there):
        return None
    return Taken(
        name,
        "refused",
        f"{keeper.folder} holds another value under this key. Equal calls must give equal results: find out which is "
        "right (tombola verify --replay runs a call again), and remove the other",
    )


def _store(other: Keeper, store: Store) -> Iterator[Taken]:
    if other.folder.resolve() == store.folder.resolve():
        raise Refused(f"{other.folder} is the store itself. Name another store to import from.")
    keeper = made_or_there(store.folder)
    results = list(other.results())
    present = {key for key, _ in results}
    # Of a row that was made there too its result is taken, unless the row is that of another environment.
    notes = [(key, path) for key, path in other.notes() if key not in present or "@" in path.name]
    for key, path in sorted([*results, *notes]):
        try:
            record = read_record(path / "record.json" if path.is_dir() else path)
        except Damaged as error:
            if path.exists():  # Else it was removed meanwhile.
                yield Taken(key, "refused", str(error).rstrip("."))
            continue
        if (found := faults(record)) or record["key"] != key:
            yield Taken(key, "refused", "; ".join(found) or f"its record is that of {record['key']}")
        elif path.is_dir():
            yield _copied(other, keeper, path, record)
        else:
            yield _noted(keeper, record, key)


def _copied(other: Keeper, keeper: Keeper, home: pathlib.Path, record: Mapping[str, Any]) -> Taken:
    key = record["key"]
    again = _again(keeper, record, _there(keeper, key), key)
    made = (read_record(one / "record.json") for one in keeper.homes(key))
    if again is not None and (again.how == "refused" or any(same(record, one) for one in made)):
        return again
    try:
        keeper.copy(other, key, home)
    except Damaged as error:
        return Taken(key, "refused", str(error).rstrip("."))
    return Taken(key, "taken")

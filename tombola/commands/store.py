"""`tombola store`: what is in a store, is it sound, what can go; rows of studies to and from other machines."""

import dataclasses
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.progress import track

from tombola.commands.shared import PLAIN, print_json, quoted
from tombola.core.counted import number_of
from tombola.core.errors import Failed, unknown
from tombola.report.wording import duration, scaled
from tombola.study.audit import Finding, audit, count
from tombola.study.environment import alike, environment_of, in_words
from tombola.study.exchange import INPUTS, export, export_inputs, take_in
from tombola.study.graph import graph_of
from tombola.study.keeper import Keeper
from tombola.study.store import Store as Shelves
from tombola.study.upkeep import Entry, entries, shared, sweep, totals
from tombola.words.store import Export, Gc, Import, Ls, Show, Store, Verify

LARGE = 200  # Things to check; below that a line that shows how far it is would only flicker.
WORDS = {"stored": "here", "noted": "imported", "partial": "half done", "damaged": "damaged"}
WIDEST = 100  # Characters of a call in a list.


def store(asked: Store) -> int:
    """`tombola store`: one of its commands."""
    deed = asked.deed
    try:
        match deed:
            case Ls():
                return _ls(deed)
            case Show():
                return _show(deed)
            case Gc():
                return _gc(deed)
            case Verify():
                return _verify(deed)
            case Export():
                return _export(deed)
            case Import():
                return _import(deed)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        where = error.filename or deed.store
        raise Failed(
            f"cannot read or write {where}: {error.strerror or error}. Make it accessible, or name another store "
            "(--store)."
        ) from error


def _size(number: int) -> str:
    return scaled(number, "B", step=1024)


def _print_columns(*lines: Sequence[str]) -> None:
    """Lines of aligned columns, as wide as they are: a key is never cut, also where this is piped elsewhere."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        PLAIN.print("   ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _ls(asked: Ls) -> int:
    keeper = Keeper(asked.store)
    return _ls_function(asked, keeper) if asked.function else _ls_all(asked, keeper)


def _ls_all(asked: Ls, keeper: Keeper) -> int:
    found, (files, size) = totals(keeper), shared(keeper)
    whole = size + sum(total.bytes for total in found)
    if asked.json:
        functions = [dataclasses.asdict(total) for total in found]
        shares = {"files": files, "bytes": size}
        listed = {name: dict(one) for name, one in (keeper.environments() or {}).items()}
        told = {"store": asked.store, "functions": functions, "shared": shares, "bytes": whole}
        print_json({**told, "environments": listed})
        return 0
    if not found:
        PLAIN.print(f"{asked.store} is empty.")
        return 0
    headings = ("function", "results", "on disk", "time spent", "last finished", "imported", "half done", "damaged")
    lines: list[Sequence[str]] = [headings]
    for total in found:
        counts = [f"{n:,}" if n else "-" for n in (total.noted, total.partial, total.damaged)]
        spent, finished = duration(total.seconds), total.finished or "-"
        lines.append((total.function, f"{total.results:,}", _size(total.bytes), spent, finished, *counts))
    _print_columns(*lines)
    PLAIN.print(f"{_size(whole)} in all; {_size(size)} of it in {files:,} files that results share.")
    _print_environments(keeper)
    return 0


def _print_environments(keeper: Keeper) -> None:
    """Those that wrote to a store, where they are several."""
    listed = keeper.environments() or {}
    if len(listed) > 1:
        PLAIN.print(f"{len(listed)} environments wrote to it:")
        for name, one in listed.items():
            PLAIN.print(f"  {name}  {in_words(one)}")


def _ls_function(asked: Ls, keeper: Keeper) -> int:
    found = list(entries(keeper, asked.function))
    if not found:
        raise unknown(f"function with anything in {asked.store}", asked.function, keeper.functions())
    if asked.json:
        results = [dataclasses.asdict(entry) for entry in found]
        print_json({"store": asked.store, "function": asked.function, "results": results})
        return 0
    several = len({entry.environment for entry in found if entry.environment}) > 1
    more = ("environment",) if several else ()
    lines: list[Sequence[str]] = [("key", "state", "finished", "took", "on disk", *more, "call")]
    for entry in found:
        took = duration(entry.seconds) if entry.finished else "-"
        size, more = _size(entry.bytes), (entry.environment or "-",) if several else ()
        lines.append((entry.key, WORDS[entry.state], entry.finished or "-", took, size, *more, _short(entry)))
    _print_columns(*lines)
    return 0


def _short(entry: Entry) -> str:
    return entry.call if len(entry.call) <= WIDEST else f"{entry.call[: WIDEST - 3]}..."


def _show(asked: Show) -> int:
    keeper = Keeper(asked.store)
    key = keeper.find(asked.key)
    record = keeper.record(key)
    lineage = list(keeper.lineage(key))
    stored = keeper.home(key).exists()
    made_in = environment_of(record)
    paths = [*(home / "record.json" for home in keeper.homes(key)), *keeper.notes_of(key)]
    known = {str(path): keeper.told(path) for path in paths}
    others = {path: told for path, told in known.items() if told is not None and not alike(told, made_in)}
    if asked.json:
        made_of = [{"key": one, "call": known["call"] if known else None} for one, known in lineage]
        told = {n: record[n] for n in ("key", "call", "numbers", "checks", "provenance", "inputs", "files")}
        told["environment"] = made_in
        print_json({**told, "state": "stored" if stored else "noted", "lineage": made_of, "others": others})
        return 0
    PLAIN.print(f"{key}{'' if stored else ' (an imported row: its files are elsewhere)'}\n{record['call']}\n")
    for part in ("numbers", "checks", "provenance"):
        lines = [(name, _plain(value)) for name, value in record[part].items()]
        if lines:
            PLAIN.print(f"{part}:")
            _print_columns(*((f"  {name}", value) for name, value in lines))
    PLAIN.print(f"environment: {in_words(made_in)}")
    for path, told in others.items():
        PLAIN.print(f"also made in: {in_words(told)} ({path})")
    PLAIN.print(f"inputs: {', '.join(record['inputs']) or 'none'}")
    PLAIN.print("\nMade of, from the roots:" if len(lineage) > 1 else "\nMade of no other result.")
    for one, known in lineage if len(lineage) > 1 else ():
        PLAIN.print(f"{one}  {known['call'] if known else 'not here, or damaged: see tombola store verify'}")
    return 0


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}" if isinstance(value, float) else str(value)


def _gc(asked: Gc) -> int:
    keeper = Keeper(asked.store)
    keep = _keys(asked.keep) if asked.keep else None
    removed: list[dict[str, Any]] = []
    for one in sweep(keeper, act="look" if asked.dry_run else "remove", keep=keep):
        removed.append(dataclasses.asdict(one))
        if not asked.json:
            PLAIN.print(f"{_size(one.bytes):>10}  {one.what}  {one.name}")
    size = sum(one["bytes"] for one in removed)
    if asked.json:
        print_json({"store": asked.store, "dry_run": asked.dry_run, "removed": removed, "bytes": size})
    else:
        done = "would be removed" if asked.dry_run else "removed"
        PLAIN.print(f"{len(removed):,} things {done}, {_size(size)}.")
    return 0


def _keys(studies: Iterable[str]) -> set[str]:
    from tombola.study.graph import graph_of
    from tombola.study.module import open_study

    return {key for study in studies for key in graph_of(open_study(study).goals()).calls}


def _verify(asked: Verify) -> int:
    keeper = Keeper(asked.store)
    found = list(_watched(audit(keeper), count(keeper)))
    bad = [finding for finding in found if finding.problems]
    noted = [finding for finding in found if finding.notes]
    if asked.json:
        asides = _set_aside(keeper, bad) if asked.set_aside else [""] * len(bad)
        told = [
            {"name": one.name, "path": str(one.path), "problems": one.problems, "aside": aside}
            for one, aside in zip(bad, asides, strict=True)
        ]
        notes = [{"name": one.name, "notes": one.notes} for one in noted]
        print_json({"store": asked.store, "ok": not bad, "checked": len(found), "bad": told, "notes": notes})
        return 1 if bad else 0
    for one in noted:
        PLAIN.print(f"{one.name}: {'; '.join(one.notes)} (not an error)")
    for one in bad:
        PLAIN.print(f"BAD {one.name}: {'; '.join(one.problems)} ({one.path})")
    PLAIN.print(f"{len(found):,} checked in {asked.store}: {f'{len(bad):,} bad' if bad else 'all sound'}.")
    if bad and asked.set_aside:
        _set_aside(keeper, bad)
        PLAIN.print(f"They lie in {keeper.folder / 'damaged'} now. The next run makes them again; rows: import again.")
    elif bad:
        again = f"tombola store verify --set-aside --store {quoted(asked.store)}"
        PLAIN.print(f"To have them made again by the next run, move them out of the way: {again}")
    return 1 if bad else 0


def _set_aside(keeper: Keeper, bad: Iterable[Finding]) -> list[str]:
    return [str(keeper.set_aside(finding.path)) for finding in bad]


def _watched(findings: Iterator[Finding], total: int) -> Iterable[Finding]:
    console = Console(file=sys.stderr)
    if total < LARGE or not console.is_terminal:
        return findings
    return track(findings, "Checking", total=total, console=console, transient=True)


def _export(asked: Export) -> int:
    from tombola.study.module import open_study

    study, keeper = open_study(asked.study), Keeper(asked.store)
    goals = study.goals()
    inputs = export_inputs(graph_of(goals), keeper, asked.out) if asked.inputs else []
    done = export(goals, keeper, asked.out, study=study.text, begun=bool(inputs))
    if asked.json:
        told = {**dataclasses.asdict(done), "out": str(asked.out), "files": [str(path) for path in done.files]}
        print_json({**told, "inputs": inputs})
        return 1 if done.damaged else 0
    PLAIN.print(f"{number_of(done.rows, 'row')} written: {', '.join(map(str, done.files))}")
    if inputs:
        PLAIN.print(f"{number_of(len(inputs), 'result')} that open steps are made of: {asked.out / INPUTS}")
    if done.missing:
        rows = number_of(len(done.missing), "row is", "rows are")
        PLAIN.print(f"{rows} not there yet: tombola run {quoted(asked.study)}")
    if done.damaged:
        rows = number_of(len(done.damaged), "row is damaged and was", "rows are damaged and were")
        PLAIN.print(f"{rows} left out: tombola store verify")
    return 1 if done.damaged else 0


def _import(asked: Import) -> int:
    counts = {"taken": 0, "there": 0}
    refused: list[dict[str, str]] = []
    seen: set[str] = set()  # One result may be several rows.
    for one in take_in(asked.path, Shelves(asked.store)):
        if one.how == "refused":
            refused.append({"name": one.name, "why": one.why})
        elif (key := one.name.rpartition(", ")[2]) not in seen:
            seen.add(key)
            counts[one.how] += 1
    if asked.json:
        print_json({"store": asked.store, **counts, "refused": refused})
        return 1 if refused else 0
    for one in refused:
        PLAIN.print(f"REFUSED {one['name']}: {one['why']}.")
    again = f", {counts['there']:,} were there already" if counts["there"] else ""
    wrong = f", {len(refused):,} refused" if refused else ""
    PLAIN.print(f"{counts['taken']:,} taken into {asked.store}{again}{wrong}.")
    return 1 if refused else 0

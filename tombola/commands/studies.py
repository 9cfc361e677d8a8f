"""`tombola plan`, `run`, `report`, `mirror`: what is done with studies."""

import contextlib
import dataclasses
import pathlib
import signal
import sys
import time
from collections import Counter
from collections.abc import Generator, Mapping
from types import FrameType
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from tombola.commands.opened import also, elsewhere, home_of, looked_at, named, opened, told, trust, with_others
from tombola.commands.shared import PLAIN, chosen_machine, print_json, quoted
from tombola.core.counted import number_of
from tombola.core.errors import Failed, Refused
from tombola.core.files import check_writable, read_bytes
from tombola.core.machine import Machine
from tombola.core.text import parse
from tombola.integrations.mirror import mirror as replay
from tombola.report import files, page, terminal
from tombola.report.cautions import cautions
from tombola.report.collect import collect
from tombola.report.live import Live
from tombola.report.wording import duration, scaled
from tombola.study import driver
from tombola.study.driver import Engine
from tombola.study.engines.here import Here
from tombola.study.engines.local import Local
from tombola.study.events import Event, EventLog, failures, read_events
from tombola.study.finished import Finished, failure
from tombola.study.plan import Plan
from tombola.study.plan import plan as planned
from tombola.study.provenance import cores
from tombola.study.store import Store
from tombola.study.why import why
from tombola.words import studies as words

SHOWN = 20
"""Reasons that `plan --why` prints."""


def plan(asked: words.Plan) -> int:
    """`tombola plan`: what is stored, what would run, what it may cost; with --why, the first difference of each."""
    study, graph = opened(asked)
    store = looked_at(asked)
    found = planned(graph, store)
    reasons = why(graph, store) if asked.why else []
    if asked.json:
        sums = {name: getattr(found, name) for name in ("to_run", "unknown", "afar", "seconds", "flops", "bytes")}
        whole = {"study": study.text, **sums, **dataclasses.asdict(found)}
        print_json({**whole, "why": [dataclasses.asdict(one) for one in reasons]} if asked.why else whole)
        return 0
    PLAIN.print(f"{study.text}: {study.title}")
    rows = f"{found.known:,} of {number_of(found.rows, 'row is', 'rows are')} there"
    spare = found.steps - found.stored - found.to_run
    more = f", {spare:,} not needed again" if spare else ""
    PLAIN.print(f"{number_of(found.steps, 'step')}: {found.stored:,} stored, {found.to_run:,} to run{more}; {rows}.")
    if said := elsewhere(found, reuse=asked.reuse):
        PLAIN.print(said)
    if found.work:
        PLAIN.print(_work(found))
        PLAIN.print(_price(found, store.machine))
    for one in reasons[:SHOWN]:
        PLAIN.print(f"  {one}")
    if len(reasons) > SHOWN:
        PLAIN.print(f"  and {len(reasons) - SHOWN:,} more; --json names all.")
    return 0


def _work(found: Plan) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 2))
    for heading in ("to run", "", "time", "operations", "disk", "estimated from"):
        words = heading in ("", "estimated from")
        table.add_column(heading, justify="left" if words else "right", no_wrap=heading != "estimated from")
    for one in found.work:
        known = one.number > one.unknown
        cost = [
            duration(one.seconds),
            scaled(one.flops, "FLOP") if one.flops else "-",
            scaled(one.bytes, "B", step=1024),
        ]
        based = f"{one.n} finished" + " elsewhere" * (one.afar == one.number - one.unknown)
        based += f"; not known for {one.unknown:,}" if one.unknown else ""
        table.add_row(f"{one.number:,}", one.function, *(cost if known else ["?"] * 3), based if known else "none yet")
    return table


def _price(found: Plan, machine: Machine, workers: int = 0) -> str:
    """What is left would cost; with `workers` side by side, or on all cores."""
    if found.unknown == found.to_run:
        return "What they cost is not known: nothing of their kind was finished yet."
    plain = machine.device == "cpu" and machine.threads == 1
    most = max(1, cores() // machine.threads) if machine.device == "cpu" else max(1, workers)
    side_by_side = min(workers or most, most)
    beside = f"{side_by_side} cores" if plain else f"{side_by_side} workers"
    spread = f", {duration(found.seconds / side_by_side)} on {beside}" if side_by_side > 1 else ""
    alone = "on one core" if plain else "one after the other"
    part = "" if found.afar + found.unknown == found.to_run else f"{found.afar:,} of the steps "
    afar = f" ({part}measured elsewhere)" if found.afar else ""
    disk = scaled(found.bytes, "B", step=1024)
    said = f"bout {duration(found.seconds)} {alone}{spread}{afar}; {disk} of disk."
    if not found.unknown:
        return f"A{said}"
    return f"What {found.unknown:,} of {found.to_run:,} steps cost is not known yet; the others take a{said}"


def run(asked: words.Run) -> int:
    """`tombola run`: everything that is missing, with a live display; then the claims and the tables."""
    if asked.address and asked.engine != "ray":
        raise Refused(f"--address {asked.address} is that of a Ray cluster: add --engine ray.")
    if asked.workers < 0:
        raise Refused(f"--workers is {asked.workers}. It is 1 or more, or 0 for one a core.")
    study, graph = opened(asked)
    machine = chosen_machine(asked.machine)
    store = Store(asked.store, machine=machine, reuse=asked.reuse)
    whole, own = with_others(graph, asked), Counter(_row(goal.of.key, goal.labels) for goal in graph.goals)
    found = planned(whole, store)
    if found.to_run:
        store.prepare()
    _announce(asked, found, machine)
    home = home_of(study, asked.store)
    command = f"tombola run {quoted(study.text)}{also(asked)}"
    started = time.monotonic()
    with contextlib.ExitStack() as open_ones:
        path = home / "events.jsonl"
        logged = {one["key"] for one in read_events(path) if one["event"] == "row"} if path.exists() else set[str]()
        keep = open_ones.enter_context(_log(path, needed=bool(found.to_run)))
        sinks = [parse("sink", one) for one in asked.mirror]
        watchers: list[Any] = [open_ones.enter_context(sink.open(study.text, home)) for sink in sinks]
        watchers.append(open_ones.enter_context(Live(study.title)))

        def watch(one: Event) -> None:
            if one["event"] == "row":
                row = _row(one["key"], one["labels"])
                if not own[row]:  # That of a study that runs along.
                    return
                own[row] -= 1
            if one["event"] != "row" or one["key"] not in logged:  # Every run tells of all rows; the log does once.
                keep(one)
            for watcher in watchers:
                watcher(one)

        open_ones.enter_context(_stopped_by_term())
        engine = _engine(asked, found, machine, home, watch)
        seconds = found.seconds if found.to_run and not found.unknown else None
        finished = driver.run(whole, store, engine, watch, study=study.text, command=command, seconds_left=seconds)
    findings = collect(study, graph, store, command=command, failed=finished.failed)
    if asked.json:
        print_json({**told(findings), **_counts(finished)})
    else:
        Console(highlight=False).print(terminal.overview(findings))
        done = f"{number_of(finished.done, 'step was', 'steps were')} run"
        done += f", {number_of(finished.stored, 'was', 'were')} done before"
        PLAIN.print(f"{done}; {duration(time.monotonic() - started)} in all, kept in {asked.store}.")
        for one in (study.text, *asked.beside):
            PLAIN.print(f"The page: tombola report {quoted(one)}{also(asked, 'store', 'machine', 'reuse')}")
    if not finished.ok:
        raise failure(finished, command=command, log=str(home / "events.jsonl"))
    trust(findings)
    return 0


def _row(key: str, labels: Mapping[str, Any]) -> tuple[str, frozenset[Any]]:
    """What tells rows apart."""
    return key, frozenset(labels.items())


def _announce(asked: words.Run, found: Plan, machine: Machine) -> None:
    """Before it starts: what is left to do, and how long that may take."""
    said = [elsewhere(found, reuse=asked.reuse)]
    if found.to_run:
        workers = 1 if asked.engine == "ray" else _workers(asked, found, machine)
        said.append(f"{number_of(found.to_run, 'step')} to run. {_price(found, machine, workers)}")
    for line in filter(None, said):
        print(line, file=sys.stderr, flush=True)


def _workers(asked: words.Run, found: Plan, machine: Machine) -> int:
    """As many as are asked for, or as there is room for: one for each GPU, or for each core that a training has."""
    room = torch.accelerator.device_count() if machine.device == "cuda" else cores() // machine.threads
    return min(asked.workers or max(1, room), max(1, found.to_run))


@contextlib.contextmanager
def _log(path: pathlib.Path, *, needed: bool) -> Generator[Any]:
    """The log of a run; a finished study may lie where nothing can be written."""
    try:
        log = EventLog(path)
    except Failed:
        if needed:
            raise
        yield lambda one: None
    else:
        with contextlib.closing(log):
            yield log


def _engine(asked: words.Run, found: Plan, machine: Machine, home: pathlib.Path, watch: Any) -> Engine:
    if asked.engine == "ray" and found.to_run:
        from tombola.study.engines.ray import Ray

        return Ray(asked.address, machine=machine)
    workers = _workers(asked, found, machine)
    if workers == 1:
        return Here(lambda told: watch(told.event()))
    return Local(workers, machine=machine, log=home)


def _counts(finished: Finished) -> dict[str, Any]:
    counts = {"done": finished.done, "stored": finished.stored, "seconds": finished.seconds}
    return {**counts, "failed": dict(finished.failed), "blocked": dict(finished.blocked)}


@contextlib.contextmanager
def _stopped_by_term() -> Generator[None]:
    """A polite end (SIGTERM, as batch systems send it before they kill) is one like Ctrl-C."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def report(asked: words.Report) -> int:
    """`tombola report`: the page of a study from what is stored of it, and its files."""
    study, graph = opened(asked)
    if not (pathlib.Path(asked.store) / "store.json").exists():
        raise Refused(
            f"there is no store in {asked.store}. Run the study first: "
            f"tombola run {quoted(study.text)}{also(asked, 'store', 'machine', 'reuse')}"
        )
    _replaceable(asked.out)
    events = home_of(study, asked.store) / "events.jsonl"
    command = f"tombola run {quoted(study.text)}{also(asked)}"
    findings = collect(study, graph, looked_at(asked), command=command, failed=failures(events))
    out = page.write(findings, asked.out)
    beside = pathlib.Path(asked.files) if asked.files else out.with_name(f"{out.stem}_files")
    written = [] if asked.page_only else [str(path) for path in files.write_all(findings, beside)]
    if asked.json:
        print_json({**told(findings), "out": str(out), "files": written})
    else:
        missing = f", {len(findings.missing):,} missing" if findings.missing else ""
        PLAIN.print(f"{number_of(len(findings.rows), 'row')}{missing}.")
        for said in cautions(findings):
            PLAIN.print(f"Careful. {said}")
        PLAIN.print(f"The page: {out.resolve()}")
        if written:
            PLAIN.print(f"{len(written)} files: {beside}")
    trust(findings)
    return 0


def _replaceable(out: str) -> None:
    """Find out whether the page may be written there: over a page, but over nothing else.

    Raises:
        Refused: If another file is there.
        Damaged: If it cannot be read.
        Failed: If the place cannot be written.
    """
    if pathlib.Path(out).is_file() and not read_bytes(out)[:15].lower().startswith(b"<!doctype html"):
        raise Refused(f"--out {out} is there already and is no page; it would be lost. Name another file.")
    check_writable(out)


def mirror(asked: words.Mirror) -> int:
    """`tombola mirror`: the log of a study, replayed into another tool."""
    study = named(asked)
    shown = replay(home_of(study, asked.store) / "events.jsonl", parse("sink", asked.to))
    if asked.json:
        print_json({"study": study.text, "to": asked.to, "new": shown})
    else:
        PLAIN.print(f"{shown:,} results are new in {asked.to}.")
    return 0

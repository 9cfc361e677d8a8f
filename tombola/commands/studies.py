"""`tombola plan`, `run`, `report`, `mirror`: what is done with studies."""

import contextlib
import dataclasses
import logging
import pathlib
import signal
import time
from collections.abc import Generator
from types import FrameType
from typing import Any

from rich.console import Console
from rich.table import Table

from tombola.commands.shared import PLAIN, chosen_machine, print_json, quoted
from tombola.core.errors import Failed, Refused
from tombola.core.files import check_writable
from tombola.core.text import parse
from tombola.integrations.mirror import mirror as replay
from tombola.report import files, page, terminal
from tombola.report.claims import Claim
from tombola.report.collect import UNFIT, collect
from tombola.report.declared import Curve, Pivot
from tombola.report.findings import Findings, Missing
from tombola.report.judge import judge
from tombola.report.live import Live
from tombola.report.match import check
from tombola.report.wording import duration, scaled
from tombola.study import driver
from tombola.study.driver import Engine, Finished
from tombola.study.engines.here import Here
from tombola.study.engines.local import Local
from tombola.study.events import Event, EventLog, event, failures, read_events
from tombola.study.graph import Graph, graph_of
from tombola.study.module import Study, open_study
from tombola.study.plan import Plan, why
from tombola.study.plan import plan as planned
from tombola.study.provenance import cores
from tombola.study.store import Store
from tombola.words import studies as words

log = logging.getLogger(__name__)
SHOWN = 20
"""Reasons that `plan --why` prints."""
DECLARED = {"claims": Claim, "figures": Curve, "tables": Pivot}
"""What the functions of a study besides `goals` must yield."""


def plan(asked: words.Plan) -> int:
    """`tombola plan`: what is stored, what would run, what it may cost; with --why, the first difference of each."""
    study, graph = _opened(asked)
    store = Store(asked.store)
    found = planned(graph, store)
    reasons = why(graph, store) if asked.why else []
    if asked.json:
        sums = {name: getattr(found, name) for name in ("to_run", "unknown", "seconds", "flops", "bytes")}
        told = {"study": study.text, **sums, **dataclasses.asdict(found)}
        print_json({**told, "why": [dataclasses.asdict(one) for one in reasons]} if asked.why else told)
        return 0
    PLAIN.print(f"{study.text}: {study.title}")
    rows = f"{found.known:,} of {found.rows:,} rows are there"
    spare = found.steps - found.stored - found.to_run
    more = f", {spare:,} not needed again" if spare else ""
    PLAIN.print(f"{found.steps:,} steps: {found.stored:,} stored, {found.to_run:,} to run{more}; {rows}.")
    if found.work:
        PLAIN.print(_work(found))
        PLAIN.print(_price(found))
    for one in reasons[:SHOWN]:
        PLAIN.print(f"  {one}")
    if len(reasons) > SHOWN:
        PLAIN.print(f"  and {len(reasons) - SHOWN:,} more; --json names all.")
    return 0


def _work(found: Plan) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 2))
    for heading in ("to run", "", "time", "operations", "disk", "estimated from"):
        table.add_column(heading, justify="left" if heading in ("", "estimated from") else "right")
    for one in found.work:
        known = one.number > one.unknown
        cost = [
            duration(one.seconds),
            scaled(one.flops, "FLOP") if one.flops else "-",
            scaled(one.bytes, "B", step=1024),
        ]
        based = f"{one.n} finished" + (f"; {one.unknown:,} of another kind" if one.unknown else "")
        table.add_row(f"{one.number:,}", one.function, *(cost if known else ["?"] * 3), based if known else "none yet")
    return table


def _price(found: Plan) -> str:
    if found.unknown == found.to_run:
        return "What they cost is not known: nothing of their kind was finished yet."
    spread = f", {duration(found.seconds / cores())} on {cores()} cores" if cores() > 1 else ""
    said = f"About {duration(found.seconds)} on one core{spread}; {scaled(found.bytes, 'B', step=1024)} of disk"
    return f"{said}, without {found.unknown:,} steps of unknown cost." if found.unknown else f"{said}."


def run(asked: words.Run) -> int:
    """`tombola run`: everything that is missing, with a live display; then the claims and the tables."""
    if asked.address and asked.engine != "ray":
        raise Refused(f"--address {asked.address} is that of a Ray cluster: add --engine ray.")
    if asked.workers < 0:
        raise Refused(f"--workers is {asked.workers}. It is 1 or more, or 0 for one a core.")
    study, graph = _opened(asked)
    machine = chosen_machine(asked.machine)
    store = Store(asked.store, machine=machine)
    found = planned(graph, store)
    store.prepare()
    home = _home(study, asked.store)
    command = f"tombola run {quoted(study.text)}{_also(asked)}"
    started = time.monotonic()
    with contextlib.ExitStack() as open_ones:
        path = home / "events.jsonl"
        logged = {one["key"] for one in read_events(path) if one["event"] == "row"} if path.exists() else set[str]()
        keep = open_ones.enter_context(contextlib.closing(EventLog(path)))
        sinks = [parse("sink", one) for one in asked.mirror]
        watchers: list[Any] = [open_ones.enter_context(sink.open(study.text, home)) for sink in sinks]
        watchers.append(open_ones.enter_context(Live(study.title)))

        def watch(one: Event) -> None:
            if one["event"] != "row" or one["key"] not in logged:  # Every run tells of all rows; the log does once.
                keep(one)
            for watcher in watchers:
                watcher(one)

        open_ones.enter_context(_stopped_by_term())
        engine = _engine(asked, found, machine, home, watch)
        seconds = found.seconds if found.to_run and not found.unknown else None
        finished = driver.run(graph, store, engine, watch, study=study.text, command=command, seconds_left=seconds)
    findings = collect(study, graph, store, command=command, failed=finished.failed)
    if asked.json:
        print_json({**_told(findings), **_counts(finished)})
    else:
        Console(highlight=False).print(terminal.overview(findings))
        done = f"{finished.done:,} steps were run, {finished.stored:,} were done before"
        PLAIN.print(f"{done}; {duration(time.monotonic() - started)} in all, kept in {asked.store}.")
        PLAIN.print(f"The page: tombola report {quoted(study.text)}{_also(asked, 'store')}")
    if not finished.ok:
        raise driver.failure(finished, command=command, log=str(home / "events.jsonl"))
    _trust(findings)
    return 0


def _engine(asked: words.Run, found: Plan, machine: Any, home: pathlib.Path, watch: Any) -> Engine:
    if asked.engine == "ray" and found.to_run:
        from tombola.study.engines.ray import Ray

        return Ray(asked.address, machine=machine)
    workers = min(asked.workers or cores(), max(1, found.to_run))
    if workers == 1 or not found.to_run:
        return Here(lambda told: watch(event(told.happening, **{"key": told.key, **_function(told.key), **told.facts})))
    return Local(workers, machine=machine, log=home)


def _function(key: str) -> dict[str, str]:
    return {"function": key.partition(":")[0]}


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
    study, graph = _opened(asked)
    if not (pathlib.Path(asked.store) / "store.json").exists():
        raise Refused(f"there is no store in {asked.store}. Run the study first: tombola run {quoted(study.text)}")
    check_writable(asked.out)
    events = _home(study, asked.store) / "events.jsonl"
    command = f"tombola run {quoted(study.text)}{_also(asked)}"
    findings = collect(study, graph, Store(asked.store), command=command, failed=failures(events))
    out = page.write(findings, asked.out)
    beside = pathlib.Path(asked.files) if asked.files else out.with_name(f"{out.stem}_files")
    written = [] if asked.page_only else [str(path) for path in files.write_all(findings, beside)]
    if asked.json:
        print_json({**_told(findings), "out": str(out), "files": written})
    else:
        missing = f", {len(findings.missing):,} missing" if findings.missing else ""
        PLAIN.print(f"{len(findings.rows):,} rows{missing}.")
        PLAIN.print(f"The page: {out.resolve()}")
        if written:
            PLAIN.print(f"{len(written)} files: {beside}")
    _trust(findings)
    return 0


def mirror(asked: words.Mirror) -> int:
    """`tombola mirror`: the log of a study, replayed into another tool."""
    study = _named(asked)
    shown = replay(_home(study, asked.store) / "events.jsonl", parse("sink", asked.to))
    if asked.json:
        print_json({"study": study.text, "to": asked.to, "new": shown})
    else:
        PLAIN.print(f"{shown:,} results are new in {asked.to}.")
    return 0


def _named(asked: words.OfStudy) -> Study:
    if not asked.study:
        raise Refused("name a study: a Python file, or a shipped one such as quickstart. See: tombola list study")
    return open_study(asked.study)


def _opened(asked: words.OfStudy) -> tuple[Study, Graph]:
    """The study and its graph; what it declares for the report is looked at too, before anything runs."""
    study = _named(asked)
    graph = graph_of(study.goals())
    for what, kind in DECLARED.items():
        for number, one in enumerate(study.declared(what)):
            if not isinstance(one, kind):
                raise Refused(
                    f"{study.place}: {what}() yields a {type(one).__name__} (number {number + 1}). It must yield "
                    f"{kind.__name__}(...)."
                )
    rows = [Missing(labels=goal.labels, key=goal.of.key) for goal in graph.goals]
    for said in check(study.declared("claims"), rows):
        log.warning("%s", said)
    return study, graph


def _home(study: Study, store: str) -> pathlib.Path:
    """Where the log of a study lies, and what its workers print."""
    return pathlib.Path(store) / "studies" / study.label


def _also(asked: words.OfStudy, *names: str) -> str:
    """The options of a command that were given, to say it again."""
    given = ""
    for field in dataclasses.fields(asked):
        value = getattr(asked, field.name)
        if field.name in (names or ("store", "workers", "engine", "address", "machine")) and value != field.default:
            given += f" --{field.name} {quoted(str(value))}"
    return given + "".join(f" --use {quoted(path)}" for path in asked.use)


def _told(findings: Findings) -> dict[str, Any]:
    claims = [
        {"claim": one.claim.sentence, "verdict": one.outcome, "n": one.n, "needed": one.needed}
        for one in judge(findings)
    ]
    rows = [{"labels": dict(one.labels), "numbers": dict(one.numbers), "key": one.key} for one in findings.rows]
    missing = [{"labels": dict(one.labels), "key": one.key, "why": one.why} for one in findings.missing]
    return {"study": findings.study, "claims": claims, "rows": rows, "missing": missing}


def _trust(findings: Findings) -> None:
    unfit = [row for row in findings.missing if row.why.startswith(UNFIT)]
    if unfit:
        raise Failed(f"{len(unfit)} rows cannot be shown, the first: {unfit[0].key}: {unfit[0].why}")
    broken = [(row.key, name) for row in findings.rows for name, held in row.checks.items() if not held]
    if broken:
        key, name = broken[0]
        raise Failed(
            f"{len(broken)} checks did not hold, the first: '{name}' of {key}. Its results are not to be trusted."
        )

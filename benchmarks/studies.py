"""Studies: two workers against one, and what a study of 10,000 stored steps costs to plan, to resume and to report."""

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks.interleave import Ratio, ratio_of
from tombola.study.graph import graph_of
from tombola.study.module import open_study
from tombola.study.record import seal
from tombola.study.store import Store

ROUNDS = 5
BAR = 0.57
SMALL = "quickstart"
"""The demo: 93 trainings of half a second, and what belongs to them."""
LARGE = f"quickstart(levels=20, keep=0.8, seeds={tuple(range(75))})"
"""10,725 steps, 4,575 of them trainings."""
BARS = {"plan": (2.0, 250.0), "run": (10.0, 500.0), "report": (30.0, 1000.0)}
"""Seconds and MiB beyond the imports."""
CALLS = {
    "plan": "studies.plan(words.Plan(study=study, store=store))",
    "run": "studies.run(words.Run(study=study, store=store))",
    "report": "studies.report(words.Report(study=study, store=store, out=out, page_only=True))",
}
SCRIPT = """
import json, pathlib, sys, time
from tombola.commands import studies
from tombola.study.graph import graph_of
from tombola.study.module import open_study
from tombola.words import studies as words
study, store, out = sys.argv[1:]
list(open_study("quickstart(levels=1, seeds=(0,))").goals())  # What a study imports counts as imports.
def most():  # Not that of getrusage, which a process inherits from whoever started it.
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])
before = most()
start = time.perf_counter()
{call}
spent = time.perf_counter() - start
print(json.dumps([spent, (most() - before) / 1024]))
"""


def workers() -> Ratio:
    """A study of small trainings, a fresh store every time, by two workers and by one, in turn; wall time, all told."""
    ratios: list[float] = []
    for number in range(ROUNDS):
        spent: dict[int, float] = {}
        for count in (2, 1)[:: 1 if number % 2 else -1]:
            with tempfile.TemporaryDirectory() as folder:
                words = ["run", SMALL, "--store", folder, "--workers", str(count)]
                start = time.perf_counter()
                subprocess.run([sys.executable, "-c", _MAIN, *words], check=True, capture_output=True)
                spent[count] = time.perf_counter() - start
        ratios.append(spent[2] / spent[1])
    return ratio_of("a study by two workers / by one, wall time", ratios, bar=BAR)


def large() -> list[str]:
    """Lines of a table: seconds and memory beyond the imports, each in a fresh process, the median of three."""
    lines = ["| 10,725 stored steps | seconds | MiB beyond imports | bar | |", "| --- | --- | --- | --- | --- |"]
    with tempfile.TemporaryDirectory() as folder:
        pretend(LARGE, Store(folder))
        lines += [_line("plan, none of them stored", "plan", f"{folder}/none", folder)]
        for what, call in (("plan", "plan"), ("resume: run with nothing to do", "run"), ("report, the page", "report")):
            lines.append(_line(what, call, folder, folder))
        size = pathlib.Path(folder, "page.html").stat().st_size / 2**20
        lines.append(f"| size of the page, MiB | {size:.1f} | | | |")
    return lines


def pretend(text: str, store: Store) -> None:
    """Records for all steps of a study without running them: only the numbers are invented, all else is as it is."""
    store.prepare()
    sample = _sample()
    for number, (key, deferred) in enumerate(graph_of(open_study(text).goals()).calls.items()):
        call, like = deferred.call, sample[deferred.function.name]
        own = {"call": call.text, "key": key, "arguments": call.canonical, "inputs": call.inputs}
        shift = (number * 7919 % 1000) / 20_000
        numbers = {n: v - shift if n.endswith("accuracy") else v for n, v in like["numbers"].items()}
        home = store.home(key)
        home.mkdir(parents=True)
        (home / "record.json").write_bytes(seal({**like, **own, "numbers": numbers, "files": {}, "groups": {}}))


def _sample() -> dict[str, dict[str, Any]]:
    """A record of each kind of step, from a small run of the same study."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["run", "quickstart(levels=1, seeds=(0,))", "--store", folder]
        subprocess.run([sys.executable, "-c", _MAIN, *words], check=True, capture_output=True)
        store = Store(folder)
        return {key.partition(":")[0]: store.record(key) for key in store.keys()}


def _line(what: str, call: str, store: str, folder: str) -> str:
    script = SCRIPT.format(call=CALLS[call])
    words = [sys.executable, "-c", script, LARGE, store, f"{folder}/page.html"]
    found: list[list[float]] = []
    for _ in range(3):
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    seconds, memory = (statistics.median(values) for values in zip(*found, strict=True))
    spread = f"{seconds:.2f} ({min(f[0] for f in found):.2f} to {max(f[0] for f in found):.2f})"
    most, room = BARS[call]
    met = "met" if seconds <= most and memory <= room else "NOT met"
    return f"| {what} | {spread} | {memory:.0f} | {most:.0f} s, {room:.0f} MiB | {met} |"


_MAIN = "import sys; from tombola.cli import main; sys.exit(main())"

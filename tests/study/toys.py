"""Toy arithmetic for the study engine, which must not know that tickets exist."""

import contextlib
import dataclasses
import json
import os
import pathlib
import sys
import time
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any, Self, cast

import torch
from torch import Tensor

from tombola.core.artifact import Artifact, Parts
from tombola.core.call import Call
from tombola.core.errors import Damaged, Failed
from tombola.core.machine import Machine
from tombola.study.step import Context, Listener, Made, Step, Together, step
from tombola.study.store import Claim, Store


@dataclasses.dataclass(frozen=True)
class Sum(Artifact):
    """A row of numbers that was added up; `common` is shared by all sums that were made of the same numbers."""

    values: Tensor
    total: float
    common: Tensor
    rows: tuple[dict[str, Any], ...] = ()
    made_by: str = ""

    @property
    def key(self) -> str:
        return self.made_by or "sum:by-hand"

    def stamped(self, call: Call) -> Self:
        return dataclasses.replace(self, made_by=call.key)

    def parts(self) -> Parts:
        header = {"total": self.total, "made_by": self.made_by}
        groups = {"values": {"values": self.values}, "common": {"common": self.common}}
        return Parts(header, groups, self.rows, frozenset({"common"}))

    @classmethod
    def from_parts(cls, parts: Parts) -> "Sum":
        try:
            return cls(
                parts.groups["values"]["values"],
                parts.header["total"],
                parts.groups["common"]["common"],
                tuple(dict(row) for row in parts.rows),
                parts.header["made_by"],
            )
        except KeyError as error:
            raise Damaged(f"not a sound sum: {error}") from error


RUNS: list[float] = []
COMMON = torch.arange(1000.0)


@step("toy_add")
def add(number: float, to: Sum | None = None, times: int = 1) -> Sum:
    RUNS.append(number)
    values = torch.full((times,), number) if to is None else torch.cat([to.values, torch.full((times,), number)])
    rows = tuple({"term": i, "value": float(value)} for i, value in enumerate(values))
    return Sum(values, float(values.sum()), COMMON, rows)


@step("toy_fail")
def fail(message: str) -> Sum:
    raise Failed(message)


@step("toy_slow")
def slow(log: str, seconds: float = 0.3, *, context: Context = Context()) -> Sum:
    """Writes a line that tells of its run, and takes its time."""
    with open(log, "a") as file:
        file.write(f"{os.getpid()}\n")
    context.tell(step=1, steps=2)
    time.sleep(seconds)
    return Sum(torch.zeros(1), 0.0, COMMON)


@step("toy_scratch")
def careful(number: float, *, context: Context = Context()) -> Sum:
    """Goes on from what it finds in its scratch folder; fails the first time."""
    assert context.scratch is not None
    half = context.scratch / "half"
    if not half.exists():
        context.scratch.mkdir(parents=True, exist_ok=True)
        half.write_text("half-way")
        raise Failed("stopped half-way")
    return Sum(torch.full((1,), number), number, COMMON, ({"found": half.read_text()},))


@step("toy_gather")
def gather(parts: Any, number: float = 0.0) -> Sum:
    """Adds up sums that lie anywhere in tuples, lists and dicts."""
    total = number + sum(one.total for one in _sums(parts))
    return Sum(torch.full((1,), total), total, COMMON)


def _sums(parts: Any) -> Iterator[Sum]:
    if isinstance(parts, Sum):
        yield parts
    elif isinstance(parts, tuple | list | dict):
        for one in parts.values() if isinstance(parts, dict) else parts:
            yield from _sums(one)


@step("toy_wrong")
def wrong(kind: str, to: Sum | None = None) -> Sum:
    """Raises what nobody foresaw."""
    if kind == "exit":
        sys.exit("enough")
    if kind == "memory":
        raise MemoryError
    raise LookupError(f"an odd {kind}")


@step("toy_killed")
def killed(log: str, times: int, to: Sum | None = None, *, context: Context = Context()) -> Sum:
    """Is killed so many times in mid-call; its result tells how many rounds it found in its scratch folder."""
    with open(log, "a") as file:
        file.write(f"{os.getpid()}\n")
    if len(pathlib.Path(log).read_text().split()) > times:
        rounds = len(list(context.scratch.iterdir())) if context.scratch is not None else 0
        return Sum(torch.full((1,), float(rounds)), float(rounds), COMMON)
    assert context.scratch is not None
    context.scratch.mkdir(parents=True, exist_ok=True)
    (context.scratch / f"round-{os.getpid()}").touch()
    os.kill(os.getpid(), 9)
    raise AssertionError("it lives")


@step("toy_surroundings")
def surroundings(log: str, number: int = 0) -> Sum:
    """Writes down where it runs, and talks on the way."""
    print("spoken words")
    print("complaints", file=sys.stderr)
    warnings.warn("a warning of a step", stacklevel=1)
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
    found = {name: os.environ.get(name) for name in names}
    line = json.dumps({"pid": os.getpid(), "threads": torch.get_num_threads(), **found})
    with open(log, "a") as file:
        file.write(f"{line}\n")
    return Sum(torch.zeros(1), 0.0, COMMON)


def _kinship(header: Mapping[str, Any], number: float, kind: str = "a", **others: Any) -> dict[str, str]:
    return {"kind": kind, "total": str(header["total"])}


def _side_by_side(jobs: Sequence[Mapping[str, Any]], contexts: Sequence[Context]) -> Iterator[Made]:
    """Writes a line that tells who runs together, and ends one after the other, each as it was told to.

    "fail" fails alone. "raise" and "exit" take with them all that have not ended; "lose" does so as a lost device does,
    in the first `times` runs that the log tells of. "stop" is Ctrl-C; "silent" gives nothing.
    """
    log = pathlib.Path(jobs[0].get("log", os.devnull))
    with log.open("a") as file:
        file.write(json.dumps({"pid": os.getpid(), "numbers": [job["number"] for job in jobs]}) + "\n")
    for index, (job, context) in enumerate(zip(jobs, contexts, strict=True)):
        number, how = job["number"], job.get("how", "")
        assert context.scratch is not None
        context.scratch.mkdir(parents=True, exist_ok=True)
        context.tell(number=number)
        if how == "raise":
            raise LookupError("an odd one")
        if how == "exit":
            sys.exit("enough")
        if how == "stop":
            raise KeyboardInterrupt
        if how == "lose" and log.read_text().count("\n") <= job.get("times", 1):
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nmore words")
        if how == "fail":
            yield index, Failed(f"number {number:g} is no good")
        elif how != "silent":
            context.meter.images = int(number)
            yield index, Sum(job["of"].values + number, job["of"].total + number, COMMON, ({"number": number},))


@step("toy_beside", together=Together(_kinship, _side_by_side))
def beside(
    of: Sum,
    number: float,
    kind: str = "a",
    how: str = "",
    log: str = os.devnull,
    times: int = 1,
    *,
    context: Context = Context(),
) -> Sum:
    """Adds a number, together with others of its kind whose input has the same total."""
    job = {"of": of, "number": number, "how": how, "log": log, "times": times}
    ((_, made),) = _side_by_side([job], [context])
    if isinstance(made, Exception):
        raise made
    return cast(Sum, made)


# Jobs for the pool: functions at the top level of a module that worker processes import.
def add_job(folder: str, number: float, listen: Listener) -> float:
    return Store(folder, listen=listen)(add, number).total


def failing_job(message: str, listen: Listener) -> float:
    raise Failed(message)


def broken_job(listen: Listener) -> float:
    return 1 // 0


def dying_job(folder: str, listen: Listener) -> float:
    """Finishes a step, and is killed."""
    Store(folder, listen=listen)(add, 77.0)
    os.kill(os.getpid(), 9)
    return 0.0


def where_job(listen: Listener) -> tuple[int, int, str]:
    listen("progress", Call("toy", 3, {"x": 1}), step=5, loss=0.5, words="some", result=object())
    return os.getpid(), torch.get_num_threads(), os.environ["OMP_NUM_THREADS"]


def slow_main(folder: str, log: str) -> None:
    """A process of its own that asks a store for the slow step."""
    Store(folder, machine=Machine())(slow, str(pathlib.Path(log)))


class Hesitant(Store):
    """A store that waits a while after each claim, so that two of them meet half-way."""

    @contextlib.contextmanager
    def claim(self, function: Step, call: Call, *, wait: bool = True) -> Generator[Claim]:
        with super().claim(function, call, wait=wait) as claim:
            time.sleep(0.15)
            yield claim


def beside_main(folder: str, log: str, gate: str, *numbers: str) -> None:
    """A process of its own that asks a store for many calls at once, as soon as there is a gate."""
    store, of = Hesitant(folder), add(1.0)
    pathlib.Path(f"{gate}.{os.getpid()}").touch()
    while not pathlib.Path(gate).exists():
        time.sleep(0.005)
    found = store(beside, of, number=[float(number) for number in numbers], log=log)
    print(json.dumps([one.total for one in found]))

"""Calls of a graph as jobs for some process: what it takes to run them, alone or together, and what became of each."""

import contextlib
import dataclasses
import functools
import importlib
import pickle
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar, cast

import torch

from tombola.core import catalogue
from tombola.core.artifact import Artifact
from tombola.core.call import Call, function_of
from tombola.core.canon import Keyed
from tombola.core.errors import Damaged, Failed, Refused
from tombola.core.machine import Machine
from tombola.study.deferred import Deferred
from tombola.study.environment import Reuse
from tombola.study.record import has_record, there
from tombola.study.step import Context, Made, Step
from tombola.study.store import Busy, Claim, Store, Unwritable

PAUSE = 0.25  # Seconds between two words of progress from one job.
Tell = Callable[[str, str, dict[str, Any]], None]
"""Is told of a call: its key, the happening, and facts."""
Opened = Callable[[], tuple[Step, Call]]
_T = TypeVar("_T")


class Reference(Keyed):
    """A result that lies in the store, in the place of the deferred call that it is the result of."""

    def __init__(self, key: str, kind: type[Artifact]) -> None:
        self._key, self.kind = key, kind

    @property
    def key(self) -> str:
        """The key of the result."""
        return self._key


@dataclasses.dataclass(frozen=True)
class Job:
    """A call to be run: `payload` is its step and arguments, made and read by processes of one run only."""

    key: str
    payload: bytes
    store: str
    machine: Machine
    files: tuple[str, ...]
    reuse: Reuse = "any"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a job.

    done: it was run, or `loaded`: another process had done so. busy: another process is at it. absent: an input
    (`missing`) is no longer in the store. failed: for this reason. gone: the device it ran on is; this process cannot
    go on with it. fatal: nothing can be kept, so nothing should go on.
    """

    key: str
    status: Literal["done", "loaded", "busy", "absent", "failed", "gone", "fatal"]
    seconds: float = 0.0
    numbers: Mapping[str, float] = dataclasses.field(default_factory=dict[str, float])
    checks: Mapping[str, bool] = dataclasses.field(default_factory=dict[str, bool])
    error: str = ""
    trace: str = ""
    missing: str = ""


def job_of(deferred: Deferred, *, store: Store) -> Job:
    """The job that runs a deferred call.

    Raises:
        Refused: If another process could not find the step or a plug-in by name.
    """
    place = place_of(deferred.function)

    def refer(one: Keyed) -> Keyed:
        return Reference(one.key, one.function.result) if isinstance(one, Deferred) else one

    try:
        payload = pickle.dumps((place, deferred.call.swapped(refer)))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise Refused(
            f"{deferred.call.text} cannot be sent to another process: {error}. Put what it uses at the top level of a "
            "file, or use --workers 1."
        ) from error
    files = tuple(catalogue.FILES.values())
    return Job(deferred.key, payload, str(store.folder.resolve()), store.machine, files, store.reuse)


def place_of(function: Step) -> tuple[str, str]:
    """The module and the name under which a step is found.

    Raises:
        Refused: If it is not found there.
    """
    module, name = function.function.__module__, function.function.__name__
    if module == "__main__" or getattr(sys.modules.get(module), name, None) is not function:
        raise Refused(
            f"another process cannot find the step '{function.name}' as {module}.{name}. Put it at the top level of "
            "the study's file or of a module, under its own name; or use --workers 1."
        )
    return module, name


def execute(jobs: Sequence[Job], tell: Tell) -> Iterator[Outcome]:
    """Run jobs in this process and keep their results; whatever goes wrong is told in an outcome, and nothing raised.

    Several jobs are calls that run together (see `tombola.study.step.Together`); each outcome comes as it is there.
    """
    wanted = [(job.key, functools.partial(_opened, job)) for job in jobs]
    return perform(wanted, jobs[0].store, jobs[0].machine, tell, reuse=jobs[0].reuse)


def _opened(job: Job) -> tuple[Step, Call]:
    for path in job.files:
        if path not in catalogue.FILES.values():
            catalogue.load_file(path)
    place, call = cast(tuple[tuple[str, str], Call], pickle.loads(job.payload))
    return getattr(importlib.import_module(place[0]), place[1]), call


@dataclasses.dataclass
class _Taken:
    """A call that was taken on, ready to run; `let_go` ends the claim."""

    step: Step
    call: Call
    claim: Claim
    context: Context
    let_go: Callable[[], None]


def perform(
    wanted: Sequence[tuple[str, Opened]], folder: str, machine: Machine, tell: Tell, *, reuse: Reuse = "any"
) -> Iterator[Outcome]:
    """Run calls, each opened from its key, with references or deferred calls for its inputs, unless it is there."""
    started, last = time.monotonic(), dict[str, float]()

    def listen(happening: str, call: Call, **facts: Any) -> None:
        if happening == "progress" and time.monotonic() - last.get(call.key, 0.0) > PAUSE:
            last[call.key] = time.monotonic()
            tell(call.key, "progress", {n: v for n, v in facts.items() if isinstance(v, int | float | str)})
        elif happening == "damaged":
            tell(call.key, "damaged", {"key": call.key, "function": call.function, **facts})

    try:
        store = Store(folder, machine=machine, listen=listen, reuse=reuse)
    except (Refused, Damaged) as error:
        yield from (_outcome(key, started, error) for key, _ in wanted)
        return
    taken: list[_Taken] = []
    with contextlib.ExitStack() as all_of_them:
        for key, opened in wanted:
            found = _try(key, started, lambda key=key, opened=opened: _take(key, opened, store, tell))
            if isinstance(found, Outcome):
                yield found
            else:
                all_of_them.callback(found.let_go)
                taken.append(found)
        yield from _run(taken, started)


def _take(key: str, opened: Opened, store: Store, tell: Tell) -> _Taken | Outcome:
    """Take a call on with its inputs, unless it is there or cannot be made now."""
    if (found := _found(key, store, tell)) is not None:
        return found
    step, call = opened()
    call = _loaded(call, store, tell)
    if call.key != key:
        raise Failed(
            f"here {call.text} has the key {call.key}; where the study was planned it has {key}. The data, the "
            "plug-ins or the version of tombola differ between the two."
        )
    held = contextlib.ExitStack()
    claim = held.enter_context(store.claim(step, call, wait=False))
    if claim.found is not None:  # Another process was faster by a hair.
        held.close()
        return Outcome(key, "loaded", numbers=claim.found.numbers(), checks=claim.found.proofs())
    return _Taken(step, call, claim, Context(store.machine, claim.scratch, store.listen), held.close)


def _run(taken: Sequence[_Taken], started: float) -> Iterator[Outcome]:
    """Run what was taken on, and keep each result as it comes."""
    left = list(range(len(taken)))

    def ended(index: int, made: Any) -> Outcome:
        one, seconds = taken[index], (time.monotonic() - started) / len(taken)  # Its share of the clock.
        left.remove(index)
        try:
            if isinstance(made, Exception):
                raise made
            one.claim.keep(made, seconds=seconds, meter=one.context.meter)
        finally:
            one.let_go()
        return Outcome(one.call.key, "done", seconds, made.numbers(), made.proofs())

    try:
        if len(taken) == 1:
            made: Iterable[Made] = ((0, one.step.run(one.call, one.context)) for one in taken)
        elif taken:
            made = taken[0].step.run_all([one.call for one in taken], [one.context for one in taken])
        else:
            made = ()
        for index, result in made:
            yield _try(taken[index].call.key, started, lambda index=index, result=result: ended(index, result))
        if left:
            raise Failed(f"{taken[0].step.name} ran {len(taken)} calls together, and gave no result of this one.")
    except (Exception, SystemExit) as error:  # A step is anybody's code: what it was at fails, and nothing else.
        for index in left:
            taken[index].let_go()
            yield _outcome(taken[index].call.key, started, error)


def _try(key: str, started: float, do: Callable[[], _T]) -> _T | Outcome:
    try:
        return do()
    except (Exception, SystemExit) as error:
        return _outcome(key, started, error)


def _outcome(key: str, started: float, error: BaseException) -> Outcome:
    """What an error says of a call."""
    if isinstance(error, Busy):
        return Outcome(key, "busy")
    if isinstance(error, _Absent):
        return Outcome(key, "absent", missing=error.key)
    if isinstance(error, Unwritable):
        return Outcome(key, "fatal", error=str(error))
    seconds = time.monotonic() - started
    if isinstance(error, torch.AcceleratorError):
        return Outcome(key, "gone", seconds, error=f"lost its device ({str(error).splitlines()[0]})")
    if isinstance(error, Refused | Failed | Damaged):
        return Outcome(key, "failed", seconds, error=str(error))
    said, trace = f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error))
    return Outcome(key, "failed", seconds, error=said, trace=trace)


def _found(key: str, store: Store, tell: Tell) -> Outcome | None:
    """What the store says of a call, if another process has made it."""
    if not _there(key, store, tell):
        return None
    try:
        record = store.record(key)
    except Damaged as error:
        _set_aside(key, store, error, tell)
        return None
    return Outcome(key, "loaded", numbers=record["numbers"], checks=record["checks"])


class _Absent(Exception):
    """An input is not in the store, or was damaged and is set aside."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _loaded(call: Call, store: Store, tell: Tell) -> Call:
    """The call with its inputs from the store."""

    def load(one: Keyed) -> Any:
        if isinstance(one, Deferred):
            one = Reference(one.key, one.function.result)
        return _input(one, store, tell) if isinstance(one, Reference) else one

    return call.swapped(load)


def _input(one: Reference, store: Store, tell: Tell) -> Any:
    if not _there(one.key, store, tell):
        raise _Absent(one.key)
    try:
        return store.load(one.key, one.kind)
    except Damaged as error:
        _set_aside(one.key, store, error, tell)
        raise _Absent(one.key) from error


def _there(key: str, store: Store, tell: Tell) -> bool:
    """Whether a result is in the store; a folder without a record is set aside."""
    home = store.home(key)
    if there(home) and not has_record(home):
        _set_aside(key, store, Damaged(f"{home} has no record.json."), tell)
    return there(home)


def _set_aside(key: str, store: Store, error: Exception, tell: Tell) -> None:
    aside = store.set_aside(store.home(key))
    tell(key, "damaged", {"key": key, "function": function_of(key), "error": str(error), "aside": str(aside)})

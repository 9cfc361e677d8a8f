"""One call of a graph as a job for some process: what it takes to run it, and what became of it."""

import dataclasses
import importlib
import pickle
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Literal, cast

from tombola.core import catalogue
from tombola.core.artifact import Artifact
from tombola.core.call import Call, function_of
from tombola.core.canon import Keyed
from tombola.core.errors import Damaged, Failed, Refused
from tombola.core.machine import Machine
from tombola.study.deferred import Deferred
from tombola.study.step import Step
from tombola.study.store import Busy, Store, Unwritable

PAUSE = 0.25  # Seconds between two words of progress from one job.
Tell = Callable[[str, dict[str, Any]], None]


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


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a job.

    done: it was run, or `loaded`: another process had done so. busy: another process is at it. absent: an input
    (`missing`) is no longer in the store. failed: for this reason. fatal: nothing can be kept, so nothing should go on.
    """

    key: str
    status: Literal["done", "loaded", "busy", "absent", "failed", "fatal"]
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
    return Job(deferred.key, payload, str(store.folder.resolve()), store.machine, tuple(catalogue.FILES.values()))


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


def execute(job: Job, tell: Tell) -> Outcome:
    """Run a job in this process and keep its result; whatever goes wrong is told in the outcome, and nothing raised."""

    def opened() -> tuple[Step, Call]:
        for path in job.files:
            if path not in catalogue.FILES.values():
                catalogue.load_file(path)
        place, call = cast(tuple[tuple[str, str], Call], pickle.loads(job.payload))
        return getattr(importlib.import_module(place[0]), place[1]), call

    return perform(job.key, opened, job.store, job.machine, tell)


def perform(key: str, opened: Callable[[], tuple[Step, Call]], folder: str, machine: Machine, tell: Tell) -> Outcome:
    """Run the call that `opened` gives, with references or deferred calls for its inputs, unless it is there."""
    started, last = time.monotonic(), 0.0
    status: Literal["done", "loaded"] = "done"

    def listen(happening: str, call: Call, **facts: Any) -> None:
        nonlocal last, status
        if happening == "progress" and time.monotonic() - last > PAUSE:
            last = time.monotonic()
            tell("progress", {n: v for n, v in facts.items() if isinstance(v, int | float | str)})
        elif happening == "loaded":  # Another process was faster by a hair.
            status = "loaded"
        elif happening == "damaged":
            tell("damaged", {"key": call.key, "function": call.function, **facts})

    try:
        store = Store(folder, machine=machine, listen=listen)
        if (found := _found(key, store, tell)) is not None:
            return found
        step, call = opened()
        call = _loaded(call, store, tell)
        if call.key != key:
            raise Failed(
                f"here {call.text} has the key {call.key}; where the study was planned it has {key}. The data, the "
                "plug-ins or the version of tombola differ between the two."
            )
        result = store.make(step, call, wait=False)
        return Outcome(key, status, time.monotonic() - started, result.numbers(), result.proofs())
    except Busy:
        return Outcome(key, "busy")
    except _Absent as error:
        return Outcome(key, "absent", missing=error.key)
    except Unwritable as error:
        return Outcome(key, "fatal", error=str(error))
    except (Refused, Failed, Damaged) as error:
        return Outcome(key, "failed", time.monotonic() - started, error=str(error))
    except (Exception, SystemExit) as error:
        # A step is anybody's code: it fails alone, and its traceback goes to the log.
        said = f"{type(error).__name__}: {error}"
        return Outcome(key, "failed", time.monotonic() - started, error=said, trace=traceback.format_exc())


def _found(key: str, store: Store, tell: Tell) -> Outcome | None:
    """What the store says of a call, if another process has made it."""
    if not _there(key, store, tell):
        return None
    try:
        record = store.record(key)
    except (Damaged, OSError) as error:
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
    except (Damaged, OSError) as error:
        _set_aside(one.key, store, error, tell)
        raise _Absent(one.key) from error


def _there(key: str, store: Store, tell: Tell) -> bool:
    """Whether a result is in the store; a folder without a record is set aside."""
    home = store.home(key)
    if home.exists() and not (home / "record.json").exists():
        _set_aside(key, store, Damaged(f"{home} has no record.json."), tell)
    return home.exists()


def _set_aside(key: str, store: Store, error: Exception, tell: Tell) -> None:
    aside = store.set_aside(store.home(key))
    tell("damaged", {"key": key, "function": function_of(key), "error": str(error), "aside": str(aside)})

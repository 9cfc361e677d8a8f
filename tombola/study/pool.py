"""Many jobs over local processes: one thread each, what they hear passed on, failures kept apart.

A job is a function of a module's top level and its arguments. A job that fails fails alone; the others go on.
"""

import concurrent.futures
import contextlib
import dataclasses
import logging
import multiprocessing
import os
import threading
from collections.abc import Callable, Generator, Iterable
from typing import Any

from tombola.core.call import Call
from tombola.core.errors import Damaged, Failed, Refused
from tombola.study.step import Listener, deaf

_SINGLE = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclasses.dataclass(frozen=True)
class Job:
    """A call of `function(listen=..., **arguments)` in some process."""

    function: Callable[..., Any]
    arguments: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a job: its result, or the message of what stopped it."""

    job: Job
    result: Any = None
    error: str = ""


Outcomes = Generator[Outcome, list[Job] | None, None]


def run(jobs: Iterable[Job], *, workers: int, listen: Listener = deaf) -> Outcomes:
    """The outcomes of jobs as they come; jobs may be sent to this generator while it runs: `more = yield outcome`.

    Args:
        workers: Processes side by side; 1 runs the jobs here, one after the other.
    """
    if workers == 1:
        yield from _here(jobs, listen)
        return
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    ears = threading.Thread(target=_hear, args=(queue, listen), daemon=True)
    ears.start()
    with _single_threaded():
        pool = concurrent.futures.ProcessPoolExecutor(
            workers, mp_context=context, initializer=_start, initargs=(queue,)
        )
        try:
            waiting = {pool.submit(_work, job.function, job.arguments): job for job in jobs}
            while waiting:
                done, _ = concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    more = yield _outcome(future, waiting.pop(future))
                    for job in more or ():
                        waiting[pool.submit(_work, job.function, job.arguments)] = job
        except BaseException as error:  # Ctrl-C, or whoever reads the outcomes gave up: nothing more is started.
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            if isinstance(error, concurrent.futures.process.BrokenProcessPool):
                raise Failed(
                    "a worker process was killed, perhaps for want of memory. What was finished is kept: run the "
                    "command again, with fewer workers if it happens twice."
                ) from error
            raise
        pool.shutdown()
    queue.put(None)
    ears.join(timeout=5)


def _here(jobs: Iterable[Job], listen: Listener) -> Outcomes:
    waiting = list(jobs)
    while waiting:
        job = waiting.pop(0)
        try:
            outcome = Outcome(job, job.function(listen=listen, **job.arguments))
        except (Refused, Failed, Damaged) as error:
            outcome = Outcome(job, error=str(error))
        waiting += (yield outcome) or ()


def _outcome(future: concurrent.futures.Future[Any], job: Job) -> Outcome:
    try:
        return Outcome(job, future.result())
    except (Refused, Failed, Damaged) as error:
        return Outcome(job, error=str(error))


_queue: Any = None


def _start(queue: Any) -> None:
    global _queue
    _queue = queue
    logging.captureWarnings(True)


def _work(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    return function(listen=_tell, **arguments)


def _tell(happening: str, call: Call, **facts: Any) -> None:
    plain = {name: value for name, value in facts.items() if isinstance(value, int | float | str)}
    _queue.put((happening, call.function, call.version, call.key, plain))


def _hear(queue: Any, listen: Listener) -> None:
    while (heard := queue.get()) is not None:
        happening, function, version, key, facts = heard
        listen(happening, Call(function, version, {"key": key}), **facts)


@contextlib.contextmanager
def _single_threaded() -> Generator[None]:
    """Worker processes start with one thread each: two processes of two threads on two cores are half as fast."""
    before = {name: os.environ.get(name) for name in _SINGLE}
    os.environ.update(dict.fromkeys(_SINGLE, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

"""Worker processes on this machine: a small supervisor that keeps N of them alive and gives each one call at a time."""

import contextlib
import dataclasses
import faulthandler
import logging
import multiprocessing
import os
import pathlib
import pickle
import signal
import sys
import threading
from collections.abc import Generator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from tombola.core.errors import Failed, Refused
from tombola.core.machine import Machine
from tombola.study.deferred import Deferred
from tombola.study.engines import allocator
from tombola.study.engines.engine import Lost, Told
from tombola.study.execute import Job, Outcome, execute, job_of
from tombola.study.provenance import cores
from tombola.study.store import Store

LOG = logging.getLogger(__name__)
LAST_WORDS = 10.0
"""Seconds that a process has to end by itself."""
STILLBORN = 3
"""After so many workers that die before they are ready there is no point in starting another."""


@dataclasses.dataclass
class _Worker:
    """A process, the driver's end of its pipe, and the keys of the calls that it runs (none if it is idle).

    One that has `lost` its device is ended when it has told so of all of them.
    """

    name: str
    process: SpawnProcess
    pipe: Connection
    keys: set[str] = dataclasses.field(default_factory=set[str])
    ready: bool = False
    lost: bool = False


class Local:
    """N single-threaded worker processes; one that dies is replaced, and its call is told of as lost.

    Args:
        workers: How many.
        machine: Says how many threads each has, and the device; several CUDA devices are dealt out in turn.
        log: The folder for what workers write to standard output and error.

    Raises:
        Refused: If there is not at least one worker.
    """

    name = "local"

    def __init__(self, workers: int, *, machine: Machine = Machine(), log: pathlib.Path) -> None:
        if workers < 1:
            raise Refused(f"--workers is {workers}. It is 1 or more.")
        if machine.device == "cpu" and workers * machine.threads > cores():
            LOG.warning(
                "%d workers with %d thread%s each on %d cores hold each other up; --workers %d is as many as there is "
                "room for.",
                workers,
                machine.threads,
                "s" * (machine.threads > 1),
                cores(),
                max(1, cores() // machine.threads),
            )
        self.slots, self.machine, self.log = workers, machine, log.resolve()
        self.context = multiprocessing.get_context("spawn")
        self.workers: dict[str, _Worker] = {}
        self.stillborn = 0

    def submit(self, calls: Sequence[Deferred], store: Store) -> str:
        """Give calls to an idle worker."""
        jobs = [job_of(call, store=store) for call in calls]
        worker = next((one for one in self.workers.values() if not one.keys), None) or self._start()
        worker.keys = {job.key for job in jobs}
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # It has just died: `wait` will find out.
            worker.pipe.send_bytes(pickle.dumps(jobs))
        return worker.name

    def wait(self, timeout: float) -> list[Told | Outcome | Lost]:
        """What workers say, and which of them have died."""
        by_pipe = {worker.pipe: worker for worker in self.workers.values()}
        heard: list[Told | Outcome | Lost] = []
        for pipe in wait(list(by_pipe), timeout):
            worker = by_pipe[pipe]  # type: ignore[index]
            try:
                while worker.pipe.poll():
                    heard += self._read(worker)
            except (EOFError, OSError, pickle.UnpicklingError):
                heard += self._bury(worker)
                continue
            if worker.lost and not worker.keys:  # Nothing works any more in a process that lost its device.
                worker.pipe.close()
                _end(worker)
                del self.workers[worker.name]
        return heard

    def close(self, *, stop: bool) -> None:
        """End the workers. Those that are idle have nothing to lose, and those at work are ended on purpose."""
        for worker in self.workers.values():
            worker.pipe.close()
            worker.process.terminate()
        for worker in self.workers.values():
            _end(worker)
        self.workers.clear()

    def _read(self, worker: _Worker) -> list[Told | Outcome]:
        found: Any = worker.pipe.recv()
        if found == "ready":
            worker.ready, self.stillborn = True, 0
            return []
        if isinstance(found, Outcome):
            worker.keys.discard(found.key)
            worker.lost |= found.status == "gone"
        return [found]

    def _start(self) -> _Worker:
        number = next(n for n in range(1, self.slots + 1) if f"worker {n}" not in self.workers)
        ours, theirs = self.context.Pipe()
        path = self.log / f"worker-{number}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        process = self.context.Process(target=_work, args=(theirs, str(path)), name=f"tombola worker {number}")
        with _environment(self._variables(number)):
            process.start()
        theirs.close()  # So that the worker's death is heard as the end of the pipe.
        worker = self.workers[f"worker {number}"] = _Worker(f"worker {number}", process, ours)
        return worker

    def _variables(self, number: int) -> dict[str, str]:
        """A worker has as many threads as its machine says: two of two threads on two cores are half as fast."""
        threads = str(self.machine.threads)
        variables = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        if self.machine.device == "cuda":
            import torch

            devices = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
            devices = devices if devices != [""] else [str(n) for n in range(torch.cuda.device_count())]
            variables["CUDA_VISIBLE_DEVICES"] = devices[(number - 1) % len(devices)] if devices else ""
        return variables

    def _bury(self, worker: _Worker) -> list[Lost]:
        worker.process.join(timeout=LAST_WORDS)
        worker.pipe.close()
        del self.workers[worker.name]
        if worker.process.is_alive():  # Its calls are begun again: it must not be at them too, nor hold their locks.
            _end(worker)
            why = "could not be heard any more, though it went on; it was ended"
        else:
            why = _why(worker.process.exitcode)
        if not worker.ready:
            self.stillborn += 1
            if self.stillborn >= STILLBORN:
                raise Failed(
                    f"worker processes do not start: {self.stillborn} in turn {why}. What they said is in {self.log}; "
                    "--workers 1 runs the study in this process."
                )
        return [Lost(key, why, worker.name) for key in sorted(worker.keys)]


def _end(worker: _Worker) -> None:
    worker.process.terminate()
    worker.process.join(timeout=LAST_WORDS)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()


def _why(code: int | None) -> str:
    if code == -signal.SIGKILL:
        return "was killed (signal 9), as the kernel does when memory runs out; fewer workers need less of it"
    if code is not None and code < 0:
        return f"was ended by signal {-code} ({signal.strsignal(-code)})"
    return f"ended with code {code}"


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Generator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _work(pipe: Connection, log: str) -> None:
    """The life of a worker: a job at a time, until the pipe closes or whoever started it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the driver decides.
    _write_to(log)
    _end_with_parent()
    allocator.keep_memory()
    pipe.send("ready")

    def tell(key: str, happening: str, facts: dict[str, Any]) -> None:
        pipe.send(Told(key, happening, facts))

    while True:
        try:
            jobs: list[Job] = pickle.loads(pipe.recv_bytes())
        except EOFError:
            return
        for outcome in execute(jobs, tell):
            pipe.send(outcome)


def _write_to(log: str) -> None:
    """What a step prints or warns of would run through the live display: it goes to a file."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(file, 1)
    os.dup2(file, 2)
    faulthandler.enable()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

"""Many jobs side by side: results, failures apart, a killed worker, and what is heard."""

import logging
import os
import pathlib
from typing import Any

import pytest

from tests.study.toys import RUNS, add, add_job, broken_job, dying_job, failing_job, where_job
from tombola.core.call import Call
from tombola.core.errors import Failed
from tombola.study import pool
from tombola.study.pool import Job, Outcome
from tombola.study.store import Store


def drain(outcomes: pool.Outcomes, more: dict[int, list[Job]]) -> list[Outcome]:
    """All outcomes; after the n-th, the jobs of `more` are sent."""
    found: list[Outcome] = []
    send: list[Job] | None = None
    while True:
        try:
            found.append(outcomes.send(send) if send is not None else next(outcomes))
        except StopIteration:
            return found
        send = more.get(len(found), [])


def test_one_worker_runs_jobs_here_in_order(tmp_path: pathlib.Path):
    RUNS.clear()
    folder = str(tmp_path)
    jobs = [Job(add_job, {"folder": folder, "number": float(n)}) for n in (1, 2)]
    jobs.insert(1, Job(failing_job, {"message": "no good"}))
    late = Job(add_job, {"folder": folder, "number": 3.0})
    found = drain(pool.run(jobs, workers=1), {2: [late]})
    assert [(one.result, one.error) for one in found] == [(1.0, ""), (None, "no good"), (2.0, ""), (3.0, "")]
    assert found[3].job is late and RUNS == [1.0, 2.0, 3.0]


def test_a_bug_in_a_job_is_not_swallowed():
    with pytest.raises(ZeroDivisionError):
        list(pool.run([Job(broken_job, {})], workers=1))


def test_two_workers(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """Results come as they may, a job that fails fails alone, jobs are added on the way, all is heard here."""
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    heard: list[tuple[str, str, dict[str, Any]]] = []

    def listen(happening: str, call: Call, **facts: Any) -> None:
        heard.append((happening, call.function, facts))

    folder = str(tmp_path)
    jobs = [Job(failing_job, {"message": "no good"}), Job(where_job, {})]
    jobs += [Job(add_job, {"folder": folder, "number": float(n)}) for n in range(3)]
    late = Job(add_job, {"folder": folder, "number": 9.0})
    found = drain(pool.run(jobs, workers=2, listen=listen), {2: [late]})
    by_function: dict[Any, list[Outcome]] = {}
    for one in found:
        by_function.setdefault(one.job.function, []).append(one)
    assert [one.error for one in by_function[failing_job]] == ["no good"]
    assert sorted(one.result for one in by_function[add_job]) == [0.0, 1.0, 2.0, 9.0]
    (where,) = by_function[where_job]
    assert where.result[0] != os.getpid() and where.result[1:] == (1, "1")
    assert os.environ["OMP_NUM_THREADS"] == "2"
    assert ("progress", "toy", {"step": 5, "loss": 0.5, "words": "some"}) in heard  # Results stay where they are.
    assert sorted(what for what, function, _ in heard if function == "toy_add") == ["done"] * 4 + ["start"] * 4
    assert sorted(Store(folder).keys()) == sorted(add.call(n).key for n in (0.0, 1.0, 2.0, 9.0))


def test_a_killed_worker_is_told_of_and_what_was_finished_is_kept(tmp_path: pathlib.Path):
    outcomes = pool.run([Job(dying_job, {"folder": str(tmp_path)})], workers=2)
    with pytest.raises(Failed) as caught:
        list(outcomes)
    assert str(caught.value) == (
        "a worker process was killed, perhaps for want of memory. What was finished is kept: run the command again, "
        "with fewer workers if it happens twice."
    )
    assert Store(tmp_path).keys() == [add.call(77.0).key]


def test_a_pool_that_is_broken_when_more_is_asked_of_it_says_the_same(monkeypatch: pytest.MonkeyPatch):
    class Broken:
        """A pool whose worker dies as soon as its first job is done."""

        def __init__(self, *args: Any, **options: Any) -> None:
            self.jobs = 0

        def submit(self, *args: Any) -> pool.concurrent.futures.Future[Any]:
            self.jobs += 1
            if self.jobs > 1:
                raise pool.concurrent.futures.process.BrokenProcessPool("a child process terminated abruptly")
            future: pool.concurrent.futures.Future[Any] = pool.concurrent.futures.Future()
            future.set_result(1)
            return future

        def shutdown(self, **options: Any) -> None:
            pass

    monkeypatch.setattr(pool.concurrent.futures, "ProcessPoolExecutor", Broken)
    job = Job(where_job, {})
    with pytest.raises(Failed, match="^a worker process was killed"):
        drain(pool.run([job], workers=2), {1: [job]})


def test_warnings_of_workers_are_logged(monkeypatch: pytest.MonkeyPatch):
    """They would otherwise be written across the progress that the parent shows."""
    monkeypatch.setattr(pool, "_queue", None)
    try:
        pool._start("a queue")
        assert pool._queue == "a queue" and logging._warnings_showwarning is not None  # type: ignore[attr-defined]
    finally:
        logging.captureWarnings(False)

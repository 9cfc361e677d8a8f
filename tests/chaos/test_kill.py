"""A run that is killed with SIGKILL at random moments and started again ends in the same ticket file, byte for byte."""

import dataclasses
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from tombola.core import container
from tombola.core.errors import Damaged
from tombola.study.store import Store

SLOWEST = 300.0  # Seconds that a run may take on a machine that is busy with other things.


@dataclasses.dataclass(frozen=True)
class Job:
    """A `tombola find` with a folder of its own."""

    folder: pathlib.Path
    steps: int

    @property
    def store(self) -> pathlib.Path:
        return self.folder / "runs"

    @property
    def ticket(self) -> pathlib.Path:
        return self.folder / "winner.ticket"

    def start(self) -> subprocess.Popen[bytes]:
        self.folder.mkdir(exist_ok=True)
        recipe = f"recipe(steps={self.steps}, rewind={self.steps // 4}, batch=60, optimizer=adam, evaluate=1ep)"
        words = ["find", "mlp(hidden=(30, 20))", "digits", "--levels", "2", "--keep", "0.5", "--recipe", recipe]
        words += ["--store", str(self.store), "--out", str(self.ticket), "--machine", "machine(checkpoint=0.05)"]
        with open(self.folder / "log", "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-c", "import sys; from tombola.cli import main; sys.exit(main())", *words],
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    def signs(self) -> dict[str, tuple[int, int]]:
        """The files of half-done and finished work, with their times: what changes when a run works."""
        found = {}
        for path in (*self.store.glob("partial/*/*.safetensors"), *self.store.glob("*/*/record.json")):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            found[str(path)] = (status.st_mtime_ns, status.st_ino)
        return found

    def half_done(self) -> tuple[str, int]:
        """The call that was interrupted, and the step of its checkpoint."""
        for path in self.store.glob("partial/*/checkpoint.safetensors"):
            try:
                return path.parent.name, int(container.decode("checkpoint", path.read_bytes()).header["step"])
            except (Damaged, FileNotFoundError):
                continue
        return "", 0

    def said(self) -> str:
        return (self.folder / "log").read_text()[-3000:]


def wait_for_work(job: Job, process: subprocess.Popen[bytes]) -> bool:
    """Wait until the process has left a sign of training; False if it has ended before."""
    before, limit = job.signs(), time.monotonic() + SLOWEST
    while time.monotonic() < limit:
        if job.signs() != before:
            return True
        if process.poll() is not None:
            return False
        time.sleep(0.005)
    process.kill()
    raise AssertionError(f"no sign of work for {SLOWEST:.0f} s: {job.said()}")


def killed_and_restarted(job: Job, *, kills: int, span: float, seed: int) -> tuple[int, int]:
    """Kill and restart until done: the number of kills that hit, and of restarts that went on from a checkpoint."""
    moments, hits, resumed = random.Random(seed), 0, 0
    while True:
        interrupted, step = job.half_done()
        process = job.start()
        try:
            if hits < kills and wait_for_work(job, process):
                again, further = job.half_done()
                # A training that begins anew leaves its first checkpoint before the step that was reached.
                resumed += again == interrupted != "" and further > step
                time.sleep(moments.uniform(0, span))
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                    hits += process.wait() == -signal.SIGKILL
                    continue
            assert process.wait(timeout=SLOWEST) == 0, job.said()
            return hits, resumed
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def contents(job: Job) -> dict[str, Any]:
    """All that the store holds, by key: checksums of tensors, curves, scores and checks."""
    store, found = Store(job.store), {}
    for key in store.keys():
        record = store.record(key)
        curve = store.folder / key.replace(":", "/") / "rows.jsonl"
        rows = [json.loads(line) for line in curve.read_text().splitlines()] if curve.exists() else []
        tensors = {name: checksum for name, checksum in record["files"].items() if name != curve.name}
        header = {name: value for name, value in record["header"].items() if name != "cost"}
        found[key] = (tensors, rows, header)
    return found


def check(tmp_path: pathlib.Path, *, kills: int, steps: int, seed: int) -> None:
    whole = Job(tmp_path / "whole", steps)
    process = whole.start()
    assert wait_for_work(whole, process), whole.said()
    started = time.monotonic()
    assert process.wait() == 0, whole.said()
    span = (time.monotonic() - started) / (kills + 1)
    for attempt in range(3):  # Where the machine has grown faster since, the run is over before it was killed enough.
        broken = Job(tmp_path / f"broken-{attempt}", steps)
        hits, resumed = killed_and_restarted(broken, kills=kills, span=span / 3**attempt, seed=seed)
        if hits == kills:
            break
    assert hits == kills, f"the run was over after {hits} kills; make it longer"
    assert resumed >= max(1, kills // 4), f"{resumed} of {kills} restarts went on from a checkpoint"
    assert broken.ticket.read_bytes() == whole.ticket.read_bytes()
    assert contents(broken) == contents(whole)
    assert len(contents(whole)) == 6  # draw, and two cuts, each with the training before it, and the last training
    assert not list(broken.store.glob("partial/*")) and not (broken.store / "damaged").exists()


def test_a_run_killed_five_times_ends_in_the_same_file(tmp_path: pathlib.Path):
    check(tmp_path, kills=5, steps=1200, seed=5)


@pytest.mark.slow
def test_a_run_killed_twenty_times_ends_in_the_same_file(tmp_path: pathlib.Path):
    check(tmp_path, kills=20, steps=6000, seed=20)

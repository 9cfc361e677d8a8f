"""A fleet that is stopped and begun again from its checkpoints ends as if nothing had happened."""

import importlib
import os
import pathlib
import signal
import subprocess
import sys
from typing import Any

import pytest

from tests.train.test_fleet import Job, alone, jobs, together
from tests.train.toys import IMAGES, Convs, Points, same
from tombola.archs.mlp import Mlp
from tombola.core.call import Call
from tombola.core.machine import Machine
from tombola.study.step import Context
from tombola.train import checkpoint, fleet
from tombola.train.optimizers import Adam, AdamW, Sgd

run_module = importlib.import_module("tombola.train.run")
POINTS, MLP = Points(), Mlp(hidden=(8,))
CALL = Call("toy", 1, {})
ROOT = pathlib.Path(__file__).parents[2]
TRIO, SOLO = Machine(fleet=3, checkpoint=0.0), Machine(checkpoint=0.0)


class Interrupt(Exception):
    """What stops a training in these tests."""


@pytest.fixture(autouse=True)
def _short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "STRETCH", 5)
    fleet.HALLS.clear()


def stop_at(step: int, *, how: Any = None) -> Any:
    def listen(happening: str, call: Call, **facts: Any) -> None:
        if facts["step"] >= step:
            if how is not None:
                os.kill(os.getpid(), how)
            raise Interrupt

    return listen


def contexts(folder: pathlib.Path, **stops: Any) -> list[Context]:
    """Five, each with its own folder; `at3=12` stops everybody when the fourth comes to step 12."""
    made = [Context(TRIO, folder / str(number), call=CALL) for number in range(5)]
    for name, listen in stops.items():
        number = int(name.removeprefix("at"))
        made[number] = Context(TRIO, folder / str(number), listen, CALL)
    return made


def step_of(folder: pathlib.Path) -> int:
    kept = checkpoint.read(folder)
    return -1 if kept is None else kept.header["step"]


def check_all(found: list[Any], some: list[Job]) -> None:
    for number, job in enumerate(some):
        assert same(found[number], alone(job)), number


CASES = [
    (MLP, POINTS, Sgd(lr=0.05, decay=0.01), {}),
    (MLP, POINTS, AdamW(lr=0.01), {"clip": 0.5}),
    (Convs(), IMAGES, Adam(lr=0.01), {}),
]


@pytest.mark.parametrize(("arch", "task", "optimizer", "shared"), CASES, ids=[str(case[2]) for case in CASES])
def test_stopped_in_the_middle_and_begun_again(arch: Any, task: Any, optimizer: Any, shared: Any, tmp_path: Any):
    some = jobs(arch, task, optimizer, **shared)
    with pytest.raises(Interrupt):
        together(some, TRIO, contexts(tmp_path, at2=stop_at(12)))
    before = [step_of(tmp_path / str(number)) for number in range(5)]
    assert before[:3] != [-1, -1, -1] and len(set(before)) > 2 and before[4] == -1  # The fifth had no seat yet.
    told: dict[int, list[int]] = {number: [] for number in range(5)}

    def hears(number: int) -> Any:
        return lambda happening, call, **facts: told[number].append(facts["step"])

    check_all(together(some, TRIO, contexts(tmp_path, **{f"at{n}": hears(n) for n in range(5)})), some)
    assert all(told[n][0] > before[n] for n in range(5)), (told, before)
    assert max(before) > 10  # So it did not begin anew.


def test_stopped_at_every_stretch(tmp_path: pathlib.Path):
    some, stops, after = jobs(Convs(), IMAGES, Sgd(lr=0.05)), 0, 0
    found: list[Any] = []
    while not found:
        try:
            found = together(some, TRIO, contexts(tmp_path, **{f"at{n}": stop_at(after + n) for n in range(5)}))
        except Interrupt:
            stops, after = stops + 1, after + 2
            if after > 40:
                found = together(some, TRIO, contexts(tmp_path))
    assert stops > 10
    check_all(found, some)


@pytest.mark.parametrize("optimizer", [Sgd(lr=0.05), Adam(lr=0.01)], ids=["sgd", "adam"])
def test_begun_alone_and_ended_together_and_the_other_way_round(optimizer: Any, tmp_path: pathlib.Path):
    some = jobs(MLP, POINTS, optimizer)
    for number, step in ((0, 10), (1, 21), (3, 3)):
        with pytest.raises(Interrupt):
            alone(some[number], Context(SOLO, tmp_path / str(number), stop_at(step), CALL))
    before = [step_of(tmp_path / str(number)) for number in range(5)]
    assert before[0] >= 5 and before[1] >= 15 and before[2] == before[4] == -1 and len(set(before)) == 4
    with pytest.raises(Interrupt):
        together(some, TRIO, contexts(tmp_path, at0=stop_at(21)))
    after = [step_of(tmp_path / str(number)) for number in range(5)]
    assert all(a >= b for a, b in zip(after, before, strict=True)) and after[0] > before[0]
    for number, job in enumerate(some):
        assert same(alone(job, Context(SOLO, tmp_path / str(number))), alone(job)), number


def die(folder: str) -> None:
    """What another process does: train the fleet, and be killed in the middle of it."""
    vars(run_module)["STRETCH"] = 5
    together(jobs(MLP, POINTS, Sgd(lr=0.05)), TRIO, contexts(pathlib.Path(folder), at1=stop_at(18, how=signal.SIGKILL)))


def test_killed(tmp_path: pathlib.Path):
    script = f"from tests.train.test_fleet_resumed import die; die({str(tmp_path)!r})"
    process = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=False)
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()
    assert step_of(tmp_path / "1") >= 14
    some = jobs(MLP, POINTS, Sgd(lr=0.05))
    check_all(together(some, TRIO, contexts(tmp_path)), some)

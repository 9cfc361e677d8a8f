"""Processes that are timed start together, and the rate is counted right; no test looks at a time."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks import pipeline, throughput
from benchmarks.interleave import Ratio
from tombola.core.errors import Failed
from tombola.tasks.digits import Digits


def test_processes_go_together_when_the_last_one_is_ready(tmp_path: Path):
    late = f"import pathlib, time; time.sleep(0.3); pathlib.Path({str(tmp_path / 'late')!r}).touch(); print('ready')"
    early = "print('ready')"
    tell = f"import os; print(float(os.path.exists({str(tmp_path / 'late')!r})) + {{}})"
    scripts = [[early, tell.format(10)], [late, tell.format(100)]]
    commands = [[sys.executable, "-uc", f"{before}\nassert input() == 'go'\n{after}"] for before, after in scripts]
    assert throughput.rate(commands, os.environ) == 112


@pytest.mark.parametrize("script", ["", "print('hello'); input()", "print('ready'); input()"])
def test_a_process_that_ends_early_is_a_failure(script: str):
    with pytest.raises(Failed, match="ended early"):
        throughput.rate([[sys.executable, "-uc", script]], os.environ)


@pytest.mark.parametrize(
    ("way", "threads", "words"),
    [("ours", "1", [["ours", "0"], ["ours", "1"]]), ("usual, 2 workers", "2", [["usual", "2"]])],
)
def test_processes_have_the_threads_of_their_way_and_no_allocator_settings_from_outside(
    way: str, threads: str, words: list[list[str]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MALLOC_TOP_PAD_", "7")
    commands, environment = throughput._launched(way, 3.0)
    assert [command[3:] for command in commands] == [[*part, "3.0"] for part in words]
    assert environment["OMP_NUM_THREADS"] == threads
    assert not [name for name in environment if name.startswith("MALLOC_")]


def test_the_better_of_the_usual_ways_counts():
    assert throughput.gain({"ours": 3.0, "usual, 0 workers": 1.0, "usual, 2 workers": 2.0}) == 1.5


def test_every_order_of_the_ways_comes_up(monkeypatch: pytest.MonkeyPatch):
    order: list[str] = []

    def rate(commands: list[list[str]], environment: dict[str, str]) -> float:
        order.append(commands[0][3][0] + commands[0][4])
        return {"ours": 31.0, "usual": 10.0}[commands[0][3]] + int(commands[0][4])

    monkeypatch.setattr(throughput, "rate", rate)
    found = throughput.resnet(rounds=6)
    assert (found.ratio, found.better, found.bar) == (31 / 12, "higher", 1.35)
    assert found.name.endswith("(ours 31; usual, 0 workers 10; usual, 2 workers 12)")
    assert len({tuple(order[start : start + 3]) for start in range(0, 18, 3)}) == 6


def test_a_rate_is_pictures_by_seconds_up_to_the_end_of_the_last_step(monkeypatch: pytest.MonkeyPatch):
    now = [100.0]
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: now[0])

    def step() -> None:
        now[0] += 2.0

    assert throughput.stretch(step, pictures=6, seconds=3.0) == 3.0
    assert now == [104.0]


def test_steps_a_second_are_theirs_by_ours(monkeypatch: pytest.MonkeyPatch):
    fed: list[int] = []
    batches = throughput.batches

    def counted(task: Digits, *, size: int):
        for batch in batches(task, size=size):
            fed.append(len(batch[1]))
            yield batch

    def interleave(name: str, first, second, *, rounds: int, bar: float) -> Ratio:
        second()
        assert not fed
        first()
        return Ratio(name, 4.0, 3.0, 5.0, rounds, bar)

    monkeypatch.setattr(throughput, "batches", counted)
    monkeypatch.setattr(throughput, "interleave", interleave)
    found = throughput.lenet(Digits(), rounds=3, steps=2)
    assert fed == [60, 60]
    assert found.line().endswith("| 4.000 | 3.000 to 5.000 | 3 | at least 7 | NOT met |")


def test_the_pipeline_counts_pictures_epoch_by_epoch(monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []
    batch = Digits.batch
    monkeypatch.setattr(Digits, "batch", lambda task, step, **rest: asked.append(step) or batch(task, step, **rest))
    ours = pipeline.ours(Digits())
    assert [ours(), ours()] == [1437, 1437]
    assert asked == list(range(24))
    assert pipeline.usual(Digits())() == 1437 + 4 * 128  # Sixteen batches: the twelve of an epoch, then four more.

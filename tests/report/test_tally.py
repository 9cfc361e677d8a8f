"""The state of a run from its events, with numbers that a person can check; time is told, never asked."""

from typing import Any

import pytest

from tombola.report.tally import Left, Tally, what
from tombola.study.events import Event

CALL = "train(ticket=cut:1)"


def at(time: float, happening: str, key: str = "", **facts: Any) -> Event:
    function = {"function": key.partition(":")[0]} if key else {}
    return {"time": time, "event": happening, **({"key": key} if key else {}), **function, **facts}


def begun(*, workers: int = 2, stored: int = 0, seconds_left: float | None = None, **todo: int) -> Tally:
    return Tally(at(0.0, "run", study="s", workers=workers, stored=stored, todo=todo, seconds_left=seconds_left))


def start(tally: Tally, time: float, key: str) -> None:
    tally.see(at(time, "start", key, call=CALL, labels={}, worker=""))


def done(tally: Tally, time: float, key: str, seconds: float) -> None:
    tally.see(at(time, "done", key, seconds=seconds, numbers={}))


def state(tally: Tally) -> tuple[int, int, int, int, int, int]:
    """All, done, running, waiting, failed, blocked."""
    return (tally.all, tally.done, len(tally.running), tally.waiting, len(tally.failed), len(tally.blocked))


def test_steps_go_from_waiting_to_running_to_their_end():
    tally = begun(stored=10, train=4, cut=2)
    assert state(tally) == (16, 10, 0, 6, 0, 0)
    start(tally, 0.0, "train:1")
    start(tally, 0.0, "train:2")
    assert state(tally) == (16, 10, 2, 4, 0, 0)
    done(tally, 1.0, "train:1", 1.0)
    tally.see(at(1.0, "failed", "train:2", call=CALL, error="boom", traceback=""))
    tally.see(at(1.0, "blocked", "cut:2", because="train:2"))
    tally.see(at(1.0, "loaded", "train:3"))
    assert state(tally) == (16, 12, 0, 2, 1, 1) and tally.loaded == 1
    tally.see(at(2.0, "end", outcome="failed", done=2, failed=1, blocked=1, seconds=2.0))
    assert tally.outcome == "failed"


def test_what_runs_counts_by_its_progress():
    tally = begun(train=4)
    done(tally, 1.0, "train:1", 1.0)
    start(tally, 1.0, "train:2")
    tally.see(at(2.0, "progress", "train:2", step=50, steps=100, loss=0.25))
    assert tally.share == pytest.approx(1.5 / 4)
    assert tally.running["train:2"].note == "50 of 100 · loss 0.2500"
    tally.see(at(2.0, "progress", "train:2", step=1_000, steps=2_000, loss=float("nan")))
    assert tally.running["train:2"].note == "1,000 of 2,000 · loss nan"
    tally.see(at(2.0, "progress", "train:2", step=1_000, steps=2_000, loss=0.0000123))
    assert tally.running["train:2"].note == "1,000 of 2,000 · loss 1.2e-05"
    tally.see(at(2.0, "progress", "train:9", step=1, steps=2))  # Of nothing that was started.
    assert list(tally.running) == ["train:2"]


def test_what_is_told_twice_is_counted_once():
    tally = begun(train=3)
    for _ in range(2):
        done(tally, 1.0, "train:1", 1.0)
        tally.see(at(1.0, "loaded", "train:1"))
        tally.see(at(1.0, "failed", "train:2", call=CALL, error="boom", traceback=""))
        tally.see(at(1.0, "blocked", "train:3", because="train:2"))
    assert state(tally) == (3, 1, 0, 0, 1, 1) and tally.loaded == 0


def test_a_lost_step_waits_and_a_failed_one_may_be_tried_again():
    tally = begun(train=2)
    start(tally, 0.0, "train:1")
    tally.see(at(1.0, "lost", "train:1", worker="w", why="killed", attempt=1))
    assert state(tally) == (2, 0, 0, 2, 0, 0)
    tally.see(at(1.0, "failed", "train:1", call=CALL, error="boom", traceback=""))
    start(tally, 2.0, "train:1")
    assert state(tally) == (2, 0, 1, 1, 0, 0)
    done(tally, 3.0, "train:1", 1.0)
    assert state(tally) == (2, 1, 0, 1, 0, 0)


def test_a_damaged_result_is_to_do_again():
    tally = begun(stored=3, train=1)
    tally.see(at(0.0, "damaged", "cut:1", error="", aside="x"))
    assert state(tally) == (4, 2, 0, 2, 0, 0)
    done(tally, 1.0, "train:1", 1.0)
    tally.see(at(1.0, "damaged", "train:1", error="", aside="x"))  # Made in this run: it was to do all along.
    assert state(tally) == (4, 2, 0, 2, 0, 0)


def test_the_time_left_is_the_mean_of_the_same_function_over_the_workers():
    tally = begun(workers=2, train=6)
    assert tally.left(0.0) is None
    done(tally, 0.0, "train:1", 10.0)
    done(tally, 0.0, "train:2", 20.0)
    tally._spent.clear()  # So that at time 0 the pace is that of the workers.
    tally._spent["train"] += 30.0
    left = tally.left(10.0)  # 4 x 15 s of work; 30 s in 10 s and 2 workers for 5 s make a pace of 40 / 15.
    assert left == Left(pytest.approx(60 / (40 / 15)), least=False)


def test_a_chain_that_leaves_workers_idle_is_foreseen_at_its_own_pace():
    tally = begun(workers=8, train=20)
    for level in range(10):  # One after the other: 100 s each.
        start(tally, 100.0 * level, f"train:{level}")
        done(tally, 100.0 * (level + 1), f"train:{level}", 100.0)
    left = tally.left(1000.0)
    assert left is not None and 900 < left.seconds <= 1000


def test_time_foreseen_stands_in_for_functions_that_nothing_is_known_of():
    tally = begun(workers=1, train=2, cut=10, seconds_left=50.0)
    assert tally.left(0.0) == Left(50.0, least=False)
    for cut in range(5):
        done(tally, 0.0, f"cut:{cut}", 0.0)
    assert tally.left(0.0) == Left(50.0, least=False)  # All of it is in the trainings.
    many = begun(workers=4, train=10, seconds_left=50.0)
    assert many.left(0.0) == Left(50.0 / 4, least=False)


def test_nothing_known_of_some_functions_is_said():
    tally = begun(workers=1, train=1, cut=1)
    start(tally, 0.0, "train:1")
    assert tally.left(10.0) is None
    tally.see(at(10.0, "progress", "train:1", step=1, steps=4))
    left = tally.left(10.0)  # It is heading for 40 s, of which 10 are over; the pace is 1.
    assert left == Left(pytest.approx(30.0), least=True)
    done(tally, 40.0, "train:1", 40.0)
    assert tally.left(40.0) is None
    done(tally, 41.0, "cut:1", 1.0)
    assert tally.left(41.0) is None


def test_what_a_step_is_called():
    event = {"function": "train", "key": "train:1", "call": CALL, "labels": {"name": "ticket", "level": 3}}
    assert what(event) == "train name=ticket level=3"
    assert what(event | {"labels": {}}) == CALL
    assert what({"function": "train", "key": "train:1"}) == "train:1"
    assert what(event | {"labels": {"name": "\x1b[31mred\n"}}) == "train name= [31mred "

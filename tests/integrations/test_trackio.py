"""trackio: what is called, with a stand-in; what is read back from this machine, where the library is installed."""

import contextvars
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.integrations.toys import KEYS, STUDY, Recorder, labels, the_events
from tombola.integrations.mirror import mirror
from tombola.integrations.pages import Card
from tombola.integrations.trackio import Trackio

Calls = list[tuple[Any, ...]]


def name(level: int) -> str:
    label = "dense" if level == 0 else "ticket"
    return f"name={label}, level={level}, seed=0 {Card(STUDY, KEYS[level], '', '', {}, 0.0).id[:8]}"


@pytest.fixture
def calls(stand_in: Callable[..., Calls]) -> Calls:
    calls: Calls = []
    current: contextvars.ContextVar[str] = contextvars.ContextVar("current", default="")

    def init(**more: Any) -> Any:
        assert not current.get(), "trackio would finish the run before"
        current.set(more["name"])
        calls.append(("init", (), more))
        return Recorder(more["name"], calls, {})

    stand_in("trackio", trackio__init=init)
    return calls


def test_a_run_for_each_training_in_the_group_of_the_study(log: pathlib.Path, calls: Calls):
    sys.modules["trackio"].init(name="the user's own")  # It stays open.
    calls.clear()
    mirror(log, Trackio(project="p", space="lab/space"))
    inits = [more for called, _, more in calls if called == "init"]
    assert [more["name"] for more in inits] == [name(level) for level in KEYS]
    assert inits[1] == {
        "project": "p",
        "name": name(1),
        "group": STUDY,
        "space_id": "lab/space",
        "config": {**labels(1), "study": STUDY, "key": KEYS[1], "call": "train(ticket=cut:1)"},
        "resume": "allow",
        "embed": False,
        "auto_log_gpu": False,
        "auto_log_cpu": False,
    }
    of = {n: [(c.removeprefix(name(n)), a, m) for c, a, m in calls if c.startswith(name(n))] for n in KEYS}
    assert of[1] == [
        (".log", ({"loss": 1.0},), {"step": 0}),
        (".log", ({"loss": 1 / 11},), {"step": 10}),
        (".log", ({"loss": 1 / 21},), {"step": 20}),
        (".log", ({"test_accuracy": 0.91, "checks_failed": 1},), {"step": 20}),
        (".finish", (), {}),
    ]
    assert of[3][-2][:2] == (".alert", ("failed", "the loss is not finite")) and of[3][-2][2]["step"] == 10
    assert of[3][-1] == (".finish", (), {})


def test_it_is_silent_on_standard_output(log: pathlib.Path, calls: Calls, capsys: pytest.CaptureFixture[str]):
    import trackio  # pyright: ignore[reportMissingImports]

    mirror(log, Trackio())
    vars(trackio)["print"]("* Trackio project initialized")
    assert capsys.readouterr().out == ""


@pytest.mark.filterwarnings("default")  # Theirs.
def test_what_it_writes_can_be_read_back(
    log: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    pytest.importorskip("trackio", reason="needs pip install 'tombola[trackio]'")
    from trackio import sqlite_storage  # pyright: ignore[reportMissingImports]

    for module in ("trackio.sqlite_storage", "trackio.utils"):
        monkeypatch.setattr(f"{module}.TRACKIO_DIR", log.parent / "trackio")
    with Trackio().open(STUDY, log.parent) as live:
        for event in the_events():
            live(event)
    assert not live.failed and mirror(log, Trackio()) == 0
    storage = sqlite_storage.SQLiteStorage
    assert sorted(storage.get_runs("tombola")) == sorted(name(level) for level in KEYS)
    rows = storage.get_logs("tombola", name(1))
    assert [(row["step"], row["loss"]) for row in rows if "loss" in row] == [(0, 1.0), (10, 1 / 11), (20, 1 / 21)]
    assert [row["test_accuracy"] for row in rows if "test_accuracy" in row] == [0.91]
    config = storage.get_run_config("tombola", name(1))
    assert (config["level"], config["_Group"]) == (1, STUDY)
    assert capsys.readouterr().out == ""

"""W&B: what is called, with a stand-in; where the library is installed, a run offline."""

import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.integrations.toys import KEYS, STUDY, Recorder, begun, labels, progress, start, the_events, written
from tombola.core.errors import Refused
from tombola.core.text import parse
from tombola.integrations.mirror import mirror
from tombola.integrations.pages import Card
from tombola.integrations.wandb import Wandb

OFFLINE = Wandb(mode="offline")


class Run(Recorder):
    """A run that is new, or one that has ten steps already."""

    resumed, step = False, 0


class Resumed(Recorder):
    resumed, step = True, 11


@pytest.fixture
def calls(stand_in: Callable[..., list[tuple[Any, ...]]]) -> list[tuple[Any, ...]]:
    return runs(stand_in, Run)


def runs(stand_in: Callable[..., list[tuple[Any, ...]]], kind: type[Recorder]) -> list[tuple[Any, ...]]:
    calls: list[tuple[Any, ...]] = []
    made = stand_in("wandb", wandb__init=lambda **more: calls.append(("init", (), more)) or kind(more["id"], calls, {}))
    made.append(calls)
    return calls


def test_texts():
    assert parse("sink", "wandb(mode='offline')") == OFFLINE and str(OFFLINE) == "wandb(mode='offline')"


def test_a_run_for_each_training_in_the_group_of_the_study(log: pathlib.Path, calls: list[tuple[Any, ...]]):
    mirror(log, Wandb(project="p", entity="lab", mode="offline"))
    ids = {level: Card(STUDY, key, "", "", {}, 0.0).id for level, key in KEYS.items()}
    inits = [more for name, _, more in calls if name == "init"]
    assert [more["id"] for more in inits] == list(ids.values())
    first = {name: value for name, value in inits[1].items() if name not in ("settings", "id")}
    assert first == {
        "project": "p",
        "entity": "lab",
        "mode": "offline",
        "dir": str(log.parent),
        "group": STUDY,
        "job_type": "train",
        "name": "name=ticket, level=1, seed=0",
        "config": {**labels(1), "study": STUDY, "key": KEYS[1], "call": "train(ticket=cut:1)"},
        "reinit": "create_new",
    }
    of = {level: [(n.removeprefix(ids[level]), a, m) for n, a, m in calls if n.startswith(ids[level])] for level in ids}
    assert of[1] == [
        (".log", ({"loss": 1.0},), {"step": 0}),
        (".log", ({"loss": 1 / 11},), {"step": 10}),
        (".log", ({"loss": 1 / 21},), {"step": 20}),
        (".summary.update", ({"test_accuracy": 0.91, "checks_failed": 1},), {}),
        (".finish", (), {"exit_code": 0}),
    ]
    assert of[3][-2:] == [
        (".summary.update", ({"error": "the loss is not finite"},), {}),
        (".finish", (), {"exit_code": 1}),
    ]


def test_it_is_a_guest(stand_in: Callable[..., list[tuple[Any, ...]]], log: pathlib.Path):
    asked: dict[str, Any] = {}
    stand_in("wandb", wandb__Settings=lambda **more: asked.update(more), wandb__init=lambda **more: Run("", [], {}))
    mirror(log, OFFLINE)
    assert asked == {"silent": True, "console": "off", "x_disable_stats": True, "disable_git": True}


def test_online_a_run_is_resumed_after_what_the_server_has(
    stand_in: Callable[..., list[tuple[Any, ...]]], tmp_path: pathlib.Path
):
    calls = runs(stand_in, Resumed)
    events = [begun(), start(1, 1), *(progress(2 + step, 1, step, 0.5) for step in (0, 10, 20))]
    mirror(written(tmp_path / "s" / "events.jsonl", events), Wandb())
    assert calls[0][2]["resume"] == "allow"
    assert [more for name, _, more in calls if name.endswith(".log")] == [{"step": 20}]
    assert calls[-1][0].endswith(".finish") and calls[-1][2] == {}  # Left, not finished: it may go on.


def test_without_a_key_it_is_refused_before_the_study_begins(
    stand_in: Callable[..., list[tuple[Any, ...]]], tmp_path: pathlib.Path
):
    asked: list[dict[str, Any]] = []
    stand_in("wandb", wandb__login=lambda **more: bool(asked.append(more)))
    with pytest.raises(Refused, match=r"wandb is not logged in here: run wandb login, or take wandb\(mode='offline'\)"):
        Wandb().open(STUDY, tmp_path)
    assert asked == [{"prompt": False}]
    OFFLINE.open(STUDY, tmp_path)


@pytest.mark.filterwarnings("default")  # Theirs.
def test_it_writes_runs_offline(tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]):
    pytest.importorskip("wandb", reason="needs pip install 'tombola[wandb]'")
    with OFFLINE.open(STUDY, tmp_path) as live:
        for event in the_events():
            live(event)
    assert not live.failed
    written = {
        path.stem.removeprefix("run-"): path.read_bytes() for path in tmp_path.glob("wandb/offline-run-*/*.wandb")
    }
    assert set(written) == {Card(STUDY, key, "", "", {}, 0.0).id for key in KEYS.values()}
    data = written[Card(STUDY, KEYS[1], "", "", {}, 0.0).id]
    assert all(word in data for word in (b"name=ticket, level=1, seed=0", STUDY.encode(), b"test_accuracy", b"0.91"))
    assert capfd.readouterr().out == ""  # Standard output is for results.

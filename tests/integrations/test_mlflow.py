"""MLflow: what is called, with a stand-in; what is read back from a local store, where the library is installed."""

import math
import pathlib
import types
from collections.abc import Callable
from typing import Any

import pytest

from tests.integrations.toys import KEYS, STUDY, labels, the_events
from tombola.integrations.mirror import mirror
from tombola.integrations.mlflow import Mlflow
from tombola.integrations.pages import Card, digest

Calls = list[tuple[Any, ...]]


@pytest.fixture
def server(stand_in: Callable[..., Calls]) -> tuple[Calls, dict[str, str]]:
    """The calls of the client, and the runs of the server: mark -> id."""
    runs: dict[str, str] = {}

    def create(experiment: str, **more: Any) -> Any:
        runs[more["tags"]["tombola.id"]] = f"run {len(runs)}"
        return run(f"run {len(runs) - 1}")

    def search(experiments: list[str], mark: str, **more: Any) -> list[Any]:
        return [run(name) for known, name in runs.items() if mark == f"tags.`tombola.id` = '{known}'"]

    client = "mlflow__MlflowClient()__"
    answers = {
        "mlflow__get_tracking_uri": lambda: "sqlite:///x.db",
        "mlflow__entities__Metric": lambda *given: given,
        "mlflow__entities__Param": lambda *given: given,
        client + "get_experiment_by_name": lambda name: None,
        client + "create_experiment": lambda name: f"experiment {name}",
        client + "create_run": create,
        client + "search_runs": search,
        client + "get_metric_history": lambda run, key: [],
    }
    return stand_in("mlflow", **answers), runs


def run(name: str) -> Any:
    return types.SimpleNamespace(info=types.SimpleNamespace(run_id=name))


def of(calls: Calls, *names: str) -> Calls:
    """The calls of the client with one of these names."""
    return [(name.rpartition(".")[2], *rest) for name, *rest in calls if name.rpartition(".")[2] in names]


def test_a_run_for_the_study_and_one_nested_in_it_for_each_training(log: pathlib.Path, server: Any):
    calls, runs = server
    mirror(log, Mlflow(uri="http://tracking:5000", experiment="e"))
    assert ("mlflow.MlflowClient", (), {"tracking_uri": "http://tracking:5000"}) in calls
    made = of(calls, "create_run")
    assert [args for _, args, _ in made] == [("experiment e",)] * 5
    parent, _, first, *_ = [more for *_, more in made]
    assert parent == {
        "start_time": 1_800_000_000_000,
        "run_name": STUDY,
        "tags": {"tombola.id": digest(STUDY), "tombola.study": STUDY},
    }
    assert first == {
        "start_time": 1_800_000_000_400,
        "run_name": "name=ticket, level=1, seed=0",
        "tags": {
            "tombola.id": Card(STUDY, KEYS[1], "", "", {}, 0.0).id,
            "tombola.study": STUDY,
            "mlflow.parentRunId": "run 0",
            "tombola.key": KEYS[1],
            "tombola.function": "train",
        },
    }
    batches = [more for _, args, more in of(calls, "log_batch") if args == ("run 2",)]
    assert dict(batches[0]["params"]) == {
        **{name: str(value) for name, value in labels(1).items()},
        "study": STUDY,
        "key": KEYS[1],
        "call": "train(ticket=cut:1)",
    }
    assert batches[2] == {"metrics": [("loss", 1 / 11, 1_800_000_011_000, 10)]}
    assert batches[-1]["metrics"] == [
        ("test_accuracy", 0.91, 1_800_000_022_000, 20),
        ("checks_failed", 1.0, 1_800_000_022_000, 20),
    ]
    ended = {args[0]: (args[1], more["end_time"]) for _, args, more in of(calls, "set_terminated")}
    assert ended["run 2"] == ("FINISHED", 1_800_000_022_000) and ended["run 4"] == ("FAILED", 1_800_000_012_000)
    assert ended["run 0"] == ("FAILED", 1_800_000_023_000)
    assert ("set_tag", ("run 4", "tombola.error", "the loss is not finite"), {}) in of(calls, "set_tag")


def test_runs_that_are_there_are_found_again(log: pathlib.Path, server: Any):
    calls, runs = server
    mirror(log, Mlflow())
    (ledger,) = (log.parent / "mirrored").iterdir()
    ledger.unlink()
    calls.clear()
    mirror(log, Mlflow())
    assert not of(calls, "create_run") and len(runs) == 5
    assert not [more for *_, more in of(calls, "log_batch") if "params" in more]  # MLflow lets none be changed.
    assert {args[0] for _, args, _ in of(calls, "update_run")} == set(runs.values())


def test_another_server_has_another_ledger(log: pathlib.Path, server: Any, monkeypatch: pytest.MonkeyPatch):
    mirror(log, Mlflow())
    monkeypatch.setattr(Mlflow, "place", lambda self: "http://elsewhere")
    assert mirror(log, Mlflow()) == 3


@pytest.mark.filterwarnings("default")  # Theirs.
def test_what_it_writes_can_be_read_back_and_a_lost_ledger_doubles_nothing(log: pathlib.Path):
    mlflow = pytest.importorskip("mlflow", reason="needs pip install 'tombola[mlflow]'")
    sink = Mlflow(uri=f"sqlite:///{log.parent}/ml.db")
    with sink.open(STUDY, log.parent) as live:
        for event in the_events():
            live(event)
    assert not live.failed
    client = mlflow.MlflowClient(tracking_uri=sink.uri)
    for _ in range(2):
        experiment = client.get_experiment_by_name("tombola").experiment_id
        found = {run.data.tags.get("tombola.key", "study"): run for run in client.search_runs([experiment])}
        assert {key: run.info.status for key, run in found.items()} == {
            "study": "FAILED",
            **{KEYS[level]: "FINISHED" for level in (0, 1, 2)},
            KEYS[3]: "FAILED",
        }
        run = found[KEYS[1]]
        assert run.data.tags["mlflow.parentRunId"] == found["study"].info.run_id
        assert run.data.params["level"] == "1" and run.data.metrics["test_accuracy"] == 0.91
        points = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "loss")]
        assert points == [(0, 1.0), (10, 1 / 11), (20, 1 / 21)]
        assert len(client.get_metric_history(run.info.run_id, "test_accuracy")) == 1
        assert math.isnan(found[KEYS[3]].data.metrics["loss"])
        (ledger,) = (log.parent / "mirrored").iterdir()
        ledger.unlink()
        assert mirror(log, sink) == 3

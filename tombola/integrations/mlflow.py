"""MLflow: a run for each study, and nested in it a run for each training."""

import pathlib
from collections.abc import Mapping
from typing import Any, ClassVar

from tombola.core.plugin import plugin
from tombola.integrations.mirror import Sink
from tombola.integrations.pages import Card, Number, digest
from tombola.study.events import Event

STATUS = {"complete": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}
LONGEST = 6000  # Letters of a parameter.


@plugin("sink", "mlflow")
class Mlflow(Sink):
    """Nested runs in MLflow; `uri` is the tracking server or store ("": what MLflow itself is set to)."""

    uri: str = ""
    experiment: str = "tombola"

    library: ClassVar[str] = "mlflow"

    def book(self, study: str, folder: pathlib.Path) -> "_Book":
        """A run of the experiment, made or found when something happens."""
        return _Book(self.load(), self, study)

    def place(self) -> str:
        """The server or store that MLflow is set to."""
        return self.uri or str(self.load().get_tracking_uri())


class _Book:
    """MLflow's client is used, not its module-wide state: a run that the user has open stays the user's."""

    def __init__(self, mlflow: Any, sink: Mlflow, study: str) -> None:
        self.mlflow, self.study = mlflow, study
        self.client = mlflow.MlflowClient(tracking_uri=sink.uri or None)
        found = self.client.get_experiment_by_name(sink.experiment)
        self.experiment: str = found.experiment_id if found else self.client.create_experiment(sink.experiment)
        self.parent = ""

    def begin(self, run: Event) -> None:
        self._begin(run["time"])
        for name in ("command", "engine", "workers"):
            self.client.set_tag(self.parent, f"tombola.{name}", str(run.get(name, "")))

    def _begin(self, time: float) -> None:
        if not self.parent:
            self.parent, _ = self.run(digest(self.study), self.study, {}, time=time)
        self.client.update_run(self.parent, status="RUNNING")

    def run(self, name_of: str, name: str, tags: Mapping[str, str], *, time: float) -> tuple[str, bool]:
        """The id of the run with this mark, and whether it is new."""
        there = self.client.search_runs([self.experiment], f"tags.`tombola.id` = '{name_of}'", max_results=1)
        if there:
            return there[0].info.run_id, False
        made = self.client.create_run(
            self.experiment,
            start_time=round(1000 * time),
            run_name=name,
            tags={"tombola.id": name_of, "tombola.study": self.study, **tags},
        )
        return made.info.run_id, True

    def page(self, card: Card) -> "_Page":
        if not self.parent:
            self._begin(card.time)
        tags = {"mlflow.parentRunId": self.parent, "tombola.key": card.key, "tombola.function": card.function}
        run, new = self.run(card.id, card.name, tags, time=card.time)
        if new:
            parameter = self.mlflow.entities.Param
            settings = [parameter(name, str(value)[:LONGEST]) for name, value in card.settings.items()]
            self.client.log_batch(run, params=settings)
        else:
            self.client.update_run(run, status="RUNNING")
        return _Page(self.mlflow, self.client, run, new=new)

    def close(self, outcome: str, *, time: float) -> None:
        if self.parent and outcome:
            self.client.set_terminated(self.parent, STATUS.get(outcome, "FINISHED"), end_time=round(1000 * time))


class _Page:
    def __init__(self, mlflow: Any, client: Any, run: str, *, new: bool) -> None:
        self.mlflow, self.client, self.run = mlflow, client, run
        known = [] if new else client.get_metric_history(run, "loss")
        self.last: int = max((point.step for point in known), default=-1)

    def log(self, numbers: Mapping[str, Number], *, step: int, time: float) -> None:
        metric, stamp = self.mlflow.entities.Metric, round(1000 * time)
        points = [metric(name, float(value), stamp, step) for name, value in numbers.items()]
        self.client.log_batch(self.run, metrics=points)

    def finish(self, numbers: Mapping[str, Number], *, error: str, time: float) -> None:
        self.log(numbers, step=max(self.last, 0), time=time)
        if error:
            self.client.set_tag(self.run, "tombola.error", error)
        status = "FAILED" if error else "FINISHED"
        self.client.set_terminated(self.run, status, end_time=round(1000 * time))

    def leave(self) -> None:
        """It stays a run that is under way."""

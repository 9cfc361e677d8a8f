"""Weights & Biases: a group for each study, in it a run for each training."""

import pathlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any, ClassVar, Literal

from tombola.core.errors import Refused
from tombola.core.plugin import plugin
from tombola.integrations.mirror import Sink
from tombola.integrations.pages import Card, Number
from tombola.study.events import Event

LONGEST = 128  # Letters of a name.


@plugin("sink", "wandb")
class Wandb(Sink):
    """Runs in W&B, grouped by study; offline they lie in the study's folder until `wandb sync` sends them."""

    project: str = "tombola"
    entity: str = ""
    mode: Literal["online", "offline"] = "online"

    library: ClassVar[str] = "wandb"

    def book(self, study: str, folder: pathlib.Path) -> "_Book":
        """A group of the project."""
        folder.mkdir(parents=True, exist_ok=True)
        return _Book(self.load(), self, study, folder)

    def load(self) -> ModuleType:
        """The library, logged in: later, in the middle of a study, W&B would ask for the key."""
        wandb = super().load()
        if self.mode == "online" and not wandb.login(prompt=False):
            raise Refused(
                "wandb is not logged in here: run wandb login, or take wandb(mode='offline') and send it later."
            )
        return wandb


class _Book:
    def __init__(self, wandb: Any, sink: Wandb, study: str, folder: pathlib.Path) -> None:
        self.wandb, self.sink, self.study, self.folder = wandb, sink, study, folder

    def begin(self, run: Event) -> None:
        """A group needs no making."""

    def page(self, card: Card) -> "_Page":
        resume = {"resume": "allow"} if self.sink.mode == "online" else {}  # Offline, W&B cannot know what is there.
        run = self.wandb.init(
            project=self.sink.project,
            entity=self.sink.entity or None,
            mode=self.sink.mode,
            dir=str(self.folder),
            group=self.study[:LONGEST],
            job_type=card.function,
            id=card.id,
            name=card.name[:LONGEST],
            config=card.settings,
            reinit="create_new",
            # It is a guest: it says nothing, takes no output of ours and watches neither the machine nor the code.
            settings=self.wandb.Settings(silent=True, console="off", x_disable_stats=True, disable_git=True),
            **resume,
        )
        return _Page(run)

    def close(self, outcome: str, *, time: float) -> None:
        """Every page was closed on its own."""


class _Page:
    def __init__(self, run: Any) -> None:
        self.run = run
        self.last: int = run.step - 1 if run.resumed else -1

    def log(self, numbers: Mapping[str, Number], *, step: int, time: float) -> None:
        self.run.log(dict(numbers), step=step)

    def finish(self, numbers: Mapping[str, Number], *, error: str, time: float) -> None:
        self.run.summary.update({**numbers, "error": error} if error else dict(numbers))
        self.run.finish(exit_code=1 if error else 0)

    def leave(self) -> None:
        self.run.finish()

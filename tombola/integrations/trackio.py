"""trackio: a group for each study, in it a run for each training; local, or in a Space of the hub."""

import contextvars
import logging
import pathlib
import sys
from collections.abc import Mapping
from typing import Any, ClassVar

from tombola.core.plugin import plugin
from tombola.integrations.mirror import Sink
from tombola.integrations.pages import Card, Number
from tombola.study.events import Event

log = logging.getLogger(__name__)


@plugin("sink", "trackio")
class Trackio(Sink):
    """Runs in trackio, grouped by study; `space` is a Space of the hub ("": this machine, `trackio show`)."""

    project: str = "tombola"
    space: str = ""

    library: ClassVar[str] = "trackio"

    def book(self, study: str, folder: pathlib.Path) -> "_Book":
        """A group of the project."""
        return _Book(self.load(), self, study)


class _Book:
    def __init__(self, trackio: Any, sink: Trackio, study: str) -> None:
        self.trackio, self.sink, self.study = trackio, sink, study
        # trackio prints on standard output, where only results belong: it gets a `print` of its own.
        for name in ("trackio", "trackio.run", "trackio.utils", "trackio.deploy"):
            if name in sys.modules:
                vars(sys.modules[name])["print"] = _note

    def begin(self, run: Event) -> None:
        """A group needs no making."""

    def page(self, card: Card) -> "_Page":
        # Where trackio remembers the current run it finishes that one first; several run here side by side.
        run = contextvars.Context().run(
            self.trackio.init,
            project=self.sink.project,
            name=f"{card.name} {card.id[:8]}",
            group=self.study,
            space_id=self.sink.space or None,
            config=card.settings,
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        return _Page(self.trackio, run)

    def close(self, outcome: str, *, time: float) -> None:
        """Every page was closed on its own."""


class _Page:
    def __init__(self, trackio: Any, run: Any) -> None:
        self.trackio, self.run, self.last = trackio, run, -1

    def log(self, numbers: Mapping[str, Number], *, step: int, time: float) -> None:
        self.run.log(dict(numbers), step=step)

    def finish(self, numbers: Mapping[str, Number], *, error: str, time: float) -> None:
        step = max(self.last, 0)
        if numbers:
            self.run.log(dict(numbers), step=step)
        if error:
            self.run.alert("failed", error, level=self.trackio.AlertLevel.ERROR, step=step)
        self.run.finish()

    def leave(self) -> None:
        self.run.finish()


def _note(*words: Any, **more: Any) -> None:
    log.debug(" ".join(map(str, words)))

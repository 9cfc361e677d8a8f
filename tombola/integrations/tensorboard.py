"""TensorBoard: a folder for each training; `tensorboard --logdir FOLDER` shows them side by side."""

import pathlib
from collections.abc import Mapping
from typing import Any, ClassVar

from tombola.core.plugin import plugin
from tombola.integrations.mirror import Sink
from tombola.integrations.pages import Card, Ledger, Number, slug
from tombola.study.events import Event


@plugin("sink", "tensorboard")
class TensorBoard(Sink):
    """Curves and final numbers for TensorBoard, in `folder` ("": the folder of the study, tensorboard)."""

    folder: str = ""

    library: ClassVar[str] = "tensorboard"

    def book(self, study: str, folder: pathlib.Path) -> "_Book":
        """A folder with a folder for each training."""
        return _Book(self._home(study, folder))

    def ledger(self, study: str, folder: pathlib.Path) -> Ledger:
        """It lies in the same folder: whoever removes that gets everything anew."""
        return Ledger(self._home(study, folder) / "mirrored.jsonl")

    def _home(self, study: str, folder: pathlib.Path) -> pathlib.Path:
        return pathlib.Path(self.folder) / slug(study) if self.folder else folder / "tensorboard"


class _Book:
    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder

    def begin(self, run: Event) -> None:
        """TensorBoard shows no studies, only what is in them."""

    def page(self, card: Card) -> "_Page":
        return _Page(self.folder / f"{slug(card.name)}-{card.id[:8]}", card)

    def close(self, outcome: str, *, time: float) -> None:
        """Every page was closed on its own."""


class _Page:
    """A writer is made for the first number, and says from which step on older files of the folder no longer count."""

    def __init__(self, folder: pathlib.Path, card: Card) -> None:
        self.folder, self.card, self.last = folder, card, -1
        self._writer: Any = None

    def _writing(self, step: int) -> Any:
        from torch.utils.tensorboard.writer import SummaryWriter

        if self._writer is None:
            again = self.folder.exists()
            self._writer = SummaryWriter(str(self.folder), purge_step=step if again else None, flush_secs=10)
        return self._writer

    def log(self, numbers: Mapping[str, Number], *, step: int, time: float) -> None:
        for name, value in numbers.items():
            self._writing(step).add_scalar(name, value, step, walltime=time)

    def finish(self, numbers: Mapping[str, Number], *, error: str, time: float) -> None:
        from torch.utils.tensorboard.summary import hparams

        step = max(self.last, 0)
        writer = self._writing(self.last + 1)
        for name, value in numbers.items():
            writer.add_scalar(f"final/{name}", value, step, walltime=time)
        if error:
            writer.add_text("failed", error, step, walltime=time)
        settings = {**self.card.labels, "key": self.card.key}
        for summary in hparams(settings, {f"final/{name}": value for name, value in numbers.items()}):
            writer.file_writer.add_summary(summary, walltime=time)
        writer.close()

    def leave(self) -> None:
        if self._writer is not None:
            self._writer.close()

"""The training loop: from a ticket's weights to a step, masked, audited, checkpointed."""

import contextlib
import math
import time
from collections.abc import Generator

import torch
from torch import Tensor, nn

from tombola.core.artifact import Parts
from tombola.core.errors import Failed, Refused
from tombola.core.machine import Machine
from tombola.core.seeds import Seeds
from tombola.core.task import Task
from tombola.core.ticket import Ticket
from tombola.study.step import Context
from tombola.train import checkpoint
from tombola.train.checkpoint import Progress
from tombola.train.evaluate import evaluate
from tombola.train.masked import Masking
from tombola.train.recipe import Recipe

STRETCH = 100  # Steps between two looks at the loss and the clock.


class Run:
    """One training under way: network, optimiser and mask, and how far it is (`progress`)."""

    def __init__(self, ticket: Ticket, task: Task, recipe: Recipe, seeds: Seeds, context: Context) -> None:
        self.ticket, self.task, self.recipe, self.seeds, self.context = ticket, task, recipe, seeds, context
        self.device = torch.device(context.machine.device)
        self.net = ticket.module().to(self.device)
        if len(ticket.io.inputs) == 3:
            self.net = self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = recipe.optimizer.make(self.net.parameters())
        self.masking = Masking(self.net, ticket.mask)
        self.progress = Progress(step=ticket.step)
        self.good: Parts | None = None
        self.audits = 0

    def to_step(self, end: int) -> dict[str, Tensor]:
        """Train up to a step, from a checkpoint if there is one; gives the state dict, or the best one if so asked.

        Raises:
            Failed: If the loss is no longer finite.
        """
        with threads(self.context.machine):
            self._resume()
            self.net.train()
            self.good = checkpoint.pack(self.net, self.optimizer, self.progress)
            saved = started = time.monotonic()
            before = self.progress.seconds
            every = int(self.recipe.evaluate) or end
            while self.progress.step < end and not self._out_of_patience():
                point = min(end, (self.progress.step // every + 1) * every)
                self._stretch(min(point, self.progress.step + STRETCH))
                self.progress.seconds = before + time.monotonic() - started
                if self.progress.step == point:
                    self._point_of_curve()
                    self.good = checkpoint.pack(self.net, self.optimizer, self.progress)
                if time.monotonic() - saved > self.context.machine.checkpoint:
                    self._checkpoint(checkpoint.pack(self.net, self.optimizer, self.progress))
                    saved = time.monotonic()
                self.context.tell(step=self.progress.step, steps=end, loss=float(self._losses()[-1]))
            self.masking.audit(self.optimizer, step=self.progress.step)
            self.audits += 1
            self.progress.seconds = before + time.monotonic() - started
        best = self.recipe.select == "best" and self.progress.best
        final = self.progress.best if best else self.net.state_dict()
        return {name: value.detach().cpu().contiguous().clone() for name, value in final.items()}

    def _stretch(self, end: int) -> None:
        """The steps up to `end`, without reading anything back from the device; then one look at the losses."""
        recipe, net, optimizer = self.recipe, self.net, self.optimizer
        half = contextlib.nullcontext()
        if recipe.precision == "bfloat16":
            half = torch.autocast(self.device.type, dtype=torch.bfloat16)
        fresh: list[Tensor] = []
        for step in range(self.progress.step, end):
            rate = self.rate(step)
            for group in optimizer.param_groups:
                group["lr"] = rate
            inputs, targets = self.task.batch(
                step, seeds=self.seeds, size=recipe.batch, holdout=recipe.holdout, device=self.device
            )
            with half:
                loss = self.task.loss(net(inputs), targets, smoothing=recipe.smoothing)
            optimizer.zero_grad()
            loss.backward()
            self.masking.mask_gradients()
            if recipe.clip:
                nn.utils.clip_grad_norm_(net.parameters(), recipe.clip)
            optimizer.step()
            fresh.append(loss.detach())
        finite = torch.isfinite(torch.stack(fresh))
        if not bool(finite.all()):
            self._diverged(self.progress.step + int((~finite).nonzero()[0]))
        self.progress.losses += fresh
        self.progress.step = end

    def rate(self, step: int) -> float:
        """The learning rate of a step: the schedule's, or when fine-tuning its last one throughout."""
        return self.recipe.rate(int(self.recipe.steps) - 1 if self.ticket.restart == "fine-tune" else step)

    def _losses(self) -> list[Tensor]:
        return self.progress.losses or [torch.tensor(self.progress.rows[-1]["train_loss"])]

    def _point_of_curve(self) -> None:
        """Audit the mask, and add validation and test scores and the mean training loss since the last point."""
        progress, recipe = self.progress, self.recipe
        self.masking.audit(self.optimizer, step=progress.step)
        self.audits += 1
        row: dict[str, float] = {
            "step": progress.step,
            "rate": self.rate(progress.step - 1),
            "train_loss": float(torch.stack(progress.losses).double().mean()),
        }
        for split in ("validation", "test") if recipe.validation else ("test",):
            score = evaluate(self.net, self.task, split, holdout=recipe.holdout, device=self.device)
            row |= {f"{split}_accuracy": score.accuracy, f"{split}_loss": score.loss}
        if not finite([row]):  # The last update may have overflowed where no training loss shows it.
            self._diverged(progress.step - 1)
        progress.rows.append(row)
        progress.losses = []
        if recipe.validation:
            progress.stale += 1
            if row["validation_accuracy"] > progress.best_accuracy:
                progress.best_accuracy, progress.best_step, progress.stale = (
                    row["validation_accuracy"],
                    progress.step,
                    0,
                )
                if recipe.select == "best":
                    progress.best = {name: value.detach().clone() for name, value in self.net.state_dict().items()}

    def _out_of_patience(self) -> bool:
        return 0 < self.recipe.patience <= self.progress.stale

    def _resume(self) -> None:
        found = checkpoint.read(self.context.scratch) if self.context.scratch is not None else None
        if found is not None:
            self.progress = checkpoint.unpack(found, self.net, self.optimizer)

    def _checkpoint(self, parts: Parts) -> None:
        if self.context.scratch is not None:
            checkpoint.write(self.context.scratch, parts)

    def _diverged(self, step: int) -> None:
        assert self.good is not None
        self._checkpoint(self.good)
        kept = (
            f"The state at step {self.good.header['step']} is kept in {self.context.scratch}. "
            if self.context.scratch
            else ""
        )
        raise Failed(
            f"the loss is no longer finite at step {step} of {self.recipe.steps} ({self.ticket!r}, {self.recipe}, "
            f"{self.seeds}). {kept}Lower the rate, warm up, or clip the gradients."
        )


@contextlib.contextmanager
def threads(machine: Machine) -> Generator[None]:
    """The machine's number of threads while a computation runs, then what was there before."""
    before = torch.get_num_threads()
    torch.set_num_threads(machine.threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check(ticket: Ticket, task: Task, recipe: Recipe) -> None:
    """Whether ticket, task and recipe belong together.

    Raises:
        Refused: If they do not.
    """
    if ticket.io != task.io:
        raise Refused(f"{ticket!r} is a network for {ticket.io}; {task} needs {task.io}. Transplant the ticket first.")
    if ticket.step >= int(recipe.steps):
        raise Refused(f"{ticket!r} starts at step {ticket.step}; the recipe ends at step {recipe.steps}. Train longer.")


def finite(rows: list[dict[str, float]]) -> bool:
    """Whether every number of a curve is finite."""
    return all(math.isfinite(value) for row in rows for value in row.values())

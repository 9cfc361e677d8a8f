"""The training loop: from a ticket's weights to a step, masked, audited, checkpointed."""

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Generator

import torch
from torch import Tensor, nn

from tombola.core.artifact import Parts
from tombola.core.errors import Failed, Refused
from tombola.core.layout import ignores_padding
from tombola.core.noise import by_name, dropouts, go_on, stir, told_of_draws
from tombola.core.rewire import Static
from tombola.core.seeds import Seeds
from tombola.core.task import Task
from tombola.core.ticket import Ticket
from tombola.study.step import Context
from tombola.train import bfloat, checkpoint, compiled, fused
from tombola.train.checkpoint import Progress
from tombola.train.device import device_clock, threads
from tombola.train.evaluate import evaluate
from tombola.train.masked import Masking
from tombola.train.recipe import Recipe
from tombola.train.rewired import GROUP, Rewiring

STRETCH = 100  # Steps between two looks at the loss and the clock.
STILL = 1e-3  # The part of the rate below which fine-tuning trains nothing.


class Run:
    """One training under way: network, optimiser and mask, and how far it is (`progress`)."""

    def __init__(self, ticket: Ticket, task: Task, recipe: Recipe, seeds: Seeds, context: Context) -> None:
        self.ticket, self.task, self.recipe, self.seeds, self.context = ticket, task, recipe, seeds, context
        machine = context.machine
        self.device, self.format = torch.device(machine.device), torch.contiguous_format
        bfloat.check(recipe.precision, self.device)
        self.net = by_name(ticket.module()).to(self.device)
        if len(ticket.io.inputs) == 3 and machine.layout == "channels_last":
            self.format = torch.channels_last
            self.net = self.net.to(memory_format=self.format)  # type: ignore[call-overload]
        self.optimizer = recipe.optimizer.make(self.net.parameters())
        changes = recipe.rewire != Static()
        self.masking = Masking(self.net, ticket.mask, of="all" if changes else "sparse")
        self.progress = Progress(step=ticket.step)
        self.good: Parts | None = None
        self.audits = 0
        self.dropouts = dropouts(self.net)
        self.aside: Callable[[], Tensor] | None = None
        """What is added to the loss of every batch; curves and results are of the loss itself."""
        self.equip()
        self.rewiring = self._rewiring() if changes else None

    def _rewiring(self) -> Rewiring:
        """The method that changes the mask, at work on this network."""
        steps, seed = int(self.recipe.steps), self.seeds.stream("data")
        method, ticket = self.recipe.rewire, self.ticket
        first = ticket.weights if method.dead == "zero" else ticket.needs_all(str(method))
        when = {"seed": seed, "step": self.ticket.step, "steps": steps}
        how = {"optimizer": self.optimizer, "first": first, **when}
        return Rewiring(method, self.net, self.masking, ticket.mask, **how)

    @property
    def alone(self) -> bool:
        """Whether its steps are no program of fixed tensors: masks that change, padding that is seen, more."""
        seen = self.ticket.io.tokens and not ignores_padding(self.ticket.arch)
        return self.recipe.accumulate > 1 or bool(self.rewiring or self.aside or seen)

    def equip(self) -> None:
        """Compile what the machine says is compiled, and lay the optimiser's tensors out for its kernels."""
        self.kernel = fused.update(self.optimizer)
        self.forward = self.net
        if self.context.machine.compile == "network":
            self.forward = compiled.network(self.net, self.device)

    def steps(self, wanted: range) -> list[Tensor]:
        """The loop: train for some steps without reading anything back from the device; gives their losses."""
        task, recipe, optimizer = self.task, self.recipe, self.optimizer
        losses: list[Tensor] = []
        for step in wanted:
            for group in optimizer.param_groups:
                group["lr"] = self.rate(step)
            inputs, targets = task.batch(
                step, seeds=self.seeds, size=recipe.batch, holdout=recipe.holdout, device=self.device
            )
            stir(self.dropouts, self.seeds, step)
            optimizer.zero_grad()
            losses.append(self.backward(inputs, targets))
            self.update(step)
        return losses

    def backward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Add up the gradients of a batch, part by part if the recipe says so; gives the loss."""
        parts, losses = self.recipe.parts(len(targets)), list[Tensor]()
        for some, theirs in zip(inputs.tensor_split(parts), targets.tensor_split(parts), strict=True):
            loss = self.loss(some, theirs) if parts == 1 else self.loss(some, theirs) * (len(theirs) / len(targets))
            (loss if self.aside is None or losses else loss + self.aside()).backward()
            losses.append(loss.detach())
            go_on(self.dropouts, len(theirs))
        return losses[0] if parts == 1 else torch.stack(losses).sum()

    def advance(self, end: int) -> None:
        """Train up to a step, and look at the losses."""
        self._took(self.steps(range(self.progress.step, end)))

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of a batch, in the recipe's precision and the machine's memory layout."""
        with bfloat.cast(self.recipe.precision, self.device):
            outputs = self.forward(inputs.contiguous(memory_format=self.format))
            return self.task.loss(outputs, targets, smoothing=self.recipe.smoothing)

    def update(self, step: int = -1) -> None:
        """Mask the gradients, clip them, and step; where the mask changes in training, the step's number is needed."""
        if self.rewiring is not None:
            self.rewiring.update(step, self.rate(step), self.optimise)
            return
        self.masking.mask_gradients()
        self.optimise()

    def optimise(self) -> None:
        """Clip the gradients, and step."""
        if self.recipe.clip:
            nn.utils.clip_grad_norm_(self.net.parameters(), self.recipe.clip)
        self.kernel()

    def to_step(self, end: int) -> dict[str, Tensor]:
        """Train alone up to a step; gives the state dict, or the best one if so asked.

        Raises:
            Failed: If the loss is no longer finite.
        """
        with threads(self.context.machine), told_of_draws(f"{self.ticket.arch} on {self.task}", self.device):
            self.resume()
            asking, losses = self.stretches(end), None
            while True:
                try:
                    with charged(self):
                        losses = self.steps(asking.send(losses))  # type: ignore[arg-type]
                except StopIteration as over:
                    return over.value

    def stretches(self, end: int) -> Generator[range, list[Tensor], dict[str, Tensor]]:
        """All of a training but its steps: asks for them stretch by stretch, and is sent their losses.

        Between two stretches it looks at the losses, adds to the curve and keeps checkpoints. In the end it gives the
        state dict, or the best one if so asked.

        Raises:
            Failed: If a loss is not finite.
        """
        progress = self.progress
        self.net.train()
        self.good = self.packed()
        saved = time.monotonic()
        every = int(self.recipe.evaluate) or end
        while progress.step < end and not self._out_of_patience():
            point = min(end, (progress.step // every + 1) * every)
            self._took((yield range(progress.step, min(point, progress.step + STRETCH))))
            if progress.step == point:
                self._point_of_curve()
                self.good = self.packed()
            if time.monotonic() - saved > self.context.machine.checkpoint:
                self._checkpoint(self.packed())
                saved = time.monotonic()
            self.context.tell(step=progress.step, steps=end, loss=float(self._losses()[-1]))
        self._audit()
        best = self.recipe.select == "best" and progress.best
        final = progress.best if best else self.net.state_dict()
        return {name: value.detach().cpu().contiguous().clone() for name, value in final.items()}

    def packed(self) -> Parts:
        """A copy of everything that the rest of the training depends on."""
        parts = checkpoint.pack(self.net, self.optimizer, self.progress)
        return parts if self.rewiring is None else self.rewiring.pack(parts)

    def _audit(self) -> None:
        shadows = self.rewiring is not None and self.rewiring.method.dead == "shadow"
        self.masking.audit(self.optimizer, step=self.progress.step, state="free" if shadows else "zero")
        self.audits += 1

    def _took(self, losses: list[Tensor]) -> None:
        """The one look at the losses of a stretch."""
        finite = torch.isfinite(torch.stack(losses))
        if not bool(finite.all()):
            self._diverged(self.progress.step + int((~finite).nonzero()[0]))
        self.progress.losses += losses
        self.progress.step += len(losses)

    def rate(self, step: int) -> float:
        """The learning rate of a step: the schedule's, or when fine-tuning its last one throughout."""
        return self.recipe.rate(int(self.recipe.steps) - 1 if self.ticket.restart == "fine-tune" else step)

    def _losses(self) -> list[Tensor]:
        return self.progress.losses or [torch.tensor(self.progress.rows[-1]["train_loss"])]

    def _point_of_curve(self) -> None:
        """Audit the mask, and add validation and test scores and the mean training loss since the last point."""
        progress, recipe = self.progress, self.recipe
        self._audit()
        row: dict[str, float] = {
            "step": progress.step,
            "rate": self.rate(progress.step - 1),
            "train_loss": float(torch.stack(progress.losses).double().mean()),
        }
        for split in ("validation", "test") if recipe.validation else ("test",):
            score = evaluate(self.net, self.task, split, holdout=recipe.holdout, device=self.device)
            row |= {f"{split}_accuracy": score.accuracy, f"{split}_loss": score.loss}
        if self.rewiring is not None:
            row |= self.rewiring.row()
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

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one."""
        found = checkpoint.read(self.context.scratch) if self.context.scratch is not None else None
        if found is not None:
            self.restore(found)

    def restore(self, parts: Parts) -> None:
        """Go on from where everything was packed."""
        header = {name: value for name, value in parts.header.items() if name != GROUP}
        self.progress = checkpoint.unpack(dataclasses.replace(parts, header=header), self.net, self.optimizer)
        self.equip()
        if self.rewiring is not None:
            self.rewiring.restore(parts)

    def _checkpoint(self, parts: Parts) -> None:
        if self.context.scratch is not None:
            checkpoint.write(self.context.scratch, parts)

    def _diverged(self, step: int) -> None:
        assert self.good is not None
        self._checkpoint(self.good)
        step_kept, where = self.good.header["step"], self.context.scratch
        kept = f"The state at step {step_kept} is kept in {where}. " if where else ""
        raise Failed(
            f"the loss is no longer finite at step {step} of {self.recipe.steps} ({self.ticket!r}, {self.recipe}, "
            f"{self.seeds}). {kept}Lower the rate, warm up, or clip the gradients."
        )


@contextlib.contextmanager
def charged(*runs: Run) -> Generator[None]:
    """The time that a computation takes goes to the account of these trainings in equal parts: clock and device."""
    device, clock = device_clock(runs[0].device), time.monotonic()
    try:
        yield
    finally:
        device, clock = device_clock(runs[0].device) - device, time.monotonic() - clock
        for run in runs:
            run.progress.device_seconds += device / len(runs)
            run.progress.seconds += clock / len(runs)


def check_fit(ticket: Ticket, task: Task) -> None:
    """Refuse a ticket whose network is for other inputs or classes than a task's."""
    if ticket.io != task.io:
        raise Refused(f"{ticket!r} is a network for {ticket.io}; {task} needs {task.io}. Find one on that task.")


def check(ticket: Ticket, task: Task, recipe: Recipe) -> None:
    """Whether ticket, task and recipe belong together.

    Raises:
        Refused: If they do not.
    """
    check_fit(ticket, task)
    if recipe.validation:  # A part that rounds to nothing is refused now, not at the first look at it.
        next(iter(task.evaluation("validation", size=1, holdout=recipe.holdout)))
    if ticket.step >= int(recipe.steps):
        raise Refused(f"{ticket!r} starts at step {ticket.step}; the recipe ends at step {recipe.steps}. Train longer.")
    if ticket.restart == "fine-tune" and (last := recipe.rate(int(recipe.steps) - 1)) < STILL * recipe.optimizer.lr:
        raise Refused(
            f"{ticket!r} is to be fine-tuned at the last rate of the schedule, which is {last:.2g}: nothing would "
            "move. Use a schedule that does not end at zero, such as step(at=...) or cosine(floor=0.01)."
        )


def finite(rows: list[dict[str, float]]) -> bool:
    """Whether every number of a curve is finite."""
    return all(math.isfinite(value) for row in rows for value in row.values())

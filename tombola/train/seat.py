"""A place in a fleet: one network with all that its steps read and write, where it is for good.

So a captured program finds everything again at the next step, for the next stretch, and for the next training.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from tombola.core.layout import PAD
from tombola.core.noise import hear, names
from tombola.core.task import Drawing
from tombola.train import run as runs
from tombola.train.fused import KNOWN
from tombola.train.masked import Masking
from tombola.train.run import Run

Batches = list[tuple[Tensor, Tensor]]


class Seat:
    """A place for one training at a time; its tensors never move."""

    def __init__(self, run: Run) -> None:
        run.masking = Masking(run.net, run.ticket.mask, of="all")
        run.equip()
        self.run, self.net, self.optimizer, self.masking = run, run.net, run.optimizer, run.masking
        self.forward, self.kernel, self.dropouts = run.forward, run.kernel, run.dropouts
        self.lasting = type(run.optimizer) in KNOWN  # Where others keep their state is not known.
        exact = torch.float64 if run.device.type == "cpu" else torch.float32  # As the fused optimisers read it.
        self.rate = torch.zeros((), dtype=exact, device=run.device)
        self.feeds: dict[int, Feed] = {}
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate

    @torch.no_grad()
    def take(self, run: Run) -> None:
        """Let another training sit down: what it brings is copied to where this seat has it."""
        theirs, ours = run.optimizer.state_dict()["state"], self.optimizer.state_dict()["state"]
        for index, entries in ours.items():
            for name, value in entries.items():
                value.copy_(theirs[index][name])
        self.net.load_state_dict(run.net.state_dict())
        for mask, other in zip(self.masking.masks, Masking(run.net, run.ticket.mask, of="all").masks, strict=True):
            mask.copy_(other)
        self.run, run.net, run.optimizer, run.masking = run, self.net, self.optimizer, self.masking
        run.forward, run.kernel, run.dropouts = self.forward, self.kernel, self.dropouts

    def feed(self, steps: range, size: int) -> None:
        """Lay out what the training needs for some steps with batches of equal size."""
        feed = self.feeds.get(size) or self.feeds.setdefault(size, Feed(self))
        feed.fill(self.run, steps)

    def turn(self, size: int) -> None:
        """One step, of tensor operations alone."""
        run, feed = self.run, self.feeds[size]
        shown, targets, rate = (of.index_select(0, feed.at)[0] for of in (feed.drawn, feed.targets, feed.rates))
        self.rate.copy_(rate)
        if self.dropouts:
            hear(self.dropouts, feed.noise.index_select(0, feed.at)[0])
        if isinstance(run.task, Drawing):
            shown = run.task.shown(shown, device=run.device)
        loss = run.loss(shown, targets)
        self.optimizer.zero_grad()
        loss.backward()
        run.update()
        feed.losses.index_copy_(0, feed.at, loss.detach().view(1))
        feed.at.add_(1)

    def tensors(self) -> list[Tensor]:
        """Everything that a step changes."""
        state = [v for entries in self.optimizer.state.values() for v in entries.values() if isinstance(v, Tensor)]
        fed = [tensor for feed in self.feeds.values() for tensor in (feed.at, feed.losses)]
        return [*self.net.state_dict().values(), *state, *fed]


class Feed:
    """Batches, rates and losses of a stretch, and which of them is next."""

    def __init__(self, seat: Seat) -> None:
        room, device = runs.STRETCH, seat.run.device
        self.at = torch.zeros(1, dtype=torch.int64, device=device)
        self.rates, self.losses = seat.rate.new_zeros(room), torch.zeros(room, device=device)
        self.noise = torch.zeros((room, len(seat.dropouts), 2), dtype=torch.int32, device=device)
        self.drawn = self.targets = torch.empty(0)

    def fill(self, run: Run, steps: range) -> None:
        """Lay out what a training needs for consecutive steps with batches of this size."""
        where = {"seeds": run.seeds, "holdout": run.recipe.holdout, "device": run.device}
        if isinstance(run.task, Drawing):
            drawn, targets = run.task.drawn(steps, size=run.recipe.batch, **where)  # type: ignore[arg-type]
        else:
            batches = [run.task.batch(step, size=run.recipe.batch, **where) for step in steps]  # type: ignore[arg-type]
            drawn, targets = (torch.stack(parts) for parts in zip(*_even(run, batches), strict=True))
        if not len(self.drawn):
            self.drawn, self.targets = (of.new_zeros((runs.STRETCH, *of.shape[1:])) for of in (drawn, targets))
        rates = torch.tensor([run.rate(step) for step in steps], dtype=self.rates.dtype)
        noise = torch.stack([names(len(run.dropouts), run.seeds, step) for step in steps])
        parts, wholes = (drawn, targets, rates, noise), (self.drawn, self.targets, self.rates, self.noise)
        for whole, part in zip(wholes, parts, strict=True):
            whole[: len(steps)].copy_(part)
        self.at.zero_()


def _even(run: Run, batches: Batches) -> Batches:
    """Batches of one shape: texts are padded to as many tokens as are read of the longest."""
    if not run.ticket.io.tokens:
        return batches
    (longest,) = run.ticket.io.inputs
    return [(pad(tokens, (0, longest - tokens.shape[1]), value=PAD), targets) for tokens, targets in batches]

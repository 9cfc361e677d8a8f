"""Gradual pruning: the cubic schedule of Zhu and Gupta 2017, and what a criterion may see of a training under way."""

import dataclasses
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, cast

import torch
from torch import Tensor

from tombola.core.criterion import Criterion, habits_of
from tombola.core.errors import Refused
from tombola.core.layout import Mode, Wiring
from tombola.core.lazily import Lazily
from tombola.core.mask import Mask
from tombola.core.plugin import registration_of
from tombola.core.rewire import Live, Rewire
from tombola.core.times import Time, in_steps
from tombola.prune.layers import collapsed
from tombola.prune.rank import pruned
from tombola.prune.scope import Scope, Share
from tombola.rewire._parts import cosine, end_of

Decay = Literal["cosine", "linear", "none"]


@dataclasses.dataclass(frozen=True)
class Cuts:
    """So many cuts, one every so many steps; a time is the number of updates behind.

    Example:
        >>> cuts = Cuts(begin=10, every=5, number=4)
        >>> [time for time in range(40) if cuts.due(time)]
        [15, 20, 25, 30]
        >>> [cuts.count(time, 1000, 200) for time in (10, 15, 20, 30, 40)]
        [1000, 538, 300, 200, 200]
    """

    begin: int
    every: int
    number: int

    @property
    def last(self) -> int:
        """The time of the last cut."""
        return self.begin + self.number * self.every

    def due(self, time: int) -> bool:
        """Whether there is a cut at a time."""
        return self.begin < time <= self.last and (time - self.begin) % self.every == 0

    def count(self, time: int, first: int, final: int) -> int:
        """n_f + (n_i - n_f) (1 - (t - t0) / (n dt))^3 weights, halves rounded up; from the last cut on, the final."""
        left = self.number - min(self.number, max(0, time - self.begin) // self.every)
        return final + math.floor((first - final) * Fraction(left, self.number) ** 3 + Fraction(1, 2))


class Falling(Rewire):
    """What methods share whose density falls by the cubic between two parts of a training; they have these fields."""

    if TYPE_CHECKING:
        density: float
        start: float
        end: float
        every: Time
        scope: Scope

    def in_steps(self, epoch: int, steps: int) -> Self:
        """The same cuts, their distance in steps."""
        made = dataclasses.replace(cast(Any, self), every=in_steps(self.every, epoch=epoch))
        made.cuts(steps)
        return made

    def cuts(self, steps: int) -> Cuts:
        """The cuts of a training of so many steps."""
        assert isinstance(self.every, int), "in_steps comes first"
        return cuts_of(self, start=self.start, end=self.end, every=self.every, steps=steps)

    def check(self, mask: Mask) -> None:
        """The ticket has as many weights as are to be left, and the scope can share them."""
        super().check(mask)
        check_scope(self, self.scope, mask, self.density)


def check_span(method: object, density: float, start: float, end: float) -> None:
    """Whether a density is one, and two parts of the training are a start and an end.

    Raises:
        Refused: If they are not.
    """
    check_final(method, density)
    if not 0 <= start < end <= 1:
        raise Refused(
            f"{registration_of(method).name}: field 'start' is {start}, 'end' is {end}. Both are parts of the "
            "training, from 0 to 1, the start before the end."
        )


def check_final(method: object, density: float) -> None:
    """Whether a density is one that a training may end with.

    Raises:
        Refused: If it is not above 0 and at most 1.
    """
    if not 0 < density <= 1:
        raise Refused(
            f"{registration_of(method).name}: field 'density' is {density}. It is the fraction of all weights that is "
            "left: above 0, up to 1."
        )


def cuts_of(method: object, *, start: float, end: float, every: int, steps: int) -> Cuts:
    """The cuts between two parts of a training; none comes after its last update.

    Raises:
        Refused: If there is no room for a single one.
    """
    first, last = end_of(start, steps), min(end_of(end, steps), steps - 1)
    if (last - first) // every < 1:
        raise Refused(
            f"{method}: a cut every {every} steps, from step {first} to step {last} of {steps}: there is no room for "
            "one. Use a smaller `every`, a later `end`, or train longer."
        )
    return Cuts(first, every, (last - first) // every)


def decayed(drop: float, floor: float, time: int, end: int, decay: Decay) -> float:
    """A fraction that falls from `drop` at the start of a training to `floor` at an end.

    Example:
        >>> [round(decayed(0.5, 0.1, time, 100, "linear"), 9) for time in (0, 50, 100)]
        [0.5, 0.3, 0.1]
    """
    if decay == "none":
        return drop
    return floor + (drop - floor) * (cosine(time, end) if decay == "cosine" else max(0.0, 1 - time / end))


def portion(fraction: float, of: int) -> int:
    """A fraction of a number of weights, as whole ones: rounded up, as in the code of SNFS and of GraNet.

    Example:
        >>> portion(0.3, 10), portion(0.5, 3), portion(0.0, 3)
        (3, 2, 0)
    """
    return min(of, math.ceil(fraction * of - 1e-9))


def check_scope(method: object, scope: Scope, mask: Mask, density: float) -> list[Share]:
    """How a scope cuts a ticket down to a density.

    Raises:
        Refused: If it cannot: the ticket has fewer weights, or the scope prunes what no mask of the ticket names.
    """
    if scope.tensors != "prunable":
        raise Refused(
            f"{method}: {scope} prunes every parameter, and a mask that changes in training is that of the ticket's "
            "prunable tensors. Use tensors='prunable'."
        )
    return scope.shares(mask, keep=None, density=density)


def begin_cuts(method: object, cuts: Cuts, live: Live, scope: Scope, density: float) -> None:
    """Note in the method's state from how many weights to how many each group of a scope will fall.

    Raises:
        Refused: If all cuts lie behind.
    """
    if live.step >= cuts.last:
        raise Refused(
            f"{method}: the last cut is at step {cuts.last}, and this ticket begins at step {live.step}, so it would "
            "never have its density. Use a later `end`, or rewind the ticket further."
        )
    mask = Mask(live.masks)
    shares = check_scope(method, scope, mask, density)
    group = {name: index for index, (names, _) in enumerate(shares) for name in names}
    counts = [[sum(mask.kept_in(name) for name in names), final] for names, final in shares]
    live.state["groups"] = torch.tensor([group.get(name, -1) for name in mask])
    live.state["counts"] = torch.tensor(counts)


def shares_of(cuts: Cuts, live: Live) -> list[Share]:
    """What each group keeps in the cut after this step's update."""
    groups = live.state["groups"].tolist()
    members = [tuple(n for n, group in zip(live.masks, groups, strict=True) if group == i) for i in range(len(groups))]
    counts = live.state["counts"].tolist()
    return [(names, cuts.count(live.step + 1, *pair)) for names, pair in zip(members, counts, strict=False)]


def cut(mask: Mask, live: Live, criterion: Criterion, shares: list[Share], scope: Scope) -> dict[str, Tensor]:
    """What a criterion leaves of a mask at a step of a training, on its device.

    Raises:
        Refused: If the criterion asks for more than this step has, or leaves a tensor without a weight though it is
            there to prevent that.
    """
    found = pruned(mask, criterion(Glimpse(live, mask)), shares, scope)
    empty = collapsed(found, before=mask)
    if empty and habits_of(criterion).collapse == "forbidden":
        raise Refused(
            f"{criterion} leaves no weight in '{empty[0]}' at density {found.density:.4g}, step {live.step}, which it "
            "is there to prevent. Keep more, or exclude that tensor from the scope."
        )
    return {name: found[name].to(live.masks[name].device) for name in live.masks}


@dataclasses.dataclass(frozen=True, eq=False)
class Glimpse:
    """A network in the midst of its training, as a criterion sees it: weights, mask, and the gradient of one step."""

    live: Live
    mask: Mask

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """Values of the tensors, zero where the mask is dead."""
        return Lazily(self.mask, lambda name: self.mask.apply({name: self.whole[name]})[name])

    @property
    def whole(self) -> Mapping[str, Tensor]:
        """The values under dead positions too."""
        return Lazily(self.mask, lambda name: self.live.variables[name].detach().cpu())

    @property
    def start(self) -> Mapping[str, Tensor]:
        """The values from which the training began."""
        return Lazily(self.mask, lambda name: self.live.first[name].detach().cpu())

    def masked(self, mask: Mask) -> Self:
        """The same step under another mask."""
        return dataclasses.replace(self, mask=mask)

    def in_round(self, number: int) -> Self:
        """The same step: it has one batch."""
        return self

    def gradients(
        self, *, batches: int = 1, per_class: int = 0, mode: Mode = "train", temperature: float = 1.0
    ) -> dict[str, Tensor]:
        """The gradient of this step's loss: of one batch as in training."""
        if (batches, per_class, mode, temperature) != (1, 0, "train", 1.0):
            self._refuse(f"gradients of {batches} batches, {per_class} a class, in mode {mode}, at {temperature}")
        return {name: self.live.gradients[name].detach().cpu() for name in self.mask}

    def fresh(self, seed: int, **how: object) -> Self:
        """Refused: initial weights are not at hand."""
        return self._refuse("newly drawn weights")

    def curvature(self, vectors: Mapping[str, Tensor], **how: object) -> dict[str, Tensor]:
        """Refused: the loss is not at hand."""
        return self._refuse("second derivatives")

    def inputs(self, **how: object) -> dict[str, Tensor]:
        """Refused: data are not at hand."""
        return self._refuse("the inputs of the weights")

    def flow(self, weights: Mapping[str, Tensor], **how: object) -> Tensor:
        """Refused: the network is not at hand."""
        return self._refuse("the flow through the network")

    def wiring(self, **how: object) -> Wiring:
        """Refused: the network is not at hand."""
        return self._refuse("the wiring of the network")

    def _refuse(self, what: str) -> NoReturn:
        raise Refused(
            f"this criterion asks for {what}. Between two steps of a training there are weights, mask and the gradient "
            "of the step (one batch, as in training). Use a criterion that needs no more: magnitude()."
        )


def rehearsed(live: Live, criterion: Criterion) -> None:
    """Ask a criterion for scores before the first step, so that one that needs more is refused at once.

    Raises:
        Refused: If it needs more than weights, mask and a gradient.
    """
    habits = habits_of(criterion)
    if habits.rounds > 1 or habits.revives == "yes":
        raise Refused(
            f"{criterion} scores in {habits.rounds} rounds; inside a training each cut is one. Use one that scores "
            "once, such as rounds=1 or magnitude()."
        )
    ones = {name: torch.ones_like(value) for name, value in live.variables.items()}
    elsewhere = {name: torch.full_like(value, 2.0) for name, value in live.variables.items()}  # As if it had moved.
    criterion(Glimpse(dataclasses.replace(live, gradients=ones, variables=elsewhere), Mask(live.masks)))

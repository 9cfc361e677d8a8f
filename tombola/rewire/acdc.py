"""AC/DC: dense and sparse phases in turn (Peste et al. 2021, "Alternating Compressed/DeCompressed Training")."""

import dataclasses
from typing import ClassVar, Literal, Self

import torch

from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.rewire import Live, Masks, Rewire
from tombola.core.times import Time, checked, in_steps
from tombola.criteria.magnitude import Magnitude
from tombola.prune.everywhere import Everywhere
from tombola.prune.scope import Scope
from tombola.rewire._cubic import check_scope, cut
from tombola.rewire._parts import end_of
from tombola.rewire._shadows import check_density

Span = Time | float


@plugin("rewire", "acdc")
class AcDc(Rewire):
    """Train with all weights for `warmup`; then in turn for a `phase` with the largest ones and for one with all.

    The ticket is dense. Each compressed phase begins with the `density` largest weights, ranked anew within the groups
    of the scope; what is pruned is zero, and comes back at zero with fresh optimiser state when the next phase begins.
    The last one is compressed and lasts for `final`; if the phases before do not come out even, the last dense one is
    longer. Spans are parts of the training (0.05), steps or epochs. The defaults are the authors' ImageNet schedule: of
    100 epochs, 10 for the warm-up, 5 each phase, 10 the last dense one, 15 the end. With momentum="reset", as in their
    runs, all optimiser state of the prunable tensors is zero when a dense phase begins.

    Example:
        >>> method = AcDc().in_steps(epoch=1, steps=100)
        >>> [step + 1 for step in range(100) if method.due(step, 100)]
        [10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 85]
    """

    density: float = 0.1
    warmup: Span = 0.1
    phase: Span = 0.05
    final: Span = 0.15
    scope: Scope = Everywhere()
    momentum: Literal["reset", "kept"] = "reset"

    begins: ClassVar[Literal["sparse", "dense", "any"]] = "dense"

    def __post_init__(self) -> None:
        """Numbers are checked as soon as they are written."""
        check_density(self, self.density)
        for field in ("warmup", "phase", "final"):
            value = getattr(self, field)
            if not isinstance(value, float):
                checked(value, where=f"acdc: field '{field}'")
            elif not 0 <= value < 1:
                raise Refused(f"acdc: field '{field}' is {value}. As a part of the training it is below 1.")
            if field != "warmup" and not value:
                raise Refused(f"acdc: field '{field}' is {value}. A phase lasts for one step or more.")

    def in_steps(self, epoch: int, steps: int) -> Self:
        """The same phases, in steps.

        Raises:
            Refused: If there is no room for a compressed and a dense phase between warm-up and end.
        """
        spans = {field: _steps(getattr(self, field), epoch, steps) for field in ("warmup", "phase", "final")}
        between = steps - spans["warmup"] - spans["final"]
        if min(spans["phase"], spans["final"]) < 1 or between < 2 * spans["phase"]:
            raise Refused(
                f"{self} in {steps} steps: {spans['warmup']} of warm-up, {spans['final']} at the end, {between} "
                f"between; a compressed and a dense phase take {2 * spans['phase']}, each 1 or more. Use shorter "
                "spans, or train longer."
            )
        return dataclasses.replace(self, **spans)

    def check(self, mask: Mask) -> None:
        """The ticket is dense, and the scope can share its weights."""
        super().check(mask)
        check_scope(self, self.scope, mask, self.density)

    def compressed(self, time: int, steps: int) -> bool:
        """Whether the network is sparse after so many updates; spans must be in steps."""
        warmup, phase, final = self.warmup, self.phase, self.final
        assert isinstance(warmup, int) and isinstance(phase, int) and isinstance(final, int), "in_steps comes first"
        if not warmup <= time < steps - final:
            return time >= warmup
        last = (steps - final - warmup) // (2 * phase) * 2 - 1
        return min((time - warmup) // phase, last) % 2 == 0

    def begin(self, live: Live) -> Masks:
        """All weights, or the largest where the ticket's step lies in a compressed phase."""
        return self._masks(live) if self.compressed(live.step, live.steps) else live.masks

    def due(self, step: int, steps: int) -> bool:
        """Where a phase ends."""
        return self.compressed(step + 1, steps) != self.compressed(step, steps)

    def rewired(self, live: Live) -> Masks:
        """The largest weights, or all of them."""
        if self.compressed(live.step + 1, live.steps):
            return self._masks(live)
        every = {name: torch.ones_like(alive) for name, alive in live.masks.items()}
        if self.momentum == "reset":
            live.renewed |= every  # Their state only: the values stay.
        return every

    def _masks(self, live: Live) -> Masks:
        mask = Mask(live.masks)
        shares = self.scope.shares(mask, keep=None, density=self.density)
        return cut(mask, live, Magnitude(), shares, self.scope)


def _steps(span: Span, epoch: int, steps: int) -> int:
    return end_of(span, steps) if isinstance(span, float) else in_steps(span, epoch=epoch)

"""Rank and keep: the scopes, which say how density is shared, and `prune`, which keeps the best to the exact weight."""

import fnmatch
import logging
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Literal, Protocol, runtime_checkable

from tombola.core.errors import Refused
from tombola.core.layout import Scores
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.select import keep_best
from tombola.core.share import apportion, erk_wishes

Rounding = Literal["ceil", "floor", "one_more"]
Tensors = Literal["prunable", "all"]
Share = tuple[tuple[str, ...], int]

log = logging.getLogger(__name__)


@runtime_checkable
class Scope(Protocol):
    """Which tensors are pruned, which are ranked together, and how many weights each group keeps."""

    @property
    def tensors(self) -> Tensors:
        """Prune the layout's prunable weights, or every parameter (biases too)."""
        ...

    def shares(self, mask: Mask, *, keep: float | None, density: float | None) -> list[Share]:
        """Groups of names, each with the number of weights it keeps: a fraction of the living, or down to a density."""
        ...


@plugin("scope", "everywhere")
class Everywhere:
    """All tensors ranked together (global pruning).

    Tensors matching a pattern of `exclude` are left alone but count as alive in the total, as in the code of Frankle et
    al. 2020 and Chen et al. 2021. `rounding` says how many weights a rate prunes: its "ceil" (the default), its "floor"
    (Desai et al. 2019 keep the ceil), or "one_more" than the ceil (the strict comparison in Frankle et al.'s code).
    """

    exclude: tuple[str, ...] = ()
    rounding: Rounding = "ceil"
    tensors: Tensors = "prunable"

    def shares(self, mask: Mask, *, keep: float | None, density: float | None) -> list[Share]:
        """One group of all that is not excluded."""
        names, spared = _split(mask, self.exclude)
        total = target(mask.kept, mask.size, keep=keep, density=density, rounding=self.rounding)
        return [(tuple(names), _without(total, spared, mask))]


@plugin("scope", "per_layer")
class PerLayer:
    """Every tensor on its own, at the same rate. Those matching a pattern of `halved` are pruned at half the rate.

    Frankle and Carbin 2019 prune the output layer at half the rate: `per_layer(halved=('head.weight',))`. The paper of
    Desai et al. 2019 is `per_layer(rounding=floor, tensors=all)`. For `exclude` and `rounding` see `everywhere`.
    """

    exclude: tuple[str, ...] = ()
    halved: tuple[str, ...] = ()
    rounding: Rounding = "ceil"
    tensors: Tensors = "prunable"

    def shares(self, mask: Mask, *, keep: float | None, density: float | None) -> list[Share]:
        """One group a tensor."""
        names, _ = _split(mask, self.exclude)
        if density is not None and self.halved:
            raise Refused(
                "per_layer: 'halved' halves a rate; with an explicit density there is none. Give keep instead."
            )
        _split(mask, self.halved, field="halved")
        slow = {name for name in names if _matches(name, self.halved)}
        shares: list[Share] = []
        for name in names:
            rate = None if keep is None else (1 + keep) / 2 if name in slow else keep
            size, living = mask[name].numel(), mask.kept_in(name)
            shares.append(((name,), target(living, size, keep=rate, density=density, rounding=self.rounding, of=name)))
        return shares


@plugin("scope", "erk")
class Erk:
    """Erdos-Renyi-Kernel densities (Mocanu et al. 2018; Evci et al. 2020): small tensors denser, the total as asked.

    A tensor that has fewer living weights than its share keeps them all, and the others share the rest.
    """

    exclude: tuple[str, ...] = ()
    rounding: Rounding = "ceil"
    tensors: Tensors = "prunable"

    def shares(self, mask: Mask, *, keep: float | None, density: float | None) -> list[Share]:
        """One group a tensor."""
        names, spared = _split(mask, self.exclude)
        total = target(mask.kept, mask.size, keep=keep, density=density, rounding=self.rounding)
        caps = {name: mask.kept_in(name) for name in names}
        wishes = erk_wishes({name: tuple(mask[name].shape) for name in names})
        counts = apportion(wishes, caps, _without(total, spared, mask))
        return [((name,), counts[name]) for name in names]


def prune(
    mask: Mask, scores: Scores, *, keep: float | None = None, density: float | None = None, scope: Scope = Everywhere()
) -> Mask:
    """Keep the best-scoring weights among those still alive.

    Weights are ranked within each group of `scope` (all tensors together by default). Dead weights stay dead, and ties
    fall to the lower index, so the number kept is met exactly.

    Args:
        keep: Fraction of the living weights to keep. Either this or `density` is given.
        density: Fraction of *all* weights to keep, not of the living ones.

    Raises:
        Refused: If more weights are asked for than are alive, or a score is not a number.

    Example:
        >>> import torch
        >>> prune(Mask.dense({"w": (4,)}), {"w": torch.tensor([3.0, 1.0, 2.0, 0.0])}, density=0.5)["w"].tolist()
        [True, False, True, False]
    """
    alive = dict(mask)
    for names, count in scope.shares(mask, keep=keep, density=density):
        alive.update(keep_best(mask, scores, names, count))
    result = Mask(alive)
    warn_of_collapse(result, before=mask)
    return result


def target(
    living: int, size: int, *, keep: float | None, density: float | None, rounding: Rounding = "ceil", of: str = ""
) -> int:
    """How many weights stay, exactly: decimal fractions are taken as written, not as binary approximations.

    Example:
        >>> target(20, 20, keep=0.65, density=None), target(20, 20, keep=0.64, density=None, rounding="floor")
        (13, 13)
    """
    where = f" of '{of}'" if of else ""
    if (keep is None) == (density is None):
        raise Refused("a cut takes either the fraction of the living weights to keep (keep) or a density, not both.")
    if keep is not None:
        if not 0 < keep <= 1:
            raise Refused(
                f"keep is {keep}. It is the fraction of the living weights that a cut keeps: above 0, up to 1."
            )
        pruned = (1 - Fraction(repr(float(keep)))) * living
        if rounding == "floor":
            return living - math.floor(pruned)
        return max(0, living - math.ceil(pruned) - (1 if rounding == "one_more" and keep < 1 else 0))
    assert density is not None
    if not 0 < density <= 1:
        raise Refused(f"density is {density}. It is the fraction of all weights to keep: above 0, up to 1.")
    wanted = math.floor(Fraction(repr(float(density))) * size + Fraction(1, 2))
    if wanted > living:
        raise Refused(
            f"density {density:.4f} asks for {wanted} weights{where}, only {living} are alive (density "
            f"{living / size:.4f}). Pruning cannot revive weights."
        )
    return wanted


def widened(mask: Mask, shapes: Mapping[str, tuple[int, ...]], scope: Scope) -> Mask:
    """The mask with every parameter in it (alive where it was not), if the scope prunes all of them."""
    if scope.tensors == "prunable":
        return mask
    return Mask({**Mask.dense(shapes), **mask}) if set(shapes) - set(mask) else mask


def warn_of_collapse(mask: Mask, *, before: Mask) -> list[str]:
    """The tensors that lost their last weight in a cut; each is warned of once, when it happens."""
    collapsed = [name for name in mask if mask.kept_in(name) == 0 and before.kept_in(name) > 0]
    for name in collapsed:
        log.warning(
            "layer collapse: '%s' has no weight left at density %.4g; prune less, or use scope per_layer() or erk().",
            name,
            mask.density,
        )
    return collapsed


def weak_layers(mask: Mask) -> list[str]:
    """What is wrong with a mask's layers, in words: those without a weight, and those with units that nothing reaches.

    A unit (a row of a linear weight, a filter of a convolution) without a living weight gives a constant.

    Example:
        >>> import torch
        >>> weak_layers(Mask({"w": torch.tensor([[True, False], [False, False]])}))
        ["'w': 1 of 2 units have no living input"]
    """
    found: list[str] = []
    for name in mask:
        if mask.kept_in(name) == 0:
            found.append(f"'{name}' has no weight left (layer collapse)")
        elif mask[name].dim() > 1:
            reached = mask[name].flatten(1).any(dim=1)
            if not bool(reached.all()):
                found.append(f"'{name}': {int((~reached).sum())} of {len(reached)} units have no living input")
    return found


def _split(mask: Mask, exclude: Sequence[str], *, field: str = "exclude") -> tuple[list[str], list[str]]:
    for pattern in exclude:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in mask):
            raise Refused(f"{field}: '{pattern}' matches no tensor. There are: {', '.join(mask)}.")
    spared = [name for name in mask if _matches(name, exclude)]
    return [name for name in mask if name not in spared], spared


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _without(total: int, spared: Sequence[str], mask: Mask) -> int:
    """What is left of the total for the tensors that are not excluded."""
    rest = total - sum(mask.kept_in(name) for name in spared)
    if rest < 0:
        raise Refused(
            f"{total} weights are to stay, but the excluded tensors alone have {total - rest}. Exclude fewer, or keep "
            "more."
        )
    return rest

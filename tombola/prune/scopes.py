"""The scopes, which say how density is shared among the tensors."""

import fnmatch
from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.share import apportion, erk_wishes
from tombola.prune.target import Rounding, target

Tensors = Literal["prunable", "all"]
Share = tuple[tuple[str, ...], int]


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

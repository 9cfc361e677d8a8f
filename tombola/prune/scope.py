"""What a scope is: how density is shared among the tensors, and how the weights that stay are chosen."""

import fnmatch
from collections.abc import Callable, Sequence
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from typing import Literal, Protocol, runtime_checkable

from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.layout import Scores
from tombola.core.mask import Mask
from tombola.core.select import keep_best
from tombola.core.share import apportion
from tombola.prune.target import Rounding, target

Tensors = Literal["prunable", "all"]
Share = tuple[tuple[str, ...], int]


@runtime_checkable
class Scope(Protocol):
    """Which tensors are pruned, how many weights each group of them keeps, and how those are chosen."""

    @property
    def tensors(self) -> Tensors:
        """Prune the layout's prunable weights, or every parameter (biases too)."""
        ...

    def shares(self, mask: Mask, *, keep: float | None, density: float | None) -> list[Share]:
        """Groups of names, each with the number of weights it keeps: a fraction of the living, or down to a density.

        A scope whose weights stay or go together keeps as many as fit into that number.

        Raises:
            Refused: If the scope cannot cut such a mask so, whatever the scores.
        """
        ...

    def chosen(self, mask: Mask, scores: Scores, shares: Sequence[Share]) -> dict[str, Tensor]:
        """Which of the living weights stay in the groups' tensors. The numbers may be larger than this scope's own."""
        ...


class Ranking:
    """A scope that ranks the weights of each group and keeps the best; ties fall to the lower index."""

    def chosen(self, mask: Mask, scores: Scores, shares: Sequence[Share]) -> dict[str, Tensor]:
        """The best of each group."""
        kept: dict[str, Tensor] = {}
        for names, count in shares:
            kept.update(keep_best(mask, scores, names, count))
        return kept


def ranks_freely(scope: Scope) -> bool:
    """Whether a scope keeps simply the best of each group, whatever their places."""
    return getattr(type(scope), "chosen", None) is Ranking.chosen


def parted(mask: Mask, exclude: Sequence[str], *, field: str = "exclude") -> tuple[list[str], list[str]]:
    """The tensors that no pattern matches, and those that one does.

    Raises:
        Refused: If a pattern matches no tensor.
    """
    for pattern in exclude:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in mask):
            raise Refused(f"{field}: '{pattern}' matches no tensor. There are: {', '.join(mask)}.")
    spared = [name for name in mask if matches(name, exclude)]
    return [name for name in mask if name not in spared], spared


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether one of the patterns matches a name."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def without(total: int, spared: Sequence[str], mask: Mask) -> int:
    """What is left of the total for the tensors that are not excluded.

    Raises:
        Refused: If the excluded tensors alone have more.
    """
    rest = total - sum(mask.kept_in(name) for name in spared)
    if rest < 0:
        raise Refused(
            f"{total} weights are to stay, but the excluded tensors alone have {total - rest}. Exclude fewer, or keep "
            "more."
        )
    return rest


def quotas(
    mask: Mask,
    wishes: Callable[[dict[str, int], int], dict[str, float]],
    exclude: Sequence[str],
    *,
    of: str,
    rounding: Rounding,
    keep: float | None,
    density: float | None,
) -> list[Share]:
    """One group a tensor, with a share of one total by what each wishes for; none has more than it has living weights.

    Args:
        wishes: From the living weights of each tensor and the total, numbers proportional to which they share.
        of: The name of the scope.

    Raises:
        Refused: If a tensor would be left without a weight.
    """
    names, spared = parted(mask, exclude)
    caps = {name: mask.kept_in(name) for name in names}

    def counts(total: int) -> dict[str, int]:
        wanted = wishes(caps, total)
        return apportion({name: wanted[name] for name in names}, caps, total)

    def all_live(total: int) -> bool:
        return all(count or not caps[name] for name, count in counts(total).items())

    asked = without(target(mask.kept, mask.size, keep=keep, density=density, rounding=rounding), spared, mask)
    shared = counts(asked)
    for name, count in shared.items():
        if caps[name] and not count:
            few, enough = asked, sum(caps.values())
            while enough - few > 1:
                middle = (few + enough) // 2
                few, enough = (few, middle) if all_live(middle) else (middle, enough)
            enough += mask.kept - sum(caps.values()) + (rounding == "one_more" and keep is not None)
            least = Fraction(enough, mask.kept if density is None else mask.size)
            raise vanishing(name, mask, of=of, keep=keep, density=density, least=least)
    return [((name,), shared[name]) for name in names]


def vanishing(name: str, mask: Mask, *, of: str, keep: float | None, density: float | None, least: Fraction) -> Refused:
    """That a tensor would lose its last weight; `least` is the fraction at which no tensor does."""
    asked = f"keep {keep:.4g}" if density is None else f"density {density:.4g}"
    size = f"{mask[name].numel()} weights" if mask.kept_in(name) == mask[name].numel() else f"{mask.kept_in(name)} left"
    return Refused(
        f"{of}: at {asked}, '{name}' ({size}) would keep none, and a layer without a weight lets nothing through. "
        f"From {asked.split()[0]} {rounded_up(least)} on, every tensor keeps one. Keep so much, exclude '{name}', or "
        "use the scope everywhere(), which gives no tensor a share of its own."
    )


def rounded_up(fraction: Fraction) -> str:
    """A fraction in decimals, of four significant digits, not below it; at most 1.

    Example:
        >>> rounded_up(Fraction(1, 640)), rounded_up(Fraction(1, 3)), rounded_up(Fraction(1, 10))
        ('0.001563', '0.3334', '0.1')
    """
    number = Decimal(fraction.numerator) / Decimal(fraction.denominator)
    digits = Decimal(1).scaleb(number.adjusted() - 3)
    return f"{min(number.quantize(digits, ROUND_CEILING), Decimal(1)).normalize():f}"

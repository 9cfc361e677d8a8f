"""Scoring and pruning in rounds, on the way to a density: iterative SNIP, FORCE, SynFlow."""

import math

from tombola.core.criterion import Criterion, Habits, habits_of
from tombola.core.errors import Refused
from tombola.core.layout import Prunable
from tombola.core.mask import Mask
from tombola.prune.layers import collapsed
from tombola.prune.rank import pruned
from tombola.prune.scope import Scope


def in_rounds(
    net: Prunable, criterion: Criterion, *, scope: Scope, keep: float | None = None, density: float | None = None
) -> Mask:
    """The mask that a criterion leaves of a network, after as many rounds of scoring as is its habit.

    Each group of the scope falls to its number at the criterion's pace, so many rounds leave as many weights as one.

    Raises:
        Refused: If more weights are asked for than are alive, none can be scored, none would be left, or a tensor is
            left without a weight by a criterion that forbids it.

    Example:
        >>> import torch
        >>> from tombola.criteria.magnitude import Magnitude
        >>> from tombola.prune import Everywhere
        >>> from tombola.train.network import Network
        >>> net = Network({"w": torch.tensor([3.0, -1.0, 2.0, 0.5])}, Mask.dense({"w": (4,)}))
        >>> in_rounds(net, Magnitude(), scope=Everywhere(), density=0.5)["w"].tolist()
        [True, False, True, False]
    """
    habits, mask, begun = habits_of(criterion), net.mask, net.mask
    shares = scope.shares(begun, keep=keep, density=density)
    paces = [paced(sum(begun.kept_in(name) for name in names), count, habits) for names, count in shares]
    for number, counts in enumerate(zip(*paces, strict=True)):
        wanted = [(names, count) for (names, _), count in zip(shares, counts, strict=True)]
        scores = criterion(net.masked(mask).in_round(number))
        mask = pruned(begun if habits.revives == "yes" else mask, scores, wanted, scope)
    if begun.kept and not mask.kept:
        asked = f"keep {keep:g}" if density is None else f"density {density:g}"
        raise Refused(f"{asked} leaves none of {begun.kept:,} weights, and {scope} is to keep one at least. Keep more.")
    if habits.collapse == "forbidden" and (gone := collapsed(mask, before=begun)):
        raise Refused(
            f"{criterion} leaves no weight in '{gone[0]}' at density {mask.density:.4g}, which it is there to prevent. "
            f"Keep more, score in more rounds, or exclude that tensor from the scope{_or_allow(criterion)}."
        )
    return mask


def _or_allow(criterion: Criterion) -> str:
    return ", or let it happen: collapse='allowed'" if "collapse" in vars(criterion) else ""


def paced(first: int, final: int, habits: Habits) -> list[int]:
    """How many weights of a group each round keeps, from all that live down to what the scope leaves.

    Example:
        >>> paced(1000, 10, Habits(rounds=2)), paced(1000, 500, Habits(rounds=2, pace="linear")), paced(0, 0, Habits())
        ([100, 10], [750, 500], [0])
    """
    parts = [number / habits.rounds for number in range(1, habits.rounds)]
    if habits.pace == "exponential":
        between = [first * (final / max(first, 1)) ** part for part in parts]
    else:
        between = [first + (final - first) * part for part in parts]
    return [*(math.floor(count + 0.5) for count in between), final]

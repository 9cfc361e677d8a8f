"""Scoring and pruning in rounds, on the way to a density: iterative SNIP, FORCE, SynFlow."""

from tombola.core.criterion import Criterion, Habits, habits_of
from tombola.core.errors import Refused
from tombola.core.layout import Prunable
from tombola.core.mask import Mask
from tombola.prune.layers import collapsed
from tombola.prune.rank import prune
from tombola.prune.scopes import Scope


def in_rounds(
    net: Prunable, criterion: Criterion, *, scope: Scope, keep: float | None = None, density: float | None = None
) -> Mask:
    """The mask that a criterion leaves of a network, after as many rounds of scoring as is its habit.

    Raises:
        Refused: If more weights are asked for than are alive, none can be scored, or a tensor is left without a weight
            by a criterion that forbids it.

    Example:
        >>> import torch
        >>> from tombola.criteria.magnitude import Magnitude
        >>> from tombola.prune import Everywhere
        >>> from tombola.train.network import Network
        >>> net = Network({"w": torch.tensor([3.0, -1.0, 2.0, 0.5])}, Mask.dense({"w": (4,)}))
        >>> in_rounds(net, Magnitude(), scope=Everywhere(), density=0.5)["w"].tolist()
        [True, False, True, False]
    """
    habits, begun = habits_of(criterion), net.mask
    densities: list[float | None] = [density]
    if habits.rounds > 1:
        final = left_by(scope, begun, keep=keep, density=density) / begun.size
        keep, densities = None, list(paced(begun.density, final, habits))
    mask = begun
    for wanted in densities:
        living = begun if habits.revives == "yes" else mask
        mask = prune(living, criterion(net.masked(mask)), keep=keep, density=wanted, scope=scope)
    if habits.collapse == "forbidden" and (gone := collapsed(mask, before=begun)):
        raise Refused(
            f"{criterion} leaves no weight in '{gone[0]}' at density {mask.density:.4g}, which it is there to prevent. "
            "Keep more, score in more rounds, or exclude that tensor from the scope."
        )
    return mask


def left_by(scope: Scope, mask: Mask, *, keep: float | None, density: float | None) -> int:
    """How many weights a scope leaves, those of excluded tensors among them."""
    shares = scope.shares(mask, keep=keep, density=density)
    ranked = {name for names, _ in shares for name in names}
    return sum(count for _, count in shares) + sum(mask.kept_in(name) for name in mask if name not in ranked)


def paced(first: float, final: float, habits: Habits) -> list[float]:
    """The densities of the rounds, from that of the network down to the one that is wanted.

    Example:
        >>> [round(d, 6) for d in paced(1.0, 0.01, Habits(rounds=2))], paced(1.0, 0.5, Habits(rounds=2, pace="linear"))
        ([0.1, 0.01], [0.75, 0.5])
    """
    parts = [number / habits.rounds for number in range(1, habits.rounds)]
    if habits.pace == "exponential":
        return [*(first * (final / first) ** part for part in parts), final]
    return [*(first + (final - first) * part for part in parts), final]

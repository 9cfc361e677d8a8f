"""Class-prior shift: the same pictures of each class, more of some classes and fewer of others."""

import functools
from fractions import Fraction

import numpy as np

from tombola.core.errors import Refused
from tombola.core.plugin import plugin
from tombola.core.seeds import numbers
from tombola.tasks.arrays import Labels
from tombola.tasks.wrapped import Half, Wrapped, clean


@plugin("task", "reweighted")
class Reweighted(Wrapped):
    """Another task's examples with other shares of the classes: given, or drawn from a Dirichlet distribution.

    Label shift as Lipton, Wang & Smola (2018) and Azizzadenesheli et al. (2019) make it. Examples are left out, none is
    repeated: it is the largest set with these priors, in which no class has more examples than there are. `priors` has
    a share for each class, which sum to 1; without them they are drawn, all parameters equal to `concentration` (the
    smaller, the more uneven). `seed` names that draw and the choice of the examples.

    The classes stay as many, even if one has no example. Accuracy alone says little here: see balanced accuracy.

    Example:
        >>> Reweighted(priors=(0.55,) + (0.05,) * 9, of="test").train_size()
        1437
    """

    priors: tuple[float, ...] = ()
    concentration: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse priors that are none, and few labels, which are balanced over the classes."""
        if self.priors and (min(self.priors) < 0 or abs(sum(self.priors) - 1) > 1e-6):
            raise Refused(
                f"reweighted: priors {self.priors} have the sum {sum(self.priors):g} and the smallest "
                f"{min(self.priors):g}. Give a share of 0 or more for each class, 1 together."
            )
        if self.priors and self.concentration != 1.0:
            raise Refused("reweighted: a concentration is for priors that are drawn. Give priors or a concentration.")
        if not self.concentration > 0:
            raise Refused(f"reweighted: concentration {self.concentration:g} is not above 0.")
        if self.of == "all" and self.task.look().few:
            raise Refused(
                f"reweighted: the few labels of {self.task} are balanced over its classes, whatever the priors. Use "
                "few=0, or of='test'."
            )

    def shares(self) -> tuple[float, ...]:
        """The priors: those given, or those drawn.

        Raises:
            Refused: If they are not as many as there are classes.
        """
        classes = self.io.classes
        if not self.priors:
            return tuple(numbers("priors", self.seed).dirichlet([self.concentration] * classes).tolist())
        if len(self.priors) != classes:
            raise Refused(f"{self}: {len(self.priors)} priors are given for {classes} classes. Give one for each.")
        return self.priors

    def examples(self) -> int:
        """As many as are chosen."""
        return self.task.examples() if self.of == "test" else len(rows(self, "train"))

    def changed(self, half: Half) -> Half:
        """The chosen examples, in their order."""
        chosen = rows(self, half.split)
        groups = None if half.groups is None else half.groups[chosen]
        return Half(half.split, half.images[chosen], half.labels[chosen], groups)


@functools.lru_cache(maxsize=16)
def rows(task: Reweighted, split: str) -> np.ndarray:
    """The positions of a split's chosen examples."""
    arrays = clean(task.task)
    labels = arrays.train_labels if split == "train" else arrays.test_labels
    counts = apportioned(np.bincount(labels, minlength=task.io.classes).tolist(), task.shares())
    if not sum(counts):
        raise Refused(f"{task}: a class that these priors ask for has no example in '{split}', so nothing is left.")
    return chosen(labels, counts, "reweighted", task.seed, split)


def apportioned(there: list[int], priors: tuple[float, ...]) -> list[int]:
    """How many examples of each class make the largest set of these priors.

    Its size is the largest whole N for which no N * prior exceeds what is there. Shares that are not whole are rounded
    down, and the largest remainders up (Hamilton's method), the lower class first where they are equal. The priors are
    taken as they are written, in exact fractions.

    Example:
        >>> apportioned([10, 10], (0.2, 0.8)), apportioned([100, 100, 7], (0.5, 0.4, 0.1))
        ([2, 10], [35, 28, 7])
    """
    parts = [Fraction(repr(prior)) for prior in priors]
    total = sum(parts)
    whole = min(int(n * total / part) for n, part in zip(there, parts, strict=True) if part)
    exact = [whole * part / total for part in parts]
    counts = [int(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda c: counts[c] - exact[c])
    for c in by_remainder[: whole - sum(counts)]:
        counts[c] += 1
    return counts


def chosen(labels: Labels, counts: list[int], *names: str | int) -> np.ndarray:
    """The positions of so many examples of each class, drawn by the names, in ascending order."""
    shuffled = numbers(*names).permutation(len(labels))
    found = labels[shuffled]
    return np.sort(np.concatenate([shuffled[found == c][:count] for c, count in enumerate(counts)]))

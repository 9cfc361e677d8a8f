"""What a study of distribution shift is asked for: domains, transfers, rounds and parts."""

import dataclasses
import itertools
from collections.abc import Sequence

from tombola import Refused
from tombola.probes.contrast import reaches
from tombola.probes.correlation import FEWEST
from tombola.studies._words import known

Pair = tuple[str, str]
PARTS = ("controls", "few", "outcomes", "masks", "shift", "borrowed")
CONTROLLED = (4, 8, 12)
"""The rounds at which controls are made, or else the last one at which masks are carried."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """The whole of a study, of which claims, figures and tables take what is there.

    Args:
        domains: All of them; each has chains of its own.
        pairs: Sources and targets.
        length: Rounds of a chain.
        carried: The rounds at which masks are carried, in order.
        parts: What is measured besides.
        controlled: The pairs with controls and few labels.
        alike: The pairs with the same classes.
        few: Numbers of labels in the target, ascending.
    """

    domains: tuple[str, ...]
    pairs: tuple[Pair, ...]
    length: int
    carried: tuple[int, ...]
    parts: tuple[str, ...]
    controlled: tuple[Pair, ...]
    alike: tuple[Pair, ...]
    few: tuple[int, ...]

    @property
    def rounds(self) -> range:
        """Those of a chain behind its dense network."""
        return range(1, self.length + 1)

    @property
    def some(self) -> tuple[int, ...]:
        """The rounds at which controls are made and outcomes measured."""
        return tuple(number for number in CONTROLLED if number in self.carried) or self.carried[-1:]

    def has(self, part: str) -> bool:
        """Whether a part is asked for."""
        return part in self.parts


def related_leads(pairs: Sequence[Pair], carried: Sequence[int]) -> tuple[str, ...]:
    """The leads that are held against distances of domains: of spans that are reached, if there are pairs enough.

    Example:
        >>> related_leads([("a", "b"), ("b", "a"), ("a", "c"), ("c", "a")], [1, 3, 5])
        ('lead_1_to_5_points',)
    """
    spans = ((1, 5), (1, 20)) if len(pairs) >= FEWEST else ()
    return tuple(f"lead_{a}_to_{b}_points" for a, b in spans if reaches(carried, (a, b)))


def pairs_of(sources: Sequence[str], targets: Sequence[str]) -> tuple[Pair, ...]:
    """Every source with every other domain as its target."""
    each = itertools.product(dict.fromkeys(sources), dict.fromkeys(targets))
    return tuple((source, target) for source, target in each if target != source)


def sources_of(pairs: Sequence[Pair]) -> tuple[str, ...]:
    """Each source once."""
    return tuple(dict.fromkeys(source for source, _ in pairs))


def check_own(what: str, on: str, sources: Sequence[str], targets: Sequence[str], **own: object) -> None:
    """Refuse data of one's own that are not named whole, and their names beside data of other people.

    Args:
        own: The settings that name them, as they were given; those that may be left out have no say.

    Raises:
        Refused: If one is missing, or out of place.
    """
    study, words = f"shift_{what}", " and ".join(own)
    if on == "own" and not all((*own.values(), sources, targets)):
        raise Refused(
            f"{study}: on=own needs {', '.join(own)}, sources and targets: your {what}, their column of domains."
        )
    if on != "own" and any(own.values()):
        raise Refused(f"{study}: {words} are of your own {what}, and on={on} has its own. Give on=own.")


def checked(transfer: Sequence[int], length: int, parts: Sequence[str], few: Sequence[int]) -> tuple[int, ...]:
    """The rounds at which masks are carried, of those that there are.

    Raises:
        Refused: If there are none, no part has such a name, or numbers of labels are none.
    """
    known("parts", parts, PARTS)
    if length < 1:
        raise Refused(f"rounds={length}. A chain has one round of pruning or more.")
    if "few" in parts and (not few or min(few) < 1 or list(few) != sorted(set(few))):
        raise Refused(f"few={tuple(few)}: numbers of labels ascend, and there is one at least. Or leave out this part.")
    found = tuple(sorted({number for number in transfer if 1 <= number <= length}))
    if not found:
        raise Refused(f"transfer={tuple(transfer)} has none of the rounds 1 to {length}. Name some of them.")
    return found

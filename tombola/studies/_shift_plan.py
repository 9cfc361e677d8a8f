"""What a study of distribution shift is asked for: domains, transfers, rounds and parts."""

import dataclasses
from collections.abc import Sequence

from tombola import Refused
from tombola.probes.correlation import FEWEST
from tombola.studies._words import known

Pair = tuple[str, str]
PARTS = ("controls", "few", "outcomes", "masks", "shift")
CONTROLLED = (4, 8, 12)
"""The rounds at which controls are made."""
FEW = (50, 200, 1000)
"""Numbers of labels in the target."""


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
    """

    domains: tuple[str, ...]
    pairs: tuple[Pair, ...]
    length: int
    carried: tuple[int, ...]
    parts: tuple[str, ...]
    controlled: tuple[Pair, ...]
    alike: tuple[Pair, ...]

    @property
    def rounds(self) -> range:
        """Those of a chain behind its dense network."""
        return range(1, self.length + 1)

    @property
    def some(self) -> tuple[int, ...]:
        """The rounds at which controls are made and outcomes measured."""
        return tuple(number for number in CONTROLLED if number in self.carried)

    @property
    def few(self) -> tuple[int, ...]:
        """Numbers of labels in the target."""
        return FEW

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
    return tuple(f"lead_{a}_to_{b}_points" for a, b in spans if min(carried) <= a and max(carried) >= b)


def pairs_of(sources: Sequence[str], targets: Sequence[str]) -> tuple[Pair, ...]:
    """Every source with every other domain as its target."""
    return tuple((source, target) for source in sources for target in targets if target != source)


def sources_of(pairs: Sequence[Pair]) -> tuple[str, ...]:
    """Each source once."""
    return tuple(dict.fromkeys(source for source, _ in pairs))


def checked(transfer: Sequence[int], length: int, parts: Sequence[str]) -> tuple[int, ...]:
    """The rounds at which masks are carried, of those that there are.

    Raises:
        Refused: If there are none, or no part has such a name.
    """
    known("parts", parts, PARTS)
    found = tuple(sorted({number for number in transfer if 1 <= number <= length}))
    if not found:
        raise Refused(f"transfer={tuple(transfer)} has none of the rounds 1 to {length}. Name some of them.")
    return found

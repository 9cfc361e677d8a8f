"""A winning ticket on digits

Ten levels on real scans, three seeds, against reinit, shuffle and the whole network.

tombola run quickstart && tombola report quickstart            (or: make demo)
tombola run "quickstart(levels=4, seeds=(0, 1))"
"""

from collections.abc import Iterator
from typing import Any

from tombola import Claim, Curve, Goal, Pivot, Seeds, anatomy, carry, defer, find, prove, row, train, winning
from tombola.archs.mlp import Mlp
from tombola.moves.controls import Reinit, Shuffle
from tombola.studies import _names
from tombola.tasks.digits import Digits
from tombola.train.recipes import Quickstart

QUESTION = "Does a sparse part of this network, reset to its first weights, learn as well as the whole?"
NAMES = _names.TICKETS
# The test set has 360 scans, 0.28 points each: the usual margin of 0.2 points is less than one of them.
MARGIN = 0.01
DENSE = {"name": "ticket", "level": 0}


def goals(*, levels: int = 10, keep: float = 0.65, seeds: tuple[int, ...] = (0, 1, 2)) -> Iterator[Goal]:
    """Tickets level by level, their controls at every level, what their masks look like, and the proofs of the last."""
    task, recipe = Digits(), Quickstart()
    for seed in seeds:
        trained = []
        tickets = list(find(Mlp(), task, recipe, levels=levels, keep=keep, seeds=Seeds(seed), call=defer))
        for level, ticket in enumerate(tickets):
            arms: dict[str, Any] = {"ticket": ticket}
            if level:
                arms["reinit"] = defer(carry, ticket=ticket, by=Reinit(seed=seed))
                arms["shuffle"] = defer(carry, ticket=ticket, by=Shuffle(seed=seed))
            for name, start in arms.items():
                end = defer(train, ticket=start, task=task, recipe=recipe, seeds=Seeds(seed))
                yield row(end, seed=seed, level=level, name=name)
                trained += [end] if name == "ticket" else []
            yield row(defer(anatomy, ticket=ticket), seed=seed, level=level, probe="anatomy")
        yield row(defer(prove, ticket=tickets[-1], parents=tuple(trained)), seed=seed, level=levels, probe="proof")


def claims(*, levels: int, keep: float) -> Iterator[Claim]:
    """That the ticket wins, at every level."""
    for level in range(1, levels + 1):
        sentence = f"the ticket wins with {100 * keep**level:.2g} % of the weights"
        yield winning(level, margin=MARGIN, sentence=sentence)


def figures() -> Iterator[Curve]:
    """Accuracy against density."""
    yield Curve(x="density", y="test_accuracy", by="name", baseline=DENSE, title="Accuracy against density")


def tables() -> Iterator[Pivot]:
    """Level by level."""
    yield Pivot(lines="level", columns="name", title="Level by level")

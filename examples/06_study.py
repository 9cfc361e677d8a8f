"""Must it be the largest weights that are kept, or would any do?

tombola run examples/06_study.py
"""

from collections.abc import Iterator

from tombola import Better, Claim, Curve, Goal, Magnitude, Pivot, Seeds, defer, find, row, train
from tombola.archs.mlp import Mlp
from tombola.criteria.random_ import Random
from tombola.tasks.digits import Digits
from tombola.train.recipes import Quickstart

DENSE = {"name": "largest", "level": 0}


def goals(*, levels: int = 3, seeds: tuple[int, ...] = (0, 1, 2)) -> Iterator[Goal]:
    """One row for each network that is trained. Nothing is trained here: `defer` only says what is wanted."""
    task, recipe = Digits(), Quickstart(steps="10ep")
    for seed in seeds:
        for name, criterion in {"largest": Magnitude(), "any": Random(seed=seed)}.items():
            ask = {"levels": levels, "keep": 0.4, "criterion": criterion, "seeds": Seeds(seed)}
            for level, ticket in enumerate(find(Mlp(), task, recipe, **ask, call=defer)):
                # Level 0 is the same network under both names: one key, one training.
                end = defer(train, ticket=ticket, task=task, recipe=recipe, seeds=Seeds(seed))
                yield row(end, name=name, level=level, seed=seed)


def claims(*, levels: int) -> Iterator[Claim]:
    """Said before the numbers are there. With three seeds a verdict is clear or it is open."""
    for level in range(1, levels + 1):
        largest, others = ({"name": name, "level": level} for name in ("largest", "any"))
        yield Claim(f"at level {level} the largest are better than any", tests=(Better(where=largest, than=others),))


def figures() -> Iterator[Curve]:
    """Drawn on the page: tombola report examples/06_study.py"""
    yield Curve(x="density", y="test_accuracy", by="name", baseline=DENSE)


def tables() -> Iterator[Pivot]:
    """Shown on the page, and in the terminal when the run is over."""
    yield Pivot(lines="level", columns="name")

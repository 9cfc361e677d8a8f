"""Do tickets win? A small study, whose steps take long enough to be interrupted."""

from collections.abc import Iterator

from tombola import Goal, Seeds, carry, defer, find, row, train
from tombola.archs.mlp import Mlp
from tombola.moves.controls import Reinit
from tombola.tasks.digits import Digits
from tombola.train.recipes import Quickstart


def goals(*, steps: int = 40, levels: int = 1, seeds: tuple[int, ...] = (0, 1)) -> Iterator[Goal]:
    task, recipe = Digits(), Quickstart(steps=steps, evaluate=steps)
    for seed in seeds:
        for level, ticket in enumerate(
            find(Mlp(), task, recipe, levels=levels, keep=0.5, seeds=Seeds(seed), call=defer)
        ):
            for name, start in (("ticket", ticket), ("reinit", defer(carry, ticket=ticket, by=Reinit(seed=seed)))):
                end = defer(train, ticket=start, task=task, recipe=recipe, seeds=Seeds(seed))
                yield row(end, seed=seed, level=level, name=name)

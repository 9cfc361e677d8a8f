"""LeNet-300-100 on MNIST, reset to the start

The LeNet ladder of Maene et al. 2021 (arXiv 2106.06955) against its reinit; about an hour on two cores. The published
figures are single runs, read off a plot to 0.2 points; each is compared with the interval in which one further run of
ours would lie.

tombola run lenet_mnist && tombola report lenet_mnist
"""

from collections.abc import Iterator
from typing import Any

from tombola import (
    Agrees,
    Better,
    Claim,
    Curve,
    Goal,
    Pivot,
    Published,
    Seeds,
    anatomy,
    carry,
    defer,
    find,
    prove,
    row,
    train,
)
from tombola.archs.mlp import Mlp
from tombola.moves.controls import Reinit, Shuffle
from tombola.studies import _names
from tombola.tasks.mnist import Mnist
from tombola.train.recipes import LeNet

QUESTION = (
    "Do tickets of LeNet-300-100 on MNIST beat their reinit, and by how much, at 3.5 % and 0.92 % of the weights?"
)
NAMES = _names.TICKETS
SOURCE = "Maene et al. 2021, LeNet, read off a plot"
READING = 0.002
"""How exactly the published plot can be read: 0.2 points."""
PUBLISHED = {("ticket", 15): 0.9835, ("ticket", 21): 0.9784, ("reinit", 15): 0.9807, ("reinit", 21): 0.9685}
CONTROLS = {"reinit": Reinit, "shuffle": Shuffle}
DENSE = {"name": "ticket", "level": 0}


def goals(
    *, levels: int = 21, seeds: tuple[int, ...] = (0, 1, 2), controls: tuple[str, ...] = ("reinit",)
) -> Iterator[Goal]:
    """Tickets level by level with their controls; each cut keeps 0.8 of the living weights."""
    task, recipe = Mnist(), LeNet()
    for seed in seeds:
        trained = []
        tickets = list(find(Mlp(), task, recipe, levels=levels, keep=0.8, seeds=Seeds(seed), call=defer))
        for level, ticket in enumerate(tickets):
            arms: dict[str, Any] = {"ticket": ticket}
            for name in controls if level else ():
                arms[name] = defer(carry, ticket=ticket, by=CONTROLS[name](seed=seed))
            for name, start in arms.items():
                end = defer(train, ticket=start, task=task, recipe=recipe, seeds=Seeds(seed))
                yield row(end, seed=seed, level=level, name=name)
                trained += [end] if name == "ticket" else []
            yield row(defer(anatomy, ticket=ticket), seed=seed, level=level, probe="anatomy")
        yield row(defer(prove, ticket=tickets[-1], parents=tuple(trained)), seed=seed, level=levels, probe="proof")


def claims(*, levels: int) -> Iterator[Claim]:
    """The paper's four figures, and what it says of them: tickets beat their reinit, the more the sparser."""
    for (name, level), value in PUBLISHED.items():
        if level <= levels:
            published = Published(value=value, source=SOURCE, reading=READING)
            sentence = f"{name} at {0.8**level:.2%} of the weights reaches {value:.2%}"
            test = Agrees(where={"name": name, "level": level}, published=published)
            yield Claim(sentence, tests=(test,), family="published figures")
    for level in (15, 21):
        if level <= levels:
            ticket, reinit = ({"name": name, "level": level} for name in ("ticket", "reinit"))
            sentence = f"at {0.8**level:.2%} of the weights the ticket beats its reinit"
            yield Claim(sentence, tests=(Better(where=ticket, than=reinit),), family="ticket against reinit")


def figures() -> Iterator[Curve]:
    """Accuracy against density."""
    yield Curve(x="density", y="test_accuracy", by="name", baseline=DENSE, title="Accuracy against density")


def tables() -> Iterator[Pivot]:
    """Level by level."""
    yield Pivot(lines="level", columns="name", title="Level by level")

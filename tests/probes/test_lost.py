"""What carried tickets lose, by hand."""

import dataclasses

import pytest

from tombola.archs.mlp import Mlp
from tombola.core.errors import Refused
from tombola.find import draw
from tombola.probes.lost import lost
from tombola.tasks.digits import Digits
from tombola.train.loop import train
from tombola.train.recipe import Recipe
from tombola.train.trained import Trained

RECIPE = Recipe(steps=1, batch=60)
END = train(draw(Mlp(hidden=(4,)), Digits(), RECIPE), Digits(), RECIPE)


def with_accuracy(value: float) -> Trained:
    return dataclasses.replace(END, scores={**END.scores, "test_accuracy": value})


def test_losses_add_up():
    own, carried = (tuple(map(with_accuracy, values)) for values in ((0.75, 0.5), (0.5, 0.625)))
    assert lost(own[:1], carried[:1]).values == {"lost": 0.25}
    assert lost(own, carried).values == {"lost": 0.125}


def test_what_is_no_pair():
    with pytest.raises(Refused, match="1 own tickets and 2 carried ones"):
        lost((END,), (END, END))
    with pytest.raises(Refused, match="are two tasks"):
        lost((END,), (dataclasses.replace(END, task=Digits(size=16)),))

"""Recipes: times in steps, rates by hand, what is refused."""

import dataclasses
import importlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.train.toys import Points
from tombola.archs.mlp import Mlp
from tombola.core.errors import Refused
from tombola.core.task import Holdout
from tombola.core.text import parse
from tombola.find import draw
from tombola.tasks.digits import Digits
from tombola.train.optimizers import Sgd
from tombola.train.recipe import Recipe, longer
from tombola.train.schedules import Cosine, StepDecay

POINTS = Points()  # 23 training examples.


def test_epochs_count_the_partial_last_batch():
    recipe = Recipe(steps="3ep", batch=5, validation=0.0, warmup="1ep", rewind="2ep", evaluate="0.5ep")
    found = recipe.in_steps(POINTS)  # 23 examples are four batches of 5 and one of 3.
    assert (found.steps, found.warmup, found.rewind, found.evaluate) == (15, 5, 10, 3)
    assert dataclasses.replace(recipe, batch=23).in_steps(POINTS).steps == 3
    assert dataclasses.replace(recipe, batch=22).in_steps(POINTS).steps == 6


def test_an_epoch_is_of_what_is_not_held_out():
    recipe = Recipe(steps="1ep", batch=5, validation=0.1)
    assert recipe.holdout == Holdout(0.1, 0)
    assert recipe.in_steps(POINTS).steps == 5  # 21 examples.
    assert dataclasses.replace(recipe, validation=0.15).in_steps(POINTS).steps == 4  # 20 examples.
    assert Recipe(steps="1ep", batch=60).in_steps(Digits()).steps == 22  # 1,293 of 1,437 examples.


def test_in_steps_twice_is_in_steps_and_the_schedule_goes_along():
    recipe = Recipe(steps="4ep", batch=5, schedule=StepDecay(at=("1ep", "2.5ep")), validation=0.0)
    once = recipe.in_steps(POINTS)
    assert once.schedule == StepDecay(at=(5, 13))
    assert once.in_steps(POINTS) == once
    assert parse("recipe", str(once)) == once and parse("recipe", str(recipe)) == recipe


def test_rates_by_hand():
    recipe = Recipe(
        steps=8, warmup=4, rewind=0, optimizer=Sgd(lr=2.0), schedule=StepDecay(at=(2, 6), factor=0.5), validation=0.0
    ).in_steps(dataclasses.replace(POINTS, train=200))
    assert [recipe.rate(step) for step in range(8)] == [0.5, 1.0, 0.75, 1.0, 1.0, 1.0, 0.5, 0.5]
    smooth = Recipe(steps=4, optimizer=Sgd(lr=0.4), schedule=Cosine(), batch=5).in_steps(POINTS)
    assert [round(smooth.rate(step), 6) for step in range(4)] == [0.4, 0.341421, 0.2, 0.058579]


@given(st.integers(1, 50), st.integers(1, 60))
def test_warm_up_is_a_straight_line_to_the_rate(warmup: int, steps: int):
    recipe = Recipe(steps=steps, warmup=warmup, optimizer=Sgd(lr=3.0))
    for step in range(steps):
        assert recipe.rate(step) == pytest.approx(3.0 * min(step + 1, warmup) / warmup)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch": 0}, "recipe: field 'batch' is 0. It is 1 or more."),
        ({"clip": -1.0}, "recipe: field 'clip' is -1.0. It is 0 or more."),
        ({"clip": float("nan")}, "recipe: field 'clip' is nan. It must be a finite number."),
        ({"accumulate": 0}, "recipe: field 'accumulate' is 0. It is 1 or more."),
        ({"batch": 4, "accumulate": 5}, "a batch of 4 in 5 parts: lower accumulate to 4 or less."),
        ({"patience": -1}, "recipe: field 'patience' is -1. It is 0 or more."),
        ({"smoothing": 1.5}, "recipe: field 'smoothing' is 1.5. It lies between 0 and 1."),
        ({"smoothing": float("nan")}, "recipe: field 'smoothing' is nan. It must be a finite number."),
        ({"validation": 0.95}, "recipe: field 'validation' is 0.95. It lies between 0 and 0.9."),
        ({"validation": float("nan")}, "recipe: field 'validation' is nan. It must be a finite number."),
        ({"steps": -1}, "recipe: field 'steps' is -1. Steps are counted from 0."),
        ({"rewind": "1"}, "recipe: field 'rewind' is '1'. Write steps as 500 or '500it', epochs as '85ep'."),
        ({"steps": 2.5}, "recipe: field 'steps' is 2.5 (float). It must be of type int | str."),
        ({"steps": True}, "recipe: field 'steps' is True (bool). It must be of type int | str."),
        ({"select": "first"}, "recipe: field 'select' is 'first'. It must be one of: 'last', 'best'."),
        (
            {"select": "best", "validation": 0.0},
            "choosing the best weights or stopping early needs validation data: set validation=0.1, say.",
        ),
        (
            {"patience": 2, "validation": 0.0},
            "choosing the best weights or stopping early needs validation data: set validation=0.1, say.",
        ),
    ],
    ids=str,
)
def test_fields_that_make_no_sense_are_refused(fields: dict, message: str):
    with pytest.raises(Refused) as caught:
        Recipe(**fields)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"batch": 24},
            "a batch of 24 from toy_points(), which has 23 training examples: use batch=23 or less.",
        ),
        (
            {"batch": 23, "validation": 0.1},
            "a batch of 23 from toy_points(), which has 21 training examples: use batch=21 or less.",
        ),
        ({"steps": 0}, "a training of 0 steps trains nothing: give the recipe steps."),
        ({"steps": "0ep"}, "a training of 0 steps trains nothing: give the recipe steps."),
        (
            {"steps": "2ep", "rewind": "3ep"},
            "the rewind point, step 15, is not before the end of the training, step 10. Rewind earlier or train "
            "longer.",
        ),
        (
            {"steps": 10, "rewind": 10},
            "the rewind point, step 10, is not before the end of the training, step 10. Rewind earlier or train "
            "longer.",
        ),
    ],
    ids=str,
)
def test_recipes_that_do_not_fit_the_data_are_refused_before_anything_runs(fields: dict, message: str):
    recipe = Recipe(**{"batch": 5, "validation": 0.0} | fields)
    with pytest.raises(Refused) as caught:
        recipe.in_steps(POINTS)
    assert str(caught.value) == message
    with pytest.raises(Refused) as caught:
        draw.call(arch=Mlp(), task=POINTS, recipe=recipe)
    assert str(caught.value) == message


def test_smoothing_is_that_of_the_loss_by_hand():
    """Two classes, logits 0 and ln 3, label 1: probabilities 1/4 and 3/4; with smoothing 0.2 the target is 0.1, 0.9."""
    import math

    import torch

    outputs, targets = torch.tensor([[0.0, math.log(3)]]), torch.tensor([1])
    expected = -(0.1 * math.log(1 / 4) + 0.9 * math.log(3 / 4))
    assert float(Digits().loss(outputs, targets, smoothing=0.2)) == pytest.approx(expected, rel=1e-6)
    assert float(Digits().loss(outputs, targets)) == pytest.approx(-math.log(3 / 4), rel=1e-6)


def test_every_recipe_is_found_by_its_name():
    recipes = importlib.import_module("tombola.train.recipes")
    from tombola.core import catalogue

    for entry in catalogue.entries("recipe"):
        recipe = parse("recipe", entry.name)
        assert isinstance(recipe, Recipe) and parse("recipe", str(recipe)) == recipe
    assert isinstance(parse("recipe", "lenet"), recipes.LeNet)


def test_a_longer_training_has_all_its_times_drawn_out():
    recipe = Recipe(steps="20ep", warmup=30, schedule=StepDecay(at=("7.5ep", 100, "33it"), factor=0.5), rewind="1ep")
    found = longer(recipe, 5)
    assert found == dataclasses.replace(
        recipe, steps="100ep", warmup=150, schedule=StepDecay(at=("37.5ep", 500, "165it"), factor=0.5)
    )
    assert parse("recipe", str(found)) == found
    assert longer(longer(recipe, 3), 1 / 4 * 2).steps == "30ep"


@pytest.mark.parametrize(
    ("steps", "factor", "expected"),
    [
        ("10ep", 0.1, "1ep"), ("1ep", 0.5, "0.5ep"), ("85ep", 1.5, "127.5ep"), ("3it", 0.5, "2it"), (3, 0.5, 2),
        (4, 2.5, 10), ("0.3ep", 3, "0.9ep"), ("1ep", 1, "1ep"), (7, 1.1, 8),
    ],
)  # fmt: skip
def test_times_by_a_factor_by_hand(steps: int | str, factor: float, expected: int | str):
    assert longer(Recipe(steps=steps), factor).steps == expected


def test_rates_of_a_longer_training_are_those_of_the_shorter_one():
    short = Recipe(steps="8ep", batch=5, validation=0.0, warmup="1ep", schedule=StepDecay(at=("2ep", 20)))
    one, five = short.in_steps(POINTS), longer(short, 5).in_steps(POINTS)
    assert five.steps == 5 * one.steps
    assert [five.rate(5 * step + 4) for step in range(40)] == pytest.approx([one.rate(step) for step in range(40)])
    smooth = Recipe(steps=8, schedule=Cosine())
    assert longer(smooth, 3).rate(12) == smooth.rate(4)


@pytest.mark.parametrize("factor", [0, -1.0, float("nan"), float("inf")])
def test_a_factor_that_is_none_is_refused(factor: float):
    with pytest.raises(Refused, match="times as long is asked for. The factor is above 0."):
        longer(Recipe(), factor)

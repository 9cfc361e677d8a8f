import math

import numpy as np
import pytest
from scipy import ndimage

from tombola.core.errors import Refused
from tombola.core.text import parse
from tombola.tasks.rotated import Rotated

PLAIN = parse("task", "digits").arrays()


@pytest.mark.parametrize("fill", ["zero", "edge"])
@pytest.mark.parametrize(("degrees", "quarters"), [(90, 1), (180, 2), (-90, 3), (0, 0)])
def test_quarter_turns_are_exact(degrees: int, quarters: int, fill):
    turned = Rotated(degrees=degrees, fill=fill).arrays()
    for before, after in (
        (PLAIN.train_images, turned.train_images),
        (PLAIN.test_images, turned.test_images),
    ):
        assert (after == np.rot90(before, quarters, axes=(1, 2))).all()
    assert (turned.train_labels == PLAIN.train_labels).all()


@pytest.mark.parametrize(("fill", "mode"), [("zero", "grid-constant"), ("edge", "nearest")])
@pytest.mark.parametrize("degrees", [30.0, -17.5, 135.0])
def test_other_angles_are_those_of_scipy(degrees: float, fill, mode: str):
    turned = Rotated(degrees=degrees, fill=fill).arrays().test_images[:40]
    expected = ndimage.rotate(
        PLAIN.test_images[:40].astype(float), degrees, axes=(1, 2), reshape=False, order=1, mode=mode, cval=0
    )
    assert np.abs(turned - expected).max() <= 0.5 + 1e-6


def test_one_pixel_by_hand():
    """The pixel right of the middle by (1, 0) comes from 45 degrees below: at (cos, sin) of the way."""
    task = parse("task", "rotated(task=digits(size=3), degrees=45)")
    before, after = (t.arrays().test_images[7, ..., 0].astype(float) for t in (task.task, task))
    at = math.sqrt(0.5)
    expected = (1 - at) ** 2 * before[1, 1] + at * (1 - at) * (before[1, 2] + before[2, 1]) + at**2 * before[2, 2]
    assert after[1, 2] == round(expected)
    assert after[1, 1] == before[1, 1]


def test_colours_turn_together():
    colour = parse("task", "rotated(task=cifar100_subset(), degrees=20, of='test')").arrays()
    plain = parse("task", "cifar100_subset").arrays()
    expected = ndimage.rotate(
        plain.test_images[:20].astype(float), 20, axes=(1, 2), reshape=False, order=1, mode="grid-constant"
    )
    assert np.abs(colour.test_images[:20] - expected).max() <= 0.5 + 1e-6
    assert colour.train_images is plain.train_images or (colour.train_images == plain.train_images).all()


def test_what_is_left_as_it_is():
    task = parse("task", "rotated(task=mnist(crop=2, normalise='imagenet', few=30))")
    assert task.io == task.task.io and task.__identity__() == task.task.__identity__()
    assert task.used_constants() == task.task.used_constants() == ((0.459,), (0.226,))
    assert (task.crop, task.flip, task.default_recipe, Rotated.default_recipe) == (2, "no", "lenet()", "quickstart()")
    assert task.train_size() == 30 and task.examples() == 60_000
    assert parse("task", str(task)) == task


@pytest.mark.parametrize("degrees", [-180.0, 181.0, 720.0])
def test_more_than_half_a_turn(degrees: float):
    with pytest.raises(Refused, match="more than half a turn"):
        Rotated(degrees=degrees)

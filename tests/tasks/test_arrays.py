import hashlib

import numpy as np
from PIL import Image

from tombola.tasks.arrays import Arrays, digest, fitted, picture, statistics


def small(value: int = 0) -> Arrays:
    images = np.full((2, 2, 2, 1), value, np.uint8)
    return Arrays(images, np.array([0, 1]), images[:1], np.array([1]), classes=2)


def test_the_digest_is_what_its_text_says():
    by_hand = hashlib.sha256(
        b"train 2 2 2 1\n" + bytes([7] * 8) + bytes([0] * 8) + bytes([1] + [0] * 7)
        + b"test 1 2 2 1\n" + bytes([7] * 4) + bytes([1] + [0] * 7)
    )  # fmt: skip
    assert digest(small(7)) == by_hand.hexdigest()


def test_the_digest_sees_every_pixel_label_shape_and_split():
    one = small(7)
    changed = [small(8), one._replace(train_labels=np.array([1, 0])), one._replace(test_labels=np.array([0]))]
    changed.append(one._replace(train_images=one.train_images.reshape(2, 1, 4, 1)))
    pixel = one.test_images.copy()
    pixel[0, 1, 1, 0] = 0
    changed.append(one._replace(test_images=pixel))
    assert len({digest(a) for a in [one, *changed]}) == 6


def test_halving_averages_antialiased():
    pixels = np.zeros((4, 4), np.uint8)
    pixels[:, 2:] = 200
    small = fitted(pixels[None, :, :, None], side=2, channels=1)[0, :, :, 0]
    # The antialiased filter at factor 2 weighs pixels 1/7, 3/7, 3/7 at the border and 1/8, 3/8, 3/8, 1/8 within.
    assert small.tolist() == [[29, 171], [29, 171]]


def test_the_middle_of_an_oblong_picture_is_taken():
    pixels = np.zeros((2, 6), np.uint8)
    pixels[:, 2:4] = 9
    assert picture(Image.fromarray(pixels), side=2, channels=1)[..., 0].tolist() == [[9, 9], [9, 9]]


def test_grey_repeats_and_colour_becomes_luma():
    grey = np.arange(4, dtype=np.uint8).reshape(1, 2, 2, 1)
    assert (fitted(grey, side=2, channels=3) == grey).all()
    colour = np.array([[[[200, 100, 50]]]], np.uint8)
    assert fitted(colour, side=1, channels=1).item() == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)


def test_resizing_grey_to_colour_is_resizing_each_channel():
    grey = np.random.default_rng(0).integers(0, 256, (2, 7, 7, 1), dtype=np.uint8)
    assert (fitted(grey, side=5, channels=3) == fitted(np.repeat(grey, 3, 3), side=5, channels=3)).all()


def test_pictures_that_fit_are_not_copied():
    grey = np.zeros((2, 7, 7, 1), np.uint8)
    assert fitted(grey, side=7, channels=1) is grey


def test_statistics_are_those_of_numpy():
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), dtype=np.uint8)
    mean, sd = statistics(images)
    np.testing.assert_allclose(mean, (images / 255).mean((0, 1, 2)), atol=5.1e-5)
    np.testing.assert_allclose(sd, (images / 255).std((0, 1, 2)), atol=5.1e-5)

"""What all corruptions keep to, and the task made of them; each by itself is in `test_corruptions.py`."""

from typing import get_args

import numpy as np
import pytest

from tombola.core.errors import Refused
from tombola.core.text import parse
from tombola.tasks import kept
from tombola.tasks.corrupted import Corrupted, Kind, corrupt

KINDS = get_args(Kind)
TEXTS = {"digits": 8, "usps": 16, "mnist": 28, "cifar100_subset": 32}


@pytest.fixture(scope="module")
def real() -> dict[str, np.ndarray]:
    return {text: parse("task", text).arrays().test_images[:120] for text in TEXTS}


# --- What all keep to.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", TEXTS)
def test_every_size_and_colour(kind, text: str, real: dict):
    images = real[text][:6]
    for severity in (1, 5):
        out = corrupt(images, kind=kind, severity=severity, split="test")
        assert out.shape == images.shape and out.dtype == np.uint8
        assert (out != images).any() or (text, kind, severity) == ("digits", "motion_blur", 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_does_not_depend_on_the_others(kind, real: dict, monkeypatch: pytest.MonkeyPatch):
    images = real["cifar100_subset"][:9]
    whole = corrupt(images, kind=kind, severity=4, split="train")
    assert (corrupt(images[:4], kind=kind, severity=4, split="train") == whole[:4]).all()
    other = images.copy()
    other[:5] = other[5:6]
    assert (corrupt(other, kind=kind, severity=4, split="train")[6:] == whole[6:]).all()
    monkeypatch.setattr("tombola.tasks.corrupted._CHUNK", 2)
    assert (corrupt(images, kind=kind, severity=4, split="train") == whole).all()


DRAWN = [k for k in KINDS if k not in ("defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate")][:-1]


@pytest.mark.parametrize("kind", DRAWN)
def test_pictures_and_splits_have_draws_of_their_own(kind, real: dict):
    same = np.repeat(real["cifar100_subset"][3:4], 3, axis=0)
    train, test = (corrupt(same, kind=kind, severity=3, split=split) for split in ("train", "test"))
    assert len({picture.tobytes() for picture in (*train, *test)}) == 6


# By the paper's own constants: glass moves pixels once or twice and blurs more in between, motion at 3 and 4 has one
# sigma, elastic jitters less the more it bends, and the photograph under frost grows paler.
UNEVEN = {"glass_blur": (2, 4), "motion_blur": (1, 2, 3, 5), "elastic_transform": (), "frost": (1, 2, 3)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["mnist", "cifar100_subset"])
def test_severity_grows(kind, text: str, real: dict):
    images = real[text]
    order = UNEVEN.get(kind, (1, 2, 3, 4, 5))
    found = [
        np.square(corrupt(images, kind=kind, severity=s, split="test") - images.astype(float)).mean() for s in order
    ]
    assert found == sorted(set(found))


CONSTANT = ["defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "contrast", "elastic_transform", "pixelate"]


@pytest.mark.parametrize("side", [4, 8, 28, 32, 40])
@pytest.mark.parametrize("kind", CONSTANT)
def test_a_constant_picture_stays_so(kind, side: int):
    for value in (0, 57, 255):
        image = np.full((2, side, side, 1), value, np.uint8)
        for severity in (1, 2, 3, 4, 5):
            assert (corrupt(image, kind=kind, severity=severity, split="test") == value).all()


# --- The task.


def test_the_test_alone_or_all():
    plain = parse("task", "digits").arrays()
    alone, whole = (Corrupted(kind="fog", of=of).arrays() for of in ("test", "all"))
    assert (alone.train_images == plain.train_images).all() and (whole.train_images != plain.train_images).any()
    assert (alone.test_images == whole.test_images).all() and (alone.test_images != plain.test_images).any()
    assert (whole.train_labels == plain.train_labels).all() and whole.classes == 10


def test_the_task_shows_what_is_computed():
    task = parse("task", "corrupted(task=cifar100_subset(), kind='snow', severity=5, of='test')")
    inner = task.task
    pixels = corrupt(inner.arrays().test_images[:7], kind="snow", severity=5, split="test")
    shown = next(task.evaluation("test", size=7))[0].permute(0, 2, 3, 1).numpy()
    mean, sd = (np.array(part) for part in inner.own_constants())
    assert shown == pytest.approx((pixels / 255 - mean) / sd, abs=1e-5)
    assert (task.crop, task.flip, task.default_recipe) == (4, "yes", "resnet20()")
    assert task.__identity__() == inner.__identity__() and task.train_size() == 6000


def test_what_was_made_is_kept(monkeypatch: pytest.MonkeyPatch):
    first = Corrupted(kind="frost").arrays()
    written = []
    monkeypatch.setattr("tombola.tasks.corrupted.corrupt", lambda *_, **__: pytest.fail("was made again"))
    monkeypatch.setattr(kept, "write", lambda name, _: written.append(name))
    again = Corrupted(kind="frost").arrays()
    assert (again.train_images == first.train_images).all() and (again.test_images == first.test_images).all()
    monkeypatch.setattr("tombola.tasks.corrupted.corrupt", lambda images, **_: images)
    for fields in ({"severity": 1}, {"slips": "kept"}, {"task": parse("task", "digits(size=10)")}):
        Corrupted(kind="frost", **fields).arrays()
    assert len(set(written)) == 6


def test_slips_of_the_released_code():
    x = np.full((1, 8, 8, 1), 101, np.uint8)
    mended, cut = (corrupt(x, kind="brightness", severity=3, split="test", slips=s) for s in ("mended", "kept"))
    assert (mended == 139).all() and (cut == 139).all()  # 101 + 38.25
    mended, cut = (corrupt(x, kind="brightness", severity=2, split="test", slips=s) for s in ("mended", "kept"))
    assert (mended == round(126.5)).all() and (cut == 126).all()
    noisy = [
        corrupt(x, kind="gaussian_noise", severity=1, split="test", slips=s).astype(int) for s in ("mended", "kept")
    ]
    assert set((noisy[0] - noisy[1]).ravel().tolist()) == {0, 1}
    pixels = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3)).astype(np.uint8)
    glass = [corrupt(pixels, kind="glass_blur", severity=1, split="test", slips=s) for s in ("mended", "kept")]
    assert len(np.unique(glass[1])) < len(np.unique(glass[0]))


def test_pictures_too_small_to_bend():
    with pytest.raises(Refused, match="pictures of 3 pixels have nothing to bend or blur"):
        Corrupted(task=parse("task", "digits(size=3)")).arrays()


def test_words_that_are_none():
    for text, message in (("corrupted(kind='rain')", "'gaussian_noise', "), ("corrupted(severity=6)", "1, 2, 3, 4, 5")):
        with pytest.raises(Refused, match=f"must be one of: {message}"):
            parse("task", text)
    with pytest.raises(Refused, match="field 'task' is"):
        parse("task", "corrupted(task=3)")

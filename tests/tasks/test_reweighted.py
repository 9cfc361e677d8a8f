from fractions import Fraction

import numpy as np
import pytest

from tombola.core.errors import Refused
from tombola.core.seeds import Seeds, numbers
from tombola.core.task import Holdout
from tombola.core.text import parse
from tombola.tasks.reweighted import Reweighted, apportioned

PLAIN = parse("task", "digits").arrays()
SKEWED = (0.3, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.0)


@pytest.mark.parametrize(
    ("there", "priors", "counts"),
    [
        ([10, 10], (0.5, 0.5), [10, 10]),
        ([10, 10], (0.2, 0.8), [2, 10]),  # 10 / 0.8 makes 12, of which the shares are 2.4 and 9.6.
        ([7, 7, 7], (0.0, 0.0, 1.0), [0, 0, 7]),
        ([100, 100, 3], (0.1, 0.2, 0.7), [0, 1, 3]),
        ([1000, 300], (0.7, 0.3), [700, 300]),
    ],
)
def test_counts_by_hand(there: list[int], priors: tuple[float, ...], counts: list[int]):
    assert apportioned(there, priors) == counts


@pytest.mark.parametrize("seed", range(20))
def test_no_larger_set_has_these_priors(seed: int):
    """By trying every size: the largest one for which each class's exact share is there."""
    random = np.random.default_rng(seed)
    there = random.integers(1, 40, 4).tolist()
    priors = tuple((random.integers(0, 5, 4) + np.eye(4, dtype=int)[seed % 4]).tolist())
    priors = tuple(p / sum(priors) for p in priors)
    exact = [Fraction(repr(p)) / sum(Fraction(repr(q)) for q in priors) for p in priors]
    fits = [n for n in range(400) if all(n * p <= have for p, have in zip(exact, there, strict=True))]
    counts = apportioned(there, priors)
    assert sum(counts) == max(fits)
    for count, prior, have in zip(counts, exact, there, strict=True):
        assert abs(count - sum(counts) * prior) < 1 and count <= have


def test_the_priors_of_both_splits():
    task = Reweighted(priors=SKEWED)
    arrays = task.arrays()
    for images, labels, all_images, all_labels in (
        (arrays.train_images, arrays.train_labels, PLAIN.train_images, PLAIN.train_labels),
        (arrays.test_images, arrays.test_labels, PLAIN.test_images, PLAIN.test_labels),
    ):
        counts, there = np.bincount(labels, minlength=10), np.bincount(all_labels, minlength=10)
        assert np.abs(counts - len(labels) * np.array(SKEWED)).max() < 1
        assert len(labels) == min(int(n / Fraction(str(p))) for n, p in zip(there.tolist(), SKEWED, strict=True) if p)
        known = [image.tobytes() + bytes([label]) for image, label in zip(all_images, all_labels, strict=True)]
        places = [known.index(i.tobytes() + bytes([label])) for i, label in zip(images, labels, strict=True)]
        assert sorted(set(places)) == places  # In their order, none twice.
    assert task.examples() == task.train_size() == len(arrays.train_labels)
    assert task.train_size(Holdout(0.5)) == len(arrays.train_labels) - round(0.5 * len(arrays.train_labels))
    assert task.io.classes == 10


def test_the_test_split_alone():
    task = Reweighted(priors=SKEWED, of="test")
    arrays = task.arrays()
    assert task.train_size() == 1437 and (arrays.train_images == PLAIN.train_images).all()
    assert (arrays.test_images == Reweighted(priors=SKEWED).arrays().test_images).all()
    assert len(list(task.evaluation("test", size=1))) == len(arrays.test_labels) < 360


def test_drawn_priors_are_those_of_dirichlet():
    task = Reweighted(concentration=0.5, seed=3)
    gammas = numbers("priors", 3).standard_gamma(0.5, 10)
    assert task.shares() == pytest.approx(gammas / gammas.sum())
    spread = [np.mean([max(Reweighted(concentration=c, seed=s).shares()) for s in range(50)]) for c in (0.1, 1.0, 1e3)]
    assert spread == sorted(spread, reverse=True) and spread[-1] < 0.12
    means = np.mean([Reweighted(seed=s).shares() for s in range(400)], axis=0)
    assert np.abs(means - 0.1).max() < 4 * np.sqrt(0.09 / 11 / 400)  # The variance of a share is p (1 - p) / (10 + 1).
    counts = np.bincount(task.arrays().train_labels, minlength=10)
    assert np.abs(counts / counts.sum() - task.shares()).max() < 1 / counts.sum()


def test_the_seed_chooses():
    one, again, other = (Reweighted(priors=SKEWED, seed=s).arrays().train_images for s in (0, 0, 1))
    assert (one == again).all() and (one != other).any()


def test_batches_hold_the_chosen_only():
    task = Reweighted(priors=(0.5, 0.5) + (0.0,) * 8)
    _, targets = task.batch(0, seeds=Seeds(), size=10_000)
    assert np.bincount(targets).tolist() == [min(np.bincount(PLAIN.train_labels)[:2])] * 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"priors": (0.5, 0.6)}, "have the sum 1.1"),
        ({"priors": (1.5, -0.5)}, "the smallest -0.5"),
        ({"priors": SKEWED, "concentration": 2.0}, "Give priors or a concentration"),
        ({"concentration": 0.0}, "concentration 0 is not above 0"),
        ({"task": parse("task", "digits(few=50)")}, "few labels of digits"),
    ],
)
def test_what_is_no_prior(fields: dict, message: str):
    with pytest.raises(Refused, match=message):
        Reweighted(**fields)


def test_few_labels_and_another_test():
    task = parse("task", f"reweighted(task=digits(few=50), priors={SKEWED}, of='test')")
    assert task.train_size() == 50


def test_a_prior_for_each_class():
    with pytest.raises(Refused, match="2 priors are given for 10 classes"):
        Reweighted(priors=(0.5, 0.5)).arrays()


def test_the_order_of_wrapping():
    """Reweighting comes before corrupting or after: the same classes."""
    inner = parse("task", f"corrupted(task=reweighted(priors={SKEWED}), kind='contrast')").arrays()
    outer = parse("task", f"reweighted(task=corrupted(kind='contrast'), priors={SKEWED})").arrays()
    assert (inner.train_images == outer.train_images).all() and (inner.test_labels == outer.test_labels).all()

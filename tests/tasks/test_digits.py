import hashlib

import numpy as np
from sklearn.datasets import load_digits

from tombola.core.seeds import Seeds, numbers
from tombola.core.text import parse
from tombola.tasks.digits import scans

GOLDEN_TRAIN = [154, 142, 142, 142, 143, 147, 150, 133, 140, 144]
GOLDEN_TEST = [24, 40, 35, 41, 38, 35, 31, 46, 34, 36]
GOLDEN_BATCH = "946a096949a03106f97b407dd33ec0501479ee4ccfe7112b60319c3e4c7ee0ae"


def test_every_level_of_ink_comes_back():
    arrays = scans()
    order = numbers("split", "digits").permutation(1797)
    train, test = sorted(order[:1437].tolist()), sorted(order[1437:].tolist())
    assert not set(train) & set(test)
    pictures, labels = load_digits(return_X_y=True)
    for images, answers, rows in (
        (arrays.train_images, arrays.train_labels, train),
        (arrays.test_images, arrays.test_labels, test),
    ):
        ink = (16 * images.astype(int) + 127) // 255
        assert (ink.reshape(-1, 64) == pictures[rows]).all()
        assert (answers == labels[rows]).all()
    assert arrays.train_images.max() == 255 and len(np.unique(arrays.train_images)) == 17


def test_counts_of_the_fixed_split():
    arrays = scans()
    assert np.bincount(arrays.train_labels).tolist() == GOLDEN_TRAIN
    assert np.bincount(arrays.test_labels).tolist() == GOLDEN_TEST


def test_one_batch_is_what_it_always_was():
    """Golden: order, crop, and normalisation to the bit. A change here changes every result; it needs a new version."""
    inputs, targets = parse("task", "digits(crop=1)").batch(30, seeds=Seeds(7), size=64)
    content = inputs.numpy().astype("<f4").tobytes() + targets.numpy().astype("<i8").tobytes()
    assert hashlib.sha256(content).hexdigest() == GOLDEN_BATCH

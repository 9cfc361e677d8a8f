"""The sets hold what their makers published: checksums, class counts, means. Decoded anew in every session."""

import hashlib
import struct
from typing import get_args

import numpy as np
import pytest

from tombola.core.text import parse
from tombola.tasks import sources
from tombola.tasks.arrays import Arrays, digest, statistics


def decode(text: str) -> Arrays:
    source = parse("task", text).source()
    assert sources.locate(source).where == "folder"
    return sources.load(source)[0]


def idx(values: np.ndarray) -> str:
    """The MD5 of an array in the IDX format that MNIST came in."""
    values = values.astype(np.uint8)
    return hashlib.md5(
        struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()
    ).hexdigest()


MD5 = {  # Of the files as they are after gunzip; loaders usually check the compressed ones.
    "mnist": (
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ),
    "fashion_mnist": (
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ),
}
COUNTS = {
    "mnist": (
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
        [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
    ),
    "fashion_mnist": ([6000] * 10, [1000] * 10),
    "usps": (
        [1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644],
        [359, 264, 198, 166, 200, 160, 170, 147, 166, 177],
    ),
    "cifar100_subset": ([60] * 100, [15] * 100),
    "cifar100_subset(labels='coarse')": ([300] * 20, [75] * 20),
    "cifar10": ([5000] * 10, [1000] * 10),
}
MEANS = {
    "mnist": ((0.1307,), (0.3081,)),
    "fashion_mnist": ((0.2860,), (0.3530,)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
}
PIXELS = {
    "cifar100_subset": [
        "31c78e2918943ac6f1a6d96c58689e19a021a054debe86f8568b1d5d677b1abf",
        "60e5b4c202141a56bdf87dbc944fc6b3269f2fbe1d29d7baadead2694c0f32eb",
    ],
    "cifar10": [
        "fc115a3de050d667b88cbd5b0b9612ebf996c54230fe7758f3a14bb5af9a1c27",
        "89e609b642f687bc796fa3bfa4211005582a0e8131d463d996d11ddb297d312e",
        "93a365823e61729490a8801d80864ccd0ab1e8c98f19d71af65644d1c5f1486e",
        "809eb95ecd057a36516318f5023ea619009dd70dd38193db9da43125a928e6fa",
        "d05b7d66d216d6df882cc760cdc0ff2f1f0437abf699ed16005c021ef0add9cb",
        "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
    ],
}


SLOW = ("cifar10", "fashion_mnist", "cifar100_subset(labels='coarse')")


@pytest.mark.parametrize("text", [pytest.param(t, marks=pytest.mark.slow) if t in SLOW else t for t in COUNTS])
def test_a_set_is_the_published_one(text: str):
    arrays = decode(text)
    train, test = COUNTS[text]
    assert np.bincount(arrays.train_labels).tolist() == train
    assert np.bincount(arrays.test_labels).tolist() == test
    assert arrays.classes == len(train)
    task = parse("task", text)
    assert task.__identity__() == {"data": digest(arrays)}
    assert (len(arrays.train_labels), len(arrays.test_labels)) == task.source().sizes
    assert task.io.classes == len(train)
    if text in MD5:
        parts = arrays.train_images[..., 0], arrays.train_labels, arrays.test_images[..., 0], arrays.test_labels
        assert tuple(map(idx, parts)) == MD5[text]
    if text in MEANS:
        assert statistics(arrays.train_images) == MEANS[text] == task.own_constants()
    if text in PIXELS:
        parts = [*np.split(arrays.train_images, len(PIXELS[text]) - 1), arrays.test_images]
        assert [hashlib.sha256(part.tobytes()).hexdigest() for part in parts] == PIXELS[text]


def test_all_normalisation_words_are_known():
    from tombola.core.plugin import hints
    from tombola.tasks.cifar import Cifar10

    assert get_args(hints(Cifar10)["normalise"]) == ("own", "imagenet", "none")


def test_constants_of_usps_and_digits_are_measured():
    for text in ("usps", "digits"):
        task = parse("task", text)
        arrays, _ = sources.load(task.source())
        assert statistics(arrays.train_images) == task.own_constants()


def test_the_ticket_studies_have_their_own_constants():
    assert parse("task", "svhn").own_constants() == ((0.438, 0.444, 0.473), (0.198, 0.201, 0.197))
    assert parse("task", "cifar100").own_constants() == ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762))

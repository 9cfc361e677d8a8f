"""Angles and the noise scale of gradients, against gradients of single examples."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.core.errors import Refused
from tombola.core.seeds import Seeds
from tombola.core.task import CPU
from tombola.find import cut, draw
from tombola.probes.gradient_noise import gradient_noise
from tombola.tasks.digits import Digits
from tombola.train.examples import Examples
from tombola.train.loop import train
from tombola.train.recipe import Recipe
from tombola.train.trained import Trained

TASK = Digits(few=120)
RECIPE = Recipe(steps=10, batch=30, smoothing=0.1)


@pytest.fixture(scope="module")
def sparse() -> Trained:
    return train(cut(train(draw(Mlp(hidden=(6,)), TASK, RECIPE), TASK, RECIPE), keep=0.4), TASK, RECIPE)


def by_hand(sparse: Trained, size: int) -> tuple[list[np.ndarray], np.ndarray]:
    """The gradients of batches of an epoch, in double precision, over what lives, and their mean."""
    net, found = sparse.module().double(), list[np.ndarray]()
    examples = Examples(TASK, Recipe(batch=size, validation=RECIPE.validation), Seeds(), CPU)
    for inputs, targets in examples.batches(0, 0):
        loss = torch.nn.functional.cross_entropy(net(inputs.double()), targets, label_smoothing=0.1)
        gradients = torch.autograd.grad(loss, list(net.parameters()))
        names = [name for name, _ in net.named_parameters()]
        mask = sparse.mask
        living = [g[mask[n]] if n in mask else g.flatten() for n, g in zip(names, gradients, strict=True)]
        found.append(torch.cat(living).numpy())
    return found, np.mean(found, axis=0)


def test_angles_and_norms_by_hand(sparse: Trained):
    batches, mean = by_hand(sparse, 30)
    found = gradient_noise(sparse, TASK, RECIPE, batches=4).numbers()
    angles = [math.acos(g @ mean / np.linalg.norm(g) / np.linalg.norm(mean)) for g in batches]
    assert found["angle"] == pytest.approx(np.mean(angles), rel=1e-5)
    assert found["angle_deviation"] == pytest.approx(np.std(angles, ddof=1), rel=1e-4)
    assert found["cosine"] == pytest.approx(np.mean(np.cos(angles)), rel=1e-5)
    assert found["norm"] == pytest.approx(np.linalg.norm(mean), rel=1e-5)
    squares = [((g - mean) ** 2).sum() for g in batches]
    assert found["noise_scale"] == pytest.approx(30 * 119 / 90 * np.mean(squares) / (mean @ mean), rel=1e-5)


def test_the_noise_scale_is_that_of_single_examples(sparse: Trained):
    """Though batches of an epoch are drawn without putting back, which leaves a quarter of 4 batches' variance out."""
    single, mean = by_hand(sparse, 1)
    trace = np.var(single, axis=0).sum()
    estimates = [
        gradient_noise(sparse, TASK, RECIPE, batches=4, seeds=Seeds(s)).numbers()["noise_scale"] for s in range(40)
    ]
    assert np.mean(estimates) == pytest.approx(trace / (mean @ mean), rel=0.1)


def test_a_ticket_is_looked_at_where_it_starts(sparse: Trained):
    start, end = (gradient_noise(one, TASK, RECIPE, batches=2).numbers() for one in (sparse.ticket, sparse))
    assert start["norm"] != end["norm"] and start["batch"] == 30


def test_batch_norm_takes_each_batch_s_statistics():
    dense = draw(ResNet(depth=8, width=1), TASK, RECIPE)
    end = train(dense, TASK, RECIPE)
    batches, mean = by_hand(end, 30)  # In training mode, as a module is at first.
    found = gradient_noise(end, TASK, RECIPE, batches=4).numbers()
    assert found["norm"] == pytest.approx(np.linalg.norm(mean), rel=1e-4) and len(batches) == 4


def test_batch_norm_takes_the_statistics_of_each_part():
    """In parts of 10 an epoch is what it is in batches of 10; those of 30 are compared all the same."""
    end = train(draw(ResNet(depth=8, width=1), TASK, RECIPE), TASK, RECIPE)
    found = gradient_noise(end, TASK, dataclasses.replace(RECIPE, accumulate=3), batches=4).numbers()
    batches, mean = by_hand(end, 10)
    assert found["norm"] == pytest.approx(np.linalg.norm(mean), rel=1e-4) and found["batch"] == 30
    three = [np.mean(batches[start : start + 3], axis=0) for start in range(0, 12, 3)]
    cosines = [one @ mean / np.linalg.norm(one) / np.linalg.norm(mean) for one in three]
    assert found["cosine"] == pytest.approx(np.mean(cosines), rel=1e-4)


def test_what_is_refused(sparse: Trained):
    for given, message in (
        ({"batches": 1}, "1 batches. Give 2 or more"),
        ({"batches": 5}, "5 batches of 30 from .* whose epoch has 4"),
        ({"task": Digits(size=16, few=120)}, "is a network for"),
    ):
        with pytest.raises(Refused, match=message):
            gradient_noise(sparse, **{"task": TASK, "recipe": RECIPE, "batches": 2, **given})

"""Twins: the same start, other noise; and what is no pair of twins."""

import dataclasses
import math
from typing import Any

import pytest
import torch

from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.core.errors import Refused
from tombola.core.seeds import Seeds
from tombola.find import cut, draw
from tombola.probes.barrier import barrier
from tombola.probes.instability import instability
from tombola.repel import repel
from tombola.tasks.digits import Digits
from tombola.train.loop import train
from tombola.train.recipe import Recipe
from tombola.train.trained import Trained

ARCH, RECIPE = Mlp(hidden=(10,)), Recipe(steps=40, batch=60, rewind=8)


def twins(recipe: Recipe = RECIPE, arch: Any = ARCH) -> list[Trained]:
    ticket = draw(arch, Digits(), recipe)
    return [train(ticket, Digits(), recipe, Seeds(0, data=number, augment=number)) for number in (1, 2)]


def test_the_barrier_and_how_far_they_went():
    a, b = twins()
    found = instability(a, b, points=5)
    plain = barrier(a, b, points=5).numbers()
    numbers = found.numbers()
    assert {name: numbers[name] for name in plain} == plain and found.tables == barrier(a, b, points=5).tables
    learned = [name for name, _ in a.module().named_parameters()]
    flat = [torch.cat([s[n].double().flatten() for n in learned]) for s in (a.weights, b.weights, a.ticket.weights)]
    apart, one, other = (float((x - y).norm()) for x, y in ((flat[0], flat[1]), (flat[0], flat[2]), (flat[1], flat[2])))
    assert a.ticket.step == 8 and numbers["apart"] == pytest.approx(apart)
    assert numbers["travelled"] == pytest.approx((one + other) / 2)
    assert numbers["apart_by_travelled"] == pytest.approx(2 * apart / (one + other))
    assert found.proofs() == {"twins": True}


def test_a_sparse_ticket_travels_from_its_living_weights():
    dense = twins()[0]
    ticket = cut(dense, keep=0.5)
    a, b = (train(ticket, Digits(), RECIPE, Seeds(0, data=number)) for number in (1, 2))
    found = instability(a, b, points=3).numbers()
    start = ticket.mask.apply(ticket.weights)
    squares = [sum(float((one.weights[n] - start[n]).double().square().sum()) for n in start) for one in (a, b)]
    assert found["travelled"] == pytest.approx(sum(map(math.sqrt, squares)) / 2)


def test_networks_with_batch_norm():
    a, b = twins(arch=ResNet(depth=8, width=2), recipe=Recipe(steps=6, batch=60))
    given: Any = {"points": 3, "stats": "recompute", "splits": ("test",)}
    assert instability(a, b, **given).tables == barrier(a, b, **given).tables


def refused(match: str, a: Trained, b: Trained) -> None:
    with pytest.raises(Refused, match=match):
        instability(a, b)


def test_what_is_no_pair_of_twins():
    a, b = twins()
    refused("both were trained with the same noise", a, a)
    same = train(a.ticket, Digits(), RECIPE, Seeds(5, data=1, augment=1))
    refused("both were trained with the same noise", a, same)
    elsewhere = train(draw(ARCH, Digits(), RECIPE, Seeds(1)), Digits(), RECIPE, Seeds(1))
    refused("the two have another ticket", a, elsewhere)
    longer = dataclasses.replace(b, recipe=dataclasses.replace(RECIPE, batch=30))
    refused("the two have another recipe", a, longer)
    refused("the two have another task", a, dataclasses.replace(b, task=Digits(size=16)))


def test_a_repelled_network_is_no_twin_of_another():
    a, b = twins()
    others = [repel(a.ticket, Digits(), RECIPE, (a,), strength=s, seeds=Seeds(0, data=4)) for s in (1.0, 2.0)]
    refused(r"one was trained by train\(.*, the other by repel\(", a, others[0])
    refused(r"strength=1.0\), the other by repel", *others)
    again = repel(a.ticket, Digits(), RECIPE, (a,), strength=1.0, seeds=Seeds(0, data=5))
    assert instability(others[0], again, points=3).proofs() == {"twins": True}
    refused("one was trained by", again, repel(a.ticket, Digits(), RECIPE, (b,), strength=1.0))


def test_noise_that_reaches_nothing():
    a, b = twins()
    refused("the two have the same weights", a, dataclasses.replace(b, weights=a.weights))

"""The norm of the masked gradient: against finite differences, a linear model worked out, and the loop's own batch."""

import dataclasses
import importlib
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.probes.given import Bag, Words
from tests.train.toys import IMAGES, Convs, Points, a_ticket
from tombola.archs.mlp import Mlp
from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.core.seeds import Seeds
from tombola.core.task import CPU
from tombola.core.ticket import Ticket
from tombola.probes.gradient_flow import gradient_flow
from tombola.study.deferred import defer
from tombola.train.examples import Examples
from tombola.train.loop import train
from tombola.train.recipe import Recipe

TASK, RECIPE = Points(), Recipe(steps=4, batch=7, validation=0.0, evaluate=4, smoothing=0.3)


def exact(ticket: Ticket) -> Ticket:
    """The ticket in float64."""
    weights = {n: v.double() if v.is_floating_point() else v for n, v in ticket.weights.items()}
    return ticket.rebuilt(weights=weights)


def batch(task: Any = TASK, number: int = 20, seeds: Seeds = Seeds()) -> tuple[Tensor, Tensor]:
    """The one batch of so many examples."""
    whole = Examples(task, dataclasses.replace(RECIPE, batch=number), seeds, CPU)
    inputs, targets = next(iter(whole.batches(1, 0)))
    assert len(inputs) == number
    return inputs.double(), targets


def loss_at(ticket: Ticket, given: tuple[Tensor, Tensor], mode: str) -> float:
    net = ticket.module().train(mode == "train")
    return float(functional.cross_entropy(net(given[0]), given[1]).detach())


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("arch", [Mlp(hidden=(5,)), Convs(width=2)], ids=str)
def test_against_finite_differences(arch: Any, mode: Any):
    """Every parameter is moved by itself, dead weights too."""
    task = TASK if isinstance(arch, Mlp) else IMAGES
    ticket = exact(a_ticket(arch, task, density=0.8, seed=1))
    shifted = {n: v + 0.3 if n.endswith("running_mean") else v for n, v in ticket.masked().items()}
    # A unit without a bias whose living inputs are zero is at the corner of its ReLU: there no difference is right.
    whole_ones = {name: mask | torch.tensor(name == "grouped.weight") for name, mask in ticket.mask.items()}
    ticket = ticket.rebuilt(weights=shifted, mask=Mask(whole_ones))
    given = batch(task)
    names = [name for name, _ in ticket.module().named_parameters()]
    whole, step, living, dead = dict(ticket.weights), 1e-6, 0.0, 0.0
    dense = ticket.rebuilt(mask=Mask.dense(ticket.mask.shapes))
    for name in names:
        alive = ticket.mask[name] if name in ticket.mask else torch.ones(whole[name].shape, dtype=torch.bool)
        for place in range(whole[name].numel()):
            moved = []
            for by in (step, -step):
                value = whole[name].clone()
                value.view(-1)[place] += by
                moved.append(loss_at(dense.rebuilt(weights={**whole, name: value}), given, mode))
            square = ((moved[0] - moved[1]) / (2 * step)) ** 2
            living, dead = living + square * bool(alive.view(-1)[place]), dead + square * (not alive.view(-1)[place])
    numbers = gradient_flow(ticket, task, RECIPE, examples=20, mode=mode).numbers()
    assert numbers["gradient_norm"] == pytest.approx(math.sqrt(living), rel=1e-5)
    assert numbers["gradient_norm_dead"] == pytest.approx(math.sqrt(dead), rel=1e-5)
    assert numbers["loss"] == pytest.approx(loss_at(ticket, given, mode)) and numbers["examples"] == 20


def test_a_linear_model_worked_out():
    """Softmax regression: the gradient is (p - y) x, meaned, and p - y for the bias; no decay, no smoothing."""
    ticket = exact(a_ticket(Mlp(hidden=()), TASK, density=0.5))
    inputs, targets = batch()
    weights = ticket.masked()
    odds = torch.softmax(inputs @ weights["head.weight"].T + weights["head.bias"], 1)
    error = odds - functional.one_hot(targets, 3)
    by_weight, by_bias = error.T @ inputs / 20, error.mean(0)
    alive = ticket.mask["head.weight"]
    found = gradient_flow(ticket, TASK, RECIPE, examples=20)
    lines = {line["parameter"]: line for line in found.tables["parameters"]}
    assert lines["head.weight"]["norm"] == pytest.approx(float(by_weight[alive].norm()))
    assert lines["head.weight"]["norm_dead"] == pytest.approx(float(by_weight[~alive].norm()))
    assert lines["head.bias"]["norm"] == pytest.approx(float(by_bias.norm()))
    assert (lines["head.weight"]["size"], lines["head.weight"]["alive"]) == (18, ticket.mask.kept)
    total = math.hypot(float(by_weight[alive].norm()), float(by_bias.norm()))
    assert found.numbers()["gradient_norm"] == pytest.approx(total)


def test_of_a_training_it_is_told_where_it_ended():
    ticket = a_ticket(Convs(width=2), IMAGES)
    trained = train(ticket, IMAGES, RECIPE)
    start, end = (gradient_flow(one, IMAGES, RECIPE, examples=20) for one in (ticket, trained))
    as_ticket = gradient_flow(ticket.rebuilt(weights=trained.weights), IMAGES, RECIPE, examples=20)
    assert end.numbers() == pytest.approx(as_ticket.numbers()) and end.numbers() != start.numbers()
    last = Mask({name: ~mask for name, mask in ticket.mask.items()})
    turned = gradient_flow(dataclasses.replace(trained, rewired=last), IMAGES, RECIPE, examples=20)
    for one, other in zip(turned.tables["parameters"], end.tables["parameters"], strict=True):
        if one["parameter"] in last:
            assert (one["norm"], one["norm_dead"]) == (other["norm_dead"], other["norm"])


def test_the_batch_is_fixed_by_the_seeds_and_nothing_is_changed():
    ticket = a_ticket(Convs(width=2), IMAGES)
    before = ticket.digest
    one = gradient_flow(ticket, IMAGES, RECIPE, examples=10)
    other = gradient_flow(ticket, IMAGES, dataclasses.replace(RECIPE, batch=5, steps=9), examples=10)
    assert one.numbers() == other.numbers() and ticket.digest == before
    assert dict(ticket.weights).keys() and bool((ticket.weights["norm.running_mean"] == 0).all())
    assert gradient_flow(ticket, IMAGES, RECIPE, examples=10, seeds=Seeds(1)).numbers() != one.numbers()
    assert gradient_flow(ticket, IMAGES, RECIPE, examples=10, mode="eval").numbers() != one.numbers()


def test_what_is_held_out_is_not_looked_at():
    recipe = dataclasses.replace(RECIPE, validation=0.2)
    size = TASK.train_size(recipe.holdout)
    assert gradient_flow(a_ticket(Mlp(hidden=(5,)), TASK), TASK, recipe, examples=size).numbers()["examples"] == size
    with pytest.raises(Refused, match=f"a batch of {size + 1} .* has {size} training examples. Give 1 to {size}"):
        gradient_flow(a_ticket(Mlp(hidden=(5,)), TASK), TASK, recipe, examples=size + 1)


def test_what_does_not_fit_is_refused():
    ticket = a_ticket(Mlp(hidden=(5,)), TASK)
    with pytest.raises(Refused, match="a batch of 0"):
        gradient_flow(ticket, TASK, RECIPE, examples=0)
    with pytest.raises(Refused, match="mode is 'both'. It is one of train, eval"):
        importlib.import_module("tombola.probes.gradient_flow")._check(ticket, TASK, RECIPE, 5, "both")
    with pytest.raises(Refused, match="is a network for"):
        gradient_flow(ticket, Points(classes=4), RECIPE, examples=5)


def test_a_network_that_reads_tokens():
    task = Words(texts=((1, 2, 3), (4, 5), (2,), (3, 1, 4, 5)))
    ticket = a_ticket(Bag(), task)
    found = gradient_flow(ticket, task, dataclasses.replace(RECIPE, batch=2), examples=4)
    assert found.numbers()["gradient_norm"] > 0


def test_it_can_be_deferred_with_times_in_epochs():
    ticket = a_ticket(Mlp(hidden=(5,)), TASK)
    after = defer(train, ticket=ticket, task=TASK, recipe=RECIPE)
    one = defer(gradient_flow, ticket=after, task=TASK, recipe=dataclasses.replace(RECIPE, steps="2ep"))
    assert one.key == defer(gradient_flow, after, TASK, dataclasses.replace(RECIPE, steps=8)).key

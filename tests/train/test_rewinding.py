"""Rewinding, where the peers went wrong in silence: no reset, a partial one, a mask not applied, state that survives.

Lightning's pruning did not reset the weights for three years, and never the optimiser or the statistics of batch norm;
others reset, and retrained without the mask.
"""

import importlib

import pytest
import torch

from tests.train.toys import IMAGES, Convs, Points, bare_loop, same
from tombola.archs.mlp import Mlp
from tombola.core.errors import Refused
from tombola.core.layout import Arch, initial_weights
from tombola.core.mask import Mask
from tombola.core.seeds import Seeds
from tombola.core.task import Task
from tombola.core.ticket import Ticket
from tombola.find import cut, draw, find
from tombola.study.step import Context
from tombola.train.evaluate import Score
from tombola.train.loop import train
from tombola.train.optimizers import Sgd
from tombola.train.recipe import Recipe
from tombola.train.run import Run
from tombola.train.schedules import Cosine, StepDecay

POINTS, MLP = Points(), Mlp(hidden=(8,))
MOMENTUM = {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3, "fused": True}
OPTIMIZER = Sgd(lr=0.05, momentum=0.9, decay=1e-3)
BOTH = pytest.mark.parametrize(("arch", "task"), [(MLP, POINTS), (Convs(), IMAGES)], ids=["linear", "batch norm"])


def a_recipe(rewind: int, **changes: object) -> Recipe:
    return Recipe(**{"steps": 20, "batch": 5, "optimizer": OPTIMIZER, "rewind": rewind, "evaluate": 10} | changes)


@BOTH
@pytest.mark.parametrize("rewind", [0, 6])
def test_survivors_equal_the_rewind_point_bit_for_bit_after_every_level(arch: Arch, task: Task, rewind: int):
    dense, *levels = find(arch, task, a_recipe(rewind), levels=2, keep=0.7)
    assert dense.density == 1.0 and [ticket.level for ticket in levels] == [1, 2]
    before = dense.mask
    for ticket in levels:
        assert ticket.mask <= before and ticket.mask.kept < before.kept
        assert (ticket.step, ticket.restart) == (rewind, "weights")
        assert same(dict(ticket.weights), dict(dense.weights))  # All of them: biases and statistics too.
        start = dict(ticket.module().state_dict())
        for name, value in dense.weights.items():
            alive = ticket.mask[name] if name in ticket.mask else torch.ones_like(value).bool()
            assert torch.equal(start[name][alive], value[alive]) and not bool(start[name][~alive].any()), name
        before = ticket.mask


@BOTH
def test_rewinding_to_the_start_is_the_initial_weights(arch: Arch, task: Task):
    dense = draw(arch, task, a_recipe(0), Seeds(3))
    assert same(dict(dense.weights), initial_weights(arch, task.io, "init", 3))
    assert dense.step == 0 and dense.mask == Mask.dense(dense.mask.shapes)
    other = draw(arch, task, a_recipe(0), Seeds(4))
    assert not same(dict(dense.weights), dict(other.weights))
    assert same(dict(draw(arch, task, a_recipe(0), Seeds(4, init=3)).weights), dict(dense.weights))


@BOTH
def test_the_ticket_at_step_k_equals_a_bare_loop_after_k_steps(arch: Arch, task: Task):
    dense = draw(arch, task, a_recipe(6))
    start = dense.rebuilt(weights=initial_weights(arch, task.io, "init", 0))
    net, _, _ = bare_loop(start, task, a_recipe(6), range(6), torch.optim.SGD, **MOMENTUM)
    assert dense.step == 6 and same(dict(dense.weights), dict(net.state_dict()))
    if arch == Convs():
        assert int(dense.weights["norm.num_batches_tracked"]) == 6


@BOTH
@pytest.mark.parametrize("rewind", [0, 6])
def test_retraining_starts_from_the_rewind_point_with_a_fresh_optimiser_and_the_mask(
    arch: Arch, task: Task, rewind: int
):
    """A bare loop that starts from the ticket with new momentum, at the ticket's step, ends in the same bits."""
    recipe = a_recipe(rewind)
    *_, ticket = find(arch, task, recipe, levels=1, keep=0.5)
    trained = train(ticket, task, recipe)
    net, _, _ = bare_loop(ticket, task, recipe, range(rewind, 20), torch.optim.SGD, **MOMENTUM)
    assert same(dict(trained.weights), dict(net.state_dict()))
    assert all(not bool(trained.weights[name][~mask].any()) for name, mask in ticket.mask.items())
    fresh = Run(ticket, task, recipe.in_steps(task), Seeds(), Context())
    momenta = [state["momentum_buffer"] for state in fresh.optimizer.state.values()]
    assert momenta and not any(bool(momentum.any()) for momentum in momenta) and fresh.progress.step == rewind


def a_level(restart: str, rewind: int = 6) -> tuple[Ticket, Ticket, Recipe]:
    """The trained dense network's ticket, what a cut with this restart makes of it, and the recipe."""
    recipe = a_recipe(rewind, schedule=StepDecay(at=(10, 15)))
    dense = draw(Convs(), IMAGES, recipe)
    trained = train(dense, IMAGES, recipe)
    ticket = cut(trained, keep=0.6, restart=restart)
    return dense.rebuilt(weights=dict(trained.weights)), ticket, recipe


def rates_of(ticket: Ticket, recipe: Recipe) -> list[float]:
    """The rates that the optimiser is really given."""
    run = Run(ticket, IMAGES, recipe.in_steps(IMAGES), Seeds(), Context())
    found, update = [], run.update

    def watched(step: int) -> None:
        found.append(run.optimizer.param_groups[0]["lr"])
        update(step)

    run.update = watched
    run.to_step(20)
    return found


def test_rewinding_the_rate_keeps_trained_weights_and_sets_the_schedule_back():
    trained, ticket, recipe = a_level("rate")
    assert (ticket.step, ticket.restart, ticket.holding) == (6, "rate", "alive")
    assert same(dict(ticket.weights), ticket.mask.apply(trained.weights))
    assert same(ticket.weights["norm.running_mean"], trained.weights["norm.running_mean"])
    assert rates_of(ticket, recipe) == pytest.approx([0.05] * 4 + [0.005] * 5 + [0.0005] * 5)


def test_fine_tuning_keeps_trained_weights_and_the_last_rate():
    trained, ticket, recipe = a_level("fine-tune")
    assert (ticket.step, ticket.restart) == (6, "fine-tune")
    assert same(dict(ticket.weights), ticket.mask.apply(trained.weights))
    assert rates_of(ticket, recipe) == pytest.approx([0.0005] * 14)


def test_rewinding_the_weights_goes_through_the_schedule_from_its_step():
    _, ticket, recipe = a_level("weights")
    assert rates_of(ticket, recipe) == pytest.approx([0.05] * 4 + [0.005] * 5 + [0.0005] * 5)


def test_the_curve_of_fine_tuning_shows_the_rate_that_was_used():
    _, ticket, recipe = a_level("fine-tune")
    assert [row["rate"] for row in train(ticket, IMAGES, recipe).log] == pytest.approx([0.0005, 0.0005])


@pytest.mark.parametrize("changes", [{"select": "best"}, {"patience": 1}], ids=str)
def test_choosing_the_best_weights_does_not_move_the_rewind_point(
    changes: dict[str, object], monkeypatch: pytest.MonkeyPatch
):
    run_module = importlib.import_module("tombola.train.run")
    monkeypatch.setattr(run_module, "evaluate", lambda *_, **__: Score(1.0, 0.5, 10))  # The first point is the best.
    recipe = a_recipe(6, evaluate=2)
    plain = draw(MLP, POINTS, recipe)
    assert same(dict(draw(MLP, POINTS, a_recipe(6, evaluate=2, **changes)).weights), dict(plain.weights))


def test_no_level_changes_the_ticket_it_came_from():
    recipe = a_recipe(6)
    dense = draw(Convs(), IMAGES, recipe)
    before = {name: value.clone() for name, value in dense.weights.items()}
    trained = train(dense, IMAGES, recipe)
    after = {name: value.clone() for name, value in trained.weights.items()}
    ticket = cut(trained, keep=0.5)
    train(ticket, IMAGES, recipe)
    assert same(dict(dense.weights), before) and same(dict(trained.weights), after)


def test_fine_tuning_at_no_rate_is_refused():
    """A cosine ends at zero: all that follows would train nothing, and look like fine-tuning."""
    ticket = draw(Mlp(hidden=(4,)), IMAGES, Recipe(steps=200, batch=6, validation=0.0)).rebuilt(restart="fine-tune")
    with pytest.raises(Refused, match="nothing would move"):
        train(ticket, IMAGES, Recipe(steps=200, batch=6, schedule=Cosine(), validation=0.0))
    train(ticket, IMAGES, Recipe(steps=200, batch=6, schedule=Cosine(floor=0.01), validation=0.0))

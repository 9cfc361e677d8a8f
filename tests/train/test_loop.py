"""The verb `train`: results, seeds, cost."""

import dataclasses
import pathlib

import numpy as np
import pytest
import torch

from tests.train.toys import IMAGES, Convs, Points, a_ticket, same
from tombola.archs.mlp import Mlp
from tombola.core.errors import Refused
from tombola.core.seeds import Seeds
from tombola.core.task import Holdout
from tombola.core.ticket import Ticket
from tombola.study.step import Context
from tombola.tasks.digits import Digits
from tombola.train.evaluate import evaluate
from tombola.train.loop import train
from tombola.train.optimizers import Sgd
from tombola.train.recipe import Recipe
from tombola.train.trained import Trained

POINTS, MLP = Points(), Mlp(hidden=(8,))
RECIPE = Recipe(steps=12, batch=5, optimizer=Sgd(lr=0.05), evaluate=5)


def test_evaluation_by_hand():
    """Eleven examples in batches of 4, 4 and 3: means are over examples, not over batches."""
    net = a_ticket(MLP, POINTS).module().train()
    values, labels = (np.concatenate([part[i].numpy() for part in POINTS.evaluation("test")]) for i in (0, 1))
    w1, b1, w2, b2 = (value.detach().double().numpy() for value in net.parameters())
    logits = np.maximum(values @ w1.T + b1, 0) @ w2.T + b2
    chance = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    losses = -np.log(chance[np.arange(11), labels])
    score = evaluate(net, POINTS, "test")
    assert score.examples == 11
    assert score.loss == pytest.approx(losses.mean(), rel=1e-5)
    assert score.accuracy == pytest.approx((logits.argmax(1) == labels).mean(), abs=1e-12)
    assert net.training


def test_evaluation_uses_running_statistics_and_changes_nothing():
    net = a_ticket(Convs(), IMAGES).module().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    first = evaluate(net, IMAGES, "test")
    assert same(dict(net.state_dict()), before) and net.training
    assert evaluate(net.eval(), IMAGES, "test") == first and not net.training


def test_scores_are_of_every_split_of_the_weights_given_back():
    trained = train(a_ticket(MLP, POINTS), POINTS, RECIPE)
    assert set(trained.scores) == {
        f"{s}_{what}" for s in ("test", "train", "validation") for what in ("accuracy", "loss")
    }
    for split in ("test", "train", "validation"):
        score = evaluate(trained.module(), POINTS, split, holdout=Holdout(0.1))
        assert (trained.scores[f"{split}_accuracy"], trained.scores[f"{split}_loss"]) == (score.accuracy, score.loss)
    assert evaluate(trained.module(), POINTS, "train", holdout=Holdout(0.1)).examples == 21
    without = train(a_ticket(MLP, POINTS), POINTS, Recipe(steps=12, batch=5, validation=0.0))
    assert "validation_accuracy" not in without.scores
    assert trained.checks == {
        "dead weights are zero": True,
        "dead optimiser state is zero": True,
        "the curve is finite": True,
    }


def test_the_same_seeds_give_the_same_bits_and_others_do_not():
    ticket = a_ticket(MLP, POINTS)
    one, again, other, twin = (
        train(ticket, POINTS, RECIPE, seeds) for seeds in (Seeds(1), Seeds(1), Seeds(2), Seeds(1, data=7))
    )
    assert same(dict(one.weights), dict(again.weights)) and one.key == again.key and one.log == again.log
    assert not same(dict(one.weights), dict(other.weights)) and not same(dict(one.weights), dict(twin.weights))
    assert len({one.key, other.key, twin.key}) == 3
    # Given a ticket, `init` draws nothing more: it changes the key, not the bits.
    assert same(dict(train(ticket, POINTS, RECIPE, Seeds(1, init=5)).weights), dict(one.weights))


def test_twins_differ_in_the_data_only():
    ticket = a_ticket(MLP, Digits(), density=1.0)
    recipe = Recipe(steps=3, batch=60)
    twins = [train(ticket, Digits(), recipe, Seeds(0, data=data)) for data in (1, 2, 1)]
    assert same(dict(twins[0].weights), dict(twins[2].weights)) and not same(
        dict(twins[0].weights), dict(twins[1].weights)
    )


def test_scratch_is_not_needed_and_not_left_when_nothing_is_interrupted(tmp_path: pathlib.Path):
    call = train.call(a_ticket(MLP, POINTS), POINTS, RECIPE)
    trained = train.run(call, Context(scratch=tmp_path / "scratch"))
    assert not (tmp_path / "scratch").exists() and trained.key == call.key


def test_cost_by_hand():
    """An epoch is four batches of 5 and one of 1; 12 steps see 21 + 21 + 10 examples."""
    ticket = a_ticket(MLP, POINTS)
    cost = train(ticket, POINTS, RECIPE).cost
    first, second = 2 * 6 * 8, 2 * 8 * 3
    kept = [2 * ticket.mask.kept_in(name) for name in ("stages.0.0.weight", "head.weight")]
    assert cost.steps == 12
    assert cost.flops_dense == (21 + 21 + 10) * (2 * first + 3 * second)
    assert cost.flops_sparse == pytest.approx((21 + 21 + 10) * (2 * kept[0] + 3 * kept[1]))
    assert 0 < cost.seconds < 60 and cost.peak_memory > 10**7


def test_the_cost_of_a_rewound_ticket_counts_from_its_step():
    ticket = a_ticket(MLP, POINTS, step=5)  # One epoch is behind it.
    cost = train(ticket, POINTS, RECIPE).cost
    assert (cost.steps, cost.flops_dense) == (7, (21 + 10) * (2 * 96 + 3 * 48))


def test_the_cost_of_a_ticket_rewound_into_an_epoch_counts_the_examples_it_saw():
    ticket = a_ticket(MLP, POINTS, step=4)  # The first step has one example only.
    assert train(ticket, POINTS, RECIPE).cost.flops_dense == (1 + 21 + 10) * (2 * 96 + 3 * 48)


def test_a_trained_network_is_a_file(tmp_path: pathlib.Path):
    trained = train(a_ticket(Convs(), IMAGES), IMAGES, RECIPE, Seeds(3))
    trained.save(tmp_path / "a.trained")
    again = Trained.load(tmp_path / "a.trained")
    for name, value in vars(trained).items():
        if name not in ("ticket", "digest"):
            assert same(getattr(again, name) if name != "weights" else dict(again.weights), value), name
    assert (again.key, again.digest, again.ticket.key) == (trained.key, trained.digest, trained.ticket.key)
    assert isinstance(again.ticket, Ticket) and again.ticket.encoded() == trained.ticket.encoded()


def test_a_call_says_what_is_wrong_with_it():
    ticket = a_ticket(MLP, POINTS)
    with pytest.raises(Refused, match="^train: missing a required argument: 'recipe'"):
        train(ticket, POINTS)
    with pytest.raises(Refused, match="^train: 'context' is given by whoever runs the call"):
        train(ticket, POINTS, RECIPE, context=Context())


def test_epochs_and_steps_are_the_same_call():
    ticket = a_ticket(MLP, POINTS)
    keys = {
        train.call(ticket, POINTS, Recipe(batch=5, steps=steps, evaluate=evaluate)).key
        for steps in (10, "2ep", "10it")
        for evaluate in (5, "1ep")
    }
    assert len(keys) == 1


def test_batch_norm_statistics_are_those_of_training():
    """The first batch moves the running mean by a tenth of the batch's mean."""
    ticket = a_ticket(Convs(), IMAGES, density=1.0)
    trained = train(ticket, IMAGES, Recipe(steps=1, batch=5))
    inputs, _ = IMAGES.batch(0, seeds=Seeds(), size=5, holdout=Holdout(0.1))
    mean = ticket.module().get_submodule("stem")(inputs).mean((0, 2, 3)).detach()
    assert torch.allclose(trained.weights["norm.running_mean"], mean / 10, atol=1e-6)


def test_a_line_for_people_names_another_task_than_the_ticket_s():
    net = a_ticket(MLP, POINTS)
    own, other = dataclasses.replace(net, task=str(POINTS)), dataclasses.replace(net, task="digits()")
    here, there = (repr(train(one, POINTS, RECIPE)) for one in (own, other))
    assert "trained on" not in here and f", trained on {POINTS}, test accuracy" in there

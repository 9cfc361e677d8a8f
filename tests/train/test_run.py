"""A training under way: interrupted and taken up, stopped early, diverged; its curve."""

import dataclasses
import importlib
import math
import pathlib
import warnings
from typing import Any

import pytest
import torch

from tests.train.toys import IMAGES, Convs, Points, a_ticket, bare_loop, same
from tombola.archs.mlp import Mlp
from tombola.core.call import Call
from tombola.core.errors import Failed, Refused
from tombola.core.layout import Arch
from tombola.core.machine import Machine
from tombola.core.seeds import Seeds
from tombola.core.task import Split, Task
from tombola.core.ticket import Ticket
from tombola.find import draw
from tombola.study.step import Context
from tombola.tasks.digits import Digits
from tombola.train import bfloat, checkpoint
from tombola.train.evaluate import Score, evaluate
from tombola.train.loop import train
from tombola.train.optimizers import Adam, AdamW, Optimizer, Sgd
from tombola.train.recipe import Recipe
from tombola.train.run import Run
from tombola.train.schedules import Cosine

run_module = importlib.import_module("tombola.train.run")
POINTS, MLP = Points(), Mlp(hidden=(8,))
CALL = Call("toy", 1, {})


class Interrupt(Exception):
    """What stops a training in these tests."""


def stop_at(step: int) -> Any:
    def listen(happening: str, call: Call, **facts: Any) -> None:
        if facts["step"] >= step:
            raise Interrupt

    return listen


def a_run(ticket: Ticket, task: Task, recipe: Recipe, context: Context = Context(), seeds: Seeds = Seeds()) -> Run:
    return Run(ticket, task, recipe.in_steps(task), seeds, context)


def everything(run: Run, weights: dict[str, torch.Tensor]) -> dict[str, Any]:
    """All that a training leaves behind, save the seconds."""
    states = [run.optimizer.state[parameter] for parameter in run.net.parameters()]
    state = [{n: v for n, v in entries.items() if v is not None} for entries in states]
    progress = {name: value for name, value in vars(run.progress).items() if "seconds" not in name}
    return {"weights": weights, "net": dict(run.net.state_dict()), "optimizer": state, "progress": progress}


@pytest.fixture
def short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at the loss, and so a chance of a checkpoint, every five steps instead of every hundred."""
    monkeypatch.setattr(run_module, "STRETCH", 5)


OPTIMIZERS = [
    Sgd(lr=0.05, momentum=0.0),
    Sgd(lr=0.05),
    Sgd(lr=0.05, decay=0.01, nesterov="yes"),
    Sgd(lr=0.05, decay=0.01, coupling="decoupled"),
    Adam(lr=0.01, decay=0.01),
    AdamW(lr=0.01),
]


@pytest.mark.parametrize("parts", [2, 3, 5])
@pytest.mark.parametrize("optimizer", [Sgd(lr=0.05, decay=0.01), Adam(lr=0.01)], ids=str)
def test_a_batch_in_parts_is_the_same_update(parts: int, optimizer: Optimizer):
    """An epoch of 23 in batches of 5 ends with one of 3, which has fewer examples than parts."""
    given: dict[str, Any] = {"steps": 11, "batch": 5, "optimizer": optimizer, "validation": 0.0, "smoothing": 0.1}
    ticket = a_ticket(MLP, POINTS)
    whole, split = (a_run(ticket, POINTS, Recipe(**given, clip=0.5, accumulate=n)) for n in (1, parts))
    weights = whole.to_step(11)
    for name, value in split.to_step(11).items():
        assert torch.allclose(value, weights[name], atol=2e-6)
    curves = ([row["train_loss"] for row in run.progress.rows] for run in (whole, split))
    assert next(curves) == pytest.approx(next(curves), rel=1e-5) and split.alone and not whole.alone


def test_batch_norm_sees_each_part_by_itself():
    """One update of plain descent, against gradients that are added up by hand."""
    ticket = a_ticket(Convs(), IMAGES, density=1.0)
    recipe = Recipe(steps=1, batch=8, optimizer=Sgd(lr=0.5, momentum=0.0), validation=0.0, accumulate=3)
    found = a_run(ticket, IMAGES, recipe).to_step(1)
    net = ticket.module().train()
    inputs, targets = IMAGES.batch(0, seeds=Seeds(), size=8, holdout=recipe.holdout)
    total = torch.zeros(())
    for part in (slice(0, 3), slice(3, 6), slice(6, 8)):
        total = total + torch.nn.functional.cross_entropy(net(inputs[part]), targets[part], reduction="sum") / 8
    total.backward()
    for name, value in net.named_parameters():
        assert value.grad is not None
        assert torch.allclose(found[name], value.detach() - 0.5 * value.grad, atol=1e-6)
    assert torch.allclose(found["norm.running_mean"], dict(net.named_buffers())["norm.running_mean"], atol=1e-6)
    whole = a_run(ticket, IMAGES, dataclasses.replace(recipe, accumulate=1)).to_step(1)
    assert not torch.allclose(whole["stem.weight"], found["stem.weight"], atol=1e-4)


@pytest.mark.usefixtures("short_stretches")
@pytest.mark.parametrize(("arch", "task"), [(MLP, POINTS), (Convs(), IMAGES)], ids=["linear", "convs with batch norm"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_40_steps_equal_20_and_a_checkpoint_and_20_bit_for_bit(
    optimizer: Optimizer, arch: Arch, task: Task, tmp_path: pathlib.Path
):
    recipe = Recipe(
        steps=40, batch=5, optimizer=optimizer, schedule=Cosine(), evaluate=10, clip=1.0, select="best", smoothing=0.1
    )
    ticket = a_ticket(arch, task)
    whole = a_run(ticket, task, recipe)
    expected = everything(whole, whole.to_step(40))
    machine = Machine(checkpoint=0.0)
    with pytest.raises(Interrupt):
        a_run(ticket, task, recipe, Context(machine, tmp_path, stop_at(20), CALL)).to_step(40)
    kept = checkpoint.read(tmp_path)
    assert kept is not None and kept.header["step"] == 20 and len(kept.rows) == 2
    again = a_run(ticket, task, recipe, Context(machine, tmp_path))
    found = everything(again, again.to_step(40))
    assert same(found, expected)
    assert len(expected["progress"]["rows"]) == 4


@pytest.mark.usefixtures("short_stretches")
def test_a_training_interrupted_at_every_stretch_ends_the_same(tmp_path: pathlib.Path):
    recipe = Recipe(steps=43, batch=5, optimizer=Adam(lr=0.01), evaluate=7, select="best", patience=9)
    ticket = a_ticket(Convs(), IMAGES)
    whole = a_run(ticket, IMAGES, recipe)
    expected = everything(whole, whole.to_step(43))
    stops = 0
    while True:
        after = (checkpoint.read(tmp_path) or checkpoint.Parts({"step": 0}, {})).header["step"] + 1
        run = a_run(ticket, IMAGES, recipe, Context(Machine(checkpoint=0.0), tmp_path, stop_at(after), CALL))
        try:
            weights = run.to_step(43)
        except Interrupt:
            stops += 1
            if after > 38:  # The training is over, and the checkpoint too.
                run = a_run(ticket, IMAGES, recipe, Context(Machine(checkpoint=0.0), tmp_path))
                weights = run.to_step(43)
                break
    assert stops > 10
    assert same(everything(run, weights), expected)


@pytest.mark.usefixtures("short_stretches")
def test_the_length_of_a_stretch_changes_nothing(monkeypatch: pytest.MonkeyPatch):
    recipe = Recipe(steps=30, batch=5, optimizer=Sgd(lr=0.05), evaluate=7)
    short = a_run(a_ticket(MLP, POINTS), POINTS, recipe)
    expected = everything(short, short.to_step(30))
    monkeypatch.setattr(run_module, "STRETCH", 100)
    long = a_run(a_ticket(MLP, POINTS), POINTS, recipe)
    assert same(everything(long, long.to_step(30)), expected)


def test_a_damaged_checkpoint_counts_for_nothing(tmp_path: pathlib.Path):
    recipe, ticket = Recipe(steps=10, batch=5, optimizer=Sgd(lr=0.05)), a_ticket(MLP, POINTS)
    run = a_run(ticket, POINTS, recipe)
    expected = run.to_step(10)
    checkpoint.write(tmp_path, checkpoint.pack(run.net, run.optimizer, run.progress))
    whole = (tmp_path / checkpoint.NAME).read_bytes()
    for broken in (b"", whole[:-1], whole[: len(whole) // 2], whole[:-1] + bytes([whole[-1] ^ 1])):
        (tmp_path / checkpoint.NAME).write_bytes(broken)
        assert checkpoint.read(tmp_path) is None
        assert same(a_run(ticket, POINTS, recipe, Context(scratch=tmp_path)).to_step(10), expected)
    assert checkpoint.read(tmp_path / "nowhere") is None


def test_a_checkpoint_goes_back_to_the_memory_format_of_its_weight(tmp_path: pathlib.Path):
    """Fused kernels walk through memory: state in another order than its weight would be that of other entries."""
    recipe, ticket = Recipe(steps=10, batch=5, optimizer=Adam(lr=0.01)), a_ticket(Convs(), IMAGES)
    run = a_run(ticket, IMAGES, recipe)
    run.to_step(5)
    checkpoint.write(tmp_path, checkpoint.pack(run.net, run.optimizer, run.progress))
    again = a_run(ticket, IMAGES, recipe)
    kept = checkpoint.read(tmp_path)
    assert kept is not None
    checkpoint.unpack(kept, again.net, again.optimizer)
    for mine, theirs in zip(again.net.parameters(), run.net.parameters(), strict=True):
        assert mine.stride() == theirs.stride() and torch.equal(mine, theirs)
        for name, value in again.optimizer.state[mine].items():
            before = run.optimizer.state[theirs][name]
            assert torch.equal(value, before) and value.stride() == before.stride(), name


def test_losses_of_a_checkpoint_lie_where_the_network_is():
    """Those of the next steps are stacked behind them, on the device."""
    run = a_run(a_ticket(MLP, POINTS), POINTS, Recipe(steps=10, batch=5, optimizer=Sgd(lr=0.05), evaluate=10))
    run.advance(3)
    parts, net = run.packed(), run.net.to("meta")
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # That nothing is copied to a device that holds nothing.
        again = checkpoint.unpack(dataclasses.replace(parts, groups={**parts.groups, "optimizer": {}}), net, optimizer)
    assert [loss.device.type for loss in again.losses] == ["meta"] * 3


@pytest.mark.gpu
@pytest.mark.usefixtures("short_stretches")
def test_a_training_goes_on_in_the_middle_of_an_epoch_on_a_gpu(tmp_path: pathlib.Path):
    recipe, ticket = Recipe(steps=40, batch=5, optimizer=Sgd(lr=0.05), evaluate=40), a_ticket(MLP, POINTS)
    machine = Machine(device="cuda", checkpoint=0.0)
    whole = a_run(ticket, POINTS, recipe, Context(machine)).to_step(40)
    with pytest.raises(Interrupt):
        a_run(ticket, POINTS, recipe, Context(machine, tmp_path, stop_at(20), CALL)).to_step(40)
    again = a_run(ticket, POINTS, recipe, Context(machine, tmp_path))
    weights = again.to_step(40)
    assert again.progress.rows[-1]["step"] == 40 and same(weights, whole)


def test_a_validation_part_of_nothing_is_refused_at_once():
    task = Digits()
    recipe = Recipe(steps=10, batch=5, validation=0.0001)
    with pytest.raises(Refused, match="there is no validation part"):
        train(draw(Mlp(hidden=(4,)), task, recipe), task, recipe)


def test_the_curve_by_hand():
    recipe = Recipe(steps=11, batch=5, optimizer=Sgd(lr=0.1, momentum=0.0), schedule=Cosine(), warmup=3, evaluate=4)
    ticket = a_ticket(MLP, POINTS)
    run = a_run(ticket, POINTS, recipe)
    weights = run.to_step(11)
    rows = run.progress.rows
    assert [row["step"] for row in rows] == [4, 8, 11]
    assert [row["rate"] for row in rows] == [run.recipe.rate(3), run.recipe.rate(7), run.recipe.rate(10)]
    losses: list[float] = []
    net, mask = ticket.module(), ticket.mask
    for step in range(11):
        inputs, targets = POINTS.batch(step, seeds=Seeds(), size=5, holdout=recipe.holdout)
        loss = torch.nn.functional.cross_entropy(net(inputs), targets)
        losses.append(float(loss.detach()))
        net.zero_grad()
        loss.backward()
        rate = 0.1 * min(1, (step + 1) / 3) * (1 + math.cos(math.pi * step / 11)) / 2
        with torch.no_grad():
            for name, value in net.named_parameters():
                value -= rate * value.grad * (mask[name] if name in mask else 1)
    means = [sum(losses[a:b]) / (b - a) for a, b in ((0, 4), (4, 8), (8, 11))]
    assert [row["train_loss"] for row in rows] == pytest.approx(means, rel=1e-5)
    assert all(torch.allclose(value, weights[name], rtol=1e-4, atol=1e-6) for name, value in net.state_dict().items())
    for split in ("test", "validation"):
        score = evaluate(run.net, POINTS, split, holdout=recipe.holdout)
        assert (rows[-1][f"{split}_loss"], rows[-1][f"{split}_accuracy"]) == (score.loss, score.accuracy)
    without = a_run(ticket, POINTS, Recipe(steps=5, batch=5, validation=0.0, evaluate=0))
    without.to_step(5)
    assert [set(row) for row in without.progress.rows] == [{"step", "rate", "train_loss", "test_accuracy", "test_loss"}]


def scripted(monkeypatch: pytest.MonkeyPatch, accuracies: list[float]) -> None:
    """Let validation find these accuracies, one after the other."""
    left = list(accuracies)

    def told(net: Any, task: Task, split: Split, **options: Any) -> Score:
        return Score(1.0, left.pop(0) if split == "validation" else 0.5, 10)

    monkeypatch.setattr(run_module, "evaluate", told)


@pytest.mark.parametrize(
    ("patience", "accuracies", "steps", "best"),
    [
        (2, [0.5, 0.6, 0.6, 0.55, 0.9], 8, 4),  # An equal one is no better one.
        (3, [0.5, 0.6, 0.6, 0.55, 0.6, 0.9], 10, 4),
        (1, [0.5, 0.6, 0.7, 0.6, 0.9], 8, 6),
        (2, [0.0, 0.0, 0.0, 0.9], 6, 2),  # The first point is better than none, even at accuracy 0.
        (0, [0.5, 0.6, 0.6, 0.55, 0.6, 0.6], 12, 4),
        (9, [0.5, 0.4, 0.3, 0.2, 0.1, 0.6], 12, 12),
    ],
)
def test_early_stopping_and_the_best_weights(
    patience: int, accuracies: list[float], steps: int, best: int, monkeypatch: pytest.MonkeyPatch
):
    ticket, optimizer = a_ticket(MLP, POINTS), Adam(lr=0.01)
    scripted(monkeypatch, accuracies)
    run = a_run(ticket, POINTS, Recipe(steps=12, batch=5, optimizer=optimizer, evaluate=2, patience=patience))
    last = run.to_step(12)
    assert run.progress.step == steps and run.progress.best_step == best and len(run.progress.rows) == steps // 2
    scripted(monkeypatch, accuracies)
    chosen = a_run(
        ticket, POINTS, Recipe(steps=12, batch=5, optimizer=optimizer, evaluate=2, patience=patience, select="best")
    ).to_step(12)
    monkeypatch.undo()
    plain = Recipe(steps=12, batch=5, optimizer=optimizer, evaluate=2)
    assert same(last, a_run(ticket, POINTS, plain).to_step(steps))
    assert same(chosen, a_run(ticket, POINTS, plain).to_step(best))


def test_the_best_weights_are_those_of_the_best_validation_accuracy():
    recipe = Recipe(steps=30, batch=5, optimizer=Sgd(lr=0.3), evaluate=3, select="best", validation=0.4)
    trained = train(a_ticket(MLP, POINTS), POINTS, recipe)
    best = max(row["validation_accuracy"] for row in trained.log)
    first = next(row for row in trained.log if row["validation_accuracy"] == best)
    assert trained.scores["validation_accuracy"] == best and trained.scores["test_loss"] == first["test_loss"]
    assert first["step"] < 30  # Else the last weights would do as well.
    assert all(trained.checks.values())


def test_a_loss_that_is_not_finite_stops_the_training_and_keeps_what_was_good(tmp_path: pathlib.Path):
    recipe, ticket = Recipe(steps=40, batch=5, optimizer=Adam(lr=0.01), evaluate=10), a_ticket(MLP, POINTS)
    poisoned = Points(poison=33)
    seeds = Seeds(4)
    with pytest.raises(Failed) as caught:
        a_run(ticket, poisoned, recipe, Context(scratch=tmp_path), seeds).to_step(40)
    message = str(caught.value)
    assert message.startswith("the loss is no longer finite at step 33 of 40 (Ticket(mlp(hidden=(8,))")
    assert f"seeds(seed=4)). The state at step 30 is kept in {tmp_path}. Lower the rate, warm up, or clip" in message
    kept = checkpoint.read(tmp_path)
    assert kept is not None and kept.header["step"] == 30 and [row["step"] for row in kept.rows] == [10, 20, 30]
    sound = a_run(ticket, POINTS, recipe, seeds=seeds)
    assert same(dict(kept.groups["weights"]), sound.to_step(30))
    resumed = a_run(ticket, POINTS, recipe, Context(scratch=tmp_path), seeds).to_step(40)
    assert same(resumed, a_run(ticket, POINTS, recipe, seeds=seeds).to_step(40))
    with pytest.raises(Failed, match=r"at step 33 of 40 .*\)\. Lower the rate"):  # No folder, nothing kept.
        a_run(ticket, poisoned, recipe).to_step(40)


def test_weights_that_overflow_in_the_last_update_are_noticed_too():
    """No training loss shows it: the loss of the last step was computed before the update."""
    recipe = Recipe(steps=3, batch=5, optimizer=Sgd(lr=3e38, momentum=0.0), evaluate=1)
    with pytest.raises(Failed, match="the loss is no longer finite at step 0 of 3"):
        train(a_ticket(MLP, POINTS, density=1.0), POINTS, recipe)


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_the_number_of_threads_is_put_back(ends: str):
    assert torch.get_num_threads() == 1
    seen: list[int] = []

    def listen(happening: str, call: Call, **facts: Any) -> None:
        seen.append(torch.get_num_threads())

    context = Context(Machine(threads=2), listen=listen, call=CALL)
    task = Points(poison=-1 if ends == "well" else 7)
    run = a_run(a_ticket(MLP, POINTS), task, Recipe(steps=10, batch=5, evaluate=5), context)
    if ends == "well":
        run.to_step(10)
    else:
        with pytest.raises(Failed):
            run.to_step(10)
    assert set(seen) == {2} and torch.get_num_threads() == 1


def test_progress_is_told():
    told: list[dict[str, Any]] = []

    def listen(happening: str, call: Call, **facts: Any) -> None:
        told.append({"happening": happening, **facts})

    run = a_run(a_ticket(MLP, POINTS), POINTS, Recipe(steps=250, batch=5), Context(listen=listen, call=CALL))
    run.to_step(250)
    assert {one["happening"] for one in told} == {"progress"} and {one["steps"] for one in told} == {250}
    steps = [one["step"] for one in told]
    assert steps == sorted(steps) and steps[-1] == 250 and all(math.isfinite(one["loss"]) for one in told)


def test_half_precision_runs_and_keeps_the_mask(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bfloat, "native", lambda: True)  # Slow without units for it, but right.
    ticket = a_ticket(MLP, POINTS)
    recipe = Recipe(steps=20, batch=5, optimizer=Sgd(lr=0.05), precision="bfloat16")
    half = a_run(ticket, POINTS, recipe).to_step(20)
    whole = a_run(ticket, POINTS, Recipe(steps=20, batch=5, optimizer=Sgd(lr=0.05))).to_step(20)
    assert {value.dtype for value in half.values()} == {torch.float32}
    assert not same(half, whole)
    assert all(torch.allclose(half[name], whole[name], atol=0.05) for name in whole)
    assert all(not bool(half[name][~mask].any()) for name, mask in ticket.mask.items())


def test_what_does_not_belong_together_is_refused():
    ticket = a_ticket(MLP, POINTS)
    with pytest.raises(Refused, match=r"is a network for interface\(inputs=\(6,\), .*Find one on that task\."):
        train(ticket, Points(inputs=(5,)), Recipe(steps=5, batch=5))
    with pytest.raises(Refused, match=r"starts at step 5; the recipe ends at step 5\. Train longer\.$"):
        train(ticket.rebuilt(step=5), POINTS, Recipe(steps=5, batch=5))


def test_a_ticket_trains_from_its_own_step():
    """Data and rate are those of the ticket's step, not of step 0."""
    ticket = a_ticket(MLP, POINTS, step=7)
    recipe = Recipe(steps=12, batch=5, optimizer=Sgd(lr=0.1), validation=0.0)
    weights = a_run(ticket, POINTS, recipe).to_step(12)
    net, _, _ = bare_loop(ticket, POINTS, recipe, range(7, 12), torch.optim.SGD, lr=0.1, momentum=0.9, fused=True)
    assert same(weights, dict(net.state_dict()))

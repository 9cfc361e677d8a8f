"""The rivals do what they stand for: the same pictures, the same surviving weights."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from benchmarks import masking, usual
from benchmarks.masked_step import SEEDS
from tests.train.toys import IMAGES, Convs, a_ticket
from tombola.archs.mlp import Mlp
from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.core.text import parse
from tombola.study.step import Context
from tombola.tasks import sources
from tombola.tasks.digits import Digits
from tombola.train.optimizers import Adam, AdamW, Sgd
from tombola.train.recipe import Recipe
from tombola.train.recipes import LeNet
from tombola.train.run import Run


def raw(net: nn.Module, mask: Mask) -> dict[str, Tensor]:
    """What the optimiser sees of each masked weight, by the weight's own name."""
    state, found = net.state_dict(), {}
    for name in mask:
        module, _, leaf = name.rpartition(".")
        kept = (f"net.{name}", f"{module}.parametrizations.{leaf}.original", f"{name}_orig")
        (found[name],) = (state[other] for other in kept if other in state)
    return found


@pytest.mark.parametrize("way", usual.MASKINGS)
@pytest.mark.parametrize(
    ("arch", "task", "optimizer"),
    [(Mlp(hidden=(8,)), Digits(), Adam(lr=0.01, decay=0.01)), (Convs(), IMAGES, Sgd(lr=0.05, decay=0.01))],
    ids=["linear", "convolutions"],
)
def test_three_steps_leave_the_surviving_weights_that_ours_leave(way, arch, task, optimizer):
    ticket = a_ticket(arch, task)
    recipe = Recipe(steps=10, batch=5, evaluate=10, optimizer=optimizer).in_steps(task)
    run = Run(ticket, task, recipe, SEEDS, Context())
    run.net.train()
    run.steps(range(3))
    net = masking.network(way, ticket)
    masking.usual(net, task, recipe, steps=3)()
    ours, theirs = run.net.state_dict(), raw(net, ticket.mask)
    for name, alive in ticket.mask.items():
        torch.testing.assert_close(theirs[name][alive], ours[name][alive], atol=1e-6, rtol=1e-5)
        assert not torch.equal(ours[name][alive], ticket.weights[name][alive])
    inputs, _ = task.batch(7, seeds=SEEDS, size=20)
    torch.testing.assert_close(net.eval()(inputs), run.net.eval()(inputs), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("way", ["", *usual.MASKINGS])
def test_pictures_lie_channels_last_in_every_way(way: str):
    state = masking.network(way, a_ticket(Convs(), IMAGES)).state_dict()
    tensors = [value for value in state.values() if value.ndim == 4]
    assert len(tensors) >= 5 * (2 if way else 1)
    assert all(value.is_contiguous(memory_format=torch.channels_last) for value in tensors)


def test_a_loop_without_masking_is_dense():
    ticket = a_ticket(Mlp(hidden=(8,)), Digits())
    net = masking.network("", ticket)
    recipe = Recipe(steps=10, batch=20, evaluate=10).in_steps(Digits())
    masking.usual(net, Digits(), recipe, steps=3)()
    revived = {name: int(net.get_parameter(name)[~alive].count_nonzero()) for name, alive in ticket.mask.items()}
    assert all(revived.values())


@pytest.mark.parametrize("of", [Sgd(lr=0.3, momentum=0.8, decay=0.02), Adam(lr=0.3, betas=(0.8, 0.9), decay=0.02)])
def test_the_optimiser_has_the_recipes_numbers_but_is_not_fused(of: Sgd | Adam):
    net = nn.Linear(2, 2)
    theirs, ours = usual.optimizer(of, net), of.make(net.parameters())
    assert type(theirs) is type(ours)
    assert theirs.defaults | {"fused": True} == ours.defaults
    assert theirs.defaults["fused"] is None


@pytest.mark.parametrize("of", [Sgd(nesterov="yes"), Sgd(coupling="decoupled"), AdamW()])
def test_other_optimisers_are_refused(of):
    with pytest.raises(Refused, match="plain sgd and adam; the recipe has"):
        usual.optimizer(of, nn.Linear(2, 2))


@pytest.mark.parametrize("text", ["digits(crop=1)", "cifar100_subset"])
def test_a_picture_that_is_not_augmented_is_that_of_the_evaluation(text: str):
    task = parse("task", text)
    pictures = usual.Pictures(task, augment="no")
    inputs, targets = next(iter(task.evaluation("train", size=50)))
    assert len(pictures) == task.train_size()
    theirs = [pictures[index] for index in range(50)]
    assert [label for _, label in theirs] == targets.tolist()
    torch.testing.assert_close(torch.stack([values for values, _ in theirs]), inputs.contiguous(), atol=1e-5, rtol=1e-5)


def test_an_augmented_picture_is_one_of_the_crops_mirrored_or_not():
    task = parse("task", "cifar100_subset")
    arrays, _ = sources.load(task.source())
    mean, deviation = (np.array(part) for part in task.own_constants())
    padded = np.pad(arrays.train_images[3], ((4, 4), (4, 4), (0, 0)))
    crops = [padded[top : top + 32, left : left + 32] for top in range(9) for left in range(9)]
    shown = np.stack(crops + [crop[:, ::-1] for crop in crops])
    expected = torch.from_numpy(((shown / 255 - mean) / deviation).transpose(0, 3, 1, 2)).float()
    pictures = usual.Pictures(task)
    found = {int((expected - pictures[3][0]).flatten(1).abs().amax(1).argmin()) for _ in range(60)}
    nearest = [float((expected - pictures[3][0]).flatten(1).abs().amax(1).min()) for _ in range(20)]
    assert max(nearest) < 1e-5
    assert len(found) > 30 and min(found) < 81 <= max(found)


def test_crops_and_mirrors_of_a_small_picture_by_hand():
    pixels = np.arange(1, 7, dtype=np.uint8).reshape(2, 3)
    padded, image = np.pad(pixels, 1), Image.fromarray(pixels)
    windows = {padded[top : top + 2, left : left + 3].tobytes() for top in range(3) for left in range(3)}
    crop, mirror = usual.Crop(1), usual.Mirror()
    assert {np.array(crop(image)).tobytes() for _ in range(200)} == windows
    assert {np.array(mirror(image)).tobytes() for _ in range(50)} == {pixels.tobytes(), pixels[:, ::-1].tobytes()}


def test_a_deviation_of_zero_is_refused():
    with pytest.raises(Refused, match="divides by zero"):
        usual.Normalise((0.5,), (0.0,))(torch.ones(1, 2, 2))


def test_every_epoch_of_the_loader_has_each_picture_once_in_an_order_of_its_own():
    task = Digits()
    feed = usual.batches(task, size=60)
    epochs = [list(itertools.islice(feed, 24)) for _ in range(2)]
    labels = [torch.cat([targets for _, targets in epoch]) for epoch in epochs]
    pictures = usual.Pictures(task)
    assert [len(targets) for _, targets in epochs[0]] == [60] * 23 + [57]
    assert epochs[0][0][0].shape == (60, 1, 8, 8) and epochs[0][0][0].is_contiguous()
    for found in labels:
        assert sorted(found.tolist()) == sorted(pictures.labels.tolist())
        assert found.tolist() != pictures.labels.tolist()
    assert not torch.equal(*labels)


def test_cifar_is_the_whole_set_where_its_folder_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("TOMBOLA_DATA", str(tmp_path))
    assert str(usual.cifar()) == "cifar100_subset()"
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10" / "train.parquet").touch()
    assert str(usual.cifar()) == "cifar10()"


def test_ways_in_turn_each_run_once_a_round_and_the_first_one_changes():
    log: list[str] = []
    spent = masking.in_turn({name: lambda name=name: log.append(name) for name in "abc"}, rounds=4, warm=2)
    rounds = ["".join(log[start : start + 3]) for start in range(0, len(log), 3)]
    assert rounds == ["bca", "cab", "abc", "bca", "cab", "abc"]
    assert {name: len(times) for name, times in spent.items()} == {"a": 4, "b": 4, "c": 4}


def test_ours_and_every_usual_way_stand_beside_the_bare_loop():
    found = masking.compare("digits", Mlp(hidden=(30,)), Digits(), LeNet(), steps=1, rounds=2)
    names = ["ours", "dense, default optimiser", *usual.MASKINGS]
    assert [ratio.name for ratio in found] == [f"{name} / bare dense, digits" for name in names]
    assert all(ratio.rounds == 2 and math.isnan(ratio.bar) for ratio in found)

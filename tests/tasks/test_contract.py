"""What every image task promises, for every one that the catalogue knows: a new file in `tasks/` is tested as it is."""

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tombola.core.catalogue import entries, load
from tombola.core.layout import Interface
from tombola.core.seeds import Seeds
from tombola.core.task import Holdout
from tombola.core.text import parse
from tombola.tasks.images import ImageTask, Pictures
from tombola.tasks.sources import Source

# Sets that are not beside the checkout are stood in for by a small one in their layout, or need a field to be named.
ABSENT = {"svhn": 10, "cifar100": 5}
NEEDY = {"hub": "hub(id='stand_in', crop=2, flip='yes')"}
SLOW = ("cifar10", "fashion_mnist")
HELD = Holdout(0.2, 3)


def every() -> list[object]:
    texts = [NEEDY.get(e.name, e.name) for e in entries("task") if issubclass(load(e), Pictures)]
    return [pytest.param(t, id=t.split("(")[0], marks=[pytest.mark.slow] if t in SLOW else []) for t in texts]


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory, tiny_writer: Callable[..., None]) -> Path:
    folder = tmp_path_factory.mktemp("stand_ins")
    tiny_writer(folder / "stand_in", side=12)
    tiny_writer(folder / "svhn", side=32)
    tiny_writer(folder / "cifar100", side=32, image="img", label="fine_label")
    return folder


@pytest.fixture(autouse=True)
def _data(stand_ins: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The real data and the stand-ins side by side, as the session's data folder."""
    with pytest.MonkeyPatch.context() as patch:
        both = stand_ins.parent / "both"
        both.mkdir(exist_ok=True)
        for folder in (*Path(os.environ["TOMBOLA_DATA"]).iterdir(), *stand_ins.iterdir()):
            if not (both / folder.name).exists():
                (both / folder.name).symlink_to(folder)
        patch.setenv("TOMBOLA_DATA", str(both))
        for name in ABSENT:
            cls = load(next(e for e in entries("task") if e.name == name))
            patch.setattr(cls, "source", _small(cls.source))
        yield


def _small(source: Callable[[ImageTask], Source]) -> Callable[[ImageTask], Source]:
    return lambda self: dataclasses.replace(source(self), sizes=(23, 9), config="")


def same(a: tuple[torch.Tensor, torch.Tensor], b: tuple[torch.Tensor, torch.Tensor]) -> bool:
    return torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])


def content(batch: tuple[torch.Tensor, torch.Tensor]) -> str:
    return hashlib.sha256(batch[0].contiguous().numpy().tobytes() + batch[1].numpy().tobytes()).hexdigest()


@pytest.mark.parametrize("text", every())
def test_text_and_recipe(text: str):
    task = parse("task", text)
    assert parse("task", str(task)) == task
    assert task.default_recipe.endswith("()")
    assert json.dumps(task.__identity__()) and len(task.__identity__()["data"]) == 64


@pytest.mark.parametrize("text", every())
def test_a_batch_is_the_same_when_asked_twice_and_out_of_order(text: str):
    task, seeds = parse("task", text), Seeds(1)
    far = task.train_size() // 7 * 3
    first = [task.batch(step, seeds=seeds, size=7) for step in (0, 1, far)]
    again = [task.batch(step, seeds=seeds, size=7) for step in (far, 1, 0)]
    assert all(map(same, first, reversed(again)))


PROCESS = """
import hashlib, sys, torch
torch.set_num_threads(1)
from tombola.core.seeds import Seeds
from tombola.core.text import parse
for text in sys.argv[1:]:
    inputs, targets = parse("task", text).batch(5, seeds=Seeds(2), size=9)
    print(hashlib.sha256(inputs.contiguous().numpy().tobytes() + targets.numpy().tobytes()).hexdigest())
"""
IN_A_PROCESS = ["digits(crop=1)", "usps", "cifar100_subset", NEEDY["hub"]]


def test_a_batch_is_the_same_in_a_new_process():
    here = [content(parse("task", t).batch(5, seeds=Seeds(2), size=9)) for t in IN_A_PROCESS]
    there = subprocess.run([sys.executable, "-c", PROCESS, *IN_A_PROCESS], capture_output=True, text=True, check=True)
    assert there.stdout.split() == here


@pytest.mark.parametrize("holdout", [Holdout(), HELD], ids=["whole", "held"])
@pytest.mark.parametrize("text", every())
def test_an_epoch_visits_each_example_once(text: str, holdout: Holdout):
    task = parse("task", text)
    if isinstance(task, ImageTask):
        task = dataclasses.replace(task, crop=0, flip="no")
    number, size = task.train_size(holdout), 4096 if task.train_size() > 1000 else 5
    steps = -(-number // size)
    batches = [task.batch(steps + i, seeds=Seeds(1), size=size, holdout=holdout) for i in range(steps)]
    assert [len(y) for _, y in batches] == [size] * (steps - 1) + [number - size * (steps - 1)]
    visited = marks(batches)
    assert visited.sort()[0].equal(marks(list(task.evaluation("train", holdout=holdout))).sort()[0])
    assert not visited.equal(marks([task.batch(i, seeds=Seeds(1), size=size, holdout=holdout) for i in range(steps)]))


def marks(batches: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """A number for each example: every fifth of its pixels and its label under fixed random weights."""
    few = len(batches[0][0][0].flatten()[::5])
    weights = torch.randn(few, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.cat([x.flatten(1)[:, ::5].double().mul(weights).sum(1) + y for x, y in batches])


@pytest.mark.parametrize("text", every())
def test_validation_and_training_part_cover_the_training_set(text: str):
    task = parse("task", text)
    whole = marks(list(task.evaluation("train")))
    train, held = (marks(list(task.evaluation(s, holdout=HELD))) for s in ("train", "validation"))
    assert len(train) == task.train_size(HELD) == len(whole) - round(0.2 * len(whole)) and len(held) == len(
        whole
    ) - len(train)
    assert torch.cat([train, held]).sort()[0].equal(whole.sort()[0])
    other = marks(list(task.evaluation("validation", holdout=Holdout(0.2, 4))))
    assert not other.equal(held)


@pytest.mark.parametrize("text", every())
def test_twins_differ_where_they_should(text: str):
    task = parse("task", text)
    size = min(task.train_size(), 6000)
    base, data, augment = (task.batch(0, seeds=s, size=size) for s in (Seeds(1), Seeds(1, data=2), Seeds(1, augment=2)))
    assert not data[1].equal(base[1])
    assert augment[1].equal(base[1])
    drawn = task.crop > 0 or task.flip == "yes"
    assert augment[0].equal(base[0]) != drawn
    if size == task.train_size():  # A whole epoch: the same crops of the same pictures, in another order.
        assert marks([data]).sort()[0].equal(marks([base]).sort()[0])


@pytest.mark.parametrize("text", every())
def test_shapes_and_memory(text: str):
    task = parse("task", text)
    assert task.io == Interface(inputs=task.io.inputs, classes=task.io.classes)
    inputs, targets = task.batch(0, seeds=Seeds(), size=6)
    tests, answers = next(task.evaluation("test", size=4))
    for x, y in ((inputs, targets), (tests, answers)):
        assert x.shape[1:] == task.io.inputs and x.dtype == torch.float32 and y.dtype == torch.int64
        assert y.shape == x.shape[:1] and 0 <= y.min() and y.max() < task.io.classes
        assert x.is_contiguous(memory_format=torch.channels_last if task.io.inputs[0] > 1 else torch.contiguous_format)


@pytest.mark.parametrize("text", every())
def test_batches_are_the_callers_own(text: str):
    task = parse("task", text)
    inputs, targets = task.batch(0, seeds=Seeds(), size=6)
    kept = inputs.clone(), targets.clone()
    inputs.zero_(), targets.zero_()
    tests, answers = next(task.evaluation("test"))
    tests.zero_(), answers.fill_(-1)
    assert same(task.batch(0, seeds=Seeds(), size=6), kept)
    assert next(task.evaluation("test"))[1].min() >= 0

"""Trainings of texts: noise and lengths are functions of the step, so what was stopped ends in the same bits."""

import dataclasses
import functools
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.tasks.written import reviews, write
from tests.train.test_run import CALL, Interrupt, stop_at
from tombola.archs.text_encoder import TextEncoder
from tombola.archs.textcnn import TextCnn
from tombola.core.errors import Refused
from tombola.core.layout import PAD, Arch
from tombola.core.machine import Machine
from tombola.core.noise import dropouts
from tombola.core.seeds import Seeds
from tombola.criteria.grasp import Grasp
from tombola.criteria.magnitude import Magnitude
from tombola.criteria.snip import Snip
from tombola.criteria.synflow import SynFlow
from tombola.find import cut, cut_early, draw
from tombola.prune import PerLayer
from tombola.study.step import Context
from tombola.tasks.reviews import OwnTexts
from tombola.train import fleet
from tombola.train.examples import Examples
from tombola.train.loop import train
from tombola.train.optimizers import Adam, Sgd
from tombola.train.recipe import Recipe
from tombola.train.run import Run

ARCH = TextCnn(width=6, channels=4, heights=(2, 3), hidden=5)
POOLED = TextCnn(width=6, channels=4, heights=(2, 3), dropout=0.5, dropped="pooled")
ENCODER = TextEncoder(width=8, heads=2, dropout=0.3)
RECIPE = Recipe(steps="3ep", batch=8, optimizer=Adam(lr=0.01, decay=1e-5), validation=0.2, select="best")
Weights = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> OwnTexts:
    folder = write(tmp_path_factory.mktemp("texts") / "mine", train=reviews(60), test=reviews(20, seed=1))
    return OwnTexts(id=str(folder), domain="books", group="domain", shared=("books", "tools"), vocabulary=80, pool=3)


def same(a: dict, b: dict) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_a_ticket_of_texts_holds_its_mask(task: OwnTexts):
    dense = draw(ARCH, task, RECIPE)
    trained = train(dense, task, RECIPE)
    assert all(trained.checks.values()) and set(trained.scores) >= {"validation_accuracy", "test_accuracy"}
    ticket = cut(trained, scope=PerLayer(tensors="all", rounding="floor"), keep=0.65)
    again = train(ticket, task, RECIPE)
    assert all(again.checks.values())
    for name, alive in ticket.mask.items():
        assert again.weights[name][~alive].eq(0).all()
        assert torch.equal(ticket.weights[name], dense.weights[name])
    assert set(ticket.mask) == set(dict(dense.module().named_parameters()))


def test_it_goes_on_with_the_same_noise(task: OwnTexts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.import_module("tombola.train.run"), "STRETCH", 5)
    ticket, machine, recipe = draw(ARCH, task, RECIPE), Machine(checkpoint=0), RECIPE.in_steps(task)
    end = int(recipe.steps)
    whole = Run(ticket, task, recipe, Seeds(), Context()).to_step(end)
    context = Context(machine=machine, scratch=tmp_path, call=CALL, listen=stop_at(10))
    with pytest.raises(Interrupt):
        Run(ticket, task, recipe, Seeds(), context).to_step(end)
    resumed = Run(ticket, task, recipe, Seeds(), Context(machine=machine, scratch=tmp_path))
    assert same(whole, resumed.to_step(end)) and resumed.progress.step == end
    assert not same(whole, Run(ticket, task, recipe, Seeds(0, augment=1), Context()).to_step(end))


def both_ways(
    arch: Arch, task: OwnTexts, recipe: Recipe = RECIPE, machine: Machine = Machine(fleet=2)
) -> Iterator[tuple[Run, Weights, Weights]]:
    """Of three trainings in two seats what each ends with there, and alone."""
    recipe = recipe.in_steps(task)
    end = int(recipe.steps)
    sparse = cut_early(draw(arch, task, recipe), task, recipe, Magnitude(), density=0.5)
    tickets = [sparse, *(draw(arch, task, recipe, Seeds(n)) for n in (1, 2))]
    runs = [Run(ticket, task, recipe, Seeds(n), Context(machine=machine)) for n, ticket in enumerate(tickets)]
    starts = [functools.partial(lambda run: (run, end), run) for run in runs]
    for index, run, found in fleet.train_all(starts, machine):
        assert isinstance(found, dict) and run.dropouts == dropouts(run.net)
        yield run, found, Run(tickets[index], task, recipe, Seeds(index), Context()).to_step(end)


@pytest.mark.parametrize("arch", [ARCH, POOLED, ENCODER], ids=str)
def test_beside_others_it_ends_in_the_same_bits(arch: Arch, task: OwnTexts):
    """Where all batches are of one length already; dropout and seats that are taken a second time included."""
    for run, beside, alone in both_ways(arch, dataclasses.replace(task, pad="longest", longest=60)):
        assert not run.alone and run.dropouts and same(beside, alone)


@pytest.mark.parametrize("arch", [ARCH, POOLED, ENCODER], ids=str)
def test_beside_others_padding_changes_roundings_only(arch: Arch, task: OwnTexts):
    gentle = dataclasses.replace(RECIPE, optimizer=Sgd(lr=0.05), steps="2ep", select="last")
    for run, beside, alone in both_ways(arch, task, gentle):
        assert not run.alone and run.dropouts
        for name, weight in beside.items():
            torch.testing.assert_close(weight, alone[name], rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("arch", [ARCH, POOLED, ENCODER], ids=str)
def test_a_captured_fleet_of_texts_is_near_the_processor(arch: Arch, task: OwnTexts):
    gentle = dataclasses.replace(RECIPE, optimizer=Sgd(lr=0.05), steps="2ep", select="last")
    for run, beside, alone in both_ways(arch, task, gentle, Machine(device="cuda", fleet=2)):
        assert not run.alone and run.dropouts
        for name, weight in beside.items():
            torch.testing.assert_close(weight, alone[name], rtol=1e-2, atol=1e-3)


def test_one_that_reads_padding_trains_alone(task: OwnTexts):
    for run, beside, alone in both_ways(TextCnn(width=6, channels=3, padding="seen"), task):
        assert run.alone and same(beside, alone)


def test_a_batch_in_parts_drops_what_the_whole_drops(task: OwnTexts):
    gentle = dataclasses.replace(RECIPE, optimizer=Sgd(lr=0.05), steps="1ep", select="last")
    ticket = draw(ARCH, task, gentle)
    whole, parts = (train(ticket, task, dataclasses.replace(gentle, accumulate=n)) for n in (1, 3))
    for name, weight in whole.weights.items():
        torch.testing.assert_close(weight, parts.weights[name], rtol=1e-4, atol=1e-6)


def test_criteria_see_texts(task: OwnTexts):
    dense = draw(ARCH, task, RECIPE)
    first, again = (cut_early(dense, task, RECIPE, Snip(), density=0.5) for _ in range(2))
    assert first.mask == again.mask and first.mask.kept == dense.mask.size // 2
    with pytest.raises(Refused, match="reads tokens, and an input of ones has no meaning"):
        cut_early(dense, task, RECIPE, SynFlow(), density=0.5)


def test_criteria_may_have_as_many_texts_of_each_class(task: OwnTexts):
    dense = draw(ARCH, task, RECIPE)
    for criterion in (Grasp(per_class=4), Snip(per_class=4)):
        ticket = cut_early(dense, task, RECIPE, criterion, density=0.5)
        assert ticket.mask.kept == dense.mask.size // 2
    [(tokens, labels)] = Examples(task, RECIPE, Seeds(), torch.device("cpu")).batches(1, 7)
    assert len(tokens) == 14 and labels.bincount().tolist() == [7, 7]
    assert len(set((tokens != PAD).sum(1).tolist())) > 3 and tokens.min() >= PAD


def test_another_vocabulary_is_refused(task: OwnTexts):
    dense = draw(ARCH, task, RECIPE)
    other = dataclasses.replace(task, vocabulary=90)
    with pytest.raises(Refused, match="is a network for .*tokens=80.*needs .*tokens=90"):
        train(dense, other, RECIPE)
    alike = dataclasses.replace(task, shared=("books",))  # As many subwords, and others.
    with pytest.raises(Refused, match="vocabulary="):
        train(dense, alike, RECIPE)
    assert train(dense, dataclasses.replace(task, domain="tools"), RECIPE).test_accuracy > 0


def test_a_ticket_file_knows_its_vocabulary(task: OwnTexts, tmp_path: Path):
    dense = draw(ARCH, task, RECIPE)
    dense.save(tmp_path / "a.ticket")
    loaded = type(dense).load(tmp_path / "a.ticket")
    assert loaded.io == dense.io == task.io and loaded.digest == dense.digest

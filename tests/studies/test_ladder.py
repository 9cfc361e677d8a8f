"""The ladder that studies climb: the right rungs, nothing twice, keys that the store holds, every proof held."""

import dataclasses
import importlib
import json
import math
import pathlib
from typing import Any

import pytest

from tombola.archs.mlp import Mlp
from tombola.core.call import Call
from tombola.core.errors import Failed, Refused
from tombola.core.seeds import Seeds
from tombola.core.ticket import Ticket
from tombola.find import find
from tombola.moves.controls import Reinit, Shuffle
from tombola.report.summary import Row
from tombola.studies.ladder import Ladder, Rung, climb, rows
from tombola.studies.summary import first_layer, summarise
from tombola.study.store import Store
from tombola.tasks.digits import Digits
from tombola.train.loop import train
from tombola.train.optimizers import Sgd
from tombola.train.recipe import Recipe
from tombola.train.trained import Trained

RECIPE = Recipe(steps=10, batch=60, evaluate=10, rewind=2)
LADDER = Ladder(Mlp(hidden=(6, 5)), Digits(), RECIPE, levels=1, seeds=(0,))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("ladder") / "runs")


@pytest.fixture(scope="module")
def rungs(store: str) -> list[Rung]:
    return climb(LADDER, store=store)


@pytest.fixture(scope="module")
def measured(rungs: list[Rung], store: str) -> list[Row]:
    return list(rows(rungs, store=store))


class Ears:
    """Counts what happens."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def __call__(self, happening: str, call: Call, **facts: object) -> None:
        self.heard.append((happening, call.function))

    def count(self, happening: str, function: str = "train") -> int:
        return self.heard.count((happening, function))


def test_the_rungs_are_tickets_by_level_and_controls_by_name(rungs: list[Rung]):
    assert LADDER.trainings == len(rungs) == 4
    assert [(rung.seed, rung.name, rung.level) for rung in rungs] == [
        (0, "ticket", 0),
        (0, "ticket", 1),
        (0, "reinit", 1),
        (0, "shuffle", 1),
    ]


def test_the_rungs_are_what_the_verbs_give(rungs: list[Rung]):
    dense, ticket = find(LADDER.arch, LADDER.task, RECIPE, levels=1, seeds=Seeds(0))
    moved = [ticket | Reinit(seed=0), ticket | Shuffle(seed=0)]
    assert [rung.ticket for rung in rungs] == [one.key for one in (dense, ticket, *moved)]
    trained = [train(one, LADDER.task, RECIPE, Seeds(0)) for one in (dense, ticket, *moved)]
    assert [rung.trained for rung in rungs] == [one.key for one in trained]


def test_a_second_climb_runs_nothing(rungs: list[Rung], store: str):
    ears = Ears()
    assert climb(LADDER, store=store, listen=ears) == rungs
    assert {happening for happening, _ in ears.heard} == {"loaded"}
    assert {function for _, function in ears.heard} == {"draw", "train", "cut", "carry"}


def test_more_levels_run_what_is_missing(rungs: list[Rung], store: str):
    ears = Ears()
    more = climb(dataclasses.replace(LADDER, levels=2, controls=("shuffle",)), store=store, listen=ears)
    assert (ears.count("start"), ears.count("start", "cut"), ears.count("start", "carry")) == (2, 1, 1)
    assert {rung for rung in rungs if rung.name != "reinit"} <= set(more)


def test_rows_carry_keys_that_the_store_holds(rungs: list[Rung], measured: list[Row], store: str):
    source = Store(store)
    assert [(row.seed, row.name, row.level) for row in measured] == [(r.seed, r.name, r.level) for r in rungs]
    for row, rung in zip(measured, rungs, strict=True):
        trained: Trained = source.load(row.key, Trained)
        assert row.key == rung.trained and row.call == source.record(row.key)["call"]
        assert f"ticket={rung.ticket}" in row.call
        assert source.load(rung.ticket, Ticket).digest == trained.ticket.digest
        assert (row.test_accuracy, row.test_loss) == (trained.scores["test_accuracy"], trained.scores["test_loss"])
        assert row.validation_accuracy == trained.scores["validation_accuracy"]
        assert (row.kept, row.size) == (trained.ticket.mask.kept, 464) and row.density == row.kept / row.size
        assert row.steps == (10 if row.name == "reinit" else 8)  # Reinit begins at the beginning, the others at step 2.
        assert row.flops_sparse < row.flops_dense or row.level == 0


def test_every_proof_holds(measured: list[Row]):
    for row in measured:
        assert row.checks and all(row.checks.values())
        assert {"dead weights are zero", "dead optimiser state is zero", "lineage", "values are finite"} <= set(
            row.checks
        )
    cut_again = [row for row in measured if "every cut behind it done again gives the same" in row.checks]
    assert [(row.name, row.level) for row in cut_again] == [("ticket", 1)]


def test_a_proof_that_fails_is_in_the_rows(rungs: list[Rung], store: str, tmp_path: pathlib.Path):
    """The store says that a training's check failed: so does the row."""
    record = pathlib.Path(store) / rungs[1].trained.replace(":", "/") / "record.json"
    sound = record.read_text()
    changed = json.loads(sound)
    changed["header"]["checks"]["dead weights are zero"] = False
    try:
        record.write_text(json.dumps(changed))
        bad = [row for row in rows(rungs, store=store) if not all(row.checks.values())]
    finally:
        record.write_text(sound)
    assert [(row.name, row.level) for row in bad] == [("ticket", 1)]


def test_seeds_differ_and_controls_can_be_left_out(tmp_path: pathlib.Path):
    ladder = dataclasses.replace(LADDER, levels=0, controls=(), seeds=(3, 1))
    rungs = climb(ladder, store=str(tmp_path / "runs"))
    assert ladder.trainings == 2
    assert [(rung.seed, rung.name, rung.level) for rung in rungs] == [(1, "ticket", 0), (3, "ticket", 0)]
    assert rungs[0].ticket != rungs[1].ticket and rungs[0].trained != rungs[1].trained


def test_a_part_that_fails_fails_alone(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    store = str(tmp_path / "runs")
    controls = importlib.import_module("tombola.studies.ladder").CONTROLS
    monkeypatch.setitem(controls, "broken", lambda seed: object())  # Nothing that a key can be made of.
    with pytest.raises(Failed, match=r"1 part\(s\) failed: cannot fingerprint .* is kept in .*runs; run it again."):
        climb(dataclasses.replace(LADDER, controls=("broken", "shuffle")), store=store)
    assert sum(key.startswith("train:") for key in Store(store).keys()) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": ()}, "A ladder needs one or more, each once"),
        ({"seeds": (1, 1)}, "A ladder needs one or more, each once"),
        ({"levels": -1}, "levels is -1"),
        ({"controls": ("shufle",)}, "no control called 'shufle'. Did you mean 'shuffle'?"),
    ],
)
def test_a_ladder_that_cannot_be_climbed_is_refused(change: dict[str, Any], message: str):
    with pytest.raises(Refused, match=message):
        dataclasses.replace(LADDER, **change)


def test_a_ladder_that_diverges_says_so(tmp_path: pathlib.Path):
    wild = dataclasses.replace(LADDER, recipe=Recipe(steps=10, optimizer=Sgd(lr=1e38), evaluate=10))
    with pytest.raises(Failed, match="the loss is no longer finite"):
        climb(wild, store=str(tmp_path / "runs"))


def test_a_summary_is_read_and_nothing_is_trained(rungs: list[Rung], measured: list[Row], store: str):
    before = Store(store).keys()
    summary = summarise(LADDER, rungs, store=store, title="T", question="Q?", command="c", margin=0.01)
    assert Store(store).keys() == before
    assert list(summary.rows) == measured
    assert (summary.arch, summary.task, summary.recipe) == (str(LADDER.arch), "digits()", str(RECIPE))
    assert [(p.level, len(p.values), len(p.values[0])) for p in summary.pictures] == [(0, 8, 8), (1, 8, 8)]
    assert {value for line in summary.pictures[0].values for value in line} == {1.0}
    sparse = [layer for layer in summary.layers if layer.level == 1]
    assert sum(layer.kept for layer in sparse) == next(row.kept for row in measured if row.level == 1)
    assert len(summary.layers) == 6


def test_a_picture_of_the_first_layer_is_the_share_of_each_pixel(rungs: list[Rung], store: str):
    ticket: Ticket = Store(store).load(rungs[1].ticket, Ticket)
    picture = first_layer(ticket, rungs[1])
    assert picture is not None
    alive = ticket.mask["stages.0.0.weight"]
    for pixel in (0, 9, 63):
        share = int(alive[:, pixel].sum()) / 6
        assert math.isclose(picture.values[pixel // 8][pixel % 8], share)

"""TensorBoard: what is called, with a stand-in; what is read back, where the library is installed."""

import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.integrations.toys import KEYS, STUDY, begun, done, progress, start, the_events, written
from tombola.integrations.mirror import mirror
from tombola.integrations.tensorboard import TensorBoard

MODULES = (
    "tensorboard",
    "torch.utils.tensorboard",
    "torch.utils.tensorboard.writer",
    "torch.utils.tensorboard.summary",
)


@pytest.fixture
def calls(stand_in: Callable[..., list[tuple[Any, ...]]]) -> list[tuple[Any, ...]]:
    return stand_in(*MODULES, torch__utils__tensorboard__summary__hparams=lambda *given: given)


def named(calls: list[tuple[Any, ...]], name: str) -> list[tuple[Any, ...]]:
    return [call[1:] for call in calls if call[0].endswith(name)]


def test_a_folder_for_each_training_with_its_curve_and_its_settings(log: pathlib.Path, calls: list[tuple[Any, ...]]):
    mirror(log, TensorBoard())
    writers = named(calls, ".SummaryWriter")
    assert [pathlib.Path(args[0]).name.rpartition("-")[0] for args, _ in writers] == [
        f"name={name},_level={level},_seed=0" for name, level in [("dense", 0), *(("ticket", n) for n in (1, 2, 3))]
    ]
    assert {pathlib.Path(args[0]).parent for args, _ in writers} == {log.parent / "tensorboard"}
    assert all(more == {"purge_step": None, "flush_secs": 10} for _, more in writers)
    points = [(args, more["walltime"] - 1_800_000_000) for args, more in named(calls, ".add_scalar")]
    assert (("loss", 1 / 11, 10), 11.0) in points
    assert (("final/test_accuracy", 0.91, 20), 22.0) in points
    assert (("final/checks_failed", 1, 20), 22.0) in points
    ((args, _),) = named(calls, ".add_text")
    assert args == ("failed", "the loss is not finite", 10)
    settings, final = named(calls, ".hparams")[-2][0]
    assert (
        settings == {"name": "ticket", "level": 1, "seed": 0, "key": KEYS[1]} and final["final/test_accuracy"] == 0.91
    )
    assert len(named(calls, ".add_summary")) == 2 * len(writers) and len(named(calls, ".close")) == len(writers)


def test_a_folder_that_is_named_holds_many_studies(log: pathlib.Path, calls: list[tuple[Any, ...]]):
    mirror(log, TensorBoard(folder=str(log.parent / "all")))
    (folder,) = {pathlib.Path(args[0]).parent for args, _ in named(calls, ".SummaryWriter")}
    assert folder == log.parent / "all" / STUDY


def test_an_older_curve_counts_up_to_where_the_new_one_begins(tmp_path: pathlib.Path, calls: list[tuple[Any, ...]]):
    first = [begun(), start(1, 1), progress(2, 1, 0, 1.0), progress(3, 1, 10, 0.5)]
    mirror(written(tmp_path / "s" / "events.jsonl", first), TensorBoard())
    (args, _) = named(calls, ".SummaryWriter")[0]
    pathlib.Path(args[0]).mkdir()  # As the true writer does.
    mirror(written(tmp_path / "s" / "events.jsonl", [*first, progress(4, 1, 20, 0.2), done(5, 1, 0.9)]), TensorBoard())
    assert [more["purge_step"] for _, more in named(calls, ".SummaryWriter")] == [None, 20]


@pytest.mark.filterwarnings("default")  # Theirs.
def test_what_it_writes_can_be_read_back_and_a_lost_ledger_doubles_nothing(log: pathlib.Path):
    pytest.importorskip("tensorboard", reason="needs pip install 'tombola[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import (  # pyright: ignore[reportMissingImports]
        EventAccumulator,
    )

    home = log.parent / "tensorboard"
    with TensorBoard().open(STUDY, log.parent) as live:
        for event in the_events():
            live(event)
    for _ in range(2):
        curves = {}
        for folder in (path for path in home.iterdir() if path.is_dir()):
            read = EventAccumulator(str(folder))
            read.Reload()
            for tag in read.Tags()["scalars"]:
                level = folder.name.partition("level=")[2][0]
                curves[int(level), tag] = [(point.step, pytest.approx(point.value)) for point in read.Scalars(tag)]
        assert curves[1, "loss"] == [(0, 1.0), (10, 1 / 11), (20, 1 / 21)]
        assert curves[1, "final/test_accuracy"] == [(20, 0.91)] and curves[0, "final/test_accuracy"] == [(0, 0.97)]
        assert [step for step, _ in curves[3, "loss"]] == [0, 10]
        (home / "mirrored.jsonl").unlink()
        assert mirror(log, TensorBoard()) == 3

"""How events become pages, with a book that is a list."""

import pathlib
from typing import Any

import pytest

from tests.integrations.toys import KEYS, STUDY, Shelf, at, begun, done, labels, progress, row, start, the_events
from tombola.integrations.pages import Card, Ledger, Pages


def mirrored(folder: pathlib.Path, events: list[dict[str, Any]], book: Shelf | None = None) -> Shelf:
    book = book or Shelf()
    with Pages(STUDY, book, Ledger(folder / "ledger.jsonl")) as pages:
        for event in events:
            pages(event)
    return book


def test_every_training_has_a_page_with_its_labels_its_curve_and_its_numbers(tmp_path: pathlib.Path):
    book = mirrored(tmp_path, the_events())
    assert [page.card.key for page in book.pages] == [KEYS[0], KEYS[1], KEYS[2], KEYS[3]]
    assert (book.runs, book.outcome) == (1, "failed")
    assert book.of(0).end == ({"test_accuracy": 0.97, "checks_failed": 0}, "") and book.of(0).curve == []
    assert [step for step, _ in book.of(1).curve] == [0, 10, 20]
    assert book.of(1).curve[1] == (10, {"loss": 1 / 11})
    assert book.of(1).end == ({"test_accuracy": 0.91, "checks_failed": 1}, "")  # Those of the row, which follows.
    assert book.of(2).end == ({"test_accuracy": 0.92}, "")
    assert book.of(3).end == ({}, "the loss is not finite")
    card = book.of(1).card
    assert (card.name, card.function) == ("name=ticket, level=1, seed=0", "train")
    assert card.settings == {**labels(1), "study": STUDY, "key": KEYS[1], "call": "train(ticket=cut:1)"}
    assert not any(page.left for page in book.pages)


def test_ids_are_made_of_the_study_and_the_key():
    card = Card(STUDY, KEYS[1], "train", "", {}, 0.0)
    assert card.id == Card(STUDY, KEYS[1], "train", "x", {"a": 1}, 9.0).id
    assert (
        len({card.id, Card(STUDY, KEYS[2], "train", "", {}, 0.0).id, Card("x", KEYS[1], "train", "", {}, 0.0).id}) == 3
    )
    assert card.name == KEYS[1]


def test_a_second_replay_adds_nothing(tmp_path: pathlib.Path):
    mirrored(tmp_path, the_events())
    assert mirrored(tmp_path, the_events()).pages == []


@pytest.mark.parametrize("cut", range(len(the_events())))
def test_a_log_that_grows_is_taken_up_where_it_was_left(tmp_path: pathlib.Path, cut: int):
    events = the_events()
    first, second = mirrored(tmp_path, events[:cut]), mirrored(tmp_path, events)
    for level in KEYS:
        found = [page for page in first.pages + second.pages if page.card.key == KEYS[level]]
        whole = mirrored(tmp_path / "whole", events)
        assert [point[0] for page in found for point in page.curve] == [step for step, _ in whole.of(level).curve]
        assert sum(page.end is not None for page in found) == 1
        (tmp_path / "whole" / "ledger.jsonl").unlink()


def test_a_page_that_is_not_finished_is_left(tmp_path: pathlib.Path):
    book = mirrored(tmp_path, [begun(), start(1, 1), progress(2, 1, 0, 1.0)])
    assert book.of(1).left and book.of(1).end is None and book.outcome == ""


def test_a_step_that_is_tried_again_goes_on_after_the_last_point(tmp_path: pathlib.Path):
    """The process died at step 10 and began again at its checkpoint: the same call gives the same numbers."""
    lost = at(4, "lost", key=KEYS[1], function="train", worker="1", why="killed", attempt=1)
    events = [start(1, 1), progress(2, 1, 0, 1.0), progress(3, 1, 10, 0.5), lost, start(5, 1)]
    events += [progress(6, 1, 0, 1.0), progress(7, 1, 10, 0.5), progress(8, 1, 20, 0.2), row(9, 1, 0.9)]
    assert [step for step, _ in mirrored(tmp_path, events).of(1).curve] == [0, 10, 20]


def test_what_the_tool_has_already_is_not_sent(tmp_path: pathlib.Path):
    events = [start(1, 1), *(progress(2 + step, 1, step, 0.5) for step in (0, 10, 20))]
    assert [step for step, _ in mirrored(tmp_path, events, Shelf(known=10)).of(1).curve] == [20]


def test_a_failure_that_succeeds_later_is_finished_then(tmp_path: pathlib.Path):
    events = the_events()
    mirrored(tmp_path, events)
    later = [begun(100), start(101, 3), progress(102, 3, 20, 0.1), row(103, 3, 0.8)]
    book = mirrored(tmp_path, events + later)
    assert [page.card.key for page in book.pages] == [KEYS[3]]
    assert book.of(3).end == ({"test_accuracy": 0.8, "checks_failed": 0}, "")


def test_a_failure_is_not_told_again_when_the_next_try_is_under_way(tmp_path: pathlib.Path):
    events = [*the_events(), begun(100), start(101, 3), progress(102, 3, 20, 0.1)]
    mirrored(tmp_path, events)
    assert mirrored(tmp_path, events).pages == []


def test_rows_that_were_stored_are_told_in_every_run_and_mirrored_once(tmp_path: pathlib.Path):
    book = mirrored(tmp_path, [begun(), row(1, 0, 0.97), begun(10), row(11, 0, 0.97)])
    assert len(book.pages) == 1 and book.runs == 2


def test_a_done_step_that_told_nothing_has_no_page(tmp_path: pathlib.Path):
    assert mirrored(tmp_path, [start(1, 1), done(2, 1, 0.9), start(3, 2)]).pages == []


def test_half_a_line_of_the_ledger_is_passed_over(tmp_path: pathlib.Path):
    path = tmp_path / "ledger.jsonl"
    Ledger(path).note("train:1", until=1.0, last=5, done=True)
    path.write_text(path.read_text() + '{"key": "trai')
    Ledger(path).note("train:2", until=2.0, last=7)
    ledger = Ledger(path)
    assert (ledger.done("train:1"), ledger.last("train:2"), ledger.until("train:2")) == (True, 7, 2.0)
    assert (ledger.done("train:3"), ledger.last("train:3")) == (False, -1)

import numpy as np
import pytest

from tombola.core.canon import fingerprint
from tombola.core.errors import Refused
from tombola.core.seeds import Seeds, numbers
from tombola.core.task import Holdout
from tombola.core.text import parse
from tombola.tasks.subsets import divided, fewer, warn_of_absent

LABELS = np.array([0] * 40 + [1] * 10 + [2] * 3)[numbers("test").permutation(53)]


def slowly(chosen, labels: np.ndarray, number: int, *names) -> list[int]:
    """Round by round, with lists."""
    order = numbers(*names).permutation(len(chosen))
    waiting: dict[int, list[int]] = {}
    shuffled = [sorted(chosen)[i] for i in order]
    for position in shuffled:
        waiting.setdefault(int(labels[position]), []).append(position)
    taken: list[int] = []
    while len(taken) < number:
        heads = [line.pop(0) for line in waiting.values() if line]
        taken += sorted(heads, key=shuffled.index)
    return sorted(taken[:number])


@pytest.mark.parametrize("number", [1, 2, 3, 7, 9, 10, 30, 53])
def test_few_are_taken_round_by_round(number: int):
    chosen = np.arange(53)
    assert fewer(chosen, LABELS, number, "x", 1).tolist() == slowly(chosen.tolist(), LABELS, number, "x", 1)
    part = np.flatnonzero(np.arange(53) % 5)[::-1]
    if number <= len(part):
        assert fewer(part, LABELS, number, "x").tolist() == slowly(part.tolist(), LABELS, number, "x")


def test_fewer_are_a_part_of_more_and_no_class_is_ahead_while_others_last():
    before: set[int] = set()
    for number in range(1, 54):
        now = fewer(np.arange(53), LABELS, number, "few")
        assert before < set(now.tolist()) and now.tolist() == sorted(now.tolist())
        counts = np.bincount(LABELS[now], minlength=3)
        for one in range(3):
            for other in range(3):
                if counts[other] < np.bincount(LABELS)[other]:
                    assert counts[one] <= counts[other] + 1
        before = set(now.tolist())


def test_names_decide_which():
    draws = {tuple(fewer(np.arange(53), LABELS, 6, "few", seed).tolist()) for seed in range(20)}
    assert len(draws) == 20


@pytest.mark.parametrize("number", [0, -1, 54])
def test_more_than_there_are(number: int):
    with pytest.raises(Refused, match=r"labelled examples are asked for, there are 53 to train on"):
        fewer(np.arange(53), LABELS, number, "few")


@pytest.mark.parametrize("holdout", [Holdout(), Holdout(0.3, 2)], ids=["whole", "held"])
def test_a_task_with_few_labels_trains_on_these_only(holdout: Holdout):
    few, whole = parse("task", "digits(few=45)"), parse("task", "digits")
    assert few.train_size(holdout) == 45
    labels = whole.arrays().train_labels
    chosen = fewer(divided(1437, holdout)[0], labels, 45, "few", holdout.seed)
    pixels = {x.numpy().tobytes() for x, _ in pairs(whole.evaluation("train", holdout=holdout))}
    seen = pairs(few.evaluation("train", holdout=holdout, size=20))
    assert [int(y) for _, y in seen] == labels[chosen].tolist()
    assert all(x.numpy().tobytes() in pixels for x, _ in seen)
    for epoch in (0, 1):
        turns = pairs(few.batch(3 * epoch + i, seeds=Seeds(1), size=20, holdout=holdout) for i in range(3))
        assert sorted(x.numpy().tobytes() for x, _ in turns) == sorted(x.numpy().tobytes() for x, _ in seen)
    assert sorted(np.bincount([int(y) for _, y in seen]).tolist()) == [4] * 5 + [5] * 5


def pairs(batches) -> list:
    return [(x, y) for inputs, targets in batches for x, y in zip(inputs, targets, strict=True)]


def test_what_is_held_out_and_tested_stays_whole():
    few, whole, holdout = parse("task", "digits(few=45)"), parse("task", "digits"), Holdout(0.2, 1)
    for split in ("validation", "test"):
        for (x, y), (u, v) in zip(
            few.evaluation(split, holdout=holdout), whole.evaluation(split, holdout=holdout), strict=True
        ):
            assert x.equal(u) and y.equal(v)


def test_the_holdout_seed_draws_the_few():
    few = parse("task", "digits(few=20)")
    one, other = (next(few.evaluation("train", holdout=Holdout(0.0, seed)))[0] for seed in (0, 1))
    assert not one.equal(other)


def test_a_task_has_not_so_many():
    assert parse("task", "digits(few=1437)").train_size() == 1437
    for text, holdout in (("digits(few=1438)", Holdout()), ("digits(few=1151)", Holdout(0.2))):
        task = parse("task", text)
        for ask in (
            lambda task=task, holdout=holdout: task.train_size(holdout),
            lambda task=task, holdout=holdout: task.batch(0, seeds=Seeds(), size=5, holdout=holdout),
            lambda task=task, holdout=holdout: task.evaluation("train", holdout=holdout),
        ):
            with pytest.raises(Refused, match="asks for more labelled examples than the 1,"):
                ask()
    with pytest.raises(Refused, match="few=-1 is no number of examples"):
        parse("task", "digits(few=-1)")


def test_all_labels_is_the_task_as_it_was():
    assert str(parse("task", "digits(few=0)")) == "digits()"


def test_keys_from_before_there_were_few_labels_stand():
    """Of tasks as they were when no task had the field, or a group, or another task in it."""
    keys = {"digits": "993757546776f8d5", "digits(crop=1)": "00162906eb05d967", "mnist": "67cc13c4c7eb08c9"}
    assert {text: fingerprint(parse("task", text)) for text in keys} == keys


def test_classes_that_no_training_example_has_are_warned_of(caplog: pytest.LogCaptureFixture):
    warn_of_absent("a set", np.array([0, 2, 1]), 3)
    assert not caplog.records
    warn_of_absent("a set", np.array([2, 2]), 4)
    assert caplog.messages == ["a set: no training example is of classes 0, 1, 3, of the classes 0 to 3."]

"""What a network gets right and how sure it is of it, on a handful of examples worked by hand."""

import math
import pathlib
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, log_loss

from tests.probes.given import Given, GivenGroups, passing
from tests.train.toys import Points
from tombola.archs.mlp import Mlp
from tombola.core.errors import Failed, Refused
from tombola.core.measurement import Measurement
from tombola.core.seeds import numbers
from tombola.find import draw
from tombola.probes import calibration
from tombola.probes.outcomes import outcomes
from tombola.study.deferred import defer
from tombola.study.store import Store
from tombola.tasks.digits import Digits
from tombola.tasks.rotated import Rotated
from tombola.train.loop import train
from tombola.train.recipe import Recipe

SCALED = ("temperature", "nll_scaled", "brier_scaled", "ece_scaled", "ece_mass_scaled")


def logs(*rows: tuple[float, ...]) -> tuple[tuple[float, ...], ...]:
    """Outputs that have these probabilities."""
    return tuple(tuple(math.log(p) for p in row) for row in rows)


HAND = Given(
    rows=logs((0.8, 0.2), (0.7, 0.3), (0.4, 0.6), (0.9, 0.1), (0.45, 0.55)),
    labels=(0, 0, 1, 1, 0),
)


def test_by_hand():
    """Three of five are right; of class 0 two of three, of class 1 one of two."""
    found = outcomes(passing(HAND), bins=2).numbers()
    squares = [2 * (1 - p) ** 2 for p in (0.8, 0.7, 0.6, 0.1, 0.45)]
    assert found == pytest.approx(
        {
            "accuracy": 0.6,
            "standard_error": math.sqrt(0.6 * 0.4 / 5),
            "macro_f1": (2 * 2 / (4 + 1 + 1) + 2 * 1 / (2 + 1 + 1)) / 2,
            "nll": -math.log(0.8 * 0.7 * 0.6 * 0.1 * 0.45) / 5,
            "brier": sum(squares) / 5,
            "ece": abs(0.6 - (0.8 + 0.7 + 0.6 + 0.9 + 0.55) / 5),
            "ece_mass": 2 / 5 * abs(0.5 - (0.55 + 0.6) / 2) + 3 / 5 * abs(2 / 3 - (0.7 + 0.8 + 0.9) / 3),
            "balanced_accuracy": (2 / 3 + 1 / 2) / 2,
            "worst_class_accuracy": 1 / 2,
            "class_gap": 2 / 3 - 1 / 2,
            "examples": 5,
        },
        abs=1e-6,
    )


def test_classes_with_their_sizes():
    found = outcomes(passing(HAND)).tables["classes"]
    assert [(line["class"], line["n"]) for line in found] == [(0, 3), (1, 2)]
    assert [line["accuracy"] for line in found] == pytest.approx([2 / 3, 1 / 2])
    assert [line["standard_error"] for line in found] == pytest.approx([math.sqrt(2 / 27), math.sqrt(1 / 8)])


def test_a_class_that_does_not_occur_is_not_the_worst_one():
    task = Given(rows=logs((0.8, 0.1, 0.1), (0.1, 0.8, 0.1)), labels=(0, 1), width=3, classes=3)
    found = outcomes(passing(task))
    assert found.numbers()["worst_class_accuracy"] == 1 and found.numbers()["macro_f1"] == 1
    assert [line["class"] for line in found.tables["classes"]] == [0, 1]


def many(seed: int, *, spread: float = 2.0, classes: int = 3, held: int = 40) -> Given:
    rng = numbers("toy", "outcomes", seed)
    rows, labels = spread * rng.normal(size=(60 + held, classes)), rng.integers(0, classes, size=60 + held)
    rows[np.arange(60 + held), labels] += 1.0
    given: dict[str, Any] = {"rows": rows[:60], "labels": labels[:60], "held": rows[60:], "held_labels": labels[60:]}
    return Given(**{name: tuple(map(_plain, values.tolist())) for name, values in given.items()}, width=3, classes=3)


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def test_against_scikit_learn():
    task = many(1)
    found = outcomes(passing(task)).numbers()
    outputs, labels = np.array(task.rows), np.array(task.labels)
    likely = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    assert found["nll"] == pytest.approx(log_loss(labels, likely), rel=1e-12)
    assert found["macro_f1"] == pytest.approx(f1_score(labels, outputs.argmax(1), average="macro"))
    assert found["accuracy"] == pytest.approx((outputs.argmax(1) == labels).mean())


def test_the_temperature_is_that_of_the_source():
    """Fitted on the validation part of the source, whatever is tested."""
    source, target = many(1, spread=4.0), many(2)
    one, other = passing(source), outcomes(passing(source), target)
    fitted = calibration.temperature(np.array(source.held), np.array(source.held_labels))
    assert other.numbers()["temperature"] == fitted == outcomes(one).numbers()["temperature"]
    assert fitted != calibration.temperature(np.array(target.held), np.array(target.held_labels))
    rows, labels = np.array(target.rows), np.array(target.labels)
    assert other.numbers()["nll_scaled"] == calibration.nll(rows / fitted, labels)
    likely = np.exp(rows / fitted) / np.exp(rows / fitted).sum(1, keepdims=True)
    assert other.numbers()["brier_scaled"] == pytest.approx(calibration.brier(likely, labels), rel=1e-12)
    assert other.numbers()["ece_scaled"] == pytest.approx(calibration.ece(likely, labels), abs=1e-9)
    assert other.numbers()["ece_mass_scaled"] == pytest.approx(calibration.ece_mass(likely, labels), abs=1e-12)
    assert other.tables["temperature"] == (
        {
            "fitted_on": str(source),
            "examples": 40,
            "temperature": fitted,
            "said": "the best on the validation part",
        },
    )
    again = outcomes(passing(source), target, fitted_on=target).numbers()
    assert again["temperature"] == calibration.temperature(np.array(target.held), np.array(target.held_labels))
    own = [outcomes(one, split="validation").numbers()[name] for name in ("nll_scaled", "nll")]
    assert own[0] < own[1], "it is the best there"


def test_without_a_validation_part():
    found = outcomes(passing(HAND))
    assert not set(SCALED) & set(found.numbers())
    (line,) = found.tables["temperature"]
    assert line["temperature"] is None and line["said"].startswith("not fitted: ")
    assert "no example in its validation part" in line["said"]
    with pytest.raises(Refused, match="no example in its validation part"):
        outcomes(passing(HAND), fitted_on=HAND)


def test_where_every_answer_on_the_validation_part_is_right():
    task = Given(rows=HAND.rows, labels=HAND.labels, held=((2.0, 0.0),), held_labels=(0,))
    found = outcomes(passing(task))
    assert found.numbers()["temperature"] == calibration.COLDEST
    assert found.tables["temperature"][0]["said"].startswith("at the end")


def test_groups():
    task = GivenGroups(
        rows=tuple((1.0, 0.0) for _ in range(12)),
        labels=(0, 0, 0, 1, 0, 0, 1, 1, 0, 1, 1, 1),
        belongs=(0, 0, 0, 0, 1, 1, 1, 1, 3, 3, 3, 3),
        names=("home", "books", "never", "music"),
    )
    found = outcomes(passing(task))
    assert [(line["group"], line["n"], line["accuracy"]) for line in found.tables["groups"]] == [
        ("home", 4, 0.75),
        ("books", 4, 0.5),
        ("music", 4, 0.25),
    ]
    assert found.tables["groups"][0]["standard_error"] == pytest.approx(math.sqrt(0.75 * 0.25 / 4))
    numbers_ = found.numbers()
    assert (numbers_["worst_group_accuracy"], numbers_["group_gap"], numbers_["groups"]) == (0.25, 0.5, 3)
    assert numbers_["group_accuracy_10th"] == pytest.approx(0.25 + 0.2 * 0.25)


def test_a_task_that_has_no_groups_just_now():
    task = GivenGroups(rows=HAND.rows, labels=HAND.labels)
    assert "groups" not in outcomes(passing(task)).tables
    one = GivenGroups(rows=HAND.rows, labels=HAND.labels, belongs=(0,) * 5, names=("home",))
    assert "groups" not in outcomes(passing(one)).numbers(), "a single group is all there is"


def test_a_task_that_refuses_to_name_groups():
    """As wrapped tasks do around a set that has none."""
    recipe = Recipe(steps=2, batch=60, validation=0.0)
    one = train(draw(Mlp(hidden=(4,)), Digits(), recipe), Digits(), recipe)
    with pytest.raises(Refused, match="has no groups"):
        Rotated(task=Digits()).groups("test")
    found = outcomes(one, Rotated(task=Digits(), degrees=30.0))
    assert found.numbers()["examples"] == 360 and "groups" not in found.tables


def test_groups_of_other_examples_are_refused():
    task = GivenGroups(rows=HAND.rows, labels=HAND.labels, belongs=(0, 0), names=("home",))
    with pytest.raises(Refused, match="names the groups of 2 examples and shows 5"):
        outcomes(passing(task))


def test_what_is_refused():
    one = passing(HAND)
    with pytest.raises(Refused, match="equal inputs and classes"):
        outcomes(one, many(1))
    with pytest.raises(Refused, match="equal inputs and classes"):
        outcomes(one, fitted_on=many(1))
    with pytest.raises(Refused, match="no example in its test part"):
        outcomes(one, Given())
    with pytest.raises(Refused, match="0 bins"):
        outcomes(one, bins=0)
    with pytest.raises(Refused, match="split"):
        defer(outcomes, one, split="exam")
    with pytest.raises(Refused, match="no classes to choose from"):
        outcomes(passing(Given(rows=((1.0,),), labels=(0,), width=1, classes=1)))


def test_outputs_that_are_no_numbers():
    big = 1e200
    task = Given(rows=((1.0, 2.0), (big, -big)), labels=(0, 1))
    with pytest.raises(Failed, match="not finite for 1 of 2 examples"):
        outcomes(passing(task, matrix=big * torch.eye(2, dtype=torch.float64)))


def test_of_a_training_and_kept(tmp_path: pathlib.Path):
    recipe = Recipe(steps=30, batch=8, evaluate=30, validation=0.3)
    one = train(draw(Mlp(hidden=(5,)), Points(), recipe), Points(), recipe)
    made = Store(tmp_path)(outcomes, one)
    assert made.numbers()["accuracy"] == one.test_accuracy
    assert made.numbers()["nll"] == pytest.approx(one.scores["test_loss"], rel=1e-5)
    assert outcomes(one, split="validation").numbers()["accuracy"] == one.scores["validation_accuracy"]
    assert set(SCALED) <= set(made.numbers()) and made.tables["temperature"][0]["examples"] == 7
    back = Store(tmp_path).load(made.key, Measurement)
    assert (back.values, back.tables) == (made.values, made.tables)


def test_digits_without_a_validation_part_say_so():
    recipe = Recipe(steps=2, batch=60, validation=0.0)
    found = outcomes(train(draw(Mlp(hidden=(4,)), Digits(), recipe), Digits(), recipe))
    assert "there is no validation part" in found.tables["temperature"][0]["said"]

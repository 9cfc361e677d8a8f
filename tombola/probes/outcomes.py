"""How well a trained network answers, how far it knows that, and for whom it answers worst."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tombola.core.errors import Refused
from tombola.core.measurement import Measurement
from tombola.core.task import Grouped, Split, Task
from tombola.probes import calibration
from tombola.probes.predictions import Predictions, Whole, check_same, in_split, predictions, share_error
from tombola.study.step import Context, step
from tombola.train.trained import Trained


def _checked(bins: Any, **others: Any) -> dict[str, Any]:
    calibration.check_bins(bins)
    return {**in_split(**others), "bins": bins}


@step("outcomes", prepare=_checked)
def outcomes(
    trained: Trained,
    task: Task | None = None,
    split: Split = "test",
    fitted_on: Task | None = None,
    bins: int = 15,
    *,
    context: Context = Context(),
) -> Measurement:
    """Accuracy, macro-F1, likelihood, Brier score, calibration before and after a temperature, worst class and group.

    Another task than that of the training is the zero-shot test: nothing is trained there. `macro_f1` is the mean over
    classes that occur or are answered; `nll` is in nats; `brier` is summed over classes, mean over examples (0 to 2);
    `ece` has bins of equal width and `ece_mass` of equally many examples. `temperature` is fitted by likelihood on the
    validation part of the source and not of the task that is tested; `nll_scaled`, `brier_scaled`, `ece_scaled` and
    `ece_mass_scaled` are those of the outputs divided by it. Without a validation part these five numbers are left
    out; the table "temperature" says on what it was fitted, or why not.

    `standard_error` is that of the accuracy, binomial. `worst_class_accuracy` is the lowest of the classes that occur,
    `class_gap` its distance to the highest, `balanced_accuracy` their mean. Where the task has two groups or more,
    `worst_group_accuracy`, `group_gap` and `group_accuracy_10th`, the 10th percentile over groups (as WILDS-Amazon
    reports it; between two groups it is interpolated), are of those that occur. The tables "classes" and "groups" have
    each with its size and standard error: the worst of many small groups is low by chance alone.

    Args:
        task: What is tested; the task of the training unless told.
        fitted_on: The source for the temperature; the task of the training unless told. Its validation part is the one
            that the recipe holds out.
        bins: Of the calibration errors.

    Raises:
        Refused: If a task has other inputs or classes, the split is empty, or a task that was named as source has no
            validation part.
        Failed: If outputs are not finite.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.find import draw
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.loop import train
        >>> from tombola.train.recipe import Recipe
        >>> recipe = Recipe(steps=20, batch=60)
        >>> found = outcomes(train(draw(Mlp(hidden=(8,)), Digits(), recipe), Digits(), recipe))
        >>> found.numbers()["examples"], len(found.tables["classes"]), found.tables["temperature"][0]["examples"]
        (360, 10, 144)
    """
    task = trained.task if task is None else task
    for one in (task, fitted_on):
        if one is not None:
            check_same("outcomes", trained, one)
    made = predictions(trained, task, split, context)
    fitted, said = _temperature(trained, fitted_on, context)
    classes = _lines("class", made, made.targets, range(task.io.classes))
    numbers = {
        "accuracy": made.accuracy,
        "standard_error": share_error(made.accuracy, len(made.targets)),
        "macro_f1": _macro_f1(made),
        **_believed(made, bins),
        **({} if fitted is None else {"temperature": fitted}),
        **({} if fitted is None else _believed(made, bins, divided_by=fitted)),
        "balanced_accuracy": float(np.mean([line["accuracy"] for line in classes])),
        **_spread(classes, "class"),
        "examples": len(made.targets),
    }
    tables = {"classes": classes, "temperature": (said,)}
    belongs, names = _groups(trained, task, split, made)
    if len(names) > 1:
        tables["groups"] = _lines("group", made, belongs, names)
        numbers |= {**_spread(tables["groups"], "group"), "group_accuracy_10th": _tenth(tables["groups"])}
        numbers["groups"] = len(tables["groups"])
    return Measurement(numbers, tables=tables)


def _macro_f1(made: Predictions) -> float:
    from sklearn.metrics import f1_score  # Takes a second to import.

    return float(f1_score(made.targets, made.answers, average="macro", zero_division=0.0))  # type: ignore[arg-type]


def _believed(made: Predictions, bins: int, *, divided_by: float = 0.0) -> dict[str, float]:
    """What is made of probabilities; after a temperature under other names."""
    outputs, word = (made.outputs / divided_by, "_scaled") if divided_by else (made.outputs, "")
    likely, targets = Predictions(outputs, made.targets, made.wrong).probabilities, made.targets
    return {
        f"nll{word}": calibration.nll(outputs, targets),
        f"brier{word}": calibration.brier(likely, targets),
        f"ece{word}": calibration.ece(likely, targets, bins=bins),
        f"ece_mass{word}": calibration.ece_mass(likely, targets, bins=bins),
    }


def _temperature(trained: Trained, given: Task | None, context: Context) -> tuple[float | None, dict[str, Any]]:
    """The temperature, and a line about where it comes from; none if nothing was held out and nobody asked."""
    source = trained.task if given is None else given
    try:
        made = predictions(trained, source, "validation", context)
    except Refused as error:
        if given is not None:
            raise
        return None, {"fitted_on": str(source), "examples": 0, "temperature": None, "said": f"not fitted: {error}"}
    found = calibration.temperature(made.outputs, made.targets)
    inside = calibration.COLDEST < found < calibration.HOTTEST
    said = "the best on the validation part" if inside else "at the end of what is looked at: there is no best"
    return found, {"fitted_on": str(source), "examples": len(made.targets), "temperature": found, "said": said}


def _lines(word: str, made: Predictions, belongs: Whole, names: Sequence[Any]) -> tuple[Mapping[str, Any], ...]:
    """A line for each class or group that occurs."""
    sizes = np.bincount(belongs, minlength=len(names)).tolist()
    errors = np.bincount(belongs, weights=made.wrong, minlength=len(names)).tolist()
    found = [(name, n, 1 - wrong / n) for name, n, wrong in zip(names, sizes, errors, strict=True) if n]
    return tuple({word: name, "n": n, "accuracy": a, "standard_error": share_error(a, n)} for name, n, a in found)


def _groups(trained: Trained, task: Task, split: Split, made: Predictions) -> tuple[Whole, tuple[str, ...]]:
    """The group of each example and the groups' names; no names where there are no groups."""
    if not isinstance(task, Grouped):
        return made.targets, ()
    try:
        belongs, names = task.groups(split, holdout=trained.recipe.holdout)
    except Refused:  # It could have groups and has none: the split itself was shown to the network already.
        return made.targets, ()
    if names and len(belongs) != len(made.targets):
        raise Refused(
            f"outcomes: {task} names the groups of {len(belongs):,} examples and shows {len(made.targets):,}. Its "
            "`groups` must give one number for each example, in the order of `evaluation`."
        )
    return np.asarray(belongs, dtype=np.int64), names


def _spread(lines: Sequence[Mapping[str, Any]], word: str) -> dict[str, float]:
    shares = [line["accuracy"] for line in lines]
    return {f"worst_{word}_accuracy": min(shares), f"{word}_gap": max(shares) - min(shares)}


def _tenth(lines: Sequence[Mapping[str, Any]]) -> float:
    return float(np.percentile([line["accuracy"] for line in lines], 10))

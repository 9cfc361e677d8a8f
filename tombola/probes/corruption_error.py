"""How much more a network errs on corrupted inputs than the dense one (Hendrycks and Dietterich 2019, section 3)."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
import torch

from tombola.core.errors import Refused
from tombola.core.measurement import Measurement
from tombola.core.plugin import is_plugin, registration_of, text_of
from tombola.core.task import Split, Task
from tombola.probes.predictions import check_same, in_split
from tombola.study.step import Context, step
from tombola.train.device import threads
from tombola.train.evaluate import evaluate
from tombola.train.trained import Trained


@runtime_checkable
class Corrupted(Task, Protocol):
    """A task whose inputs are made worse: in a way that has a name, to a degree that has a number."""

    @property
    def kind(self) -> str:
        """The name of the corruption."""
        ...

    @property
    def severity(self) -> int:
        """How bad it is."""
        ...


@step("corruption_error", prepare=in_split)
def corruption_error(
    trained: Trained,
    dense: Trained,
    tasks: tuple[Task, ...],
    clean: Task | None = None,
    split: Split = "test",
    *,
    context: Context = Context(),
) -> Measurement:
    """The mean corruption error, and the relative one, with the dense network in the place of AlexNet.

    The corruption error of a kind is the sum of the errors over its severities, divided by that of the dense network;
    `mce` is the mean over kinds. For the relative one each network's error on clean inputs is subtracted at every
    severity first: `relative_mce` tells how much is lost by corruption, whatever the network does without. Both are
    ratios: 1 is as the dense network, and the original prints them times 100. `error` and `dense_error` are plain means
    over kinds and severities.

    Where the dense network makes no error on a kind, or (for the relative one) no more than on clean inputs, there is
    no ratio: it is None in the table "kinds", and the mean, which would be of other kinds than elsewhere, is left out.

    Args:
        tasks: All kinds at the same severities, such as `corrupted(task=..., kind=..., severity=...)`: any task with
            fields `kind` and `severity`. Tasks that differ in severity alone are of one kind.
        clean: The task without corruption; that of the training unless told.

    Raises:
        Refused: If a task has no such fields, is given twice or needs another network, or kinds have other severities.
    """
    clean = trained.task if clean is None else clean
    kinds = _kinds(tasks)
    for task in (clean, *tasks):
        for network in (trained, dense):
            check_same("corruption_error", network, task)

    device = torch.device(context.machine.device)
    nets = [(one.module().to(device), one.recipe.holdout) for one in (trained, dense)]

    def errors(task: Task) -> tuple[float, float, int]:
        """Of the network and the dense one, and of how many examples."""
        own, other = (evaluate(net, task, split, holdout=holdout, device=device) for net, holdout in nets)
        return 1 - own.accuracy, 1 - other.accuracy, own.examples

    with threads(context.machine):
        made = {kind: [(t.severity, *errors(t)) for t in some] for kind, some in kinds.items()}
        plain, dense_plain, examples = errors(clean)
    single = [
        {"kind": kind, "severity": severity, "error": error, "dense_error": other, "n": number}
        for kind, lines in made.items()
        for severity, error, other, number in lines
    ]
    table = [_line(kind, lines, plain, dense_plain) for kind, lines in made.items()]
    numbers = {
        "error": float(np.mean([line["error"] for line in table])),
        "dense_error": float(np.mean([line["dense_error"] for line in table])),
        "clean_error": plain,
        "dense_clean_error": dense_plain,
        **{f"{word}mce": mean for word in ("", "relative_") if (mean := _mean(table, f"{word}ce")) is not None},
        "kinds": len(kinds),
        "severities": len(next(iter(kinds.values()))),
        "examples": examples,
    }
    return Measurement(numbers, tables={"kinds": tuple(table), "severities": tuple(single)})


def _kinds(tasks: Sequence[Task]) -> Mapping[str, Sequence[Corrupted]]:
    """The tasks by all that they are but the severity, each kind's in the order of severity."""
    if not tasks:
        raise Refused("corruption_error: no task is given. Give one for each kind and severity.")
    found: dict[tuple[Any, ...], dict[int, Corrupted]] = {}
    for task in tasks:
        if not (is_plugin(task) and isinstance(task, Corrupted)):
            raise Refused(
                f"corruption_error: {task} has no kind and severity. Give tasks with fields of these names, such as "
                "corrupted(task=..., kind='fog', severity=3)."
            )
        others = (f.name for f in dataclasses.fields(cast(Any, task)) if f.name != "severity")
        same = (registration_of(task).name, *((name, text_of(getattr(task, name))) for name in others))
        if task.severity in found.setdefault(same, {}):
            raise Refused(f"corruption_error: {task} is given twice. Give each once.")
        found[same][task.severity] = task
    severities = {tuple(sorted(some)) for some in found.values()}
    if len(severities) > 1:
        raise Refused(
            f"corruption_error: some kinds have the severities {', some '.join(map(str, sorted(severities)))}. Their "
            "sums cannot be compared: give all kinds at the same ones."
        )
    return {name: [some[s] for s in sorted(some)] for name, some in zip(_names(found), found.values(), strict=True)}


def _names(found: Mapping[tuple[Any, ...], Mapping[int, Corrupted]]) -> list[str]:
    """The kinds' names, or where two have the same one the whole task."""
    first = [next(iter(some.values())) for some in found.values()]
    short = [task.kind for task in first]
    return short if len(set(short)) == len(short) else [str(task) for task in first]


def _line(kind: str, lines: Sequence[tuple[int, float, float, int]], plain: float, other: float) -> dict[str, Any]:
    own, theirs = (sum(line[place] for line in lines) for place in (1, 2))
    number = len(lines)
    return {
        "kind": kind,
        "error": own / number,
        "dense_error": theirs / number,
        "ce": _ratio(own, theirs),
        "relative_ce": _ratio(own - number * plain, theirs - number * other),
    }


def _ratio(above: float, below: float) -> float | None:
    """None where what is divided by is not above 0, beyond the rounding of a sum."""
    return above / below if below > 1e-12 else None


def _mean(table: Sequence[Mapping[str, Any]], name: str) -> float | None:
    found = [line[name] for line in table]
    return None if None in found else float(np.mean(found))

"""The verb `train`: from a ticket's weights to the end of a recipe, one training or many at once."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from tombola.core.seeds import Seeds
from tombola.core.task import Split, Task
from tombola.core.ticket import Ticket
from tombola.study.step import Context, Made, Together, step
from tombola.train import fleet
from tombola.train.cost import cost_of
from tombola.train.device import threads
from tombola.train.evaluate import evaluate
from tombola.train.recipe import Recipe
from tombola.train.run import Run, charged, check, finite
from tombola.train.trained import Trained


def _in_steps(ticket: Any, task: Task, recipe: Recipe, seeds: Seeds) -> dict[str, Any]:
    return {"ticket": ticket, "task": task, "recipe": recipe.in_steps(task), "seeds": seeds}


def _shared(header: Mapping[str, Any], task: Task, recipe: Recipe, **others: Any) -> dict[str, str]:
    return fleet.shared(header["arch"], header["io"], task, recipe)


def _many(jobs: Sequence[Mapping[str, Any]], contexts: Sequence[Context]) -> Iterator[Made]:
    starts = [
        functools.partial(begin, **{"seeds": Seeds(), **job}, context=context)
        for job, context in zip(jobs, contexts, strict=True)
    ]
    for index, run, found in fleet.train_all(starts, contexts[0].machine):
        if isinstance(found, Exception):
            yield index, found
        else:
            yield index, ended(run, found)


@step("train", prepare=_in_steps, together=Together(_shared, _many))
def train(
    ticket: Ticket, task: Task, recipe: Recipe, seeds: Seeds = Seeds(), *, context: Context = Context()
) -> Trained:
    """Train a ticket from its weights, at its step, to the end of the recipe.

    Dead weights stay exactly zero, in the network and in the optimiser; this is audited at every point of the curve. A
    training that was interrupted goes on from its checkpoint and ends in the same bits.

    Lists are many trainings: `train([winner, reinit], task, recipe, [Seeds(0), Seeds(1)])` gives a list of two. They
    must share network, task and what decides a batch and an update; seeds, masks, weights, rates and lengths are free.
    On a GPU they train as one program, unless their masks change. On a CPU they follow one another here, and a study
    runs one on each core.

    Raises:
        Refused: If ticket, task and recipe do not belong together, or the trainings of a list.
        Failed: If the loss is no longer finite; what was good is kept, and the message says where.
    """
    run, end = begin(ticket, task, recipe, seeds, context)
    return ended(run, fleet.to_step(run, end))


def begin(ticket: Ticket, task: Task, recipe: Recipe, seeds: Seeds, context: Context) -> tuple[Run, int]:
    """A training before its first step, and the step to which it goes.

    Raises:
        Refused: If ticket, task and recipe do not belong together.
    """
    check(ticket, task, recipe)
    return Run(ticket, task, recipe, seeds, context), int(recipe.steps)


def ended(run: Run, weights: Mapping[str, Tensor]) -> Trained:
    """The result of a training: its weights are scored, and what was checked and counted is put beside them."""
    ticket, task, recipe, context = run.ticket, run.task, run.recipe, run.context
    run.net.load_state_dict(weights)
    shadows = run.rewiring is not None and run.rewiring.method.dead == "shadow"
    scores: dict[str, float] = {}
    splits: tuple[Split, ...] = ("test", "train", "validation") if recipe.validation else ("test", "train")
    with threads(context.machine), charged(run):
        for split in splits:
            score = evaluate(run.net, task, split, holdout=recipe.holdout, device=run.device)
            scores |= {f"{split}_accuracy": score.accuracy, f"{split}_loss": score.loss}
    mask = ticket.mask if run.rewiring is None else run.rewiring.mask
    masked, cost = mask.apply(weights), cost_of(run)
    context.meter.flops, context.meter.device_seconds = cost.flops_dense, cost.device_seconds
    context.meter.images = cost.images
    return Trained(
        ticket=ticket,
        task=task,
        recipe=recipe,
        seeds=run.seeds,
        weights=dict(weights),
        log=tuple(run.progress.rows),
        scores=scores,
        checks={
            "dead weights are zero": all(bool((masked[name] == value).all()) for name, value in weights.items()),
            **({} if shadows else {"dead optimiser state is zero": run.audits > 0}),
            "the curve is finite": finite(run.progress.rows),
        },
        cost=cost,
        rewired=None if run.rewiring is None else mask,
        history=() if run.rewiring is None else tuple(run.rewiring.history),
        lineage=ticket.lineage,
    )

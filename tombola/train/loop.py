"""The verb `train`: from a ticket's weights to the end of a recipe."""

from typing import Any

from tombola.core.seeds import Seeds
from tombola.core.task import Split, Task
from tombola.core.ticket import Ticket
from tombola.study.step import Context, step
from tombola.train.cost import cost_of
from tombola.train.evaluate import evaluate
from tombola.train.recipe import Recipe
from tombola.train.run import Run, check, finite, threads
from tombola.train.trained import Trained


def _in_steps(ticket: Any, task: Task, recipe: Recipe, seeds: Seeds) -> dict[str, Any]:
    return {"ticket": ticket, "task": task, "recipe": recipe.in_steps(task), "seeds": seeds}


@step("train", prepare=_in_steps)
def train(
    ticket: Ticket, task: Task, recipe: Recipe, seeds: Seeds = Seeds(), *, context: Context = Context()
) -> Trained:
    """Train a ticket from its weights, at its step, to the end of the recipe.

    Dead weights stay exactly zero, in the network and in the optimiser; this is audited at every point of the curve. A
    training that was interrupted goes on from its checkpoint and ends in the same bits.

    Raises:
        Refused: If ticket, task and recipe do not belong together.
        Failed: If the loss is no longer finite; what was good is kept, and the message says where.
    """
    check(ticket, task, recipe)
    run = Run(ticket, task, recipe, seeds, context)
    weights = run.to_step(int(recipe.steps))
    run.net.load_state_dict(weights)
    scores: dict[str, float] = {}
    splits: tuple[Split, ...] = ("test", "train", "validation") if recipe.validation else ("test", "train")
    with threads(context.machine):
        for split in splits:
            score = evaluate(run.net, task, split, holdout=recipe.holdout, device=run.device)
            scores |= {f"{split}_accuracy": score.accuracy, f"{split}_loss": score.loss}
    masked, cost = ticket.mask.apply(weights), cost_of(run)
    context.meter.flops = cost.flops_dense
    return Trained(
        ticket=ticket,
        task=task,
        recipe=recipe,
        seeds=seeds,
        weights=weights,
        log=tuple(run.progress.rows),
        scores=scores,
        checks={
            "dead weights are zero": all(bool((masked[name] == value).all()) for name, value in weights.items()),
            "dead optimiser state is zero": run.audits > 0,
            "the curve is finite": finite(run.progress.rows),
        },
        cost=cost,
        lineage=ticket.lineage,
    )

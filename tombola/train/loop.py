"""The verb `train`: from a ticket's weights to the end of a recipe."""

from typing import Any

from tombola.core.seeds import Seeds
from tombola.core.task import Split, Task
from tombola.core.ticket import Ticket
from tombola.study import provenance
from tombola.study.step import Context, step
from tombola.train.evaluate import evaluate
from tombola.train.flops import flops
from tombola.train.recipe import Recipe
from tombola.train.run import Run, check, finite, threads
from tombola.train.trained import Cost, Trained


def _in_steps(ticket: Ticket, task: Task, recipe: Recipe, seeds: Seeds) -> dict[str, Any]:
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
    masked = ticket.mask.apply(weights)
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
        cost=_cost(run),
        lineage=ticket.lineage,
    )


def _cost(run: Run) -> Cost:
    steps = run.progress.step - run.ticket.step
    size, batch = run.task.train_size(run.recipe.holdout), run.recipe.batch
    epochs, rest = zip(*(divmod(step, -(-size // batch)) for step in (run.ticket.step, run.progress.step)), strict=True)
    before, after = (whole * size + min(part * batch, size) for whole, part in zip(epochs, rest, strict=True))
    seen = after - before  # The last batch of an epoch may be smaller.
    each = flops(run.ticket.arch, run.ticket.io, run.ticket.mask)
    return Cost(
        seconds=run.progress.seconds,
        steps=steps,
        peak_memory=provenance.peak_memory(),
        flops_dense=each.training_dense * seen,
        flops_sparse=each.training_sparse * seen,
    )

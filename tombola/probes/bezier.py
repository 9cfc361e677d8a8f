"""A bent path of low loss between two trained networks, found by training its middle."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor
from torch.func import functional_call

from tombola.checks import check_word
from tombola.core.errors import Failed, Refused
from tombola.core.measurement import Measurement
from tombola.core.rewire import Static
from tombola.core.seeds import Seeds, numbers
from tombola.core.task import Split, Task
from tombola.core.ticket import Ticket
from tombola.probes.barrier import on_path, spaced
from tombola.probes.heights import heights
from tombola.probes.held import Counted, held, training_inputs
from tombola.probes.line import WEIGHTS, Weights
from tombola.probes.paired import check_two
from tombola.probes.renewal import check_settled, settling
from tombola.study.step import Context, step
from tombola.train.cost import cost_of
from tombola.train.device import device_clock, threads
from tombola.train.flops import flops
from tombola.train.recipe import Recipe
from tombola.train.run import Run, check
from tombola.train.trained import Trained

KNOWN = {"recompute": "gathered anew at each point", "batch": "of each batch that is asked"}


def _in_order(**given: Any) -> dict[str, Any]:
    """The arguments, looked at as soon as they are given: calls may be made much later."""
    check_word("stats", given["stats"], ("", *KNOWN))
    check_word("weights", given["weights"], WEIGHTS)
    if given["recipe"] is not None and given["recipe"].rewire != Static():
        raise _changing(given["recipe"])
    return on_path("bezier", given, usual=61)


def _changing(recipe: Recipe) -> Refused:
    return Refused(f"bezier: {recipe.rewire} changes masks while training. Give a recipe that does not: recipe=...")


@step("bezier", prepare=_in_order)
def bezier(
    a: Trained,
    b: Trained,
    task: Task | None = None,
    recipe: Recipe | None = None,
    points: int = 61,
    stats: Literal["", "recompute", "batch"] = "",
    weights: Weights = "own",
    splits: tuple[Split, ...] = ("train", "test"),
    examples: int = 10_000,
    gathered: int = 2000,
    seeds: Seeds = Seeds(),
    *,
    context: Context = Context(),
) -> Measurement:
    """The barrier on a bent path between two networks: (1 - t)^2 a + 2 t (1 - t) m + t^2 b, whose middle m was trained.

    Networks with a high barrier on the straight line between them are often joined by such a path without one (Garipov
    et al. 2018, section 3): then they do not lie in one basin by `barrier`, and yet in one valley. The middle starts
    halfway between the two and is trained by the recipe, each batch at a place t of the path that is drawn evenly; what
    lives in neither network stays dead in it. Numbers and the table `curve` are those of `barrier`. `bend` is how far
    the path is off the straight line at most: half as far as its middle, as a share of the distance of the two.

    A path that has a barrier may only not have been trained long enough: this is no proof that there is none.

    Args:
        task: That of a's training unless told; both were trained on it, or it is named.
        recipe: How the middle is trained; a's unless told. Decay acts on the middle itself; the last weights count.
            What a held out is held out here too.
        points: As in `barrier`; 61 in the paper.
        stats: What running statistics of batch norm are at a point: "recompute" gathers them anew, on `gathered`
            training examples or more (0: a whole epoch), as the paper does; "batch": those of each batch of 2,000 that
            is asked. There is no default for a network that has such.
        weights: As in `barrier`.
        splits: As in `barrier`.
        examples: As in `barrier`.
        seeds: The order of the data, their augmentation, and the places on the path.

    Raises:
        Refused: If the two do not belong together, or the recipe changes masks.
        Failed: If the loss is no longer finite.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.find import draw
        >>> from tombola.probes.barrier import barrier
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.loop import train
        >>> task, recipe = Digits(), Recipe(steps=200, batch=60)
        >>> one, other = (train(draw(Mlp(hidden=(8,)), task, recipe, Seeds(s)), task, recipe) for s in (0, 1))
        >>> bent, straight = (f(one, other, points=11, splits=("test",)).numbers() for f in (bezier, barrier))
        >>> bent["test_error_barrier_points"] < straight["test_error_barrier_points"] / 2
        True
    """
    task = check_two("bezier", a, b, task, splits)
    recipe = a.recipe if recipe is None else recipe
    if recipe.rewire != Static():
        raise _changing(recipe)
    kept: Any = {"validation": a.recipe.validation, "split_seed": a.recipe.split_seed, "rewind": 0}
    recipe = dataclasses.replace(recipe, **kept, select="last", patience=0).in_steps(task)
    recipe = dataclasses.replace(recipe, evaluate=recipe.steps)
    masks = (a.mask & b.mask,) * 2 if weights == "shared" else (a.mask, b.mask)
    ends = [mask.apply(one.weights) for one, mask in zip((a, b), masks, strict=True)]
    for one, end in zip((a, b), ends, strict=True):
        if odd := [name for name, value in end.items() if not bool(value.isfinite().all())]:
            raise Failed(f"'{odd[0]}' of {one!r} is not finite: its training went astray. No path leads there.")
    middle = {n: torch.lerp(v, ends[1][n], 0.5) if v.is_floating_point() else v for n, v in ends[0].items()}
    start = Ticket(arch=a.ticket.arch, io=a.ticket.io, mask=masks[0] | masks[1], weights=middle)
    check(start, task, recipe)
    run = Path(start, task, recipe, seeds, context)
    run.between(*ends)
    device, net = run.device, run.net
    check_settled("bezier", start.arch, net, stats, KNOWN)  # Before the training, which may take long.
    data = {split: held("bezier", a, task, split, examples, device) for split in splits}
    run.to_step(int(recipe.steps))
    trained = {name: value.detach().clone() for name, value in net.eval().named_parameters()}
    started = device_clock(device)
    with threads(context.machine), torch.no_grad():
        inputs = Counted(training_inputs(a, task, gathered, device))
        settle = settling(net, stats, inputs)

        def go(t: float) -> None:
            for (_, value), here in zip(net.named_parameters(), run.at(t, trained).values(), strict=True):
                value.copy_(here)
            settle()

        found, asked = heights(net, go, spaced(points, 0.0), task, data)
    cost, forward = cost_of(run), flops(a.ticket.arch, a.ticket.io, start.mask).forward_dense
    context.meter.flops = cost.flops_dense + forward * (asked + inputs.examples)
    context.meter.images = cost.images
    context.meter.device_seconds = cost.device_seconds + device_clock(device) - started
    return dataclasses.replace(found, values={**found.numbers(), "bend": _bend(ends, middle, trained)})


class Path(Run):
    """The training of a path's middle: each batch is asked at a place of the path, and the middle learns from it."""

    def between(self, a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> None:
        """Say where the path begins and ends."""
        self.t = 0.5
        self.ends = [{n: one[n].to(v) for n, v in self.net.named_parameters()} for one in (a, b)]

    def at(self, t: float, middle: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The parameters of a place."""
        first, last = self.ends
        return {n: (1 - t) ** 2 * first[n] + 2 * t * (1 - t) * value + t**2 * last[n] for n, value in middle.items()}

    def equip(self) -> None:
        """As for any training, but that batches are asked on the path."""
        super().equip()
        self.forward = self._on_path

    def _on_path(self, inputs: Tensor) -> Tensor:
        return functional_call(self.net, self.at(self.t, dict(self.net.named_parameters())), (inputs,))

    def steps(self, wanted: range) -> list[Tensor]:
        """The loop, with a place for each step."""
        losses: list[Tensor] = []
        for number in wanted:
            self.t = float(numbers("bezier", self.seeds.stream("data"), number).random())
            losses += super().steps(range(number, number + 1))
        return losses


def _bend(ends: list[dict[str, Tensor]], halfway: Mapping[str, Tensor], middle: Mapping[str, Tensor]) -> float:
    """How far the path is off the straight line at t = 1/2, where it is farthest, by the length of that."""
    square, along, length = 0.0, 0.0, 0.0
    for name, value in middle.items():
        moved = (value.cpu() - halfway[name]).double()
        line = (ends[1][name] - ends[0][name]).double()
        square, along = square + float(moved.square().sum()), along + float((moved * line).sum())
        length += float(line.square().sum())
    return max(0.0, square / length - (along / length) ** 2) ** 0.5 / 2 if length else 0.0

import math
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from tests.rewire.plain import DENSE, NAMES, Values, check, highest, loss, move, start, trained
from tests.train.toys import Points, a_ticket, same
from tombola.archs.mlp import Mlp
from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.core.rewire import Rewire
from tombola.core.seeds import Seeds
from tombola.prune.nm import NM
from tombola.rewire.edge_popup import EdgePopup
from tombola.study.step import Context
from tombola.train.loop import train
from tombola.train.recipe import Recipe
from tombola.train.run import Run

COUNTS = {"first.weight": 14, "last.weight": 11}
"""0.4 of 35 and 28, which is 11.2."""


def first_scores(method: Rewire) -> Values:
    _, _, rewiring = next(trained(method, 20))
    return {name: rewiring.live.variables[name].clone() for name in NAMES}


def signs(weight: Tensor) -> Tensor:
    return weight.sign() * math.sqrt(2 / weight.shape[1])


class Choice(torch.autograd.Function):
    """The supermask as an operation whose derivative is left out."""

    @staticmethod
    def forward(ctx: object, scores: Tensor, count: int) -> Tensor:
        return highest({"": scores.detach()}, count)[""].to(scores.dtype)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return gradient, None


def by_the_paper(
    scores: Values, fixed: Values, steps: int, rank: Literal["absolute", "signed"]
) -> list[tuple[Values, Values, Values]]:
    """Autograd through the choice, as the authors have it; SGD with decay on scores, biases as usual."""
    variables, velocities = {**start(), **scores}, {}
    told = []
    for step in range(steps + 1):
        leaves = {name: value.clone().requires_grad_() for name, value in variables.items()}
        ranked = {name: leaves[name].abs() if rank == "absolute" else leaves[name] for name in NAMES}
        chosen = {name: Choice.apply(ranked[name], COUNTS[name]) for name in NAMES}
        shown = {**leaves, **{name: fixed[name] * chosen[name] for name in NAMES}}
        masks = {name: value.detach().bool() for name, value in chosen.items()}
        told.append(({n: v.detach() for n, v in shown.items()}, dict(variables), masks))
        if step < steps:
            found = torch.autograd.grad(loss(shown, step), list(leaves.values()))
            move(variables, velocities, dict(zip(leaves, found, strict=True)), step)
    return told


@pytest.mark.parametrize("rank", ["absolute", "signed"])
def test_twenty_steps_are_those_of_a_plain_loop(rank: Literal["absolute", "signed"]):
    method = EdgePopup(density=0.4, rank=rank)
    told = by_the_paper(first_scores(method), start(), 20, rank)
    check(lambda step: told[step], method, 20)
    assert all(not torch.equal(told[0][2][name], told[-1][2][name]) for name in NAMES), "masks should change"


def test_signs_and_scale_are_the_authors():
    method = EdgePopup(density=0.4, values="signed_constant", scale="density")
    fixed = {name: signs(start()[name]) / math.sqrt(0.4) for name in NAMES}
    told = by_the_paper(first_scores(method), fixed, 20, "absolute")
    check(lambda step: told[step], method, 20)


def test_weights_never_change_and_scores_do():
    fixed, first = start(), first_scores(EdgePopup(density=0.4))
    for _, net, rewiring in trained(EdgePopup(density=0.4), 20):
        for name in NAMES:
            weight, mask = net.get_parameter(name), rewiring.live.masks[name]
            assert torch.equal(weight[mask], fixed[name][mask]) and not weight[~mask].any()
    assert all((rewiring.live.variables[name] != first[name]).all() for name in NAMES)


def test_scores_begin_uniform_within_their_bound():
    for bound in (1.0, math.sqrt(6)):
        scores = first_scores(EdgePopup(bound=bound))
        for name, fan_in in (("first.weight", 5), ("last.weight", 7)):
            high = bound / math.sqrt(fan_in)
            assert 0.8 * high < scores[name].abs().max() <= high
            assert scores[name].min() < 0 < scores[name].max()
            assert scores[name].unique().numel() == scores[name].numel()


def a_recipe(**changes: Any) -> Recipe:
    return Recipe(**{"steps": 20, "batch": 5, "evaluate": 10, "rewire": EdgePopup(density=0.3)} | changes)


def the_run(recipe: Recipe, seed: int = 0) -> Run:
    ticket = a_ticket(Mlp(hidden=(8,)), Points(), density=1.0)
    return Run(ticket, Points(), recipe.in_steps(Points()), Seeds(seed), Context())


def scores_of(run: Run) -> Values:
    assert run.rewiring is not None
    return run.rewiring.live.variables


def test_other_seeds_draw_other_scores():
    assert same(scores_of(the_run(a_recipe())), scores_of(the_run(a_recipe())))
    assert not same(scores_of(the_run(a_recipe())), scores_of(the_run(a_recipe(), seed=1)))


def test_a_whole_training_gives_first_weights_under_an_exact_mask():
    ticket = a_ticket(Mlp(hidden=(8,)), Points(), density=1.0)
    result = train(ticket, Points(), a_recipe())
    assert [result.mask.kept_in(name) for name in result.mask] == [14, 7]  # Of 48 and 24.
    for name in result.mask:
        assert torch.equal(result.weights[name], torch.where(result.mask[name], ticket.weights[name], 0.0))
    assert all(result.checks.values())


def test_the_history_has_a_row_for_each_point_of_the_curve_and_misses_no_change():
    run = the_run(a_recipe(evaluate=8))
    rewiring, masks = run.rewiring, []
    assert rewiring is not None
    masks.append(rewiring.mask)
    run.net.train()
    for step in range(20):
        run.advance(step + 1)
        masks.append(rewiring.mask)
        if step + 1 in (8, 16, 20):
            rewiring.row()
            rewiring.row()
    assert [row["step"] for row in rewiring.history] == [0, 8, 16, 20]
    for row, (begin, end) in zip(rewiring.history[1:], ((0, 8), (8, 16), (16, 20)), strict=True):
        pairs = list(zip(masks[begin:end], masks[begin + 1 : end + 1], strict=True))
        assert row["came"] == sum((new & ~old).kept for old, new in pairs) == row["died"]
        assert row["mask"] == masks[end].digest()[:16]
    assert sum(row["came"] for row in rewiring.history) > 0
    result = train(run.ticket, Points(), a_recipe(evaluate=8))
    assert [dict(row) for row in result.history] == rewiring.history


def test_a_checkpoint_between_two_points_loses_no_change():
    straight, first, second = (the_run(a_recipe()) for _ in range(3))
    for run in (straight, first):
        run.net.train()
        run.advance(7)
    second.restore(first.packed())
    second.net.train()
    for run in (straight, second):
        run.advance(20)
        assert run.rewiring is not None
        run.rewiring.row()
    assert straight.rewiring is not None and second.rewiring is not None
    assert straight.rewiring.history == second.rewiring.history and len(second.rewiring.history) == 2
    assert same(scores_of(straight), scores_of(second)) and same(straight.net.state_dict(), second.net.state_dict())


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"density": 0.0}, "above 0, below 1"), ({"density": 1.0}, "above 0, below 1"), ({"bound": 0.0}, "field 'bound'")],
)
def test_wrong_numbers_are_refused(fields: dict[str, float], words: str):
    with pytest.raises(Refused, match=words):
        EdgePopup(**fields)  # type: ignore[arg-type]


def test_a_scope_may_choose_in_groups():
    ticket = a_ticket(Mlp(hidden=(8,)), Points(inputs=(8,)), density=1.0)
    result = train(ticket, Points(inputs=(8,)), a_recipe(rewire=EdgePopup(density=0.5, scope=NM())))
    for name in result.mask:
        assert (result.mask[name].view(-1, 4).sum(1) == 2).all()


def test_what_cannot_begin_is_refused():
    with pytest.raises(Refused, match="begins with all weights"):
        EdgePopup().check(Mask({"w": torch.tensor([True, False])}))
    with pytest.raises(Refused, match=r"'last.weight' \(28 weights\) would keep none"):
        EdgePopup(density=0.015).check(DENSE)

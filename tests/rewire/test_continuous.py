import logging
import math

import pytest
import torch

from tests.rewire.plain import DENSE, MOMENTUM, NAMES, Values, begun, check, highest, loss, move, rate, start, trained
from tests.train.toys import Points, a_ticket, same
from tombola.archs.mlp import Mlp
from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.core.seeds import Seeds
from tombola.rewire.continuous import ContinuousSparsification
from tombola.study.step import Context
from tombola.train.loop import train
from tombola.train.recipe import Recipe
from tombola.train.run import Run


def by_the_paper(
    steps: int, *, initial: float, lam: float, every: int = 1, share: float = 1.0, scale: float = 1.0, count: int = 0
) -> tuple[list[tuple[Values, Values, Values]], list[Values]]:
    """Autograd by w and s of loss and penalty; both by SGD with momentum, w with decay."""
    variables, velocities = start(), {}
    soft = {name: torch.full_like(variables[name], initial) for name in NAMES}
    pushes: Values = {}
    told, seen = [], []
    for step in range(steps):
        temperature = 100.0 ** ((step // every) / ((steps - 1) // every))
        leaves = {name: value.clone().requires_grad_() for name, value in variables.items()}
        masks = {name: soft[name].clone().requires_grad_() for name in NAMES}
        chances = {name: scale * torch.sigmoid(temperature * masks[name]) for name in NAMES}
        shown = {**leaves, **{name: leaves[name] * chances[name] for name in NAMES}}
        told.append(({n: v.detach() for n, v in shown.items()}, dict(variables), dict(DENSE)))
        seen.append(dict(soft))
        whole = loss(shown, step) + lam * torch.stack([chance.sum() for chance in chances.values()]).sum()
        found = torch.autograd.grad(whole, [*leaves.values(), *masks.values()])
        move(variables, velocities, dict(zip(leaves, found[: len(leaves)], strict=True)), step)
        for name, gradient in zip(masks, found[len(leaves) :], strict=True):
            pushes[name] = MOMENTUM * pushes[name] + gradient if name in pushes else gradient
            soft[name] = soft[name] - share * rate(step) * pushes[name]
    hard = highest(soft, count) if count else {name: soft[name] > 0 for name in NAMES}
    shown = {n: torch.where(hard[n], scale * v, 0.0) if n in hard else v for n, v in variables.items()}
    told.append((shown, variables, hard))
    seen.append(soft)
    return told, seen


def test_twenty_steps_are_those_of_a_plain_loop():
    told, seen = by_the_paper(20, initial=0.02, lam=0.0005)
    method = ContinuousSparsification(initial=0.02, lam=0.0005, final=100.0)
    check(lambda step: told[step], method, 20)
    assert 0 < Mask(told[-1][2]).density < 1
    for step, _, rewiring in trained(method, 20):
        chosen = sum(int((seen[step][name] > 0).sum()) for name in NAMES) / 63
        assert rewiring.row() == {"density": Mask(told[step][2]).density, "explored": 1.0, "chosen": chosen}


def test_the_authors_divide_by_the_first_value_and_warm_by_the_epoch():
    # Epochs of 4 steps, of which there are 5: b is 1, 100^(1/4), ... and 100 in the last.
    scale = 1 + math.exp(0.1)
    told, _ = by_the_paper(20, initial=-0.1, lam=0.001, every=4, share=2.0, scale=scale)
    method = ContinuousSparsification(initial=-0.1, lam=0.001, final=100.0, every="1ep", rate=2.0, scaling="initial")
    check(lambda step: told[step], method, 20)


def test_a_density_is_met_by_the_highest_scores():
    told, _ = by_the_paper(20, initial=0.02, lam=0.0005, count=19)
    method = ContinuousSparsification(initial=0.02, lam=0.0005, final=100.0, density=0.3)  # 18.9 of 63.
    check(lambda step: told[step], method, 20)
    assert Mask(told[-1][2]).kept == 19


def test_with_the_authors_scaling_the_network_begins_with_the_weights():
    for initial in (-0.3, 0.0, 0.3):
        net, _ = begun(ContinuousSparsification(initial=initial, scaling="initial"), 20)
        assert all(torch.allclose(net.get_parameter(name), start()[name], rtol=1e-14) for name in NAMES)
    net, _ = begun(ContinuousSparsification(), 20)
    assert all(torch.equal(net.get_parameter(name), start()[name] / 2) for name in NAMES)


def test_the_temperature_rises_to_the_last_step():
    method = ContinuousSparsification(every=3)
    assert [round(math.log(method.temperature(step, 7), 200), 12) for step in range(7)] == [0, 0, 0, 0.5, 0.5, 0.5, 1]


def a_run(recipe: Recipe) -> Run:
    ticket = a_ticket(Mlp(hidden=(8,)), Points(), density=1.0)
    run = Run(ticket, Points(), recipe.in_steps(Points()), Seeds(), Context())
    run.net.train()
    return run


def test_a_whole_training_is_dense_until_its_last_step():
    method = ContinuousSparsification(density=0.3, lam=1e-3)
    recipe = Recipe(steps=20, batch=5, evaluate=10, rewire=method)
    result = train(a_ticket(Mlp(hidden=(8,)), Points(), density=1.0), Points(), recipe)
    assert result.mask.kept == 22  # Of 72: 21.6.
    assert [row["density"] for row in result.log] == [1.0, 22 / 72]
    assert [row["step"] for row in result.history] == [0, 20]
    assert all(result.checks.values())
    half, whole = a_run(recipe), a_run(recipe)
    half.advance(7)
    other = a_run(recipe)
    other.restore(half.packed())
    for run in (whole, other):
        run.advance(20)
    assert same(whole.net.state_dict(), other.net.state_dict()) and same(whole.packed().groups, other.packed().groups)
    assert same({n: v for n, v in whole.net.state_dict().items()}, dict(result.weights))


def test_the_loss_of_a_whole_layer_is_told(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        *_, (_, _, rewiring) = trained(ContinuousSparsification(initial=-1.0, rate=0.0), 20)
    assert rewiring.mask.kept == 0 and len(caplog.messages) == 2


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"density": -0.5}, "above 0, below 1"),
        ({"density": 1.0}, "above 0, below 1"),
        ({"every": 0}, "field 'every' is 0"),
        ({"lam": -1.0}, "field 'lam'"),
        ({"final": 0.5}, "field 'final'"),
        ({"rate": -1.0}, "field 'rate'"),
        ({"momentum": 1.0}, "field 'momentum'"),
    ],
)
def test_wrong_numbers_are_refused(fields: dict[str, float], words: str):
    with pytest.raises(Refused, match=words):
        ContinuousSparsification(**fields)  # type: ignore[arg-type]


def test_what_cannot_begin_is_refused():
    with pytest.raises(Refused, match="never would"):
        ContinuousSparsification(every="5ep").in_steps(4, 20)
    with pytest.raises(Refused, match="begins with all weights"):
        ContinuousSparsification().check(Mask({"w": torch.tensor([True, False])}))
    with pytest.raises(Refused, match="some would vanish"):
        ContinuousSparsification(density=0.01).check(DENSE)

from typing import Literal

import pytest
import torch
from torch import Tensor

from tests.rewire.plain import DENSE, NAMES, Values, check, gradients, highest, move, start, trained
from tests.train.toys import Points, a_ticket
from tombola.archs.mlp import Mlp
from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.prune.everywhere import Everywhere
from tombola.prune.nm import NM
from tombola.prune.per_layer import PerLayer
from tombola.rewire.top_kast import TopKast
from tombola.train.loop import train
from tombola.train.recipe import Recipe

COUNTS = {"first.weight": (7, 18), "last.weight": (6, 14)}
"""Weights that compute and weights that learn, at densities 0.2 and 0.5 of 35 and 28."""


def sets(dense: Values, *, explores: bool) -> tuple[Values, Values]:
    computing: Values = {}
    learning: Values = {}
    for name, (few, many) in COUNTS.items():
        sizes = {name: dense[name].abs()}
        computing |= highest(sizes, few)
        learning |= highest(sizes, many if explores else few)
    return computing, learning


def penalty(weight: Tensor, computing: Tensor, learning: Tensor, norm: Literal["l2", "l1"]) -> Tensor:
    """The exploration penalty as a function, to be differentiated."""
    each = weight.square() / 2 if norm == "l2" else weight.abs()
    return 0.3 * each[computing].sum() + 0.3 / 0.2 * each[learning & ~computing].sum()


def by_the_paper(
    at: tuple[int, ...], steps: int, *, end: int, norm: Literal["l2", "l1"] = "l2"
) -> list[tuple[Values, Values, Values]]:
    """The sets anew at the steps given; gradients of loss and penalty move what learns, and nothing else."""
    dense, velocities = start(), {}
    computing, learning = sets(dense, explores=True)
    told = []
    for step in range(steps + 1):
        if step in at:
            computing, learning = sets(dense, explores=step < end)
        shown = {n: torch.where(computing[n], v, 0.0) if n in computing else v for n, v in dense.items()}
        told.append((shown, dict(dense), computing))
        if step == steps:
            break
        found = gradients(shown, step)
        before = dict(dense)
        for name in NAMES:
            leaf = dense[name].clone().requires_grad_()
            (own,) = torch.autograd.grad(penalty(leaf, computing[name], learning[name], norm), leaf)
            found[name] = (found[name] + own) * learning[name]
        move(dense, velocities, found, step)
        for name in NAMES:
            dense[name] = torch.where(learning[name], dense[name], before[name])
            velocities[name] = velocities[name] * learning[name]
    return told


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_twenty_steps_are_those_of_a_plain_loop(norm: Literal["l2", "l1"]):
    told = by_the_paper((3, 6, 9, 12, 15, 18), 20, end=21, norm=norm)
    check(lambda step: told[step], TopKast(density=0.2, offset=0.3, every=3, lam=0.3, norm=norm), 20)
    assert any(not torch.equal(told[0][2][name], told[-1][2][name]) for name in NAMES), "masks should change"


def test_in_the_end_what_computes_is_what_learns():
    told = by_the_paper((3, 6, 9, 10), 20, end=10)
    check(lambda step: told[step], TopKast(density=0.2, offset=0.3, every=3, lam=0.3, end=0.5), 20)


def test_what_does_not_learn_does_not_move_and_has_no_state():
    method = TopKast(density=0.2, offset=0.3, every=3)
    old: Values = {}
    left = 0
    for step, net, rewiring in trained(method, 20):
        learning = {name: rewiring.live.state[f"learning/{name}"].bool() for name in NAMES}
        if step and step % 3:  # At the third step the sets are new.
            for name in NAMES:
                variable = rewiring.live.variables[name]
                assert torch.equal(variable[~learning[name]], old[name][~learning[name]])
                moved = variable != old[name]
                assert moved[rewiring.live.masks[name]].any() and (moved & ~rewiring.live.masks[name]).any()
                momentum = rewiring.optimizer.state[net.get_parameter(name)]["momentum_buffer"]
                assert not momentum[~learning[name]].any()
                left += int((~learning[name]).sum())
        old = {name: rewiring.live.variables[name].clone() for name in NAMES}
    assert left == 14 * (17 + 14)


def test_the_count_of_operations_has_both_sets():
    *_, (_, _, rewiring) = trained(TopKast(density=0.2, offset=0.3, every=6), 20)
    assert rewiring.forward == {"first.weight": 20 * 7, "last.weight": 20 * 6}
    # At the steps that change the sets the account has every weight: steps 5, 11 and 17.
    assert rewiring.backward == {"first.weight": 20 * 18, "last.weight": 20 * 14}


def test_without_offset_only_what_computes_learns():
    first = next(trained(TopKast(density=0.2, offset=0.0, every=3), 20))
    for name in NAMES:
        assert torch.equal(first[2].live.state[f"learning/{name}"].bool(), first[2].live.masks[name])


def test_a_global_ranking_shares_the_weights_out_by_size():
    first = next(trained(TopKast(density=0.2, offset=0.3, every=3, scope=Everywhere()), 20))
    sizes = {name: start()[name].abs() for name in NAMES}
    assert first[2].mask == Mask(highest(sizes, 13))
    assert {n: first[2].live.state[f"learning/{n}"].bool().tolist() for n in NAMES} == {
        n: mask.tolist() for n, mask in highest(sizes, 32).items()
    }


def test_what_a_scope_excludes_is_dense_throughout():
    method = TopKast(density=0.2, offset=0.3, every=3, scope=PerLayer(exclude=("first.weight",)))
    for _, _, rewiring in trained(method, 20):
        assert [rewiring.mask.kept_in(name) for name in NAMES] == [35, 6]
        assert rewiring.live.state["learning/first.weight"].all()


def test_a_whole_training_ends_at_the_exact_density():
    recipe = Recipe(steps=20, batch=5, evaluate=10, rewire=TopKast(density=0.3, every=3))
    result = train(a_ticket(Mlp(hidden=(8,)), Points(), density=1.0), Points(), recipe)
    assert [result.mask.kept_in(name) for name in result.mask] == [14, 7]  # Of 48 and 24.
    assert all(result.checks.values())


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"density": 0.0}, "above 0, below 1"),
        ({"density": 1.0}, "above 0, below 1"),
        ({"offset": -0.1}, "field 'offset'"),
        ({"density": 0.5, "offset": 0.6}, "field 'offset'"),
        ({"every": 0}, "field 'every' is 0"),
        ({"end": 0.0}, "a part of the training"),
        ({"lam": -1.0}, "field 'lam'"),
    ],
)
def test_wrong_numbers_are_refused(fields: dict[str, float], words: str):
    with pytest.raises(Refused, match=words):
        TopKast(**fields)  # type: ignore[arg-type]


def test_what_cannot_begin_is_refused():
    with pytest.raises(Refused, match="never would"):
        TopKast(every="5ep").in_steps(4, 20)
    with pytest.raises(Refused, match="begins with all weights"):
        TopKast().check(Mask({"w": torch.tensor([True, False])}))
    with pytest.raises(Refused, match=r"'last.weight' \(28 weights\) would keep none"):
        TopKast(density=0.015).check(DENSE)
    with pytest.raises(Refused, match="keeps 2 of 4"):
        TopKast(density=0.5, scope=NM()).check(Mask.dense({"w": (2, 8)}))

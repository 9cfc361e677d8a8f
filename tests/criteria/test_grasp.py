"""GraSP against explicit Hessians, against finite differences of the gradient's norm, and against real removals."""

import pytest
import torch

from tests.criteria.tiny import Loss, Smooth, close, flat, slopes, tiny
from tombola.core.criterion import habits_of
from tombola.core.errors import Refused
from tombola.criteria.grasp import Grasp
from tombola.prune import prune

CASES = [
    {"mode": "train", "batches": 1, "per_class": 3, "temperature": 200.0},
    {"mode": "eval", "batches": 0, "per_class": 0, "temperature": 200.0},
    {"mode": "train", "batches": 2, "per_class": 0, "temperature": 1.0},
]


def flow(net, loss: Loss):
    """The squared norm of the gradient by the living weights, as a function of the weights."""
    return lambda vector: loss.gradient(vector)[flat(net.mask)].square().sum()


@pytest.mark.parametrize("density", [1.0, 0.6])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_is_the_weight_times_the_explicit_hessian_times_the_gradient(case, density):
    net = tiny(Smooth(norm="yes"), density=density)
    loss, weights = Loss(net, **case), flat(net.weights)
    product = loss.hessian(weights) @ (loss.gradient(weights) * flat(net.mask))
    assert close(flat(Grasp(**case)(net)), weights * product)
    assert close(flat(Grasp(form="absolute", **case)(net)), (weights * product).abs())


@pytest.mark.parametrize("density", [1.0, 0.6])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_is_half_of_what_the_flow_gains_as_a_weight_grows(case, density):
    """Gradients by central differences too: no differentiation at all, so fewer digits."""
    net = tiny(Smooth(hidden=3, norm="yes"), density=density)
    loss, weights = Loss(net, **case), flat(net.weights)
    norm = lambda c: slopes(loss, c * weights, step=1e-4)[flat(net.mask)].square().sum()  # noqa: E731
    gained = slopes(norm, torch.ones_like(weights), step=1e-3)
    assert close(flat(Grasp(**case)(net)), gained / 2, within=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_the_lowest_score_is_the_weight_whose_removal_raises_the_flow(seed):
    """A weight taken away by a hundredth: the flow rises for the lowest score and falls for the highest."""
    net = tiny(seed=seed)
    settings = {"per_class": 3, "temperature": 2.0}
    weights, scores = flat(net.weights), flat(Grasp(**settings)(net))
    norm = flow(net, Loss(net, **settings))
    before = norm(weights)
    lowest, highest = int(scores.argmin()), int(scores.argmax())
    assert scores[lowest] < 0 < scores[highest]
    change = []
    for place in (lowest, highest):
        less = weights.clone()
        less[place] *= 0.99
        change.append(float(norm(less) - before))
        assert change[-1] == pytest.approx(-2 * 0.01 * float(scores[place]), rel=0.1)
    assert change[0] > 0 > change[1]


def test_the_weights_that_are_kept_are_those_of_the_paper():
    """In its words: of S = -w (Hg), the highest are removed; what is left flows more than what was removed would."""
    net = tiny(Smooth(hidden=8))
    settings = {"per_class": 3, "temperature": 2.0}
    loss, weights = Loss(net, **settings), flat(net.weights)
    product = -weights * (loss.hessian(weights) @ loss.gradient(weights))
    removed = product.argsort(descending=True)[:12]
    alive = torch.ones_like(weights, dtype=torch.bool).index_fill(0, removed, False)
    grasp = Grasp(**settings)
    assert flat(prune(net.mask, grasp(net), density=0.75)).equal(alive)
    upside_down = {name: -score for name, score in grasp(net).items()}
    other = flat(prune(net.mask, upside_down, density=0.75))
    assert loss.gradient(weights * alive).square().sum() > loss.gradient(weights * other).square().sum()


def test_a_newly_drawn_head_is_scored_and_not_kept():
    net = tiny()
    before = {name: value.clone() for name, value in net.state.items()}
    grasp = {w: flat(Grasp(weights=w, per_class=3, seed=1)(net)) for w in ("own", "fresh", "fresh_head")}
    drawn = net.fresh(1, part="head")
    assert torch.equal(drawn.state["body.weight"], net.state["body.weight"])
    assert torch.equal(grasp["fresh_head"], flat(Grasp(per_class=3)(drawn)))
    assert not grasp["own"].equal(grasp["fresh_head"]) and not grasp["fresh"].equal(grasp["fresh_head"])
    assert all(torch.equal(before[name], net.state[name]) for name in before)


def test_it_repeats_and_leaves_dead_weights_at_zero():
    net = tiny(density=0.5)
    one, other = (flat(Grasp(per_class=2)(net)) for _ in range(2))
    assert torch.equal(one, other) and (one[~flat(net.mask)] == 0).all()
    assert flat(Grasp(per_class=2)(tiny(dtype=torch.float32))).dtype == torch.float32


def test_its_habits_and_refusals():
    habits = habits_of(Grasp(rounds=2))
    assert (habits.moment, habits.rounds, habits.revives) == ("before", 2, "no")
    for fields in ({"temperature": 0.0}, {"temperature": -1.0}, {"rounds": 0}, {"batches": 0}, {"per_class": -1}):
        with pytest.raises(Refused, match="^grasp: "):
            Grasp(**fields)
    with pytest.raises(Refused, match="precision='float32'"):
        Grasp(per_class=2)(tiny(dtype=torch.float32, precision="bfloat16"))

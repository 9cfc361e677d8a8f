"""Optimal brain damage against explicit Hessians, a diagonal one worked by hand, and the estimator's own variance."""

import pytest
import torch

from tests.criteria.tiny import Loss, Scale, Smooth, Squares, close, flat, tiny
from tombola.core.criterion import habits_of
from tombola.core.errors import Refused
from tombola.criteria.obd import Obd

SQUARES = Squares(inputs=(5,), train=25)


@pytest.mark.parametrize("density", [1.0, 0.6])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_many_probes_find_the_diagonal_of_the_explicit_hessian(mode, density):
    """To within five standard errors, which follow from the Hessian: the row's squares off the diagonal."""
    net, samples = tiny(Smooth(hidden=3, norm="yes"), density=density), 300
    weights, alive = flat(net.weights), flat(net.mask)
    hessian = Loss(net, mode=mode).hessian(weights)
    living = hessian * alive * alive[:, None]
    error = ((living.square().sum(1) - living.diagonal().square()) / samples).sqrt()
    exact, tolerance = hessian.diagonal() * weights.square() / 2, 5 * error * weights.square() / 2
    found = flat(Obd(form="raw", samples=samples, mode=mode)(net))
    assert ((found - exact).abs() <= tolerance + 1e-15).all()
    assert (exact.abs() > tolerance).any() and (found[~alive] == 0).all(), "the test can tell something"
    assert torch.equal(flat(Obd(samples=samples, mode=mode)(net)), found.abs())


def test_one_probe_is_exact_where_the_hessian_is_diagonal():
    """Outputs are w x and the loss is the mean of their squares summed: h is twice the mean of x^2."""
    net = tiny(Scale(), SQUARES, batch=25)
    inputs, _ = next(net.examples.batches(1, 0))
    weights = flat(net.weights)
    by_hand = inputs.double().square().mean(0) * weights.square()
    for seed in range(3):
        assert close(flat(Obd(samples=1, seed=seed)(net)), by_hand, within=1e-12)


def test_of_a_quadratic_loss_it_is_the_whole_second_order_part():
    """Taking w away changes (w x)^2 by -2 (w x)^2 to first order and + (w x)^2 to second: by -(w x)^2 in all."""
    net = tiny(Scale(), SQUARES)
    loss, weights = Loss(net), flat(net.weights)
    gone = torch.stack([loss(weights) - loss(weights.index_fill(0, torch.tensor(i), 0.0)) for i in range(5)])
    assert close(flat(Obd(samples=1)(net)), gone, within=1e-12)


def test_negative_curvature_goes_first_only_if_raw():
    """The loss (w x)^3 has the curvature 6 w x^3, of either sign."""
    net = tiny(Scale(), Squares(inputs=(5,), train=25, power=3))
    raw, absolute = flat(Obd(form="raw", samples=1)(net)), flat(Obd(samples=1)(net))
    assert (raw < 0).any() and torch.equal(raw.abs(), absolute)


def test_probes_depend_on_seed_sample_and_tensor_and_repeat():
    net = tiny()
    first = flat(Obd(samples=1)(net))
    assert torch.equal(first, flat(Obd(samples=1)(net)))
    assert not torch.equal(first, flat(Obd(samples=1, seed=1)(net)))
    signs = [Obd()._signs(sample, name, torch.zeros(40)) for sample in range(2) for name in ("a", "b")]
    assert len({tuple(sign.tolist()) for sign in signs}) == 4
    assert set(signs[0].tolist()) == {-1.0, 1.0}


def test_its_habits_and_refusals():
    assert habits_of(Obd()).moment == "after" and habits_of(Obd()).rounds == 1
    for fields in ({"samples": 0}, {"batches": -1}, {"per_class": -1}, {"batches": 0, "per_class": 1}):
        with pytest.raises(Refused, match="^obd: "):
            Obd(**fields)
    with pytest.raises(Refused, match="second derivatives are not to be had in bfloat16"):
        Obd()(tiny(dtype=torch.float32, precision="bfloat16"))

"""What a criterion sees of a network: derivatives against finite differences and explicit Hessians, in float64."""

import dataclasses

import pytest
import torch

from tests.criteria.tiny import POINTS, Loss, Scale, Smooth, Squares, close, flat, slopes, tiny
from tests.train.toys import IMAGES, Convs, same
from tombola.core.errors import Refused
from tombola.core.layout import Prunable
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.seeds import numbers
from tombola.train.network import Network

CASES = [
    {"batches": 1, "per_class": 0, "mode": "train", "temperature": 1.0},
    {"batches": 0, "per_class": 0, "mode": "train", "temperature": 3.0},
    {"batches": 3, "per_class": 0, "mode": "eval", "temperature": 1.0},
    {"batches": 2, "per_class": 3, "mode": "train", "temperature": 200.0},
]
NETS = [Smooth(hidden=3), Smooth(hidden=3, norm="yes")]


def vectors(net: Network) -> dict[str, torch.Tensor]:
    """Something to multiply a Hessian with, dead positions too."""
    return {n: torch.from_numpy(numbers("tiny", "vector", n).normal(size=tuple(net.mask[n].shape))) for n in net.mask}


@pytest.mark.parametrize("density", [1.0, 0.6])
@pytest.mark.parametrize("arch", NETS, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_are_the_slopes_of_the_mean_loss(arch, case, density):
    """By every weight, dead ones too, at weights of which the dead are zero."""
    net = tiny(arch, density=density)
    loss = Loss(net, **case)
    assert close(flat(net.gradients(**case)), slopes(loss, flat(net.weights)), within=1e-7)


@pytest.mark.parametrize("density", [1.0, 0.6])
@pytest.mark.parametrize("arch", NETS, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_curvature_is_the_explicit_hessian_times_the_vectors(arch, case, density):
    net = tiny(arch, density=density)
    given, loss, weights = vectors(net), Loss(net, **case), flat(net.weights)
    found = flat(net.curvature(given, **case))
    assert close(found, loss.hessian(weights) @ flat(given))
    step = 1e-5 * flat(given)
    assert close(found, (loss.gradient(weights + step) - loss.gradient(weights - step)) / 2e-5, within=1e-6)


def test_derivatives_of_convolutions_with_batch_norm_against_differences():
    """Along one direction: the slope of the loss and of the gradient. All alive: dead filters lie on ReLU's kink."""
    net = tiny(Convs(width=2), IMAGES)
    given, weights, loss = vectors(net), flat(net.weights), Loss(net)
    assert all(value.dtype == torch.float64 for value in net.gradients().values())
    step = 1e-6 * flat(given)
    slope = (loss(weights + step) - loss(weights - step)) / 2e-6
    assert float(flat(net.gradients()) @ flat(given)) == pytest.approx(float(slope), rel=1e-6)
    bend = (loss.gradient(weights + step) - loss.gradient(weights - step)) / 2e-6
    assert close(flat(net.curvature(given)), bend, within=1e-5)


def test_the_state_is_untouched_and_answers_repeat():
    net = tiny(Smooth(norm="yes"), density=0.7)
    before = {name: value.clone() for name, value in net.state.items()}
    first = (net.gradients(batches=3), net.curvature(vectors(net), batches=3))
    second = (net.gradients(batches=3), net.curvature(vectors(net), batches=3))
    assert same(first, second)
    assert same(dict(net.state), before), "batch norm's statistics too"
    assert not any(value.requires_grad for part in first for value in part.values())


def test_statistics_of_the_state_count_in_eval_mode_only():
    net = tiny(Smooth(norm="yes"))
    state = {**net.state, "norm.running_mean": net.state["norm.running_mean"] + 1.0}
    moved = dataclasses.replace(net, state=state)
    assert not same(moved.gradients(mode="eval"), net.gradients(mode="eval"))
    assert same(moved.gradients(mode="train"), net.gradients(mode="train"))


def test_train_and_eval_differ_only_with_batch_norm():
    plain, normed = tiny(), tiny(Smooth(norm="yes"))
    assert same(plain.gradients(mode="train"), plain.gradients(mode="eval"))
    assert not same(normed.gradients(mode="train"), normed.gradients(mode="eval"))
    given = vectors(normed)
    assert not same(normed.curvature(given, mode="train"), normed.curvature(given, mode="eval"))


def test_an_epoch_weighs_every_example_alike():
    """26 examples in batches of 8 and one of 2, or in a single batch: the same mean."""
    small, whole = tiny(batch=8), tiny(batch=26)
    assert close(flat(small.gradients(batches=0)), flat(whole.gradients(batches=1)), within=1e-12)
    given = vectors(small)
    assert close(flat(small.curvature(given, batches=0)), flat(whole.curvature(given, batches=1)), within=1e-12)


def test_weights_and_whole_and_start():
    alive = torch.tensor([True, False])
    net = Network({"w": torch.tensor([1.0, 9.0])}, Mask({"w": alive}), first={"w": torch.tensor([5.0, 6.0])})
    assert isinstance(net, Prunable)
    assert net.weights["w"].tolist() == [1.0, 0.0] and net.whole["w"].tolist() == [1.0, 9.0]
    assert net.start["w"].tolist() == [5.0, 6.0]
    assert net.masked(Mask({"w": ~alive})).weights["w"].tolist() == [0.0, 9.0]


def test_fresh_weights_are_those_of_their_seed_in_the_type_of_the_network():
    net = tiny(density=0.7)
    drawn, again, other = net.fresh(1), net.fresh(1), net.fresh(2)
    assert same(dict(drawn.state), dict(again.state)) and not same(dict(drawn.state), dict(other.state))
    head = net.fresh(1, part="head")
    for name in net.state:
        expected = drawn if name.startswith("head.") else net
        assert same(head.state[name], expected.state[name]), name
    assert drawn.mask == net.mask and drawn.weights["body.weight"].dtype == torch.float64


@pytest.mark.parametrize(
    "between, message",
    [
        ("round", r"the gradient by 'body\.weight' is zero everywhere, and the network has steps \(round\)"),
        ("detach", r"no gradient reaches 'body\.weight': a part of the network behind it is not differentiable"),
        ("argmax", r"no gradient reaches 'body\.weight'"),
        ("unused", r"no gradient reaches 'body\.weight'"),
    ],
)
def test_networks_with_parts_that_have_no_derivative(between, message):
    net = tiny(Smooth(between=between))
    with pytest.raises(Refused, match=message):
        net.gradients()
    with pytest.raises(Refused, match=message):
        net.curvature(vectors(net))


def test_rounding_that_lets_gradients_through_is_differentiable():
    assert flat(tiny(Smooth(between="through")).gradients()).all()


def test_a_layer_without_a_weight_is_no_missing_derivative():
    """Its gradient is zero in front of it, and the cause is the mask: a criterion may go on."""
    net = tiny()
    net = net.masked(Mask({**net.mask, "head.weight": torch.zeros_like(net.mask["head.weight"])}))
    found = net.gradients()
    assert not found["body.weight"].any() and found["head.weight"].any()


def test_a_gradient_of_zero_everywhere():
    dead = tiny(Scale(), Squares(inputs=(3,), train=25))
    dead = dead.masked(Mask({"scale.weight": torch.zeros(3, dtype=torch.bool)}))
    with pytest.raises(Refused, match="the gradient of the loss is zero everywhere"):
        dead.gradients()


@plugin("task", "toy_line")
class Line(Squares):
    """A linear loss that torch does not know to be one: it computes second derivatives, which are zero."""

    def loss(self, outputs, targets, *, smoothing=0.0):
        return outputs.pow(1).sum(1).mean()


def test_without_second_derivatives():
    once = tiny(Smooth(between="once"))
    assert flat(once.gradients()).any()
    with pytest.raises(Refused, match="a part of this network can be differentiated only once"):
        once.curvature(vectors(once))
    line = tiny(Scale(), Squares(inputs=(3,), train=25, power=1))
    with pytest.raises(Refused, match="its loss is linear in the weights"):
        line.curvature(vectors(line))
    line = tiny(Scale(), Line(inputs=(3,), train=25))
    with pytest.raises(Refused, match="the Hessian times the vectors is zero everywhere"):
        line.curvature(vectors(line))
    half = tiny(dtype=torch.float32, precision="bfloat16")
    with pytest.raises(Refused, match="second derivatives are not to be had in bfloat16.*precision='float32'"):
        half.curvature(vectors(half))


def test_gradients_in_bfloat16_are_those_in_float32_to_its_digits():
    half, full = (flat(tiny(dtype=torch.float32, precision=p).gradients()) for p in ("bfloat16", "float32"))
    assert half.dtype == torch.float32 and not torch.equal(half, full)
    assert (half - full).abs().max() < 0.03 * full.abs().max()


def test_what_is_not_there_is_asked_for():
    net = tiny()
    for bare in (dataclasses.replace(net, arch=None), dataclasses.replace(net, io=None)):
        with pytest.raises(Refused, match="Give arch and io"):
            bare.gradients()
        with pytest.raises(Refused, match="Give arch and io"):
            bare.fresh(0)
    with pytest.raises(Refused, match="needs data, and here is none"):
        dataclasses.replace(net, examples=None).curvature(vectors(net))
    assert POINTS.io == net.io

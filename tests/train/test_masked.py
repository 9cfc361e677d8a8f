"""Dead weights stay dead, living ones train as they would without us, and what breaks this is found out."""

import copy
import pickle
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.train.toys import IMAGES, Convs, Points, a_ticket, bare_loop, same
from tombola.archs.mlp import Mlp
from tombola.core.errors import Failed
from tombola.core.layout import Arch
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.seeds import Seeds
from tombola.core.task import Task
from tombola.core.ticket import Ticket
from tombola.study.step import Context
from tombola.train.masked import Masking
from tombola.train.optimizers import Adam, AdamW, Optimizer, Sgd
from tombola.train.recipe import Recipe
from tombola.train.run import Run

POINTS, MLP = Points(), Mlp(hidden=(8,))
OPTIMIZERS = [
    Sgd(lr=0.05),
    Sgd(lr=0.05, momentum=0.0),
    Sgd(lr=0.05, decay=0.01),
    Sgd(lr=0.05, decay=0.01, nesterov="yes"),
    Sgd(lr=0.05, decay=0.01, coupling="decoupled"),
    Adam(lr=0.01),
    Adam(lr=0.01, decay=0.01),
    AdamW(lr=0.01, decay=0.1),
]


def a_run(ticket: Ticket, task: Task, **recipe: Any) -> Run:
    whole = Recipe(**{"batch": 5, "evaluate": 500, "steps": 1000} | recipe)
    return Run(ticket, task, whole.in_steps(task), Seeds(), Context())


def dead_entries(run: Run) -> dict[str, Tensor]:
    """What must be zero: the dead entries of weights, and of every optimiser tensor of a weight's shape."""
    found = {}
    parameters = dict(run.net.named_parameters())
    for name, mask in run.ticket.mask.items():
        weight = parameters[name]
        found[name] = weight.detach()[~mask]
        for entry, value in run.optimizer.state[weight].items():
            if isinstance(value, Tensor) and value.shape == weight.shape:
                found[f"{name} {entry}"] = value[~mask]
    return found


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_dead_weights_and_all_their_state_are_exactly_zero_after_1000_steps(optimizer: Optimizer):
    run = a_run(a_ticket(MLP, POINTS), POINTS, optimizer=optimizer)
    run.to_step(1000)
    dead = dead_entries(run)
    states = {"sgd": 0 if optimizer == OPTIMIZERS[1] else 1}.get(str(optimizer).partition("(")[0], 2)
    assert len(dead) == 2 * (1 + states)
    assert all(len(values) and bool((values == 0).all()) for values in dead.values())


@pytest.mark.parametrize("optimizer", [OPTIMIZERS[3], OPTIMIZERS[7]], ids=str)
def test_dead_entries_are_zero_in_convolutions_and_batch_norm_trains(optimizer: Optimizer):
    run = a_run(a_ticket(Convs(), IMAGES), IMAGES, optimizer=optimizer)
    weights = run.to_step(60)
    assert all(bool((values == 0).all()) for values in dead_entries(run).values())
    assert not torch.equal(weights["norm.weight"], torch.ones(4))
    assert int(weights["norm.num_batches_tracked"]) == 60


def test_no_dead_weight_is_minus_zero():
    ticket = a_ticket(MLP, POINTS)
    assert any(bool((ticket.weights[name][~mask] < 0).any()) for name, mask in ticket.mask.items())
    for optimizer in OPTIMIZERS:
        weights = a_run(ticket, POINTS, optimizer=optimizer).to_step(37)
        assert not any(bool(torch.signbit(weights[name][~mask]).any()) for name, mask in ticket.mask.items()), optimizer


def test_negative_and_positive_weights_train():
    ticket = a_ticket(MLP, POINTS)
    weights = a_run(ticket, POINTS, optimizer=Sgd(lr=0.05)).to_step(20)
    for name, mask in ticket.mask.items():
        before, after = ticket.weights[name][mask], weights[name][mask]
        for sign in (-1, 1):
            chosen = before * sign > 0
            assert int(chosen.sum()) >= 5
            assert bool((after != before)[chosen].any()), (name, sign)
        assert (after != before).float().mean() > 0.8  # A unit that is never active does not train.


Update = Callable[[list[Tensor], list[Tensor], dict[int, Any], int], None]


def sgd64(
    lr: float, momentum: float = 0.0, decay: float = 0.0, nesterov: bool = False, decoupled: float = 0.0
) -> Update:
    """Stochastic gradient descent as the textbook has it (PyTorch's convention for momentum)."""

    def update(weights: list[Tensor], grads: list[Tensor], state: dict[int, Any], step: int) -> None:
        for i, (w, g) in enumerate(zip(weights, grads, strict=True)):
            w *= 1 - lr * decoupled
            g = g + decay * w
            velocity = g if i not in state else momentum * state[i] + g
            state[i] = velocity
            w -= lr * (g + momentum * velocity if nesterov else velocity)

    return update


def adam64(lr: float, decay: float = 0.0, decoupled: float = 0.0) -> Update:
    """Algorithm 1 of Kingma and Ba 2015, with either kind of decay."""

    def update(weights: list[Tensor], grads: list[Tensor], state: dict[int, Any], step: int) -> None:
        for i, (w, g) in enumerate(zip(weights, grads, strict=True)):
            w *= 1 - lr * decoupled
            g = g + decay * w
            m, v = state.get(i, (torch.zeros_like(w), torch.zeros_like(w)))
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            state[i] = (m, v)
            w -= lr * (m / (1 - 0.9 ** (step + 1))) / ((v / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8)

    return update


REFERENCES = [
    sgd64(0.05, 0.9),
    sgd64(0.05),
    sgd64(0.05, 0.9, 0.01),
    sgd64(0.05, 0.9, 0.01, nesterov=True),
    sgd64(0.05, 0.9, decoupled=0.01),
    adam64(0.01),
    adam64(0.01, decay=0.01),
    adam64(0.01, decoupled=0.1),
]


PAIRS = list(zip(OPTIMIZERS, REFERENCES, strict=True))


@pytest.mark.parametrize(("optimizer", "reference"), PAIRS, ids=map(str, OPTIMIZERS))
def test_survivors_equal_an_independent_loop_in_double_precision(optimizer: Optimizer, reference: Update):
    ticket, steps = a_ticket(MLP, POINTS), 60
    names = ["stages.0.0.weight", "stages.0.0.bias", "head.weight", "head.bias"]
    masks = [ticket.mask[name].double() if name in ticket.mask else 1.0 for name in names]
    weights = [ticket.weights[name].double() * mask for name, mask in zip(names, masks, strict=True)]
    state: dict[int, Any] = {}
    for step in range(steps):
        x, labels = POINTS.batch(step, seeds=Seeds(), size=5)
        w1, b1, w2, b2 = weights  # The gradients of a network of two layers, by hand.
        hidden = x.double() @ w1.T + b1
        active = hidden.clamp(min=0)
        off = (torch.softmax(active @ w2.T + b2, 1) - nn.functional.one_hot(labels, 3)) / len(labels)
        back = off @ w2 * (hidden > 0)
        grads = [back.T @ x.double(), back.sum(0), off.T @ active, off.sum(0)]
        reference(weights, [g * mask for g, mask in zip(grads, masks, strict=True)], state, step)
    found = a_run(ticket, POINTS, optimizer=optimizer, validation=0.0).to_step(steps)
    for name, value in zip(names, weights, strict=True):
        assert torch.allclose(found[name].double(), value, rtol=1e-3, atol=2e-5), name
        assert not torch.allclose(found[name], ticket.masked()[name], atol=1e-2)


@pytest.mark.parametrize(
    ("arch", "task"), [(MLP, POINTS), (Convs(), IMAGES)], ids=["linear", "depthwise, dilated, grouped"]
)
@pytest.mark.parametrize("density", [1.0, 0.4])
def test_training_equals_a_bare_loop_bit_for_bit(arch: Arch, task: Task, density: float):
    ticket = a_ticket(arch, task, density=density)
    optimizer = Sgd(lr=0.05, momentum=0.9, decay=1e-3)
    run = a_run(ticket, task, optimizer=optimizer, smoothing=0.1)
    weights = run.to_step(25)
    net, theirs, _ = bare_loop(
        ticket, task, run.recipe, range(25), torch.optim.SGD, lr=0.05, momentum=0.9, weight_decay=1e-3, fused=True
    )
    assert same(weights, dict(net.state_dict()))
    ours = [state["momentum_buffer"] for state in run.optimizer.state.values()]
    assert all(torch.equal(a, b["momentum_buffer"]) for a, b in zip(ours, theirs.state.values(), strict=True))


def test_a_dense_mask_leaves_outputs_and_state_dict_alone():
    ticket = a_ticket(Convs(), IMAGES, density=1.0)
    assert ticket.density == 1.0
    plain = Convs().build(IMAGES.io)
    plain.load_state_dict(dict(ticket.weights))
    wrapped = ticket.module()
    inputs = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(plain.eval()(inputs), wrapped.eval()(inputs))
    assert type(wrapped) is type(plain) and list(wrapped.state_dict()) == list(plain.state_dict())
    for name in ("depthwise", "dilated", "grouped"):
        ours, theirs = wrapped.get_submodule(name), plain.get_submodule(name)
        assert (ours.groups, ours.dilation, ours.padding) == (theirs.groups, theirs.dilation, theirs.padding)
    run = a_run(ticket, IMAGES)
    assert run.masking.names == []  # A dense tensor costs nothing.


def test_a_trained_network_copies_pickles_and_compiles_and_its_state_dict_is_plain():
    run = a_run(a_ticket(Convs(), IMAGES), IMAGES, optimizer=Sgd(lr=0.05))
    weights = run.to_step(5)
    net = run.net.eval()
    inputs, _ = IMAGES.batch(0, seeds=Seeds(), size=5)
    outputs = net(inputs)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), torch.compile(net, backend="eager")):
        assert torch.equal(twin(inputs), outputs)
    fresh = Convs().build(IMAGES.io)
    fresh.load_state_dict(net.state_dict())
    assert list(fresh.state_dict()) == list(weights)
    assert not net._forward_hooks and not net._forward_pre_hooks and not net._backward_hooks
    assert all(type(value) is nn.Parameter and not value._backward_hooks for value in net.parameters())


def test_masks_lie_in_memory_as_the_weights_do():
    run = a_run(a_ticket(Convs(), IMAGES), IMAGES, optimizer=Sgd(lr=0.05))
    run.to_step(3)
    for name, weight, mask in zip(run.masking.names, run.masking.weights, run.masking.masks, strict=True):
        assert mask.stride() == weight.stride() and weight.grad is not None and weight.grad.stride() == weight.stride()
        assert torch.equal(mask.bool(), run.ticket.mask[name])
    stem = dict(run.net.named_parameters())["stem.weight"]
    assert stem.is_contiguous(memory_format=torch.channels_last) and not stem.is_contiguous()


def test_masks_of_all_tensors_lie_as_the_weights_do_and_dense_ones_are_ones():
    """Those of a fleet: another ticket's masks are copied to where they are."""
    ticket = a_ticket(Convs(), IMAGES, density=1.0)
    net = ticket.module().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    masking = Masking(net, ticket.mask, of="all")
    assert masking.names == list(ticket.mask) and all(bool((mask == 1).all()) for mask in masking.masks)
    for name, weight, mask in zip(masking.names, masking.weights, masking.masks, strict=True):
        assert mask.stride() == weight.stride() and mask.dtype == weight.dtype, name
    assert not masking.masks[0].is_contiguous()


def test_gradients_are_masked_before_they_are_clipped():
    ticket, clip = a_ticket(MLP, POINTS, density=0.2), 0.05
    net = ticket.module()
    inputs, targets = POINTS.batch(0, seeds=Seeds(), size=5)
    POINTS.loss(net(inputs), targets).backward()
    whole = {name: value.grad for name, value in net.named_parameters() if value.grad is not None}
    grads = {name: grad * ticket.mask[name] if name in ticket.mask else grad for name, grad in whole.items()}
    norm = sum(float(grad.double().square().sum()) for grad in grads.values()) ** 0.5
    unmasked = sum(float(grad.double().square().sum()) for grad in whole.values()) ** 0.5
    assert unmasked > 1.2 * norm > 1.2 * clip
    found = a_run(ticket, POINTS, optimizer=Sgd(lr=1.0, momentum=0.0), clip=clip, validation=0.0).to_step(1)
    for name, grad in grads.items():
        assert torch.allclose(found[name], ticket.masked()[name] - grad * clip / norm, rtol=1e-4, atol=1e-7)


def test_gradients_below_the_norm_are_not_clipped():
    ticket = a_ticket(MLP, POINTS)
    free, clipped = (a_run(ticket, POINTS, optimizer=Sgd(lr=0.01), clip=clip).to_step(3) for clip in (0.0, 1e6))
    assert same(free, clipped)


def test_the_audit_finds_a_revived_weight():
    run = a_run(a_ticket(MLP, POINTS), POINTS)
    run.to_step(5)
    dead = int((~run.ticket.mask["head.weight"]).sum()) + int((~run.ticket.mask["stages.0.0.weight"]).sum())
    assert run.masking.audit(run.optimizer, step=5) == dead
    weight = dict(run.net.named_parameters())["head.weight"]
    with torch.no_grad():
        weight[tuple((~run.ticket.mask["head.weight"]).nonzero()[0])] = -1e-30
    with pytest.raises(Failed, match=r"^1 dead entries of 'head.weight' \(weights\) are not zero at step 5"):
        run.masking.audit(run.optimizer, step=5)


@pytest.mark.parametrize(("optimizer", "entry"), [(Sgd(), "momentum_buffer"), (Adam(), "exp_avg_sq")], ids=str)
@pytest.mark.parametrize("value", [1e-30, float("nan")])
def test_the_audit_finds_state_behind_a_dead_weight(optimizer: Optimizer, entry: str, value: float):
    run = a_run(a_ticket(MLP, POINTS), POINTS, optimizer=optimizer)
    run.to_step(5)
    weight = dict(run.net.named_parameters())["head.weight"]
    run.optimizer.state[weight][entry][tuple((~run.ticket.mask["head.weight"]).nonzero()[0])] = value
    with pytest.raises(Failed, match=rf"'head.weight' \({entry}\) are not zero at step 5"):
        run.masking.audit(run.optimizer, step=5)


@pytest.mark.parametrize("optimizer", [OPTIMIZERS[0], OPTIMIZERS[2], OPTIMIZERS[6], OPTIMIZERS[7]], ids=str)
def test_equal_masked_networks_are_equal_in_their_bytes(optimizer: Optimizer):
    """A negative gradient times 0 is -0.0: in the state of a dead weight its sign may not tell what it was."""
    run = a_run(a_ticket(MLP, POINTS), POINTS, optimizer=optimizer)
    negative: list[bool] = []
    whole = run.masking.mask_gradients

    def watched() -> None:
        whole()
        for weight, mask in zip(run.masking.weights, run.masking.masks, strict=True):
            assert weight.grad is not None
            negative.append(bool(torch.signbit(weight.grad[mask == 0]).any()))

    run.masking.mask_gradients = watched
    run.to_step(30)
    assert any(negative)
    assert not any(bool(torch.signbit(values).any()) for values in dead_entries(run).values())


@pytest.mark.parametrize("last", [False, True], ids=["on the way", "in the last step"])
@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_an_infinite_gradient_of_a_dead_weight_is_noticed(clip: float, last: bool):
    """Infinity times 0 is not a number: the loss shows it at the next step, and the audit if there is none."""
    run = a_run(a_ticket(MLP, POINTS), POINTS, optimizer=Sgd(lr=0.05), clip=clip, steps=9 if last else 20)
    whole, steps = run.masking.mask_gradients, [0]

    def poisoned() -> None:
        weight = dict(run.net.named_parameters())["head.weight"]
        assert weight.grad is not None
        if steps[0] == 8:
            weight.grad[tuple((~run.ticket.mask["head.weight"]).nonzero()[0])] = float("inf")
        steps[0] += 1
        whole()

    run.masking.mask_gradients = poisoned
    with pytest.raises(Failed, match="are not zero at step 9" if last else "the loss is no longer finite at step 9 of"):
        run.to_step(9 if last else 20)


class MixingSgd(torch.optim.Optimizer):
    """Spreads every row's gradient over the row, as orthogonalising optimisers do."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.dim() == 2:
                    parameter -= group["lr"] * parameter.grad.mean(1, keepdim=True)


@plugin("optimizer", "toy_mixing")
class Mixing:
    lr: float = 0.1

    def make(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return MixingSgd(parameters, self.lr)


def test_an_optimiser_that_mixes_entries_is_stopped_at_the_first_point_of_the_curve():
    run = a_run(a_ticket(MLP, POINTS), POINTS, optimizer=Mixing(), evaluate=7)
    with pytest.raises(Failed, match=r"dead entries of 'stages.0.0.weight' \(weights\) are not zero at step 7.*mixes"):
        run.to_step(1000)
    dense = a_run(a_ticket(MLP, POINTS, density=1.0), POINTS, optimizer=Mixing(), evaluate=7)
    dense.to_step(14)  # Nothing is dead here, so nothing is wrong.


def test_a_layer_without_a_living_weight_trains_around():
    mask = Mask({"stages.0.0.weight": torch.zeros(8, 6, dtype=torch.bool), "head.weight": torch.ones(3, 8).bool()})
    run = a_run(a_ticket(MLP, POINTS, mask=mask), POINTS)
    weights = run.to_step(10)
    assert not bool(weights["stages.0.0.weight"].any())
    assert isinstance(run.masking, Masking) and run.masking.audit(run.optimizer, step=10) == 48


def test_a_layer_that_a_batch_did_not_reach_has_nothing_to_mask():
    net = nn.ModuleDict({"used": nn.Linear(3, 2), "spare": nn.Linear(3, 2)})
    mask = Mask({f"{name}.weight": torch.tensor([[True, False, True], [False, True, True]]) for name in net})
    masking = Masking(net, mask)
    with torch.no_grad():
        for weight, alive in zip(masking.weights, masking.masks, strict=True):
            weight *= alive
    optimizer = Sgd().make(net.parameters())
    net["used"](torch.ones(1, 3)).sum().backward()
    masking.mask_gradients()
    optimizer.step()
    assert masking.audit(optimizer, step=1) == 4
    assert net["used"].weight.grad.tolist() == [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]  # type: ignore[union-attr]
    assert net["spare"].weight.grad is None

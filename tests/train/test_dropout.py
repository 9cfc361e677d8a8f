"""Networks of one's own with PyTorch's dropout: the noise has a name in training, and what has none is told."""

import dataclasses
import logging
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.train.toys import Points, a_ticket, same
from tombola.core.initial import draw_state
from tombola.core.layout import Interface, Layout
from tombola.core.machine import Machine
from tombola.core.noise import Dropout, by_name, stir
from tombola.core.plugin import plugin
from tombola.core.seeds import Seeds
from tombola.criteria.snip import Snip
from tombola.find import cut_early, draw
from tombola.probes.gradient_flow import gradient_flow
from tombola.probes.gradient_noise import gradient_noise
from tombola.study.step import Context
from tombola.train import fleet
from tombola.train.examples import Examples
from tombola.train.loop import train
from tombola.train.optimizers import Sgd
from tombola.train.recipe import Recipe
from tombola.train.run import Run

TASK = Points(inputs=(3, 6, 6))
RECIPE = Recipe(batch=5, steps=12, evaluate=5, optimizer=Sgd(lr=0.05))


@plugin("arch", "toy_dropping")
class Dropping:
    """A convolution whose channels drop, and a hidden layer whose numbers do; one draw without a name if so asked."""

    p: float = 0.4
    unnamed: str = "no"

    def build(self, io: Interface) -> nn.Module:
        return DroppingNet(self, io)

    def layout(self) -> Layout:
        return Layout(stem=("stem",), stages=(), head=("head.2",), prunable=("stem.weight", "head.2.weight"), axes={})

    def initial(self, net: nn.Module, *names: str | int) -> dict[str, Tensor]:
        return draw_state(net, *names)


class DroppingNet(nn.Module):
    def __init__(self, arch: Dropping, io: Interface) -> None:
        super().__init__()
        self.unnamed = arch.unnamed == "yes"
        self.stem = nn.Conv2d(io.inputs[0], 6, 3)
        self.channels = nn.Dropout2d(arch.p)
        self.head = nn.Sequential(nn.Linear(6, 8), nn.Dropout(arch.p), nn.Linear(8, io.classes))

    def forward(self, x: Tensor) -> Tensor:
        x = self.channels(self.stem(x).relu()).mean((2, 3))
        return self.head(functional.dropout(x, 0.1, self.training and self.unnamed))


def trained(arch: Dropping, seeds: Seeds = Seeds(), **changes: Any) -> dict[str, Tensor]:
    return dict(train(a_ticket(arch, TASK), TASK, dataclasses.replace(RECIPE, **changes), seeds).weights)


def test_noise_has_a_name(caplog: pytest.LogCaptureFixture):
    before = torch.get_rng_state()
    first = trained(Dropping())
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert same(trained(Dropping()), first) and not caplog.records
    assert not same(trained(Dropping(), Seeds(0, augment=1)), first)
    assert not same(trained(Dropping(p=0.3)), first) and not same(trained(Dropping(p=0.0)), first)
    whole, parts = (trained(Dropping(), optimizer=Sgd(lr=0.01), accumulate=n) for n in (1, 2))
    for name, weight in whole.items():
        torch.testing.assert_close(parts[name], weight, rtol=1e-4, atol=1e-6)


def test_in_a_fleet_it_is_the_same():
    tickets = [a_ticket(Dropping(), TASK, seed=n, density=0.4 + 0.3 * n) for n in range(3)]
    machine, recipe = Machine(fleet=2), RECIPE.in_steps(TASK)
    starts = [
        lambda n=n: (Run(tickets[n], TASK, recipe, Seeds(n), Context(machine)), int(recipe.steps)) for n in range(3)
    ]
    for index, run, found in fleet.train_all(starts, machine):
        alone = Run(tickets[index], TASK, recipe, Seeds(index), Context()).to_step(int(recipe.steps))
        assert run is not None and not run.alone and len(run.dropouts) == 2 and same(found, alone)


def test_what_only_looks_sees_the_whole_network():
    state = torch.get_rng_state()
    ticket = draw(Dropping(), TASK, RECIPE)
    without = ticket.rebuilt(arch=Dropping(p=0.0))
    for measure in (
        lambda of: gradient_flow(of, TASK, RECIPE, examples=10, mode="train").numbers(),
        lambda of: cut_early(of, TASK, RECIPE, Snip(mode="train"), density=0.5).mask,
    ):
        assert measure(ticket) == measure(without)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_noise_of_gradients_is_that_of_a_training(accumulate: int):
    """With what drops, under the names that a training has, and in its parts: the mean gradient of an epoch."""
    ticket, recipe = a_ticket(Dropping(), TASK, density=0.5), dataclasses.replace(RECIPE, accumulate=accumulate)
    run = Run(ticket, TASK, recipe.in_steps(TASK), Seeds(3), Context())
    run.net.train()
    total, size = 0.0, 0
    for step, (inputs, targets) in enumerate(Examples(TASK, recipe, Seeds(3), torch.device("cpu")).batches(0, 0)):
        stir(run.dropouts, Seeds(3), step)
        run.optimizer.zero_grad()
        run.backward(inputs, targets)
        run.masking.mask_gradients()
        each = torch.cat([p.grad.flatten().double() for p in run.net.parameters() if p.grad is not None])
        total, size = total + each * len(targets), size + len(targets)
    found = gradient_noise(ticket, TASK, recipe, batches=3, seeds=Seeds(3)).numbers()
    assert found["norm"] == pytest.approx(float((total / size).norm()), rel=1e-4)  # type: ignore[union-attr]
    without = gradient_noise(ticket.rebuilt(arch=Dropping(p=0.0)), TASK, recipe, batches=3, seeds=Seeds(3)).numbers()
    assert found["angle"] != pytest.approx(without["angle"], rel=1e-3)


def test_draws_without_a_name_are_told_once(caplog: pytest.LogCaptureFixture):
    arch = Dropping(unnamed="yes")
    with caplog.at_level(logging.WARNING):
        first, again = trained(arch), trained(arch)
    (record,) = caplog.records
    assert record.getMessage().startswith(
        "toy_dropping(unnamed='yes') on toy_points(inputs=(3, 6, 6)) draws from PyTorch's global generator in training"
    )
    assert not same(first, again)


def test_channels_share_their_fate():
    inner = nn.Sequential(nn.Dropout1d(0.5), nn.Dropout3d(0.5))
    net = by_name(nn.Sequential(nn.Dropout2d(0.5), inner, nn.Dropout(0.5)))
    layers = [module for module in net.modules() if isinstance(module, Dropout)]
    assert [layer.axes for layer in layers] == [2, 2, 2, 0] and str(layers[0]) == "Dropout(p=0.5, axes=2)"
    for layer, shape in zip(layers, ((30, 20, 3, 4), (30, 20, 5), (30, 20, 2, 2, 2), (30, 20, 3)), strict=True):
        stir([layer], Seeds(), 0)
        fates = layer(torch.ones(shape)).flatten(2)
        together = fates.eq(fates[:, :, :1]).all(2)
        assert bool(together.all()) is bool(layer.axes) and set(fates.unique().tolist()) == {0.0, 2.0}
        assert 0.4 < float(fates[:, :, 0].eq(0).double().mean()) < 0.6


def test_only_what_is_known_is_replaced():
    class Louder(nn.Dropout):
        """Somebody's own."""

    net = nn.Sequential(Louder(0.5), nn.AlphaDropout(0.5), nn.Sequential(nn.Dropout(0.2).eval())).train()
    net[2].eval()
    names = list(net.state_dict())
    assert by_name(net) is net and list(net.state_dict()) == names
    assert type(net[0]) is Louder and type(net[1]) is nn.AlphaDropout
    assert isinstance(net[2][0], Dropout) and not net[2][0].training and net[2][0].p == 0.2  # type: ignore[index]

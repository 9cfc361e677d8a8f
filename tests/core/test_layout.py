"""Networks in which two names stand for one tensor are refused wherever a ticket begins, and the way out works."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from tombola.core.errors import Damaged, Refused
from tombola.core.initial import draw_state
from tombola.core.layout import Interface, Layout, Stage, blank, check_untied, dense_mask, initial_weights
from tombola.core.plugin import LOADED, plugin
from tombola.core.ticket import Ticket

IO = Interface(inputs=(4,), classes=4)


@plugin("arch", "tied_for_layout")
class Tied:
    """Two layers: of one weight under two names, one layer under two names, or one weight that is used twice."""

    how: str = "no"

    def build(self, io: Interface) -> nn.Module:
        return Twice(self.how)

    def layout(self) -> Layout:
        names = ("stages.0.0",) if self.how == "used twice" else ("stages.0.0", "stages.0.1")
        axes = {f"{name}.weight": ("", "") for name in names}
        return Layout(stem=(), stages=(Stage("", names),), head=(), prunable=tuple(axes), axes=axes)

    def initial(self, net: nn.Module, *names: str | int) -> dict[str, Tensor]:
        return draw_state(net, *names)


del LOADED["arch", "tied_for_layout"]  # Tests that go through all networks do not see it.


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files can name it while these tests run."""
    monkeypatch.setitem(LOADED, ("arch", "tied_for_layout"), Tied)


class Twice(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        layers = [nn.Linear(4, 4, bias=False) for _ in range(1 if how == "used twice" else 2)]
        if how == "weight":
            layers[1].weight = layers[0].weight
        if how == "layer":
            layers[1] = layers[0]
        self.stages = nn.ModuleList([nn.ModuleList(layers)])

    def forward(self, x: Tensor) -> Tensor:
        (layers,) = self.stages
        x = layers[0](x.flatten(1)[:, :4]).relu()
        return linear(x, layers[-1].weight)


@pytest.mark.parametrize("how", ["weight", "layer"])
@pytest.mark.parametrize("begins", [blank, dense_mask, initial_weights])
def test_a_tensor_of_two_names_is_refused_with_both_and_the_way_out(begins: Callable[..., Any], how: str):
    with pytest.raises(Refused, match="'stages.0.0.weight' and 'stages.0.1.weight' of tied_for.* under one name"):
        begins(Tied(how=how), IO)


def test_buffers_of_two_names_are_refused_too():
    norm = nn.BatchNorm1d(2, affine=False)
    with pytest.raises(Refused, match="'0.running_mean' and '1.running_mean' of a row are one tensor"):
        check_untied(nn.Sequential(norm, norm), "a row")


def test_a_file_of_such_a_network_is_damaged(bare: Ticket):
    values = {name: torch.ones(4, 4) for name in ("stages.0.0.weight", "stages.0.1.weight")}
    mask = dense_mask(Tied(), IO)
    plain = bare.rebuilt(arch=Tied(), io=IO, mask=mask, weights=values)
    assert Ticket.decoded(plain.encoded()).encoded() == plain.encoded()
    with pytest.raises(Damaged, match="are one tensor"):
        Ticket.decoded(plain.rebuilt(arch=Tied(how="weight")).encoded())


def test_one_name_that_is_used_twice_is_a_ticket_like_any_other(bare: Ticket):
    arch = Tied(how="used twice")
    ticket = bare.rebuilt(arch=arch, io=IO, mask=dense_mask(arch, IO), weights=initial_weights(arch, IO, "test", 0))
    again = Ticket.decoded(ticket.encoded())
    inputs = torch.ones(1, 4)
    assert torch.equal(again.module()(inputs), ticket.module()(inputs))
    weight = ticket.weights["stages.0.0.weight"]
    assert torch.allclose(again.module()(inputs), linear(linear(inputs, weight).relu(), weight))

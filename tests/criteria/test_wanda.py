"""Wanda, and the norms of inputs that it asks the network for: by hand."""

import dataclasses
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from tombola.archs.mlp import Mlp
from tombola.core.errors import Refused
from tombola.core.layout import Interface, Layout
from tombola.core.mask import Mask
from tombola.core.seeds import Seeds
from tombola.criteria.wanda import Wanda
from tombola.find import cut, draw
from tombola.prune import prune
from tombola.tasks.digits import Digits
from tombola.train.examples import Examples
from tombola.train.loop import train
from tombola.train.network import Network
from tombola.train.recipe import Recipe
from tombola.train.recipes import Quickstart


@dataclasses.dataclass(frozen=True)
class Given(Examples):
    """Batches that a test has written down."""

    inputs: tuple[Tensor, ...] = ()

    def batches(self, number: int, per_class: int) -> Iterator[tuple[Tensor, Tensor]]:
        assert per_class == 0
        for given in self.inputs[: number or None]:
            yield given, torch.zeros(len(given), dtype=torch.long)


@dataclasses.dataclass(frozen=True)
class Toy:
    """An arch that is a list of layers."""

    layers: tuple[tuple[str, tuple[object, ...]], ...]

    def build(self, io: Interface) -> nn.Module:
        kinds = {"linear": nn.Linear, "conv": nn.Conv2d, "relu": nn.ReLU, "flat": nn.Flatten, "norm": nn.BatchNorm2d}
        return nn.Sequential(*(kinds[kind](*words) for kind, words in self.layers)).double()

    def layout(self) -> Layout:
        raise NotImplementedError

    def initial(self, net: nn.Module, *names: str | int) -> dict[str, Tensor]:
        raise NotImplementedError


def network(
    layers: list[tuple[str, tuple[object, ...]]],
    inputs: list[Tensor],
    state: dict[str, Tensor],
    *,
    mask: Mask | None = None,
) -> Network:
    arch, io = Toy(tuple(layers)), Interface(inputs=tuple(inputs[0].shape[1:]), classes=2)
    own = {name: torch.zeros_like(value) for name, value in arch.build(io).state_dict().items()}
    names = [name for name in own if name.endswith("weight") and own[name].dim() > 1]
    mask = mask or Mask.dense({name: tuple(own[name].shape) for name in names})
    examples = Given(Digits(), Recipe(steps=1, batch=1), Seeds(), torch.device("cpu"), inputs=tuple(inputs))
    return Network({**own, **state}, mask, arch, io, examples=examples)  # type: ignore[arg-type]


def test_inputs_of_linear_layers_by_hand():
    """Columns (3, 4) and (1, 2, 2) for the first layer; the second has what a ReLU leaves of x0 - x1 and x0 + x1."""
    batches = [torch.tensor([[3.0, 1.0], [4.0, 2.0]]).double(), torch.tensor([[0.0, 2.0]]).double()]
    state = {
        "0.weight": torch.tensor([[1.0, -1.0], [1.0, 1.0], [0.0, 0.0]]).double(),
        "2.weight": torch.ones(2, 3).double(),
    }
    net = network([("linear", (2, 3)), ("relu", ()), ("linear", (3, 2))], batches, state)
    found = net.inputs(batches=2)
    assert found["0.weight"].tolist() == [[5.0, 3.0]] * 3
    # 2, 2 and 0 (from -2); 4, 6 and 2; nothing.
    assert torch.allclose(
        found["2.weight"], torch.tensor([[8**0.5, 56**0.5, 0.0]] * 2, dtype=torch.float64), rtol=1e-15, atol=0
    )
    assert net.inputs(batches=1)["0.weight"].tolist() == [[5.0, 5.0**0.5]] * 3
    assert net.inputs(batches=0)["0.weight"].tolist() == [[5.0, 3.0]] * 3


def test_inputs_of_convolutions_by_hand():
    """A channel's norm is over examples and places; with groups each filter has the channels of its own group."""
    image = torch.zeros(2, 4, 2, 2).double()
    image[0, 0], image[1, 0] = torch.tensor([[1.0, 2.0], [2.0, 0.0]]), torch.tensor([[4.0, 0.0], [0.0, 0.0]])
    image[0, 1, 0, 0], image[1, 2], image[0, 3, 1] = 7.0, 2.0, torch.tensor([3.0, 4.0])
    norms = [5.0, 7.0, 4.0, 5.0]  # sqrt(1 + 4 + 4 + 16), 7, sqrt(4 * 4), sqrt(9 + 16)
    plain = network([("conv", (4, 2, 2))], [image], {}).inputs()["0.weight"]
    assert plain.shape == (2, 4, 2, 2)
    assert torch.equal(plain, torch.tensor(norms).double().view(1, 4, 1, 1).expand(2, 4, 2, 2))
    grouped = network([("conv", (4, 4, 1, 1, 0, 1, 2))], [image], {}).inputs()["0.weight"]
    assert grouped.squeeze().tolist() == [[5, 7], [5, 7], [4, 5], [4, 5]]
    alone = network([("conv", (4, 8, 1, 1, 0, 1, 4))], [image], {}).inputs()["0.weight"]
    assert alone.flatten().tolist() == [5, 5, 7, 7, 4, 4, 5, 5]


def test_inputs_are_those_of_the_masked_network_in_evaluation():
    """A dead weight passes nothing on, and batch norm takes the statistics that it has gathered: mean 1, variance 4."""
    image = torch.tensor([3.0, 9.0]).double().view(2, 1, 1, 1)
    state = {
        "0.weight": torch.tensor([1.0, 5.0]).double().view(2, 1, 1, 1),
        "1.weight": torch.ones(2).double(),
        "1.running_mean": torch.ones(2).double(),
        "1.running_var": torch.full((2,), 4.0 - 1e-5, dtype=torch.float64),
    }
    alive = {"0.weight": torch.tensor([True, False]).view(2, 1, 1, 1), "2.weight": torch.ones(1, 2, 1, 1).bool()}
    net = network([("conv", (1, 2, 1)), ("norm", (2,)), ("conv", (2, 1, 1))], [image], state, mask=Mask(alive))
    # (3 - 1) / 2 = 1 and (9 - 1) / 2 = 4; behind the dead weight -1 / 2 twice.
    assert net.inputs()["2.weight"].flatten().tolist() == pytest.approx([17**0.5, 0.5**0.5], rel=1e-12)


def test_by_hand():
    given = [torch.tensor([[3.0, 1.0], [4.0, 0.0]]).double()]
    weights = torch.tensor([[-1.0, 4.0], [2.0, 9.0]]).double()
    mask = Mask({"0.weight": torch.tensor([[True, True], [True, False]])})
    net = network([("linear", (2, 2))], given, {"0.weight": weights}, mask=mask)
    assert Wanda()(net)["0.weight"].tolist() == [[5.0, 4.0], [10.0, 0.0]]
    assert Wanda(norm="squared")(net)["0.weight"].tolist() == [[25.0, 4.0], [50.0, 0.0]]
    # In the first row the smaller weight wins, which magnitude would prune.
    assert prune(mask, Wanda()(net), density=0.5)["0.weight"].tolist() == [[True, False], [True, False]]


def test_the_network_runs_once_for_all_tensors():
    net = network([("linear", (2, 2))], [torch.ones(1, 2).double()], {})
    runs: list[int] = []

    class Counted(Network):
        def inputs(self, *, batches: int = 1) -> dict[str, Tensor]:
            runs.append(batches)
            return super().inputs(batches=batches)

    counted = Counted(net.state, net.mask, net.arch, net.io, examples=net.examples)
    prune(net.mask, Wanda(batches=3)(counted), keep=0.5)
    assert runs == [3]


def test_a_negative_number_of_batches_is_refused():
    with pytest.raises(Refused, match="wanda: batches is -1"):
        Wanda(batches=-1)


def test_cut_after_a_training():
    task, recipe = Digits(), Quickstart(steps="2ep")
    trained = train(draw(Mlp(hidden=(8,)), task, recipe), task, recipe, Seeds())
    ticket = cut(trained, criterion=Wanda(batches=2), density=0.25)
    assert ticket.mask.kept == 148 and ticket.mask != cut(trained, density=0.25).mask
    # Some pixels at the border of these scans are always dark: what they feed is worth nothing.
    inputs = next(iter(ticket.mask))
    assert int(ticket.mask[inputs].any(dim=0).sum()) < 64

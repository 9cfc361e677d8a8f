"""Paths through masked networks, against a search in the graph of their units and pixels."""

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.probes.paths import Graph, flat, pixels
from tests.train.toys import Convs, Points, a_ticket
from tombola.archs.conv import Conv
from tombola.archs.imagenet_resnet import ImageNetResNet
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.archs.textcnn import TextCnn
from tombola.archs.vgg import Vgg
from tombola.archs.vit import ViT
from tombola.core.errors import Refused
from tombola.core.layout import Arch, Interface, Layout, dense_mask, initial_weights
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.ticket import Ticket
from tombola.criteria.random_ import Random
from tombola.criteria.synflow import SynFlow
from tombola.find import cut_early, draw
from tombola.probes.connectivity import connectivity
from tombola.prune import PerLayer
from tombola.study.deferred import defer
from tombola.study.goals import row
from tombola.study.graph import graph_of, resolve
from tombola.study.store import Store
from tombola.tasks.digits import Digits
from tombola.train.loop import train
from tombola.train.recipe import Recipe


def of_mlp(ticket: Ticket) -> dict[str, Any]:
    graph, nodes = Graph(ticket.mask), [("in", i) for i in range(ticket.io.features)]
    inputs = nodes
    for name in ticket.mask:
        nodes = graph.linear(name, nodes)
    return graph.found(inputs, nodes)


def of_conv(ticket: Ticket) -> dict[str, Any]:
    graph, maps = Graph(ticket.mask), pixels(ticket.io)
    *convs, first, second, head = ticket.mask
    for number, name in enumerate(convs):
        maps = graph.conv(name, maps)
        maps = graph.pool(maps, 2) if number % 2 else maps
    nodes = graph.linear(head, graph.linear(second, graph.linear(first, flat(maps))))
    return graph.found(flat(pixels(ticket.io)), nodes)


def of_resnet(ticket: Ticket) -> dict[str, Any]:
    graph = Graph(ticket.mask)
    stream = graph.conv("stem.conv.weight", pixels(ticket.io))
    for block in ("stages.0.0", "stages.1.0", "stages.2.0"):
        stride = 1 if block == "stages.0.0" else 2
        inside = graph.conv(f"{block}.conv2.weight", graph.conv(f"{block}.conv1.weight", stream, stride))
        if f"{block}.shortcut.conv.weight" in ticket.mask:
            stream = graph.conv(f"{block}.shortcut.conv.weight", stream, stride)
        elif stride == 2:  # Every second pixel; the new channels are no nodes.
            stream = [[line[::2] for line in channel[::2]] for channel in stream]
        stream = graph.add(inside, stream)
    means = [("mean", c) for c in range(len(stream))]
    for c, channel in enumerate(stream):
        for node in (node for line in channel for node in line):
            graph.free(node, means[c])
    return graph.found(flat(pixels(ticket.io)), graph.linear("head.weight", means))


@pytest.mark.parametrize(
    ("arch", "io", "why"),
    [
        (TextCnn(), Interface(inputs=(9,), classes=2, tokens=12, vocabulary="v"), "reads tokens"),
        (ViT(depth=1, width=8, heads=2, patch=4), Interface(inputs=(1, 8, 8), classes=2), "is not linear"),
    ],
    ids=str,
)
def test_what_is_refused_is_told_to_one_who_asks_for_paths(arch: Arch, io: Interface, why: str):
    ticket = Ticket(arch=arch, io=io, mask=dense_mask(arch, io), weights=initial_weights(arch, io, "init", 0))
    with pytest.raises(Refused, match=rf"^connectivity: .*{why}.* `anatomy` tells") as found:
        connectivity(ticket)
    assert "magnitude" not in str(found.value)


CASES = (
    (of_mlp, Mlp(hidden=(7, 6, 5)), (8,), (0.5, 0.25, 0.12)),
    (of_conv, Conv(layers=2, width=4), (2, 4, 4), (0.3, 0.1, 0.05)),
    (of_conv, Conv(layers=4, width=2), (1, 4, 4), (0.4, 0.2, 0.1)),
    (of_resnet, ResNet(depth=8, width=2), (2, 5, 4), (0.4, 0.15, 0.08)),
    (of_resnet, ResNet(depth=8, width=2, shortcut="identity", bn_affine="no"), (1, 4, 4), (0.4, 0.15, 0.08)),
)


def tickets() -> Iterator[Any]:
    for graph, arch, inputs, densities in CASES:
        for number, density in enumerate((1.0, *densities)):
            one = a_ticket(arch, Points(inputs=inputs), density=density, seed=number)
            yield pytest.param(graph, one, id=f"{arch}-{density}")


@pytest.mark.parametrize("graph, ticket", list(tickets()))
def test_as_a_search_in_the_graph_finds(graph: Any, ticket: Ticket):
    found, true = connectivity(ticket), graph(ticket)
    lines = {line["layer"]: line for line in found.tables["layers"]}
    for what in ("effective", "unreachable", "dead"):
        assert {name: line[what] for name, line in lines.items()} == true[what], what
    numbers = found.numbers()
    assert numbers["effective"] == sum(true["effective"].values())
    assert numbers["disconnected"] == ticket.mask.kept - numbers["effective"]
    assert numbers["effective_density"] == numbers["effective"] / ticket.mask.size
    assert (numbers["unreachable_units"], numbers["dead_units"]) == tuple(
        sum(true[what].values()) for what in ("unreachable", "dead")
    )
    assert {name: numbers[name] for name in ("unused_inputs", "unreachable_outputs")} == {
        name: true[name] for name in ("unused_inputs", "unreachable_outputs")
    }


def of_lines(*layers: list[list[int]]) -> Ticket:
    """A multilayer perceptron with these masks, from the first layer to the head."""
    arch = Mlp(hidden=tuple(len(layer) for layer in layers[:-1]))
    io = Interface(inputs=(len(layers[0][0]),), classes=len(layers[-1]))
    mask = Mask({n: torch.tensor(layer).bool() for n, layer in zip(dense_mask(arch, io), layers, strict=True)})
    return Ticket(arch=arch, io=io, mask=mask, weights=initial_weights(arch, io, "by hand", 0))


def test_by_hand():
    """The first unit is whole; the second is not reached but leads on; the third is reached and leads nowhere."""
    found = connectivity(of_lines([[1, 1, 0], [0, 0, 0], [0, 1, 0]], [[1, 1, 0], [0, 0, 0]]))
    first, head = found.tables["layers"]
    assert first == {
        "layer": "stages.0.0.weight",
        **{"size": 9, "kept": 3, "effective": 2, "density": 3 / 9, "effective_density": 2 / 9},
        **{"units": 3, "unreachable": 1, "dead": 1},
    }
    assert (head["kept"], head["effective"], head["unreachable"], head["dead"]) == (2, 1, 1, 0)
    assert found.numbers() == {
        **{"density": 5 / 15, "kept": 5, "size": 15, "dead_layers": 0},
        **{"effective": 3, "effective_density": 3 / 15, "disconnected": 2},
        **{"units": 5, "unreachable_units": 2, "dead_units": 1, "unused_inputs": 1, "unreachable_outputs": 1},
    }


def test_a_layer_without_a_weight_cuts_everything_off():
    numbers = connectivity(of_lines([[1, 1], [1, 1]], [[0, 0], [0, 0]], [[1, 1], [1, 1]])).numbers()
    assert (numbers["dead_layers"], numbers["effective"], numbers["disconnected"]) == (1, 0, 8)
    assert (numbers["unreachable_units"], numbers["dead_units"]) == (4, 2)


def test_a_skip_connection_leads_round_a_dead_layer():
    one = a_ticket(ResNet(depth=8, width=2), Points(inputs=(1, 16, 16)), density=1.0)
    dead = torch.zeros_like(one.mask["stages.0.0.conv1.weight"])
    numbers = connectivity(one.rebuilt(mask=Mask({**one.mask, "stages.0.0.conv1.weight": dead}))).numbers()
    assert numbers["dead_layers"] == 1 and numbers["unreachable_outputs"] == 0
    assert numbers["disconnected"] == one.mask["stages.0.0.conv2.weight"].numel()


def test_of_more_paths_than_a_float_can_count():
    """About 117 to the 160th paths, with dead weights among them; and where one chain is left of them, one path."""
    arch, task = Mlp(hidden=(130,) * 160), Points(inputs=(130,), classes=130)
    assert connectivity(a_ticket(arch, task, density=0.9)).numbers()["disconnected"] == 0
    chain = {name: torch.zeros(shape, dtype=torch.bool) for name, shape in dense_mask(arch, task.io).shapes.items()}
    for alive in chain.values():
        alive[3, 3] = True
    one = a_ticket(arch, task).rebuilt(mask=Mask(chain))
    assert connectivity(one).numbers()["effective"] == 161


@pytest.mark.parametrize("arch", [Convs(), Vgg(width=2), ImageNetResNet(depth=18, width=2)], ids=str)
def test_a_dense_network_is_whole(arch: Arch):
    """On maps that no kernel outgrows."""
    numbers = connectivity(a_ticket(arch, Points(inputs=(3, 64, 64)), density=1.0)).numbers()
    assert numbers["effective_density"] == 1.0
    assert not any(numbers[name] for name in ("unreachable_units", "dead_units", "unused_inputs"))


def test_weights_that_see_only_padding_lie_on_no_path():
    """The last map of this network is one pixel: of its two kernels there, only the middles act."""
    ticket = a_ticket(Vgg(width=2), Points(inputs=(3, 16, 16)), density=1.0)
    dense = [line for line in connectivity(ticket).tables["layers"] if line["layer"].startswith("stages.4")]
    assert [line["effective"] * 9 == line["size"] for line in dense if "conv" in line["layer"]] == [True, True]


def test_masked_batch_norm_stops_paths_and_values_do_not():
    """A path is one of the mask: weights, scales and shifts may be what they like."""
    one = a_ticket(ResNet(depth=8, width=2), Points(inputs=(1, 4, 4)), density=1.0)
    zero = one.rebuilt(weights={name: torch.zeros_like(value) for name, value in one.weights.items()})
    assert connectivity(zero).numbers() == connectivity(one).numbers()
    scales = torch.tensor([True, False])
    half = connectivity(one.rebuilt(mask=Mask({**one.mask, "stem.bn.weight": scales}))).tables["layers"]
    lines = {line["layer"]: line for line in half}
    assert lines["stem.conv.weight"]["effective"] == 9 and lines["stem.conv.weight"]["dead"] == 1
    assert (lines["stem.bn.weight"]["effective"], lines["stem.bn.weight"]["units"]) == (1, 0)


@plugin("arch", "toy_squares")
class Squares:
    """A network that multiplies units with each other."""

    def build(self, io: Interface) -> nn.Module:
        return SquaresNet(io)

    def layout(self) -> Layout:
        return Layout(stem=(), stages=(), head=("head",), prunable=("head.weight",), axes={})

    def initial(self, net: nn.Module, *names: str | int) -> dict[str, Tensor]:
        return {name: torch.ones(value.shape) for name, value in net.state_dict().items()}


class SquaresNet(nn.Module):
    def __init__(self, io: Interface) -> None:
        super().__init__()
        self.head = nn.Linear(io.features, io.classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x).square()


def test_a_network_that_is_no_sum_of_paths_is_refused():
    with pytest.raises(Refused, match="is not linear"):
        connectivity(a_ticket(Squares(), Points()))


def test_random_masks_of_extreme_density_are_mostly_disconnected():
    """Vysogorets and Kempe 2023: their effective density falls far below the one that was asked for."""
    recipe = Recipe(steps=1, batch=60, validation=0.0)
    dense = draw(Mlp(hidden=(60, 30)), Digits(), recipe)
    given = {"task": Digits(), "recipe": recipe, "criterion": Random(), "scope": PerLayer()}
    few = connectivity(cut_early(dense, density=0.005, **given)).numbers()
    some = connectivity(cut_early(dense, density=0.5, **given)).numbers()
    assert few["disconnected"] > 0.5 * few["kept"] and some["disconnected"] == 0


def test_synflow_leaves_hardly_anything_disconnected():
    """What lies on no path has a score of zero, and is the first to go in the next round."""
    recipe = Recipe(steps=1, batch=60, validation=0.0)
    dense = draw(Mlp(hidden=(60, 30)), Digits(), recipe)
    numbers = connectivity(cut_early(dense, Digits(), recipe, SynFlow(), density=0.02)).numbers()
    assert numbers["disconnected"] <= 0.02 * numbers["kept"] and numbers["dead_layers"] == 0


def test_in_a_study_and_of_the_last_mask_of_a_training(tmp_path: pathlib.Path):
    task, recipe = Digits(), Recipe(steps=1, batch=60, validation=0.0, evaluate=1)
    dense = defer(draw, arch=Mlp(hidden=(3,)), task=task, recipe=recipe)
    after = defer(train, ticket=dense, task=task, recipe=recipe)
    goals = [row(defer(connectivity, ticket=one), made=name) for name, one in (("ticket", dense), ("trained", after))]
    made = resolve(graph_of([*goals, row(after, made="training")]), Store(tmp_path))
    assert [made[goal.of.key].numbers()["effective_density"] for goal in goals] == [1.0, 1.0]
    last = of_lines(*([[0] * 64] * 3, [[1] * 3] * 10)).mask
    numbers = connectivity(dataclasses.replace(made[after.key], rewired=last)).numbers()
    assert (numbers["kept"], numbers["effective"]) == (30, 0)

"""Planes of weights: quadratics in closed form, distances that are kept, filters that have the network's lengths."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch

from tests.probes.test_barrier import QUADRATIC, ends, quadratic
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.core.errors import Failed, Refused
from tombola.core.machine import Machine
from tombola.core.seeds import Seeds
from tombola.find import cut, draw
from tombola.probes.barrier import barrier
from tombola.probes.held import held, score, training_inputs
from tombola.probes.landscape import landscape
from tombola.probes.plane import Plane, filterwise
from tombola.probes.renewal import settling
from tombola.tasks.digits import Digits
from tombola.train.loop import train
from tombola.train.recipe import Recipe
from tombola.train.trained import Trained

RNG = np.random.default_rng(5)
CORNERS = RNG.normal(size=(3, 3))
RECIPE = Recipe(steps=60, batch=60)


def at(*places: Any) -> tuple[Trained, ...]:
    return tuple(ends(QUADRATIC, *([[list(map(float, place))]] for place in places)))


def plane_of(found: Any) -> dict[tuple[float, float], dict[str, float]]:
    return {(row["x"], row["y"]): row for row in found.tables["plane"]}


@pytest.mark.parametrize("alive", [(True, True, True), (True, False, True)])
def test_the_plane_through_three_networks_of_a_quadratic(alive: tuple[bool, ...]):
    """Their places keep their distances, and every point has the loss of its weights; what is dead is not seen."""
    (masked,) = ends(QUADRATIC, [[CORNERS[0].tolist()]], mask={"head.weight": torch.tensor([alive])})
    corners = np.array([CORNERS[0] * alive, *CORNERS[1:]])
    found = landscape((masked, *at(*CORNERS[1:])), points=7, examples=0)
    path = np.array([(row["x"], row["y"]) for row in found.tables["path"]])
    assert path[0] == pytest.approx([0, 0]) and path[1, 1] == pytest.approx(0) and path[1, 0] > 0 < path[2, 1]
    for one in range(3):
        for other in range(one):
            there = np.linalg.norm(corners[one] - corners[other])
            assert np.linalg.norm(path[one] - path[other]) == pytest.approx(there)
    first = (corners[1] - corners[0]) / path[1, 0]
    second = (corners[2] - corners[0] - path[2, 0] * first) / path[2, 1]
    cells = plane_of(found)
    assert len(cells) == 49
    for (x, y), row in cells.items():
        assert row["test_loss"] == pytest.approx(quadratic(corners[0] + x * first + y * second))
    low, high = path.min(0), path.max(0)
    middle, reach = (low + high) / 2, 0.75 * (high - low).max()  # One scale for both directions.
    assert (min(cells), max(cells)) == (pytest.approx(tuple(middle - reach)), pytest.approx(tuple(middle + reach)))
    numbers = found.numbers()
    assert numbers["off"] == pytest.approx(0, abs=1e-12) and numbers["points"] == 49 and numbers["examples"] == 7
    errors, losses = ([row[f"test_{name}"] for row in cells.values()] for name in ("error", "loss"))
    assert (numbers["best_test_accuracy"], numbers["worst_test_accuracy"]) == (1 - min(errors), 1 - max(errors))
    assert (numbers["lowest_test_loss"], numbers["highest_test_loss"]) == (min(losses), max(losses))


def test_the_picture_shows_the_plane_with_its_path():
    found = landscape(at(*CORNERS), points=5, margin=0.4, examples=0)
    (picture,) = found.pictures
    cells = plane_of(found)
    across, up = sorted({x for x, _ in cells}), sorted({y for _, y in cells})
    for line, y in zip(picture["values"], reversed(up), strict=True):
        assert line == [cells[x, y]["test_error"] for x in across]
    for (column, line), row in zip(picture["path"], found.tables["path"], strict=True):
        assert np.interp(column - 0.5, range(5), across) == pytest.approx(row["x"])
        assert np.interp(line - 0.5, range(5), up[::-1]) == pytest.approx(row["y"])


def test_principal_axes_are_those_of_the_largest_spread():
    places = RNG.normal(size=(6, 3)) * [3.0, 1.0, 0.2]
    found = landscape(at(*places), points=3, examples=0)
    apart = places - places.mean(0)
    values, vectors = np.linalg.eigh(apart.T @ apart)
    for name, column in (("x", -1), ("y", -2)):
        along = apart @ vectors[:, column]
        along = along * np.sign(along[-1])  # The last network lies on the positive side.
        assert [row[name] for row in found.tables["path"]] == pytest.approx(along.tolist())
    assert [row["off"] for row in found.tables["path"]] == pytest.approx(np.abs(apart @ vectors[:, 0]).tolist())
    numbers = found.numbers()
    assert numbers["explained_1"] == pytest.approx(values[-1] / values.sum())
    assert numbers["explained_2"] == pytest.approx(values[-2] / values.sum())
    assert numbers["off"] == pytest.approx(np.abs(apart @ vectors[:, 0]).max())
    three = landscape(at(*CORNERS), axes="principal", points=3, examples=0).numbers()
    assert three["explained_1"] + three["explained_2"] == pytest.approx(1) and three["off"] == pytest.approx(
        0, abs=1e-7
    )


@pytest.fixture(scope="module")
def networks() -> dict[str, list[Trained]]:
    """Dense, and of it a ticket trained, and another dense one."""
    made: dict[str, list[Trained]] = {}
    for name, arch in (("mlp", Mlp(hidden=(8,))), ("resnet", ResNet(depth=8, width=2))):
        dense = train(draw(arch, Digits(), RECIPE), Digits(), RECIPE)
        sparse = train(cut(dense, keep=0.4), Digits(), RECIPE)
        made[name] = [dense, sparse, train(draw(arch, Digits(), RECIPE, Seeds(1)), Digits(), RECIPE)]
    return made


@pytest.mark.parametrize("name", ["mlp", "resnet"])
def test_filters_have_the_lengths_of_the_networks_and_dead_weights_stay_dead(
    networks: dict[str, list[Trained]], name: str
):
    one = networks[name][1]
    state = {n: v for n, v in one.mask.apply(one.weights).items() if n in dict(one.module().named_parameters())}
    first, again, second = (filterwise(state, one.mask, 3, number) for number in (0, 0, 1))
    for weight, value in state.items():
        way = first[weight]
        assert torch.equal(way, again[weight])
        if value.dim() < 2:
            assert not way.any()
            continue
        assert bool((way[~one.mask[weight]] == 0).all()) and way[one.mask[weight]].abs().min() > 0
        lengths = [part.flatten(1).norm(dim=1) for part in (way, value)]
        assert torch.allclose(*lengths, rtol=1e-5)
        assert not torch.equal(way, second[weight])


@pytest.mark.parametrize(("name", "stats"), [("mlp", ""), ("resnet", "keep")])
def test_around_one_network(networks: dict[str, list[Trained]], name: str, stats: Any):
    one = networks[name][1]
    found = landscape((one,), points=5, reach=0.5, stats=stats, examples=0)
    cells, numbers = plane_of(found), found.numbers()
    assert cells[0.0, 0.0]["test_error"] == pytest.approx(1 - one.scores["test_accuracy"])
    assert cells[0.0, 0.0]["test_loss"] == pytest.approx(one.scores["test_loss"], rel=1e-4)
    assert sorted({x for x, _ in cells}) == [-0.5, -0.25, 0.0, 0.25, 0.5] and "off" not in numbers
    assert found.tables["path"] == ({"network": 0, "x": 0.0, "y": 0.0, "off": 0.0},)
    state = one.mask.apply(one.weights)
    net = one.module().eval()
    parameters = {n: state[n] for n, _ in net.named_parameters()}
    ways = [filterwise(parameters, one.mask, 0, number) for number in (0, 1)]
    net.load_state_dict({**state, **{n: v + 0.25 * ways[0][n] - 0.5 * ways[1][n] for n, v in parameters.items()}})
    inputs, targets = next(iter(Digits().evaluation("test", size=10_000)))
    with torch.no_grad():
        outputs = net(inputs)
    assert cells[0.25, -0.5]["test_error"] == pytest.approx(float((outputs.argmax(1) != targets).float().mean()))
    assert plane_of(landscape((one,), points=5, reach=0.5, stats=stats, seed=1))[0.5, 0.5] != cells[0.5, 0.5]


@pytest.mark.parametrize("stats", ["recompute", "batch"])
def test_on_the_way_between_two_networks_it_is_the_barrier(networks: dict[str, list[Trained]], stats: Any):
    """Where statistics depend on the weights alone, the first axis from corner to corner is the line of `barrier`."""
    dense, sparse, other = networks["resnet"]
    plane, device = Plane((sparse, other, dense), "through", 0, Machine()), torch.device("cpu")
    settle = settling(plane.net, stats, training_inputs(sparse, Digits(), 180, device))
    batches = held("landscape", sparse, Digits(), "test", 0, device)
    given: dict[str, Any] = {"points": 3, "stats": stats, "splits": ("test",), "examples": 0, "gathered": 180}
    for row in barrier(sparse, other, **given).tables["curve"]:
        with torch.no_grad():
            plane.go(row["t"] * plane.places[1][0], 0.0)
            settle()
            loss, wrong = score(plane.net, Digits(), batches())
        assert loss == pytest.approx(row["test_loss"], rel=1e-3)
        assert wrong.mean() == pytest.approx(row["test_error"], abs=0.011)


def test_statistics_that_are_kept_are_those_of_the_last_network(networks: dict[str, list[Trained]]):
    three = networks["resnet"]
    given: dict[str, Any] = {"points": 3, "examples": 0, "gathered": 180}
    kept, anew = (plane_of(landscape(tuple(three), stats=stats, **given)) for stats in ("keep", "recompute"))  # type: ignore[arg-type]
    assert kept.keys() == anew.keys() and kept != anew
    plane = Plane(three, "through", 0, Machine())
    (x, y), values = next(iter(kept.items()))
    plane.go(x, y)
    with torch.no_grad():
        batches = held("landscape", three[-1], Digits(), "test", 0, torch.device("cpu"))
        assert score(plane.net, Digits(), batches())[0] == pytest.approx(values["test_loss"])
    for name, value in plane.net.named_buffers():
        assert torch.equal(value, three[-1].weights[name])


def test_networks_are_left_as_they_were(networks: dict[str, list[Trained]]):
    before = [{n: v.clone() for n, v in one.weights.items()} for one in networks["resnet"]]
    landscape(tuple(networks["resnet"]), points=2, stats="recompute", examples=50, gathered=60)
    for one, values in zip(networks["resnet"], before, strict=True):
        assert all(torch.equal(value, values[name]) for name, value in one.weights.items())


def test_the_ends_of_the_plane_are_the_networks(networks: dict[str, list[Trained]]):
    three = networks["mlp"]
    plane = Plane(three, "through", 0, Machine())
    for one, (x, y) in zip(three, plane.places, strict=True):
        plane.go(x, y)
        for name, value in plane.net.named_parameters():
            assert torch.allclose(value, one.mask.apply(one.weights)[name], atol=1e-6)


def test_what_is_refused(networks: dict[str, list[Trained]]):
    dense, sparse, other = networks["mlp"]
    line = at(CORNERS[0], CORNERS[1], (CORNERS[0] + CORNERS[1]) / 2)
    for given, more, message in (
        ((dense, sparse), {}, "axes=principal is for three networks or more, and given: 2. Between two networks"),
        ((dense, sparse), {"axes": "random"}, "axes=random is for one network, and given: 2. Between"),
        ((dense,), {"axes": "through"}, "axes=through is for three networks, and given: 1.$"),
        ((), {}, "and given: 0"),
        ((dense,), {"axes": "up"}, "up"),
        ((dense,), {"points": 1}, "points is 1. It is 2 or more"),
        ((dense,), {"margin": -0.1}, "margin is -0.1"),
        ((dense,), {"reach": 0.0}, "reach is 0.0. It is above 0"),
        ((dense,), {"split": "exam"}, "exam"),
        ((dense,), {"stats": "keep"}, "has no batch norm that gathers statistics, so stats=keep means nothing"),
        (tuple(networks["resnet"]), {}, "has batch norm, and much depends on"),
        ((dense, dense, dense), {}, "lie on one line"),
        ((dense, dense, sparse), {}, "lie on one line"),
        (line, {"examples": 0}, "lie on one line"),
        ((dense, sparse, networks["resnet"][0]), {}, "one network has arch"),
        ((dense, sparse, dataclasses.replace(other, task=QUADRATIC)), {}, "Say on which data they are asked"),
        ((dense, dataclasses.replace(sparse, task=QUADRATIC), other), {}, "Say on which data they are asked"),
        (dense, {}, "Give trained networks in a row: networks="),
        ((dense.ticket,), {}, "is no trained network. Train it first"),
    ):
        with pytest.raises(Refused, match=message):
            landscape(given, **{"points": 2, "examples": 20, **more})


def test_a_network_that_went_astray():
    with pytest.raises(Failed, match=r"'head.weight' of .* is not finite"):
        landscape(at([math.nan, 0.0, 0.0], CORNERS[0], CORNERS[1]), points=2, examples=0)

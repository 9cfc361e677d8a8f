"""Sharpness against the exact maximum of quadratics in a ball, and against a step that is taken by hand."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

from tests.probes.test_barrier import PRODUCT, QUADRATIC, X, Y, ends, quadratic
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.core.errors import Failed, Refused
from tombola.find import cut, draw
from tombola.probes.held import held
from tombola.probes.sharpness import sharpness
from tombola.tasks.digits import Digits
from tombola.train.loop import train
from tombola.train.recipe import Recipe
from tombola.train.trained import Trained

EXACT: dict[str, Any] = {"examples": 0, "at_once": 2, "exact": "float64"}
PLACE = np.array([0.3, -0.2, 1.0])
HESSIAN = X.T @ X / len(X)


def slope(weights: np.ndarray) -> np.ndarray:
    return X.T @ (X @ weights - Y) / len(X)


def highest(gradient: np.ndarray, hessian: np.ndarray, radius: float) -> float:
    """The largest rise g d + d H d / 2 in a ball, by the equation of its multiplier: (l I - H) d = g, |d| = radius."""
    values, vectors = np.linalg.eigh(hessian)
    along = vectors.T @ gradient
    found = brentq(
        lambda at: float((along**2 / (at - values) ** 2).sum()) - radius**2,
        values[-1] + 1e-9,
        values[-1] + 1e6,
        xtol=1e-14,
    )
    move = vectors @ (along / (found - values))
    return float(gradient @ move + move @ hessian @ move / 2)


@pytest.mark.parametrize("radius", [0.05, 0.5, 2.0])
@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("alive", [(True, True, True), (True, False, True)])
def test_a_quadratic_in_a_ball(radius: float, adaptive: bool, alive: tuple[bool, ...]):
    living = np.array(alive)
    place = PLACE * living
    (one,) = ends(QUADRATIC, [[place.tolist()]], mask={"head.weight": torch.tensor([alive])})
    scale = np.diag(np.abs(place) if adaptive else np.ones(3))[living][:, living]
    gradient, hessian = scale @ slope(place)[living], scale @ HESSIAN[living][:, living] @ scale
    found = sharpness(one, radius=radius, adaptive=adaptive, steps=300, probes=0, **EXACT).numbers()
    assert found["loss"] == pytest.approx(quadratic(place))
    assert found["sharpness"] == pytest.approx(highest(gradient, hessian, radius), rel=1e-5)
    assert found["gradient_rise"] == pytest.approx(radius * np.linalg.norm(gradient))
    first = radius * gradient / np.linalg.norm(gradient)
    rise = first @ gradient + first @ hessian @ first / 2
    assert found["sharpness_first_step"] == pytest.approx(rise) and found["examples"] == len(X)
    alone = sharpness(one, radius=radius, adaptive=adaptive, steps=0, probes=0, **EXACT).numbers()
    assert alone["sharpness"] == alone["sharpness_first_step"] == pytest.approx(rise)
    assert "sharpness_random" not in alone


def test_random_places_of_the_edge():
    """Of a quadratic in n directions the mean rise at the edge is the trace times the squared radius by 2 n."""
    (one,) = ends(QUADRATIC, [[PLACE.tolist()]])
    found = sharpness(one, radius=0.7, steps=0, probes=1500, **EXACT).numbers()
    expected = 0.7**2 * np.trace(HESSIAN) / 6
    assert found["sharpness_random"] == pytest.approx(expected, abs=4 * found["sharpness_random_error"])
    spread = math.sqrt((0.7 * np.linalg.norm(slope(PLACE))) ** 2 / 3 / 1500)  # That of the linear part, the larger one.
    assert found["sharpness_random_error"] == pytest.approx(spread, rel=0.15)
    again = sharpness(one, radius=0.7, steps=0, probes=1500, seed=1, **EXACT).numbers()
    assert again["sharpness_random"] != found["sharpness_random"]


def test_where_the_gradient_is_zero_the_rise_is_that_of_the_curvature():
    least = np.linalg.lstsq(X, Y)[0]
    (one,) = ends(QUADRATIC, [[least.tolist()]])
    found = sharpness(one, radius=0.3, steps=300, probes=0, **EXACT).numbers()
    assert found["sharpness"] == pytest.approx(0.3**2 / 2 * np.linalg.eigvalsh(HESSIAN)[-1], rel=1e-4)
    # Beside a solution that fits exactly nothing pulls, to the bit, and some way is taken.
    (exact,) = ends(PRODUCT, [[[1.0]], [[1.0]]])
    found = sharpness(exact, radius=0.1, steps=200, probes=0, **EXACT).numbers()
    worst = max(  # Of (1 + r cos a) (1 + r sin a) = p the loss is (p - 1)^2 times half the mean square of the inputs.
        ((1 + 0.1 * math.cos(a)) * (1 + 0.1 * math.sin(a)) - 1) ** 2 for a in np.linspace(0, 2 * math.pi, 10001)
    )
    assert found["gradient_rise"] == 0.0
    assert found["sharpness"] == pytest.approx(worst * (1 + 0.16 + 4) / 6, rel=1e-4)


def test_random_places_help_where_the_gradient_leads_nowhere():
    """Beside a minimum along the least curved direction the gradient points to where the rise is smallest."""
    values, vectors = np.linalg.eigh(HESSIAN)
    (one,) = ends(QUADRATIC, [[(np.linalg.lstsq(X, Y)[0] + 1e-6 * vectors[:, 0]).tolist()]])
    stuck, helped = (sharpness(one, radius=0.5, steps=3, probes=n, **EXACT).numbers() for n in (0, 10))
    assert stuck["sharpness"] == pytest.approx(0.5**2 / 2 * values[0], rel=1e-3)
    assert stuck["sharpness"] < helped["sharpness_random"] < helped["sharpness"] <= 0.5**2 / 2 * values[-1] + 1e-5
    assert helped["sharpness_first_step"] == stuck["sharpness_first_step"]


def test_scales_that_the_function_does_not_feel():
    even, uneven = ends(PRODUCT, [[[1.5]], [[1.5]]], [[[4.5]], [[0.5]]])
    adaptive = [sharpness(one, radius=0.2, adaptive=True, probes=0, **EXACT).numbers() for one in (even, uneven)]
    plain = [sharpness(one, radius=0.2, probes=0, **EXACT).numbers() for one in (even, uneven)]
    assert adaptive[0] == pytest.approx(adaptive[1]) and plain[1]["sharpness"] > 1.5 * plain[0]["sharpness"]


@pytest.fixture(scope="module")
def networks() -> list[Trained]:
    made: list[Trained] = []
    recipe = Recipe(steps=40, batch=60)
    for arch in (Mlp(hidden=(5,)), ResNet(depth=8, width=1)):
        dense = train(draw(arch, Digits(), recipe), Digits(), recipe)
        made.append(train(cut(dense, keep=0.3), Digits(), recipe))
    return made


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("adaptive", [False, True])
def test_the_first_step_is_that_of_sharpness_aware_minimisation(networks: list[Trained], which: int, adaptive: bool):
    one = networks[which]
    net = one.module().double().eval()
    parts = held("sharpness", one, one.task, "train", 90, torch.device("cpu"))()
    inputs, targets = (torch.cat(part) for part in zip(*parts, strict=True))
    loss = torch.nn.functional.cross_entropy(net(inputs.double()), targets)
    loss.backward()
    ways: dict[str, torch.Tensor] = {}
    for name, weight in net.named_parameters():
        assert weight.grad is not None
        alive = one.mask[name] if name in one.mask else torch.ones_like(weight, dtype=torch.bool)
        ways[name] = weight.grad * alive * (weight.detach().abs() if adaptive else 1)
    norm = torch.cat([way.flatten() for way in ways.values()]).norm()
    with torch.no_grad():
        for name, weight in net.named_parameters():
            weight += 0.05 * ways[name] / norm * (weight.abs() if adaptive else 1)
        rise = torch.nn.functional.cross_entropy(net(inputs.double()), targets) - loss
    before = {name: value.clone() for name, value in one.weights.items()}
    given: dict[str, Any] = {"radius": 0.05, "adaptive": adaptive, "steps": 8, "probes": 3}
    found = sharpness(one, **given, **{**EXACT, "examples": 90, "at_once": 40}).numbers()
    assert found["sharpness_first_step"] == pytest.approx(float(rise.detach()), rel=1e-9)
    assert found["sharpness"] >= found["sharpness_first_step"] > found["sharpness_random"] and found["examples"] == 90
    near = sharpness(one, **given, examples=90).numbers()
    assert near == pytest.approx(found, rel=2e-3, abs=1e-6)
    assert all(torch.equal(value, before[name]) for name, value in one.weights.items())


def test_what_is_refused(networks: list[Trained]):
    for wrong, message in (
        ({"radius": 0.0}, "radius is 0.0. It is above 0"),
        ({"radius": float("nan")}, "radius is nan. It is above 0"),
        ({"steps": -1}, "steps is -1. It is 0 or more"),
        ({"at_once": 0}, "at_once is 0. It is 1 or more"),
        ({"exact": "float16"}, "float16"),
        ({"task": QUADRATIC}, "toy_squares"),
    ):
        with pytest.raises(Refused, match=message):
            sharpness(networks[0], **{"steps": 1, "examples": 10, **wrong})


def test_a_network_that_went_astray():
    (lost,) = ends(QUADRATIC, [[[math.nan, 0.0, 0.0]]])
    with pytest.raises(Failed, match="'loss' of .* is not finite"):
        sharpness(lost, steps=1, probes=1, examples=0)

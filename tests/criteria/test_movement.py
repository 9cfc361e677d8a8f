"""Movement: by hand, and against the sum of Sanh, Wolf and Rush over gradient descent stepped by hand."""

import math

import pytest
import torch

from tombola.archs.mlp import Mlp
from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.core.seeds import Seeds
from tombola.criteria.movement import Movement
from tombola.find import cut, cut_early, draw
from tombola.tasks.digits import Digits
from tombola.train.loop import train
from tombola.train.network import Network
from tombola.train.recipes import Quickstart

# Away from zero, towards it, through it and on, through it and less far, on the negative side away, and a dead one.
START = [1.0, 2.0, 1.0, 3.0, -1.0, 5.0]
END = [3.0, 0.5, -2.0, -1.0, -1.5, 7.0]
ALIVE = [True, True, True, True, True, False]


def network(end: list[float], start: list[float], alive: list[bool] | None = None) -> Network:
    mask = Mask({"w": torch.tensor(alive)}) if alive else Mask.dense({"w": (len(end),)})
    return Network(
        {"w": torch.tensor(end, dtype=torch.float64)}, mask, first={"w": torch.tensor(start, dtype=torch.float64)}
    )


@pytest.mark.parametrize(
    ("form", "scores"),
    [
        ("signed", [2.0, -1.5, 3.0, 4.0, 0.5, 0.0]),
        ("sum", [4.0, -1.875, 1.5, -4.0, 0.625, 0.0]),
        ("increase", [2.0, -1.5, 1.0, -2.0, 0.5, 0.0]),
        ("distance", [2.0, 1.5, 3.0, 4.0, 0.5, 0.0]),
    ],
)
def test_by_hand(form: str, scores: list[float]):
    assert Movement(form=form)(network(END, START, ALIVE))["w"].tolist() == scores  # type: ignore[arg-type]


def descent(rate: float, time: float) -> tuple[list[float], list[float], list[float], list[float]]:
    """Gradient descent on two weights: starts, ends, the rate times Sanh's sum of -w g, and the sum of squared steps.

    The loss is (u v - 1)^2 + (u - 0.5)^2 / 2, with its gradients worked out on paper.
    """
    u, v, score, squares = 0.3, -0.2, [0.0, 0.0], [0.0, 0.0]
    for _ in range(round(time / rate)):
        error = u * v - 1
        gradients = [2 * error * v + (u - 0.5), 2 * error * u]
        for i, (weight, gradient) in enumerate(zip((u, v), gradients, strict=True)):
            score[i] -= rate * weight * gradient
            squares[i] += (rate * gradient) ** 2
        u, v = u - rate * gradients[0], v - rate * gradients[1]
    return [0.3, -0.2], [u, v], score, squares


def test_the_sum_over_plain_descent_is_the_end_point_form_less_half_the_squared_steps():
    start, end, score, squares = descent(0.05, 2.0)
    found = Movement(form="sum")(network(end, start))["w"].tolist()
    assert [f - s / 2 for f, s in zip(found, squares, strict=True)] == pytest.approx(score, rel=1e-12)


def test_the_difference_falls_with_the_rate():
    errors: list[float] = []
    for rate in (0.02, 0.01, 0.005):
        start, end, score, _ = descent(rate, 2.0)
        found = Movement(form="sum")(network(end, start))["w"].tolist()
        errors.append(math.dist(found, score))
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.1) and errors[1] / errors[2] == pytest.approx(2, abs=0.1)
    assert errors[2] < 0.01


def test_through_zero_signed_and_sanhs_sum_part():
    """The second weight goes from -0.2 up through zero: its sum counts the way back to zero as a loss."""
    start, end, score, _ = descent(0.005, 0.5)
    assert start[1] < 0 < end[1] < -start[1] and score[1] < 0
    net = network(end, start)
    assert Movement()(net)["w"][1] > 0 > Movement(form="sum")(net)["w"][1]
    assert Movement(form="increase")(net)["w"][1] < 0


def test_a_network_that_has_not_moved_is_refused():
    for net in (network(START, START), Network({"w": torch.ones(3)}, Mask.dense({"w": (3,)}))):
        with pytest.raises(Refused, match="where they began. Cut after training"):
            Movement()(net)
    with pytest.raises(Refused, match="where they began"):  # Only a dead weight differs.
        Movement()(network([1.0, 2.0], [1.0, 5.0], [True, False]))
    task, recipe = Digits(), Quickstart(steps="2ep")
    with pytest.raises(Refused, match="where they began"):
        cut_early(draw(Mlp(hidden=(8,)), task, recipe), task, recipe, criterion=Movement(), density=0.5)


@pytest.mark.parametrize("form", ["signed", "sum", "increase", "distance"])
def test_cut_after_a_training(form: str):
    """The start is the ticket's, whole: at the second level too."""
    task, recipe = Digits(), Quickstart(steps="2ep")
    ticket = draw(Mlp(hidden=(8,)), task, recipe)
    for kept in (296, 148):
        trained = train(ticket, task, recipe, Seeds())
        before, ticket = ticket, cut(trained, criterion=Movement(form=form), keep=0.5)  # type: ignore[arg-type]
        assert ticket.mask.kept == kept and ticket.mask <= before.mask
        if form != "distance":
            continue
        way = {n: (trained.weights[n] - before.weights[n]).abs()[before.mask[n]] for n in before.mask}
        flags = torch.cat([ticket.mask[n][before.mask[n]] for n in before.mask])
        assert torch.cat(list(way.values()))[flags].min() >= torch.cat(list(way.values()))[~flags].max()

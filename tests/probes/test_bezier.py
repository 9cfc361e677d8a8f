"""Bent paths: around the hyperbola of a product in closed form, and between networks against the straight line."""

import math
from typing import Any

import pytest
import torch

from tests.probes.test_barrier import PRODUCT, ends
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.core.errors import Failed, Refused
from tombola.core.machine import Machine
from tombola.core.seeds import Seeds
from tombola.find import cut, draw
from tombola.probes.barrier import barrier
from tombola.probes.bezier import Path, bezier
from tombola.probes.landscape import landscape
from tombola.rewire.set_ import Set
from tombola.study.step import Context
from tombola.tasks.digits import Digits
from tombola.train.flops import flops
from tombola.train.loop import train
from tombola.train.optimizers import Sgd
from tombola.train.recipe import Recipe
from tombola.train.trained import Trained

RECIPE = Recipe(steps=80, batch=60)
TEST: dict[str, Any] = {"splits": ("test",), "points": 11}


@pytest.fixture(scope="module")
def networks() -> dict[str, list[Trained]]:
    """Of each architecture two dense networks, and two tickets with masks of their own."""
    made: dict[str, list[Trained]] = {}
    for name, arch in (("mlp", Mlp(hidden=(12,))), ("resnet", ResNet(depth=8, width=2))):
        dense = [train(draw(arch, Digits(), RECIPE, Seeds(s)), Digits(), RECIPE) for s in (0, 1)]
        made[name] = [*dense, *(train(cut(one, keep=0.4), Digits(), RECIPE) for one in dense)]
    return made


@pytest.mark.parametrize(("name", "stats"), [("mlp", ""), ("resnet", "recompute"), ("resnet", "batch")])
def test_a_trained_bend_avoids_the_barrier_of_the_straight_line(
    networks: dict[str, list[Trained]], name: str, stats: Any
):
    one, other = networks[name][:2]
    recipe = Recipe(steps=200, batch=60)
    bent = bezier(one, other, recipe=recipe, stats=stats, gathered=240, **TEST)
    straight = barrier(one, other, stats=stats, gathered=240, **TEST)
    assert bent.numbers()["test_error_barrier_points"] < straight.numbers()["test_error_barrier_points"] / 2
    assert bent.numbers()["bend"] > 0.02 and len(bent.tables["curve"]) == 11
    for end in (0, -1):  # The ends are those of the line.
        assert bent.tables["curve"][end] == pytest.approx(straight.tables["curve"][end], rel=1e-4)


def test_a_place_of_the_path_is_that_of_the_formula(networks: dict[str, list[Trained]]):
    one, other, middle = networks["mlp"][:3]
    path = Path(middle.ticket, Digits(), RECIPE.in_steps(Digits()), Seeds(), Context())
    path.between(one.weights, other.weights)
    for t in (0.0, 0.3, 1.0):
        for name, value in path.at(t, middle.weights).items():
            first, last = one.weights[name], other.weights[name]
            by_levels = torch.lerp(  # De Casteljau: blends of blends.
                torch.lerp(first, middle.weights[name], t), torch.lerp(middle.weights[name], last, t), t
            )
            assert torch.allclose(value, by_levels, atol=1e-6)


def test_the_gradient_of_the_middle_is_that_of_the_loss_on_the_path(networks: dict[str, list[Trained]]):
    """One step of plain gradient descent from halfway, by hand in double precision."""
    one, other = networks["mlp"][2:]
    recipe = Recipe(steps=1, batch=40, optimizer=Sgd(lr=0.7, momentum=0.0), validation=0.0)
    found = bezier(one, other, recipe=recipe, splits=("test",), points=3, examples=0, seeds=Seeds(5))

    from tombola.core.seeds import numbers

    alive = one.mask | other.mask
    t = float(numbers("bezier", 5, 0).random())
    net = one.module().double()
    names = list(dict(net.named_parameters()))
    first, last = (part.mask.apply(part.weights) for part in (one, other))
    inputs, targets = Digits().batch(0, seeds=Seeds(5), size=40, holdout=one.recipe.holdout)
    middle = {n: (first[n].double() + last[n].double()) / 2 for n in names}
    for value in middle.values():
        value.requires_grad_()
    at = {n: (1 - t) ** 2 * first[n] + 2 * t * (1 - t) * middle[n] + t**2 * last[n] for n in names}
    torch.nn.functional.cross_entropy(torch.func.functional_call(net, at, (inputs.double(),)), targets).backward()
    moved = {n: -0.7 * v.grad * (alive[n] if n in alive else 1) for n, v in middle.items() if v.grad is not None}
    step, line = (
        torch.cat([one[n].flatten() for n in names]) for one in (moved, {n: last[n] - first[n] for n in names})
    )
    across = step - (step @ line.double()) / line.double().square().sum() * line  # Halfway the path goes half as far.
    bend = float(across.norm() / line.double().norm()) / 2
    assert found.numbers()["bend"] == pytest.approx(bend, rel=1e-4)
    with torch.no_grad():
        halfway = {n: first[n] / 4 + (middle[n] + moved[n]) / 2 + last[n] / 4 for n in names}
        inputs, targets = next(iter(Digits().evaluation("test", size=10_000)))
        outputs = torch.func.functional_call(net, halfway, (inputs.double(),))
    loss = float(torch.nn.functional.cross_entropy(outputs, targets))
    assert found.tables["curve"][1]["test_loss"] == pytest.approx(loss, rel=1e-4)


def test_what_lives_in_neither_stays_dead(networks: dict[str, list[Trained]], monkeypatch: pytest.MonkeyPatch):
    one, other = networks["mlp"][2:]
    middles: list[dict[str, torch.Tensor]] = []
    train_middle = Path.to_step

    def kept(self: Path, end: int) -> dict[str, torch.Tensor]:
        middles.append(train_middle(self, end))
        return middles[-1]

    monkeypatch.setattr(Path, "to_step", kept)
    for weights, alive in (("own", one.mask | other.mask), ("shared", one.mask & other.mask)):
        found = bezier(one, other, recipe=RECIPE, weights=weights, **TEST).numbers()
        straight = barrier(one, other, weights=weights, **TEST).numbers()
        assert found["a_test_loss"] == pytest.approx(straight["a_test_loss"], rel=1e-5)
        for name in alive:
            assert torch.equal(middles[-1][name] != 0, alive[name])


def test_it_goes_on_where_it_was_stopped(
    networks: dict[str, list[Trained]], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
):
    one, other = networks["resnet"][:2]
    given: dict[str, Any] = {"recipe": Recipe(steps=230, batch=60), "stats": "recompute", "gathered": 120, **TEST}
    whole = bezier(one, other, **given)
    steps = Path.steps

    def stopped(self: Path, wanted: range) -> list[torch.Tensor]:
        if wanted.start >= 200:
            raise KeyboardInterrupt
        return steps(self, wanted)

    context = Context(machine=Machine(checkpoint=0.0), scratch=tmp_path)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "steps", stopped)
        bezier.function(one, other, **given, context=context)
    assert list(tmp_path.iterdir())
    asked: list[int] = []

    def counted(self: Path, wanted: range) -> list[torch.Tensor]:
        asked.append(len(wanted))
        return steps(self, wanted)

    monkeypatch.setattr(Path, "steps", counted)
    again = bezier.function(one, other, **given, context=context)
    assert again.values == whole.values and sum(asked) < 230


def test_seeds_make_another_path(networks: dict[str, list[Trained]]):
    one, other = networks["mlp"][:2]
    found = [bezier(one, other, recipe=RECIPE, seeds=Seeds(s), **TEST).numbers()["bend"] for s in (0, 0, 1)]
    assert found[0] == found[1] != found[2]


def test_what_is_refused(networks: dict[str, list[Trained]]):
    one, other = networks["mlp"][:2]
    for pair, wrong, message in (
        ((one, other), {"points": 2}, "bezier: 2 points. Its ends and one between them are 3; 61"),
        ((one, other), {"stats": "batch"}, "bezier: .* has no batch norm that gathers statistics"),
        ((one, other), {"stats": "keep"}, "keep"),
        ((one, other), {"weights": "all"}, "all"),
        ((one, other), {"splits": ()}, "bezier: splits=.* Name one or more of"),
        ((one, other), {"splits": ("exam",)}, "exam"),
        ((one, other), {"splits": ("test", "test")}, "bezier: splits=.*, once"),
        ((one, other), {"points": 3.5}, "bezier: 3.5 points"),
        ((one, other), {"examples": -1}, "examples is -1"),
        ((one, other), {"recipe": Recipe(steps=120, batch=60, rewire=Set())}, "changes masks while training"),
        ((one, networks["resnet"][0]), {}, "one network has arch"),
        (networks["resnet"][:2], {}, "bezier: .* has batch norm, and much depends on .* stats=recompute .* or batch"),
    ):
        with pytest.raises(Refused, match=message):
            bezier(*pair, **{"recipe": Recipe(steps=1, batch=60), **TEST, **wrong})


def test_one_split_is_a_row_of_one(networks: dict[str, list[Trained]]):
    pair = networks["mlp"][:2]
    assert bezier.call(*pair, splits="test").key == bezier.call(*pair, splits=("test",)).key


def test_passes_that_gather_statistics_are_counted(networks: dict[str, list[Trained]]):
    """Of a line, a bend and a plane: at each place 120 examples more than where nothing is gathered."""
    one, other, third = (networks["resnet"][place] for place in (0, 1, 2))
    each = flops(one.ticket.arch, one.ticket.io, one.mask).forward_dense
    given: dict[str, Any] = {"gathered": 120, "examples": 50}
    path = {**given, "points": 3, "splits": ("test",)}
    for probe, told, where, places in (
        (barrier, {"a": one, "b": other, **path}, ("recompute", "interpolate"), 3),
        (barrier, {"a": one, "b": other, **path}, ("repair", "interpolate"), 3 + 2),  # And at both ends before.
        (bezier, {"a": one, "b": other, "recipe": Recipe(steps=1, batch=60), **path}, ("recompute", "batch"), 3),
        (landscape, {"networks": (one, other, third), "points": 2, **given}, ("recompute", "keep"), 4),
    ):
        counted: list[float] = []
        for stats in where:
            context = Context()
            probe.run(probe.call(**told, stats=stats), context)
            counted.append(context.meter.flops)
        assert counted[0] - counted[1] == pytest.approx(each * 120 * places)


def test_what_is_refused_is_refused_before_the_training(
    networks: dict[str, list[Trained]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Path, "steps", lambda self, wanted: pytest.fail("it trained"))
    for name, wrong, message in (
        ("resnet", {}, "much depends on"),
        ("mlp", {"stats": "batch"}, "means nothing"),
        (
            "mlp",
            {"splits": ("validation",), "recipe": Recipe(steps=5, batch=60, validation=0.3)},
            "there is no validation part",
        ),
    ):
        pair = networks[name][:2]
        if "splits" in wrong:
            pair = [train(one.ticket, Digits(), Recipe(steps=2, batch=60, validation=0.0)) for one in pair]
        with pytest.raises(Refused, match=message):
            bezier(*pair, **{"recipe": RECIPE, **TEST, **wrong})


def test_what_was_held_out_is_never_trained_on(networks: dict[str, list[Trained]], monkeypatch: pytest.MonkeyPatch):
    one, other = networks["mlp"][:2]
    recipes: list[Recipe] = []
    between = Path.between

    def noted(self: Path, *ends: Any) -> None:
        recipes.append(self.recipe)
        between(self, *ends)

    monkeypatch.setattr(Path, "between", noted)
    bezier(one, other, recipe=Recipe(steps="1ep", batch=60, validation=0.0, split_seed=3), **TEST)
    assert one.recipe.validation == 0.1 and recipes[0].holdout == one.recipe.holdout
    assert recipes[0].steps == -(-Digits().train_size(one.recipe.holdout) // 60)


def test_networks_that_went_astray(networks: dict[str, list[Trained]]):
    lost, sound = ends(PRODUCT, [[[math.nan]], [[1.0]]], [[[1.0]], [[1.0]]])
    with pytest.raises(Failed, match=r"'stem.weight' of .* is not finite"):
        bezier(sound, lost, splits=("test",), points=3)
    one, other = networks["mlp"][:2]
    with pytest.raises(Failed):
        bezier(one, other, recipe=Recipe(steps=120, batch=60, optimizer=Sgd(lr=1e38)), **TEST)

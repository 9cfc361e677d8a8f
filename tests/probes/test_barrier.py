"""Barriers on lines whose errors can be worked out by hand, and on trained networks by another road."""

import collections
import copy
import dataclasses
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from tests.probes.given import Toy, Words, parts, trained
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.archs.text_encoder import TextEncoder
from tombola.archs.textcnn import TextCnn
from tombola.core.errors import Failed, Refused
from tombola.core.layout import Interface, Layout, initial_weights
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.seeds import Seeds
from tombola.core.task import CPU, Holdout, Split
from tombola.criteria.magnitude import Magnitude
from tombola.find import cut, cut_early, draw
from tombola.moves.matching import matching
from tombola.moves.permuting import permuted, sizes
from tombola.probes.barrier import barrier, spaced
from tombola.probes.rearranged import check_same_function
from tombola.tasks.digits import Digits
from tombola.train.evaluate import evaluate
from tombola.train.examples import Examples
from tombola.train.loop import train
from tombola.train.recipe import Recipe
from tombola.train.trained import Trained

RNG = np.random.default_rng(3)
X = RNG.normal(size=(7, 3))
Y = RNG.normal(size=7)


@plugin("task", "toy_squares")
class Squares(Toy):
    """Half the mean square of what is missing; an answer is wrong if half or more is missing."""

    rows: tuple[tuple[float, ...], ...] = ()
    targets: tuple[float, ...] = ()

    @property
    def io(self) -> Interface:
        return Interface(inputs=(len(self.rows[0]),), classes=1)

    def evaluation(
        self, split: Split, *, size: int = 3, holdout: Holdout = Holdout(), device: torch.device = CPU
    ) -> Iterator[tuple[Tensor, Tensor]]:
        return parts(torch.tensor(self.rows, dtype=torch.float64), torch.tensor(self.targets, dtype=torch.float64), 3)

    def loss(self, outputs: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
        return (outputs[:, 0] - targets).square().mean() / 2

    def wrong(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs[:, 0] - targets).abs() >= 0.5


@plugin("arch", "toy_products")
class Products:
    """A number for the input, and with two layers another one for that."""

    layers: Literal[1, 2] = 1

    def build(self, io: Interface) -> nn.Module:
        inner = {"stem": nn.Linear(1, 1, bias=False)} if self.layers == 2 else {}
        names = {**inner, "head": nn.Linear(*io.inputs, 1, bias=False)}
        return nn.Sequential(collections.OrderedDict(names)).double()

    def layout(self) -> Layout:
        stem = ("stem",) if self.layers == 2 else ()
        prunable = tuple(f"{name}.weight" for name in (*stem, "head"))
        return Layout(stem=stem, stages=(), head=("head",), prunable=prunable, axes={})

    def initial(self, net: nn.Module, *names: str | int) -> dict[str, Tensor]:
        return {name: torch.ones(value.shape) for name, value in net.state_dict().items()}


QUADRATIC = Squares(rows=tuple(map(tuple, X.tolist())), targets=tuple(Y.tolist()))
PRODUCT = Squares(rows=((1.0,), (0.4,), (-2.0,)), targets=(1.0, 0.4, -2.0))


def ends(task: Any, *weights: Any, **options: Any) -> list[Trained]:
    """Networks at given weights."""
    layers: Any = len(weights[0])
    names = ("stem.weight", "head.weight")[-layers:]
    states = [{n: torch.tensor(w, dtype=torch.float64) for n, w in zip(names, one, strict=True)} for one in weights]
    return [trained(Products(layers=layers), task, state, **options) for state in states]


def quadratic(weights: np.ndarray) -> float:
    return float(((X @ weights - Y) ** 2).mean() / 2)


def test_a_quadratic_loss_in_closed_form():
    """Of a quadratic with Hessian H, L(t) is the line between its ends less t (1 - t) / 2 d H d."""
    one, other = RNG.normal(size=3), RNG.normal(size=3)
    hessian, apart = X.T @ X / len(X), other - one
    found = barrier(*ends(QUADRATIC, [[one.tolist()]], [[other.tolist()]]), points=5, splits=("test",))
    dip = apart @ hessian @ apart / 2
    low, high = quadratic(one), quadratic(other)
    curve = {row["t"]: row["test_loss"] for row in found.tables["curve"]}
    assert curve == pytest.approx({t: (1 - t) * low + t * high - t * (1 - t) * dip for t in (0, 0.25, 0.5, 0.75, 1)})
    numbers = found.numbers()
    assert numbers["test_loss_midpoint"] == pytest.approx(-dip / 4)
    assert numbers["test_loss_above_line"] == 0.0
    assert numbers["test_loss_barrier"] == pytest.approx(max(low, high) - (low + high) / 2)


def test_two_solutions_of_one_function_have_a_barrier_between_them():
    """u v x with (1, 1) and (-1, -1): (1 - 2 t)^2 x, so that nothing is left of x in the middle."""
    a, b = ends(PRODUCT, [[[1.0]], [[1.0]]], [[[-1.0]], [[-1.0]]])
    found = barrier(a, b, points=11, splits=("test",))
    numbers = found.numbers()
    inputs = np.array([1.0, 0.4, -2.0])
    assert numbers["test_loss_barrier"] == pytest.approx((inputs**2).mean() / 2)
    assert numbers["test_loss_barrier"] == numbers["test_loss_midpoint"] == numbers["test_loss_above_line"]
    # Wrong is what misses by half or more: of 0.4 nothing ever does; 1 and -2 do from 0.2 on, by 0.64 of them.
    assert (numbers["test_loss_barrier_at"], numbers["test_error_barrier_at"]) == (0.5, 0.2)
    assert numbers["test_error_barrier_points"] == pytest.approx(200 / 3)
    assert numbers["middle_test_accuracy"] == pytest.approx(1 / 3) and numbers["a_test_accuracy"] == 1
    assert numbers["test_error_barrier_points_error"] == pytest.approx(100 * np.std([1, 0, 1], ddof=1) / 3**0.5)
    missing = {t: 4 * t * (1 - t) for t in (0.1, 0.3)}
    curve = {row["t"]: row["test_error"] for row in found.tables["curve"]}
    assert [curve[t] for t in missing] == [pytest.approx(x) for x in (1 / 3, 2 / 3)]


def test_the_three_definitions_where_the_ends_differ():
    """Losses 0 and 8 with a straight line between them: half of the difference, nothing, nothing."""
    task = Squares(rows=((1.0, 0.0), (0.0, 1.0)), targets=(0.0, 0.0))
    a, b = ends(task, [[[0.0, 0.0]]], [[[1.0, 1.0]]])
    numbers = barrier(a, b, points=3, splits=("test",)).numbers()
    # Half the mean of t^2 and t^2: 0, 1/8, 1/2. All is wrong from a half on.
    assert numbers["test_loss_barrier"] == pytest.approx(1 / 4)
    assert numbers["test_loss_above_line"] == 0.0
    assert numbers["test_loss_midpoint"] == pytest.approx(1 / 8 - 1 / 4)
    assert numbers["test_error_barrier_points"] == 50.0
    assert numbers["test_error_above_line_points"] == 50.0
    assert numbers["test_error_midpoint_points"] == 50.0
    assert numbers["test_error_barrier_at"] == 0.5  # The first of the highest.


def test_the_error_of_a_barrier_is_taken_example_by_example():
    """One end misses nothing, the other 0.6 of each input, the middle all: of 1 and 0.7 it gets both wrong."""
    a, b = ends(Squares(rows=((1.0,), (0.7,)), targets=(1.0, 0.7)), [[[1.0]], [[1.0]]], [[[-1.0]], [[-0.4]]])
    numbers = barrier(a, b, points=3, splits=("test",)).numbers()
    assert (numbers["a_test_accuracy"], numbers["b_test_accuracy"], numbers["middle_test_accuracy"]) == (1, 0.5, 0)
    assert numbers["test_error_barrier_points"] == 75
    assert numbers["test_error_barrier_points_error"] == pytest.approx(100 * np.std([0.5, 1], ddof=1) / 2**0.5)


def test_the_middle_is_asked_where_no_point_lies_there():
    a, b = ends(PRODUCT, [[[1.0]], [[1.0]]], [[[-1.0]], [[-1.0]]])
    found = barrier(a, b, points=4, splits=("test",))
    assert [row["t"] for row in found.tables["curve"]] == [0, 1 / 3, 2 / 3, 1]
    assert found.numbers()["test_loss_midpoint"] == pytest.approx((1 + 0.16 + 4) / 6)
    assert found.numbers()["test_loss_barrier"] == pytest.approx((8 / 9) ** 2 * (1 + 0.16 + 4) / 6)


def test_the_same_two_the_other_way_round():
    one, other = RNG.normal(size=3).tolist(), RNG.normal(size=3).tolist()
    a, b = ends(QUADRATIC, [[one]], [[other]])
    there, back = (barrier(*pair, points=5, splits=("test",)).numbers() for pair in ((a, b), (b, a)))
    for name in ("test_loss_barrier", "test_loss_above_line", "test_loss_midpoint", "test_error_barrier_points"):
        assert there[name] == pytest.approx(back[name])


def test_beyond_the_ends_the_curve_goes_on_and_barriers_do_not():
    assert spaced(5, 0.2) == [0, 0.25, 0.5, 0.75, 1] and spaced(6, 0.2) == pytest.approx(np.linspace(-0.2, 1.2, 8))
    a, b = ends(PRODUCT, [[[1.0]], [[1.0]]], [[[1.0]], [[1.0]]])
    far = dataclasses.replace(b, weights={name: value * 1.1 for name, value in b.weights.items()})
    found = barrier(a, far, points=3, beyond=2.0, splits=("test",))
    assert [row["t"] for row in found.tables["curve"]] == [-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3]
    assert found.numbers()["test_error_barrier_points"] == 0 and found.tables["curve"][-1]["test_error"] > 0


def test_dead_weights_are_zero_at_both_ends():
    alive = [torch.tensor([[True, True, False]]), torch.tensor([[False, True, True]])]
    one, other = ([[3.0, 5.0, 7.0]], [[2.0, 4.0, 6.0]])
    pair = [
        trained(Products(), QUADRATIC, {"head.weight": torch.tensor(w).double()}, mask={"head.weight": m})
        for w, m in zip((one, other), alive, strict=True)
    ]
    for weights, (first, second) in {"own": ([3, 5, 0], [0, 4, 6]), "shared": ([0, 5, 0], [0, 4, 0])}.items():
        found = barrier(*pair, points=3, weights=weights, splits=("test",))
        path = [np.array(first) * (1 - t) + np.array(second) * t for t in (0, 0.5, 1)]
        assert [row["test_loss"] for row in found.tables["curve"]] == pytest.approx([quadratic(w) for w in path])


RECIPE = Recipe(steps=30, batch=60, validation=0.1, evaluate=30)
NORMED = ResNet(depth=8, width=4)


@pytest.fixture(scope="module")
def pair() -> list[Trained]:
    tickets = [draw(NORMED, Digits(), RECIPE, Seeds(seed)) for seed in (0, 1)]
    first, second = (train(ticket, Digits(), RECIPE, Seeds(s)) for s, ticket in enumerate(tickets))
    sparse = cut(second, keep=0.5)
    return [first, train(sparse, Digits(), RECIPE, Seeds(1))]


def blended(pair: list[Trained], t: float) -> nn.Module:
    """A network of its own, in double precision."""
    states = [one.mask.apply(one.weights) for one in pair]
    mixed = {n: (1 - t) * states[0][n].double() + t * states[1][n].double() for n in states[0]}
    net = pair[0].module().double()
    net.load_state_dict({n: v if v.is_floating_point() else v.long() for n, v in mixed.items()})
    return net.eval()


def asked(net: nn.Module, split: Split) -> tuple[float, float]:
    scored = [(net(x.double()), y) for x, y in Digits().evaluation(split, holdout=RECIPE.holdout)]
    outputs, targets = (torch.cat(part) for part in zip(*scored, strict=True))
    return float(nn.functional.cross_entropy(outputs, targets)), float((outputs.argmax(1) != targets).double().mean())


@torch.no_grad()
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_interpolated_statistics_are_blended_like_weights(pair: list[Trained], split: Any):
    found = barrier(*pair, points=5, stats="interpolate", splits=(split,), examples=0)
    for row in found.tables["curve"]:
        loss, error = asked(blended(pair, row["t"]), split)
        assert row[f"{split}_loss"] == pytest.approx(loss, rel=1e-4)
        assert row[f"{split}_error"] == pytest.approx(error, abs=0.003)


@torch.no_grad()
@pytest.mark.parametrize("gathered", [500, 0])
def test_recomputed_statistics_are_those_of_torch(pair: list[Trained], gathered: int):
    """By torch's own function for averaged networks, on the same batches: some of them, and a full pass."""
    batches = Examples(Digits(), RECIPE, Seeds(), CPU).batches(-(-gathered // 60), 0)
    inputs = [x.double() for x, _ in batches]
    assert sum(map(len, inputs)) == (540 if gathered else Digits().train_size(RECIPE.holdout))
    found = barrier(*pair, points=5, stats="recompute", splits=("test",), gathered=gathered)
    for row in found.tables["curve"]:
        net = blended(pair, row["t"])
        update_bn(inputs, net)
        loss, error = asked(net.eval(), "test")
        assert row["test_loss"] == pytest.approx(loss, rel=1e-4)
        assert row["test_error"] == pytest.approx(error, abs=0.003)


@torch.no_grad()
def test_statistics_of_each_batch(pair: list[Trained]):
    found = barrier(*pair, points=3, stats="batch", splits=("test",))
    loss, error = asked(blended(pair, 0.5).train(), "test")  # The test part is one batch.
    assert found.tables["curve"][1]["test_loss"] == pytest.approx(loss, rel=1e-4)
    assert found.tables["curve"][1]["test_error"] == pytest.approx(error, abs=0.003)


def test_what_becomes_of_statistics_makes_a_difference(pair: list[Trained]):
    found = {s: barrier(*pair, points=3, stats=s, splits=("test",)).numbers() for s in ("interpolate", "recompute")}
    assert found["interpolate"]["middle_test_loss"] > 1.05 * found["recompute"]["middle_test_loss"]


@pytest.fixture(scope="module")
def plain() -> list[Trained]:
    arch, recipe = Mlp(hidden=(9, 7)), Recipe(steps=60, batch=60)
    return [train(draw(arch, Digits(), recipe, Seeds(s)), Digits(), recipe, Seeds(s)) for s in (0, 1)]


@torch.no_grad()
def test_units_of_a_plain_network_are_repaired(plain: list[Trained]):
    """By hand in double precision, layer after layer: each unit's mean and deviation lie between those at the ends."""
    pair, recipe = plain, plain[0].recipe
    (inputs,) = (x for x, _ in Examples(Digits(), dataclasses.replace(recipe, batch=1000), Seeds(), CPU).batches(1, 0))
    wide = [dataclasses.replace(one, recipe=dataclasses.replace(recipe, batch=1000)) for one in pair]
    found = barrier(*wide, points=5, stats="repair", splits=("test",), gathered=1000)
    test, targets = (torch.cat(part) for part in zip(*Digits().evaluation("test"), strict=True))
    moments = [list(layers(one.module().double(), inputs)) for one in pair]
    for row in found.tables["curve"]:
        t, net = row["t"], blended(pair, row["t"])
        linear = [module for module in net.modules() if isinstance(module, nn.Linear)]
        here, there = inputs.double().flatten(1), test.double().flatten(1)
        for place, module in enumerate(linear):
            here, there = module(here), module(there)
            if place < 2:
                (mean, deviation), (other, wide_other) = (moment[place] for moment in moments)
                scale = ((1 - t) * deviation + t * wide_other) / here.std(0)
                shift = (1 - t) * mean + t * other - here.mean(0) * scale
                here, there = (here * scale + shift).relu(), (there * scale + shift).relu()
        loss = float(nn.functional.cross_entropy(there, targets))
        assert row["test_loss"] == pytest.approx(loss, rel=2e-3)
    straight = barrier(*pair, points=5, splits=("test",)).tables["curve"]
    for place in (0, -1):
        assert found.tables["curve"][place]["test_loss"] == pytest.approx(straight[place]["test_loss"], rel=1e-3)
    assert found.tables["curve"][2]["test_loss"] != pytest.approx(straight[2]["test_loss"], rel=0.01)


def layers(net: nn.Module, inputs: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Mean and deviation of the units of each hidden layer."""
    here = inputs.double().flatten(1)
    for module in [module for module in net.modules() if isinstance(module, nn.Linear)][:-1]:
        here = module(here)
        yield here.mean(0), here.std(0)
        here = here.relu()


@torch.no_grad()
def test_behind_batch_norm_repair_is_the_same_as_gathering_anew(pair: list[Trained]):
    found = [barrier(*pair, points=3, stats=stats, splits=("test",)) for stats in ("repair", "recompute")]
    one, other = ([row["test_loss"] for row in each.tables["curve"]] for each in found)
    assert one == pytest.approx(other, rel=0.01)  # But for n - 1 in the place of n, of 240 places.


@pytest.mark.parametrize("match", ["weights", "activations"])
@pytest.mark.parametrize("arch", [Mlp(hidden=(12, 10)), NORMED])
def test_a_permuted_copy_is_behind_a_barrier_until_it_is_aligned(arch: Any, match: Any):
    recipe = Recipe(steps=60, batch=60)
    ticket = cut_early(draw(arch, Digits(), recipe), Digits(), recipe, Magnitude(), density=0.5)
    one = train(ticket, Digits(), recipe)
    axes = arch.layout().axes
    orders = {group: np.roll(np.arange(size), 1) for group, size in sizes(one.weights, axes).items()}
    mask = Mask.taking(permuted(one.mask, axes, orders))
    other = dataclasses.replace(one, weights=permuted(one.weights, axes, orders), rewired=mask)
    asked: Any = {"points": 5, "stats": "" if isinstance(arch, Mlp) else "recompute", "splits": ("test",)}
    before = barrier(one, other, **asked).numbers()
    assert before["test_error_barrier_points"] > 5 and "units_moved" not in before
    back = matching(one.weights, other.weights, axes).permutations
    by_hand = dataclasses.replace(one, weights=permuted(other.weights, axes, back))
    for weights in ("own", "shared"):  # If the mask had stayed behind, half of what lives would be dead here.
        after = barrier(one, other, **asked, weights=weights, aligned=match).numbers()
        assert after["test_error_barrier_points"] == 0 and after["test_loss_barrier"] == pytest.approx(0, abs=1e-5)
        assert after["units_moved"] == 1.0
    expected = barrier(one, by_hand, **asked).numbers()
    assert after["a_test_loss"] == pytest.approx(expected["a_test_loss"], abs=1e-6)


def test_units_that_are_in_order_stay(pair: list[Trained]):
    found = barrier(pair[0], pair[0], points=3, stats="interpolate", splits=("test",), aligned="weights").numbers()
    plain = barrier(pair[0], pair[0], points=3, stats="interpolate", splits=("test",)).numbers()
    assert found.pop("units_moved") == 0.0 and found == plain


def test_a_layout_that_names_wrong_units_is_found(monkeypatch: pytest.MonkeyPatch, pair: list[Trained]):
    monkeypatch.setattr(
        "tombola.probes.rearranged.permuted",
        lambda state, axes, orders: {name: value.flatten().roll(1).view_as(value) for name, value in state.items()},
    )
    with pytest.raises(Failed, match="computes something else once its units are permuted"):
        barrier(*pair, stats="interpolate", aligned="weights")


def test_a_layout_is_wrong_by_the_size_of_what_it_computes():
    arch, io = Mlp(hidden=(4,)), Digits().io
    state = initial_weights(arch, io, "init", 0)
    small = {name: value * 1e-6 if name.startswith("head") else value for name, value in state.items()}
    check_same_function(arch, io, small, {name: value * (1 + 1e-9) for name, value in small.items()})
    wrong = {name: value.flip(0) if name == "head.weight" else value for name, value in small.items()}
    with pytest.raises(Failed, match="computes something else"):
        check_same_function(arch, io, small, wrong)


def test_the_ends_are_the_networks_to_the_bit(pair: list[Trained]):
    found = barrier(*pair, points=3, stats="interpolate", splits=("test",), examples=0).numbers()
    for name, one in zip("ab", pair, strict=True):
        score = evaluate(one.module(), Digits(), "test")
        assert found[f"{name}_test_accuracy"] == pytest.approx(score.accuracy, abs=0.003)
        assert found[f"{name}_test_loss"] == pytest.approx(score.loss, rel=1e-5)


def test_some_examples_are_always_the_same(pair: list[Trained]):
    first, again = (barrier(*pair, points=3, stats="interpolate", examples=100).numbers() for _ in range(2))
    assert first == again and first["test_examples"] == first["train_examples"] == 100
    whole = barrier(*pair, points=3, stats="interpolate", examples=0).numbers()
    many = barrier(*pair, points=3, stats="interpolate", examples=10_000).numbers()
    assert many == pytest.approx(whole, rel=1e-5) and many["test_examples"] == 360


def test_networks_are_left_as_they_were(pair: list[Trained]):
    before = [copy.deepcopy(dict(one.weights)) for one in pair]
    barrier(*pair, points=3, stats="repair", splits=("test",))
    for one, kept in zip(pair, before, strict=True):
        assert all(torch.equal(one.weights[name], value) for name, value in kept.items())


def refused(match: str, *given: Any, **more: Any) -> None:
    with pytest.raises(Refused, match=match):
        barrier(*given, **more)


def test_what_is_refused(pair: list[Trained]):
    a, b = pair
    refused("much depends on what becomes of its running statistics", a, b)
    one, other = ends(PRODUCT, [[[1.0]], [[1.0]]], [[[-1.0]], [[-1.0]]])
    refused("has no batch norm that gathers statistics", one, other, stats="recompute")
    refused("2 points. Its ends and one between them are 3", one, other, points=2)
    refused("stats is 'fresh'. It is interpolate or", one, other, stats="fresh")
    refused("weights is 'both'", one, other, weights="both")
    refused("splits is 'tests'", one, other, splits=("tests",))
    refused("Name one or more of", one, other, splits=())
    refused("3.0 points", one, other, points=3.0)
    assert barrier(one, other, splits="test").key == barrier(one, other, splits=("test",)).key  # type: ignore[arg-type]
    refused("examples is -1. It is 0 or more", one, other, examples=-1)
    refused("has arch toy_products", one, ends(QUADRATIC, [[[1.0, 2.0, 3.0]]])[0])
    elsewhere = dataclasses.replace(other, task=Squares(rows=((2.0,),), targets=(1.0,)))
    refused("Say on which data they are asked", one, elsewhere)
    assert barrier(one, elsewhere, elsewhere.task, points=3).numbers()["test_examples"] == 1
    split = dataclasses.replace(b, recipe=dataclasses.replace(b.recipe, validation=0.2))
    refused("make other examples the train part", a, split, stats="recompute")
    barrier(a, split, points=3, stats="recompute", splits=("test",))


def test_variances_below_zero_are_no_statistics(pair: list[Trained]):
    a, b = pair
    tight = {n: v * 0.1 if n.endswith("running_var") else v for n, v in b.weights.items()}
    small = dataclasses.replace(b, weights=tight)
    refused(r"at 1.5 on the line '[\w.]+running_var' falls to -", a, small, points=3, stats="interpolate", beyond=0.6)
    for stats in ("recompute", "batch"):  # These do not ask for what was extrapolated.
        barrier(a, small, points=3, stats=stats, beyond=0.6, splits=("test",))


def test_deviations_below_zero_are_no_repair(plain: list[Trained]):
    """At 3/2 a unit has half as much again of b's deviation less half of a's, which is below 0 where a's is larger."""
    a, b = plain
    names = ("stages.0.0.weight", "stages.0.0.bias")
    still = dataclasses.replace(b, weights={n: v * 0.1 if n in names else v for n, v in b.weights.items()})
    given: Any = {"points": 3, "stats": "repair", "splits": ("test",)}
    refused(r"at 1.5 on the line a standard deviation of 'stages.0.0' falls to -", a, still, **given, beyond=0.6)
    barrier(a, still, **given)


WORDS = Words(texts=tuple(tuple(row) for row in RNG.integers(1, 6, (12, 4)).tolist()))


@pytest.mark.parametrize("arch", [TextEncoder(depth=1, width=4, heads=2), TextCnn(width=4, channels=2, heights=(2,))])
def test_networks_that_read_tokens_are_repaired(arch: Any):
    one, other = (trained(arch, WORDS, initial_weights(arch, WORDS.io, "init", seed), batch=6) for seed in (0, 1))
    given: Any = {"points": 3, "splits": ("test",), "gathered": 12}
    found, straight = (barrier(one, other, **given, stats=stats).tables["curve"] for stats in ("repair", ""))
    assert found[0]["test_loss"] == pytest.approx(straight[0]["test_loss"], rel=0.05)
    assert found[1]["test_loss"] != straight[1]["test_loss"]


@torch.no_grad()
def test_statistics_are_gathered_in_the_parts_of_a_batch(pair: list[Trained]):
    """Where a's recipe accumulates, its batch norm never saw a whole batch."""
    first = dataclasses.replace(pair[0], recipe=dataclasses.replace(pair[0].recipe, accumulate=7))
    found = barrier(first, pair[1], points=3, stats="recompute", splits=("test",), gathered=60)
    ((whole, _),) = Examples(Digits(), RECIPE, Seeds(), CPU).batches(1, 0)
    parts = whole.double().tensor_split(7)  # Of 9 and 8 examples.
    for row in found.tables["curve"]:
        net = blended(pair, row["t"])
        update_bn(parts, net)
        assert row["test_loss"] == pytest.approx(asked(net.eval(), "test")[0], rel=1e-4)


@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_a_loss_on_the_way_that_is_no_number_is_told(odd: float, monkeypatch: pytest.MonkeyPatch):
    """Not only where it comes first."""
    monkeypatch.setattr(Squares, "loss", lambda self, outputs, targets, **_: torch.tensor(next(losses)))
    (one,) = ends(QUADRATIC, [[[1.0, 2.0, 3.0]]])
    for place in range(1, 4):
        curve = [odd if number == place else 0.5 for number in range(5)]
        losses = iter([loss for loss in curve for _ in range(3)])  # Seven examples, three at a time.
        numbers = barrier(one, one, points=5, splits=("test",), examples=0).numbers()
        for name in ("test_loss_barrier", "test_loss_above_line"):
            assert numbers[name] == pytest.approx(odd, nan_ok=True)
        assert numbers["test_loss_barrier_at"] == place / 4


def test_masks_of_other_tensors_have_a_line_between_them():
    mask = {"stem.weight": torch.tensor([[True]])}
    one, other = ends(PRODUCT, [[[1.0]], [[1.0]]], [[[-1.0]], [[-1.0]]])
    fewer = dataclasses.replace(other.ticket, mask=Mask(mask))
    found = barrier(one, dataclasses.replace(other, ticket=fewer), points=3).numbers()
    assert found["test_loss_barrier"] == barrier(one, other, points=3).numbers()["test_loss_barrier"]


def test_a_network_that_went_astray():
    one, other = ends(PRODUCT, [[[1.0]], [[1.0]]], [[[float("nan")]], [[-1.0]]])
    with pytest.raises(Failed, match=r"'stem.weight' of .* is not finite"):
        barrier(one, other)

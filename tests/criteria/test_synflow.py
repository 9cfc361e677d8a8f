"""Synaptic flow against sums over paths, finite differences, its conservation laws and its guarantee."""

import itertools
import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.archs.vgg import Vgg
from tombola.core.criterion import Habits, habits_of
from tombola.core.errors import Refused
from tombola.core.layout import Arch, Interface, blank, initial_weights, shapes
from tombola.core.mask import Mask
from tombola.criteria.magnitude import Magnitude
from tombola.criteria.synflow import SynFlow
from tombola.prune import Everywhere, in_rounds, prune
from tombola.train.linear import flow
from tombola.train.network import Network

TINY = Interface(inputs=(3,), classes=2)
DIGITS = Interface(inputs=(1, 8, 8), classes=10)
IMAGES = Interface(inputs=(3, 16, 16), classes=10)


def network(arch: Arch, io: Interface, *, density: float = 1.0, seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)
    sizes = shapes(blank(arch, io))
    mask = {name: torch.from_numpy(rng.random(sizes[name]) < density) for name in arch.layout().prunable}
    state = initial_weights(arch, io, "synflow", seed)
    return Network({n: v.double() if v.is_floating_point() else v for n, v in state.items()}, Mask(mask), arch, io)


def by_paths(weights: Mapping[str, Tensor], *, power: int) -> dict[str, Tensor]:
    """For each weight of a chain of linear layers, the sum over all paths through it, one path after another."""
    names, found = list(weights), {name: torch.zeros_like(value) for name, value in weights.items()}
    widths = [weights[names[0]].shape[1], *(len(weights[name]) for name in names)]
    for path in itertools.product(*map(range, widths)):
        steps = [(name, (path[i + 1], path[i])) for i, name in enumerate(names)]
        product = math.prod(float(weights[name][step].abs()) ** power for name, step in steps)
        for name, step in steps:
            found[name][step] += product
    return found


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("density", [1.0, 0.6])
def test_scores_are_sums_over_paths(power: Literal[1, 2], density: float):
    net = network(Mlp(hidden=(4, 3, 2)), TINY, density=density)
    scores, expected = SynFlow(power=power)(net), by_paths(net.weights, power=power)
    for name in net.weights:
        assert torch.allclose(scores[name], expected[name], rtol=1e-12, atol=0), name
        assert scores[name].dtype == torch.float64 and not scores[name][~net.mask[name]].any()


@pytest.mark.parametrize(
    "fields", [{}, {"power": 2}, {"norm": "folded"}, {"norm": "identity", "bias": "absolute"}], ids=str
)
def test_scores_are_slopes_times_weights(fields: dict[str, Any]):
    """Against central differences of R; half of it where R is of squares."""
    arch, io = ResNet(depth=8, width=2, bn_scale="uniform"), Interface(inputs=(1, 4, 4), classes=2)
    net, criterion = network(arch, io, density=0.8), SynFlow(**fields)
    scores = criterion(net)

    def total(name: str, place: int, factor: float) -> float:
        weights = {n: v.clone() for n, v in net.weights.items()}
        weights[name].view(-1)[place] *= factor
        given = {n: v.abs() ** criterion.power for n, v in weights.items()}
        by = {"norm": criterion.norm, "bias": criterion.bias, "power": criterion.power}
        return float(flow(arch, io, net.state, given, **by))

    rng = np.random.default_rng(0)
    for name, value in net.weights.items():
        for place in rng.integers(value.numel(), size=4).tolist():
            slope = (total(name, place, 1 + 1e-5) - total(name, place, 1 - 1e-5)) / 2e-5
            assert float(scores[name].view(-1)[place]) * criterion.power == pytest.approx(slope, rel=1e-6, abs=1e-3)


def test_fields_are_not_without_effect():
    arch, io = ResNet(depth=8, width=2, bn_scale="uniform"), Interface(inputs=(1, 4, 4), classes=2)
    net = network(arch, io)
    net.state["stages.0.0.bn1.running_var"].mul_(9)
    net.state["stages.0.0.bn1.bias"].add_(1)
    variants = [SynFlow(), SynFlow(power=2), SynFlow(norm="folded"), SynFlow(norm="identity"), SynFlow(bias="absolute")]
    ratios = [
        criterion(net)["stages.0.0.conv2.weight"].sum() / criterion(net)["head.weight"].sum() for criterion in variants
    ]
    assert len({round(float(ratio), 6) for ratio in ratios}) == len(variants)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize(
    "arch, io",
    [(Mlp(hidden=(7, 5, 6)), DIGITS), (Vgg(depth=11, width=2, linear=3, bn_scale="uniform"), IMAGES)],
    ids=str,
)
def test_flow_is_conserved(arch: Arch, io: Interface, power: Literal[1, 2]):
    """Theorem 1: into each hidden unit goes what goes out of it; and through each layer of a chain, all of R."""
    net = network(arch, io, density=0.7)
    scores = list(SynFlow(power=power)(net).values())
    given = {name: value.abs() ** power for name, value in net.weights.items()}
    total = flow(arch, io, net.state, given, power=power)
    for score in scores:
        assert float(score.sum()) == pytest.approx(float(total), rel=1e-12)
    for before, after in itertools.pairwise(scores):
        into, out = before.flatten(1).sum(1), after.flatten(2).sum((0, 2)) if after.dim() > 2 else after.sum(0)
        assert torch.allclose(into, out, rtol=1e-10, atol=0)


def test_absolute_biases_break_the_law():
    arch = Mlp(hidden=(4, 3))
    net = network(arch, TINY)
    for name in ("stages.0.0.bias", "stages.1.0.bias"):
        net.state[name].add_(1)
    sums = [float(score.sum()) for score in SynFlow(bias="absolute")(net).values()]
    assert sums[0] < sums[1] < sums[2] and len({round(float(s.sum()), 9) for s in SynFlow()(net).values()}) == 1


def off_the_paths(net: Network, mask: Mask) -> int:
    """How many living weights nothing flows through, of a network of which something reaches an output."""
    scores = SynFlow()(net.masked(mask))
    return sum(int((scores[name] == 0)[mask[name]].sum()) for name in mask)


@pytest.mark.parametrize(
    "arch, io, compression",
    [
        *((Mlp(hidden=(300, 100)), DIGITS, 10**power) for power in (2, 3, 4)),
        (Vgg(depth=11, width=8), Interface(inputs=(1, 16, 16), classes=10), 10**4),
        (ResNet(depth=8, width=16), DIGITS, 10**2),
    ],
    ids=str,
)
def test_no_layer_collapses(arch: Arch, io: Interface, compression: int):
    """Theorem 3, to 10^4 compression: as long as there are weights for all layers, each has some, and they connect.

    Only what the last round cut off is left beside the paths: before it, something flowed through each weight.
    """
    net = network(arch, io)
    mask = in_rounds(net, SynFlow(), scope=Everywhere(), density=1 / compression)
    assert mask.kept == round(mask.size / compression) >= len(mask)
    assert all(mask.kept_in(name) for name in mask)
    assert off_the_paths(net, mask) <= max(3, 0.02 * mask.kept)


def test_a_shortcut_may_be_all_that_is_left_of_a_block():
    """The flow through a layer with a shortcut beside it is not all of R: it may be emptied, but no output is lost."""
    net = network(ResNet(depth=8, width=4), DIGITS)
    mask = in_rounds(net, SynFlow(rounds=50, collapse="allowed"), scope=Everywhere(), density=0.01)
    emptied = {name for name in mask if not mask.kept_in(name)}
    assert emptied and all(".conv1." in name or ".conv2." in name for name in emptied)
    assert off_the_paths(net, mask) <= 1


@pytest.mark.parametrize("criterion", [SynFlow(rounds=1), SynFlow(rounds=1, power=2), Magnitude()], ids=str)
def test_others_collapse_where_rounds_do_not(criterion: SynFlow | Magnitude):
    arch = Vgg(depth=11, width=8)
    net = network(arch, Interface(inputs=(1, 16, 16), classes=10))
    mask = prune(net.mask, criterion(net), density=1e-3)
    assert any(mask.kept_in(name) == 0 for name in mask)
    with pytest.raises(Refused, match="nothing flows"):
        SynFlow()(net.masked(mask))
    if isinstance(criterion, SynFlow):
        with pytest.raises(Refused, match="leaves no weight in 'stages"):
            in_rounds(net, criterion, scope=Everywhere(), density=1e-3)


def test_a_deep_network_that_overflows_in_single_precision():
    arch, io = Mlp(hidden=(64,) * 45), DIGITS
    net = network(arch, io)
    values = torch.ones(64)
    for weight in net.weights.values():
        values = weight.float().abs() @ values
    assert not torch.isfinite(values).all()
    scores = SynFlow()(net)
    assert all(bool(torch.isfinite(score).all()) and bool((score > 0).all()) for score in scores.values())
    assert float(scores["head.weight"].sum()) > torch.finfo(torch.float32).max


def test_parameters_that_are_no_products_get_no_score_or_one_of_their_own():
    """A scope over all parameters asks for scores of biases too: nothing flows through them."""
    arch, io = ResNet(depth=8, width=2), Interface(inputs=(1, 4, 4), classes=2)
    net = network(arch, io)
    everything = {name: tuple(value.shape) for name, value in blank(arch, io).named_parameters()}
    scores = SynFlow()(net.masked(Mask.dense(everything)))
    plain = SynFlow()(net)
    assert set(scores) == set(everything)
    assert not scores["head.bias"].any() and not scores["stem.bn.bias"].any() and bool(scores["stem.bn.weight"].all())
    assert all(torch.equal(scores[name], plain[name]) for name in plain)


def test_habits():
    assert habits_of(SynFlow()) == Habits("before", rounds=100, pace="exponential", collapse="forbidden", passes=1)
    assert habits_of(SynFlow(rounds=1, pace="linear", collapse="allowed")) == Habits(
        "before", rounds=1, pace="linear", passes=1
    )
    with pytest.raises(Refused, match="field 'rounds' is 0"):
        SynFlow(rounds=0)

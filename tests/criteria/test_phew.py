"""Paths with higher edge weights: walks against exact probabilities of paths, and masks against reachability."""

import itertools
from collections import Counter
from collections.abc import Mapping
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from tombola.archs.conv import Conv
from tombola.archs.imagenet_resnet import ImageNetResNet
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.core.criterion import Habits, habits_of
from tombola.core.errors import Refused
from tombola.core.layout import Arch, Interface, Joint, Wiring, blank, initial_weights, shapes
from tombola.core.mask import Mask
from tombola.criteria.phew import Phew, _Streets
from tombola.prune import prune
from tombola.train.network import Network
from tombola.train.wiring import read

TINY = Interface(inputs=(3,), classes=2)
DIGITS = Interface(inputs=(1, 8, 8), classes=10)
PHOTOS = Interface(inputs=(3, 32, 32), classes=4)

NETWORKS: list[tuple[Arch, Interface]] = [
    (Mlp(hidden=(12, 8)), DIGITS),
    (Conv(layers=2, width=3), DIGITS),
    (ResNet(depth=14, width=3), DIGITS),
    (ResNet(depth=8, width=4, shortcut="identity"), DIGITS),
    (ImageNetResNet(depth=50, width=4), PHOTOS),
]


def network(arch: Arch, io: Interface, *, density: float = 1.0, seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)
    sizes = shapes(blank(arch, io))
    mask = {name: torch.from_numpy(rng.random(sizes[name]) < density) for name in arch.layout().prunable}
    return Network(initial_weights(arch, io, "phew", seed), Mask(mask), arch, io)


def walks(streets: _Streets, way: str, number: int) -> dict[int, tuple[tuple[str, int], ...]]:
    """The weights that each walk passes, in the order of the network."""
    rng = np.random.default_rng(7)
    passed: dict[int, list[tuple[str, int]]] = {walker: [] for walker in range(number)}
    for name, walkers, places in getattr(streets, way)(np.arange(number), rng):
        for walker, place in zip(walkers.tolist(), places.tolist(), strict=True):
            passed[walker].append((name, place))
    return {walker: tuple(steps if way == "forward" else reversed(steps)) for walker, steps in passed.items()}


def as_expected(found: Mapping[object, int], expected: Mapping[object, float], number: int) -> None:
    """Frequencies within five standard errors of probabilities that sum to 1, and nothing else."""
    assert sum(expected.values()) == pytest.approx(1, rel=1e-9)
    assert set(found) <= {path for path, chance in expected.items() if chance > 0}
    for path, chance in expected.items():
        error = np.sqrt(number * chance * (1 - chance)) + 1
        assert abs(found.get(path, 0) - number * chance) < 5 * error, (path, chance, found.get(path, 0) / number)


def chain_chances(weights: list[np.ndarray], way: str) -> dict[object, float]:
    """The probability of each path through linear layers, all starts being as likely."""
    widths = [weights[0].shape[1], *(len(weight) for weight in weights)]
    chances: dict[object, float] = {}
    for path in itertools.product(*map(range, widths)):
        chance = 1 / widths[0] if way == "forward" else 1 / widths[-1]
        for i, weight in enumerate(weights):
            size = np.abs(weight)
            whole = size[:, path[i]].sum() if way == "forward" else size[path[i + 1]].sum()
            chance *= size[path[i + 1], path[i]] / whole
        chances[path] = chance
    return chances


@pytest.mark.parametrize("way", ["forward", "backward"])
def test_walks_through_linear_layers_have_the_chances_of_the_paper(way: str):
    net = network(Mlp(hidden=(4, 3)), TINY)
    sizes = {name: weight.abs().double().numpy() for name, weight in net.weights.items()}
    number = 30_000
    found: Counter[object] = Counter()
    for steps in walks(_Streets(net.wiring(), sizes), way, number).values():
        ends = [divmod(place, sizes[name].shape[1]) for name, place in steps]
        assert all(ends[i][0] == ends[i + 1][1] for i in range(2)), "a walk goes on where it has come to"
        found[ends[0][1], *(unit for unit, _ in ends)] += 1
    as_expected(found, chain_chances(list(sizes.values()), way), number)


def joined() -> tuple[Wiring, dict[str, np.ndarray]]:
    """Two convolutions side by side, one of two groups, added; then flattened maps, 2 places each, of both and one."""
    joints = (
        Joint("a", ("",), (1,), (0,)),
        Joint("b", ("", "a"), (1, 1), (0, 0), groups=2),
        Joint("c", ("a", "b", "b"), (2, 2, 2), (0, 0, 4)),
    )
    rng = np.random.default_rng(1)
    sizes = {"a": rng.random((2, 2, 2)), "b": rng.random((2, 1, 2)), "c": rng.random((2, 8))}
    sizes["b"][0, 0, 0] = 0.0
    return Wiring(joints, ("c",), 2), sizes


def joined_chances(way: str) -> dict[object, float]:
    """All walks through it, weight by weight, each step by the rule in words."""
    wiring, sizes = joined()
    flat = {name: size.reshape(len(size), -1) for name, size in sizes.items()}
    found: dict[object, float] = {}

    def inputs_of(joint: Joint, source: str, unit: int, link: int) -> list[int]:
        return [joint.offsets[link] + joint.runs[link] * unit + i for i in range(joint.runs[link])]

    def edges(joint: Joint) -> list[tuple[int, int, int]]:
        """Unit, input and place of each weight."""
        units, own = sizes[joint.name].shape[:2]
        taps, each = flat[joint.name].shape[1] // own, units // joint.groups
        return [
            (o, o // each * own + p, (o * own + p) * taps + k)
            for o in range(units)
            for p in range(own)
            for k in range(taps)
        ]

    def onward(name: str, unit: int, chance: float, steps: tuple[tuple[str, int], ...]) -> None:
        if name in wiring.outputs:
            found[steps] = found.get(steps, 0.0) + chance
            return
        links = [(j, i) for j in wiring.joints for i, source in enumerate(j.sources) if source == name]
        for joint, link in links:
            ways = [e for e in edges(joint) if e[1] in inputs_of(joint, name, unit, link)]
            whole = sum(sizes[joint.name].reshape(-1)[place] for _, _, place in ways)
            for to, _, place in ways:
                share = sizes[joint.name].reshape(-1)[place] / whole / len(links)
                onward(joint.name, to, chance * share, (*steps, (joint.name, place)))

    def back(joint: Joint, unit: int, chance: float, steps: tuple[tuple[str, int], ...]) -> None:
        ways = [e for e in edges(joint) if e[0] == unit]
        whole = sum(sizes[joint.name].reshape(-1)[place] for _, _, place in ways)
        for _, given, place in ways:
            share, way = sizes[joint.name].reshape(-1)[place] / whole, ((joint.name, place), *steps)
            sources = [
                (source, before)
                for i, source in enumerate(joint.sources)
                for before in range(2)
                if given in inputs_of(joint, source, before, i)
            ]
            for source, before in sources:
                if source:
                    back(next(j for j in wiring.joints if j.name == source), before, chance * share / len(sources), way)
                else:
                    found[way] = found.get(way, 0.0) + chance * share / len(sources)

    for start in range(2):
        if way == "forward":
            onward("", start, 0.5, ())
        else:
            back(wiring.joints[-1], start, 0.5, ())
    return found


@pytest.mark.parametrize("way", ["forward", "backward"])
def test_walks_where_streams_join_in_groups_and_runs(way: str):
    number = 40_000
    found = Counter[object](walks(_Streets(*joined()), way, number).values())
    as_expected(found, joined_chances(way), number)


def connected(wiring: Wiring, mask: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """The weights on a path of living ones from the input to an output, unit by unit (groups of one only)."""
    alive = {name: value.numpy().reshape(*value.shape[:2], -1) for name, value in mask.items()}
    come = {"": np.ones(wiring.inputs, dtype=bool)}
    given: dict[str, np.ndarray] = {}
    for joint in wiring.joints:
        given[joint.name] = np.zeros(alive[joint.name].shape[1], dtype=bool)
        for source, run, offset in zip(joint.sources, joint.runs, joint.offsets, strict=True):
            for unit in np.flatnonzero(come[source]):
                given[joint.name][offset + unit * run : offset + (unit + 1) * run] = True
        come[joint.name] = (alive[joint.name].any(2) & given[joint.name]).any(1)
    go = {name: np.full(len(value), name in wiring.outputs) for name, value in alive.items()}
    for joint in reversed(wiring.joints):
        wanted = (alive[joint.name].any(2) & go[joint.name][:, None]).any(0)
        for source, run, offset in zip(joint.sources, joint.runs, joint.offsets, strict=True):
            for unit in range(len(go[source]) if source else 0):
                go[source][unit] |= wanted[offset + unit * run : offset + (unit + 1) * run].any()
    return {n: a & given[n][None, :, None] & go[n][:, None, None] for n, a in alive.items()}


@pytest.mark.parametrize("kernel", ["one", "whole"])
@pytest.mark.parametrize("arch, io", NETWORKS, ids=str)
def test_every_kept_weight_lies_on_a_kept_path(arch: Arch, io: Interface, kernel: Literal["one", "whole"]):
    net = network(arch, io, density=0.9)
    criterion = Phew(kernel=kernel, walks=2_000)
    scores, wiring = criterion(net), net.wiring()
    for last in (5, 100, 1_500):  # Masks that end with a walk.
        kept = {name: (score > criterion.walks + 1 - last) & net.mask[name] for name, score in scores.items()}
        paths = connected(wiring, kept)
        assert sum(int(value.sum()) for value in kept.values())
        assert all(np.array_equal(paths[n], kept[n].numpy().reshape(paths[n].shape)) for n in kept), last


@pytest.mark.parametrize("arch, io", NETWORKS[:3], ids=str)
def test_cuts_are_nested_and_only_the_last_walk_may_be_cut_short(arch: Arch, io: Interface):
    net = network(arch, io)
    scores, wiring = Phew()(net), net.wiring()
    small, large = (prune(net.mask, scores, density=density) for density in (0.1, 0.3))
    assert small <= large and small == prune(large, scores, density=0.1)
    for mask in (small, large):
        loose = mask.kept - sum(int(value.sum()) for value in connected(wiring, mask).values())
        assert loose < len(mask)
        assert all(mask.kept_in(name) for name in mask)


def test_scores_are_a_function_of_the_seed():
    net = network(*NETWORKS[0])
    one, again, other = Phew(walks=50)(net), Phew(walks=50)(net), Phew(walks=50, seed=1)(net)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_scores_fall_with_the_first_walk_and_then_with_the_weight():
    net = network(*NETWORKS[0], density=0.8)
    criterion = Phew(walks=64)
    scores = criterion(net)
    largest = max(float(weight.abs().max()) for weight in net.weights.values())
    walked = {name: score > 1 for name, score in scores.items()}
    for name, score in scores.items():
        assert score[walked[name]].min() >= 2 and score.max() <= 65 and not walked[name][~net.mask[name]].any()
        rest = (net.weights[name].abs().double() / largest)[~walked[name]]
        assert torch.allclose(score[~walked[name]], rest, rtol=1e-12)
    # Each of the 64 input units starts one walk in 128, each of the 10 outputs one in 20: 32 + 32 walks here.
    assert int(walked["stages.0.0.weight"].any(0)[:32].sum()) == int(net.mask["stages.0.0.weight"].any(0)[:32].sum())
    assert bool(walked["head.weight"].any(1).all())
    first = scores["head.weight"].flatten().sort(descending=True).values[:2]
    assert first[0] == 65 and int((first > 60).sum()) == 2


def test_walks_end_at_the_cover_or_the_last_walk():
    net = network(*NETWORKS[0])
    assert max(float((score > 1).double().mean()) for score in Phew(walks=1)(net).values()) < 0.02
    assert sum(int((score > 1).sum()) for score in Phew(walks=1)(net).values()) == 3
    walked = sum(int((score > 1).sum()) for score in Phew(cover=0.9)(net).values())
    assert 0.9 <= walked / net.mask.size


def test_dead_weights_and_dead_ends_are_not_walked():
    io, arch = Interface(inputs=(2,), classes=2), Mlp(hidden=(3,))
    state = {name: torch.ones(shape) for name, shape in shapes(blank(arch, io)).items()}
    first, head = arch.layout().prunable
    # Hidden unit 0 leads nowhere, unit 1 is never reached, unit 2 connects input 1 with output 0.
    mask = Mask(
        {first: torch.tensor([[1, 1], [0, 0], [0, 1]]).bool(), head: torch.tensor([[0, 1, 1], [0, 0, 0]]).bool()}
    )
    scores = Phew()(Network(state, mask, arch, io))
    assert (scores[first] > 1).tolist() == [[False, False], [False, False], [False, True]]
    assert (scores[head] > 1).tolist() == [[False, False, True], [False, False, False]]
    cut = Mask({first: mask[first], head: torch.tensor([[1, 1, 0], [0, 0, 0]]).bool() & mask[head]})
    with pytest.raises(Refused, match="no walk can reach an output"):
        Phew()(Network(state, cut, arch, io))


def test_whole_kernels_are_kept_together():
    net = network(Conv(layers=2, width=3), DIGITS)
    name = "stages.0.1.weight"
    one, whole = (Phew(kernel=kernel, walks=10)(net)[name].flatten(2) > 1 for kernel in ("one", "whole"))
    assert bool((one.sum(2) <= 10).all()) and not bool(one.all(2)[one.any(2)].all())
    assert bool(whole.all(2)[whole.any(2)].all()) and bool(whole.any())


def test_zeros_and_biases_are_not_walked():
    arch, io = Mlp(hidden=(3,)), TINY
    net = network(arch, io)
    net.state["head.weight"][0] = 0.0
    everything = Mask.dense({name: tuple(value.shape) for name, value in net.state.items()})
    scores = Phew()(net.masked(everything))
    assert float(scores["head.weight"][0].max()) == 0 and float(scores["head.weight"][1].min()) > 1
    assert all(float(scores[name].max()) <= 1 for name in scores if name.endswith("bias"))


def test_lenet_is_fast_enough_to_walk_to_half_its_weights():
    arch, io = Mlp(), Interface(inputs=(1, 28, 28), classes=10)
    net = network(arch, io)
    scores = Phew(cover=0.5)(net)
    walked = sum(int((score > 1).sum()) for score in scores.values())
    assert 0.5 <= walked / net.mask.size < 0.6
    assert all(int((score > 1).sum()) for score in scores.values())


def test_habits_and_bad_numbers():
    assert habits_of(Phew()) == Habits("before", collapse="forbidden")
    with pytest.raises(Refused, match="field 'cover' is 0"):
        Phew(cover=0.0)
    with pytest.raises(Refused, match="field 'walks' is 0"):
        Phew(walks=0)
    assert read(blank(Mlp(), DIGITS), DIGITS, Mlp().layout().prunable).inputs == 64

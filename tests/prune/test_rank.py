"""Ranking and keeping: exact counts against the papers' tables, ties, scopes, and what is refused."""

import math
from decimal import Decimal

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.prune import NM, Erk, Everywhere, PerLayer, PerRow, Scope, prune, target, widened

# A busy machine is slow now and then, which is no failure.
BUSY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The prunable tensors of ResNet-20 on CIFAR-10 (Chen et al. 2021), all tensors of the text CNN of Desai et al. 2019.
RESNET20 = {
    "stem.weight": (16, 3, 3, 3),
    **{f"stages.0.{i}.weight": (16, 16, 3, 3) for i in range(6)},
    "stages.1.0.weight": (32, 16, 3, 3),
    **{f"stages.1.{i}.weight": (32, 32, 3, 3) for i in range(1, 6)},
    "stages.1.0.shortcut.weight": (32, 16, 1, 1),
    "stages.2.0.weight": (64, 32, 3, 3),
    **{f"stages.2.{i}.weight": (64, 64, 3, 3) for i in range(1, 6)},
    "stages.2.0.shortcut.weight": (64, 32, 1, 1),
    "head.weight": (10, 64),
}
TEXT_CNN = {
    "embedding.weight": (8000, 417),
    **{f"convs.{i}.weight": (127, 417, i) for i in (3, 4, 5)},
    **{f"convs.{i}.bias": (127,) for i in (3, 4, 5)},
    "hidden.weight": (117, 381),
    "hidden.bias": (117,),
    "head.weight": (2, 117),
    "head.bias": (2,),
}
# Desai et al. 2019, the 20 rounds of 35 %, weights left of 4,016,819.
TEXT_CNN_LEFT = [2610939, 1697116, 1103132, 717042, 466082, 302960, 196930, 128010, 83211, 54091]
TEXT_CNN_LEFT += [35162, 22862, 14867, 9669, 6292, 4096, 2669, 1741, 1137, 746]
# Chen et al. 2021, percent of zeros at levels 0 to 16.
ELASTIC = [0, 20.00, 36.00, 48.80, 59.04, 67.23, 73.79, 79.03, 83.22, 86.58, 89.26, 91.41, 93.13, 94.50, 95.60, 96.48]
ELASTIC += [97.19]


def counted(shapes: dict[str, tuple[int, ...]], counts: dict[str, int]) -> Mask:
    """A mask with so many weights alive in each tensor, wherever."""
    return Mask({n: (torch.arange(math.prod(s)) < counts[n]).reshape(s) for n, s in shapes.items()})


def scores_of(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, Tensor]:
    rng = np.random.default_rng(seed)
    return {n: torch.from_numpy(rng.random(s, dtype=np.float32)) for n, s in shapes.items()}


def kept_by(scope: Everywhere | PerLayer | Erk, mask: Mask, keep: float) -> dict[str, int]:
    """How many weights each group of a scope keeps, by the name of its first tensor."""
    return {names[0]: count for names, count in scope.shares(mask, keep=keep, density=None)}


# How many stay.


def test_more_than_is_alive_is_refused_in_these_words():
    mask = counted({"w": (8, 21)}, {"w": 108})
    with pytest.raises(Refused) as error:
        prune(mask, scores_of({"w": (8, 21)}), density=0.9)
    assert str(error.value) == (
        "density 0.9000 asks for 151 weights, only 108 are alive (density 0.6429). Pruning cannot revive weights."
    )


def test_more_than_is_alive_in_one_tensor_is_refused_with_its_name():
    shapes = {"a": (10,), "b": (10,)}
    with pytest.raises(Refused, match="density 0.5000 asks for 5 weights of 'b', only 4 are alive"):
        prune(counted(shapes, {"a": 10, "b": 4}), scores_of(shapes), density=0.5, scope=PerLayer())


# The papers' ladders.


def test_the_elastic_ladder_of_one_more_than_the_ceil():
    """Chen et al. 2021: 20 % of what is left, globally, and one more (a strict comparison in their code)."""
    mask, scores, scope = Mask.dense(RESNET20), scores_of(RESNET20), Everywhere(rounding="one_more")
    for zeros in ELASTIC[:7]:
        assert round(100 * (1 - mask.density), 2) == pytest.approx(zeros, abs=0.0101)
        before, mask = mask, prune(mask, scores, keep=0.8, scope=scope)
        assert mask.kept == before.kept - math.ceil(Decimal("0.2") * before.kept) - 1
        assert mask <= before
    living = size = 11_164_352  # ResNet-18: one weight more or less does not show, so these are the paper's digits.
    for level, zeros in enumerate(ELASTIC):
        assert f"{100 * (1 - living / size):.2f}" == f"{zeros:.2f}", level
        living = target(living, size, keep=0.8, density=None, rounding="one_more")


def test_an_excluded_head_counts_in_the_total():
    """Chen et al. 2021 spare the last layer of VGGs and MLPs, and quote sparsities that include it."""
    scores, scope = scores_of(RESNET20), Everywhere(exclude=("head.weight",), rounding="one_more")
    spared = plain = Mask.dense(RESNET20)
    for _ in range(5):
        spared = prune(spared, scores, keep=0.8, scope=scope)
        plain = prune(plain, scores, keep=0.8, scope=Everywhere(rounding="one_more"))
        assert spared.kept == plain.kept
        assert spared.kept_in("head.weight") == 640 > plain.kept_in("head.weight")


def test_the_text_ladder_tensor_by_tensor():
    """Desai et al. 2019: every tensor, biases too, keeps the ceil of 65 % of what is left of it."""
    counts = {name: math.prod(shape) for name, shape in TEXT_CNN.items()}
    assert sum(counts.values()) == 4_016_819
    scope, left, heads = PerLayer(rounding="floor", tensors="all"), [], []
    for _ in range(20):
        counts = kept_by(scope, counted(TEXT_CNN, counts), 0.65)
        left.append(sum(counts.values()))
        heads.append(counts["head.weight"])
    assert left == TEXT_CNN_LEFT
    assert [counts[f"{name}.weight"] for name in ("embedding", "convs.3", "convs.4", "convs.5", "hidden")] == [
        *(606, 30, 39, 49, 10)
    ]
    assert {counts[name] for name in TEXT_CNN if name.endswith("bias")} == {2} == {counts["head.weight"]}
    assert [heads[k - 1] for k in (7, 8, 10, 12)] == [13, 9, 4, 2]


def test_with_the_other_rounding_the_output_layer_would_be_empty():
    head = {"head.weight": (2, 117)}
    counts, scope = {"head.weight": 234}, PerLayer(rounding="ceil")
    for _ in range(10):
        counts = kept_by(scope, counted(head, counts), 0.65)
    assert counts == {"head.weight": 1}
    with pytest.raises(Refused, match=r"per_layer: at keep 0.65, 'head.weight' \(1 left\) would keep none"):
        kept_by(scope, counted(head, counts), 0.65)


def test_pruning_meets_the_table_of_the_text_ladder():
    small = {name: TEXT_CNN[name] for name in ("hidden.weight", "hidden.bias", "head.weight", "head.bias")}
    mask, scores, kept = Mask.dense(small), scores_of(small), []
    for _ in range(20):
        before, mask = mask, prune(mask, scores, keep=0.65, scope=PerLayer(rounding="floor", tensors="all"))
        assert mask <= before
        kept.append([mask.kept_in(name) for name in small])
    assert kept[-1] == [10, 2, 2, 2]
    assert kept[7][0] == 1421


def test_the_output_layer_at_half_the_rate():
    """Frankle and Carbin 2019: LeNet-300-100 at 20 % a round, its output layer at 10 %."""
    shapes = {"stages.0.0.weight": (300, 784), "stages.1.0.weight": (100, 300), "head.weight": (10, 100)}
    scope = PerLayer(halved=("head.*",))
    assert kept_by(scope, Mask.dense(shapes), 0.8) == dict(zip(shapes, (188160, 24000, 900), strict=True))
    assert kept_by(scope, counted(shapes, dict(zip(shapes, (188160, 24000, 900), strict=True))), 0.8) == dict(
        zip(shapes, (150528, 19200, 810), strict=True)
    )


def test_half_of_no_rate_is_refused():
    with pytest.raises(Refused, match="'halved' halves a rate"):
        prune(Mask.dense({"w": (4,)}), scores_of({"w": (4,)}), density=0.5, scope=PerLayer(halved=("w",)))


# Which stay.


@st.composite
def ranked(draw: st.DrawFn) -> tuple[Mask, dict[str, Tensor], float]:
    """A mask, scores with many ties, and a fraction to keep."""
    values = st.sampled_from([-1.5, -0.0, 0.0, 1e-30, 0.25, 0.5, 2.0, math.inf])
    shapes = draw(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 6)), min_size=1, max_size=4))
    kind = draw(st.sampled_from([torch.float32, torch.float64]))
    alive, scores = {}, {}
    for i, shape in enumerate(shapes):
        size = math.prod(shape)
        bits = draw(st.lists(st.booleans(), min_size=size, max_size=size))
        drawn = draw(st.lists(values, min_size=size, max_size=size))
        alive[f"t{i}"] = torch.tensor(bits, dtype=torch.bool).reshape(shape)
        scores[f"t{i}"] = torch.tensor(drawn, dtype=kind).reshape(shape)
    return Mask(alive), scores, draw(st.sampled_from([0.1, 0.35, 0.5, 0.8, 1.0]))


@BUSY
@given(ranked())
def test_the_best_stay_and_ties_fall_to_the_lower_index(case: tuple[Mask, dict[str, Tensor], float]):
    mask, scores, keep = case
    names = [(name, i) for name in mask for i in range(mask[name].numel())]
    living = [(name, i) for name, i in names if mask[name].flatten()[i]]
    order = sorted(living, key=lambda at: (-float(scores[at[0]].flatten()[at[1]]), names.index(at)))
    stay = set(order[: target(len(living), len(names), keep=keep, density=None)])
    pruned = prune(mask, scores, keep=keep)
    assert {at for at in names if pruned[at[0]].flatten()[at[1]]} == stay
    assert pruned <= mask


@BUSY
@given(ranked())
def test_tensors_of_their_own_do_not_see_each_other(case: tuple[Mask, dict[str, Tensor], float]):
    mask, scores, keep = case
    if any(living and not target(living, living, keep=keep, density=None) for living in map(mask.kept_in, mask)):
        with pytest.raises(Refused, match="would keep none"):
            prune(mask, scores, keep=keep, scope=PerLayer())
        return
    together = prune(mask, scores, keep=keep, scope=PerLayer())
    for name in mask:
        alone = prune(Mask({name: mask[name]}), {name: scores[name]}, keep=keep)
        assert torch.equal(together[name], alone[name])


def test_equal_scores_keep_the_first():
    shapes = {"a": (2, 3), "b": (4,)}
    mask = prune(Mask.dense(shapes), {n: torch.ones(s) for n, s in shapes.items()}, density=0.7)
    assert mask["a"].flatten().tolist() == [True] * 6
    assert mask["b"].tolist() == [True, False, False, False]


def test_very_sparse_is_exact():
    shapes = {"w": (300, 1000)}
    mask = prune(Mask.dense(shapes), scores_of(shapes), density=0.001)
    assert mask.kept == 300
    assert prune(mask, scores_of(shapes), keep=0.999, scope=Everywhere(rounding="floor")) == mask


@pytest.mark.parametrize("scope", [Everywhere(), PerLayer(), Erk()], ids=str)
def test_scores_that_are_no_numbers_are_refused(scope: Everywhere | PerLayer | Erk):
    mask = Mask.dense({"w": (4,)})
    with pytest.raises(Refused, match="a score of 'w' is not a number"):
        prune(mask, {"w": torch.tensor([1.0, float("nan"), 2.0, 3.0])}, keep=0.5, scope=scope)
    with pytest.raises(Refused, match="scores are floating-point numbers"):
        prune(mask, {"w": torch.arange(4)}, keep=0.5, scope=scope)


# Scopes.


@pytest.mark.parametrize(
    "scope", [Everywhere(exclude=("nope*",)), PerLayer(exclude=("nope*",)), Erk(exclude=("nope*",))]
)
def test_a_pattern_that_matches_nothing_is_refused(scope: Everywhere | PerLayer | Erk):
    with pytest.raises(Refused, match=r"exclude: 'nope\*' matches no tensor. There are: a, b."):
        prune(Mask.dense({"a": (2,), "b": (2,)}), scores_of({"a": (2,), "b": (2,)}), keep=0.5, scope=scope)


def test_a_half_rate_for_nothing_is_refused():
    """Frankle's output layer is `fc.weight` elsewhere; here that would silently prune the head at the full rate."""
    with pytest.raises(Refused, match=r"halved: 'fc.weight' matches no tensor. There are: head.weight."):
        prune(
            Mask.dense({"head.weight": (4,)}),
            {"head.weight": torch.ones(4)},
            keep=0.5,
            scope=PerLayer(halved=("fc.weight",)),
        )


def test_excluded_tensors_that_alone_are_too_many_are_refused():
    shapes = {"body": (10,), "head": (10,)}
    for scope in (Everywhere(exclude=("head",)), Erk(exclude=("head",))):
        with pytest.raises(Refused, match="8 weights are to stay, but the excluded tensors alone have 10"):
            prune(Mask.dense(shapes), scores_of(shapes), density=0.4, scope=scope)
    mask = prune(Mask.dense(shapes), scores_of(shapes), density=0.4, scope=PerLayer(exclude=("head",)))
    assert (mask.kept_in("body"), mask.kept_in("head")) == (4, 10)


@pytest.mark.parametrize("density", [0.9, 0.5, 0.2, 0.05, 0.01])
def test_erk_is_the_published_formula(density: float):
    """Evci et al. 2020: density = e (n_in + n_out + h + w) / (n_in n_out h w); what would exceed 1 is dense."""
    sizes = {n: math.prod(s) for n, s in RESNET20.items()}
    raw = {n: sum(s) / math.prod(s) for n, s in RESNET20.items()}
    full: set[str] = set()
    while True:
        rest = density * sum(sizes.values()) - sum(sizes[n] for n in full)
        e = rest / sum(raw[n] * sizes[n] for n in raw if n not in full)
        over = {n for n in raw if n not in full and raw[n] * e > 1}
        if not over:
            break
        full |= over
    mask = prune(Mask.dense(RESNET20), scores_of(RESNET20), density=density, scope=Erk())
    assert mask.kept == round(density * mask.size)
    for name, size in sizes.items():
        assert abs(mask.kept_in(name) - (size if name in full else e * raw[name] * size)) <= 1


def test_erk_gives_what_a_tensor_lacks_to_the_others():
    shapes = {"a": (10, 10), "b": (10, 10)}
    mask = counted(shapes, {"a": 5, "b": 100})
    pruned = prune(mask, scores_of(shapes), density=0.3, scope=Erk())
    assert (pruned.kept_in("a"), pruned.kept_in("b")) == (5, 55)


def test_all_tensors_join_the_mask_only_if_asked():
    shapes = {"w": (2, 3), "b": (2,)}
    mask = Mask({"w": torch.tensor([[True, False, True], [False, True, True]])})
    assert widened(mask, shapes, Everywhere()) is mask
    wide = widened(mask, shapes, Everywhere(tensors="all"))
    assert list(wide) == ["w", "b"] and torch.equal(wide["w"], mask["w"]) and wide["b"].all()
    assert widened(wide, shapes, PerLayer(tensors="all")) == wide


@pytest.mark.parametrize("scope", [Everywhere(), PerLayer(), NM(), PerRow()], ids=str)
def test_scores_that_do_not_fit_are_refused(scope: Scope):
    """Once they made the search for the threshold go on for ever."""
    mask = Mask.dense({"w": (4, 8), "v": (2, 8)})
    for wrong in (torch.ones(8), torch.ones(8, 4)):
        with pytest.raises(Refused, match="the scores of 'w' have the shape"):
            prune(mask, {"w": wrong, "v": torch.ones(2, 8)}, keep=0.5, scope=scope)
    with pytest.raises(Refused, match="there are no scores of 'v'"):
        prune(mask, {"w": torch.ones(4, 8)}, keep=0.5, scope=scope)

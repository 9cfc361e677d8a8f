"""Blocks and channels against numbers worked out by hand, and against a loop over units."""

import itertools
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.core.select import CHUNK
from tombola.prune import Blocks, Channels, prune

TWO = Blocks(rows=2, columns=2)
ROWS = Channels(exclude=())


def bits(mask: Mask, name: str = "w") -> list[list[int]]:
    return mask[name].flatten(1).int().tolist()


# Blocks.


def test_blocks_by_hand():
    """Means 2, 3, 1.5 and 1.75; largest scores 8, 3, 6 and 4."""
    scores = {"w": torch.tensor([[8.0, 0, 3, 3], [0, 0, 3, 3], [6, 0, 1, 4], [0, 0, 1, 1]])}
    mask = Mask.dense({"w": (4, 4)})
    assert bits(prune(mask, scores, density=0.5, scope=TWO)) == [[1, 1, 1, 1]] * 2 + [[0, 0, 0, 0]] * 2
    assert bits(prune(mask, scores, density=0.75, scope=TWO)) == [[1, 1, 1, 1]] * 2 + [[0, 0, 1, 1]] * 2
    largest = Blocks(rows=2, columns=2, norm="max")
    assert bits(prune(mask, scores, density=0.5, scope=largest)) == [[1, 1, 0, 0]] * 4


@pytest.mark.parametrize(("keep", "blocks"), [(0.26, 1), (0.45, 1), (0.5, 2), (0.7, 2), (0.75, 3), (1.0, 4)])
def test_as_many_blocks_as_fit(keep: float, blocks: int):
    for asked in ({"keep": keep}, {"density": keep}):
        assert prune(Mask.dense({"w": (4, 4)}), {"w": torch.ones(4, 4)}, scope=TWO, **asked).kept == 4 * blocks


def test_a_convolution_is_the_matrix_of_outputs_by_inputs_and_places():
    scores = torch.zeros(2, 2, 3, 3)
    scores[1, 0] = 1
    pruned = prune(Mask.dense({"w": (2, 2, 3, 3)}), {"w": scores}, density=0.25, scope=Blocks(rows=1, columns=9))
    assert torch.equal(pruned["w"], scores.bool())


def test_a_block_counts_its_living_weights_only():
    """The upper left block has one living weight of 5; a mean over four would be 1.25."""
    mask = Mask({"w": torch.tensor([[1, 0, 1, 1], [0, 0, 1, 1]]).bool()})
    scores = {"w": torch.tensor([[5.0, 99, 2, 2], [99, 99, 2, 2]])}
    assert bits(prune(mask, scores, keep=0.5, scope=TWO)) == [[1, 0, 0, 0], [0, 0, 0, 0]]  # 2 weights; then 4 more.
    assert bits(prune(mask, scores, density=0.5, scope=TWO)) == [[1, 0, 0, 0], [0, 0, 0, 0]]
    assert bits(prune(mask, scores, density=0.625, scope=TWO)) == bits(mask)


def test_blocks_are_shared_everywhere_or_in_each_layer():
    shapes = {"a": (2, 8), "b": (2, 8)}
    scores = {"a": torch.ones(2, 8), "b": 2 * torch.ones(2, 8)}
    mask = prune(Mask.dense(shapes), scores, density=0.625, scope=TWO)
    assert (mask.kept_in("a"), mask.kept_in("b")) == (4, 16)
    mask = prune(Mask.dense(shapes), scores, density=0.625, scope=Blocks(rows=2, columns=2, share="per_layer"))
    assert (mask.kept_in("a"), mask.kept_in("b")) == (8, 8)


def test_excluded_tensors_count_in_the_total():
    shapes = {"a": (2, 8), "b": (2, 8)}
    scores = {name: torch.ones(shape) for name, shape in shapes.items()}
    mask = prune(Mask.dense(shapes), scores, density=0.75, scope=Blocks(rows=2, columns=2, exclude=("b",)))
    assert (mask.kept_in("a"), mask.kept_in("b")) == (8, 16)


# Channels.


def test_channels_by_hand():
    """Li et al. 2017: the filters of the smallest L1 norms go; here the norms are 6, 4, 12 and 2."""
    scores = {"w": torch.tensor([[1.0, 5, 0], [2, 1, 1], [4, 4, 4], [2, 0, 0]]).reshape(4, 3, 1, 1)}
    mask = Mask.dense({"w": (4, 3, 1, 1)})
    for scope in (ROWS, Channels(exclude=(), norm="sum"), Channels(exclude=(), share="per_layer")):
        assert bits(prune(mask, scores, density=0.5, scope=scope)) == [[1] * 3, [0] * 3, [1] * 3, [0] * 3]
    assert bits(prune(mask, scores, density=0.25, scope=ROWS)) == [[0] * 3, [0] * 3, [1] * 3, [0] * 3]


def test_channels_of_unequal_size_compare_by_their_mean():
    """Rows of 2 with means 3 and 1, rows of 6 with means 2 and 0.5; of 16 weights, 10 are to stay."""
    shapes = {"a": (2, 2), "b": (2, 6)}
    scores = {"a": torch.tensor([[3.0, 3], [1, 1]]), "b": torch.tensor([[2.0] * 6, [0.5] * 6])}
    mask = prune(Mask.dense(shapes), scores, density=0.625, scope=ROWS)
    assert (bits(mask, "a"), bits(mask, "b")) == ([[1, 1], [1, 1]], [[1] * 6, [0] * 6])
    by_sum = prune(Mask.dense(shapes), scores, density=0.875, scope=Channels(exclude=(), norm="sum"))
    assert (bits(by_sum, "a"), bits(by_sum, "b")) == ([[1, 1], [0, 0]], [[1] * 6, [1] * 6])  # Sums 6, 2, 12 and 3.


def test_the_next_channel_that_does_not_fit_ends_it():
    """A worse one never stays before a better one, even if there were room for it."""
    shapes = {"a": (2, 2), "b": (2, 6)}
    scores = {"a": torch.tensor([[5.0, 5], [1, 1]]), "b": torch.tensor([[4.0] * 6, [3.0] * 6])}
    mask = prune(Mask.dense(shapes), scores, density=0.75, scope=ROWS)  # 12 weights: 2 + 6, and 6 do not fit.
    assert (bits(mask, "a"), bits(mask, "b")) == ([[1, 1], [0, 0]], [[1] * 6, [0] * 6])


def test_the_best_channels_of_every_tensor_stay():
    shapes = {"good": (4, 4), "bad": (4, 4)}
    scores = {"good": torch.full((4, 4), 9.0), "bad": torch.arange(16.0).reshape(4, 4) / 99}
    mask = prune(Mask.dense(shapes), scores, density=0.5, scope=ROWS)
    assert (bits(mask, "bad"), mask.kept_in("good")) == ([[0] * 4, [0] * 4, [0] * 4, [1] * 4], 12)
    mask = prune(Mask.dense(shapes), scores, density=0.5, scope=Channels(exclude=(), least=2))
    assert (bits(mask, "bad"), mask.kept_in("good")) == ([[0] * 4, [0] * 4, [1] * 4, [1] * 4], 8)


def test_the_head_keeps_its_classes():
    shapes = {"body.weight": (4, 4), "head.weight": (2, 4)}
    scores = {name: torch.ones(shape) for name, shape in shapes.items()}
    mask = prune(Mask.dense(shapes), scores, density=0.5, scope=Channels())
    assert (mask.kept_in("body.weight"), mask.kept_in("head.weight")) == (4, 8)


# Both, against a loop.


@st.composite
def problems(draw: st.DrawFn) -> tuple[Blocks | Channels, Mask, dict[str, Tensor], float]:
    rows, columns = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    share = draw(st.sampled_from(["everywhere", "per_layer"]))
    scope: Blocks | Channels = Blocks(
        rows=rows, columns=columns, share=share, norm=draw(st.sampled_from(["mean", "max"]))
    )
    if draw(st.booleans()):
        norm, least = draw(st.sampled_from(["mean", "max", "sum"])), draw(st.integers(1, 2))
        scope = Channels(share=share, exclude=(), norm=norm, least=least)
    alive, scores = {}, {}
    for name in ("a", "b", "c")[: draw(st.integers(1, 3))]:
        shape = (
            rows * draw(st.integers(1, 3)),
            columns * draw(st.integers(1, 2)),
            *draw(st.sampled_from([(), (2, 1)])),
        )
        size = torch.Size(shape).numel()
        flags = draw(st.one_of(st.just([True] * size), st.lists(st.booleans(), min_size=size, max_size=size)))
        alive[name] = torch.tensor(flags).reshape(shape)
        values = st.integers(-3, 3).map(float)
        scores[name] = torch.tensor(draw(st.lists(values, min_size=size, max_size=size))).reshape(shape)
    return scope, Mask(alive), scores, draw(st.sampled_from([0.2, 0.5, 0.75, 1.0]))


@given(problems())
def test_against_a_loop_over_units(problem: tuple[Blocks | Channels, Mask, dict[str, Tensor], float]):
    scope, mask, scores, keep = problem
    expected: dict[str, Tensor] = {name: torch.zeros_like(mask[name]).flatten(1) for name in mask}
    tight = False
    for names in [[name] for name in mask] if scope.share == "per_layer" else [list(mask)]:
        found = []  # Best first: the score, whether it stays in any case, the name, its weights.
        for name in names:
            matrix = mask[name].flatten(1)
            rows, columns = (scope.rows, scope.columns) if isinstance(scope, Blocks) else (1, matrix.shape[1])
            own = []
            for top, left in itertools.product(range(0, len(matrix), rows), range(0, matrix.shape[1], columns)):
                places = list(itertools.product(range(top, top + rows), range(left, left + columns)))
                living = [at for at in places if matrix[at]]
                values = [float(scores[name].flatten(1)[at]) for at in living]
                if living:
                    score = max(values) if scope.norm == "max" else sum(values)
                    own.append((score / len(values) if scope.norm == "mean" else score, name, living))
            own_best = sorted(own, key=lambda unit: -unit[0])[: scope.least if isinstance(scope, Channels) else 0]
            found += [(unit[0], unit in own_best, *unit[1:]) for unit in own]
        room = int(sum(mask.kept_in(name) for name in names) * keep + 1e-9)
        order = sorted(found, key=lambda unit: (not unit[1], -unit[0]))
        for place, (_, first, name, living) in enumerate(order):
            room -= len(living)
            if room < 0:
                tight |= first or place == 0
                break
            for at in living:
                expected[name][at] = True
    if tight:
        with pytest.raises(Refused, match="too few for"):
            prune(mask, scores, keep=keep, scope=scope)
    else:
        pruned = prune(mask, scores, keep=keep, scope=scope)
        for name in mask:
            assert torch.equal(pruned[name].flatten(1), expected[name])


def test_more_than_one_chunk_is_no_seam():
    shape = (64, CHUNK // 16)
    scores = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    blocks = scores.reshape(32, 2, -1, 4).mean(dim=(1, 3))
    line = blocks.flatten().sort(descending=True).values[blocks.numel() // 4 - 1]
    mask = prune(Mask.dense({"w": shape}), {"w": scores}, density=0.25, scope=Blocks(rows=2, columns=4))
    assert torch.equal(mask["w"], (blocks >= line).repeat_interleave(2, 0).repeat_interleave(4, 1))


# What is refused.


@pytest.mark.parametrize(
    ("shapes", "scope", "density", "said"),
    [
        ({"w": (8, 3, 3, 3)}, Blocks(), 0.5, "blocks: 'w' has shape (8, 3, 3, 3), a matrix of 8 x 27, which does not"),
        ({"w": (6, 8)}, Blocks(), 0.5, "does not divide into blocks of 4 x 4. Choose others, or exclude it: excl"),
        ({"w": (8,)}, Blocks(), 0.5, "blocks: 'w' has shape (8,), which is no matrix of outputs and inputs."),
        ({"w": (8, 8)}, Blocks(), 0.2, "density 0.2 leaves 13 weights to all tensors together, too few for 1 block."),
        ({"v": (8, 8), "w": (4, 8)}, Blocks(share="per_layer"), 0.25, "leaves 8 weights to 'w', too few for 1 block. "),
        ({"v": (8, 8), "w": (4, 8)}, ROWS, 0.1, "leaves 10 weights to all tensors together, too few for 1 channel in"),
        ({"w": (8, 8)}, Channels(), 0.5, "exclude: 'head.weight' matches no tensor. There are: w."),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(
    shapes: dict[str, tuple[int, ...]], scope: Blocks | Channels, density: float, said: str
):
    with pytest.raises(Refused) as error:
        scope.shares(Mask.dense(shapes), keep=None, density=density)
    assert said in str(error.value)


@pytest.mark.parametrize("word", ["keep", "density"])
@pytest.mark.parametrize("share", ["everywhere", "per_layer"])
@pytest.mark.parametrize("kind", [Blocks, Channels])
def test_the_way_out_leads_out(kind: type[Blocks | Channels], share: str, word: str):
    shapes = {"a": (8, 8), "b": (12, 20), "c": (4, 12)}
    scope, mask = kind(share=share, exclude=("c",)), Mask.dense(shapes)
    scores = {name: torch.ones(shape) for name, shape in shapes.items()}
    with pytest.raises(Refused) as error:
        prune(mask, scores, scope=scope, **{word: 0.14 if share == "everywhere" else 0.01})
    found = re.search(rf"From {word} (\S+) on", str(error.value))
    assert found
    assert prune(mask, scores, scope=scope, **{word: float(found[1])}) <= mask
    with pytest.raises(Refused):
        prune(mask, scores, scope=scope, **{word: float(found[1]) * 0.9})


def test_a_best_unit_that_does_not_fit_is_refused():
    """The scope cannot know it beforehand: the small unit would fit."""
    mask = Mask({"w": torch.tensor([[1, 0, 1, 1], [0, 0, 1, 1]]).bool()})
    with pytest.raises(Refused, match="2 weights are to stay in w, too few for the best 1 block. Keep more."):
        prune(mask, {"w": torch.tensor([[1.0, 0, 2, 2], [0, 0, 2, 2]])}, keep=0.5, scope=TWO)


def test_a_sum_of_both_infinities_is_refused():
    with pytest.raises(Refused, match="scores of 'w' are infinite with both signs"):
        prune(Mask.dense({"w": (2, 2)}), {"w": torch.tensor([[torch.inf, -torch.inf], [1, 1]])}, keep=0.5, scope=ROWS)


def test_impossible_numbers_are_refused():
    for numbers in ({"rows": 0}, {"columns": 0}, {"rows": -4}):
        with pytest.raises(Refused, match="a block has at least one of each"):
            Blocks(**numbers)
    with pytest.raises(Refused, match="channels: least is 0"):
        Channels(least=0)

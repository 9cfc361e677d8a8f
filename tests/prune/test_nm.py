"""N:M against groups worked out by hand, and against a loop over groups."""

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tombola.core.criterion import Habits
from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.core.select import CHUNK
from tombola.prune import NM, in_rounds, prune
from tombola.train.network import Network


def cut(mask: Mask, scores: Tensor, scope: NM) -> Tensor:
    """The only tensor's mask."""
    (name,) = mask
    return scope.chosen(mask, {name: scores}, scope.shares(mask, keep=None, density=None))[name]


def test_two_of_four_by_hand():
    scores = torch.tensor([[3.0, 1, 2, 0, 5, 5, 5, 5], [0, 0, 1, 0, -4, -1, -3, -2]])
    assert cut(Mask.dense({"w": (2, 8)}), scores, NM()).int().tolist() == [
        [1, 0, 1, 0, 1, 1, 0, 0],  # Equal scores keep the first.
        [1, 0, 1, 0, 0, 1, 0, 1],
    ]


def test_the_dead_do_not_count_and_few_keep_what_lives():
    alive = torch.tensor([[0, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0]]).bool()
    scores = torch.tensor([[9.0, 1, 3, 2, 9, 9, 9, -torch.inf, 9, 9, 9, 9]])
    mask = Mask({"w": alive})
    assert cut(mask, scores, NM()).int().tolist() == [[0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0]]
    assert NM().shares(mask, keep=None, density=None) == [(("w",), 3)]


def test_neighbours_of_a_convolution_are_its_inputs():
    """One output, four inputs, kernels of 1 x 2: along the inputs, each place of the kernel is a group of its own."""
    scores = torch.tensor([[8.0, 1], [7, 2], [6, 3], [5, 4]]).reshape(1, 4, 1, 2)
    mask = Mask.dense({"w": (1, 4, 1, 2)})
    assert cut(mask, scores, NM()).reshape(4, 2).int().tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]
    assert cut(mask, scores, NM(along="flat")).reshape(4, 2).int().tolist() == [[1, 0], [1, 0], [1, 0], [1, 0]]


@st.composite
def problems(draw: st.DrawFn) -> tuple[NM, Tensor, Tensor]:
    m = draw(st.integers(1, 5))
    scope = NM(n=draw(st.integers(1, m)), m=m, along=draw(st.sampled_from(["inputs", "flat"])))
    shape = (draw(st.integers(1, 3)), m * draw(st.integers(1, 2)), *draw(st.sampled_from([(), (2,), (1, 3), (2, 2)])))
    size = torch.Size(shape).numel()
    values = st.sampled_from([-torch.inf, -1.0, -0.0, 0.0, 0.5, 1.0, torch.inf])
    scores = torch.tensor(draw(st.lists(values, min_size=size, max_size=size))).reshape(shape)
    alive = torch.tensor(draw(st.lists(st.booleans(), min_size=size, max_size=size))).reshape(shape)
    return scope, alive, scores


@given(problems())
def test_against_a_loop_over_groups(problem: tuple[NM, Tensor, Tensor]):
    scope, alive, scores = problem
    expected = torch.zeros_like(alive)
    places = list(itertools.product(*map(range, alive.shape)))
    if scope.along == "inputs":
        places.sort(key=lambda at: (at[0], at[2:], at[1]))
    for start in range(0, len(places), scope.m):
        living = [at for at in places[start : start + scope.m] if alive[at]]
        for at in sorted(living, key=lambda at: -float(scores[at]))[: scope.n]:
            expected[at] = True
    assert torch.equal(cut(Mask({"w": alive}), scores, scope), expected)


def test_more_than_one_chunk_is_no_seam():
    size = CHUNK + 3 * 4096
    scores = torch.randn(3, size, generator=torch.Generator().manual_seed(0))
    kept = cut(Mask.dense({"w": (3, size)}), scores, NM(n=1, m=4096))
    best = scores.reshape(-1, 4096).argmax(dim=1)
    assert torch.equal(kept.reshape(-1, 4096).nonzero()[:, 1], best)
    assert kept.sum() == len(best)


@pytest.mark.parametrize("asked", [{"keep": 0.5}, {"density": 0.5}, {}])
def test_its_own_density_may_be_said_or_left_out(asked: dict[str, float]):
    mask, scores = Mask.dense({"a": (2, 4), "b": (3, 4)}), {"a": torch.ones(2, 4), "b": torch.ones(3, 4)}
    assert prune(mask, scores, scope=NM(), **asked).kept == 10
    third = {"density": 1 / 3} if "density" in asked else {}
    assert prune(Mask.dense({"a": (2, 3)}), {"a": torch.ones(2, 3)}, scope=NM(n=1, m=3), **third).kept == 2


@pytest.mark.parametrize(
    ("shape", "scope", "asked", "said"),
    [
        ((8, 8), NM(), {"keep": 0.8}, "keep is 0.8, but nm() keeps 2 of 4 in every tensor that it prunes: give keep"),
        ((8, 8), NM(n=1), {"density": 0.5}, "density is 0.5, but nm(n=1) keeps 1 of 4 in every tensor"),
        ((8, 3, 3, 3), NM(), {}, "nm: 'w' has shape (8, 3, 3, 3): its 3 inputs do not divide into groups of 4. Excl"),
        ((8, 3, 2, 2), NM(), {}, "exclude=('w',), or group the flattened row: along=flat."),
        ((8, 3, 3, 3), NM(along="flat"), {}, "its 27 weights a row do not divide into groups of 4. Exclude it: excl"),
        ((8,), NM(), {}, "nm: 'w' has shape (8,), which has no inputs. Exclude it: exclude=('w',)."),
        ((8, 8), NM(exclude=("v",)), {}, "exclude: 'v' matches no tensor"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(shape: tuple[int, ...], scope: NM, asked: dict[str, float], said: str):
    with pytest.raises(Refused) as error:
        scope.shares(Mask.dense({"w": shape}), **{"keep": None, "density": None, **asked})
    assert said in str(error.value)


def test_what_does_not_divide_may_be_excluded():
    mask = Mask.dense({"stem": (8, 3, 3, 3), "w": (4, 8)})
    pruned = prune(mask, {"stem": torch.ones(8, 3, 3, 3), "w": torch.ones(4, 8)}, keep=0.5, scope=NM(exclude=("stem",)))
    assert (pruned.kept_in("stem"), pruned.kept_in("w")) == (216, 16)


@pytest.mark.parametrize(("n", "m"), [(0, 4), (5, 4), (-1, 4), (0, 0)])
def test_impossible_numbers_are_refused(n: int, m: int):
    with pytest.raises(Refused, match=f"nm: n is {n} and m is {m}"):
        NM(n=n, m=m)


def test_a_second_cut_by_a_rate_is_refused_and_one_to_a_density_changes_nothing():
    scores = {"w": torch.ones(4, 8)}
    once = prune(Mask.dense({"w": (4, 8)}), scores, keep=0.5, scope=NM())
    assert prune(once, scores, density=0.5, scope=NM()) == once == prune(once, scores, scope=NM())
    with pytest.raises(
        Refused, match="no 4 neighbours have more than 2 living weights: nm.. has nothing left to prune"
    ):
        prune(once, scores, keep=0.5, scope=NM())


def test_in_rounds_the_best_of_each_group_stay_and_beside_them_the_best_of_all():
    seen: list[list[int]] = []

    class Twice:
        habits = Habits(rounds=2, pace="linear")

        def __call__(self, net: Any) -> dict[str, Tensor]:
            seen.append(net.mask["w"].flatten().int().tolist())
            return {"w": torch.tensor([[0.0, 1, 2, 3, 9, 8, 7, 6]])}

    mask = Mask.dense({"w": (1, 8)})
    left = in_rounds(Network({"w": torch.ones(1, 8)}, mask), Twice(), scope=NM(n=1))
    assert seen == [[1] * 8, [0, 0, 0, 1, 1, 1, 1, 1]]  # 8, 5 and 2 weights.
    assert left["w"].flatten().int().tolist() == [0, 0, 0, 1, 1, 0, 0, 0]


def test_ties_in_large_groups_keep_the_first():
    kept = cut(Mask.dense({"w": (3, 64)}), torch.tensor([[0.0] * 64, [1.0] * 64, [0.0, 1.0] * 32]), NM(n=20, m=64))
    assert kept[:2].int().tolist() == [[1] * 20 + [0] * 44] * 2
    assert kept[2].int().tolist() == [0, 1] * 20 + [0] * 24

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tombola.core import select
from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.core.select import keep_best

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
VALUES = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 1.5, math.inf, -math.inf, 2.0**-149, -(2.0**-149), 1 + 2.0**-52, 1e-310]),
    st.integers(-3, 3).map(float),
    st.floats(allow_nan=False),
)


def reference(mask: Mask, scores: dict[str, Tensor], names: list[str], count: int) -> np.ndarray:
    """Sort everything: living first, best first, ties in order."""
    values = np.concatenate([scores[n].double().reshape(-1).numpy() for n in names])
    alive = np.concatenate([mask[n].reshape(-1).numpy() for n in names])
    living = np.flatnonzero(alive)
    best = living[np.argsort(-values[living], kind="stable")[:count]]
    kept = np.zeros_like(alive)
    kept[best] = True
    return kept


@st.composite
def problems(draw: st.DrawFn) -> tuple[Mask, dict[str, Tensor], int, int]:
    dtypes = draw(st.lists(st.sampled_from(DTYPES), min_size=1, max_size=3))
    scores: dict[str, Tensor] = {}
    alive: dict[str, Tensor] = {}
    for index, dtype in enumerate(dtypes):
        values = draw(st.lists(VALUES, min_size=1, max_size=24))
        flags = draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
        shape = (2, -1) if len(values) % 2 == 0 else (-1,)
        scores[f"t{index}"] = torch.tensor(values, dtype=torch.float64).to(dtype).reshape(shape)
        alive[f"t{index}"] = torch.tensor(flags).reshape(shape)
    mask = Mask(alive)
    return mask, scores, draw(st.integers(0, mask.kept)), draw(st.sampled_from([1, 2, 3, 7, 1000]))


@settings(max_examples=250)
@given(problems())
def test_against_sorting(problem: tuple[Mask, dict[str, Tensor], int, int]):
    mask, scores, count, chunk = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(select, "CHUNK", chunk)
        kept = keep_best(mask, scores, list(scores), count)
    assert (flat(kept, scores) == reference(mask, scores, list(scores), count)).all()
    assert all(kept[name].shape == mask[name].shape for name in scores)


def flat(kept: dict[str, Tensor], order: Any) -> np.ndarray:
    return np.concatenate([kept[name].reshape(-1).numpy() for name in order])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("chunk", [64, 1000, 1 << 20])
def test_many_ties_across_tensors_and_chunks(dtype: torch.dtype, chunk: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(select, "CHUNK", chunk)
    rng = np.random.default_rng(0)
    scores = {n: torch.from_numpy(rng.integers(-3, 4, (30, 40)).astype(np.float64)).to(dtype) for n in "abc"}
    mask = Mask({n: torch.from_numpy(rng.random((30, 40)) < 0.7) for n in "abc"})
    for count in (0, 1, 63, 64, 65, 999, mask.kept // 2, mask.kept - 1, mask.kept):
        kept = keep_best(mask, scores, list("abc"), count)
        assert (flat(kept, "abc") == reference(mask, scores, list("abc"), count)).all()
        assert Mask(kept) <= mask and Mask(kept).kept == count


def test_999_of_1000_are_pruned_exactly():
    rng = np.random.default_rng(1)
    scores = {n: torch.from_numpy(rng.standard_normal(s, dtype=np.float32)).abs() for n, s in SIZES.items()}
    mask = Mask.dense(SIZES)
    count = round(mask.size * 0.001)
    kept = Mask(keep_best(mask, scores, list(SIZES), count))
    assert kept.kept == count
    lowest = min(float(scores[n][kept[n]].min()) for n in SIZES if kept.kept_in(n))
    highest = max(float(scores[n][~kept[n]].max()) for n in SIZES)
    assert lowest >= highest


SIZES = {"a": (300, 400), "b": (64, 16, 3, 3), "c": (10,)}


def test_double_precision_counts_in_full():
    scores = {"w": torch.tensor([1.0, 1.0 + 2.0**-52], dtype=torch.float64), "v": torch.tensor([1.0, 1.0])}
    kept = keep_best(Mask.dense({"v": (2,), "w": (2,)}), scores, ["v", "w"], 1)
    assert (kept["v"].tolist(), kept["w"].tolist()) == ([False, False], [False, True])


def test_zeros_of_both_signs_tie():
    scores = {"w": torch.tensor([-0.0, 0.0, -0.0, 0.0, -1.0])}
    kept = keep_best(Mask.dense({"w": (5,)}), scores, ["w"], 2)["w"]
    assert kept.tolist() == [True, True, False, False, False]


def test_only_the_named_tensors_are_ranked():
    scores = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([9.0, 9.0])}
    kept = keep_best(Mask.dense({"a": (2,), "b": (2,)}), scores, ["a"], 1)
    assert list(kept) == ["a"] and kept["a"].tolist() == [False, True]


def test_the_order_of_names_settles_ties():
    scores = {"a": torch.ones(2), "b": torch.ones(2)}
    kept = keep_best(Mask.dense({"a": (2,), "b": (2,)}), scores, ["b", "a"], 3)
    assert (kept["b"].tolist(), kept["a"].tolist()) == ([True, True], [True, False])


def test_scores_laid_out_otherwise():
    scores = torch.tensor([[1.0, 4.0], [3.0, 2.0]]).t()  # Not contiguous.
    kept = keep_best(Mask.dense({"w": (2, 2)}), {"w": scores}, ["w"], 2)["w"]
    assert kept.tolist() == [[False, True], [True, False]]


def test_inputs_are_left_alone_and_results_are_new():
    mask, scores = Mask.dense({"w": (3,)}), {"w": torch.tensor([3.0, -0.0, 1.0])}
    for count in range(4):
        keep_best(mask, scores, ["w"], count)["w"].fill_(False)
    assert mask.kept == 3 and scores["w"].tolist() == [3.0, 0.0, 1.0]
    assert math.copysign(1, scores["w"][1].item()) == -1


@pytest.mark.parametrize("dtype", DTYPES)
def test_not_a_number(dtype: torch.dtype):
    scores = {"a": torch.ones(3, dtype=dtype), "b": torch.tensor([1.0, math.nan, 2.0], dtype=dtype)}
    with pytest.raises(Refused) as caught:
        keep_best(Mask.dense({"a": (3,), "b": (3,)}), scores, ["a", "b"], 2)
    assert str(caught.value) == "a score of 'b' is not a number. Train with a smaller rate, or mend the criterion."


def test_more_than_are_alive():
    mask = Mask({"w": torch.tensor([True, False])})
    with pytest.raises(Refused, match="2 weights are to be kept, only 1 are alive. Pruning cannot revive weights."):
        keep_best(mask, {"w": torch.ones(2)}, ["w"], 2)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
def test_scores_are_floats(dtype: torch.dtype):
    with pytest.raises(Refused, match=f"the scores of 'w' are of type {dtype}; scores are floating-point numbers."):
        keep_best(Mask.dense({"w": (2,)}), {"w": torch.ones(2, dtype=dtype)}, ["w"], 1)

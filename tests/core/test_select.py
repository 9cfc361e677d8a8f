import math
from collections.abc import Mapping
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
from tombola.core.select import Threshold, keep_best, threshold

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


SEARCHES = st.fixed_dictionaries(
    {
        "ROOM": st.sampled_from([1, 5, 1 << 23]),
        "SAMPLED": st.sampled_from([1, 2, 7]),
        "LARGEST_SAMPLE": st.sampled_from([1, 3, 1 << 20]),
        "WIDE": st.sampled_from([0.0, 0.3, 4.0]),
    }
)


@settings(max_examples=250)
@given(problems())
def test_against_sorting(problem: tuple[Mask, dict[str, Tensor], int, int]):
    check(*problem, {})


@settings(max_examples=400)
@given(problems(), SEARCHES)
def test_against_sorting_with_a_sample_that_is_often_wrong(
    problem: tuple[Mask, dict[str, Tensor], int, int], search: dict[str, float]
):
    check(*problem, search | {"FEW": 0})


def check(mask: Mask, scores: dict[str, Tensor], count: int, chunk: int, search: Mapping[str, float]) -> None:
    names = list(scores)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"CHUNK": chunk, **search}.items():
            patch.setattr(select, name, value)
        kept = keep_best(mask, scores, names, count)
        found = threshold(mask, scores, names, count) if count else None
    assert (flat(kept, scores) == reference(mask, scores, names, count)).all()
    assert all(kept[name].shape == mask[name].shape for name in scores)
    if found:
        assert found == by_sorting(mask, scores, count)


def by_sorting(mask: Mask, scores: dict[str, Tensor], count: int) -> Threshold:
    living = np.concatenate([scores[n].double().numpy()[mask[n].numpy()] for n in scores])
    value = np.sort(living)[-count]
    return Threshold(float(value), int((living > value).sum()), int((living == value).sum()))


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


def awkward() -> dict[str, Tensor]:
    """Scores that a sample tells little about, 60,000 each."""
    rng, size = np.random.default_rng(2), 60_000
    normal = rng.standard_normal(size)
    kinds = {
        "normal": normal,
        "rising": np.arange(size),
        "equal": np.ones(size),
        "two values": rng.integers(0, 2, size),
        "mostly zero": np.where(rng.random(size) < 0.9, 0, normal),
        "half infinite": np.where(rng.random(size) < 0.5, np.inf, normal),
        "plateaus, far apart": np.exp(40 * np.clip(normal, -0.5, 0.5)),
    }
    return {name: torch.from_numpy(np.asarray(values, dtype=np.float32)) for name, values in kinds.items()}


@pytest.mark.parametrize("room", [400, 1 << 23])
@pytest.mark.parametrize("kind", awkward())
def test_distributions_that_a_sample_tells_little_about(kind: str, room: int, monkeypatch: pytest.MonkeyPatch):
    scores = {"a": awkward()[kind], "none": torch.zeros(0), "b": awkward()[kind][:5000].reshape(50, 100)}
    mask = Mask({n: torch.from_numpy(np.random.default_rng(3).random(s.shape) < 0.8) for n, s in scores.items()})
    for name, value in {"CHUNK": 1 << 12, "FEW": 300, "ROOM": room}.items():
        monkeypatch.setattr(select, name, value)
    for count in (1, 2, 500, mask.kept // 5, mask.kept // 2, mask.kept - 500, mask.kept - 1, mask.kept):
        assert threshold(mask, scores, list(scores), count) == by_sorting(mask, scores, count)
        kept = keep_best(mask, scores, list(scores), count)
        assert (flat(kept, scores) == reference(mask, scores, list(scores), count)).all()


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """The values that each pass over the scores looked at."""
    seen: list[tuple[float, float]] = []
    survey = select._survey

    def counted(group: Any, lower: Any, upper: Any) -> Any:
        seen.append((float(lower), float(upper)))
        return survey(group, lower, upper)

    monkeypatch.setattr(select, "_survey", counted)
    return seen


def test_one_pass_finds_the_threshold_and_copies_little(passes: list[tuple[float, float]]):
    scores = {"w": torch.from_numpy(np.random.default_rng(4).standard_normal(1 << 20, dtype=np.float32))}
    mask = Mask.dense({"w": (1 << 20,)})
    for tenths in range(1, 10):
        count = mask.size * tenths // 10
        assert threshold(mask, scores, ["w"], count) == by_sorting(mask, scores, count)
    assert len(passes) == 9
    for lower, upper in passes:
        assert 0 < int(((scores["w"] > lower) & (scores["w"] < upper)).sum()) < mask.size / 10


@pytest.mark.parametrize("lies", ["too low", "too high", "too wide"])
def test_a_sample_that_misleads_costs_a_pass(
    lies: str, passes: list[tuple[float, float]], monkeypatch: pytest.MonkeyPatch
):
    scores = {"w": torch.from_numpy(np.random.default_rng(5).permutation(np.arange(20_000, dtype=np.float32)))}
    false = {"too low": np.arange(9.0), "too high": np.arange(19_990.0, 20_000), "too wide": np.array([5.0, 19_995.0])}
    sample = select._Group.sample

    def misled(group: Any, turn: int) -> np.ndarray:
        return sample(group, turn) if turn else false[lies].astype(np.float32)

    monkeypatch.setattr(select._Group, "sample", misled)
    monkeypatch.setattr(select, "FEW", 0)
    monkeypatch.setattr(select, "ROOM", 5000)
    monkeypatch.setattr(select, "WIDE", 0.3)
    monkeypatch.setattr(select, "SAMPLED", 8)
    assert threshold(Mask.dense({"w": (20_000,)}), scores, ["w"], 8000) == Threshold(12_000.0, 7999, 1)
    assert 2 <= len(passes) <= 6
    assert lies != "too low" or min(passes[1:])[0] >= passes[0][1]


def test_the_sample_is_of_the_living_in_all_tensors_and_repeats(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(select, "SAMPLED", 10)
    scores = {n: torch.arange(1000.0) + 1000 * i for i, n in enumerate("abc")}
    mask = Mask(
        {"a": torch.arange(1000) % 2 == 0, "b": torch.zeros(1000, dtype=torch.bool), "c": torch.arange(1000) < 500}
    )
    first, again, other = (select._Group(mask, scores, list("abc")).sample(turn) for turn in (0, 0, 1))
    assert (first == again).all() and not np.array_equal(first, other)
    assert first.dtype == np.float32 and (np.diff(first) > 0).all()
    a, c = first[first < 1000], first[first >= 2000]
    assert (a % 2 == 0).all() and 30 <= len(a) <= 70 and not set(a[a < 500]) <= set(c - 2000)
    assert (c < 2500).all() and 49 <= len(c) <= 51 and len(a) + len(c) == len(first)


class Computed(dict[str, Tensor]):
    """Scores that are made when they are asked for."""

    asked = 0

    def __getitem__(self, name: str) -> Tensor:
        self.asked += 1
        return super().__getitem__(name).abs()


def test_scores_may_be_computed_when_asked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(select, "FEW", 1000)
    rng = np.random.default_rng(6)
    weights = {n: torch.from_numpy(rng.standard_normal(30_000, dtype=np.float32)) for n in "ab"}
    mask, scores = Mask.dense({"a": (30_000,), "b": (30_000,)}), Computed(weights)
    kept = keep_best(mask, scores, ["a", "b"], 20_000)
    assert scores.asked <= 12  # For type, sample, one pass and result; checks of annotations in tests ask too.
    assert (flat(kept, "ab") == reference(mask, scores, ["a", "b"], 20_000)).all()


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


@pytest.mark.parametrize("place", [0, 12_345, 199_999])
def test_not_a_number_among_many_even_where_dead(place: int):
    scores = {"w": torch.ones(200_000)}
    scores["w"][place] = math.nan
    alive = torch.ones(200_000, dtype=torch.bool)
    for alive[place] in (True, False):
        with pytest.raises(Refused, match="a score of 'w' is not a number"):
            keep_best(Mask({"w": alive}), scores, ["w"], 150_000)


def test_more_than_are_alive():
    mask = Mask({"w": torch.tensor([True, False])})
    with pytest.raises(Refused, match="2 weights are to be kept, only 1 are alive. Pruning cannot revive weights."):
        keep_best(mask, {"w": torch.ones(2)}, ["w"], 2)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
def test_scores_are_floats(dtype: torch.dtype):
    with pytest.raises(Refused, match=f"the scores of 'w' are of type {dtype}; scores are floating-point numbers."):
        keep_best(Mask.dense({"w": (2,)}), {"w": torch.ones(2, dtype=dtype)}, ["w"], 1)

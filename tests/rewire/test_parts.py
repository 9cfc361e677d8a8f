"""The k best against a full sort, counts and times by hand, what is refused."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.core.rewire import Live
from tombola.rewire import _best, _parts
from tombola.rewire.rigl import Rigl
from tombola.rewire.set_ import Set


def sorted_top(values: Tensor, count: int, among: Tensor | None) -> list[bool]:
    """By sorting everything: the highest first, and of equals the lower index."""
    flat = [-math.inf if math.isnan(v) else v for v in values.reshape(-1).tolist()]
    places = [i for i in range(len(flat)) if among is None or among.reshape(-1)[i]]
    chosen = set(sorted(places, key=lambda i: (-flat[i], i))[:count])
    return [i in chosen for i in range(len(flat))]


@given(
    st.lists(st.sampled_from([0.0, -0.0, 1.0, 1.5, -2.0, math.inf, -math.inf, math.nan]), min_size=1, max_size=12),
    st.data(),
)
def test_the_best_are_those_of_a_sort(values: list[float], data: st.DataObject):
    tensor = torch.tensor(values, dtype=torch.float64)
    among = torch.tensor(data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))))
    for chosen in (None, among):
        room = len(values) if chosen is None else int(among.sum())
        count = data.draw(st.integers(0, room))
        found = _parts.top(tensor, count, among=chosen)
        assert found.tolist() == sorted_top(tensor, count, chosen) and int(found.sum()) == count
        assert _parts.bottom(-tensor, count, among=chosen).tolist() == sorted_top(tensor, count, chosen)
        if 0 < count < room:
            assert _best._top_anywhere(tensor, count, chosen).tolist() == found.tolist()


@pytest.mark.parametrize("kind", ["smooth", "tied", "rising", "rare", "spiked"])
@pytest.mark.parametrize("share", [0.0001, 0.03, 0.6, 0.9999])
def test_large_tensors_give_what_a_sort_gives(kind: str, share: float):
    rng = np.random.default_rng(0)
    size = 2 * _best.ENOUGH + 7
    values = rng.normal(size=size).astype(np.float32)
    if kind == "tied":
        values = np.round(values * 2)
    elif kind == "rising":
        values.sort()
    elif kind == "rare":
        values[rng.random(size) < 0.999] = 0
    elif kind == "spiked":  # Where the sample looks there is nothing, or all there is.
        values[:: size // _best.SAMPLE | 1] += 100
    tensor, among = torch.from_numpy(values), torch.from_numpy(rng.random(size) < 0.3)
    for chosen in (None, among):
        count = int(share * (size if chosen is None else int(among.sum())))
        assert _parts.top(tensor, count, among=chosen).tolist() == sorted_top(tensor, count, chosen)


def test_flat_index_is_that_of_the_shape_and_not_of_the_memory():
    values = torch.zeros(2, 3, 2, 2)
    assert _parts.top(values, 5).reshape(-1).nonzero().view(-1).tolist() == [0, 1, 2, 3, 4]
    laid = values.contiguous(memory_format=torch.channels_last)
    assert torch.equal(_parts.top(laid, 5), _parts.top(values, 5))


def test_half_precision_is_ranked_too():
    for kind in (torch.bfloat16, torch.float16):
        assert _parts.top(torch.tensor([1.0, 3.0, 2.0], dtype=kind), 2).tolist() == [False, True, True]


def test_more_than_there_are_is_refused():
    some = torch.tensor([True, False, True])
    with pytest.raises(Refused, match="3 weights are to be chosen among 2"):
        _parts.top(torch.zeros(3), 3, among=some)
    with pytest.raises(Refused, match="-1 weights are to be chosen among 3"):
        _parts.top(torch.zeros(3), -1)
    with pytest.raises(Refused, match="3 weights are to be drawn among 2"):
        _parts.drawn(np.random.default_rng(0), 3, among=some)


def test_drawn_places_are_all_equally_likely():
    among = torch.tensor([[True, False, True], [True, True, False]])
    seen = torch.zeros(2, 3)
    for seed in range(600):
        found = _parts.drawn(np.random.default_rng(seed), 2, among=among)
        assert int(found.sum()) == 2 and not (found & ~among).any()
        seen += found
    assert (seen[among] / 600 - 0.5).abs().max() < 0.1  # Five standard deviations.


def test_shares_by_hand():
    assert [_parts.share(0.3, n) for n in (0, 1, 3, 4, 10, 100)] == [0, 0, 0, 1, 3, 30]
    assert [_parts.share(n / 100, 100) for n in range(101)] == list(range(101))
    assert _parts.share(1.0, 7) == 7


def test_the_cosine_by_hand():
    assert [round(_parts.cosine(step, 8), 6) for step in (0, 2, 4, 6, 8, 9)] == [1.0, 0.853553, 0.5, 0.146447, 0.0, 0.0]


def test_updates_come_after_each_interval_and_before_the_end():
    assert [step + 1 for step in range(20) if _parts.is_due(step, 5, 15)] == [5, 10]
    assert [step + 1 for step in range(20) if _parts.is_due(step, 5, 16)] == [5, 10, 15]
    assert [_parts.end_of(part, 40) for part in (0.75, 1.0, 0.01)] == [30, 40, 0]
    assert _parts.end_of(0.29, 100) == 29  # 0.29 * 100 is a little less.


def a_live(mask: list[bool], values: list[float]) -> Live:
    alive, weights = torch.tensor(mask), torch.tensor(values, dtype=torch.float64)
    return Live(0, 10, 0, {"w": weights.clone()}, {"w": alive}, {}, {"w": weights}, {})


@pytest.mark.parametrize(
    ("mask", "wish", "allowed", "forbidden"),
    [([1, 1, 1, 0], 2, 2, 1), ([1, 0, 0, 0], 1, 1, 1), ([1, 1, 1, 1], 3, 0, 0), ([1, 1, 1, 0], 3, 3, 1)],
)
def test_as_many_go_as_can_come(mask: list[int], wish: int, allowed: int, forbidden: int):
    live = a_live([bool(m) for m in mask], [1.0] * 4)
    assert _parts.room(live, "w", wish, "allowed") == allowed
    assert _parts.room(live, "w", wish, "forbidden") == forbidden


@pytest.mark.parametrize(
    ("regrow", "regrown", "among", "values", "renewed"),
    [
        ("allowed", "zero", [True, False, True], [0.0, 3.0, 0.0], [True, False, False]),
        ("allowed", "kept", [True, False, True], [2.0, 3.0, 0.0], None),
        ("forbidden", "zero", [False, False, True], [2.0, 3.0, 0.0], None),
    ],
)
def test_what_goes_and_comes_at_once(regrow, regrown, among, values, renewed):
    """Of three weights the first goes. Growing takes the first place that it may: that one, or the dead one."""
    live = a_live([True, True, False], [2.0, 3.0, 0.0])

    def grow(count: int, offered: Tensor) -> Tensor:
        assert count == 1 and offered.tolist() == among
        return _parts.top(torch.zeros(3), 1, among=offered)

    found = _parts.exchanged(live, "w", torch.tensor([True, False, False]), grow, regrow=regrow, regrown=regrown)
    assert found.tolist() == ([True, True, False] if regrow == "allowed" else [False, True, True])
    assert live.variables["w"].tolist() == values
    assert (live.renewed["w"].tolist() if "w" in live.renewed else None) == renewed


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"every": 0}, "rigl: field 'every' is 0. It is the time between two updates: 1 or more."),
        ({"every": "x"}, "rigl: field 'every' is 'x'. Write steps as 500 or '500it', epochs as '85ep'."),
        ({"drop": 0.0}, "rigl: field 'drop' is 0.0. It is the fraction of living weights: above 0, to 1."),
        ({"drop": 1.5}, "rigl: field 'drop' is 1.5. It is the fraction of living weights: above 0, to 1."),
        ({"end": 0.0}, "rigl: field 'end' is 0.0. It is a part of the training: above 0, to 1."),
        ({"end": 1.1}, "rigl: field 'end' is 1.1. It is a part of the training: above 0, to 1."),
    ],
    ids=str,
)
def test_numbers_that_make_no_sense_are_refused(fields: dict, message: str):
    with pytest.raises(Refused) as caught:
        Rigl(**fields)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("every", "end", "fits"),
    [(10, 1.0, True), (39, 1.0, True), (40, 1.0, False), (30, 0.75, False), (29, 0.75, True), ("0ep", 1.0, False)],
)
def test_an_interval_longer_than_the_time_is_refused(every: int | str, end: float, fits: bool):
    method = Set(every=every, end=end)
    if fits:
        assert method.in_steps(5, 40).every == every
        return
    with pytest.raises(Refused, match="it never would|At least 1"):
        method.in_steps(5, 40)


def test_times_in_epochs_become_steps():
    assert Set(every="2ep").in_steps(7, 100) == Set(every=14)
    with pytest.raises(Refused, match="before step 100, where the training ends; so it never would"):
        Set().in_steps(100, 100)


def test_a_ticket_that_starts_too_late_is_refused():
    live = a_live([True, False], [1.0, 0.0])
    live.step = 7
    with pytest.raises(Refused, match="the training begins at step 7"):
        Set(every=4, end=0.8).begin(live)
    assert Set(every=2, end=0.9).begin(live) is live.masks  # At step 8.


def test_dense_tickets_and_empty_tensors_are_refused():
    with pytest.raises(Refused, match="this ticket is dense: there is nothing to grow"):
        Rigl().check(Mask.dense({"v": (2,), "w": (3,)}))
    with pytest.raises(Refused, match="'w' has none: nothing would ever pass"):
        Rigl().check(Mask({"v": torch.tensor([True, True]), "w": torch.tensor([False, False])}))
    Rigl().check(Mask({"v": torch.tensor([True, True]), "w": torch.tensor([True, False])}))

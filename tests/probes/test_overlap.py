"""What two masks share, by hand, against all pairs of masks there are, and against pairs drawn at random."""

import dataclasses
import itertools
import math
import pathlib

import numpy as np
import pytest
import torch

from tests.train.toys import Points, a_ticket
from tombola.archs.mlp import Mlp
from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.core.ticket import Ticket
from tombola.probes.overlap import chance, overlap
from tombola.study.deferred import defer
from tombola.study.store import Store

DENSE = a_ticket(Mlp(hidden=(3,)), Points(inputs=(2,), classes=2), density=1.0)
FIRST, HEAD = DENSE.mask


def with_mask(first: list[int], head: list[int]) -> Ticket:
    flags = {FIRST: torch.tensor(first).bool().reshape(3, 2), HEAD: torch.tensor(head).bool().reshape(2, 3)}
    return DENSE.rebuilt(mask=Mask(flags))


A = with_mask([1, 1, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0])
B = with_mask([0, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 1])


def test_by_hand():
    """Of six places, 3 and 4 are chosen: 2 are shared by chance, with variance 3 * 4/6 * 2/6 * 3/5 = 0.4."""
    found = overlap(A, B)
    first, head = found.tables["layers"]
    assert {name: value for name, value in first.items() if name != "layer"} == pytest.approx(
        {
            **{"size": 6, "kept_a": 3, "kept_b": 4, "both": 2, "either": 5, "jaccard": 0.4, "shared": 2 / 3},
            **{"expected": 2.0, "deviation": math.sqrt(0.4), "z": 0.0},
        }
    )
    assert (first["layer"], head["layer"], head["both"], head["either"]) == (FIRST, HEAD, 0, 2)
    # One of six each: shared with probability 1/6, so the variance is 1/6 * 5/6.
    deviation = math.sqrt(0.4 + 5 / 36)
    # Of all twelve, 4 and 5: 5/3 by chance, with variance 5/3 * 8/12 * 7/11.
    anywhere = math.sqrt(5 / 3 * 8 / 12 * 7 / 11)
    expected = 2 + 1 / 6
    assert found.numbers() == pytest.approx(
        {
            **{"size": 12, "kept_a": 4, "kept_b": 5, "both": 2, "either": 7, "jaccard": 2 / 7, "shared": 0.5},
            **{"expected": expected, "deviation": deviation, "z": (2 - expected) / deviation},
            "jaccard_by_chance": expected / (9 - expected),
            **{"expected_anywhere": 5 / 3, "deviation_anywhere": anywhere, "z_anywhere": (2 - 5 / 3) / anywhere},
        }
    )


def test_the_share_is_of_the_first_and_all_else_goes_both_ways():
    one, other = overlap(A, B).numbers(), overlap(B, A).numbers()
    assert (one["shared"], other["shared"]) == (2 / 4, 2 / 5)
    swapped = {"kept_a": one["kept_b"], "kept_b": one["kept_a"], "shared": other["shared"]}
    assert other == pytest.approx({**one, **swapped})


def test_where_chance_leaves_no_choice():
    """All or nothing: there is no deviation, and nothing above chance."""
    none = with_mask([0] * 6, [0] * 6)
    for a, b, jaccard, shared in ((DENSE, DENSE, 1, 1), (none, none, 1, 1), (none, A, 0, 1), (A, none, 0, 0)):
        numbers = overlap(a, b).numbers()
        assert (numbers["jaccard"], numbers["shared"]) == (jaccard, shared)
        assert numbers["deviation"] == numbers["z"] == numbers["deviation_anywhere"] == 0
        assert numbers["both"] == numbers["expected"] and numbers["jaccard"] == numbers["jaccard_by_chance"]


@pytest.mark.parametrize("size, first, second", [(1, 1, 0), (1, 1, 1), (2, 1, 1), (5, 2, 3), (6, 5, 1), (6, 3, 3)])
def test_chance_is_that_of_all_pairs_of_choices(size: int, first: int, second: int):
    pairs = itertools.product(*(itertools.combinations(range(size), number) for number in (first, second)))
    shared = [len(set(one) & set(other)) for one, other in pairs]
    assert chance(size, first, second) == pytest.approx((np.mean(shared), np.var(shared)))
    assert chance(0, 0, 0) == (0.0, 0.0)


def test_chance_is_that_of_masks_drawn_at_random():
    """The scores of random masks with given counts have mean 0 and deviation 1."""
    rng, sizes, counts = np.random.default_rng(3), (6, 6), ((2, 4), (3, 2))

    def drawn(numbers: tuple[int, ...]) -> Ticket:
        flags = [list(map(int, rng.permutation(size) < kept)) for size, kept in zip(sizes, numbers, strict=True)]
        return with_mask(*flags)

    scores = [overlap(drawn(counts[0]), drawn(counts[1])).numbers()["z"] for _ in range(500)]
    assert abs(np.mean(scores)) < 4 / math.sqrt(500) and abs(np.std(scores) - 1) < 0.13


def test_masks_that_agree_on_densities_only_overlap_by_global_chance_alone():
    """Each keeps one whole layer and nothing of the other: that layer's choice is all that they share."""
    numbers = overlap(with_mask([1] * 6, [0] * 6), with_mask([1] * 6, [0] * 6)).numbers()
    assert numbers["z"] == 0 and numbers["z_anywhere"] > 3


def test_other_tensors_are_refused():
    other = a_ticket(Mlp(hidden=(4,)), Points(inputs=(2,), classes=2))
    with pytest.raises(Refused, match=rf"'{FIRST}' is \(3, 2\) in the first and \(4, 2\)"):
        overlap(DENSE, other)
    fewer = dataclasses.replace(DENSE, mask=Mask({FIRST: DENSE.mask[FIRST]}))
    for a, b in ((fewer, DENSE), (DENSE, fewer)):
        with pytest.raises(Refused, match=f"'{HEAD}' is .*absent"):
            overlap(a, b)


def test_it_is_kept_and_can_be_deferred(tmp_path: pathlib.Path):
    made = Store(tmp_path)(overlap, A, B)
    assert Store(tmp_path)(overlap, A, B).numbers() == made.numbers()
    assert defer(overlap, a=A, b=B).key == made.key


def test_tensors_may_be_left_out():
    found, whole = overlap(A, B, exclude=("head.*",)), overlap(A, B)
    assert found.tables["layers"] == whole.tables["layers"][:1]
    assert found.numbers()["size"] == 6 and found.numbers()["both"] == 2
    other = a_ticket(Mlp(hidden=(3,)), Points(inputs=(2,), classes=5), density=1.0)
    assert overlap(DENSE, other, exclude=("head.*",)).numbers()["jaccard"] == 1.0
    with pytest.raises(Refused, match="'tail' matches no masked tensor"):
        overlap(A, B, exclude=("tail",))
    with pytest.raises(Refused, match="leaves out every tensor"):
        overlap(A, B, exclude=("*",))

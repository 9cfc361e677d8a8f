"""Angles, distances, signs and masks of networks, worked out by hand."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from tests.probes.given import Given, trained
from tombola.archs.mlp import Mlp
from tombola.core.errors import Refused
from tombola.core.initial import draw_state
from tombola.core.layout import Interface, Layout
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.ticket import Ticket
from tombola.probes import distance as module
from tombola.probes.distance import distance
from tombola.probes.overlap import overlap
from tombola.train.trained import Trained

TASK = Given(rows=((1.0, 0.0, 0.0, 0.0),), labels=(0,), width=4, classes=2)


@plugin("arch", "toy_head")
class Head:
    """One linear layer."""

    def build(self, io: Interface) -> torch.nn.Module:
        net = torch.nn.Module()
        net.head = torch.nn.Linear(io.features, io.classes, bias=False)
        return net

    def layout(self) -> Layout:
        return Layout(stem=(), stages=(), head=("head",), prunable=("head.weight",), axes={})

    def initial(self, net: Any, *names: str | int) -> dict[str, torch.Tensor]:
        return draw_state(net, *names)


def of(values: list[float], alive: list[int]) -> Trained:
    weights, lives = torch.tensor(values).reshape(2, 4), torch.tensor(alive).bool().reshape(2, 4)
    return trained(Head(), TASK, {"head.weight": weights}, mask={"head.weight": lives})


A = of([3, 4, 0, 1, 0, 0, 0, 2], [1, 1, 0, 1, 0, 0, 0, 1])
B = of([4, -3, 9, 0, 0, 0, 0, 2], [1, 1, 1, 0, 0, 0, 0, 1])
C = of([0, 0, 5, 0, 5, 5, 0, 0], [0, 0, 1, 0, 1, 1, 0, 0])
"""A and B share the first, second and last weight: (3, 4, 2) and (4, -3, 2). A and C share nothing."""


def pairs(*networks: Trained, **given: Any) -> dict[tuple[str, str], dict[str, float]]:
    table = distance(networks, **given).tables["pairs"]
    return {(row["a"], row["b"]): {n: v for n, v in row.items() if n not in "ab"} for row in table}


def test_by_hand():
    found = pairs(A, B)["0", "1"]
    assert found == pytest.approx(
        {
            "angle": 2 / math.pi * math.acos(4 / 29),
            "cosine": 4 / 29,  # (12 - 12 + 4) / (sqrt(29) sqrt(29))
            "l2": math.sqrt(1 + 49),
            "l2_whole": math.sqrt(1 + 49 + 81 + 1),
            "sign_agreement": 2 / 3,
            "jaccard": 3 / 5,
            "jaccard_by_chance": 2 / 6,  # 4 of 8 and 4 of 8: two in common by chance.
        }
    )


def test_where_nothing_is_shared():
    found = distance((A, B, C))
    assert found.numbers()["pairs_apart"] == 1 and "angle_0_to_1" in found.numbers()
    assert math.isnan(pairs(A, C)["0", "1"]["angle"]) and pairs(A, C)["0", "1"]["jaccard"] == 0
    # B and C share the third weight, 9 and 5: one direction.
    assert found.numbers()["angle_1_to_2"] == pytest.approx(0, abs=1e-7)
    assert found.numbers()["angle_mean"] == pytest.approx(math.acos(4 / 29) / math.pi)
    assert found.numbers()["angle_next_mean"] == pytest.approx(math.acos(4 / 29) / math.pi)
    assert "angle_second_mean" not in found.numbers()  # A and C have no angle.
    second = distance((A, C, B)).numbers()
    assert second["angle_second_mean"] == pytest.approx(2 / math.pi * math.acos(4 / 29))


def test_the_start_is_the_last_row_and_in_no_mean():
    start = Ticket(
        arch=Head(), io=TASK.io, mask=Mask.dense({"head.weight": (2, 4)}),
        weights={"head.weight": torch.tensor([[4.0, -3, 7, 7], [7, 7, 7, 0]])},
    )  # fmt: skip
    found = distance((A, B), start)
    numbers = found.numbers()
    assert numbers["angle_mean"] == numbers["angle_0_to_1"]
    # A's weights (3, 4, 1, 2) beside (4, -3, 7, 0); B's (4, -3, 9, 2) beside (4, -3, 7, 0).
    assert numbers["angle_0_to_init"] == pytest.approx(2 / math.pi * math.acos(7 / math.sqrt(30 * 74)))
    assert numbers["angle_1_to_init"] == pytest.approx(2 / math.pi * math.acos(88 / math.sqrt(110 * 74)))
    (picture,) = found.pictures
    assert np.shape(picture["values"]) == (3, 3) and "last row is the start" in picture["caption"]
    assert picture["values"][0][1] == pytest.approx(numbers["angle_0_to_1"])


def test_masks_are_those_of_overlap_and_columns_do_not_matter(monkeypatch: pytest.MonkeyPatch):
    whole = pairs(A, B, C)
    for pair, (one, other) in {("0", "1"): (A, B), ("1", "2"): (B, C)}.items():
        known = overlap(one, other).numbers()
        assert whole[pair]["jaccard"] == known["jaccard"]
        assert whole[pair]["jaccard_by_chance"] == pytest.approx(known["jaccard_by_chance"])
    monkeypatch.setattr(module, "COLUMNS", 3)
    for pair, values in pairs(A, B, C).items():
        assert values == pytest.approx(whole[pair], nan_ok=True)


def test_a_network_and_itself_and_its_opposite():
    back = of([-3, -4, 0, -1, 0, 0, 0, -2], [1, 1, 0, 1, 0, 0, 0, 1])
    found = pairs(A, A, back)
    assert (found["0", "1"]["angle"], found["0", "1"]["l2"]) == pytest.approx((0, 0), abs=1e-7)
    assert (found["0", "2"]["angle"], found["0", "2"]["sign_agreement"]) == pytest.approx((2, 0))


def test_what_is_refused():
    with pytest.raises(Refused, match="1 networks. Give two or more"):
        distance((A,))
    with pytest.raises(Refused, match="Give two or more in a row"):
        distance(A, B)  # type: ignore[arg-type]
    with pytest.raises(Refused, match="is no trained network"):
        distance((A, B.ticket))  # type: ignore[arg-type]
    assert distance([A, B]).key == distance((A, B)).key  # type: ignore[arg-type]
    arch = Mlp(hidden=(3,))
    other = trained(arch, TASK, dict(arch.build(TASK.io).state_dict()))
    with pytest.raises(Refused, match="is not masked alike"):
        distance((A, other))

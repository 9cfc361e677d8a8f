"""Densities of the layers, ERK's and Ideal Gas', against numbers worked out by hand; no layer may vanish."""

import re
from typing import Any

import pytest
import torch

from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.prune import Erk, Everywhere, Igq, PerLayer, prune

LENET = {"a.weight": (300, 784), "b.weight": (100, 300), "head.weight": (10, 100)}


def counts(scope: Any, mask: Mask, **asked: float) -> dict[str, int]:
    return {names[0]: count for names, count in scope.shares(mask, **{"keep": None, "density": None, **asked})}


def test_igq_by_hand():
    """F = 1/10: 10 weights keep 1 / (0.1 + 1/10) = 5, and 90 keep 1 / (0.1 + 1/90) = 9; 14 of 100."""
    mask = Mask.dense({"small": (2, 5), "large": (9, 10)})
    assert counts(Igq(), mask, density=0.14) == {"small": 5, "large": 9}
    assert counts(Igq(), mask, density=1.0) == {"small": 10, "large": 90}
    assert counts(Igq(), mask, keep=0.14) == {"small": 5, "large": 9}


@pytest.mark.parametrize("density", [0.9, 0.5, 0.1, 0.01, 0.001])
def test_igq_has_one_force_for_all(density: float):
    """From the counts, the force of each layer: (1 / d - 1) / n; they agree but for one weight of rounding."""
    mask = Mask.dense(LENET)
    kept = counts(Igq(), mask, density=density)
    assert sum(kept.values()) == round(density * mask.size)
    sizes = {name: mask[name].numel() for name in LENET}
    lows = [1 / (kept[n] + 1) - 1 / sizes[n] for n in LENET]
    highs = [1 / (kept[n] - 1) - 1 / sizes[n] for n in LENET]
    assert max(lows) <= min(highs)
    densities = [kept[name] / sizes[name] for name in LENET]
    assert densities == sorted(densities)  # The layers stand from large to small.


def test_igq_gives_what_a_tensor_lacks_to_the_others():
    """Under F = 1/10 the small one would keep 5; it has 3, so the large one shares the other 11: F = 1/11 - 1/90."""
    mask = Mask({"small": torch.arange(10) < 3, "large": torch.ones(90, dtype=torch.bool)})
    assert counts(Igq(), mask, density=0.14) == {"small": 3, "large": 11}
    assert counts(Igq(), mask, keep=1.0) == {"small": 3, "large": 90}


def test_igq_counts_excluded_tensors_in_the_total():
    mask = Mask.dense({"small": (2, 5), "large": (9, 10), "head": (4, 5)})
    assert counts(Igq(exclude=("head",)), mask, density=34 / 120) == {"small": 5, "large": 9}


def test_erk_of_lenet_by_hand():
    """The axes sum to 1084, 400 and 110; the head of 1000 is full once 110 / 1594 of the total are more."""
    # 13,310 by 1084 : 400 : 110 are 9051.45, 3340.03 and 918.51.
    assert counts(Erk(), Mask.dense(LENET), density=0.05) == {"a.weight": 9051, "b.weight": 3340, "head.weight": 919}
    # Of 26,620 the head takes its 1000; 25,620 by 1084 : 400 are 18714.4 and 6905.7.
    assert counts(Erk(), Mask.dense(LENET), density=0.1) == {"a.weight": 18714, "b.weight": 6906, "head.weight": 1000}


def test_erk_of_a_convolution_by_hand():
    """Kernels count with their height and width: 16 + 3 + 3 + 3 = 25 of 432, 64 + 10 = 74 of 640."""
    mask = Mask.dense({"conv": (16, 3, 3, 3), "head": (10, 64)})
    assert counts(Erk(), mask, density=198 / 1072) == {"conv": 50, "head": 148}


# No layer vanishes.

SMALL = {"big": (100, 100), "small": (2, 10), "mid": (10, 10)}
REFUSED = [
    (PerLayer(), {"density": 0.01}),
    (PerLayer(), {"keep": 0.04}),
    (PerLayer(rounding="one_more"), {"keep": 0.09}),
    (PerLayer(exclude=("mid",)), {"density": 0.02}),
    (Erk(), {"density": 0.001}),
    (Erk(), {"keep": 0.0005}),
    (Erk(rounding="one_more", exclude=("mid",)), {"keep": 0.0101}),
    (Igq(), {"density": 0.0001}),
    (Igq(rounding="floor"), {"keep": 0.0001}),
]


@pytest.mark.parametrize(("scope", "asked"), REFUSED, ids=str)
def test_a_layer_that_would_vanish_is_refused_and_the_way_out_leads_out(scope: Any, asked: dict[str, float]):
    mask = Mask.dense(SMALL)
    with pytest.raises(Refused) as error:
        counts(scope, mask, **asked)
    word = list(asked)[0]
    found = re.search(rf"'small' \(20 weights\) would keep none.* From {word} (\S+) on", str(error.value))
    assert found, str(error.value)
    least = float(found[1])
    assert asked[word] < least < 1
    assert min(counts(scope, mask, **{word: least}).values()) >= 1
    with pytest.raises(Refused):
        counts(scope, mask, **{word: 0.49 * least})
    scores = {name: torch.ones(shape) for name, shape in SMALL.items()}
    assert prune(mask, scores, scope=Everywhere(), **asked).kept_in("big") >= 1


def test_in_these_words():
    with pytest.raises(Refused) as error:
        counts(PerLayer(), Mask.dense(SMALL), density=0.01)
    assert str(error.value) == (
        "per_layer: at density 0.01, 'small' (20 weights) would keep none, and a layer without a weight lets nothing "
        "through. From density 0.05 on, every tensor keeps one. Keep so much, exclude 'small', or use the scope "
        "everywhere(), which gives no tensor a share of its own."
    )


def test_half_the_rate_is_counted():
    """Of two weights at half the rate, one stays at any rate; of three, with one more pruned, one from 1/3 on."""
    assert counts(PerLayer(halved=("b",)), Mask.dense({"a": (10,), "b": (2,)}), keep=0.1) == {"a": 1, "b": 1}
    scope, mask = PerLayer(halved=("b",), rounding="one_more"), Mask.dense({"a": (1000,), "b": (3,)})
    with pytest.raises(Refused, match="'b' .3 weights. would keep none.* From keep 0.3334 on"):
        counts(scope, mask, keep=0.3)
    assert counts(scope, mask, keep=0.3334)["b"] == 1


@pytest.mark.parametrize("scope", [PerLayer(), Erk(), Igq()], ids=str)
def test_a_tensor_that_had_no_weight_before_is_let_be(scope: Any):
    mask = Mask({"gone": torch.zeros(4, 4, dtype=torch.bool), "there": torch.ones(4, 4, dtype=torch.bool)})
    assert counts(scope, mask, keep=0.5) == {"gone": 0, "there": 8}

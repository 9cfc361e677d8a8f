"""The number of targets at which one search pays: by hand, and the paper's own figures."""

import math

import pytest

from tests.probes.test_price import ladder as ladder  # A fixture.
from tombola.core.ticket import Ticket
from tombola.probes.break_even import break_even, targets
from tombola.probes.price import COUNTED, price
from tombola.train.trained import Trained

Ladder = tuple[list[Ticket], list[Trained]]


def test_the_papers_own_figures():
    """Table 2 of Chen et al. 2021: IMP on ResNet-26 against RigL-5x on three networks, about four targets."""
    search, carried, rival = 2.77, (0.14 + 0.20 + 0.26) / 3, (0.69 + 1.00 + 1.30) / 3
    assert targets(search, carried, rival) == 4
    assert search + 3 * carried > 3 * rival and search + 4 * carried < 4 * rival


@pytest.mark.parametrize(
    ("search", "each", "rival"), [(10.0, 1.0, 3.0), (7.3, 0.4, 0.9), (1.0, 1.0, 2.0), (0.1, 1.0, 9.0)]
)
def test_it_is_the_least_number(search: float, each: float, rival: float):
    found = targets(search, each, rival)
    assert search + found * each <= found * rival + 1e-9 and found == int(found) >= 1
    assert found == 1 or search + (found - 1) * each > (found - 1) * rival


def test_it_never_pays():
    assert targets(1.0, 2.0, 1.0) == targets(1.0, 1.0, 1.0) == targets(0.0, 2.0, 1.0) == math.inf


def test_of_trainings(ladder: Ladder):
    _, (dense, first, last) = ladder
    values = break_even(last, (dense, first), dense).values
    paid, rival = price(last, (dense, first)).values, price(dense).values
    for name in ("epochs", "flops_dense", "flops_sparse", "seconds"):
        search, each, other = paid[f"search_{name}"], paid[f"last_{name}"], rival[f"total_{name}"]
        assert (values[f"search_{name}"], values[f"carried_{name}"], values[f"rival_{name}"]) == (search, each, other)
        assert values[f"targets_{name}"] == targets(search, each, other)
    # A dense training for each target: half the operations are saved, three quarters are not to be had.
    assert values["targets_flops_sparse"] == math.ceil(
        paid["search_flops_sparse"] / (rival["total_flops_sparse"] - paid["last_flops_sparse"])
    )


def test_without_the_trainings_behind_it_nothing_is_told(ladder: Ladder):
    _, (dense, _, last) = ladder
    found = break_even(last, (dense,), dense)
    assert found.checks == {COUNTED: False} and not found.values

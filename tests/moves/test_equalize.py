"""Equalize: the exact number of weights, the smallest gone or the largest back, in plain numbers."""

import numpy as np
import pytest
import torch

from tests.moves.test_contract import sparse
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.core.errors import Refused
from tombola.core.ticket import Ticket
from tombola.moves.equalize import Equalize

ARCH = Mlp(hidden=(12, 12, 8))


@pytest.fixture(scope="module")
def ticket() -> Ticket:
    return sparse(ARCH)


def flat(ticket: Ticket, what: str) -> np.ndarray:
    parts = [ticket.mask[n] if what == "mask" else ticket.weights[n].abs() for n in ticket.mask]
    return torch.cat([part.flatten() for part in parts]).numpy()


def test_pruning_takes_the_smallest_living(ticket: Ticket):
    moved = ticket | Equalize(density=0.1)
    size, alive = flat(ticket, "weights"), flat(ticket, "mask")
    kept = np.zeros(len(size), dtype=bool)
    kept[sorted(np.flatnonzero(alive), key=lambda place: -size[place])[: round(0.1 * len(size))]] = True
    assert (flat(moved, "mask") == kept).all()
    assert all(torch.equal(moved.weights[n], ticket.weights[n]) for n in ticket.weights)


def test_growing_brings_the_largest_dead_back(ticket: Ticket):
    moved = ticket | Equalize(density=0.5)
    size, alive = flat(ticket, "weights"), flat(ticket, "mask")
    more = round(0.5 * len(size)) - ticket.mask.kept
    grown = alive.copy()
    grown[sorted(np.flatnonzero(~alive), key=lambda place: -size[place])[:more]] = True
    assert (flat(moved, "mask") == grown).all() and ticket.mask <= moved.mask


def test_growing_at_random(ticket: Ticket):
    one, other = (ticket | Equalize(density=0.5, grow="random", seed=seed) for seed in (0, 1))
    assert one.mask.kept == other.mask.kept == round(0.5 * ticket.mask.size) and one.mask != other.mask
    assert ticket.mask <= one.mask and ticket.mask <= other.mask
    revived = flat(one, "weights")[flat(one, "mask") & ~flat(ticket, "mask")]
    dead = flat(ticket, "weights")[~flat(ticket, "mask")]
    assert revived.mean() == pytest.approx(dead.mean(), rel=0.15)  # Not the largest ones.


@pytest.mark.parametrize("density", [0.2, 0.6])
def test_what_is_excluded_counts_and_stays(ticket: Ticket, density: float):
    moved = ticket | Equalize(density=density, exclude=("head.*",))
    assert moved.mask.kept == round(density * ticket.mask.size)
    assert torch.equal(moved.mask["head.weight"], ticket.mask["head.weight"])


def test_the_same_density_changes_nothing(ticket: Ticket):
    assert (ticket | Equalize(density=ticket.density)).mask == ticket.mask


def test_survivors_alone_can_only_get_fewer():
    alive = sparse(ResNet(depth=8, width=4)).alive()
    fewer = alive | Equalize(density=0.1)
    assert fewer.holding == "alive" and not any(fewer.weights[n][~fewer.mask[n]].any() for n in fewer.mask)
    with pytest.raises(Refused, match="reviving weights needs the rewind values under dead positions"):
        alive | Equalize(density=0.9)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"density": 0.0}, "above 0, to 1"),
        ({"density": 1.5}, "above 0, to 1"),
        ({"density": 0.02, "exclude": ("stages.*",)}, "are spared"),
        ({"density": 0.9, "exclude": ("stages.0.*",)}, "more can live"),
        ({"density": 0.5, "exclude": ("fc.*",)}, "matches no tensor. There are: stages.0.0.weight"),
    ],
)
def test_what_cannot_be(ticket: Ticket, words: dict, message: str):
    with pytest.raises(Refused, match=message):
        ticket | Equalize(**words)

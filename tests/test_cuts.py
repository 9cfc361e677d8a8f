"""Cuts of all kinds of tickets: what they restart from, what they hold, and what a criterion is shown of them."""

import dataclasses

import pytest
import torch

from tombola.archs.mlp import Mlp
from tombola.core.errors import Refused
from tombola.core.layout import Prunable, Scores
from tombola.core.rewire import Rewire
from tombola.core.seeds import Seeds
from tombola.core.ticket import Ticket
from tombola.criteria.magnitude import Magnitude
from tombola.criteria.movement import Movement
from tombola.criteria.random_ import Random
from tombola.criteria.snip import Snip
from tombola.find import cut, cut_early, draw, find
from tombola.prune import Erk
from tombola.rewire.dpf import Dpf
from tombola.rewire.gradual import Gradual
from tombola.rewire.rigl import Rigl
from tombola.tasks.digits import Digits
from tombola.train.loop import train
from tombola.train.recipes import Quickstart
from tombola.verify import verify

TASK, ARCH = Digits(), Mlp(hidden=(12, 8))
RECIPE = Quickstart(steps=20, evaluate=20)


def rewired(method: Rewire) -> Quickstart:
    return dataclasses.replace(RECIPE, rewire=method)


@pytest.fixture(scope="module")
def dense() -> Ticket:
    return draw(ARCH, TASK, RECIPE)


@pytest.fixture(scope="module")
def sparse(dense: Ticket) -> Ticket:
    return cut_early(dense, TASK, RECIPE, Random(), Erk(), density=0.3)


def test_a_ticket_cut_before_training_has_the_dense_weights_and_a_level(dense: Ticket, sparse: Ticket):
    assert sparse.level == 1 and sparse.mask.kept == round(0.3 * dense.mask.size)
    assert all(torch.equal(sparse.weights[n], dense.weights[n]) for n in dense.weights)
    found = verify(sparse, parents=[dense])
    assert found.ok and {"nested", "untouched", "again"} <= {check.name.partition(":")[0] for check in found.checks}


def test_a_ticket_cut_before_training_cannot_be_passed_off(dense: Ticket, sparse: Ticket):
    """Other weights, or another mask of the same counts, are no longer what the call gives."""
    first = next(iter(sparse.mask))
    moved = {**sparse.weights, first: sparse.weights[first] + 1}
    for false in (sparse.rebuilt(weights=moved), sparse.rebuilt(mask=~~dense.mask)):
        assert not verify(false, parents=[dense]).ok


def test_all_from_the_dense_ticket_at_once_or_level_by_level():
    densities = (0.5, 0.2)
    before = list(find(ARCH, TASK, RECIPE, densities=densities, criterion=Snip()))
    assert [ticket.level for ticket in before] == [0, 1, 1]
    again = [cut_early(before[0], TASK, RECIPE, Snip(), density=density) for density in densities]
    assert [ticket.mask for ticket in before[1:]] == [ticket.mask for ticket in again]
    after = list(find(ARCH, TASK, RECIPE, densities=densities, criterion=Snip(), moment="after"))
    assert [ticket.level for ticket in after] == [0, 1, 2] and after[2].mask <= after[1].mask
    kept = [t.mask.kept for t in find(ARCH, TASK, RECIPE, levels=2, keep=0.7, criterion=Random(), moment="before")]
    assert kept == [t.mask.kept for t in find(ARCH, TASK, RECIPE, levels=2, keep=0.7)]


def test_survivors_alone_are_cut_further_and_stay_alone(sparse: Ticket):
    alone = sparse.alive()
    early = cut_early(alone, TASK, RECIPE, Magnitude(), density=0.2)
    late = cut(train(alone, TASK, RECIPE), keep=0.5)
    for ticket in (early, late):
        assert ticket.holding == "alive" and verify(ticket).ok
        assert not any(ticket.weights[name][~mask].any() for name, mask in ticket.mask.items())
    assert verify(early, parents=[alone]).ok


def test_a_ticket_of_trained_weights_has_no_rewind_point_to_return_to(dense: Ticket):
    rate = cut(train(dense, TASK, RECIPE), keep=0.5, restart="rate")
    with pytest.raises(Refused, match="values of its rewind point are gone. Cut it with restart='rate'"):
        cut(train(rate, TASK, RECIPE), keep=0.5)
    assert cut(train(rate, TASK, RECIPE), keep=0.5, restart="rate").restart == "rate"


def test_a_dense_ticket_of_trained_weights_lacks_nothing(dense: Ticket):
    """What needs values under dead positions takes it: there are none. A sparse one is refused for the true cause."""
    trained = train(dense, TASK, RECIPE)
    whole = cut(trained, keep=1.0, restart="rate")
    assert train(whole, TASK, rewired(Dpf(density=0.5, every=2))).mask.density == pytest.approx(0.5, abs=1e-3)
    with pytest.raises(Refused, match="restarts from trained weights"):
        cut(trained, keep=0.5, restart="rate").needs_all("this")


@dataclasses.dataclass
class Looking:
    """A criterion that remembers what it was shown."""

    start: dict[str, torch.Tensor] = dataclasses.field(default_factory=dict)

    def __call__(self, net: Prunable) -> Scores:
        self.start.update(net.start)
        return Magnitude()(net)


def test_weights_that_came_in_training_began_at_zero(sparse: Ticket):
    trained = train(sparse, TASK, rewired(Rigl(every=4, drop=0.5)))
    looking = Looking()
    cut.function(trained, looking, keep=0.5)
    for name, mask in trained.mask.items():
        came = mask & ~sparse.mask[name]
        assert came.any() and not looking.start[name][came].any()
        old = sparse.mask[name]
        assert torch.equal(looking.start[name][old], sparse.weights[name][old])


def test_criteria_inside_a_training(dense: Ticket):
    movement = rewired(Gradual(density=0.4, every=3, criterion=Movement(form="distance")))
    assert train(dense, TASK, movement).mask.density == pytest.approx(0.4, abs=1e-3)
    with pytest.raises(Refused, match="scores in 5 rounds; inside a training each cut is one"):
        train(dense, TASK, rewired(Gradual(density=0.4, every=3, criterion=Snip(rounds=5))))


def test_a_result_whose_mask_changed_proves_its_history(dense: Ticket):
    trained = train(dense, TASK, rewired(Gradual(density=0.4, every=3)), Seeds(1))
    names = {check.name: check.ok for check in verify(trained, parents=[dense]).checks}
    assert names["the history of masks ends in the last one"]
    false = dataclasses.replace(trained, history=(*trained.history[:-1], {**trained.history[-1], "kept": [1, 2, 3]}))
    assert not verify(false).ok

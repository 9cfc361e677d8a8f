"""The controls: each differs from the ticket in the one thing that it is to control, and from the other controls."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.core.errors import Refused
from tombola.core.layout import Interface, dense_mask, initial_weights
from tombola.core.mask import Mask
from tombola.core.share import erk_wishes
from tombola.core.ticket import Ticket
from tombola.moves.controls import ErkMask, Invert, RandomMask, Reinit, Shuffle

IO = Interface(inputs=(1, 8, 8), classes=10)
ARCHS = (Mlp(hidden=(16, 10)), ResNet(depth=8, width=4))
MASKS = (Shuffle(), RandomMask(), ErkMask(), Invert())


def sparse(arch: Mlp | ResNet = ARCHS[0], *, density: float = 0.3, seed: int = 0, step: int = 5) -> Ticket:
    """A ticket rewound to step 5: weights are not those of the start, and no two are alike."""
    rng = np.random.default_rng(seed)
    weights = {
        n: v + 0.001 if v.dtype.is_floating_point else v for n, v in initial_weights(arch, IO, "s", seed).items()
    }
    mask = Mask({n: torch.from_numpy(rng.random(s) < density) for n, s in dense_mask(arch, IO).shapes.items()})
    return Ticket(arch=arch, io=IO, mask=mask, weights=weights, step=step)


@pytest.fixture(params=ARCHS, ids=str)
def ticket(request: pytest.FixtureRequest) -> Ticket:
    return sparse(request.param)


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


# New masks over rewound weights.


@pytest.mark.parametrize("move", MASKS, ids=str)
def test_newly_kept_positions_carry_rewind_values(ticket: Ticket, move: Shuffle | RandomMask | ErkMask | Invert):
    """In ElasticLTH's random baseline they are zero, so that it trains a smaller network than it says."""
    moved = ticket | move
    assert equal(dict(moved.weights), dict(ticket.weights))
    assert (moved.step, moved.restart, moved.holding) == (5, "weights", "all")
    start = moved.masked()
    for name, mask in moved.mask.items():
        new = mask & ~ticket.mask[name]
        assert new.any()
        assert torch.equal(start[name][new], ticket.weights[name][new])
        assert start[name][new].count_nonzero() == new.sum()


def test_masks_of_all_controls_and_seeds_differ(ticket: Ticket):
    moves = [*MASKS, *(type(move)(seed=1) for move in MASKS)]
    masks = [ticket.mask, *((ticket | move).mask for move in moves)]
    for a, b in itertools.combinations(masks, 2):
        assert a != b
        big = max(a, key=lambda name: a[name].numel())
        assert not torch.equal(a[big], b[big])


def test_a_shuffle_moves_the_mask_within_its_tensor(ticket: Ticket):
    moved = ticket | Shuffle()
    for name in ticket.mask:
        if 0 < ticket.mask.kept_in(name) < ticket.mask[name].numel():
            assert not torch.equal(moved.mask[name], ticket.mask[name])
        assert moved.mask.kept_in(name) == ticket.mask.kept_in(name)


def test_a_random_mask_does_not_look_at_the_ticket():
    a, b = sparse(seed=1), sparse(seed=2)
    counts = {n: min(a.mask.kept_in(n), b.mask.kept_in(n)) for n in a.mask}
    first = {n: (torch.arange(m.numel()) < counts[n]).reshape(m.shape) for n, m in a.mask.items()}
    last = {n: m.flatten().flip(0).reshape(m.shape) for n, m in first.items()}
    assert (a.rebuilt(mask=Mask(first)) | RandomMask()).mask == (a.rebuilt(mask=Mask(last)) | RandomMask()).mask
    assert (a.rebuilt(mask=Mask(first)) | Shuffle()).mask != (a.rebuilt(mask=Mask(last)) | Shuffle()).mask


def test_random_masks_of_a_ladder_are_nested():
    thin, thick = sparse(density=0.1), sparse(density=0.5)
    assert (thin | RandomMask()).mask <= (thick | RandomMask()).mask


def test_an_erk_mask_has_the_densities_of_the_formula():
    ticket = sparse(ResNet(depth=8, width=4), density=0.2)
    moved, wishes = ticket | ErkMask(), erk_wishes(ticket.mask.shapes)
    rest = {n: w for n, w in wishes.items() if moved.mask.kept_in(n) < moved.mask[n].numel()}
    total = sum(moved.mask.kept_in(n) for n in rest)
    for name, wish in rest.items():
        assert abs(moved.mask.kept_in(name) - total * wish / sum(rest.values())) <= 1
    assert len(rest) > len(wishes) / 2


def test_inverted_below_half_is_disjoint(ticket: Ticket):
    moved = ticket | Invert()
    for name, mask in ticket.mask.items():
        if ticket.mask.kept_in(name) * 2 <= mask.numel():
            assert not (moved.mask[name] & mask).any()


def test_inverted_above_half_takes_all_the_dead_and_fills_up():
    ticket = sparse(density=0.7)
    moved = ticket | Invert()
    for name, mask in ticket.mask.items():
        if (dead := int((~mask).sum())) < ticket.mask.kept_in(name):
            assert moved.mask[name][~mask].all()
            assert int((moved.mask[name] & mask).sum()) == ticket.mask.kept_in(name) - dead
    assert moved.mask != (ticket | Invert(seed=1)).mask


def test_nothing_is_random_about_all_or_none():
    for density in (0.0, 1.0):
        ticket = sparse(density=density)
        for move in (Shuffle(), RandomMask(), Invert()):
            assert (ticket | move).mask == ticket.mask


# New weights under the same mask.


@pytest.mark.parametrize("draw", ["fixed", "fresh"])
@pytest.mark.parametrize("signs", ["new", "same"])
def test_reinit_gives_other_weights_from_the_same_distribution(ticket: Ticket, draw: str, signs: str):
    moved = ticket | Reinit(draw=draw, signs=signs)
    assert moved.mask == ticket.mask
    for name in ticket.mask:
        assert not torch.equal(moved.weights[name], ticket.weights[name])
        fresh = initial_weights(ticket.arch, IO, "any")[name]
        assert moved.weights[name].std() == pytest.approx(fresh.std(), rel=0.25)
        same = torch.sign(moved.weights[name]) == torch.sign(ticket.weights[name])
        assert bool(same.all()) == (signs == "same")
    assert {n for n in moved.weights if not torch.equal(moved.weights[n], ticket.weights[n])} >= set(ticket.mask)


def test_one_second_draw_for_all_levels_or_one_for_each():
    thick, thin = sparse(density=0.5), sparse(density=0.2)
    assert equal(dict((thick | Reinit()).weights), dict((thin | Reinit()).weights))
    fresh = Reinit(draw="fresh")
    assert not equal(dict((thick | fresh).weights), dict((thin | fresh).weights))
    assert equal(dict((thick | fresh).weights), dict((sparse(density=0.5) | fresh).weights))
    draws = [thick | Reinit(seed=seed, draw=draw) for seed in (0, 1) for draw in ("fixed", "fresh")]
    assert not any(equal(dict(a.weights), dict(b.weights)) for a, b in itertools.combinations(draws, 2))


def test_reinit_is_no_seed_of_find():
    """The control must not draw the very weights that another seed's ticket begins with."""
    ticket = sparse()
    for seed in range(3):
        drawn = initial_weights(ticket.arch, IO, "init", seed)
        assert not equal(dict((ticket | Reinit(seed=seed)).weights), drawn)


def test_reinit_begins_at_the_beginning_or_where_the_ticket_does(ticket: Ticket):
    assert (ticket | Reinit()).step == 0
    assert (ticket | Reinit(start="rewind")).step == 5
    trained = ticket.rebuilt(restart="rate", holding="alive", weights=ticket.masked())
    assert (trained | Reinit()).restart == "weights" and (trained | Reinit()).holding == "all"


def test_shuffled_weights_are_the_same_weights(ticket: Ticket):
    moved = ticket | Shuffle(of="weights")
    assert moved.mask == ticket.mask and moved.step == ticket.step
    for name, mask in ticket.mask.items():
        ours, theirs = ticket.weights[name][mask], moved.weights[name][mask]
        assert torch.equal(ours.sort().values, theirs.sort().values)
        assert not torch.equal(ours, theirs)
        assert torch.equal(ticket.weights[name][~mask], moved.weights[name][~mask])
    others = [name for name in ticket.weights if name not in ticket.mask]
    assert all(torch.equal(ticket.weights[name], moved.weights[name]) for name in others)
    assert not equal(moved.masked(), (ticket | Shuffle(of="weights", seed=1)).masked())


# Survivors only.


@pytest.mark.parametrize("move", MASKS, ids=str)
def test_a_new_mask_needs_the_values_under_it(move: Shuffle | RandomMask | ErkMask | Invert):
    ticket = sparse().alive()
    with pytest.raises(Refused) as error:
        ticket | move
    assert "holds its survivors only" in str(error.value)
    assert "find --out writes it unless --alive is given" in str(error.value)


@pytest.mark.parametrize("move", [Reinit(), Reinit(signs="same"), Shuffle(of="weights")], ids=str)
def test_new_weights_need_the_survivors_only(move: Reinit | Shuffle):
    whole, alive = sparse() | move, sparse().alive() | move
    assert alive.mask == whole.mask
    assert equal(alive.masked(), whole.masked())

"""Widths: what a wider network computes, what a narrower one loses, and every index against loops over units."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.moves.widths import FAMILIES, IO, axes_of, equal, lengths, of_units, outputs, sparse
from tombola.archs.mlp import Mlp
from tombola.core.errors import Refused
from tombola.core.layout import Interface, blank
from tombola.core.mask import Mask
from tombola.core.text import parse
from tombola.core.ticket import Ticket
from tombola.moves.width import Narrow, Widen

families = pytest.mark.parametrize("family", FAMILIES)
BUSY = settings(max_examples=40, deadline=None)


def by_hand(head: list[list[float]], first: list[list[float]], bias: list[float], *, dead: str = "") -> Ticket:
    """Two inputs, one hidden layer, two classes; `dead` names first-layer weights as "row,column"."""
    weights = {"stages.0.0.weight": first, "stages.0.0.bias": bias, "head.weight": head, "head.bias": [0.5, -0.5]}
    tensors = {name: torch.tensor(value) for name, value in weights.items()}
    alive = {name: torch.ones_like(tensors[name], dtype=torch.bool) for name in ("stages.0.0.weight", "head.weight")}
    for place in dead.split():
        row, column = map(int, place.split(","))
        alive["stages.0.0.weight"][row, column] = False
    arch, io = Mlp(hidden=(len(bias),)), Interface(inputs=(2,), classes=2)
    return Ticket(arch=arch, io=io, mask=Mask(alive), weights=tensors)


# Wider: the function.


@families
@pytest.mark.parametrize("density", [0.6, 1.0])
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_a_wider_network_computes_the_same(family: str, density: float, mode: str):
    ticket = sparse(FAMILIES[family][0], density=density)
    before = ticket.module()
    expected = outputs(before, IO, mode=mode)
    assert expected.std(0).min() > 1e-6, "of a silent network nothing is seen"
    for to in FAMILIES[family][1:]:
        for choose in ("spread", "random"):
            wide = ticket | Widen(to=parse("arch", to), choose=choose)
            net = wide.module()
            torch.testing.assert_close(outputs(net, IO, mode=mode), expected, rtol=1e-9, atol=1e-11)
            for name, value in before.named_buffers():  # In training, statistics of old units have moved alike.
                torch.testing.assert_close(
                    net.get_buffer(name)[: len(value)] if value.dim() else net.get_buffer(name), value
                )
            undivided = (ticket | Widen(to=parse("arch", to), choose=choose, weights="copied")).module()
            assert not torch.allclose(outputs(undivided, IO, mode=mode), expected, rtol=1e-3)


@BUSY
@given(st.data())
def test_any_wider_network_computes_the_same(data: st.DataObject):
    """Also in single precision, and with runs of any length behind a flattened map."""
    pixels = data.draw(st.sampled_from([(2, 2), (5, 4), (4, 7)]))
    io = Interface(inputs=(1, *pixels), classes=2)
    if data.draw(st.booleans()):
        old = data.draw(st.integers(1, 4))
        arch, to = f"conv(layers=2, width={old})", f"conv(layers=2, width={old + data.draw(st.integers(0, 5))})"
    else:
        old = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
        new = [width + data.draw(st.integers(0, 6)) for width in old]
        arch, to = (f"mlp(hidden={tuple(widths)})" for widths in (old, new))
        if list(parse("arch", arch).layout().axes) != list(parse("arch", to).layout().axes):
            with pytest.raises(Refused, match="leave the tensors' names as they are"):
                sparse(arch, io=io) | Widen(to=parse("arch", to))
            return
    seed = data.draw(st.integers(0, 99))
    ticket = sparse(arch, io=io, density=data.draw(st.sampled_from([0.3, 0.8, 1.0])), seed=seed)
    move = Widen(to=parse("arch", to), choose=data.draw(st.sampled_from(["spread", "random"])), seed=seed)
    single = ticket.rebuilt(weights={name: value.float() for name, value in ticket.weights.items()})
    for source, close in ((ticket, 1e-9), (single, 1e-5)):
        expected = outputs(source.module(), io, mode="eval")
        torch.testing.assert_close(outputs((source | move).module(), io, mode="eval"), expected, rtol=close, atol=close)


# Wider: the tensors.


def test_wider_by_hand():
    """Units 0, 1, 0, 1, 0: three times the one, twice the other."""
    ticket = by_hand([[6.0, 8.0], [9.0, 10.0]], [[1.0, 2.0], [3.0, 4.0]], [5.0, 6.0], dead="0,1")
    wide = ticket | Widen(to=Mlp(hidden=(5,)))
    assert wide.weights["stages.0.0.weight"].tolist() == [[1, 2], [3, 4], [1, 2], [3, 4], [1, 2]]
    assert wide.mask["stages.0.0.weight"].int().tolist() == [[1, 0], [1, 1], [1, 0], [1, 1], [1, 0]]
    assert wide.weights["stages.0.0.bias"].tolist() == [5, 6, 5, 6, 5]
    assert wide.weights["head.weight"].tolist() == [[2, 4, 2, 4, 2], [3, 5, 3, 5, 3]]
    assert wide.weights["head.bias"].tolist() == [0.5, -0.5]
    copied = ticket | Widen(to=Mlp(hidden=(5,)), weights="copied")
    assert copied.weights["head.weight"].tolist() == [[6, 8, 6, 8, 6], [9, 10, 9, 10, 9]]


@families
def test_densities_stay_where_all_units_are_doubled(family: str):
    ticket = sparse(FAMILIES[family][0])
    wide = ticket | Widen(to=parse("arch", FAMILIES[family][1]))
    for name, mask in wide.mask.items():
        assert mask.double().mean() == ticket.mask[name].double().mean(), name
    assert wide.mask.size > ticket.mask.size


def test_units_are_drawn_by_seed_and_group():
    ticket = sparse("mlp(hidden=(6, 6, 4))")
    wide = [ticket | Widen(to=Mlp(hidden=(60, 60, 40)), choose="random", seed=seed) for seed in (0, 0, 1)]
    assert equal(wide[0], wide[1]) and not equal(wide[0], wide[2])
    sources = [
        [row.tolist().index(True) for row in (wide[0].weights[f"{n}.bias"][:, None] == ticket.weights[f"{n}.bias"])]
        for n in ("stages.0.0", "stages.0.1")
    ]
    assert sources[0] != sources[1] and all(s[:6] == list(range(6)) and set(s[6:]) == set(range(6)) for s in sources)


def test_what_a_ticket_holds_stays_what_it_holds():
    ticket, move = sparse("resnet(depth=8, width=2)"), Widen(to=parse("arch", "resnet(depth=8, width=3)"), noise=0.1)
    whole, alive = ticket | move, ticket.alive() | move
    assert (whole.holding, alive.holding) == ("all", "alive")
    assert (whole.step, whole.restart, whole.data) == (5, "weights", "0")
    assert whole.weights["stem.bn.num_batches_tracked"] == 3
    assert whole.mask == alive.mask
    assert all(torch.equal(value, alive.weights[name]) for name, value in whole.masked().items())
    dead = ~whole.mask["head.weight"]
    assert whole.weights["head.weight"][dead].count_nonzero() == dead.sum()


@pytest.mark.parametrize("move", [Widen(to=Mlp(hidden=(7, 5)), noise=0.1), Narrow(to=Mlp(hidden=(3, 2)))], ids=str)
def test_masks_of_biases_move_too(move: Widen | Narrow):
    ticket = sparse("mlp(hidden=(6, 4))")
    rng = np.random.default_rng(0)
    ticket = ticket.rebuilt(
        mask=Mask({n: torch.from_numpy(rng.random(v.shape) < 0.7) for n, v in ticket.weights.items()})
    )
    moved = ticket.alive() | move
    assert list(moved.mask) == list(moved.weights) and moved.mask.shapes["stages.0.0.bias"] == move.to.hidden[:1]
    assert all(not value[~moved.mask[name]].any() for name, value in moved.weights.items())


# Wider: noise.


def test_noise_is_on_living_weights_of_new_units_only():
    ticket, to = sparse("conv(layers=2, width=4)"), parse("arch", "conv(layers=2, width=9)")
    plain, noisy = ticket | Widen(to=to), ticket | Widen(to=to, noise=0.01)
    assert plain.mask == noisy.mask and not equal(noisy, ticket | Widen(to=to, noise=0.01, seed=1))
    old = lengths(ticket)
    for name, value in plain.weights.items():
        moved = noisy.weights[name] != value
        groups = [group for group in set(to.layout().axes[name]) if group]
        new = torch.zeros_like(moved)
        for group in groups:
            new |= of_units(plain, name, group, range(old[group], lengths(plain)[group]))
        assert torch.equal(moved, new & plain.mask[name] if name in plain.mask else torch.zeros_like(moved)), name
        if moved.sum() > 500:
            change = (noisy.weights[name] - value)[moved].std() / value[plain.mask[name]].std()
            assert change == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_copies_stay_copies_in_training_unless_there_is_noise(noise: float):
    ticket = sparse("mlp(hidden=(6, 4))")
    net = (ticket | Widen(to=Mlp(hidden=(12, 8)), noise=noise)).module()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    start = net.head.weight.detach().clone()
    for _ in range(5):
        optimizer.zero_grad()
        x = torch.from_numpy(np.random.default_rng(9).normal(size=(8, *IO.inputs)))
        nn.functional.cross_entropy(net(x), torch.arange(8) % 3).backward()
        optimizer.step()
    first = net.get_parameter("stages.0.0.weight").detach()
    assert not torch.allclose(start, net.head.weight)
    assert torch.allclose(first[:6], first[6:], rtol=1e-9, atol=1e-12) == (not noise)


# Narrower.


def test_narrower_by_hand():
    """Squares of living weights: 26, 43, 36 + 9; living weights: 3, 4, 3."""
    heads, first, bias = [[4.0, 3.0, 6.0], [3.0, 3.0, 0.0]], [[1.0, 9.0], [3.0, 4.0], [0.0, 3.0]], [5.0, 6.0, 7.0]
    ticket = by_hand(heads, first, bias, dead="0,1 2,0")
    kept = {keep: (ticket | Narrow(to=Mlp(hidden=(2,)), keep=keep)) for keep in ("norm", "density", "first")}
    assert {keep: one.weights["stages.0.0.bias"].tolist() for keep, one in kept.items()} == {
        "norm": [6, 7],
        "density": [5, 6],  # A tie of the first and the last.
        "first": [5, 6],
    }
    assert kept["norm"].weights["head.weight"].tolist() == [[3, 6], [3, 0]]
    assert kept["norm"].mask["stages.0.0.weight"].int().tolist() == [[1, 1], [0, 1]]
    one = ticket | Narrow(to=Mlp(hidden=(1,)), keep="density")
    assert one.weights["stages.0.0.bias"].tolist() == [6]


def scored(ticket: Ticket, group: str, unit: int, keep: str) -> float:
    """How much the ticket as a whole loses if a unit's weights die."""
    names = [name for name in ticket.mask if group in axes_of(ticket.arch)[name]]
    lost = {name: ticket.mask[name] & of_units(ticket, name, group, [unit]) for name in names}
    return sum(float((ticket.weights[n][lost[n]] ** (2 if keep == "norm" else 0)).sum()) for n in names)


@families
@pytest.mark.parametrize("keep", ["norm", "density", "first"])
def test_a_narrower_network_computes_what_is_left_without_the_other_units(family: str, keep: str):
    """The wide network with weights that read the worst units set to zero, in evaluation and in training."""
    to, wide = FAMILIES[family][0], sparse(FAMILIES[family][2], density=0.8)
    narrow = wide | Narrow(to=parse("arch", to), keep=keep)
    silent = {name: value.clone() for name, value in wide.masked().items()}
    for group, size in lengths(wide).items():
        score = {unit: 0 if keep == "first" else scored(wide, group, unit, keep) for unit in range(size)}
        worst = sorted(score, key=lambda unit: (-round(score[unit], 9), unit))[lengths(narrow)[group] :]
        for name in wide.mask:
            silent[name][of_units(wide, name, group, worst, axes=(1, 2, 3))] = 0
    net = blank(wide.arch, IO)
    net.load_state_dict(silent, assign=True)
    for mode in ("eval", "train"):
        expected = outputs(net, IO, mode=mode)
        assert expected.std(0).min() > 1e-6
        torch.testing.assert_close(outputs(narrow.module(), IO, mode=mode), expected, rtol=1e-9, atol=1e-11)


def test_units_that_stay_are_drawn_by_seed_and_group():
    ticket, to = sparse("mlp(hidden=(40, 40))"), Mlp(hidden=(20, 20))
    drawn = [ticket | Narrow(to=to, keep="random", seed=seed) for seed in (0, 0, 1)]
    assert equal(drawn[0], drawn[1]) and not equal(drawn[0], drawn[2])
    places = [
        [ticket.weights[f"{n}.bias"].tolist().index(v) for v in drawn[0].weights[f"{n}.bias"].tolist()]
        for n in ("stages.0.0", "stages.0.1")
    ]
    assert places[0] != places[1] and all(p == sorted(set(p)) and p != list(range(20)) for p in places)


@families
@pytest.mark.parametrize("choose", ["spread", "random"])
def test_there_and_back(family: str, choose: str):
    ticket = sparse(FAMILIES[family][0])
    for to in FAMILIES[family][1:]:
        wide = ticket | Widen(to=parse("arch", to), choose=choose, weights="copied")
        assert equal(wide | Narrow(to=ticket.arch, keep="first"), ticket)
    assert equal(ticket | Widen(to=ticket.arch), ticket) and equal(ticket | Narrow(to=ticket.arch), ticket)

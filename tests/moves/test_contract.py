"""What every move must keep to: each one in the catalogue, with every word that its fields allow."""

import typing

import numpy as np
import pytest
import torch
from torch import Tensor

from tombola.archs.conv import Conv
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.core import catalogue
from tombola.core.layout import Arch, Interface, dense_mask, initial_weights
from tombola.core.lineage import Event, Lineage
from tombola.core.mask import Mask
from tombola.core.plugin import hints
from tombola.core.text import parse
from tombola.core.ticket import Ticket
from tombola.find import carry

CONTROLS = "tombola.moves.controls"
IO = Interface(inputs=(1, 8, 8), classes=10)
ARCHS = (Mlp(hidden=(12, 12, 8)), Conv(layers=2, width=4), ResNet(depth=14, width=4))
NEEDY = {  # What moves need that have a field without a default: other networks of the family, another task.
    "equalize": "density=0.25",
    "narrow": "to={slim}",
    "squeeze": "to={shallow}",
    "stretch": "to={deep}",
    "transplant": "to=digits(), dense=('head.*',)",
    "widen": "to={wide}",
}
OTHERS = (  # Those of each of the networks above; a move to one that is not here is left out.
    {
        "wide": "mlp(hidden=(24, 24, 12))",
        "slim": "mlp(hidden=(6, 6, 4))",
        "deep": "mlp(hidden=(12, 12, 12, 8))",
        "shallow": "mlp(hidden=(12, 8))",
    },
    {"wide": "conv(layers=2, width=6)", "slim": "conv(layers=2, width=2)"},
    {
        "wide": "resnet(depth=14, width=6)",
        "slim": "resnet(depth=14, width=2)",
        "deep": "resnet(depth=20, width=4)",
        "shallow": "resnet(depth=8, width=4)",
    },
)
BESIDE = {("transplant", "draw='fresh'"): "weights='reinit'"}  # Words that mean something beside others only.
REFUSED = (("scale='divided'",), (), ())  # Words that have no meaning for one of them.


def instances(name: str) -> list[str]:
    """A move's texts: what it needs, its defaults, each word of each field in turn, and another seed."""
    entry = catalogue.find_entry(name, kind="move")
    types = hints(catalogue.load(entry))
    words = {f: typing.get_args(t) for f, t in types.items() if typing.get_origin(t) is typing.Literal}
    more = [f"{f}={w!r}" for f, d in entry.fields for w in words.get(f, ()) if repr(w) != d]
    seeds = ["seed=7"] if "seed" in types else []
    said = [(NEEDY.get(name), BESIDE.get((name, one)), one) for one in ["", *more, *seeds]]
    return [f"{name}({', '.join(filter(None, words))})" for words in said]


def told(text: str, arch: Arch) -> str:
    """The text for a ticket of one of the networks, with others of its family in it; "" if there is none."""
    others = OTHERS[ARCHS.index(arch)]
    unfit = any(f"{{{word}}}" in text and word not in others for word in ("deep", "shallow", "slim", "wide"))
    return "" if unfit or any(refused in text for refused in REFUSED[ARCHS.index(arch)]) else text.format(**others)


MOVES = [text for name in catalogue.names("move") for text in instances(name)]


def sparse(arch: Arch, *, density: float = 0.3, seed: int = 0) -> Ticket:
    """A ticket as find gives it: a random mask over a network's weights, batch-norm statistics in use."""
    rng = np.random.default_rng(seed)
    weights = initial_weights(arch, IO, "source", seed)
    for name, value in weights.items():
        if name.endswith(("running_mean", "running_var")):
            weights[name] = torch.from_numpy(rng.uniform(0.5, 2, tuple(value.shape)).astype(np.float32))
    shapes = dense_mask(arch, IO).shapes
    mask = Mask({n: torch.from_numpy(rng.random(s) < density) for n, s in shapes.items()})
    made = Ticket(arch=arch, io=IO, mask=mask, weights=weights, step=5, task="digits()", recipe="recipe(steps=20)")
    events = (Event("draw()", "draw:0123456789abcdef", ""), Event("cut()", f"cut:{seed:016x}", made.digest))
    return made.rebuilt(lineage=Lineage(events))


@pytest.fixture(params=ARCHS, ids=str, scope="module")
def ticket(request: pytest.FixtureRequest) -> Ticket:
    return sparse(request.param)


def bits(weights: dict[str, Tensor]) -> dict[str, bytes]:
    return {name: value.contiguous().numpy().tobytes() for name, value in weights.items()}


@pytest.mark.parametrize("text", MOVES)
def test_a_move_keeps_to_the_contract(ticket: Ticket, text: str):
    text = told(text, ticket.arch) or pytest.skip("not for this network")
    move = parse("move", text)
    assert parse("move", str(move)) == move
    before = ticket.encoded()
    moved = ticket | move
    assert ticket.encoded() == before, "the source was changed"

    net = moved.module()
    assert set(net.state_dict()) == set(moved.weights)
    assert list(moved.mask) == list(dense_mask(moved.arch, moved.io))
    for name, mask in moved.mask.items():
        assert not net.get_parameter(name).detach()[~mask].any()
        assert torch.equal(net.get_parameter(name).detach()[mask], moved.weights[name][mask])

    assert moved.lineage.events[:-1] == ticket.lineage.events
    assert moved.lineage.last.call == f"carry(ticket={ticket.key}, by={move})"
    assert moved.lineage.last.digest == moved.digest
    assert (moved.level, moved.task, moved.recipe) == (ticket.level, ticket.task, ticket.recipe)

    again, called = ticket | parse("move", text), carry(ticket, by=move)
    assert called.key == moved.key == again.key
    assert called.encoded() == moved.encoded() == again.encoded()
    assert Ticket.decoded(moved.encoded()).encoded() == moved.encoded()


@pytest.mark.parametrize("text", MOVES)
def test_a_move_can_follow_a_move(ticket: Ticket, text: str):
    text = told(text, ticket.arch) or pytest.skip("not for this network")
    twice = ticket | parse("move", text) | parse("move", text)
    assert len(twice.lineage) == len(ticket.lineage) + 2
    twice.module()


@pytest.mark.parametrize("text", [t for t in MOVES if catalogue.find_entry(t.split("(")[0]).module == CONTROLS])
def test_a_control_keeps_the_counts(ticket: Ticket, text: str):
    for source in (ticket, sparse(ticket.arch, density=0.7, seed=1)):
        moved = source | parse("move", text)
        assert moved.mask.kept == source.mask.kept
        if not text.startswith("erk_mask"):
            assert {n: moved.mask.kept_in(n) for n in moved.mask} == {n: source.mask.kept_in(n) for n in source.mask}


def test_keys_tell_sources_and_moves_apart():
    sources = [sparse(ARCHS[0], seed=seed) for seed in (0, 1)]
    moves = [parse("move", own) for text in MOVES if (own := told(text, ARCHS[0]))]
    assert len({(source | move).key for source in sources for move in moves}) == 2 * len(set(map(str, moves)))


@pytest.mark.parametrize("text", MOVES)
def test_a_move_changes_something(ticket: Ticket, text: str):
    """In Synaptic-Flow the control that shuffles masks rebinds a local name and changes nothing."""
    moved = ticket | parse("move", told(text, ticket.arch) or pytest.skip("not for this network"))
    assert moved.mask != ticket.mask or bits(moved.masked()) != bits(ticket.masked())

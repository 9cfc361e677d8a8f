"""Finding tickets: levels, rewinding, restarts, criteria and scopes, and that a store finds the very same."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tombola.archs.conv import Conv
from tombola.archs.mlp import Mlp
from tombola.core.errors import Refused
from tombola.core.layout import dense_mask
from tombola.core.lineage import Event
from tombola.core.seeds import Seeds
from tombola.core.ticket import Ticket
from tombola.criteria.magnitude import Magnitude
from tombola.criteria.random_ import Random
from tombola.find import carry, cut, draw, find, further
from tombola.moves.controls import Reinit, Shuffle
from tombola.prune import Erk, Everywhere, PerLayer
from tombola.recall import recalled
from tombola.study.step import Step, now
from tombola.study.store import Store
from tombola.tasks.digits import Digits
from tombola.train.loop import train
from tombola.train.optimizers import Sgd
from tombola.train.recipe import Recipe
from tombola.train.trained import Trained
from tombola.verify import verify

ARCH, TASK = Mlp(hidden=(12, 8)), Digits()
RECIPE = Recipe(steps=12, batch=60, evaluate=12, rewind=3, validation=0.0)
SIZE = 64 * 12 + 12 * 8 + 8 * 10


class Recording:
    """A way of calling that notes every call and its result."""

    def __init__(self, inner: Callable[..., Any] = now) -> None:
        self.inner, self.calls = inner, []

    def __call__(self, function: Step, *args: Any, **kwargs: Any) -> Any:
        result = self.inner(function, *args, **kwargs)
        self.calls.append((function.name, kwargs, result))
        return result

    def made(self, name: str) -> list[Any]:
        return [result for called, _, result in self.calls if called == name]


@pytest.fixture(scope="module")
def recording() -> Recording:
    """Three levels, rewound to step 3, with all that was called on the way."""
    call = Recording()
    list(find(ARCH, TASK, RECIPE, levels=3, call=call))
    return call


@pytest.fixture(scope="module")
def ladder(recording: Recording) -> list[Ticket]:
    return [*recording.made("draw"), *recording.made("cut")]


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[n].view(torch.int32), b[n].view(torch.int32)) for n in a)


# Levels.


def test_the_dense_ticket_comes_first_and_then_one_a_level(ladder: list[Ticket]):
    assert [ticket.level for ticket in ladder] == [0, 1, 2, 3]
    assert ladder[0].mask == dense_mask(ARCH, TASK.io)
    left = [SIZE]
    for _ in range(3):
        left.append(left[-1] - math.ceil(left[-1] / 5))
    assert [ticket.mask.kept for ticket in ladder] == left
    assert all(sparse.mask <= dense.mask for dense, sparse in itertools.pairwise(ladder))


def test_what_is_called_is_the_algorithm_and_no_more(recording: Recording):
    assert [name for name, _, _ in recording.calls] == ["draw", "train", "cut", "train", "cut", "train", "cut"]
    for (_, _, made), (_, taken, _) in itertools.pairwise(recording.calls):
        assert made in (taken.get("ticket"), taken.get("trained"))


def test_survivors_return_to_the_rewind_point_bit_for_bit(recording: Recording, ladder: list[Ticket]):
    """Not so in Lightning for three years, nor in the multi-shot script of Synaptic-Flow."""
    point = dict(ladder[0].weights)
    for ticket, trained in zip(ladder[1:], recording.made("train"), strict=True):
        assert same(dict(ticket.weights), point)
        assert ticket.step == 3 and ticket.restart == "weights" and ticket.holding == "all"
        assert not same({n: trained.weights[n] for n in ticket.mask}, {n: point[n] for n in ticket.mask})


def test_the_rewind_point_is_three_steps_from_the_start(ladder: list[Ticket]):
    start = draw(ARCH, TASK, Recipe(steps=12, batch=60, evaluate=12, validation=0.0))
    short: Trained = train(start, TASK, Recipe(steps=3, batch=60, validation=0.0))
    assert start.step == 0
    assert same(dict(ladder[0].weights), dict(short.weights))
    assert not same(dict(ladder[0].weights), dict(start.weights))


def test_a_cut_keeps_the_largest_trained_weights(recording: Recording, ladder: list[Ticket]):
    for before, after, trained in zip(ladder, ladder[1:], recording.made("train"), strict=False):
        size = {n: trained.weights[n].abs() for n in after.mask}
        kept = torch.cat([size[n][after.mask[n]] for n in size])
        cut_off = torch.cat([size[n][before.mask[n] & ~after.mask[n]] for n in size])
        assert kept.min() >= cut_off.max() > 0
        assert (trained.weights["head.weight"][after.mask["head.weight"]] < 0).any()  # By size, not by value.


def test_every_ticket_proves_itself(recording: Recording, ladder: list[Ticket]):
    for ticket in ladder:
        verdict = verify(ticket, parents=[*ladder, *recording.made("train")])
        assert verdict.ok, verdict
        proofs = [check.name for check in verdict.checks if check.name.startswith(("nested", "rewound", "again"))]
        assert len(proofs) == 3 * ticket.level


def test_a_search_that_goes_on_is_the_same_search(ladder: list[Ticket]):
    on = list(further(ladder[1], TASK, RECIPE, levels=2))
    assert [ticket.key for ticket in on] == [ticket.key for ticket in ladder[2:]]
    assert [ticket.encoded() for ticket in on] == [ticket.encoded() for ticket in ladder[2:]]
    early = list(further(ladder[1], TASK, RECIPE, levels=2, criterion=Random(), moment="before"))
    assert [ticket.level for ticket in early] == [2, 2] and all(ticket.mask <= ladder[1].mask for ticket in early)
    assert [ticket.mask.kept for ticket in early] == [ticket.mask.kept for ticket in ladder[2:]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"densities": (0.9,)}, "density 0.9000 asks for 850 weights, only"),
        ({"densities": (0.1, 1e-7)}, "density 1e-07 would leave none of .* weights: ask for a higher one."),
        ({"densities": (0.1, 1e-7), "criterion": Random(), "moment": "before"}, "density 1e-07 would leave none"),
        ({"levels": 60}, "would leave no weight"),
        ({"levels": 1, "restart": "rate", "moment": "before"}, "goes on from trained weights"),
    ],
)
def test_a_search_that_cannot_go_on(ladder: list[Ticket], words: dict[str, Any], message: str):
    with pytest.raises(Refused, match=message):
        next(further(ladder[1], TASK, RECIPE, **words))


def test_densities_in_place_of_a_rate():
    tickets = list(find(ARCH, TASK, RECIPE, densities=(0.5, 0.49, 0.1), levels=7, keep=0.1))
    assert [ticket.mask.kept for ticket in tickets] == [SIZE, round(SIZE * 0.5), round(SIZE * 0.49), round(SIZE * 0.1)]


def test_a_density_above_what_is_alive_is_refused():
    with pytest.raises(Refused, match="Pruning cannot revive weights"):
        next(find(ARCH, TASK, RECIPE, densities=(0.5, 0.9)))
    half = cut(train(draw(ARCH, TASK, RECIPE), TASK, RECIPE), density=0.5)
    with pytest.raises(Refused, match="density 0.9000 asks for 850 weights, only 472 are alive"):
        cut(train(half, TASK, RECIPE), density=0.9)


def test_another_rate():
    assert [ticket.mask.kept for ticket in find(ARCH, TASK, RECIPE, levels=1, keep=0.35)] == [SIZE, int(SIZE * 0.35)]


def test_no_levels_is_the_dense_ticket_untrained():
    call = Recording()
    assert [ticket.level for ticket in find(ARCH, TASK, RECIPE, call=call)] == [0]
    assert [name for name, _, _ in call.calls] == ["draw"]


# Randomness and identity.


def test_the_same_call_finds_the_same(ladder: list[Ticket]):
    again = list(find(ARCH, TASK, RECIPE, levels=2))
    assert [ticket.encoded() for ticket in again] == [ticket.encoded() for ticket in ladder[:3]]


def test_another_seed_finds_others(ladder: list[Ticket]):
    other = list(find(ARCH, TASK, RECIPE, levels=1, seeds=Seeds(1)))
    assert other[1].mask != ladder[1].mask
    assert not same(dict(other[0].weights), dict(ladder[0].weights))
    drawn = [event.call for event in other[1].lineage if event.function in ("draw", "train")]
    assert len(drawn) == 2 and all("seeds=seeds(seed=1)" in call for call in drawn)


def test_the_order_of_the_data_is_drawn_apart_from_the_weights():
    recipe = Recipe(steps=12, batch=60, evaluate=12, validation=0.0)
    plain, twin = (draw(ARCH, TASK, recipe, seeds) for seeds in (Seeds(0), Seeds(0, data=5)))
    assert same(dict(plain.weights), dict(twin.weights))
    plain, twin = (draw(ARCH, TASK, RECIPE, seeds) for seeds in (Seeds(0), Seeds(0, data=5)))
    assert not same(dict(plain.weights), dict(twin.weights))


def test_a_store_finds_the_very_same_and_nothing_twice(ladder: list[Ticket], tmp_path: Any):
    heard: list[str] = []

    def listen(happening: str, call: Any, **facts: Any) -> None:
        heard.append(happening)

    store = Store(tmp_path / "runs", listen=listen)
    first = list(find(ARCH, TASK, RECIPE, levels=3, call=store))
    assert [(t.key, t.digest, t.encoded()) for t in first] == [(t.key, t.digest, t.encoded()) for t in ladder]
    assert heard.count("done") == 7 and "loaded" not in heard
    heard.clear()
    second = list(find(ARCH, TASK, RECIPE, levels=3, call=store))
    assert [ticket.encoded() for ticket in second] == [ticket.encoded() for ticket in ladder]
    assert heard == ["loaded"] * 7
    longer = list(find(ARCH, TASK, RECIPE, levels=4, call=store))
    assert longer[4].level == 4 and heard.count("done") == 2
    assert all(verify(ticket, store=store).ok for ticket in longer)


# Restarts.


@pytest.mark.parametrize("restart", ["rate", "fine-tune"])
def test_a_restart_from_trained_values(restart: Any):
    call = Recording()
    tickets = list(find(ARCH, TASK, RECIPE, levels=2, restart=restart, call=call))
    for ticket, trained in zip(tickets[1:], call.made("train"), strict=True):
        assert (ticket.restart, ticket.holding, ticket.step) == (restart, "alive", 3)
        assert same(dict(ticket.weights), ticket.mask.apply(trained.weights))
        assert verify(ticket, parents=[*tickets, *call.made("train")]).ok


def test_the_restarts_share_their_first_mask_and_then_part(ladder: list[Ticket]):
    recipe = Recipe(steps=12, batch=60, evaluate=12, rewind=3, validation=0.0, optimizer=Sgd(lr=0.5))
    found = {how: list(find(ARCH, TASK, recipe, levels=2, restart=how)) for how in ("weights", "rate")}
    assert found["weights"][1].mask == found["rate"][1].mask
    assert found["weights"][2].mask != found["rate"][2].mask


# Criteria and scopes.


def test_random_masks_are_nested_and_do_not_look_at_weights(ladder: list[Ticket]):
    tickets = list(find(ARCH, TASK, RECIPE, levels=3, criterion=Random()))
    assert [t.mask.kept for t in tickets] == [t.mask.kept for t in ladder]
    assert all(sparse.mask <= dense.mask for dense, sparse in itertools.pairwise(tickets))
    assert tickets[1].mask != ladder[1].mask
    longer = Recipe(steps=20, batch=60, evaluate=20, validation=0.0, optimizer=Sgd(lr=0.3))
    other = list(find(ARCH, TASK, longer, levels=3, criterion=Random(), seeds=Seeds(4)))
    assert [t.mask for t in other] == [t.mask for t in tickets]
    assert list(find(ARCH, TASK, RECIPE, levels=1, criterion=Random(seed=1)))[1].mask != tickets[1].mask


@pytest.mark.parametrize(
    ("scope", "kept"),
    [
        (Everywhere(exclude=("head.*",)), {"head.weight": 80}),
        (Everywhere(rounding="floor"), {}),
        (PerLayer(), {"stages.0.0.weight": 614, "stages.1.0.weight": 76, "head.weight": 64}),
        (PerLayer(halved=("head.*",)), {"head.weight": 72}),
        (PerLayer(exclude=("head.*",)), {"head.weight": 80, "stages.1.0.weight": 76}),
        (Erk(), {"head.weight": 80, "stages.1.0.weight": 96, "stages.0.0.weight": 755 - 176}),
    ],
    ids=str,
)
def test_scopes(scope: Everywhere | PerLayer | Erk, kept: dict[str, int]):
    dense, ticket = find(ARCH, TASK, RECIPE, levels=1, scope=scope)
    assert {name: ticket.mask.kept_in(name) for name in kept} == kept
    if not isinstance(scope, PerLayer):
        assert ticket.mask.kept == (SIZE - 188 if scope.rounding == "floor" else SIZE - 189)
    assert ticket.mask <= dense.mask and verify(ticket).ok


def test_biases_too():
    """Desai et al. 2019 prune every trainable tensor; the mask grows to them with the first cut."""
    call = Recording()
    scope = PerLayer(rounding="floor", tensors="all")
    tickets = list(find(ARCH, TASK, RECIPE, levels=2, keep=0.65, scope=scope, call=call))
    assert "head.bias" not in tickets[0].mask
    for ticket, left in zip(tickets[1:], (7, 5), strict=True):
        assert ticket.mask.kept_in("head.bias") == left
        assert set(ticket.mask) == {name for name, _ in ticket.module().named_parameters()}
        assert verify(ticket, parents=[*tickets, *call.made("train")]).ok
    last: Trained = train(tickets[2], TASK, RECIPE)
    assert not last.weights["head.bias"][~tickets[2].mask["head.bias"]].any()


def test_a_network_of_convolutions():
    dense, ticket = find(Conv(layers=2, width=4), Digits(size=8), RECIPE, levels=1)
    assert any(mask.dim() == 4 for mask in ticket.mask.values())
    assert ticket.mask <= dense.mask and verify(ticket).ok


# The verbs.


def test_a_chain_of_random_tickets_prunes_what_each_of_them_learned():
    """TICKET-RANDOM of Desai et al. 2019: masks come from the random tickets themselves, and are nested."""
    call = Recording()
    tickets = list(find(ARCH, TASK, RECIPE, levels=3, keep=0.5, then=Reinit(draw="fresh"), call=call))
    assert [function for function, _, _ in call.calls] == ["draw", *["train", "cut", "carry"] * 3]
    assert [ticket.level for ticket in tickets] == [0, 1, 2, 3]
    name = "stages.0.0.weight"
    for one, other in itertools.pairwise(tickets):
        assert other.mask <= one.mask and not torch.equal(one.weights[name], other.weights[name]) and other.step == 0
    own = list(find(ARCH, TASK, RECIPE, levels=3, keep=0.5))
    assert tickets[1].mask == own[1].mask and tickets[2].mask != own[2].mask
    assert verify(tickets[-1], parents=[result for _, _, result in call.calls]).ok


def test_what_is_cut_early_is_moved_too():
    tickets = list(find(ARCH, TASK, RECIPE, densities=(0.5,), moment="before", then=Shuffle()))
    plain = list(find(ARCH, TASK, RECIPE, densities=(0.5,), moment="before"))
    assert tickets[1].mask == (plain[1] | Shuffle()).mask != plain[1].mask


def test_carry_is_the_bar(ladder: list[Ticket]):
    moved = ladder[2] | Shuffle(seed=3)
    assert carry(ladder[2], by=Shuffle(seed=3)).encoded() == moved.encoded()
    assert moved.lineage.last.call == f"carry(ticket={ladder[2].key}, by=shuffle(seed=3))"


def test_a_cut_leaves_what_it_cuts_alone(recording: Recording):
    trained: Trained = recording.made("train")[0]
    before = trained.ticket.encoded()
    cut(trained, keep=0.5)
    assert trained.ticket.encoded() == before


def test_a_cut_by_hand_is_that_of_find(recording: Recording, ladder: list[Ticket]):
    by_hand = cut(recording.made("train")[1], Magnitude(), keep=0.8)
    assert by_hand.key == ladder[2].key and by_hand.encoded() == ladder[2].encoded()


@pytest.mark.parametrize(
    "call",
    [
        "cut(keep=0.8)",
        "cut(trained=draw:0123456789abcdef, keep=0.8)",
        "cut(trained=train:0123456789abcdef, keep='much')",
        "cut(trained=train:0123456789abcdef, keep=0.8, restart=3)",
        "cut(trained=train:0123456789abcdef, keep=True)",
        "cut(trained=train:0123456789abcdef, criterion=mlp())",
        "cut(trained=train:0123456789abcdef, levels=3)",
        "cut(trained='train:0123456789abcdef')",
        "cut",
    ],
)
def test_what_is_no_call_of_a_verb_is_not_recalled(call: str):
    with pytest.raises(Refused):
        recalled(Event(call, "cut:0123456789abcdef", ""))


@pytest.mark.parametrize(
    ("call", "key"),
    [
        ("carry(ticket=draw:0123456789abcdef, by=3)", "carry:0"),
        ("carry(ticket=train:0123456789abcdef, by=shuffle())", "carry:0"),
        ("carry(ticket=draw:0123456789abcdef, by=shuffle())", "cut:0"),
        ("alive()", "alive:0"),
        ("alive(ticket=draw:0123456789abcdef, by=shuffle())", "alive:0"),
        ("draw(arch=mlp(), task=digits(), recipe=recipe(), seeds=3)", "draw:0"),
        ("draw(arch=mlp(), task=digits(), recipe=recipe(), context=digits())", "draw:0"),
        ("draw(arch=digits(), task=digits(), recipe=recipe())", "draw:0"),
        ("verify(ticket=draw:0123456789abcdef)", "verify:0"),
    ],
)
def test_nor_of_another(call: str, key: str):
    with pytest.raises(Refused):
        recalled(Event(call, key, ""))


def test_every_call_of_a_lineage_is_recalled(ladder: list[Ticket]):
    moved = (ladder[3] | Shuffle()).alive()
    assert [recalled(event).key for event in moved.lineage] == [event.key for event in moved.lineage]


@pytest.mark.parametrize(
    "asked",
    [
        {"densities": (0.2, 0.5)},
        {"levels": 3, "scope": PerLayer(halved=("hed.weight",))},
        {"levels": 3, "scope": Everywhere(exclude=("nothing",))},
        {"levels": 3, "keep": 1.5},
    ],
    ids=str,
)
def test_what_a_cut_would_refuse_is_refused_before_anything_is_trained(asked: dict[str, Any]):
    def call(*_: Any, **__: Any) -> Any:
        pytest.fail("something was run")

    with pytest.raises(Refused):
        next(find(Mlp(hidden=(8,)), Digits(), Recipe(steps=1, validation=0.0), call=call, **asked))


def test_patterns_for_biases_fit_a_scope_that_prunes_all_tensors():
    scope = PerLayer(halved=("*.bias",), tensors="all")
    assert next(find(Mlp(hidden=(8,)), Digits(), Recipe(steps=1, validation=0.0), levels=1, scope=scope)).density == 1

"""Several tickets into one: against the same thing counted weight by weight, and proved like any other ticket."""

import dataclasses
import itertools
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from tests.test_verify import flipped, forged, passed
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.core.seeds import Seeds
from tombola.core.ticket import Ticket
from tombola.criteria.random_ import Random
from tombola.find import cut_early, draw
from tombola.merge import HOWS, How, Values, merge
from tombola.prune import Everywhere
from tombola.tasks.digits import Digits
from tombola.train.recipe import Recipe
from tombola.verify import verify

TASK = Digits()
RECIPE = Recipe(steps=6, batch=60, evaluate=6)
SMALL, DEEP = Mlp(hidden=(5, 5)), ResNet(depth=14, width=2)


def made(number: int, arch: object = SMALL, *, levels: int = 1, density: float = 0.5) -> Ticket:
    """A ticket of its own seed, cut at random."""
    ticket = draw(arch, TASK, RECIPE, Seeds(number))  # type: ignore[arg-type]
    for level in range(levels):
        ticket = cut_early(ticket, TASK, RECIPE, Random(seed=10 * number + level), density=density ** (level + 1))
    return ticket


TICKETS = [made(number) for number in range(4)]
NETS = [made(number, DEEP) for number in range(3)]


def counted(tickets: Sequence[Ticket], how: How, values: Values) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Masks and weights, one number at a time."""
    masks: dict[str, Tensor] = {}
    weights: dict[str, Tensor] = {}
    for name, like in tickets[0].weights.items():
        columns = [ticket.weights[name].flatten().tolist() for ticket in tickets]
        masked = name in tickets[0].mask
        lives = [t.mask[name].flatten().tolist() if masked else [True] * like.numel() for t in tickets]
        alive, numbers = [], []
        for place in range(like.numel()):
            living = [column[place] for column, live in zip(columns, lives, strict=True) if live[place]]
            here = {
                "union": len(living) >= 1,
                "vote": 2 * len(living) > len(tickets),
                "intersection": len(living) == len(tickets),
            }[how]
            alive.append(here or not masked)
            if not here:
                numbers.append(columns[0][place])
            elif values == "first" or not like.is_floating_point():
                numbers.append(living[0])
            else:
                total = 0.0
                for value in living:
                    total += value
                numbers.append(total / len(living))
        weights[name] = torch.tensor(numbers, dtype=like.dtype).reshape(like.shape)
        if masked:
            masks[name] = torch.tensor(alive).reshape(like.shape)
    return masks, weights


@pytest.mark.parametrize("tickets", [TICKETS[:2], TICKETS[:3], TICKETS, NETS], ids=["two", "three", "four", "resnet"])
@pytest.mark.parametrize("values", ["mean", "first"])
@pytest.mark.parametrize("how", ["union", "vote", "intersection"])
def test_it_is_what_counting_gives(how: How, values: Values, tickets: list[Ticket]):
    known = [dataclasses.replace(one, weights={**one.weights, **_buffers(one, n)}) for n, one in enumerate(tickets)]
    one = merge(tuple(known), how, values)
    masks, weights = counted(known, how, values)
    assert one.mask == Mask(masks) and one.holding == "all" and list(one.weights) == list(known[0].weights)
    for name, value in weights.items():
        assert torch.equal(one.weights[name], value) and one.weights[name].dtype == value.dtype, name


def _buffers(ticket: Ticket, number: int) -> dict[str, Tensor]:
    """Statistics that are not those of the start."""
    found: dict[str, Tensor] = {}
    for name, value in ticket.weights.items():
        if name.endswith("running_var"):
            found[name] = value * (number + 1.5)
        elif name.endswith("num_batches_tracked"):
            found[name] = value + number + 7
    return found


def test_half_is_no_majority():
    pair, four = merge(TICKETS[:2], "vote"), merge(TICKETS, "vote")
    assert pair.mask == merge(TICKETS[:2], "intersection").mask
    most = sum(t.mask["head.weight"].int() for t in TICKETS)
    assert torch.equal(four.mask["head.weight"], most >= 3) and bool((most == 2).any())


@pytest.mark.parametrize("how", HOWS)
def test_a_ticket_merged_with_itself_is_itself(how: How):
    for ticket in (TICKETS[0], NETS[0], TICKETS[0].alive()):
        twice = merge((ticket, ticket), how)
        assert twice.digest == ticket.digest and len(twice.lineage) == len(ticket.lineage) + 1


def test_nothing_is_held_under_dead_positions_where_one_ticket_holds_nothing_there():
    for how in HOWS:
        one = merge((TICKETS[0], TICKETS[1].alive()), how)
        whole = merge(TICKETS[:2], how)
        assert (one.holding, one.mask) == ("alive", whole.mask)
        assert all(torch.equal(value, whole.masked()[name]) for name, value in one.weights.items())


def test_biases_in_the_mask_are_masked():
    scope = Everywhere(tensors="all")
    cuts = [
        cut_early(draw(SMALL, TASK, RECIPE, Seeds(s)), TASK, RECIPE, Random(seed=s), scope, density=0.5) for s in (0, 1)
    ]
    one = merge(cuts, "intersection")
    assert "head.bias" in one.mask and one.mask == cuts[0].mask & cuts[1].mask


# Stitching.


def test_parts_come_in_turn():
    tickets = NETS[:2]
    one = merge(tickets, "stitch")
    turns = {"stem": 0, "head": 1}
    turns |= {f"stages.{i}.{j}": (2 * i + j) % 2 for i, j in itertools.product(range(3), range(2))}
    for name, value in one.weights.items():
        own = tickets[next(number for part, number in turns.items() if name.startswith(f"{part}."))]
        assert torch.equal(value, own.weights[name]), name
        if name in one.mask:
            assert torch.equal(one.mask[name], own.mask[name]), name


def test_turns_go_on_from_stage_to_stage():
    one = merge(NETS, "stitch")
    givers = [
        next(n for n, ticket in enumerate(NETS) if torch.equal(one.weights[name], ticket.weights[name]))
        for name in ("stem.conv.weight", *(f"stages.{i}.{j}.conv1.weight" for i in range(3) for j in range(2)))
    ]
    assert givers == [0, 0, 1, 2, 0, 1, 2]
    assert torch.equal(one.weights["head.weight"], NETS[2].weights["head.weight"])


def test_stitched_survivors_alone():
    one = merge((NETS[0].alive(), NETS[1]), "stitch")
    assert one.holding == "alive" and passed(verify(one))


# What is refused.


@pytest.mark.parametrize(
    ("tickets", "settings", "message"),
    [
        (TICKETS[:1], {}, "1 tickets are given. Give two or more"),
        ((), {}, "0 tickets are given"),
        (TICKETS[0], {}, "Give them in a row"),
        ((TICKETS[0], "a"), {}, r"'a' \(str\) is no ticket"),
        ((TICKETS[0], NETS[0]), {}, r"has arch mlp\(hidden=\(5, 5\)\), and .* has resnet\(depth=14, width=2\)"),
        ((TICKETS[0], TICKETS[1].rebuilt(step=3)), {}, r"has step 0, and .* has 3\. Give tickets of one rewind point"),
        ((TICKETS[0], TICKETS[1].rebuilt(restart="rate")), {}, "has restart weights, and .* has rate"),
        (TICKETS[:2], {"how": "xor"}, "how is 'xor'. It is union or vote or intersection or stitch"),
        (TICKETS[:2], {"values": "last"}, "values is 'last'. It is mean or first"),
        (TICKETS[:2], {"how": "stitch", "values": "first"}, "'values' means nothing"),
        (TICKETS, {"how": "stitch"}, r"has 2 entries and blocks to stitch, and ticket 3 of 4 would give none"),
    ],
)
def test_what_does_not_belong_together_is_refused(tickets: object, settings: dict[str, str], message: str):
    with pytest.raises(Refused, match=message):
        merge(tickets, **settings)


def test_other_inputs_scopes_and_types_are_refused():
    wide = dataclasses.replace(TICKETS[1], io=Digits(size=16).io)
    with pytest.raises(Refused, match="has io interface"):
        merge((TICKETS[0], wide))
    everything = cut_early(draw(SMALL, TASK, RECIPE), TASK, RECIPE, Random(), Everywhere(tensors="all"), density=0.5)
    with pytest.raises(Refused, match=r"'head\.bias' is masked in one of .* in the same scope"):
        merge((TICKETS[0], everything))
    exact = TICKETS[1].rebuilt(weights={n: v.double() for n, v in TICKETS[1].weights.items()})
    with pytest.raises(Refused, match=r"is torch\.float32 in .* and torch\.float64 in"):
        merge((TICKETS[0], exact))


def test_no_weight_left_is_refused():
    other = forged(TICKETS[0], mask=~TICKETS[0].mask)
    other = other.rebuilt(lineage=TICKETS[1].lineage)
    with pytest.raises(Refused, match="no weight lives in the intersection of these 2 tickets"):
        merge((TICKETS[0], other), "intersection")


def test_histories_that_contradict_each_other_are_refused():
    other = forged(TICKETS[0], mask=flipped(TICKETS[0].mask, "head.weight", kill=0))
    assert other.key == TICKETS[0].key
    with pytest.raises(Refused, match=f"{other.key} gave one result behind one of the inputs and another one"):
        merge((TICKETS[0], other))

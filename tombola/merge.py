"""The verb `merge`: several tickets of one network become one, by their masks or part by part.

Chen et al. 2021 make every target of one source. Here each source is stretched to the target first, and then:

    deep = [ticket | Stretch(to=target) for ticket in tickets]
    one = merge(deep, how="vote")
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from tombola.checks import check_word
from tombola.core.errors import Refused
from tombola.core.lineage import joined
from tombola.core.mask import Mask
from tombola.core.ticket import Ticket
from tombola.moves.copying import Interpolate
from tombola.moves.origins import origins
from tombola.study.deferred import kind_of
from tombola.study.step import step

How = Literal["union", "vote", "intersection", "stitch"]
HOWS = ("union", "vote", "intersection", "stitch")
Values = Literal["mean", "first"]
VALUES = ("mean", "first")


def _in_order(tickets: Any, how: Any, values: Any) -> dict[str, Any]:
    """The arguments, looked at as soon as they are given: calls may be made much later."""
    check_word("how", how, HOWS)
    check_word("values", values, VALUES)
    if not isinstance(tickets, list | tuple):
        raise Refused(f"merge: 'tickets' is {tickets!r}. Give them in a row: (first, second).")
    if odd := [one for one in tickets if not issubclass(kind_of(one), Ticket)]:
        raise Refused(f"merge: {odd[0]!r} ({kind_of(odd[0]).__name__}) is no ticket.")
    if len(tickets) < 2:
        raise Refused(f"merge: {len(tickets)} tickets are given. Give two or more; carry() changes a single one.")
    if how == "stitch" and values != "mean":
        raise Refused("merge: 'stitch' takes each part from one ticket, so that 'values' means nothing. Leave it out.")
    return {"tickets": tuple(tickets), "how": how, "values": values}  # A list would have another key.


@step("merge", prepare=_in_order)
def merge(tickets: tuple[Ticket, ...], how: How = "union", values: Values = "mean") -> Ticket:
    """Make one ticket of several of one network.

    What belongs to no mask (biases, batch norm with its statistics) is averaged over all tickets, or the first one's;
    counters are the first one's. Dead positions hold the first ticket's rewound values if all tickets hold theirs; else
    the result holds its survivors only. Averaged statistics fit no network: `renorm` gathers them again.

    Args:
        tickets: Of equal network, step and restart; two or more. The first comes first wherever one must.
        how: Alive is what lives in any ticket ("union"), in more than half of them ("vote": a tie is dead, so that of
            two tickets it is the intersection), in all ("intersection"). Or "stitch": the entries and blocks of the
            stages come whole from the tickets in turn, stem from the first and head from the last.
        values: A living weight is the "mean" over the tickets in which it lives, or that of the "first" of them.

    Raises:
        Refused: If the tickets do not belong together, one would give nothing, or no weight would live.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.criteria.random_ import Random
        >>> from tombola.find import cut_early, draw
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.recipes import Quickstart
        >>> dense = draw(Mlp(hidden=(8,)), Digits(), Quickstart())
        >>> cuts = [cut_early(dense, Digits(), Quickstart(), Random(seed=s), density=0.5) for s in (0, 1)]
        >>> both = merge(cuts)
        >>> all(one.mask <= both.mask for one in cuts), both.level, both.moves
        (True, 1, ('merge',))
    """
    _check(tickets)
    mask, weights = _stitched(tickets) if how == "stitch" else _joined(tickets, how, values)
    if not mask.kept:
        raise Refused(f"merge: no weight lives in the {how} of these {len(tickets)} tickets. Use 'union' or 'stitch'.")
    first, whole = tickets[0], all(ticket.holding == "all" for ticket in tickets)
    said = {name: {getattr(ticket, name) for ticket in tickets} for name in ("task", "recipe", "data")}
    return first.rebuilt(
        mask=mask,
        weights=weights if whole else mask.apply(weights),
        holding="all" if whole else "alive",
        lineage=joined("merge", (ticket.lineage for ticket in tickets)),
        **{name: texts.pop() if len(texts) == 1 else "" for name, texts in said.items()},
    )


def _check(tickets: Sequence[Ticket]) -> None:
    """Whether tickets belong together."""
    first = tickets[0]
    for other in tickets[1:]:
        for what, out in (
            ("arch", "Stretch each to one network first: ticket | stretch(to=...)."),
            ("io", "Give tickets of networks for equal inputs and classes."),
            ("step", "Give tickets of one rewind point."),
            ("restart", "Give tickets that restart alike."),
        ):
            own, theirs = getattr(first, what), getattr(other, what)
            if own != theirs:
                raise Refused(f"merge: {first!r} has {what} {own}, and {other!r} has {theirs}. {out}")
        if different := sorted(set(first.mask.shapes) ^ set(other.mask.shapes)):
            raise Refused(
                f"merge: '{different[0]}' is masked in one of {first!r} and {other!r} and not in the other. Give "
                "tickets that were cut in the same scope."
            )
        for name, value in first.weights.items():
            if value.dtype != other.weights[name].dtype:
                raise Refused(
                    f"merge: '{name}' is {value.dtype} in {first!r} and {other.weights[name].dtype} in {other!r}. Give "
                    "tickets of one type."
                )


def _joined(tickets: Sequence[Ticket], how: How, values: Values) -> tuple[Mask, dict[str, Tensor]]:
    """Masks counted position by position, and values to go with them."""
    first, least = tickets[0], {"union": 1, "vote": len(tickets) // 2 + 1, "intersection": len(tickets)}[how]
    alive: dict[str, Tensor] = {}
    weights: dict[str, Tensor] = {}
    for name, own in first.weights.items():
        every = [ticket.weights[name] for ticket in tickets]
        if name in first.mask:
            lives = [ticket.mask[name] for ticket in tickets]
            alive[name] = sum(one.to(torch.int32) for one in lives) >= least  # type: ignore[assignment]
            weights[name] = torch.where(alive[name], _value(every, lives, values), own)
        elif values == "first" or not own.is_floating_point():
            weights[name] = own
        else:
            weights[name] = _value(every, [torch.ones_like(own, dtype=torch.bool)] * len(every), values)
    return Mask({name: alive[name] for name in first.mask}), weights


def _value(every: Sequence[Tensor], lives: Sequence[Tensor], values: Values) -> Tensor:
    """At each position the mean of those that live there, or the first one of them; 0 where none does."""
    if values == "first":
        made = torch.zeros_like(every[0])
        for value, alive in reversed(list(zip(every, lives, strict=True))):
            made = torch.where(alive, value, made)
        return made
    total = torch.zeros_like(every[0], dtype=torch.float64)  # Equal values have themselves as their mean.
    for value, alive in zip(every, lives, strict=True):
        total += torch.where(alive, value.double(), 0.0)
    number = torch.stack(list(lives)).sum(0)
    return (total / number.clamp(min=1)).to(every[0].dtype)


def _stitched(tickets: Sequence[Ticket]) -> tuple[Mask, dict[str, Tensor]]:
    """Whole parts, each from one ticket."""
    first, givers = tickets[0], _givers(tickets)
    own = {name: tickets[number] for name, number in givers.items()}
    mask = Mask({name: own[name].mask[name] for name in first.mask})
    return mask, {name: own[name].weights[name] for name in first.weights}


def _givers(tickets: Sequence[Ticket]) -> Mapping[str, int]:
    """For each entry of the state dict the number of the ticket that gives it."""
    arch, io, last = tickets[0].arch, tickets[0].io, len(tickets) - 1
    layout, owners = arch.layout(), origins(arch, arch, io, Interpolate()).owners
    inner = [part for stage in layout.stages for part in (stage.entry, *stage.blocks) if part]
    turns = {part: place % len(tickets) for place, part in enumerate(inner)}
    turns |= dict.fromkeys(layout.stem, 0) | dict.fromkeys(layout.head, last)
    if idle := sorted(set(range(len(tickets))) - set(turns.values())):
        raise Refused(
            f"merge: {arch} has {len(inner)} entries and blocks to stitch, and ticket {idle[0] + 1} of {len(tickets)} "
            "would give none. Give fewer tickets."
        )
    return {name: turns[part] for name, part in owners.items()}

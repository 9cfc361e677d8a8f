"""The verb `align`: a mask carried to another initialisation, its units in the order of that one's (Adnan et al. 2025).

Networks that were trained from different initial weights may lie in one basin of the loss, but for the order of their
units (Ainsworth et al. 2023). A mask names units by their places, so that on other initial weights it keeps the wrong
ones. Train both dense networks, find the order in which the first is most like the second, and carry the mask in it:

    *_, ticket = find(arch, task, recipe, levels=9, seeds=Seeds(0), call=runs)
    first, onto = (runs(draw, arch=arch, task=task, recipe=recipe, seeds=Seeds(s)) for s in (0, 1))
    source, target = (runs(train, ticket=one, task=task, recipe=recipe) for one in (first, onto))
    aligned = runs(align, ticket=ticket, onto=onto, source=source, target=target)
"""

import dataclasses
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import torch

from tombola.checks import check_word
from tombola.core.errors import Failed, Refused
from tombola.core.layout import Arch, Interface, blank
from tombola.core.lineage import joined
from tombola.core.mask import Mask
from tombola.core.measurement import Measurement
from tombola.core.ticket import Ticket
from tombola.moves.matching import SCALES, Matching, Scale, matching
from tombola.moves.permuting import Permutations, cosines, gathered, permuted
from tombola.moves.width import widths
from tombola.probes.activations import matched_by_activations
from tombola.probes.rearranged import check_same_function
from tombola.study.step import Context, step
from tombola.train.device import threads
from tombola.train.trained import Trained

Tensors = Literal["parameters", "weights", "all"]
TENSORS = ("parameters", "weights", "all")
Match = Literal["weights", "activations"]
MATCHES = ("weights", "activations")
SEARCH = {"tensors": "parameters", "scale": "plain", "starts": 1, "seed": 0}
"""What is said of matching by weights, where nothing else is."""
EXAMPLES_SEEN = 2000


def _in_order(**given: Any) -> dict[str, Any]:
    """The arguments, looked at as soon as they are given: calls may be made much later."""
    check_word("tensors", given["tensors"], TENSORS)
    check_word("scale", given["scale"], SCALES)
    check_word("match", given["match"], MATCHES)
    if given["starts"] < 1:
        raise Refused(f"starts is {given['starts']}. The search begins from 1 order or more.")
    if given["examples"] < 0:
        raise Refused(f"examples is {given['examples']}. It is 0 (all of them) or more.")
    if given["match"] == "activations" and (odd := [n for n, usual in SEARCH.items() if given[n] != usual]):
        raise Refused(f"'{odd[0]}' is of matching by weights. By activations there is nothing to search: leave it out.")
    if given["match"] == "weights" and given["examples"] != EXAMPLES_SEEN:
        raise Refused("'examples' are for match='activations'; matching by weights sees none.")
    return given


@step("align", prepare=_in_order)
def align(
    ticket: Ticket,
    onto: Ticket,
    source: Trained,
    target: Trained,
    tensors: Tensors = "parameters",
    scale: Scale = "plain",
    starts: int = 1,
    seed: int = 0,
    match: Match = "weights",
    examples: int = EXAMPLES_SEEN,
    *,
    context: Context = Context(),
) -> Ticket:
    """The ticket's mask on another initialisation, its units in the order of that one's (Adnan et al. 2025).

    The permutation is the one that brings `source` closest to `target`; it acts on the mask alone. Weights, step, task
    and recipe are those of `onto`, and each tensor keeps as many weights as it did. Without permutation the same mask
    on other weights is `transplant(weights='init')` or `reinit`: the control. Adnan et al. match activations on
    training data (`match="activations"`; Ainsworth et al. 2023, section 3.1); weights need no data (section 3.2 there).

    `onto` may be a wider or narrower network of the family. Units of the ticket then stand at several places of a wider
    one, each as often as any other or once more, and a narrower one has those that it matches best. That is an open
    problem (Chen et al. 2021, who tried widths without matching): `widen` and `narrow`, which carry values too and
    match nothing, and `shuffle` are its controls. A tensor's density need not stay.

    Args:
        ticket: The ticket whose mask is carried.
        onto: The dense ticket of the new initialisation, at its start or its rewind point.
        source: The dense network that was trained from the ticket's own initialisation.
        target: The dense network that was trained from `onto`.
        tensors: What is matched: all learned "parameters" (Ainsworth et al. 2023); the prunable "weights" alone; "all",
            running statistics of batch norm among them, as in some ports.
        scale: "plain" products, or those of each tensor at "unit" norm.
        starts: From how many orders the search begins; the best one is kept.
        seed: Of the order in which permutations are gone through, and of further starts.
        match: What is to be alike, in "weights" or in "activations".
        examples: For "activations": so many training examples of the target's task, always the same; 0: all.

    Raises:
        Refused: If these do not belong together, networks differ in more than widths, or their layout lets nothing
            permute.
        Failed: If permuting changes what the network computes: its layout is wrong.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.core.seeds import Seeds
        >>> from tombola.criteria.random_ import Random
        >>> from tombola.find import cut_early, draw
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.loop import train
        >>> from tombola.train.recipe import Recipe
        >>> task, recipe = Digits(), Recipe(steps=2, batch=60)
        >>> own, onto = (draw(Mlp(hidden=(8,)), task, recipe, Seeds(s)) for s in (0, 1))
        >>> source, target = (train(one, task, recipe) for one in (own, onto))
        >>> ticket = cut_early(own, task, recipe, Random(), density=0.5)
        >>> there = align(ticket, onto, source, target)
        >>> there.mask.kept == ticket.mask.kept, there.mask == ticket.mask, there.level
        (True, False, 1)
    """
    _check(ticket, onto, source, target)
    axes = ticket.arch.layout().axes
    how = _How(tensors, scale, starts, seed, match, examples, context)
    orders = how.matched(source, target).permutations
    if ticket.arch == onto.arch:
        _check_permuted(ticket, source, orders)
    mask = Mask.taking(gathered(ticket.mask, axes, orders))
    lineages = (ticket.lineage, onto.lineage, source.lineage, target.lineage)
    return onto.rebuilt(mask=mask, holding="all", lineage=joined("align", lineages))


@step("alignment", prepare=_in_order)
def alignment(
    source: Trained,
    target: Trained,
    tensors: Tensors = "parameters",
    scale: Scale = "plain",
    starts: int = 1,
    seed: int = 0,
    match: Match = "weights",
    examples: int = EXAMPLES_SEEN,
    *,
    context: Context = Context(),
) -> Measurement:
    """How alike two trained networks are, as they stand and in the order that `align` finds.

    `cosine_before` and `cosine_after` are means over the tensors that are matched. Matching finds likeness in noise
    too: `start_before` and `start_after` are the same of the weights that the two trainings began with. `moved` is the
    fraction of units with another place, `sweeps` how often all permutations were gone through.

    Raises:
        Refused: If the networks are not of one kind, or their layout lets nothing permute.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.find import draw
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.loop import train
        >>> from tombola.train.recipe import Recipe
        >>> recipe = Recipe(steps=2, batch=60)
        >>> one = train(draw(Mlp(hidden=(8,)), Digits(), recipe), Digits(), recipe)
        >>> round(alignment(one, one).numbers()["cosine_before"], 6), alignment(one, one).numbers()["moved"]
        (1.0, 0.0)
    """
    _check_kind("source", source.ticket, "target", target.ticket)
    arch, io, named = source.ticket.arch, source.ticket.io, {}
    how, names = _How(tensors, scale, starts, seed, match, examples, context), _entering(arch, io, tensors)
    begun = [dataclasses.replace(one, weights=one.ticket.weights) for one in (source, target)]
    for name, (one, two) in (("start", begun), ("cosine", (source, target))):
        found = how.matched(one, two)
        before = cosines(two.weights, one.weights, names)
        after = cosines(two.weights, permuted(one.weights, arch.layout().axes, found.permutations), names)
        named |= {f"{name}_before": _mean(before.values()), f"{name}_after": _mean(after.values())}
    table = tuple({"tensor": name, "before": before[name], "after": after[name]} for name in names)
    return Measurement({**named, "moved": found.moved, "sweeps": found.sweeps}, tables={"tensors": table})


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


@dataclasses.dataclass(frozen=True)
class _How:
    """How units are matched."""

    tensors: Tensors
    scale: Scale
    starts: int
    seed: int
    match: Match
    examples: int
    context: Context

    def matched(self, source: Trained, target: Trained) -> Matching:
        """The order of the source's units that is most like the target."""
        arch, io = source.ticket.arch, source.ticket.io
        if self.match == "activations":
            with threads(self.context.machine):
                device = torch.device(self.context.machine.device)
                return matched_by_activations(source, target, self.examples, device)
        names = _entering(arch, io, self.tensors)
        how: Any = {"scale": self.scale, "starts": self.starts, "seed": self.seed}
        return matching(target.weights, source.weights, arch.layout().axes, tensors=names, **how)


def _entering(arch: Arch, io: Interface, tensors: Tensors) -> list[str]:
    """The tensors that are matched, in the order of the layout."""
    layout = arch.layout()
    learned = {name for name, _ in blank(arch, io).named_parameters()}
    among = {"weights": set(layout.prunable), "parameters": learned, "all": set(layout.axes)}[tensors]
    return [name for name, groups in layout.axes.items() if any(groups) and name in among]


def _check(ticket: Ticket, onto: Ticket, source: Trained, target: Trained) -> None:
    """Whether the four belong together."""
    _check_kind("ticket", ticket, "source", source.ticket)
    _check_kind("onto", onto, "target", target.ticket)
    if ticket.arch == onto.arch or ticket.io != onto.io:
        _check_kind("ticket", ticket, "onto", onto)
    else:
        widths("align", ticket, onto.arch)
    for name, one in (("onto", onto.mask), ("source", source.mask), ("target", target.mask)):
        if one.kept < one.size:
            raise Refused(
                f"align: '{name}' has a density of {one.density:.4g}, and networks are matched whole. Give the dense "
                "ticket that draw() makes, and what was trained from it without rewiring."
            )
    if target.ticket.digest != onto.digest:
        raise Refused(
            f"align: 'target' was trained from {target.ticket.key}, and 'onto' is {onto.key}. The permutation is of "
            "the network that grows from the new weights: train 'onto' itself."
        )
    if source.ticket.digest not in {event.digest for event in ticket.lineage}:
        raise Refused(
            f"align: 'source' was trained from {source.ticket.key}, which is not in the lineage of {ticket!r}. The "
            "permutation is of the network that the mask was found in: train the ticket that its search began with."
        )


def _check_kind(here: str, ticket: Ticket, there: str, other: Ticket) -> None:
    for what in ("arch", "io"):
        own, theirs = getattr(ticket, what), getattr(other, what)
        if own != theirs:
            raise Refused(
                f"align: '{here}' has {what} {own}, and '{there}' has {theirs}. Units are matched in networks of one "
                "architecture and one interface; transplant() carries a ticket to a task of other classes."
            )


def _check_permuted(ticket: Ticket, source: Trained, orders: Permutations) -> None:
    """Whether the network computes what it did when mask and weights are permuted together, dense and sparse.

    Raises:
        Failed: If it does not.
    """
    axes, mask = ticket.arch.layout().axes, ticket.mask
    moved, there = Mask.taking(permuted(mask, axes, orders)), permuted(source.weights, axes, orders)
    check_same_function(ticket.arch, ticket.io, source.weights, there)
    check_same_function(ticket.arch, ticket.io, mask.apply(source.weights), moved.apply(there))
    if odd := [name for name in mask if moved.kept_in(name) != mask.kept_in(name)]:
        raise Failed(f"align: permuting changed how many weights of '{odd[0]}' live. This is a bug; please report it.")

"""`tombola carry` and `plan-move`: tickets moved to other networks, and what that would do."""

from typing import Any

from rich.table import Table

from tombola.commands.shared import PLAIN, check_not_lost, print_json, quoted
from tombola.core.errors import Refused
from tombola.core.files import check_writable
from tombola.core.layout import Layout, blank
from tombola.core.text import parse
from tombola.core.ticket import Ticket
from tombola.moves.origins import Origins
from tombola.moves.stretch import Stretch
from tombola.prune.layers import CUT_OFF, weak_layers
from tombola.train.flops import flops
from tombola.words.moves import Carry, PlanMove


def carry(asked: Carry) -> int:
    """`tombola carry`: a move applied to a ticket."""
    ticket, move = Ticket.load(asked.file), parse("move", asked.move)
    check_not_lost(asked.out, asked.file, asked.use)
    check_writable(asked.out)
    moved = ticket | move
    moved.save(asked.out)
    if asked.json:
        counts = {"density": moved.density, "kept": moved.mask.kept, "size": moved.mask.size}
        print_json({"out": asked.out, "key": moved.key, **counts})
    else:
        PLAIN.print(f"{asked.out}: {moved!r}")
        for warning in weak_layers(moved.mask, most=CUT_OFF):
            PLAIN.print(f"warning: {warning}")
    return 0


def planmove(asked: PlanMove) -> int:
    """`tombola plan-move`: which block comes from where, and what the ticket becomes; nothing is written."""
    ticket, move = Ticket.load(asked.file), parse("move", asked.move)
    if not isinstance(move, Stretch):
        raise Refused(f"{move} exchanges no blocks. plan-move is for stretch(to=...) and squeeze(to=...).")
    found, after = move.origins(ticket.arch, ticket.io), ticket | move
    places = [
        {"place": place, "sources": sources, "before": before, "after": then}
        for (place, before), (_, then), sources in zip(
            _places(ticket), _places(after), _sources(found, move.to.layout()), strict=True
        )
    ]
    totals = [{"arch": str(one.arch), "density": one.density, **_sizes(one)} for one in (ticket, after)]
    if asked.json:
        fresh = sorted(found.fresh)
        print_json(
            {
                "move": str(move),
                "before": totals[0],
                "after": totals[1],
                "places": places,
                "parts": found.parts,
                "fresh": fresh,
            }
        )
        return 0
    PLAIN.print(f"from {ticket.arch} to {after.arch}\n")
    PLAIN.print(_map_table(move.to.layout(), found, places))
    PLAIN.print()
    PLAIN.print(_totals_table(totals))
    PLAIN.print()
    PLAIN.print(_told(found, move, ticket))
    own = "".join(f" --use {quoted(path)}" for path in asked.use)
    words = f"{quoted(str(asked.file))} {quoted(str(move))}"
    PLAIN.print(f"Nothing is written. To do it: tombola carry {words}{own} --out FILE.ticket")
    return 0


def _places(ticket: Ticket) -> list[tuple[str, dict[str, Any]]]:
    """Stem, stages and head, with the weights that each has and keeps."""
    layout, mask = ticket.arch.layout(), ticket.mask
    parts = {f"stage {n}": tuple(filter(None, (s.entry, *s.blocks))) for n, s in enumerate(layout.stages, start=1)}
    places: list[tuple[str, dict[str, Any]]] = []
    for place, names in {"stem": layout.stem, **parts, "head": layout.head}.items():
        inside = [n for n in mask if n.startswith(tuple(f"{name}." for name in names))]
        kept, size = sum(map(mask.kept_in, inside)), sum(mask[name].numel() for name in inside)
        density = kept / size if size else None
        places.append((place, {"blocks": len(names), "kept": kept, "size": size, "density": density}))
    return places


def _sources(found: Origins, layout: Layout) -> list[tuple[int | None, ...]]:
    """For each place the numbers of the blocks that its blocks are made of; None for those that begin anew."""
    made: list[tuple[int | None, ...]] = []
    for stage, numbers in zip(layout.stages, found.stages, strict=True):
        both = zip(stage.blocks, numbers, strict=True)
        made.append(tuple(None if block in found.fresh else number for block, number in both))
    return [(), *made, ()]


def _sizes(ticket: Ticket) -> dict[str, Any]:
    net, each = blank(ticket.arch, ticket.io), flops(ticket.arch, ticket.io, ticket.mask)
    return {
        "parameters": sum(value.numel() for value in net.parameters()),
        "size": ticket.mask.size,
        "kept": ticket.mask.kept,
        "flops_dense": each.forward_dense,
        "flops_sparse": each.forward_sparse,
    }


def _map_table(layout: Layout, found: Origins, places: list[dict[str, Any]]) -> Table:
    """A line for stem, each stage and head."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for heading in ("place", "blocks", "made of blocks", "density", "then"):
        table.add_column(heading, justify="right" if heading in ("density", "then") else "left")
    for number, place in enumerate(places):
        before, after, blocks, made = place["before"], place["after"], "", "as it is"
        if 0 < number <= len(found.stages):
            entry = layout.stages[number - 1].entry
            same = before["blocks"] == after["blocks"]
            blocks = str(before["blocks"]) if same else f"{before['blocks']} -> {after['blocks']}"
            first = [] if not entry else ["new" if entry in found.fresh else "0"]
            made = " ".join([*first, *("new" if s is None else str(s) for s in place["sources"])])
        elif found.fresh & {*layout.stem} and not number or found.fresh & {*layout.head} and number:
            made = "new"
        densities = ["" if one["density"] is None else f"{one['density']:.4f}" for one in (before, after)]
        table.add_row(place["place"], blocks, made or "none", *densities)
    return table


def _totals_table(totals: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for heading in ("", "density", "alive", "of", "parameters", "operations", "of the living"):
        table.add_column(heading, justify="right" if heading else "left")
    for label, one in zip(("from", "to"), totals, strict=True):
        numbers = (f"{one[name]:,}" for name in ("kept", "size", "parameters"))
        operations = (f"{one[name] / 1e6:,.3g} M" for name in ("flops_dense", "flops_sparse"))
        table.add_row(label, f"{one['density']:.4f}", *numbers, *operations)
    return table


OPTIONS = {
    ("copies", "permuted"): "Masks of further copies are permuted within each tensor.",
    ("copies", "fresh"): "Further copies have their masks on weights that are drawn anew.",
    ("values", "masked"): "Survivors alone are carried; what was dead is zero.",
    ("scale", "divided"): "What copied blocks add to their residual stream is divided by the number of copies.",
}


def _told(found: Origins, move: Stretch, ticket: Ticket) -> str:
    """What is copied, what is left behind, and what begins anew."""
    layout, parts = ticket.arch.layout(), len(found.parts)
    blocks = {block for stage in layout.stages for block in stage.blocks}
    dropped = len(blocks - set(found.parts.values()))
    said = f"{parts - len(found.fresh)} of {parts} parts are carried, {len(found.copies)} of them as further copies; "
    said += f"{dropped} blocks are dropped. "
    carried = {
        "both": "Masks and weights come along, and batch norm where there is any.",
        "mask": "Masks come along; all weights are drawn anew.",
        "weights": "Weights come along, and batch norm where there is any; all are alive.",
    }
    told = [carried[move.carried], *(text for (name, word), text in OPTIONS.items() if getattr(move, name) == word)]
    if move.noise:
        told.append(f"Noise of {move.noise:g} standard deviations is added to the living weights of further copies.")
    if found.fresh:
        told.append(f"New and dense: {', '.join(sorted(found.fresh))}.")
    elif move.carried != "mask" and move.copies != "fresh":
        told.append("Nothing begins anew.")
    return said + " ".join(told)

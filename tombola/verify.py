"""Proofs that a ticket is what it says: from its file alone, with its parents, or by running its calls again.

Alone: the file is its own canonical encoding, digests and counts agree, tensors fit the network, dead weights are zero,
the lineage is whole (every key is the key of its text), and a ticket that was reset to the start has the very weights
that its seed draws. With parents (files or a store): each cut and each move is done again from what it was made of, so
the mask is nested and exact and survivors equal the rewind point bit for bit. By replay: every call is run again."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tombola.core import container, files
from tombola.core.artifact import Artifact
from tombola.core.errors import Damaged, Failed, Refused
from tombola.core.layout import initial_weights
from tombola.core.lineage import TRAININGS, Lineage, is_training
from tombola.core.rewire import Static
from tombola.core.seeds import Seeds
from tombola.core.text import parse_call, references
from tombola.core.ticket import CUTS, Ticket
from tombola.core.verdict import Check, Verdict
from tombola.prune import Erk, Everywhere, Igq, target
from tombola.recall import ALIVE, STEPS, recalled
from tombola.redone import Subject, again, each, same_bits
from tombola.study.step import now
from tombola.study.store import Store
from tombola.train.trained import Trained


def verify(
    subject: Subject | str | os.PathLike[str],
    *,
    parents: Sequence[Subject | str | os.PathLike[str]] = (),
    store: Store | None = None,
    replay: bool = False,
    call: Any = now,
) -> Verdict:
    """Check a ticket or a trained network, or its file. A damaged file is a failed check, never an exception.

    Args:
        parents: What it was made of, as values or files: the more of the lineage is here, the more is proved.
        store: Where parents may be found too.
        replay: Run the calls of the lineage again and compare what comes out.
        call: How they are run.
    """
    try:
        value = opened(subject)
    except Damaged as error:
        return Verdict((Check("file", False, str(error)),))
    checks = [_file(subject, value)] if not isinstance(subject, Artifact) else []
    checks += [*_content(value), *_lineage(value.lineage, value.digest)]
    known: dict[str, Subject] = {}
    for parent in parents:
        try:
            found = opened(parent)
            known[found.key] = found
        except Damaged as error:
            checks.append(Check("parents", False, str(error)))
    if all(check.ok for check in checks):
        checks += _inputs(value, known, store)
    if replay and all(check.ok for check in checks):
        checks += _replay(value, call)
    return Verdict(tuple(checks))


def opened(subject: Subject | str | os.PathLike[str]) -> Subject:
    """The value, read from its file if it is a path.

    Raises:
        Damaged: If the file is neither a sound ticket nor a sound trained network.
    """
    if isinstance(subject, Artifact):
        return subject
    kind = container.kind_of(subject)
    return Trained.load(subject) if kind == "trained" else Ticket.load(subject)


def _file(path: str | os.PathLike[str], value: Subject) -> Check:
    data = files.read_bytes(path)
    again = container.encode(container.kind_of(path), value.parts())
    return Check("canonical file", data == again, f"{len(data):,} bytes" if data == again else "it encodes differently")


def _content(value: Subject) -> Iterator[Check]:
    ticket = value.ticket if isinstance(value, Trained) else value
    mask, net = ticket.mask, ticket.module()
    parameters, start = dict(net.named_parameters()), net.state_dict()
    prunable = ticket.arch.layout().prunable
    masked = set(mask) in (set(prunable), set(parameters))
    yield Check(
        "mask covers the prunable weights", masked, f"{len(mask)} tensors, {mask.kept:,} of {mask.size:,} weights"
    )
    yield each("values are finite", ticket.weights, lambda _, v: bool(torch.isfinite(v).all()))
    yield each("dead weights start at zero", start, lambda n, v: n not in mask or _zero(v[~mask[n]]))
    if ticket.holding == "alive":
        held = ticket.weights
        yield each("no value is held under dead positions", held, lambda n, v: n not in mask or _zero(v[~mask[n]]))
    if isinstance(value, Trained):
        last = value.mask
        yield each("trained values are finite", value.weights, lambda _, v: bool(torch.isfinite(v).all()))
        yield each("trained dead weights are zero", value.weights, lambda n, v: n not in last or _zero(v[~last[n]]))
        if value.history:
            told = (value.history[-1].get("kept"), value.history[-1].get("mask"))
            held = told == ([last.kept_in(name) for name in last], last.digest()[:16])
            yield Check("the history of masks ends in the last one", held, f"{len(value.history)} changes")
        failed = [name for name, held in value.checks.items() if not held]
        yield Check("checks of the training held", not failed, ", ".join(failed) or f"{len(value.checks)} checks")
    try:
        if isinstance(value, Trained):
            yield _called(value)
        yield from (check for check in (_counted(ticket), _redrawn(ticket)) if check)
    except (Refused, KeyError) as error:
        yield Check("lineage", False, f"it cannot be read: {error}")


def _zero(values: Tensor) -> bool:
    return not bool(torch.count_nonzero(values))


def _called(trained: Trained) -> Check:
    """Whether a training is the one that its last call names: from this ticket, on this task, by recipe and seeds."""
    ticket, said = trained.ticket, recalled(trained.lineage.last).arguments
    begun = trained.lineage.events[: len(ticket.lineage)]  # Behind it those of the networks it was repelled from.
    same = begun == ticket.lineage.events and ticket.lineage.last.digest == ticket.digest
    same = same and (trained.lineage.last.function == "repel" or len(trained.lineage) == len(begun) + 1)
    how = (said.get("task"), said.get("recipe"), said.get("seeds", Seeds()))
    same = same and how == (trained.task, trained.recipe, trained.seeds)
    return Check("trained as its call says", same, ticket.key)


def _counted(ticket: Ticket) -> Check | None:
    """Whether as many weights live as the cuts of the lineage leave, where their number depends on the total alone."""
    kept = ticket.mask.size
    for call in reversed([recalled(event) for event in ticket.lineage.chain()]):
        scope = call.arguments.get("scope", Everywhere())
        if call.function in TRAININGS and call.arguments["recipe"].rewire != Static():
            return None
        changed = call.function in ("carry", "merge", "align")
        if changed or not isinstance(scope, Everywhere | Erk | Igq) or scope.tensors != "prunable":
            return None
        if call.function in CUTS:
            keep, density = call.arguments.get("keep"), call.arguments.get("density")
            kept = target(kept, ticket.mask.size, keep=keep, density=density, rounding=scope.rounding)
    return Check("as many live as the cuts leave", ticket.mask.kept == kept, f"{ticket.mask.kept:,} of {kept:,}")


def _redrawn(ticket: Ticket) -> Check | None:
    """Whether survivors are, bit for bit, the initial weights that the lineage's seed draws, where they must be."""
    name, functions = "survivors are the drawn weights", [event.function for event in ticket.lineage]
    changed = {"carry", "merge", "renorm", "align"} & set(functions)
    if "draw" not in functions or changed or ticket.restart != "weights" or ticket.step:
        return None
    arguments = recalled(ticket.lineage.events[functions.index("draw")]).arguments
    if arguments["arch"] != ticket.arch:  # It may be larger than memory: it is compared before it is drawn.
        return Check(name, False, f"the lineage draws {arguments['arch']}")
    drawn = initial_weights(ticket.arch, ticket.io, "init", arguments.get("seeds", Seeds()).stream("init"))
    mine = ticket.weights if ticket.holding == "all" else ticket.masked()
    theirs = drawn if ticket.holding == "all" else ticket.mask.apply(drawn)
    return each(name, mine, lambda n, v: same_bits(v, theirs[n]))


def _lineage(lineage: Lineage, digest: str) -> Iterator[Check]:
    """Whether the lineage is whole: texts give keys, each call takes what came before, the last gave this content."""
    if not lineage.events:
        yield Check("lineage", False, "it is empty: nothing says how this came about")
        return
    earlier: set[str] = set()
    for place, event in enumerate(lineage, start=1):
        try:
            true = recalled(event).key
        except (Refused, KeyError) as error:
            yield Check("lineage", False, f"call {place} cannot be read: {error}")
            return
        if true != event.key:
            yield Check("lineage", False, f"call {place}, {event.call}, has the key {true}, not {event.key}")
            return
        if strange := [key for key in references(event.call) if key not in earlier]:
            yield Check("lineage", False, f"call {place} takes {strange[0]}, which no call before it made")
            return
        earlier.add(event.key)
    same = lineage.last.digest == digest
    detail = f"{len(lineage)} calls" if same else "the content is not what the last call gave: it was changed since"
    yield Check("lineage", same, detail)


def _inputs(value: Subject, known: Mapping[str, Subject], store: Store | None) -> Iterator[Check]:
    """Every cut and move of the lineage whose input is at hand, done again."""
    results = {**known, value.key: value}
    digests = {event.key: event.digest for event in value.lineage}
    proved, unseen = 0, 0
    for event in value.lineage:
        call = recalled(event)
        found = {key: results.get(key) or _stored(key, store) for key in (event.key, *call.inputs)}
        for key, there in found.items():
            if there is not None and not _is_named(there, key, digests):
                yield Check(f"result of {key}", False, "what is at hand under this key is not what the lineage names")
                return
        if event.function in ("draw", *TRAININGS):
            continue
        result = found[event.key]
        if result is None or None in found.values():
            unseen += 1
            continue
        yield from again(event, call.swapped(lambda one, by=found: by[one.key]).arguments, result)
        proved += 1
    if proved or unseen:
        detail = f"{proved} of {proved + unseen} cuts and moves were checked against what they were made of"
        yield Check("parents", True, detail + ("" if proved else "; give the parents' files or --store for more"))


def _is_named(value: Subject, key: str, digests: Mapping[str, str]) -> bool:
    """Whether a value is, by its content, the one that a lineage names by a key; and so the ticket of a training."""
    if isinstance(value, Trained) != is_training(key) or value.digest != digests[key]:
        return False
    return isinstance(value, Ticket) or digests.get(value.ticket.key) == value.ticket.digest


def _stored(key: str, store: Store | None) -> Subject | None:
    if store is None:
        return None
    try:
        return store.load(key, Trained if is_training(key) else Ticket)
    except (ValueError, KeyError, Failed):  # A damaged store has nothing to say about a ticket.
        return None


def _replay(value: Subject, call: Any) -> Iterator[Check]:
    """Run every call of the lineage again, each on what the ones before it gave."""
    results: dict[str, Subject] = {}
    for event in value.lineage:
        name, arguments = parse_call(event.call, results.__getitem__)
        try:
            made = arguments["ticket"].alive() if name == ALIVE else call(STEPS[name], **arguments)
        except (Refused, Failed, Damaged) as error:
            yield Check(f"replay: {event.key}", False, str(error))
            return
        results[event.key] = made
        yield Check(f"replay: {event.key}", made.digest == event.digest, event.call)
        if made.digest != event.digest:
            return
    last = results.get(value.lineage.last.key)
    if isinstance(value, Trained) and isinstance(last, Trained):
        same = (dict(last.scores), last.log, last.history) == (dict(value.scores), value.log, value.history)
        yield Check("replay: scores and curve", same, f"test accuracy {last.test_accuracy:.4f}")

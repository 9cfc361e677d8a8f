"""The cuts and moves of a lineage, done again from what they were made of: what `verify` knows of each kind."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from tombola.core import container
from tombola.core.criterion import computes
from tombola.core.errors import Damaged, Failed, Refused
from tombola.core.expected import check_weights, expected
from tombola.core.layout import Arch, Interface, blank
from tombola.core.lineage import Event
from tombola.core.mask import Mask
from tombola.core.plugin import is_plugin, registration
from tombola.core.seeds import Seeds
from tombola.core.task import Task
from tombola.core.ticket import CUTS, Ticket
from tombola.core.verdict import Check
from tombola.criteria.magnitude import Magnitude
from tombola.recall import ALIVE, STEPS
from tombola.renorm import statistics
from tombola.train.trained import Trained

Subject = Ticket | Trained
CLOSE = 0.01
"""Statistics may differ by so many standard deviations (of variances: by this part), from one device to the next."""
ALIKE = 0.99
"""Of what lives in a tensor this much must live again, where scores were computed: they differ in their last bits from
one device or library to the next, and ties of 0 and 0 with them."""


def again(event: Event, arguments: Mapping[str, Any], result: Subject) -> Iterator[Check]:
    """Checks of one call of a lineage, done again on its arguments, against the ticket that it gave then."""
    assert isinstance(result, Ticket)
    missing = _missing_data(event, arguments)
    try:
        yield from _by_sight(event, arguments, result, missing)
        if missing:
            done = "scored" if _computed(event, arguments) else "done"
            yield Check(f"again: {event.key}", True, f"not {done} again, for want of its data: {missing}")
            return
        made = arguments["ticket"].alive() if event.function == ALIVE else STEPS[event.function].function(**arguments)
    except (Refused, Failed, Damaged) as error:
        yield Check(f"again: {event.key}", False, f"the call is refused now: {error}")
        return
    same = made.digest == event.digest == result.digest
    if not same and result.digest == event.digest and _computed(event, arguments) and _comparable(made, result):
        yield (_close if event.function == "renorm" else _nearly)(event, made, result)
        return
    yield Check(f"again: {event.key}", same, event.call if same else f"{event.call} gives something else now")


def each(name: str, values: Mapping[str, Tensor], holds: Callable[[str, Tensor], bool]) -> Check:
    """A check of every tensor, which names the first that fails."""
    bad = [n for n, value in values.items() if not holds(n, value)]
    return Check(name, not bad, f"not so in '{bad[0]}'" if bad else f"{len(values)} tensors")


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are the same to the last bit, type and shape among them."""
    return a.dtype == b.dtype and a.shape == b.shape and container.tensor_bytes(a) == container.tensor_bytes(b)


def _by_sight(event: Event, arguments: Mapping[str, Any], result: Ticket, missing: str) -> Iterator[Check]:
    """What shows without the call's being done again."""
    if event.function in CUTS:
        yield from _cut(event, arguments, result)
    if event.function == "carry" and isinstance(arguments["by"], Copying) and not missing:
        yield _copied(event, arguments["by"], arguments["ticket"], result)
    if event.function == "renorm":
        yield _untouched(event, arguments["ticket"], result)


def _misfit(result: Ticket, arch: Arch, io: Interface) -> str:
    """Why a ticket's content is not that of the network which a call gives; "" if it is."""
    try:
        check_weights(result.weights, expected(arch, io), arch)
    except Damaged as error:
        return str(error)
    there, wanted = f"{result.arch} on {result.io}", f"{arch} on {io}"
    return "" if there == wanted else f"it is a ticket of {there}, and the call gives one of {wanted}"


def _comparable(made: Ticket, result: Ticket) -> bool:
    return made.mask.shapes == result.mask.shapes and not _misfit(result, made.arch, made.io)


def _cut(event: Event, arguments: Mapping[str, Any], result: Ticket) -> Iterator[Check]:
    """A cut only takes away, and every value is the one that the restart asks for."""
    source = arguments["trained"].ticket if event.function == "cut" else arguments["ticket"]
    if odd := _misfit(result, source.arch, source.io):
        yield Check(f"nested: {event.key}", False, odd)
    elif event.function == "cut":
        trained = arguments["trained"]
        yield _nested(event, result, trained.mask)
        source = trained.ticket.weights if result.restart == "weights" else trained.weights
        yield each(
            f"rewound: {event.key}",
            {name: result.weights[name] for name in result.mask},
            lambda n, v: same_bits(v[result.mask[n]], source[n][result.mask[n]]),
        )
    else:
        parent = arguments["ticket"]
        yield _nested(event, result, parent.mask)
        before = result.mask.apply(parent.weights) if parent.holding == "alive" else parent.weights
        yield each(f"untouched: {event.key}", result.weights, lambda n, v: same_bits(v, before[n]))


@runtime_checkable
class Copying(Protocol):
    """A move that says which masks and weights of its result are whose of the ticket: `stretch`, `transplant`."""

    @property
    def to(self) -> Arch | Task:
        """The network of its result, or the task that it is for."""
        ...

    def copied(self, source: Arch, io: Interface) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Names of the result's masks and weights, and those of the ticket that they are copies of."""
        ...


def _copied(event: Event, move: Copying, ticket: Ticket, result: Ticket) -> Check:
    """Whether every tensor came from where the move says, bit for bit: without doing the move."""
    masks, weights = move.copied(ticket.arch, ticket.io)
    arch, io = (move.to, ticket.io) if isinstance(move.to, Arch) else (ticket.arch, move.to.io)
    if wrong := _misfit(result, arch, io):
        return Check(f"carried: {event.key}", False, wrong)
    own, before = result.weights, ticket.weights
    whole = result.holding == ticket.holding == "all"
    odd = [n for n, came in masks.items() if (n in result.mask) != (came in ticket.mask)]
    both = {n: came for n, came in masks.items() if n in result.mask and came in ticket.mask}
    odd += [n for n, came in both.items() if not torch.equal(result.mask[n], ticket.mask[came])]
    for name, came in weights.items():
        masked = name in result.mask and came in ticket.mask
        alive = result.mask[name] & ticket.mask[came] if masked and not whole else ...
        if not same_bits(own[name][alive], before[came][alive]):
            odd.append(name)
    new = [name for name in own if name not in weights or (name in result.mask and name not in masks)]
    said = f"{len(own) - len(new)} of {len(own)} tensors are where the map says"
    if new:
        more = f" and {len(new) - 1} more" if len(new) > 1 else ""
        said += f"; made otherwise, by the move's options: {new[0]}{more}"
    return Check(f"carried: {event.key}", not odd, f"'{odd[0]}' is not what the map says" if odd else said)


def _untouched(event: Event, ticket: Ticket, result: Ticket) -> Check:
    """Whether mask and weights are the ticket's, but for the statistics of batch norm."""
    if wrong := _misfit(result, ticket.arch, ticket.io):
        return Check(f"untouched: {event.key}", False, wrong)
    names = set(statistics(blank(result.arch, result.io)))
    rest = {name: value for name, value in result.weights.items() if name not in names}
    kept = result.mask == ticket.mask
    return each(f"untouched: {event.key}", rest, lambda n, v: kept and same_bits(v, ticket.weights[n]))


def _close(event: Event, made: Ticket, result: Ticket) -> Check:
    """Whether statistics are those of then but for rounding, measured in standard deviations."""
    then, here = result.weights, made.weights
    odd = [f"'{name}'" for name in then if not (name in here and _alike(name, then, here))]
    odd += [] if made.rebuilt(weights=then).digest == result.digest else ["what is not a tensor"]
    said = f"{event.call} gives something else now: {odd[0]}" if odd else "the same but for rounding, gathered here"
    return Check(f"again: {event.key}", not odd, said)


def _alike(name: str, then: Mapping[str, Tensor], here: Mapping[str, Tensor]) -> bool:
    module, _, what = name.rpartition(".")
    if what not in ("running_mean", "running_var"):
        return same_bits(then[name], here[name])
    variance = then[f"{module}.running_var"].double().clamp(min=0) + 1e-5  # As batch norm adds it.
    scale = variance if what == "running_var" else variance.sqrt()
    return bool(((then[name].double() - here[name].double()).abs() <= CLOSE * scale).all())


def _nested(event: Event, result: Ticket, before: Mask) -> Check:
    same = result.mask.shapes.keys() == before.shapes.keys()
    return Check(f"nested: {event.key}", not same or result.mask <= before, f"{result.mask.kept:,} of {before.kept:,}")


def _computed(event: Event, arguments: Mapping[str, Any]) -> bool:
    """Whether it was made of what networks answer, which may differ in its last bits elsewhere."""
    if event.function in CUTS:
        return computes(arguments.get("criterion", Magnitude()))
    return event.function == "renorm" or arguments.get("match") == "activations"


def _missing_data(event: Event, arguments: Mapping[str, Any]) -> str:
    """Why the data that were computed with, or carried to, are not here; "" if they are, or none were needed."""
    fields = vars(arguments["by"]).values() if event.function == "carry" else ()
    try:
        for target in (one for one in fields if is_plugin(one) and registration(type(one)).kind == "task"):
            _ = target.io, target.__identity__()
        if _computed(event, arguments):
            trained = arguments.get("trained", arguments.get("target"))
            task = arguments["task"] if "task" in arguments else trained.task
            task.batch(0, seeds=Seeds(), size=1)
    except (Refused, Failed, Damaged) as error:
        return str(error)
    return ""


def _nearly(event: Event, made: Ticket, result: Ticket) -> Check:
    """Whether as many live as then, and nearly the same ones."""
    alike = (made.mask & result.mask).kept
    held = made.mask.kept == result.mask.kept and alike >= ALIKE * result.mask.kept and _rest_is_same(made, result)
    said = f"{alike:,} of {result.mask.kept:,} living weights are the same ones when scored here"
    return Check(f"again: {event.key}", held, said if held else f"{event.call} gives something else now: {said}")


def _rest_is_same(made: Ticket, result: Ticket) -> bool:
    """Whether all but the mask is the same, and the weights that one of two masks has dead."""
    both = made.mask & result.mask
    places = {n: ... if made.holding == "all" or n not in both else both[n] for n in made.weights}
    same = all(same_bits(made.weights[name][at], result.weights[name][at]) for name, at in places.items())
    return same and made.rebuilt(mask=result.mask, weights=result.weights).digest == result.digest

"""The cuts and moves of a lineage, done again from what they were made of: what `verify` knows of each kind."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor

from tombola.core import container
from tombola.core.criterion import computes
from tombola.core.errors import Damaged, Failed, Refused
from tombola.core.lineage import Event
from tombola.core.mask import Mask
from tombola.core.seeds import Seeds
from tombola.core.ticket import CUTS, Ticket
from tombola.core.verdict import Check
from tombola.criteria.magnitude import Magnitude
from tombola.recall import ALIVE, STEPS
from tombola.train.trained import Trained

Subject = Ticket | Trained
ALIKE = 0.99
"""Of what lives in a tensor this much must live again, where scores were computed: they differ in their last bits from
one device or library to the next, and ties of 0 and 0 with them."""


def again(event: Event, arguments: Mapping[str, Any], result: Subject) -> Iterator[Check]:
    """Checks of one call of a lineage, done again on its arguments, against the ticket that it gave then."""
    assert isinstance(result, Ticket)
    if event.function in CUTS:
        yield from _cut(event, arguments, result)
    if missing := _missing_data(event, arguments):
        yield Check(f"again: {event.key}", True, f"not scored again, for want of its data: {missing}")
        return
    try:
        made = arguments["ticket"].alive() if event.function == ALIVE else STEPS[event.function].function(**arguments)
    except (Refused, Failed, Damaged) as error:
        yield Check(f"again: {event.key}", False, f"the call is refused now: {error}")
        return
    same = made.digest == event.digest == result.digest
    if not same and result.digest == event.digest and _computed(event, arguments):
        yield _nearly(event, made, result)
        return
    yield Check(f"again: {event.key}", same, event.call if same else f"{event.call} gives something else now")


def each(name: str, values: Mapping[str, Tensor], holds: Callable[[str, Tensor], bool]) -> Check:
    """A check of every tensor, which names the first that fails."""
    bad = [n for n, value in values.items() if not holds(n, value)]
    return Check(name, not bad, f"not so in '{bad[0]}'" if bad else f"{len(values)} tensors")


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are the same to the last bit, type and shape among them."""
    return a.dtype == b.dtype and a.shape == b.shape and container.tensor_bytes(a) == container.tensor_bytes(b)


def _cut(event: Event, arguments: Mapping[str, Any], result: Ticket) -> Iterator[Check]:
    """A cut only takes away, and every value is the one that the restart asks for."""
    if event.function == "cut":
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


def _nested(event: Event, result: Ticket, before: Mask) -> Check:
    same = result.mask.shapes.keys() == before.shapes.keys()
    return Check(f"nested: {event.key}", not same or result.mask <= before, f"{result.mask.kept:,} of {before.kept:,}")


def _computed(event: Event, arguments: Mapping[str, Any]) -> bool:
    return event.function in CUTS and computes(arguments.get("criterion", Magnitude()))


def _missing_data(event: Event, arguments: Mapping[str, Any]) -> str:
    """Why the data that a cut was scored with are not here; "" if they are, or none were needed."""
    if not _computed(event, arguments):
        return ""
    task = arguments["task"] if "task" in arguments else arguments["trained"].task
    try:
        task.batch(0, seeds=Seeds(), size=1)
    except (Refused, Failed, Damaged) as error:
        return str(error)
    return ""


def _nearly(event: Event, made: Ticket, result: Ticket) -> Check:
    """Whether as many live as then, and nearly the same ones."""
    alike = (made.mask & result.mask).kept
    held = made.mask.kept == result.mask.kept and alike >= ALIKE * result.mask.kept
    said = f"{alike:,} of {result.mask.kept:,} living weights are the same ones when scored here"
    return Check(f"again: {event.key}", held, said if held else f"{event.call} gives something else now: {said}")

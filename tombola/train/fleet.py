"""Many trainings as one program: same network, task and batch; other seeds, masks, weights and rates.

Each network sits in a *seat*: its weights, masks, rate, optimiser state and batches lie where they are for good, so
that one program steps all of them, and serves every ticket that sits down later. On a GPU the program is a captured
graph, with a stream for each seat; on a CPU it is the seats one after the other. What a training does between its
steps (curve, audits, checkpoints, stopping) is its own: see `Run.stretches`. Whoever sits beside it does not matter.
"""

import dataclasses
import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from tombola.core.artifact import Parts
from tombola.core.canon import digest_of
from tombola.core.errors import Failed, Refused
from tombola.core.machine import Machine
from tombola.core.noise import told_of_draws
from tombola.core.task import Drawing
from tombola.train import capture
from tombola.train.device import threads
from tombola.train.run import Run, charged
from tombola.train.seat import Seat

ROOM = 10
"""So many batches are laid out at once for a task that cannot draw without showing."""
SLOWLY = (
    "%s: its step cannot be captured (%s), so the device waits for the host at every step. Reading a number back, as "
    "by .item(), or sizes that depend on values are the usual reasons."
)

log = logging.getLogger(__name__)
Weights = dict[str, Tensor]


@dataclasses.dataclass
class _Member:
    """A training in its seat: what it asks for and has not had yet, and the losses of what it has had."""

    index: int
    run: Run
    seat: Seat
    asking: Generator[range, list[Tensor], Weights]
    todo: range = range(0)
    losses: list[Tensor] = dataclasses.field(default_factory=list[Tensor])

    def next_steps(self) -> tuple[int, range]:
        """The size of the next batch, and the steps from here on whose batches are as large."""
        run = self.run
        total, batch = run.task.train_size(run.recipe.holdout), run.recipe.batch
        length, start = -(-total // batch), self.todo.start
        last = total - (length - 1) * batch
        most = self.todo.stop if isinstance(run.task, Drawing) else min(self.todo.stop, start + ROOM)
        if last == batch:
            return batch, range(start, most)
        if start % length == length - 1:
            return last, range(start, start + 1)
        return batch, range(start, min(most, (start // length + 1) * length - 1))


class Hall:
    """The seats of one kind of training, and the program that steps all of them."""

    def __init__(self) -> None:
        self.seats: list[Seat] = []
        self.captured: tuple[list[Seat], Callable[[], None]] | None = None
        self.capturable = True

    def sit(self, run: Run, *, taken: Sequence[Seat]) -> Seat:
        """Give a training a free seat, a new one if there is none."""
        free = next((seat for seat in self.seats if seat not in taken), None)
        if free is None or not free.lasting:
            self.seats = [seat for seat in self.seats if seat is not free] + [Seat(run)]
            return self.seats[-1]
        free.take(run)
        return free

    def turns(self, seats: Sequence[Seat], size: int, number: int) -> None:
        """So many steps of these seats with batches of that size.

        Whole batches of everybody are worth capturing; the last ones of epochs, and those of seats that are behind the
        others, are not.
        """
        usual = size == seats[0].run.recipe.batch and seats[0].lasting
        program = self.program(seats, size) if usual and seats[0].run.device.type == "cuda" else None
        if program is not None:
            for _ in range(number):
                program()
        else:
            for seat in seats:
                for _ in range(number):
                    seat.turn(size)

    def program(self, seats: Sequence[Seat], size: int) -> Callable[[], None] | None:
        """A captured step of these seats; none where the network does what cannot be captured, which is told once."""
        if self.capturable and (self.captured is None or self.captured[0] != seats):
            self.captured = None  # Its memory is needed for the next.
            first = seats[0].run
            try:
                with told_of_draws(f"{first.ticket.arch} on {first.task}", first.device):
                    self.captured = (list(seats), capture.captured(seats, size))
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                self.capturable = False
                said = str(error).strip().partition("\n")[0]
                log.warning(SLOWLY, first.ticket.arch, said)
        return self.captured[1] if self.captured is not None else None


HALLS: dict[str, Hall] = {}
"""The hall that was used last, by what its trainings share: its program serves the next fleet of that kind too."""


def shared(arch: Any, io: Any, task: Any, recipe: Any) -> dict[str, str]:
    """What trainings must have in common to run as one program; seeds, masks, weights, rates and lengths are free.

    Example:
        >>> from tombola.core.layout import Interface
        >>> from tombola.train.recipe import Recipe
        >>> shared("mlp()", Interface(inputs=(2,), classes=2), "toy", Recipe(batch=5))["batch"]
        '5'
    """
    fields = ("batch", "smoothing", "clip", "precision", "validation", "split_seed", "rewire", "accumulate")
    optimizer = recipe.optimizer
    if "lr" in {field.name for field in dataclasses.fields(optimizer)}:
        optimizer = dataclasses.replace(optimizer, lr=0.1)
    found = {"network": f"{arch} for {io}", "task": task, "optimizer apart from its rate": optimizer}
    return {name: str(value) for name, value in {**found, **{n: getattr(recipe, n) for n in fields}}.items()}


Begin = Callable[[], tuple[Run, int]]
"""Makes a training, and says to which step it goes."""
Ended = tuple[int, Any, Weights | Exception]
"""The place of a training among those asked for, its `Run`, and its weights or what went wrong with it."""


def to_step(run: Run, end: int) -> Weights:
    """Train one network up to a step: on a GPU as a fleet of one, whose steps are captured too.

    Raises:
        Failed: If the loss is no longer finite.
    """
    if run.device.type == "cpu" or run.alone:
        return run.to_step(end)
    ((_, _, found),) = train_all([lambda: (run, end)], run.context.machine)
    if isinstance(found, Exception):
        raise found
    return found


def train_all(begin: Sequence[Begin], machine: Machine) -> Iterator[Ended]:
    """Train all of them, as many at a time as the machine says or its memory holds; gives each one as it ends.

    A training that diverges stops alone. A fleet that is too large for the memory is halved, and goes on from the last
    points of its curves.

    Raises:
        Failed: If one network alone is too large for the memory.
    """
    most = min(machine.places, len(begin))
    if most == 1 and machine.device == "cpu":
        yield from one_by_one(begin)
        return
    waiting, members = list(enumerate(begin)), list[_Member]()
    points: dict[int, Parts] = {}
    while waiting or members:
        try:
            with threads(machine):
                while waiting and len(members) < most:
                    yield from _enter(*waiting[0], members, points)
                    waiting.pop(0)  # Not before: there may be no memory for it now.
                    if len(members) == 1 and machine.device != "cpu" and not machine.fleet:
                        most = min(most, _room(members[0]))
                _round(members)
                for member in [one for one in members if not one.todo]:
                    yield from _ask(member, members)
        except torch.OutOfMemoryError as error:
            most = _halved(most, error)
            points |= {one.index: one.run.good for one in members if one.run.good is not None}
            sat = [one.index for one in members]
            waiting = [(index, begin[index]) for index in sat] + [one for one in waiting if one[0] not in sat]
            members.clear()
            HALLS.clear()
            error.__traceback__ = None  # It holds what the step that failed was at.
            capture.let_go()


def one_by_one(begin: Sequence[Begin]) -> Iterator[Ended]:
    """A processor gains nothing by sitting trainings side by side."""
    for index, one in enumerate(begin):
        run = None
        try:
            run, end = one()
            yield index, run, run.to_step(end)
        except (Failed, Refused) as error:
            yield index, run, error


def _enter(index: int, begin: Begin, members: list[_Member], points: dict[int, Parts]) -> Iterator[Ended]:
    """Let a training sit down, at the last point of its curve or at its checkpoint if it has been under way before."""
    try:
        run, end = begin()
        if run.alone:
            yield index, run, run.to_step(end)
            return
        if index in points:
            run.restore(points[index])
        else:
            run.resume()
    except (Failed, Refused) as error:
        yield index, None, error
        return
    kind = digest_of([shared(run.ticket.arch, run.ticket.io, run.task, run.recipe), str(run.context.machine)])
    if kind not in HALLS:
        HALLS.clear()
        HALLS[kind] = Hall()
    seat = HALLS[kind].sit(run, taken=[one.seat for one in members])
    member = _Member(index, run, seat, run.stretches(end))
    members.append(member)
    yield from _ask(member, members)


def _round(members: list[_Member]) -> None:
    """The next steps of everybody, those whose batches are of one size together."""
    by_size: dict[int, list[tuple[_Member, range]]] = {}
    for member in members:
        size, steps = member.next_steps()
        by_size.setdefault(size, []).append((member, steps))
    for size, group in by_size.items():
        number = min(len(steps) for _, steps in group)
        with charged(*(member.run for member, _ in group)):
            for member, steps in group:
                member.seat.feed(steps[:number], size)
            (hall,) = HALLS.values()
            hall.turns([member.seat for member, _ in group], size, number)
        for member, _ in group:
            member.losses += member.seat.feeds[size].losses[:number].clone()
            member.todo = member.todo[number:]


def _ask(member: _Member, members: list[_Member]) -> Iterator[Ended]:
    """Hand a training the losses of what it asked for; it asks for more, or leaves."""
    try:
        with charged(member.run):
            member.todo = member.asking.send(member.losses or None)  # type: ignore[arg-type]
        member.losses = []
    except StopIteration as over:
        members.remove(member)
        yield member.index, member.run, over.value
    except (Failed, Refused) as error:
        members.remove(member)
        yield member.index, member.run, error


def _room(member: _Member) -> int:
    """How many such trainings the device's free memory holds."""
    size, steps = member.next_steps()
    member.seat.feed(steps[:1], size)
    return capture.room(member.seat, size)


def _halved(most: int, error: Exception) -> int:
    seats = max(most, sum(len(hall.seats) for hall in HALLS.values()))  # Seats of fleets before this one count too.
    if seats == 1:
        raise Failed(
            f"one network alone does not fit into the device's memory ({str(error).splitlines()[0]}). Use a smaller "
            "batch, precision=bfloat16, or a device with more."
        ) from error
    fewer = max(1, most // 2)
    log.warning("%d networks do not fit into the device's memory together; going on with %d.", seats, fewer)
    return fewer

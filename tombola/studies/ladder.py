"""The ladder that studies climb: tickets level by level, and their controls at every level, over several seeds."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from tombola.core.errors import Failed, Refused, unknown
from tombola.core.layout import Arch
from tombola.core.seeds import Seeds
from tombola.core.task import Task
from tombola.core.ticket import Ticket
from tombola.find import carry, find
from tombola.moves.controls import Reinit, Shuffle
from tombola.report.summary import Row
from tombola.study import pool
from tombola.study.pool import Job
from tombola.study.step import Listener, deaf
from tombola.study.store import Store
from tombola.train.loop import train
from tombola.train.recipe import Recipe
from tombola.train.trained import Trained
from tombola.verify import verify

CONTROLS: dict[str, Callable[[int], Any]] = {
    "reinit": lambda seed: Reinit(seed=seed),
    "shuffle": lambda seed: Shuffle(seed=seed),
}


@dataclasses.dataclass(frozen=True)
class Ladder:
    """Tickets of one network on one task, `levels` cuts that keep `keep` each, with controls by name, over seeds."""

    arch: Arch
    task: Task
    recipe: Recipe
    levels: int
    keep: float = 0.8
    controls: tuple[str, ...] = ("reinit", "shuffle")
    seeds: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        """Refuse what cannot be climbed before anything is trained."""
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise Refused(f"the seeds are {self.seeds}. A ladder needs one or more, each once: --seeds 0 1 2.")
        if self.levels < 0:
            raise Refused(f"levels is {self.levels}. It is the number of cuts, 0 or more.")
        for name in self.controls:
            if name not in CONTROLS:
                raise unknown("control", name, CONTROLS)

    @property
    def trainings(self) -> int:
        """The number of trainings in all: each level's ticket, and the controls of every level but the dense one."""
        return len(self.seeds) * (1 + self.levels * (1 + len(self.controls)))


@dataclasses.dataclass(frozen=True)
class Rung:
    """The keys of one trained network of a ladder and of its ticket."""

    seed: int
    name: str
    level: int
    ticket: str
    trained: str


def climb(ladder: Ladder, *, store: str, workers: int = 1, listen: Listener = deaf) -> list[Rung]:
    """Run the whole ladder, or what the store lacks of it.

    Raises:
        Failed: If a part of it failed; all else is done and kept.
    """
    rungs: list[Rung] = []
    errors: list[str] = []
    jobs = [Job(_tickets, {"ladder": ladder, "seed": seed, "store": store}) for seed in ladder.seeds]
    outcomes = pool.run(jobs, workers=workers, listen=listen)
    more: list[Job] | None = None
    while True:
        try:
            outcome = outcomes.send(more) if more is not None else next(outcomes)
        except StopIteration:
            break
        more = []
        if outcome.error:
            errors.append(outcome.error)
            continue
        rungs += outcome.result
        if outcome.job.function is _tickets:
            more = [
                Job(_control, {"ladder": ladder, "rung": rung, "name": name, "store": store})
                for rung in outcome.result
                for name in ladder.controls
                if rung.level
            ]
    if errors:
        raise Failed(f"{len(errors)} part(s) failed: {errors[0]} What was finished is kept in {store}; run it again.")
    return sorted(rungs, key=lambda rung: (rung.seed, rung.name != "ticket", rung.name, rung.level))


def _tickets(ladder: Ladder, seed: int, store: str, listen: Listener) -> list[Rung]:
    call = Store(store, listen=listen)
    seeds = Seeds(seed)
    rungs: list[Rung] = []
    tickets = find(
        ladder.arch, ladder.task, ladder.recipe, levels=ladder.levels, keep=ladder.keep, seeds=seeds, call=call
    )
    for level, ticket in enumerate(tickets):
        trained = call(train, ticket=ticket, task=ladder.task, recipe=ladder.recipe, seeds=seeds)
        rungs.append(Rung(seed, "ticket", level, ticket.key, trained.key))
    return rungs


def _control(ladder: Ladder, rung: Rung, name: str, store: str, listen: Listener) -> list[Rung]:
    call = Store(store, listen=listen)
    ticket = call.load(rung.ticket, Ticket)
    moved = call(carry, ticket=ticket, by=CONTROLS[name](rung.seed))
    trained = call(train, ticket=moved, task=ladder.task, recipe=ladder.recipe, seeds=Seeds(rung.seed))
    return [Rung(rung.seed, name, rung.level, moved.key, trained.key)]


def rows(rungs: list[Rung], *, store: str) -> Iterator[Row]:
    """The measurements of a climbed ladder, read from its store."""
    source = Store(store)
    sparsest = {rung.seed: rung for rung in rungs if rung.name == "ticket"}  # They come level by level: the last stays.
    for rung in rungs:
        trained: Trained = source.load(rung.trained, Trained)
        mask, record = trained.ticket.mask, source.record(rung.trained)
        yield Row(
            seed=rung.seed,
            name=rung.name,
            level=rung.level,
            density=mask.density,
            kept=mask.kept,
            size=mask.size,
            test_accuracy=trained.scores["test_accuracy"],
            test_loss=trained.scores["test_loss"],
            validation_accuracy=trained.scores.get("validation_accuracy"),
            seconds=trained.cost.seconds,
            steps=trained.cost.steps,
            peak_memory=trained.cost.peak_memory,
            flops_dense=trained.cost.flops_dense,
            flops_sparse=trained.cost.flops_sparse,
            key=rung.trained,
            call=record["call"],
            checks={**trained.checks, **_proofs(trained.ticket, source if rung == sparsest[rung.seed] else None)},
        )


def _proofs(ticket: Ticket, store: Store | None) -> dict[str, bool]:
    """The checks of a ticket alone, and with a store every cut behind it done again."""
    checks = verify(ticket, store=store).checks
    proofs = {check.name: check.ok for check in checks if ": " not in check.name and check.name != "parents"}
    again = [check.ok for check in checks if ": " in check.name]
    return {**proofs, "every cut behind it done again gives the same": all(again)} if again else proofs

"""A study's calls, made in this process: its tickets without its trainings, or all of it; and its claims' rows."""

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from tombola.core.layout import blank, dense_mask, initial_weights
from tombola.core.ticket import Ticket
from tombola.criteria.random_ import Random
from tombola.prune import Everywhere, prune, widened
from tombola.report.cautions import misnamed
from tombola.report.claims import Claim, sides
from tombola.report.declared import Pivot
from tombola.report.findings import Measured, Missing
from tombola.report.match import check, rows_of
from tombola.study.deferred import Deferred
from tombola.study.module import Study, open_study
from tombola.train.network import Network


def claimed(text: str) -> Iterator[tuple[Claim, Any, Mapping[str, Any], tuple[Any, ...]]]:
    """Each side of each test of a study's claims, and the rows that it speaks of."""
    study = open_study(text)
    rows = [Missing(labels=goal.labels, key=goal.of.key) for goal in study.goals()]
    claims = study.declared("claims")
    assert claims and not check(claims, rows)
    for claim in claims:
        for test in claim.tests:
            for where in sides(test):
                yield claim, test, where, tuple(rows_of(rows, where))


def assert_shown(study: Study) -> None:
    """That a study's figures and tables speak of rows that it has."""
    rows = [Missing(labels=goal.labels, key=goal.of.key) for goal in study.goals()]
    shown = [*study.declared("figures"), *study.declared("tables")]
    assert shown and not misnamed(shown, rows)
    for one in shown:
        found = rows_of(rows, one.where)
        assert found, one
        for name in filter(None, (one.lines, one.columns)) if isinstance(one, Pivot) else ():
            assert any(name in row.labels for row in found), (name, one)


class Pretence:
    """A study's tickets without its trainings: every cut is drawn at random, every move is made."""

    @functools.cache  # noqa: B019
    def __call__(self, of: Deferred) -> Ticket:
        said = of.call.arguments
        if of.function.name == "draw":
            arch, io = said["arch"], said["task"].io
            return Ticket(arch=arch, io=io, mask=dense_mask(arch, io), weights=initial_weights(arch, io, "pretence"))
        if of.function.name == "train":
            return self(said["ticket"])
        if of.function.name == "carry":
            return said["by"](self(said["ticket"]))
        ticket = self(said["trained"] if "trained" in said else said["ticket"])
        size = {name: said[name] for name in ("keep", "density") if said.get(name) is not None}
        scope = said.get("scope", Everywhere())
        parameters = blank(ticket.arch, ticket.io).named_parameters()
        living = widened(ticket.mask, {name: tuple(value.shape) for name, value in parameters}, scope)
        mask = prune(living, Random(seed=len(of.key))(Network(ticket.weights, living)), scope=scope, **size)
        return ticket.rebuilt(mask=mask)


class Doing:
    """A study's results: every step is run, each call once."""

    def __init__(self) -> None:
        self.known: dict[str, Any] = {}

    def __call__(self, of: Any) -> Any:
        if isinstance(of, tuple | list):
            return tuple(self(one) for one in of)
        if not isinstance(of, Deferred):
            return of
        if of.key not in self.known:
            said = {name: self(value) for name, value in of.call.arguments.items()}
            self.known[of.key] = of.function(**said)
        return self.known[of.key]


def done(study: Study) -> list[Measured]:
    """Every row of a study, run in this process; all its checks hold."""
    do, rows = Doing(), list[Measured]()
    for goal in study.goals():
        made = do(goal.of)
        assert all(made.proofs().values())
        tables = getattr(made, "tables", {})
        rows.append(
            Measured(labels=goal.labels, numbers=made.numbers(), checks=made.proofs(), key=made.key, tables=tables)
        )
    return rows

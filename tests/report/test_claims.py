"""Claims: what may be said, and which rows are picked for it."""

import pytest

from tombola.core.errors import Refused
from tombola.report.claims import Agrees, Better, Claim, NotWorse, Published, winning
from tombola.report.findings import Measured, Missing
from tombola.report.match import check, in_pairs, why_no_number, why_none

AHEAD = Better(where={"name": "ticket"}, than={"name": "reinit"})


def row(key: str = "k", **labels: str | int | float | bool) -> Measured:
    return Measured(labels=labels, numbers={"test_accuracy": 0.5}, key=key)


def test_winning_is_not_worse_than_dense_and_better_than_each_control():
    claim = winning(7, margin=0.01, where={"depth": 20})
    dense, reinit, shuffle = claim.tests
    assert claim.sentence == "the ticket wins at level 7 (depth 20)"
    assert isinstance(dense, NotWorse) and isinstance(reinit, Better) and isinstance(shuffle, Better)
    assert dense.where == {"depth": 20, "name": "ticket", "level": 7}
    assert dense.than == {"depth": 20, "name": "ticket", "level": 0}
    assert (dense.bound, dense.clearance, dense.equal_density) == (-0.01, 0.0, "any")
    assert reinit.than == {"depth": 20, "name": "reinit", "level": 7}
    assert (reinit.bound, reinit.clearance, reinit.equal_density) == (0.0, 0.01, "required")
    assert shuffle.than["name"] == "shuffle"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Claim(" ", tests=(AHEAD,)), "a claim has no sentence"),
        (lambda: Claim("c", tests=()), "'c' has no tests. Give one or more: Better, NotWorse, Beyond or Agrees"),
        (lambda: Claim("c", tests=("better",)), "'c' has a test of type str"),  # type: ignore[arg-type]
        (lambda: Better(where="ticket", than={}), "Better: where is 'ticket'. Give labels"),  # type: ignore[arg-type]
        (lambda: Better(where={}, than={}, by="seed"), r"by is 'seed'. .* as a tuple"),  # type: ignore[arg-type]
        (lambda: NotWorse(where={}, than={}, margin=-0.1), "margin of NotWorse is -0.1"),
        (lambda: Published(value=1.0, source="", reading=-1.0), "reading error is -1.0"),
    ],
)
def test_what_cannot_be_meant_is_refused(make: object, message: str):
    with pytest.raises(Refused, match=message):
        make()  # type: ignore[operator]


def test_labels_of_a_test_cannot_be_changed_afterwards():
    given = {"name": "ticket"}
    test = Better(where=given, than={})
    given["name"] = "other"
    assert test.where == {"name": "ticket"}


def test_two_rows_for_one_seed_are_refused_by_name():
    rows = [row("train:a", name="ticket", depth=20, seed=0), row("train:b", name="ticket", depth=32, seed=0)]
    with pytest.raises(Refused) as refused:
        in_pairs(rows, {"name": "ticket"}, ("seed",), "tickets win")
    assert str(refused.value) == (
        "claim 'tickets win': {'name': 'ticket'} picks two rows for seed 0: train:a (ticket, depth 20, seed 0) and "
        "train:b (ticket, depth 32, seed 0). They differ in depth: say which is meant, as in {..., 'depth': 20}, "
        "or pair by it: by=('seed', 'depth')."
    )
    assert len(in_pairs(rows, {"name": "ticket"}, ("seed", "depth"), "c")) == 2
    assert len(in_pairs(rows, {"depth": 32}, ("seed",), "c")) == 1


def test_two_rows_with_the_same_labels_are_refused():
    with pytest.raises(Refused, match="Their labels are the same: give row"):
        in_pairs([row("a", seed=0), row("b", seed=0)], {}, ("seed",), "c")


def test_a_claim_is_checked_before_anything_has_run():
    waiting = [
        Missing(labels={"name": "ticket", "seed": 0, "depth": depth}, key=f"train:{depth}") for depth in (20, 32)
    ]
    check([winning(1)], waiting)  # No such level yet: that is not ambiguous, only not measured.
    with pytest.raises(Refused, match="picks two rows for seed 0"):
        check([Claim("c", tests=(AHEAD,))], waiting)
    paper = Published(value=0.9, source="a paper")
    with pytest.raises(Refused, match="picks two rows for seed 0"):
        check([Claim("c", tests=(Agrees(where={"name": "ticket"}, published=paper),))], waiting)
    with pytest.raises(Refused, match="picks two rows"):
        check([Claim("c", tests=(Better(where={"depth": 20}, than={"name": "ticket"}),))], waiting)


def test_what_does_not_occur_is_named_with_what_comes_nearest():
    rows = [row(name="ticket", level=level, seed=0) for level in range(4)]
    assert why_none(rows, {"nam": "ticket"}) == "no row has the label 'nam'; the nearest is 'name'"
    assert why_none(rows, {"name": "tickets"}) == "no row has name tickets; the nearest is 'ticket'"
    assert why_none(rows, {"level": 30}) == "no row has level 30; the nearest is 3"
    assert why_none(rows, {"name": "zzz"}) == "no row has name zzz; known: ticket"
    rows.append(row(name="reinit", level=9, seed=0))
    assert why_none(rows, {"name": "reinit", "level": 1}) == "no row is reinit, level 1"
    missing = [Missing(labels={"name": "reinit", "level": 1, "seed": seed}, key="k") for seed in (0, 1)]
    assert why_none([*rows, *missing], {"name": "reinit", "level": 1}) == (
        "reinit, level 1: 2 rows are missing (not run yet)"
    )
    assert why_no_number(rows, "test_acuracy") == (
        "none of its 5 rows has the number 'test_acuracy'; the nearest is 'test_accuracy'"
    )

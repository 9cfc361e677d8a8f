"""Cuts that were scored by computing: on another device a few weights fall out otherwise, and that is no forgery."""

import dataclasses

import pytest

from tests.test_verify import ARCH, START, TASK, detail, failed, flipped, forged
from tombola.core.errors import Refused
from tombola.core.ticket import Ticket
from tombola.criteria.snip import Snip
from tombola.criteria.taylor import Taylor
from tombola.find import cut, cut_early, draw
from tombola.prune import PerLayer
from tombola.tasks.digits import Digits
from tombola.train.loop import train
from tombola.verify import Verdict, verify

NAME = "stages.0.0.weight"
DENSE = draw(ARCH, TASK, START)


@pytest.fixture(scope="module")
def scored() -> Ticket:
    return cut_early(DENSE, TASK, START, Snip(), density=0.5)


def swapped(ticket: Ticket, number: int) -> Ticket:
    """So many living weights give their place to as many dead ones."""
    mask = ticket.mask
    for place in range(number):  # Those after the ones just revived.
        mask = flipped(mask, NAME, kill=ticket.mask.kept_in(NAME) // 2 + place, revive=-1 - place)
    assert mask.kept == ticket.mask.kept and (mask & ticket.mask).kept == ticket.mask.kept - number
    return forged(ticket, mask=mask)


def test_scored_on_this_machine_it_is_the_same(scored: Ticket):
    verdict = verify_with(scored)
    assert verdict.ok and detail(verdict, "again: cut_early").startswith("cut_early(")


def test_a_few_weights_that_fall_out_otherwise_are_told(scored: Ticket):
    verdict = verify_with(swapped(scored, 4))
    assert verdict.ok
    assert detail(verdict, "again: cut_early") == "468 of 472 living weights are the same ones when scored here"


def test_many_weights_are_a_forgery(scored: Ticket):
    verdict = verify_with(swapped(scored, 5))
    assert failed(verdict) == {"again"}
    assert "gives something else now: 467 of 472 living" in detail(verdict, "again: cut_early")


def test_another_count_is_a_forgery():
    ticket = cut_early(DENSE, TASK, START, Snip(), PerLayer(), density=0.5)  # No count follows from the file alone.
    assert failed(verify_with(forged(ticket, mask=flipped(ticket.mask, NAME, kill=0)))) == {"again"}


@pytest.mark.parametrize("moment", ["before", "after"])
def test_without_the_data_it_is_said_that_nothing_was_scored(
    scored: Ticket, moment: str, monkeypatch: pytest.MonkeyPatch
):
    trained = train(DENSE, TASK, START)
    ticket = scored if moment == "before" else cut(trained, Taylor(), density=0.5)

    def absent(*_: object, **__: object) -> None:
        raise Refused("digits is not on this machine.")

    monkeypatch.setattr(Digits, "batch", absent)
    verdict = verify(ticket, parents=[DENSE, trained])
    assert verdict.ok and "nested" in {check.name.split(":")[0] for check in verdict.checks}
    said = "not scored again, for want of its data: digits is not on this machine."
    assert detail(verdict, "again: cut") == said


def verify_with(ticket: Ticket) -> Verdict:
    return verify(ticket, parents=[DENSE])


@pytest.mark.parametrize("said", [{"step": 1}, {"restart": "fine-tune"}, {"data": "0" * 64}, {"task": "mnist()"}])
def test_what_is_no_tensor_is_a_forgery(scored: Ticket, said: dict[str, object]):
    assert "again" in failed(verify_with(forged(scored, **said)))


def test_what_is_not_masked_is_a_forgery():
    rewound = dataclasses.replace(START, rewind=1)  # Else the file alone shows that the weights are not those drawn.
    trained = train(draw(ARCH, TASK, rewound), TASK, rewound)
    ticket = cut(trained, Taylor(), density=0.5)
    assert verify(ticket, parents=[trained]).ok
    bias = {**ticket.weights, "head.bias": ticket.weights["head.bias"] + 5}
    dead = {n: v.masked_fill(~ticket.mask[n], 9.0) if n in ticket.mask else v for n, v in ticket.weights.items()}
    for weights in (bias, dead):
        assert failed(verify(forged(ticket, weights=weights), parents=[trained])) == {"again"}

"""Cuts that were scored by computing: on another device a few weights fall out otherwise, and that is no forgery."""

import dataclasses
from typing import Any

import pytest

from tests.test_verify import ARCH, START, TASK, detail, failed, flipped, forged
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.core.call import Call
from tombola.core.errors import Refused
from tombola.core.lineage import Lineage
from tombola.core.mask import Mask
from tombola.core.ticket import Ticket
from tombola.criteria.snip import Snip
from tombola.criteria.taylor import Taylor
from tombola.find import cut, cut_early, draw
from tombola.moves.stretch import Squeeze, Stretch
from tombola.prune import PerLayer
from tombola.renorm import renorm
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


# What a lineage says and a content cannot be: every such ticket fails its checks, and none ends in an exception.


SHORT, WIDE = ResNet(depth=14, width=2), ResNet(depth=20, width=2)
FLAT = draw(SHORT, TASK, START)
BY = Stretch(to=WIDE)


def said_by(call: Call, content: Ticket, source: Lineage = FLAT.lineage) -> Ticket:
    """A content under a lineage that says that this call gave it."""
    return content.rebuilt(lineage=source).stamped(call)


def carried(by: object) -> Call:
    return Call("carry", 1, {"ticket": FLAT, "by": by})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (FLAT | Squeeze(to=ResNet(depth=8, width=2)), "'stages.0.1.bn1.bias' of resnet(width=2) is missing."),
        (FLAT | Stretch(to=ResNet(depth=26, width=2)), "'stages.0.3.bn1.bias' is not a tensor of resnet(width=2)."),
        (
            draw(ResNet(depth=20, width=4), TASK, START),
            "'stem.conv.weight' has shape (4, 1, 3, 3); resnet(width=2) needs (2, 1, 3, 3).",
        ),
        (
            (FLAT | BY).rebuilt(arch=ResNet(width=2, bn_scale="uniform")),
            "it is a ticket of resnet(width=2, bn_scale='uniform') on interface(inputs=(1, 8, 8), classes=10), and the "
            "call gives one of resnet(width=2) on interface(inputs=(1, 8, 8), classes=10)",
        ),
    ],
    ids=["less", "more", "wider", "another network"],
)
def test_a_content_that_is_not_of_the_moves_network_is_a_forgery(content: Ticket, message: str):
    verdict = verify(said_by(carried(BY), content), parents=[FLAT])
    assert failed(verdict) == {"carried", "again"} and detail(verdict, "carried") == message


def test_masks_that_the_map_does_not_name_are_a_forgery():
    whole = {name: tuple(value.shape) for name, value in (FLAT | BY).module().named_parameters()}
    verdict = verify(said_by(carried(BY), (FLAT | BY).rebuilt(mask=Mask.dense(whole))), parents=[FLAT])
    assert failed(verdict) == {"carried", "again"}
    assert detail(verdict, "carried") == "'stem.bn.weight' is not what the map says"


def test_a_move_that_is_refused_is_told():
    verdict = verify(said_by(carried(Stretch(to=ResNet(depth=20, width=4))), FLAT | BY), parents=[FLAT])
    assert failed(verdict) == {"again"}
    assert detail(verdict, "again").startswith("the call is refused now: 'stem.conv.weight' of resnet(depth=14")


OTHER = draw(Mlp(hidden=(9,)), TASK, START).rebuilt(step=1)  # Else it shows in the file alone.
TRAINED = train(DENSE, TASK, START)
EARLY: dict[str, Any] = {"task": TASK, "recipe": START, "criterion": Snip(), "scope": PerLayer(), "density": 0.5}


@pytest.mark.parametrize(
    ("call", "source", "check"),
    [
        (Call("cut", 1, {"trained": TRAINED, "scope": PerLayer(), "keep": 0.8}), TRAINED, "nested"),
        (Call("cut_early", 1, {"ticket": DENSE, **EARLY}), DENSE, "nested"),
        (Call("renorm", 1, {"ticket": FLAT, "task": TASK, "recipe": START}), FLAT, "untouched"),
    ],
    ids=["cut", "cut early", "renorm"],
)
def test_another_networks_content_is_no_cut_and_nothing_gathered(call: Call, source: Any, check: str):
    verdict = verify(said_by(call, OTHER, source.lineage), parents=[DENSE, TRAINED, FLAT])
    assert failed(verdict) == {check, "again"} and "is missing." in detail(verdict, check)


def test_a_scored_cut_of_other_tensors_is_a_forgery():
    cut_ = cut_early(DENSE, **EARLY)
    whole = Mask.dense({name: tuple(value.shape) for name, value in cut_.weights.items()})
    assert failed(verify_with(forged(cut_, mask=whole))) == {"again"}


def test_gathered_statistics_are_known_as_such():
    assert verify(renorm(FLAT, TASK, START, batches=1), parents=[FLAT]).ok

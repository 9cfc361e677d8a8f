"""Training away from known solutions, and towards them."""

import pathlib
from typing import Any

import pytest
import torch
from torch import Tensor

from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.core.call import Call
from tombola.core.errors import Refused
from tombola.core.machine import Machine
from tombola.core.seeds import Seeds
from tombola.core.text import parse
from tombola.core.ticket import Ticket
from tombola.find import cut, draw
from tombola.recall import recalled
from tombola.repel import Likeness, repel
from tombola.study.step import Context
from tombola.study.store import Store
from tombola.tasks.digits import Digits
from tombola.train.loop import train
from tombola.train.recipe import Recipe
from tombola.train.run import Run
from tombola.train.trained import Trained
from tombola.verify import verify

TASK, ARCH = Digits(), Mlp(hidden=(8,))
RECIPE = Recipe(steps=60, batch=60, evaluate=20)
GIVEN: dict[str, Any] = {"task": TASK, "recipe": RECIPE}


@pytest.fixture(scope="module")
def first() -> Trained:
    return train(draw(ARCH, **GIVEN), **GIVEN)


@pytest.fixture(scope="module")
def ticket(first: Trained) -> Ticket:
    return cut(first, keep=0.5)


def flat(ticket: Ticket, weights: Any) -> Tensor:
    return torch.cat([(weights[name] * ticket.mask[name]).flatten().double() for name in ticket.mask])


def cosine(ticket: Ticket, one: Trained, other: Trained) -> float:
    return float(torch.cosine_similarity(flat(ticket, one.weights), flat(ticket, other.weights), 0))


def test_the_term_and_its_gradient_by_hand(ticket: Ticket, first: Trained):
    """In double precision, over all weights together and under the ticket's mask, others' dead weights among them."""
    second = train(draw(ARCH, **GIVEN, seeds=Seeds(1)), **GIVEN)
    net = ticket.module()
    term = Likeness(net, ticket.mask, [first.weights, second.weights], 2.0)
    value = term()
    value.backward()
    own = flat(ticket, ticket.weights).requires_grad_()
    cosines = [own @ o / own.norm() / o.norm() for o in (flat(ticket, one.weights) for one in (first, second))]
    expected = 2.0 / 2 * sum(c**2 for c in cosines)
    assert isinstance(expected, Tensor)
    expected.backward()
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    parameters = dict(net.named_parameters())
    found = torch.cat([parameters[name].grad.flatten() for name in ticket.mask])  # type: ignore[union-attr]
    alive = flat(ticket, {name: torch.ones_like(value) for name, value in ticket.weights.items()})
    assert own.grad is not None and torch.allclose(found.double(), own.grad * alive, atol=1e-6)
    assert all(value.grad is None for name, value in net.named_parameters() if name not in ticket.mask)


def test_a_network_is_driven_away_or_drawn_near(ticket: Ticket, first: Trained):
    plain = train(ticket, **GIVEN)
    away, near = (repel(ticket, **GIVEN, others=(first,), strength=strength) for strength in (5.0, -5.0))
    to = {name: cosine(ticket, one, first) for name, one in (("plain", plain), ("away", away), ("near", near))}
    assert abs(to["away"]) < 0.5 * to["plain"] and to["near"] > to["plain"]
    assert away.checks == plain.checks and away.mask == ticket.mask
    assert away.scores["train_loss"] < 3  # Of the loss itself: the term is up to 5.


def test_the_curve_is_of_the_loss_alone(ticket: Ticket, first: Trained):
    still = Recipe(steps=1, batch=60, optimizer=parse("optimizer", "sgd(lr=1e-12)"), evaluate=1)
    plain = train(ticket, TASK, still)
    away = repel(ticket, TASK, still, others=(first,), strength=1000.0)
    assert away.log[0]["train_loss"] == plain.log[0]["train_loss"]


def test_pictures_lie_otherwise_in_memory():
    arch, recipe = ResNet(depth=8, width=2), Recipe(steps=2, batch=60)
    dense = draw(arch, TASK, recipe)
    other = train(dense, TASK, recipe)
    net = dense.module().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    straight, turned = (Likeness(one, dense.mask, [other.weights], 1.0)() for one in (dense.module(), net))
    assert straight.item() == pytest.approx(turned.item(), rel=1e-6)
    assert repel(dense, TASK, recipe, others=(other,)).checks


def test_a_training_that_was_interrupted_goes_on_to_the_same_bits(
    ticket: Ticket, first: Trained, tmp_path: pathlib.Path
):
    class Stop(Exception):
        pass

    def listen(happening: str, call: Call, **facts: Any) -> None:
        if happening == "progress" and facts["step"] == 40:
            raise Stop

    call = repel.call(ticket, **GIVEN, others=(first,))
    whole = repel.run(call, Context())
    machine = Machine(checkpoint=0.0)
    with pytest.raises(Stop):
        repel.run(call, Context(machine=machine, scratch=tmp_path, listen=listen))
    assert list(tmp_path.iterdir())
    assert repel.run(call, Context(machine=machine, scratch=tmp_path)).digest == whole.digest


def test_a_chain_is_stored_and_proved(tmp_path: pathlib.Path):
    runs = Store(tmp_path)
    first = runs(train, ticket=runs(draw, arch=ARCH, **GIVEN), **GIVEN)
    ticket = runs(cut, trained=first, keep=0.8)
    second = runs(repel, ticket=ticket, **GIVEN, others=(first,))
    third = runs(repel, ticket=runs(cut, trained=second, keep=0.8), **GIVEN, others=(first, second))
    last = runs(cut, trained=third, keep=0.8)
    functions = [event.function for event in last.lineage]
    assert last.level == 3 and functions == ["draw", "train", "cut", "repel", "cut", "repel", "cut"]
    for one in (second, third, last):
        verdict = verify(one, store=runs)
        assert verdict.ok, verdict
    said = recalled(third.lineage.last).arguments
    assert [one.key for one in said["others"]] == [first.key, second.key]
    assert Trained.load(_saved(third, tmp_path / "third.trained")).digest == third.digest


def _saved(trained: Trained, path: pathlib.Path) -> pathlib.Path:
    trained.save(path)
    return path


def test_others_of_another_chain_are_in_the_lineage(ticket: Ticket, first: Trained):
    elsewhere = train(draw(ARCH, **GIVEN, seeds=Seeds(1)), **GIVEN)
    for _ in range(2):
        elsewhere = train(cut(elsewhere, keep=0.8), **GIVEN)
    away = repel(ticket, **GIVEN, others=(elsewhere,))
    assert {event.key for event in elsewhere.lineage} < {event.key for event in away.lineage}
    further = cut(away, keep=0.8)
    assert verify(away).ok and verify(further).ok and further.level == 2  # Those of its own chain.
    assert len(further.lineage) == len({event.key for event in further.lineage})


def test_it_sits_beside_no_other_training(ticket: Ticket):
    run = Run(ticket, TASK, RECIPE.in_steps(TASK), Seeds(), Context())
    assert not run.alone
    run.aside = lambda: torch.zeros(())
    assert run.alone


def test_its_key_is_of_all_that_it_is_given(ticket: Ticket, first: Trained):
    second = train(ticket, **GIVEN)
    calls = [
        repel.call(ticket, **GIVEN, **more)
        for more in (
            {"others": (first,)},
            {"others": (first, second)},
            {"others": (second, first)},
            {"others": (first,), "strength": 1.0},
            {"others": (first,), "seeds": Seeds(1)},
        )
    ]
    assert len({call.key for call in calls}) == 5
    assert repel.call(ticket, **GIVEN, others=[first]).key == calls[0].key  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"others": ()}, "no others to be repelled from"),
        ({"strength": 0.0}, "a strength of 0 is train"),
        ({"strength": float("nan")}, "strength is nan. It is a finite number"),
        ({"strength": float("-inf")}, "strength is -inf"),
        ({"others": 3}, "'others' is 3. Give trained networks in a row"),
        ({"recipe": Recipe(steps=4, batch=60, rewire=parse("rewire", "rigl"))}, "changes the mask while training"),
    ],
)
def test_what_is_refused(ticket: Ticket, first: Trained, more: dict[str, Any], message: str):
    with pytest.raises(Refused, match=message):
        repel(ticket, **{**GIVEN, "others": (first,), **more})


def test_a_ticket_is_no_solution(ticket: Ticket):
    with pytest.raises(Refused, match="among the others is no trained network"):
        repel(ticket, **GIVEN, others=(ticket,))  # type: ignore[arg-type]


def test_another_network_is_refused(ticket: Ticket):
    wide = train(draw(Mlp(hidden=(9,)), **GIVEN), **GIVEN)
    with pytest.raises(Refused, match=r"has arch mlp\(hidden=\(8,\)\).*There is no angle"):
        repel(ticket, **GIVEN, others=(wide,))


def test_the_term_counts_once_for_a_batch_in_parts(ticket: Ticket, first: Trained):
    whole, parts = (
        repel(ticket, TASK, Recipe(steps=20, batch=60, accumulate=n), others=(first,), strength=5.0) for n in (1, 3)
    )
    for name, value in parts.weights.items():
        assert torch.allclose(value, whole.weights[name], atol=1e-5)

"""Golden keys of one chain of calls: a key that changes orphans all that is stored under it, so none does in silence.

A failure here means that a default, a plug-in's name or the canonical form changed. If that was meant (a new version of
a step or plug-in, a chain extended), write the new keys and say so in the commit:

    TOMBOLA_GOLDEN=write .venv/bin/python -m pytest tests/study/test_keys.py
"""

import json
import os
import pathlib
from typing import Any

import pytest

from tombola.archs.mlp import Mlp
from tombola.core.call import Call
from tombola.core.layout import dense_mask, initial_weights
from tombola.core.seeds import Seeds
from tombola.core.ticket import Ticket
from tombola.criteria.magnitude import Magnitude
from tombola.find import carry, cut, draw
from tombola.moves.controls import Reinit, Shuffle
from tombola.prune import Everywhere, PerLayer
from tombola.tasks.digits import Digits
from tombola.train.loop import train
from tombola.train.optimizers import Adam, Sgd
from tombola.train.recipe import Recipe
from tombola.train.recipes import LeNet
from tombola.train.schedules import StepDecay
from tombola.train.trained import Cost, Trained

GOLDEN = pathlib.Path(__file__).with_name("golden_keys.json")
# All that decides a result is spelled out, so that the keys do not hang on the recipe that is the task's default.
RECIPE = Recipe(
    steps="10ep",
    batch=60,
    optimizer=Sgd(lr=0.05, decay=1e-4),
    schedule=StepDecay(at=("5ep",)),
    rewind="1ep",
    validation=0.1,
    evaluate="5ep",
)


def ticket_of(call: Call) -> Ticket:
    """A stand-in for the result of a call: small, untrained, and of the call's key."""
    arch, task = Mlp(hidden=(2,)), Digits()
    weights = initial_weights(arch, task.io, "stand-in")
    made = Ticket(arch=arch, io=task.io, mask=dense_mask(arch, task.io), weights=weights).stamped(call)
    assert made.key == call.key
    return made


def trained_of(call: Call, ticket: Ticket) -> Trained:
    made = Trained(
        ticket=ticket,
        task=Digits(),
        recipe=RECIPE,
        seeds=Seeds(),
        weights=ticket.weights,
        log=(),
        scores={},
        checks={},
        cost=Cost(0.0, 0, 0, 0.0, 0.0),
    ).stamped(call)
    assert made.key == call.key
    return made


def chain() -> dict[str, Call]:
    """Two levels of pruning with rewinding, controls, and the same with arguments that are not defaults."""
    task, arch = Digits(), Mlp()
    calls = {"draw": draw.call(arch=arch, task=task, recipe=RECIPE, seeds=Seeds(0))}
    dense = ticket_of(calls["draw"])
    calls["train dense"] = train.call(ticket=dense, task=task, recipe=RECIPE, seeds=Seeds(0))
    trained = trained_of(calls["train dense"], dense)
    calls["cut 1"] = cut.call(trained=trained, criterion=Magnitude(), scope=Everywhere(), keep=0.8)
    first = ticket_of(calls["cut 1"])
    calls["train 1"] = train.call(ticket=first, task=task, recipe=RECIPE, seeds=Seeds(0))
    again = trained_of(calls["train 1"], first)
    calls["cut 2"] = cut.call(trained=again, scope=PerLayer(halved=("head.weight",)), keep=0.8, restart="rate")
    calls["cut to a density"] = cut.call(trained=again, density=0.1)
    second = ticket_of(calls["cut 2"])
    calls["shuffle"] = carry.call(ticket=second, by=Shuffle(seed=1))
    calls["reinit"] = carry.call(ticket=second, by=Reinit(seed=1))
    calls["twin"] = train.call(ticket=second, task=task, recipe=RECIPE, seeds=Seeds(0, data=1))
    calls["draw lenet"] = draw.call(
        arch=Mlp(hidden=(300, 300, 100)), task=task, recipe=LeNet(optimizer=Adam(lr=0.01)), seeds=Seeds(3)
    )
    return calls


def test_the_keys_of_the_canonical_chain():
    found = {name: {"key": call.key, "text": call.text} for name, call in chain().items()}
    if os.environ.get("TOMBOLA_GOLDEN") == "write":
        GOLDEN.write_text(json.dumps(found, indent=2) + "\n")
    assert found == json.loads(GOLDEN.read_text())


def test_every_call_of_the_chain_has_a_key_of_its_own():
    keys = [call.key for call in chain().values()]
    assert len(set(keys)) == len(keys)
    assert all(len(key.partition(":")[2]) == 16 for key in keys)


def test_the_order_of_arguments_and_spelled_out_defaults_do_not_matter():
    call = chain()["cut 1"]
    trained: Any = call.arguments["trained"]
    assert cut.call(trained, keep=0.8).key == call.key
    spelled = cut.call(keep=0.8, restart="weights", density=None, trained=trained, scope=Everywhere(exclude=()))
    assert spelled.key == call.key


def test_epochs_and_steps_have_the_same_key():
    steps = Recipe(
        steps=220,
        batch=60,
        optimizer=Sgd(lr=0.05, decay=1e-4),
        schedule=StepDecay(at=(110,)),
        rewind=22,
        validation=0.1,
        evaluate=110,
    )
    assert draw.call(arch=Mlp(), task=Digits(), recipe=steps).key == chain()["draw"].key


@pytest.mark.parametrize(
    "changes",
    [
        {"arch": Mlp(hidden=(300, 101))},
        {"task": Digits(size=10)},
        {"recipe": Recipe(steps="11ep", batch=60)},
        {"seeds": Seeds(1)},
        {"seeds": Seeds(0, data=1)},
    ],
    ids=str,
)
def test_whatever_decides_the_result_changes_the_key(changes: dict[str, Any]):
    arguments = {"arch": Mlp(), "task": Digits(), "recipe": Recipe(steps="10ep", batch=60), "seeds": Seeds(0)}
    assert draw.call(**arguments | changes).key != draw.call(**arguments).key

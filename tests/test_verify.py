"""Proofs: sound tickets of every kind pass, every planted fault is found, and a damaged file is never an exception.

A fault is planted as somebody would who knows the format: digests and counts are made to agree again, so that it is
found by what it breaks and not by the digest of the file.
"""

import dataclasses
import json
import pathlib
import struct
from collections.abc import Callable
from typing import Any

import pytest
import torch

from tombola.archs.mlp import Mlp
from tombola.core import container
from tombola.core.lineage import Event, Lineage
from tombola.core.mask import Mask
from tombola.core.ticket import Ticket
from tombola.find import find
from tombola.moves.controls import Reinit, Shuffle
from tombola.prune import Erk, Everywhere, PerLayer
from tombola.study.store import Store
from tombola.tasks.digits import Digits
from tombola.train.loop import train
from tombola.train.recipe import Recipe
from tombola.train.trained import Trained
from tombola.verify import Verdict, verify

ARCH, TASK = Mlp(hidden=(12, 8)), Digits()
START = Recipe(steps=10, batch=60, evaluate=10, validation=0.0)
REWOUND = Recipe(steps=10, batch=60, evaluate=10, rewind=3, validation=0.0)


@dataclasses.dataclass
class Made:
    """A ladder of two levels with all that was trained on the way, and its store."""

    tickets: list[Ticket]
    trained: list[Trained]
    store: Store

    @property
    def all(self) -> list[Ticket | Trained]:
        return [*self.tickets, *self.trained]


def make(folder: pathlib.Path, recipe: Recipe, **settings: Any) -> Made:
    store = Store(folder)
    tickets = list(find(ARCH, TASK, recipe, levels=2, call=store, **settings))
    return Made(tickets, [store(train, ticket=t, task=TASK, recipe=recipe) for t in tickets], store)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Reset to the start."""
    return make(tmp_path_factory.mktemp("start"), START)


@pytest.fixture(scope="module")
def rewound(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Rewound to step 3."""
    return make(tmp_path_factory.mktemp("rewound"), REWOUND)


def failed(verdict: Verdict) -> set[str]:
    """The names of the checks that did not hold, without keys."""
    assert verdict.ok == all(check.ok for check in verdict.checks)
    return {check.name.split(":")[0] for check in verdict.checks if not check.ok}


def passed(verdict: Verdict) -> set[str]:
    assert verdict.ok, [check for check in verdict.checks if not check.ok]
    return {check.name.split(":")[0] for check in verdict.checks}


def detail(verdict: Verdict, name: str) -> str:
    return next(check.detail for check in verdict.checks if check.name.startswith(name))


def forged(value: Any, **changes: Any) -> Any:
    """The value with something else in it, and a lineage that says that this is what its last call gave."""
    other = dataclasses.replace(value, **changes)
    events = other.lineage.events
    lineage = Lineage((*events[:-1], dataclasses.replace(events[-1], digest=other.digest)))
    return dataclasses.replace(other, lineage=lineage)


def flipped(mask: Mask, name: str, *, kill: int | None = None, revive: int | None = None) -> Mask:
    """The mask with the first living weight (or so) of a tensor dead, or its first dead one alive."""
    bits = mask[name].clone().flatten()
    if kill is not None:
        bits[bits.nonzero()[kill]] = False
    if revive is not None:
        bits[(~mask[name].flatten()).nonzero()[revive]] = True
    return Mask({**mask, name: bits.reshape(mask[name].shape)})


def resaved(ticket: Ticket, path: pathlib.Path, **header: Any) -> pathlib.Path:
    """A file of the ticket with another header, in its canonical form."""
    parts = ticket.parts()
    data = container.encode("ticket", dataclasses.replace(parts, header={**parts.header, **header}))
    path.write_bytes(data)
    return path


# Sound ones.


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_ticket_reset_to_the_start_is_proved_by_its_file_alone(start: Made, level: int, tmp_path: pathlib.Path):
    start.tickets[level].save(tmp_path / "a.ticket")
    verdict = verify(tmp_path / "a.ticket")
    assert passed(verdict) >= {
        "canonical file",
        "mask covers the prunable weights",
        "values are finite",
        "dead weights start at zero",
        "as many live as the cuts leave",
        "survivors are the drawn weights",
        "lineage",
    }
    if level:
        assert "0 of" in detail(verdict, "parents") and "--store" in detail(verdict, "parents")


@pytest.mark.parametrize("kind", ["start", "rewound"])
def test_with_parents_every_cut_is_done_again(kind: str, request: pytest.FixtureRequest, tmp_path: pathlib.Path):
    made: Made = request.getfixturevalue(kind)
    paths = [tmp_path / f"{i}.file" for i in range(len(made.all))]
    for value, path in zip(made.all, paths, strict=True):
        value.save(path)
    for verdict in (
        verify(paths[2], parents=paths[:2] + paths[3:]),
        verify(made.tickets[2], parents=made.trained),
        verify(made.tickets[2], store=made.store),
        verify(made.trained[2], parents=made.all),
    ):
        assert passed(verdict) >= {"nested", "rewound", "again", "parents"}
        assert detail(verdict, "parents").startswith(("2 of 2", "1 of 2"))


def test_what_was_not_seen_is_said(rewound: Made):
    verdict = verify(rewound.tickets[2], parents=[rewound.trained[1]])
    assert verdict.ok and detail(verdict, "parents").startswith("1 of 2")
    assert len([check for check in verdict.checks if check.name.startswith("again")]) == 1


def test_by_replay_every_call_is_run_again(rewound: Made):
    verdict = verify(rewound.tickets[1], replay=True)
    assert [c.name.split(":")[1].strip() for c in verdict.checks if c.name.startswith("replay")] == [
        "draw",
        "train",
        "cut",
    ]
    assert verdict.ok
    moved = (rewound.tickets[1] | Shuffle()).alive()
    assert verify(moved, replay=True, call=rewound.store).ok


@pytest.mark.parametrize("restart", ["rate", "fine-tune"])
def test_tickets_of_other_restarts_are_sound(restart: Any, tmp_path: pathlib.Path):
    made = make(tmp_path / "store", REWOUND, restart=restart)
    assert passed(verify(made.tickets[2], store=made.store)) >= {"no value is held under dead positions", "rewound"}
    assert verify(made.trained[2], store=made.store).ok


@pytest.mark.parametrize(
    "scope",
    [
        Erk(),
        PerLayer(halved=("head.weight",)),
        PerLayer(tensors="all"),
        Everywhere(exclude=("head.*",), rounding="floor"),
    ],
    ids=str,
)
def test_tickets_of_other_scopes_are_sound(scope: Any, tmp_path: pathlib.Path):
    made = make(tmp_path / "store", START, scope=scope, keep=0.65)
    names = passed(verify(made.tickets[2], store=made.store))
    assert names >= {"nested", "rewound", "again"}
    assert ("as many live as the cuts leave" in names) == isinstance(scope, Erk | Everywhere)


@pytest.mark.parametrize("kind", ["start", "rewound"])
def test_carried_tickets_and_survivors_are_sound(kind: str, request: pytest.FixtureRequest, tmp_path: pathlib.Path):
    made: Made = request.getfixturevalue(kind)
    ticket = made.tickets[2]
    for value in (ticket | Shuffle(), ticket | Reinit(), ticket.alive(), (ticket | Shuffle()).alive()):
        value.save(tmp_path / "a.ticket")
        assert verify(tmp_path / "a.ticket").ok
        steps = [event.key for event in value.lineage if event.function in ("cut", "carry", "alive")]
        assert passed(verify(tmp_path / "a.ticket", store=made.store)) >= {"canonical file", "again"}
        assert detail(verify(value, parents=[*made.all, ticket | Shuffle()]), "parents").startswith(
            f"{len(steps)} of {len(steps)} "
        )


def test_a_trained_network_is_sound(rewound: Made, tmp_path: pathlib.Path):
    rewound.trained[1].save(tmp_path / "a.trained")
    assert passed(verify(tmp_path / "a.trained")) >= {
        "trained values are finite",
        "trained dead weights are zero",
        "trained as its call says",
        "checks of the training held",
    }


def test_a_verdict_is_plain_data(start: Made):
    data = json.loads(json.dumps(verify(start.tickets[1]).to_json()))
    assert set(data) == {"ok", "checks"} and set(data["checks"][0]) == {"name", "ok", "detail"}


# Planted faults.


def test_a_revived_weight_is_found(rewound: Made, tmp_path: pathlib.Path):
    """Momentum and decay bring pruned weights back in half of the scripts that people share."""
    trained = rewound.trained[1]
    name = "stages.0.0.weight"
    revived = trained.weights[name].clone()
    revived[~trained.ticket.mask[name]] += torch.finfo(torch.float32).tiny
    forged(trained, weights={**trained.weights, name: revived}).save(tmp_path / "a.trained")
    assert failed(verify(tmp_path / "a.trained")) == {"trained dead weights are zero"}


def test_a_check_of_the_training_that_failed_is_found(rewound: Made, tmp_path: pathlib.Path):
    trained = rewound.trained[1]
    forged(trained, checks={**trained.checks, "dead weights are zero": False}).save(tmp_path / "a.trained")
    assert failed(verify(tmp_path / "a.trained")) == {"checks of the training held"}


def test_a_network_trained_from_another_ticket_is_found(rewound: Made, start: Made, tmp_path: pathlib.Path):
    trained = rewound.trained[1]
    other = forged(trained.ticket, weights={n: v + 1 for n, v in trained.ticket.weights.items()})
    for ticket in (other, trained.ticket.rebuilt(weights=other.weights), rewound.tickets[1] | Reinit()):
        forged(trained, ticket=ticket).save(tmp_path / "a.trained")
        assert "trained as its call says" in failed(verify(tmp_path / "a.trained"))


@pytest.mark.parametrize("header", [{"recipe": "recipe(steps=9)"}, {"seeds": "seeds(seed=1)"}, {"task": "mnist()"}])
def test_a_network_trained_otherwise_is_found(rewound: Made, tmp_path: pathlib.Path, header: dict[str, str]):
    parts = rewound.trained[1].parts()
    data = container.encode("trained", dataclasses.replace(parts, header={**parts.header, **header}))
    (tmp_path / "a.trained").write_bytes(data)
    assert failed(verify(tmp_path / "a.trained")) == {"trained as its call says"}


@pytest.mark.parametrize("holding", ["all", "alive"])
def test_a_weight_that_was_not_reset_is_found(start: Made, holding: str, tmp_path: pathlib.Path):
    ticket = start.tickets[2] if holding == "all" else start.tickets[2].alive()
    name = "head.weight"
    value = ticket.weights[name].clone()
    at = ticket.mask[name].nonzero()[0]
    value[tuple(at)] = start.trained[1].weights[name][tuple(at)]
    bad = ticket.rebuilt(weights={**ticket.weights, name: value})
    bad.save(tmp_path / "a.ticket")
    assert failed(verify(tmp_path / "a.ticket")) == {"lineage", "survivors are the drawn weights"}
    forged(bad).save(tmp_path / "a.ticket")
    assert failed(verify(tmp_path / "a.ticket")) == {"survivors are the drawn weights"}


def test_a_weight_that_was_not_rewound_is_found(rewound: Made, tmp_path: pathlib.Path):
    """Lightning's tickets for three years: pruned, and trained on."""
    ticket, trained = rewound.tickets[2], rewound.trained[1]
    bad = forged(ticket, weights=dict(trained.weights))
    bad.save(tmp_path / "a.ticket")
    assert verify(tmp_path / "a.ticket").ok  # What step 3 gave is not to be known from the file.
    assert failed(verify(tmp_path / "a.ticket", parents=[trained])) == {"rewound", "again"}
    assert failed(verify(bad, store=rewound.store)) == {"rewound", "again"}
    assert failed(verify(bad, replay=True, call=rewound.store)) == {"replay"}


def test_one_bit_of_a_weight_is_enough(rewound: Made):
    ticket = rewound.tickets[1]
    value = ticket.weights["head.weight"].clone()
    value.view(torch.int32)[tuple(ticket.mask["head.weight"].nonzero()[3])] ^= 1
    bad = forged(ticket, weights={**ticket.weights, "head.weight": value})
    assert failed(verify(bad, parents=rewound.trained)) == {"rewound", "again"}


def test_a_value_under_a_dead_position_is_found(rewound: Made):
    ticket = rewound.tickets[2].alive()
    name = "head.weight"
    value = ticket.weights[name].clone()
    value[~ticket.mask[name]] = 1.0
    assert "no value is held under dead positions" in failed(
        verify(forged(ticket, weights={**ticket.weights, name: value}))
    )


def test_a_mask_that_is_not_nested_is_found(rewound: Made, tmp_path: pathlib.Path):
    parent, ticket = rewound.tickets[1].mask, rewound.tickets[2]
    name = "stages.0.0.weight"
    first = int((~parent[name].flatten()).nonzero()[0])
    order = (~ticket.mask[name].flatten()).nonzero().flatten().tolist()
    mask = flipped(ticket.mask, name, kill=0, revive=order.index(first))
    assert mask.kept == ticket.mask.kept and not mask <= parent
    bad = forged(ticket, mask=mask)
    bad.save(tmp_path / "a.ticket")
    assert failed(verify(tmp_path / "a.ticket", parents=rewound.trained)) == {"nested", "again"}


def test_a_mask_of_other_weights_of_the_parent_is_found(rewound: Made):
    ticket, name = rewound.tickets[1], "stages.0.0.weight"
    bad = forged(ticket, mask=flipped(ticket.mask, name, kill=0, revive=0))
    assert failed(verify(bad, parents=rewound.trained)) == {"again"}


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_wrong_count_is_found_in_the_file_alone(start: Made, level: int, tmp_path: pathlib.Path):
    ticket, name = start.tickets[level], "stages.0.0.weight"
    changes = [{"kill": 0}, {"revive": 0}] if level else [{"kill": 0}]
    for change in changes:
        bad = forged(ticket, mask=flipped(ticket.mask, name, **change))
        bad.save(tmp_path / "a.ticket")
        assert failed(verify(tmp_path / "a.ticket")) == {"as many live as the cuts leave"}


def test_a_wrong_count_of_a_scope_of_its_own_is_found_with_its_parent(tmp_path: pathlib.Path):
    made = make(tmp_path / "store", START, scope=PerLayer())
    ticket = made.tickets[1]
    bad = forged(ticket, mask=flipped(ticket.mask, "head.weight", kill=0))
    assert verify(bad).ok
    assert failed(verify(bad, parents=made.trained)) == {"again"}


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        ({"kept": 5}, "the header says kept 5; counted: "),
        ({"size": 5}, "the header says size 5; counted: 944"),
        ({"level": 1}, "the header says level 1; counted: 2"),
        ({"level": 2.0}, "the header says level 2.0; counted: 2"),
        ({"kept": True}, "the header says kept True; counted: "),
        ({"arch": "mlp(hidden=(12, 9))"}, "does not fit mlp(hidden=(12, 9))"),
        ({"arch": "mlp(hidden=(12,"}, "cannot read 'mlp(hidden=(12,'"),
        ({"arch": "mlp(hidden=(99999999,))"}, "mlp: a width in 'hidden'"),
        ({"arch": 3}, "the header's 'arch' is not text"),
        ({"io": {"inputs": [1, 8, 9], "classes": 10}}, "does not fit"),
        ({"io": {"inputs": "abc", "classes": 10}}, "not a sound ticket"),
        ({"io": 3}, "not a sound ticket"),
        ({"step": -1}, "it starts at step -1"),
        ({"step": "3"}, "it starts at step '3'"),
        ({"restart": "wieghts"}, "the header's 'restart' is 'wieghts'"),
        ({"weights": "some"}, "the header's 'weights' is 'some'"),
        ({"weights": "alive"}, "not a sound ticket"),
        ({"mask": []}, "not a sound ticket"),
        ({"mask": [["head.weight", [10, 8]]]}, "not a sound ticket"),
        ({"lineage": {}}, "the lineage is not a list"),
        ({"lineage": [["draw()", "draw:0"]]}, "not [call, key, digest]"),
        ({"lineage": []}, "the header says level 2; counted: 0"),
        ({"task": None}, "the header's 'task' is not text"),
    ],
)
def test_a_header_that_does_not_match_is_damage(start: Made, tmp_path: pathlib.Path, header: Any, complaint: str):
    verdict = verify(resaved(start.tickets[2], tmp_path / "a.ticket", **header))
    assert failed(verdict) == {"file"}
    assert complaint in detail(verdict, "file")


@pytest.mark.parametrize("header", [{"more": 1}, {"task": "mnist()"}, {"recipe": ""}, {"data": "x"}, {"step": 3}])
def test_other_words_in_a_header_are_found(start: Made, tmp_path: pathlib.Path, header: Any):
    verdict = verify(resaved(start.tickets[2], tmp_path / "a.ticket", **header))
    assert failed(verdict) == ({"canonical file"} if "more" in header else {"lineage"})


# Lineages.


def events(ticket: Ticket) -> list[Event]:
    return list(ticket.lineage.events)


def with_events(ticket: Ticket, new: list[Event]) -> Ticket:
    return dataclasses.replace(ticket, lineage=Lineage(tuple(new)))


@pytest.mark.parametrize("place", range(5))
def test_a_text_that_does_not_match_its_key_is_found(rewound: Made, place: int):
    old = events(rewound.tickets[2])
    text = old[place].call
    for a, b in (
        ("keep=0.8", "keep=0.9"),
        ("steps=10", "steps=99"),
        ("(12, 8)", "(12, 9)"),
        (")", ", seeds=seeds(seed=1))"),
    ):
        if a not in text or (a == ")" and text.startswith("cut")):
            continue
        other = text.replace(a, b) if a != ")" else f"{text[:-1]}, seeds=seeds(seed=1))"
        new = [*old[:place], dataclasses.replace(old[place], call=other), *old[place + 1 :]]
        verdict = verify(with_events(rewound.tickets[2], new))
        assert "lineage" in failed(verdict)
        assert f"call {place + 1}, {other}, has the key" in detail(verdict, "lineage")


@pytest.mark.parametrize("order", [[1, 0, 2, 3, 4], [0, 2, 1, 3, 4], [0, 1, 4, 3, 2], [0, 1, 2, 4, 3], [4, 3, 2, 1, 0]])
def test_a_reordered_lineage_is_found(rewound: Made, order: list[int]):
    old = events(rewound.tickets[2])
    bad = with_events(rewound.tickets[2], [old[i] for i in order])
    assert "lineage" in failed(verify(bad))
    assert "lineage" in failed(verify(forged(bad)))


@pytest.mark.parametrize(
    "left", [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4], [3, 4], [4], [0, 3, 4]]
)
def test_a_cut_lineage_is_found(start: Made, left: list[int]):
    old = events(start.tickets[2])
    bad = with_events(start.tickets[2], [old[i] for i in left])
    assert "lineage" in failed(verify(bad))
    assert failed(verify(forged(bad))) & {"lineage", "as many live as the cuts leave"}


def test_a_lineage_that_is_not_there_is_found(start: Made):
    verdict = verify(with_events(start.tickets[0], []))
    assert failed(verdict) >= {"lineage"} and "it is empty" in detail(verdict, "lineage")


def test_one_call_twice_is_found(start: Made):
    old = events(start.tickets[1])
    assert not verify(forged(with_events(start.tickets[1], [*old, old[-1]]))).ok


def stamped(ticket: Ticket, *texts: tuple[str, str]) -> Ticket:
    """The ticket with calls that nobody could have made, under whatever keys."""
    old = events(ticket)
    return forged(with_events(ticket, [*old, *(Event(text, key, "") for text, key in texts)]))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("cut(keep=0.8)", "cut:71eb6f9ce4d21a5d"),
        ("carry(by=3)", "carry:0123456789abcdef"),
        ("alive()", "alive:0123456789abcdef"),
        ("bake(cake=1)", "bake:0123456789abcdef"),
        ("", "draw:0123456789abcdef"),
        ("cut(" * 5000, "cut:0123456789abcdef"),
        ("__import__('os').system('true')", "cut:0123456789abcdef"),
        ("cut(trained=[].append)", "cut:0123456789abcdef"),
        ("cut(keep=1e999)", "cut:0123456789abcdef"),
        ("cut(keep={1: 2})", "cut:0123456789abcdef"),
        ("cut(keep=nan)", "cut:0123456789abcdef"),
        ("x" * 30_000, "cut:0123456789abcdef"),
        ("draw(arch=mlp(), task=digits(), recipe=recipe(steps=-3))", "draw:0123456789abcdef"),
        ("draw(arch=3, task=digits(), recipe=recipe())", "draw:0123456789abcdef"),
    ],
)
def test_a_call_that_nobody_made_is_found(start: Made, text: str, key: str):
    assert "lineage" in failed(verify(stamped(start.tickets[1], (text, key)), store=start.store, replay=True))


def test_a_draw_of_a_network_larger_than_memory_is_found_without_drawing_it(start: Made):
    old = events(start.tickets[1])
    huge = dataclasses.replace(old[0], call=old[0].call.replace("hidden=(12, 8)", "hidden=(60000, 60000, 60000)"))
    verdict = verify(with_events(start.tickets[1], [huge, *old[1:]]))
    assert failed(verdict) == {"lineage", "survivors are the drawn weights"}


# Parents.


def test_a_parent_that_claims_a_key_with_other_content_is_found(rewound: Made, tmp_path: pathlib.Path):
    child = rewound.tickets[2]
    for real in (rewound.tickets[0], rewound.tickets[1], rewound.trained[1]):
        liar = forged(real, weights={n: v + 1 for n, v in real.weights.items()})
        assert liar.key == real.key
        verdict = verify(child, parents=[liar])
        assert failed(verdict) == {f"result of {real.key}".split(":")[0]}


def test_a_parent_whose_training_began_with_another_ticket_is_found(rewound: Made):
    real = rewound.trained[1]
    ticket = forged(real.ticket, weights={n: v + 1 for n, v in real.ticket.weights.items()})
    liar = dataclasses.replace(real, ticket=ticket)
    assert liar.key == real.key and liar.digest == real.digest
    assert failed(verify(rewound.tickets[2], parents=[liar])) == {"result of train"}


def test_a_ticket_that_claims_to_be_a_training_is_found(rewound: Made):
    trained, ticket = rewound.trained[1], rewound.tickets[1]
    last = dataclasses.replace(trained.lineage.last, digest=ticket.digest)
    liar = with_events(ticket, [*events(ticket), last])
    assert liar.key == trained.key
    assert failed(verify(rewound.tickets[2], parents=[liar])) == {"result of train"}
    child = [last if event.key == last.key else event for event in events(rewound.tickets[2])]  # An accomplice.
    assert failed(verify(with_events(rewound.tickets[2], child), parents=[liar])) == {"result of train"}


def test_strangers_prove_nothing_and_harm_nothing(start: Made, rewound: Made):
    verdict = verify(rewound.tickets[2], parents=start.all)
    assert verdict.ok and detail(verdict, "parents").startswith("0 of 2")


def test_a_damaged_parent_is_told(start: Made, tmp_path: pathlib.Path):
    (tmp_path / "parent.ticket").write_bytes(b"nonsense")
    assert failed(verify(start.tickets[1], parents=[tmp_path / "parent.ticket"])) == {"parents"}


def test_a_damaged_store_has_nothing_to_say(tmp_path: pathlib.Path):
    made = make(tmp_path / "store", START)
    for record in (tmp_path / "store").glob("*/*/record.json"):
        record.write_text(record.read_text()[:-50])
    assert detail(verify(made.tickets[2], store=made.store), "parents").startswith("0 of 2")


# Damaged files.


def test_a_flipped_bit_anywhere_is_found(rewound: Made, tmp_path: pathlib.Path):
    path = tmp_path / "a.ticket"
    sound = rewound.tickets[2].alive().encoded()
    for at in [*range(0, 64), *range(64, len(sound) * 8, len(sound) * 8 // 150), len(sound) * 8 - 1]:
        data = bytearray(sound)
        data[at // 8] ^= 1 << at % 8
        path.write_bytes(data)
        assert not verify(path).ok, at


def test_a_file_cut_short_is_found(rewound: Made, tmp_path: pathlib.Path):
    path, sound = tmp_path / "a.trained", rewound.tickets[1].encoded()
    for length in [0, 1, 7, 8, 9, 10, 100, len(sound) // 2, len(sound) - 1]:
        path.write_bytes(sound[:length])
        assert failed(verify(path)) == {"file"}
    path.write_bytes(sound + b"\0")
    assert not verify(path).ok


@pytest.mark.parametrize("path", ["nowhere.ticket", "."])
def test_what_is_no_file_is_told(path: str):
    assert failed(verify(path)) == {"file"}


@pytest.mark.parametrize(
    "outer",
    [
        {"__metadata__": {"tombola": "[]"}},
        {"__metadata__": {"tombola": "{}"}},
        {"__metadata__": {"tombola": '{"format": "ticket", "version": 99}'}},
        {"__metadata__": {"tombola": '{"format": "ticket", "version": 1, "digest": 3, "kept": NaN}'}},
        {"__metadata__": {"tombola": "[" * 100_000}},
        {"__metadata__": {"tombola": '{"format": "trained", "version": 1}'}},
        {"__metadata__": {"other": "x"}},
        {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},
        [],
        3,
    ],
    ids=lambda outer: str(outer)[:40],
)
def test_a_file_that_is_no_ticket_is_told(outer: Any, tmp_path: pathlib.Path):
    text = json.dumps(outer).encode()
    (tmp_path / "a.ticket").write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 4)
    assert failed(verify(tmp_path / "a.ticket")) == {"file"}


@pytest.mark.parametrize("cast", [torch.int32, torch.bool, torch.complex64, torch.float64, torch.float16], ids=str)
def test_weights_of_another_type_are_no_exception(start: Made, tmp_path: pathlib.Path, cast: torch.dtype):
    ticket = start.tickets[1]
    bad = forged(ticket, weights={n: v.to(cast) for n, v in ticket.weights.items()})
    bad.save(tmp_path / "a.ticket")
    assert not verify(tmp_path / "a.ticket").ok


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_found(rewound: Made, value: float):
    ticket, trained = rewound.tickets[1], rewound.trained[1]
    bad = {n: torch.full_like(v, value) for n, v in ticket.weights.items()}
    assert "values are finite" in failed(verify(forged(ticket, weights=bad)))
    assert "trained values are finite" in failed(verify(forged(trained, weights=trained.ticket.mask.apply(bad))))


def test_a_mask_of_some_of_the_prunable_weights_is_found(start: Made):
    ticket = start.tickets[1]
    part = Mask({n: m for n, m in ticket.mask.items() if n != "head.weight"})
    assert "mask covers the prunable weights" in failed(verify(forged(ticket, mask=part)))


def test_a_replay_that_gives_something_else_is_found(rewound: Made, monkeypatch: pytest.MonkeyPatch):
    def meddling(function: Callable[..., Any], **arguments: Any) -> Any:
        made = function(**arguments)
        return forged(made, weights={n: v + 1 for n, v in made.weights.items()}) if function.name == "train" else made

    verdict = verify(rewound.tickets[2], replay=True, call=meddling)
    assert failed(verdict) == {"replay"}
    assert [check.ok for check in verdict.checks if check.name.startswith("replay")] == [True, False]


def test_forged_scores_are_found_by_replay(start: Made):
    """Scores are no part of a network's content; only training again tells."""
    bad = dataclasses.replace(start.trained[1], scores={**start.trained[1].scores, "test_accuracy": 0.999})
    assert verify(bad).ok
    assert passed(verify(start.trained[1], replay=True)) >= {"replay"}
    assert [c.name for c in verify(bad, replay=True).checks if not c.ok] == ["replay: scores and curve"]


@pytest.mark.parametrize("scores", [["abc"], "ab", {}, {"test_accuracy": "high"}, {"test_accuracy": 0.5}], ids=str)
def test_scores_that_are_none_are_damage(start: Made, tmp_path: pathlib.Path, scores: Any):
    parts = start.trained[0].parts()
    path = tmp_path / "a.trained"
    path.write_bytes(container.encode("trained", dataclasses.replace(parts, header={**parts.header, "scores": scores})))
    assert failed(verify(path)) == {"file"}
    assert "scores" in detail(verify(path), "file")

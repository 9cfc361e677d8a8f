"""Merged tickets: what their lineages, levels and texts say, and how that is proved."""

import dataclasses
import pathlib

import pytest

from tests.test_merge import NETS, RECIPE, SMALL, TASK, TICKETS, made
from tests.test_verify import detail, failed, flipped, forged, passed
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.core.call import Call
from tombola.core.errors import Refused
from tombola.core.lineage import Event, Lineage
from tombola.core.seeds import Seeds
from tombola.core.ticket import Ticket
from tombola.criteria.random_ import Random
from tombola.find import cut, cut_early, draw
from tombola.merge import HOWS, How, merge
from tombola.moves.keeping import KeepFirst
from tombola.moves.stretch import Stretch
from tombola.recall import recalled
from tombola.renorm import renorm
from tombola.study.deferred import defer
from tombola.study.goals import row
from tombola.study.graph import graph_of, resolve
from tombola.study.store import Store
from tombola.train.loop import train
from tombola.verify import verify


def test_texts_that_differ_are_left_open():
    other = dataclasses.replace(TICKETS[1], task="mnist()", data="0" * 32)
    one = merge((TICKETS[0], other))
    assert (one.task, one.data, one.recipe) == ("", "", TICKETS[0].recipe)


def test_its_lineage_has_every_call_once_oldest_first():
    dense = draw(SMALL, TASK, RECIPE)
    cuts = [cut_early(dense, TASK, RECIPE, Random(seed=s), density=0.5) for s in (1, 2)]
    one = merge(cuts, "vote")
    assert [e.function for e in one.lineage] == ["draw", "cut_early", "cut_early", "merge"]
    assert one.lineage.last.call == f"merge(tickets=({cuts[0].key}, {cuts[1].key}), how='vote')"
    assert recalled(one.lineage.last).key == one.key == one.lineage.last.key
    assert merge(list(cuts), how="vote", values="mean").key == one.key
    assert merge(cuts[::-1], "vote").key != one.key


def test_its_level_is_that_of_the_deepest_parent(tmp_path: pathlib.Path):
    two, one = made(8, levels=2), made(9)
    for tickets in ((two, one), (one, two)):
        both = merge(tickets)
        assert both.level == 2 and both.lineage.count("cut_early") == 3
        later = cut_early(both | Stretch(to=Mlp(hidden=(5, 5, 5))), TASK, RECIPE, density=0.1)
        assert later.level == 3 and merge((later, later)).level == 3
        later.save(tmp_path / "a.ticket")
        assert Ticket.load(tmp_path / "a.ticket").level == 3
    by_hand = one.rebuilt(mask=flipped(one.mask, "head.weight", kill=0))
    assert merge((by_hand, two)).level == merge((two, by_hand)).level == 2
    more = cut_early(by_hand, TASK, RECIPE, density=0.1)
    assert more.level == 2 and merge((made(9, levels=1), more)).level == 2


def test_level_follows_the_calls_and_not_their_order():
    """Cuts of one parent do not count for the other, in whatever order they stand."""
    lineage, keys = Lineage(), {}

    def then(name: str, function: str, *of: str) -> None:
        nonlocal lineage
        tickets = [keys[one] for one in of]
        text = f"{function}(x={len(keys)}{''.join(f', a{n}={key}' for n, key in enumerate(tickets))})"
        keys[name] = f"{function}:{len(keys):016x}"
        lineage = Lineage((*lineage.events, Event(text, keys[name], "")))

    for name, function, *of in (
        ("a", "draw"), ("b", "draw"), ("a1", "cut", "a"), ("b1", "cut", "b"), ("a2", "cut", "a1"), ("b2", "cut", "b1"),
        ("m", "merge", "a2", "b1"), ("c", "cut", "m"), ("n", "merge", "c", "b2"), ("d", "renorm", "n"),
    ):  # fmt: skip
        then(name, function, *of)
    assert lineage.longest(("cut",)) == 3 and lineage.count("cut") == 5
    assert Lineage().longest(("cut",)) == 0
    chain = Lineage().then(Call("draw", 1, {}), digest="a").then(Call("cut", 1, {}), digest="b")
    assert chain.longest(("cut",)) == 1


def test_moves_since_the_merge():
    one = merge(tuple(t | Stretch(to=ResNet(depth=20, width=2)) for t in NETS[:2]))
    assert one.moves == ("merge",)
    after = renorm(one, TASK, RECIPE, batches=1) | Stretch(to=ResNet(depth=26, width=2))
    assert after.moves == ("merge", "renorm", "stretch(to=resnet(depth=26, width=2))")
    assert repr(one).endswith(", by merge)")


# Proofs.


@pytest.mark.parametrize("how", HOWS)
def test_it_is_proved_with_its_parents_and_by_replay(how: How, tmp_path: pathlib.Path):
    one = merge(NETS[:2], how)
    one.save(tmp_path / "a.ticket")
    alone = verify(tmp_path / "a.ticket")
    assert passed(alone) >= {"canonical file", "lineage"} and "give the parents' files" in detail(alone, "parents")
    verdict = verify(tmp_path / "a.ticket", parents=NETS[:2], replay=True)
    assert passed(verdict) >= {"again", "replay"} and detail(verdict, "again: merge") == one.lineage.last.call
    half = verify(one, parents=NETS[:1])
    assert half.ok and "again: merge" not in str(half)


def test_stretched_tickets_of_two_depths_are_merged_trained_cut_and_proved(tmp_path: pathlib.Path):
    to, store = ResNet(depth=20, width=2), Store(tmp_path)
    sources = [store(draw, arch=ResNet(depth=d, width=2), task=TASK, recipe=RECIPE, seeds=Seeds(d)) for d in (14, 26)]
    sources = [store(cut_early, ticket=t, task=TASK, recipe=RECIPE, density=0.5) for t in sources]
    deep = [sources[0] | Stretch(to=to), sources[1] | Stretch(to=to, by=KeepFirst())]
    one = store(merge, tickets=tuple(deep), how="vote")
    settled = store(renorm, ticket=one, task=TASK, recipe=RECIPE, batches=2)
    trained = store(train, ticket=settled, task=TASK, recipe=RECIPE)
    last = store(cut, trained=trained, keep=0.5)
    verdict = verify(last, parents=deep, store=store, replay=True)
    assert passed(verdict) >= {"again", "carried", "untouched", "nested", "rewound", "replay"}
    assert (last.level, len(last.lineage)) == (2, 10)


def test_a_forged_merge_is_found():
    one = merge(NETS[:2], "vote")
    other = forged(one, mask=flipped(one.mask, "head.weight", kill=0, revive=0))
    assert verify(other).ok  # By itself it may be anything.
    assert failed(verify(other, parents=NETS[:2])) == {"again"}
    value = {**one.weights, "head.bias": one.weights["head.bias"] + 1}
    assert failed(verify(forged(one, weights=value), parents=NETS[:2])) == {"again"}
    changed = forged(NETS[1], mask=flipped(NETS[1].mask, "head.weight", kill=0))
    assert failed(verify(one, parents=[NETS[0], changed])) == {"result of cut_early"}


def test_a_lineage_without_one_of_the_parents_is_found():
    one = merge(NETS[:2])
    lacking = one.rebuilt(lineage=Lineage((*NETS[0].lineage.events, one.lineage.last)))
    verdict = verify(lacking)
    assert failed(verdict) == {"lineage"} and NETS[1].key in detail(verdict, "lineage")


@pytest.mark.parametrize(
    "text",
    [
        "merge(tickets=cut:0123456789abcdef)",
        "merge(tickets=(cut:0123456789abcdef, train:0123456789abcdef))",
        "merge(tickets=(cut:0123456789abcdef, 3))",
        "merge(tickets=(cut:0123456789abcdef,), how='xor')",
        "merge(tickets=(cut:0123456789abcdef,), values=3)",
        "merge(how='vote')",
        "renorm(ticket=cut:0123456789abcdef, task=digits(), recipe=recipe(), batches='many')",
    ],
)
def test_texts_that_are_no_merge(text: str):
    with pytest.raises(Refused):
        recalled(Event(text, f"{text.partition('(')[0]}:0123456789abcdef", ""))


# Stores and studies.


def test_a_study_merges_what_is_not_made_yet(tmp_path: pathlib.Path):
    dense = [defer(draw, SMALL, TASK, RECIPE, Seeds(s)) for s in (0, 1)]
    with pytest.raises(Refused, match=r"Deferred\(train.* \(Trained\) is no ticket"):
        defer(merge, (dense[0], defer(train, dense[0], TASK, RECIPE)))
    cuts = [defer(cut_early, one, TASK, RECIPE, Random(seed=10 * s), density=0.5) for s, one in enumerate(dense)]
    later = defer(merge, tuple(cuts), "vote")
    results = resolve(graph_of([row(later, seed=0)]), Store(tmp_path))
    assert results[later.key].digest == merge(TICKETS[:2], "vote").digest
    assert results[later.key].key == merge(TICKETS[:2], "vote").key == later.key
    assert Store(tmp_path).load(later.key, Ticket).lineage == merge(TICKETS[:2], "vote").lineage

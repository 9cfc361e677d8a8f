"""A mask on another initialisation, its units in the order of the network that grows there."""

import dataclasses
import itertools
import pathlib
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.probes.given import Words, trained
from tests.test_verify import detail, failed, forged, passed
from tombola.align import align, alignment
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.archs.text_encoder import TextEncoder
from tombola.archs.textcnn import TextCnn
from tombola.archs.vit import ViT
from tombola.core.call import Call
from tombola.core.errors import Failed, Refused
from tombola.core.initial import draw_state
from tombola.core.layout import Arch, Interface, Layout, dense_mask, initial_weights
from tombola.core.lineage import Event, Lineage
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.seeds import Seeds
from tombola.core.task import CPU
from tombola.core.ticket import Ticket
from tombola.criteria.random_ import Random
from tombola.find import cut, cut_early, draw, find
from tombola.moves.matching import matching
from tombola.moves.permuting import gathered, permuted, sizes
from tombola.moves.width import Widen
from tombola.probes import activations
from tombola.probes.activations import matched_by_activations
from tombola.prune import Everywhere
from tombola.recall import recalled
from tombola.study.deferred import defer
from tombola.study.goals import row
from tombola.study.graph import graph_of, resolve
from tombola.study.store import Store
from tombola.tasks.digits import Digits
from tombola.train.loop import train
from tombola.train.recipe import Recipe
from tombola.train.trained import Trained
from tombola.verify import verify

TASK = Digits()
RECIPE = Recipe(steps=6, batch=60, rewind=2, evaluate=6)
SMALL, DEEP = Mlp(hidden=(6, 5)), ResNet(depth=8, width=2)


@dataclasses.dataclass(frozen=True)
class Four:
    """What `align` takes."""

    ticket: Ticket
    onto: Ticket
    source: Trained
    target: Trained

    def aligned(self, **more: Any) -> Ticket:
        return align(self.ticket, self.onto, self.source, self.target, **more)


def four(arch: Arch, *, scope: Everywhere = Everywhere(), orders: dict[str, np.ndarray] | None = None) -> Four:
    """Two trained networks and a ticket of the first; or the second is the first one, its units in another order."""
    first, onto = (draw(arch, TASK, RECIPE, Seeds(seed)) for seed in (0, 1))
    source = train(first, TASK, RECIPE)
    ticket = cut(source, scope=scope, density=0.4)
    target = train(onto, TASK, RECIPE)
    if orders is not None:
        target = dataclasses.replace(target, weights=permuted(source.weights, arch.layout().axes, orders))
    return Four(ticket, onto, source, target)


def orders_of(arch: Arch) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(4)
    weights = draw(arch, TASK, dataclasses.replace(RECIPE, rewind=0)).weights
    return {group: rng.permutation(size) for group, size in sizes(weights, arch.layout().axes).items()}


PLAIN = {arch: four(arch) for arch in (SMALL, DEEP)}


def equal(a: Any, b: Any) -> bool:
    return list(a) == list(b) and all(torch.equal(a[n], b[n]) for n in a)


@pytest.mark.parametrize("tensors", ["parameters", "weights", "all"])
@pytest.mark.parametrize("arch", [SMALL, DEEP], ids=str)
def test_the_mask_of_a_permuted_twin_is_permuted_as_it_is(arch: Arch, tensors: Any):
    """If the second network is the first in another order, the mask must come out in that very order."""
    orders = orders_of(arch)
    there = four(arch, orders=orders)
    one = there.aligned(tensors=tensors)
    assert one.mask == Mask(permuted(there.ticket.mask, arch.layout().axes, orders)) != there.ticket.mask


@pytest.mark.parametrize("arch", [SMALL, DEEP], ids=str)
def test_everything_but_the_mask_is_of_the_new_start(arch: Arch):
    there = PLAIN[arch]
    one = there.aligned()
    assert equal(one.weights, there.onto.weights) and not equal(one.weights, there.ticket.weights)
    assert {n: one.mask.kept_in(n) for n in one.mask} == {n: there.ticket.mask.kept_in(n) for n in one.mask}
    assert one.mask != there.ticket.mask and one.density == there.ticket.density
    same = ("arch", "io", "step", "restart", "holding", "task", "recipe", "data")
    assert all(getattr(one, name) == getattr(there.onto, name) for name in same) and one.step == 2
    train(one, TASK, RECIPE)


def test_a_network_on_itself_keeps_its_mask():
    there = PLAIN[DEEP]
    first = draw(DEEP, TASK, RECIPE, Seeds(0))
    one = align(there.ticket, first, there.source, there.source)
    assert one.mask == there.ticket.mask and equal(one.weights, there.ticket.weights)


def test_it_is_a_better_order_than_none_and_than_chance():
    """The sum that is maximised, written out, for the found order and for others."""
    there = PLAIN[SMALL]
    axes = {name: groups for name, groups in SMALL.layout().axes.items() if any(groups)}

    def total(orders: dict[str, np.ndarray]) -> float:
        moved = permuted(there.source.weights, SMALL.layout().axes, orders)
        return sum(float((there.target.weights[n].double() * moved[n].double()).sum()) for n in axes)

    found = alignment(there.source, there.target).numbers()
    rng = np.random.default_rng(0)
    others = [{g: rng.permutation(n) for g, n in sizes(there.source.weights, axes).items()} for _ in range(50)]
    table = alignment(there.source, there.target, scale="plain", starts=3).tables["tensors"]
    norms = {n: float(there.source.weights[n].double().norm() * there.target.weights[n].double().norm()) for n in axes}
    best = sum(float(line["after"]) * norms[str(line["tensor"])] for line in table)
    assert best > max(total(orders) for orders in others) and best > total({})
    assert total({}) == pytest.approx(sum(float(line["before"]) * norms[str(line["tensor"])] for line in table))
    assert found["cosine_after"] > found["cosine_before"]


def test_biases_in_the_mask_are_permuted_too():
    orders = orders_of(SMALL)
    there = four(SMALL, scope=Everywhere(tensors="all"), orders=orders)
    one = there.aligned()
    assert "stages.0.0.bias" in one.mask and one.holding == "all"
    assert one.mask == Mask(permuted(there.ticket.mask, SMALL.layout().axes, orders))
    one.module()


def test_words_and_seeds_are_part_of_the_key():
    there = PLAIN[SMALL]
    made = [there.aligned(**how) for how in ({}, {"seed": 1}, {"scale": "unit"}, {"tensors": "weights"}, {"starts": 2})]
    assert len({one.key for one in made}) == 5
    assert there.aligned(tensors="parameters", scale="plain", starts=1, seed=0).key == made[0].key
    assert there.aligned().digest == made[0].digest
    for wrong, said in (({"tensors": "biases"}, "tensors is 'biases'"), ({"scale": "log"}, "scale is 'log'")):
        with pytest.raises(Refused, match=said):
            there.aligned(**wrong)
    with pytest.raises(Refused, match="starts is 0"):
        there.aligned(starts=0)


@pytest.mark.parametrize("arch", [SMALL, DEEP], ids=str)
def test_words_reach_the_matching(arch: Arch):
    there, layout = PLAIN[arch], arch.layout()
    learned = [n for n, _ in there.source.module().named_parameters() if any(layout.axes.get(n, ()))]
    masks = []
    for tensors, names in (("parameters", learned), ("weights", layout.prunable), ("all", ())):
        for how in ({}, {"scale": "unit"}, {"starts": 4, "seed": 7}):
            pair = there.target.weights, there.source.weights
            found = matching(*pair, layout.axes, tensors=names, **how)  # type: ignore[arg-type]
            wanted = Mask(permuted(there.ticket.mask, layout.axes, found.permutations))
            assert there.aligned(tensors=tensors, **how).mask == wanted
            masks.append(wanted)
    assert len({one.digest() for one in masks}) >= 3


def test_a_network_that_reads_tokens():
    io = Interface(inputs=(9,), classes=2, tokens=12, vocabulary="v")
    arch = TextCnn(width=6, channels=3, heights=(2,), hidden=5)

    def begun(seed: int) -> Ticket:
        plain = Ticket(arch=arch, io=io, mask=dense_mask(arch, io), weights=initial_weights(arch, io, "init", seed))
        return plain.stamped(Call("draw", 1, {"seed": seed}))

    first, onto = begun(0), begun(1)
    orders = {"stem": np.array([3, 0, 5, 1, 2, 4]), "stages.1.0": np.array([4, 2, 0, 1, 3])}
    source = dataclasses.replace(PLAIN[SMALL].source, ticket=first, weights=first.weights)
    target = dataclasses.replace(source, ticket=onto, weights=permuted(first.weights, arch.layout().axes, orders))
    mask = Mask({name: first.weights[name] > 0 for name in first.mask})
    one = align(first.rebuilt(mask=mask), onto, source, target)
    assert one.mask == Mask(permuted(mask, arch.layout().axes, orders)) and one.io == io


# By activations.


@pytest.mark.parametrize("arch", [SMALL, DEEP], ids=str)
def test_the_mask_of_a_permuted_twin_is_found_by_activations(arch: Arch):
    orders = orders_of(arch)
    there = four(arch, orders=orders)
    one = there.aligned(match="activations", examples=200)
    assert one.mask == Mask(permuted(there.ticket.mask, arch.layout().axes, orders)) != there.ticket.mask


def test_correlations_are_those_of_numpy():
    """Of the first layer, before its ReLU, on all training examples; the best assignment of all orders."""
    there = PLAIN[SMALL]
    inputs = torch.cat([x.flatten(1) for x, _ in TASK.evaluation("train", holdout=RECIPE.holdout)]).double()
    given = [
        inputs @ one.weights["stages.0.0.weight"].double().T + one.weights["stages.0.0.bias"].double()
        for one in (there.target, there.source)
    ]
    known = np.corrcoef(given[0].T.numpy(), given[1].T.numpy())[:6, 6:]
    found = matched_by_activations(there.source, there.target, 0, torch.device("cpu"))
    best = max(itertools.permutations(range(6)), key=lambda order: sum(known[np.arange(6), list(order)]))
    assert found.permutations["stages.0.0"].tolist() == list(best)
    straight = float(np.trace(known))
    second = [x.relu() for x in given]
    deeper = [
        x @ one.weights["stages.1.0.weight"].double().T + one.weights["stages.1.0.bias"].double()
        for x, one in zip(second, (there.target, there.source), strict=True)
    ]
    straight += float(np.trace(np.corrcoef(deeper[0].T.numpy(), deeper[1].T.numpy())[:5, 5:]))
    assert found.before == pytest.approx(straight, rel=1e-4) and found.after > found.before


def test_units_that_never_change_correlate_with_nothing():
    there = PLAIN[SMALL]
    still = {n: torch.zeros_like(v) if n == "stages.0.0.weight" else v for n, v in there.source.weights.items()}
    found = matched_by_activations(dataclasses.replace(there.source, weights=still), there.target, 50, CPU)
    assert np.isfinite(found.after) and sorted(found.permutations["stages.0.0"]) == list(range(6))


def test_a_network_that_reads_tokens_is_matched_by_activations():
    task = Words(texts=tuple(tuple(int(x) for x in row) for row in np.random.default_rng(0).integers(1, 6, (40, 4))))
    arch = TextCnn(width=6, channels=3, heights=(2,), hidden=5)
    first = trained(arch, task, initial_weights(arch, task.io, "init", 0))
    orders = {"stem": np.array([3, 0, 5, 1, 2, 4]), "stages.1.0": np.array([4, 2, 0, 1, 3])}
    other = dataclasses.replace(first, weights=permuted(first.weights, arch.layout().axes, orders))
    found = matched_by_activations(first, other, 0, CPU).permutations
    assert {name: found[name].tolist() for name in orders} == {name: order.tolist() for name, order in orders.items()}


@pytest.mark.parametrize(
    "arch", [TextEncoder(depth=1, width=8, heads=2), ViT(depth=1, width=8, heads=2, patch=4)], ids=str
)
def test_positions_that_are_read_and_never_called_are_no_layers(arch: Arch):
    """A transformer's stream is matched by the layers that write to it when they are called."""
    rows = np.random.default_rng(0).integers(1, 6, (40, 4))
    task = Words(texts=tuple(tuple(int(x) for x in row) for row in rows)) if isinstance(arch, TextEncoder) else TASK
    first = trained(arch, task, initial_weights(arch, task.io, "init", 0))
    axes, rng = arch.layout().axes, np.random.default_rng(4)
    orders = {group: rng.permutation(size) for group, size in sizes(first.weights, axes).items()}
    other = dataclasses.replace(first, weights=permuted(first.weights, axes, orders))
    found = matched_by_activations(first, other, 100, CPU).permutations
    assert {name: order.tolist() for name, order in found.items()} == {n: o.tolist() for n, o in orders.items()}


def test_activations_of_a_few_examples_are_in_memory_at_a_time(monkeypatch: pytest.MonkeyPatch):
    there, asked = PLAIN[DEEP], list[int]()
    ask = activations._Seen.ask

    def counted(self: Any, inputs: Tensor) -> None:
        asked.append(len(inputs))
        ask(self, inputs)

    monkeypatch.setattr(activations._Seen, "ask", counted)
    few = matched_by_activations(there.source, there.target, 120, CPU)
    assert asked == [50, 50, 50, 50, 20, 20]
    monkeypatch.setattr(activations, "AT_ONCE", 120)
    whole = matched_by_activations(there.source, there.target, 120, CPU)
    assert few.after == pytest.approx(whole.after, rel=1e-9) and asked[6:] == [120, 120]
    assert all(np.array_equal(few.permutations[name], order) for name, order in whole.permutations.items())


def test_alignment_by_activations():
    there = PLAIN[DEEP]
    found = alignment(there.source, there.target, match="activations", examples=100).numbers()
    same = alignment(there.source, there.source, match="activations", examples=100).numbers()
    assert (
        found["sweeps"] == 1
        and found["cosine_before"] == alignment(there.source, there.target).numbers()["cosine_before"]
    )
    assert same["cosine_after"] == pytest.approx(1) and same["moved"] == 0


def test_what_does_not_go_with_activations():
    there = PLAIN[SMALL]
    for how, said in (
        ({"match": "gradients"}, "match is 'gradients'"),
        ({"match": "activations", "starts": 2}, "'starts' is of matching by weights"),
        ({"examples": 10}, "'examples' are for match='activations'"),
        ({"match": "activations", "examples": -1}, "examples is -1"),
    ):
        with pytest.raises(Refused, match=said):
            there.aligned(**how)


# Lineage and proofs.


def test_its_lineage_has_all_four():
    there = PLAIN[SMALL]
    one = there.aligned(seed=3)
    assert [e.function for e in one.lineage] == ["draw", "train", "cut", "draw", "train", "align"]
    keys = f"ticket={there.ticket.key}, onto={there.onto.key}, source={there.source.key}, target={there.target.key}"
    assert one.lineage.last.call == f"align({keys}, seed=3)"
    assert recalled(one.lineage.last).key == one.key and one.level == 1
    assert cut(train(one, TASK, RECIPE), keep=0.5).level == 2


@pytest.mark.parametrize(
    "how",
    [{}, {"tensors": "weights", "scale": "unit", "starts": 2, "seed": 5}, {"match": "activations", "examples": 50}],
)
def test_it_is_proved(how: dict[str, Any], tmp_path: pathlib.Path):
    there = PLAIN[DEEP]
    one = there.aligned(**how)
    one.save(tmp_path / "a.ticket")
    assert verify(tmp_path / "a.ticket").ok
    verdict = verify(tmp_path / "a.ticket", parents=[there.ticket, there.onto, there.source, there.target])
    assert passed(verdict) >= {"again", "canonical file", "lineage"}
    assert detail(verdict, "again: align") == one.lineage.last.call
    if not how:
        assert passed(verify(one, replay=True)) >= {"replay"}
        half = verify(one, parents=[there.ticket, there.onto])
        assert half.ok and "again: align" not in str(half)


def test_a_ticket_at_the_start_is_proved():
    """Its survivors are not those that the first seed of its lineage draws."""
    plain = dataclasses.replace(RECIPE, rewind=0)
    first, onto = (draw(SMALL, TASK, plain, Seeds(seed)) for seed in (0, 1))
    source, target = train(first, TASK, plain), train(onto, TASK, plain)
    ticket = cut_early(first, TASK, plain, Random(), density=0.4)
    assert verify(align(ticket, onto, source, target)).ok


def test_a_forged_one_is_found():
    there = PLAIN[SMALL]
    one = there.aligned()
    everything = [there.ticket, there.onto, there.source, there.target]
    other = forged(one, mask=there.ticket.mask)
    assert verify(other).ok and failed(verify(other, parents=everything)) == {"again"}
    moved = {**one.weights, "head.bias": one.weights["head.bias"] + 1}
    assert failed(verify(forged(one, weights=moved), parents=everything)) == {"again"}


@pytest.mark.parametrize(
    "text",
    [
        "align(ticket={t}, onto={t}, source={t}, target={n})",
        "align(ticket={t}, onto={n}, source={n}, target={n})",
        "align(ticket={t}, onto={t}, source={n})",
        "align(ticket={t}, onto={t}, source={n}, target={n}, scale='log')",
        "align(ticket={t}, onto={t}, source={n}, target={n}, tensors=3)",
        "align(ticket={t}, onto={t}, source={n}, target={n}, seed='a')",
    ],
)
def test_texts_that_are_no_align(text: str):
    text = text.format(t="cut:0123456789abcdef", n="train:0123456789abcdef")
    with pytest.raises(Refused):
        recalled(Event(text, "align:0123456789abcdef", ""))


def test_a_study_aligns_what_is_not_made_yet(tmp_path: pathlib.Path):
    *_, ticket = find(SMALL, TASK, RECIPE, densities=(0.4,), seeds=Seeds(0), call=defer)
    first, onto = (defer(draw, SMALL, TASK, RECIPE, Seeds(seed)) for seed in (0, 1))
    source, target = (defer(train, one, TASK, RECIPE) for one in (first, onto))
    one = defer(align, ticket, onto, source, target)
    rows = [row(one, name="aligned"), row(defer(alignment, source, target), name="alike")]
    results = resolve(graph_of(rows), Store(tmp_path))
    assert results[one.key].digest == PLAIN[SMALL].aligned().digest and results[one.key].key == one.key


# Alignment, measured.


def test_numbers_of_a_twin():
    there = four(DEEP, orders=orders_of(DEEP))
    found = alignment(there.source, there.target)
    numbers, table = found.numbers(), found.tables["tensors"]
    assert numbers["cosine_after"] == pytest.approx(1) and numbers["cosine_before"] < 0.9
    assert numbers["start_after"] < 0.9 and numbers["moved"] > 0.3
    learned = dict(there.source.module().named_parameters())
    assert {str(line["tensor"]) for line in table} == set(learned) - {"head.bias"}  # Nothing permutes the classes.
    flat = {
        n: (there.source.weights[n].double().flatten(), there.target.weights[n].double().flatten()) for n in learned
    }
    for line in table:
        a, b = flat[str(line["tensor"])]
        assert line["before"] == pytest.approx(float(torch.nn.functional.cosine_similarity(a, b, dim=0)), abs=1e-12)
    weights = alignment(there.source, there.target, tensors="weights").tables["tensors"]
    assert [line["tensor"] for line in weights] == list(DEEP.layout().prunable)
    every = alignment(there.source, there.target, tensors="all").tables["tensors"]
    assert "stem.bn.running_var" in {line["tensor"] for line in every}


# Other widths.


def twin(arch: Arch, wide: Arch, *, seed: int = 5) -> tuple[Four, dict[str, np.ndarray]]:
    """A ticket, and a network of other widths that is trained to the same units, in an order that is drawn."""
    there, onto = PLAIN[arch], draw(wide, TASK, RECIPE, Seeds(1))
    rng, axes = np.random.default_rng(seed), arch.layout().axes
    old, new = (sizes(one.weights, axes) for one in (there.ticket, onto))
    units = {group: rng.permutation(np.resize(np.arange(old[group]), n)) for group, n in new.items()}
    if any(new[group] < old[group] for group in old):
        units = {group: rng.permutation(old[group])[:n] for group, n in new.items()}
    target = train(onto, TASK, RECIPE)
    target = dataclasses.replace(target, weights=gathered(there.source.weights, axes, units))
    return Four(there.ticket, onto, there.source, target), units


WIDTHS = ((SMALL, Mlp(hidden=(12, 10))), (SMALL, Mlp(hidden=(15, 11))), (SMALL, Mlp(hidden=(4, 3))))
WIDTHS += ((DEEP, ResNet(depth=8, width=4)),)


@pytest.mark.parametrize(("arch", "other"), WIDTHS, ids=str)
def test_a_mask_in_another_width_has_the_units_that_match(arch: Arch, other: Arch):
    there, units = twin(arch, other)
    one = there.aligned(starts=5)
    assert one.mask == Mask(gathered(there.ticket.mask, arch.layout().axes, units))
    assert one.arch == other and equal(one.weights, there.onto.weights)
    train(one, TASK, RECIPE)


@pytest.mark.parametrize(("arch", "other"), WIDTHS[:2], ids=str)
def test_units_of_another_width_are_found_by_activations(arch: Arch, other: Arch):
    """The wide network computes what the other does, with copies of its units in an order that is drawn."""
    there, units = twin(arch, other)
    whole = there.ticket.rebuilt(mask=dense_mask(arch, TASK.io), weights=there.source.weights)
    orders = {group: np.random.default_rng(5).permutation(len(order)) for group, order in units.items()}
    weights = permuted(Widen(to=other)(whole).weights, other.layout().axes, orders)
    there = dataclasses.replace(there, target=dataclasses.replace(there.target, weights=weights))
    old = sizes(there.ticket.weights, arch.layout().axes)
    copies = {group: np.resize(np.arange(old[group]), len(order))[order] for group, order in orders.items()}
    one = there.aligned(match="activations", examples=300)
    assert one.mask == Mask(gathered(there.ticket.mask, arch.layout().axes, copies))


def test_a_ticket_in_another_width_is_proved(tmp_path: pathlib.Path):
    there, _ = twin(SMALL, Mlp(hidden=(12, 10)))
    target = train(there.onto, TASK, RECIPE)
    one = align(there.ticket, there.onto, there.source, target)
    one.save(tmp_path / "wide.ticket")
    everything = [there.ticket, there.onto, there.source, target]
    verdict = verify(tmp_path / "wide.ticket", parents=everything)
    assert verdict.ok and passed(verdict) >= {"again", "canonical file", "lineage"}
    flipped = {name: alive.flip(0) for name, alive in one.mask.items()}
    assert "again" in failed(verify(forged(one, mask=Mask(flipped)), parents=everything))


def test_units_side_by_side_have_no_other_widths():
    task = Words(texts=((1, 2, 3, 4), (4, 3, 2, 1)))
    first, onto = (
        trained(arch, task, initial_weights(arch, task.io, "init", 0))
        for arch in (TextCnn(width=6, channels=n, heights=(2, 3), hidden=5) for n in (3, 6))
    )
    with pytest.raises(Refused, match="stand side by side"):
        align(first.ticket, onto.ticket, first, onto)


# Refused.


def test_what_does_not_belong_together():
    a, b = PLAIN[SMALL], PLAIN[DEEP]
    for given, said in (
        ((a.ticket, b.onto, a.source, b.target), "align changes nothing but widths, and mlp.* has 'stages.0.0.weight'"),
        ((a.ticket, b.onto, a.source, a.target), "'onto' has arch resnet.* and 'target' has mlp"),
        ((a.ticket, a.onto, b.source, a.target), "'source' has resnet"),
        ((a.ticket, a.onto, a.source, b.target), "'target' has resnet"),
        ((a.ticket, a.ticket, a.source, a.target), "'onto' has a density of 0.4"),
        ((a.ticket, a.onto, train(a.ticket, TASK, RECIPE), a.target), "'source' has a density of 0.4"),
        ((a.ticket, a.onto, a.source, train(a.ticket, TASK, RECIPE)), "'target' has a density of 0.4"),
        ((a.ticket, a.onto, a.source, a.source), "'target' was trained from draw:.* train 'onto' itself"),
        ((a.ticket, a.onto, a.target, a.target), "'source' was trained from draw:.* not in the lineage"),
    ):
        with pytest.raises(Refused, match=said):
            align(*given)
    with pytest.raises(Refused, match="'source' has arch"):
        alignment(a.source, b.target)
    with pytest.raises(Refused, match="must be a Trained"):
        align(a.ticket, a.onto, a.source, a.ticket)


def test_other_interfaces():
    there = PLAIN[SMALL]
    wide = there.ticket.rebuilt(io=Interface(inputs=(1, 8, 8), classes=9))
    with pytest.raises(Refused, match="'ticket' has io .*classes=9.* transplant"):
        align(wide, there.onto, there.source, there.target)


def test_histories_that_contradict_each_other():
    there = PLAIN[SMALL]
    *rest, last = there.source.lineage.events
    other = dataclasses.replace(last, digest="0" * 32)
    source = dataclasses.replace(there.source, lineage=Lineage((*rest, other)))
    with pytest.raises(Refused, match="gave one result behind one of the inputs"):
        align(there.ticket, there.onto, source, there.target)


class _Net(nn.Module):
    def __init__(self, io: Interface) -> None:
        super().__init__()
        self.one, self.head = nn.Linear(io.features, 4), nn.Linear(4, io.classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.one(x.flatten(1)).relu().cumsum(1))


@plugin("arch", "ordered_of_align")
class Ordered:
    """A network in which the order of the units matters; its layout says that it does not, or names none."""

    named: str = "one"

    def build(self, io: Interface) -> nn.Module:
        return _Net(io)

    def layout(self) -> Layout:
        axes = {"one.weight": (self.named, ""), "one.bias": (self.named,), "head.weight": ("", self.named)}
        return Layout((), (), ("one", "head"), ("one.weight", "head.weight"), axes)

    def initial(self, net: nn.Module, *names: str | int) -> dict[str, Tensor]:
        return draw_state(net, *names)


def test_a_layout_that_is_wrong_is_found():
    there = four(Ordered())
    with pytest.raises(Failed, match=r"computes something else once its units are permuted"):
        there.aligned()


def test_a_layout_without_permutations_is_refused():
    there = four(Ordered(named=""))
    with pytest.raises(Refused, match="layout has no permutations"):
        there.aligned()

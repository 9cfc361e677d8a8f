"""A ticket on another task: what is carried, what is drawn, and what is refused."""

import dataclasses
import pathlib
import re
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.test_verify import detail, failed, forged, passed
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.archs.textcnn import TextCnn
from tombola.core.errors import Refused
from tombola.core.initial import draw_state
from tombola.core.layout import Arch, Interface, Layout, dense_mask, initial_weights
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.seeds import Seeds
from tombola.core.task import label_space
from tombola.core.text import parse
from tombola.core.ticket import Ticket
from tombola.criteria.random_ import Random
from tombola.find import cut, cut_early, draw
from tombola.moves.controls import Reinit
from tombola.moves.transplant import Transplant
from tombola.prune import Everywhere
from tombola.renorm import renorm
from tombola.study.store import Store
from tombola.tasks.corrupted import Corrupted
from tombola.tasks.digits import Digits
from tombola.tasks.mnist import FashionMnist, Usps
from tombola.tasks.rotated import Rotated
from tombola.train.loop import train
from tombola.train.recipe import Recipe
from tombola.verify import verify

HOME = Digits()
RECIPE = Recipe(steps=6, batch=60, rewind=2, evaluate=6)
ARCH = ResNet(depth=8, width=2)
HEAD = ("head.weight", "head.bias")
ALL = ("rewound", "reinit", "init", "signs")


@plugin("task", "elsewhere")
class Elsewhere:
    """Another domain: an interface, and data that nobody asks for."""

    inputs: tuple[int, ...] = (1, 8, 8)
    classes: int = 10
    tokens: int = 0
    vocabulary: str = ""
    name: str = "abc"

    default_recipe: ClassVar[str] = "quickstart()"

    def __identity__(self) -> dict[str, Any]:
        return {"data": self.name}

    @property
    def io(self) -> Interface:
        return Interface(inputs=self.inputs, classes=self.classes, tokens=self.tokens, vocabulary=self.vocabulary)

    def train_size(self, *args: Any, **kwargs: Any) -> int:
        raise NotImplementedError

    batch = evaluation = loss = wrong = train_size


def found(arch: Arch = ARCH, seed: int = 3, scope: Everywhere = Everywhere()) -> Ticket:
    """A ticket rewound to step 2, with statistics of batch norm that are those of no start."""
    dense = draw(arch, HOME, RECIPE, Seeds(seed))
    return cut_early(dense, HOME, RECIPE, Random(seed=seed), scope, density=0.3)


TICKET = found()


def equal(a: Any, b: Any) -> bool:
    return list(a) == list(b) and all(torch.equal(a[n], b[n]) and a[n].dtype == b[n].dtype for n in a)


# The same task.


def test_to_the_same_task_nothing_is_another():
    for ticket in (TICKET, TICKET.alive(), found(Mlp(hidden=(6,)), scope=Everywhere(tensors="all"))):
        there = ticket | Transplant(to=HOME, seed=3)
        assert there.digest == ticket.digest  # All but the lineage: mask, weights, statistics, texts, step.
        assert there.mask == ticket.mask and equal(there.weights, ticket.weights)


def test_masks_reset_at_home_is_ticket_reset():
    """Trained, as the strategies are: to the last bit."""
    here, there = train(TICKET, HOME, RECIPE), train(TICKET | Transplant(to=HOME), HOME, RECIPE)
    assert equal(here.weights, there.weights) and here.digest == there.digest
    assert any(not torch.equal(here.weights[n], TICKET.weights[n]) for n in TICKET.mask)
    other = train(TICKET | Transplant(to=HOME, weights="reinit"), HOME, RECIPE)
    assert other.digest != here.digest


def test_own_start_at_home_is_the_start_of_the_source():
    """With one seed for both domains theta_0 is shared; here the rewind point is the start itself."""
    early = dataclasses.replace(RECIPE, rewind=0)
    dense = draw(ARCH, HOME, early, Seeds(3))
    ticket = cut_early(dense, HOME, early, Random(), density=0.4)
    assert (ticket | Transplant(to=HOME, weights="init", seed=3)).digest == ticket.digest
    assert (ticket | Transplant(to=HOME, weights="init", seed=4)).digest != ticket.digest


# Values.


def test_what_every_transplant_carries():
    for weights in ALL:
        there = TICKET | Transplant(to=Elsewhere(), weights=weights)  # type: ignore[arg-type]
        assert there.mask == TICKET.mask and there.arch == TICKET.arch
        assert (there.task, there.data, there.recipe) == ("elsewhere()", "abc", TICKET.recipe)
        assert there.io == Elsewhere().io and there.level == 1 and there.moves[-1].startswith("transplant(")
        assert (there.restart, there.holding) == ("weights", "all")


def test_rewound_values_are_the_tickets_with_their_statistics():
    there = TICKET | Transplant(to=Elsewhere())
    assert equal(there.weights, TICKET.weights) and there.step == 2
    assert int(there.weights["stem.bn.num_batches_tracked"]) == 2


@pytest.mark.parametrize("word", ["fixed", "fresh"])
@pytest.mark.parametrize(("weights", "signs"), [("reinit", "new"), ("signs", "same")])
def test_new_values_are_those_of_reinit(weights: Any, signs: Any, word: Any):
    there = TICKET | Transplant(to=Elsewhere(), weights=weights, draw=word, seed=5)
    assert equal(there.weights, (TICKET | Reinit(seed=5, signs=signs, draw=word)).weights) and there.step == 0


def test_signs_by_hand():
    drawn = initial_weights(ARCH, HOME.io, "reinit", 0)
    there = TICKET | Transplant(to=Elsewhere(), weights="signs")
    for name, value in there.weights.items():
        wanted = drawn[name]
        if name in TICKET.mask:
            wanted = drawn[name].abs() * torch.where(TICKET.weights[name] < 0, -1.0, 1.0)
            assert not torch.equal(wanted, drawn[name])
        assert torch.equal(value, wanted), name


def test_target_values_are_those_that_draw_gives_there():
    there = TICKET | Transplant(to=HOME, weights="init", seed=8)
    start = draw(ARCH, HOME, dataclasses.replace(RECIPE, rewind=0), Seeds(8))
    assert equal(there.weights, start.weights) and there.step == start.step == 0
    assert int(there.weights["stem.bn.num_batches_tracked"]) == 0


@pytest.mark.parametrize(
    ("weights", "start", "step"),
    [("rewound", "", 2), ("rewound", "beginning", 0), ("rewound", "rewind", 2)]
    + [(w, s, n) for w in ALL[1:] for s, n in (("", 0), ("beginning", 0), ("rewind", 2))],
)
def test_where_training_begins(weights: Any, start: Any, step: int):
    assert (TICKET | Transplant(to=HOME, weights=weights, start=start)).step == step


def test_trained_values_are_carried_for_fine_tuning():
    trained = train(TICKET, HOME, RECIPE)
    for restart in ("rate", "fine-tune"):
        ticket = cut(trained, keep=1.0, restart=restart)  # type: ignore[arg-type]
        there = ticket | Transplant(to=Elsewhere())
        assert there.restart == restart and there.holding == "alive" and there.mask == TICKET.mask
        assert equal(there.weights, TICKET.mask.apply(trained.weights))
        assert (ticket | Transplant(to=Elsewhere(), weights="init")).restart == "weights"


def test_double_precision_stays():
    exact = TICKET.rebuilt(weights={n: v.double() if v.is_floating_point() else v for n, v in TICKET.weights.items()})
    for word in ALL:
        there = exact | Transplant(to=Elsewhere(classes=4), weights=word, head="fresh")  # type: ignore[arg-type]
        assert {n: v.dtype for n, v in there.weights.items()} == {n: v.dtype for n, v in exact.weights.items()}
        there.alive().encoded()


# The head.


@pytest.mark.parametrize("weights", ALL)
@pytest.mark.parametrize("classes", [4, 10, 13])
def test_a_fresh_head_is_dense_and_drawn(classes: int, weights: Any):
    to = Elsewhere(classes=classes)
    there, carried = (
        TICKET | Transplant(to=one, weights=weights, head=head, seed=6)
        for one, head in ((to, "fresh"), (Elsewhere(), "carried"))
    )
    stream = "reinit" if weights in ("reinit", "signs") else "init"
    drawn = initial_weights(ARCH, to.io, stream, 6)
    for name, value in there.weights.items():
        assert torch.equal(value, drawn[name] if name in HEAD else carried.weights[name]), name
    assert bool(there.mask["head.weight"].all()) and there.mask["head.weight"].shape == (classes, 8)
    assert all(torch.equal(there.mask[n], TICKET.mask[n]) for n in TICKET.mask if n not in HEAD)
    there.module()
    assert Ticket.decoded(there.encoded()).encoded() == there.encoded()


def test_a_fresh_head_may_keep_its_mask():
    there = TICKET | Transplant(to=Elsewhere(), head="fresh, masked", seed=6)
    drawn = initial_weights(ARCH, HOME.io, "init", 6)
    assert there.mask == TICKET.mask
    for name, value in there.weights.items():
        assert torch.equal(value, (drawn if name in HEAD else TICKET.weights)[name])
    with pytest.raises(Refused, match="'fresh, masked' would carry rows that stand for other classes"):
        TICKET | Transplant(to=Elsewhere(classes=4), head="fresh, masked")


def test_biases_of_a_fresh_head_live_too():
    ticket = found(Mlp(hidden=(6,)), scope=Everywhere(tensors="all"))
    assert "head.bias" in ticket.mask and not ticket.mask["head.bias"].all()
    there = ticket | Transplant(to=Elsewhere(classes=3), head="fresh")
    assert there.mask["head.bias"].tolist() == [True] * 3 and list(there.mask) == list(ticket.mask)


@pytest.mark.parametrize("to", [FashionMnist(size=8), Rotated(task=FashionMnist(size=8))])
def test_a_head_is_of_what_its_classes_stand_for(to: Any):
    """As many classes are not the same ones: garments are no digits."""
    for ticket in (TICKET, TICKET | Transplant(to=Corrupted(task=HOME))):
        with pytest.raises(Refused, match=r"is a network for digits \(.*\), and the 10 classes of .* are garments: "):
            ticket | Transplant(to=to)
        with pytest.raises(Refused, match="head='fresh, masked' would carry rows that stand for other classes"):
            ticket | Transplant(to=to, head="fresh, masked", weights="init")
        there = ticket | Transplant(to=to, head="fresh")
        assert there.mask.kept_in("head.weight") == there.weights["head.weight"].numel()
        garments = there | Transplant(to=to)  # Now it is at home there.
        with pytest.raises(Refused, match="a network for garments"):
            garments | Transplant(to=HOME)
    for same, space in ((Usps(size=8), "digits"), (Elsewhere(), "")):  # The latter does not say.
        assert label_space(same) == space and (TICKET | Transplant(to=same)).task == str(same)


def test_a_ticket_of_a_task_that_is_not_loaded_is_carried():
    for task in ("nowhere()", ""):
        assert (TICKET.rebuilt(task=task) | Transplant(to=FashionMnist(size=8))).task


def test_a_fresh_head_needs_nothing_under_dead_positions():
    there = TICKET.alive() | Transplant(to=Elsewhere(classes=4), head="fresh")
    whole = TICKET | Transplant(to=Elsewhere(classes=4), head="fresh")
    assert there.holding == "alive" and equal(there.weights, whole.masked()) and there.mask == whole.mask


@plugin("arch", "headless_of_transplant")
class Headless:
    """Its classes decide the shape of what its layout does not call a head."""

    def build(self, io: Interface) -> nn.Module:
        net = nn.Module()
        net.one = nn.Linear(io.features, io.classes)
        return net

    def layout(self) -> Layout:
        return Layout(("one",), (), (), ("one.weight",), {})

    def initial(self, net: nn.Module, *names: str | int) -> dict[str, Tensor]:
        return draw_state(net, *names)


def test_the_layout_says_what_the_head_is():
    arch, io = Headless(), HOME.io
    ticket = Ticket(arch=arch, io=io, mask=dense_mask(arch, io), weights=initial_weights(arch, io, "a"))
    assert equal((ticket | Transplant(to=Elsewhere())).weights, ticket.weights)
    with pytest.raises(Refused, match="names no head. Use head='carried'"):
        ticket | Transplant(to=Elsewhere(), head="fresh")


@plugin("arch", "wide_of_transplant")
class Wide(Headless):
    """A network that is as wide as it has classes."""

    def build(self, io: Interface) -> nn.Module:
        net = super().build(io)
        net.head = nn.Linear(io.classes, io.classes)
        return net

    def layout(self) -> Layout:
        return Layout(("one",), (), ("head",), ("one.weight", "head.weight"), {})


def test_what_depends_on_the_classes_beside_the_head_is_refused():
    arch, io = Wide(), HOME.io
    ticket = Ticket(arch=arch, io=io, mask=dense_mask(arch, io), weights=initial_weights(arch, io, "a"))
    with pytest.raises(Refused, match=r"'one.weight' of wide_of_transplant\(\) is not the same on elsewhere"):
        ticket | Transplant(to=Elsewhere(classes=4), head="fresh")


# Lifted masks.


@pytest.mark.parametrize("weights", ALL)
def test_lifted_masks_let_everything_live(weights: Any):
    there = TICKET | Transplant(to=Elsewhere(), weights=weights, dense=("stem.*", "*.conv2.weight"))
    plain = TICKET | Transplant(to=Elsewhere(), weights=weights)
    lifted = {"stem.conv.weight", *(f"stages.{i}.0.conv2.weight" for i in range(3))}
    for name, mask in there.mask.items():
        assert bool(mask.all()) if name in lifted else torch.equal(mask, TICKET.mask[name])
    assert equal(there.weights, plain.weights) and there.density > TICKET.density


def test_values_under_dead_positions_must_be_there_to_live():
    alive = TICKET.alive()
    for weights in ("rewound", "signs"):
        with pytest.raises(Refused, match=r"lifting the mask of 'stem.conv.weight' .* holds its survivors only"):
            alive | Transplant(to=Elsewhere(), weights=weights, dense=("stem.*",))  # type: ignore[arg-type]
    for weights in ("reinit", "init"):
        there = alive | Transplant(to=Elsewhere(), weights=weights, dense=("stem.*",))  # type: ignore[arg-type]
        assert there.holding == "all" and bool(there.mask["stem.conv.weight"].all())
    assert (alive | Transplant(to=Elsewhere(), head="fresh", dense=("head.*",))).holding == "alive"
    dense = draw(ARCH, HOME, RECIPE).alive()
    assert (dense | Transplant(to=Elsewhere(), dense=("*",))).mask == dense.mask


def test_signs_of_survivors_are_those_of_survivors():
    there = TICKET.alive() | Transplant(to=Elsewhere(), weights="signs")
    whole = TICKET | Transplant(to=Elsewhere(), weights="signs")
    assert there.holding == "alive" and equal(there.weights, whole.masked())


def test_an_embedding_may_stay_dense():
    io = Interface(inputs=(9,), classes=2, tokens=30, vocabulary="v")
    arch = TextCnn(width=4, channels=3, heights=(2, 3), hidden=3)
    rng = np.random.default_rng(0)
    mask = Mask({n: torch.from_numpy(rng.random(s) < 0.5) for n, s in dense_mask(arch, io).shapes.items()})
    ticket = Ticket(arch=arch, io=io, mask=mask, weights=initial_weights(arch, io, "init", 0))
    to = Elsewhere(inputs=(9,), classes=2, tokens=30, vocabulary="v")
    there = ticket | Transplant(to=to, dense=("stem.*",))
    assert bool(there.mask["stem.weight"].all()) and equal(there.weights, ticket.weights)
    assert [n for n in mask if not torch.equal(mask[n], there.mask[n])] == ["stem.weight"]
    same = ticket | Transplant(to=to, weights="init")
    assert equal(same.weights, ticket.weights) and same.mask == mask


# Refused.


def _token(**changes: Any) -> tuple[Ticket, Elsewhere]:
    given: dict[str, Any] = {"inputs": (1, 8, 8), "tokens": 30, "vocabulary": "a" * 64}
    return TICKET.rebuilt(io=Elsewhere(**given).io), Elsewhere(**{**given, **changes})


@pytest.mark.parametrize(
    ("ticket", "to", "said"),
    [
        (TICKET, Elsewhere(inputs=(3, 8, 8)), r"inputs of shape \(1, 8, 8\), and those of .* have shape \(3, 8, 8\)"),
        (TICKET, Elsewhere(classes=4), "10 classes, and elsewhere.* has 4: head='carried' .* Use head='fresh'"),
        (*_token(vocabulary="b" * 64), "30 tokens .*'a{16}'.* has 30 tokens .*'b{16}'.* under another vocabulary"),
        (*_token(tokens=31), "a vocabulary of 30 tokens .* has 31 tokens"),
        (*_token(inputs=(1, 8, 9)), "inputs of shape"),
        (_token()[0], Elsewhere(), "inputs of tokens, and elsewhere.* has inputs of numbers"),
        (TICKET, _token()[1], "inputs of numbers, and elsewhere.* has inputs of tokens"),
    ],
)
def test_domains_that_do_not_fit(ticket: Ticket, to: Elsewhere, said: str):
    with pytest.raises(Refused, match=said):
        ticket | Transplant(to=to)


def test_fields_that_mean_nothing():
    with pytest.raises(Refused, match="'embedding.*' matches no masked tensor. There are: stem.conv.weight"):
        TICKET | Transplant(to=Elsewhere(), dense=("stem.*", "embedding.*"))
    with pytest.raises(Refused, match="must be of type Task"):
        Transplant(to=ARCH)  # type: ignore[arg-type]


# Proofs.


@pytest.mark.parametrize(
    ("move", "said"),
    [
        (Transplant(to=HOME), "56 of 56 tensors are where the map says$"),
        (Transplant(to=HOME, head="fresh"), "54 of 56 .*: head.weight and 1 more"),
        (Transplant(to=HOME, head="fresh, masked"), "54 of 56 .*: head.weight and 1 more"),
        (Transplant(to=HOME, dense=("stem.*",)), "55 of 56 .*: stem.conv.weight$"),
        (Transplant(to=HOME, weights="signs"), "0 of 56 .*: stem.conv.weight and 55 more"),
    ],
    ids=str,
)
def test_it_is_proved(move: Transplant, said: str, tmp_path: pathlib.Path):
    there = TICKET | move
    there.save(tmp_path / "a.ticket")
    verdict = verify(tmp_path / "a.ticket", parents=[TICKET], replay=True)
    assert passed(verdict) >= {"again", "carried", "replay", "canonical file"}
    assert re.match(said, detail(verdict, "carried"))


def test_a_forged_transplant_is_found():
    there = TICKET | Transplant(to=HOME)
    value = there.weights["stem.conv.weight"] + 1
    assert failed(verify(forged(there, weights={**there.weights, "stem.conv.weight": value}), parents=[TICKET])) == {
        "again",
        "carried",
    }
    lifted = Mask({**there.mask, "head.weight": torch.ones(10, 8, dtype=torch.bool)})
    assert failed(verify(forged(there, mask=lifted), parents=[TICKET])) == {"again", "carried"}


def test_it_is_trained_cut_and_kept_like_any_other(tmp_path: pathlib.Path):
    store = Store(tmp_path)
    there = TICKET | parse("move", "transplant(to=digits(channels=1), weights='init', head='fresh', seed=2)")
    trained = store(train, ticket=renorm(there, HOME, RECIPE, batches=1), task=HOME, recipe=RECIPE)
    last = store(cut, trained=trained, keep=0.5)
    assert last.level == 2 and last.moves == ()
    assert verify(last, parents=[TICKET, there], store=store).ok


def test_words_have_meanings_of_their_own():
    words: list[tuple[str, Literal["weights", "head"]]] = [(w, "weights") for w in ALL]
    words += [("fresh", "head"), ("fresh, masked", "head")]
    made = [TICKET | Transplant(to=Elsewhere(), **{field: word}) for word, field in words]  # type: ignore[arg-type]
    assert len({one.digest for one in made}) == len({one.key for one in made}) == len(words)


@pytest.mark.parametrize("weights", ["rewound", "init"])
def test_no_draws_are_fresh_where_nothing_is_drawn(weights: Any):
    with pytest.raises(Refused, match=f"draw='fresh' draws new values .* weights='{weights}' draws none"):
        Transplant(to=Digits(), weights=weights, draw="fresh")


def test_a_target_whose_data_are_not_here_is_missing_and_not_forged(monkeypatch: pytest.MonkeyPatch):
    dense = draw(Mlp(hidden=(4,)), Digits(), Recipe(steps=3))
    carried = dense | Transplant(to=Digits(crop=1))
    assert verify(carried, parents=[dense]).ok
    wrong = forged(carried, weights={**carried.weights, "head.bias": carried.weights["head.bias"] + 1})
    assert "again" in failed(verify(wrong, parents=[dense]))

    def absent(_: Digits) -> None:
        raise Refused("digits is not on this machine.")

    monkeypatch.setattr(Digits, "io", property(absent))
    verdict = verify(carried, parents=[dense])
    assert verdict.ok and detail(verdict, "again: carry") == (
        "not done again, for want of its data: digits is not on this machine."
    )

"""Stretch and squeeze: every tensor comes from where the map says, and nothing else happens (Chen et al. 2021)."""

import atexit
import functools
import itertools
import shutil
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.moves.test_contract import bits
from tests.tasks.written import reviews, write
from tombola.archs.imagenet_resnet import ImageNetResNet
from tombola.archs.mlp import Mlp
from tombola.archs.mobilenet import MobileNet
from tombola.archs.resnet import ResNet
from tombola.archs.text_encoder import TextEncoder
from tombola.archs.vgg import Vgg
from tombola.archs.vit import ViT
from tombola.core.errors import Refused
from tombola.core.layout import Arch, Layout, Stage, blank, initial_weights, shapes
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.text import parse
from tombola.core.ticket import Ticket
from tombola.criteria.random_ import Random
from tombola.find import cut_early, draw
from tombola.moves.stretch import Squeeze, Stretch
from tombola.tasks.digits import Digits
from tombola.tasks.reviews import OwnTexts
from tombola.train.recipe import Recipe
from tombola.verify import verify

DEEPER = ["interpolate()", "interpolate(extra='even')", "append()", "append(extra='last')", "early()", "late()"]
SHALLOWER = ["keep_first()", "keep_last()", "keep_even()", "keep_even(start='last')"]
FAMILIES = {
    "mlp": lambda n: Mlp(hidden=(6,) * n + (4,)),
    "resnet": lambda n: ResNet(depth=6 * n + 2, width=2),
    "resnet, option A": lambda n: ResNet(depth=6 * n + 2, width=2, shortcut="identity"),
    "vgg": lambda n: Vgg(depth=(11, 13, 16, 19)[n - 1], width=2),
    "vgg, linear": lambda n: Vgg(depth=11, width=2, linear=n + 1),
    "imagenet": lambda n: ImageNetResNet(depth=(18, 26, 34)[n - 1], width=2),
    "mobilenet": lambda n: MobileNet(repeats=n, width=1),
    "vit": lambda n: ViT(depth=n, width=8, heads=2),
    "text encoder": lambda n: TextEncoder(depth=n, width=8, heads=2),
}
MOST = {
    "mlp": 5,
    "resnet": 5,
    "resnet, option A": 4,
    "vgg": 4,
    "vgg, linear": 5,
    "imagenet": 3,
    "mobilenet": 5,
    "vit": 4,
    "text encoder": 4,
}
TASK = Digits(size=16)
IO = TASK.io


@functools.cache
def texts() -> OwnTexts:
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    written = write(folder / "mine", train=reviews(20), test=reviews(20, seed=1))
    return OwnTexts(
        id=str(written), domain="books", group="domain", shared=("books", "tools"), vocabulary=50, longest=16
    )


def task_of(arch: Arch) -> Digits | OwnTexts:
    return texts() if isinstance(arch, TextEncoder) else TASK


def by_hand(source: Arch, target: Arch, maps: tuple[tuple[int, ...], ...]) -> dict[str, str]:
    """For each entry of the target's state dict the source's, from names alone."""
    renamed: dict[str, str] = {}
    for own, wanted, sources in zip(source.layout().stages, target.layout().stages, maps, strict=True):
        assert len(sources) == len(wanted.blocks)
        for there, block in zip(wanted.blocks, sources, strict=True):
            renamed[there + "."] = own.blocks[block - 1] + "."
    found: dict[str, str] = {}
    for name in shapes(blank(target, task_of(target).io)):
        prefix = next((p for p in renamed if name.startswith(p)), "")
        found[name] = renamed[prefix] + name[len(prefix) :] if prefix else name
    return found


@functools.cache
def made(arch: Arch) -> Ticket:
    """A ticket that was trained for a step before it was cut: its batch-norm statistics are its own."""
    recipe = Recipe(steps=2, batch=8, rewind=1, validation=0.0)
    task = task_of(arch)
    return cut_early(draw(arch, task, recipe), task, recipe, Random(), density=0.3)


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, int, int, str]:
    """A family, the size of source and target, and a map."""
    family = draw(st.sampled_from(sorted(FAMILIES)))
    # A VGG-11 has stages without a block to copy.
    sizes = st.integers(2 if family in ("resnet", "resnet, option A", "mlp", "vgg") else 1, MOST[family])
    have, want = draw(sizes), draw(sizes)
    return family, have, want, draw(st.sampled_from(DEEPER if want >= have else SHALLOWER))


def move_of(case: tuple[str, int, int, str]) -> tuple[Arch, Stretch]:
    family, have, want, rule = case
    return FAMILIES[family](have), Stretch(to=FAMILIES[family](want), by=parse("depth_map", rule))


@settings(max_examples=30, deadline=None)
@given(case=cases())
def test_every_tensor_is_where_the_map_says_and_nothing_else_happens(case: tuple[str, int, int, str]):
    arch, move = move_of(case)
    ticket = made(arch)
    before, after = ticket.encoded(), ticket | move
    assert ticket.encoded() == before
    came = by_hand(arch, move.to, move.maps(arch, task_of(arch).io))
    assert list(after.weights) == list(came) and list(after.mask) == list(move.to.layout().prunable)
    for name, source in came.items():
        assert torch.equal(after.weights[name], ticket.weights[source])
        if name in after.mask:
            assert torch.equal(after.mask[name], ticket.mask[source])
    # Section 2.5 of the reconstruction, counted from the source alone.
    kept = sum(ticket.mask.kept_in(came[name]) for name in after.mask)
    assert (after.mask.kept, after.density) == (kept, kept / after.mask.size)
    assert (after.step, after.restart, after.holding, after.level) == (1, "weights", "all", ticket.level)
    net = after.module().eval()
    assert all(not bool(net.get_parameter(n)[~after.mask[n]].any()) for n in after.mask)
    shown = torch.ones(2, *ticket.io.inputs, dtype=torch.int64 if ticket.io.tokens else None)
    with torch.no_grad():
        assert bool(net(shown).isfinite().all())
    assert after.encoded() == (ticket | move).encoded() == Ticket.decoded(after.encoded()).encoded()
    storage = [value.data_ptr() for value in after.weights.values() if value.numel()]
    assert len(set(storage)) == len(storage)


@settings(max_examples=15, deadline=None)
@given(case=cases())
def test_it_is_proved_with_its_parent(case: tuple[str, int, int, str]):
    arch, move = move_of(case)
    ticket = made(arch)
    verdict = verify(ticket | move, parents=[ticket])
    held = {check.name.split(":")[0]: check for check in verdict.checks}
    count = len((ticket | move).weights)
    assert held["carried"].ok and held["again"].ok
    assert held["carried"].detail == f"{count} of {count} tensors are where the map says"


@pytest.mark.parametrize("family", FAMILIES)
def test_the_identity_and_a_round_trip_return_the_source(family: str):
    for have, want in itertools.combinations_with_replacement(range(2, MOST[family] + 1), 2):
        ticket, deeper = made(FAMILIES[family](have)), FAMILIES[family](want)
        there = ticket | Stretch(to=deeper)
        maps = Stretch(to=deeper).maps(ticket.arch, ticket.io)
        firsts = tuple(tuple(sources.index(b) + 1 for b in sorted(set(sources))) for sources in maps)
        back = there | Stretch(to=ticket.arch, by=parse("depth_map", f"explicit(blocks={firsts})"))
        for same in (back, ticket | Stretch(to=ticket.arch)) if have == want else (back,):
            assert same.mask == ticket.mask and bits(dict(same.weights)) == bits(dict(ticket.weights))
            assert same.arch == ticket.arch and len(same.lineage) > len(ticket.lineage)


def test_interpolation_then_keep_even_is_the_source_too():
    ticket = made(ResNet(depth=20, width=2))
    back = (
        ticket | Stretch(to=ResNet(depth=32, width=2)) | Squeeze(to=ticket.arch, by=parse("depth_map", "keep_even()"))
    )
    assert back.mask == ticket.mask and bits(dict(back.weights)) == bits(dict(ticket.weights))


def test_a_chain_of_stretches_is_one():
    ticket = made(ResNet(depth=14, width=2))
    chain = ticket | Stretch(to=ResNet(depth=20, width=2)) | Stretch(to=ResNet(depth=32, width=2))
    once = ticket | Stretch(to=ResNet(depth=32, width=2))
    assert chain.digest == once.digest and chain.key != once.key


def test_a_mask_over_all_parameters_is_carried_whole():
    ticket = made(ResNet(depth=14, width=2))
    whole = {n: torch.ones(v.shape, dtype=torch.bool) for n, v in ticket.module().named_parameters()}
    whole["stages.1.1.bn2.bias"][0] = False
    ticket = ticket.rebuilt(mask=Mask({**whole, **ticket.mask}))
    after = ticket | Stretch(to=ResNet(depth=20, width=2))
    assert list(after.mask) == [n for n, _ in after.module().named_parameters()]
    assert [after.mask.kept_in(f"stages.1.{j}.bn2.bias") for j in (0, 1, 2)] == [4, 3, 3]


def test_survivors_alone_are_carried_alone():
    ticket, to = made(ResNet(depth=14, width=2)), ResNet(depth=26, width=2)
    alive = ticket.alive() | Stretch(to=to)
    assert alive.holding == "alive"
    assert bits(dict(alive.weights)) == bits((ticket | Stretch(to=to)).masked())
    assert (ticket | Stretch(to=to, values="masked")).rebuilt(lineage=alive.lineage).encoded() == alive.encoded()


# The defect of the original on MLPs: its maps leave a layer out.


def test_a_part_left_out_begins_afresh_and_dense_only_by_name():
    source, target = Mlp(hidden=(30, 30, 10)), Mlp(hidden=(30, 30, 30, 10))
    ticket = made(source)
    moved = ticket | Stretch(to=target, fresh=("stages.1.0",))
    drawn = initial_weights(target, IO, "stretch", 0)
    for name in ("stages.1.0.weight", "stages.1.0.bias"):
        assert torch.equal(moved.weights[name], drawn[name])
    assert bool(moved.mask["stages.1.0.weight"].all())
    whole = ticket | Stretch(to=target)
    assert [name for name in whole.mask if not torch.equal(whole.mask[name], moved.mask[name])] == ["stages.1.0.weight"]
    said = next(c for c in verify(moved, parents=[ticket]).checks if c.name.startswith("carried"))
    assert (
        said.ok
        and said.detail
        == "8 of 10 tensors are where the map says; made otherwise, by the move's options: stages.1.0.weight and 1 more"
    )


def test_blocks_without_a_source_are_asked_for_by_name():
    ticket, to = made(Mlp(hidden=(6, 4))), Mlp(hidden=(6, 6, 6, 4))
    with pytest.raises(Refused, match=r"leaves stages.0.1, stages.0.2 of mlp.* unfilled.*fresh=\('stages.0.1', 'stag"):
        ticket | Stretch(to=to)
    moved = ticket | Stretch(to=to, fresh=("stages.0.1", "stages.0.2"))
    assert moved.mask.kept == ticket.mask.kept + 2 * 36


# What is refused.


@pytest.mark.parametrize(
    ("source", "move", "message"),
    [
        ("resnet()", "stretch(to=vgg())", r"the ticket is of resnet\(\), and the target is vgg\(\): another family"),
        (
            "resnet()",
            "stretch(to=resnet(depth=32, width=8))",
            r"'stem.conv.weight' of resnet\(\) is \(16, 1, 3, 3\).*\(8",
        ),
        (
            "resnet()",
            "stretch(to=resnet(depth=32, shortcut='identity'))",
            "is no such tensor. Only the depth may differ",
        ),
        ("resnet()", "stretch(to=resnet(depth=32, bn_affine='no'))", r"'stem.bn.weight' of resnet\(\)"),
        ("imagenet_resnet(depth=34)", "squeeze(to=imagenet_resnet(depth=50))", "'stem.conv|'stages.0.0.conv1.weight'"),
        ("mlp(hidden=(6, 5, 4))", "squeeze(to=mlp(hidden=(6, 4)))", "has 3 stages and mlp.* has 2"),
        ("mlp(hidden=(6, 6, 4))", "stretch(to=mlp(hidden=(6, 6, 6, 5)))", "'stages.1.0.weight'"),
        ("resnet()", "stretch(to=resnet(depth=14))", "squeeze"),
        ("resnet()", "stretch(to=resnet(depth=8))", "stage 1 has 2 of them and is to have 0. Use one that drops some"),
        (
            "resnet()",
            "stretch(to=resnet(depth=32, bn_scale='uniform'))",
            "has bn_scale='uniform', and the ticket's .* 'one'",
        ),
        (
            "vit(depth=2, heads=2)",
            "stretch(to=vit(depth=4, heads=4))",
            "has heads=4, and the ticket's .* has 2. Only the",
        ),
        ("vit(depth=2)", "stretch(to=vit(depth=2, norm='after'))", "give the target norm='before'"),
        ("resnet()", "stretch(to=resnet(), by=explicit(blocks=((1, 2), (1, 2))))", "has 2 lists, and .* has 3 stages"),
        ("resnet()", "stretch(to=resnet(), by=pairs(text='1:1|1:1|1:1|1:1'))", "has 4 lists, and .* has 3 stages"),
        (
            "vgg(depth=11)",
            "stretch(to=vgg(depth=13))",
            r"vgg\(depth=11\) has no block there to copy, or let them begin",
        ),
        ("resnet()", "squeeze(to=resnet(depth=32))", "stretch"),
        ("resnet()", "stretch(to=resnet(depth=32), fresh=('stages.3.0',))", "no part of resnet.*Did you mean"),
        ("resnet()", "stretch(to=resnet(depth=32), by=pairs(text='1:1,2;2:3'))", "leaves stages.0.4, stages.1.4"),
    ],
)
def test_what_is_refused(source: str, move: str, message: str):
    with pytest.raises(Refused, match=message):
        parse("move", move).maps(parse("arch", source), IO)


@plugin("arch", "odd_for_stretch")
class Odd:
    """A stage whose blocks are not alike, and one with two names for one tensor."""

    widths: tuple[int, ...] = (4, 4, 4)
    tied: str = "no"

    def build(self, io: object) -> nn.Module:
        net = nn.Module()
        net.stages = nn.ModuleList(nn.Linear(4, width) for width in self.widths)
        if self.tied == "yes":
            net.stages[1].weight = net.stages[0].weight  # type: ignore[union-attr]
        return net

    def layout(self) -> Layout:
        names = tuple(f"stages.{i}" for i in range(len(self.widths)))
        axes = {f"{name}.weight": ("", "") for name in names} | {f"{name}.bias": ("",) for name in names}
        prunable = tuple(f"{name}.weight" for name in names)
        return Layout(stem=(), stages=(Stage(entry="", blocks=names),), head=(), prunable=prunable, axes=axes)

    def initial(self, net: nn.Module, *names: str | int) -> dict[str, Tensor]:
        return {name: torch.zeros(shape) for name, shape in shapes(net).items()}


def test_blocks_that_are_not_alike_are_refused_with_both_shapes():
    with pytest.raises(
        Refused, match=r"'stages.1.weight' .* is \(5, 4\) .*'stages.2.weight' .* is \(4, 4\).* not inter"
    ):
        Stretch(to=Odd(), by=parse("depth_map", "explicit(blocks=((1, 1, 2),))")).maps(Odd(widths=(4, 5)), IO)


def test_tensors_with_two_names_are_refused():
    with pytest.raises(Refused, match="'stages.0.weight' and 'stages.1.weight' of .* are one tensor"):
        Stretch(to=Odd(tied="yes")).maps(Odd(tied="yes"), IO)
    with pytest.raises(Refused, match="are one tensor"):
        Stretch(to=Odd(tied="yes")).maps(Odd(), IO)

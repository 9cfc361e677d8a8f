"""Variants and controls of stretch: each changes what it says, and nothing else."""

import copy
import dataclasses
import pathlib
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.moves.test_contract import bits
from tests.moves.test_stretch import IO, made
from tests.test_verify import failed, forged
from tombola.archs.mlp import Mlp
from tombola.archs.mobilenet import MobileNet
from tombola.archs.resnet import ResNet
from tombola.archs.vgg import Vgg
from tombola.core.errors import Refused
from tombola.core.layout import Layout, Stage, initial_weights
from tombola.core.mask import Mask
from tombola.core.text import parse
from tombola.core.ticket import Ticket
from tombola.moves.branches import branch_ends
from tombola.moves.controls import RandomMask, Reinit, Shuffle
from tombola.moves.stretch import Stretch
from tombola.verify import verify

SOURCE, TARGET = ResNet(depth=14, width=4), ResNet(depth=26, width=4)
COPIES = [f"stages.{i}.{j}." for i in range(3) for j in (2, 3)]


@pytest.fixture(scope="module")
def ticket() -> Ticket:
    return made(SOURCE)


@pytest.fixture(scope="module")
def plain(ticket: Ticket) -> Ticket:
    return ticket | Stretch(to=TARGET)


def is_copy(name: str) -> bool:
    return name.startswith(tuple(COPIES))


def changed(a: Ticket, b: Ticket) -> tuple[set[str], set[str]]:
    """Names of masks and of weights that differ."""
    masks = {name for name in a.mask if not torch.equal(a.mask[name], b.mask[name])}
    return masks, {name for name in a.weights if not torch.equal(a.weights[name], b.weights[name])}


def test_permuted_masks_of_copies_have_their_counts(ticket: Ticket, plain: Ticket):
    moved = ticket | Stretch(to=TARGET, copies="permuted")
    masks, weights = changed(moved, plain)
    assert masks == {name for name in moved.mask if is_copy(name)} and not weights
    assert all(moved.mask.kept_in(name) == plain.mask.kept_in(name) for name in moved.mask)
    assert not torch.equal(moved.mask["stages.0.2.conv1.weight"], moved.mask["stages.0.3.conv1.weight"])
    assert moved.masked()["stages.0.2.conv1.weight"].count_nonzero() == moved.mask.kept_in("stages.0.2.conv1.weight")
    as_run = ticket | Stretch(to=TARGET, copies="permuted", values="masked")
    assert as_run.mask == moved.mask and as_run.holding == "alive"
    zeros = (as_run.weights["stages.0.2.conv1.weight"] == 0) & as_run.mask["stages.0.2.conv1.weight"]
    assert torch.equal(zeros, as_run.mask["stages.0.2.conv1.weight"] & ~plain.mask["stages.0.2.conv1.weight"])
    assert changed(ticket | Stretch(to=TARGET, copies="permuted", seed=1), moved)[0]
    with pytest.raises(Refused, match="dead positions"):
        ticket.alive() | Stretch(to=TARGET, copies="permuted")


def test_fresh_copies_have_the_mask_and_new_weights(ticket: Ticket, plain: Ticket):
    masks, weights = changed(ticket | Stretch(to=TARGET, copies="fresh"), plain)
    drawn = initial_weights(TARGET, IO, "stretch", 0)
    moved = ticket | Stretch(to=TARGET, copies="fresh")
    assert not masks and weights <= {name for name in plain.weights if is_copy(name)}
    assert all(torch.equal(moved.weights[n], drawn[n]) for n in plain.weights if is_copy(n))
    assert {name for name in moved.mask if is_copy(name)} <= weights


def test_the_mask_alone_and_the_weights_alone(ticket: Ticket, plain: Ticket):
    mask = ticket | Stretch(to=TARGET, carried="mask", seed=3)
    assert mask.mask == plain.mask and mask.step == ticket.step
    drawn = initial_weights(TARGET, IO, "stretch", 3)
    assert all(torch.equal(mask.weights[name], drawn[name]) for name in drawn)
    weights = ticket | Stretch(to=TARGET, carried="weights")
    assert weights.density == 1 and bits(dict(weights.weights)) == bits(dict(plain.weights))
    with pytest.raises(Refused, match="dead positions"):
        ticket.alive() | Stretch(to=TARGET, carried="weights")
    permuted = Stretch(to=TARGET, carried="mask", copies="permuted")
    assert (ticket.alive() | permuted).encoded() != (ticket | permuted).encoded()  # Their lineages differ.
    assert (ticket.alive() | permuted).digest == (ticket | permuted).digest


def test_noise_is_on_living_weights_of_copies(ticket: Ticket, plain: Ticket):
    moved = ticket | Stretch(to=TARGET, noise=0.1)
    masks, weights = changed(moved, plain)
    assert not masks and weights == {name for name in moved.mask if is_copy(name)}
    name = "stages.2.3.conv2.weight"
    alive, difference = plain.mask[name], (moved.weights[name] - plain.weights[name]).double()
    assert not difference[~alive].any()
    spread = plain.weights[name][alive].double().std(correction=0)
    assert float(difference[alive].std() / spread) == pytest.approx(0.1, rel=0.1)
    assert not torch.equal(moved.weights["stages.2.2.conv2.weight"], moved.weights[name])
    with pytest.raises(Refused, match="0 or more"):
        Stretch(to=TARGET, noise=-0.1)


def test_divided_branches_halve_what_copies_add(ticket: Ticket):
    """Linear as it is at the end of a branch: two copies on the same stream add what one did."""
    target = ResNet(depth=20, width=4)
    moved, kept = (ticket | Stretch(to=target, scale=scale) for scale in ("divided", "kept"))
    _, weights = changed(moved, kept)
    ends = {f"stages.{i}.{j}.bn2.{p}" for i in range(3) for j in (1, 2) for p in ("weight", "bias")}
    assert weights <= ends and {name for name in ends if name.endswith("weight")} <= weights
    whole, part = kept.module().double().eval(), moved.module().double().eval()
    x = torch.rand(2, 4, 5, 5, dtype=torch.float64)

    def branch(net: nn.Module, name: str) -> Tensor:
        block = net.get_submodule(name)
        return block.bn2(block.conv2(block.bn1(block.conv1(x)).relu()))  # type: ignore[operator,union-attr]

    once = branch(whole, "stages.0.1")
    assert float(once.detach().abs().max()) > 1e-3
    torch.testing.assert_close(branch(part, "stages.0.1") + branch(part, "stages.0.2"), once)


def test_fresh_copies_are_divided_too(ticket: Ticket):
    target = ResNet(depth=20, width=4)
    moved, kept = (ticket | Stretch(to=target, copies="fresh", scale=scale) for scale in ("divided", "kept"))
    for name in ("stages.0.1.bn2.weight", "stages.0.2.bn2.weight"):
        assert torch.equal(moved.weights[name], kept.weights[name] / 2) and kept.weights[name].any()
    assert verify(moved, parents=[ticket]).ok


def residual(*layers: tuple[str, tuple[str, ...], str]) -> Layout:
    """Two blocks of layers between a stem and a head: names, axes of the first tensor, what they are."""
    axes: dict[str, tuple[str, ...]] = {"stem.weight": ("stream", "")}
    for block in ("blocks.0", "blocks.1"):
        for name, groups, kind in layers:
            own = tuple(block if group == "inside" else group for group in groups)
            axes[f"{block}.{name}.weight"] = own
            entries = {"norm": ("bias", "running_mean", "running_var"), "linear": ("bias",), "layer norm": ("bias",)}
            axes |= {f"{block}.{name}.{entry}": own[:1] for entry in entries.get(kind, ())}
    axes["head.weight"] = ("", "stream")
    weights = tuple(name for name, own in axes.items() if len(own) > 1)
    stage = Stage(entry="", blocks=("blocks.0", "blocks.1"))
    return Layout(stem=("stem",), stages=(stage,), head=("head",), prunable=weights, axes=axes)


UP, DOWN = ("up", ("inside", "stream"), "linear"), ("down", ("stream", "inside"), "linear")
BEFORE, BETWEEN = ("bn1", ("stream",), "norm"), ("bn2", ("inside",), "norm")
AFTER = ("bn3", ("stream",), "norm")
OUT = ("out", ("stream", ""), "linear")


@pytest.mark.parametrize(
    ("layers", "ends"),
    [
        ((UP, BETWEEN, DOWN), ("down.weight", "down.bias")),
        ((BEFORE, UP, BETWEEN, DOWN), ("down.weight", "down.bias")),
        ((UP, BETWEEN, DOWN, AFTER), ("bn3.weight", "bn3.bias")),
        ((BEFORE, UP, DOWN, AFTER), ("bn3.weight", "bn3.bias")),
        ((OUT, ("n", ("stream",), "layer norm"), UP, DOWN), ("out.weight", "out.bias", "down.weight", "down.bias")),
    ],
    ids=["plain", "normed before", "normed behind", "both", "transformer"],
)
def test_where_a_branch_ends(layers: tuple[Any, ...], ends: tuple[str, ...]):
    assert branch_ends(residual(*layers), "blocks.1") == tuple(f"blocks.1.{name}" for name in ends)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            (UP, DOWN, ("n", ("stream",), "layer norm")),
            "whether 'blocks.1.n' acts on what 'blocks.1' adds, or on the sum",
        ),
        ((OUT, BEFORE, UP, DOWN), "cannot be told from the layout: blocks.1.out.weight, blocks.1.down.weight writes"),
        ((("dw", ("stream", "", "", ""), ""), UP, DOWN), "cannot be told from the layout"),
        ((("mid", ("stream", "stream"), "linear"), UP, DOWN), "cannot be told from the layout"),
    ],
)
def test_branches_whose_end_cannot_be_told(layers: tuple[Any, ...], message: str):
    with pytest.raises(Refused, match=message):
        branch_ends(residual(*layers), "blocks.1")


class PreActivated(nn.Module):
    """A block that norms what it reads: bn1, up, bn2, down."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bn1, self.up = nn.BatchNorm1d(width), nn.Linear(width, width, bias=False)
        self.bn2, self.down = nn.BatchNorm1d(width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.bn2(self.up(self.bn1(x).relu())).relu())


def test_what_a_block_normed_before_adds_is_halved():
    layout = residual(BEFORE, ("up", ("inside", "stream"), ""), BETWEEN, DOWN)
    torch.manual_seed(0)
    whole = PreActivated(6).double()
    part, x = copy.deepcopy(whole), torch.rand(20, 6, dtype=torch.float64)
    for name in branch_ends(layout, "blocks.1"):
        part.get_parameter(name.removeprefix("blocks.1.")).data /= 2
    torch.testing.assert_close(part(x), whole(x) / 2)  # In training, where batch norm undoes what scales its input.


def test_what_cannot_be_divided():
    for arch, block in ((Vgg(), "stages.2.1"), (Mlp(hidden=(4, 4)), "stages.0.1"), (MobileNet(), "stages.4.1")):
        with pytest.raises(Refused, match="adds to no residual stream"):
            branch_ends(arch.layout(), block)
    with pytest.raises(Refused, match="has no scale"):
        branch_ends(ResNet(bn_affine="no").layout(), "stages.0.1")


def test_controls_of_the_paper_are_moves_after_moves(ticket: Ticket, plain: Ticket):
    """Figure 3: the mask on new weights; the weights under a random mask; the code's own reading of the latter."""
    assert (plain | Reinit(start="rewind")).mask == plain.mask
    random = plain | RandomMask()
    assert bits(dict(random.weights)) == bits(dict(plain.weights)) and random.mask != plain.mask
    as_run = plain | Shuffle(values="masked")
    text = plain | Shuffle()
    assert as_run.mask == text.mask and as_run.holding == "alive"
    lost = sum(int(((as_run.weights[n] == 0) & as_run.mask[n]).sum()) for n in as_run.mask)
    assert lost / as_run.mask.kept == pytest.approx(1 - plain.density, abs=0.03)
    assert verify(as_run, parents=[ticket, plain]).ok


def test_forgeries_are_found(ticket: Ticket, plain: Ticket, tmp_path: pathlib.Path):
    """Somebody changes a tensor, and makes the digests agree."""
    weights = {name: value.clone() for name, value in plain.weights.items()}
    weights["stages.2.3.bn1.running_mean"][0] += 1
    assert failed(verify(forged(plain, weights=weights), parents=[ticket])) == {"carried", "again"}
    mask = {name: value.clone() for name, value in plain.mask.items()}
    other = np.flatnonzero(mask["stages.1.2.conv1.weight"].flatten().numpy())[0]
    mask["stages.1.2.conv1.weight"].view(-1)[other] = False
    assert failed(verify(forged(plain, mask=Mask(mask)), parents=[ticket])) == {"carried", "again"}


@pytest.mark.parametrize(
    ("options", "same"),
    [
        ("copies='permuted'", 164 - 12),
        ("copies='permuted', values='masked'", 164 - 12),
        ("copies='fresh'", 164 - 6 * 12),
        ("noise=0.5", 164 - 12),
        ("scale='divided'", 164 - 3 * 3 * 2),
        ("carried='mask'", 0),
        ("carried='weights'", 164 - 28),
        ("fresh=('stages.2.3',)", 164 - 12),
        ("values='masked'", 164),
    ],
)
def test_what_options_leave_alone_is_proved(ticket: Ticket, options: str, same: int):
    moved = ticket | parse("move", f"stretch(to={TARGET}, {options})")
    said = next(check for check in verify(moved, parents=[ticket]).checks if check.name.startswith("carried"))
    assert said.ok and said.detail.startswith(f"{same} of {len(moved.weights)} tensors"), said
    assert len(moved.weights) == 164
    assert verify(moved, parents=[ticket]).ok and verify(moved.alive(), parents=[ticket, moved]).ok


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("carried=weights, copies=permuted", "copies='permuted' changes what carried='weights' does not carry"),
        ("carried=mask, copies=fresh", "copies='fresh' changes what carried='mask'"),
        ("carried=mask, noise=0.5", "noise changes what carried='mask'"),
        ("carried=mask, values=masked", "values='masked' changes what carried='mask'"),
        ("carried=mask, scale=divided", "scale='divided' changes what carried='mask'"),
        ("copies=fresh, noise=0.5", "noise changes what copies='fresh'"),
    ],
)
def test_options_that_would_do_nothing(options: str, message: str):
    with pytest.raises(Refused, match=message):
        parse("move", f"stretch(to={TARGET}, {options})")


def test_a_mask_on_new_weights_restarts_with_the_whole_schedule(ticket: Ticket):
    tuned = dataclasses.replace(ticket.alive(), restart="fine-tune")
    moved = tuned | Stretch(to=TARGET, carried="mask")
    assert (moved.restart, moved.holding) == ("weights", "all")
    assert (tuned | Stretch(to=TARGET)).restart == "fine-tune"


def test_a_mask_of_more_tensors_is_a_forgery_and_no_crash(ticket: Ticket, plain: Ticket):
    everything = {n: torch.ones(v.shape, dtype=torch.bool) for n, v in plain.module().named_parameters()}
    mask = Mask({name: plain.mask[name] if name in plain.mask else alive for name, alive in everything.items()})
    assert "again" in failed(verify(forged(plain, mask=mask), parents=[ticket]))

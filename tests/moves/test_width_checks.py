"""Widths: what is refused, how the moves are written, and that carried tickets are proved."""

import pathlib
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from tests.moves.widths import IO, outputs, sparse
from tombola.archs.mlp import Mlp
from tombola.archs.textcnn import TextCnn
from tombola.core.errors import Refused
from tombola.core.layout import Interface, Layout, dense_mask, initial_weights
from tombola.core.plugin import LOADED, plugin
from tombola.core.text import parse
from tombola.core.ticket import Ticket
from tombola.find import cut, find
from tombola.moves.width import Narrow, Widen
from tombola.study.store import Store
from tombola.tasks.digits import Digits
from tombola.train.loop import train
from tombola.train.recipe import Recipe
from tombola.verify import verify


@plugin("arch", "pooled_for_tests")
class Pooled:
    """A convolution, a table that writes to its units, and a head that reads them at `side` x `side` pixels."""

    width: int = 2
    side: int = 2

    def build(self, io: Interface) -> nn.Module:
        return PooledNet(io.inputs[0], self.width, self.side, io.classes)

    def layout(self) -> Layout:
        axes = {"conv.weight": ("a", "", "", ""), "conv.bias": ("a",), "table.weight": ("", "a")}
        axes |= {"head.weight": ("", "a"), "head.bias": ("",)}
        return Layout(("conv", "table"), (), ("head",), ("conv.weight", "head.weight"), axes)

    def initial(self, net: nn.Module, *names: str | int) -> dict[str, Tensor]:
        return {name: torch.arange(value.numel()).reshape(value.shape) / 9 for name, value in net.state_dict().items()}


class PooledNet(nn.Module):
    def __init__(self, channels: int, width: int, side: int, classes: int) -> None:
        super().__init__()
        self.conv, self.table, self.side = nn.Conv2d(channels, width, 3), nn.Embedding(1, width), side
        self.head = nn.Linear(width * side**2, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x) + self.table.weight[0, :, None, None]
        return self.head(nn.functional.adaptive_avg_pool2d(x, self.side).flatten(1))


@pytest.fixture(scope="module", autouse=True)
def forgotten() -> Iterator[None]:
    yield
    del LOADED["arch", "pooled_for_tests"]


def test_only_what_reads_a_unit_is_divided():
    ticket = sparse(Pooled())
    wide = ticket | Widen(to=Pooled(width=5))
    assert torch.equal(wide.weights["table.weight"][:, [0, 1, 0, 1, 0]], wide.weights["table.weight"])
    expected = outputs(ticket.module(), IO, mode="eval")
    torch.testing.assert_close(outputs(wide.module(), IO, mode="eval"), expected, rtol=1e-9, atol=1e-11)


RESNET, TIED = "resnet(depth=14, width=2)", "resnet(depth=8, width=2, shortcut='identity')"
WRONG = {  # The move, the networks, and what the message says.
    "depth": ("widen", RESNET, "resnet(depth=20, width=4)", r"has 'stages.0.2.conv1.weight', .* lacks. .*stretch\(\)"),
    "less depth": ("narrow", RESNET, "resnet(depth=8, width=1)", r"has 'stages.0.1.conv1.weight', which .* lacks"),
    "runs of widths": ("widen", "mlp(hidden=(3, 4))", "mlp(hidden=(5, 5))", r"names as they are; stretch\(\) changes"),
    "family": ("narrow", "vgg(depth=11, width=2)", "mlp(hidden=(2,))", "changes nothing but widths"),
    "fewer": ("widen", RESNET, "resnet(depth=14, width=1)", r"'stages.0' has 2 .* and fewer, 1, .*narrow\(\) goes"),
    "more": ("narrow", "mlp(hidden=(4, 3))", "mlp(hidden=(2, 5))", r"and more, 5, in .*widen\(\) goes"),
    "tied": ("widen", TIED, TIED.replace("=2", "=3"), r"'stem.conv.weight' has shape \(2, 2, 3, 3\) .* on axis 0: its"),
    "runs": ("widen", "pooled_for_tests(side=1)", "pooled_for_tests(width=3)", "1 and 4 numbers for each unit of 'a'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_other_differences_are_refused(case: str):
    move, arch, to, match = WRONG[case]
    with pytest.raises(Refused, match=f"^{move}.*{match}"):
        sparse(arch) | parse("move", f"{move}(to={to})")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("widen(to=mlp, noise=-0.5)", "noise is -0.5, a standard deviation"),
        ("widen(to=digits)", "field 'to' is .* It must be of type Arch"),
        ("narrow(to=3)", "field 'to' is 3"),
        ("narrow", r"narrow needs to: write \"narrow\(to=...\)\""),
        ("widen(to=mlp(depth=3))", "no field of mlp called 'depth'"),
    ],
)
def test_texts_are_checked(text: str, match: str):
    with pytest.raises(Refused, match=match):
        parse("move", text)
    assert parse("move", "widen(to=mlp)") == Widen(to=Mlp()) and str(Widen(to=Mlp())) == "widen(to=mlp())"


def test_carried_tickets_are_proved(tmp_path: pathlib.Path):
    """Carried, trained, cut again, carried back: from files, and from a store."""
    recipe = Recipe(steps=5, batch=60, evaluate=5, rewind=2, validation=0.0)
    store, task = Store(tmp_path / "store"), Digits()
    *_, ticket = find(Mlp(hidden=(12, 8)), task, recipe, levels=1, call=store)
    wide = ticket | Widen(to=Mlp(hidden=(20, 9)), choose="random", noise=0.01)
    trained = store(train, ticket=wide, task=task, recipe=recipe)
    again = store(cut, trained=trained, keep=0.5)
    back = again | Narrow(to=Mlp(hidden=(6, 4)), keep="density")
    assert back.moves == ("narrow(to=mlp(hidden=(6, 4)), keep='density')",) and back.level == 2
    for value in (wide, back):
        value.save(tmp_path / "a.ticket")
        for verdict in (
            verify(tmp_path / "a.ticket", parents=[ticket, wide, trained, again]),
            verify(value.alive(), store=store, parents=[value, wide]),
        ):
            assert verdict.ok, [check for check in verdict.checks if not check.ok]
            assert sum(check.name.startswith("again: carry") for check in verdict.checks) >= 1
    forged = wide.rebuilt(weights={**wide.weights, "head.bias": wide.weights["head.bias"] + 1})
    assert not verify(forged, parents=[ticket]).ok


def test_units_side_by_side_are_refused():
    io = Interface(inputs=(9,), classes=2, tokens=20)
    narrow = TextCnn(width=4, channels=3, heights=(2, 3))
    ticket = Ticket(arch=narrow, io=io, mask=dense_mask(narrow, io), weights=initial_weights(narrow, io, "test"))
    with pytest.raises(Refused, match="on an axis of 'stages.1.0.weight' units of several layers stand side by side"):
        _ = ticket | Widen(to=TextCnn(width=4, channels=6, heights=(2, 3)))

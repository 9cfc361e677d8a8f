from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tombola.core import expected as module
from tombola.core.errors import Damaged
from tombola.core.expected import expected
from tombola.core.layout import Interface, Layout, blank
from tombola.core.plugin import plugin
from tombola.core.text import parse
from tombola.core.ticket import Ticket

IO = Interface(inputs=(3,), classes=2)
Apart = Callable[[Ticket], tuple[dict[str, Any], dict[str, Tensor]]]


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The networks that were built, in order; nothing is remembered from before."""
    seen: list[str] = []

    def counted(arch: Any, io: Interface) -> nn.Module:
        seen.append(str(arch))
        return blank(arch, io)

    monkeypatch.setattr(module, "blank", counted)
    monkeypatch.setattr(module, "_known", {})
    return seen


def test_it_is_that_of_the_network():
    arch, io = parse("arch", "resnet(depth=8)"), Interface(inputs=(3, 8, 8), classes=5)
    state = arch.build(io).state_dict()
    found = expected(arch, io)
    assert dict(found) == {name: (tuple(value.shape), value.dtype) for name, value in state.items()}
    assert list(found) == list(state)
    assert found["head.weight"] == ((5, 64), torch.float32)


def test_a_network_is_built_once_for_many_files(bare: Ticket, builds: list[str]):
    data = bare.encoded()
    for _ in range(3):
        assert Ticket.decoded(data).encoded() == data
    assert builds == [str(bare.arch)]


def test_other_fields_and_other_interfaces_are_other_networks(builds: list[str]):
    small, wide = parse("arch", "mlp(hidden=(2,))"), parse("arch", "mlp(hidden=(4,))")
    found = [expected(a, io)["head.weight"][0] for a in (small, wide) for io in (IO, Interface(inputs=(3,), classes=7))]
    assert found == [(2, 2), (7, 2), (2, 4), (7, 4)]
    assert len(builds) == 4


def test_what_is_remembered_cannot_be_changed_and_is_bounded(builds: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_MOST", 2)
    arches = [parse("arch", f"mlp(hidden=({width},))") for width in (1, 2, 3)]
    for arch in arches:
        with pytest.raises(TypeError):
            expected(arch, IO)["head.weight"] = ((), torch.bool)  # type: ignore[index]
    assert len(module._known) == 2
    expected(arches[2], IO)
    assert len(builds) == 3


@pytest.mark.usefixtures("scratch")
def test_a_network_that_depends_on_more_than_its_fields_is_built_each_time(builds: list[str]):
    @plugin("arch", "outside")
    class Outside:
        width = 1

        def __identity__(self) -> dict[str, Any]:
            return {"code": self.width}

        def build(self, io: Interface) -> nn.Module:
            return nn.Linear(io.features, self.width)

        def layout(self) -> Layout: ...  # type: ignore[empty-body]

        def initial(self, net: nn.Module, *names: str | int) -> dict[str, Tensor]: ...  # type: ignore[empty-body]

    arch: Any = Outside()
    assert expected(arch, IO)["weight"][0] == (1, 3)
    Outside.width = 4
    assert expected(arch, IO)["weight"][0] == (4, 3)
    assert len(builds) == 2


def test_an_error_in_building_is_not_remembered(builds: list[str]):
    for _ in range(2):
        with pytest.raises(ValueError, match="images of shape"):
            expected(parse("arch", "resnet(depth=8)"), IO)
    assert len(builds) == 2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_survivors_of_any_precision_return_to_their_places(bare: Ticket, dtype: torch.dtype):
    values = {n: v.to(dtype) if n in bare.mask else v for n, v in bare.masked().items()}
    ticket = bare.rebuilt(weights=values, holding="alive")
    back = Ticket.decoded(ticket.encoded())
    assert all(back.weights[n].dtype == v.dtype and torch.equal(back.weights[n], v) for n, v in values.items())


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool, torch.float8_e4m3fn])
def test_survivors_that_are_no_floats_of_these(
    bare: Ticket, dtype: torch.dtype, taken_apart: Apart, forged: Callable[..., bytes]
):
    header, tensors = taken_apart(bare.alive())
    tensors["alive.values"] = torch.ones(6).to(dtype)
    with pytest.raises(Damaged, match=f"is of type {dtype}; .* needs torch.float32."):
        Ticket.decoded(forged(header, tensors))

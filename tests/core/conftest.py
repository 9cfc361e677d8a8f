"""What the tests of the core share: a ticket small enough to read, and a registry that forgets plug-ins of tests."""

import importlib
import json
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, settings
from torch import Tensor

from tombola.core import container
from tombola.core.layout import Interface, shapes
from tombola.core.layout import blank as make_blank
from tombola.core.mask import Mask
from tombola.core.plugin import LOADED
from tombola.core.text import parse
from tombola.core.ticket import Ticket

# A busy machine is slow now and then, which is no failure.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture
def scratch() -> Iterator[None]:
    """Plug-ins that a test defines are forgotten after it."""
    before = set(LOADED)
    yield
    for key in set(LOADED) - before:
        if not LOADED[key].__module__.startswith("tombola."):
            del LOADED[key]


@pytest.fixture
def bare() -> Ticket:
    """Written by hand, without a lineage: 2x3 and 2x2 weights, of which 6 of 10 are alive."""
    arch, io = parse("arch", "mlp(hidden=(2,))"), Interface(inputs=(3,), classes=2)
    sizes = shapes(make_blank(arch, io))
    values = {name: torch.arange(1.0, 1.0 + torch.Size(shape).numel()) for name, shape in sizes.items()}
    alive = {
        "stages.0.0.weight": torch.tensor([[True, False, True], [True, True, False]]),
        "head.weight": torch.tensor([[False, True], [True, False]]),
    }
    return Ticket(
        arch=arch,
        io=io,
        mask=Mask(alive),
        weights={name: value.reshape(sizes[name]) / 8 for name, value in values.items()},
        task="digits()",
        recipe="recipe(steps=4)",
        data="0" * 16,
    )


@pytest.fixture(scope="session")
def whole() -> Ticket:
    """Found in one step of training: drawn, trained, cut, with a lineage that `verify` accepts."""
    find = importlib.import_module("tombola.find").find
    recipe = parse("recipe", "recipe(steps=1, validation=0, evaluate=1)")
    *_, ticket = find(parse("arch", "mlp(hidden=(2,))"), parse("task", "digits"), recipe, levels=1, keep=0.5)
    return ticket


Build = Callable[..., bytes]


@pytest.fixture
def forged() -> Build:
    """A file with any header and any tensors, with a digest that fits: made by someone who knows the format."""

    def build(header: Mapping[str, Any], tensors: Mapping[str, Tensor], *, text: str | None = None) -> bytes:
        if text is None:
            signed: dict[str, Any] = {"format": "ticket", "version": 1, **header}
            signed.setdefault("digest", container.content_digest(signed, tensors))
            text = json.dumps(signed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return safetensors.torch.save({n: v.contiguous() for n, v in tensors.items()}, {"tombola": text})

    return build


@pytest.fixture
def taken_apart() -> Callable[[Ticket], tuple[dict[str, Any], dict[str, Tensor]]]:
    """A ticket's header and tensors, to be forged."""

    def apart(ticket: Ticket) -> tuple[dict[str, Any], dict[str, Tensor]]:
        parts = ticket.parts()
        return dict(parts.header), {f"{g}.{n}": v for g, members in parts.groups.items() for n, v in members.items()}

    return apart


@pytest.fixture
def raw() -> Callable[[Any, bytes], bytes]:
    """A file with any outer header, as data or as bytes."""

    def made(outer: Any, body: bytes) -> bytes:
        header = outer if isinstance(outer, bytes) else json.dumps(outer).encode()
        return struct.pack("<Q", len(header)) + header + body

    return made

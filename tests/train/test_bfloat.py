"""Bfloat16 runs where the hardware has units for it; layers compute in it, and weights stay as they are."""

from typing import Any

import pytest
import torch
from torch import nn

from tests.train.toys import Points, a_ticket
from tombola.archs.mlp import Mlp
from tombola.core.errors import Refused
from tombola.train import bfloat
from tombola.train.loop import train
from tombola.train.recipe import Recipe

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("found", "native"),
    [
        ({}, False),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True, "avx512_bf16": False}, True),
        ({"bf16": True}, True),  # ARM.
        ({"bf16": False}, False),
    ],
    ids=str,
)
def test_a_processor_without_units_is_refused(found: dict[str, Any], native: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    bfloat.check("float32", CPU)
    bfloat.check("bfloat16", torch.device("cuda"))  # Never asks the processor.
    if native:
        bfloat.check("bfloat16", CPU)
    else:
        message = r"precision='bfloat16', and this processor has no units .* slower .* Use precision='float32', or"
        with pytest.raises(Refused, match=message):
            bfloat.check("bfloat16", CPU)
        with pytest.raises(Refused, match=message):
            train(a_ticket(Mlp(), Points()), Points(), Recipe(steps=3, batch=5, precision="bfloat16"))


def test_layers_compute_in_it_and_weights_stay():
    layer, inputs = nn.Linear(3, 2), torch.ones(4, 3)
    with bfloat.cast("float32", CPU):
        assert layer(inputs).dtype == torch.float32
    with bfloat.cast("bfloat16", CPU):
        outputs = layer(inputs)
        assert not torch.is_autocast_cache_enabled()  # A captured program would go on with the first step's weights.
    assert outputs.dtype == torch.bfloat16 and layer.weight.dtype == torch.float32
    outputs.float().sum().backward()
    assert layer.weight.grad is not None and layer.weight.grad.dtype == torch.float32
    assert layer(inputs).dtype == torch.float32 and torch.is_autocast_cache_enabled()

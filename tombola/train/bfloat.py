"""Training in bfloat16: where the hardware has it, the layers compute in it and the weights stay in float32."""

import contextlib
from typing import Literal

import torch

from tombola.core.errors import Refused

Precision = Literal["float32", "bfloat16"]


def check(precision: Precision, device: torch.device) -> None:
    """Find out whether the device has units for a precision.

    Raises:
        Refused: If it has not: a processor that emulates bfloat16 is ten times slower than with float32.
    """
    if precision == "bfloat16" and device.type == "cpu" and not native():
        raise Refused(
            "the recipe asks for precision='bfloat16', and this processor has no units for it: it would be 10 to 16 "
            "times slower than float32. Use precision='float32', or another machine."
        )


def native() -> bool:
    """Whether this processor has units for bfloat16."""
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16") or found.get("bf16"))


def cast(precision: Precision, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """The context in which layers compute in that precision; casts are not cached, so that a graph can capture them."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False)

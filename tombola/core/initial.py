"""Initial weights: each tensor drawn from a stream of its own, named after it.

Schemes: `kaiming_normal` (He et al. 2015: normal, variance 2 / fan-in), `kaiming_uniform` (the uniform of that
variance, bound sqrt(6 / fan-in)) and `torch_default` (bound sqrt(1 / fan-in), what PyTorch's layers do). Biases are
uniform within sqrt(1 / fan-in), as in PyTorch's layers, under every scheme. Tables that are learned (positions, tokens)
are normal with a standard deviation of 0.02, as in BERT (Devlin et al. 2019, by their code) and ViT.
"""

import math
from collections.abc import Iterator
from typing import Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from tombola.core.errors import Refused
from tombola.core.seeds import numbers

Scheme = Literal["kaiming_normal", "kaiming_uniform", "torch_default"]
NormScale = Literal["one", "uniform"]

TABLE_SPREAD = 0.02

_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def draw_state(
    net: nn.Module,
    *names: str | int,
    scheme: Scheme = "kaiming_normal",
    scale: NormScale = "one",
    table: float = TABLE_SPREAD,
) -> dict[str, Tensor]:
    """Initial values for every entry of a network's state dict; `net` may live on the meta device.

    Args:
        names: Prefix of the streams' names; the entry's own name is added.
        table: The standard deviation of learned tables.
        scale: Batch-norm scale: all ones, or uniform in [0, 1) as in the code of Frankle et al. 2020.

    Raises:
        Refused: For a layer whose initial values are not defined here.
    """
    state: dict[str, Tensor] = {}
    for prefix, module in cast(Iterator[tuple[str, nn.Module]], net.named_modules()):
        dot = f"{prefix}." if prefix else ""
        own = dict(module.named_parameters(recurse=False))
        if isinstance(module, _WEIGHTED):
            fan_in = module.weight[0].numel()
            for name, value in own.items():
                rng = numbers(*names, dot + name)
                state[dot + name] = _weight(rng, value.shape, fan_in, scheme if name == "weight" else "torch_default")
        elif isinstance(module, _NORMS):
            size = (module.num_features,)
            if module.affine:
                uniform = numbers(*names, dot + "weight").random(size, dtype=np.float32)
                state[dot + "weight"] = torch.as_tensor(uniform) if scale == "uniform" else torch.ones(size)
                state[dot + "bias"] = torch.zeros(size)
            if module.track_running_stats:
                state[dot + "running_mean"], state[dot + "running_var"] = torch.zeros(size), torch.ones(size)
                state[dot + "num_batches_tracked"] = torch.zeros((), dtype=torch.int64)
        elif isinstance(module, nn.LayerNorm):
            for name, value in own.items():
                state[dot + name] = torch.ones(value.shape) if name == "weight" else torch.zeros(value.shape)
        elif isinstance(module, nn.Embedding):
            drawn = numbers(*names, dot + "weight").standard_normal(tuple(module.weight.shape), dtype=np.float32)
            state[dot + "weight"] = torch.as_tensor(drawn * np.float32(table))
        elif own:
            raise Refused(f"no initial values are defined for '{prefix}' ({type(module).__name__}).")
    return {name: state[name] for name in net.state_dict()}


def _weight(rng: np.random.Generator, shape: torch.Size, fan_in: int, scheme: Scheme) -> Tensor:
    if scheme == "kaiming_normal":
        return torch.as_tensor(rng.standard_normal(tuple(shape), dtype=np.float32) * np.float32(math.sqrt(2 / fan_in)))
    bound = math.sqrt((6 if scheme == "kaiming_uniform" else 1) / fan_in)
    return torch.as_tensor((rng.random(tuple(shape), dtype=np.float32) * 2 - 1) * np.float32(bound))

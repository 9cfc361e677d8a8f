"""A network made linear, through which all-positive weights let flow what signs and activations would hold back.

Tanaka et al. 2020 (SynFlow, section 5): absolute weights, an input of ones, no biases; ReLU then lets everything pass.
The same flow with the mask for weights tells which weights lie on a path (Vysogorets and Kempe 2023).
"""

import functools
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from tombola.core.errors import Refused
from tombola.core.layout import Arch, Biases, Interface, Norm, blank
from tombola.core.seeds import numbers

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
EXPONENTS = (-300, -100, -30, -10, -3, 0, 1, 10)
"""The inputs on which a network is tried, as powers of two: GELU is linear far from 0, and tanh near it."""


def flow(
    arch: Arch,
    io: Interface,
    state: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    *,
    norm: Norm = "scale",
    bias: Biases = "zero",
    power: int = 1,
) -> Tensor:
    """The sum of the outputs for an input of ones, in float64; `weights` take the place of those in the state.

    Args:
        norm: What batch norm multiplies by: its absolute "scale" (Tanaka et al. at the start, where the running
            variance is 1), that "folded" with the running variance, or 1 ("identity"). Means are never subtracted.
        bias: "zero", or "absolute" as in the authors' code, which also adds the shifts of batch norm.
        power: What the other values are taken to: 2 where the weights given are squares.

    Raises:
        Refused: If the network is not linear for positive weights and inputs, or the flow is too large for float64.
    """
    check_linear(arch, io)
    net, values = _made(arch, io, state, weights, norm=norm, bias=bias, power=power)
    device = next(iter(weights.values())).device
    values = {name: value.to(device) for name, value in values.items()}
    total = functional_call(net, values, (torch.ones((1, *io.inputs), dtype=torch.float64, device=device),)).sum()
    if not torch.isfinite(total):
        raise Refused("the flow through this network overflows even in float64. Use a shallower network, or phew.")
    return total


def check_linear(arch: Arch, io: Interface) -> None:
    """Whether a network is linear in positive inputs, if its weights are positive and its biases zero.

    Raises:
        Refused: If it is not.
    """
    if found := bend(arch, io):
        raise Refused(f"{found} Flow is for ReLU, pooling and batch norm; use magnitude or snip.")


@functools.lru_cache(maxsize=256)
def bend(arch: Arch, io: Interface) -> str:
    """Why a network is not linear in positive inputs, with positive weights and biases of zero; empty where it is.

    It is tried with weights that nearly keep the size of what passes, on inputs of many sizes. With the weights at
    hand, activations could all be so large that, say, GELU looks linear.
    """
    if io.tokens:
        return f"{arch} reads tokens, and an input of ones has no meaning there."
    net = blank(arch, io)
    names = {name: value for name, value in net.state_dict().items() if value.is_floating_point()}
    given = {
        name: torch.from_numpy(2 * numbers("linear", name).random(tuple(value.shape)) / max(1, value[0].numel()))
        for name, value in names.items()
        if value.dim() > 1
    }
    state = {name: torch.ones(value.shape, dtype=value.dtype) for name, value in net.state_dict().items()}
    net, values = _made(arch, io, state, given, norm="scale", bias="zero", power=1)
    sizes = torch.from_numpy(np.exp2(np.array(EXPONENTS, dtype=np.float64)))
    with torch.no_grad():
        found = functional_call(net, values, (sizes.view(-1, *[1] * len(io.inputs)).expand(-1, *io.inputs),))
    flows = found.flatten(1).sum(1) / sizes
    plain = flows[EXPONENTS.index(0)]
    for exponent, each in zip(EXPONENTS, flows, strict=True):
        if not torch.isclose(each, plain, rtol=1e-9, atol=0.0):
            return (
                f"{arch} is not linear for positive weights and inputs (2^{exponent} times the input gives "
                f"{float(each / plain):.4g} times 2^{exponent} times the flow): its activations, norms "
                "or attention are of another kind."
            )
    return ""


def _made(
    arch: Arch,
    io: Interface,
    state: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    *,
    norm: Norm,
    bias: Biases,
    power: int,
) -> tuple[nn.Module, dict[str, Tensor]]:
    """The module in eval mode, and the values for it."""
    net = blank(arch, io).eval()
    values: dict[str, Tensor] = {}
    for path, module in net.named_modules():
        for name, parameter in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            whole = f"{path}.{name}" if path else name
            if whole in weights:
                values[whole] = weights[whole]
                continue
            value = state[whole].detach()
            if parameter.is_floating_point():
                value = value.double().abs()
                if name == "running_mean" or (name == "bias" and bias == "zero"):
                    value = torch.zeros_like(value)
                elif isinstance(module, NORMS) and name != "bias":
                    value = _normed(name, value, norm)
                value = value**power
            values[whole] = value
        if isinstance(module, NORMS):
            module.eps = module.eps**power if norm == "folded" else 0.0
    missing = [n for n in weights if n not in values]
    assert not missing, f"no tensors called {missing}"
    return net, values


def _normed(name: str, value: Tensor, norm: Norm) -> Tensor:
    """What a parameter or statistic of batch norm is in the flow."""
    kept = norm == "folded" or (norm == "scale" and name == "weight")
    return value if kept else torch.ones_like(value)

"""A network made linear, through which all-positive weights let flow what signs and activations would hold back.

Tanaka et al. 2020 (SynFlow, section 5): absolute weights, an input of ones, no biases; ReLU then lets everything pass.
Batch norm is as they have it at the start: running mean 0 and variance 1, so that it multiplies by its (absolute)
scale. The same flow with the mask for weights tells which weights lie on a path (Vysogorets and Kempe 2023).
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from tombola.core.errors import Refused
from tombola.core.layout import Arch, Interface, blank

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def flow(arch: Arch, io: Interface, state: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> Tensor:
    """The sum of the outputs for an input of ones, in float64; `weights` take the place of those in the state.

    Raises:
        Refused: If twice the input does not give twice the flow: then something in the network is not linear.
    """
    net = blank(arch, io).eval()
    values: dict[str, Tensor] = {}
    for path, module in net.named_modules():
        for name, parameter in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            whole = f"{path}.{name}" if path else name
            value = state[whole].detach()
            if isinstance(module, NORMS):
                value = {"running_mean": torch.zeros_like, "bias": torch.zeros_like}.get(name, torch.Tensor.abs)(value)
                value = torch.ones_like(value) if name == "running_var" else value
            elif name == "bias":
                value = torch.zeros_like(value)
            values[whole] = value.double().abs() if parameter.is_floating_point() else value
        if isinstance(module, NORMS):
            module.eps = 0.0
    missing = [n for n in weights if n not in values]
    assert not missing, f"no tensors called {missing}"
    given = {**values, **weights}
    device = next(iter(weights.values())).device
    ones = torch.ones((1, *io.inputs), dtype=torch.float64, device=device)
    once = functional_call(net, given, (ones,)).sum()
    with torch.no_grad():
        twice = functional_call(net, given, (2 * ones,)).sum()
    if not torch.isfinite(once):
        raise Refused("the flow through this network overflows even in float64. Use a shallower network, or phew.")
    if not torch.isclose(twice, 2 * once.detach(), rtol=1e-9, atol=0.0):
        raise Refused(
            f"{arch} is not linear for positive weights and inputs (twice the input gives {float(twice / once):.4g} "
            "times the flow): its activations or norms are of another kind. Flow is defined for ReLU, pooling, batch "
            "norm."
        )
    return once

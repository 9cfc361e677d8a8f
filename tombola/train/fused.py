"""The update by PyTorch's own fused kernels, called straight: the same bits as `optimizer.step()`, sooner.

`torch.optim` gathers, groups and checks its tensors in Python at each step, which on a small network takes as long as
masking does. Here they are gathered once. State lies where `torch.optim` keeps it.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tombola.train.optimizers import DecoupledSgd

KNOWN = (torch.optim.SGD, DecoupledSgd, torch.optim.Adam, torch.optim.AdamW)


def prime(optimizer: torch.optim.Optimizer) -> None:
    """Give an optimiser the state that it would make at its first step: zeros, which give the same step."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state = optimizer.state[parameter]
            if isinstance(optimizer, torch.optim.Adam) and "step" not in state:
                state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
                state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
            if group.get("momentum") and state.get("momentum_buffer") is None:
                state["momentum_buffer"] = torch.zeros_like(parameter)


def update(optimizer: torch.optim.Optimizer) -> Callable[[], object]:
    """A step of an optimiser, with its state as it lies now; the optimiser's own step if it is not one of those known.

    Where a parameter has no gradient the optimiser's own step is taken, which leaves it out.
    """
    if type(optimizer) not in KNOWN:
        return optimizer.step
    prime(optimizer)
    (group,) = optimizer.param_groups
    parameters: list[Tensor] = group["params"]
    states: list[dict[str, Any]] = [optimizer.state[parameter] for parameter in parameters]
    kernel = (
        _adam(optimizer, group, states) if isinstance(optimizer, torch.optim.Adam) else _sgd(optimizer, group, states)
    )

    @torch.no_grad()
    def step() -> None:
        gradients = [parameter.grad for parameter in parameters]
        if any(gradient is None for gradient in gradients):
            optimizer.step()
        else:
            kernel(parameters, gradients)

    return step


def _sgd(optimizer: torch.optim.Optimizer, group: dict[str, Any], states: list[dict[str, Any]]) -> Callable[..., None]:
    decay, apart = group["weight_decay"], isinstance(optimizer, DecoupledSgd)
    buffers = [state["momentum_buffer"] for state in states] if group["momentum"] else []
    fixed = {name: group[name] for name in ("momentum", "dampening", "nesterov", "maximize")}
    fixed |= {"weight_decay": 0.0 if apart else decay, "is_first_step": False, "grad_scale": None, "found_inf": None}

    def kernel(parameters: list[Tensor], gradients: list[Tensor]) -> None:
        rate = group["lr"]
        if apart and decay:
            torch._foreach_mul_(parameters, 1 - rate * decay)  # pyright: ignore[reportPrivateImportUsage]
        torch._fused_sgd_(parameters, gradients, buffers, lr=rate, **fixed)  # pyright: ignore

    return kernel


def _adam(optimizer: torch.optim.Optimizer, group: dict[str, Any], states: list[dict[str, Any]]) -> Callable[..., None]:
    function: Any = torch._fused_adamw_ if isinstance(optimizer, torch.optim.AdamW) else torch._fused_adam_  # pyright: ignore
    steps, means, squares = ([state[name] for state in states] for name in ("step", "exp_avg", "exp_avg_sq"))
    fixed = {name: group[name] for name in ("weight_decay", "eps", "amsgrad", "maximize")}
    fixed |= {"beta1": group["betas"][0], "beta2": group["betas"][1], "grad_scale": None, "found_inf": None}

    def kernel(parameters: list[Tensor], gradients: list[Tensor]) -> None:
        torch._foreach_add_(steps, 1)  # pyright: ignore[reportPrivateImportUsage]
        function(parameters, gradients, means, squares, [], steps, lr=group["lr"], **fixed)

    return kernel

"""Keeping a mask while training: dead weights and their optimiser state stay exactly zero.

The weights are masked once, at the start; the gradients at every step, with one fused multiply, after the backward pass
and before clipping and update. Then decay, momentum and moments of a dead weight are sums of zeros under SGD, Adam and
AdamW. Nothing is renamed, hooked or wrapped.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from tombola.core.errors import Failed
from tombola.core.mask import Mask


class Masking:
    """The masked parameters of a network beside their masks, in float and in the parameters' memory format."""

    def __init__(self, net: nn.Module, mask: Mask, *, of: Literal["sparse", "all"] = "sparse") -> None:
        parameters = dict(net.named_parameters())
        # A dense tensor needs no product, unless what is made for this mask is to serve others too.
        self.names = [name for name in mask if of == "all" or mask.kept_in(name) < mask[name].numel()]
        self.weights = [parameters[name] for name in self.names]
        self.masks = [_like(mask[name], weight) for name, weight in zip(self.names, self.weights, strict=True)]

    @torch.no_grad()
    def mask_gradients(self) -> None:
        """Zero the gradients of dead weights."""
        gradients, masks = [weight.grad for weight in self.weights], self.masks
        reached = [gradient for gradient in gradients if gradient is not None]
        if len(reached) < len(gradients):  # A layer that this batch did not reach has no gradient to mask.
            masks = [mask for mask, gradient in zip(masks, gradients, strict=True) if gradient is not None]
        if reached:
            torch._foreach_mul_(reached, masks)  # pyright: ignore[reportPrivateImportUsage]

    @torch.no_grad()
    def take(self, masks: Mapping[str, Tensor]) -> None:
        """Go on with other masks of the same tensors, given as booleans."""
        for name, mask in zip(self.names, self.masks, strict=True):
            mask.copy_(masks[name])

    @torch.no_grad()
    def audit(self, optimizer: torch.optim.Optimizer, *, step: int, state: Literal["zero", "free"] = "zero") -> int:
        """Count what must be zero: dead weights, and the optimiser's state behind them unless it is free.

        Returns:
            The number of dead weights looked at.

        Raises:
            Failed: If any of them is not exactly zero.
        """
        dead = 0
        for name, weight, mask in zip(self.names, self.weights, self.masks, strict=True):
            dead += weight.numel() - int(mask.sum())
            for what, value in {"weights": weight, **(states_of(optimizer, weight) if state == "zero" else {})}.items():
                revived = int(torch.count_nonzero(value.masked_fill(mask != 0, 0.0)))
                if revived:
                    raise Failed(
                        f"{revived} dead entries of '{name}' ({what}) are not zero at step {step}. The optimiser mixes "
                        "entries or the loss overflowed; use sgd, adam or adamw, or a smaller rate."
                    )
        return dead


def states_of(optimizer: torch.optim.Optimizer, weight: Tensor) -> dict[str, Tensor]:
    """What an optimiser keeps for each entry of a weight."""
    return {n: v for n, v in optimizer.state[weight].items() if isinstance(v, Tensor) and v.shape == weight.shape}


def _like(mask: Tensor, weight: Tensor) -> Tensor:
    """The mask as numbers, laid out in memory as the weight is: a product of two layouts costs five times as much."""
    result = torch.empty_like(weight)
    return result.copy_(mask)

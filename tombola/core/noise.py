"""Dropout whose noise is a function of names, as everything drawn here: a step that is done again drops the same.

`nn.Dropout` consumes a global generator, so a training that was resumed, or ran beside another one, would differ.
"""

import torch
from torch import Tensor, nn

from tombola.core.errors import Refused
from tombola.core.seeds import Seeds, fold


class Dropout(nn.Module):
    """Sets a fraction `p` of the numbers to zero and divides the others by 1 - p, in training (Srivastava et al. 2014).

    It drops nothing until `stir` has named the noise: what only looks at a network sees it whole. The noise is that of
    PyTorch's generator on the processor, whatever the device.

    Example:
        >>> layer = Dropout(0.5)
        >>> layer(torch.ones(4)).tolist()
        [1.0, 1.0, 1.0, 1.0]
    """

    def __init__(self, p: float) -> None:
        """Refuse a fraction that leaves nothing."""
        super().__init__()
        if not 0 <= p < 1:
            raise Refused(f"a dropout of {p} is asked for. It is a fraction, 0 or more and below 1.")
        self.p = p
        self.noise: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        if not self.training or self.noise is None or not self.p:
            return x
        kept = torch.rand(x.shape, generator=self.noise) >= self.p
        return x * (kept.to(device=x.device, dtype=x.dtype) / (1 - self.p))


def stir(layers: list[Dropout], seeds: Seeds, step: int) -> None:
    """Give every layer the noise of a step: like crops, it belongs to the stream "augment"."""
    for number, layer in enumerate(layers):
        layer.noise = layer.noise or torch.Generator()
        layer.noise.manual_seed(fold("dropout", seeds.stream("augment"), step, number) % 2**63)


def dropouts(net: nn.Module) -> list[Dropout]:
    """The layers of a network that drop, in its order."""
    return [module for module in net.modules() if isinstance(module, Dropout)]

"""Dropout whose noise is a function of names, as everything drawn here: a step that is done again drops the same.

`nn.Dropout` consumes a global generator, so a training that was resumed, or ran beside another one, would differ. Here
each number's fate is computed from the names of training, step and layer and from where the number stands: by tensor
operations alone, the same on every device, whatever the batch is padded to and in how many parts it is computed.
"""

import contextlib
import functools
import logging
from collections.abc import Generator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd  # pyright: ignore[reportPrivateUsage]

from tombola.core.errors import Refused
from tombola.core.seeds import Seeds, fold

log = logging.getLogger("tombola")
_FIRST, _SECOND = 0x7FEB352D, 0x846CA68B - (1 << 32)
"""Multipliers of 32-bit hashing that were found by search for the least bias (Wellons, hash-prospector, 2018)."""
_ODD = 0x61C88647
"""A number whose multiples spread over 32 bits."""


class Dropout(nn.Module):
    """Sets a fraction `p` of the numbers to zero and divides the others by 1 - p, in training (Srivastava et al. 2014).

    It drops nothing until `stir` has named the noise: what only looks at a network sees it whole. A number's fate
    depends on its place along every axis and not on how long the axes are.

    Args:
        p: The fraction.
        axes: Numbers that differ along later axes than so many share their fate, as the places of a channel do where
            it is 2; 0 for a fate of its own for each.

    Example:
        >>> layer = Dropout(0.5)
        >>> layer(torch.ones(4)).tolist()
        [1.0, 1.0, 1.0, 1.0]
        >>> stir([layer], Seeds(0), step=7)
        >>> layer(torch.ones(4)).tolist()
        [0.0, 2.0, 0.0, 0.0]
    """

    def __init__(self, p: float, axes: int = 0) -> None:
        """Refuse a fraction that leaves nothing."""
        super().__init__()
        if not 0 <= p < 1:
            raise Refused(f"a dropout of {p} is asked for. It is a fraction, 0 or more and below 1.")
        self.p, self.axes = p, axes
        self.least = min(int(p * 2**32), 2**32 - 1) - 2**31  # Of all 32-bit numbers a fraction p is below.
        self.noise: Tensor | None = None
        self.first, self.calls = 0, 0

    def extra_repr(self) -> str:
        """As a person reads it."""
        return f"p={self.p}" + f", axes={self.axes}" * bool(self.axes)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape; each call of a forward pass has noise of its own."""
        if not self.training or self.noise is None or not self.p:
            return x
        shape = x.shape if not self.axes else (*x.shape[: self.axes], *[1] * (x.dim() - self.axes))
        kept = (
            scattered(shape, self.noise + _signed(self.calls * _ODD), first=self.first, device=x.device) >= self.least
        )
        self.calls += 1
        return x * (kept.to(x.dtype) / (1 - self.p))


def scattered(shape: Sequence[int], name: Tensor, *, first: int = 0, device: torch.device | None = None) -> Tensor:
    """Numbers spread evenly over all of int32, each a function of a name and of its own place.

    Args:
        shape: How many along each axis; those of a smaller shape are the same.
        name: Two numbers in int32, on the processor or on the device.
        first: The place on the first axis at which it begins.
        device: Where they are made.
    """
    found = name[1]
    for axis, size in enumerate(shape):
        places = torch.arange(size, dtype=torch.int32, device=device) + (0 if axis else first)
        spread = _mixed(places * _ODD + _mixed((name[0] + axis) * _ODD))
        found = found + spread.view(-1, *[1] * (len(shape) - axis - 1))
    return _mixed(found, last=False)


def _mixed(h: Tensor, *, last: bool = True) -> Tensor:
    """Hash int32 numbers, where they are; without the last shift, which changes low bits only."""
    shifted = (h >> 16).bitwise_and_(0xFFFF)  # A shift of int32 copies the sign, which has no place here.
    h = h.bitwise_xor_(shifted).mul_(_FIRST)
    shifted = torch.bitwise_right_shift(h, 15, out=shifted).bitwise_and_(0x1FFFF)
    h = h.bitwise_xor_(shifted).mul_(_SECOND)
    return h.bitwise_xor_((h >> 16).bitwise_and_(0xFFFF)) if last else h


def names(layers: int, seeds: Seeds, step: int) -> Tensor:
    """What the noise of each layer is named in a step, (layers, 2) in int32: as crops are, by the stream "augment"."""
    folded = [fold("dropout", seeds.stream("augment"), step, number) for number in range(layers)]
    words = [[_signed(number), _signed(number >> 32)] for number in folded]
    return torch.tensor(words, dtype=torch.int32).view(layers, 2)


def _signed(number: int) -> int:
    """Its lowest 32 bits, as int32 has them."""
    return (number % 2**32 ^ 2**31) - 2**31


def hear(layers: Sequence[Dropout], names: Tensor) -> None:
    """Tell every layer the name of its noise, and that a batch begins."""
    for layer, name in zip(layers, names, strict=True):
        layer.noise = name
        layer.first, layer.calls = 0, 0


def go_on(layers: Sequence[Dropout], rows: int) -> None:
    """Tell every layer that a batch goes on with its next part, so many rows behind where the last one began."""
    for layer in layers:
        layer.first, layer.calls = layer.first + rows, 0


def stir(layers: Sequence[Dropout], seeds: Seeds, step: int) -> None:
    """Give every layer the noise of a step."""
    if layers:
        hear(layers, names(len(layers), seeds, step))


def dropouts(net: nn.Module) -> list[Dropout]:
    """The layers of a network that drop, in its order."""
    return [module for module in net.modules() if isinstance(module, Dropout)]


def by_name(net: nn.Module) -> nn.Module:
    """The network itself, with `Dropout` in the place of each of PyTorch's own layers that drop numbers or channels.

    Example:
        >>> by_name(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.3)))
        Sequential(
          (0): Linear(in_features=2, out_features=2, bias=True)
          (1): Dropout(p=0.3)
        )
    """
    for module in list(net.modules()):
        for name, layer in list(module.named_children()):
            if isinstance(layer, _DropoutNd) and type(layer) in _AXES:
                setattr(module, name, Dropout(layer.p, _AXES[type(layer)]).train(layer.training))
    return net


_AXES: dict[type[nn.Module], int] = {nn.Dropout: 0, nn.Dropout1d: 2, nn.Dropout2d: 2, nn.Dropout3d: 2}


@contextlib.contextmanager
def told_of_draws(what: str, device: torch.device) -> Generator[None]:
    """Warn, once of each, if something draws from PyTorch's global generators meanwhile."""
    before = _drawn(device)
    yield
    if not torch.equal(_drawn(device), before):
        _warn(what)


@functools.cache
def _warn(what: str) -> None:
    log.warning(
        "%s draws from PyTorch's global generator in training: nobody can make its result again, and a training that "
        "is stopped goes on with other draws. nn.Dropout is replaced by a layer whose noise has a name; draw other "
        "noise with tombola.core.noise.",
        what,
    )


def _drawn(device: torch.device) -> Tensor:
    """Where the generators are that a training on a device may draw from."""
    there = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    return torch.cat([torch.get_rng_state(), *there])

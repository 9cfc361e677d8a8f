"""What transformer encoders share: the block, and its rows of `Layout.axes` (Vaswani et al., 2017, section 3)."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tombola.archs._parts import Axes, weighted

Order = Literal["before", "after"]
"""Whether layer norm stands before attention and MLP, as in ViT, or after each sum with the stream, as in BERT."""


class EncoderBlock(nn.Module):
    """Attention of every position to every other, then two linear layers, each beside a shortcut; no dropout.

    The bias of `key` adds the same to all scores of a query, so softmax takes it away again; published networks have
    it, and so this one has it.
    """

    def __init__(self, width: int, heads: int, hidden: int, *, norm: Order) -> None:
        """Make the layers `norm1`, `query`, `key`, `value`, `out`, `norm2`, `up` and `down`."""
        super().__init__()
        self.heads, self.order = heads, norm
        self.norm1 = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)

    def forward(self, x: Tensor, absent: Tensor | None = None) -> Tensor:
        """The stream, of shape (batch, positions, width); nobody attends to positions that are `absent`, a mask."""
        if self.order == "before":
            x = x + self._attended(self.norm1(x), absent)
            return x + self._mixed(self.norm2(x))
        x = self.norm1(x + self._attended(x, absent))
        return self.norm2(x + self._mixed(x))

    def _attended(self, x: Tensor, absent: Tensor | None) -> Tensor:
        query, key, value = (
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        # Not by torch's fused kernels: they have no second derivative, and on a GPU their gradients do not repeat.
        scores = (query * query.shape[3] ** -0.5) @ key.transpose(2, 3)
        if absent is not None:
            scores = scores.masked_fill(absent[:, None, None], -torch.inf)
        return self.out((scores.softmax(3) @ value).transpose(1, 2).flatten(2))

    def _mixed(self, x: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(x)))


def layer_normed(name: str, out: str) -> Axes:
    """The axes of a layer norm's scale and shift.

    Example:
        >>> layer_normed("norm", "a")
        {'norm.weight': ('a',), 'norm.bias': ('a',)}
    """
    return {f"{name}.weight": (out,), f"{name}.bias": (out,)}


def block_axes(block: str, stream: str) -> Axes:
    """The axes of an `EncoderBlock` that reads and writes a stream with this permutation.

    The MLP has a permutation of its own, named after `up`. Between query, key, value and out there is none: units of
    different heads cannot be exchanged one by one.
    """
    axes = layer_normed(f"{block}.norm1", stream)
    for name in ("query", "key", "value"):
        axes |= weighted(f"{block}.{name}", stream, "")
    axes |= weighted(f"{block}.out", "", stream) | layer_normed(f"{block}.norm2", stream)
    return axes | weighted(f"{block}.up", stream, f"{block}.up") | weighted(f"{block}.down", f"{block}.up", stream)

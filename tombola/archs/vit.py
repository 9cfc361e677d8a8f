"""Vision transformers: images as sequences of patches (Dosovitskiy et al., 2021, section 3.1)."""

from typing import Literal

import torch
from torch import Tensor, nn

from tombola.archs._encoder import EncoderBlock, Order, block_axes, layer_normed
from tombola.archs._parts import MOST_LAYERS, WIDEST, Axes, between, built, embedding, image_shape, prunable, weighted
from tombola.core.errors import Refused
from tombola.core.initial import Scheme, draw_state
from tombola.core.layout import Interface, Layout, Stage
from tombola.core.plugin import plugin

Pool = Literal["mean", "token"]
STREAM = "stem"
"""The permutation of the residual stream, which everything but the MLPs' insides reads or writes."""


@plugin("arch", "vit")
class ViT:
    """Vision transformer: patches with learned positions, `depth` identical blocks, layer norm, a linear head.

    The blocks are one stage without an entry, because all of them are interchangeable. What is pooled is normalised
    before the head under both orders of `norm`. There is no dropout. `vit(patch=16, depth=12, width=768, heads=12,
    pool=token)` on 224 pixels and 1,000 classes is ViT-B/16.

    Args:
        patch: Pixels on a side of a patch.
        depth: Blocks.
        width: Numbers that describe a patch, in all heads together.
        heads: Heads of the attention; they share the width evenly.
        ratio: How many times as wide the hidden layer of a block's MLP is.
        pool: What the head reads: the "mean" over patches, or a "token" that is learned and stands before them.
        norm: Layer norm "before" attention and MLP, as in ViT, or "after" each sum, as in BERT.
        init: How the weights begin; positions and token are normal with a standard deviation of 0.02.

    Example:
        >>> net = ViT(depth=2, width=8, heads=2).build(Interface(inputs=(3, 16, 16), classes=10))
        >>> sum(value.numel() for value in net.parameters())
        2370
        >>> ViT(depth=2).layout().stages
        (Stage(entry='', blocks=('stages.0.0', 'stages.0.1')),)
    """

    patch: int = 4
    depth: int = 6
    width: int = 64
    heads: int = 4
    ratio: int = 4
    pool: Pool = "mean"
    norm: Order = "before"
    init: Scheme = "torch_default"

    def __post_init__(self) -> None:
        between(self.patch, 1, WIDEST, what="vit: field 'patch'")
        between(self.depth, 1, MOST_LAYERS, what="vit: field 'depth'")
        between(self.width, 1, WIDEST, what="vit: field 'width'")
        between(self.heads, 1, WIDEST, what="vit: field 'heads'")
        between(self.ratio, 1, WIDEST, what="vit: field 'ratio'")
        if self.width % self.heads:
            divisors = [heads for heads in range(1, self.width + 1) if self.width % heads == 0]
            near = min(divisors, key=lambda heads: abs(heads - self.heads))
            raise Refused(
                f"vit: {self.heads} heads cannot share a width of {self.width} evenly. "
                f"Use a width that is a multiple of the heads, or e.g. heads={near}."
            )

    def build(self, io: Interface) -> nn.Module:
        """The module, for images that patches cover without a rest."""
        channels, height, width = image_shape(self, io)
        if height % self.patch or width % self.patch:
            raise Refused(
                f"{self} cuts images into patches of {self.patch}x{self.patch} pixels, and {height}x{width} pixels are "
                "not a whole number of them. Use a patch that divides both sides, or images of another size."
            )
        patches = (height // self.patch) * (width // self.patch)
        return built(self, io, lambda: ViTNet(self, channels, patches, io.classes))

    def layout(self) -> Layout:
        """One permutation for the stream through all blocks, and one inside the MLP of each."""
        blocks = tuple(f"stages.0.{j}" for j in range(self.depth))
        axes: Axes = weighted("stem.patch", "", STREAM, kernel=2)
        learned = [
            f"stem.{name}.weight" for name in ("token", "position") if name == "position" or self.pool == "token"
        ]
        axes |= {name: ("", STREAM) for name in learned}
        for block in blocks:
            axes |= block_axes(block, STREAM)
        axes |= layer_normed("norm", STREAM) | weighted("head", STREAM, "")
        weights = tuple(name for name in prunable(axes) if name not in learned)
        return Layout(stem=("stem",), stages=(Stage("", blocks),), head=("norm", "head"), prunable=weights, axes=axes)

    def initial(self, net: nn.Module, *names: str | int) -> dict[str, Tensor]:
        return draw_state(net, *names, scheme=self.init)


class Patches(nn.Module):
    """An image as a sequence: a linear map of each patch, a token before them if asked for, and their positions."""

    def __init__(self, channels: int, patch: int, width: int, patches: int, *, pool: Pool) -> None:
        """Make the layers `patch`, `token` and `position`; the last two are tables that are read whole."""
        super().__init__()
        self.patch = nn.Conv2d(channels, width, patch, stride=patch)
        self.token = embedding(1, width) if pool == "token" else None
        self.position = embedding(patches + (pool == "token"), width)

    def forward(self, x: Tensor) -> Tensor:
        """The stream, of shape (batch, positions, width)."""
        x = self.patch(x).flatten(2).transpose(1, 2)
        if self.token is not None:
            x = torch.cat([self.token.weight.expand(len(x), 1, -1), x], dim=1)
        return x + self.position.weight


class ViTNet(nn.Module):
    """Patches, blocks, pooling, layer norm, head."""

    def __init__(self, arch: ViT, channels: int, patches: int, classes: int) -> None:
        """Name the parts as a layout does: `stem`, `stages.0.<j>`, `norm`, `head`."""
        super().__init__()
        hidden = arch.ratio * arch.width
        blocks = (EncoderBlock(arch.width, arch.heads, hidden, norm=arch.norm) for _ in range(arch.depth))
        self.pool = arch.pool
        self.stem = Patches(channels, arch.patch, arch.width, patches, pool=arch.pool)
        self.stages = nn.Sequential(nn.Sequential(*blocks))
        self.norm = nn.LayerNorm(arch.width)
        self.head = nn.Linear(arch.width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(self.stem(x))
        return self.head(self.norm(x[:, 0] if self.pool == "token" else x.mean(1)))

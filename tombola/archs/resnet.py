"""Residual networks for small images (He et al., 2016, section 4.2)."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from tombola.archs._parts import WIDEST, ConvNorm, between, built, check_norm, image_shape
from tombola.archs._residual import BasicBlock, ResidualNet, residual_layout
from tombola.core.errors import Refused
from tombola.core.initial import NormScale, Scheme, draw_state
from tombola.core.layout import Interface, Layout
from tombola.core.plugin import plugin

STAGES = 3
DEEPEST = 2_000


@plugin("arch", "resnet")
class ResNet:
    """Residual network for small images: depth = 6n + 2, three stages of n blocks.

    The default is the network of Chen et al. 2021 (the elastic lottery ticket hypothesis, section 3.1), but for
    `bn_scale`, which is "uniform" there. Maene et al. 2021, table 1, has `bn_affine="no"`.

    Args:
        depth: Layers with weights, projections not counted: 8, 14, 20, 26, 32, ...
        width: Channels of the first stage; each later stage has twice as many.
        shortcut: Where shapes change, a 1x1 convolution with batch norm (option B of He et al.), or every second pixel
            with zeros for the new channels (option A, which has no parameters).
        bn_affine: Whether batch norm has a scale and a shift to learn.
        bn_scale: How those scales begin.
        init: How the weights begin.

    Example:
        >>> net = ResNet(depth=20).build(Interface(inputs=(3, 32, 32), classes=10))
        >>> sum(value.numel() for value in net.parameters())
        272474
        >>> ResNet(depth=20).layout().stages[1]
        Stage(entry='stages.1.0', blocks=('stages.1.1', 'stages.1.2'))
    """

    depth: int = 20
    width: int = 16
    shortcut: Literal["projection", "identity"] = "projection"
    bn_affine: Literal["yes", "no"] = "yes"
    bn_scale: NormScale = "one"
    init: Scheme = "kaiming_normal"

    def __post_init__(self) -> None:
        between(self.depth, 8, DEEPEST, what="resnet: field 'depth'")
        if rest := (self.depth - 2) % 6:
            raise Refused(
                f"resnet: field 'depth' is {self.depth}. It must be 6n + 2 (8, 14, 20, ...), "
                f"e.g. {max(8, self.depth - rest)} or {self.depth - rest + 6}."
            )
        between(self.width, 1, WIDEST, what="resnet: field 'width'")
        check_norm("resnet", self.bn_affine, self.bn_scale)

    @property
    def blocks(self) -> int:
        """Blocks in each stage."""
        return (self.depth - 2) // (2 * STAGES)

    def build(self, io: Interface) -> nn.Module:
        """The module, for images of any size."""
        channels, _, _ = image_shape(self, io)
        return built(self, io, lambda: self._net(channels, io.classes))

    def layout(self) -> Layout:
        """One permutation for each stage's stream (none with option A, which ties them) and one inside each block."""
        return residual_layout(
            [self.blocks] * STAGES,
            convs=2,
            projected=[self.shortcut == "projection" and i > 0 for i in range(STAGES)],
            tied=self.shortcut == "identity",
            affine=self.bn_affine == "yes",
        )

    def initial(self, net: nn.Module, *names: str | int) -> dict[str, Tensor]:
        return draw_state(net, *names, scheme=self.init, scale=self.bn_scale)

    def _net(self, channels: int, classes: int) -> nn.Module:
        affine, into = self.bn_affine == "yes", self.width
        stem = ConvNorm(channels, into, 3, affine=affine)
        stages: list[list[nn.Module]] = []
        for i in range(STAGES):
            out = self.width << i
            stages.append([BasicBlock(into, out, 1 if i == 0 else 2, self._shortcut(into, out), affine=affine)])
            stages[i] += [BasicBlock(out, out, 1, nn.Identity(), affine=affine) for _ in range(1, self.blocks)]
            into = out
        return ResidualNet(stem, stages, into, classes)

    def _shortcut(self, into: int, out: int) -> nn.Module:
        if into == out:
            return nn.Identity()
        if self.shortcut == "projection":
            return ConvNorm(into, out, 1, stride=2, affine=self.bn_affine == "yes")
        return EverySecondPixel(out - into)


class EverySecondPixel(nn.Module):
    """Option A of He et al. (2016): a shortcut of stride 2 whose new channels are zero."""

    def __init__(self, new: int) -> None:
        """Remember the number of new channels."""
        super().__init__()
        self.new = new

    def forward(self, x: Tensor) -> Tensor:
        """Half the pixels, more channels."""
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.new))

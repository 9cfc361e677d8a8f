"""Residual networks for large images (He et al., 2016, table 1)."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from tombola.archs._parts import WIDEST, ConvNorm, between, built, check_norm, image_shape
from tombola.archs._residual import BasicBlock, Bottleneck, ResidualNet, residual_layout
from tombola.core.initial import NormScale, Scheme, draw_state
from tombola.core.layout import Interface, Layout
from tombola.core.plugin import plugin

BLOCKS = {18: (2, 2, 2, 2), 26: (2, 3, 4, 3), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}


@plugin("arch", "imagenet_resnet")
class ImageNetResNet:
    """Residual network for large images: a 7x7 stem, then four stages of basic blocks (at depth 50, of bottlenecks).

    Depth 26 is the basic-block network of Chen et al. 2021 (the elastic lottery ticket hypothesis, section 3.2), not
    the bottleneck network that others call so.

    Args:
        depth: Layers with weights, projections not counted.
        width: Channels of the stem; stages have 1, 2, 4 and 8 times as many (at depth 50: 4 to 32 times).
        bn_affine: Whether batch norm has a scale and a shift to learn.
        bn_scale: How those scales begin.
        init: How the weights begin.

    Example:
        >>> net = ImageNetResNet(depth=26).build(Interface(inputs=(3, 224, 224), classes=1000))
        >>> sum(value.numel() for value in net.parameters())
        19066920
    """

    depth: Literal[18, 26, 34, 50] = 18
    width: int = 64
    bn_affine: Literal["yes", "no"] = "yes"
    bn_scale: NormScale = "one"
    init: Scheme = "kaiming_normal"

    def __post_init__(self) -> None:
        between(self.width, 1, WIDEST, what="imagenet_resnet: field 'width'")
        check_norm("imagenet_resnet", self.bn_affine, self.bn_scale)

    @property
    def expansion(self) -> int:
        """Channels of a block's output for each channel inside it."""
        return 4 if self.depth == 50 else 1

    def build(self, io: Interface) -> nn.Module:
        """The module, for images of any size (it divides them by 32, rounding up)."""
        channels, _, _ = image_shape(self, io)
        return built(self, io, lambda: self._net(channels, io.classes))

    def layout(self) -> Layout:
        """One permutation for each stage's stream and each convolution inside a block."""
        return residual_layout(
            BLOCKS[self.depth],
            convs=3 if self.depth == 50 else 2,
            projected=[self.depth == 50, True, True, True],
            affine=self.bn_affine == "yes",
        )

    def initial(self, net: nn.Module, *names: str | int) -> dict[str, Tensor]:
        return draw_state(net, *names, scheme=self.init, scale=self.bn_scale)

    def _net(self, channels: int, classes: int) -> nn.Module:
        affine, into = self.bn_affine == "yes", self.width
        block = Bottleneck if self.depth == 50 else BasicBlock
        stages: list[list[nn.Module]] = []
        for i, count in enumerate(BLOCKS[self.depth]):
            out, stride = (self.width << i) * self.expansion, 1 if i == 0 else 2
            shortcut = nn.Identity() if into == out else ConvNorm(into, out, 1, stride=stride, affine=affine)
            stages.append([block(into, out, stride, shortcut, affine=affine)])
            stages[i] += [block(out, out, 1, nn.Identity(), affine=affine) for _ in range(1, count)]
            into = out
        return ResidualNet(PooledStem(channels, self.width, 7, stride=2, affine=affine), stages, into, classes)


class PooledStem(ConvNorm):
    """The stem of large images: a convolution and a pooling, each of stride 2."""

    def forward(self, x: Tensor) -> Tensor:
        """The pooled map; the network's ReLU comes after it, which is the same as before it and cheaper."""
        return F.max_pool2d(super().forward(x), 3, stride=2, padding=1)

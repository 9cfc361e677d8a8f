"""MobileNet-V1 for small images: a chain of depthwise-separable blocks (Howard et al., 2017, table 1)."""

import torch.nn.functional as F
from torch import Tensor, nn

from tombola.archs._parts import (
    MOST_LAYERS,
    WIDEST,
    Axes,
    ConvNorm,
    between,
    built,
    image_shape,
    normed,
    prunable,
    weighted,
)
from tombola.archs._residual import ResidualNet
from tombola.core.initial import NormScale, Scheme, draw_state
from tombola.core.layout import Interface, Layout, Stage
from tombola.core.plugin import plugin

REPEATED = 4
"""The stage of the interchangeable blocks."""


@plugin("arch", "mobilenet")
class MobileNet:
    """Depthwise-separable blocks in a chain: MobileNet-V1, with a stem of stride 1 for small images.

    As in the code of Chen et al. 2021 (the elastic lottery ticket hypothesis), which has 3, 5 or 10 repeated blocks: of
    stride 1 and 16 times as wide as the stem. They are the fifth stage, which has no entry, because all of them are
    interchangeable. The other blocks are as many in every member; those that change the width are entries. A depthwise
    convolution keeps its channels apart, so it is permuted like its input.

    Args:
        repeats: Interchangeable blocks; MobileNet-V1 has 5.
        width: Channels of the stem; blocks have 2, 4, 8, 16 and 32 times as many.
        bn_scale: How the scales of batch norm begin.
        init: How the weights begin; the fan-in of a depthwise convolution is 9.

    Example:
        >>> net = MobileNet(repeats=3).build(Interface(inputs=(3, 32, 32), classes=10))
        >>> sum(value.numel() for value in net.parameters())
        2679626
        >>> MobileNet(repeats=2).layout().stages[4]
        Stage(entry='', blocks=('stages.4.0', 'stages.4.1'))
    """

    repeats: int = 5
    width: int = 32
    bn_scale: NormScale = "one"
    init: Scheme = "kaiming_normal"

    def __post_init__(self) -> None:
        between(self.repeats, 1, MOST_LAYERS, what="mobilenet: field 'repeats'")
        between(self.width, 1, WIDEST, what="mobilenet: field 'width'")

    def blocks(self) -> list[list[tuple[int, int]]]:
        """For each stage the blocks: how many times as wide as the stem, and their strides."""
        return [
            [(2, 1)],
            [(4, 2), (4, 1)],
            [(8, 2), (8, 1)],
            [(16, 2)],
            [(16, 1)] * self.repeats,
            [(32, 2), (32, 1)],
        ]

    def build(self, io: Interface) -> nn.Module:
        """The module, for images of any size."""
        channels, _, _ = image_shape(self, io)
        return built(self, io, lambda: self._net(channels, io.classes))

    def layout(self) -> Layout:
        """Every pointwise convolution may be permuted by itself, with the depthwise one behind it."""
        before, stages = "stem", list[Stage]()
        axes: Axes = weighted("stem.conv", "", before, kernel=2, bias=False) | normed("stem.bn", before)
        for i, blocks in enumerate(self.blocks()):
            names = tuple(f"stages.{i}.{j}" for j in range(len(blocks)))
            for name in names:
                axes |= weighted(f"{name}.depthwise", "", before, kernel=2, bias=False) | normed(f"{name}.bn1", before)
                axes |= weighted(f"{name}.pointwise", before, name, kernel=2, bias=False) | normed(f"{name}.bn2", name)
                before = name
            stages.append(Stage("", names) if i == REPEATED else Stage(names[0], names[1:]))
        axes |= weighted("head", before, "")
        return Layout(stem=("stem",), stages=tuple(stages), head=("head",), prunable=prunable(axes), axes=axes)

    def initial(self, net: nn.Module, *names: str | int) -> dict[str, Tensor]:
        return draw_state(net, *names, scheme=self.init, scale=self.bn_scale)

    def _net(self, channels: int, classes: int) -> nn.Module:
        into, stages = self.width, list[list[nn.Module]]()
        for blocks in self.blocks():
            stages.append([])
            for factor, stride in blocks:
                stages[-1].append(Separable(into, factor * self.width, stride))
                into = factor * self.width
        return ResidualNet(ConvNorm(channels, self.width, 3), stages, into, classes)


class Separable(nn.Module):
    """A 3x3 convolution of each channel by itself, then a 1x1 convolution; each with batch norm and ReLU."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        """Make the layers `depthwise`, `bn1`, `pointwise`, `bn2`."""
        super().__init__()
        self.depthwise = nn.Conv2d(into, into, 3, stride=stride, padding=1, groups=into, bias=False)
        self.bn1 = nn.BatchNorm2d(into)
        self.pointwise = nn.Conv2d(into, out, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        """The activated map."""
        return F.relu(self.bn2(self.pointwise(F.relu(self.bn1(self.depthwise(x))))))

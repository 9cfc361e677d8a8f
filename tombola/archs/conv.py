"""Conv-2, Conv-4 and Conv-6: small relatives of VGG (Frankle & Carbin, 2019, figure 2)."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from tombola.archs._parts import WIDEST, Axes, between, built, image_shape, prunable, weighted
from tombola.core.initial import Scheme, draw_state
from tombola.core.layout import Interface, Layout, Stage
from tombola.core.plugin import plugin


@plugin("arch", "conv")
class Conv:
    """Pairs of 3x3 convolutions, each pair pooled, then two hidden linear layers; no batch norm.

    Conv-4 is the network of Maene et al. 2021, table 1 (2,425,024 weights on CIFAR-10). A pair is a stage, and the
    hidden linear layers are the last one.

    Args:
        layers: Convolutions.
        width: Channels of the first pair; each later pair has twice as many, the hidden linear layers four times.
        init: How the weights begin.

    Example:
        >>> net = Conv(layers=4).build(Interface(inputs=(3, 32, 32), classes=10))
        >>> sum(net.get_parameter(name).numel() for name in Conv(layers=4).layout().prunable)
        2425024
    """

    layers: Literal[2, 4, 6] = 4
    width: int = 64
    init: Scheme = "kaiming_normal"

    def __post_init__(self) -> None:
        between(self.width, 1, WIDEST, what="conv: field 'width'")

    def build(self, io: Interface) -> nn.Module:
        """The module, for images that outlast its poolings."""
        pairs = self.layers // 2
        channels, height, width = image_shape(self, io, poolings=pairs)
        pixels = (height >> pairs) * (width >> pairs)
        return built(self, io, lambda: ConvNet(channels, [self.width << i for i in range(pairs)], pixels, io.classes))

    def layout(self) -> Layout:
        """Every layer but the head may be permuted by itself; the first linear one reads channels in runs of pixels."""
        pairs = self.layers // 2
        before, axes = "", Axes()
        for i in range(pairs + 1):
            for j in range(2):
                name = f"stages.{i}.{j}"
                axes |= weighted(name, before, name, kernel=2 if i < pairs else 0)
                before = name
        axes |= weighted("head", before, "")
        stages = tuple(Stage(entry=f"stages.{i}.0", blocks=(f"stages.{i}.1",)) for i in range(pairs + 1))
        return Layout(stem=(), stages=stages, head=("head",), prunable=prunable(axes), axes=axes)

    def initial(self, net: nn.Module, *names: str | int) -> dict[str, Tensor]:
        return draw_state(net, *names, scheme=self.init)


class ConvNet(nn.Module):
    """Pooled pairs of convolutions, a pair of linear layers, the head."""

    def __init__(self, channels: int, widths: list[int], pixels: int, classes: int) -> None:
        """Make the layers for pairs of these widths, which leave that many pixels."""
        super().__init__()
        hidden = widths[0] * 4
        self.stages = nn.ModuleList()
        for width in widths:
            pair = (nn.Conv2d(into, width, 3, padding=1) for into in (channels, width))
            self.stages.append(nn.ModuleList(pair))
            channels = width
        self.stages.append(nn.ModuleList([nn.Linear(channels * pixels, hidden), nn.Linear(hidden, hidden)]))
        self.head = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        *pairs, (first, second) = self.stages  # type: ignore[misc]
        for one, two in pairs:  # type: ignore[misc]
            x = F.max_pool2d(F.relu(two(F.relu(one(x)))), 2)
        x = F.relu(second(F.relu(first(x.flatten(1)))))
        return self.head(x)

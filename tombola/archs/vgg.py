"""VGG for small images: plain stacks of convolutions with batch norm (Simonyan & Zisserman, 2015)."""

from typing import Literal

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
from tombola.core.initial import NormScale, Scheme, draw_state
from tombola.core.layout import Interface, Layout, Stage
from tombola.core.plugin import plugin

CONVS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
FACTORS = (1, 2, 4, 8, 8)
HIDDEN = len(FACTORS)  # The stage of the hidden linear layers, behind those of the convolutions.


@plugin("arch", "vgg")
class Vgg:
    """Five stages of 3x3 convolutions with batch norm, pooled in between, then linear layers.

    As in Chen et al. 2021 (the elastic lottery ticket hypothesis, section 3.3). The last stage is averaged over all its
    pixels: on their 32x32 images that is their 2x2 average pool, and the linear layers stay alike on other sizes. The
    hidden linear layers are the sixth stage (there for every `linear`, so that all members have equally many stages);
    it has no entry, because all of them are interchangeable.

    Args:
        depth: Convolutions and linear layers as the name counts them, e.g. 10 convolutions in VGG-13.
        linear: Linear layers in all, the head and `linear - 1` hidden ones (VGG-13-n of section 3.3).
        width: Channels of the first stage; the later ones have 2, 4, 8 and 8 times as many.
        bn_scale: How the scales of batch norm begin.
        init: How the weights begin.

    Example:
        >>> net = Vgg(depth=13, linear=2).build(Interface(inputs=(3, 32, 32), classes=10))
        >>> sum(value.numel() for value in net.parameters())
        9678666
        >>> Vgg(depth=13, linear=3).layout().stages[5]
        Stage(entry='', blocks=('stages.5.0', 'stages.5.1'))
    """

    depth: Literal[11, 13, 16, 19] = 13
    linear: int = 1
    width: int = 64
    bn_scale: NormScale = "one"
    init: Scheme = "kaiming_normal"

    def __post_init__(self) -> None:
        between(self.linear, 1, MOST_LAYERS, what="vgg: field 'linear'")
        between(self.width, 1, WIDEST, what="vgg: field 'width'")

    def build(self, io: Interface) -> nn.Module:
        """The module, for images that outlast its four poolings."""
        channels, _, _ = image_shape(self, io, poolings=HIDDEN - 1)
        widths = [self.width * factor for factor in FACTORS]
        return built(self, io, lambda: VggNet(channels, widths, CONVS[self.depth], self.linear - 1, io.classes))

    def layout(self) -> Layout:
        """Every layer but the head may be permuted by itself."""
        before, axes = "", Axes()
        convs = [[f"stages.{i}.{j}" for j in range(count)] for i, count in enumerate(CONVS[self.depth])]
        for name in (name for names in convs for name in names):
            axes |= weighted(f"{name}.conv", before, name, kernel=2) | normed(f"{name}.bn", name)
            before = name
        hidden = [f"stages.{HIDDEN}.{j}" for j in range(self.linear - 1)]
        for name in hidden:
            axes |= weighted(name, before, name)
            before = name
        axes |= weighted("head", before, "")
        stages = [Stage(entry=names[0], blocks=tuple(names[1:])) for names in convs]
        stages.append(Stage(entry="", blocks=tuple(hidden)))
        return Layout(stem=(), stages=tuple(stages), head=("head",), prunable=prunable(axes), axes=axes)

    def initial(self, net: nn.Module, *names: str | int) -> dict[str, Tensor]:
        return draw_state(net, *names, scheme=self.init, scale=self.bn_scale)


class VggNet(nn.Module):
    """Pooled stages of convolutions, the mean over all pixels, linear layers."""

    def __init__(self, channels: int, widths: list[int], convs: tuple[int, ...], hidden: int, classes: int) -> None:
        """Make stages of these widths and numbers of convolutions, `hidden` linear layers, and the head."""
        super().__init__()
        self.stages = nn.ModuleList()
        for width, count in zip(widths, convs, strict=True):
            units = (ConvNorm(channels if j == 0 else width, width, 3, bias=True) for j in range(count))
            self.stages.append(nn.ModuleList(units))
            channels = width
        self.stages.append(nn.ModuleList(nn.Linear(channels, channels) for _ in range(hidden)))
        self.head = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        *convs, hidden = self.stages
        for i, stage in enumerate(convs):
            x = F.max_pool2d(x, 2) if i else x
            for unit in stage:  # type: ignore[union-attr]
                x = F.relu(unit(x))
        x = x.mean((2, 3))
        for layer in hidden:  # type: ignore[union-attr]
            x = F.relu(layer(x))
        return self.head(x)

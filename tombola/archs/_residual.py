"""What residual networks for small and for large images share: blocks, the network around them, and its layout."""

from collections.abc import Sequence
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from tombola.archs._parts import Axes, normed, prunable, weighted
from tombola.core.layout import Layout, Stage


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al., 2016, figure 5 left)."""

    def __init__(self, into: int, out: int, stride: int, shortcut: nn.Module, *, affine: bool) -> None:
        """Make the layers `conv1`, `bn1`, `conv2`, `bn2`; the shortcut must give `out` channels."""
        super().__init__()
        self.conv1 = nn.Conv2d(into, out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out, affine=affine)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out, affine=affine)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """The activated sum of both ways."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut; the stride is on the 3x3 one, as is usual today."""

    def __init__(self, into: int, out: int, stride: int, shortcut: nn.Module, *, affine: bool) -> None:
        """Make the layers `conv1` to `bn3`, a quarter of `out` wide inside."""
        super().__init__()
        inner = out // 4
        self.conv1 = nn.Conv2d(into, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner, affine=affine)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner, affine=affine)
        self.conv3 = nn.Conv2d(inner, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out, affine=affine)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """The activated sum of both ways."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.shortcut(x))


class ResidualNet(nn.Module):
    """Stem, stages of blocks, the mean over all pixels, a linear head."""

    def __init__(self, stem: nn.Module, stages: Sequence[Sequence[nn.Module]], features: int, classes: int) -> None:
        """Name the parts as a layout does: `stem`, `stages.<i>.<j>`, `head`."""
        super().__init__()
        self.stem = stem
        self.stages = nn.Sequential(*(nn.Sequential(*blocks) for blocks in stages))
        self.head = nn.Linear(features, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stages(F.relu(self.stem(x))).mean((2, 3)))


def residual_layout(
    counts: Sequence[int], *, convs: Literal[2, 3], projected: Sequence[bool], tied: bool = False, affine: bool = True
) -> Layout:
    """The layout of a `ResidualNet`.

    Blocks of a stage add to one stream of channels, so one permutation, `stages.<i>`, acts on all that write to it or
    read from it. The inside of a block has permutations of its own, named after its convolutions.

    Args:
        counts: Blocks in each stage.
        convs: Convolutions in a block.
        projected: Whether a stage's entry block has a convolution in its shortcut; without one, its stream continues.
        tied: Whether shortcuts without weights join streams of different widths: then nothing may act on them.
    """
    stream = "" if tied else "stem" if projected[0] else "stages.0"
    axes: Axes = weighted("stem.conv", "", stream, kernel=2, bias=False) | normed("stem.bn", stream, affine=affine)
    for i, count in enumerate(counts):
        for block in (f"stages.{i}.{j}" for j in range(count)):
            before, stream = stream, "" if tied else f"stages.{i}"
            inside = before
            for k in range(1, convs + 1):
                out = stream if k == convs else f"{block}.conv{k}"
                axes |= weighted(f"{block}.conv{k}", inside, out, kernel=2, bias=False)
                axes |= normed(f"{block}.bn{k}", out, affine=affine)
                inside = out
            if projected[i] and block.endswith(".0"):
                axes |= weighted(f"{block}.shortcut.conv", before, stream, kernel=2, bias=False)
                axes |= normed(f"{block}.shortcut.bn", stream, affine=affine)
    axes |= weighted("head", stream, "")
    stages = tuple(
        Stage(entry=f"stages.{i}.0", blocks=tuple(f"stages.{i}.{j}" for j in range(1, count)))
        for i, count in enumerate(counts)
    )
    return Layout(stem=("stem",), stages=stages, head=("head",), prunable=prunable(axes), axes=axes)

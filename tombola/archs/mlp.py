"""Fully connected networks: LeNet-300-100 (LeCun et al., 1998; Frankle & Carbin, 2019) and the MLP-n of its family."""

import itertools
from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor, nn

from tombola.archs._parts import MOST_LAYERS, WIDEST, Axes, between, built, prunable, weighted
from tombola.core.errors import Refused
from tombola.core.initial import Scheme, draw_state
from tombola.core.layout import Interface, Layout, Stage
from tombola.core.plugin import plugin


@plugin("arch", "mlp")
class Mlp:
    """Fully connected ReLU network; the default is LeNet-300-100.

    MLP-n of Chen et al. 2021 (the elastic lottery ticket hypothesis, table 5) is `hidden=(300, ..., 300, 100)` with 300
    n times. Hidden layers of equal width in a row are a stage: its first layer may change the width and is the entry,
    the others are interchangeable.

    Args:
        hidden: Widths of the hidden layers, from the inputs to the classes.
        init: How the weights begin.

    Example:
        >>> net = Mlp(hidden=(300, 300, 100)).build(Interface(inputs=(1, 28, 28), classes=10))
        >>> sum(value.numel() for value in net.parameters())
        356910
        >>> [(stage.entry, stage.blocks) for stage in Mlp(hidden=(300, 300, 100)).layout().stages]
        [('stages.0.0', ('stages.0.1',)), ('stages.1.0', ())]
    """

    hidden: tuple[int, ...] = (300, 100)
    init: Scheme = "kaiming_uniform"

    def __post_init__(self) -> None:
        if len(self.hidden) > MOST_LAYERS:
            raise Refused(
                f"mlp: {len(self.hidden):,} hidden layers are asked for. The most allowed is {MOST_LAYERS:,}."
            )
        for width in self.hidden:
            between(width, 1, WIDEST, what="mlp: a width in 'hidden'")

    def runs(self) -> Iterator[tuple[int, int]]:
        """Width and number of layers of each run of equal widths."""
        return ((width, sum(1 for _ in run)) for width, run in itertools.groupby(self.hidden))

    def build(self, io: Interface) -> nn.Module:
        """The module; inputs of any shape are flattened."""
        return built(self, io, lambda: MlpNet(tuple(self.runs()), io.features, io.classes))

    def layout(self) -> Layout:
        """Every hidden layer may be permuted by itself."""
        before, axes, stages = "", Axes(), []
        for i, (_, count) in enumerate(self.runs()):
            names = [f"stages.{i}.{j}" for j in range(count)]
            for name in names:
                axes |= weighted(name, before, name)
                before = name
            stages.append(Stage(entry=names[0], blocks=tuple(names[1:])))
        axes |= weighted("head", before, "")
        return Layout(stem=(), stages=tuple(stages), head=("head",), prunable=prunable(axes), axes=axes)

    def initial(self, net: nn.Module, *names: str | int) -> dict[str, Tensor]:
        return draw_state(net, *names, scheme=self.init)


class MlpNet(nn.Module):
    """Runs of linear layers of equal width, then the head."""

    def __init__(self, runs: tuple[tuple[int, int], ...], features: int, classes: int) -> None:
        """Make the layers for runs of (width, number of layers)."""
        super().__init__()
        self.stages = nn.ModuleList()
        for width, count in runs:
            self.stages.append(nn.ModuleList(nn.Linear(features if j == 0 else width, width) for j in range(count)))
            features = width
        self.head = nn.Linear(features, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for stage in self.stages:
            for layer in stage:  # type: ignore[union-attr]
                x = F.relu(layer(x))
        return self.head(x)

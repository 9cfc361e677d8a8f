"""Convolutions over words, each pooled to its strongest place (Kim, 2014; for reviews Desai et al., 2019)."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tombola.archs._parts import MOST_LAYERS, WIDEST, Axes, between, built, check_tokens, embedding, weighted
from tombola.core.errors import Refused
from tombola.core.initial import Scheme, draw_state
from tombola.core.layout import PAD, UNKNOWN, Interface, Layout, Stage
from tombola.core.noise import Dropout
from tombola.core.plugin import plugin

Padding = Literal["masked", "seen"]


@plugin("arch", "textcnn", version=2)  # 2: other noise of the dropout.
class TextCnn:
    """Text CNN: an embedding, parallel convolutions, their strongest answers, one hidden layer, a linear head.

    The defaults are those of Desai et al. 2019 (section 4): 4,016,819 parameters with 8,000 subwords. What the paper
    leaves open, or its toolkit (PyText) does otherwise, is a field.

    Args:
        width: Numbers that describe a token; drawn from N(0, 1).
        channels: Filters of each height.
        heights: Tokens that a filter reads.
        hidden: Width of the hidden layer; 0 for none, as in Kim 2014.
        dropout: The fraction of numbers that is dropped in training.
        dropped: Whether it is dropped of the "embedding" (the paper) or of what is "pooled" (PyText, Kim).
        padding: "masked": a place counts only if the filter lies on the text, so padding changes no answer. "seen":
            padding is a token with a vector of its own, which filters read, so that an answer depends on the batch.
        around: Whether texts get as much empty room on both sides as a filter is high, less one (PyText: "own").
        unknown: The vector of the unknown token: "drawn" as the others are, or "zero" at first (PyText).
        init: How the weights begin but for the embedding.

    Example:
        >>> io = Interface(inputs=(500,), classes=2, tokens=8000)
        >>> sum(value.numel() for value in TextCnn().build(io).parameters())
        4016819
    """

    width: int = 417
    channels: int = 127
    heights: tuple[int, ...] = (3, 4, 5)
    hidden: int = 117
    dropout: float = 0.285
    dropped: Literal["embedding", "pooled"] = "embedding"
    padding: Padding = "masked"
    around: Literal["none", "own"] = "none"
    unknown: Literal["drawn", "zero"] = "drawn"
    init: Scheme = "torch_default"

    def __post_init__(self) -> None:
        between(self.width, 1, WIDEST, what="textcnn: field 'width'")
        between(self.channels, 1, WIDEST, what="textcnn: field 'channels'")
        between(self.hidden, 0, WIDEST, what="textcnn: field 'hidden'")
        between(len(self.heights), 1, MOST_LAYERS, what="textcnn: the number of heights")
        for height in self.heights:
            between(height, 1, WIDEST, what="textcnn: a height in 'heights'")
        Dropout(self.dropout)

    @property
    def ignores_padding(self) -> bool:
        """Unless filters read it."""
        return self.padding == "masked"

    def build(self, io: Interface) -> nn.Module:
        """The module, for rows of token numbers."""
        check_tokens(self, io)
        if io.inputs[0] < max(self.heights):
            raise Refused(
                f"{self} has filters of {max(self.heights)} tokens; these texts have at most {io.inputs[0]}. Read more "
                f"of each text (longest={max(self.heights)} or more), or use lower filters."
            )
        return built(self, io, lambda: TextCnnNet(self, io.tokens, io.classes), reads="tokens")

    def layout(self) -> Layout:
        """The embedding's columns may be permuted, each convolution's filters, and the hidden layer."""
        axes: Axes = {"stem.weight": ("", "stem")}
        convolutions = [f"stages.0.{i}" for i in range(len(self.heights))]
        for name in convolutions:
            axes |= weighted(name, "stem", name, kernel=1)
        stages = [Stage(entry=name) for name in convolutions]
        before = "+".join(convolutions)
        if self.hidden:
            axes |= weighted("stages.1.0", before, "stages.1.0")
            stages, before = [*stages, Stage(entry="stages.1.0")], "stages.1.0"
        axes |= weighted("head", before, "")
        names = tuple(name for name in axes if name.endswith("weight"))
        return Layout(stem=("stem",), stages=tuple(stages), head=("head",), prunable=names, axes=axes)

    def initial(self, net: nn.Module, *names: str | int) -> dict[str, Tensor]:
        state = draw_state(net, *names, scheme=self.init, table=1.0)
        if self.padding == "masked":
            state["stem.weight"][PAD] = 0.0
        if self.unknown == "zero":
            state["stem.weight"][UNKNOWN] = 0.0
        return state


class Windows(nn.Conv1d):
    """The convolution of rows of vectors, (batch, width, places).

    On a processor it is computed as that of a picture one pixel high: for that there are kernels which read vectors as
    an embedding gives them, one after the other (a training step takes a fifth to a seventh less time).
    """

    def forward(self, x: Tensor) -> Tensor:
        """The answers, (batch, channels, places)."""
        if x.device.type != "cpu":
            return super().forward(x)
        weight = self.weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        return F.conv2d(x.unsqueeze(2), weight, self.bias).squeeze(2)


class TextCnnNet(nn.Module):
    """Embedding, convolutions side by side, maximum over places, hidden layer, head."""

    def __init__(self, arch: TextCnn, tokens: int, classes: int) -> None:
        """Name the parts as a layout does: `stem`, `stages.0.<i>` for each height, `stages.1.0`, `head`."""
        super().__init__()
        self.seen, self.around = arch.padding == "seen", arch.around == "own"
        self.dropped = arch.dropped
        self.dropout = Dropout(arch.dropout)
        self.stem = embedding(tokens, arch.width, padding=None if self.seen else PAD)
        pooled = arch.channels * len(arch.heights)
        convolutions = nn.ModuleList(Windows(arch.width, arch.channels, height) for height in arch.heights)
        self.stages = nn.ModuleList([convolutions])
        if arch.hidden:
            self.stages.append(nn.ModuleList([nn.Linear(pooled, arch.hidden)]))
        self.head = nn.Linear(arch.hidden or pooled, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """The outputs, (batch, classes), of token numbers (batch, places)."""
        lengths = (tokens != PAD).sum(1)
        x = self.stem(tokens)
        if self.dropped == "embedding":
            x = self.dropout(x)
        x = torch.cat([self._strongest(conv, x, lengths) for conv in self.stages[0]], 1)  # type: ignore[union-attr]
        if self.dropped == "pooled":
            x = self.dropout(x)
        for layer in self.stages[1] if len(self.stages) > 1 else ():  # type: ignore[union-attr]
            x = F.relu(layer(x))
        return self.head(x)

    def _strongest(self, conv: nn.Conv1d, x: Tensor, lengths: Tensor) -> Tensor:
        """Of each filter the largest answer, (batch, channels), after ReLU: 0 is the least that it can be."""
        height = conv.kernel_size[0]
        room = height - 1 if self.around else 0
        if (behind := max(room, height - x.shape[1] - room)) > 0:
            x = F.pad(x, (0, 0, room, behind))
        answers = conv(x.transpose(1, 2))
        if not self.seen:  # A text shorter than the filter has one place, the first.
            places = torch.arange(answers.shape[2], device=x.device)
            last = (lengths + 2 * room - height).clamp(min=0)
            answers = answers * (places <= last[:, None])[:, None]
        return F.relu(answers.amax(2))

"""Small transformer encoders over tokens: the blocks of BERT (Devlin et al., 2019) with a pooled head."""

from typing import ClassVar, Literal

from torch import Tensor, nn

from tombola.archs._encoder import EncoderBlock, Order, block_axes, layer_normed
from tombola.archs._parts import MOST_LAYERS, WIDEST, Axes, between, built, check_tokens, embedding, prunable, weighted
from tombola.core.errors import Refused
from tombola.core.initial import Scheme, draw_state
from tombola.core.layout import PAD, Interface, Layout, Stage
from tombola.core.noise import Dropout
from tombola.core.plugin import plugin

STREAM = "stem"


@plugin("arch", "text_encoder", version=2)  # 2: other noise of the dropout.
class TextEncoder:
    """Transformer encoder: tokens with learned positions, `depth` identical blocks, layer norm, a linear head.

    Nobody attends to padding and it is not pooled, so it changes no answer. The blocks are one stage without an entry,
    because all are interchangeable. `text_encoder(depth=12, width=768, heads=12, norm=after)` is of the size of BERT's
    base.

    Args:
        depth: Blocks.
        width: Numbers that describe a token, in all heads together.
        heads: Heads of the attention; they share the width evenly.
        ratio: How many times as wide the hidden layer of a block's MLP is.
        pool: What the head reads: the "mean" over tokens, or the "first" one.
        norm: Layer norm "before" attention and MLP, or "after" each sum, as in BERT.
        dropout: The fraction of the embedding that is dropped in training.
        init: How the weights begin; tokens and positions are normal with a standard deviation of 0.02.

    Example:
        >>> net = TextEncoder(depth=2, width=8, heads=2).build(Interface(inputs=(16,), classes=2, tokens=50))
        >>> sum(value.numel() for value in net.parameters())
        2306
    """

    depth: int = 2
    width: int = 64
    heads: int = 4
    ratio: int = 4
    pool: Literal["mean", "first"] = "mean"
    norm: Order = "before"
    dropout: float = 0.1
    init: Scheme = "torch_default"

    ignores_padding: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for field, most in (("depth", MOST_LAYERS), ("width", WIDEST), ("heads", WIDEST), ("ratio", WIDEST)):
            between(getattr(self, field), 1, most, what=f"text_encoder: field '{field}'")
        if self.width % self.heads:
            raise Refused(
                f"text_encoder: {self.heads} heads cannot share a width of {self.width} evenly. Use a width that is a "
                "multiple of the heads."
            )
        Dropout(self.dropout)

    def build(self, io: Interface) -> nn.Module:
        """The module, for rows of token numbers."""
        check_tokens(self, io)
        return built(self, io, lambda: TextEncoderNet(self, io), reads="tokens")

    def layout(self) -> Layout:
        """One permutation for the stream through all blocks, and one inside the MLP of each."""
        blocks = tuple(f"stages.0.{j}" for j in range(self.depth))
        axes: Axes = {"stem.token.weight": ("", STREAM), "stem.position.weight": ("", STREAM)}
        for block in blocks:
            axes |= block_axes(block, STREAM)
        axes |= layer_normed("norm", STREAM) | weighted("head", STREAM, "")
        weights = tuple(name for name in prunable(axes) if name != "stem.position.weight")
        return Layout(stem=("stem",), stages=(Stage("", blocks),), head=("norm", "head"), prunable=weights, axes=axes)

    def initial(self, net: nn.Module, *names: str | int) -> dict[str, Tensor]:
        state = draw_state(net, *names, scheme=self.init)
        state["stem.token.weight"][PAD] = 0.0
        return state


class Tokens(nn.Module):
    """Vectors of tokens and of their places."""

    def __init__(self, tokens: int, longest: int, width: int) -> None:
        """Make the tables `token` and `position`."""
        super().__init__()
        self.token = embedding(tokens, width, padding=PAD)
        self.position = embedding(longest, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """The stream, of shape (batch, positions, width)."""
        return self.token(tokens) + self.position.weight[: tokens.shape[1]]


class TextEncoderNet(nn.Module):
    """Tokens, blocks, layer norm, pooling, head."""

    def __init__(self, arch: TextEncoder, io: Interface) -> None:
        """Name the parts as a layout does: `stem`, `stages.0.<j>`, `norm`, `head`."""
        super().__init__()
        blocks = (
            EncoderBlock(arch.width, arch.heads, arch.ratio * arch.width, norm=arch.norm) for _ in range(arch.depth)
        )
        self.pool = arch.pool
        self.dropout = Dropout(arch.dropout)
        self.stem = Tokens(io.tokens, io.inputs[0], arch.width)
        self.stages = nn.ModuleList([nn.ModuleList(blocks)])
        self.norm = nn.LayerNorm(arch.width)
        self.head = nn.Linear(arch.width, io.classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """The outputs, (batch, classes), of token numbers (batch, places)."""
        absent = tokens == PAD
        absent[:, 0] = False  # A text of nothing has its first place.
        x = self.dropout(self.stem(tokens))
        for block in self.stages[0]:  # type: ignore[union-attr]
            x = block(x, absent)
        x = self.norm(x)
        if self.pool == "first":
            return self.head(x[:, 0])
        present = (~absent)[:, :, None].to(x.dtype)
        return self.head((x * present).sum(1) / present.sum(1))

"""What the networks here share: bounds, a convolution with batch norm, and the rows of `Layout.axes`.

Texts of networks come from files that strangers wrote. Every number in them is therefore bounded before a module is
made, and a network is counted on the meta device before it takes memory.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from tombola.core.errors import Refused
from tombola.core.initial import NormScale
from tombola.core.layout import Interface

WIDEST = 65_536
MOST_LAYERS = 1_000
MOST_PARAMETERS = 1_000_000_000

Axes = dict[str, tuple[str, ...]]
Reads = Literal["numbers", "tokens"]


class ConvNorm(nn.Module):
    """A convolution that keeps the size of its input (over the stride), then batch norm."""

    def __init__(
        self, into: int, out: int, kernel: int, *, stride: int = 1, bias: bool = False, affine: bool = True
    ) -> None:
        """Make the two layers, `conv` and `bn`."""
        super().__init__()
        self.conv = nn.Conv2d(into, out, kernel, stride=stride, padding=kernel // 2, bias=bias)
        self.bn = nn.BatchNorm2d(out, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and normalise; the activation is left to the network."""
        return self.bn(self.conv(x))


def weighted(name: str, into: str, out: str, *, kernel: int = 0, bias: bool = True) -> Axes:
    """The axes of a linear layer, or of a convolution with `kernel` axes behind its channels.

    Example:
        >>> weighted("conv", "a", "b", kernel=2)
        {'conv.weight': ('b', 'a', '', ''), 'conv.bias': ('b',)}
    """
    weight: Axes = {f"{name}.weight": (out, into, *[""] * kernel)}
    return weight | {f"{name}.bias": (out,)} if bias else weight


def normed(name: str, out: str, *, affine: bool = True) -> Axes:
    """The axes of a batch norm's parameters and running statistics.

    Example:
        >>> list(normed("bn", "a", affine=False))
        ['bn.running_mean', 'bn.running_var']
    """
    parameters = ("weight", "bias") if affine else ()
    return {f"{name}.{entry}": (out,) for entry in (*parameters, "running_mean", "running_var")}


def prunable(axes: Axes) -> tuple[str, ...]:
    """Conv and linear weights: the parameters that have more than one axis."""
    return tuple(name for name, groups in axes.items() if len(groups) > 1)


def between(value: int, low: int, high: int, *, what: str) -> None:
    """Refuse a number outside its bounds."""
    if not low <= value <= high:
        raise Refused(f"{what} is {value:,}. It must be between {low:,} and {high:,}.")


def check_norm(arch: str, affine: Literal["yes", "no"], scale: NormScale) -> None:
    """Refuse a start for scales that do not exist, so that one network does not have two texts."""
    if affine == "no" and scale != "one":
        raise Refused(
            f"{arch}: bn_scale={scale!r} has no meaning without scales (bn_affine='no'). Leave one of them out."
        )


def image_shape(arch: object, io: Interface, *, poolings: int = 0) -> tuple[int, int, int]:
    """Channels, height and width of the inputs, which must outlast that many halvings."""
    if len(io.inputs) != 3:
        raise Refused(f"{arch} takes images of shape (channels, height, width); these inputs have shape {io.inputs}.")
    channels, height, width = io.inputs
    if min(height, width) < (smallest := 2**poolings):
        raise Refused(
            f"{arch} halves its images {poolings} times, and of {height}x{width} pixels nothing would be left. "
            f"Images must have at least {smallest}x{smallest} pixels; use larger ones or a network with fewer poolings."
        )
    return channels, height, width


def check_tokens(arch: object, io: Interface) -> None:
    """Refuse inputs that are no row of token numbers."""
    if not io.tokens or len(io.inputs) != 1:
        raise Refused(f"{arch} reads texts, as rows of token numbers; {io} are inputs of another kind.")


def embedding(rows: int, width: int, *, padding: int | None = None) -> nn.Embedding:
    """A vector for each row number, from N(0, 1); that of padding is zero, and stays so.

    What `nn.Embedding` draws by itself makes torch load its compiler on the meta device, where networks are built to be
    looked at: seconds, for nothing.
    """
    vectors = torch.randn(rows, width)
    if padding is not None:
        vectors[padding] = 0.0
    return nn.Embedding.from_pretrained(vectors, freeze=False, padding_idx=padding)


def built(arch: object, io: Interface, make: Callable[[], nn.Module], *, reads: Reads = "numbers") -> nn.Module:
    """The module that `make` makes, after its size was counted without taking memory for it.

    Raises:
        Refused: If the interface has no meaning or is of another kind, or the network has more than a thousand million
            parameters.
    """
    if io.tokens and reads == "numbers":
        raise Refused(
            f"{arch} reads inputs that are numbers; tokens are names of words, and {io} has those. Use a network "
            "with an embedding: textcnn, text_encoder."
        )
    if min(io.inputs, default=1) < 1:
        raise Refused(f"inputs of shape {io.inputs} are empty. Every axis must have a length of at least 1.")
    between(io.features, 1, MOST_PARAMETERS, what=f"the size of one input of {arch}")
    between(io.classes, 1, MOST_PARAMETERS, what=f"the number of classes of {arch}")
    with torch.device("meta"):
        net = make()
    if (count := sum(value.numel() for value in net.parameters())) > MOST_PARAMETERS:
        raise Refused(
            f"{arch} would have {count:,} parameters on {io}. "
            f"The most allowed is {MOST_PARAMETERS:,}; use smaller widths."
        )
    return net if torch.get_default_device().type == "meta" else make()

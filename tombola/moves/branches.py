"""Where the branch of a residual block ends: the tensors that write into its stream, read off the layout."""

from tombola.core.errors import Refused
from tombola.core.layout import Layout


def branch_ends(layout: Layout, block: str) -> tuple[str, ...]:
    """The parameters of a block whose values scale what it adds to the stream.

    The stream is the permutation that the block reads and writes, and that a layer outside of it reads too. Where the
    last layer of the branch is normalised, its scale and shift count, for the weights before it would be normalised
    away.

    Raises:
        Refused: If the block adds to no stream, or has nothing that could be scaled.

    Example:
        >>> from tombola.archs.resnet import ResNet
        >>> branch_ends(ResNet(depth=14).layout(), "stages.1.1")
        ('stages.1.1.bn2.weight', 'stages.1.1.bn2.bias')
    """
    inside = {name: axes for name, axes in layout.axes.items() if name.startswith(f"{block}.")}
    outside = {axes[1] for name, axes in layout.axes.items() if name not in inside and len(axes) > 1 and axes[1]}
    written = [name for name, axes in inside.items() if axes and axes[0] and axes[0] in outside]
    read = {axes[1] for axes in inside.values() if len(axes) > 1}
    stream = [name for name in written if layout.axes[name][0] in read]
    if not stream:
        raise Refused(
            f"'{block}' adds to no residual stream that the layout names, so scale='divided' has no meaning here. "
            "Use scale='kept'."
        )
    normed = {name.removesuffix("running_var") for name in inside if name.endswith("running_var")}
    last = [prefix for prefix in normed if f"{prefix}running_var" in stream]
    if not last:
        layers = [name.removesuffix("weight") for name in stream if len(layout.axes[name]) > 1]
        return tuple(name for name in stream if name.rpartition(".")[0] + "." in layers)
    ends = tuple(name for name in stream if name.startswith(tuple(last)) and name.endswith((".weight", ".bias")))
    if not ends:
        raise Refused(f"the norm at the end of '{block}' has no scale (bn_affine='no'). Use scale='kept'.")
    return ends

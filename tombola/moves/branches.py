"""Where the branch of a residual block ends: the tensors that write into its stream, read off the layout."""

from collections.abc import Mapping

from tombola.core.errors import Refused
from tombola.core.layout import Layout


def branch_ends(layout: Layout, block: str) -> tuple[str, ...]:
    """The parameters of a block whose values scale what it adds to the stream.

    The stream is the permutation that the block reads and writes, and that a layer outside of it reads too. A branch
    ends in the batch norm that the layout has behind the block's last weight that writes to the stream, for the weight
    would be normalised away; or else, as where blocks are normed before they are activated, in that weight's layer.
    Of a transformer's block all linear layers that write count, for each ends a branch.

    Raises:
        Refused: If the block adds to no stream, has nothing that could be scaled, or its end cannot be told.

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
    writers = [name for name in stream if len(inside[name]) > 1]
    layers = {_module(name) for name in writers}
    gathering = {_module(name) for name in stream if name.endswith(".running_var")}
    _check_branches(block, writers, inside, gathering)
    places = {name: place for place, name in enumerate(inside)}
    behind = [name for name in stream if places[name] > places[writers[-1]] and _module(name) not in layers]
    if not behind:
        return tuple(name for name in stream if _module(name) in layers)
    last = _module(behind[-1])
    if last not in gathering:
        raise Refused(
            f"whether '{last}' acts on what '{block}' adds, or on the sum, cannot be told from the layout, so "
            "scale='divided' has no meaning here. Use scale='kept'."
        )
    ends = tuple(name for name in behind if _module(name) == last and name.endswith((".weight", ".bias")))
    if not ends:
        raise Refused(f"the norm at the end of '{block}' has no scale (bn_affine='no'). Use scale='kept'.")
    return ends


def _module(name: str) -> str:
    return name.rpartition(".")[0]


def _check_branches(block: str, writers: list[str], axes: Mapping[str, tuple[str, ...]], normed: set[str]) -> None:
    """Refuse a block in which one layer that writes to the stream may be followed by another of the same branch."""
    branches = not normed and all(len(axes[name]) == 2 and axes[name][1] != axes[name][0] for name in writers)
    if len(writers) != 1 and not (writers and branches):
        raise Refused(
            f"where '{block}' adds to its stream cannot be told from the layout: {', '.join(writers) or 'no weight'} "
            "writes to it. Use scale='kept'."
        )

"""What a mask looks like: how dense each layer is, and where the first layer still looks."""

from typing import Any

from tombola.core.measurement import Measurement
from tombola.core.ticket import Ticket
from tombola.study.step import step


@step("anatomy")
def anatomy(ticket: Ticket) -> Measurement:
    """The density of every prunable tensor (table "layers"), and a picture of the first one.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.find import draw
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.recipes import Quickstart
        >>> anatomy(draw(Mlp(), Digits(), Quickstart())).tables["layers"][-1]
        {'layer': 'head.weight', 'density': 1.0, 'kept': 1000, 'size': 1000}
    """
    mask = ticket.mask
    layers = tuple(
        {"layer": name, "density": mask.kept_in(name) / size, "kept": mask.kept_in(name), "size": size}
        for name in mask
        for size in [mask[name].numel()]
    )
    return Measurement(ticket.numbers(), tables={"layers": layers}, pictures=tuple(_first_layer(ticket)))


def _first_layer(ticket: Ticket) -> list[dict[str, Any]]:
    """The share of living connections of each input pixel, if the first layer reads pixels; else nothing.

    A linear first layer is counted over its units, a convolution over its filters and channels (then a picture of the
    kernel).
    """
    name = next(iter(ticket.mask))
    mask = ticket.mask[name].double()
    channels, height, width = ticket.io.inputs if len(ticket.io.inputs) == 3 else (1, 1, ticket.io.features)
    if mask.dim() == 2 and mask.shape[1] == ticket.io.features:
        grid, said = mask.mean(0).reshape(channels, height, width).mean(0), "connections of each pixel that live"
    elif mask.dim() == 4:
        grid, said = mask.mean((0, 1)), "weights of each kernel position that live"
    else:
        return []
    values = [[round(min(1.0, float(v)), 6) for v in line] for line in grid]
    return [{"name": "first layer", "caption": f"{name}: {said}", "values": values}]

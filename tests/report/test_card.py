"""What a ticket's card says of tensors of every kind."""

import io

import torch
from rich.console import Console

from tombola.core.mask import Mask
from tombola.report.card import densities_table


def test_kinds_of_layers():
    shapes = {
        "stem.weight": (5, 2),
        "stages.0.0.weight": (3, 2, 4),
        "stages.1.0.weight": (3, 2, 3, 5),
        "head.bias": (3,),
    }
    mask = Mask({name: torch.ones(shape, dtype=torch.bool) for name, shape in shapes.items()})
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(densities_table(mask))
    lines = [line.split() for line in console.export_text().splitlines()]
    kinds = {line[0]: " ".join(line[1:-3]) for line in lines if line and line[0] in shapes}
    assert kinds == {
        "stem.weight": "linear",
        "stages.0.0.weight": "conv 4",
        "stages.1.0.weight": "conv 3x5",
        "head.bias": "vector",
    }

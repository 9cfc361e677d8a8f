"""Tickets for the terminal: the levels of a search, the densities of a ticket, its lineage."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from tombola.core.lineage import Lineage
from tombola.core.mask import Mask


def level_line(level: Mapping[str, Any]) -> str:
    """One level of a search, as it is reached."""
    return f"level {level['level']}: density {level['density']:.4f}, test accuracy {level['test_accuracy']:.4f}"


def levels_table(found: Sequence[Mapping[str, Any]]) -> Table:
    """All levels of a search, each beside the dense network."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for heading in ("level", "density", "weights", "test accuracy", "to dense", "ticket"):
        table.add_column(heading, justify="left" if heading == "ticket" else "right")
    for level in found:
        dense = level["dense_test_accuracy"]
        change = "" if dense is None else f"{(level['test_accuracy'] - dense) * 100:+.2f}"
        table.add_row(
            str(level["level"]),
            f"{level['density'] * 100:.4g} %",
            f"{level['kept']:,}",
            f"{level['test_accuracy'] * 100:.2f} %",
            change if level["level"] else "",
            level["ticket"],
        )
    return table


def densities_table(alive: Mask) -> Table:
    """Density by place in the network (stem, stage, head), kind of layer, and tensor."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for heading, side in (
        ("layer", "left"),
        ("kind", "left"),
        ("kept", "right"),
        ("of", "right"),
        ("density", "right"),
    ):
        table.add_column(heading, justify=side)  # type: ignore[arg-type]
    places: dict[str, tuple[int, int]] = {}
    for name, mask in alive.items():
        parts = name.split(".")
        place = f"stage {parts[1]}" if parts[0] == "stages" else parts[0]
        kept, size = places.get(place, (0, 0))
        places[place] = (kept + alive.kept_in(name), size + mask.numel())
        kind = {1: "vector", 2: "linear"}.get(mask.dim()) or f"conv {'x'.join(map(str, mask.shape[2:]))}"
        own = alive.kept_in(name)
        table.add_row(name, kind, f"{own:,}", f"{mask.numel():,}", f"{own / mask.numel():.4f}")
    table.add_section()
    for place, (kept, size) in places.items():
        table.add_row(place, "all", f"{kept:,}", f"{size:,}", f"{kept / size:.4f}")
    return table


def lineage_table(lineage: Lineage) -> Table:
    """The calls behind a ticket, oldest first."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    for place, event in enumerate(lineage, start=1):
        table.add_row(str(place), event.key, event.call)
    return table

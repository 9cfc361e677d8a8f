"""Figures as files: PNG, SVG or PDF, drawn by matplotlib (the extra `report`)."""

import io
from pathlib import Path
from typing import Any

from tombola.core.errors import Failed, Refused
from tombola.core.files import write_bytes
from tombola.report.curves import Drawn, style_of
from tombola.report.gather import value_of
from tombola.report.plot import axis_title, tick_text, x_axis, x_ticks
from tombola.report.svg import Axis, LogAxis
from tombola.report.wording import is_share

FORMATS = ("png", "svg", "pdf")


def check_drawable() -> None:
    """Find out before a long run whether figures can be drawn into files.

    Raises:
        Failed: If matplotlib is not there.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        wanted = "pip install 'tombola[report]'"
        raise Failed(f"figure files need matplotlib ({error}). Install it: {wanted}.") from error


def save_figure(figure: Drawn, path: str | Path) -> Path:
    """Draw a figure into a PNG, SVG or PDF file; needs matplotlib (the extra `report`).

    The file is the same, byte for byte, each time it is drawn from the same findings by the same matplotlib.

    Raises:
        Refused: If the ending is another.
        Failed: If matplotlib is not there or the file cannot be written.

    Example:
        >>> from tombola.report.declared import Curve
        >>> save_figure(Drawn(Curve(), "nothing", ()), "curve.gif")
        Traceback (most recent call last):
        ...
        tombola.core.errors.Refused: cannot draw into 'curve.gif': its ending is 'gif'. Use png, svg, pdf.
    """
    target = Path(path)
    suffix = target.suffix.removeprefix(".").lower()
    if suffix not in FORMATS:
        raise Refused(f"cannot draw into {target.name!r}: its ending is {suffix!r}. Use {', '.join(FORMATS)}.")
    check_drawable()
    import matplotlib
    from matplotlib.figure import Figure

    paper = Figure(figsize=(7.2, 4.4), dpi=200, layout="constrained")
    _draw(paper.add_subplot(), figure)
    drawn = io.BytesIO()
    metadata = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[suffix]
    with matplotlib.rc_context({"svg.hashsalt": "tombola", "pdf.fonttype": 42}):
        paper.savefig(drawn, format=suffix, metadata=metadata)
    return write_bytes(target, drawn.getvalue())


def _draw(axes: Any, figure: Drawn) -> None:
    curve = figure.curve
    up, along = (100.0 if is_share(name) else 1.0 for name in (curve.y, curve.x))
    if (base := figure.baseline) is not None:
        axes.axhspan(up * base.low, up * base.high, color="0.85", lw=0, label=_plain(curve.baseline_name))
        axes.axhline(up * base.mean, color="0.45", lw=1)
    for index, arm in enumerate(figure.arms):
        style = style_of(index)
        dashes = (0, tuple(dash / 2 for dash in style.dashes)) if style.dashes else "-"
        at = [along * point.x for point in arm.points]
        low, high = ([up * getattr(point.found, end) for point in arm.points] for end in ("low", "high"))
        axes.fill_between(at, low, high, color=style.colour, alpha=0.15, lw=0)
        rows = [row for point in arm.points for row in point.rows]
        dots = [(along * (value_of(row, curve.x) or 0.0), up * (value_of(row, curve.y) or 0.0)) for row in rows]
        axes.scatter([x for x, _ in dots], [y for _, y in dots], color=style.colour, s=7, alpha=0.35, lw=0)
        means = [up * point.found.mean for point in arm.points]
        label = f"{_plain(arm.name)} (n = {max((point.found.n for point in arm.points), default=0)})"
        axes.plot(at, means, color=style.colour, ls=dashes, marker=style.plot_mark, ms=5, lw=1.6, label=label)
    _frame(axes, figure, along)
    if figure.arms:
        axes.legend(frameon=False, fontsize=8, title="line: mean, band: all seeds", title_fontsize=8, alignment="left")


def _frame(axes: Any, figure: Drawn, along: float) -> None:
    if figure.points:
        axis = x_axis(figure, 0.0, 520.0)
        values = [along * point.x for point in figure.points]
        low, high = min(values), max(values)
        if isinstance(axis, LogAxis):
            axes.set_xscale("log")
            ends = (low / 1.04, high * 1.04)
        else:
            ends = (low - 0.03 * (high - low or 1.0), high + 0.03 * (high - low or 1.0))
        axes.set_xlim(*(reversed(ends) if figure.curve.x == "density" else ends))
        ticks = x_ticks(figure, axis, apart=44.0)
        axes.set_xticks([along * tick for tick in ticks], labels=[tick_text(figure.curve.x, tick) for tick in ticks])
        axes.minorticks_off()
    low, high = axes.get_ylim()
    heights = Axis(float(low), float(high), 0.0, 1.0).ticks(6)
    axes.set_yticks(heights, labels=[f"{height:g}" for height in heights])
    axes.set_xlabel(_plain(axis_title(figure.curve.x)))
    axes.set_ylabel(_plain(axis_title(figure.curve.y)))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.92", lw=0.6)
    axes.set_axisbelow(True)


def _plain(text: str) -> str:
    """A dollar sign would begin a formula."""
    return text.replace("$", "\\$")

"""The figure as a file: accuracy against density as PNG, SVG or PDF, drawn by matplotlib (the extra `report`)."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tombola.core.files import write_bytes
from tombola.report.curves import Point, curve, style_of
from tombola.report.judge import TICKET, accuracy, arms
from tombola.report.summary import Summary
from tombola.report.svg import Axis, LogAxis
from tombola.report.wording import percent_number

FORMATS = ("png", "svg", "pdf")


def save_figure(summary: Summary, path: str | Path) -> Path:
    """Draw accuracy against density into a PNG, SVG or PDF file; needs matplotlib (the extra `report`).

    The file is the same, byte for byte, each time it is drawn from the same summary by the same matplotlib.

    Example:
        >>> save_figure(Summary(title="", question="", arch="", task="", recipe="", command="", rows=()), "curve.gif")
        Traceback (most recent call last):
        ...
        ValueError: cannot draw into 'curve.gif': its ending is 'gif'. Use png, svg, pdf.
    """
    target = Path(path)
    suffix = target.suffix.removeprefix(".").lower()
    if suffix not in FORMATS:
        raise ValueError(f"cannot draw into {target.name!r}: its ending is {suffix!r}. Use {', '.join(FORMATS)}.")
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        wanted = "pip install 'tombola[report]'"
        raise ImportError(f"figure files need matplotlib ({error}). Install it: {wanted}.") from error
    figure = Figure(figsize=(7.2, 4.4), dpi=200, layout="constrained")
    _draw(figure.add_subplot(), summary)
    drawn = io.BytesIO()
    metadata = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[suffix]
    with matplotlib.rc_context({"svg.hashsalt": "tombola", "pdf.fonttype": 42}):
        figure.savefig(drawn, format=suffix, metadata=metadata)
    return write_bytes(target, drawn.getvalue())


def _draw(axes: Any, summary: Summary) -> None:
    if dense := accuracy(summary, TICKET, 0):
        axes.axhspan(100 * dense.low, 100 * dense.high, color="0.85", lw=0, label="dense network")
        axes.axhline(100 * dense.mean, color="0.45", lw=1)
    for index, name in enumerate(arms(summary)):
        style, points = style_of(index), curve(summary, name)
        dashes = (0, tuple(dash / 2 for dash in style.dashes)) if style.dashes else "-"
        at = [100 * point.density for point in points]
        low, high = ([100 * getattr(point.found, end) for point in points] for end in ("low", "high"))
        axes.fill_between(at, low, high, color=style.colour, alpha=0.15, lw=0)
        seeds = [(100 * row.density, 100 * row.test_accuracy) for point in points for row in point.rows]
        axes.scatter([at for at, _ in seeds], [high for _, high in seeds], color=style.colour, s=7, alpha=0.35, lw=0)
        means = [100 * point.found.mean for point in points]
        label = f"{name} (n = {max((point.found.n for point in points), default=0)})"
        axes.plot(at, means, color=style.colour, ls=dashes, marker=style.plot_mark, ms=5, lw=1.6, label=label)
    _frame(axes, [point for name in arms(summary) for point in curve(summary, name)])
    if summary.rows:
        axes.legend(frameon=False, fontsize=8, title="line: mean, band: all seeds", title_fontsize=8, alignment="left")


def _frame(axes: Any, points: Sequence[Point]) -> None:
    lowest = min((point.density for point in points), default=0.01)
    axes.set_xscale("log")
    axes.set_xlim(104.0, 100 * lowest / 1.04)
    ticks = LogAxis(lowest, 1.0, 0.0, 520.0).ticks()
    axes.set_xticks([100 * tick for tick in ticks], labels=[percent_number(tick) for tick in ticks])
    axes.minorticks_off()
    low, high = axes.get_ylim()
    heights = Axis(float(low), float(high), 0.0, 1.0).ticks(6)
    axes.set_yticks(heights, labels=[f"{height:g}" for height in heights])
    axes.set_xlabel("weights kept, %")
    axes.set_ylabel("test accuracy, %")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.92", lw=0.6)
    axes.set_axisbelow(True)

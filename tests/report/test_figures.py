"""The figure as a file, and the places of things in the drawings."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tombola.report.figures import save_figure
from tombola.report.panels import layers_svg, mask_svg
from tombola.report.plot import accuracy_svg
from tombola.report.summary import Picture, Summary
from tombola.report.svg import Axis, LogAxis


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_a_figure_file_repeats_exactly(
    make_synthetic: Callable[..., Summary], tmp_path: Path, suffix: str, start: bytes
):
    first, second = (save_figure(make_synthetic(levels=3), tmp_path / f"{name}.{suffix}") for name in "ab")
    assert first.read_bytes().startswith(start)
    assert first.read_bytes() == second.read_bytes()


def test_a_figure_of_nothing_and_of_one_seed_can_be_drawn(make_synthetic: Callable[..., Summary], tmp_path: Path):
    save_figure(make_synthetic(seeds=()), tmp_path / "none.png")
    save_figure(make_synthetic(seeds=(0,), arms=("ticket",)), tmp_path / "one.png")


def test_another_ending_is_refused(make_synthetic: Callable[..., Summary], tmp_path: Path):
    with pytest.raises(ValueError, match="its ending is 'gif'. Use png, svg, pdf"):
        save_figure(make_synthetic(levels=1), tmp_path / "a.gif")


def test_without_matplotlib_the_way_out_is_said(
    make_synthetic: Callable[..., Summary], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'tombola\[report\]'"):
        save_figure(make_synthetic(levels=1), tmp_path / "a.png")


def test_axes_by_hand():
    assert LogAxis(0.01, 1.0, 0.0, 100.0)(0.1) == pytest.approx(50.0)
    assert Axis(0.9, 1.0, 100.0, 0.0)(0.95) == pytest.approx(50.0)
    assert Axis(0.0, 1.0, 0.0, 1.0).ticks(5) == (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    assert Axis(0.5, 0.5, 0.0, 1.0)(0.5) == 0
    assert LogAxis(1.0, 1.0, 7.0, 100.0)(1.0) == 7


def test_means_are_drawn_where_they_belong(make_synthetic: Callable[..., Summary]):
    """The ticket at levels 0 to 4 is evenly spaced, since each level keeps the same share: 46, 220.5, 395, ..."""
    drawn = accuracy_svg(make_synthetic(levels=4, arms=("ticket",)), width=760, height=400)
    places = [float(x) for x in re.findall(r'transform="translate\(([\d.]+) ', drawn)]
    assert places == pytest.approx([46, 220.5, 395, 569.5, 744], abs=0.1)


def test_single_seeds_carry_their_keys(make_synthetic: Callable[..., Summary]):
    summary = make_synthetic(levels=2)
    drawn = accuracy_svg(summary, width=360, height=310)
    assert all(f"key {row.key}</title>" in drawn for row in summary.rows)


def test_a_mask_is_drawn_in_runs():
    picture = Picture(seed=0, name="t", level=1, density=0.5, values=((1.0, 1.0, 0.0), (0.0, 0.5, 0.0)), caption="c")
    paths = re.findall(r'<path d="([^"]+)" fill-opacity="([^"]+)"', mask_svg(picture))
    assert paths == [("M1 1h1v1h-1z", "0.5"), ("M0 0h2v1h-2z", "1")]
    empty = Picture(seed=0, name="t", level=1, density=0.0, values=((0.0,),), caption="c")
    assert "<path" not in mask_svg(empty)


def test_layers_are_shown_with_their_densities(make_synthetic: Callable[..., Summary]):
    drawn = layers_svg(make_synthetic(levels=2), width=760)
    assert drawn.count("<rect") == 9
    assert "stem.weight, level 2: 42.3 % kept" in drawn
    assert ">42.3</text>" in drawn

"""The figure as a file, and the places of things in the drawings."""

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tombola.core.errors import Failed, Refused
from tombola.report.curves import MOST_ARMS, STYLES, Drawn, drawn, in_words, style_of
from tombola.report.declared import Curve
from tombola.report.figures import save_figure
from tombola.report.findings import Findings, Measured, Picture
from tombola.report.page import render
from tombola.report.panels import MOST_PICTURES, albums, heat_svg, heats, picture_svg, strongest
from tombola.report.plot import curve_svg
from tombola.report.svg import Axis, LogAxis

Make = Callable[..., Findings]


def ladder(findings: Findings, **more: object) -> Drawn:
    return drawn(findings, Curve(baseline={"name": "ticket", "level": 0}, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_a_figure_file_repeats_exactly(make_synthetic: Make, tmp_path: Path, suffix: str, start: bytes):
    figure = ladder(make_synthetic(levels=3))
    first, second = (save_figure(figure, tmp_path / f"{name}.{suffix}") for name in "ab")
    assert first.read_bytes().startswith(start)
    assert first.read_bytes() == second.read_bytes()


def test_any_figure_can_be_drawn(make_synthetic: Make, tmp_path: Path):
    made = make_synthetic(levels=2)
    save_figure(ladder(make_synthetic(seeds=())), tmp_path / "none.png")
    save_figure(ladder(make_synthetic(seeds=(0,), arms=("ticket",))), tmp_path / "one.png")
    save_figure(drawn(made, Curve(x="level", y="test_loss", log_x=False, title="$x")), tmp_path / "linear.png")
    save_figure(drawn(made, Curve(x="kept", y="seconds", where={"name": "ticket"})), tmp_path / "log.svg")


def test_another_ending_is_refused(make_synthetic: Make, tmp_path: Path):
    with pytest.raises(Refused, match="its ending is 'gif'. Use png, svg, pdf"):
        save_figure(ladder(make_synthetic(levels=1)), tmp_path / "a.gif")


def test_without_matplotlib_the_way_out_is_said(make_synthetic: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(Failed, match=r"pip install 'tombola\[report\]'"):
        save_figure(ladder(make_synthetic(levels=1)), tmp_path / "a.png")


def test_axes_by_hand():
    assert LogAxis(0.01, 1.0, 0.0, 100.0)(0.1) == pytest.approx(50.0)
    assert Axis(0.9, 1.0, 100.0, 0.0)(0.95) == pytest.approx(50.0)
    assert Axis(0.0, 1.0, 0.0, 1.0).ticks(5) == (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    assert Axis(0.5, 0.5, 0.0, 1.0)(0.5) == 0
    assert LogAxis(1.0, 1.0, 7.0, 100.0)(1.0) == 7


def places(figure: Drawn) -> list[float]:
    found = curve_svg(figure, width=760, height=400)
    return [float(x) for x in re.findall(r'transform="translate\(([\d.]+) ', found)]


def test_density_runs_from_dense_to_sparse_and_evenly(make_synthetic: Make):
    """Each level keeps the same share, so on a logarithmic axis the levels are evenly spaced."""
    found = places(ladder(make_synthetic(levels=4, arms=("ticket",))))
    found.sort()
    steps = [b - a for a, b in zip(found, found[1:], strict=False)]
    assert len(found) == 5 and found[-1] == pytest.approx(744, abs=0.1)
    assert steps == pytest.approx([steps[0]] * 4, abs=0.1)
    figure = ladder(make_synthetic(levels=4, arms=("ticket",)))
    assert [point.where["level"] for point in figure.arms[0].points] == [4, 3, 2, 1, 0]  # By x; the densest is left.


def test_other_axes_run_upwards(make_synthetic: Make):
    made = make_synthetic(levels=4, arms=("ticket",), claims=())
    for curve in (Curve(x="level", log_x=False), Curve(x="seconds_spent", log_x=True)):
        rows = tuple(
            replace(row, numbers={**row.numbers, "seconds_spent": 2.0 ** int(row.labels["level"])}) for row in made.rows
        )
        found = places(drawn(replace(made, rows=rows), curve))
        assert found == sorted(found) and found[-1] == pytest.approx(744, abs=0.1)
        assert found[2] - found[1] == pytest.approx(found[1] - found[0], abs=0.1)


def test_what_has_no_place_is_left_out():
    rows = tuple(
        Measured(labels={"name": "a", "at": at}, numbers={"y": float("nan") if at == 3 else 1.0}, key=f"k{at}")
        for at in (0, 1, 2, 3)
    )
    made = Findings(title="", question="", study="", command="", rows=rows)
    assert [point.x for point in drawn(made, Curve(x="at", y="y")).points] == [1.0, 2.0]
    assert [point.x for point in drawn(made, Curve(x="at", y="y", log_x=False)).points] == [0.0, 1.0, 2.0]


def test_arms_too_many_to_tell_apart_are_counted():
    rows = tuple(Measured(labels={"name": f"arm {at}"}, numbers={"y": 1.0, "x": 1.0}, key=f"k{at}") for at in range(15))
    figure = drawn(Findings(title="", question="", study="", command="", rows=rows), Curve(x="x", y="y"))
    assert (len(figure.arms), figure.left_out) == (12, 3)


def test_all_arms_that_are_drawn_can_be_told_apart_without_colour_or_by_it():
    styles = [style_of(index) for index in range(MOST_ARMS)]
    assert len({(style.dashes, style.mark) for style in styles}) == MOST_ARMS
    assert len({style.colour for style in styles[: len(STYLES)]}) == len(STYLES)


def test_marks_lead_to_their_rows_and_dots_to_their_keys(make_synthetic: Make):
    made = make_synthetic(levels=2)
    found = curve_svg(ladder(made), width=360, height=310)
    assert all(f'href="#{row.key}"' in found for row in made.rows)
    assert 'href="#rows?name=reinit&amp;level=2"' in found
    assert found.count('class="point"') == 7


def test_a_cloud_of_rows_is_not_drawn_dot_by_dot(make_synthetic: Make):
    figure = ladder(make_synthetic(seeds=range(120), levels=2))
    assert 'class="seed"' not in curve_svg(figure, width=760, height=400)


def test_a_figure_in_words_begins_dense(make_synthetic: Make):
    said = in_words(ladder(make_synthetic(levels=2)))
    assert said.startswith("ticket: 95.") and " at density 100 %, 95." in said and "at density 42.3 %. reinit: " in said


def test_pictures_of_one_scale_can_be_compared():
    row = Measured(labels={"level": 0}, numbers={}, key="train:x")
    faint, strong = (Picture(name="a", caption="c", values=((0.0, top),), full=1.0) for top in (0.1, 1.0))
    assert (strongest(faint), strongest(strong)) == ("100 %", "100 %")
    assert 'fill-opacity="0.1"' in picture_svg(row, faint) and 'fill-opacity="1"' in picture_svg(row, strong)
    with pytest.raises(ValueError, match="'full' of a picture"):
        Picture(name="a", caption="c", values=((0.0,),), full=2.0)


def test_places_on_a_picture_are_marked_and_joined():
    row = Measured(labels={"level": 0}, numbers={}, checks={}, key="a:0")
    path = ((0.5, 1.5), (2.0, 0.25))
    drawn = picture_svg(row, Picture(name="p", caption="c", values=((1.0, 0.5, 0.0), (0.0, 0.5, 0.0)), path=path))
    assert re.findall(r'<polyline points="([^"]+)"', drawn) == ["0.5,1.5 2,0.25"]
    circles = re.findall(r'<circle cx="([^"]+)" cy="([^"]+)" r="([^"]+)"', drawn)
    assert [(float(x), float(y)) for x, y, _ in circles] == list(path) and float(circles[0][2]) < float(circles[1][2])
    assert re.findall("<title>(network .)</title>", drawn) == ["network 0", "network 1"]  # As in the table.
    alone = picture_svg(row, Picture(name="p", caption="c", values=((1.0,),), path=((0.5, 0.5),)))
    assert "<polyline" not in alone and alone.count("<circle") == 1
    assert "<circle" not in picture_svg(row, Picture(name="p", caption="c", values=((1.0,),)))


def test_a_picture_is_drawn_in_runs():
    row = Measured(labels={"seed": 0}, numbers={}, key="k")
    picture = Picture(name="p", caption="c", values=((1.0, 1.0, 0.0), (0.0, 0.5, 0.0)))
    paths = re.findall(r'<path d="([^"]+)" fill-opacity="([^"]+)"', picture_svg(row, picture))
    assert paths == [("M1 1h1v1h-1z", "0.5"), ("M0 0h2v1h-2z", "1")]
    assert "<path" not in picture_svg(row, Picture(name="p", caption="c", values=((0.0,),)))


def test_albums_go_from_dense_to_sparse_and_keep_seeds_apart(make_synthetic: Make):
    made = make_synthetic(levels=2)
    again = tuple(
        replace(row, labels={**row.labels, "seed": 9}, key=f"again:{at}") for at, row in enumerate(made.rows[::-1])
    )
    first, second = albums(replace(made, rows=(*made.rows, *again)))
    assert (first.title, second.title) == ("First layer: seed 0", "First layer: seed 9")
    for album in (first, second):
        assert [row.labels["level"] for row, _ in album.pictures] == [0, 1, 2]


def test_albums_beyond_what_a_page_holds_are_counted_and_named(make_synthetic: Make):
    made = make_synthetic(levels=2)
    few = tuple(row for row in made.rows if row.pictures)
    assert len(few) == 3
    many = tuple(
        replace(row, labels={**row.labels, "seed": seed}, key=f"{seed}:{at}")
        for seed in range(26)
        for at, row in enumerate(few)
    )
    found = albums(replace(made, rows=many))
    assert [len(album.pictures) for album in found] == [3] * 24 + [0] * 2 and MOST_PICTURES == 72
    assert [album.left_out for album in found] == [0] * 24 + [3] * 2
    page = render(replace(made, rows=many))
    assert "No room for 6 more: a page holds 72." in page
    assert page.count('<ul class="album') == 24 and "<li>First layer: seed 25 (3)</li>" in page
    assert "No room for" not in render(made)


def test_layers_are_shown_with_their_mean_densities(make_synthetic: Make):
    (heat,) = heats(make_synthetic(levels=2))
    assert heat.title == "all rows" and heat.columns == ("0", "1", "2")
    found = heat_svg(heat, width=760)
    assert found.count("<rect") == 9
    assert "stem.weight, level 2: 42.3 % kept" in found

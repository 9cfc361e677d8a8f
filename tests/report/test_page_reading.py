"""The page for every reader: by ear, by keyboard, in both schemes, on small screens."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import tombola.report
from tests.report.test_page import outline
from tombola.report.findings import Findings, Missing
from tombola.report.page import render

Make = Callable[..., Findings]


def test_figures_speak_to_those_who_cannot_see_them(make_synthetic: Make):
    found = outline(render(make_synthetic()))
    drawn = [given for tag, given in found if tag == "svg" and given.get("aria-hidden") != "true"]
    assert len(drawn) == 2 + 11 + 2
    assert all(given["role"] in ("img", "group") and given["aria-label"] for given in drawn)
    marks = [given for tag, given in found if tag == "a" and given.get("class") == "point"]
    assert len(marks) == 2 * 31 and all(given["aria-label"] for given in marks)


def test_headings_come_in_order_and_the_page_has_one_title(make_synthetic: Make):
    found = outline(render(make_synthetic(missing=(Missing(labels={"seed": 7}, key="k"),))))
    depths = [int(tag[1]) for tag, _ in found if re.fullmatch("h[1-6]", tag)]
    assert depths[0] == 1 and depths.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(depths, depths[1:], strict=False))
    assert ("html", {"lang": "en"}) in found
    assert ("a", {"class": "skip", "href": "#content"}) in found
    ids = [given["id"] for _, given in found if "id" in given]
    assert len(ids) == len(set(ids))
    scopes = [given.get("scope") for tag, given in found if tag == "th"]
    assert set(scopes) == {"col", "row"}


def palettes() -> list[dict[str, str]]:
    css = Path(tombola.report.__path__[0], "page.css").read_text(encoding="utf-8")
    light, dark = css.split("@media (prefers-color-scheme: dark)")[:2]
    found = [dict(re.findall(r"--([a-z0-9]+): (#[0-9a-f]{6});", part)) for part in (light, dark.split("* {")[0])]
    assert found[0].keys() == found[1].keys()
    return found


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_meets_aa_in_both_schemes():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for palette in palettes():
        for ground in ("paper", "card"):
            for text in ("ink", "soft", "good", "bad", "open", "link"):
                assert contrast(palette[text], palette[ground]) >= 4.5, (text, ground, palette)
        for mark in ("arm0", "arm1", "arm2", "arm3", "arm4", "dense"):
            assert contrast(palette[mark], palette["paper"]) >= 3.0, (mark, palette)


def test_schemes_small_screens_and_still_pages_are_styled(make_synthetic: Make):
    page = render(make_synthetic(levels=1))
    for wanted in ("prefers-color-scheme: dark", "width=device-width", "prefers-reduced-motion", ":focus-visible"):
        assert wanted in page
    used = set(re.findall(r"var\((--[a-z0-9]+)\)", page))
    assert used <= set(re.findall(r"(--[a-z0-9]+):", page))

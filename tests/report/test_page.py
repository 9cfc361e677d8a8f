"""The page: every figure it should hold, nothing from outside unescaped, nothing fetched."""

import ast
import re
import stat
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

import tombola.report
from tombola.core.errors import Failed
from tombola.report.page import render, write
from tombola.report.summary import Summary
from tombola.report.table import lines
from tombola.report.wording import accuracy_text

VOID = {"meta", "link", "br"}


class Outline(HTMLParser):
    """Collects elements and attributes, and fails where an element is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def outline(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Outline()
    parser.feed(page)
    assert parser.open == []
    return parser.found


def words(page: str) -> str:
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", "", body)))


def test_the_page_holds_every_figure(make_synthetic: Callable[..., Summary]):
    summary = make_synthetic()
    page = render(summary)
    said = words(page)
    for line in lines(summary):
        for cell in line.cells:
            if cell.found:
                assert f">{accuracy_text(cell.found)[:-2]}</a>" in page
    for row in summary.rows:
        assert f"<code>{row.key}</code>" in page
        assert row.call in said
        assert f"{row.test_accuracy:.4f}" in said
    for text in (summary.command, summary.arch, summary.task, summary.recipe, summary.machine, "0123abc (clean)"):
        assert text in said
    assert "mask is nested ✓ 93 of 93" in said.replace("nested✓", "nested ✓")
    assert "An unstructured mask saves no time by itself" in said
    assert "312 MiB" in said


def test_parts_come_in_order(make_synthetic: Callable[..., Summary]):
    ids = [given["id"] for tag, given in outline(render(make_synthetic())) if tag == "section"]
    assert ids == ["accuracy", "levels", "masks", "layers", "checks", "cost", "made"]


def test_each_mean_leads_to_its_single_results(make_synthetic: Callable[..., Summary]):
    found = outline(render(make_synthetic()))
    targets = {given["id"] for tag, given in found if tag == "tr" and "id" in given}
    links = [given["href"] for tag, given in found if tag == "a"]
    assert len(links) == 31
    assert {f"#{target}" for target in targets} == set(links)


def test_figures_speak_to_those_who_cannot_see_them(make_synthetic: Callable[..., Summary]):
    found = outline(render(make_synthetic()))
    drawn = [given for tag, given in found if tag == "svg" and given.get("aria-hidden") != "true"]
    assert len(drawn) == 2 + 33 + 2
    assert all(given["role"] == "img" and given["aria-label"] for given in drawn)
    assert sum(tag == "title" for tag, _ in found) > 93


def test_a_failed_check_is_shown(make_synthetic: Callable[..., Summary]):
    summary = make_synthetic(levels=1)
    broken = replace(summary.rows[0], checks={"mask is nested": False})
    said = words(render(replace(summary, rows=(broken, *summary.rows[1:]))))
    assert re.search(r"mask is nested ?✗ 11 of 12", said)


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&{{ 7 * 7 }}"


def test_hostile_text_stays_text(make_synthetic: Callable[..., Summary]):
    summary = make_synthetic(seeds=(0, 1), levels=2)
    rows = tuple(replace(row, key=HOSTILE, call=HOSTILE, checks={HOSTILE: True}) for row in summary.rows)
    rows += tuple(replace(row, name=HOSTILE) for row in rows if row.name == "reinit")
    hostile = replace(
        summary,
        **dict.fromkeys(("title", "question", "arch", "task", "recipe", "command", "machine"), HOSTILE),
        rows=rows,
        pictures=tuple(replace(picture, name=HOSTILE, caption=HOSTILE) for picture in summary.pictures),
        layers=tuple(replace(layer, layer=HOSTILE + layer.layer) for layer in summary.layers),
        provenance={HOSTILE: HOSTILE},
    )
    page = render(hostile)
    found = outline(page)
    assert not {tag for tag, _ in found} & {"script", "img"}
    assert not [name for _, given in found for name in given if name.startswith("on")]
    assert "{{ 7 * 7 }}" in page


def test_nothing_is_fetched(make_synthetic: Callable[..., Summary]):
    page = render(make_synthetic())
    assert not re.search(r"https?:|@import|url\(|<script|<iframe", page)
    sources = [
        value for _, given in outline(page) for name, value in given.items() if name in ("src", "href", "srcset")
    ]
    assert all(value and value.startswith(("#", "data:")) for value in sources)
    assert "default-src 'none'" in page


def test_both_schemes_and_small_screens_are_styled(make_synthetic: Callable[..., Summary]):
    page = render(make_synthetic(levels=1))
    assert "prefers-color-scheme: dark" in page
    assert "width=device-width" in page
    used = set(re.findall(r"var\((--[a-z0-9]+)\)", page))
    assert used <= set(re.findall(r"(--[a-z0-9]+):", page))


@pytest.mark.parametrize("arms", [("ticket",), ("ticket", "reinit"), ("ticket", "shuffle", "magnitude again")])
@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_any_arms_and_any_number_of_seeds(
    make_synthetic: Callable[..., Summary], arms: tuple[str, ...], seeds: tuple[int, ...]
):
    page = render(make_synthetic(seeds=seeds, arms=arms, levels=3))
    outline(page)
    said = words(page)
    assert "win." not in said.split("Accuracy against density")[0]
    assert (" ± " in said.split("Level by level")[1].split("A ticket wins")[0].split("seeds.")[1]) == (len(seeds) > 1)
    assert "nan" not in said.split("How it was made")[0]


def test_a_page_of_nothing_stands():
    nothing = Summary(title="t", question="", arch="", task="", recipe="", command="", rows=())
    assert "Nothing was measured yet" in words(render(nothing))
    outline(render(nothing))


def test_the_same_summary_gives_the_same_page(make_synthetic: Callable[..., Summary]):
    summary = make_synthetic(levels=2)
    assert render(summary) == render(Summary.from_json(summary.to_json()))


def test_write_replaces_the_file_whole(make_synthetic: Callable[..., Summary], tmp_path: Path):
    target = tmp_path / "report.html"
    target.write_text("old")
    summary = make_synthetic(levels=1)
    assert write(summary, target) == target
    assert target.read_text(encoding="utf-8") == render(summary)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert stat.S_IMODE(target.stat().st_mode) & 0o400


def test_write_says_what_is_in_the_way(
    make_synthetic: Callable[..., Summary], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    summary = make_synthetic(levels=1)
    with pytest.raises(Failed, match="cannot write"):
        write(summary, tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tombola.core.files.os.replace", full)
    (tmp_path / "report.html").write_text("old")
    with pytest.raises(Failed, match="No space left on device"):
        write(summary, tmp_path / "report.html")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def imported(source: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(source.read_text(encoding="utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


def test_the_page_reads_measurements_only():
    """Nothing that the page, the table or the figures import knows of torch or of another part of the package."""
    folder = Path(tombola.report.__path__[0])
    to_read, seen = {"page", "table", "figures"}, set[str]()
    while to_read - seen:
        name = min(to_read - seen)
        seen.add(name)
        found = imported(folder / f"{name}.py")
        assert not [other for other in found if other.split(".")[0] in ("torch", "numpy")], name
        ours = {other for other in found if other.startswith("tombola")} - {"tombola.report", "tombola.core.files"}
        assert all(other.startswith("tombola.report.") for other in ours), name
        to_read |= {other.removeprefix("tombola.report.") for other in ours}
    assert len(seen) >= 12

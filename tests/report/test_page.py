"""The page: every figure it should hold, nothing from outside unescaped, nothing fetched, fit for every reader."""

import ast
import base64
import hashlib
import json
import re
import stat
import time
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import tombola.report
from tombola.core.errors import Failed
from tombola.report.claim_words import tally
from tombola.report.claims import Agrees, Claim, Published, winning
from tombola.report.declared import Curve, Pivot
from tombola.report.findings import Findings, Measured, Missing, StepFacts
from tombola.report.judge import judge
from tombola.report.page import render, write

Make = Callable[..., Findings]
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
    body = re.sub(r"<(style|script)\b.*?</\1>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", "", body)))


def data(page: str) -> dict[str, Any]:
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    return json.loads(found)


def test_the_page_holds_every_figure(make_synthetic: Make):
    made = make_synthetic()
    page = render(made)
    said = words(page)
    for text in (made.title, made.question, made.study, made.command, made.machine, "0123abc (clean)", "digits()"):
        assert text in said
    assert tally(judge(made)) in said and "of 10 claims are confirmed" in said
    assert re.search(r"mask is nested ?✓ 93 of 93", said)
    assert "An unstructured mask saves no time by itself" in said
    assert "312 MiB" in said
    held = data(page)
    assert held["rows"]["keys"] == [row.key for row in made.rows]
    assert held["rows"]["numbers"]["test_accuracy"] == [row.numbers["test_accuracy"] for row in made.rows]
    names = held["rows"]["labels"]["name"]
    assert [names["known"][at] for at in names["at"]] == [row.labels["name"] for row in made.rows]
    assert held["steps"]["calls"] == [step.call for step in made.steps.values()]
    back = [[held["steps"]["keys"][at] for at in inputs] for inputs in held["steps"]["inputs"]]
    assert back == [list(step.inputs) for step in made.steps.values()]


def test_claims_come_first_and_parts_in_order(make_synthetic: Make):
    ids = [given["id"] for tag, given in outline(render(make_synthetic())) if tag == "section"]
    assert ids == ["claims", "figure-1", "table-1", "pictures", "layers", "checks", "cost", "rows", "made"]


def test_a_claim_shows_its_verdict_its_tests_and_the_published_figure(make_plain: Make):
    paper = Published(value=0.9835, source="Somebody 2021, table 1", reading=0.002)
    claims = (winning(9), Claim("as published", tests=(Agrees(where={"name": "ticket"}, published=paper),)))
    page = render(make_plain({("ticket", 0): (0.982, 0.985, 0.984)}, claims=claims))
    said = words(page)
    assert "– not measured the ticket wins at level 9 no row has level 9; the nearest is 0" in said
    assert "✓ confirmed as published" in said
    assert "Published: 98.35 % ± 0.2 points of reading (Somebody 2021, table 1). Ours: 98.37 ± 0.15 %." in said
    assert 'href="#rows?name=ticket"' in page


def test_many_claims_are_folded(make_plain: Make):
    page = render(make_plain({("ticket", 0): (0.9,)}, claims=tuple(winning(level) for level in range(1, 21))))
    assert "8 more claims" in words(page)
    assert page.count('<li id="claim-') == 20


def test_every_mean_leads_to_its_rows(make_synthetic: Make):
    page = render(make_synthetic(levels=3))
    table = page.split('id="table-1"')[1].split("</section>")[0]
    links = re.findall(r'<td data-v="[\d.]+"><a href="([^"]+)"', table)
    assert links == [
        f"#rows?level={level}&amp;name={name}"
        for level in range(4)
        for name in ("ticket", "reinit", "shuffle")
        if level or name == "ticket"
    ]


def test_a_failed_check_is_shown_with_the_way_to_its_row(make_synthetic: Make):
    made = make_synthetic(levels=1)
    broken = replace(made.rows[0], checks={"mask is nested": False})
    page = render(replace(made, rows=(broken, *made.rows[1:])))
    assert re.search(r"mask is nested ?✗ 11 of 12", words(page))
    assert f'href="#{broken.key}"' in page.split('id="checks"')[1].split("</section>")[0]


def test_missing_rows_are_counted_and_named(make_synthetic: Make):
    waiting = tuple(Missing(labels={"seed": seed}, key=f"train:{seed}", why="no space left") for seed in range(150))
    said = words(render(make_synthetic(levels=1, missing=waiting)))
    assert "150 of 162 rows are missing." in said
    assert "no space left" in said and "The first 100 of 150." in said


HOSTILE = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>&{{ 7 * 7 }}\u2028<!--"


def test_hostile_text_stays_text(make_synthetic: Make):
    made = make_synthetic(seeds=(0, 1), levels=2)
    rows = tuple(
        replace(
            row,
            key=HOSTILE + row.key,
            labels={**row.labels, HOSTILE: HOSTILE, "name": HOSTILE if row.labels["name"] == "reinit" else "ticket"},
            numbers={**row.numbers, HOSTILE: 1.0},
            checks={HOSTILE: False},
            tables={HOSTILE: ({HOSTILE: HOSTILE},), "layers": ({"layer": HOSTILE, "density": 0.5},)},
            pictures=tuple(replace(picture, name=HOSTILE, caption=HOSTILE) for picture in row.pictures),
        )
        for row in made.rows
        if row.labels["name"] != "shuffle"
    )
    paper = Published(value=0.5, source=HOSTILE)
    test = Agrees(where={"name": HOSTILE, "level": 1}, of=HOSTILE, published=paper)
    hostile = replace(
        made,
        **dict.fromkeys(("title", "question", "study", "command", "machine"), HOSTILE),
        rows=rows,
        steps={HOSTILE: StepFacts(key=HOSTILE, call=HOSTILE, inputs=(HOSTILE,), versions={HOSTILE: HOSTILE})},
        claims=(Claim(HOSTILE, tests=(test,), published=paper), *made.claims),
        figures=(Curve(by=HOSTILE, title=HOSTILE, baseline={"level": 0}, baseline_name=HOSTILE),),
        tables=(Pivot(lines="level", columns=HOSTILE, title=HOSTILE, over=("seed", "name")), Pivot(of=HOSTILE)),
        missing=(Missing(labels={HOSTILE: HOSTILE}, key=HOSTILE, why=HOSTILE),),
        about={HOSTILE: HOSTILE},
        provenance={HOSTILE: HOSTILE},
    )
    page = render(hostile)
    found = outline(page)
    assert [given for tag, given in found if tag == "script"] == [{"type": "application/json", "id": "data"}, {}]
    assert "img" not in {tag for tag, _ in found}
    assert not [name for _, given in found for name in given if name.startswith("on")]
    assert "{{ 7 * 7 }}" in page
    assert data(page)["rows"]["labels"][HOSTILE]["known"] == [HOSTILE]


def test_nothing_is_fetched_and_only_the_pages_own_script_runs(make_synthetic: Make):
    page = render(make_synthetic())
    assert not re.search(r"https?:|@import|url\(|<iframe|fetch\(|XMLHttpRequest|innerHTML|eval\(", page)
    found = outline(page)
    sources = [value for _, given in found for name, value in given.items() if name in ("src", "href", "srcset")]
    assert all(value and value.startswith(("#", "data:")) for value in sources)
    assert not [given for _, given in found if "style" in given]
    (policy,) = [given["content"] for _, given in found if given.get("http-equiv") == "Content-Security-Policy"]
    assert policy and "default-src 'none'" in policy and "unsafe" not in policy
    for part, pattern in (("script-src", r"<script>(.*?)</script>"), ("style-src", r"<style>(.*?)</style>")):
        (inside,) = re.findall(pattern, page, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{part} 'sha256-{digest}'" in policy


@pytest.mark.parametrize("arms", [("ticket",), ("ticket", "reinit"), ("ticket", "shuffle", "magnitude again")])
@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_any_arms_and_any_number_of_seeds(make_synthetic: Make, arms: tuple[str, ...], seeds: tuple[int, ...]):
    page = render(make_synthetic(seeds=seeds, arms=arms, levels=3))
    outline(page)
    said = words(page)
    assert (" confirmed" in said.split("Claims")[0]) == (
        False if len(seeds) == 1 else {"reinit", "shuffle"} <= set(arms)
    )
    assert ("± 0." in said.split("Test accuracy by level")[1].split("True cost")[0]) == (len(seeds) > 1)
    assert "nan" not in said.split("How it was made")[0]


def test_a_page_of_nothing_stands():
    page = render(Findings(title="t", question="", study="", command="", rows=()))
    assert "Nothing was measured yet" in words(page)
    outline(page)


def test_a_page_of_probes_and_diverged_numbers_stands():
    rows = tuple(
        Measured(labels={"depth": depth, "on": on}, numbers={"barrier": value}, key=f"barrier:{depth}{on}")
        for depth, on, value in (
            (14, True, float("inf")),
            (14, False, 0.25),
            (20, True, float("nan")),
            (32, True, -1.0),
        )
    )
    page = render(Findings(title="t", question="", study="", command="", rows=rows))
    outline(page)
    assert "Barrier by depth" in words(page) and "not finite" in words(page)
    assert data(page)["rows"]["numbers"]["barrier"] == ["inf", 0.25, "nan", -1.0]


def test_the_same_findings_give_the_same_page(make_synthetic: Make):
    made = make_synthetic(levels=2)
    assert render(made) == render(Findings.from_json(made.to_json()))


def test_ten_thousand_rows_stay_light():
    rows = tuple(
        Measured(
            labels={"seed": at % 50, "level": at // 50 % 20, "name": f"arm {at // 1000}"},
            numbers={"test_accuracy": (at % 97) / 97, "density": 0.8 ** (at // 50 % 20), "test_loss": at / 7},
            key=f"train:{at:016x}",
            checks={"one": True, "two": True},
        )
        for at in range(10_000)
    )
    steps = {row.key: StepFacts(key=row.key, call=f"train(ticket=cut:{at:016x})") for at, row in enumerate(rows)}
    started = time.process_time()
    page = render(Findings(title="t", question="", study="", command="", rows=rows, steps=steps))
    assert time.process_time() - started < 10
    assert len(page) < 15e6
    assert page.count("<tr") < 500


def test_write_replaces_the_file_whole(make_synthetic: Make, tmp_path: Path):
    target = tmp_path / "report.html"
    target.write_text("old")
    made = make_synthetic(levels=1)
    assert write(made, target) == target
    assert target.read_text(encoding="utf-8") == render(made)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert stat.S_IMODE(target.stat().st_mode) & 0o400


def test_write_says_what_is_in_the_way(make_synthetic: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = make_synthetic(levels=1)
    with pytest.raises(Failed, match="cannot write"):
        write(made, tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tombola.core.files.os.replace", full)
    (tmp_path / "report.html").write_text("old")
    with pytest.raises(Failed, match="No space left on device"):
        write(made, tmp_path / "report.html")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def imported(source: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(source.read_text(encoding="utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


def test_the_page_reads_measurements_only():
    """Nothing that the page, the files or the terminal import knows of torch or of another part of the package."""
    folder = Path(tombola.report.__path__[0])
    to_read, seen = {"page", "files", "terminal"}, set[str]()
    while to_read - seen:
        name = min(to_read - seen)
        seen.add(name)
        found = imported(folder / f"{name}.py")
        assert not [other for other in found if other.split(".")[0] in ("torch", "numpy")], name
        allowed = {"tombola.report", "tombola.core.counted", "tombola.core.files", "tombola.core.errors"}
        ours = {other for other in found if other.startswith("tombola")} - allowed
        assert all(other.startswith("tombola.report.") for other in ours), name
        to_read |= {other.removeprefix("tombola.report.") for other in ours}
    assert len(seen) >= 15

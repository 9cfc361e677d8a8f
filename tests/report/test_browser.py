"""The page in a real browser: sorting, filtering, addresses, lineage, values on plots, all with the keyboard too."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.report.chromium import Browser, binary, browser
from tests.report.conftest import synthetic
from tombola.report.findings import Findings, StepFacts
from tombola.report.page import write

pytestmark = pytest.mark.skipif(binary() is None, reason="no chromium on this machine: the page's script is not tried")

STATUS = "document.querySelector('#rows-table [role=status]').textContent"
PANEL = "document.getElementById('lineage')"
LINES = "[...document.querySelectorAll('#table-1 tbody tr')].map((line) => line.cells[0].firstChild.textContent)"


@pytest.fixture(scope="module")
def made() -> Findings:
    return synthetic(seeds=range(5), levels=10)  # 155 rows: more than one page of them.


@pytest.fixture(scope="module")
def page(made: Findings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(made, tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture(scope="module")
def started() -> Iterator[Browser]:
    with browser() as tab:
        yield tab


@pytest.fixture
def tab(started: Browser) -> Iterator[Browser]:
    started.screen(1280, 900)
    yield started
    assert started.errors == []


def test_an_address_with_a_key_opens_its_lineage_back_to_the_draw(tab: Browser, page: Path, made: Findings):
    key = next(row.key for row in made.rows if row.labels == {"seed": 0, "name": "ticket", "level": 3})
    tab.open(page, f"#{key}")
    assert tab.run(f"{PANEL}.open") is True
    said = tab.run(f"{PANEL}.textContent")
    assert key in said and made.steps[key].call in said and "3 of 3 checks held" in said
    assert "2026-01-02T03:04:05Z" in said and "2.13.0" in said
    assert "All 7 steps behind it" in said
    first = tab.run(f"[...{PANEL}.querySelectorAll('details:last-of-type li')].map((item) => item.textContent)")
    assert "draw(arch=mlp())" in first[0] and len(first) == 7
    assert tab.run("document.activeElement.id") == "lineage-title"


def test_the_panel_leads_on_to_parents_and_back_and_closes(tab: Browser, page: Path, made: Findings):
    row = made.rows[1]
    parent = made.steps[row.key].inputs[0]
    tab.open(page, f"#{row.key}")
    tab.run(f"{PANEL}.querySelector('pre a').click()")
    tab.settled()
    assert tab.run("decodeURIComponent(location.hash)") == f"#{parent}"
    assert tab.run("document.getElementById('lineage-title').textContent") == parent
    tab.run("history.back()")
    tab.run("new Promise((done) => setTimeout(done, 100))")
    assert tab.run("document.getElementById('lineage-title').textContent") == row.key
    tab.press("Escape")
    tab.settled()
    assert tab.run(f"{PANEL}.open") is False
    assert tab.run("location.hash") == ""


def test_a_mean_leads_to_the_list_of_its_rows(tab: Browser, page: Path):
    tab.open(page)
    assert tab.run(STATUS) == "rows 1 to 100 of 155"
    tab.run("""document.querySelector('#table-1 a[href="#rows?level=3&name=reinit"]').click()""")
    tab.settled()
    assert tab.run(STATUS) == "rows 1 to 5 of 5 (155 in all)"
    assert tab.run("[...document.querySelectorAll('#rows-table select')].map((choice) => choice.value).join()") == (
        ",=reinit,=3"
    )
    assert tab.run("document.activeElement.getAttribute('aria-label')") == "All rows"
    tab.run("document.querySelector('table.rows code a').click()")
    tab.settled()
    assert tab.run(f"{PANEL}.open") is True


def test_an_address_with_labels_can_be_sent(tab: Browser, page: Path):
    tab.open(page, "#rows?seed=2&name=ticket")
    assert tab.run(STATUS) == "rows 1 to 11 of 11 (155 in all)"
    tab.open(page, "#rows?nonsense=2")
    assert tab.run(STATUS) == "no row with nonsense 2 (155 in all)"
    tab.open(page, "#%E0%A4%A")  # Not even text: nothing breaks.
    assert tab.run(STATUS) == "rows 1 to 100 of 155"


def test_tables_sort_by_mouse_and_by_keyboard(tab: Browser, page: Path):
    tab.open(page)
    up = tab.run(LINES)
    assert up == [str(level) for level in range(11)]
    heading = "document.querySelector('#table-1 th')"
    tab.run(f"{heading}.querySelector('button').click()")
    tab.run(f"{heading}.querySelector('button').focus()")
    assert (tab.run(LINES), tab.run(f"{heading}.getAttribute('aria-sort')")) == (up, "ascending")
    tab.press("Enter")
    assert (tab.run(LINES), tab.run(f"{heading}.getAttribute('aria-sort')")) == (up[::-1], "descending")
    tab.press("Enter")
    assert tab.run(LINES) == up
    tab.run("document.querySelectorAll('#table-1 th button')[3].click()")
    lines = tab.run(LINES)
    assert lines[-1] == "0"  # The dense network has no reinit: what is not there comes last, both ways.
    tab.run("document.querySelectorAll('#table-1 th button')[3].click()")
    assert tab.run(LINES) == [*lines[:-1][::-1], "0"]
    assert tab.run(f"{heading}.getAttribute('aria-sort')") is None


def test_all_rows_sort_over_all_pages(tab: Browser, page: Path, made: Findings):
    tab.open(page)
    heads = tab.run("[...document.querySelectorAll('table.rows th')].map((head) => head.textContent)")
    at = heads.index("test accuracy")
    press = f"document.querySelectorAll('table.rows th button')[{at}].click()"
    tab.run(press)
    tab.run(press)
    shown = f"document.querySelector('table.rows tbody tr').cells[{at}].textContent"
    best = max(row.numbers["test_accuracy"] for row in made.rows)
    assert float(tab.run(shown)) == pytest.approx(best, rel=1e-4)
    tab.run("[...document.querySelectorAll('#rows-table button')].find((b) => b.textContent === 'Next').click()")
    assert tab.run(STATUS) == "rows 101 to 155 of 155"
    assert tab.run(
        "[...document.querySelectorAll('#rows-table button')].find((b) => b.textContent === 'Next').disabled"
    )


def test_all_rows_filter_by_text_and_by_label(tab: Browser, page: Path, made: Findings):
    tab.open(page)
    field = "document.querySelector('#rows-table input')"
    typed = f"{field}.value = %r; {field}.dispatchEvent(new Event('input'))"
    tab.run(typed % "reinit level")
    assert tab.run(STATUS) == "rows 1 to 50 of 50 (155 in all)"
    tab.run(typed % made.rows[3].key)
    assert tab.run(STATUS) == "rows 1 to 1 of 1 (155 in all)"
    choice = "document.querySelectorAll('#rows-table select')[2]"
    tab.run(typed % "shuffle")
    tab.run(f"{choice}.value = '=4'; {choice}.dispatchEvent(new Event('change'))")
    assert tab.run(STATUS) == "rows 1 to 5 of 5 (155 in all)"
    tab.run("[...document.querySelectorAll('#rows-table button')].find((b) => b.textContent === 'Clear').click()")
    assert tab.run(STATUS) == "rows 1 to 100 of 155"
    assert tab.run(f"{field}.value") == ""


def test_plots_tell_their_values_to_the_keyboard_and_to_the_pointer(tab: Browser, page: Path):
    tab.open(page)
    tip = "document.getElementById('tip')"
    assert tab.run(f"{tip}.hidden") is True
    mark = "document.querySelector('.only-wide a.point')"
    tab.run(f"{mark}.focus()")
    tab.run("new Promise((done) => setTimeout(done, 50))")  # Focus scrolls, and scrolling hides what was shown.
    tab.run(f"{mark}.blur(); {mark}.focus()")
    assert tab.run(f"{tip}.hidden") is False
    said = tab.run(f"{tip}.textContent")
    assert said.startswith("ticket, level 10, density 1.35 %: 95.") and "(n = 5), single rows from" in said
    tab.press("Escape")
    assert tab.run(f"{tip}.hidden") is True
    x, y = tab.run(
        f"(() => {{ const b = {mark}.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2] }})()"
    )
    tab.point(1, 1)
    tab.point(x, y)
    assert (tab.run(f"{tip}.hidden"), tab.run(f"{tip}.textContent")) == (False, said)
    tab.press("Enter")
    assert tab.run("location.hash") == "#rows?name=ticket&level=10"


def test_the_keyboard_reaches_the_findings_first(tab: Browser, page: Path):
    tab.open(page)
    tab.press("Tab")
    assert tab.run("document.activeElement.className") == "skip"
    assert tab.run("document.activeElement.getBoundingClientRect().x") >= 0
    tab.press("Enter")
    assert tab.run("location.hash") == "#content"


def test_a_verdict_in_a_table_leads_to_its_claim(tab: Browser, page: Path):
    tab.open(page)
    tab.run("document.querySelector('#table-1 a.verdict').click()")
    tab.settled()
    assert tab.run("document.querySelector('#claim-1 details').open") is True
    assert 0 <= tab.run("document.querySelector('#claim-1').getBoundingClientRect().top") < 900


@pytest.mark.parametrize("dark", [False, True])
def test_on_a_phone_the_level_table_needs_no_sideways_scrolling(tab: Browser, page: Path, dark: bool):
    tab.screen(390, 844, dark=dark)
    tab.open(page)
    assert tab.run("document.documentElement.scrollWidth") == 390
    box = "document.querySelector('#table-1 .scroll')"
    assert tab.run(f"{box}.scrollWidth <= {box}.clientWidth") is True
    assert tab.run("getComputedStyle(document.body).backgroundColor") == (
        "rgb(20, 22, 26)" if dark else "rgb(252, 251, 248)"
    )


def test_without_javascript_the_findings_still_stand(tab: Browser, page: Path):
    tab.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.open(page)
        root = tab.send("DOM.getDocument", depth=0)["root"]["nodeId"]

        def visible(selector: str) -> bool:
            node = tab.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
            try:
                return bool(tab.send("DOM.getBoxModel", nodeId=node)["model"]["height"])
            except AssertionError as error:
                assert "Could not compute box model" in str(error)
                return False

        assert visible("#claims") and visible("#figure-1 svg.plot") and visible("#table-1 table")
        assert visible("#rows-static") and not visible("#rows-table")
    finally:
        tab.send("Emulation.setScriptExecutionDisabled", value=False)


def test_hostile_text_does_nothing(tab: Browser, make_synthetic: Callable[..., Findings], tmp_path: Path):
    bad = "</script><script>document.title='hacked'</script><img src=x onerror=\"document.title='hacked'\">"
    plain = make_synthetic(levels=1, seeds=(0,), claims=())
    rows = tuple(replace(row, labels={**row.labels, bad: bad}, checks={bad: False}) for row in plain.rows)
    key = f"{bad}:0123456789abcdef"
    rows = (replace(rows[0], key=key), *rows[1:])
    steps = {key: StepFacts(key=key, call=bad, inputs=(bad,), versions={bad: bad})}
    tab.open(write(replace(plain, rows=rows, steps=steps), tmp_path / "bad.html"))
    tab.run("document.querySelector('table.rows code a').click()")
    tab.settled()
    assert tab.run(f"{PANEL}.open") is True
    assert bad in tab.run(f"{PANEL}.textContent")
    assert tab.run("document.title") == plain.title
    assert tab.run("document.images.length") == 0

"""A study as files beside its page."""

import csv
import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tombola.core.errors import Failed
from tombola.report.claims import Agrees, Claim, Published, winning
from tombola.report.files import claims_csv, claims_markdown, write_all
from tombola.report.findings import Findings
from tombola.report.judge import judge

Make = Callable[..., Findings]
PLAIN = [
    "claims.csv", "claims.md", "findings.json", "rows.csv", "table-1-test-accuracy-by-level.csv",
    "table-1-test-accuracy-by-level.md",
]  # fmt: skip


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_everything_is_written(make_synthetic: Make, tmp_path: Path):
    made = make_synthetic(levels=2)
    written = write_all(made, tmp_path / "out")
    figures = [f"figure-1-test-accuracy-against-density.{ending}" for ending in ("pdf", "png", "svg")]
    assert sorted(path.name for path in written) == sorted([*PLAIN, *figures])
    assert names(tmp_path / "out") == sorted([*(path.name for path in written), "written.json"])
    assert Findings.from_json((tmp_path / "out" / "findings.json").read_text()) == made


def test_without_matplotlib_all_else_is_written(make_synthetic: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(Failed, match=r"pip install 'tombola\[report\]'"):
        write_all(make_synthetic(levels=1), tmp_path)
    assert names(tmp_path) == [*PLAIN, "written.json"]
    assert sorted(path.name for path in write_all(make_synthetic(levels=1), tmp_path, figures="leave out")) == PLAIN


def test_a_study_of_nothing_is_written_too(tmp_path: Path):
    written = write_all(Findings(title="t", question="", study="", command="", rows=()), tmp_path)
    assert [path.name for path in written] == ["findings.json", "rows.csv"]


def test_titles_make_file_names_that_any_system_takes(make_synthetic: Make, tmp_path: Path):
    from tombola.report.declared import Pivot

    made = make_synthetic(levels=1, claims=(), tables=(Pivot(title="../a: <b>?"), Pivot(title="…")))
    names = {path.name for path in write_all(made, tmp_path, figures="leave out")}
    assert {"table-1-a-b.csv", "table-2.csv"} <= names


def test_claims_as_markdown_and_csv(make_plain: Make):
    rows = {("ticket", 0): (0.95, 0.94), ("ticket", 1): (0.95, 0.94), ("reinit", 1): (0.9, 0.9)}
    paper = Published(value=0.5, source="a paper, table 1")
    claims = (
        winning(1, controls=("reinit",)),
        Claim("as published", tests=(Agrees(where={"level": 0}, published=paper),)),
    )
    judged = judge(make_plain(rows, claims=claims))
    said = claims_markdown(judged)
    assert "## ✓ Confirmed: the ticket wins at level 1\n" in said
    assert "- ✓ holds: better than reinit. 94.50 ± 0.71 % against 90.00 ± 0.00 %: +4.50 points" in said
    assert "## ✗ Contradicted: as published" in said
    assert "- published: 50.00 % (a paper, table 1); ours: 94.50 ± 0.71 %" in said
    read = list(csv.DictReader(io.StringIO(claims_csv(judged))))
    assert [line["verdict"] for line in read] == ["confirmed", "confirmed", "contradicted"]
    assert float(read[1]["difference"]) == pytest.approx(0.045) and read[1]["pairs"] == "2"
    assert (read[2]["other"], read[2]["difference"]) == ("0.5", "")


def test_figures_and_tables_of_an_earlier_report_are_removed_and_nothing_else(make_synthetic: Make, tmp_path: Path):
    from tombola.report.declared import Pivot

    mine = ("figure-1-of-another-study.png", "table-9.csv", "figure-of-mine.png")
    for name in mine:
        (tmp_path / name).write_bytes(b"mine")
    write_all(make_synthetic(levels=1, tables=(Pivot(title="a"), Pivot(title="b"))), tmp_path, figures="leave out")
    assert {"table-1-a.csv", "table-2-b.md"} <= set(names(tmp_path))
    (tmp_path / "table-2-b.md").unlink()  # By hand.
    write_all(make_synthetic(levels=1), tmp_path, figures="leave out")
    assert names(tmp_path) == sorted([*PLAIN, *mine, "written.json"])


def test_what_an_earlier_report_drew_is_not_forgotten_where_nothing_can_be_drawn(
    make_synthetic: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "figure-1-a.png").write_bytes(b"drawn")
    (tmp_path / "written.json").write_text('["figure-1-a.png"]')
    with monkeypatch.context() as without, pytest.raises(Failed):
        without.setitem(sys.modules, "matplotlib", None)
        write_all(make_synthetic(levels=1), tmp_path)
    assert "figure-1-a.png" in names(tmp_path)
    write_all(make_synthetic(levels=1), tmp_path, figures="leave out")
    assert names(tmp_path) == [*PLAIN, "written.json"]


@pytest.mark.parametrize(
    "told", ["", "{", "3", '{"table-9.csv": 1}', '[["table-9.csv"]]', '["../table-9.csv", "own.csv"]']
)
def test_a_damaged_list_of_what_was_written_removes_nothing(told: str, make_synthetic: Make, tmp_path: Path):
    home = tmp_path / "report"
    home.mkdir()
    for path in (tmp_path / "table-9.csv", home / "table-9.csv", home / "own.csv"):
        path.write_text("mine")
    (home / "written.json").write_text(told)
    write_all(make_synthetic(levels=1), home, figures="leave out")
    assert names(home) == sorted([*PLAIN, "own.csv", "table-9.csv", "written.json"])
    assert (tmp_path / "table-9.csv").exists()

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


def test_everything_is_written(make_synthetic: Make, tmp_path: Path):
    made = make_synthetic(levels=2)
    written = write_all(made, tmp_path / "out")
    figures = [f"figure-1-test-accuracy-against-density.{ending}" for ending in ("pdf", "png", "svg")]
    assert sorted(path.name for path in written) == sorted([*PLAIN, *figures])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in written)
    assert Findings.from_json((tmp_path / "out" / "findings.json").read_text()) == made


def test_without_matplotlib_all_else_is_written(make_synthetic: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(Failed, match=r"pip install 'tombola\[report\]'"):
        write_all(make_synthetic(levels=1), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == PLAIN
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


def test_figures_and_tables_of_an_earlier_report_are_removed(make_synthetic: Make, tmp_path: Path):
    for name in ("figure-1-of-another-study.png", "table-9.csv", "figure-of-mine.png"):
        (tmp_path / name).write_bytes(b"old")
    write_all(make_synthetic(levels=1), tmp_path, figures="leave out")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*PLAIN, "figure-of-mine.png"])

"""The study behind `make demo`: it writes its page and its table, does nothing twice, and fails in one message."""

import dataclasses
import pathlib
import sys

import pytest

from tombola.core.errors import Damaged, Failed, Refused
from tombola.studies import quickstart
from tombola.studies import show as shared
from tombola.studies.quickstart import QuickstartSettings
from tombola.study.store import Store
from tombola.train.recipes import Quickstart


@pytest.fixture
def settings(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> QuickstartSettings:
    """One seed, one cut, trainings of ten steps."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(quickstart, "Quickstart", lambda: Quickstart(steps=10, evaluate=5))
    return QuickstartSettings(levels=1, seeds=(0,), store="runs", out="page/report.html", workers=1)


def test_it_writes_a_page(settings: QuickstartSettings, capsys: pytest.CaptureFixture[str]):
    quickstart.main(settings)
    out, err = capsys.readouterr()
    page = pathlib.Path("page/report.html").read_text()
    assert page.lstrip().lower().startswith("<!doctype html>") and "</html>" in page
    assert "A winning ticket on digits" in page and quickstart.QUESTION in page
    keys = [key for key in Store("runs").keys() if key.startswith("train:")]
    assert len(keys) == 4 and all(key in page for key in keys)
    passed, of = out.partition(" checks passed")[0].split()[-3::2]
    assert passed == of and int(of) > 20
    assert str(pathlib.Path("page/report.html").resolve()) in out
    assert "4 of 4 trainings" in err


def test_again_it_only_reads(settings: QuickstartSettings):
    quickstart.main(settings)
    before = {path: path.stat().st_mtime_ns for path in pathlib.Path("runs").rglob("*.json")}
    quickstart.main(dataclasses.replace(settings, out="again.html"))
    assert {path: path.stat().st_mtime_ns for path in pathlib.Path("runs").rglob("*.json")} == before
    assert pathlib.Path("again.html").exists()


def test_a_check_that_failed_fails_the_study(settings: QuickstartSettings, monkeypatch: pytest.MonkeyPatch):
    real = shared.summarise

    def spoilt(*words: object, **named: object) -> object:
        summary = real(*words, **named)  # type: ignore[arg-type]
        rows = [dataclasses.replace(row, checks={**row.checks, "lineage": False}) for row in summary.rows]
        return dataclasses.replace(summary, rows=tuple(rows))

    monkeypatch.setattr(shared, "summarise", spoilt)
    with pytest.raises(Failed, match="a check did not hold"):
        quickstart.main(settings)
    assert pathlib.Path("page/report.html").exists()


def test_a_page_that_cannot_be_written_is_found_before_the_training(settings: QuickstartSettings):
    with pytest.raises(Failed, match="cannot write /proc/nowhere/report.html"):
        quickstart.main(dataclasses.replace(settings, out="/proc/nowhere/report.html"))
    assert not pathlib.Path("runs").exists()


def test_what_make_demo_runs():
    settings = QuickstartSettings()
    assert (settings.levels, settings.seeds, settings.out) == (10, (0, 1, 2), "report.html")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (Refused("wrong."), 2, "quickstart: wrong.\n"),
        (Failed("broken."), 1, "quickstart: broken.\n"),
        (Damaged("bad."), 1, "quickstart: bad.\n"),
        (KeyboardInterrupt(), 130, "\nstopped. What was finished is kept: give the same command to go on.\n"),
    ],
)
def test_what_goes_wrong_is_one_message(
    error: BaseException,
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(sys, "argv", ["quickstart", "--levels", "3", "--seeds", "4", "5"])
    asked: list[QuickstartSettings] = []

    def study(settings: QuickstartSettings) -> None:
        asked.append(settings)
        raise error

    study.__module__ = "tombola.studies.quickstart"
    with pytest.raises(SystemExit) as stop:
        shared.entry(study, QuickstartSettings)
    assert stop.value.code == code
    assert capsys.readouterr() == ("", message)
    assert (asked[0].levels, asked[0].seeds) == (3, (4, 5))


def test_no_seeds_are_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(sys, "argv", ["quickstart", "--seeds"])
    with pytest.raises(SystemExit) as stop:
        shared.entry(quickstart.main, QuickstartSettings)
    assert stop.value.code == 2
    assert "A ladder needs one or more" in capsys.readouterr().err

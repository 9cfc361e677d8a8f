"""The studies of the package, read from their sources."""

import inspect
import pathlib

import pytest

from tombola.core import catalogue
from tombola.core.catalogue import Entry
from tombola.study.module import open_study
from tombola.study.shipped import entries, shipped

STUDY = '''"""Title of one.

More.
"""
raise SystemExit


def goals(first, second: int = 2, *, third, fourth=("a", 1.5)): ...
def claims(fifth=5): ...
'''


def test_titles_and_settings_are_read_and_nothing_is_run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "one.py").write_text(STUDY)
    (tmp_path / "studies" / "bare.py").write_text("def goals(): ...\n")
    (tmp_path / "studies" / "none.py").write_text('"""No study."""\nclass Some:\n    def goals(self): ...\n')
    monkeypatch.setattr(catalogue, "ROOT", tmp_path)
    fields = (("first", ""), ("second", "2"), ("third", ""), ("fourth", "('a', 1.5)"))
    assert entries() == [
        Entry("study", "bare", "tombola.studies.bare", "bare", ()),
        Entry("study", "one", "tombola.studies.one", "Title of one.", fields, "More."),
    ]
    assert str(entries()[1]) == "one(first, second=2, third, fourth=('a', 1.5))"
    assert shipped() == {"bare": "bare", "one": "Title of one."}


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)
def test_what_is_read_is_what_python_makes(entry: Entry):
    study = open_study(entry.name)
    assert study.title == entry.summary and study.module.__name__ == entry.module
    defaults = {n: one.default for n, one in inspect.signature(study.module.goals).parameters.items()}
    assert dict(entry.fields) == {n: repr(default) for n, default in defaults.items()}
    assert open_study(str(entry)).text == entry.name, "with all its defaults it is the same study"

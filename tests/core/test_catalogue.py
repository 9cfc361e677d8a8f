import pathlib
import subprocess
import sys

import pytest

from tombola.core import catalogue
from tombola.core.errors import Refused, UnknownName
from tombola.core.plugin import plugin
from tombola.core.text import parse

THEIRS = '''
"""A file of somebody else's."""
from tombola.core.plugin import plugin


@plugin("criterion", "theirs")
class Theirs:
    """Their criterion.

    More on it.
    """

    needed: int
    batches: int = 3

    def __call__(self, net):
        return dict(net.weights)
'''


def test_listing_imports_no_plug_in():
    script = (
        "import sys; from tombola.core import catalogue; assert len(catalogue.names('arch')) > 3; "
        "catalogue.find_entry('resnet'); "
        "assert not [m for m in sys.modules if m.startswith(('torch', 'tombola.archs', 'tombola.tasks'))]"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_an_entry_says_what_there_is():
    entry = catalogue.find_entry("seeds")
    assert (entry.kind, entry.module) == ("seeds", "tombola.core.seeds")
    assert str(entry) == "seeds(seed=0, init=-1, data=-1, augment=-1, reinit=-1)"
    interface = catalogue.find_entry("interface", kind="interface")
    assert str(interface) == "interface(inputs, classes, tokens=0, vocabulary='')"
    assert entry.summary == "One number for every stream of a run, or one number each."


def test_a_file_of_somebody_else_joins(tmp_path: pathlib.Path, scratch: None):
    (tmp_path / "theirs.py").write_text(THEIRS)
    with pytest.raises(UnknownName, match="no criterion called 'theirs'"):
        parse("criterion", "theirs(needed=1)")
    catalogue.load_file(tmp_path / "theirs.py")
    assert str(parse("criterion", "theirs(needed=1, batches=3)")) == "theirs(needed=1)"
    entry = catalogue.find_entry("theirs")
    assert (str(entry), entry.summary) == ("theirs(needed, batches=3)", "Their criterion.")
    assert "theirs" in catalogue.names("criterion")
    with pytest.raises(Refused, match='theirs needs needed: write "theirs\\(needed=...\\)".'):
        parse("criterion", "theirs")
    sys.modules.pop("tombola_use_theirs")


def test_a_file_that_is_not_there(tmp_path: pathlib.Path):
    with pytest.raises(Refused, match=r"no file .*absent.py to take plug-ins from \(--use\)."):
        catalogue.load_file(tmp_path / "absent.py")


def test_a_name_of_two_kinds_is_told_apart_by_kind(scratch: None):
    @plugin("example", "resnet")
    class Other:
        pass

    assert parse("example", "resnet") == Other()
    assert str(parse("arch", "resnet")) == "resnet()"
    with pytest.raises(
        Refused, match=r"'resnet' could be arch \(tombola.archs.resnet\) or example \(.*\). Rename one."
    ):
        catalogue.find_entry("resnet")


def test_every_shipped_source_is_seen():
    """The scan reads sources; whatever `@plugin` made in the package must be in it."""
    for kind in catalogue.kinds():
        for entry in catalogue.entries(kind):
            assert catalogue.load(entry).__module__ == entry.module
    found = {(entry.kind, entry.name) for kind in catalogue.kinds() for entry in catalogue.entries(kind)}
    loaded = {key for key, cls in catalogue.LOADED.items() if cls.__module__.startswith("tombola.")}
    assert loaded <= found


def test_files_that_were_loaded_are_known_and_can_be_loaded_again(
    tmp_path: pathlib.Path, scratch: None, monkeypatch: pytest.MonkeyPatch
):
    """What another process must load to know the same."""
    monkeypatch.setattr(catalogue, "FILES", {})
    path = tmp_path / "1 odd.name-of.py"
    path.write_text("VALUE = 1\n")
    module = catalogue.load_file(path)
    assert module.VALUE == 1 and catalogue.FILES == {module.__name__: str(path)}
    assert module.__name__ == "tombola_use_1_odd_name_of" and sys.modules[module.__name__] is module
    path.write_text("VALUE = 2\n" + "#" * 99)
    assert catalogue.load_file(str(path)).VALUE == 2 and len(catalogue.FILES) == 1
    sys.modules.pop(module.__name__)


def test_two_files_of_one_name_are_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(catalogue, "FILES", {})
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "twin.py").write_text(f"PLACE = {folder!r}\n")
    assert catalogue.load_file(tmp_path / "a" / "twin.py").PLACE == "a"
    with pytest.raises(Refused, match=r"a/twin.py and .*b/twin.py have the same name. Rename one."):
        catalogue.load_file(tmp_path / "b" / "twin.py")
    assert sys.modules.pop("tombola_use_twin").PLACE == "a"


def test_a_file_that_raises_counts_as_not_loaded(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(catalogue, "FILES", {})
    (tmp_path / "raises.py").write_text("raise LookupError('mine')\n")
    with pytest.raises(LookupError, match="mine"):
        catalogue.load_file(tmp_path / "raises.py")
    assert catalogue.FILES == {}
    sys.modules.pop("tombola_use_raises", None)

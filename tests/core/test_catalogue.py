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
    assert str(catalogue.find_entry("interface", kind="interface")) == "interface(inputs, classes)"
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

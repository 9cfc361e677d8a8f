import errno
import os
import pathlib
import resource
import stat
from typing import Any

import pytest

from tombola.core import files
from tombola.core.errors import Damaged, Failed


@pytest.fixture
def place(tmp_path: pathlib.Path) -> pathlib.Path:
    """A file that is there already."""
    path = tmp_path / "a.ticket"
    path.write_bytes(b"old")
    return path


def full(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("function", ["fsync", "replace", "fdopen"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    function: str, place: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, function, full)
    with pytest.raises(Failed) as caught:
        files.write_bytes(place, b"new")
    assert str(caught.value) == (
        f"cannot write {place}: No space left on device. Free space there or name another place; what was there before "
        "is unchanged."
    )
    assert place.read_bytes() == b"old"
    assert os.listdir(place.parent) == ["a.ticket"]


def test_a_write_that_is_cut_short(place: pathlib.Path):
    """The system itself stops the write in the middle: a limit on the size of files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(Failed, match="cannot write .*: File too large."):
            files.write_bytes(place, b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert place.read_bytes() == b"old" and os.listdir(place.parent) == ["a.ticket"]


def test_an_interrupt_leaves_nothing_behind(place: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.write_bytes(place, b"new")
    assert place.read_bytes() == b"old" and os.listdir(place.parent) == ["a.ticket"]


def test_what_is_renamed_was_flushed_first(place: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    order: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (order.append("fsync"), fsync(handle)))
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append("replace"), replace(a, b)))
    assert files.write_bytes(place, b"new") == place
    assert order == ["fsync", "replace"] and place.read_bytes() == b"new"


def test_a_new_file_is_like_any_other(tmp_path: pathlib.Path):
    (tmp_path / "plain").write_bytes(b"")
    made = files.write_bytes(tmp_path / "deep" / "er" / "made", b"")
    assert stat.S_IMODE(made.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert files.write_bytes(tmp_path / ("n" * 250), b"x").read_bytes() == b"x"


def test_places_that_cannot_be_written(tmp_path: pathlib.Path, place: pathlib.Path):
    for bad in (tmp_path, place / "under_a_file", pathlib.Path("/proc/none/x")):
        with pytest.raises(Failed, match="cannot write"):
            files.write_bytes(bad, b"x")
        with pytest.raises(Failed, match="cannot write"):
            files.check_writable(bad)
    files.check_writable(tmp_path / "new" / "file")
    files.check_writable(place)
    assert place.read_bytes() == b"old"


def test_files_that_cannot_be_read(tmp_path: pathlib.Path):
    with pytest.raises(Damaged, match="cannot read .*absent: No such file or directory."):
        files.read_bytes(tmp_path / "absent")
    with pytest.raises(Damaged, match="cannot read .*: Is a directory."):
        files.read_bytes(tmp_path)


@pytest.mark.parametrize("there", ["old", "nothing"])
def test_a_link_is_followed_and_stays(there: str, tmp_path: pathlib.Path):
    target, link = tmp_path / "kept" / "a.ticket", tmp_path / "a.ticket"
    link.symlink_to(tmp_path / "again")
    (tmp_path / "again").symlink_to(target)
    if there == "old":
        target.parent.mkdir()
        target.write_bytes(b"old")
    files.check_writable(link)
    assert files.write_bytes(link, b"new") == link
    assert link.is_symlink() and not target.is_symlink() and target.read_bytes() == b"new"
    assert os.listdir(target.parent) == ["a.ticket"]


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_over_what_is_no_file_nothing_is_written(kind: str, tmp_path: pathlib.Path):
    path = tmp_path / "out"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(os.devnull)
    before = path.lstat()
    for write in (files.check_writable, lambda place: files.write_bytes(place, b"new")):
        with pytest.raises(Failed) as caught:
            write(path)
        assert str(caught.value) == f"cannot write {path}: it is no plain file. Name one, or a place for a new one."
    assert path.lstat() == before and os.listdir(tmp_path) == ["out"]


def test_links_that_lead_nowhere(tmp_path: pathlib.Path):
    (tmp_path / "a").symlink_to(tmp_path / "a")
    for write in (files.check_writable, lambda place: files.write_bytes(place, b"new")):
        with pytest.raises(Failed, match="cannot write .*: Too many levels of symbolic links."):
            write(tmp_path / "a")

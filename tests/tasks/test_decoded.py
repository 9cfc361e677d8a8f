import os
from pathlib import Path

import numpy as np
import pytest

from tombola.tasks import decoded
from tombola.tasks.arrays import Arrays, digest


def arrays() -> Arrays:
    images = np.arange(16, dtype=np.uint8).reshape(4, 2, 2, 1)
    return Arrays(images, np.array([0, 1, 2, 3]), images[:1], np.array([3]), classes=4)


@pytest.fixture(autouse=True)
def _own_folder(alone: Path) -> None:
    pass


def test_a_set_comes_back():
    found = digest(arrays())
    assert decoded.write("x", arrays(), found)
    back, again = decoded.read("x") or pytest.fail("nothing was kept")
    assert again == found == digest(back)
    assert back.classes == 4 and back.train_labels.tolist() == [0, 1, 2, 3]
    assert decoded.recorded("x") == (found, 4, 1)
    assert [p.name for p in decoded.folder().iterdir()] == ["x.safetensors"]


def test_nothing_is_there_at_first():
    assert decoded.read("x") is None
    assert decoded.recorded("x") is None


@pytest.mark.parametrize("at", [-1, -30, -50, 3, 200])
def test_a_flipped_byte_anywhere_means_decoding_again(at: int):
    decoded.write("x", arrays(), digest(arrays()))
    content = bytearray(decoded.path("x").read_bytes())
    content[at] ^= 1
    decoded.path("x").write_bytes(content)
    assert decoded.read("x") is None


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_a_cut_file_means_decoding_again(kept: int):
    decoded.write("x", arrays(), digest(arrays()))
    decoded.path("x").write_bytes(decoded.path("x").read_bytes()[:kept])
    assert decoded.read("x") is None


def test_labels_beyond_the_classes_are_not_believed():
    decoded.write("x", arrays()._replace(classes=3), digest(arrays()))
    assert decoded.read("x") is None


def test_a_folder_that_cannot_be_made_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TOMBOLA_CACHE", str(tmp_path / "file" / "cache"))
    assert not decoded.write("x", arrays(), digest(arrays()))
    assert decoded.read("x") is None


def test_a_write_that_fails_leaves_no_trace(monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert not decoded.write("x", arrays(), digest(arrays()))
    assert list(decoded.folder().iterdir()) == []


def test_the_folder_is_the_users(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("TOMBOLA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert decoded.folder() == Path("/elsewhere/tombola")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert decoded.folder() == Path.home() / ".cache" / "tombola"

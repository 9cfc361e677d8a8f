"""The files of an artifact: packed and unpacked, the shared ones once."""

import errno
import hashlib
import os
import pathlib
from typing import Any

import pytest
import torch

from tombola.core.artifact import Parts
from tombola.core.errors import Damaged
from tombola.study import shelf

OWN, SHARED = {"w": torch.arange(6.0).reshape(2, 3).T}, {"start": torch.ones(5)}
PARTS = Parts({"level": 1}, {"own": OWN, "shared": SHARED}, ({"step": 0, "loss": 0.5},), frozenset({"shared"}))


@pytest.fixture
def home(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def kept(home: pathlib.Path) -> dict[str, Any]:
    packed = shelf.pack(PARTS, home)
    shelf.share(home.parent, packed)
    return {"header": packed.header, "groups": packed.groups, "files": packed.files}


def test_what_is_packed_is_unpacked(home: pathlib.Path):
    record = kept(home)
    assert sorted(path.name for path in home.iterdir()) == ["own.safetensors", "rows.jsonl"]
    (blob,) = (home.parent / "blobs").iterdir()
    assert blob.stem == hashlib.sha256(blob.read_bytes()).hexdigest() == record["files"][f"blobs/{blob.name}"]
    parts = shelf.unpack(home.parent, home, record, lambda path: None)
    assert parts.header == PARTS.header and parts.rows == PARTS.rows
    assert torch.equal(parts.groups["own"]["w"], OWN["w"]) and torch.equal(
        parts.groups["shared"]["start"], torch.ones(5)
    )


def test_the_size_is_that_of_the_files_of_its_own(home: pathlib.Path):
    packed = shelf.pack(PARTS, home)
    assert packed.size == sum(path.stat().st_size for path in home.iterdir()) > 0


def test_a_shared_file_that_is_there_is_touched_and_not_written_again(home: pathlib.Path):
    packed = shelf.pack(PARTS, home)
    shelf.share(home.parent, packed)
    (blob,) = (home.parent / "blobs").iterdir()
    os.utime(blob, (0, 0))
    number = blob.stat().st_ino
    shelf.share(home.parent, packed)
    assert blob.stat().st_ino == number and blob.stat().st_mtime > 10**9
    blob.unlink()
    shelf.share(home.parent, packed)
    assert blob.exists()


def test_a_damaged_shared_file_is_set_aside_and_a_damaged_own_one_stays(home: pathlib.Path):
    record, asides = kept(home), list[pathlib.Path]()
    (blob,) = (home.parent / "blobs").iterdir()
    for path, expected in ((home / "own.safetensors", []), (blob, [blob])):
        sound = path.read_bytes()
        path.write_bytes(sound[:-1])
        with pytest.raises(Damaged, match=f"{path.name} does not match its checksum"):
            shelf.unpack(home.parent, home, record, asides.append)
        assert asides == expected
        path.write_bytes(sound)
    blob.unlink()
    with pytest.raises(Damaged, match="is missing from the store"):
        shelf.unpack(home.parent, home, record, asides.append)


@pytest.mark.parametrize("name", ["header", "groups", "files"])
def test_a_record_that_lacks_a_part_is_damaged(name: str, home: pathlib.Path):
    record = kept(home)
    with pytest.raises(Damaged, match=f"has no {name}"):
        shelf.unpack(home.parent, home, record | {name: None}, lambda path: None)


def test_a_group_without_its_file_is_damaged(home: pathlib.Path):
    record = kept(home)
    with pytest.raises(Damaged, match="home cannot be read: 'other'"):
        shelf.unpack(home.parent, home, record | {"groups": {"own": "other"}}, lambda path: None)


def test_writing_leaves_the_old_file_or_the_new_and_nothing_beside(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "file"
    shelf.write(path, b"old")

    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shelf.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        shelf.write(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
    monkeypatch.undo()
    shelf.write(path, b"new")
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]

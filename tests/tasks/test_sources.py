import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet
import pytest

from tombola.core.errors import Damaged, Refused, UnknownName
from tombola.core.text import parse
from tombola.tasks import decoded, hubfiles, sources
from tombola.tasks.arrays import digest
from tombola.tasks.sources import Source


def own(alone: Path, **fields: object) -> Source:
    return Source(name="own", folder="own", **{"channels": 3} | fields)


def test_a_folder_is_read_whole_and_in_order(alone: Path, tiny: Callable[..., dict]):
    written = tiny(alone / "data" / "own")
    arrays, found = sources.load(own(alone))
    assert (arrays.train_images == written["train"][0]).all() and arrays.train_labels.tolist() == written["train"][1]
    assert (arrays.test_images == written["test"][0]).all() and arrays.test_labels.tolist() == written["test"][1]
    assert arrays.classes == 5 and found == digest(arrays)


def test_a_set_is_decoded_once(alone: Path, tiny: Callable[..., dict], monkeypatch: pytest.MonkeyPatch):
    tiny(alone / "data" / "own")
    first = sources.load(own(alone))
    monkeypatch.setattr(hubfiles, "read_set", lambda *_, **__: pytest.fail("decoded again"))
    assert sources.load(own(alone))[1] == first[1]


@pytest.mark.parametrize("times", [1, 2])
def test_arrays_may_be_written_whether_decoded_now_or_before(alone: Path, tiny: Callable[..., dict], times: int):
    """PyTorch warns of arrays that may not: once in a process, at whichever set comes first."""
    tiny(alone / "data" / "own")
    for _ in range(times):
        arrays, _ = sources.load(own(alone))
    assert all(array.flags.writeable for array in arrays[:4])


def test_a_changed_folder_is_read_again(alone: Path, tiny: Callable[..., dict]):
    tiny(alone / "data" / "own")
    first = sources.load(own(alone))[1]
    tiny(alone / "data" / "own", train=24)
    assert sources.load(own(alone))[1] != first


def test_a_damaged_copy_is_made_again(alone: Path, tiny: Callable[..., dict], caplog: pytest.LogCaptureFixture):
    tiny(alone / "data" / "own")
    first = sources.load(own(alone))[1]
    (copy,) = decoded.folder().iterdir()
    sound = copy.read_bytes()
    copy.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    assert sources.load(own(alone))[1] == first
    assert "damaged" in caplog.text
    assert (decoded.read(copy.stem) or pytest.fail("not made again"))[1] == first


def test_a_cache_that_cannot_be_written_only_costs_time(
    alone: Path, tiny: Callable[..., dict], monkeypatch: pytest.MonkeyPatch
):
    (alone / "file").write_text("")
    monkeypatch.setenv("TOMBOLA_CACHE", str(alone / "file" / "below"))
    tiny(alone / "data" / "own")
    assert sources.load(own(alone))[0].classes == 5


def test_nothing_is_left_in_the_cache_of_datasets(alone: Path, tiny: Callable[..., dict]):
    tiny(alone / "data" / "own")
    sources.load(own(alone))
    assert not any(Path(datasets.config.HF_DATASETS_CACHE).glob("own*"))


def test_progress_bars_are_as_they_were(alone: Path, tiny: Callable[..., dict], capfd: pytest.CaptureFixture[str]):
    datasets.enable_progress_bars()
    tiny(alone / "data" / "own")
    capfd.readouterr()
    sources.load(own(alone))
    assert capfd.readouterr() == ("", "")
    assert not datasets.are_progress_bars_disabled()


def test_missing_data_name_every_place_and_way_out(alone: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hubfiles, "_reachable", lambda: False)
    with pytest.raises(Refused) as told:
        sources.load(parse("task", "mnist").source())
    assert str(told.value) == (
        f"mnist is not on this machine. Tried: folder {alone / 'data' / 'mnist'}; the user's cache; hub id "
        "'ylecun/mnist' (cannot be reached). Set TOMBOLA_DATA to a folder that holds mnist/, or connect to a network, "
        "or use the task 'digits', which needs neither."
    )
    monkeypatch.delenv("TOMBOLA_DATA")
    with pytest.raises(
        Refused, match=r"Tried: folder cifar100_subset \(TOMBOLA_DATA is not set\)\. Set TOMBOLA_DATA to"
    ):
        sources.load(parse("task", "cifar100_subset").source())


def test_an_empty_folder_holds_nothing(alone: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hubfiles, "_reachable", lambda: False)
    (alone / "data" / "usps").mkdir()
    with pytest.raises(Refused, match="usps is not on this machine"):
        sources.load(parse("task", "usps").source())


def test_a_wrong_digest_is_refused(alone: Path, tiny: Callable[..., dict]):
    tiny(alone / "data" / "own")
    with pytest.raises(Damaged, match=r"have the digest [0-9a-f]{64}, expected is f00d\. .*hub\(id='own', \.\.\.\)"):
        sources.load(own(alone, pinned="f00d"))
    assert not decoded.folder().exists()


def test_a_part_of_a_known_set_is_refused(alone: Path, tiny: Callable[..., dict]):
    tiny(alone / "data" / "svhn", side=32)
    source = dataclasses.replace(parse("task", "svhn").source(), config="")
    with pytest.raises(Damaged, match="have 23 training and 9 test pictures, the set has 73,257 and 26,032"):
        sources.load(source)


def test_one_changed_pixel_of_a_known_set_is_refused(alone: Path, real: Path):
    shutil.copytree(real / "usps", alone / "data" / "usps")
    path = alone / "data" / "usps" / "test-00000-of-00001.parquet"
    table = pyarrow.parquet.read_table(path)
    rows = table["image"].to_pylist()
    rows[7] = rows[8]
    column = pyarrow.array(rows, type=table.schema.field("image").type)
    pyarrow.parquet.write_table(table.set_column(table.schema.get_field_index("image"), "image", column), path)
    with pytest.raises(Damaged, match="usps: the data from the folder .* have the digest"):
        sources.load(parse("task", "usps").source())


@pytest.mark.parametrize("damage", ["cut", "noise", "empty"])
def test_a_corrupt_file_is_one_clear_message(alone: Path, tiny: Callable[..., dict], damage: str):
    tiny(alone / "data" / "own")
    path = alone / "data" / "own" / "train-00000-of-00001.parquet"
    content = path.read_bytes()
    path.write_bytes({"cut": content[:-40], "noise": bytes(len(content)), "empty": b""}[damage])
    with pytest.raises(Damaged, match=r"own: a file of .*own cannot be read .* Copy the set again\."):
        sources.load(own(alone))


def test_a_picture_that_cannot_be_decoded_is_named(alone: Path):
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    for split in ("train", "test"):
        columns = {"image": [{"bytes": b"no picture", "path": None}], "label": [0]}
        (alone / "data" / "own").mkdir(exist_ok=True)
        part = datasets.Dataset.from_dict(columns, features=kinds)
        part.to_parquet(str(alone / "data" / "own" / f"{split}-00000-of-00001.parquet"))
    with pytest.raises(Damaged, match="own: picture 0 of train cannot be decoded"):
        sources.load(own(alone))


def test_a_missing_column_names_those_there(alone: Path, tiny: Callable[..., dict]):
    tiny(alone / "data" / "own", image="img")
    with pytest.raises(
        UnknownName, match=r"no column of own called 'image'\. Did you mean 'img'\? Known: img, label\."
    ):
        sources.load(own(alone))


def test_a_column_of_another_kind_names_those_that_fit(alone: Path, tiny: Callable[..., dict]):
    tiny(alone / "data" / "own")
    with pytest.raises(Refused, match=r"column 'label' holds int64, not images\. Columns of images: image\."):
        sources.load(own(alone, image="label"))
    with pytest.raises(Refused, match=r"column 'image' holds .*, not whole-number labels\. .*: label\."):
        sources.load(own(alone, label="image"))


def test_a_missing_split_names_those_there(alone: Path, tiny: Callable[..., dict]):
    tiny(alone / "data" / "own")
    with pytest.raises(UnknownName, match=r"called 'tset'\. Did you mean 'test'\? Known: test, train\."):
        sources.load(own(alone, test="tset"))


def test_sizes_that_differ_ask_for_a_size(alone: Path, tiny: Callable[..., dict]):
    tiny(alone / "data" / "own")
    tiny(alone / "other", side=6)
    shutil.copy(alone / "other" / "test-00000-of-00001.parquet", alone / "data" / "own")
    with pytest.raises(Refused, match="train are 8 x 8, those of test 6 x 6. Give a size"):
        sources.load(own(alone))
    assert sources.load(own(alone, side=5))[0].test_images.shape == (9, 5, 5, 3)


def test_examples_without_label_are_refused(alone: Path, png: Callable[[np.ndarray], bytes]):
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    (alone / "data" / "own").mkdir()
    for split in ("train", "test"):
        columns = {"image": [{"bytes": png(np.zeros((4, 4), np.uint8)), "path": None}] * 2, "label": [0, -1]}
        part = datasets.Dataset.from_dict(columns, features=kinds)
        part.to_parquet(str(alone / "data" / "own" / f"{split}-00000-of-00001.parquet"))
    with pytest.raises(Refused, match="'train' has examples without a label"):
        sources.load(own(alone))

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

from tombola.core.errors import Refused, UnknownName
from tombola.core.layout import Interface
from tombola.core.seeds import Seeds
from tombola.core.text import parse
from tombola.tasks import hubfiles, sources
from tombola.tasks.arrays import statistics


class Hub:
    """Stands in for the hub: `load_dataset` answers from a folder and notes what it was asked."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *, cache: Path) -> None:
        self.folder, self.cache, self.asked, self.real = folder, cache, [], datasets.load_dataset
        monkeypatch.setattr(datasets, "load_dataset", self.load)
        monkeypatch.setattr(hubfiles, "_reachable", lambda: True)

    def load(self, path: str, **words: Any) -> Any:
        self.asked.append((path, words["name"]))
        return self.real(str(self.folder), cache_dir=str(self.cache), split=words["split"])


def test_a_set_of_the_hub(alone: Path, tiny: Callable[..., dict], monkeypatch: pytest.MonkeyPatch):
    written = tiny(alone / "far", image="picture", label="kind")
    hub = Hub(alone / "far", monkeypatch, cache=alone / "hub_cache")
    task = parse("task", "hub(id='someone/pictures', config='small', image='picture', label='kind')")
    assert task.io == Interface(inputs=(3, 8, 8), classes=5)
    assert task.train_size() == 23
    assert task.own_constants() == statistics(written["train"][0])
    assert task.batch(0, seeds=Seeds(), size=4)[0].shape == (4, 3, 8, 8)
    assert hub.asked == [("someone/pictures", "small")]  # Once: then the decoded copy serves.


def test_a_known_set_of_the_hub_is_asked_by_its_id_and_checked(
    alone: Path, monkeypatch: pytest.MonkeyPatch, real: Path
):
    hub = Hub(real / "usps", monkeypatch, cache=alone / "hub_cache")
    task = parse("task", "usps")
    assert sources.load(task.source())[1] == task.__identity__()["data"]
    assert hub.asked == [("flwrlabs/usps", None)]


def test_the_users_cache_comes_before_the_hub(alone: Path, monkeypatch: pytest.MonkeyPatch, real: Path):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", alone / "cache")
    monkeypatch.setattr(sources, "_hub_cache", lambda: alone / "cache")
    monkeypatch.setattr(hubfiles, "_reachable", lambda: pytest.fail("the hub was asked"))
    datasets.load_dataset(str(real / "usps"), cache_dir=str(alone / "cache"))
    (alone / "cache" / "usps").rename(alone / "cache" / "flwrlabs___usps")
    task = parse("task", "usps")
    assert sources.locate(task.source()) == ("cache", "flwrlabs/usps")
    assert sources.load(task.source())[1] == task.__identity__()["data"]
    assert not datasets.config.HF_HUB_OFFLINE


def test_an_unknown_id_says_so(alone: Path, monkeypatch: pytest.MonkeyPatch):
    def missing(*_: Any, **__: Any) -> None:
        raise datasets.exceptions.DatasetNotFoundError("Dataset 'a/b' doesn't exist on the Hub or cannot be accessed.")

    monkeypatch.setattr(datasets, "load_dataset", missing)
    monkeypatch.setattr(hubfiles, "_reachable", lambda: True)
    with pytest.raises(Refused, match=r"hub id 'a/b' \(no such data set on the hub, or no access to it\)"):
        parse("task", "hub(id='a/b')").train_size()


def test_a_missing_configuration_is_told_as_datasets_tells_it(alone: Path, monkeypatch: pytest.MonkeyPatch):
    def many(*_: Any, **__: Any) -> None:
        raise ValueError("Config name is missing.\nPlease pick one among the available configs: ['x', 'y']")

    monkeypatch.setattr(datasets, "load_dataset", many)
    monkeypatch.setattr(hubfiles, "_reachable", lambda: True)
    with pytest.raises(Refused, match=r"a/b cannot be loaded: Config name is missing\. .* \['x', 'y'\]"):
        parse("task", "hub(id='a/b')").train_size()


def test_no_name_server_no_waiting(monkeypatch: pytest.MonkeyPatch):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(hubfiles.hub_config, "HF_ENDPOINT", "https://nowhere.invalid")
    assert not hubfiles._reachable()
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid")
    assert hubfiles._reachable()
    monkeypatch.setattr(hubfiles.hub_config, "HF_HUB_OFFLINE", True)
    assert not hubfiles._reachable()


def test_a_folder_of_pictures(alone: Path):
    for split in ("train", "test"):
        for kind in ("cat", "dog"):
            folder = alone / "mine" / split / kind
            folder.mkdir(parents=True)
            for i in range(3):
                pixels = np.full((10, 6 + i, 3), 100 * (kind == "dog"), np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    task = parse("task", f"hub(id='{alone / 'mine'}', size=4, channels=1, normalise='none')")
    assert task.io == Interface(inputs=(1, 4, 4), classes=2)
    inputs, targets = next(task.evaluation("test"))
    assert inputs[:, 0, 0, 0].mul(255).round().tolist() == [100 * int(t) for t in targets]
    with pytest.raises(Refused, match=r"picture \d of train is 7 x 10, the first is 6 x 10\. Give a size\."):
        parse("task", f"hub(id='{alone / 'mine'}')").train_size()


def test_oblong_pictures_ask_for_a_size(alone: Path):
    for place in ("train/cat", "train/dog", "test/cat", "test/dog"):
        (alone / "mine" / place).mkdir(parents=True)
        Image.new("L", (6, 4)).save(alone / "mine" / place / "0.png")
    with pytest.raises(Refused, match="pictures are 6 x 4, not square"):
        parse("task", f"hub(id='{alone / 'mine'}')").train_size()


def test_sixteen_bits_are_refused_and_not_clipped(alone: Path):
    for place in ("train/cat", "train/dog", "test/cat", "test/dog"):
        (alone / "mine" / place).mkdir(parents=True)
        Image.fromarray(np.full((4, 4), 4000, np.uint16)).save(alone / "mine" / place / "0.png")
    with pytest.raises(Refused, match="more than 8 bits a channel"):
        parse("task", f"hub(id='{alone / 'mine'}')").train_size()


def test_parts_of_a_split(alone: Path, tiny: Callable[..., dict]):
    written = tiny(alone / "data" / "mine", train=20)
    task = parse("task", "hub(id='mine', train='train[:75%]', test='train[75%:]')")
    arrays, _ = sources.load(task.source())
    assert (arrays.train_images == written["train"][0][:15]).all()
    assert (arrays.test_images == written["train"][0][15:]).all()


def test_testing_on_training_examples_is_refused():
    with pytest.raises(Refused, match="train and test are both 'train'"):
        parse("task", "hub(id='a/b', test='train')")


def test_what_decides_the_data_decides_the_identity(alone: Path, tiny: Callable[..., dict]):
    tiny(alone / "data" / "mine")
    tiny(alone / "data" / "more", train=24)
    shutil.copytree(alone / "data" / "mine", alone / "data" / "same")
    one, more, same = (parse("task", f"hub(id='{name}')").__identity__() for name in ("mine", "more", "same"))
    assert one == same != more


HOSTILE = [
    "",
    " ",
    "a/b/c",
    "../../etc\n",
    "a\0b",
    "owner/na me",
    "owner/../x",
    "owner/a--b",
    "hf://datasets/a/b",
    "https://example.com/a",
    "buckets/a",
    "owner/script.py",
    "-a/b",
    "a/" + "b" * 200,
    "a;rm -rf/b",
    "ä/b",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_ids_are_refused_by_their_form(text: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: pytest.fail("was asked"))
    with pytest.raises(Refused, match="neither a hub id, nor a path, nor the name of a folder"):
        parse("task", f"hub(id={text!r})")


@pytest.mark.parametrize("text", ["csv", "imagefolder", "cache", "../nowhere", "/nowhere", "~/nowhere/at/all"])
def test_names_of_builders_and_absent_paths_never_reach_the_loader(
    alone: Path, text: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: pytest.fail("was asked"))
    with pytest.raises(Refused, match="is not on this machine"):
        parse("task", f"hub(id={text!r})").train_size()


def test_a_folder_does_not_pass_for_the_hub(alone: Path, tiny: Callable[..., dict], monkeypatch: pytest.MonkeyPatch):
    tiny(alone / "someone" / "pictures")
    monkeypatch.chdir(alone)
    with pytest.raises(Refused, match="would be read in place of the hub's"):
        parse("task", "hub(id='someone/pictures')").train_size()


def test_a_missing_id_is_said():
    with pytest.raises(UnknownName, match="field of hub"):
        parse("task", "hub(name='a/b')")
    with pytest.raises(Refused, match="hub needs id"):
        parse("task", "hub")

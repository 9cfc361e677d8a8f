"""The study of pictures on a folder of one's own, with a column of domains."""

import io
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tests.studies.pretence import assert_shown, done
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.studies import shift_images
from tombola.study.module import open_study
from tombola.train.recipe import Recipe

SITES = ("north", "south", "west")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Handwritten digits that three sites have scanned, each a little darker than the one before."""
    folder = tmp_path_factory.mktemp("own") / "scans"
    folder.mkdir()
    pictures, labels = load_digits(return_X_y=True)
    kinds = {"image": datasets.Image(), "label": datasets.ClassLabel(num_classes=10), "site": datasets.Value("string")}
    for split, rows in (("train", range(300)), ("test", range(300, 420))):
        columns = {
            "image": [{"bytes": png(pictures[i] * (12 - 3 * (i % 3))), "path": None} for i in rows],
            "label": [int(labels[i]) for i in rows],
            "site": [SITES[i % 3] for i in rows],
        }
        part = datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))
        part.to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))
    return folder


def png(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values.reshape(8, 8).astype(np.uint8)).save(file, format="PNG")
    return file.getvalue()


def study(folder: Path, more: str = "") -> Any:
    named = f"on=own, id='{folder}', group='site', sources=('north',), targets=('south', 'west'), channels=1"
    return open_study(f"shift_images({named}, seeds=(0, 1), rounds=4, transfer=(1, 4){more})")


def test_each_site_is_a_domain(folder: Path):
    album = shift_images.Album("own", str(folder), "site", channels=1)
    counts = {site: album.task(site).train_size() for site in SITES}
    assert counts == dict.fromkeys(SITES, 100)
    assert album.task("north").io.inputs == (1, 8, 8)
    means = [album.task(site).used_constants()[0][0] for site in SITES]
    assert means[0] > means[1] > means[2]


def test_grey_pictures_get_a_lenet_and_coloured_ones_a_resnet(folder: Path):
    grey, coloured = (shift_images.Album("own", str(folder), "site", channels=n) for n in (1, 3))
    assert shift_images.Seen(0, 2, "north", grey).arch() == Mlp()
    assert shift_images.Seen(0, 2, "north", coloured).arch() == ResNet(depth=14, width=8)
    assert (coloured.task("north").crop, coloured.task("north").flip, grey.task("north").flip) == (2, "yes", "no")


def test_it_runs_from_end_to_end(folder: Path, monkeypatch: pytest.MonkeyPatch):
    few_steps = Recipe(batch=20, steps=2, evaluate=2, validation=0.125, select="best")
    monkeypatch.setattr(shift_images.Seen, "recipe", property(lambda self: few_steps))
    monkeypatch.setattr(shift_images.Seen, "arch", lambda self: Mlp(hidden=(12, 6)))
    monkeypatch.setattr(shift_images, "SEVERITIES", (1,))
    found = study(folder, ", parts=('outcomes', 'masks', 'shift', 'borrowed')")
    assert_shown(found)
    rows = done(found)
    carried = {row.labels["pair"] for row in rows if row.labels.get("figure") == "4"}
    assert carried == {"north to south", "north to west"}
    assert not [row for row in rows if row.labels.get("probe") == "detection"]  # Nothing strange is at hand.
    (apart,) = [row for row in rows if row.labels.get("probe") == "shift" and "south and west" in row.labels.values()]
    assert apart.numbers["examples"] == 100


def test_one_source_of_the_known_sets(folder: Path):
    text = "shift_images(on=turned, sources=('upright',), targets=('by_30',), seeds=(0,), rounds=4, parts=())"
    goals = open_study(text).goals()
    assert {goal.labels["pair"] for goal in goals if "pair" in goal.labels} == {"upright to by_30"}
    assert {goal.labels["domain"] for goal in goals if "domain" in goal.labels} == {"upright", "by_30", "all"}

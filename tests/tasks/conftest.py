"""Decoded sets go to a folder of the test session; `tiny` writes a small set in the hub's layout."""

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tombola.tasks import images, reweighted, wrapped


def forget() -> None:
    for cached in (images.prepared, images.facts, images.way, wrapped.clean, reweighted.rows):
        cached.cache_clear()


@pytest.fixture(scope="session", autouse=True)
def _decoded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOMBOLA_CACHE", str(tmp_path_factory.mktemp("decoded")))
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hub")))
        yield


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real data that the tests were started with."""
    return Path(os.environ["TOMBOLA_DATA"])


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, real: Path) -> Iterator[Path]:
    """A machine without any data: empty data folder and cache, nothing in memory."""
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("TOMBOLA_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TOMBOLA_CACHE", str(tmp_path / "cache"))
    forget()
    yield tmp_path
    forget()


@pytest.fixture(name="png")
def _png() -> Callable[[np.ndarray], bytes]:
    return png


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


@pytest.fixture
def tiny(tiny_writer: Callable[..., None]) -> Callable[..., None]:
    return tiny_writer


@pytest.fixture(scope="session")
def tiny_writer() -> Callable[..., None]:
    """Write a set of random pictures: tiny_writer(folder, image=..., label=..., side=..., train=..., test=...)."""

    def write(
        folder: Path, *, image: str = "image", label: str = "label", side: int = 8, train: int = 23, test: int = 9
    ) -> dict[str, tuple[np.ndarray, list[int]]]:
        import datasets

        folder.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(0)
        written = {}
        for split, number in (("train", train), ("test", test)):
            pixels = random.integers(0, 256, (number, side, side, 3), dtype=np.uint8)
            labels = [i % 5 for i in range(number)]
            columns = {image: [{"bytes": png(p), "path": None} for p in pixels], label: labels}
            kinds = datasets.Features({image: datasets.Image(), label: datasets.ClassLabel(names=list("abcde"))})
            part = datasets.Dataset.from_dict(columns, features=kinds)
            part.to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))
            written[split] = pixels, labels
        return written

    return write

"""Small sets of reviews in the hub's layout, for tests of text tasks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

GOOD = ("good", "great", "lovely", "fine", "superb")
BAD = ("bad", "awful", "poor", "dull", "broken")
ABOUT = {"books": ("novel", "page", "story"), "tools": ("hammer", "drill", "saw")}


def review(random: np.random.Generator, domain: str, label: int) -> str:
    """A text of its domain's words, and those that praise or blame."""
    words = [
        *random.choice(ABOUT[domain], 3),
        *random.choice(GOOD if label else BAD, random.integers(1, 9)),
        "the",
        "a",
    ]
    return " ".join(random.permutation(words)) + f" number {random.integers(10**6)}"


def reviews(number: int, *, seed: int = 0, domains: Sequence[str] = ("books", "tools")) -> dict[str, list[object]]:
    """Columns text, label and domain, both classes alike."""
    random = np.random.default_rng(seed)
    rows = [(domain, label) for domain in domains for label in (0, 1) for _ in range(number // 2)]
    order = random.permutation(len(rows))
    return {
        "text": [review(random, *rows[at]) for at in order],
        "label": [rows[at][1] for at in order],
        "domain": [rows[at][0] for at in order],
    }


def write(folder: Path, **splits: dict[str, list[object]]) -> Path:
    """A parquet file for each split."""
    import datasets

    folder.mkdir(parents=True, exist_ok=True)
    for split, columns in splits.items():
        datasets.Dataset.from_dict(columns).to_parquet(folder / f"{split}-00000-of-00001.parquet")
    return folder

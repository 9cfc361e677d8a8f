"""The keys of the shipped studies' rows: a refactor that changes one orphans what everybody has stored under it.

A failure here means that a study, a step, a default or the canonical form changed. If that was meant, write the new
keys and say so in the commit:

    TOMBOLA_GOLDEN=write .venv/bin/python -m pytest tests/studies/test_golden.py
"""

import hashlib
import json
import os
import pathlib

import pytest

from tombola.study.goals import Goal
from tombola.study.graph import graph_of
from tombola.study.module import open_study
from tombola.study.shipped import shipped

GOLDEN = pathlib.Path(__file__).with_name("golden_rows.json")
SMALL = {
    "rivals": "(densities=(0.1,), seeds=(1,))",
    "elastic_cifar": "(levels=(1,), seeds=(1,))",
    "shift_images": "(rounds=4, transfer=(4,), seeds=(1,), parts=('controls', 'shift'))",
    "shift_reviews": "(rounds=4, transfer=(4,), seeds=(1,), sources=('books',), targets=('dvd',), parts=('controls',))",
    "stability_conv4": "(rounds=1, seeds=(1,))",
    "stability_lenet": "(rounds=2, seeds=(1,))",
    "stability_resnet20": "(rounds=1, seeds=(1,))",
}
ARMS = ("name", "arm", "rival", "part", "to", "changed", "stats", "exactly", "moment")
LEVELS = "(levels=1, seeds=(1,))"


def rows_of(text: str, goals: tuple[Goal, ...] = ()) -> dict[str, str]:
    """The key of each row, by its labels."""
    goals = goals or tuple(open_study(text).goals())
    return {" ".join(f"{n}={v}" for n, v in goal.labels.items()): goal.of.key for goal in goals}


def digest(goals: tuple[Goal, ...]) -> str:
    """Of all rows of a study, and of all calls behind them."""
    graph = graph_of(goals)
    return hashlib.sha256(json.dumps([rows_of("", goals), sorted(graph.calls)]).encode()).hexdigest()


@pytest.mark.parametrize("name", shipped())
def test_the_keys_of_shipped_studies(name: str):
    study = open_study(name)
    goals = tuple(study.goals())
    found = {"small": rows_of(name + SMALL.get(name, LEVELS)), "whole": digest(goals)}
    arms = {value for goal in goals for label, value in goal.labels.items() if label in ARMS}
    assert arms <= study.names.keys(), "what an arm is called has to be explained in _names"
    known = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if os.environ.get("TOMBOLA_GOLDEN") == "write":
        GOLDEN.write_text(json.dumps({**known, name: found}, indent=2, sort_keys=True) + "\n")
        return
    assert found["small"] == known[name]["small"]
    assert found["whole"] == known[name]["whole"], "one of the levels or seeds that 'small' leaves out"


def test_settings_at_their_defaults_change_nothing():
    assert rows_of("quickstart") == rows_of("quickstart(levels=10, keep=0.65, seeds=(0, 1, 2))")
    small, whole = rows_of("quickstart(levels=3, seeds=(1,))"), rows_of("quickstart")
    shared = [name for name in small if "probe=proof" not in name]  # The proofs are of the last level.
    assert len(shared) == 14 and all(whole[name] == small[name] for name in shared)

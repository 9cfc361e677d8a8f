"""The public names: all there, stronger than submodules of the same name, free until used, and hermetic."""

import json
import os
import pathlib
import subprocess
import sys
import types
from typing import Any

import pytest
from beartype.roar import BeartypeCallHintParamViolation

import tombola
from tombola.probes.barrier import spaced
from tombola.study.step import Step

ROOT = pathlib.Path(tombola.__file__).parents[1]
SUBMODULES = ("find", "prune", "train", "verify")


def python(program: str, *words: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", tombola.__all__)
def test_a_public_name_is_there(name: str):
    value = getattr(tombola, name)
    assert not isinstance(value, types.ModuleType)
    assert value.__name__ == name
    assert (value.__doc__ or "").strip() if not isinstance(value, Step) else value.function.__doc__
    assert name in dir(tombola)


def test_the_names_fit_on_a_screen():
    assert tombola.__all__ == sorted(set(tombola.__all__))
    assert 25 <= len(tombola.__all__) <= 55
    for name in (
        "find",
        "draw",
        "train",
        "cut",
        "carry",
        "verify",
        "Ticket",
        "Mask",
        "Recipe",
        "Seeds",
        "Store",
        "now",
    ):
        assert name in tombola.__all__


def test_what_editors_see_is_what_there_is():
    """The names under TYPE_CHECKING are those that are imported when used."""
    source = pathlib.Path(tombola.__file__).read_text()
    block = source.partition("if TYPE_CHECKING:")[2].partition("\n\n")[0]
    listed = {line.split(" as ")[1]: line.split()[1] for line in block.splitlines() if " as " in line}
    assert listed == tombola._HOME


def test_importing_the_package_imports_nothing_heavy():
    program = "import sys, tombola; dir(tombola); print({'torch', 'numpy', 'datasets'} & set(sys.modules) or 'nothing')"
    assert python(program).strip() == "nothing"


def test_public_names_win_over_submodules_in_any_order():
    program = """
import importlib, json, sys
import torch
answers = []
for order in json.loads(sys.argv[1]):
    for name in [name for name in sys.modules if name == "tombola" or name.startswith("tombola.")]:
        del sys.modules[name]
    for name in order:
        exec(name)
    import tombola, tombola.find, tombola.train.loop, tombola.prune, tombola.verify
    answers.append([type(getattr(tombola, name)).__name__ for name in ("find", "train", "prune", "verify")])
    assert importlib.import_module("tombola.find").find is tombola.find
    assert importlib.import_module("tombola.verify").verify is tombola.verify
print(json.dumps(answers))
"""
    orders = [
        ["import tombola"],
        ["from tombola import find, train, prune, verify"],
        ["import tombola.verify", "from tombola import verify", "assert callable(verify)"],
        ["import tombola.find, tombola.train.loop", "from tombola import train, find", "assert callable(train)"],
        ["from tombola.verify import verify", "import tombola", "assert tombola.verify is verify"],
        ["from tombola import *", "assert callable(find) and callable(train) and callable(prune)"],
    ]
    kinds = ["function", "Step", "function", "function"]
    assert json.loads(python(program, json.dumps(orders))) == [kinds] * len(orders)


def test_everything_imports_without_torchvision_and_without_a_network():
    """The newest torch for a CPU and the torchvision beside it often do not fit; and clusters have no network."""
    program = """
import importlib, pkgutil, socket, sys

for name in ("torchvision", "matplotlib"):
    sys.modules[name] = None  # Importing it fails, as where it is not installed.

def blocked(*words, **named):
    raise AssertionError("the network was asked")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = blocked
import tombola
names = [found.name for found in pkgutil.walk_packages(tombola.__path__, "tombola.") if "__main__" not in found.name]
for name in names:
    importlib.import_module(name)
for name in tombola.__all__:
    getattr(tombola, name)
print(len(names))
"""
    assert int(python(program)) > 60


def test_types_are_checked_while_tests_run():
    wrong: Any = "3"
    with pytest.raises(BeartypeCallHintParamViolation, match=r"spaced\(\) parameter points='3'"):
        spaced(wrong, 0.0)

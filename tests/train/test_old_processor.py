"""A processor without AVX2: everything works, with other roundings."""

import json
import os
import subprocess
import sys

import pytest

SCRIPT = """
import json, torch
torch.set_num_threads(1)
from tests.train.toys import IMAGES, Convs, Points, a_ticket
from tombola.archs.mlp import Mlp
from tombola.core.machine import Machine
from tombola.core.seeds import Seeds
from tombola.doctor import examine
from tombola.study.environment import environment
from tombola.train.loop import train
from tombola.train.optimizers import Adam, Sgd
from tombola.train.recipe import Recipe

found = {"told": [one.detail for one in examine() if one.name == "vector units"][0]}
found["environment"] = environment(Machine())["device"]
for name, arch, task, optimizer in (
    ("linear", Mlp(hidden=(8,)), Points(), Adam(lr=0.01)),
    ("convs", Convs(), IMAGES, Sgd(lr=0.05, decay=0.01)),
):
    recipe = Recipe(steps=20, batch=5, optimizer=optimizer)
    trained = train(a_ticket(arch, task), task, recipe, Seeds())
    assert all(trained.checks.values())
    found[name] = {n: float(v.double().sum()) for n, v in trained.weights.items()}
print(json.dumps(found))
"""


def told(**environment: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_it_trains_the_same_network():
    old, new = told(ATEN_CPU_CAPABILITY="default"), told()
    assert str(old["told"]).startswith("DEFAULT, with") and str(old["told"]).endswith(
        "no AVX2: everything works, several times slower"
    )
    assert old["environment"] == "cpu DEFAULT"
    for name in ("linear", "convs"):
        assert old[name] == pytest.approx(new[name], rel=1e-3, abs=1e-4)

"""A compiled network trains as the network does, up to roundings; without a compiler it is refused."""

import pathlib
import shutil
from typing import Any

import pytest
import torch

from tests.train.test_masked import dead_entries
from tests.train.toys import Points, a_ticket
from tombola.archs.mlp import Mlp
from tombola.core.errors import Refused
from tombola.core.machine import Machine
from tombola.core.seeds import Seeds
from tombola.study.step import Context
from tombola.train import compiled
from tombola.train.optimizers import Sgd
from tombola.train.recipe import Recipe
from tombola.train.run import Run
from tombola.train.schedules import Cosine

POINTS, MLP, COMPILED = Points(), Mlp(hidden=(8,)), Machine(compile="network")
# The compiler's own warning, when it is imported.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning")


def a_run(machine: Machine, **recipe: Any) -> Run:
    whole = Recipe(**{"batch": 5, "steps": 20, "evaluate": 0, "optimizer": Sgd(lr=0.05), "schedule": Cosine()} | recipe)
    return Run(a_ticket(MLP, POINTS), POINTS, whole.in_steps(POINTS), Seeds(), Context(machine))


@pytest.mark.slow
def test_a_compiled_network():
    torch._dynamo.reset()
    program, plain = (a_run(machine, smoothing=0.1) for machine in (COMPILED, Machine()))
    weights, expected = program.to_step(20), plain.to_step(20)
    assert list(weights) == list(expected) == list(plain.ticket.weights)  # No name has changed.
    assert all(torch.allclose(weights[name], expected[name], rtol=1e-4, atol=1e-5) for name in expected)
    assert program.forward is not program.net and plain.forward is plain.net
    assert not any(bool(entries.any()) for entries in dead_entries(program).values())


def test_without_a_compiler_it_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(compiled, "COMPILERS", ("g++", "clang++"))
    said = r"^compile needs a C\+\+ compiler, and there is none here \(looked for g\+\+, clang\+\+\)\. "
    with pytest.raises(Refused, match=said):
        a_run(COMPILED)
    a_run(Machine())


def test_any_compiler_that_is_found_will_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "which", lambda name: name if name == "my-c++" else None)
    monkeypatch.setattr(compiled, "COMPILERS", ("g++", "my-c++"))
    a_run(COMPILED)
    monkeypatch.setattr(compiled, "COMPILERS", ("g++", "clang++"))
    with pytest.raises(Refused, match="compile needs a C"):
        a_run(COMPILED)

"""What holds for every test and every example in the documentation: one thread, and the data beside the checkout."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # Read once, when torch is imported.

import pytest
import torch

import tools.typecheck  # noqa: F401  (before the package is imported, whose functions it checks)

torch.set_num_threads(1)

_beside = Path(__file__).resolve().parent.parent / "shared" / "data"
if "TOMBOLA_DATA" not in os.environ and _beside.is_dir():
    os.environ["TOMBOLA_DATA"] = str(_beside)


@pytest.fixture(autouse=True)
def _examples_leave_nothing_behind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run an example of the documentation in a folder of its own: it may write a store or a ticket."""
    if not isinstance(request.node, pytest.Function):
        monkeypatch.chdir(request.getfixturevalue("tmp_path"))

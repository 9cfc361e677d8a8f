"""What is written beside results: true, and never a reason to fail."""

import pathlib
import platform
import subprocess
from typing import Any

import pytest
import torch

from tombola.study import provenance


def test_versions_and_machine():
    software = provenance.software()
    assert (software["torch"], software["python"]) == (torch.__version__, platform.python_version())
    assert isinstance(software["dirty"], bool) and isinstance(software["commit"], str)
    hardware = provenance.hardware()
    assert hardware["cores"] == provenance.cores() >= 1 and hardware["processor"]
    assert 10**7 < provenance.peak_memory() < 10**12  # In bytes.


def test_without_git_or_outside_a_checkout_the_commit_is_empty(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    assert provenance._git(tmp_path, "no-such-word") == ""

    def missing(*args: Any, **options: Any) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", missing)
    assert provenance._git(tmp_path, "rev-parse", "HEAD") == ""

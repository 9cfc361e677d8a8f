"""Who made a result, with what: written beside it, never part of its key."""

import functools
import importlib.metadata
import pathlib
import platform
import resource
import subprocess
import sys
from typing import Any


@functools.cache
def software() -> dict[str, Any]:
    """Versions, and the commit of the sources if they are a checkout ("" if not), clean or dirty."""
    root = pathlib.Path(__file__).parents[1]
    return {
        "tombola": importlib.metadata.version("tombola"),
        "torch": importlib.metadata.version("torch"),
        "numpy": importlib.metadata.version("numpy"),
        "python": platform.python_version(),
        "commit": _git(root, "rev-parse", "HEAD"),
        "dirty": bool(_git(root, "status", "--porcelain", "--untracked-files=no")),
    }


@functools.cache
def hardware() -> dict[str, Any]:
    """The processor's name and the number of cores this process may use."""
    return {"processor": processor(), "cores": cores(), "system": platform.system()}


def cores() -> int:
    """The number of cores this process may use."""
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The processor's name as the system tells it."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def peak_memory() -> int:
    """The largest amount of memory that this process has held, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _git(folder: pathlib.Path, *words: str) -> str:
    try:
        found = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""

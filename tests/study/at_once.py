"""Processes that set out together, to find out what happens when they meet."""

import pathlib
import subprocess
import sys
from collections.abc import Sequence

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run_at_once(script: str, words: Sequence[Sequence[str]]) -> None:
    """Run a script once for each list of words. It prints "ready", reads a line from the others' starter, and goes."""
    processes = [
        subprocess.Popen([sys.executable, "-c", script, *own], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for own in words
    ]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0

"""The allocator's settings: what they save, and where there are none."""

import ctypes
import json
import platform
import subprocess
import sys
from typing import Any

import pytest

from tombola.study.engines import allocator

PROBE = """
import ctypes, json, resource, runpy, sys

c = ctypes.CDLL(None)
c.malloc.restype, c.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
c.free.argtypes, c.memset.argtypes = [ctypes.c_void_p], [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]

def faults(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        blocks = [c.malloc(8 * 2**20) for _ in range(4)]
        for block in blocks:
            c.memset(block, 1, 8 * 2**20)
        for block in blocks:
            c.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = faults(10)
obeyed = runpy.run_path(sys.argv[1])["keep_memory"]()
faults(1)
print(json.dumps([first, obeyed, faults(10)]))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_memory_that_was_freed_is_not_cleared_again_by_the_kernel():
    """Ten steps with four activations of 8 MB: 2,048 pages each."""
    command = [sys.executable, "-c", PROBE, str(allocator.__file__)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    before, obeyed, after = json.loads(ran.stdout)
    assert obeyed is True
    assert before > 5 * max(after, 1), f"{before} page faults before, {after} after"


class Bare:
    """A C library without settings."""


class Deaf:
    """A C library that knows some of the settings only."""

    def __init__(self, knows: set[int]) -> None:
        self.knows, self.asked = knows, list[int]()

    def mallopt(self, parameter: int, value: int) -> int:
        self.asked.append(parameter)
        return int(parameter in self.knows)


def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch):
    def library(name: Any) -> Any:
        return Bare()

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", library)
    assert allocator.keep_memory() is False
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("it looks for a library"))  # type: ignore[reportUnknownLambdaType]
    assert allocator.keep_memory() is False


def test_it_has_obeyed_only_if_it_took_every_setting(monkeypatch: pytest.MonkeyPatch):
    """All of them are tried, whatever became of the first."""
    every = {allocator.MMAP_MAX, allocator.TRIM_THRESHOLD, allocator.TOP_PAD}
    monkeypatch.setattr(sys, "platform", "linux")
    for knows in (every, every - {allocator.MMAP_MAX}, every - {allocator.TOP_PAD}, set[int]()):
        library = Deaf(knows)
        monkeypatch.setattr(ctypes, "CDLL", lambda name, library=library: library)  # type: ignore[reportUnknownLambdaType]
        assert allocator.keep_memory() is (knows == every) and set(library.asked) == every

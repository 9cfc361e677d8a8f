"""Seconds until the command line answers: help, a list, a wrong call."""

import statistics
import subprocess
import sys
import time

WORDS = (["--help"], ["list"], ["find", "mpl", "mnist"])
BAR = 1.5


def measure(rounds: int = 7) -> list[str]:
    """A line of the table for each call: median and range of wall seconds."""
    lines: list[str] = []
    for words in WORDS:
        wall: list[float] = []
        for _ in range(rounds):
            start = time.perf_counter()
            code = "import sys; from tombola.cli import main; main(sys.argv[1:])"
            subprocess.run([sys.executable, "-c", code, *words], capture_output=True, check=False)
            wall.append(time.perf_counter() - start)
        median = statistics.median(wall)
        met = "met" if max(wall) <= BAR else ("met by the median" if median <= BAR else "NOT met")
        spread = f"{min(wall):.2f} to {max(wall):.2f}"
        lines.append(f"| tombola {' '.join(words)}, seconds | {median:.2f} | {spread} | {rounds} | {BAR} | {met} |")
    return lines

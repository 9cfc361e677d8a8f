"""What studies of ladders share on the command line: run what is missing, print the table, write the page."""

import dataclasses
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

import tyro
from rich.console import Console

from tombola.core.errors import Damaged, Failed, Refused
from tombola.core.files import check_writable
from tombola.report import page, table
from tombola.report.live import Live
from tombola.report.summary import Summary
from tombola.studies.ladder import Ladder, climb
from tombola.studies.summary import summarise
from tombola.study.provenance import cores


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Where results are kept and how they are made; each study says which seeds and levels it has."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """Runs that differ in everything that is drawn at random."""
    store: str
    """Where finished trainings are kept; a second call runs only what is missing."""
    out: str
    """What to write."""
    workers: int = 0
    """Processes side by side; 0 is one for each core."""


def show(
    ladder: Ladder, settings: Settings, *, page_file: str, title: str, question: str, command: str, **more: Any
) -> Summary:
    """Climb the ladder with a live display, print its table, write its page.

    Raises:
        Failed: If a training failed, a check did not hold, or the page cannot be written.
    """
    check_writable(page_file)
    started = time.monotonic()
    workers = min(settings.workers or cores(), ladder.trainings)
    with Live(total=ladder.trainings, title=title) as live:
        rungs = climb(ladder, store=settings.store, workers=workers, listen=live)
    summary = summarise(ladder, rungs, store=settings.store, title=title, question=question, command=command, **more)
    page.write(summary, page_file)
    console = Console(highlight=False)
    console.print(table.terminal_table(summary))
    checks = [held for row in summary.rows for held in row.checks.values()]
    console.print(f"{sum(checks):,} of {len(checks):,} checks passed, {time.monotonic() - started:.0f} s in all.")
    console.print(f"The page: {pathlib.Path(page_file).resolve()}", soft_wrap=True)
    if not all(checks):
        raise Failed("a check did not hold: the page names it. Its results are not to be trusted.")
    return summary


def entry(study: Callable[[Any], None], settings: type[Settings]) -> None:
    """Run a study from the command line; what went wrong comes as one message."""
    try:
        study(tyro.cli(settings))
    except (Refused, Failed, Damaged) as error:
        print(f"{study.__module__.rpartition('.')[2]}: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, Refused) else 1)
    except KeyboardInterrupt:
        print("\nstopped. What was finished is kept: give the same command to go on.", file=sys.stderr)
        sys.exit(130)

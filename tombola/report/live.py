"""What happens while it happens: a display that is redrawn on a terminal, plain lines elsewhere; on standard error."""

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import IO, Any, Self, cast

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, RenderableType
from rich.live import Live as Screen
from rich.text import Text

from tombola.core.call import Call
from tombola.report.tally import Running, Tally, plain
from tombola.study.events import Event, event

PAUSE = 10.0  # Seconds between two plain lines.
REDRAWS = 4.0  # In a second.
MOST_LINES = 12  # Of running steps.
BAR = 24  # Columns.
NARROW = 70  # Columns; a running step has no bar on a terminal of fewer.
ENDS = {"complete": "complete", "failed": "not complete", "stopped": "stopped"}
NEWS = ("failed", "lost", "damaged")
TOLD = ("running", "failed", "blocked")  # In a plain line.
Parts = tuple[str | tuple[str, str], ...]  # Of a line: words, some with their style.


class Live:
    """A watcher that shows how far a run of a study is: what is done, what runs, what failed, and the time left.

    It only takes note when it is told something; a thread of its own redraws. A display that can no longer be written
    (the terminal is gone) falls silent: the run goes on.

    Args:
        title: What is being done; else the study's name.
        total: Without a study: how many calls of `counts` are expected. Then give `live.listen` to a store.
        counts: The function whose calls are counted then.
        unit: What one of them is called, in the plural.
    """

    def __init__(self, title: str = "", *, total: int = 0, counts: str = "train", unit: str = "trainings") -> None:
        self.title, self.unit = plain(title), unit if total else "steps"
        self.tally: Tally | None = None
        # FORCE_COLOR makes rich take a file for a terminal; control characters have no place in one.
        self.console = Console(
            file=cast(IO[str], Unbreakable(sys.stderr)),
            force_terminal=None if sys.stderr.isatty() else False,
            markup=False,
            emoji=False,
            highlight=False,
        )
        self.drawn = self.console.is_terminal and not self.console.is_dumb_terminal
        self._counts, self._told = counts, float("-inf")
        self._lock = threading.Lock()
        self._screen = Screen(
            console=self.console,
            get_renderable=self._picture,
            refresh_per_second=REDRAWS,
            redirect_stdout=sys.stdout.isatty(),  # Else results that are piped elsewhere would end up here.
        )
        if total:
            facts: dict[str, Any] = {"stored": 0, "todo": {counts: total}, "seconds_left": None}
            self.tally = Tally(event("run", study=title, workers=1, **facts))

    def __enter__(self) -> Self:
        """Start the display."""
        if self.drawn:
            self._screen.start()
        elif self.tally:
            self._line()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Leave the terminal as it was, with the last state in it."""
        if self.drawn:
            with self._lock:
                if self.tally:
                    self.tally.running.clear()
            self._screen.stop()
        elif kind is None or self.unit == "steps":
            self._line()

    def __call__(self, seen: Event) -> None:
        """See one event of a study."""
        happening, name = seen["event"], seen.get("function", "")
        with self._lock:
            if happening == "run":
                self.tally = Tally(seen)
                self.title = self.title or plain(self.tally.study)
            elif self.tally:
                if job := self.tally.running.get(seen.get("key", "")):
                    name = job.what
                if happening != "damaged" or seen["function"] in self.tally.todo:
                    self.tally.see(seen)
        if happening in NEWS:
            self._say(_news(seen, name))
        if not self.drawn and (happening == "run" or time.monotonic() - self._told > PAUSE):
            self._line()

    def listen(self, happening: str, call: Call, **facts: Any) -> None:
        """Hear what a store says of its calls; those of the function that is counted move the bar."""
        counted = call.function == self._counts
        if not counted and happening != "damaged":
            return
        plainly = {name: value for name, value in facts.items() if isinstance(value, int | float | str)}
        if happening == "done":
            started = self.tally.running.get(call.key) if self.tally else None
            plainly["seconds"] = time.time() - started.started if started else 0.0
        self(event(happening, key=call.key, function=call.function, **plainly))

    def _say(self, line: str) -> None:
        """A line that stays: above the display, or among the plain ones."""
        if self.drawn:
            self.console.print(plain(line), soft_wrap=True)
        else:
            print(plain(line), file=self.console.file, flush=True)

    def _line(self) -> None:
        self._told = time.monotonic()
        with self._lock:
            if self.tally is None:
                return
            words = [f"{self.tally.done:,} of {self.tally.all:,} {self.unit}{self._loaded(self.tally)}"]
            words += [f"{n:,} {what}" for what, n in _counts(self.tally).items() if n and what in TOLD]
            words += self._times(self.tally)
        self._say(f"{self.title}: {', '.join(words)}")

    def _loaded(self, tally: Tally) -> str:
        known = tally.stored + tally.loaded
        return f" ({known:,} loaded)" if known else ""

    def _times(self, tally: Tally) -> list[str]:
        now = time.time()
        elapsed = _span(max(0.0, now - tally.started))
        if tally.outcome:
            return [elapsed, ENDS.get(tally.outcome, tally.outcome)]
        left = tally.left(now) if tally.done < tally.all else None
        return [elapsed, f"{'at least' if left.least else 'about'} {_span(left.seconds)} left"] if left else [elapsed]

    def _picture(self) -> RenderableType:
        """The display as it stands, no wider and no higher than the terminal."""
        width, height = self.console.size
        dot = " · "
        with self._lock:
            tally = self.tally
            if tally is None:
                rows = [(self.title,)]
            else:
                done = f" {tally.done:,} of {tally.all:,} {self.unit}"
                jobs = list(tally.running.values())
                most = max(1, min(MOST_LINES, height - 5))
                shown = jobs if len(jobs) <= most else jobs[: most - 1]
                rows = [
                    ((self.title, "bold"),),
                    (*_bar(tally.share, min(BAR, width // 3)), dot.join([done, *self._times(tally)])),
                    (dot.join(f"{n:,} {what}" for what, n in _counts(tally).items()),),
                    *(_job(job, width) for job in shown),
                ]
                if len(jobs) > len(shown):
                    rows.append((f"  and {len(jobs) - len(shown):,} more",))
        return Group(*(self._row(parts, width) for parts in rows))

    def _row(self, parts: Parts, width: int) -> Text:
        """A line that is cut where the terminal ends; it has no letters that the terminal does not know."""
        text = Text(no_wrap=True, overflow="crop")
        for part in parts:
            words, style = part if isinstance(part, tuple) else (part, "")
            if not self.console.encoding.startswith("utf"):
                words = words.translate(str.maketrans("·━─", "-#-")).encode("ascii", "replace").decode()
            text.append(words, style=style)
        text.truncate(max(1, width), overflow="crop")
        return text


class Unbreakable:
    """A stream that falls silent when it can no longer be written: the terminal or the reader is gone."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream, self._gone = stream, False

    def __getattr__(self, name: str) -> Any:
        """All else is the stream's."""
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, if it can be."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush, if it can be."""
        self._try(self._stream.flush)

    def _try(self, act: Callable[[], Any]) -> None:
        if not self._gone:
            try:
                act()
            except (OSError, ValueError):  # A stream that was closed raises a ValueError.
                self._gone = True


def _news(seen: Event, name: str) -> str:
    """What is told at once, in a line of its own."""
    if seen["event"] == "failed":
        first = next(iter(str(seen["error"]).strip().splitlines()), "")
        return f"failed: {name} ({seen['key']}): {first}"
    if seen["event"] == "lost":
        return f"lost: {name} ({seen['key']}): {seen['why']}. It is tried again."
    return f"{seen['key']} was damaged; it is set aside in {seen['aside']} and made again."


def _counts(tally: Tally) -> dict[str, int]:
    """What is told in numbers; nothing is said of failures, blocked and stored steps where there are none."""
    always = {"done": tally.done, "running": len(tally.running), "waiting": tally.waiting}
    seldom = {"failed": len(tally.failed), "blocked": len(tally.blocked), "stored before": tally.stored}
    return always | {what: n for what, n in seldom.items() if n}


def _job(job: Running, width: int) -> Parts:
    """A running step: its name, cut if need be, then its bar and its numbers where the line ends."""
    if not job.note:
        return (f"  {job.what}",)
    bar = BAR // 2 if width >= NARROW else 0
    note = job.note if width >= NARROW else f"{job.share:.0%}"
    name = max(8, width - bar - len(note) - 4)
    label = job.what if cell_len(job.what) <= name else set_cell_size(job.what, name - 3) + "..."
    return (f"  {set_cell_size(label, name)} ", *_bar(job.share, bar), f" {note}")


def _bar(share: float, width: int) -> Parts:
    """A bar that can be read without colours."""
    full = round(share * width)
    return (("━" * full, "cyan"), ("─" * (width - full), "dim"))


def _span(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600:,} h {whole % 3600 // 60} min"

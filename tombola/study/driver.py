"""Running a graph: what is ready goes to an engine, what comes back sets free what waited for it.

Failures stay apart. The engine decides where a call runs; the store remembers; nothing that is finished is done again.
"""

import heapq
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tombola.core.call import function_of
from tombola.core.errors import Damaged, Refused
from tombola.study.engines.engine import Engine, Lost, Told
from tombola.study.events import Event, event
from tombola.study.execute import Outcome
from tombola.study.finished import Finished
from tombola.study.goals import Goal
from tombola.study.graph import Graph
from tombola.study.groups import Groups
from tombola.study.store import Store, Unwritable

ATTEMPTS = 3
"""How often a call is begun whose process dies; after that it has failed."""
AGAIN = 0.5
"""Seconds until a call that another process was at is looked at again."""


def run(graph: Graph, store: Store, engine: Engine, watch: Callable[[Event], None], **facts: Any) -> Finished:
    """Run what a graph needs and a store lacks.

    Args:
        watch: Is told of every event (see `tombola.study.events`).
        facts: What the first event is to say besides: study, command, seconds_left.

    Raises:
        Unwritable: If results cannot be kept; whatever was finished before is.
    """
    driver = _Driver(graph, store, engine, watch)
    try:
        known = driver.known()
        driver.begin()
        if driver.todo:
            store.prepare()
    except BaseException:  # Nothing was begun, so there is nothing to tell; but a cluster must be left.
        engine.close(stop=True)
        raise
    todo = Counter(graph.calls[key].function.name for key in driver.todo)
    stored = len(graph) - len(driver.todo)
    watch(event("run", engine=engine.name, workers=engine.slots, steps=len(graph), stored=stored, todo=todo, **facts))
    started, outcome = time.monotonic(), "stopped"
    try:
        for one in known:
            watch(one)
        driver.go()
        outcome = "failed" if driver.failed else "complete"
    except Exception:
        outcome = "failed"
        raise
    finally:
        engine.close(stop=outcome == "stopped" or bool(driver.running))
        seconds = time.monotonic() - started
        counts = {"done": driver.done, "failed": len(driver.failed), "blocked": len(driver.blocked)}
        watch(event("end", outcome=outcome, seconds=seconds, **counts))
    return Finished(len(graph) - len(driver.wanted), driver.done, driver.failed, driver.blocked, seconds)


class _Driver:
    """The state of a run: which calls wait for how many inputs, which are ready, running, failed."""

    def __init__(self, graph: Graph, store: Store, engine: Engine, watch: Callable[[Event], None]) -> None:
        self.graph, self.store, self.engine, self.watch = graph, store, engine, watch
        self.present, self.noted = store.present(), store.noted()
        self.goals: dict[str, list[Goal]] = {}
        for goal in graph.goals:
            self.goals.setdefault(goal.of.key, []).append(goal)
        self.todo: set[str] = set()
        self.wanted: set[str] = set()
        self.waiting: dict[str, int] = {}
        self.ready: list[tuple[int, int, str]] = []
        self.order = {key: place for place, key in enumerate(graph.calls)}
        self.later: list[tuple[float, str]] = []
        self.running, self.groups = dict[str, int](), 0
        self.together = Groups(graph, store)
        self.attempts: Counter[str] = Counter()
        self.vanished: Counter[str] = Counter()
        self.failed: dict[str, str] = {}
        self.blocked: dict[str, str] = {}
        self.done = 0

    def known(self) -> list[Event]:
        """The rows of goals that were reached before; a record that is damaged is set aside, to be made again."""
        found: list[Event] = []
        for key, goals in self.goals.items():
            if key in self.present or key in self.noted:
                try:
                    record = self.store.record(key)
                except Damaged as error:
                    aside = str(self.store.set_aside(self.store.place(key)))
                    self.present.discard(key)
                    self.noted.discard(key)
                    function = function_of(key)
                    found.append(event("damaged", key=key, function=function, error=str(error), aside=aside))
                except Refused:  # It was removed just now.
                    self.present.discard(key)
                    self.noted.discard(key)
                else:
                    found += [_row(key, goal, record["numbers"], record["checks"]) for goal in goals]
        return found

    def begin(self) -> None:
        """Find out what must run."""
        self._need(self.graph.needed(present=self.present, noted=self.noted))

    def go(self) -> None:
        """Run until nothing is left that can run."""
        while self.ready or self.running or self.later:
            self._fill()
            pause = 5.0 if self.running and not self.later else AGAIN
            heard = list(self.engine.wait(pause)) if self.running else []
            if not heard and not self.running and self.later:
                time.sleep(min(AGAIN, max(0.0, self.later[0][0] - time.monotonic())))
            for one in heard:
                self._hear(one)
            while self.later and self.later[0][0] <= time.monotonic():
                self._again(heapq.heappop(self.later)[1])

    def _need(self, keys: Iterable[str]) -> None:
        """Calls that must run, in order."""
        for key in keys:
            if key not in self.todo:
                self.todo.add(key)
                self.wanted.add(key)
                self.waiting[key] = sum(one not in self.present for one in self.graph.inputs[key])
                if not self.waiting[key]:
                    self._push(key)

    def _again(self, key: str) -> None:
        """A call came back unfinished: it waits for those of its inputs that were found missing in the meantime."""
        if key not in self.todo or key in self.running:
            return
        lacking = [one for one in self.graph.inputs[key] if one not in self.present]
        self.waiting[key] = len(lacking)
        if hopeless := self._hopeless(lacking):
            self._block(key, hopeless)
        elif not lacking:
            self._push(key)

    def _hopeless(self, keys: Iterable[str]) -> str:
        """The call that failed because of which one of these will not be made in this run; "" if there is none."""
        found = (one for one in keys if one in self.failed or one in self.blocked)
        return next((self.blocked.get(one, one) for one in found), "")

    def _push(self, key: str) -> None:
        heapq.heappush(self.ready, (-self.graph.heights[key], self.order[key], key))

    def _fill(self) -> None:
        while self.ready and (free := self.engine.slots - len(set(self.running.values()))) > 0:
            key = heapq.heappop(self.ready)[2]
            if self._startable(key):
                others = [] if self._last_time(key) else self.together.companions(key, self._others, free=free)
                self._begin([key, *others])

    def _others(self) -> list[str]:
        ready = (key for _, _, key in sorted(self.ready) if self._startable(key))
        return [key for key in ready if not self._last_time(key)]

    def _last_time(self, key: str) -> bool:
        """Whether it is a call's last attempt; of whatever its process died, no other call dies of that then."""
        return self.attempts[key] == ATTEMPTS - 1

    def _startable(self, key: str) -> bool:
        return key in self.todo and key not in self.running and not self.waiting[key]

    def _begin(self, keys: Sequence[str]) -> None:
        try:
            worker = self.engine.submit([self.graph.calls[key] for key in keys], self.store)
        except Refused as error:
            for key in keys:
                self._fail(key, str(error))
            return
        self.groups += 1
        for key in keys:
            self.running[key] = self.groups
            call = self.graph.calls[key].call
            labels = dict(self.graph.labels.get(key, {}))
            self.watch(event("start", key=key, function=call.function, call=call.text, labels=labels, worker=worker))

    def _hear(self, one: Told | Outcome | Lost) -> None:
        if isinstance(one, Told):
            self.watch(one.event())
            return
        self.running.pop(one.key, None)
        function = function_of(one.key)
        if isinstance(one, Outcome) and one.status == "gone":
            one = Lost(one.key, one.error)
        if isinstance(one, Lost):
            self.attempts[one.key] += 1
            attempt = self.attempts[one.key]
            self.watch(event("lost", key=one.key, function=function, worker=one.worker, why=one.why, attempt=attempt))
            if attempt < ATTEMPTS:
                self._again(one.key)
            else:
                self._fail(one.key, f"the process that ran it {one.why}, {attempt} times in turn.")
        elif one.status in ("done", "loaded"):
            self._finish(one)
        elif one.status == "busy":
            heapq.heappush(self.later, (time.monotonic() + AGAIN, one.key))
        elif one.status == "absent":
            self._lack(one)
        elif one.status == "fatal":
            raise Unwritable(one.error)
        else:
            self._fail(one.key, one.error, one.trace)

    def _finish(self, outcome: Outcome) -> None:
        key, function = outcome.key, function_of(outcome.key)
        self.todo.discard(key)
        self.present.add(key)
        if outcome.status == "done":
            self.done += 1
            self.watch(event("done", key=key, function=function, seconds=outcome.seconds, numbers=outcome.numbers))
        else:
            self.watch(event("loaded", key=key, function=function))
        for goal in self.goals.get(key, ()):
            self.watch(_row(key, goal, outcome.numbers, outcome.checks))
        for one in self.graph.dependants[key]:
            if self.waiting.get(one, 0) > 0:  # It is 0 for one under way that had loaded what was then lost.
                self.waiting[one] -= 1
                if not self.waiting[one] and one in self.todo:
                    self._push(one)

    def _lack(self, outcome: Outcome) -> None:
        """An input was damaged or removed: it is made again first, and what it needs."""
        key, missing = outcome.key, outcome.missing
        self.vanished[missing] += missing in self.present
        if self.vanished[missing] >= ATTEMPTS:
            self._fail(key, f"its input {missing} was lost {ATTEMPTS} times in turn; look at the disk.")
            return
        wanted, stack = set[str](), [missing]
        while stack:
            one = stack.pop()
            if one not in wanted and one not in self.todo:
                wanted.add(one)
                stack += [other for other in self.graph.inputs[one] if other not in self.present]
        ordered = sorted(wanted, key=self.order.__getitem__)
        if hopeless := self._hopeless(ordered):
            self._block(key, hopeless)
            return
        self.present.discard(missing)
        if wanted:
            for one in self.todo - set(self.running):  # They counted on it.
                self.waiting[one] += missing in self.graph.inputs[one]
        self._need(ordered)
        self._again(key)

    def _fail(self, key: str, error: str, trace: str = "") -> None:
        call = self.graph.calls[key].call
        self.failed[key] = error
        self.todo.discard(key)
        self.watch(event("failed", key=key, function=call.function, call=call.text, error=error, traceback=trace))
        for one in self.graph.dependants[key]:
            self._block(one, key)

    def _block(self, key: str, because: str) -> None:
        """A call cannot be made in this run, nor can what needs it."""
        stack = [key]
        while stack:
            one = stack.pop()
            if one in self.todo and one not in self.running:
                self.todo.discard(one)
                self.blocked[one] = because
                self.watch(event("blocked", key=one, function=function_of(one), because=because))
                stack += self.graph.dependants[one]


def _row(key: str, goal: Goal, numbers: Mapping[str, float], checks: Mapping[str, bool]) -> Event:
    return event("row", key=key, labels=dict(goal.labels), numbers=numbers, checks=checks)

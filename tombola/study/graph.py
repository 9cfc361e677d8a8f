"""The graph of a study: every call behind its goals, each once, inputs before what needs them."""

import dataclasses
import functools
from collections import deque
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from tombola.core.errors import Refused
from tombola.study.deferred import Deferred
from tombola.study.goals import Goal, Label
from tombola.study.step import now


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """Calls by key, in an order in which they can be made, with the keys of their inputs; and the goals.

    Example:
        >>> from tombola.find import draw
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.study.deferred import defer
        >>> from tombola.study.goals import row
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.recipes import Quickstart
        >>> dense = defer(draw, Mlp(), Digits(), Quickstart())
        >>> [call.function.name for call in graph_of([row(dense, seed=0)]).calls.values()]
        ['draw']
    """

    goals: tuple[Goal, ...]
    calls: Mapping[str, Deferred]
    inputs: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        """The number of calls."""
        return len(self.calls)

    @functools.cached_property
    def dependants(self) -> Mapping[str, tuple[str, ...]]:
        """The keys of the calls that take a result, by its key."""
        found: dict[str, list[str]] = {key: [] for key in self.calls}
        for key, inputs in self.inputs.items():
            for one in inputs:
                found[one].append(key)
        return {key: tuple(keys) for key, keys in found.items()}

    @functools.cached_property
    def heights(self) -> Mapping[str, int]:
        """How many calls, one after the other, wait for each: what is highest is best begun first."""
        found: dict[str, int] = {}
        for key in reversed(list(self.calls)):
            found[key] = 1 + max((found[one] for one in self.dependants[key]), default=0)
        return found

    @functools.cached_property
    def labels(self) -> Mapping[str, Mapping[str, Label]]:
        """The labels of the goal that is nearest to each call; its own if it is one."""
        found: dict[str, Mapping[str, Label]] = {}
        queue: deque[str] = deque()
        for goal in self.goals:
            if goal.of.key not in found:
                found[goal.of.key] = goal.labels
                queue.append(goal.of.key)
        while queue:
            key = queue.popleft()
            for one in self.inputs[key]:
                if one not in found:
                    found[one] = found[key]
                    queue.append(one)
        return found

    def needed(self, *, present: Set[str], noted: Set[str] = frozenset()) -> list[str]:
        """The calls that must run, in order, where these results are here; of `noted` ones only the numbers are.

        A goal whose numbers are known needs nothing; a call that must run needs the results of its inputs.
        """
        known = present | noted
        wanted: set[str] = set()
        stack = [goal.of.key for goal in self.goals if goal.of.key not in known]
        while stack:
            key = stack.pop()
            if key not in wanted:
                wanted.add(key)
                stack += [one for one in self.inputs[key] if one not in present]
        return [key for key in self.calls if key in wanted]


def graph_of(goals: Iterable[Goal]) -> Graph:
    """The graph of goals.

    Raises:
        Refused: If two rows have the same labels, or two different calls one key.
    """
    goals = _distinct(tuple(goals))
    calls: dict[str, Deferred] = {}
    inputs: dict[str, tuple[str, ...]] = {}
    seen: dict[str, Deferred] = {}
    for goal in goals:
        stack: list[tuple[Deferred, bool]] = [(goal.of, False)]
        while stack:
            call, ready = stack.pop()
            before = seen.setdefault(call.key, call)
            if before is not call and before.call.text != call.call.text:
                raise Refused(
                    f"two different calls have the key {call.key}: {before.call.text} and {call.call.text}. "
                    "Give one of their steps another name."
                )
            if ready:
                calls[call.key] = call
            elif call.key not in inputs:
                behind = call.inputs
                inputs[call.key] = tuple(dict.fromkeys(one.key for one in behind))
                stack.append((call, True))
                stack += [(one, False) for one in reversed(behind)]
    return Graph(goals, calls, inputs)


def _distinct(goals: Sequence[Goal]) -> tuple[Goal, ...]:
    """Each row once: said twice it would count as two."""
    seen: dict[tuple[tuple[str, str, Label], ...], Goal] = {}
    for goal in goals:
        labels = tuple(sorted((name, type(value).__name__, value) for name, value in goal.labels.items()))
        other = seen.setdefault(labels, goal)
        if other.of.key != goal.of.key:
            shown = ", ".join(f"{name}={value!r}" for name, value in goal.labels.items()) or "none"
            raise Refused(
                f"two rows have the same labels ({shown}): {other.of.key} and {goal.of.key}. Give them a label that "
                "tells them apart, such as seed, level or name."
            )
    return tuple(seen.values())


def resolve(graph: Graph, call: Any = now) -> dict[str, Any]:
    """Make every call of a graph here, one after the other, with `now` or a `Store`: the results by key.

    Everything is kept in memory; a run of the study keeps it in the store.
    """
    results: dict[str, Any] = {}
    for key, deferred in graph.calls.items():
        arguments = deferred.call.swapped(lambda one: results.get(one.key, one)).arguments
        made = call(deferred.function, **arguments)
        assert made.key == key, f"{deferred!r} became {made.key}, not {key}"
        results[key] = made
    return results

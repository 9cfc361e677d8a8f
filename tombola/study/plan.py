"""What a run of a study would do, before it does anything: what is stored, what would run, at what cost, and why."""

import contextlib
import dataclasses
import functools
import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from tombola.core.canon import canonical, digest_of
from tombola.core.errors import Damaged, Refused
from tombola.study.deferred import Deferred
from tombola.study.graph import Graph
from tombola.study.step import Step
from tombola.study.store import Store

SAMPLE = 30
"""So many finished calls of a kind are enough for an estimate."""
COMPARED = 2_000
"""Among so many stored calls the nearest one is looked for."""


@dataclasses.dataclass(frozen=True)
class Cost:
    """Seconds, operations and bytes on disk of one call: the mean over `n` finished ones of the same kind."""

    seconds: float
    flops: float
    bytes: float
    n: int


@dataclasses.dataclass(frozen=True)
class Work:
    """The calls of one step that would run, and what they would cost together; of `unknown` ones nothing is known."""

    function: str
    number: int
    unknown: int
    seconds: float
    flops: float
    bytes: float
    n: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """How many calls and rows a study has, how many are stored, and the work that is left, step by step."""

    steps: int
    stored: int
    rows: int
    known: int
    work: tuple[Work, ...]

    @property
    def to_run(self) -> int:
        """The number of calls that would run."""
        return sum(one.number for one in self.work)

    @property
    def unknown(self) -> int:
        """How many of them are of a kind that was never finished, so that nothing is known of their cost."""
        return sum(one.unknown for one in self.work)

    @property
    def seconds(self) -> float:
        """What the others would take, one after the other."""
        return sum(one.seconds for one in self.work)

    @property
    def flops(self) -> float:
        """Their operations, by convention."""
        return sum(one.flops for one in self.work)

    @property
    def bytes(self) -> float:
        """What they would add to the disk."""
        return sum(one.bytes for one in self.work)


def plan(graph: Graph, store: Store) -> Plan:
    """What running the graph with this store would do; nothing is run or written."""
    present, noted = store.present(), store.noted()
    todo = graph.needed(present=present, noted=noted)
    costs = _Costs(graph, store, todo, present)
    by_function: dict[str, list[Cost | None]] = defaultdict(list)
    for key in todo:
        by_function[graph.calls[key].function.name].append(costs.of(key))
    known = sum(goal.of.key in present or goal.of.key in noted for goal in graph.goals)
    work = tuple(_work(function, costs) for function, costs in by_function.items())
    stored = sum(key in present or key in noted for key in graph.calls)
    return Plan(len(graph), stored, len(graph.goals), known, work)


def _work(function: str, costs: list[Cost | None]) -> Work:
    known = [one for one in costs if one is not None]
    sums = (sum(getattr(one, name) for one in known) for name in ("seconds", "flops", "bytes"))
    return Work(function, len(costs), len(costs) - len(known), *sums, n=max((one.n for one in known), default=0))


class _Costs:
    """Means over finished calls of the same kind: the same step and settings, whatever the seeds and the inputs.

    Of those in the study itself the calls at the roots must agree too (the network, say); else any stored ones serve.
    """

    def __init__(self, graph: Graph, store: Store, todo: list[str], present: set[str]) -> None:
        self.graph, self.store = graph, store
        self.kinds: dict[str, str] = {}
        self.roots: dict[str, frozenset[str]] = {}
        for key, call in graph.calls.items():  # Inputs come before what needs them.
            self.kinds[key] = _kind(call.call.function, call.call.canonical)
            above = [self.roots[one] for one in graph.inputs[key]]
            self.roots[key] = frozenset[str]().union(*above) if above else frozenset({self.kinds[key]})
        wanted = {graph.calls[key].function.name for key in todo}
        self.near: dict[tuple[str, frozenset[str]], list[str]] = defaultdict(list)
        for key in graph.calls:
            if key in present and graph.calls[key].function.name in wanted:
                self.near[self.kinds[key], self.roots[key]].append(key)
        self.found: dict[tuple[str, frozenset[str]], Cost | None] = {}
        self.far: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
        self.present = present

    def of(self, key: str) -> Cost | None:
        """The expected cost of a call; None where nothing like it was ever finished."""
        kind, function = (self.kinds[key], self.roots[key]), self.graph.calls[key].function.name
        if kind not in self.found:
            records = _records(self.store, self.near[kind][:SAMPLE]) or self._stored(function).get(kind[0], [])
            self.found[kind] = _mean(records)
        return self.found[kind]

    def _stored(self, function: str) -> dict[str, list[Mapping[str, Any]]]:
        if function not in self.far:
            found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
            keys = sorted(key for key in self.present if key.partition(":")[0] == function)
            for record in _records(self.store, keys[:COMPARED]):
                found[_kind(function, record["arguments"])].append(record)
            self.far[function] = found
        return self.far[function]


def _records(store: Store, keys: Iterable[str]) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    for key in keys:
        try:
            found.append(store.record(key))
        except (Damaged, Refused):  # The run will find out; here it only says nothing of the cost.
            continue
    return found


def _mean(records: list[Mapping[str, Any]]) -> Cost | None:
    if not records:
        return None
    took = [record["provenance"] for record in records]
    # A call that went on from half-done work took longer than its last process saw.
    seconds = [
        max(one["seconds"], record["numbers"].get("seconds", 0.0)) for one, record in zip(took, records, strict=True)
    ]
    flops, size = [one["flops"] for one in took], [one["bytes"] for one in took]
    return Cost(statistics.fmean(seconds), statistics.fmean(flops), statistics.fmean(size), len(records))


def _kind(function: str, arguments: Mapping[str, Any]) -> str:
    """The step and its settings, without seeds and inputs."""
    settings = {n: _unseeded(v) for n, v in arguments.items() if not _refers(v) and not _is_seeds(v)}
    return digest_of([function, settings])


def _unseeded(form: Any) -> Any:
    """Without what plug-ins call their seed."""
    if isinstance(form, dict):
        return {n: _unseeded(v) for n, v in cast(dict[str, Any], form).items() if n != "seed"}
    if isinstance(form, list):
        return [_unseeded(one) for one in cast(list[Any], form)]
    return form


def _refers(form: Any) -> bool:
    if isinstance(form, dict):
        members = cast(dict[str, Any], form)
        return "ref" in members or any(_refers(one) for one in members.values())
    return isinstance(form, list) and any(_refers(one) for one in cast(list[Any], form))


def _is_seeds(form: Any) -> bool:
    return isinstance(form, dict) and str(cast(dict[str, Any], form).get("plugin", "")).startswith("seeds/")


@dataclasses.dataclass(frozen=True)
class Reason:
    """Why a call would run: the nearest stored call of its step ("" if there is none), and what differs first."""

    key: str
    call: str
    nearest: str
    argument: str = ""
    here: str = ""
    there: str = ""

    def __str__(self) -> str:
        """The reason as a sentence."""
        if not self.nearest:
            return f"{self.key}: no {self.key.partition(':')[0]} is stored yet."
        return (
            f"{self.key}: {self.argument} is {self.here}; in {self.nearest}, the nearest that is stored, {self.there}."
        )


def why(graph: Graph, store: Store) -> list[Reason]:
    """For each call that would run although its inputs are stored: what differs from the nearest stored one.

    The calls that follow from these differ by their inputs, and are left out.
    """
    present = store.present()
    todo = graph.needed(present=present, noted=store.noted())
    first = [graph.calls[key] for key in todo if all(one in present for one in graph.inputs[key])]
    steps = {call.function.name: call.function for call in first}
    keys = [key for key in sorted(present) if key.partition(":")[0] in steps][:COMPARED]
    stored: dict[str, list[tuple[str, dict[str, str]]]] = defaultdict(list)
    for record in _records(store, keys):
        there = _leaves(steps[record["function"]], record["version"], record["arguments"])
        stored[record["function"]].append((record["key"], there))
    return [_reason(call, stored[call.function.name]) for call in first]


def _reason(call: Deferred, stored: list[tuple[str, dict[str, str]]]) -> Reason:
    if not stored:
        return Reason(call.key, call.call.text, "")
    here = _leaves(call.function, call.call.version, call.call.canonical)
    nearest, there = min(stored, key=lambda one: len(_different(here, one[1])))
    argument = next(iter(_different(here, there)), "")
    lacking = "nothing" if argument.endswith("]") else "at its default"
    return Reason(call.key, call.call.text, nearest, argument, *(one.get(argument, lacking) for one in (here, there)))


def _different(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    return [name for name in {**one, **other} if one.get(name) != other.get(name)]


def _leaves(function: Step, version: int, arguments: Mapping[str, Any]) -> dict[str, str]:
    """The plain values in canonical arguments, by the way that leads to them: recipe.optimizer.lr."""
    found = {"the version of the step": str(version)}
    for name, form in {**_defaults(function), **arguments}.items():
        found.update(_walk(name, form))
    return found


@functools.cache
def _defaults(function: Step) -> dict[str, Any]:
    """What arguments are that a call leaves out."""
    found: dict[str, Any] = {}
    for name, parameter in function.signature.parameters.items():
        if parameter.default is not parameter.empty:
            with contextlib.suppress(Refused):  # It need not have a stable form: it is in no key.
                found[name] = canonical(parameter.default)
    return found


def _walk(path: str, form: Any) -> Iterator[tuple[str, str]]:
    members: dict[str, Any] = cast(dict[str, Any], form) if isinstance(form, dict) else {}
    if "plugin" in members:
        yield path, members["plugin"].partition("/")[2] + (f" (version {v})" if (v := members["version"]) > 1 else "")
        for name, value in members["fields"].items():
            yield from _walk(f"{path}.{name}", value)
        for name, value in members.get("identity", {}).get("dict", {}).items():
            yield from _walk(f"the {name} of {path}", value)
    elif "float" in members:
        yield path, members["float"]
    elif "ref" in members:
        yield path, members["ref"]
    elif "tuple" in members:
        yield path, "(...)" if members["tuple"] else "()"
        for number, value in enumerate(members["tuple"]):
            yield from _walk(f"{path}[{number}]", value)
    elif "dict" in members:
        yield path, "{...}" if members["dict"] else "{}"
        for name, value in members["dict"].items():
            yield from _walk(f"{path}[{name!r}]", value)
    else:
        yield path, json.dumps(form)


def counted(functions: Iterable[str]) -> str:
    """Numbers by name: "42 train, 21 cut".

    Example:
        >>> counted(["cut", "train", "cut"])
        '2 cut, 1 train'
    """
    return ", ".join(f"{number:,} {name}" for name, number in Counter(functions).most_common())

"""What a run of a study would do, before it does anything: what is stored, what would run, at what cost, and why."""

import dataclasses
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any, cast

from tombola.core.call import function_of
from tombola.core.canon import digest_of
from tombola.core.errors import Damaged, Refused
from tombola.study.environment import alike, environment_of, in_words
from tombola.study.graph import Graph
from tombola.study.provenance import processor
from tombola.study.store import Store

SAMPLE = 30
"""So many finished calls of a kind are enough for an estimate."""
LOOKED_AT = 300
"""Among so many those of this machine are looked for."""
COMPARED = 2_000
"""Among so many stored calls the nearest one is looked for."""


@dataclasses.dataclass(frozen=True)
class Cost:
    """Seconds, operations and bytes on disk of one call: the mean over `n` finished ones of the same kind.

    `afar` says that none of these ran in this environment on this kind of processor.
    """

    seconds: float
    flops: float
    bytes: float
    n: int
    afar: bool = False


@dataclasses.dataclass(frozen=True)
class Work:
    """The calls of one step that would run, and what they would cost together; of `unknown` ones nothing is known.

    What `afar` ones would cost is known from other machines only.
    """

    function: str
    number: int
    unknown: int
    seconds: float
    flops: float
    bytes: float
    n: int
    afar: int = 0


@dataclasses.dataclass(frozen=True)
class Plan:
    """How many calls and rows a study has, how many are stored, and the work that is left, step by step.

    `elsewhere` counts the calls that another environment made, by its text: of those stored, where results of any
    environment count as done; of those to run, where they do not.
    """

    steps: int
    stored: int
    rows: int
    known: int
    work: tuple[Work, ...]
    elsewhere: Mapping[str, int] = dataclasses.field(default_factory=dict[str, int])

    @property
    def to_run(self) -> int:
        """The number of calls that would run."""
        return sum(one.number for one in self.work)

    @property
    def unknown(self) -> int:
        """How many of them are of a kind that was never finished, so that nothing is known of their cost."""
        return sum(one.unknown for one in self.work)

    @property
    def afar(self) -> int:
        """Of how many the cost is known from other machines only."""
        return sum(one.afar for one in self.work)

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
    costs = _Costs(graph, Store(store.folder, machine=store.machine), todo)
    by_function: dict[str, list[Cost | None]] = defaultdict(list)
    for key in todo:
        by_function[graph.calls[key].function.name].append(costs.of(key))
    known = sum(goal.of.key in present or goal.of.key in noted for goal in graph.goals)
    work = tuple(_work(function, costs) for function, costs in by_function.items())
    # What was imported as a row alone is run again where others are made of it.
    stored = sum((key in present or key in noted) and key not in todo for key in graph.calls)
    return Plan(len(graph), stored, len(graph.goals), known, work, _elsewhere(graph, store, present | noted))


def _elsewhere(graph: Graph, store: Store, done: Set[str]) -> dict[str, int]:
    """How many calls another environment made, by its text; records are read only where there may be any."""
    if not store.others():
        return {}
    found: dict[str, int] = defaultdict(int)
    for key in graph.calls:
        if (key in done) == (store.reuse == "any"):
            made_in = store.made_in(key)
            if made_in is not None and not alike(made_in, store.here):
                found[in_words(made_in)] += 1
    return dict(sorted(found.items()))


def _work(function: str, costs: list[Cost | None]) -> Work:
    known = [one for one in costs if one is not None]
    sums = (sum(getattr(one, name) for one in known) for name in ("seconds", "flops", "bytes"))
    afar = sum(one.afar for one in known)
    return Work(
        function, len(costs), len(costs) - len(known), *sums, n=max((one.n for one in known), default=0), afar=afar
    )


class _Costs:
    """Means over finished calls of the same kind: the same step and settings, whatever the seeds and the inputs.

    Of those in the study itself the calls at the roots must agree too (the network, say); else any stored ones serve.
    Calls of this environment and processor come first: the seconds of different machines are not put together.
    """

    def __init__(self, graph: Graph, store: Store, todo: list[str]) -> None:
        self.graph, self.store, self.present = graph, store, store.present()
        self.processor = processor()
        self.kinds: dict[str, str] = {}
        self.roots: dict[str, frozenset[str]] = {}
        for key, call in graph.calls.items():  # Inputs come before what needs them.
            self.kinds[key] = _kind(call.call.function, call.call.canonical)
            above = [self.roots[one] for one in graph.inputs[key]]
            self.roots[key] = frozenset[str]().union(*above) if above else frozenset({self.kinds[key]})
        wanted = {graph.calls[key].function.name for key in todo}
        self.near: dict[tuple[str, frozenset[str]], list[str]] = defaultdict(list)
        for key in graph.calls:
            if key in self.present and graph.calls[key].function.name in wanted:
                self.near[self.kinds[key], self.roots[key]].append(key)
        self.found: dict[tuple[str, frozenset[str]], Cost | None] = {}
        self.far: dict[str, dict[str, list[Mapping[str, Any]]]] = {}

    def of(self, key: str) -> Cost | None:
        """The expected cost of a call; None where nothing like it was ever finished."""
        kind, function = (self.kinds[key], self.roots[key]), self.graph.calls[key].function.name
        if kind not in self.found:
            here, afar = self._sorted(records_of(self.store, self.near[kind][:LOOKED_AT]))
            if not here:
                here, there = self._sorted(self._stored(function).get(kind[0], ()))
                afar = afar or there
            self.found[kind] = _mean(here) or _mean(afar, afar=True)
        return self.found[kind]

    def _sorted(self, records: Iterable[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
        """Those of this environment and processor, and those of the first other one; no more than are needed."""
        here: list[Mapping[str, Any]] = []
        others: dict[str, list[Mapping[str, Any]]] = {}
        for record in records:
            made_in, runs_on = environment_of(record), record["provenance"].get("processor", self.processor)
            if runs_on == self.processor and alike(made_in, self.store.here):
                here.append(record)
                if len(here) == SAMPLE:
                    break
            else:
                others.setdefault(f"{runs_on}, {in_words(made_in)}", []).append(record)
        return here, next(iter(others.values()))[:SAMPLE] if others else []

    def _stored(self, function: str) -> dict[str, list[Mapping[str, Any]]]:
        if function not in self.far:
            found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
            keys = sorted(key for key in self.present if function_of(key) == function)
            for record in records_of(self.store, keys[:COMPARED]):
                found[_kind(function, record["arguments"])].append(record)
            self.far[function] = found
        return self.far[function]


def records_of(store: Store, keys: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    """The records of these keys, without those that are damaged or gone."""
    for key in keys:
        try:
            record = store.record(key)
            environment_of(record)
        except (Damaged, Refused):  # The run will find out; here it only says nothing of the cost.
            continue
        yield record


def _mean(records: list[Mapping[str, Any]], *, afar: bool = False) -> Cost | None:
    if not records:
        return None
    took = [record["provenance"] for record in records]
    # What a call says of itself comes first: it counts the half-done work of others, and leaves out imports.
    seconds = [record["numbers"].get("seconds", one.get("seconds")) for one, record in zip(took, records, strict=True)]
    flops, size = ([one.get(name) for one in took] for name in ("flops", "bytes"))
    return Cost(_mean_of(seconds), _mean_of(flops), _mean_of(size), len(records), afar)


def _mean_of(values: Iterable[Any]) -> float:
    """The mean of the numbers among them: what was imported may not tell all that a record of this tombola does."""
    return statistics.fmean([value for value in values if isinstance(value, int | float)] or [0.0])


def _kind(function: str, arguments: Mapping[str, Any]) -> str:
    """The step and its settings, without seeds and inputs."""
    settings = {n: _unseeded(v) for n, v in arguments.items() if not refers(v) and not _is_seeds(v)}
    return digest_of([function, settings])


def _unseeded(form: Any) -> Any:
    """Without what plug-ins call their seed."""
    if isinstance(form, dict):
        return {n: _unseeded(v) for n, v in cast(dict[str, Any], form).items() if n != "seed"}
    if isinstance(form, list):
        return [_unseeded(one) for one in cast(list[Any], form)]
    return form


def refers(form: Any) -> bool:
    """Whether a canonical form holds the result of another call."""
    if isinstance(form, dict):
        members = cast(dict[str, Any], form)
        return "ref" in members or any(refers(one) for one in members.values())
    return isinstance(form, list) and any(refers(one) for one in cast(list[Any], form))


def _is_seeds(form: Any) -> bool:
    return isinstance(form, dict) and str(cast(dict[str, Any], form).get("plugin", "")).startswith("seeds/")

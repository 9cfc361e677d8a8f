"""From a study's graph and a store to findings: records are read, nothing is loaded, nothing is run."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, cast

from tombola.core.errors import Damaged, Refused
from tombola.core.plugin import is_plugin, text_of
from tombola.report.findings import Findings, Measured, Missing, Picture, StepFacts
from tombola.study.environment import UNKNOWN, Environment, alike, environment_of, in_words, name_of
from tombola.study.graph import Graph
from tombola.study.module import Study
from tombola.study.store import Store

UNFIT = "it is there but cannot be shown"
"""Why a row is missing whose numbers are not what they must be."""
MACHINE = ("processor", "cores", "system", "machine")
VERSIONS = ("tombola", "torch", "numpy", "python", "commit")


def collect(study: Study, graph: Graph, store: Store, *, command: str, failed: Mapping[str, str]) -> Findings:
    """All that the page of a study shows, from what the store has of it.

    Args:
        command: What to type to make it again.
        failed: Why calls failed, by key; rows that wait for one of them say so.

    Raises:
        Refused: If what the study declares does not fit.
    """
    records = _Records(store)
    rows: list[Measured] = []
    missing: list[Missing] = []
    for goal in graph.goals:
        key, labels = goal.of.key, goal.labels
        try:
            record = records[key]
        except Refused:
            missing.append(Missing(labels=labels, key=key, why=_why(key, graph, failed) or _elsewhere(key, store)))
        except Damaged as error:
            missing.append(Missing(labels=labels, key=key, why=f"damaged: {error} Run the study again."))
        else:
            try:
                rows.append(_measured(record, labels))
            except (AttributeError, LookupError, TypeError, ValueError) as error:  # A step is anybody's code.
                missing.append(Missing(labels=labels, key=key, why=f"{UNFIT}: {error}"))
    steps = {key: _facts(key, graph, records) for key in _behind(graph, {row.key for row in rows})}
    provenance = [_took(record) for record in records.read.values()]
    texts = _texts_of(records.read.values())
    told = {key: texts[name_of(environment_of(record))] for key, record in records.read.items()}
    return Findings(
        title=study.title,
        question=str(getattr(study.module, "QUESTION", "")),
        study=study.text,
        command=command,
        rows=tuple(dataclasses.replace(row, environment=told[row.key]) for row in rows),
        missing=tuple(missing),
        steps={key: dataclasses.replace(step, environment=told.get(key, "")) for key, step in steps.items()},
        claims=study.declared("claims"),
        figures=study.declared("figures"),
        tables=study.declared("tables"),
        names=_named(study.names, graph),
        about=_about(graph),
        machine=_joined(_machine(one) for one in provenance),
        provenance={name: _joined(_version(one, name) for one in provenance) for name in VERSIONS},
    )


class _Records:
    """Records by key, each read once."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.read: dict[str, dict[str, Any]] = {}

    def __getitem__(self, key: str) -> dict[str, Any]:
        if key not in self.read:
            record = self.store.record(key)
            environment_of(record)  # One that tells of none that is sound is refused like any other damage.
            self.read[key] = record
        return self.read[key]


def _measured(record: Mapping[str, Any], labels: Mapping[str, Any]) -> Measured:
    header = record["header"]
    tables = {name: tuple(lines) for name, lines in header.get("tables", {}).items()}
    return Measured(
        labels=labels,
        numbers=record["numbers"],
        checks=record["checks"],
        key=record["key"],
        tables=tables,
        pictures=tuple(map(_picture, header.get("pictures", ()))),
    )


def _picture(said: Mapping[str, Any]) -> Picture:
    if lacking := [name for name in ("name", "caption", "values") if name not in said]:
        raise ValueError(f"a picture of it has no {lacking[0]!r}.")
    values = tuple(tuple(map(float, line)) for line in said["values"])
    path = tuple((float(x), float(y)) for x, y in said.get("path", ()))
    more = {"full": float(said.get("full", 0.0)), "path": path}
    return Picture(name=said["name"], caption=said["caption"], values=values, **more)


def _why(key: str, graph: Graph, failed: Mapping[str, str]) -> str:
    stack, seen = [key], set[str]()
    while stack:
        one = stack.pop()
        if one in failed:
            return f"failed: {failed[one]}" if one == key else f"it needs {one}, which failed: {failed[one]}"
        if one not in seen:
            seen.add(one)
            stack += graph.inputs[one]
    return ""


def _elsewhere(key: str, store: Store) -> str:
    made_in = store.made_in(key)
    if made_in is None:
        return "not run yet"
    return f"made in another environment only ({in_words(made_in)}); --reuse any shows it"


def _behind(graph: Graph, keys: set[str]) -> Iterable[str]:
    """These calls and all that they were made of, inputs first."""
    wanted, stack = set[str](), list(keys)
    while stack:
        key = stack.pop()
        if key not in wanted:
            wanted.add(key)
            stack += graph.inputs[key]
    return (key for key in graph.calls if key in wanted)


def _texts_of(records: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The environment of each of these records as a text, by its name; one that may be another's bears its text.

    What an older record does not tell counts as equal to anything, so that it makes no environment of its own.
    """
    told: dict[str, Environment] = {}
    for record in records:
        one = environment_of(record)
        told.setdefault(name_of(one), one)
    found: dict[str, str] = {}
    whole: list[Environment] = []
    for name, one in sorted(told.items(), key=lambda item: sum(UNKNOWN in value for value in item[1].values())):
        like = next((other for other in whole if alike(one, other)), None)
        if like is None:
            whole.append(one)
        found[name] = in_words(like or one)
    return found


def _facts(key: str, graph: Graph, records: _Records) -> StepFacts:
    call = graph.calls[key].call
    try:
        record = records[key]
    except (Refused, Damaged):  # It was swept away, or only its row was imported: the call is known all the same.
        return StepFacts(key=key, call=call.text, inputs=graph.inputs[key])
    took = _took(record)
    versions = {name: _version(took, name) for name in VERSIONS}
    return StepFacts(
        key=key,
        call=str(record.get("call", call.text)),
        inputs=graph.inputs[key],
        seconds=float(seconds) if isinstance(seconds := took.get("seconds"), int | float) else None,
        finished=str(took.get("finished", "")),
        versions=versions,
    )


def _took(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a record tells of its run; an imported one may tell little."""
    told: Any = record.get("provenance")
    return cast(dict[str, Any], told) if isinstance(told, dict) else {}


def _version(provenance: Mapping[str, Any], name: str) -> str:
    text = str(provenance.get(name, ""))
    return f"{text[:12]}, with changes" * bool(text) if name == "commit" and provenance.get("dirty") else text


def _machine(provenance: Mapping[str, Any]) -> str:
    processor, cores, system, machine = (provenance.get(name, UNKNOWN) for name in MACHINE)
    return f"{processor}, {cores} cores, {system}, {machine}"


def _joined(texts: Iterable[str]) -> str:
    return "; ".join(sorted({text for text in texts if text}))


def _named(names: Mapping[str, str], graph: Graph) -> dict[str, str]:
    """What a study says of the names that its rows have, in its order; also of two that are held against each other."""
    values = {str(value) for goal in graph.goals for value in goal.labels.values()}
    there = {name for value in values for name in (value, *value.split(" against "))}
    return {name: text for name, text in names.items() if name in there}


def _about(graph: Graph) -> dict[str, str]:
    """The settings that all calls have in common, by the name of the argument: arch, task, recipe, keep."""
    found: dict[str, set[str]] = defaultdict(set)
    seen: set[int] = set()
    for deferred in graph.calls.values():
        for name, value in deferred.call.arguments.items():
            if type(value) in (int, float, str):
                found[name].add(text_of(value))
            elif id(value) not in seen and is_plugin(value):
                seen.add(id(value))
                found[name].add(text_of(value))
    return {name: next(iter(texts)) for name, texts in found.items() if len(texts) == 1 and name not in ("seeds", "by")}

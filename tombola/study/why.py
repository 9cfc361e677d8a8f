"""Why a call of a study would run: what differs from the nearest one that is stored."""

import contextlib
import dataclasses
import functools
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, cast

from tombola.core.call import function_of
from tombola.core.canon import canonical
from tombola.core.errors import Refused
from tombola.study.deferred import Deferred
from tombola.study.environment import in_words
from tombola.study.graph import Graph
from tombola.study.plan import COMPARED, records_of, refers
from tombola.study.step import Step
from tombola.study.store import Store


@dataclasses.dataclass(frozen=True)
class Reason:
    """Why a call would run: the nearest stored call of its step ("" if there is none), and what differs first."""

    key: str
    call: str
    nearest: str
    argument: str = ""
    here: str = ""
    there: str = ""
    others: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The reason as a sentence."""
        if not self.nearest:
            return f"{self.key}: no {function_of(self.key)} is stored yet."
        there = f"in {self.nearest}, the nearest that is stored, {self.there}"
        more = f" {', '.join(self.others)}: other than there too." if self.others else ""
        return f"{self.key}: {self.argument} is {self.here}; {there}.{more}"


def why(graph: Graph, store: Store) -> list[Reason]:
    """For each call that would run although its inputs are stored: what differs from the nearest stored one.

    The calls that follow from these differ by their inputs, and are left out.
    """
    present = store.present()
    todo = graph.needed(present=present, noted=store.noted())
    first = [graph.calls[key] for key in todo if all(one in present for one in graph.inputs[key])]
    steps = {call.function.name: call.function for call in first}
    keys = [key for key in sorted(present) if function_of(key) in steps][:COMPARED]
    stored: dict[str, list[tuple[str, dict[str, str]]]] = defaultdict(list)
    for record in records_of(store, keys):
        there = _leaves(steps[record["function"]], record["version"], record["arguments"])
        stored[record["function"]].append((record["key"], there))
    return [_elsewhere(call, store) or _reason(call, stored[call.function.name]) for call in first]


def _elsewhere(call: Deferred, store: Store) -> Reason | None:
    """The reason of a call that only another environment has made."""
    made_in = store.made_in(call.key) if store.reuse == "same" else None
    if made_in is None:
        return None
    return Reason(call.key, call.call.text, call.key, "the environment", in_words(store.here), in_words(made_in))


def _reason(call: Deferred, stored: list[tuple[str, dict[str, str]]]) -> Reason:
    if not stored:
        return Reason(call.key, call.call.text, "")
    here = _leaves(call.function, call.call.version, call.call.canonical)
    nearest, there = min(stored, key=lambda one: len(_different(here, one[1])))
    argument, *others = _different(here, there) or [""]
    lacking = "nothing" if argument.endswith("]") else "at its default"
    said = [one.get(argument, lacking) for one in (here, there)]
    return Reason(call.key, call.call.text, nearest, argument, *said, others=tuple(others))


def _different(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    return [name for name in {**one, **other} if one.get(name) != other.get(name)]


def _leaves(function: Step, version: int, arguments: Mapping[str, Any]) -> dict[str, str]:
    """The plain values in canonical arguments, by the way that leads to them: recipe.optimizer.lr."""
    found = {"the version of the step": str(version)}
    given = {**_defaults(function), **arguments}
    for name in sorted(given, key=lambda name: _order(function, name, given[name])):
        found.update(_walk(name, given[name]))
    return found


def _order(function: Step, name: str, form: Any) -> tuple[bool, int]:
    """Arguments as the step takes them; results of other calls last, since they differ for reasons of their own."""
    known = list(function.signature.parameters)
    return refers(form), known.index(name) if name in known else len(known)


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

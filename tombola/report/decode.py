"""JSON read strictly into frozen dataclasses: exact fields, exact types, and errors that name the place."""

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
"""How numbers that JSON has no word for are written (a diverged training has an infinite loss)."""


def parse(text: str, where: str) -> Any:
    """The JSON value in `text`, refusing a key that is given twice and the non-standard words NaN and Infinity.

    Example:
        >>> parse('{"a": [1, 2]}', "example")
        {'a': [1, 2]}
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise ValueError(f"{where}: the key {key!r} is given twice. Keep one of them.")
            found[key] = value
        return found

    def refuse(word: str) -> Any:
        raise ValueError(f"{where}: {word} is not JSON. Write the word in quotes: {sorted(NOT_FINITE)}.")

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: this is not JSON ({error}). Write it with to_json().") from error


def encode(value: Any) -> Any:
    """A dataclass, and all it holds, as plain JSON values; a class variable `kind` is written beside the fields.

    Example:
        >>> encode({"loss": float("inf"), "shape": (2, 3)})
        {'loss': 'inf', 'shape': [2, 3]}
    """
    if is_dataclass(value):
        said = {field.name: encode(getattr(value, field.name)) for field in fields(value)}
        return {"kind": kind, **said} if (kind := _kind(type(value))) else said
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value


def decode(kind: Any, value: Any, where: str) -> Any:
    """`value` as an instance of the type `kind`; `where` is the place that an error names.

    Knows dataclasses, int, float, str, bool, None, `Literal`, `tuple[X, ...]`, `Mapping[str, X]`, and a choice of
    these: among dataclasses their `kind` chooses, else the first that fits.

    Example:
        >>> decode(tuple[float, ...], [1, 0.5], "densities")
        (1.0, 0.5)
        >>> decode(int, True, "row.seed")
        Traceback (most recent call last):
        ...
        ValueError: row.seed: got true (bool), this must be int.
    """
    origin = get_origin(kind)
    if is_dataclass(kind):
        return _record(kind, value, where)
    if origin is UnionType:
        return _choice(get_args(kind), value, where)
    if origin is Literal and value in get_args(kind):
        return value
    if origin is tuple and isinstance(value, list):
        return tuple(decode(get_args(kind)[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    if origin is Mapping and isinstance(value, dict):
        return {key: decode(get_args(kind)[1], item, f"{where}.{key}") for key, item in value.items()}
    if kind is float and isinstance(value, str) and value in NOT_FINITE:
        return NOT_FINITE[value]
    if kind is float and type(value) in (int, float):
        return float(value)
    if kind in (int, str, bool, type(None)) and type(value) is kind:
        return value
    raise ValueError(f"{where}: got {_shown(value)} ({type(value).__name__}), this must be {_named(kind)}.")


def _choice(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if type(value) in kinds:  # Most values are plain, and there are many.
        return value
    records = [kind for kind in kinds if is_dataclass(kind)]
    if records and isinstance(value, dict):
        chosen = [kind for kind in records if len(records) == 1 or _kind(kind) == value.get("kind")]
        if not chosen:
            known = ", ".join(str(_kind(kind)) for kind in records)
            raise ValueError(f"{where}: its kind is {value.get('kind')!r}. Known: {known}.")
        return _record(chosen[0], value, where)
    able = [kind for kind in kinds if _shape(kind) is type(value) or (kind is float and type(value) in (int, str))]
    if not able:
        wanted = " or ".join(_named(kind) for kind in kinds)
        raise ValueError(f"{where}: got {_shown(value)} ({type(value).__name__}), this must be {wanted}.")
    return decode(able[0], value, where)


def _shape(kind: Any) -> type | None:
    """The type of the JSON value that stands for a kind."""
    return {tuple: list, Mapping: dict}.get(get_origin(kind) or kind, kind if isinstance(kind, type) else None)


def _shown(value: Any) -> str:
    return json.dumps(value)[:60]


def _named(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(repr(choice) for choice in get_args(kind))
    return {tuple: "list", Mapping: "object"}.get(get_origin(kind) or kind, getattr(kind, "__name__", str(kind)))


def _kind(kind: Any) -> str | None:
    return vars(kind).get("kind")


_hints = functools.cache(get_type_hints)


def _record(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: got {type(value).__name__}, this must be an object, a {kind.__name__}.")
    if _kind(kind):
        if value.get("kind") != _kind(kind):
            raise ValueError(f"{where}: its kind is {value.get('kind')!r}, this must be a {_kind(kind)}.")
        value = {name: item for name, item in value.items() if name != "kind"}
    known = {field.name: field for field in fields(kind)}
    needed = {name for name, field in known.items() if field.default is MISSING and field.default_factory is MISSING}
    if unknown := sorted(value.keys() - known.keys()):
        raise ValueError(f"{where}: unknown {', '.join(unknown)}. {kind.__name__} has {', '.join(known)}.")
    if missing := [name for name in known if name in needed - value.keys()]:
        raise ValueError(f"{where}: {', '.join(missing)} is missing. {kind.__name__} has {', '.join(known)}.")
    kinds = _hints(kind)
    made = {name: decode(kinds[name], item, f"{where}.{name}") for name, item in value.items()}
    try:
        return kind(**made)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error

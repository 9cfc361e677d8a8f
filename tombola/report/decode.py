"""JSON read strictly into frozen dataclasses: exact fields, exact types, and errors that name the place."""

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

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
    """A dataclass, and all it holds, as plain JSON values.

    Example:
        >>> encode({"loss": float("inf"), "shape": (2, 3)})
        {'loss': 'inf', 'shape': [2, 3]}
    """
    if is_dataclass(value):
        return {field.name: encode(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value


def decode(kind: Any, value: Any, where: str) -> Any:
    """`value` as an instance of the type `kind`; `where` is the place that an error names.

    Knows dataclasses, int, float, str, bool, `X | None`, `tuple[X, ...]` and `Mapping[str, X]`.

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
        inner = [choice for choice in get_args(kind) if choice is not type(None)]
        assert len(inner) == 1, "only X | None is declared"
        return None if value is None else decode(inner[0], value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(decode(get_args(kind)[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    if origin is Mapping and isinstance(value, dict):
        return {key: decode(get_args(kind)[1], item, f"{where}.{key}") for key, item in value.items()}
    if kind is float and isinstance(value, str) and value in NOT_FINITE:
        return NOT_FINITE[value]
    if kind is float and type(value) in (int, float):
        return float(value)
    if kind in (int, str, bool) and type(value) is kind:
        return value
    wanted = {tuple: "list", Mapping: "object"}.get(origin, getattr(kind, "__name__", str(kind)))
    raise ValueError(f"{where}: got {json.dumps(value)[:60]} ({type(value).__name__}), this must be {wanted}.")


def _record(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: got {type(value).__name__}, this must be an object, a {kind.__name__}.")
    known = {field.name: field for field in fields(kind)}
    needed = {name for name, field in known.items() if field.default is MISSING and field.default_factory is MISSING}
    if unknown := sorted(value.keys() - known.keys()):
        raise ValueError(f"{where}: unknown {', '.join(unknown)}. {kind.__name__} has {', '.join(known)}.")
    if missing := [name for name in known if name in needed - value.keys()]:
        raise ValueError(f"{where}: {', '.join(missing)} is missing. {kind.__name__} has {', '.join(known)}.")
    kinds = get_type_hints(kind)
    made = {name: decode(kinds[name], item, f"{where}.{name}") for name, item in value.items()}
    try:
        return kind(**made)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error

"""The settings that stand behind a result, defaults included, each under its full name: `train.recipe.optimizer.lr`."""

import dataclasses
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, cast

from tombola.core.canon import Keyed
from tombola.core.plugin import is_plugin, text_of
from tombola.study.deferred import Deferred

Plain = str | int | float | bool | None


def settings_of(call: Deferred) -> dict[str, Plain]:
    """Every argument of a call, and of the nearest call of each other function that it was made of.

    A plug-in stands there as its text, with each of its fields below it; a result of another call as its key.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.find import draw
        >>> from tombola.study.deferred import defer
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.recipes import Quickstart
        >>> found = settings_of(defer(draw, Mlp(hidden=(6,)), Digits(), Quickstart()))
        >>> found["draw.arch"], found["draw.arch.hidden"], found["draw.seeds.seed"]
        ('mlp(hidden=(6,))', '(6,)', 0)
    """
    found: dict[str, Plain] = {}
    for function, nearest in _nearest(call).items():
        for name, value in _complete(nearest).items():
            found.update(_flat(f"{function}.{name}", value))
    return found


def _nearest(call: Deferred) -> dict[str, Deferred]:
    """The nearest call of each function, this one first; of those equally near the one that is named first."""
    found: dict[str, Deferred] = {}
    seen = {call.key}
    queue = deque([call])
    while queue:
        one = queue.popleft()
        found.setdefault(one.function.name, one)
        for behind in one.inputs:
            if behind.key not in seen:
                seen.add(behind.key)
                queue.append(behind)
    return found


def _complete(call: Deferred) -> dict[str, Any]:
    """The arguments of a call with those left at their defaults, in the order of the function."""
    given = call.call.arguments
    parameters = call.function.signature.parameters
    return {n: given.get(n, p.default) for n, p in parameters.items() if n != "context"}


def _flat(name: str, value: Any) -> Iterator[tuple[str, Plain]]:
    if value is None or isinstance(value, bool | int | float | str):
        yield name, value
    elif isinstance(value, Keyed):
        yield name, value.key
    elif is_plugin(value):
        yield name, text_of(value)
        for field in dataclasses.fields(value):
            yield from _flat(f"{name}.{field.name}", getattr(value, field.name))
        for part, identity in cast(Mapping[str, Any], value.__identity__()).items():
            yield from _flat(f"{name}.{part}", identity)
    elif isinstance(value, dict):
        for part, item in cast(dict[str, Any], value).items():
            yield from _flat(f"{name}.{part}", item)
    elif isinstance(value, tuple | list) and any(_deep(item) for item in cast(tuple[Any, ...], value)):
        for place, item in enumerate(cast(tuple[Any, ...], value)):
            yield from _flat(f"{name}.{place}", item)
    else:
        yield name, text_of(value)


def _deep(value: Any) -> bool:
    return is_plugin(value) or isinstance(value, Keyed | dict | tuple | list)

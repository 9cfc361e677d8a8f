"""Which parameters of a step take results of other steps, and of which kinds."""

import types
import typing
from collections.abc import Mapping
from typing import Any

from tombola.core.artifact import Artifact
from tombola.core.errors import Refused


def kinds_of(hints: Mapping[str, Any]) -> dict[str, tuple[tuple[type[Artifact], ...], bool]]:
    """For each such parameter the kinds of artifacts, and whether it takes nothing else."""
    found: dict[str, tuple[tuple[type[Artifact], ...], bool]] = {}
    for name, hint in hints.items():
        union = typing.get_origin(hint) in (typing.Union, types.UnionType)
        options: tuple[Any, ...] = typing.get_args(hint) if union else (hint,)
        kinds = tuple(one for one in options if isinstance(one, type) and issubclass(one, Artifact))
        if kinds and Any not in options:
            found[name] = kinds, len(kinds) == len(options)
    return found


def check_inputs(step: str, hints: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Whether what a step is given are the results that it asks for.

    Raises:
        Refused: If one is something else: a ticket where a trained network is asked for, say.
    """
    for name, (kinds, only) in kinds_of(hints).items():
        value = arguments.get(name)
        if only and name in arguments and not isinstance(value, kinds):
            known = " or a ".join(kind.__name__ for kind in kinds)
            raise Refused(f"{step}: '{name}' is {value!r} ({type(value).__name__}). It must be a {known}.")

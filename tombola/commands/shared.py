"""What several commands need: plain output, one JSON object, the machine that is named."""

import json
import math
import pathlib
import shlex
from typing import Any

import torch
from rich.console import Console

from tombola.core.errors import Refused
from tombola.core.machine import Machine
from tombola.core.text import parse
from tombola.study.engines import allocator

PLAIN = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)


def chosen_machine(named: str) -> Machine:
    """The machine that is named, with this process set up for it.

    Raises:
        Refused: If it is not here.
    """
    machine: Machine = parse("machine", named)
    allocator.keep_memory()
    try:
        float(torch.zeros(1, device=machine.device))
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # Torch without CUDA asserts that it has it.
        reason = (str(error).splitlines() or [""])[0].rstrip(".")
        raise Refused(f"--machine: device '{machine.device}' cannot be used ({reason}). See: tombola doctor") from error
    return machine


def check_not_lost(out: str, source: str | pathlib.Path, use: tuple[str, ...] = ()) -> None:
    """Refuse to write over the ticket that something is made of ("" for none), or over a file of plug-ins."""
    given = [*[(source, "ticket")] * bool(source), *((path, "--use") for path in use)]
    for path, what in given if out and pathlib.Path(out).exists() else ():
        if pathlib.Path(out).samefile(path):
            raise Refused(f"--out {out} is the {what} that is given; it would be lost. Name another file.")


def print_json(value: Any) -> None:
    """One JSON object on standard output, and nothing else there; numbers that are none are null, as JSON has none."""
    print(json.dumps(finite(value), allow_nan=False))


def finite(value: Any) -> Any:
    """The same data with None for what is not a number or infinite."""
    if isinstance(value, dict):
        return {name: finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def quoted(text: str) -> str:
    """A word for a shell, as a person would write it.

    Example:
        >>> print(quoted("depth.py"), quoted("depth.py(levels=3)"))
        depth.py "depth.py(levels=3)"
    """
    plain = shlex.quote(text)
    return plain if plain == text or set(text) & set('"$`\\!') else f'"{text}"'

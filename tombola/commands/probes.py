"""`tombola probe`: what is measured of files, by the probes of studies."""

import importlib
import inspect
import re
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table

from tombola.commands.shared import PLAIN, chosen_machine, print_json, quoted
from tombola.core.counted import number_of
from tombola.core.errors import Refused, unknown
from tombola.core.measurement import Measurement
from tombola.core.task import Task
from tombola.core.text import parse, parse_fields
from tombola.core.ticket import Ticket
from tombola.probes.known import entries
from tombola.report.live import Live
from tombola.report.wording import number_text, spoken
from tombola.study.step import Step
from tombola.study.store import Store
from tombola.train.recipe import Recipe
from tombola.train.trained import Trained
from tombola.verify import opened
from tombola.words.probes import Probe

Subject = Ticket | Trained
OWN = {"task": Task, "recipe": Recipe}
"""Arguments that have options of their own."""


def probe(asked: Probe) -> int:
    """`tombola probe`: the numbers of a probe, and whether its checks held."""
    function = _step(asked.probe)
    subjects = [opened(path) for path in asked.files]
    arguments = dict(_given(function, asked.probe))
    arguments |= _placed(function, list(zip(map(str, asked.files), subjects, strict=True)))
    arguments |= _from_options(function, asked, subjects)
    needed = [n for n, one in function.signature.parameters.items() if one.default is one.empty and n not in arguments]
    if needed:
        given = ", ".join(f"{name}=..." for name in needed)
        raise Refused(f'{function.name} needs {" and ".join(needed)}: write "{function.name}({given})".')
    machine = chosen_machine(asked.machine)
    with Live(total=1, title=function.name, counts=function.name, unit="measurements") as live:
        found: Measurement = Store(asked.store, machine=machine, listen=live.listen)(function, **arguments)
    held = all(found.proofs().values())
    if asked.json:
        tables = {name: list(map(dict, lines)) for name, lines in found.tables.items()}
        said = {"probe": function.name, "numbers": found.numbers(), "checks": found.proofs(), "tables": tables}
        said |= {"pictures": [dict(one) for one in found.pictures]}
        print_json({**said, "key": found.key})
        return 0 if held else 1
    shown = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    for name, value in found.numbers().items():
        shown.add_row(spoken(name), number_text(name, value))
    PLAIN.print(shown)
    for name, ok in found.proofs().items():
        PLAIN.print(f"{'ok' if ok else 'FAILED'}: {name}")
    more = ", ".join(f"{name} ({number_of(len(lines), 'line')})" for name, lines in found.tables.items())
    PLAIN.print(f"kept in {asked.store} as {found.key}" + (f"; tables, by --json: {more}" if more else ""))
    return 0 if held else 1


def _step(text: str) -> Step:
    name = text.partition("(")[0].strip()
    known = {entry.name: entry.module for entry in entries()}
    if name not in known:
        raise unknown("probe", name, known)
    return getattr(importlib.import_module(known[name]), name)


def _given(function: Step, text: str) -> dict[str, Any]:
    """The arguments that are written in brackets."""
    hints = {n: h for n, h in function.hints.items() if n not in ("return", "context", *OWN) and not _kinds(h)}
    for name in OWN:
        if name in function.hints and re.search(rf"[(,]\s*{name}\s*=", text):
            raise Refused(f"{function.name}: the {name} has an option of its own: --{name} TEXT, behind the files.")
    return parse_fields(text, hints)


def _kinds(hint: Any) -> tuple[type, ...]:
    """Which files an argument takes, if it takes files."""
    parts = [hint]
    if isinstance(hint, types.UnionType):
        parts = list(typing.get_args(hint))
    elif typing.get_origin(hint) is tuple:
        parts = [inner for part in typing.get_args(hint) for inner in (typing.get_args(part) or (part,))]
    return tuple(part for part in parts if part in (Ticket, Trained))


def _placed(function: Step, files: Sequence[tuple[str, Subject]]) -> dict[str, Any]:
    """The files in the places of the arguments that take such, each in turn; one that takes many takes all that fit.

    Raises:
        Refused: If there are too few, or one is left over.
    """
    left, placed = [one for _, one in files], dict[str, Any]()
    paths = {id(one): path for path, one in files}
    for name, hint in function.hints.items():
        kinds = _kinds(hint)
        if not kinds or name == "return":
            continue
        needed = function.signature.parameters[name].default is inspect.Parameter.empty
        fit = [one for one in left if isinstance(one, kinds)]
        if typing.get_origin(hint) is tuple:
            placed[name] = tuple(fit)
        elif fit:
            placed[name] = fit[0]
            fit = fit[:1]
        elif needed:
            odd, way = paths[id(left[0])] if left else "", ""
            if odd and kinds == (Trained,):
                way = f" {odd} is none: train it (tombola train {quoted(odd)} --out NAME.trained)."
            raise Refused(
                f"{function.name} takes {' and '.join(_places(function))}; there is no file for '{name}'.{way}"
            )
        left = [one for one in left if not any(one is taken for taken in fit)]
    if left:
        raise Refused(f"{function.name} takes {' and '.join(_places(function))}; {paths[id(left[0])]} is left over.")
    return placed


def _places(function: Step) -> Iterator[str]:
    for name, hint in function.hints.items():
        if name != "return" and (kinds := _kinds(hint)):
            many = "any number of files" if typing.get_origin(hint) is tuple else "a file"
            optional = function.signature.parameters[name].default is not inspect.Parameter.empty
            said = " or ".join(f".{kind.__name__.lower()}" for kind in kinds)
            yield f"{many} {said} ('{name}'{', may be left out' if optional else ''})"


def _from_options(function: Step, asked: Probe, subjects: Sequence[Subject]) -> dict[str, Any]:
    """Data and recipe, if the probe takes them: as named, or those of the first network if they are needed.

    Raises:
        Refused: If it takes none and one is named, or needs one that nobody names.
    """
    found: dict[str, Any] = {}
    for name in OWN:
        text, takes = getattr(asked, name), name in function.hints
        if text and not takes:
            able = [n for n, hint in function.hints.items() if hint is OWN[name]]
            way = f'Write "{function.name}({", ".join(f"{n}=..." for n in able)})"' if able else "Leave it out"
            raise Refused(f"{function.name} takes no --{name}. {way}.")
        if text:
            found[name] = parse(name, text)
        elif takes and function.signature.parameters[name].default is inspect.Parameter.empty:
            first = subjects[0] if subjects else None
            own = getattr(first, name, "") or (first.ticket if isinstance(first, Trained) else first)
            if not own:
                raise Refused(f"{function.name} needs a {name}, and the first file names none: give --{name}.")
            found[name] = parse(name, own) if isinstance(own, str) else own
    return found

"""A study as it is named: a Python file or the name of a shipped one, with settings: `depth.py(levels=3)`."""

import contextlib
import dataclasses
import importlib
import inspect
import keyword
import pathlib
import re
import traceback
import types
import typing
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any, cast

from tombola.core import catalogue
from tombola.core.canon import fingerprint
from tombola.core.errors import Damaged, Failed, Refused, unknown
from tombola.core.plugin import text_of
from tombola.core.text import parse_fields
from tombola.study.deferred import Deferred
from tombola.study.goals import Goal, row
from tombola.study.shipped import SHIPPED, shipped
from tombola.study.step import PLANNING

_TEXT = re.compile(r"\s*(?P<name>.+?\.py|[\w-]+)\s*(?P<settings>\(.*\))?\s*", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Study:
    """A module with `goals(**settings)`, and the settings that it is to have.

    The module may also have `claims`, `figures` and `tables`, functions of the same settings that say what the report
    is to show, `QUESTION`, and `NAMES`, which says in words what the values of labels stand for. The first line of its
    docstring is its title.
    """

    module: types.ModuleType
    place: str
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name of the module: that of the file, without its ending."""
        return pathlib.Path(self.place).stem

    @property
    def label(self) -> str:
        """A name for a folder: the study's, and some digits that change with its settings."""
        return f"{self.name}-{fingerprint(dict(self.settings))[:8]}"

    @property
    def text(self) -> str:
        """The study as it is named, with the settings that are not at their defaults."""
        defaults = {n: p.default for n, p in inspect.signature(self.module.goals).parameters.items()}
        given = {n: v for n, v in self.settings.items() if (type(v), v) != (type(defaults[n]), defaults[n])}
        said = ", ".join(f"{n}={text_of(v)}" for n, v in given.items())
        return f"{self.place}({said})" if said else self.place

    @property
    def title(self) -> str:
        """The first line of the module's docstring; its name if it has none."""
        return (inspect.getdoc(self.module) or self.name).splitlines()[0]

    @property
    def names(self) -> Mapping[str, str]:
        """What the values of labels stand for, in words; empty if the study does not say.

        Raises:
            Refused: If `NAMES` is no mapping of texts.
        """
        found: Any = getattr(self.module, "NAMES", {})
        texts: list[Any] = [*found, *found.values()] if isinstance(found, Mapping) else [found]
        if not all(isinstance(one, str) for one in texts):
            raise Refused(f'{self.place}: NAMES must be texts by name, as in NAMES = {{"reinit": "on new values"}}.')
        return cast("Mapping[str, str]", found)

    def goals(self) -> list[Goal]:
        """What the study wants; a deferred call without labels counts as a row without any.

        Raises:
            Refused: If the study raises, or yields what is not deferred.
        """
        found: list[Goal] = []
        for number, one in enumerate(self._told("goals")):
            if isinstance(one, Deferred):
                one = row(one)
            if not isinstance(one, Goal):
                raise Refused(
                    f"{self.place}: goals() yields a {type(one).__name__} (number {number + 1}). It must yield "
                    "row(...) of deferred calls: call every step through defer, as in find(..., call=defer)."
                )
            found.append(one)
        if not found:
            raise Refused(f"{self.place}: goals() yields nothing with these settings. It must yield row(...).")
        return found

    def declared(self, what: str) -> tuple[Any, ...]:
        """The claims, figures or tables that the study declares; none if it does not say."""
        return tuple(self._told(what)) if hasattr(self.module, what) else ()

    def _told(self, what: str) -> Iterator[Any]:
        function = getattr(self.module, what)
        if not callable(function):
            raise Refused(
                f"{self.place}: {what} is of type {type(function).__name__}. It must be a function that yields, or "
                f"returns a list: def {what}(): return [...]"
            )
        takes = inspect.signature(function).parameters
        every = any(one.kind is one.VAR_KEYWORD for one in takes.values())
        settings = {n: v for n, v in self.settings.items() if every or n in takes}
        with _explained(self.place, self.module.__file__ or "", what), _planning():
            found = function(**settings)
            if not isinstance(found, Iterable):
                kind = type(found).__name__
                raise Refused(f"{self.place}: {what}() gives a {kind}. It must yield, or return a list.")
            yield from cast(Iterable[Any], found)


def open_study(text: str) -> Study:
    """The study that a text names.

    Raises:
        UnknownName: If no study or setting has that name.
        Refused: If the file cannot be run, has no `goals`, or a setting does not fit.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise Refused(
            f"'{text}' names no study. Write FILE.py or a name, with settings in brackets: quickstart(levels=3)."
        )
    place = match["name"]
    module = _file(place) if place.endswith(".py") else _shipped(place)
    function = getattr(module, "goals", None)
    if not callable(function):
        raise Refused(f"{place} has no function goals(). A study yields its rows there; see docs/studies.md.")
    with _explained(place, module.__file__ or "", "the settings of goals"):
        settings = _types(function, place)
    given = parse_fields(_said(place) + (match["settings"] or ""), settings)
    defaults = {n: p.default for n, p in inspect.signature(function).parameters.items() if n in settings}
    if missing := [n for n, default in defaults.items() if default is inspect.Parameter.empty and n not in given]:
        raise Refused(f"{place} needs the setting '{missing[0]}': write \"{place}({missing[0]}=...)\".")
    _check_seeds(place, given)
    return Study(module, place, {**defaults, **given})


def _check_seeds(place: str, given: Mapping[str, Any]) -> None:
    """Refuse a list of seeds that is empty, or has one twice: two equal runs would count as two."""
    if not isinstance(given.get("seeds"), tuple):
        return
    seeds = cast("tuple[Any, ...]", given["seeds"])
    if not seeds or len(set(seeds)) < len(seeds):
        raise Refused(f"{place}: seeds={text_of(seeds)}. A run has one at least, and none twice: write seeds=(0, 1).")


def _said(place: str) -> str:
    """The name of a study as a word that can stand before brackets."""
    word = re.sub(r"\W", "_", pathlib.Path(place).stem)
    return word if word.isidentifier() and not keyword.iskeyword(word) else f"study_{word}"


def _shipped(name: str) -> types.ModuleType:
    known = shipped()
    if name not in known:
        error = unknown("study", name, known)
        raise type(error)(f"{error} A study of your own is named by its file: {name}.py.")
    return importlib.import_module(f"{SHIPPED}.{name}")


def _file(place: str) -> types.ModuleType:
    if not pathlib.Path(place).is_file():
        raise Refused(f"there is no study {place}. Name a Python file, or a shipped study: {', '.join(shipped())}.")
    with _explained(place, str(pathlib.Path(place).resolve()), ""):
        return catalogue.load_file(place)


def _types(function: Any, place: str) -> dict[str, Any]:
    """The settings of a study and their types: as annotated, else that of the default."""
    hints = typing.get_type_hints(function)
    found: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise Refused(f"{place}: goals() takes '{parameter}'. Name every setting and give it a default.")
        known = parameter.default is not parameter.empty and type(parameter.default) in (int, float, str, bool)
        found[name] = hints.get(name, type(parameter.default) if known else Any)
    return found


@contextlib.contextmanager
def _planning() -> Generator[None]:
    before = PLANNING.set(True)
    try:
        yield
    finally:
        PLANNING.reset(before)


class _explained:
    """Say where in a study an error happened: it is the study's own, and its author must find it."""

    def __init__(self, place: str, file: str, what: str) -> None:
        self.place, self.file, self.what = place, file, what

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Turn what the study raised into one message with the lines of the study that led there."""
        if error is None or not isinstance(error, Exception):
            return
        if isinstance(error, SyntaxError) and error.filename == self.file:
            raise Refused(f"{self.place}, line {error.lineno}: {error.msg}.") from error
        lines = [frame for frame in traceback.extract_tb(trace) if frame.filename == self.file]
        inside = f" in {self.what}{'()' * self.what.isidentifier()}" if self.what else ""
        where = ", ".join(f"line {frame.lineno}" for frame in lines[-3:])
        shipped = not self.place.endswith(".py")
        if isinstance(error, Refused) and shipped:  # It speaks of the settings: of its lines the reader knows nothing.
            said = str(error)
            raise Refused(said if said.startswith(f"{self.place}:") else f"{self.place}: {said}") from error
        said = str(error) if isinstance(error, Refused | Failed | Damaged) else f"{type(error).__name__}: {error}"
        if where or not isinstance(error, Refused):
            raise Refused(f"{self.place}{', ' * bool(where)}{where}{inside}: {said}") from error

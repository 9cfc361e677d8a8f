"""Which plug-ins there are, found by reading sources: listing them imports nothing, and adding one edits no list.

The sources of the package are scanned for classes under `@plugin(kind, name)`; a plug-in's module is imported only when
the plug-in is used. Plug-ins of others join by an entry point in the group `tombola.plugins` or by `load_file`.
"""

import ast
import dataclasses
import functools
import importlib
import importlib.metadata
import importlib.util
import inspect
import pathlib
import re
import sys
import types
from collections.abc import Iterator
from typing import Any

from tombola.core.errors import Refused, UnknownName, unknown
from tombola.core.plugin import LOADED, registration, text_of

ROOT = pathlib.Path(__file__).parents[1]
ENTRY_POINTS = "tombola.plugins"


@dataclasses.dataclass(frozen=True)
class Entry:
    """A plug-in as the catalogue knows it: `fields` pairs each field with the text of its default, "" if required.

    `text` is what its docstring says after the summary, without examples and without what is for callers in Python.
    """

    kind: str
    name: str
    module: str
    summary: str
    fields: tuple[tuple[str, str], ...]
    text: str = ""

    def __str__(self) -> str:
        """The plug-in with all its defaults, as `tombola list` shows it."""
        return f"{self.name}({', '.join(f'{n}={d}' if d else n for n, d in self.fields)})"


def described(docstring: str | None) -> tuple[str, str]:
    """The summary of a docstring, and the text after it up to what is for callers in Python.

    Example:
        >>> described("Cut.\\n\\nWhat is small goes.\\n\\nRaises:\\n    Refused: If nothing is left.")
        ('Cut.', 'What is small goes.')
    """
    summary, _, rest = inspect.cleandoc(docstring or "").partition("\n")
    return summary, re.split(r"^(?:Raises|Returns|Example|Examples):$", rest, maxsplit=1, flags=re.MULTILINE)[0].strip()


def kinds() -> list[str]:
    """All kinds of plug-ins that exist."""
    return sorted({entry.kind for entry in _all().values()})


def names(kind: str) -> list[str]:
    """The names of all plug-ins of a kind, sorted."""
    return sorted(entry.name for entry in _all().values() if entry.kind == kind)


def entries(kind: str) -> list[Entry]:
    """The catalogue's entries of a kind, sorted by name."""
    return sorted((e for e in _all().values() if e.kind == kind), key=lambda e: e.name)


def find_entry(name: str, *, kind: str = "") -> Entry:
    """The entry of a name, of a given kind or of any.

    Raises:
        UnknownName: With the nearest known name.
    """
    matches = [e for e in _all().values() if e.name == name and kind in ("", e.kind)]
    if not matches:
        if others := sorted(e.kind for e in _all().values() if e.name == name):
            raise UnknownName(
                f"no {kind} called '{name}': that is of the kind {' and '.join(others)}. See: tombola list {kind}."
            )
        raise unknown(kind or "plug-in", name, names(kind) if kind else {e.name for e in _all().values()})
    if len(matches) > 1:
        raise Refused(f"'{name}' could be {' or '.join(f'{e.kind} ({e.module})' for e in matches)}. Rename one.")
    return matches[0]


def load(entry: Entry) -> type[Any]:
    """The plug-in's class; imports its module if that has not happened."""
    if (entry.kind, entry.name) not in LOADED:
        importlib.import_module(entry.module)
    return LOADED[entry.kind, entry.name]


FILES: dict[str, str] = {}
"""The files that were loaded, by the names of their modules: what another process must load to know the same."""


def load_file(path: str | pathlib.Path) -> types.ModuleType:
    """Import a Python file so that the plug-ins in it can be named (`--use FILE.py`), or the study in it run.

    Raises:
        Refused: If there is no such file, or another one of its name was loaded.
    """
    path = pathlib.Path(path).resolve()
    if not path.is_file():
        raise Refused(f"no file {path} to take plug-ins from (--use).")
    name = "tombola_use_" + re.sub(r"\W", "_", path.stem)  # A dot would make it a module inside another.
    if FILES.get(name, str(path)) != str(path):
        raise Refused(f"{FILES[name]} and {path} have the same name. Rename one.")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    FILES[name] = str(path)
    return module


@functools.cache
def _load_entry_points() -> None:
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        point.load()


def _all() -> dict[tuple[str, str], Entry]:
    _load_entry_points()
    found = dict(_shipped())
    for key, cls in LOADED.items():
        if key not in found and not cls.__module__.startswith("tombola."):
            found[key] = _entry_of(cls)
    return found


def _entry_of(cls: type[Any]) -> Entry:
    own = registration(cls)
    fields = tuple(
        (f.name, "" if f.default is dataclasses.MISSING else text_of(f.default)) for f in dataclasses.fields(cls)
    )
    summary, text = described(inspect.getdoc(cls))
    return Entry(own.kind, own.name, cls.__module__, summary, fields, text)


@functools.cache
def _shipped() -> dict[tuple[str, str], Entry]:
    found: dict[tuple[str, str], Entry] = {}
    for path in sorted(ROOT.rglob("*.py")):
        if "@plugin(" in path.read_text():
            for entry in _scan(path):
                if other := found.get((entry.kind, entry.name)):
                    raise Refused(
                        f"two plug-ins are called {entry.kind} '{entry.name}': {other.module}, {entry.module}"
                    )
                found[entry.kind, entry.name] = entry
    return found


def _module_name(path: pathlib.Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def _parsed(path: pathlib.Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def _scan(path: pathlib.Path) -> Iterator[Entry]:
    for node in _parsed(path).body:
        if isinstance(node, ast.ClassDef) and (call := _plugin_call(node)):
            kind, name = (ast.literal_eval(arg) for arg in call.args[:2])
            summary, text = described(ast.get_docstring(node))
            yield Entry(kind, name, _module_name(path), summary, tuple(_fields(node, path).items()), text)


def _plugin_call(node: ast.ClassDef) -> ast.Call | None:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name) and decorator.func.id == "plugin":
            return decorator
    return None


def _fields(node: ast.ClassDef, path: pathlib.Path) -> dict[str, str]:
    """The dataclass fields of a class, bases first, without importing anything."""
    fields: dict[str, str] = {}
    for base in reversed(node.bases):
        if isinstance(base, ast.Name) and (found := _class(base.id, path)):
            fields.update(_fields(*found))
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            if "ClassVar" not in ast.unparse(item.annotation) and not item.target.id.startswith("_"):
                fields[item.target.id] = _default(item.value, path)
    return fields


def _default(value: ast.expr | None, path: pathlib.Path) -> str:
    if value is None:
        return ""
    named = {e.id for e in ast.walk(value) if isinstance(e, ast.Name)}
    shown = ast.unparse(value)
    for name in named:  # A default such as Sgd(lr=0.1) is shown by the plug-in's own name.
        if (found := _class(name, path)) and (call := _plugin_call(found[0])):
            shown = shown.replace(f"{name}(", f"{ast.literal_eval(call.args[1])}(")
    return shown


def _class(name: str, path: pathlib.Path) -> tuple[ast.ClassDef, pathlib.Path] | None:
    """The definition of a class that a file defines or imports from this package."""
    for item in _parsed(path).body:
        if isinstance(item, ast.ClassDef) and item.name == name:
            return item, path
        if isinstance(item, ast.ImportFrom) and (item.module or "").startswith("tombola."):
            if any((alias.asname or alias.name) == name for alias in item.names):
                source = ROOT.parent / (item.module or "").replace(".", "/")
                source = source.with_suffix(".py") if source.with_suffix(".py").exists() else source / "__init__.py"
                return _class(name, source)
    return None

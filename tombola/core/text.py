"""From text to plug-ins: the inverse of `str(plugin)`, for the command line, records and lineages.

The text is read as a Python expression of calls with keyword arguments, literals and names, and never evaluated.
"""

import ast
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any

from tombola.core.call import KEY
from tombola.core.catalogue import Entry, find_entry, load
from tombola.core.errors import Refused, unknown
from tombola.core.plugin import fit, hints

_QUOTED = r"""('(?:[^'\\]|\\.)*(?:'|$)|"(?:[^"\\]|\\.)*(?:"|$))|"""  # What stands in quotes is left as it is.
_KEY = re.compile(_QUOTED + rf"(?<!\w)({KEY})(?!\w)", re.DOTALL)
_BARE_TIME = re.compile(_QUOTED + r"(?<![\w.])(\d+(?:\.\d+)?(?:ep|it))(?!\w)", re.DOTALL)
_MARK = "_key_"
_LONGEST = 20_000
_MOST_BITS = 1_024


def parse(kind: str, text: str) -> Any:
    """The plug-in of a kind that a text describes.

    Example:
        >>> parse("seeds", "seeds(seed=3, data=4)")
        seeds(seed=3, data=4)

    Raises:
        UnknownName: For an unknown plug-in or field, with the nearest known one.
        Refused: For text that is not of the form `name(field=value, ...)`, or a value that does not fit.
    """
    return _build(_expression(text), kind=kind, source=text)


def check(kind: str, text: str) -> Entry:
    """The catalogue entry that a text names, with its field names checked; imports nothing."""
    node = _expression(text)
    name, fields = _call(node, source=text)
    entry = find_entry(name, kind=kind)
    _check_fields(entry, fields)
    return entry


def parse_call(text: str, resolve: Callable[[str], Any]) -> tuple[str, dict[str, Any]]:
    """A recorded call, `cut(trained=train:0123456789abcdef, keep=0.5)`, as its name and arguments.

    Args:
        resolve: Gives the value that a key stands for.
    """
    if re.search(rf"\b{_MARK}\b", text):
        raise Refused(f"'{text}' holds '{_MARK}', which is no plug-in.")
    node = _expression(_KEY.sub(lambda found: found[1] or f"{_MARK}('{found[2]}')", text))
    name, fields = _call(node, source=text)
    return name, {n: _value(v, hint=None, source=text, resolve=resolve) for n, v in fields.items()}


def parse_fields(text: str, types: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `name(field=value, ...)`, each fitted to its type; the name is not looked up.

    Example:
        >>> parse_fields("depth(levels=3, size=small)", {"levels": int, "size": str})
        {'levels': 3, 'size': 'small'}

    Raises:
        UnknownName: For an unknown field.
        Refused: For a value that does not fit.
    """
    name, fields = _call(_expression(text), source=text)
    for field in fields:
        if field not in types:
            raise unknown(f"setting of {name}", field, types)
    read: dict[str, Any] = {n: _value(v, hint=types[n], source=text, resolve=None) for n, v in fields.items()}
    return {n: fit(value, types[n], where=f"{name}: setting '{n}'") for n, value in read.items()}


def references(text: str) -> list[str]:
    """The keys that a recorded call refers to, in order.

    Example:
        >>> references("cut(trained=train:0123456789abcdef, keep=0.5)")
        ['train:0123456789abcdef']
    """
    return [key for _, key in _KEY.findall(text) if key]


def _expression(text: str) -> ast.expr:
    if len(text) > _LONGEST:
        raise Refused(f"a text of {len(text):,} characters is not a plug-in's (the longest allowed is {_LONGEST:,}).")
    quoted = _BARE_TIME.sub(lambda found: found[1] or f"'{found[2]}'", text.strip())  # steps=2ep is steps='2ep'.
    try:
        node = ast.parse(quoted, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Refused(
            f"cannot read '{text}': {error}. Write name or name(field=value, ...), e.g. {EXAMPLE}."
        ) from error
    numbers = (part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, int))
    if any(number.bit_length() > _MOST_BITS for number in numbers):
        raise Refused(f"a number in '{text[:40]}...' has more than {_MOST_BITS:,} bits.")
    return node


EXAMPLE = '"resnet(depth=32)"'


def _call(node: ast.expr, *, source: str) -> tuple[str, Mapping[str, ast.expr]]:
    if isinstance(node, ast.Name):
        return node.id, {}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.args:
            raise Refused(f"'{source}' gives a value without its field. Write name(field=value, ...), e.g. {EXAMPLE}.")
        if any(word.arg is None for word in node.keywords):
            raise Refused(f"'{source}' has a '**'. Write name(field=value, ...), e.g. {EXAMPLE}.")
        fields = {str(word.arg): word.value for word in node.keywords}
        if len(fields) < len(node.keywords):
            raise Refused(f"'{source}' gives a field twice.")
        return node.func.id, fields
    raise Refused(f"'{source}' does not name a plug-in. Write name or name(field=value, ...), e.g. {EXAMPLE}.")


def _check_fields(entry: Entry, fields: Mapping[str, ast.expr]) -> None:
    known = [name for name, _ in entry.fields]
    for name in fields:
        if name not in known:
            raise unknown(f"field of {entry.name}", name, known)
    if missing := [name for name, default in entry.fields if not default and name not in fields]:
        raise Refused(f'{entry.name} needs {", ".join(missing)}: write "{entry.name}({missing[0]}=...)".')


def _build(node: ast.expr, *, kind: str, source: str, resolve: Callable[[str], Any] | None = None) -> Any:
    name, fields = _call(node, source=source)
    entry = find_entry(name, kind=kind)
    _check_fields(entry, fields)
    cls = load(entry)
    types = hints(cls)
    return cls(**{n: _value(v, hint=types[n], source=source, resolve=resolve) for n, v in fields.items()})


def _value(node: ast.expr, *, hint: Any, source: str, resolve: Callable[[str], Any] | None) -> Any:
    if isinstance(node, ast.Tuple | ast.List):
        inner = (typing.get_args(hint) or (None,))[0]
        return tuple(_value(item, hint=inner, source=source, resolve=resolve) for item in node.elts)
    if isinstance(node, ast.Name):
        if hint in (int, float, bool):
            what = "True or False belong" if hint is bool else "a number belongs"
            raise Refused(f"'{node.id}' in '{source}' stands where {what}.")
        return node.id if _takes_words(hint) else _build(node, kind="", source=source, resolve=resolve)
    if isinstance(node, ast.Call):
        if resolve is not None and isinstance(node.func, ast.Name) and node.func.id == _MARK:
            return resolve(ast.literal_eval(node.args[0]))
        return _build(node, kind="", source=source, resolve=resolve)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError, MemoryError) as error:
        raise Refused(f"{_written(node)} in '{source}' is neither a plain value nor a plug-in.") from error


def _written(node: ast.expr) -> str:
    try:
        return f"'{ast.unparse(node)}'"
    except RecursionError:
        return "a value"


def _takes_words(hint: Any) -> bool:
    """Whether a bare name in this place is a word (`rounding=floor`) and not a plug-in (`to=mnist`)."""
    if hint is str or typing.get_origin(hint) is typing.Literal:
        return True
    return any(_takes_words(option) for option in typing.get_args(hint))

"""Plug-ins: one frozen dataclass in one file is the config, the cache key, the command-line text and the method.

`@plugin("arch", "resnet")` makes a class a plug-in. `str(ResNet(depth=32))` is `resnet(depth=32)`, and
`parse("arch", text)` is the way back. Nothing is registered by hand: `catalogue` finds plug-ins by reading the
package's sources.
"""

import dataclasses
import functools
import inspect
import math
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast, dataclass_transform

from tombola.core.errors import Refused

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Registration:
    """What `@plugin` was told: the kind, the name in text, and the version a human bumps when meaning changes."""

    kind: str
    name: str
    version: int


LOADED: dict[tuple[str, str], type] = {}
_REGISTRATIONS: dict[type, Registration] = {}
_NOTHING: Mapping[str, Any] = types.MappingProxyType({})


@dataclass_transform(frozen_default=True, kw_only_default=True)
def plugin(kind: str, name: str, *, version: int = 1, kw_only: bool = True) -> Callable[[type[T]], type[T]]:
    """Make a class a plug-in: a frozen, keyword-only dataclass whose fields are checked, with a text form.

    Args:
        kind: "arch", "task", "criterion", "scope", "move", "recipe", ...
        name: Its name in text; unique over all kinds.
        version: Bump it when the same fields come to mean something else; keys change with it.

    Raises:
        Refused: When an instance is made with a value that does not fit its field.

    Example:
        >>> @plugin("criterion", "example_of_plugin")
        ... class Example:
        ...     batches: int = 1
        >>> str(Example()), str(Example(batches=2))
        ('example_of_plugin()', 'example_of_plugin(batches=2)')
    """

    def wrap(cls: type[T]) -> type[T]:
        inner = cls.__dict__.get("__post_init__")

        def __post_init__(self: Any) -> None:
            wanted = hints(cast(type[Any], type(self)))
            for field in dataclasses.fields(self):
                value = getattr(self, field.name)
                fitted = fit(value, wanted[field.name], where=f"{name}: field '{field.name}'")
                if fitted is not value:
                    object.__setattr__(self, field.name, fitted)
            if inner is not None:
                inner(self)
            else:
                for base in cls.__mro__[1:]:  # A plug-in made from another is checked as that one is.
                    if "__post_init__" in base.__dict__:
                        base.__dict__["__post_init__"](self)
                        break

        cls.__post_init__ = __post_init__  # type: ignore[attr-defined]
        cls.__str__ = text  # type: ignore[assignment]
        cls.__repr__ = text  # type: ignore[assignment]
        if not _defines(cls, "__identity__"):
            cls.__identity__ = _no_identity  # type: ignore[attr-defined]
        made = dataclasses.dataclass(frozen=True, kw_only=kw_only, repr=False)(cls)
        _REGISTRATIONS[made] = Registration(kind, name, version)
        other = LOADED.get((kind, name))
        if other is not None and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise Refused(
                f"two plug-ins are called {kind} '{name}': {other.__module__}.{other.__qualname__} and "
                f"{cls.__module__}.{cls.__qualname__}. Rename one."
            )
        LOADED[kind, name] = made
        return made

    return wrap


def _defines(cls: type, name: str) -> bool:
    return any(name in base.__dict__ for base in cls.__mro__)


def _no_identity(self: Any) -> dict[str, Any]:
    """Plug-ins whose meaning depends on more than their fields (data that was read) say so here."""
    return {}


def is_plugin(value: Any) -> bool:
    """Whether the value is an instance of a class made by `@plugin`."""
    return type(value) in _REGISTRATIONS


def is_plugin_class(cls: Any) -> bool:
    """Whether a class was made by `@plugin`."""
    return isinstance(cls, type) and cls in _REGISTRATIONS


def registration(cls: type) -> Registration:
    """Kind, name and version of a plug-in class."""
    return _REGISTRATIONS[cls]


def registration_of(value: Any) -> Registration:
    """Kind, name and version of a plug-in."""
    return _REGISTRATIONS[cast(type[Any], type(value))]


def non_default_fields(value: Any) -> dict[str, Any]:
    """The fields that differ from their defaults (required ones always), in order.

    A field added later with a harmless default leaves old texts and old keys alone.
    """
    return {
        field.name: current
        for field in dataclasses.fields(value)
        if (current := getattr(value, field.name)) != field.default or field.default is dataclasses.MISSING
    }


def deciding_fields(value: Any, told: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a key is made of: those that differ from their defaults, and defaults that have changed."""
    return {
        field.name: current
        for field in dataclasses.fields(value)
        if (current := getattr(value, field.name)) != field.default
        or field.default is dataclasses.MISSING
        or (type(current) not in _SIMPLE and has_changed(current, told))
    }


def has_changed(value: Any, told: Mapping[str, Any] = _NOTHING) -> bool:
    """Whether a value at its default has to be in a key all the same, for what it means is not what it always meant.

    So it is with a plug-in of a version above 1, or with an identity that is not among `told`, which is what the
    plug-in around it says of its own; and with what is made of such.

    Example:
        >>> from tombola.core.seeds import Seeds
        >>> has_changed(Seeds()), has_changed((1, "a"))
        (False, False)
    """
    if isinstance(value, tuple | list):
        return any(has_changed(member, told) for member in cast(Sequence[Any], value))
    if not is_plugin(value):
        return False
    own: Mapping[str, Any] = value.__identity__()
    if registration_of(value).version > 1 or (own and not own.items() <= told.items()):
        return True
    members = (getattr(value, field.name) for field in dataclasses.fields(value))
    return any(has_changed(member, told) for member in members if type(member) not in _SIMPLE)


def text(value: Any) -> str:
    """The text form of a plug-in: its name and its non-default fields; `parse` is the inverse.

    Example:
        >>> from tombola.core.seeds import Seeds
        >>> text(Seeds(3))
        'seeds(seed=3)'
    """
    fields = ", ".join(f"{name}={text_of(v)}" for name, v in non_default_fields(value).items())
    return f"{registration_of(value).name}({fields})"


def text_of(value: Any) -> str:
    """The text of a field's value: plug-ins by `text`, tuples of them too, all else as Python writes it."""
    if is_plugin(value):
        return text(value)
    if isinstance(value, tuple):
        members = cast(tuple[Any, ...], value)
        return "(" + ", ".join(map(text_of, members)) + ("," if len(members) == 1 else "") + ")"
    return repr(value)


@functools.cache
def hints(cls: type) -> Mapping[str, Any]:
    """The resolved annotations of a plug-in's fields."""
    return typing.get_type_hints(cls)


def fit(value: Any, hint: Any, *, where: str) -> Any:
    """The value as its annotation wants it (an int where a float is meant becomes one), or an error.

    Plain annotations are judged in full: int, float, str, bool, None, Literal, unions and tuples of them. Of classes
    and protocols only the outside is: an instance of the class, the members of the protocol.

    Raises:
        Refused: If the value does not fit; the message starts with `where`.

    Example:
        >>> fit(1, float, where="keep"), fit([1, 2], tuple[int, ...], where="hidden")
        (1.0, (1, 2))
    """
    if type(value) is hint and hint in _PLAIN:  # The usual case, at once: studies make plug-ins by the thousand.
        return value
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is float and type(value) is int and abs(value) <= sys.float_info.max:
        return float(value)
    if hint in (int, float, str, bool, type(None)):
        if type(value) is hint:
            if hint is float and not math.isfinite(value):
                raise Refused(f"{where} is {value}. It must be a finite number.")
            return value
    elif origin is typing.Literal:
        if any(type(value) is type(word) and value == word for word in args):
            return value
        raise Refused(f"{where} is {value!r}. It must be one of: {', '.join(map(repr, args))}.")
    elif origin is tuple:
        if isinstance(value, tuple | list):
            members = cast(Sequence[Any], value)
            kinds = [args[0]] * len(members) if len(args) == 2 and args[1] is Ellipsis else list(args)
            if len(kinds) == len(members):
                return tuple(fit(v, k, where=where) for v, k in zip(members, kinds, strict=True))
    elif origin is typing.Union or type(hint).__name__ == "UnionType":
        if type(value) in _PLAIN and type(value) in args:
            return value
        for option in args:
            try:
                return fit(value, option, where=where)
            except Refused:
                continue
    elif hint is Any or not isinstance(hint, type) or _is_a(value, cast(type[Any], hint)):
        return value
    kind = type(cast(Any, value)).__name__
    wanted = getattr(hint, "__name__", str(hint)) if origin is None else str(hint).replace("typing.", "")
    raise Refused(f"{where} is {value!r} ({kind}). It must be of type {wanted}.")


def _is_a(value: Any, cls: type) -> bool:
    """Whether a value is of a class, or has what a protocol asks for; no property is computed to find out."""
    if not getattr(cls, "_is_protocol", False):
        return isinstance(value, cls)
    return all(inspect.getattr_static(value, name, _ABSENT) is not _ABSENT for name in _members(cls))


@functools.cache
def _members(protocol: type) -> tuple[str, ...]:
    asked = {n for base in protocol.__mro__[:-1] for n in {*vars(base), *vars(base).get("__annotations__", {})}}
    return tuple(name for name in asked if name == "__call__" or not name.startswith("_"))


_ABSENT = object()
_PLAIN = frozenset({int, str, bool})
_SIMPLE = frozenset({int, float, str, bool, type(None)})

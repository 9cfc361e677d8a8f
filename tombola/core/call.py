"""A call as a value: the function's name, its version and its arguments; its text, and the key made of it."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from tombola.core.canon import KEY_DIGITS, Keyed, canonical, digest_of
from tombola.core.plugin import text_of

NAME = r"[a-z_][a-z0-9_]*"
"""What the function of a call may be called, as a regular expression."""
KEY = rf"{NAME}:[0-9a-f]{{{KEY_DIGITS}}}"
"""What a key looks like."""


@dataclasses.dataclass(frozen=True)
class Call:
    """A call of a step. Arguments left at their defaults are left out, so that a new one leaves old keys alone.

    Example:
        >>> call = Call("cut", 1, {"keep": 0.5})
        >>> call.text, call.key == Call("cut", 1, {"keep": 0.5}).key, call.key == Call("cut", 2, {"keep": 0.5}).key
        ('cut(keep=0.5)', True, False)
    """

    function: str
    version: int
    arguments: Mapping[str, Any]

    @property
    def key(self) -> str:
        """`function:` and sixteen hexadecimal digits."""
        return key_of(self.function, self.version, self.canonical)

    @property
    def canonical(self) -> dict[str, Any]:
        """The arguments in canonical form, by name."""
        return {n: canonical(v, where=f"argument '{n}' of {self.function}") for n, v in self.arguments.items()}

    @property
    def text(self) -> str:
        """The call as it is shown and recorded: plug-ins in text form, results of other calls as their keys."""
        return f"{self.function}({', '.join(f'{n}={_shown(v)}' for n, v in self.arguments.items())})"

    @property
    def keyed(self) -> list[Keyed]:
        """The results, or what stands for them, among the arguments; in order."""
        return [one for value in self.arguments.values() for one in _keyed(value)]

    @property
    def inputs(self) -> list[str]:
        """The keys of the results that this call takes."""
        return [one.key for one in self.keyed]

    def swapped(self, swap: Callable[[Keyed], Any]) -> "Call":
        """The call with something else in the place of every keyed argument."""
        return dataclasses.replace(self, arguments={n: _swapped(v, swap) for n, v in self.arguments.items()})


def function_of(key: str) -> str:
    """The name of the function that a key is of.

    Example:
        >>> function_of("train:0123456789abcdef")
        'train'
    """
    return key.partition(":")[0]


def key_of(function: str, version: int, arguments: Mapping[str, Any]) -> str:
    """The key of a call, from its arguments in canonical form."""
    return f"{function}:{digest_of({'function': function, 'version': version, 'arguments': arguments})}"


def _keyed(value: Any) -> Iterator[Keyed]:
    if isinstance(value, Keyed):
        yield value
    elif isinstance(value, tuple | list):
        for item in cast(Sequence[Any], value):
            yield from _keyed(item)
    elif isinstance(value, dict):
        for item in cast(dict[str, Any], value).values():
            yield from _keyed(item)


def _swapped(value: Any, swap: Callable[[Keyed], Any]) -> Any:
    if isinstance(value, Keyed):
        return swap(value)
    if isinstance(value, tuple):
        return tuple(_swapped(item, swap) for item in cast(Sequence[Any], value))
    if isinstance(value, list):
        return [_swapped(item, swap) for item in cast(Sequence[Any], value)]
    if isinstance(value, dict):
        return {name: _swapped(item, swap) for name, item in cast(dict[str, Any], value).items()}
    return value


def _shown(value: Any) -> str:
    if isinstance(value, Keyed):
        return value.key
    if isinstance(value, tuple):
        shown = [_shown(item) for item in cast(Sequence[Any], value)]
        return f"({', '.join(shown)}{',' if len(shown) == 1 else ''})"
    if isinstance(value, list):
        return f"[{', '.join(_shown(item) for item in cast(Sequence[Any], value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{n!r}: {_shown(v)}' for n, v in cast(dict[str, Any], value).items())}}}"
    return text_of(value)

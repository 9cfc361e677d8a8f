"""A call as a value: the function's name, its version and its arguments; its text, and the key made of it."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from tombola.core.canon import Keyed, canonical, digest_of
from tombola.core.plugin import text_of


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
        named = {n: canonical(v, where=f"argument '{n}' of {self.function}") for n, v in self.arguments.items()}
        return f"{self.function}:{digest_of({'function': self.function, 'version': self.version, 'arguments': named})}"

    @property
    def text(self) -> str:
        """The call as it is shown and recorded: plug-ins in text form, results of other calls as their keys."""
        return f"{self.function}({', '.join(f'{n}={_shown(v)}' for n, v in self.arguments.items())})"

    @property
    def inputs(self) -> list[str]:
        """The keys of the results that this call takes."""
        return [keyed.key for value in self.arguments.values() for keyed in _keyed(value)]


def _keyed(value: Any) -> Iterator[Keyed]:
    if isinstance(value, Keyed):
        yield value
    elif isinstance(value, tuple | list):
        for item in cast(Sequence[Any], value):
            yield from _keyed(item)


def _shown(value: Any) -> str:
    if isinstance(value, Keyed):
        return value.key
    if isinstance(value, tuple):
        shown = [_shown(item) for item in cast(Sequence[Any], value)]
        return f"({', '.join(shown)}{',' if len(shown) == 1 else ''})"
    return text_of(value)

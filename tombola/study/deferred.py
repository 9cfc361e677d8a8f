"""A call that has not happened: `defer` gives one; other calls take it as an argument, and so a graph grows."""

import functools
from typing import Any

from tombola.core.artifact import Artifact
from tombola.core.call import Call
from tombola.core.canon import Keyed
from tombola.core.errors import Refused
from tombola.core.plugin import is_plugin_class
from tombola.study.inputs import kinds_of
from tombola.study.step import Step


class Deferred(Keyed):
    """A call of a step, and the calls that its arguments stand for. It has the key that its result will have."""

    __slots__ = ("_key", "call", "function")

    def __init__(self, function: Step, call: Call) -> None:
        self.function, self.call, self._key = function, call, call.key

    @property
    def key(self) -> str:
        """The key of the call."""
        return self._key

    @property
    def inputs(self) -> tuple["Deferred", ...]:
        """The deferred calls among its arguments, in order."""
        return tuple(one for one in self.call.keyed if isinstance(one, Deferred))

    def __repr__(self) -> str:
        """What will be called."""
        return f"Deferred({self.call.text})"


def defer(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a step later: like `now` and a `Store`, and with the same key. Gives a `Deferred`, or a list for lists.

    Raises:
        Refused: If the arguments do not fit the function, or have no stable form.

    Example:
        >>> from tombola.find import cut, draw
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.recipes import Quickstart
        >>> dense = defer(draw, arch=Mlp(), task=Digits(), recipe=Quickstart())
        >>> dense.key == defer(draw, Mlp(), Digits(), Quickstart()).key
        True
    """
    if not isinstance(function, Step):
        raise Refused(
            f"cannot defer {getattr(function, '__name__', function)!r}: it is no step. Put @step(name) on a function "
            "of a module's top level that returns an artifact."
        )
    calls = function.calls(*args, **kwargs)
    if calls is not None:
        return [_deferred(function, call) for call in calls]
    return _deferred(function, function.call(*args, **kwargs))


def _deferred(function: Step, call: Call) -> Deferred:
    for name, value in call.arguments.items():
        if isinstance(value, Deferred):
            _check(function, name, value)
        elif name in (plugins := _plugins(function)) and not isinstance(value, plugins[name]):
            kind = plugins[name].__name__
            raise Refused(f"{function.name}: '{name}' is {value!r} ({type(value).__name__}). It must be a {kind}.")
    return Deferred(function, call)


def _check(function: Step, name: str, value: Deferred) -> None:
    wanted = _wanted(function).get(name, ())
    if wanted and not issubclass(value.function.result, wanted):
        raise Refused(
            f"{function.name}: '{name}' is what {value.function.name} gives, a {value.function.result.__name__}. "
            f"It must be a {' or a '.join(kind.__name__ for kind in wanted)}."
        )


@functools.cache
def _plugins(function: Step) -> dict[str, type]:
    """The parameters of a step that take one class of plug-ins: they are looked at now, not when the call runs."""
    return {name: hint for name, hint in function.hints.items() if is_plugin_class(hint)}


@functools.cache
def _wanted(function: Step) -> dict[str, tuple[type[Artifact], ...]]:
    """The parameters of a step that take artifacts of certain kinds; they may also take plain values or none."""
    return {name: kinds for name, (kinds, _) in kinds_of(function.hints).items()}


def kind_of(one: object) -> type:
    """The type of a value, or of what a call that has not happened will give."""
    return one.function.result if isinstance(one, Deferred) else type(one)

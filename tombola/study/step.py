"""A step: a function whose calls have keys. `now` runs one at once; a `Store` runs what it lacks and loads the rest."""

import contextvars
import dataclasses
import functools
import inspect
import pathlib
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from tombola.core.artifact import Artifact
from tombola.core.call import Call
from tombola.core.errors import Refused, unknown
from tombola.core.machine import Machine

ROOMS = frozenset({"blobs", "damaged", "locks", "noted", "partial", "studies", "tmp"})
"""Folders of a store that hold something else than the results of the step of that name."""


@runtime_checkable
class Listener(Protocol):
    """Hears what happens: "start", "progress", "done", "loaded", with the call and what is known of it."""

    def __call__(self, happening: str, call: Call, **facts: Any) -> None:
        """One happening."""
        ...


def deaf(happening: str, call: Call, **facts: Any) -> None:
    """The listener that hears nothing."""


@dataclasses.dataclass
class Meter:
    """What a call took, as far as it counts that itself: floating-point operations, by convention."""

    flops: float = 0.0


@dataclasses.dataclass(frozen=True)
class Context:
    """Where and how a call runs; nothing in it may change the result.

    `scratch` is a folder for half-done work, if there is one: a call that finds its own there goes on from it. `call`
    is the call that runs, `meter` takes what it counts.
    """

    machine: Machine = Machine()
    scratch: pathlib.Path | None = None
    listen: Listener = deaf
    call: Call | None = None
    meter: Meter = dataclasses.field(default_factory=Meter)

    def tell(self, **facts: Any) -> None:
        """Say how far the call is."""
        if self.call is not None:
            self.listen("progress", self.call, **facts)


PLANNING: contextvars.ContextVar[bool] = contextvars.ContextVar("planning", default=False)
"""Whether a study is telling what it wants: then nothing runs."""


_OWN: dict[str, str] = {}


class Step:
    """A function with a name, a version and a result that can be kept. Made by `@step`."""

    def __init__(
        self, function: Callable[..., Any], name: str, version: int, prepare: Callable[..., Any] | None
    ) -> None:
        if name in ROOMS:
            raise Refused(
                f"no step can be called '{name}': a store keeps other things in its folder '{name}'. Taken are "
                f"{', '.join(sorted(ROOMS))}."
            )
        own = str(function.__module__).startswith("tombola.")
        if name in _OWN and not own:
            raise Refused(
                f"no step can be called '{name}': tombola has one ({_OWN[name]}), and keys would not tell them apart."
            )
        if own:
            _OWN[name] = f"{function.__module__}.{function.__qualname__}"
        self.function, self.name, self.version, self.prepare = function, name, version, prepare
        self.signature = inspect.signature(function)
        self.hints: dict[str, Any] = inspect.get_annotations(function, eval_str=True)
        self.result: type[Artifact] = self.hints["return"]
        self.takes_context = "context" in self.signature.parameters
        functools.update_wrapper(self, function)

    def call(self, *args: Any, **kwargs: Any) -> Call:
        """The call with these arguments: bound, prepared, without those at their defaults.

        Raises:
            Refused: If the arguments do not fit the function.
        """
        takes = [name for name in self.signature.parameters if name != "context"]
        if "context" in kwargs:
            raise Refused(f"{self.name}: 'context' is given by whoever runs the call, not by the call.")
        for name in kwargs:
            if name not in takes:
                raise unknown(f"argument of {self.name}", name, takes)
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise Refused(f"{self.name}: {error}. It takes {', '.join(takes)}.") from error
        arguments = dict(bound.arguments)
        if self.prepare is not None:
            bound.apply_defaults()
            arguments = self.prepare(**{n: v for n, v in bound.arguments.items() if n != "context"})
        defaults = {n: p.default for n, p in self.signature.parameters.items()}
        return Call(self.name, self.version, {n: v for n, v in arguments.items() if not _same(v, defaults[n])})

    def run(self, call: Call, context: Context) -> Any:
        """Make the result of a call of this step."""
        if PLANNING.get():
            raise Refused(
                f"{self.name} would run while the study is planned. In goals() every step is called through defer: "
                "defer(train, ...), find(..., call=defer)."
            )
        extra = {"context": dataclasses.replace(context, call=call)} if self.takes_context else {}
        context.listen("start", call)
        made = self.function(**call.arguments, **extra)
        if not isinstance(made, self.result):
            raise Refused(f"{self.name} gave a {type(made).__name__}; it is declared to give a {self.result.__name__}.")
        result = made.stamped(call)
        context.listen("done", call, result=result)
        return result

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run at once, without a store."""
        return self.run(self.call(*args, **kwargs), Context())

    def __repr__(self) -> str:
        """The step's name."""
        return f"step {self.name}"


def _same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and bool(value == default)


def step(
    name: str, *, version: int = 1, prepare: Callable[..., dict[str, Any]] | None = None
) -> Callable[[Callable[..., Any]], Step]:
    """Make a function a step.

    Args:
        name: Its name in keys and texts; those of a store's own folders are refused.
        version: Bump it when the same arguments come to give another result; keys change with it.
        prepare: Rewrites the arguments before the key is made (epochs to steps, say).
    """
    return lambda function: Step(function, name, version, prepare)


def now(function: Step, *args: Any, **kwargs: Any) -> Any:
    """Call a step at once. The other way of calling is a `Store`, which remembers."""
    return function(*args, **kwargs)

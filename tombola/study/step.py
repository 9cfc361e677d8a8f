"""A step: a function whose calls have keys. `now` runs one at once; a `Store` runs what it lacks and loads the rest."""

import contextvars
import dataclasses
import functools
import inspect
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, cast, runtime_checkable

from tombola.core.artifact import Artifact
from tombola.core.call import Call
from tombola.core.canon import Keyed
from tombola.core.errors import Failed, Refused, unknown
from tombola.core.machine import Machine
from tombola.core.plugin import has_changed
from tombola.study.inputs import check_inputs
from tombola.study.names import claim_name


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
    """What a call took, as far as it counts that itself.

    Floating-point operations, by convention; seconds that the device worked for it; training examples seen.
    """

    flops: float = 0.0
    device_seconds: float = 0.0
    images: int = 0


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


Made = tuple[int, Artifact | Exception]
"""The place of a call among those that run together, and its result or what went wrong with it."""


@dataclasses.dataclass(frozen=True)
class Together:
    """How calls of a step run as one program.

    `shared` says what calls must have in common, by name: it is given a call's arguments, with the header of the
    artifact in place of the first one, so that a call can be asked before its inputs are loaded. `run` runs calls that
    agree in that: it is given their arguments and contexts, and gives each result as soon as it is there.
    """

    shared: Callable[..., Mapping[str, str]]
    run: Callable[[Sequence[Mapping[str, Any]], Sequence[Context]], Iterator[Made]]


class Step:
    """A function with a name, a version and a result that can be kept. Made by `@step`."""

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        version: int,
        prepare: Callable[..., Any] | None,
        together: Together | None = None,
    ) -> None:
        claim_name(name, module=str(function.__module__), of=function.__qualname__)
        self.function, self.name, self.version, self.prepare = function, name, version, prepare
        self.together = together
        self.signature = inspect.signature(function)
        self.hints: dict[str, Any] = inspect.get_annotations(function, eval_str=True)
        self.result: type[Artifact] = self.hints["return"]
        self.takes_context = "context" in self.signature.parameters
        functools.update_wrapper(self, function)

    def call(self, *args: Any, **kwargs: Any) -> Call:
        """The call with these arguments: bound, prepared, without those at defaults that have not changed.

        Raises:
            Refused: If the arguments do not fit the function.
        """
        takes = [name for name in self.signature.parameters if name != "context"]
        if "context" in kwargs:
            raise Refused(f"{self.name}: 'context' is given by whoever runs the call, not by the call.")
        if "machine" in kwargs and "machine" not in takes:
            raise Refused(f"{self.name}: 'machine' is given to a store, not to a call: Store(folder, machine=...).")
        for name in kwargs:
            if name not in takes:
                raise unknown(f"argument of {self.name}", name, takes)
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise Refused(f"{self.name}: {error}. It takes {', '.join(takes)}.") from error
        bound.apply_defaults()
        arguments = {n: v for n, v in bound.arguments.items() if n != "context"}
        if self.prepare is not None:
            arguments = self.prepare(**arguments)
        defaults = {n: p.default for n, p in self.signature.parameters.items()}
        return Call(self.name, self.version, {n: v for n, v in arguments.items() if not _is_left_out(v, defaults[n])})

    def run(self, call: Call, context: Context) -> Any:
        """Make the result of a call of this step."""
        self._check_not_planning()
        check_inputs(self.name, self.hints, call.arguments)
        extra = {"context": dataclasses.replace(context, call=call)} if self.takes_context else {}
        context.listen("start", call)
        made = self.function(**call.arguments, **extra)
        self._check(made)
        result = made.stamped(call)
        context.listen("done", call, result=result)
        return result

    def run_all(self, calls: Sequence[Call], contexts: Sequence[Context]) -> Iterator[Made]:
        """Make the results of calls that share what they must; gives each, or what went wrong with it, as it ends.

        Raises:
            Refused: If they do not belong together.
        """
        assert self.together is not None
        self._check_not_planning()
        check_shared(self, calls)
        own = [dataclasses.replace(context, call=call) for context, call in zip(contexts, calls, strict=True)]
        for call, context in zip(calls, own, strict=True):
            context.listen("start", call)
        for index, made in self.together.run([call.arguments for call in calls], own):
            if isinstance(made, Exception):
                yield index, made
            else:
                self._check(made)
                result = made.stamped(calls[index])
                own[index].listen("done", calls[index], result=result)
                yield index, result

    def shared(self, call: Call, header: Callable[[Keyed], Mapping[str, Any]]) -> Mapping[str, str] | None:
        """What a call must have in common with others to run together with them; None if it runs alone."""
        if self.together is None:
            return None
        arguments = dict(call.arguments)
        name = next(iter(self.signature.parameters))
        first, kind = arguments.pop(name), self.hints[name]
        if isinstance(kind, type) and issubclass(kind, Artifact) and not isinstance(first, Keyed):
            raise Refused(f"{self.name}: '{name}' is {first!r} ({type(first).__name__}). It must be a {kind.__name__}.")
        return self.together.shared(header(first) if isinstance(first, Keyed) else first, **arguments)

    def calls(self, *args: Any, **kwargs: Any) -> list[Call] | None:
        """The calls meant by lists among the arguments, one for each of their members; None if there is no list.

        Raises:
            Refused: If the lists are not of one length, or empty.
        """
        lists = [cast(list[Any], value) for value in (*args, *kwargs.values()) if isinstance(value, list | tuple)]
        if self.together is None or not lists:
            return None
        sizes = sorted({len(one) for one in lists})
        if len(sizes) > 1 or not sizes[0]:
            raise Refused(f"{self.name}: lists of {' and '.join(map(str, sizes))}. Lists are of one length, 1 or more.")

        def nth(value: Any, number: int) -> Any:
            return cast(list[Any], value)[number] if isinstance(value, list | tuple) else value

        numbers = range(sizes[0])
        return [self.call(*(nth(a, n) for a in args), **{k: nth(v, n) for k, v in kwargs.items()}) for n in numbers]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run at once, without a store; lists among the arguments are many calls, and give a list."""
        calls = self.calls(*args, **kwargs)
        if calls is None:
            return self.run(self.call(*args, **kwargs), Context())
        return in_order(self.run_all(calls, [Context() for _ in calls]), len(calls))

    def _check(self, made: Any) -> None:
        if not isinstance(made, self.result):
            raise Refused(f"{self.name} gave a {type(made).__name__}; it is declared to give a {self.result.__name__}.")

    def _check_not_planning(self) -> None:
        if PLANNING.get():
            raise Refused(
                f"{self.name} would run while the study is planned. In goals() every step is called through defer: "
                "defer(train, ...), find(..., call=defer)."
            )

    def __repr__(self) -> str:
        """The step's name."""
        return f"step {self.name}"


def check_shared(function: Step, calls: Sequence[Call]) -> None:
    """Find out whether calls may run together.

    Raises:
        Refused: If they differ in what they must share.
    """
    found = [function.shared(call, _header) or {} for call in calls]
    for number, one in enumerate(found):
        for name, value in one.items():
            if value != found[0][name]:
                raise Refused(
                    f"{function.name}: call {number + 1} of {len(calls)} does not belong to the others: its {name} is "
                    f"{value}, and that of the first is {found[0][name]}. Run it apart from them."
                )


def _header(one: Keyed) -> Mapping[str, Any]:
    if not isinstance(one, Artifact):
        raise Refused(f"{one!r} has not been made: give it to defer, or make it first.")
    return one.parts().header


def in_order(made: Iterator[Made], number: int) -> list[Any]:
    """The results of so many calls, in the order of the calls.

    Raises:
        Failed: If one of them failed, after the others have ended.
    """
    found = dict(made)
    for index in range(number):
        found.setdefault(index, Failed("it ended without a result."))
    wrong = [(index, one) for index, one in sorted(found.items()) if isinstance(one, Exception)]
    if wrong:
        first, error = wrong[0]
        raise Failed(
            f"{len(wrong)} of {number} calls failed; call {first + 1}: {error}\nLeave it out or mend it; a Store keeps "
            "the results of the others."
        ) from error
    return [found[index] for index in range(number)]


def _is_left_out(value: Any, default: Any) -> bool:
    """Whether an argument is the default, and that means what it always meant."""
    return type(value) is type(default) and bool(value == default) and not has_changed(value)


def step(
    name: str,
    *,
    version: int = 1,
    prepare: Callable[..., dict[str, Any]] | None = None,
    together: Together | None = None,
) -> Callable[[Callable[..., Any]], Step]:
    """Make a function a step.

    Args:
        name: Its name in keys and texts: letters a-z, digits after the first, underscores. Those of a store's own
            folders are refused.
        version: Bump it when the same arguments come to give another result; keys change with it.
        prepare: Rewrites the arguments before the key is made (epochs to steps, say).
        together: How several calls run as one program, if they can.
    """
    return lambda function: Step(function, name, version, prepare, together)


def now(function: Step, *args: Any, **kwargs: Any) -> Any:
    """Call a step at once. The other way of calling is a `Store`, which remembers."""
    return function(*args, **kwargs)

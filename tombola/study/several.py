"""Many calls at once with a store: what is there is loaded, the rest runs together, and each is kept as it ends."""

import contextlib
import resource
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tombola.core.call import Call
from tombola.study.step import Context, Made, Step, check_shared, in_order

AT_ONCE = 500
"""So many calls are taken on at once; of more, the next are when these have ended."""

if TYPE_CHECKING:
    import tombola.study.store
    from tombola.study.store import Claim


def make_all(store: "tombola.study.store.Store", function: Step, calls: Sequence[Call]) -> list[Any]:
    """The results of calls that may run together, in their order, loaded or made.

    Raises:
        Refused: If they do not belong together.
        Failed: If one of them failed; the others are kept.
    """
    check_shared(function, calls)
    places: dict[str, list[int]] = {}
    for place, call in enumerate(calls):
        places.setdefault(call.key, []).append(place)
    keys = sorted(places)
    parts = _parts([calls[places[key][0]] for key in keys])
    made = ((first + index, one) for first, part in parts for index, one in _made(store, function, part))
    return in_order(((place, one) for index, one in made for place in places[keys[index]]), len(calls))


def _most() -> int:
    """How many calls may be taken on at once: each holds a file open, and half of those allowed are left for others."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return AT_ONCE if allowed == resource.RLIM_INFINITY else max(1, min(AT_ONCE, allowed // 2))


def _parts(calls: Sequence[Call]) -> Iterator[tuple[int, Sequence[Call]]]:
    """The calls in parts that may be taken on at once, each with the place of its first."""
    most = _most()
    return ((first, calls[first : first + most]) for first in range(0, len(calls), most))


def _made(store: "tombola.study.store.Store", function: Step, calls: Sequence[Call]) -> Iterator[Made]:
    with contextlib.ExitStack() as held:  # In the order of their keys, as everybody takes them.
        claims = [held.enter_context(store.claim(function, call)) for call in calls]
        todo: list[tuple[int, Claim, Context]] = []
        for index, claim in enumerate(claims):
            if claim.found is not None:
                yield index, claim.found
            else:
                todo.append((index, claim, Context(store.machine, claim.scratch, store.listen)))
        started = time.perf_counter()
        if not todo:
            return
        for place, result in function.run_all([claim.call for _, claim, _ in todo], [one for _, _, one in todo]):
            index, claim, context = todo[place]
            if not isinstance(result, Exception):
                claim.keep(result, seconds=(time.perf_counter() - started) / len(todo), meter=context.meter)
            yield index, result

"""Many calls at once with a store: what is there is loaded, the rest runs together, and each is kept as it ends."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tombola.core.call import Call
from tombola.study.step import Context, Made, Step, check_shared, in_order

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
    made = _made(store, function, [calls[places[key][0]] for key in keys])
    return in_order(((place, one) for index, one in made for place in places[keys[index]]), len(calls))


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

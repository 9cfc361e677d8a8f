"""For how many targets one search pays: a ticket carried everywhere, against a rival that starts anew on each."""

import math

from tombola.core.measurement import Measurement
from tombola.probes.price import COUNTED, SUMS, price
from tombola.study.step import step
from tombola.train.trained import Trained


@step("break_even")
def break_even(
    carried: Trained, behind: tuple[Trained, ...], rival: Trained, rival_behind: tuple[Trained, ...] = ()
) -> Measurement:
    """The number of targets from which on carrying one ticket costs less than the rival on each of them.

    The search for the ticket is paid once, `carried` once for each target; the rival's training and its own search for
    each target. So with search S, carried c and rival r it is the least whole n with S + n c <= n r; infinite if there
    is none. It is told in epochs, operations of both conventions, and seconds, each
    as `targets_...`; the targets are taken to be like this one. Costs are those of `price`.

    Args:
        behind: All trainings of the search, as `price` wants them.
        rival_behind: Those of the rival, if it needs any: a target's own iterative pruning does.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.find import find
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.loop import train
        >>> from tombola.train.recipe import Recipe
        >>> task, recipe = Digits(), Recipe(steps=2, batch=60)
        >>> dense, ticket = (train(t, task, recipe) for t in find(Mlp(hidden=(8,)), task, recipe, levels=1))
        >>> break_even(ticket, (dense,), ticket, (dense,)).numbers()["targets_epochs"]
        1.0
    """
    ours, theirs = price(carried, behind), price(rival, rival_behind)
    counted = ours.checks[COUNTED] and theirs.checks[COUNTED]
    values: dict[str, float] = {}
    for name in SUMS if counted else ():
        parts = ours.values[f"search_{name}"], ours.values[f"last_{name}"], theirs.values[f"total_{name}"]
        values |= {f"search_{name}": parts[0], f"carried_{name}": parts[1], f"rival_{name}": parts[2]}
        values[f"targets_{name}"] = targets(*parts)
    return Measurement(values, {COUNTED: counted})


def targets(search: float, each: float, rival: float) -> float:
    """The least whole number n with search + n each <= n rival; infinite if there is none.

    Example:
        >>> targets(2.77, 0.20, 1.00), targets(0.0, 1.0, 1.0), targets(1.0, 1.0, 1.0)
        (4.0, 1.0, inf)
    """
    if search <= 0:
        return 1.0 if each <= rival else math.inf
    saved = rival - each
    return float(max(1, math.ceil(search / saved - 1e-9))) if saved > 0 else math.inf

"""How curved the loss is where a training ended: the largest eigenvalues of the Hessian, its trace and its spectrum."""

from typing import Any

import numpy as np
import torch

from tombola.checks import check_word
from tombola.core.errors import Failed, Refused
from tombola.core.measurement import Measurement
from tombola.core.task import Task
from tombola.probes.curvature import TINY, Curvature, check_room, lanczos, smoothed
from tombola.probes.directions import EXACT, Exact
from tombola.study.step import Context, step
from tombola.train.device import device_clock, threads
from tombola.train.trained import Trained

SHOWN = 201
"""Places at which the spectral density is told."""
ROUNDING = 10
"""Ritz values so many roundings of the largest from 0 are taken for 0."""
WIDTH = 0.01
"""Of each Ritz value in the smoothed density, as a share of the whole range."""


def _in_order(**given: Any) -> dict[str, Any]:
    """The arguments, looked at as soon as they are given: calls may be made much later."""
    check_word("exact", given["exact"], EXACT)
    for name, least in (("steps", 1), ("starts", 1), ("top", 1), ("probes", 0), ("examples", 0), ("at_once", 1)):
        if given[name] < least:
            raise Refused(f"hessian: {name} is {given[name]}. It is {least} or more.")
    return given


@step("hessian", version=2, prepare=_in_order)
def hessian(
    trained: Trained,
    task: Task | None = None,
    steps: int = 100,
    top: int = 5,
    starts: int = 1,
    probes: int = 10,
    examples: int = 1000,
    at_once: int = 250,
    exact: Exact = "float32",
    seed: int = 0,
    *,
    context: Context = Context(),
) -> Measurement:
    """The spectrum of the Hessian of the training loss, by what lives: a pruned network is looked at in its own space.

    Products with vectors on fixed examples, not augmented, in evaluation mode, so that batch norm has the statistics
    that it gathered; no weight decay. `eigenvalue_1` to `eigenvalue_5` are the largest, by their sign too, `least` the
    most negative one, by Lanczos with each vector made orthogonal to all before: power iteration, which is common,
    gives the largest by size, and that may be the most negative. An eigenvalue lies no farther from the first one told
    than `residual_1`, and so on; from the least, than `residual_least`: few steps leave these large. `trace` is
    Hutchinson's estimate with random signs, `trace_error` its standard error; `mean` is the trace by the number of
    directions. `negative_share` is the share of the spectral density below 0 (stochastic Lanczos quadrature, Ghorbani
    et al. 2019), `flat_share` that at 0, as far as rounding tells: along units that never fire, and pixels that are
    never lit, nothing is curved, and the sign of what is computed there means nothing. Few steps leave one Ritz value
    near 0 for what is flat and what is nearly so. The smoothed density is the table `density`; Ritz values and shares
    are in the table `ritz`.

    `sharpness_by_rate` is the first eigenvalue times the recipe's highest rate. Plain gradient descent on all examples
    is unstable above 2, and above 2 + 2 m with momentum m (Cohen et al. 2021); neither limit is that of small batches
    or of Adam.

    Args:
        task: That of its training unless told.
        steps: Of Lanczos: so many vectors of all living weights are held in memory.
        top: How many eigenvalues are told.
        starts: Random starts, over which shares are averaged; ends of the spectrum are of the first one.
        probes: Random vectors for the trace; 0: no trace.
        examples: So many training examples, always the same ones; 0: all.
        at_once: Examples of one product in memory at a time.
        exact: In which numbers; small eigenvalues need "float64".

    Raises:
        Refused: If the vectors do not fit into memory, the network has no second derivatives, or is of another task.
        Failed: If a number is not finite.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.find import draw
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.loop import train
        >>> from tombola.train.recipe import Recipe
        >>> given = {"task": Digits(), "recipe": Recipe(steps=20, batch=60)}
        >>> found = hessian(train(draw(Mlp(hidden=(4,)), **given), **given), steps=10, examples=100).numbers()
        >>> found["eigenvalue_1"] > found["eigenvalue_2"] > found["least"], found["directions"]
        (True, 310)
    """
    task = trained.task if task is None else task
    device = torch.device(context.machine.device)
    started = device_clock(device)
    with threads(context.machine):
        curvature = Curvature.of(trained, task, examples=examples, at_once=at_once, exact=exact, device=device)
        check_room(curvature.size, steps, torch.finfo(getattr(torch, exact)).bits // 8, device)
        found = [lanczos(curvature, curvature.drawn("start", seed, n), steps) for n in range(starts)]
        numbers = _trace(curvature, probes, seed)
    context.meter.device_seconds = device_clock(device) - started
    values = np.concatenate([one.values for one in found])
    shares = np.concatenate([one.shares for one in found]) / starts
    highest = found[0].values[::-1][:top]
    numbers |= {f"eigenvalue_{place}": float(value) for place, value in enumerate(highest, start=1)}
    close = found[0].residuals
    numbers |= {f"residual_{place}": float(value) for place, value in enumerate(close[::-1][:top], start=1)}
    numbers |= {"least": float(found[0].values[0]), "residual_least": float(close[0])}
    flat = max(ROUNDING * torch.finfo(getattr(torch, exact)).eps, TINY) * float(np.abs(values).max())
    numbers |= {"negative_share": float(shares[values < -flat].sum())}
    numbers |= {"flat_share": float(shares[np.abs(values) <= flat].sum())}
    rate = max(trained.recipe.rate(step) for step in range(int(trained.recipe.steps)))
    numbers |= {"sharpness_by_rate": float(highest[0]) * rate, "directions": curvature.size}
    if odd := [name for name, value in numbers.items() if not np.isfinite(value)]:
        raise Failed(f"hessian: '{odd[0]}' of {trained!r} is not finite. Its training went astray.")
    reach = float(values.max() - values.min()) or 1.0
    at = np.linspace(values.min() - 3 * WIDTH * reach, values.max() + 3 * WIDTH * reach, SHOWN)
    density = smoothed(values, shares, at, WIDTH * reach)
    tables: dict[str, Any] = {
        "ritz": tuple({"value": float(v), "share": float(s)} for v, s in zip(values, shares, strict=True)),
        "density": tuple({"eigenvalue": float(x), "density": float(y)} for x, y in zip(at, density, strict=True)),
    }
    return Measurement({**numbers, "examples": curvature.examples}, tables=tables)


def _trace(curvature: Curvature, probes: int, seed: int) -> dict[str, float]:
    """Hutchinson's estimate of the trace."""
    each: list[float] = []
    for number in range(probes):
        signs = curvature.drawn("trace", seed, number, kind="signs")
        each.append(float(signs.double() @ curvature.times(signs).double()))
    if not each:
        return {}
    error = float(np.std(each, ddof=1) / np.sqrt(probes)) if probes > 1 else 0.0
    trace = float(np.mean(each))
    return {"trace": trace, "trace_error": error, "mean": trace / curvature.size}

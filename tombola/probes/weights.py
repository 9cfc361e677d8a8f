"""What the living weights of a trained network are like: how large, and where the next cut would fall."""

import numpy as np
import torch
from numpy.typing import NDArray

from tombola.core.errors import Refused
from tombola.core.measurement import Measurement
from tombola.prune.target import target
from tombola.study.step import step
from tombola.train.trained import Trained

BINS = 60
"""Of the histogram, so that its two in the middle meet at 0."""
SHOWN = 0.999
"""The share of living weights that a histogram shows where nobody says how far it goes."""


@step("weights", version=2)
def weights(trained: Trained, keep: float = 0.8, reach: float = 0.0) -> Measurement:
    """The living prunable weights of all layers together: their size, their histogram, and the next threshold.

    `threshold` is the magnitude of the smallest weight that a cut of all layers together would keep. Where rounds of a
    search come back to one solution, what lives has grown large, and the threshold of a ticket rises above that of its
    reinit (Maene et al. 2021, figure 6). `absolute` is the mean magnitude, `deviation` the standard deviation.

    `valley` is how high a histogram stands at 0, against its highest place: near 1 with one hill at 0, near 0 with a
    hill on either side and nothing between (figure 5 there). That histogram goes as far as 99.9 % of the weights do,
    whatever `reach` says, and leaves out what is larger. `bimodality` is Sarle's coefficient, (skewness^2 + 1) /
    kurtosis: 1/3 for a normal distribution, 5/9 for a uniform one, at most 1 for two points.

    The table `histogram` has the middle of each bin and the share of weights in it.

    Args:
        keep: The share of the living weights that the next cut keeps.
        reach: The table goes from -reach to reach, what is larger in its last bins; with 0 as far as 99.9 % of the
            weights do. Histograms that are to be drawn together need one reach.

    Raises:
        Refused: If fewer than two weights live, `keep` is no share or leaves no weight, or `reach` is below 0.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.find import draw
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.loop import train
        >>> from tombola.train.recipe import Recipe
        >>> given = {"task": Digits(), "recipe": Recipe(steps=1, batch=60)}
        >>> found = weights(train(draw(Mlp(hidden=(8,)), **given), **given)).numbers()
        >>> found["kept"], found["threshold"] > 0
        (592, True)
    """
    if not 0 < keep <= 1:
        raise Refused(f"weights: keep is {keep}. It is above 0 and at most 1.")
    if reach < 0:
        raise Refused(f"weights: reach is {reach}. It is 0 or more.")
    mask = trained.mask
    living = torch.cat([trained.weights[name][mask[name]].double() for name in mask]).numpy()
    if len(living) < 2:
        raise Refused(f"weights: {len(living)} weights live in {trained!r}. A distribution has two or more.")
    sizes = np.abs(living)
    left = target(len(living), mask.size, keep=keep, density=None)
    if not left:
        raise Refused(f"weights: of {len(living):,} living weights keep={keep} leaves none, so there is no threshold.")
    own = float(np.quantile(sizes, SHOWN, method="higher")) or 1.0
    reach = reach or own
    counts, edges = np.histogram(living.clip(-reach, reach), bins=BINS, range=(-reach, reach))
    apart = living - living.mean()
    deviation = float(apart.std())
    standard = apart / deviation if deviation else apart
    numbers = {
        "kept": len(living),
        "threshold": float(np.partition(sizes, len(sizes) - left)[len(sizes) - left]),
        "absolute": float(sizes.mean()),
        "deviation": deviation,
        "largest": float(sizes.max()),
        "valley": _valley(living, own),
        "bimodality": float(((standard**3).mean() ** 2 + 1) / (standard**4).mean()) if deviation else 0.0,
    }
    centres = (edges[1:] + edges[:-1]) / 2
    table = tuple({"weight": float(c), "share": float(n / len(living))} for c, n in zip(centres, counts, strict=True))
    return Measurement(numbers, tables={"histogram": table})


def _valley(living: NDArray[np.float64], reach: float) -> float:
    """How high the two bins beside 0 stand on average, against the highest one."""
    counts, _ = np.histogram(living, bins=BINS, range=(-reach, reach))
    return float(counts[BINS // 2 - 1 : BINS // 2 + 1].mean() / counts.max())

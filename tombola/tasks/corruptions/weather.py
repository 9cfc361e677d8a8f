"""Weather: snow, frost, fog, and a bright day."""

import numpy as np

from tombola.tasks.corruptions.shared import Draws, Floats, clouds, drifted, grey, mapped, zoom

SNOW = (  # mean and sd of the flakes, zoom, least that is seen, radius and sigma of the streaks, share of the picture
    (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
    (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
    (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
    (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
    (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
)
FROST = ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))  # weight of the picture, of the frost
FOG = ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))  # strength, decay of the clouds
BRIGHTNESS = (0.05, 0.1, 0.15, 0.2, 0.3)
ICE = ((0.96,), (0.85, 0.95, 1.0))  # The colour of frost, for 1 and 3 channels; ours.


def snow(x: Floats, severity: int, draws: Draws) -> Floats:
    """The picture whitens, and streaks of flakes fall over it, at most 45 degrees from upright."""
    mean, sd, factor, least, radius, sigma, share = SNOW[severity - 1]
    side = x.shape[1]
    flakes = draws.each(lambda g, _: g.normal(mean, sd, (side, side, 1)))
    flakes = mapped(zoom(side, float(factor)), flakes)
    flakes = np.clip(np.where(flakes < least, 0.0, flakes), 0, 1)
    falling = drifted(flakes, radius, sigma, draws.each(lambda g, _: g.uniform(-135, -45)))
    white = share * x + (1 - share) * np.maximum(x, 1.5 * grey(x) + 0.5)
    return white + falling + falling[:, ::-1, ::-1]


def frost(x: Floats, severity: int, draws: Draws) -> Floats:
    """A bluish texture of ridges lies over the picture.

    The paper takes five photographs of ice. None is used here: the ridges of plasma clouds, 1 - |2p - 1|, stand in for
    them, so that results for this kind do not compare with published ones.
    """
    kept, weight = FROST[severity - 1]
    ridges = 1 - np.abs(2 * clouds(draws, x.shape[1], np.sqrt(2)) - 1)
    return kept * x + weight * ridges[..., None] * np.array(ICE[x.shape[3] == 3])


def fog(x: Floats, severity: int, draws: Draws) -> Floats:
    """Clouds are added, and all is dimmed so that the brightest value of the picture stays within reach."""
    strength, decay = FOG[severity - 1]
    brightest = x.max((1, 2, 3), keepdims=True)
    return (x + strength * clouds(draws, x.shape[1], decay)[..., None]) * brightest / (brightest + strength)


def brightness(x: Floats, severity: int, draws: Draws) -> Floats:
    """The value of every colour, in hue, saturation and value, rises by a constant, to 1 at most.

    Hue and saturation stay where all channels are multiplied by the same; black has neither and becomes grey.
    """
    value = x.max(3, keepdims=True)
    raised = np.minimum(value + BRIGHTNESS[severity - 1], 1)
    return np.where(value > 0, x * (raised / np.where(value > 0, value, 1)), raised)

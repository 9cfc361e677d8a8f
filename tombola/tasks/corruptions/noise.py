"""Noise: of the sensor (Gaussian), of the light (shot), of the wire (impulse)."""

import numpy as np

from tombola.tasks.corruptions.shared import Draws, Floats

GAUSSIAN = (0.04, 0.06, 0.08, 0.09, 0.10)
SHOT = (500, 250, 100, 75, 50)
IMPULSE = (0.01, 0.02, 0.03, 0.05, 0.07)


def gaussian_noise(x: Floats, severity: int, draws: Draws) -> Floats:
    """A normal draw is added to every value."""
    return x + draws.each(lambda g, _: g.normal(0, GAUSSIAN[severity - 1], x.shape[1:]))


def shot_noise(x: Floats, severity: int, draws: Draws) -> Floats:
    """Values are counts of photons, Poisson: of mean x * c, divided by c."""
    photons = SHOT[severity - 1]
    return draws.each(lambda g, turn: g.poisson(x[turn] * photons)) / photons


def impulse_noise(x: Floats, severity: int, draws: Draws) -> Floats:
    """A share of all values, each channel by itself, is put to 0 or to 1, as often."""
    share = IMPULSE[severity - 1]
    chance = draws.each(lambda g, _: g.random(x.shape[1:]))
    return np.where(chance < share / 2, 0.0, np.where(chance < share, 1.0, x))

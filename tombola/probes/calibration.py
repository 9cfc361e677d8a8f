"""How far confidences can be believed: likelihood, Brier score, calibration error, temperature; all of arrays.

Legend: `outputs` are those before the softmax and `probabilities` those after it, (examples, classes); `targets` are
the numbers of the right classes.
"""

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.special import log_softmax, softmax

from tombola.core.errors import Refused
from tombola.probes.predictions import Numbers, Whole

COLDEST, HOTTEST = 0.01, 100.0
"""Temperatures between which one is looked for: without a wrong answer the best one would be 0."""

_BELOW_ONE = 1 - 2.0**-24
"""The largest number below 1 in single precision."""


def nll(outputs: Numbers, targets: Whole) -> float:
    """The mean negative log-likelihood in nats, from the outputs, so that no probability is cut off near 0.

    Example:
        >>> round(nll(np.zeros((3, 2)), np.array([0, 1, 1])), 4)
        0.6931
    """
    return -float(log_softmax(outputs, axis=1)[np.arange(len(targets)), targets].mean())


def brier(probabilities: Numbers, targets: Whole) -> float:
    """The Brier score: squared distance to the right answer, summed over classes, mean over examples; 0 to 2.

    Brier 1950, equation 2. Ports that average over classes, or look at one of two classes only, give a part of it: with
    two classes half of it.

    Example:
        >>> brier(np.array([[0.75, 0.25]]), np.array([0])), brier(np.array([[0.0, 1.0]]), np.array([0]))
        (0.125, 2.0)
    """
    from sklearn.metrics import brier_score_loss  # Takes a second to import.

    labels = range(probabilities.shape[1])
    return float(brier_score_loss(targets, probabilities, labels=labels, scale_by_half=False))  # type: ignore[arg-type]


def ece(probabilities: Numbers, targets: Whole, *, bins: int = 15) -> float:
    """The expected calibration error with bins of equal width (Guo et al. 2017, equation 3).

    The mean distance of confidence (the largest probability) and accuracy, over bins weighted by their examples. It is
    that of torchmetrics, which computes in single precision and keeps a confidence of exactly 1 in a bin of its own;
    here that counts to the last bin, as in the paper.

    Example:
        >>> round(ece(np.array([[0.9, 0.1], [0.9, 0.1]]), np.array([0, 1])), 6)
        0.4
    """
    from torchmetrics.functional.classification import multiclass_calibration_error  # Takes a second to import.

    check_bins(bins)
    given = torch.from_numpy(np.minimum(probabilities, _BELOW_ONE)), torch.from_numpy(targets)
    return float(multiclass_calibration_error(*given, num_classes=probabilities.shape[1], n_bins=bins, norm="l1"))


def ece_mass(probabilities: Numbers, targets: Whole, *, bins: int = 15) -> float:
    """The expected calibration error with bins of equally many examples (Nguyen and O'Connor 2015).

    Bins are cut at the quantiles of the confidences. Equal confidences share a bin, so that the order of the examples
    does not matter; there may be fewer bins for it.

    Example:
        >>> round(ece_mass(np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([0, 0]), bins=2), 6)
        0.25
    """
    check_bins(bins)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == targets
    ordered, number = np.sort(confidence), len(confidence)
    cuts = ordered[np.arange(1, bins) * number // bins]
    bin_of = np.searchsorted(cuts, confidence, side="right")
    off = np.bincount(bin_of, weights=right.astype(np.float64) - confidence, minlength=len(cuts) + 1)
    return float(np.abs(off).sum() / number)


def temperature(outputs: Numbers, targets: Whole) -> float:
    """The number that outputs must be divided by for the best likelihood (Guo et al. 2017, section 4.2).

    The likelihood is concave in 1 / T, so its derivative has one zero at most: the mean expected output less the mean
    output of the right class. Where it has none between 0.01 and 100, the nearer end is given.

    Example:
        >>> three_of_four = np.array([[2.0, 0.0]] * 4), np.array([0, 0, 0, 1])
        >>> round(temperature(*three_of_four), 4)  # 2 / ln 3
        1.8205
    """
    right = outputs[np.arange(len(targets)), targets]

    def slope(log_inverse: float) -> float:
        likely = softmax(outputs * np.exp(log_inverse), axis=1)
        return float(((likely * outputs).sum(1) - right).mean())

    low, high = -np.log(HOTTEST), -np.log(COLDEST)
    if slope(low) >= 0:
        return HOTTEST
    if slope(high) <= 0:
        return COLDEST
    return float(np.exp(-brentq(slope, low, high, xtol=1e-13, rtol=1e-13)))  # type: ignore[arg-type, operator]


def check_bins(bins: int) -> None:
    """Refuse a number of bins below 1."""
    if bins < 1:
        raise Refused(f"a calibration error with {bins} bins is asked for. Give 1 or more; 15 is the custom.")

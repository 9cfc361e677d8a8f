"""Distances between two samples, and between two counts: functions of arrays that know nothing of tasks.

A sample is a matrix with an example a row; where it says so it may be sparse.
"""

import math
import warnings
from typing import Any

import numpy as np
from scipy.sparse import issparse, vstack
from scipy.special import rel_entr

from tombola.core.errors import Refused
from tombola.core.seeds import fold
from tombola.probes.predictions import Numbers


def jensen_shannon(p_counts: np.ndarray, q_counts: np.ndarray) -> float:
    """The Jensen-Shannon divergence of two distributions given by counts, in nats: 0 if equal, ln 2 if disjoint.

    Half the divergence of each from their mean with equal weights, whatever their totals (Lin 1991, equation 3.2). It
    is no distance: its root is, and that is what scipy's function of this name gives.

    Raises:
        Refused: If they are not of one length, or one counts nothing.

    Example:
        >>> round(jensen_shannon(np.array([1, 0]), np.array([0, 5])), 4)
        0.6931
        >>> round(jensen_shannon(np.array([1, 1]), np.array([1, 3])), 4)
        0.0338
    """
    both = [np.asarray(counts, dtype=np.float64) for counts in (p_counts, q_counts)]
    if both[0].shape != both[1].shape or any(one.ndim != 1 or not one.sum() > 0 or one.min() < 0 for one in both):
        raise Refused(
            f"jensen_shannon: counts of the shapes {both[0].shape} and {both[1].shape} with the sums {both[0].sum():g} "
            f"and {both[1].sum():g}. Give two rows of one length, none below 0 and some above."
        )
    p, q = (one / one.sum() for one in both)
    middle = (p + q) / 2
    return max(0.0, float(rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2)


def proxy_a_distance(x: Any, y: Any, seed: int = 0, *, folds: int = 5, strength: float = 1.0) -> float:
    """Two minus four times the error of a linear classifier of the domain: 2 if it is never wrong, about 0 by guessing.

    Ben-David et al. 2007, section 4. The classifier is a logistic regression with an L2 penalty on numbers divided by
    the largest of their column; its error is cross-validated, and a mean over the two domains, so that they need not be
    of one size. The value may fall below 0 by chance: it is not cut off there. It is a lower bound of what a better
    classifier would find, and grows with the number of examples.

    Args:
        x: A sample of one domain, possibly sparse; `y` is one of the other.
        seed: Of the folds.
        strength: The inverse of the penalty's weight, as scikit-learn's C.

    Raises:
        Refused: If a sample has fewer examples than there are folds.

    Example:
        >>> proxy_a_distance(np.zeros((10, 2)), np.ones((10, 2)))
        2.0
    """
    from sklearn.exceptions import ConvergenceWarning  # Takes a second to import, as the others below.
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MaxAbsScaler

    _check_samples("proxy_a_distance", x, y, least=folds)
    if folds < 2:
        raise Refused(f"proxy_a_distance: {folds} folds. An error is cross-validated with 2 or more.")
    domain = np.repeat([0, 1], [x.shape[0], y.shape[0]])
    parts = StratifiedKFold(folds, shuffle=True, random_state=fold("folds", seed) % 2**32)
    linear = LogisticRegression(C=strength, class_weight="balanced", max_iter=1000)
    with warnings.catch_warnings():  # One that has not settled yet is a classifier too: the bound is a bit lower.
        warnings.simplefilter("ignore", ConvergenceWarning)
        told = cross_val_predict(make_pipeline(MaxAbsScaler(), linear), _stacked(x, y), domain, cv=parts)
    return 2 * (1 - 2 * (1 - float(balanced_accuracy_score(domain, told))))


def mmd(x: Any, y: Any, *, bandwidth: float = 0.0) -> float:
    """The squared maximum mean discrepancy with a Gaussian kernel, unbiased (Gretton et al. 2012, equation 3).

    The kernel is exp(-d^2 / (2 s^2)). About 0 for samples of one distribution, below it half of the time; at most 2.

    Args:
        x: A sample, possibly sparse; `y` is the other.
        bandwidth: The kernel's s; with 0 the median distance between all points of both samples, or of those apart from
            each other if more than half of them coincide.

    Raises:
        Refused: If a sample has fewer than 2 examples.

    Example:
        >>> points = np.array([[0.0], [0.0]]), np.array([[1.0], [1.0]])
        >>> round(mmd(*points, bandwidth=1.0), 4)  # 2 - 2 exp(-1 / 2)
        0.7869
    """
    from sklearn.metrics.pairwise import euclidean_distances  # Takes a second to import.

    _check_samples("mmd", x, y, least=2)
    within_x, within_y, across = (euclidean_distances(*pair, squared=True) for pair in ((x, x), (y, y), (x, y)))
    if not bandwidth:
        bandwidth = _median(within_x, within_y, across)
    if not bandwidth:
        return 0.0  # All points coincide.
    for squares in (within_x, within_y, across):
        np.exp(squares / (-2 * bandwidth**2), out=squares)
    own = sum((k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (within_x, within_y))
    return float(own - 2 * across.mean())


def _median(within_x: Numbers, within_y: Numbers, across: Numbers) -> float:
    """The median distance over all pairs, from their squares; without those of 0 if it would be 0."""
    pairs = [k[np.triu_indices(len(k), 1)] for k in (within_x, within_y)]
    squares = np.concatenate([*pairs, across.ravel()])
    squares[squares < 1e-14 * squares.max()] = 0.0  # Equal points, but for rounding.
    median = float(np.median(np.sqrt(squares)))
    if median == 0 and (apart := squares[squares > 0]).size:
        median = float(np.median(np.sqrt(apart)))
    return median


def frechet(x: Numbers, y: Numbers) -> float:
    """The squared Frechet distance of two Gaussians with the means and covariances of the samples.

    |m_x - m_y|^2 + tr(C_x + C_y - 2 (C_x C_y)^(1/2)) (Dowson and Landau 1982), with unbiased covariances. The last
    trace is taken from the eigenvalues of C_x^(1/2) C_y C_x^(1/2), which is symmetric: a root of the product itself may
    come out complex. The estimate is too large by an amount that falls with the number of examples: compare at equal
    numbers, which should be well above that of the columns.

    Raises:
        Refused: If a sample has fewer than 2 examples.

    Example:
        >>> round(frechet(np.array([[-1.0], [1.0]]), np.array([[1.0], [5.0]])), 6)  # 3^2 + (8^0.5 - 2^0.5)^2
        11.0
    """
    _check_samples("frechet", x, y, least=2)
    means = [np.asarray(one, dtype=np.float64).mean(0) for one in (x, y)]
    first, second = (np.atleast_2d(np.cov(one, rowvar=False, dtype=np.float64)) for one in (x, y))
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ second @ root).clip(min=0)).sum()
    found = ((means[0] - means[1]) ** 2).sum() + np.trace(first) + np.trace(second) - 2 * cross
    return max(0.0, float(found))


def a_error(distance: float) -> float:
    """The classifier's error behind a proxy A-distance.

    Example:
        >>> a_error(2.0), a_error(0.0)
        (0.0, 0.5)
    """
    return (1 - distance / 2) / 2


def _check_samples(what: str, x: Any, y: Any, *, least: int) -> None:
    sizes, widths = (x.shape[0], y.shape[0]), (x.shape[1:], y.shape[1:])
    if min(sizes) < least or widths[0] != widths[1] or len(widths[0]) != 1 or not math.prod(widths[0]):
        raise Refused(
            f"{what}: samples of the shapes {x.shape} and {y.shape}. Give two matrices with as many columns, an "
            f"example a row, {least} or more examples each."
        )


def _stacked(x: Any, y: Any) -> Any:
    return vstack([x, y]).tocsr() if issparse(x) else np.concatenate([x, y])

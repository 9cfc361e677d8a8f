"""Distances of samples and domains, against closed forms, sums over all pairs and cases worked by hand."""

import itertools
import math
import pathlib
from collections import Counter

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.sparse import csr_matrix
from scipy.spatial.distance import jensenshannon

from tests.probes.given import Bag, Given, Words, passing, trained
from tombola.core.errors import Refused
from tombola.core.measurement import Measurement
from tombola.core.seeds import numbers
from tombola.probes.distances import a_error, frechet, jensen_shannon, mmd, proxy_a_distance
from tombola.probes.shift import bags, shift, token_counts
from tombola.study.store import Store

RNG = numbers("toy", "shift")


def test_divergence_by_hand():
    """Of (1/2, 1/2) and (1/4, 3/4) the mean is (3/8, 5/8)."""
    p = 0.5 * math.log(0.5 / 0.375) + 0.5 * math.log(0.5 / 0.625)
    q = 0.25 * math.log(0.25 / 0.375) + 0.75 * math.log(0.75 / 0.625)
    assert jensen_shannon(np.array([2, 2]), np.array([1, 3])) == pytest.approx((p + q) / 2, rel=1e-14)


def test_divergence_is_symmetric_and_bounded():
    for seed in range(20):
        rng = numbers("toy", "divergence", seed)
        p, q = rng.integers(0, 4, size=(2, 30)) * rng.integers(1, 9, size=(2, 30)) + (np.arange(30) == seed)
        one = jensen_shannon(p, q)
        assert one == pytest.approx(jensen_shannon(q, p), abs=1e-16)
        assert 0 <= one <= math.log(2)
        assert one == pytest.approx(jensenshannon(p, q) ** 2, rel=1e-12)
        assert jensen_shannon(7 * p, q) == pytest.approx(one, rel=1e-12), "only shares count"
        assert jensen_shannon(p, 3 * p) == pytest.approx(0, abs=1e-16)
    assert jensen_shannon(np.array([3, 0, 1]), np.array([0, 9, 0])) == math.log(2)


def test_counts_of_nothing_are_refused():
    for p, q in (([0, 0], [1, 1]), ([1, 1], [1, 1, 1]), ([2, -1], [1, 1]), ([[1]], [[1]])):
        with pytest.raises(Refused, match="Give two rows of one length"):
            jensen_shannon(np.array(p), np.array(q))


def test_two_domains_that_a_line_parts():
    x, y = RNG.normal(size=(40, 3)), RNG.normal(size=(40, 3)) + np.array([20.0, 0, 0])
    assert proxy_a_distance(x, y) == 2.0
    assert proxy_a_distance(csr_matrix(x), csr_matrix(y)) == 2.0


def test_two_samples_of_one_distribution():
    x, y = RNG.normal(size=(2, 400, 3))
    assert abs(proxy_a_distance(x, y)) < 0.25
    assert proxy_a_distance(x, y, seed=1) != proxy_a_distance(x, y) == proxy_a_distance(x, y)


def test_a_domain_of_three_quarters_overlap():
    """On one axis x is 0 or 1 with equal chances, y always 1: the best classifier errs on half of x, a quarter."""
    x, y = np.tile([[0.0], [1.0]], (100, 1)), np.ones((200, 1))
    assert proxy_a_distance(x, y) == pytest.approx(1.0)
    assert proxy_a_distance(x, np.ones((60, 1))) == pytest.approx(1.0), "the domains weigh the same"
    assert a_error(1.0) == 0.25


@pytest.mark.parametrize("bandwidth", [0.0, 0.7])
def test_kernel_means_over_all_pairs(bandwidth: float):
    x, y = RNG.normal(size=(7, 2)), RNG.normal(size=(5, 2)) + 0.5
    distances = [math.dist(a, b) for a, b in itertools.combinations([*x, *y], 2)]
    wide = bandwidth or float(np.median(distances))

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return math.exp(-(math.dist(a, b) ** 2) / (2 * wide**2))

    own = [np.mean([kernel(a, b) for a, b in itertools.permutations(some, 2)]) for some in (x, y)]
    expected = own[0] + own[1] - 2 * np.mean([kernel(a, b) for a in x for b in y])
    assert mmd(x, y, bandwidth=bandwidth) == pytest.approx(expected, rel=1e-10)
    assert mmd(csr_matrix(x), csr_matrix(y), bandwidth=bandwidth) == pytest.approx(expected, rel=1e-10)


def test_kernel_means_of_two_points_each():
    """Points 0 and 1 against 2 and 3: distances 1, 1, 2, 3, 1, 2, with the median 1.5."""
    x, y = np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])
    k = [math.exp(-(d**2) / (2 * 1.5**2)) for d in (0, 1, 2, 3)]
    assert mmd(x, y) == pytest.approx(2 * k[1] - 2 * (k[1] + 2 * k[2] + k[3]) / 4, rel=1e-12)


def test_kernel_means_where_most_points_coincide():
    x, y = np.zeros((9, 1)), np.array([[0.0]] * 7 + [[2.0]] * 2)
    k = math.exp(-0.5)  # The median of those apart is 2.
    pairs = (21 + 1 + 14 * k) / 36
    assert mmd(x, y) == pytest.approx(1 + pairs - 2 * (7 + 2 * k) / 9, rel=1e-12)
    assert mmd(np.ones((3, 2)), np.ones((4, 2))) == 0.0


def test_kernel_means_have_no_bias():
    """Over all ways to part six points in two halves the mean is 0: every pair is as often within as across."""
    points = RNG.normal(size=(6, 1))
    values = []
    for chosen in itertools.combinations(range(6), 3):
        others = [i for i in range(6) if i not in chosen]
        values.append(mmd(points[list(chosen)], points[others], bandwidth=1.0))
    assert np.mean(values) == pytest.approx(0, abs=1e-12)


def with_moments(number: int, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """A sample with exactly this mean and covariance."""
    raw = RNG.normal(size=(number, len(mean)))
    raw -= raw.mean(0)
    root = np.linalg.cholesky(np.cov(raw, rowvar=False, ddof=1).reshape(len(mean), -1))
    return raw @ np.linalg.inv(root).T @ np.linalg.cholesky(covariance).T + mean


def test_frechet_of_two_gaussians_on_a_line():
    """(m - n)^2 + (s - t)^2."""
    x, y = (with_moments(30, np.array([m]), np.array([[s**2]])) for m, s in ((1.0, 2.0), (4.0, 0.5)))
    assert frechet(x, y) == pytest.approx(9 + 2.25, rel=1e-10)


def test_frechet_in_closed_form():
    """Of commuting covariances: the squared differences of means and of the roots of the eigenvalues."""
    turn, _ = np.linalg.qr(RNG.normal(size=(3, 3)))
    first, second = (turn @ np.diag(values) @ turn.T for values in ([4.0, 1.0, 9.0], [1.0, 1.0, 0.25]))
    x, y = with_moments(40, np.array([1.0, 0, 2]), first), with_moments(25, np.array([0.0, 0, 0]), second)
    assert frechet(x, y) == pytest.approx(5 + 1 + 0 + 2.5**2, rel=1e-9)
    assert frechet(y, x) == pytest.approx(frechet(x, y), rel=1e-9)


def test_frechet_against_the_root_of_the_product():
    x, y = RNG.normal(size=(30, 4)), RNG.normal(size=(50, 4)) @ RNG.normal(size=(4, 4)) + 1
    first, second = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = np.trace(sqrtm(first @ second)).real
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(first) + np.trace(second) - 2 * root
    assert frechet(x, y) == pytest.approx(expected, rel=1e-8)
    assert frechet(x, x) == pytest.approx(0, abs=1e-9)


def test_frechet_of_fewer_examples_than_numbers():
    x = RNG.normal(size=(3, 8))
    assert frechet(x, x + 1) == pytest.approx(8, rel=1e-6)


def test_samples_that_do_not_fit_are_refused():
    x = np.zeros((10, 2))
    for distance in (mmd, frechet, proxy_a_distance):
        for other in (np.zeros((10, 3)), np.zeros((1, 2))):
            with pytest.raises(Refused, match="Give two matrices with as many columns"):
                distance(x, other)
    with pytest.raises(Refused, match="1 folds"):
        proxy_a_distance(x, x, folds=1)


A = Words(texts=((1, 2, 2), (1,), (2, 3), (1, 1)))
B = Words(texts=((4,), (4, 1, 4, 4), (5,), (1, 5)))


def test_tokens_of_two_domains():
    """1 2 3 occur 4, 3 and 1 times; in the other 1 4 5 occur 2, 4 and 2 times; padding is no token."""
    assert token_counts(A, "train", torch.device("cpu")).tolist() == [0, 4, 3, 1, 0, 0]
    found = shift(A, B, examples=4, folds=2)
    p, q = ([Counter(sum(task.texts, ()))[t] / 8 for t in range(6)] for task in (A, B))
    nats = 0.0
    for one in (p, q):
        nats += 0.5 * sum(a * math.log(2 * a / (b + c)) for a, b, c in zip(one, p, q, strict=True) if a)
    values = found.numbers()
    assert values["jsd_nats"] == pytest.approx(nats, rel=1e-12)
    assert values["jsd_bits"] == pytest.approx(nats / math.log(2), rel=1e-12)
    assert values["jsd_mean_1e5"] == pytest.approx(nats / 6 * 1e5, rel=1e-12)
    assert [(line["n"], line["drawn"], line["tokens"]) for line in found.tables["domains"]] == [(4, 4, 8), (4, 4, 8)]
    dense = [bags(torch.nn.utils.rnn.pad_sequence([torch.tensor(t) for t in task.texts], True), 6) for task in (A, B)]
    assert values["mmd2"] == pytest.approx(mmd(dense[0].toarray(), dense[1].toarray()), rel=1e-10)
    assert values["domain_error"] == a_error(values["proxy_a_distance"])


def test_bags():
    found = bags(torch.tensor([[2, 2, 1, 0], [0, 0, 0, 0]]), 3).toarray()
    assert found == pytest.approx(np.array([[0, 1 / math.sqrt(5), 2 / math.sqrt(5)], [0, 0, 0]]))


def test_words_through_a_network():
    """Features are the sums of embeddings, which the head is given."""
    embedding = torch.from_numpy(np.float32(RNG.normal(size=(6, 3))))
    weights = {"stem.weight": embedding, "head.weight": torch.zeros(2, 3), "head.bias": torch.zeros(2)}
    found = shift(A, B, trained(Bag(), A, weights), examples=4, folds=2).numbers()
    x, y = (np.array([embedding.numpy()[list(t)].sum(0) for t in task.texts], dtype=np.float64) for task in (A, B))
    assert found["mmd2_features"] == pytest.approx(mmd(x, y), rel=1e-5)
    assert found["frechet_features"] == pytest.approx(frechet(x, y), rel=1e-5)
    assert found["features"] == 3


def points(number: int, shift: float, seed: int) -> Given:
    rows = numbers("toy", "points", seed).normal(size=(number, 2)) + shift
    return Given(rows=tuple(map(tuple, rows.tolist())), labels=(0,) * number)


NEAR, FAR = points(70, 0.0, 0), points(50, 8.0, 1)


def test_numbers_of_two_domains(tmp_path: pathlib.Path):
    """All fifty of one domain, and fifty of the seventy of the other."""
    made = Store(tmp_path)(shift, NEAR, FAR, passing(NEAR, matrix=torch.tensor([[2.0, 0.0], [0.0, 1.0]])))
    found = made.numbers()
    assert found["examples"] == 50 and found["proxy_a_distance"] == 2.0 and found["domain_error"] == 0.0
    chosen = np.sort(numbers("shift", 0, 0).permutation(70)[:50])
    x, y = np.array(NEAR.rows)[chosen], np.array(FAR.rows)
    assert found["mmd2"] == pytest.approx(mmd(x, y), rel=1e-10)
    assert found["mmd2_features"] == found["mmd2"], "the head is given the inputs themselves"
    assert found["frechet_features"] == pytest.approx(frechet(x, y), rel=1e-10)
    assert "jsd_nats" not in found and found["features"] == 2
    assert [(line["n"], line["drawn"]) for line in made.tables["domains"]] == [(70, 50), (50, 50)]
    assert Store(tmp_path).load(made.key, Measurement).values == made.values
    assert shift(NEAR, FAR, seed=1).numbers()["mmd2"] != found["mmd2"]


def test_a_domain_and_itself_are_compared_in_two_halves():
    found = shift(NEAR, NEAR)
    assert found.numbers()["examples"] == 35
    assert found.numbers()["mmd2"] != 0 and abs(found.numbers()["mmd2"]) < 0.1
    assert abs(found.numbers()["proxy_a_distance"]) < 0.7
    order = numbers("shift", 0, 0).permutation(70)
    x, y = (np.array(NEAR.rows)[np.sort(part)] for part in (order[:35], order[35:]))
    assert found.numbers()["mmd2"] == pytest.approx(mmd(x, y), rel=1e-10)
    assert shift(A, A, examples=2, folds=2).numbers()["jsd_nats"] == 0.0


def test_what_is_refused():
    with pytest.raises(Refused, match="Only the classes may differ"):
        shift(A, NEAR)
    with pytest.raises(Refused, match="Only the classes may differ"):
        shift(A, Words(texts=A.texts, vocabulary="another"))
    with pytest.raises(Refused, match="Only the classes may differ"):
        shift(A, B, passing(NEAR))
    with pytest.raises(Refused, match="It needs 5 of each"):
        shift(NEAR, points(4, 0.0, 3))
    with pytest.raises(Refused, match="split"):
        shift(NEAR, FAR, split="exam")

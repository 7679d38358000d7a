"""Each center given those before it: many rows and centers, every path; numbers of draws; costs."""

from __future__ import annotations

import core
import numpy as np
import pytest
import scipy.sparse as sp
from laws import FALSE_ALARM, bounds, draw, places, squared_distances, uniformity
from oracle import corpus
from scipy import stats

from latom._base.arrays import to_core


def embeddings(n, d, signed=True):
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, d)) if signed else rng.random((n, d))


def mixture(n, d, clusters, spread):
    rng = np.random.default_rng(1)
    return (rng.standard_normal((clusters, d)))[
        rng.integers(clusters, size=n)
    ] + spread * rng.standard_normal((n, d))


def texts(n, d):
    return corpus(np.random.default_rng(2), n, d, 12, dtype=np.float64)


# rows, metric, options, centers, runs, what the counts must show
CASES = {
    "dense, screened in bfloat16": (
        embeddings(400, 32),
        "cosine",
        {"method": "rejection"},
        48,
        1200,
        "rejected",
    ),
    "dense, screened in float32": (
        embeddings(400, 5),
        "euclidean",
        {"method": "rejection", "bound": "cap"},
        32,
        600,
        "batches",
    ),
    "dense, paper": (
        embeddings(400, 30, False),
        "euclidean",
        {"method": "rejection", "bound": "paper"},
        40,
        800,
        "batches",
    ),
    "dense, cap": (
        embeddings(400, 30, False),
        "cosine",
        {"method": "rejection", "bound": "cap"},
        40,
        600,
        "batches",
    ),
    "dense, folds": (mixture(400, 26, 30, 0.1), "euclidean", {"method": "fold"}, 48, 1000, "folds"),
    "dense, folds that skip": (mixture(600, 3, 25, 0.02), "euclidean", {"method": "fold"}, 48, 600, "folds"),
    "dense, exact by lists": (mixture(600, 3, 25, 0.02), "euclidean", {"method": "exact"}, 48, 600, ""),
    "dense, exact": (embeddings(400, 12), "cosine", {"method": "exact"}, 40, 800, ""),
    "texts": (texts(500, 90), "cosine", {"method": "rejection"}, 48, 800, "rejected"),
    "texts, paper": (
        texts(500, 90),
        "euclidean",
        {"method": "rejection", "bound": "paper"},
        48,
        500,
        "batches",
    ),
    "texts, folds": (texts(500, 90), "euclidean", {"method": "fold"}, 100, 300, "folds"),
    "texts, exact": (texts(500, 90), "cosine", {"method": "exact"}, 48, 600, ""),
    "signed texts, exact": (
        sp.csr_array(np.where(embeddings(400, 20) > 0.7, embeddings(400, 20) - 1.2, 0) + np.eye(400, 20)),
        "euclidean",
        {"method": "exact"},
        40,
        800,
        "",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_center_follows_the_law_given_those_before(name):
    X, metric, options, m, runs, shows = CASES[name]
    n = X.shape[0]
    D, rng = squared_distances(X, metric), np.random.default_rng(3)
    w = rng.random(n) + 0.2
    draws, counts = draw(X, m, runs, w=w, metric=metric, **options)
    assert shows != "rejected" or counts["trials"] > 1.15 * runs * m
    assert shows != "batches" or counts["trials"] > 1100 * runs or counts["trials"] > 1.8 * runs * m
    assert shows != "folds" or counts["folds"] > runs
    assert shows in ("folds", "") or (counts["folds"] == 0 and m >= 32), (
        "pending centers were too few for the screen"
    )
    for key in (np.arange(n), w, "distance", "share"):
        assert uniformity(places(draws, D, w, key, rng)) > FALSE_ALARM
    # The test has power: it sees that another law was drawn from.
    assert uniformity(places(draws[:300], D, w**2, w, rng)) < FALSE_ALARM
    assert uniformity(places(draws[:600], np.sqrt(D), w, "distance", rng)) < FALSE_ALARM


@pytest.mark.parametrize("method", ["fold", "rejection"])
def test_a_million_draws(method):
    """Power against what bends the law a little; a late test within a batch, for one, costs a few percent."""
    rng = np.random.default_rng(4)
    X = rng.standard_normal((150, 24)) * rng.random((150, 1))
    D = squared_distances(X, "euclidean")
    draws, _ = draw(X, 51, 10_000, method=method)
    for key in ("distance", "share"):
        assert uniformity(places(draws, D, None, key, rng), 50) > FALSE_ALARM
    bent = D**1.03
    assert uniformity(places(draws[:5000], bent, None, "distance", rng), 50) < FALSE_ALARM


@pytest.mark.parametrize("storage", ["dense", "csr"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("bound", ["first-center", "paper", "cap"])
def test_draws_are_as_many_as_the_bound_says(bound, metric, storage):
    """Geometric with mean t = sum w B / sum w D^2: the sum over centers is known to sqrt(sum t (t - 1))."""
    X, runs, m = embeddings(300, 8, signed=storage == "dense"), 60, 12
    w = np.random.default_rng(5).random(300) + 0.1
    D, B = squared_distances(X, metric), bounds(X, w, metric, bound)
    rows = X if storage == "dense" else sp.csr_array(X)
    draws, counts = draw(rows, m, runs, w=w, metric=metric, method="rejection", bound=bound)
    t = np.array([(w @ B(some[0])) / (w @ D[:, some[:k]].min(axis=1)) for some in draws for k in range(1, m)])
    off = (counts["trials"] - runs - t.sum()) / np.sqrt((t * (t - 1)).sum() + 1e-9)
    assert abs(off) < 5
    twice = (counts["trials"] - runs - 2 * t.sum()) / np.sqrt((2 * t * (2 * t - 1)).sum())
    assert abs(twice) > 5


SETS = {
    "mixture of few columns": (mixture(600, 2, 20, 0.01), "euclidean", 25),
    "embeddings": (embeddings(500, 40), "cosine", 40),
    "texts": (texts(500, 120), "cosine", 40),
    "heavy tail": (np.random.default_rng(6).standard_t(3, (500, 6)), "euclidean", 40),
}


@pytest.mark.parametrize("name", SETS)
def test_potentials_are_distributed_alike(name):
    """Two hundred seedings by each method; greedy seeding is told apart."""
    X, metric, m = SETS[name]
    D = squared_distances(X, metric)

    def costs(seed, **options):
        draws, _ = draw(X, m, 200, metric=metric, seed=seed, **options)
        return np.array([D[:, some].min(axis=1).sum() for some in draws])

    exact = costs(0, method="exact")
    for k, options in enumerate(({"method": "fold"}, {"method": "fold", "bound": "cap"}, {"method": "auto"})):
        assert stats.ks_2samp(exact, costs(1000 * (k + 1), **options)).pvalue > 1e-5
    assert stats.ks_2samp(exact, costs(9000, local_trials=5)).pvalue < 1e-5


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("method", ["exact", "fold", "rejection"])
def test_potential_is_that_of_the_centers(name, method):
    X, metric, m = SETS[name]
    if method == "rejection":
        m = 8  # before it takes for ever on the mixture
    w = np.random.default_rng(7).random(X.shape[0])
    D = squared_distances(X, metric)
    found = core.kmeans_plusplus(to_core(X), m, w, metric, 3, 2, "test", method=method, potential=True)
    plain = (w * D[:, found["indices"]].min(axis=1)).sum()
    assert abs(found["potential"] - plain) < 1e-9 * plain


def test_light_rows_are_drawn_by_the_law_once_the_heavy_are_gone():
    """Weights 1e20 apart: what a sum of masses loses by rounding must not be drawn by."""
    rng = np.random.default_rng(8)
    X = np.r_[mixture(12, 2, 4, 0.05), mixture(60, 2, 4, 0.05)]
    w = np.r_[np.ones(12), np.full(60, 1e-20)]
    D = squared_distances(X, "euclidean")
    for method in ("exact", "fold"):
        draws, _ = draw(X, 40, 2000, w=w, method=method)
        assert (draws[:, :12] < 12).all()
        for key in (np.arange(72), "distance"):
            assert uniformity(places(draws, D, w, key, rng)[:, 11:]) > FALSE_ALARM

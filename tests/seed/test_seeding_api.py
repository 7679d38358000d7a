"""Seeding and coresets as users call them: messages, statistics, scikit-learn, examples."""

from __future__ import annotations

import functools
import inspect
import warnings

import laws
import numpy as np
import pytest
import scipy.sparse as sp

import latom
from latom._base.rows import Rows
from latom.cluster import centers
from latom.seed.kmeans_parallel import starting_rows

X = np.random.default_rng(0).random((60, 4))
FUNCTIONS = [
    latom.kmeans_plusplus,
    latom.kmeans_plusplus_init,
    latom.afkmc2,
    latom.kmeans_parallel,
    latom.coreset,
    latom.weighted_sample,
]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: latom.kmeans_plusplus(X, 61),
            r"kmeans_plusplus: n_clusters must be an integer in \[1, 60\]; got 61",
        ),
        (lambda: latom.kmeans_plusplus(X, 0), "n_clusters must be"),
        (lambda: latom.kmeans_plusplus(X, 2.0), "n_clusters must be"),
        (lambda: latom.kmeans_plusplus(X, 3, metric="l1"), "metric must be"),
        (
            lambda: latom.kmeans_plusplus(X, 3, method="best"),
            "method must be 'auto', 'exact', 'fold' or 'rejection'; got 'best'",
        ),
        (
            lambda: latom.kmeans_plusplus(X, 3, bound="tight"),
            "bound must be 'auto', 'first-center', 'paper' or 'cap'; got 'tight'",
        ),
        (
            lambda: latom.kmeans_plusplus(X, 3, method="exact", bound="cap"),
            "bound must be 'auto' with method 'exact'",
        ),
        (lambda: latom.kmeans_plusplus(X, 3, n_local_trials=0), "n_local_trials must be a positive integer"),
        (lambda: latom.kmeans_plusplus(X, 3, n_local_trials="many"), "n_local_trials must be"),
        (
            lambda: latom.kmeans_plusplus(X, 3, n_local_trials=2, method="fold"),
            "n_local_trials must be 1 with method='fold'; got 2",
        ),
        (
            lambda: latom.kmeans_plusplus(X, 3, max_trials=9),
            "max_trials must be None with method='auto'; got 9",
        ),
        (
            lambda: latom.kmeans_plusplus(X, 3, method="rejection", max_trials=0),
            "max_trials must be a positive integer",
        ),
        (
            lambda: latom.kmeans_plusplus(X, 3, existing_centers=X[:, :2]),
            "existing_centers must have 4 columns, as X has; got 2",
        ),
        (
            lambda: latom.kmeans_plusplus(X, 3, existing_centers=X[:2] * np.nan),
            "existing_centers must be finite",
        ),
        (
            lambda: latom.kmeans_plusplus(X, 3, existing_centers=X[0]),
            "existing_centers must have two dimensions",
        ),
        (
            lambda: latom.kmeans_plusplus(X, 3, sample_weight=np.zeros(60)),
            "sample_weight must have a positive entry",
        ),
        (
            lambda: latom.kmeans_plusplus(X, 3, sample_weight=-np.ones(60)),
            "sample_weight must be finite and not negative",
        ),
        (
            lambda: latom.kmeans_plusplus(X, 3, sample_weight=np.ones(59)),
            r"sample_weight must have shape \(60,\)",
        ),
        (
            lambda: latom.kmeans_plusplus(X, 3, sample_weight=np.full(60, 1e101)),
            "kmeans_plusplus: sample_weight must be 0 or between",
        ),
        (lambda: latom.kmeans_plusplus(X, 3, sample_weight=np.full(60, 1e-101)), "1e-101 in row 0"),
        (lambda: latom.kmeans_plusplus(X * np.nan, 3), "kmeans_plusplus: X must be finite"),
        (lambda: latom.kmeans_plusplus(X, 3, random_state=-1), "random_state must be"),
        (lambda: latom.kmeans_plusplus(X, 3, n_threads=0), "n_threads must be"),
        (lambda: latom.afkmc2(X, 61), r"afkmc2: n_clusters must be an integer in \[1, 60\]"),
        (
            lambda: latom.afkmc2(X, 3, chain_length=0),
            "afkmc2: chain_length must be a positive integer; got 0",
        ),
        (lambda: latom.afkmc2(X * np.inf, 3), "afkmc2: X must be finite"),
        (lambda: latom.kmeans_parallel(X, 3, rounds=0), "kmeans_parallel: rounds must be a positive integer"),
        (
            lambda: latom.kmeans_parallel(X, 3, oversampling=0),
            "kmeans_parallel: oversampling must be a positive number",
        ),
        (lambda: latom.kmeans_parallel(X, 3, oversampling=np.nan), "oversampling must be a positive number"),
        (lambda: latom.kmeans_parallel(X * np.nan, 3), "kmeans_parallel: X must be finite"),
        (lambda: latom.coreset(X, 0), "coreset: size must be a positive integer; got 0"),
        (
            lambda: latom.coreset(X, 5, method="best"),
            "coreset: method must be 'lightweight' or 'sensitivity'; got 'best'",
        ),
        (
            lambda: latom.coreset(X, 5, method="sensitivity"),
            "coreset: n_clusters must be given with method='sensitivity'",
        ),
        (
            lambda: latom.coreset(X, 5, method="sensitivity", n_clusters=61),
            r"n_clusters must be an integer in \[1, 60\]",
        ),
        (
            lambda: latom.coreset(X, 5, n_clusters=3),
            "coreset: n_clusters must be None with method='lightweight'; got 3",
        ),
        (lambda: latom.coreset(X * np.nan, 5), "coreset: X must be finite"),
        (lambda: latom.weighted_sample([1, -1], 1), "weights must be finite and not negative; got -1.0 at 1"),
        (lambda: latom.weighted_sample([1, np.inf], 1), "got inf at 1"),
        (
            lambda: latom.weighted_sample([[1, 2]], 1),
            r"weights must have one dimension and an entry; got shape \(1, 2\)",
        ),
        (lambda: latom.weighted_sample([], 1), r"got shape \(0,\)"),
        (lambda: latom.weighted_sample(3.0, 1), r"got shape \(\)"),
        (
            lambda: latom.weighted_sample([1, 0, 2], 3),
            "weights must have 3 positive entries; got 2. Draw fewer, or with replacement",
        ),
        (
            lambda: latom.weighted_sample([0, 0], 3, replacement=True),
            "weights must have 1 positive entries; got 0",
        ),
        (lambda: latom.weighted_sample([1, 2], 0), "size must be a positive integer"),
    ],
)
def test_messages(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_texts_are_no_weights():
    with pytest.raises((TypeError, ValueError)):
        latom.weighted_sample(["a", "b"], 1)


@pytest.mark.parametrize("method", ["exact", "fold", "rejection"])
def test_statistics(method):
    Y = np.random.default_rng(1).random((2000, 5))
    centers, indices, stats = latom.kmeans_plusplus(
        Y, 30, metric="euclidean", method=method, random_state=0, return_stats=True
    )
    assert list(stats) == ["method", "trials", "greedy", "uniform", "folds", "products", "potential"]
    assert stats["method"] == method
    assert stats["trials"] == 30 if method == "exact" else stats["trials"] >= 30
    assert stats["greedy"] == stats["uniform"] == 0
    assert method == "fold" or stats["folds"] == 0
    assert 0 < stats["products"] <= 1.5 * 30 * Y.size + stats["trials"] * 30 * 5
    plain = ((Y[:, None] - centers[None]) ** 2).sum(axis=2).min(axis=1).sum()
    assert np.isclose(stats["potential"], plain)
    # Asking for them changes no draw.
    assert (
        latom.kmeans_plusplus(Y, 30, metric="euclidean", method=method, random_state=0)[1] == indices
    ).all()


def test_greedy_statistics():
    stats = latom.kmeans_plusplus(X, 8, n_local_trials=None, random_state=0, return_stats=True)[2]
    assert (stats["method"], stats["greedy"], stats["trials"]) == ("exact", 8, 1 + 7 * 4)
    stats = latom.kmeans_plusplus(X, 8, method="rejection", max_trials=1, random_state=0, return_stats=True)[
        2
    ]
    assert stats["uniform"] > 0


def test_seeds_of_every_kind():
    for seed in (3, np.int64(3), np.random.default_rng(3), np.random.RandomState(3), None):
        assert len(latom.kmeans_plusplus(X, 5, random_state=seed)[1]) == 5
    same = [latom.kmeans_plusplus(X, 5, random_state=np.random.RandomState(3))[1] for _ in range(2)]
    assert (same[0] == same[1]).all()
    generator = np.random.default_rng(3)
    assert any(
        latom.kmeans_plusplus(X, 20, random_state=generator)[1]
        != latom.kmeans_plusplus(X, 20, random_state=generator)[1]
    )


@pytest.mark.parametrize("sparse", [False, True])
def test_scikit_learn_takes_it_as_init(sparse):
    cluster = pytest.importorskip("sklearn.cluster")
    rng = np.random.default_rng(2)
    Y = np.abs(rng.standard_normal((8, 6))[rng.integers(8, size=400)] * 10 + rng.standard_normal((400, 6)))
    rows = sp.csr_matrix(Y) if sparse else Y
    reference = cluster.KMeans(8, n_init=5, random_state=0).fit(rows)
    for init in (
        latom.kmeans_plusplus_init,
        functools.partial(latom.kmeans_plusplus_init, n_local_trials=None),
        functools.partial(latom.kmeans_plusplus_init, method="rejection", sample_weight=np.ones(400)),
    ):
        model = cluster.KMeans(8, init=init, n_init=5, random_state=0).fit(rows)
        assert model.inertia_ < 1.05 * reference.inertia_
        again = cluster.KMeans(8, init=init, n_init=5, random_state=0).fit(rows)
        assert again.inertia_ == model.inertia_
    assert isinstance(latom.kmeans_plusplus_init(rows, 3, random_state=0), np.ndarray)


@pytest.mark.parametrize("estimator", [latom.KMeans, latom.SphericalKMeans])
def test_estimators_take_the_rows_drawn(estimator):
    metric = "euclidean" if estimator is latom.KMeans else "cosine"
    centers, _ = latom.kmeans_plusplus(X, 5, metric=metric, random_state=0)
    model = estimator(5, init=centers, max_iter=20).fit(X)
    assert model.inertia_ <= estimator(5, init=centers, max_iter=1).fit(X).inertia_


def test_a_coreset_clusters_nearly_as_well():
    rng = np.random.default_rng(3)
    Y = rng.standard_normal((6, 5))[rng.integers(6, size=5000)] * 4 + rng.standard_normal((5000, 5))
    full = latom.KMeans(6, random_state=0, n_init=3).fit(Y)
    for options in ({}, {"method": "sensitivity", "n_clusters": 6}):
        rows, weights = latom.coreset(Y, 400, metric="euclidean", random_state=0, **options)
        small = latom.KMeans(6, random_state=0, n_init=3).fit(Y[rows], sample_weight=weights)
        assert -small.score(Y) < 1.15 * full.inertia_


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_every_argument_is_documented(function):
    text = inspect.getdoc(function)
    for name in inspect.signature(function).parameters:
        assert name in text, name
    for section in ("Parameters\n----------", "Returns\n-------"):
        assert section in text


@pytest.mark.parametrize(
    ("n", "m", "through"), [(9000, 20, 1.0), (9000, 300, 1.0), (3000, 200, None), (60, 4, None)]
)
def test_estimators_start_from_candidates_of_many_dense_rows(n, m, through, rng, monkeypatch):
    """Through k-means‖ where greedy trials over all rows take longer, and candidates are few of the rows."""
    rows = rng.standard_normal((n, 64))
    options = {"metric": "euclidean", "random_state": 3}
    function, own = latom.kmeans_plusplus, {}
    if through:
        function, own = latom.kmeans_parallel, {"oversampling": through}
    indices = function(rows, m, n_local_trials="auto", **own, **options)[1]
    assert (start(rows, m, **options) == indices).all()
    sparse = sp.csr_array(rows)
    indices = latom.kmeans_plusplus(sparse, m, n_local_trials="auto", **options)[1]
    assert (start(sparse, m, **options) == indices).all()

    asked = {}

    def first_rows(function, rows, m, weights, metric, *rest):
        asked.update(sample_weight=weights, metric=metric)
        return np.arange(7, 7 + m)

    monkeypatch.setattr(centers, "starting_rows", first_rows)
    states = []
    weights = rng.random(n)
    model = latom.KMeans(m, max_iter=1, callback=states.append)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(rows, sample_weight=weights)
    near = laws.squared_distances(rows, "euclidean", rows[7 : 7 + m]).min(axis=1)
    assert states[0].objective == pytest.approx(weights @ near)
    assert asked["metric"] == "euclidean"
    assert (asked["sample_weight"] == weights).all()


def start(X, m, *, metric, random_state, sample_weight=None, n_threads=None):
    """What estimators start from."""
    return starting_rows("test", Rows("test", X), m, sample_weight, metric, random_state, n_threads)


@pytest.mark.parametrize("trials", [1, 3])
def test_candidates_are_reduced_by_their_mass(trials):
    """Where every row is a candidate its mass is its weight, and the law that of k-means++ over all rows."""
    rng = np.random.default_rng(12)
    rows, w = rng.random((6, 3)), rng.random(6) + 0.1
    options = {"metric": "euclidean", "rounds": 1, "oversampling": 1e9, "n_local_trials": trials}
    draws = [
        latom.kmeans_parallel(rows, 2, sample_weight=w, random_state=seed, n_threads=1, **options)[1]
        for seed in range(4000)
    ]
    D = laws.squared_distances(rows, "euclidean")

    def p_value(w):
        law = laws.d2_law(D, w) if trials == 1 else laws.greedy_law(D, w, trials)
        return laws.chi_square(np.array(draws), laws.joint(law, 6, 2))

    assert p_value(w) > laws.FALSE_ALARM
    assert p_value(np.ones(6)) < laws.FALSE_ALARM


def test_more_trials_reduce_candidates_better(rng):
    rows = rng.standard_normal((4000, 8))

    def potential(trials, seed):
        options = {"metric": "euclidean", "n_local_trials": trials, "random_state": seed}
        centers = latom.kmeans_parallel(rows, 40, **options)[0]
        return laws.squared_distances(rows, "euclidean", centers).min(axis=1).sum()

    greedy, auto, one = (np.median([potential(t, seed) for seed in range(7)]) for t in (None, "auto", 1))
    assert greedy < 0.99 * one
    assert auto == greedy  # little enough to be greedy to the end

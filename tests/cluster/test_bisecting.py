"""Bisecting k-means: a plain loop over the same k-means, scikit-learn's checks, rows that are alike."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.cluster import BisectingKMeans as SklearnBisecting
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

import latom
from latom import _core

_DRAWS = "a weight of 2 draws other starts than a row that stands twice"


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [
        latom.BisectingKMeans(3),
        latom.BisectingKMeans(3, metric="cosine", bisecting_strategy="largest_cluster"),
    ],
    expected_failed_checks=lambda estimator: {
        "check_sample_weight_equivalence_on_dense_data": _DRAWS,
        "check_sample_weight_equivalence_on_sparse_data": _DRAWS,
    },
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def plain(X, m, metric, strategy, weights, seed):
    """Labels, centers and cost by splits of the same k-means, one after the other."""
    kind = latom.KMeans if metric == "euclidean" else latom.SphericalKMeans
    rng = np.random.RandomState(seed)

    def fit(rows, count):
        # Seeds are drawn as estimators draw them.
        own = latom._base.arrays.as_seed("test", rng) % 2**32
        return kind(count, n_init=1, sparse_centers=False, random_state=own).fit(
            X[rows], sample_weight=weights[rows]
        )

    def cost(rows, center):
        D = X[rows].toarray() if sp.issparse(X) else X[rows]
        D = D.astype(np.float64)
        if metric == "cosine":
            D = D / np.linalg.norm(D, axis=1, keepdims=True)
            return weights[rows] @ (1 - D @ (center / np.linalg.norm(center)))
        return weights[rows] @ ((D - center) ** 2).sum(axis=1)

    everyone = np.arange(X.shape[0])
    center = fit(everyone, 1).cluster_centers_[0]
    leaves = [(everyone, center, cost(everyone, center))]
    while len(leaves) < m:
        sizes = [leaf[2] if strategy == "biggest_inertia" else len(leaf[0]) for leaf in leaves]
        rows, _, _ = leaves.pop(int(np.argmax(sizes)))
        model = fit(rows, 2)
        for c in range(2):
            some, center = rows[model.labels_ == c], model.cluster_centers_[c]
            leaves.append((some, center, cost(some, center)))
    labels = np.empty(X.shape[0], int)
    for number, (rows, _, _) in enumerate(leaves):
        labels[rows] = number
    return labels, np.array([leaf[1] for leaf in leaves]), sum(leaf[2] for leaf in leaves)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("strategy", ["biggest_inertia", "largest_cluster"])
def test_a_plain_loop_finds_the_same(container, metric, strategy, rng):
    D = (rng.random((300, 17)) + 3 * rng.integers(0, 2, (8, 17))[rng.integers(8, size=300)]).astype(
        np.float32
    )
    weights = rng.integers(1, 4, 300).astype(float)
    X = container(D)
    model = latom.BisectingKMeans(7, metric=metric, bisecting_strategy=strategy, random_state=3)
    model.fit(X, sample_weight=weights)
    labels, centers, cost = plain(X, 7, metric, strategy, weights, 3)
    assert (model.labels_ == labels).all()
    assert np.allclose(model.cluster_centers_, centers)
    assert np.isclose(model.inertia_, cost, rtol=1e-6)
    assert (model.predict(X) == labels).all()
    assert model.transform(X).shape == (300, 7)
    assert model.n_iter_ == 6
    assert (np.diff(model.history_["objective"]) <= 0).all()
    assert np.isclose(model.history_["objective"][-1], model.inertia_)
    copy = pickle.loads(pickle.dumps(model))
    assert (copy.predict(X[:50]) == labels[:50]).all()


def test_bits_of_every_variant_and_number_of_threads(rng):
    X = rng.standard_normal((500, 9)).astype(np.float32)
    found, before = set(), _core.isa()
    try:
        for isa in _core.available_isas():
            _core.set_isa(isa)
            for threads in (1, 2, 5):
                model = latom.BisectingKMeans(9, random_state=0, n_threads=threads).fit(X)
                found.add((model.labels_.tobytes(), model.cluster_centers_.tobytes(), model.inertia_))
    finally:
        _core.set_isa(before)
    assert len(found) == 1


def test_it_is_as_good_as_scikit_learns(rng):
    X = rng.standard_normal((20, 5))[rng.integers(20, size=300)] + 0.1 * rng.standard_normal((300, 5))
    ours, theirs = (
        np.median([kind(12, init="k-means++", random_state=s).fit(X).inertia_ for s in range(5)])
        for kind in (latom.BisectingKMeans, SklearnBisecting)
    )
    assert ours < 1.03 * theirs


def test_alike_rows_are_not_split():
    X = np.repeat([[0.0, 1], [5, 5], [9, 0]], [40, 3, 1], axis=0)
    for strategy in ("biggest_inertia", "largest_cluster"):
        with pytest.warns(
            ConvergenceWarning, match=r"distinct clusters \(3\) found smaller than n_clusters \(5\)"
        ):
            model = latom.BisectingKMeans(5, bisecting_strategy=strategy, random_state=0).fit(X)
        assert model.cluster_centers_.shape == (3, 2)
        assert model.inertia_ == 0
        assert len(set(model.labels_[[0, 40, 43]])) == 3
    one = latom.BisectingKMeans(1).fit(X)
    assert (one.labels_ == 0).all()
    assert one.n_iter_ == 0
    stopped = latom.BisectingKMeans(3, callback=lambda state: state.iteration == 1).fit(X)
    assert stopped.cluster_centers_.shape == (2, 2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_clusters": 9}, r"n_clusters must be an integer in \[1, 4\]; got 9"),
        ({"bisecting_strategy": "worst"}, "bisecting_strategy must be"),
        ({"init": np.eye(2)}, "init must be 'k-means\\+\\+', 'random' or a callable"),
        ({"metric": "l1"}, "metric must be"),
        ({"n_init": 0}, "n_init must be"),
    ],
)
def test_refusals(options, words):
    with pytest.raises(ValueError, match="BisectingKMeans.fit: " + words):
        latom.BisectingKMeans(**{"n_clusters": 2, **options}).fit(np.eye(4))

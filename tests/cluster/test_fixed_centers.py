"""KMeans(fixed_centers=...): known centers stay, the others are those of plain k-means beside them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from oracle import corpus, dense, scores

import latom

BOTH = [latom.KMeans, latom.SphericalKMeans]
CONTAINERS = [lambda A: A.toarray(), lambda A: A]


def plain(X, start, fixed, metric, weights=None, n_iter=300):
    """Lloyd in numpy, where the first `fixed` centers never move; empty clusters keep their centers."""
    A, C = dense(X), dense(start).copy()
    w = np.ones(len(A)) if weights is None else weights
    if metric == "cosine":
        A = A / np.linalg.norm(A, axis=1, keepdims=True)
        C = C / np.linalg.norm(C, axis=1, keepdims=True)
    labels = None
    for _ in range(n_iter):
        before, labels = labels, scores(A, C, metric).argmax(axis=1)
        if before is not None and (before == labels).all():
            break
        for j in range(fixed, len(C)):
            own = labels == j
            if w[own].sum() > 0:
                C[j] = w[own] @ A[own]
                C[j] /= np.linalg.norm(C[j]) if metric == "cosine" else w[own].sum()
    return C, labels


@pytest.fixture
def X():
    return corpus(np.random.default_rng(0), 300, 40, 8, dtype=np.float64)


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize("make", CONTAINERS)
@pytest.mark.parametrize("weighted", [False, True])
def test_follows_plain_lloyd(cls, make, weighted, X):
    w = np.random.default_rng(3).random(300) + 0.1 if weighted else None
    fixed, others = X[:3], X[10:15]
    km = cls(8, fixed_centers=make(fixed), init=make(others), tol=0).fit(make(X), sample_weight=w)
    start = sp.vstack([fixed, others])
    C, labels = plain(X, start, 3, km._metric, w)
    assert np.bincount(labels, minlength=8).all()  # no cluster was empty
    assert np.allclose(dense(km.cluster_centers_), C, atol=1e-12)
    assert (km.labels_ == labels).all()
    assert (km.predict(make(X)) == km.labels_).all()
    own = scores(X, C, km._metric)[np.arange(300), labels]
    cost = 1 - own if km._metric == "cosine" else -own
    assert np.isclose(km.inertia_, cost.sum() if w is None else w @ cost)


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize("make", CONTAINERS)
@pytest.mark.parametrize("init", ["k-means++", "random", "callable"])
def test_others_are_seeded_beside_them(cls, make, init, X):
    def drawn(rows, k, random_state):
        assert k == 5
        return rows[random_state.permutation(rows.shape[0])[:k]]

    options = {"fixed_centers": make(X[:2]).astype(np.float32), "random_state": 4, "n_init": 2}
    km = cls(7, init=drawn if init == "callable" else init, **options).fit(make(X))
    C = dense(km.cluster_centers_)
    first = dense(X[:2].astype(np.float32))
    if cls is latom.SphericalKMeans:
        first /= np.linalg.norm(first, axis=1, keepdims=True)
    assert np.allclose(C[:2], first, rtol=0, atol=1e-15 if cls is latom.SphericalKMeans else 0)
    assert C.shape == (7, 40)
    assert len(np.unique(km.labels_)) == 7
    assert (km.labels_ == cls(7, init=drawn if init == "callable" else init, **options)
            .fit(make(X)).labels_).all()  # fmt: skip


def test_seeding_knows_the_fixed_centers():
    """Two far groups, one of them held by a fixed center: the other center starts in the other group."""
    A = np.r_[np.zeros((50, 2)), np.full((50, 2), 100.0)] + np.random.default_rng(0).random((100, 2))
    for seed in range(8):
        km = latom.KMeans(2, fixed_centers=[[0.5, 0.5]], max_iter=1, random_state=seed).fit(A)
        assert (km.labels_ == np.repeat([0, 1], 50)).all()


def test_all_may_be_fixed(X):
    for cls in BOTH:
        km = cls(3, fixed_centers=X[:3]).fit(X)
        assert km.n_iter_ == 1
        assert (km.labels_ == latom.assign(X, X[:3], metric=km._metric)[0]).all()


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("weighted", [False, True])
def test_an_empty_fixed_center_takes_no_row(cls, make, weighted):
    """The core would give it the worst-fitting row, and leave that out of a center that may move."""
    rng = np.random.default_rng(1)
    A = np.abs(rng.standard_normal((60, 3))) * [1, 1, 1e-3] + np.repeat([[9, 0, 0], [0, 9, 0]], 30, axis=0)
    w = rng.random(60) + 0.5 if weighted else None
    far = np.array([[0.0, 0, 1]]) if cls is latom.SphericalKMeans else np.array([[0.0, 0, 900]])
    km = cls(3, fixed_centers=far, init=make(A[[0, 30]]), tol=0).fit
    with pytest.warns(Warning, match=r"distinct clusters \(2\)"):
        km = km(make(A), sample_weight=w)
    C, labels = plain(A, np.r_[far, A[[0, 30]]], 1, km._metric, w)
    assert (km.labels_ == labels).all()
    assert np.allclose(dense(km.cluster_centers_), C, atol=1e-12)
    assert km.n_iter_ < 10  # it settles


def test_an_empty_center_that_may_move_still_takes_a_row():
    A = np.array([[0.0], [1], [10], [11]])
    km = latom.KMeans(3, fixed_centers=[[0.5], [-99]], init=[[500.0]], tol=0)
    with pytest.warns(Warning, match=r"distinct clusters \(2\)"):
        km.fit(A)
    assert km.labels_.tolist() == [0, 0, 2, 2]
    assert km.cluster_centers_.ravel().tolist() == [0.5, -99, 10.5]


def test_wrong_ones_are_refused(X):
    for wrong in (X[:5], X[:2, :9]):
        with pytest.raises(
            ValueError, match=r"KMeans\.fit: fixed_centers must have at most n_clusters=4 rows"
        ):
            latom.KMeans(4, fixed_centers=wrong).fit(X)
    with pytest.raises(ValueError, match=r"init must have shape \(2, 40\)"):
        latom.KMeans(4, fixed_centers=X[:2], init=X[:4]).fit(X)
    with pytest.raises(ValueError, match=r"partial_fit: fixed_centers must be None"):
        latom.KMeans(4, fixed_centers=X[:2]).partial_fit(X)
    half = X.toarray().astype(np.float16)
    km = latom.KMeans(4, fixed_centers=half[:2], random_state=0)
    a, b = (km.fit(Y).cluster_centers_ for Y in (half, half.astype(np.float32)))
    assert np.array_equal(a, b)
    with pytest.raises(ValueError, match="fixed_centers must be finite"):
        latom.KMeans(2, fixed_centers=np.full((1, 40), np.nan)).fit(X)


def test_history_counts_only_what_moves(X):
    km = latom.KMeans(5, fixed_centers=X[:3], tol=0, random_state=0).fit(X)
    assert km.history_["moved"].max() <= 2
    assert km.history_["changed"][0] == 300
    assert km.history_["changed"][-1] == 0
    assert (np.diff(km.history_["objective"]) <= 1e-9).all()

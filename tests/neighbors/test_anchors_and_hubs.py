"""Hubness, local scaling, relative representations and anchors grown from a few pairs."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import norm, ortho_group, skew

from latom import RelativeRepresentation
from latom.neighbors import NearestNeighbors, hubness, local_scaling, match_anchors, mutual_proximity
from latom.seed.leverage import leverage


def test_hubness_is_the_skew_of_occurrence(rng):
    indices = (
        NearestNeighbors(n_neighbors=5).fit(rng.normal(size=(200, 40))).kneighbors(return_distance=False)
    )
    found = hubness(indices)
    occurrence = np.bincount(indices.ravel(), minlength=200)
    assert (found.occurrence == occurrence).all()
    assert np.isclose(found.skewness, skew(occurrence))
    assert np.isclose(found.robin_hood, np.abs(occurrence - 5).sum() / (2 * occurrence.sum()))
    assert found.antihubs == (occurrence == 0).mean()
    assert hubness([[0], [0], [-1]], 4).occurrence.tolist() == [2, 0, 0, 0]
    assert hubness([[1], [0]]).skewness == 0
    with pytest.raises(ValueError, match=r"^hubness: indices must lie below"):
        hubness([[2]], 2)


def test_local_scaling_is_its_formula_and_reduces_hubs(rng):
    X = rng.normal(size=(300, 60))
    near, who = NearestNeighbors(n_neighbors=50).fit(X).kneighbors()
    scaled, kept = local_scaling(near, who, 10, kth=10)
    s = near[:, 9]
    for i in (0, 17, 299):
        law = {j: 1 - np.exp(-(d**2) / (s[i] * s[j])) for d, j in zip(near[i], who[i], strict=True)}
        order = sorted(law, key=lambda j: (law[j], j))[:10]
        assert kept[i].tolist() == order
        np.testing.assert_allclose(scaled[i], [law[j] for j in order])
    assert hubness(kept).skewness < hubness(who[:, :10]).skewness
    same = local_scaling(np.zeros((2, 1)), [[1], [0]])  # equal rows
    assert same[0].tolist() == [[0.0], [0.0]]
    with pytest.raises(ValueError, match="local_scaling: distances and indices must"):
        local_scaling(near, who + 300)


def test_mutual_proximity_is_its_formula_and_reduces_hubs(rng):
    X = rng.normal(size=(300, 60))
    near, who = NearestNeighbors(n_neighbors=299).fit(X).kneighbors()
    D = np.linalg.norm(X[:, None] - X, axis=2)
    away = D[~np.eye(300, dtype=bool)].reshape(300, 299)  # to all others
    mean, deviation = away.mean(axis=1), away.std(axis=1)
    law = 1 - norm.sf(D, mean[:, None], deviation[:, None]) * norm.sf(D, mean, deviation)
    few = near[:, :50], who[:, :50], 10
    found = [
        mutual_proximity(near, who, 10),  # of all rows, these moments are those of the candidates
        mutual_proximity(near, who, 10, moments=np.column_stack([mean, deviation])),
        mutual_proximity(*few, moments=np.column_stack([mean, deviation])),
    ]
    for i in (0, 17, 299):
        for candidates, (scaled, kept) in zip((who, who, few[1]), found, strict=True):
            assert kept[i].tolist() == sorted(candidates[i], key=lambda j: (law[i, j], j))[:10]
            np.testing.assert_allclose(scaled[i], law[i, kept[i]], rtol=1e-9, atol=1e-15)
    for _, kept in [*found, mutual_proximity(*few)]:
        assert hubness(kept).skewness < hubness(who[:, :10]).skewness
    mean, deviation = few[0].mean(axis=1), few[0].std(axis=1)
    scaled, kept = mutual_proximity(*few)
    wanted = 1 - np.prod([norm.sf(D[3, kept[3]], mean[at], deviation[at]) for at in (3, kept[3])], axis=0)
    np.testing.assert_allclose(scaled[3], wanted)


def test_mutual_proximity_of_odd_distances(rng):
    scaled, kept = mutual_proximity(np.zeros((2, 1)), [[1], [0]])  # no row's distances vary
    assert scaled.tolist() == [[0.75], [0.75]]
    assert kept.tolist() == [[1], [0]]
    scaled, kept = mutual_proximity(
        [[1.0, 3.0], [1, 2], [2, 3]], [[1, 2], [0, 2], [1, 0]], moments=[[1, 0], [1, 0], [2, 0]]
    )
    assert kept.tolist() == [[1, 2], [0, 2], [0, 1]]
    assert scaled.tolist() == [[0.75, 1.0], [0.75, 1.0], [1.0, 1.0]]
    near, who = rng.random((5, 3)), rng.integers(0, 5, (5, 3))
    with pytest.raises(ValueError, match=r"^mutual_proximity: moments must have shape \(5, 2\); got \(5,\)"):
        mutual_proximity(near, who, moments=np.ones(5))
    with pytest.raises(ValueError, match=r"moments\[:, 1\] must be finite and not negative; got -1.0"):
        mutual_proximity(near, who, moments=-np.ones((5, 2)))
    with pytest.raises(ValueError, match="n_neighbors must be"):
        mutual_proximity(near, who, 4)
    for function in (mutual_proximity, local_scaling):
        with pytest.raises(ValueError, match=r"^\w+: distances and indices must"):
            function(near, who + 5)
        with pytest.raises(ValueError, match=r"^\w+: distances must be finite; got inf in row 0\. Ask"):
            function(np.full((5, 3), np.inf), who)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_relative_representations_survive_rotation(metric, container, rng):
    X = rng.normal(size=(60, 8)) * (rng.random((60, 8)) < 0.6)
    turned = X @ ortho_group.rvs(8, random_state=1) * (3 if metric == "cosine" else 1)
    for selection in ("uniform", "kmeans++", "kmeans", "leverage"):
        first = RelativeRepresentation(20, metric=metric, selection=selection, random_state=0).fit(
            container(X)
        )
        assert len(set(first.anchor_indices_)) == 20
        second = RelativeRepresentation(20, metric=metric).fit_anchors(turned, first.anchor_indices_)
        a, b = first.transform(container(X)), second.transform(turned)
        np.testing.assert_allclose(a, b, atol=1e-6)
        kept = RelativeRepresentation(20, metric=metric, k=4).fit_anchors(container(X), first.anchor_indices_)
        codes = kept.transform(container(X))
        assert (np.diff(codes.indptr) == 4).all()
        bar = np.sort(a, axis=1)[:, -4]
        np.testing.assert_allclose(codes.data.reshape(60, 4).max(axis=1), a.max(axis=1), atol=1e-6)
        assert (codes.data.reshape(60, 4).min(axis=1) >= bar - 1e-6).all()


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("size", [1e-25, 1.0, 1e30])
def test_similarities_of_numbers_of_any_size(container, size, rng):
    """Products of float32 leave it where numbers are far from 1, and are too rough for the distance 0."""
    X = rng.normal(size=(30, 7)).astype(np.float32)
    cosine, euclidean = (
        RelativeRepresentation(9, metric=metric, random_state=0).fit(container(X * np.float32(size)))
        for metric in ("cosine", "euclidean")
    )
    A, anchors = X.astype(np.float64), X[cosine.anchor_indices_].astype(np.float64)
    unit = [M / np.linalg.norm(M, axis=1, keepdims=True) for M in (A, anchors)]
    given = container(X * np.float32(size))
    np.testing.assert_allclose(cosine.transform(given), unit[0] @ unit[1].T, atol=1e-6)
    apart = np.linalg.norm(A[:, None] - anchors, axis=2)
    np.testing.assert_allclose(euclidean.transform(given) / size, -apart, rtol=2e-6, atol=1e-6)
    assert cosine.transform(given).dtype == np.float32
    with pytest.raises(ValueError, match=r"transform: X must have distances that float32 holds; got one"):
        euclidean.transform(container(np.full((1, 7), 3e38, np.float32)))


def test_anchors_are_repeatable(rng):
    X = rng.normal(size=(50, 4))
    first, second = (RelativeRepresentation(9, random_state=3).fit(X).anchor_indices_ for _ in range(2))
    assert (first == second).all()
    with pytest.raises(ValueError, match=r"fit_anchors: indices must be rows of X"):
        RelativeRepresentation().fit_anchors(X, [50])
    with pytest.raises(ValueError, match="k must be"):
        RelativeRepresentation(9, k=10).fit(X)


def planted(rng):
    """Ten groups whose directions and lengths both differ."""
    group = np.repeat(np.arange(10), 30)
    return rng.normal(size=(10, 6))[group] * (1 + group[:, None]) + 0.05 * rng.normal(size=(300, 6)), group


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_kmeans_anchors_are_the_rows_nearest_to_centers(metric, container, rng):
    X, group = planted(rng)
    options = dict(selection="kmeans", metric=metric, random_state=0)
    first, again = (RelativeRepresentation(10, **options).fit(container(X)) for _ in range(2))
    assert (first.anchor_indices_ == again.anchor_indices_).all()
    assert sorted(group[first.anchor_indices_]) == list(range(10))
    rows = X / np.linalg.norm(X, axis=1, keepdims=True) if metric == "cosine" else X
    for g in range(10):
        own = np.flatnonzero(group == g)
        center = rows[own].mean(axis=0)
        away = np.linalg.norm(
            rows[own] - center / (np.linalg.norm(center) if metric == "cosine" else 1), axis=1
        )
        assert own[away.argmin()] in first.anchor_indices_
    twins = np.repeat(np.eye(3), 4, axis=0)  # fewer distinct rows than anchors
    with pytest.warns(UserWarning, match="distinct"):
        few = RelativeRepresentation(7, **options).fit(container(twins))
    assert len(set(few.anchor_indices_)) == 7


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_leverage_anchors_follow_the_scores(container, rng):
    """Three rows alone hold three directions: their scores are 1, of at most 4."""
    X = np.zeros((200, 9))
    X[:, :1] = rng.normal(size=(200, 1))
    X[[5, 60, 199], [3, 5, 8]] = 30
    U = np.linalg.svd(X, full_matrices=False)[0][:, :4]
    chances = (U**2).sum(axis=1) / 4
    np.testing.assert_allclose(leverage(container(X), 4), chances, atol=1e-8)
    options = dict(selection="leverage", metric="euclidean")
    drawn = [RelativeRepresentation(4, random_state=s, **options).fit(container(X)) for s in range(300)]
    share = np.bincount(np.concatenate([m.anchor_indices_ for m in drawn]), minlength=200) / 300
    assert share[[5, 60, 199]].min() > 0.7  # of 4 drawn; evenly it would be .02
    again = RelativeRepresentation(4, random_state=7, **options).fit(container(X))
    assert (again.anchor_indices_ == drawn[7].anchor_indices_).all()
    large, wide = (
        RelativeRepresentation(4, random_state=7, **options).fit(container((X * size).astype(np.float32)))
        for size in (1e-25, 1e30)
    )
    assert (large.anchor_indices_ == wide.anchor_indices_).all()
    assert (large.anchor_indices_ == again.anchor_indices_).all()


def test_kmeanspp_anchors_spread_by_the_metric():
    """One direction, many lengths: under cosine all rows are one."""
    X = np.repeat(np.array([[1.0, 2.0], [10, 20], [100, 200], [1000, 2000]]), 10, axis=0)
    X = X + 1e-3 * np.arange(40)[:, None]
    for seed in range(5):
        model = RelativeRepresentation(4, selection="kmeans++", metric="euclidean", random_state=seed).fit(X)
        assert sorted(model.anchor_indices_ // 10) == [0, 1, 2, 3]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_whitened_representations_survive_affine_maps(metric, dtype, rng):
    X = (rng.normal(size=(90, 7)) @ rng.normal(size=(7, 7))).astype(dtype)
    moved = X.astype(np.float64) @ rng.normal(size=(7, 7)) + rng.normal(size=7)
    first = RelativeRepresentation(12, metric=metric, whiten=True, random_state=0).fit(X)
    a = first.transform(X)
    A = X.astype(np.float64) - X.mean(axis=0, dtype=np.float64)
    L = np.linalg.cholesky(np.linalg.inv(A.T @ A / 90))
    W, anchors = A @ L, (A @ L)[first.anchor_indices_]
    if metric == "cosine":
        norms = np.linalg.norm(W, axis=1)[:, None] * np.linalg.norm(anchors, axis=1)
        wanted = W @ anchors.T / norms
    else:
        wanted = -np.linalg.norm(W[:, None] - anchors, axis=2)
    np.testing.assert_allclose(a, wanted, atol=1e-5 if dtype == np.float32 else 1e-6)
    assert a.dtype == dtype
    assert (first.anchors_ == X[first.anchor_indices_]).all()
    second = RelativeRepresentation(metric=metric, whiten=True).fit_anchors(moved, first.anchor_indices_)
    np.testing.assert_allclose(second.transform(moved), wanted, atol=1e-5)
    kept = RelativeRepresentation(metric=metric, whiten=True, k=3).fit_anchors(X, first.anchor_indices_)
    codes = kept.transform(X)
    assert codes.dtype == dtype
    np.testing.assert_allclose(np.sort(codes.data.reshape(90, 3)), np.sort(wanted)[:, -3:], atol=1e-5)
    copy = pickle.loads(pickle.dumps(first))
    assert (copy.transform(X) == a).all()
    flat = np.hstack([X, X[:, :1]])  # a direction without variance is left out
    again = RelativeRepresentation(metric=metric, whiten=True).fit_anchors(flat, first.anchor_indices_)
    np.testing.assert_allclose(again.transform(flat), wanted, atol=1e-4)


def test_whitening_needs_dense_rows_that_differ(rng):
    with pytest.raises(
        TypeError, match=r"^RelativeRepresentation\.fit: X must be dense where whiten=True; got"
    ):
        RelativeRepresentation(2, whiten=True).fit(sp.eye_array(4, format="csr"))
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"fit_anchors: X must be dense where whiten=True; got"):
        RelativeRepresentation(whiten=True).fit_anchors(torch.eye(4).to_sparse(), [0])
    with pytest.raises(ValueError, match=r"fit: X must have rows that differ where whiten=True; got 5 equal"):
        RelativeRepresentation(2, whiten=True).fit(np.ones((5, 3)))
    with pytest.raises(ValueError, match="whiten must be True or False"):
        RelativeRepresentation(2, whiten=1).fit(np.eye(3))
    with pytest.raises(TypeError, match="dense"):
        RelativeRepresentation(2, whiten=True).fit(np.eye(3)).transform(sp.eye_array(3, format="csr"))
    for selection in ("kmeans", "leverage", "kmeans++", "uniform"):
        with pytest.raises(ValueError, match=r"^RelativeRepresentation\.fit: X must .*NaN"):
            RelativeRepresentation(2, selection=selection).fit(np.full((4, 3), np.nan))


def test_matching_finds_the_rotated_twin(rng):
    A = rng.normal(size=(150, 10))
    B = A @ ortho_group.rvs(10, random_state=2)
    hidden = rng.permutation(150)
    seeds = np.column_stack([np.arange(15), np.argsort(hidden)[:15]])
    pairs = match_anchors(A, B[hidden], seeds, 100)
    assert (pairs[:15] == seeds).all()
    assert len(pairs) == 100
    assert (hidden[pairs[:, 1]] == pairs[:, 0]).all()
    for wrong, words in (([[0, 0], [0, 1]], "once"), ([[150, 0]], "rows of A"), ([0, 1], "shape")):
        with pytest.raises(ValueError, match=rf"^match_anchors: seeds must .*{words}"):
            match_anchors(A, B, wrong)

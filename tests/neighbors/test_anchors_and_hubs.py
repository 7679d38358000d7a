"""Hubness, local scaling, relative representations and anchors grown from a few pairs."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import ortho_group, skew

from latom import RelativeRepresentation
from latom.neighbors import NearestNeighbors, hubness, local_scaling, match_anchors


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


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_relative_representations_survive_rotation(metric, container, rng):
    X = rng.normal(size=(60, 8)) * (rng.random((60, 8)) < 0.6)
    turned = X @ ortho_group.rvs(8, random_state=1) * (3 if metric == "cosine" else 1)
    for selection in ("uniform", "kmeans++"):
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

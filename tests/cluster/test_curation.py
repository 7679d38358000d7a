"""Draws by losses and by weights, and near-duplicates, against plain code."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.sparse as sp

import latom


def test_loss_sample_is_unbiased(rng):
    X = rng.standard_normal((60, 3))
    f = (X**2).sum(axis=1) + 0.1
    model = latom.KMeans(5, random_state=0).fit(X)
    losses = np.array([f[np.argmin(((X - c) ** 2).sum(axis=1))] for c in model.cluster_centers_])
    rows, weights = latom.loss_sample(X, 20000, model.cluster_centers_, losses, lam=2, z=1, random_state=1)
    estimates = (weights * f[rows]).reshape(100, 200).sum(axis=1) * 100
    assert abs(estimates.mean() - f.mean()) < 3 * estimates.std() / 10
    # Probabilities are as documented: weights are their reciprocals.
    distance = np.sqrt(((X[:, None] - model.cluster_centers_) ** 2).sum(axis=2)).min(axis=1)
    bound = losses[model.labels_] + 2 * distance
    np.testing.assert_allclose(weights, bound.sum() / (20000 * 60 * bound[rows]), rtol=1e-9)
    counts = np.bincount(rows, minlength=60)
    expected = 20000 * bound / bound.sum()
    assert ((counts - expected) ** 2 / expected).sum() < 110  # chi-squared, 59 degrees: p < 1e-4


def test_loss_sample_refuses_what_has_no_meaning(rng):
    X, C = rng.random((10, 2)), rng.random((2, 2))
    with pytest.raises(ValueError, match="losses must be numbers that are not negative"):
        latom.loss_sample(X, 3, C, [1, -1])
    with pytest.raises(ValueError, match="bound above 0"):
        latom.loss_sample(X, 3, C, [0, 0], lam=0)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("keep", ["farthest", "closest", "random"])
@pytest.mark.parametrize("n_clusters", [1, 4])
def test_semdedup_finds_the_pairs_of_brute_force(container, keep, n_clusters, rng):
    X = rng.standard_normal((80, 6))
    X[40:60] = X[:20] * rng.uniform(0.5, 2, (20, 1)) + rng.normal(0, 0.02, (20, 6))
    centers = rng.standard_normal((n_clusters, 6))
    kept = latom.semdedup(container(X), n_clusters, 0.01, keep=keep, centers=centers, random_state=5)
    labels, scores = latom.assign(X, centers)
    U = X / np.linalg.norm(X, axis=1, keepdims=True)
    near = (U @ U.T > 0.99) & (labels[:, None] == labels) & ~np.eye(80, dtype=bool)
    if keep == "random":
        pairs = near.any(axis=1)
        assert kept[~pairs].all()
        assert not kept[pairs].all()
        return
    order = scores if keep == "farthest" else -scores
    earlier = order[None] < order[:, None]
    assert (kept == ~(near & earlier).any(axis=1)).all()
    assert kept.sum() < 80


def test_semdedup_clusters_by_itself(rng):
    X = rng.standard_normal((60, 4)).astype(np.float32)
    X[30:] = X[:30]
    kept = latom.semdedup(X, 5, 0.001, random_state=0)
    assert kept.sum() == 30
    with pytest.raises(ValueError, match="centers must have n_clusters=5 rows; got 4"):
        latom.semdedup(X, 5, 0.1, centers=X[:4])
    with pytest.raises(ValueError, match="eps must"):
        latom.semdedup(X, 5, 1.5)


def test_gumbel_draws_follow_the_weights():
    """Ordered pairs without replacement, against their probabilities, at weights far beyond float64's."""
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    logs = np.log(weights) - 5000
    counts = dict.fromkeys(itertools.permutations(range(4), 2), 0)
    for seed in range(6000):
        drawn = latom.weighted_sample(log_weights=logs, size=2, random_state=seed)
        counts[tuple(drawn.tolist())] += 1
    chi2 = 0.0
    for (i, j), count in counts.items():
        expected = 6000 * weights[i] / 10 * weights[j] / (10 - weights[i])
        chi2 += (count - expected) ** 2 / expected
    assert chi2 < 36  # 11 degrees: p < 2e-4


def test_draws_by_logarithms_at_the_edges():
    logs = np.array([-np.inf, 3.0, -np.inf, -4000.0])
    assert latom.weighted_sample(log_weights=logs, size=2, random_state=0).tolist() == [1, 3]
    assert set(latom.weighted_sample(log_weights=logs, size=50, replacement=True).tolist()) == {1}
    with pytest.raises(ValueError, match="3 entries above -inf; got 2"):
        latom.weighted_sample(log_weights=logs, size=3)
    with pytest.raises(ValueError, match="got both"):
        latom.weighted_sample([1.0], log_weights=[0.0])
    with pytest.raises(ValueError, match="got neither"):
        latom.weighted_sample()
    with pytest.raises(ValueError, match="NaN or inf"):
        latom.weighted_sample(log_weights=[np.inf, 0])

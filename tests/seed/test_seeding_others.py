"""AFK-MC^2 and k-means||: their own laws, by enumeration."""

from __future__ import annotations

import itertools
import warnings

import core
import numpy as np
import pytest
import scipy.sparse as sp
from laws import FALSE_ALARM, chain_law, chi_square, d2_law, joint, squared_distances
from oracle import random_rows

import latom
from latom._base.arrays import to_core


def points(n, signed=False):
    rng = np.random.default_rng(3)
    X, w = rng.random((n, 3)) + 0.05, rng.random(n) + 0.1
    return X - 0.4 * signed, w


@pytest.mark.parametrize("storage", ["dense", "csr"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("length", [1, 2, 3])
def test_chain_law(length, metric, storage):
    X, w = points(7, storage == "dense")
    rows = to_core(X if storage == "dense" else sp.csr_array(X))
    draws = np.array(
        [core.afkmc2(rows, 3, length, w, metric, seed, 1, "test")["indices"] for seed in range(15_000)]
    )
    D = squared_distances(X, metric)
    assert chi_square(draws, joint(chain_law(D, w, length), 7, 3)) > FALSE_ALARM
    if length < 3:  # then chains are near their limit
        assert chi_square(draws, joint(chain_law(D, w, length + 1), 7, 3)) < FALSE_ALARM
    else:
        assert chi_square(draws, joint(chain_law(D, w, 1), 7, 3)) < FALSE_ALARM


def test_chains_looked_at_together_know_of_each_other():
    """Sixteen centers whose proposals all stand in one batch."""
    X = np.repeat(np.eye(20) + 1, 3, axis=0)
    for seed in range(30):
        _, indices = latom.afkmc2(X, 16, chain_length=30, metric="euclidean", random_state=seed)
        assert len(set(indices // 3)) == 16


@pytest.mark.parametrize("storage", ["dense", "csr"])
def test_long_chains_approach_the_law(storage):
    X, w = points(7)
    rows = to_core(X if storage == "dense" else sp.csr_array(X))
    draws = np.array(
        [core.afkmc2(rows, 3, 60, w, "euclidean", seed, 1, "test")["indices"] for seed in range(5000)]
    )
    assert chi_square(draws, joint(d2_law(squared_distances(X, "euclidean"), w), 7, 3)) > FALSE_ALARM


def test_short_chains_still_find_all_rows():
    """Chains of one step mostly end in a center once few rows are left: no false word about copies."""
    X = np.random.default_rng(0).random((12, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(40):
            _, indices = latom.afkmc2(X, 12, chain_length=1, metric="euclidean", random_state=seed)
            assert sorted(indices) == list(range(12))


def rounds_law(D, w, amount, rounds):
    """Probability of each set of rows (as bits) that so many rounds draw beside the first row."""
    n = len(w)
    out = np.zeros(1 << n)

    def extend(chosen, p, left):
        near = D[:, chosen].min(axis=1)
        mass = w * near
        if left == 0:
            out[sum(1 << i for i in chosen)] += p
            return
        take = np.minimum(1, amount * mass / mass.sum()) if mass.any() else mass
        free = [i for i in range(n) if take[i] > 0]
        for bits in itertools.product([0, 1], repeat=len(free)):
            q = np.prod([take[i] if b else 1 - take[i] for i, b in zip(free, bits, strict=True)])
            if q > 0:
                extend(chosen + [i for i, b in zip(free, bits, strict=True) if b], p * q, left - 1)

    for i in range(n):
        extend([i], w[i] / w.sum(), rounds)
    return out


@pytest.mark.parametrize("storage", ["dense", "csr"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("rounds", [1, 2])
def test_rounds_law(rounds, metric, storage):
    X, w = points(6, storage == "dense")
    rows = to_core(X if storage == "dense" else sp.csr_array(X))
    D = squared_distances(X, metric)
    sets = []
    for seed in range(15_000):
        indices, mass, potential = core.parallel_candidates(rows, 1, 1.3, rounds, w, metric, seed, 1, "test")
        sets.append(sum(1 << int(i) for i in indices))
        if seed < 50:
            near = D[:, indices]
            assert np.allclose(mass, np.bincount(near.argmin(axis=1), w, len(indices)))
            assert np.isclose(potential, (w * near.min(axis=1)).sum())
    assert chi_square(sets, rounds_law(D, w, 1.3, rounds)) > FALSE_ALARM
    assert chi_square(sets, rounds_law(D, w, 1.2, rounds)) < FALSE_ALARM
    assert chi_square(sets, rounds_law(D, np.ones(6), 1.3, rounds)) < FALSE_ALARM


def test_too_few_candidates_are_made_up_for_by_the_law():
    """A round that draws next to nothing leaves k-means++."""
    X, w = points(7)
    rows = to_core(X)
    draws = np.array(
        [
            core.parallel_candidates(rows, 3, 1e-9, 1, w, "euclidean", seed, 1, "test")[0]
            for seed in range(10_000)
        ]
    )
    assert chi_square(draws, joint(d2_law(squared_distances(X, "euclidean"), w), 7, 3)) > FALSE_ALARM


@pytest.mark.parametrize("rounds", [1, 5])
def test_copies_among_the_candidates_do_not_count(rounds):
    X = np.repeat(np.random.default_rng(1).random((5, 4)), 200, axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(30):
            options = {"rounds": rounds, "metric": "euclidean", "random_state": seed}
            centers, indices = latom.kmeans_parallel(X, 5, **options)
            assert len(set(indices // 200)) == 5
            assert (centers == X[indices]).all()
    with pytest.warns(
        UserWarning, match=r"kmeans_parallel: X has only 5 distinct rows .* 8 centers"
    ) as caught:
        _, indices = latom.kmeans_parallel(X, 8, rounds=rounds, random_state=0)
    assert len(set(indices)) == 8
    assert caught[0].filename == __file__


def test_choices_are_as_good_as_k_means_plus_plus():
    rng = np.random.default_rng(2)
    X = rng.standard_normal((40, 6))[rng.integers(40, size=3000)] + 0.05 * rng.standard_normal((3000, 6))

    def cost(seeding):
        return np.median(
            [
                squared_distances(X, "euclidean", seeding(X, 40, metric="euclidean", random_state=seed)[0])
                .min(axis=1)
                .sum()
                for seed in range(5)
            ]
        )

    assert cost(latom.kmeans_parallel) < 1.05 * cost(latom.kmeans_plusplus)
    assert cost(latom.afkmc2) < 1.5 * cost(latom.kmeans_plusplus)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("signed", [False, True])
def test_rows_that_share_no_term_with_a_center_count(metric, signed):
    """Their distance is news for signed rows, and for a center shorter than all before."""
    rng = np.random.default_rng(5)
    X = random_rows(rng, 400, 60, density=0.04)
    X.data = (rng.standard_normal(X.nnz) if signed else rng.random(X.nnz)) * 10 ** rng.uniform(-1, 1, X.nnz)
    for seed in range(5):
        drawn, stats = latom.kmeans_plusplus(
            X, 12, metric=metric, method="exact", random_state=seed, return_stats=True
        )[1:]
        rows = X.toarray()[np.diff(X.indptr) > 0] if metric == "cosine" else X.toarray()
        centers = X.toarray()[drawn]
        if metric == "cosine":
            rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
            centers = centers / np.linalg.norm(centers, axis=1, keepdims=True)
        nearest = ((rows[:, None] - centers[None]) ** 2).sum(axis=2).min(axis=1)
        np.testing.assert_allclose(stats["potential"], nearest.sum(), rtol=1e-10)


@pytest.mark.parametrize("place", [0, 1000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", [1, 2, 3, 8, 9, 33, 64, 100])
def test_candidates_of_a_lattice_stand_for_the_rows_nearest_to_them(d, dtype, place, isa):
    """Whole numbers: distances are exact, and most rows are as far from one candidate as from another."""
    rng = np.random.default_rng(d)
    X = rng.integers(0, 12 if d < 8 else 3, (3000, d)).astype(dtype) + dtype(place)
    for m in (2, 5, 60, 150):
        drawn, mass, potential = core.parallel_candidates(X, m, 1.0 * m, 3, None, "euclidean", m, 2, "test")
        rows = X.astype(float) - place
        squares = (rows**2).sum(axis=1)
        D = squares[:, None] + squares[drawn] - 2 * rows @ rows[drawn].T  # exact, of whole numbers
        assert np.array_equal(mass, np.bincount(D.argmin(axis=1), minlength=len(drawn)))
        assert potential == D.min(axis=1).sum()


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("scale", [1e-25, 1.0, 1e25])
def test_candidates_of_any_length_stand_for_the_rows_nearest_to_them(scale, metric, isa):
    """Float32 holds none of the products of the longest and the shortest rows."""
    rng = np.random.default_rng(5)
    X = rng.standard_normal((2000, 5)) * scale
    drawn, mass, _ = core.parallel_candidates(X, 30, 30.0, 3, None, metric, 1, 2, "test")
    Y = X / (np.linalg.norm(X, axis=1, keepdims=True) if metric == "cosine" else scale)
    D = ((Y[:, None] - Y[drawn]) ** 2).sum(axis=2)
    assert np.array_equal(mass, np.bincount(D.argmin(axis=1), minlength=len(drawn)))

"""The joint law of k-means++ by enumeration: every method, bound, metric and storage. Others must fail."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from laws import (
    FALSE_ALARM,
    bounds,
    capped_law,
    chi_square,
    d2_law,
    draw,
    greedy_law,
    joint,
    lists_drawn,
    replay_exact,
    replay_folds,
    replay_rejection,
    squared_distances,
)

from latom._base.arrays import to_core

METHODS = {
    "exact": {"method": "exact"},
    "fold": {"method": "fold"},
    "fold from the cap": {"method": "fold", "bound": "cap"},
    "fold from the paper's": {"method": "fold", "bound": "paper"},
    "rejection": {"method": "rejection", "bound": "first-center"},
    "rejection, paper": {"method": "rejection", "bound": "paper"},
    "rejection, cap": {"method": "rejection", "bound": "cap"},
}
METRICS = ["cosine", "euclidean"]


def points(n=7, d=3, signed=False):
    rng = np.random.default_rng(3)
    X, w = rng.random((n, d)) + 0.05, rng.random(n) + 0.1
    return X - 0.4 * signed, w


def pairs():
    """Four tight groups of two rows."""
    rng = np.random.default_rng(4)
    X = np.repeat(rng.standard_normal((4, 3)) * 4, 2, axis=0) + 0.3 * rng.standard_normal((8, 3))
    return X, rng.random(8) + 0.5


def stored(X, storage):
    """X in one of the ways that the core reads."""
    dtype = np.float32 if storage.endswith("32") else np.float64
    if storage.startswith("dense"):
        return X.astype(dtype)
    rows = sp.csr_array(X.astype(dtype))
    if storage.startswith("wide"):
        rows.indices, rows.indptr = rows.indices.astype(np.int64), rows.indptr.astype(np.int64)
    return rows


def matches(draws, law, n):
    return chi_square(draws, joint(law, n, draws.shape[1])) > FALSE_ALARM


@pytest.mark.parametrize("storage", ["dense", "csr"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("method", METHODS)
def test_joint_law(method, metric, storage):
    X, w = points(signed=storage == "dense")
    draws, counts = draw(stored(X, storage), 3, 20_000, w=w, metric=metric, **METHODS[method])
    D = squared_distances(X, metric)
    assert matches(draws, d2_law(D, w), 7)
    assert counts["uniform"] == 0
    assert method == "exact" or counts["trials"] > 3 * 20_000, "nothing was rejected"
    # The test has power: it tells unweighted draws and plain distances from the law.
    assert not matches(draws, d2_law(D, np.ones(7)), 7)
    assert not matches(draws, d2_law(np.sqrt(D), w), 7)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("method", METHODS)
def test_types_draw_the_same_rows(method, metric):
    """Numbers that float32 holds, in both types and both widths of columns: the law is that of float64."""
    X, w = points(200, 30)
    X = np.where(X < 0.5, 0, X).astype(np.float32)
    names = ["csr64", "csr32", "wide64", "wide32"], ["dense64", "dense32"]
    for same in names:
        found = [draw(stored(X, name), 25, 10, w=w, metric=metric, **METHODS[method])[0] for name in same]
        assert all((rows == found[0]).all() for rows in found)


@pytest.mark.parametrize("storage", ["dense", "csr"])
@pytest.mark.parametrize("method", METHODS)
def test_joint_law_in_many_batches(method, storage):
    """Rejection draws hundreds for the fifth center, a fold must come, and in between batches end."""
    X, w = pairs()
    runs = 10_000
    draws, counts = draw(stored(X, storage), 5, runs, w=w, **METHODS[method])
    D = squared_distances(X, "euclidean")
    assert matches(draws, d2_law(D, w), 8)
    assert not matches(draws, d2_law(D, np.ones(8)), 8)
    if method.startswith("fold"):
        assert counts["folds"] > runs / 2
    if method.startswith("rejection"):
        assert counts["trials"] > 28 * runs, "one batch was enough"


@pytest.mark.parametrize("storage", ["dense", "csr"])
@pytest.mark.parametrize("method", METHODS)
def test_copies_share_the_weight_of_a_row(method, storage):
    """300 copies of each row, shuffled: several blocks of sums, and copies that are at no distance."""
    X, w = points()
    order = np.random.default_rng(5).permutation(2100)
    rows, weights = np.repeat(X, 300, axis=0)[order], np.repeat(w, 300)[order]
    draws, _ = draw(stored(rows, storage), 3, 1500, w=weights, metric="cosine", **METHODS[method])
    law = d2_law(squared_distances(X, "cosine"), w)
    assert matches(order[draws] // 300, law, 7)
    assert not matches(order[draws] // 300, d2_law(squared_distances(X, "euclidean"), w), 7)


@pytest.mark.parametrize("method", METHODS)
def test_integer_weights_are_copies(method):
    X, _ = points()
    count = np.array([1, 5, 2, 3, 1, 4, 2])
    of = np.repeat(np.arange(7), count)
    law = d2_law(squared_distances(X, "euclidean"), count.astype(float))
    weighted, _ = draw(X, 3, 8000, w=count.astype(float), **METHODS[method])
    copied, _ = draw(X[of], 3, 8000, seed=10**6, **METHODS[method])
    assert matches(weighted, law, 7)
    assert matches(of[copied], law, 7)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("storage", ["dense", "csr"])
@pytest.mark.parametrize("method", METHODS)
def test_law_beside_centers_that_are_there(method, storage, metric):
    X, w = points()
    there = np.random.default_rng(6).random((4, 3)) + 0.05
    options = {"existing": to_core(stored(there, storage)), **METHODS[method]}
    draws, _ = draw(stored(X, storage), 2, 8000, w=w, metric=metric, **options)
    near = squared_distances(X, metric, there).min(axis=1)
    D = squared_distances(X, metric)
    assert matches(draws, d2_law(D, w, near), 7)
    assert not matches(draws, d2_law(D, w), 7)


@pytest.mark.parametrize("bound", ["first-center", "paper", "cap"])
@pytest.mark.parametrize("max_trials", [1, 2])
def test_capped_rejection_mixes_in_the_weights(bound, max_trials):
    """The mixture that kmeans_plusplus documents: share (1 - 1/t)^max_trials, t = sum w B / sum w D^2."""
    X, w = pairs()
    D, B = squared_distances(X, "euclidean"), bounds(X, w, "euclidean", bound)
    draws, counts = draw(X, 5, 15_000, w=w, max_trials=max_trials, method="rejection", bound=bound)
    assert matches(draws, capped_law(D, w, B, max_trials), 8)
    assert counts["uniform"] > 1000
    assert not matches(draws, capped_law(D, w, B, max_trials + 1), 8)
    assert not matches(draws, d2_law(D, w), 8)


@pytest.mark.parametrize("storage", ["dense", "csr"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("trials", [2, 5])
def test_greedy_law(trials, metric, storage):
    X, w = points(8, signed=storage == "dense")
    draws, counts = draw(stored(X, storage), 3, 20_000, w=w, metric=metric, local_trials=trials)
    D = squared_distances(X, metric)
    assert counts["trials"] == 20_000 * (1 + 2 * trials)
    assert matches(draws, greedy_law(D, w, trials), 8)
    assert not matches(draws, greedy_law(D, w, trials + 1), 8)
    assert not matches(draws, d2_law(D, w), 8)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("trials", [1, 3])
def test_exact_draws_the_rows_that_plain_numpy_draws(trials, metric, signed):
    """From the same numbers: 700 rows, three blocks of sums. Dense rows stand in an order of their own."""
    X, w = points(700, 12, signed)
    X[np.random.default_rng(7).random(X.shape) < 0.4] = 0
    X[:, 0] += 0.01
    D = squared_distances(X, metric)
    draws, _ = draw(stored(X, "csr"), 20, 12, w=w, metric=metric, method="exact", local_trials=trials)
    for seed in range(12):
        assert list(draws[seed]) == replay_exact(seed, D, w, 20, trials)[0]
    assert list(draws[0]) != replay_exact(0, D, np.ones(700), 20, trials)[0]


@pytest.mark.parametrize("storage", ["dense", "csr"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("bound", ["first-center", "paper", "cap"])
def test_rejection_draws_the_rows_that_plain_numpy_draws(bound, metric, storage):
    """From the same numbers, whatever the batches; 60 centers of 30 columns: dense rows are screened."""
    X, w = points(700, 30, signed=storage == "dense")
    X[np.random.default_rng(8).random(X.shape) < 0.4] = 0
    D, B = squared_distances(X, metric), bounds(X, w, metric, bound)
    for seed in range(6):
        options = {"w": w, "metric": metric, "seed": seed, "bound": bound}
        draws, counts = draw(stored(X, storage), 60, 1, method="rejection", **options)
        plain, trials = replay_rejection(seed, D, w, 60, B)
        assert list(draws[0]) == plain
        assert counts["trials"] == trials
        assert trials > 64, "one batch was enough"
        folded, counts = draw(stored(X, storage), 60, 1, method="fold", **options)
        assert replay_folds(seed, D, w, B, list(folded[0]), counts["folds"], counts["trials"])


@pytest.mark.parametrize("storage", ["dense", "csr"])
def test_folds_draw_the_rows_that_plain_numpy_draws(storage):
    """Tight groups, of which rejection must find the last ones: some folds come, whenever they are due."""
    rng = np.random.default_rng(10)
    X = np.repeat(rng.standard_normal((40, 6)), 15, axis=0) + 0.02 * rng.standard_normal((600, 6))
    D, w = squared_distances(X, "euclidean"), rng.random(600) + 0.5
    B, folds = bounds(X, w, "euclidean", "first-center"), 0
    for seed in range(4):
        draws, counts = draw(stored(X, storage), 45, 1, w=w, seed=seed, method="fold", bound="first-center")
        rows = list(draws[0])
        assert replay_folds(seed, D, w, B, rows, counts["folds"], counts["trials"])
        assert not replay_folds(seed, D, np.ones(600), B, rows, counts["folds"], counts["trials"])
        folds += counts["folds"]
    assert folds >= 8


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("grouped", [False, True])
def test_dense_draws_fall_in_the_list_that_plain_numpy_finds(grouped, metric):
    """Exact draws of dense rows look for the center first: its rows have the share drawn."""
    rng = np.random.default_rng(11)
    X, w = points(700, 12, signed=True)
    if grouped:
        X = np.repeat(X[:70], 10, axis=0) + 0.02 * rng.standard_normal(X.shape)
    D = squared_distances(X, metric)
    for seed in range(6):
        draws, _ = draw(X, 120, 1, w=w, metric=metric, seed=seed, method="exact")
        assert lists_drawn(seed, D, w, draws[0])
        assert not lists_drawn(seed, D, np.ones(700), draws[0])


@pytest.mark.parametrize("storage", ["dense", "csr"])
def test_large_batches_draw_the_rows_that_plain_numpy_draws(storage):
    """From some hundred pending centers on, a batch has so many candidates that they are compared at once.

    Rows stand in loose groups of four: many a candidate is rejected by one of its own batch, and some are
    near only to one that was rejected itself.
    """
    rng = np.random.default_rng(9)
    X = np.repeat(rng.standard_normal((1000, 40)), 4, axis=0)
    X[X < 0.6] = 0
    X *= 1 + 0.4 * rng.standard_normal(X.shape)
    X, m, w = X[rng.permutation(4000)], 1300, rng.random(4000) + 0.5
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    D = 2 - 2 * unit @ unit.T
    np.fill_diagonal(D, 0)
    options = {"w": w, "metric": "cosine", "method": "rejection", "bound": "first-center"}
    draws, counts = draw(stored(X, storage), m, 1, **options)
    plain, trials = replay_rejection(0, D, w, m, lambda first: D[:, first])
    assert list(draws[0]) == plain
    assert counts["trials"] == trials

"""What runs on many dense rows start from: the best of a few runs on a coreset."""

from __future__ import annotations

import numpy as np
import pytest

import latom
from latom._base.rows import Rows
from latom.cluster import refined_start as module


def blobs(rng, n, d, groups):
    return (4 * rng.normal(size=(groups, d))[rng.integers(groups, size=n)] + rng.normal(size=(n, d))).astype(
        np.float32
    )


def start(X, m, metric="euclidean", weights=None, seed=0, threads=1):
    rng = np.random.default_rng(seed)
    return module.refined_start("test", Rows("test", X), m, weights, metric, rng, threads)


def cost(X, centers):
    return ((X[:, None, :].astype(float) - centers) ** 2).sum(axis=2).min(axis=1).sum()


FIRST: dict[str, bytes] = {}


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_bits_of_every_variant_and_number_of_threads(metric, isa):
    rng = np.random.default_rng(5)
    X, weights = blobs(rng, 20_000, 5, 9), np.where(rng.random(20_000) < 0.7, 0.0, rng.random(20_000))
    found = {np.asarray(start(X, 9, metric, weights, threads=threads)).tobytes() for threads in (1, 2, 5)}
    assert len(found) == 1
    assert found == {FIRST.setdefault(metric, next(iter(found)))}, isa


def test_the_best_run_is_kept(rng, monkeypatch):
    X, m = blobs(rng, 20_000, 4, 40), 12
    costs = []
    for runs in (1, 3, 9):
        monkeypatch.setattr(module, "RUNS", runs)
        costs.append(np.median([cost(X, start(X, m, seed=seed)) for seed in range(9)]))
    assert costs[0] > 1.01 * costs[1] > 1.01 * costs[2]


def test_fits_end_lower_than_from_rows(rng):
    X, m = blobs(rng, 60_000, 3, 30), 8
    assert start(X, m) is not None
    refined = [latom.KMeans(m, random_state=seed).fit(X) for seed in range(15)]
    rows = [
        latom.KMeans(m, init=latom.kmeans_plusplus(X, m, metric="euclidean", random_state=seed)[0]).fit(X)
        for seed in range(15)
    ]
    assert np.median([k.inertia_ for k in refined]) < np.median([k.inertia_ for k in rows])
    assert np.mean([k.n_iter_ for k in refined]) < np.mean([k.n_iter_ for k in rows])


def test_rows_without_weight_pull_no_center(rng):
    X = blobs(rng, 20_000, 5, 9)
    X[:5000] += 1000
    weights = np.where(np.arange(20_000) < 5000, 0.0, 1 + rng.random(20_000))
    assert np.abs(start(X, 9, weights=weights)).max() < 100


def test_a_sample_stands_for_all(rng, monkeypatch):
    X, m = blobs(rng, 30_000, 6, 40), 12
    costs = []
    for share in (module.SHARE, 4):
        monkeypatch.setattr(module, "SHARE", share)
        costs.append(np.median([cost(X, start(X, m, seed=seed)) for seed in range(9)]))
    assert costs[0] < 1.05 * costs[1]


def test_few_rows_are_left_to_others(rng):
    assert start(blobs(rng, 2000, 5, 9), 9) is None


def test_more_rows_per_cluster_where_they_pay(rng):
    few, many = Rows("test", blobs(rng, 120_000, 3, 30)), Rows("test", blobs(rng, 400_000, 3, 30))
    assert [module._coreset_size(rows, 100) for rows in (few, many)] == [4096, 8192]
    assert module._coreset_size(few, 1000) == 0


@pytest.mark.parametrize("distance", [1e-3, 1, 1e3])
def test_rows_that_occur_once_are_found_where_others_repeat(distance, rng, monkeypatch):
    """A coreset, which is drawn once, misses them unless they are far out: then all rows are looked at."""
    copies = rng.normal(size=(8, 40))[rng.integers(8, size=30_000)]
    copies[:4000:1000] += distance * np.arange(1, 5)[:, None]
    assert (start(copies, 12) is None) == (distance < 1e3)
    core, drawn = module.backend(), []

    class Counting:
        def __getattr__(self, name):
            drawn.append(name)
            return getattr(core, name)

    monkeypatch.setattr(module, "backend", Counting)
    model = latom.KMeans(12, random_state=0).fit(copies)
    assert drawn.count("coreset") == 1
    assert model.inertia_ == pytest.approx(0, abs=1e-5)
    assert len(set(model.labels_)) == 12


def test_other_seeds_other_starts_and_the_same_seed_the_same_fit(rng):
    X = blobs(rng, 60_000, 4, 30)
    assert (start(X, 8, seed=1) != start(X, 8, seed=2)).any()
    fits = [latom.KMeans(8, random_state=7).fit(X).cluster_centers_ for _ in range(2)]
    assert fits[0].tobytes() == fits[1].tobytes()

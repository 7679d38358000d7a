"""What estimators start from where rows are many: a coreset in the place of all."""

from __future__ import annotations

import importlib

import laws
import numpy as np
import pytest

from latom._base.rows import Rows
from latom.seed.kmeans_parallel import starting_rows

module = importlib.import_module("latom.seed.kmeans_parallel")  # the function of that name hides it


def start(X, m, metric="euclidean", weights=None, seed=0, threads=1):
    return starting_rows("test", Rows("test", X), m, weights, metric, seed, threads)


def blobs(rng, n, d, groups):
    return (4 * rng.normal(size=(groups, d))[rng.integers(groups, size=n)] + rng.normal(size=(n, d))).astype(
        np.float32
    )


@pytest.fixture
def drawn(monkeypatch):
    """How often a coreset was drawn."""
    count = []
    plain = module._draw_from_coreset

    def counted(*arguments):
        count.append(1)
        return plain(*arguments)

    monkeypatch.setattr(module, "_draw_from_coreset", counted)
    return count


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_starts_from_a_coreset_are_as_good(metric, rng, drawn, monkeypatch):
    X, m = blobs(rng, 30_000, 6, 40), 12
    potential = [
        [
            laws.squared_distances(X, metric, X[start(X, m, metric, seed=s)]).min(axis=1).sum()
            for s in range(15)
        ]
    ]
    assert len(drawn) == 15
    monkeypatch.setattr(module, "SAMPLE", (len(X), len(X)))  # all rows
    potential.append(
        [
            laws.squared_distances(X, metric, X[start(X, m, metric, seed=s)]).min(axis=1).sum()
            for s in range(15)
        ]
    )
    assert len(drawn) == 15
    assert np.median(potential[0]) < 1.05 * np.median(potential[1])


def test_weights_count_and_threads_do_not(rng, drawn, isa):
    X = blobs(rng, 20_000, 5, 9)
    weights = np.where(np.arange(20_000) < 15_000, 0.0, rng.random(20_000))
    chosen = [start(X, 9, weights=weights, seed=3, threads=threads) for threads in (1, 2, 5)]
    assert drawn
    assert (chosen[0] >= 15_000).all()
    assert all((chosen[0] == other).all() for other in chosen)
    assert FIRST.setdefault("rows", chosen[0].tolist()) == chosen[0].tolist(), isa


FIRST: dict[str, list[int]] = {}


@pytest.mark.parametrize("distance", [1e-3, 1, 1e3])
def test_rows_that_occur_once_are_found_where_others_repeat(distance, rng, drawn):
    """A coreset may miss them: then all rows are looked at."""
    X = rng.normal(size=(11, 40))[rng.integers(8, size=30_000)]
    for row in range(4):
        X[1000 * row] += distance * (1 + row)
    chosen = start(X, 12)
    assert drawn
    assert len(np.unique(X[chosen], axis=0)) == 12

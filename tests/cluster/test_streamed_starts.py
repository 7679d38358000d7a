"""Starts of k-means on streams: several of them, chosen by the user, beside fixed centers."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from cut_streams import KINDS, Cuts, rows, same

import latom


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_the_best_of_several_random_starts(metric, sparse):
    X = rows(sparse, np.float32)
    arguments = {"init": "random", "n_init": 4, "random_state": 5, "tol": 0}
    whole = KINDS[metric](9, **arguments).fit(X)
    same(whole, KINDS[metric](9, **arguments).fit(latom.Stream(Cuts(X, [100, 450]))))
    first = KINDS[metric](9, **{**arguments, "n_init": 1}).fit(X)
    assert first.inertia_ > whole.inertia_  # so the first is not the best


def test_a_callable_is_given_the_stream_and_the_generator():
    X = rows(False, np.float32)
    given = []

    def init(rows, k, random_state):
        given.append(rows)
        return X[random_state.permutation(700)[:k]]

    arguments = {"init": init, "n_init": 3, "random_state": 1, "tol": 0}
    stream = latom.Stream(Cuts(X, [300]))
    same(latom.KMeans(8, **arguments).fit(X), latom.KMeans(8, **arguments).fit(stream))
    assert all(one is stream for one in given[3:])
    with pytest.raises(ValueError, match=r"init must have shape \(8, 19\)"):
        latom.KMeans(8, init=lambda rows, k, random_state: X[:7]).fit(stream)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_fixed_centers_have_the_bits_of_memory(metric, sparse, weighted):
    X = rows(sparse, np.float64)
    w = np.random.default_rng(1).random(700) if weighted else None
    for init in ("random", X[[9, 9, 9, *range(10, 17)]]):  # the latter with empty clusters
        arguments = {
            "fixed_centers": X[:4], "init": init, "tol": 0, "n_init": 1, "random_state": 2, "max_iter": 20,
        }  # fmt: skip
        k = 12 if isinstance(init, str) else 14
        whole = KINDS[metric](k, **arguments).fit(X, sample_weight=w)
        streamed = KINDS[metric](k, **arguments).fit(latom.Stream(Cuts(X, [64, 500])), sample_weight=w)
        same(whole, streamed)


@pytest.mark.filterwarnings("ignore:.*distinct clusters")
@pytest.mark.parametrize("sparse", [False, True])
def test_fixed_centers_that_are_empty_take_no_row(sparse):
    X = rows(False, np.float32)
    far = np.full((1, 19), 1e3, np.float32)
    X, far = (sp.csr_array(X), sp.csr_array(far)) if sparse else (X, far)
    arguments = {"fixed_centers": far, "init": X[[0, 0, 0, *range(5)]], "tol": 0}
    whole = latom.KMeans(9, **arguments).fit(X)
    same(whole, latom.KMeans(9, **arguments).fit(latom.Stream(Cuts(X, [10, 350]))))
    assert (whole.labels_ > 0).all()


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_seeds_know_the_fixed_centers_and_no_partition(metric):
    rng = np.random.default_rng(5)
    means = 10 * rng.normal(size=(12, 6))
    X = (means[rng.integers(12, size=900)] + 0.1 * rng.normal(size=(900, 6))).astype(np.float32)
    fits = [
        KINDS[metric](12, fixed_centers=means[:5], random_state=1).fit(latom.Stream(Cuts(X, cuts)))
        for cuts in ([], [3, 450])
    ]
    same(*fits)
    assert fits[0].inertia_ < 1.5 * KINDS[metric](12, init=means).fit(X).inertia_
    everything = KINDS[metric](5, fixed_centers=means[:5]).fit(latom.Stream(X))
    assert np.allclose(everything.labels_, latom.assign(X, means[:5].astype(np.float32), metric=metric)[0])


class Killed(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("at", [2, 9, 14])
@pytest.mark.parametrize("init", ["random", "callable", "k-means++"])
def test_a_fit_of_several_starts_goes_on_in_the_start_where_it_was(tmp_path, init, at):
    X = rows(False, np.float32)
    stream = latom.Stream(Cuts(X, [200, 300]), checkpoint=tmp_path / "state.npz")
    arguments = {
        "init": (lambda rows, k, random_state: X[random_state.permutation(700)[:k]])
        if init == "callable"
        else init,
        "n_init": 4, "max_iter": 5, "tol": 0, "random_state": 3,
    }  # fmt: skip
    whole = latom.KMeans(14, **arguments).fit(latom.Stream(Cuts(X, [200, 300])))
    seen = []

    def kill(state):
        seen.append(state)
        if len(seen) == at:
            raise Killed

    with pytest.raises(Killed):
        latom.KMeans(14, callback=kill, **arguments).fit(stream)
    again = []
    fit = latom.KMeans(14, callback=lambda state: again.append(state) and False, **arguments).fit(stream)
    same(whole, fit)
    assert np.array_equal(fit.labels_, fit.predict(X))
    assert len(again) == 20 - at + 1
    assert not list(tmp_path.iterdir())

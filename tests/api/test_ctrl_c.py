"""Ctrl-C stops the long calls of every family within a second: here a timer's signal amid a call."""

from __future__ import annotations

import signal
import time
import warnings

import numpy as np
import pytest
import scipy.sparse as sp

import latom

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="timers")
RNG = np.random.default_rng(0)


def dense(n, d):
    return RNG.standard_normal((n, d), dtype=np.float32)


def sparse(n, d, per):
    X = sp.csr_array(
        (
            RNG.random(n * per, dtype=np.float32) + 0.1,
            RNG.integers(0, d, n * per),
            np.arange(0, n * per + 1, per),
        ),
        shape=(n, d),
    )
    X.sum_duplicates()
    return X


# What is made before, and the call on it, which would take seconds.
CALLS = {
    "AlternatingLeastSquares": (
        lambda: sparse(8000, 3000, 40),
        lambda X: latom.AlternatingLeastSquares(96, iterations=1000, random_state=0).fit(X),
    ),
    "PointwiseFactorization": (
        lambda: sparse(8000, 3000, 30),
        lambda X: latom.PointwiseFactorization(64, max_iter=10_000, random_state=0).fit(X),
    ),
    "MatrixCompletion": (
        lambda: sparse(8000, 3000, 30),
        lambda X: latom.MatrixCompletion(32, max_iter=10_000, tol=0, random_state=0).fit(X),
    ),
    "orthogonal_matching_pursuit": (
        lambda: (dense(30_000, 128), dense(2048, 128)),
        lambda given: latom.orthogonal_matching_pursuit(*given, 30),
    ),
    "ITDA": (lambda: dense(20_000, 96), lambda X: latom.ITDA(16, 0.05).fit(X)),
    "SparseAutoencoder": (
        lambda: dense(8000, 128),
        lambda X: latom.SparseAutoencoder(4096, 32, max_epochs=1000, random_state=0).fit(X),
    ),
    "RelativeRepresentation": (
        lambda: (
            latom.RelativeRepresentation(4000, random_state=0).fit(dense(5000, 256)),
            dense(60_000, 256),
        ),
        lambda given: given[0].transform(given[1]),
    ),
    "SparseIndex.search": (
        lambda: (lambda X: (latom.SparseIndex(X), X))(sparse(40_000, 5000, 40)),
        lambda given: given[0].search(given[1], 20),
    ),
    "silhouette": (
        lambda: (dense(60_000, 48), RNG.integers(0, 20, 60_000)),
        lambda given: latom.silhouette_samples(*given),
    ),
    "ward_batch": (lambda: dense(9000, 48), lambda X: latom.ward_batch([X], 10)),
    "kmeans_batch": (
        lambda: dense(30_000, 32),
        lambda X: latom.kmeans_batch([X], 500, init="k-means++", max_iter=1000, tol=0, random_state=0),
    ),
    "HierarchicalKMeans": (
        lambda: dense(60_000, 32),
        lambda X: latom.HierarchicalKMeans((2000, 100), n_resampling=9, random_state=0).fit(X),
    ),
    "Stream": (
        lambda: dense(100_000, 32),
        lambda X: latom.KMeans(500, init=X[:500], tol=0, max_iter=1000).fit(latom.Stream(X, block_rows=4096)),
    ),
    "TruncatedSVD": (
        lambda: sparse(60_000, 10_000, 40),
        lambda X: latom.TruncatedSVD(150, n_iter=30, random_state=0).fit(X),
    ),
    "PMIFactorization": (
        lambda: (lambda A: sp.csr_array(A + A.T))(sparse(40_000, 40_000, 6)),
        lambda A: latom.PMIFactorization(32, window=5, random_state=0).fit(A),
    ),
    "RESCAL": (
        lambda: [sparse(8000, 8000, 4) for _ in range(3)],
        lambda X: latom.RESCAL(48, max_iter=10_000, tol=0, random_state=0).fit(X),
    ),
    "ConsensusNMF": (
        lambda: RNG.random((1000, 100)),
        lambda X: latom.ConsensusNMF([8], n_replicates=400, random_state=0).fit(X),
    ),
}


class Pressed(BaseException):
    """What the handler raises."""


@pytest.mark.parametrize("name", CALLS)
def test_ctrl_c_stops_every_family(name):
    def press(*_):
        raise Pressed

    make, call = CALLS[name]
    given, after = make(), 0.2
    before = signal.signal(signal.SIGALRM, press)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            start = time.perf_counter()
            signal.setitimer(signal.ITIMER_REAL, after)
            with pytest.raises(Pressed):
                call(given)
            assert time.perf_counter() - start - after < 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

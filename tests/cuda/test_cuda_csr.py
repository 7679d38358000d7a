"""The nearest centers of rows in CSR on an emulated GPU, and Lloyd's steps with them, have the CPU's bits."""

from __future__ import annotations

from contextlib import nullcontext
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from equal import both, equal
from test_cuda_kmeans import KINDS, same_fit

import latom
from latom._base import device_csr, device_rows

METRICS = pytest.mark.parametrize("metric", ["cosine", "euclidean"])


def draw(rng: np.random.Generator, n: int, d: int, dtype: Any, density: float = 0.15) -> Any:
    """Rows in CSR by chance, with negative numbers among them."""
    return sp.random_array(
        (n, d), density=density, format="csr", dtype=dtype, rng=rng, data_sampler=rng.standard_normal
    )


def same_labels(X: Any, C: Any, metric: str) -> None:
    both(lambda **o: latom.assign(X, C, metric=metric, **o))


@METRICS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_assign(cuda: ModuleType, rng: np.random.Generator, metric: str, dtype: Any, order: str) -> None:
    X, C = draw(rng, 25, 70, dtype), draw(rng, 290, 70, dtype).tolil()
    C[280:] = C[:10]  # ties
    C[5] = 0
    C = C.tocsr()
    X.data[X.indptr[4] : X.indptr[5]] = 0  # a row of zeros that are stored
    same_labels(X, C, metric)
    wide = sp.csr_array((X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)), shape=X.shape)
    same_labels(wide, C.toarray()[:9], metric)
    same_labels(X[:7].astype(np.float32), C[:40].astype(np.float64), metric)


@METRICS
def test_slabs_and_chunks(
    cuda: ModuleType, rng: np.random.Generator, metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with more centers than a slab holds, and more rows than lists."""
    monkeypatch.setattr(device_csr, "SLAB_BYTES", 1)
    monkeypatch.setattr(device_csr, "CHUNK_ROWS", 4)
    X, C = draw(rng, 11, 50, np.float32), draw(rng, 2 * 256 + 3, 50, np.float32)
    X = sp.vstack([X, C[-1:], C[256:257]], format="csr")  # nearest to the last, and to the first of a slab
    same_labels(X, C, metric)


@METRICS
def test_the_exact_path(cuda: ModuleType, rng: np.random.Generator, metric: str) -> None:
    C = draw(rng, 300, 40, np.float64, 0.3)
    same = sp.csr_array(np.repeat(C[:1].toarray(), 300, axis=0))
    same_labels(C[:3], same, metric)  # more ties than lists hold
    apart = sp.hstack([sp.csr_array((3, 40)), draw(rng, 3, 9, np.float64, 0.5)], format="csr")
    same_labels(apart, sp.hstack([C, sp.csr_array((300, 9))], format="csr"), metric)  # no term in common


@METRICS
@pytest.mark.parametrize("scale", [1e120, 1e-120, 1e-25])
def test_huge_and_tiny(cuda: ModuleType, rng: np.random.Generator, metric: str, scale: float) -> None:
    X, C = draw(rng, 6, 30, np.float64), draw(rng, 40, 30, np.float64)
    same_labels(scale * X, scale * C, metric)
    spread = sp.csr_array(X.toarray() * 10.0 ** rng.integers(-44, 3, X.shape))
    same_labels(spread.astype(np.float32), C.astype(np.float32), metric)


@METRICS
def test_scores_that_float16_ranks_otherwise(cuda: ModuleType, rng: np.random.Generator, metric: str) -> None:
    """Centers that differ by less than float16 tells, and rows whose scores with them nearly cancel."""
    C = np.repeat(draw(rng, 1, 40, np.float64, 0.8).toarray(), 14, axis=0)
    C += 1e-5 * rng.standard_normal(C.shape) * (C != 0)
    X = rng.standard_normal((6, 40)) * (rng.random((6, 40)) < 0.5)
    X[:3] -= np.outer(X[:3] @ C[0], C[0]) / (C[0] @ C[0])
    for dtype in (np.float32, np.float64):
        same_labels(sp.csr_array(X.astype(dtype)), sp.csr_array(C.astype(dtype)), metric)


def test_few_products_are_left(
    cuda: ModuleType, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The screen discards nearly all centers."""
    reports: list[tuple[int, ...]] = []
    before = device_csr.each_block

    def each_block(X: Any, columns: Any, launch: Any, check: Any) -> Any:
        return before(X, columns, launch, lambda block, report: reports.append(report))

    monkeypatch.setattr(device_csr, "each_block", each_block)
    X, C = abs(draw(rng, 20, 300, np.float32, 0.1)), abs(draw(rng, 300, 300, np.float32, 0.1))
    same_labels(X, C, "cosine")
    _, scored, overflowed, _ = reports[0]
    assert overflowed == 0
    assert 20 <= scored < 40


@KINDS
def test_fits(cuda: ModuleType, rng: np.random.Generator, kind: Any, order: str) -> None:
    dtype = np.float64 if order == "reverse" else np.float32
    X = draw(rng, 80, 60, dtype)
    X.data[X.indptr[17] : X.indptr[18]] = 0
    warns = pytest.warns(UserWarning, match="rows of X are zero")
    with warns if kind is latom.SphericalKMeans else nullcontext():
        same_fit(kind, X, 9, init=X[20:29], max_iter=3)


@KINDS
def test_weights_empty_clusters_and_starts(cuda: ModuleType, rng: np.random.Generator, kind: Any) -> None:
    X, weights = draw(rng, 50, 30, np.float32, 0.3), rng.uniform(0, 3, 50)
    start = sp.vstack([X[:4], X[3:4], X[3:4]], format="csr")
    same_fit(kind, X, 6, weights, init=start, max_iter=3)
    same_fit(kind, X, 4, init=X[:2], fixed_centers=X[40:42], max_iter=2)
    same_fit(kind, X, 3, init="random", n_init=2, random_state=1, max_iter=2, sparse_centers=False)
    same_fit(kind, X, 3, random_state=0, max_iter=2)


@KINDS
def test_rows_look_at_what_they_must(
    cuda: ModuleType, rng: np.random.Generator, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where centers have come to rest few rows look at any; with slabs of a slice, and lists of few rows."""
    monkeypatch.setattr(device_csr, "SLAB_BYTES", 1)
    monkeypatch.setattr(device_csr, "CHUNK_ROWS", 16)
    topics = sp.random_array((12, 60), density=0.2, rng=rng).toarray()
    X = sp.csr_array(topics[rng.integers(0, 12, 90)] * (rng.random((90, 60)) < 0.7))
    fitted = same_fit(kind, X, 12, init=X[:12], max_iter=6, tol=0)
    assert fitted.history_["avoided"][0] == 0
    assert fitted.history_["avoided"][-1] > 0.2


@KINDS
def test_rows_that_are_streamed(
    cuda: ModuleType, rng: np.random.Generator, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where they take more than half of the device; one is longer than a block."""
    monkeypatch.setattr(device_rows, "BLOCK_BYTES", 1024)
    monkeypatch.setattr(device_csr.DeviceCsr, "settle_if_small", lambda self: None)
    X = sp.vstack([draw(rng, 30, 90, np.float32, 0.1), draw(rng, 1, 90, np.float32, 1.0)], format="csr")
    X = sp.vstack([X, draw(rng, 9, 90, np.float32, 0.1)], format="csr")
    fitted = same_fit(kind, X, 3, rng.uniform(0.5, 2, 40), init=X[:3], max_iter=2)
    for metric in ("cosine", "euclidean"):
        same_labels(X, fitted.cluster_centers_, metric)


def test_dense_rows_meet_sparse_centers(cuda: ModuleType, rng: np.random.Generator) -> None:
    X = draw(rng, 40, 20, np.float32)
    fitted = latom.SphericalKMeans(3, init=X[:3], max_iter=2, device="cuda").fit(X)
    assert sp.issparse(fitted.cluster_centers_)
    for rows in (X, X.toarray()):
        labels = fitted.predict(rows)
        equal(labels, fitted.set_params(device=None).predict(rows))
        fitted.set_params(device="cuda")


def test_what_is_refused(cuda: ModuleType, rng: np.random.Generator) -> None:
    X = draw(rng, 30, 20, np.float32)
    with pytest.raises(ValueError, match="assign: centers must have the 20 columns of X; got 3"):
        latom.assign(X, X[:, :3], device="cuda")
    bad = X.copy()
    bad.data[3] = np.nan
    for rows, centers in ((bad, X), (X, bad)):
        with pytest.raises(ValueError, match=r"assign: (X|centers) must be finite"):
            latom.assign(rows, centers, device="cuda")
    with pytest.raises(TypeError, match="kmeans_plusplus: X must be dense, not sparse"):
        latom.kmeans_plusplus(X, 2, device="cuda")
    with pytest.raises(ValueError, match=r"NMF\.fit: device must be None or 'cpu'"):
        latom.NMF(2, device="cuda").fit(abs(X))

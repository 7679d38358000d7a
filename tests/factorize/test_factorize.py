"""Products, masked sweeps, multiplicative steps and small problems against numpy float64."""

from __future__ import annotations

import core
import numpy as np
import pytest
import scipy.sparse as sp
from oracle import random_rows

from latom import nmf_batch
from latom.factorize import product_in_parts

SHAPES = [(1, 1, 1), (30, 17, 5), (300, 40, 16), (500, 33, 70), (257, 90, 40)]


def sparse(rng, n, d, dtype, index="int32", density=0.2):
    X = random_rows(rng, n, d, density, dtype)
    return X, (X.indptr.astype(np.int64), X.indices.astype(index), X.data, X.shape)


def tolerance(dtype):
    return {"rtol": 3e-5, "atol": 1e-6} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-13}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_products_do_not_depend_on_variant_threads_or_index(dtype, shape, rng):
    n, d, k = shape
    X, parts = sparse(rng, n, d, dtype)
    F, W = rng.random((d, k)).astype(dtype), rng.random((n, k)).astype(dtype)
    wide = X.toarray().astype(np.float64)
    before = core.isa()
    for block in (0, 1, 64, 100):
        seen = set()
        try:
            for isa in core.available_isas():
                core.set_isa(isa)
                for index, threads in (("int32", 1), ("int64", 3), ("int32", 5)):
                    p = core.SparseProducts((parts[0], parts[1].astype(index), *parts[2:]), block)
                    seen.add(
                        (p.times(F, None, threads).tobytes(), p.transposed_times(W, None, threads).tobytes())
                    )
        finally:
            core.set_isa(before)
        assert len(seen) == 1
        p = core.SparseProducts(parts, block)
        assert np.allclose(p.times(F), wide @ F, **tolerance(dtype))
        assert np.allclose(p.transposed_times(W), wide.T @ W, **tolerance(dtype))
    p = core.SparseProducts(parts)
    assert np.allclose(p.norm2, (wide**2).sum(axis=1))
    out = np.full((d, k), np.nan, dtype)
    assert p.transposed_times(W, out) is not None
    assert (out == p.transposed_times(W)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("k", [3, 16, 21])
def test_columns_of_few_entries_have_longer_blocks(dtype, k, rng):
    """From empty columns to those in every row, over several of the shortest blocks."""
    n, counts = 33_000, [0, 1, 31, 33, 100, 200, 300, 500, 1000, 5000, 33_000, 0, 64, 2]
    columns = np.repeat(np.arange(len(counts)), counts)
    rows = np.concatenate([rng.choice(n, count, replace=False) for count in counts])
    values = rng.random(len(rows)).astype(dtype)
    X = sp.csr_array((values, (rows, columns)), shape=(n, len(counts)))
    X.sort_indices()
    W = rng.random((n, k)).astype(dtype)
    p = core.SparseProducts((X.indptr.astype(np.int64), X.indices.astype(np.int32), X.data, X.shape))
    found = p.transposed_times(W, np.full((len(counts), k), np.nan, dtype), 1)
    assert np.allclose(found, X.astype(np.float64).T @ W.astype(np.float64), **tolerance(dtype))
    before = core.isa()
    for isa in core.available_isas():
        core.set_isa(isa)
        assert (p.transposed_times(W, None, 5) == found).all()
    core.set_isa(before)


def test_columns_of_many_entries_are_summed_by_blocks(rng):
    n, d, k = 100_000, 3, 20
    X, parts = sparse(rng, n, d, "float32", density=0.9)
    W = rng.random((n, k), dtype=np.float32)
    exact = X.toarray().astype(np.float64).T @ W
    results = [core.SparseProducts(parts, block).transposed_times(W, None, threads) for block, threads in
               ((1000, 1), (1000, 4), (n, 1))]  # fmt: skip
    assert (results[0] == results[1]).all()
    blocks, whole = (np.abs(result / exact - 1).max() for result in results[1:])
    assert blocks < 2e-6
    assert blocks < whole / 5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_kullback_step(isa, dtype, shape, rng):
    n, d, k = shape
    X, parts = sparse(rng, n, d, dtype)
    F, W = rng.random((d, k)).astype(dtype), rng.random((n, k)).astype(dtype)
    p = core.SparseProducts(parts, 64)
    wide, Y = X.toarray().astype(np.float64), W.astype(np.float64) @ F.T.astype(np.float64)
    Q = wide / np.maximum(Y, 2.0**-23)
    logs = (wide[wide > 0] * np.log(np.maximum(Y[wide > 0], 2.0**-23))).sum()
    for by_columns, A, V, ratio in ((False, W, F, Q @ F), (True, F, W, Q.T @ W)):
        sums = V.sum(axis=0, dtype=np.float64)
        got = [p.kullback_step(A, V, sums, by_columns, 0.1, 0.2, threads) for threads in (1, 4)]
        assert got[0][0].tobytes() == got[1][0].tobytes()
        assert got[0][1] == got[1][1]
        assert np.allclose(got[0][0], A * ratio / (sums + 0.1 + 0.2 * A), **tolerance(dtype))
        assert np.isclose(got[0][1], logs, **tolerance(dtype))


def test_logarithms_over_all_magnitudes(isa):
    """sum X log Y with one entry a row, Y from 2^-23 (below it counts as that) to 2^100."""
    exponents = np.arange(-40, 101).astype(np.float64)
    for factor in (1.0, 1.1, np.sqrt(2), 1.9999999):
        y = factor * 2.0**exponents
        for row in range(len(y)):
            p = core.SparseProducts((np.array([0, 1]), np.array([0], np.int32), np.array([1.0]), (1, 1)))
            got = p.kullback_step(np.array([[y[row]]]), np.ones((1, 1)), np.ones(1), False)[1]
            expected = np.log(max(y[row], 2.0**-23))
            assert abs(got - expected) <= 4e-16 * max(1.0, abs(expected))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_masked_sweep_is_least_squares_over_what_is_observed(isa, dtype, share, rng):
    n, d, k = 37, 29, 6
    X, F = rng.random((n, d)), rng.random((d, k)).astype(dtype)
    gone = rng.random((n, d)) < share
    gone[0], gone[1] = True, False
    pattern = sp.csr_array(gone)
    P = (np.where(gone, 0, X) @ F).astype(dtype)
    start = rng.random((n, k)).astype(dtype)
    l2 = 0.01
    G = core.gram(F) + l2 * np.eye(k)
    results = []
    for threads, index, observed in ((1, "int32", False), (3, "int64", False), (3, "int32", True)):
        A = start.copy()
        listed = sp.csr_array(~gone) if observed else pattern
        arguments = (listed.indptr.astype(np.int64), listed.indices.astype(index), observed)
        stats = core.sweep_masked(G, l2, F, *arguments, P, A, 0.0, 3000, 1e-13, None, threads)
        results.append((A.tobytes(), stats))
    assert results[0] == results[1] == results[2]
    for i in range(n):
        V = F[~gone[i]].astype(np.float64)
        own = V.T @ V + l2 * np.eye(k)
        gradient = own @ A[i] - P[i]
        loose = 2e-5 if dtype == "float32" else 1e-9
        assert (gradient > -loose * (1 + np.abs(P[i]))).all()
        assert (np.abs(gradient[A[i] > 0]) < loose * (1 + np.abs(P[i]).max())).all()
    quadratic = sum(
        A[i].astype(np.float64) @ (F[~gone[i]].T.astype(np.float64) @ F[~gone[i]] + l2 * np.eye(k)) @ A[i]
        for i in range(n)
    )
    assert np.isclose(stats[2], quadratic, rtol=1e-4 if dtype == "float32" else 1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extrapolation(dtype, rng):
    for count in (1, 15, 16, 33, 70_000):
        X, old = rng.random((count, 1)).astype(dtype), rng.random((count, 1)).astype(dtype)
        expected = np.maximum(0, X + np.dtype(dtype).type(0.7) * (X - old))
        core.extrapolate(X, old, 0.7, 3)
        assert (old == expected).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("k", [1, 3, 16, 17])
def test_small_problems_do_not_know_each_other(isa, dtype, k, rng):
    X = rng.random((4, 41, 13)).astype(dtype)
    W, H = rng.random((4, 41, k)).astype(dtype), rng.random((4, k, 13)).astype(dtype)
    runs = [nmf_batch(X, k, (W, H), max_iter=25, tol=0, n_threads=threads) for threads in (1, 3)]
    assert all(a.tobytes() == b.tobytes() for a, b in zip(*runs, strict=True))
    for b in range(4):
        alone = nmf_batch(X[b], k, (W[b : b + 1], H[b : b + 1]), max_iter=25, tol=0)
        assert (alone.W[0] == runs[0].W[b]).all()
        rest = X[b].astype(np.float64) - alone.W[0].astype(np.float64) @ alone.H[0]
        known = np.finfo(dtype).eps * (X[b] ** 2).sum()  # a loss is the difference of larger numbers
        rtol = 1e-3 if dtype == "float32" else 1e-9
        assert np.isclose(alone.loss[0], (rest**2).sum() / 2, rtol=rtol, atol=known)
    assert (runs[0].n_iter == 25).all()


def test_wrong_shapes_are_refused(rng):
    _, parts = sparse(rng, 9, 7, "float32")
    p = core.SparseProducts(parts)
    for call in (
        lambda: p.times(np.ones((6, 2), np.float32)),
        lambda: p.transposed_times(np.ones((7, 2), np.float32)),
        lambda: p.times(np.ones((7, 2), np.float32), np.ones((9, 3), np.float32)),
        lambda: p.kullback_step(np.ones((9, 2), np.float32), np.ones((7, 3), np.float32), np.ones(3), False),
    ):
        with pytest.raises(ValueError, match="must"):
            call()
    with pytest.raises(TypeError, match="dtype of X"):
        p.times(np.ones((7, 2)))
    with pytest.raises(TypeError, match="CSR"):
        core.SparseProducts(np.ones((3, 3))).times(np.ones((3, 2)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_in_parts_are_products(dtype, rng, monkeypatch):
    A, B = rng.random((300, 20)).astype(dtype), rng.random((20, 7)).astype(dtype)
    turned = np.asfortranarray(A)
    monkeypatch.setattr(product_in_parts, "PART", 70 * B.size)
    for rows in (A, turned, A[:70], A[:64], A[:1]):
        out = np.full((len(rows), 7), np.nan, dtype)
        for made in (
            product_in_parts.product_in_parts(rows, B),
            product_in_parts.product_in_parts(rows, B, out),
        ):
            assert made.dtype == dtype
            np.testing.assert_allclose(made, rows @ B, rtol=1e-6)
        assert not np.isnan(out).any()

"""Largest entries of rows and columns, products with sparse atoms, least squares on supports."""

from __future__ import annotations

import core
import numpy as np
import pytest
import scipy.sparse as sp
from numpy.typing import NDArray

COUNTS = [1, 2, 7, 8, 9, 15, 16, 17, 33, 100]
DTYPES = [np.float32, np.float64]


def series(rng: np.random.Generator, shape: tuple[int, int], kind: str) -> NDArray[np.float64]:
    return {
        "ordinary": lambda: rng.standard_normal(shape),
        "ties": lambda: rng.integers(-3, 4, shape).astype(float),
        "wide": lambda: rng.standard_normal(shape) * 10.0 ** rng.integers(-30, 30, shape),
        "tiny": lambda: rng.standard_normal(shape) * 1e-42,
        "zeros": lambda: np.where(rng.random(shape) < 0.9, 0.0, -1.0),
    }[kind]()


def largest(X: NDArray[np.floating], k: int) -> NDArray[np.floating]:
    """What a row keeps, by sorting."""
    bar = np.sort(np.abs(X), axis=1)[:, -k][:, None]
    return np.where(np.abs(X) >= bar, X, 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["ordinary", "ties", "wide", "tiny", "zeros"])
def test_rows_and_columns_keep_what_sorting_says(
    isa: str, dtype: type, kind: str, rng: np.random.Generator
) -> None:
    for d in COUNTS:
        n = COUNTS[(COUNTS.index(d) + 5) % len(COUNTS)]
        X = series(rng, (n, d), kind).astype(dtype)
        for k in {1, d // 3 or 1, d}:
            wanted = largest(X, k)
            rows, turned = X.copy(), np.ascontiguousarray(X.T)
            kept = core.keep_largest(rows, k, n_threads=3)
            assert np.array_equal(rows, wanted), (n, d, k)
            assert np.array_equal(kept, (wanted != 0).sum(axis=1))
            kept = core.keep_largest(turned, k, columns=True)
            assert np.array_equal(turned, wanted.T), (n, d, k)
            assert np.array_equal(kept, (wanted != 0).sum(axis=1))


def test_infinite_entries_are_the_largest(isa: str) -> None:
    X = np.array([[1.0, -np.inf, 3, np.inf, 2]])
    assert core.keep_largest(X, 3).tolist() == [3]
    assert X.tolist() == [[0, -np.inf, 3, np.inf, 0]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_products_with_sparse_atoms_add_in_stored_order(
    isa: str, dtype: type, index: type, rng: np.random.Generator
) -> None:
    for n in (1, 15, 16, 17, 64, 65, 200):
        d, m = 3 * n % 50 + 1, n % 7 + 1
        X = rng.standard_normal((n, d)).astype(dtype)
        F = sp.csr_array((rng.random((m, d)) < 0.4) * rng.standard_normal((m, d)).astype(dtype))
        parts = (F.indptr.astype(np.int64), F.indices.astype(index), F.data)
        wanted = np.zeros((n, m), dtype)
        for t in range(m):
            for p in range(F.indptr[t], F.indptr[t + 1]):
                wanted[:, t] += F.data[p] * X[:, F.indices[p]]
        for threads in (1, 3):
            assert np.array_equal(core.multiply_sparse(X, *parts, threads), wanted), (n, d, m)


def test_wide_rows_go_in_smaller_tiles(rng: np.random.Generator) -> None:
    X = rng.standard_normal((70, 20_000), np.float32)
    indptr, indices = np.array([0, 2, 2]), np.array([3, 19_999], np.int32)
    P = core.multiply_sparse(X, indptr, indices, np.array([2, -1], np.float32))
    assert np.array_equal(P, np.stack([2 * X[:, 3] - X[:, 19_999], np.zeros(70, np.float32)], axis=1))


def test_supports_are_solved_for_without_the_others(isa: str, rng: np.random.Generator) -> None:
    for k, d in ((1, 1), (3, 20), (9, 8), (17, 9), (70, 5)):
        A = rng.standard_normal((k + 5, k))
        G, B = A.T @ A, rng.standard_normal((k, d))
        H = (rng.random((k, d)) < 0.6) * rng.standard_normal((k, d))
        wanted = H.copy()
        for j in range(d):
            S = np.flatnonzero(H[:, j])
            wanted[S, j] = np.linalg.solve(G[np.ix_(S, S)], B[S, j])
        assert core.refit_supports(G, B, H, 2) == 0
        np.testing.assert_allclose(H, wanted, rtol=1e-7, atol=1e-9)


def test_supports_have_the_same_bits_everywhere(rng: np.random.Generator) -> None:
    A = rng.standard_normal((60, 40))
    G, B, H = A.T @ A, rng.standard_normal((40, 33)), rng.standard_normal((40, 33))
    before, found = core.isa(), set()
    for isa in core.available_isas():
        core.set_isa(isa)
        for threads in (1, 2, 5):
            own = H.copy()
            core.refit_supports(G, B, own, threads)
            found.add(own.tobytes())
    core.set_isa(before)
    assert len(found) == 1


@pytest.mark.parametrize(("k", "d"), [(1, 1), (2, 63), (7, 64), (40, 200)])
def test_columns_of_one_system_are_solved_as_numpy_solves_them(k: int, d: int) -> None:
    rng = np.random.default_rng(k)
    A = rng.standard_normal((2 * k, k))
    G, B = A.T @ A, rng.standard_normal((k, d))
    before, found = core.isa(), set()
    for isa in core.available_isas():
        core.set_isa(isa)
        for threads in (1, 2, 5):
            own = B.copy()
            core.solve_columns(G, own, threads)
            assert np.allclose(own, np.linalg.solve(G, B), rtol=1e-9, atol=1e-9)
            found.add(own.tobytes())
    core.set_isa(before)
    assert len(found) == 1


def test_an_unknown_that_depends_on_others_is_zero(isa: str) -> None:
    H = np.array([[4.0, 2], [4, 2], [3, 1]])
    core.solve_columns(np.array([[2.0, 2, 0], [2, 2, 0], [0, 0, 1]]), H)
    assert np.allclose(H, [[2, 1], [0, 0], [3, 1]], rtol=1e-15, atol=0)


def test_columns_without_a_solution_stay(isa: str) -> None:
    G = np.array([[1.0, 1, 0], [1, 1, 0], [0, 0, np.nan]])
    H = np.array([[5.0, 5, 0], [5, 0, 0], [0, 0, 5]])
    assert core.refit_supports(G, np.full((3, 3), 2.0), H) == 2
    assert H.tolist() == [[5, 2, 0], [5, 0, 0], [0, 0, 5]]


def test_wrong_arguments_are_refused() -> None:
    X = np.ones((3, 4))
    for k, columns, most in ((0, False, 4), (5, False, 4), (4, True, 3)):
        with pytest.raises(ValueError, match=rf"keep_largest: k must be in \[1, {most}\]; got {k}"):
            core.keep_largest(X, k, columns)
    X.flags.writeable = False
    with pytest.raises(ValueError, match="writeable"):
        core.keep_largest(X, 1)
    with pytest.raises(ValueError, match=r"F must have indices in \[0, 4\); got 4"):
        core.multiply_sparse(X, np.array([0, 1]), np.array([4]), np.ones(1))
    with pytest.raises(ValueError, match=r"B must have shape \(3, 4\); got \(2, 4\)"):
        core.refit_supports(np.eye(3), np.ones((2, 4)), np.ones((3, 4)))

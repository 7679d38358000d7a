"""The engine of weighted least squares, row by row against numpy's normal equations."""

from __future__ import annotations

import core
import numpy as np
import plain_least_squares as plain
import pytest
import scipy.sparse as sp

from latom.factorize.als_parts import steps_for
from latom.factorize.observed import Blocks, Side, as_csr_rows, transposed

RULES = ("implicit", "weighted", "observed")
EXACT = {np.float32: 1e-5, np.float64: 1e-11}


def entries(rng, n=40, d=30, density=0.2, dtype=np.float64):
    """Counts of either sign, explicit zeros, empty rows and columns, one full row."""
    X = sp.random(n, d, density, random_state=7, format="lil")
    X[3] = 1.0
    X[5] = 0
    X[:, 4] = 0
    X = X.tocsr()
    X.data = rng.choice([-2.0, 0.0, 0.5, 1.0, 3.0], len(X.data))
    return X.astype(dtype)


def solved(side, V, dtype, threads=0, seed=0, **options):
    out = options.pop("start", np.zeros((side.rows.shape[0], V.shape[1]), dtype)).copy()
    value, failed = side.solve(core.context("test", threads, seed), V, out, **options)
    return out, value, failed


def close(found, wanted, tol):
    assert np.abs(found - wanted).max() <= tol * max(np.abs(wanted).max(), 1e-300)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("k", [1, 7, 8, 16, 17, 33])
def test_rows_solve_their_normal_equations(k, rule, dtype, rng):
    X, V = entries(rng, dtype=dtype), rng.standard_normal((30, k)).astype(dtype)
    for exponent in (0.0, 1.0):
        side = Side(as_csr_rows("test", X, dtype), rule, 1.5, 0.7, exponent)
        wanted, value = plain.half_step(X, V, rule, 1.5, side.ridge)
        for solver in ("cholesky", "auto"):
            out, reached, failed = solved(side, V, dtype, solver=solver)
            assert failed == 0
            close(out, wanted, EXACT[dtype])
            assert reached == pytest.approx(value, rel=1e-5 if dtype == np.float32 else 1e-10)


@pytest.mark.parametrize("rule", RULES)
def test_ridges_follow_the_weights_of_rows(rule, rng):
    X = entries(rng)
    side = Side(as_csr_rows("test", X, np.float64), rule, 1.5, 0.7, 0.5)
    for i, (start, end) in enumerate(zip(X.indptr, X.indptr[1:], strict=False)):
        a, _ = plain.weights(X.data[start:end], rule, 1.5)
        total = a.sum() + (0 if rule == "observed" else 30)
        assert side.ridge[i] == pytest.approx(0.7 * max(total, 1) ** 0.5)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("exponent", [0.0, 1.0])
@pytest.mark.parametrize("k", [5, 16, 19])
def test_steps_of_conjugate_gradients(k, exponent, rule, rng):
    """Preconditioned with what rows have in common, the least ridge with it."""
    X, V, start = entries(rng), rng.standard_normal((30, k)), rng.standard_normal((40, k))
    V *= 10.0 ** rng.uniform(-1, 1, k)
    side = Side(as_csr_rows("test", X, np.float64), rule, 1.5, 0.7, exponent)
    H = None if rule == "observed" else V.T @ V + side.ridge.min() * np.eye(k)
    for steps in (1, 2, 3):
        out, value, _ = solved(side, V, np.float64, start=start, solver="cg", steps=steps)
        total = 0.0
        for i, (A, b, zero) in enumerate(plain.systems(X, V, rule, 1.5, side.ridge)):
            wanted = plain.gradients(A, b, start[i], steps, H) if X[[i]].nnz else np.zeros(k)
            assert np.abs(out[i] - wanted).max() <= 1e-9 * max(np.abs(wanted).max(), np.abs(start[i]).max())
            total += zero + wanted @ A @ wanted - 2 * wanted @ b
        assert value == pytest.approx(total, rel=1e-9)


def test_the_condition_of_what_rows_share_takes_no_steps(rng):
    """Eigenvalues are in [1, 1 + max a], whatever those of V^T V: an error falls as fast as that allows."""
    X = entries(rng)
    X.data = np.abs(X.data)
    V = rng.standard_normal((30, 12)) * 10.0 ** np.linspace(-4, 2, 12)
    side = Side(as_csr_rows("test", X, np.float64), "weighted", 1.0, 1e-9)
    wanted, _ = plain.half_step(X, V, "weighted", 1.0, side.ridge)
    least = plain.objective(X, wanted, V, "weighted", 1.0, side.ridge, np.zeros(30))
    zero = np.maximum(X.data, 0).sum()
    rate = (np.sqrt(4.0) - 1) / (np.sqrt(4.0) + 1)
    for steps in (1, 3, 6):
        out, _, _ = solved(side, V, np.float64, solver="cg", steps=steps)
        reached = plain.objective(X, out, V, "weighted", 1.0, side.ridge, np.zeros(30))
        assert reached - least <= 4 * rate ** (2 * steps) * (zero - least) * 1.001


@pytest.mark.parametrize(
    ("numbers", "rule", "alpha", "spread", "steps"),
    [
        ([1, 1], "implicit", 2.0, 2, 1),
        ([1, 2], "implicit", 2.0, 4, 2),
        ([-3, 1], "implicit", 2.0, 6, 3),
        ([1, 1], "implicit", 0.5, 2, 1),
        ([1, 5], "implicit", 0.2, 5, 2),
        ([1, 0], "implicit", 1.0, 1e300, 3),
        ([1, 1], "weighted", 1.0, 2, 1),
        ([], "implicit", 1.0, 1, 1),
    ],
)
def test_steps_follow_how_far_weights_lie_apart(numbers, rule, alpha, spread, steps):
    X = sp.csr_array((np.array(numbers, float), np.arange(len(numbers)), [0, len(numbers)]), shape=(1, 3))
    side = Side(as_csr_rows("test", X, np.float64), rule, alpha, 0.1)
    assert side.spread() == pytest.approx(spread)
    assert steps_for(side.spread()) == steps


def test_float32_gradients_keep_to_float64(rng):
    X, V = entries(rng, dtype=np.float32), rng.standard_normal((30, 24)).astype(np.float32)
    side = Side(as_csr_rows("test", X, np.float32), "implicit", 2.0, 1.0)
    out, _, _ = solved(side, V, np.float32, solver="cg", steps=40)
    close(out, plain.half_step(X, V, "implicit", 2.0, side.ridge)[0], 1e-5)


def test_rows_of_weight_one_share_a_system(rng):
    X, V = entries(rng), rng.standard_normal((30, 9))
    X.data[:] = rng.choice([-1.0, 1.0], len(X.data))
    side = Side(as_csr_rows("test", X, np.float64), "implicit", 1.0, 0.3)
    assert side.unweighted()
    close(solved(side, V, np.float64)[0], plain.half_step(X, V, "implicit", 1.0, side.ridge)[0], 1e-11)


def test_a_sample_stands_for_all_entries_beside_the_ridge(rng):
    d, k = 20000, 4
    X = sp.csr_array(rng.standard_normal((1, d)))
    V = rng.standard_normal((d, k)) * 4.0 ** np.arange(k)
    side = Side(as_csr_rows("test", X, np.float64), "observed", 1.0, 1e6)
    wanted, _ = plain.half_step(X, V, "observed", 1.0, side.ridge)
    error = [
        np.abs(solved(side, V, np.float64, solver=solver, steps=2)[0] - wanted).max()
        for solver in ("sketch", "cg")
    ]
    assert error[0] < 0.1 * error[1]


@pytest.mark.parametrize("size", [(1 << 15) - 1, 1 << 15, (1 << 15) + 1])
def test_rows_as_long_as_make_them_the_work_of_all_threads(size, rng):
    X = sp.csr_array(np.ones((2, size)))
    X.data = rng.choice([0.5, 2.0], X.nnz)
    V, U = rng.standard_normal((size, 3)) * 0.01, rng.standard_normal((2, 3))
    side = Side(as_csr_rows("test", X, np.float64), "implicit", 1.0, 0.7)
    wanted, _ = plain.half_step(X, V, "implicit", 1.0, side.ridge)
    for solver in ("cholesky", "cg"):
        close(solved(side, V, np.float64, solver=solver, steps=3)[0], wanted, 1e-8)
    predicted = np.einsum("ij,ij->i", U[np.repeat([0, 1], size)], V[X.indices])
    assert side.solve_block(core.context(), V, U, predicted, 0, 3) == 0
    close(U, wanted, 1e-8)


@pytest.mark.parametrize("entries", [4095, 4096, 4097, 9000])
def test_segments_of_rows_that_are_read_again_and_again(entries, rng):
    """Rows of V are copied for a tile, and their entries cut into segments."""
    X = sp.csr_array(rng.choice([0.5, 1.0, 2.0], (3, entries)))
    V = rng.standard_normal((entries, 5))
    for rule in ("implicit", "observed"):
        side = Side(as_csr_rows("test", X, np.float64), rule, 1.0, 0.7)
        wanted, _ = plain.half_step(X, V, rule, 1.0, side.ridge)
        close(solved(side, V, np.float64, solver="cg", steps=6)[0], wanted, 1e-9)


def test_systems_that_are_not_definite_are_counted(rng):
    """A Gram matrix that no rows have: more on the diagonal makes numbers of it; blocks stay as they are."""
    X, V = entries(rng), rng.standard_normal((30, 9))
    rows, ridge = as_csr_rows("test", X, np.float64).core, np.full(40, 0.1)
    G, start = -1e4 * np.eye(9), rng.standard_normal((40, 9))
    some = np.diff(X.indptr) > 0
    out = start.copy()
    value, failed = core.least_squares_rows(
        core.context(), rows, V, G, ridge, out, "weighted", 1.0, None, "cholesky"
    )
    assert failed == some.sum()
    assert np.isfinite(value)
    for x, (A, b, _) in zip(out, plain.systems(X, V, "weighted", 1.0, ridge), strict=True):
        A += G - V.T @ V
        more = 1e3 * abs(np.trace(A) / 9 - 0.1)  # less than the mean of a diagonal is never enough here
        np.testing.assert_allclose(x, np.linalg.solve(A + more * np.eye(9), b), rtol=1e-6)
    out, predictions = start.copy(), np.zeros(X.nnz)
    failed = core.least_squares_block(
        core.context(), rows, V, G, ridge, out, predictions, 2, 4, "weighted", 1.0
    )
    assert failed == some.sum()
    assert (out[some] == start[some]).all()
    assert not predictions.any()


def test_long_rows_and_sketches(rng):
    d, k = 40000, 4
    X = sp.csr_array(np.where(np.arange(2)[:, None] == 0, 1.0, rng.random((2, d)) < 0.2))
    X.data = rng.standard_normal(X.nnz)
    V = rng.standard_normal((d, k)) * 2.0 ** np.arange(k)
    side = Side(as_csr_rows("test", X, np.float64), "observed", 1.0, 0.1)
    wanted, _ = plain.half_step(X, V, "observed", 1.0, side.ridge)
    assert np.diff(X.indptr).max() > 1 << 15
    close(solved(side, V, np.float64, solver="cholesky")[0], wanted, 1e-10)
    sketched = solved(side, V, np.float64, solver="sketch", steps=12)[0]
    close(sketched, wanted, 1e-8)
    plainly = solved(side, V, np.float64, solver="cg", steps=3)[0]
    inexact = solved(side, V, np.float64, solver="sketch", steps=3)[0]
    assert np.abs(inexact - wanted).max() < 0.2 * np.abs(plainly - wanted).max()


def test_non_negative_rows_are_optimal(rng):
    X, V = abs(entries(rng)), rng.standard_normal((30, 6))
    side = Side(as_csr_rows("test", X, np.float64), "observed", 1.0, 0.2)
    for free in (0, 1):
        out, value, _ = solved(side, V, np.float64, solver="nonnegative", steps=5000, any_sign=free)
        total = 0.0
        for x, (A, b, zero) in zip(out, plain.systems(X, V, "observed", 1.0, side.ridge), strict=True):
            slope, bound = A @ x - b, slice(0, 6 - free)
            assert (x[bound] >= 0).all()
            assert (slope[bound] > -1e-4).all()
            assert np.abs(slope * np.where(np.arange(6) < 6 - free, x > 0, True)).max() < 1e-4
            total += zero + x @ A @ x - 2 * x @ b
        assert value == pytest.approx(total, rel=1e-9)
        assert (out[:, -1] < 0).any() == bool(free)


@pytest.mark.parametrize("rule", ["implicit", "weighted"])
def test_an_epoch_of_blocks(rule, rng):
    X = entries(rng)
    rows = as_csr_rows("test", X, np.float64)
    left, right = Side(rows, rule, 1.5, 0.7), Side(transposed("test", rows), rule, 1.5, 0.7)
    U, V = rng.standard_normal((40, 10)), rng.standard_normal((30, 10))
    wanted = plain.block_epoch(X, U, V, rule, 1.5, left.ridge, right.ridge, 4)
    value, failed = Blocks(left, right, 4).step(core.context(), U, V)
    assert failed == 0
    close(U, wanted[0], 1e-9)
    close(V, wanted[1], 1e-9)
    assert value == pytest.approx(plain.objective(X, U, V, rule, 1.5, left.ridge, right.ridge), rel=1e-9)


def test_matrices_that_are_not_definite_give_numbers(rng):
    X = sp.csr_array(np.ones((6, 5)))
    X.data[:] = -3.0  # under "observed" no matter; as weights a = 2 with target 0
    X.data[::7] = 0.0  # a = -1: takes a row's own share of G away
    V = np.zeros((5, 12), np.float32)
    V[:, :2] = rng.standard_normal((5, 2))
    V[:, 2] = V[:, 0]
    side = Side(as_csr_rows("test", X, np.float32), "implicit", 1.0, 0.0)
    for solver in ("cholesky", "auto", "cg"):
        assert np.isfinite(solved(side, V, np.float32, solver=solver)[0]).all()
    hollow = Side(
        as_csr_rows("test", sp.csr_array(np.zeros((2, 5)) + 5e-8), np.float32), "implicit", 1.0, 0.0
    )
    out, _, _ = solved(hollow, V, np.float32, solver="cholesky")
    assert np.isfinite(out).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_bits_for_threads_variants_and_index_widths(isa, dtype, rng):
    X, V = entries(rng, 300, 200, 0.1, dtype), rng.standard_normal((200, 19)).astype(dtype)
    wide = X.copy()
    wide.indices, wide.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    start = rng.standard_normal((300, 19)).astype(dtype)

    def results(matrix, threads):
        rows = as_csr_rows("test", matrix, dtype)
        side = Side(rows, "implicit", 1.5, 0.7)
        found = [
            solved(side, V, dtype, threads, solver=solver, start=start)
            for solver in ("cholesky", "auto", "cg", "sketch", "nonnegative")
        ]
        U, W = start.copy(), V.copy()
        Blocks(side, Side(transposed("test", rows), "implicit", 1.5, 0.7), 8).step(
            core.context("t", threads), U, W
        )
        return [
            part.tobytes() if isinstance(part, np.ndarray) else part
            for one in [*found, (U, W)]
            for part in one
        ]

    before = core.isa()
    wanted = results(X, 1)
    for threads in (2, 5):
        assert results(X, threads) == wanted
    assert results(wide, 2) == wanted
    core.set_isa("baseline")
    try:
        assert results(X, 2) == wanted
    finally:
        core.set_isa(before)


def test_predictions_at_places(rng):
    X = entries(rng)
    rows = as_csr_rows("test", X, np.float32)
    U, V = rng.standard_normal((40, 9)).astype("f4"), rng.standard_normal((30, 9)).astype("f4")
    said = U.astype(float) @ V.T.astype(float)
    i, j = X.nonzero()[0], X.indices
    i = np.repeat(np.arange(40), np.diff(X.indptr))
    np.testing.assert_allclose(core.predict_stored(core.context(), rows.core, V, U), said[i, j], atol=1e-5)
    pairs = core.predict_pairs(core.context(), U, V, i.astype(np.int64), j.astype(np.int64))
    assert (pairs == said[i, j].astype("f4")).mean() > 0.99
    np.testing.assert_allclose(pairs, said[i, j], rtol=1e-6)


def test_sizes_are_checked(rng):
    rows = as_csr_rows("test", entries(rng), np.float64).core
    V, out, ridge = np.ones((30, 3)), np.ones((40, 3)), np.ones(40)
    good = (core.context(), rows, V, None, ridge, out, "observed")
    assert core.least_squares_rows(*good)[1] == 0
    for at, wrong in ((2, V[:29]), (3, np.ones((2, 2))), (4, ridge[:3]), (5, out[:4]), (6, "else")):
        with pytest.raises(ValueError, match=r"test: .* must .*; got .*"):
            core.least_squares_rows(*(wrong if place == at else one for place, one in enumerate(good)))
    with pytest.raises(ValueError, match="any_sign must be"):
        core.least_squares_rows(*good, any_sign=4)
    with pytest.raises(ValueError, match="predictions must have shape"):
        core.least_squares_block(*good[:6], np.ones(3), 0, 2, "observed")
    e = np.ones(int(entries(rng).nnz))
    with pytest.raises(ValueError, match="first and width must be"):
        core.least_squares_block(*good[:6], e, 2, 2, "observed")
    with pytest.raises(ValueError, match="rows must have indices"):
        core.predict_pairs(core.context(), out, V, np.array([40]), np.array([0]))

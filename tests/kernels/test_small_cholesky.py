"""solve_cholesky: the factor and the solution in one order of updates, the same bits in every variant."""

from __future__ import annotations

import math

import core
import numpy as np
import plain_kernels as plain
import pytest
from numpy.typing import NDArray

SIZES = (*range(19), 31, 32, 33)


def system(k: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A positive definite matrix whose lower triangle must not count, and a right-hand side."""
    V = rng.standard_normal((k + 3, k)) * 10.0 ** rng.integers(-3, 4, k)
    A = V.T @ V
    A[np.tril_indices(k, -1)] = np.nan
    return A, rng.standard_normal(k)


def expected(
    A: NDArray[np.float64], b: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Row by row, then forward and backward; each product is rounded before it is subtracted."""
    U, x, k = A.copy(), b.copy(), len(b)
    for p in range(k):
        U[p, p] = math.sqrt(U[p, p])
        U[p, p + 1 :] *= 1 / U[p, p]
        for i in range(p + 1, k):
            U[i, i:] -= U[p, i] * U[p, i:]
    for p in range(k):
        x[p] /= U[p, p]
        x[p + 1 :] -= U[p, p + 1 :] * x[p]
    for p in reversed(range(k)):
        x[p] = (x[p] - plain.dot(U[p, p + 1 :], x[p + 1 :])) / U[p, p]
    return U, x


def test_it_is_the_plain_elimination(isa: str, rng: np.random.Generator) -> None:
    for k in SIZES:
        A, b = system(k, rng)
        before = A.copy(), b.copy()
        solved, U, x = core.kernels.solve_cholesky(A, b)
        assert solved is True
        assert plain.bits(A) == plain.bits(before[0])
        assert plain.bits(b) == plain.bits(before[1])
        factor, solution = expected(A, b)
        assert plain.bits(np.triu(U)) == plain.bits(np.triu(factor)), k
        assert plain.bits(x) == plain.bits(solution), k


def test_it_solves_the_system(isa: str, rng: np.random.Generator) -> None:
    for k in SIZES[1:]:
        A, b = system(k, rng)
        whole = np.triu(A) + np.triu(A, 1).T
        x = core.kernels.solve_cholesky(A, b)[2]
        assert np.linalg.norm(whole @ x - b) <= 1e-12 * np.linalg.norm(np.abs(whole) @ np.abs(x)), k


@pytest.mark.parametrize("pivot", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("at", [0, 4, 8])
def test_a_pivot_that_is_not_positive_ends_it(
    isa: str, at: int, pivot: float, rng: np.random.Generator
) -> None:
    A, b = np.diag(rng.uniform(1, 2, 9)), rng.standard_normal(9)
    A[at, at] = pivot
    solved, _, x = core.kernels.solve_cholesky(A, b)
    assert solved is False
    assert plain.bits(x) == plain.bits(b)


def test_a_singular_matrix_ends_it(isa: str) -> None:
    solved, _, x = core.kernels.solve_cholesky(np.ones((3, 3)), np.ones(3))
    assert solved is False
    assert (x == 1).all()


def test_wrong_arguments_are_refused() -> None:
    for A, b in ((np.ones((2, 3)), np.ones(2)), (np.eye(2), np.ones(3)), (np.eye(2), np.ones((2, 1)))):
        with pytest.raises(ValueError, match="solve_cholesky"):
            core.kernels.solve_cholesky(A, b)

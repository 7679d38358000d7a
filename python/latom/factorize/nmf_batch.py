"""Hundreds of small factorizations at once: replicates for consensus, restarts, many small matrices."""

from __future__ import annotations

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import as_numpy, as_seed, refuse_sparse
from latom._base.backend import backend, call
from latom._base.checks import check_integer, check_tol
from latom._base.finite import check_finite
from latom.factorize.units import exponent_of

Array = NDArray[Any]

SWEEPS, INNER_TOL = 3, 0.1  # of a half-step, at most; until so much of the first sweep's violation is left


class Factorizations(NamedTuple):
    """What :func:`nmf_batch` returns, one problem per entry of the first axis.

    Attributes
    ----------
    W : array of shape (problems, n, k)
    H : array of shape (problems, k, d)
    loss : float64 array of shape (problems,)
        Half the squared error.
    n_iter : int64 array of shape (problems,)
    """

    W: Array
    H: Array
    loss: NDArray[np.float64]
    n_iter: NDArray[np.int64]


def nmf_batch(
    X: Any,
    n_components: int,
    inits: Any,
    *,
    tol: float = 1e-4,
    max_iter: int = 200,
    random_state: Any = None,
    n_threads: int | None = None,
) -> Factorizations:
    """Factor one small matrix from many starts, or many small matrices of one shape.

    Parameters
    ----------
    X : array of shape (n, d) or (problems, n, d), float32 or float64
        Non-negative and finite; one matrix for all problems, or one each.
    n_components : int
        Components, k.
    inits : int or tuple (W, H)
        Problems, each from a random start as :class:`latom.NMF` makes it; or starts of shapes
        (problems, n, k) and (problems, k, d).
    tol : float, default 1e-4
        A problem stops when what its coordinates lack of optimality is at most tol times what it was in its
        first iteration, or when a hundred iterations have gained no more than rounding.
    max_iter : int, default 200
        Most iterations of a problem.
    random_state : int, Generator, RandomState or None
        Seed of random starts.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`. The result does not depend on it.

    Returns
    -------
    factorizations : Factorizations
        ``W, H, loss, n_iter``; ``int(loss.argmin())`` is the best.

    Raises
    ------
    ValueError
        If shapes disagree, X or a start is negative or not finite, or a number is out of range.

    Notes
    -----
    Coordinate descent with several sweeps a product, extrapolated while the loss falls (Ang & Gillis, 2019).
    Each problem is one thread's work from start to end, so that it stays in that core's cache; starts of one
    matrix advance together, some 64 components of them at once, since a wide product is faster than several
    narrow ones. An iteration costs 4 n d k flops and sweeps of 2 (n + d) k^2. Extra memory: some copies of X
    and of a problem's factors a thread.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import nmf_batch
    >>> X = np.random.default_rng(0).random((20, 3)) @ np.random.default_rng(1).random((3, 9))
    >>> runs = nmf_batch(X, 3, 8, random_state=0, max_iter=2000)
    >>> runs.W.shape, runs.H.shape, bool(runs.loss.min() < 1e-4)
    ((8, 20, 3), (8, 3, 9), True)
    """
    function = "nmf_batch"
    refuse_sparse(function, X)
    X = as_numpy(function, X, "X")
    dtype = X.dtype if X.dtype in (np.float32, np.float64) else np.dtype(np.float64)
    X = np.require(X, dtype, ["C", "A"])
    if X.ndim not in (2, 3) or 0 in X.shape:
        raise ValueError(
            f"{function}: X must have shape (n, d) or (problems, n, d), not empty; got {X.shape}. "
            "Stack matrices of one shape."
        )
    check_finite(function, "X", X, "Clip or replace it.", negative=False)
    k = check_integer(function, "n_components", n_components)
    check_integer(function, "max_iter", max_iter)
    tol = check_tol(function, tol)
    n, d = X.shape[-2:]
    random = isinstance(inits, Integral) and not isinstance(inits, bool)
    starts = None if random else _starts(function, inits, dtype, (n, k), (k, d))
    problems = check_integer(function, "inits", inits) if starts is None else len(starts[0])
    if X.ndim == 3 and problems != X.shape[0]:
        raise ValueError(
            f"{function}: inits must have a start for each of the {X.shape[0]} matrices; got {problems}. "
            "Pass as many."
        )
    exponents = _exponents(function, X)
    X = _divided(X, exponents)
    if starts is None:
        rng = np.random.default_rng(as_seed(function, random_state))
        W, F = (np.abs(rng.standard_normal((problems, rows, k))) for rows in (n, d))
        scale = np.sqrt(X.mean(axis=(-2, -1), dtype=np.float64) / k).reshape(-1, 1, 1)
        W, F = np.asarray(W * scale, dtype), np.asarray(F * scale, dtype)
    else:
        W, H = (_divided(A, exponents // 2) for A in starts)
        F = np.ascontiguousarray(H.transpose(0, 2, 1))
    context = call(function, n_threads)
    loss, n_iter = backend().factorize_small(context, X, W, F, SWEEPS, INNER_TOL, tol, max_iter)
    W, F = (_divided(A, -(exponents // 2)) for A in (W, F))
    loss = np.ldexp(loss, 2 * exponents)
    return Factorizations(W, np.ascontiguousarray(F.transpose(0, 2, 1)), loss, n_iter)


def _starts(
    function: str, inits: Any, dtype: Any, of_W: tuple[int, int], of_H: tuple[int, int]
) -> tuple[Array, Array]:
    """Copies of the starts that were given."""
    wanted = (
        f"{function}: inits must be an integer or starts of shapes (problems, {of_W[0]}, {of_W[1]}) and "
        f"(problems, {of_H[0]}, {of_H[1]})"
    )
    if not isinstance(inits, (tuple, list)) or len(inits) != 2:
        got = f"{len(inits)} arrays" if isinstance(inits, (tuple, list)) else type(inits).__name__
        raise ValueError(f"{wanted}; got {got}. Pass how many random starts to make, such as 10.")
    W, H = (np.array(as_numpy(function, part, "inits"), dtype, order="C") for part in inits)
    if W.ndim != 3 or H.ndim != 3 or W.shape[1:] != of_W or H.shape != (W.shape[0], *of_H):
        raise ValueError(f"{wanted}; got {W.shape} and {H.shape}. Stack them along a first axis.")
    for start in (W, H):
        check_finite(function, "inits", start, "Clip or replace it.", negative=False)
    return W, H


def _exponents(function: str, X: Array) -> NDArray[np.intc]:
    """Of the powers of two that each matrix is divided by."""
    largest = X.reshape(-1, X.shape[-2] * X.shape[-1]).max(axis=1).astype(np.float64)
    bad = largest[(largest > 1e145) | ((largest > 0) & (largest < 1e-145))]
    if bad.size:
        raise ValueError(
            f"{function}: X must have a largest entry of 0 or within [1e-145, 1e145]; got {bad[0]:.3g}. "
            f"Scale X {'down' if bad[0] > 1 else 'up'}."
        )
    return np.array([exponent_of(float(size)) for size in largest], np.intc)


def _divided(A: Array, exponents: NDArray[np.intc]) -> Array:
    """A / 2**exponents, one each or one for all; A itself for zeros."""
    if not exponents.any():
        return A
    each = -exponents[0] if len(exponents) == 1 else -exponents.reshape(-1, 1, 1)
    return np.ldexp(A, each)

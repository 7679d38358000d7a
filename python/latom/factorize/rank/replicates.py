"""Factorizations of one X and its perturbed copies, all in one call of the core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from latom._base.backend import backend, call
from latom._base.rows import Rows
from latom.factorize.nmf import NMF
from latom.factorize.nmf_batch import INNER_TOL, SWEEPS
from latom.factorize.non_negative_rows import NonNegativeRows
from latom.factorize.units import times

Array = NDArray[Any]


def in_the_core(estimator: Any) -> bool:
    """Whether the core makes replicates of it: NMF of squared errors, without penalties."""
    return (
        type(estimator) is NMF
        and estimator.beta_loss in ("frobenius", 2)
        and estimator.init in (None, "random")
        and estimator.alpha_W == 0
        and estimator.alpha_H in ("same", 0)
    )


def factorize_replicates(
    function: str,
    rows: Rows,
    candidates: Sequence[int],
    streams: Sequence[int],
    noise: float,
    estimator: Any,
    seed: int,
    n_threads: int | None,
    starts: int = 1,
) -> dict[int, tuple[Array, NDArray[np.float64], NDArray[np.int64]]]:
    """For each number of components: H [replicates, k, d], losses and iterations.

    A replicate is a stream of random numbers: its perturbation, which is the same for all numbers of
    components, and its starts, of which the one with the lowest loss counts.
    """
    if not in_the_core(estimator):
        return {k: _one_by_one(rows, k, streams, noise, estimator, seed, starts) for k in candidates}
    products = NonNegativeRows(call(function, n_threads, seed), rows)
    jobs = [(k, stream, start) for k in candidates for stream in streams for start in range(starts)]
    losses, n_iter, H, _ = backend().factorize_replicates(
        products.context,
        products.core,
        *(list(column) for column in zip(*jobs, strict=True)),
        noise,
        estimator.tol,
        products.mean(),
        estimator.max_iter,
        SWEEPS,
        INNER_TOL,
        False,
    )
    best = losses.reshape(-1, starts).argmin(axis=1) + np.arange(0, len(jobs), starts)
    found = {}
    for k, part in zip(candidates, best.reshape(len(candidates), -1), strict=True):
        stacked = times(np.stack([H[r] for r in part]), products.units.H)
        found[k] = (stacked, losses[part] * products.units.X**2, n_iter[part])
    return found


def _one_by_one(
    rows: Rows, k: int, streams: Sequence[int], noise: float, estimator: Any, seed: int, starts: int
) -> tuple[Array, NDArray[np.float64], NDArray[np.int64]]:
    """Replicates of any estimator with components_."""
    H, losses, n_iter = [], [], []
    for stream in streams:
        rng = np.random.default_rng([seed, stream])
        X = rows[:].copy()
        values = X.data if rows.sparse else X
        values *= rng.uniform(1 - noise, 1 + noise, values.shape).astype(values.dtype)
        models = [
            clone(estimator).set_params(n_components=k, random_state=int(rng.integers(2**31))).fit(X)
            for _ in range(starts)
        ]
        each = [float(getattr(model, "reconstruction_err_", np.nan)) for model in models]
        best = int(np.nanargmin(each)) if np.isfinite(each).any() else 0
        H.append(models[best].components_)
        losses.append(each[best] ** 2 / 2)
        n_iter.append(int(getattr(models[best], "n_iter_", 0)))
    return np.stack(H), np.array(losses), np.array(n_iter, np.int64)


def refit(
    function: str, rows: Rows, H: Array, estimator: Any, n_threads: int | None
) -> tuple[Array, NDArray[np.float64]]:
    """W [n, k] of rows with components H that stay, and the squared error of each row."""
    solver = NMF(
        len(H),
        tol=getattr(estimator, "tol", 1e-4),
        max_iter=10 * int(getattr(estimator, "max_iter", 200)),
        n_threads=n_threads,
    )
    products = NonNegativeRows(call(function, n_threads), rows, H=H)
    W, _, _ = solver._solve(function, products, H.astype(products.dtype))
    exponent = products.units.X
    F = np.ascontiguousarray(times(H, 1 / products.units.H).T, products.dtype)
    V = times(W, 1 / products.units.W)
    cross = np.einsum("ij,ij->i", products.times(F), V, dtype=np.float64)
    G = backend().gram(products.context, F)
    squares = np.einsum("ij,ij->i", V.astype(np.float64) @ G, V)
    errors = np.maximum(products.norm2 - 2 * cross + squares, 0) * exponent**2
    return W, errors

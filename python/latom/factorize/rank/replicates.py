"""Factorizations of one X and its perturbed copies, all in one call of the core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

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


class Replicates(NamedTuple):
    """Factorizations with one number of components, one per entry of the first axis.

    Attributes
    ----------
    H : array of shape (replicates, k, d)
    losses : float64 array of shape (replicates,)
        Half the squared error, of the perturbed matrix.
    n_iter : int64 array of shape (replicates,)
    """

    H: Array
    losses: NDArray[np.float64]
    n_iter: NDArray[np.int64]


def in_the_core(estimator: Any) -> bool:
    """Whether the core makes replicates of it: NMF of squared errors, without penalties."""
    return (
        type(estimator) is NMF
        and estimator.beta_loss in ("frobenius", 2)
        and estimator.init in (None, "random")
        and estimator.alpha_W == 0
        and estimator.alpha_H in ("same", 0)
    )


class Runs:
    """Runs of the core on copies of one X >= 0, each multiplied by the random numbers of a stream.

    Parameters
    ----------
    function : str
        What messages name.
    rows : Rows
    noise : float
    estimator : NMF
        Its tol and max_iter count.
    seed : int
    n_threads : int, optional
    """

    def __init__(
        self, function: str, rows: Rows, noise: float, estimator: Any, seed: int, n_threads: int | None
    ) -> None:
        self.products = NonNegativeRows(call(function, n_threads, seed), rows)
        self.mean = self.products.mean()
        self._noise, self._tol, self._max_iter = noise, estimator.tol, estimator.max_iter

    def __call__(
        self, k: Sequence[int], streams: Sequence[int], starts: Sequence[int], H: Array | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], list[Array]]:
        """Losses, iterations and H, in the products' units; from random starts, or H [sum of k, d]."""
        found: tuple[NDArray[np.float64], NDArray[np.int64], list[Array]] = backend().factorize_replicates(
            self.products.context,
            self.products.core,
            list(k),
            list(streams),
            list(starts),
            self._noise,
            self._tol,
            self.mean,
            self._max_iter,
            SWEEPS,
            INNER_TOL,
            H,
        )
        return found

    def scaled(self, H: Array, losses: NDArray[np.float64]) -> tuple[Array, NDArray[np.float64]]:
        """H and losses in units of X."""
        units = self.products.units
        return times(H, units.H), losses * units.X**2


def factorize_replicates(
    function: str,
    rows: Rows,
    candidates: Sequence[int],
    streams: Sequence[int],
    noise: float,
    estimator: Any,
    seed: int,
    n_threads: int | None,
) -> dict[int, Replicates]:
    """For each number of components: its replicates.

    A replicate is a stream of random numbers: its perturbation, which is the same for all numbers of
    components, and its start.
    """
    if not in_the_core(estimator):
        return {k: _one_by_one(rows, k, streams, noise, estimator, seed) for k in candidates}
    descend = Runs(function, rows, noise, estimator, seed, n_threads)
    ranks = [k for k in candidates for _ in streams]
    losses, n_iter, H = descend(ranks, list(streams) * len(candidates), [0] * len(ranks))
    found = {}
    for place, k in enumerate(candidates):
        own = slice(place * len(streams), (place + 1) * len(streams))
        found[k] = Replicates(*descend.scaled(np.stack(H[own]), losses[own]), n_iter[own])
    return found


def _one_by_one(
    rows: Rows, k: int, streams: Sequence[int], noise: float, estimator: Any, seed: int
) -> Replicates:
    """Replicates of any estimator with components_."""
    H, losses, n_iter = [], [], []
    for stream in streams:
        rng = np.random.default_rng([seed, stream])
        X = rows[:].copy()
        values = X.data if rows.sparse else X
        values *= rng.uniform(1 - noise, 1 + noise, values.shape).astype(values.dtype)
        model = clone(estimator).set_params(n_components=k, random_state=int(rng.integers(2**31))).fit(X)
        H.append(model.components_)
        losses.append(float(getattr(model, "reconstruction_err_", np.nan)) ** 2 / 2)
        n_iter.append(int(getattr(model, "n_iter_", 0)))
    return Replicates(np.stack(H), np.array(losses), np.array(n_iter, np.int64))


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

"""The matrix that a factorization reads: its products with factors, its norm, its missing entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import Matrix, to_core
from latom._base.backend import backend

Array = NDArray[Any]


class NonNegativeRows:
    """X [n, d], dense or CSR, as the solvers see it.

    Dense products are numpy's, by its BLAS; CSR products are the core's, with a transposed copy of X made
    when it is first needed. Missing entries count as 0 here; ``missing`` and ``missing_of_columns`` hold them
    as (indptr, indices) by row and by column, None where nothing is missing.
    """

    def __init__(self, function: str, X: Matrix, mask: Any, n_threads: int) -> None:
        self.function, self.n_threads = function, n_threads
        self.missing = self.missing_of_columns = None
        gone = _missing(function, X, mask)
        if gone is not None:
            X = _without(X, gone)
            self.missing, self.missing_of_columns = _pattern(gone), _pattern(gone.T.tocsr())
        self.X, self.shape, self.dtype = X, X.shape, X.dtype
        self.sparse = sp.issparse(X)
        self._core: Any = None
        if self.sparse:
            self._core = backend().SparseProducts(to_core(X), 0, n_threads, function)
            self.norm2 = self._core.norm2
            negative = not self._core.non_negative
        else:
            self.norm2 = np.array([np.dot(row, row) for row in _wide_rows(X)])
            if not np.isfinite(self.norm2).all():
                bad = int(np.flatnonzero(~np.isfinite(self.norm2))[0])
                raise ValueError(
                    f"{function}: X must be finite, without NaN or infinity, and its squares too; got "
                    f"another value in row {bad}. Pass mask= for missing entries, or scale X down."
                )
            negative = bool((X < 0).any())
        if negative:
            raise ValueError(
                f"{function}: X must not be negative (Negative values in data passed to {function}); got a "
                "negative entry. Use SemiNMF, or shift the data."
            )

    @property
    def entries(self) -> int:
        """Entries that a product reads."""
        return int(self.X.nnz if self.sparse else self.X.size)

    def mean(self) -> float:
        """Mean of the observed entries."""
        gone = 0 if self.missing is None else len(self.missing[1])
        total = self.X.data.sum(dtype=np.float64) if self.sparse else self.X.sum(dtype=np.float64)
        return float(total / max(1, self.shape[0] * self.shape[1] - gone))

    def times(self, F: Array, out: Array | None = None) -> Array:
        """X F [n, k]."""
        if self.sparse:
            product: Array = self._core.times(F, out, self.n_threads, self.function)
            return product
        return np.matmul(self.X, F, out=out)

    def transposed_times(self, W: Array, out: Array | None = None) -> Array:
        """X^T W [d, k]."""
        if self.sparse:
            product: Array = self._core.transposed_times(W, out, self.n_threads, self.function)
            return product
        return np.matmul(self.X.T, W, out=out)

    def each(self, factors: Sequence[tuple[Array, Array | None]], transposed: bool) -> list[Array]:
        """X A (X^T A) of several A, each written to its array where one is given, in one product of X."""
        product = self.transposed_times if transposed else self.times
        if len(factors) == 1:
            return [product(*factors[0])]
        beside = product(np.concatenate([A for A, _ in factors], axis=1))
        made, first = [], 0
        for A, out in factors:
            own = beside[:, first : first + A.shape[1]]
            first += A.shape[1]
            if out is None:
                out = np.ascontiguousarray(own)
            else:
                np.copyto(out, own)
            made.append(out)
        return made

    def kullback_step(
        self, A: Array, F: Array, by_columns: bool, l1: float, l2: float
    ) -> tuple[Array, float]:
        """A after a multiplicative step; the sum of X log Y before it."""
        if self._core is None:
            self._core = backend().SparseProducts(
                to_core(sp.csr_array(self.X)), 0, self.n_threads, self.function
            )
        sums = backend().column_sums(F, self.n_threads)
        step: tuple[Array, float] = self._core.kullback_step(
            A, F, sums, by_columns, l1, l2, self.n_threads, self.function
        )
        return step

    def squared_loss(self, W: Array, F: Array, weights: NDArray[np.float64] | None = None) -> float:
        """||X - W F^T||^2 / 2 over rows: entry by entry for dense X, by traces for CSR."""
        if self.sparse:
            cross = np.einsum("ij,ij->", self.times(F), W, dtype=np.float64)
            return float(
                self.norm2.sum() / 2
                - cross
                + np.sum(backend().gram(F, self.n_threads) * backend().gram(W, self.n_threads)) / 2
            )
        loss, block = 0.0, max(1, (1 << 20) // self.shape[1])
        for i in range(0, self.shape[0], block):
            rest = self.X[i : i + block] - W[i : i + block] @ F.T
            each = np.einsum("ij,ij->i", rest, rest, dtype=np.float64)
            loss += float(each.sum() if weights is None else each @ weights[i : i + block]) / 2
        return loss

    def kullback_loss(self, W: Array, F: Array) -> float:
        """sum X log(X / Y) - X + Y with Y = W F^T."""
        logs = self.kullback_step(W, F, False, 0.0, 0.0)[1]
        total = backend().column_sums(W, self.n_threads) @ backend().column_sums(F, self.n_threads)
        return self.entropy() - logs + float(total)

    def entropy(self) -> float:
        """sum X log X - X over the positive entries."""
        values = (self.X.data if self.sparse else self.X[self.X > 0]).astype(np.float64)
        values = values[values > 0]
        return float((values * np.log(values) - values).sum())


def _wide_rows(X: Array) -> Any:
    """Rows as float64, a block at a time."""
    block = max(1, (1 << 20) // X.shape[1])
    for i in range(0, X.shape[0], block):
        yield from X[i : i + block].astype(np.float64, copy=False)


def _missing(function: str, X: Matrix, mask: Any) -> Any:
    """CSR pattern of the entries that are not observed: NaN, or False in the mask."""
    if sp.issparse(X):
        values = X.data
        gone = sp.csr_array(X.shape, dtype=bool)
        if np.isnan(values).any():
            coo = X.tocoo()
            at = np.isnan(coo.data)
            gone = sp.csr_array((np.ones(at.sum(), bool), (coo.row[at], coo.col[at])), shape=X.shape)
    else:
        gone = sp.csr_array(np.isnan(X))
    if mask is not None:
        if mask.shape != X.shape or mask.dtype != bool:
            raise ValueError(
                f"{function}: mask must be boolean of the shape of X, {X.shape}, True where X is observed; "
                f"got {mask.dtype} {mask.shape}. Pass for example ~np.isnan(X)."
            )
        observed = mask.toarray() if sp.issparse(mask) else mask
        gone = sp.csr_array(gone + sp.csr_array(~observed))
    return gone if gone.nnz else None


def _without(X: Matrix, gone: Any) -> Matrix:
    """X with 0 for what is missing."""
    if not sp.issparse(X):
        X = X.copy()
        X[gone.nonzero()] = 0
        return X
    coo, width = X.tocoo(), X.shape[1]
    missing = gone.tocoo()
    places, gone_places = (at.row.astype(np.int64) * width + at.col for at in (coo, missing))
    keep = ~np.isin(places, gone_places)
    kept = (coo.data[keep], (coo.row[keep], coo.col[keep]))
    return sp.csr_array(kept, shape=X.shape)


def _pattern(gone: Any) -> tuple[NDArray[np.int64], Array]:
    gone.sort_indices()
    return gone.indptr.astype(np.int64), gone.indices

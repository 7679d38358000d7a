"""The matrix that a factorization reads: its products with factors, its norm, its missing entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.backend import backend
from latom._base.rows import Rows
from latom.factorize.missing import without_missing
from latom.factorize.not_negative import check_not_negative
from latom.factorize.product_in_parts import product_in_parts
from latom.factorize.units import exponent_of, rescaled, units_of

Array = NDArray[Any]


class NonNegativeRows:
    """X [n, d], dense or CSR, as the solvers see it.

    Dense products are numpy's, by its BLAS; CSR products are the core's, with a transposed copy of X made
    when it is first needed. Missing entries count as 0 here.

    Parameters
    ----------
    context : object
        What the core's functions take first.
    X : Rows
    mask : boolean array or sparse matrix, optional
    unit : float, optional
        What X is divided by; without it, a power of two that its numbers ask for.
    H : array, optional
        The components, where these are given; they have a unit of their own.

    Attributes
    ----------
    missing : Missing or None
    units : Units
        What was divided by, and what W and H are to be multiplied with.
    """

    def __init__(
        self, context: Any, X: Rows, mask: Any = None, unit: float | None = None, H: Array | None = None
    ) -> None:
        self.context, self.function = context, context.function
        if X.storage:  # products read all of it again and again
            X = Rows(self.function, X[:])
        observed, self.missing = without_missing(self.function, X.array, mask)
        if self.missing is not None:
            X = Rows(self.function, observed)
        words = f"Negative values in data passed to {self.function}"
        check_not_negative(context, X, "Use SemiNMF, or shift the data.", words=words)
        norm2 = X.core.norm2(context)
        exponent = exponent_of(_typical(X, norm2)) if unit is None else int(np.log2(unit))
        if exponent:
            X = Rows(self.function, rescaled(X.array, -exponent))
            norm2 = X.core.norm2(context)
        self.norm2 = norm2
        self.units = units_of(exponent, None if H is None else float(np.abs(H).max()))
        self.X, self.shape, self.dtype, self.sparse = X.array, X.shape, X.dtype, X.sparse
        self.core = X.core
        self._as_csr: Rows | None = None  # dense X as the Kullback-Leibler steps take it

    @property
    def entries(self) -> int:
        """Entries that a product reads."""
        return int(self.X.nnz if self.sparse else self.X.size)

    def mean(self) -> float:
        """Mean of the observed entries."""
        seen = self.shape[0] * self.shape[1] if self.missing is None else self.missing.seen
        total = self.X.data.sum(dtype=np.float64) if self.sparse else self.X.sum(dtype=np.float64)
        return float(total / max(1, seen))

    def times(self, F: Array, out: Array | None = None) -> Array:
        """X F [n, k]."""
        if self.sparse:
            made: Array = backend().multiply(self.context, self.core, F, out)
            return made
        return product_in_parts(self.X, F, out)

    def transposed_times(self, W: Array, out: Array | None = None) -> Array:
        """X^T W [d, k]."""
        if self.sparse:
            made: Array = backend().multiply_transposed(self.context, self.core, W, out)
            return made
        return product_in_parts(self.X.T, W, out)

    def each(self, factors: Sequence[tuple[Array, Array | None]], transposed: bool) -> list[Array]:
        """X A (X^T A) of several A, each written to its array where one is given, in one product of X."""
        times = self.transposed_times if transposed else self.times
        if len(factors) == 1:
            return [times(*factors[0])]
        beside = times(np.concatenate([A for A, _ in factors], axis=1))
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
        if not self.sparse and self._as_csr is None:
            self._as_csr = Rows(self.function, sp.csr_array(self.X))
        core = self.core if self._as_csr is None else self._as_csr.core
        sums = backend().column_sums(self.context, F)
        step: tuple[Array, float] = backend().kullback_step(
            self.context, core, A, F, sums, by_columns, l1, l2
        )
        return step

    def squared_loss(self, W: Array, F: Array) -> float:
        """||X - W F^T||^2 / 2: of CSR by traces, which rounding of ||X||^2 limits."""
        if not self.sparse:
            return self.loss_by_entries(W, F)
        gram = backend().gram
        cross = np.einsum("ij,ij->", self.times(F), W, dtype=np.float64)
        product2 = np.sum(gram(self.context, F) * gram(self.context, W))
        return float(self.norm2.sum() / 2 - cross + product2 / 2)

    def loss_by_entries(self, W: Array, F: Array, weights: NDArray[np.float64] | None = None) -> float:
        """||X - W F^T||^2 / 2 over rows, right also where it is small beside ||X||^2."""
        if self.sparse:
            return self._loss_by_stored(W, F, weights)
        loss, block = 0.0, max(1, (1 << 20) // self.shape[1])
        for i in range(0, self.shape[0], block):
            rest = self.X[i : i + block] - W[i : i + block] @ F.T
            each = np.einsum("ij,ij->i", rest, rest, dtype=np.float64)
            loss += float(each.sum() if weights is None else each @ weights[i : i + block]) / 2
        return loss

    def _loss_by_stored(self, W: Array, F: Array, weights: NDArray[np.float64] | None) -> float:
        """Of CSR: the stored entries one by one, the others as what ||W F^T||^2 has besides them."""
        X = self.X
        factor = np.ones(self.shape[0]) if weights is None else weights
        wide, f = W.astype(np.float64), F.astype(np.float64)
        loss = float(np.sum((wide.T @ (wide * factor[:, None])) * (f.T @ f))) / 2
        x = X.data.astype(np.float64)
        places = X.indptr.astype(np.int64), X.indices.astype(np.int32), x
        products = backend().products_at(self.context, places, wide, f)
        return loss + float((x * (x - 2 * products)) @ np.repeat(factor, np.diff(X.indptr))) / 2

    def kullback_loss(self, W: Array, F: Array) -> float:
        """sum X log(X / Y) - X + Y with Y = W F^T."""
        logs = self.kullback_step(W, F, False, 0.0, 0.0)[1]
        total = backend().column_sums(self.context, W) @ backend().column_sums(self.context, F)
        return self.entropy() - logs + float(total)

    def entropy(self) -> float:
        """sum X log X - X over the positive entries."""
        values = (self.X.data if self.sparse else self.X[self.X > 0]).astype(np.float64)
        values = values[values > 0]
        return float((values * np.log(values) - values).sum())


def _typical(X: Rows, norm2: NDArray[np.float64]) -> float:
    """The root mean square of the stored entries."""
    return float(np.sqrt(norm2.mean() * len(norm2) / max(1, X.entries)))

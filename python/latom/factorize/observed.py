"""Half-steps of alternating least squares over the stored entries of a CSR matrix and of its transpose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import Matrix
from latom._base.backend import backend
from latom._base.csr import check_sparse, csr_of_parts
from latom._base.rows import Rows
from latom._base.sparse_tensor import as_scipy

Array = NDArray[Any]

MIXED = 32  # factors, from which on a few steps of conjugate gradients cost less than exact solutions


def as_csr_rows(function: str, X: Matrix, dtype: Any, name: str = "X") -> Rows:
    """X as canonical CSR rows of a number type; of dense X what is not 0 counts as stored."""
    X = as_scipy(function, X, name)
    if not sp.issparse(X):
        X = sp.csr_array(np.asarray(X))
    elif X.format != "csr":
        check_sparse(function, X, name)  # scipy believes what the parts say
        X = X.tocsr()
    return Rows(function, X, name, dtype)


def observed_entries(name: str, X: Array) -> Rows:
    """What is not NaN of an array, as CSR rows."""
    seen = ~np.isnan(X)
    indptr = np.append(0, np.cumsum(seen.sum(axis=1)))
    return Rows(name, csr_of_parts(X[seen], np.nonzero(seen)[1], indptr, X.shape))


def transposed(function: str, rows: Rows) -> Rows:
    """The columns of CSR rows as rows."""
    return Rows(function, sp.csr_array(sp.csc_array(rows.array.T).tocsr()), "X.T", rows.dtype)


def folds(function: str, rows: Rows, count: int) -> Iterator[tuple[Rows, Rows]]:
    """(the others, a share of each row's entries) by turns, CSR; where shares begin moves from row to row."""
    X = rows.array
    lengths = np.diff(X.indptr)
    at = np.arange(X.nnz) - np.repeat(X.indptr[:-1], lengths) + np.repeat(np.arange(len(lengths)), lengths)
    for place in range(count):
        held_out = at % count == place
        parts = []
        for chosen in (~held_out, held_out):
            indptr = np.append(0, np.cumsum(chosen))[X.indptr]
            part = csr_of_parts(X.data[chosen], X.indices[chosen], indptr, X.shape)
            parts.append(Rows(function, part))
        yield parts[0], parts[1]


class Side:
    """Rows whose factors are solved for while those of their columns stay.

    Parameters
    ----------
    rows : Rows
        CSR.
    rule : {"implicit", "weighted", "observed"}
        What a stored number says: see csrc/include/latom/least_squares.h.
    alpha, regularization, exponent : float
        A row's penalty is regularization times its total weight to the power of exponent.
    """

    def __init__(
        self, rows: Rows, rule: str, alpha: float, regularization: float, exponent: float = 0.0
    ) -> None:
        self.rows, self.rule, self.alpha = rows, rule, alpha
        n, d = rows.shape
        weight = np.ones(n)
        if exponent:
            counts = np.diff(rows.array.indptr)
            weight = counts.astype(np.float64)
            if rule != "observed":
                sums = np.zeros(len(rows.array.data) + 1)
                np.cumsum(np.abs(rows.array.data), dtype=np.float64, out=sums[1:])
                weight = np.diff(sums[rows.array.indptr]) * alpha + d
                weight = np.maximum(weight - counts, 0) if rule == "implicit" else weight
            weight = np.maximum(weight, 1) ** exponent
        self.ridge = np.ascontiguousarray(regularization * weight, np.float64)

    def unweighted(self) -> bool:
        """Whether stored entries weigh what the others do, so that all rows share one system."""
        return self.rule == "implicit" and bool((np.abs(self.rows.array.data * self.alpha) == 1).all())

    def spread(self) -> float:
        """How far apart eigenvalues of a system may be, where what rows share is the identity."""
        c = np.abs(self.rows.array.data) * self.alpha
        if self.rule != "implicit":
            return 1 + float(c.max(initial=0))
        return float(c.max(initial=1)) / max(float(c.min(initial=1)), 1e-300)

    def gram(self, context: Any, V: Array) -> NDArray[np.float64] | None:
        """What all entries add to each system, the ones that are not stored with them."""
        return None if self.rule == "observed" else backend().gram(context, V)

    def solve(
        self,
        context: Any,
        V: Array,
        out: Array,
        *,
        solver: str = "auto",
        steps: int = 3,
        offsets: Array | None = None,
        any_sign: int = 0,
    ) -> tuple[float, int]:
        """out -> factors that minimize, given V; returns the minimum with its ridge, and rows that failed."""
        value, failed = backend().least_squares_rows(
            context,
            self.rows.core,
            V,
            self.gram(context, V),
            self.ridge,
            out,
            self.rule,
            self.alpha,
            offsets,
            solver,
            steps,
            any_sign,
        )
        return float(value), int(failed)

    def solve_block(self, context: Any, V: Array, out: Array, e: Array, first: int, width: int) -> int:
        """One block of coordinates; predictions e follow. Returns how many rows failed."""
        return int(
            backend().least_squares_block(
                context,
                self.rows.core,
                V,
                self.gram(context, V),
                self.ridge,
                out,
                e,
                first,
                width,
                self.rule,
                self.alpha,
            )
        )

    def penalty(self, U: Array) -> float:
        """What the factors' own squares add to the objective."""
        return float(self.ridge @ np.einsum("ij,ij->i", U, U, dtype=np.float64))

    def weights(self) -> tuple[Array, Array]:
        """a and b of each stored entry."""
        c = self.rows.array.data.astype(np.float64)
        if self.rule == "observed":
            return np.ones_like(c), c
        c *= self.alpha
        return np.abs(c) - (self.rule == "implicit"), np.maximum(c, 0)


class Blocks:
    """Block coordinate descent on both sides, with predictions that stand once in either order (iALS++).

    Parameters
    ----------
    left, right : Side
        Of X and of its transpose.
    width : int
        Coordinates of a block.
    """

    def __init__(self, left: Side, right: Side, width: int) -> None:
        self.left, self.right, self.width = left, right, width
        X = left.rows.array
        places = sp.csr_array((np.arange(1, X.nnz + 1), X.indices, X.indptr), shape=X.shape)
        self._to_right = sp.csr_array(sp.csc_array(places.T).tocsr()).data - 1
        self._weights = left.weights()

    def step(self, context: Any, U: Array, V: Array) -> tuple[float, int]:
        """One pass over all blocks; U and V follow. Returns the objective and how many systems failed."""
        e = backend().predict_stored(context, self.left.rows.core, V, U)
        mirrored = np.empty_like(e)
        failed, k = 0, U.shape[1]
        for first in range(0, k, self.width):
            width = min(self.width, k - first)
            failed += self.left.solve_block(context, V, U, e, first, width)
            np.take(e, self._to_right, out=mirrored)
            failed += self.right.solve_block(context, U, V, mirrored, first, width)
            e[self._to_right] = mirrored
        a, b = self._weights
        wide = e.astype(np.float64)
        value = float(a @ (wide * wide) - 2 * (b @ wide) + b.sum())
        left, right = self.right.gram(context, U), self.left.gram(context, V)
        if left is not None and right is not None:
            value += float((left * right).sum())
        return value + self.left.penalty(U) + self.right.penalty(V), failed

"""What the steps of RESCAL compute: products of slices with A, losses, and the R_t that suit an A."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.backend import backend
from latom._base.rows import Rows

Array = NDArray[Any]
Float64 = NDArray[np.float64]
FLOOR = 1e-12  # of a denominator, relative to its largest entry
SWEEPS, ROUNDS = 8, 1000  # of one row of all R_t, and of all rows
SETTLED = 1e-12  # of the largest entry of R, by which a round moves it at most when R is found


class Products:
    """Products of all slices with A."""

    def __init__(self, context: Any, slices: list[Rows]) -> None:
        self._context, self._slices = context, slices

    def times(self, A: Array) -> list[Array]:
        core = backend()
        return [
            core.multiply(self._context, rows.core, A) if rows.sparse else rows.array @ A
            for rows in self._slices
        ]

    def pulled(self, A: Array, XA: list[Array], R: Float64) -> Float64:
        """The sum over slices of X_t A R_t^T + X_t^T A R_t."""
        core, total = backend(), np.zeros(A.shape)
        for rows, own, relation in zip(self._slices, XA, R, strict=True):
            turned = (
                core.multiply_transposed(self._context, rows.core, A) if rows.sparse else rows.array.T @ A
            )
            total += own @ relation.T + turned @ relation
        return total

    def gram(self, A: Array) -> Float64:
        made: Float64 = backend().gram(self._context, A)
        return made

    def inner(self, A: Array, XA: list[Array]) -> Float64:
        """A^T X_t A [slices, k, k], in float64."""
        wide = A.astype(np.float64)
        return np.stack([wide.T @ each.astype(np.float64) for each in XA])

    def norm2(self) -> Float64:
        """Squared norms of rows, over all slices [n]."""
        total: Float64 = np.sum([rows.core.norm2(self._context) for rows in self._slices], axis=0)
        return total

    def relations(self, A: Array, nonnegative: bool, l2: float) -> tuple[Float64, list[Array]]:
        """The R_t that suit A best, and the products X_t A."""
        XA, G = self.times(A), self.gram(A)
        inner = self.inner(A, XA)
        R = _of_any_sign(G, inner, l2)
        return (_not_negative(self._context, G, inner, R) if nonnegative else R), XA

    def errors(self, A: Array, XA: list[Array], R: Float64) -> Float64:
        """Squared errors of rows, over all slices [n]."""
        G, wide, total = self.gram(A), A.astype(np.float64), self.norm2()
        for own, relation in zip(XA, R, strict=True):
            said = wide @ relation
            total += np.einsum("ij,ij->i", said @ G - 2 * own.astype(np.float64), said)
        return np.maximum(total, 0)


def relations_step(G: Float64, inner: Float64, R: Float64, nonnegative: bool, l2: float) -> Float64:
    """R_t after a step: by multiplication, or solved for."""
    if not nonnegative:
        return _of_any_sign(G, inner, l2)
    stepped: Float64 = R * inner / floored(G @ R @ G)
    return stepped


def _of_any_sign(G: Float64, inner: Float64, l2: float) -> Float64:
    inverse = np.linalg.pinv(G + l2 * np.eye(len(G)), hermitian=True)
    found: Float64 = inverse @ inner @ inverse
    return found


def _not_negative(context: Any, G: Float64, inner: Float64, R: Float64) -> Float64:
    """The R_t >= 0 of the lowest squared error, from R: row i of all R_t by sweeps, i in turn.

    Row i of the gradient is sum_j G_ij R_j G - inner_i, so that its own part is of the form that sweeps take.
    """
    R = np.maximum(R, 0)
    for _ in range(ROUNDS):
        moved = 0.0
        for i in np.flatnonzero(np.diag(G) > 0):
            before = R[:, i].copy()
            others = np.einsum("j,tjk->tk", G[i], R) - G[i, i] * before
            own = before.copy()
            P = np.ascontiguousarray(inner[:, i] - others @ G) / G[i, i]
            backend().coordinate_sweep(context, G, P, own, 0.0, SWEEPS, 0.0)
            R[:, i] = own
            moved = max(moved, float(np.abs(own - before).max()))
        if moved <= SETTLED * float(R.max(initial=0)):
            break
    return R


def multiplied(
    X: Products,
    norm2: float,
    A: Array,
    XA: list[Array],
    R: Float64,
    ratio: Float64,
    before: float,
    root: float,
) -> tuple[Array, list[Array], float, float]:
    """A times a power of the ratio that does not raise the loss, its products, the loss, the power (0: none).

    The loss is of degree 4 in A, and a step by the fourth root never raises it: products of two entries are
    bounded below by logarithms, those of four above by fourth powers. Larger steps mostly do not, either.
    """
    while root >= 0.25:
        moved = np.ascontiguousarray((A * np.maximum(ratio, 0) ** root).astype(A.dtype))
        products = X.times(moved)
        loss = loss_of(norm2, X.gram(moved), X.inner(moved, products), R)
        if loss <= before:
            return moved, products, loss, root
        root /= 2
    return A, XA, before, 0.0


def loss_of(norm2: float, G: Float64, inner: Float64, R: Float64) -> float:
    """Half the squared error of all slices."""
    return norm2 / 2 - float((inner * R).sum()) + float((R * (G @ R @ G)).sum()) / 2


def stored(rows: Rows) -> Array:
    values: Array = rows.array.data if rows.sparse else rows.array
    return values


def floored(below: Float64) -> Float64:
    most = float(below.max())
    floored: Float64 = np.maximum(below, FLOOR * most if most > 0 else 1.0)
    return floored

"""Semi-NMF, step by step: X [n, d] ~ W H with codes W [n, k] >= 0 and components H [k, d] of any sign.

    components     (W^T W + ridge) H = W^T X;  each component then keeps its largest entries
    codes          min ||x - w H||^2 over w >= 0, row by row: P = X H^T, Q = H H^T, and sweeps over P and Q
    loss           ||X||^2 - 2 <P, W> + <W^T W, Q>

One pass over the rows does it all: while a block is in the cache, P, the codes and their share of the
next W^T X. Columns of W are scaled to length 1 before they are updated; H takes the lengths.

Products of rows are numpy's, by its BLAS; systems and Gram matrices are the core's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.backend import backend
from latom._base.history import Descent
from latom.factorize.long_steps import LongSteps
from latom.factorize.row_blocks import RowBlocks

SPARSE_DENSITY = 0.1  # of components, below which products gather; by measurement
# Sweeps of an iteration, and the share of the first violation at which a tile of rows ends early; by
# measurement. Where components keep few entries, choosing them again is worth more than further sweeps.
DENSE_SWEEPS, SPARSE_SWEEPS = (8, 0.1), (2, 0.0)
# Sweeps of codes for components that stay, and the same share, by bytes of a number: then an active set is
# quicker. At most, where there are many components; and where these depend on each other, so that sweeps
# prove nothing.
SOLVED_SWEEPS, SOLVED_MOST, DEPENDENT_SWEEPS = {4: (100, 1e-4), 8: (30, 1e-9)}, 500, 10
SMALLEST = 1e-16  # root mean square of float32: its products are squared once more
MU_RIDGE, MU_LENGTH, MU_FLOOR = 1e-6, 1e-8, 1e-6  # as the SNMF reference has them


@dataclass
class Model:
    """Codes and components that belong together.

    Attributes
    ----------
    W : array [n, k]
    H : array [k, d]
    gram : float64 array [k, k]
        W^T W.
    cross : float64 array [k, d]
        W^T X.
    """

    W: NDArray[Any]
    H: NDArray[Any]
    gram: NDArray[np.float64]
    cross: NDArray[np.float64]


class SemiNMFSteps:
    """The steps of either solver on one X.

    Parameters
    ----------
    blocks : RowBlocks
    kept : int
        Entries that a component keeps; d keeps all.
    refit : bool
        Solve once more for the entries kept.
    solver : {"hals", "mu"}
    """

    def __init__(self, blocks: RowBlocks, kept: int, refit: bool, solver: str) -> None:
        self.blocks, self.kept, self.refit, self.solver = blocks, kept, refit, solver
        self.context = blocks.context
        self._sweeps, self._inner_tol = SPARSE_SWEEPS if kept < blocks.d else DENSE_SWEEPS
        self.squares = blocks.squares()
        self.size = size = float(np.sqrt(self.squares / (blocks.n * blocks.d)))  # root mean square
        if blocks.dtype == np.float32 and size > 0 and not SMALLEST <= size <= 1 / SMALLEST:
            raise ValueError(
                f"{self.context.function}: X must have products that float32 can hold; got numbers of about "
                f"{size:.3g}. Scale X, or pass float64."
            )

    def start(self, W: NDArray[Any]) -> Model:
        """A model without components, from codes."""
        cross = np.ascontiguousarray(self.blocks.transposed_times(W).T, np.float64)
        H = np.zeros(cross.shape, self.blocks.dtype)
        return Model(W, H, backend().gram(self.context, W), cross)

    def components(self, model: Model) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """The next components, and what columns of W are to be multiplied with, which they allow for."""
        k = len(model.gram)
        lengths = np.sqrt(np.diagonal(model.gram))
        if self.solver == "mu":
            solved = self._solved(model.gram + MU_RIDGE * np.eye(k), model.cross)
            lengths = np.maximum(lengths, MU_LENGTH)
            H = self._sparsified(solved) * lengths[:, None]
            return H.astype(self.blocks.dtype), 1 / lengths
        # In terms of columns of length 1. The ridge pulls toward the components before: so it cannot raise
        # the loss, and a component whose codes are all 0 stays.
        lengths = np.where(lengths > 0, lengths, 1.0)
        ridge = 1e-6 if self.blocks.dtype == np.float32 else 1e-12
        gram = model.gram / lengths / lengths[:, None] + ridge * np.eye(k)
        cross = model.cross / lengths[:, None] + (ridge * lengths)[:, None] * model.H
        H = self._sparsified(self._solved(gram, cross))
        if self.refit and self.kept < self.blocks.d:
            backend().refit_supports(self.context, gram, cross, H)
        return H.astype(self.blocks.dtype), 1 / lengths

    def _solved(self, gram: NDArray[np.float64], cross: NDArray[np.float64]) -> NDArray[np.float64]:
        """What gram times it is cross."""
        solved = cross.copy()
        backend().solve_columns(self.context, gram, solved)
        return solved

    def _sparsified(self, H: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.kept < self.blocks.d:
            backend().keep_largest(self.context, H, self.kept)
        return H

    def codes(
        self,
        model: Model,
        H: NDArray[Any],
        scale: NDArray[np.float64],
        W: NDArray[Any],
    ) -> tuple[Model, float, float]:
        """Codes from ``model.W * scale``, updated into W: the model with H, its loss, and the violation."""
        Q = _gram_of_rows(self.context, H)
        product = TimesComponents(self.context, H)
        factors = scale.astype(H.dtype)
        cross, fit, violation = np.zeros(H.shape), 0.0, 0.0
        for part, rows in self.blocks:
            P, own = product(rows), W[part]
            np.multiply(model.W[part], factors, out=own)
            if self.solver == "mu":
                _multiply_codes(own, P, Q)
                violation = np.nan
                fit += float(np.einsum("ij,ij->", P, own, dtype=np.float64))
            else:
                met, inner = backend().coordinate_sweep(
                    self.context, Q, P, own, sweeps=self._sweeps, inner_tol=self._inner_tol
                )
                violation += met
                fit += inner
            cross += own.T @ rows
        gram = backend().gram(self.context, W)
        loss = self.squares - 2 * fit + float((gram * Q).sum())
        return Model(W, H, gram, cross), max(loss, 0.0), violation


def descend(
    function: str, steps: SemiNMFSteps, model: Model, run: Descent, patience: int
) -> tuple[Model, float]:
    """Iterations until none of the last `patience` made progress: the best model and its ||X - W H||^2."""
    multiplicative = steps.solver == "mu"
    rounding = float(np.finfo(steps.blocks.dtype).eps) * steps.squares
    best, best_loss, idle = model, np.inf, 0
    spare: list[NDArray[Any]] = []  # codes that nobody needs any more
    while True:
        with np.errstate(over="ignore", invalid="ignore"):  # a loss that is not finite says it better
            H, scale = steps.components(model)
            W = spare.pop() if spare else np.empty_like(model.W)
            later, loss, violation = steps.codes(model, H, scale, W)
        if not np.isfinite(loss):
            raise ValueError(
                f"{function}: X must have products that {steps.blocks.dtype} can hold; got a loss "
                f"of {loss}. Scale X, or pass float64."
            )
        least = run.tol if multiplicative else run.tol * loss + rounding
        idle = 0 if loss < best_loss - least else idle + 1
        if loss < best_loss - (least if multiplicative else 0):
            if best is not model:
                spare.append(best.W)
            best, best_loss = later, loss
        if model is not best:
            spare.append(model.W)
        model = later
        if run.reached(loss / 2, violation, run.tol > 0 and idle >= patience, best.H):
            return best, best_loss


def sweep_codes(blocks: RowBlocks, H: NDArray[Any], W: NDArray[Any], sweeps: int) -> None:
    """Codes for components that stay, from W, in place, by so many sweeps."""
    Q, product = _gram_of_rows(blocks.context, H), TimesComponents(blocks.context, H)
    for part, rows in blocks:
        backend().coordinate_sweep(blocks.context, Q, product(rows), W[part], sweeps=sweeps)


def solve_codes(blocks: RowBlocks, H: NDArray[Any], W: NDArray[Any], say: LongSteps) -> float:
    """The best codes for components that stay, from W, in place; returns ||X - W H||^2."""
    H = np.ascontiguousarray(H)
    Q, product = _gram_of_rows(blocks.context, H), TimesComponents(blocks.context, H)
    values = np.linalg.eigvalsh(Q)
    curvature = max(0.0, float(values[0] - values[-1] * len(Q) * np.finfo(np.float64).eps))
    least, inner_tol = SOLVED_SWEEPS[H.itemsize]
    sweeps = min(max(least, len(Q)), SOLVED_MOST) if curvature > 0 else DEPENDENT_SWEEPS
    error = 0.0
    for part, rows in blocks:
        say(f"codes of rows {part.start} to {part.stop - 1} of {blocks.n}")
        P, own = product(rows), W[part]
        error += backend().solve_rows(blocks.context, rows, H, Q, curvature, P, own, sweeps, inner_tol)
    return error


class TimesComponents:
    """rows -> rows @ H.T, by whichever way is faster."""

    def __init__(self, context: Any, H: NDArray[Any]) -> None:
        self._context, self._H = context, H
        self._sparse = np.count_nonzero(H) < SPARSE_DENSITY * H.size
        if self._sparse:
            atoms = sp.csr_array(H)
            self._atoms = (atoms.indptr.astype(np.int64), atoms.indices, atoms.data)

    def __call__(self, rows: NDArray[Any]) -> NDArray[Any]:
        if self._sparse:
            sparse: NDArray[Any] = backend().multiply_sparse(self._context, rows, *self._atoms)
            return sparse
        dense: NDArray[Any] = rows @ self._H.T
        return dense


def _gram_of_rows(context: Any, H: NDArray[Any]) -> NDArray[np.float64]:
    gram: NDArray[np.float64] = backend().gram(context, np.ascontiguousarray(H.T))
    return gram


def _multiply_codes(W: NDArray[Any], P: NDArray[Any], Q: NDArray[np.float64]) -> None:
    """W <- W sqrt((P+ + W Q-) / (P- + W Q+ + floor)), in place."""
    Q = Q.astype(W.dtype)
    above = np.maximum(P, 0)
    below = above - P  # the negative part
    above += W @ np.maximum(-Q, 0)
    below += W @ np.maximum(Q, 0)
    below += W.dtype.type(MU_FLOOR)
    above /= below
    W *= np.sqrt(above, out=above)

"""Dense rows read in blocks: of half precision, memory-mapped, or more than memory holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from latom._base.rows import Rows


class RowBlocks:
    """The rows of X [n, d] as blocks of float32 or float64; half precision is widened one block at a time.

    Attributes
    ----------
    n, d : int
    shape : tuple of int
    context : object
        What the core's functions take first.
    dtype : dtype
        Of the blocks: float64 where X is, else float32.
    """

    def __init__(self, context: Any, X: Rows) -> None:
        self.context, self._rows = context, X
        self.n, self.d = self.shape = X.shape
        self.dtype = X.dtype

    def __iter__(self) -> Iterator[tuple[slice, NDArray[Any]]]:
        return self._rows.blocks(self.context.n_threads or None)

    def squares(self) -> float:
        """The sum of all squares, in float64; refuses rows that rows/acceptable.h refuses."""
        total = 0.0
        for part, rows in self:
            own = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
            bad = ~((own >= 1e-290) & (own <= 1e290))
            bad[bad] = (own[bad] != 0) | rows[bad].any(axis=1)  # squares of small numbers are 0, too
            if bad.any():
                self._refuse(part.start + int(np.flatnonzero(bad)[0]))
            total += float(own.sum())
        return total

    def _refuse(self, row: int) -> NoReturn:
        """The core's message for a row that it does not take."""
        self._rows.core.norm2(self.context)
        raise AssertionError(f"row {row} was refused by its norm alone")

    def times(self, F: NDArray[Any]) -> NDArray[Any]:
        """X F for F [d, q]."""
        out = np.empty((self.n, F.shape[1]), self.dtype)
        for part, rows in self:
            np.matmul(rows, F, out=out[part])
        return out

    def transposed_times(self, W: NDArray[Any]) -> NDArray[Any]:
        """X^T W for W [n, q]; the sum over blocks is in float64."""
        out = np.zeros((self.d, W.shape[1]))
        for part, rows in self:
            out += rows.T @ W[part]
        return out.astype(self.dtype, copy=False)

    def sample(self, count: int, rng: np.random.Generator) -> NDArray[Any]:
        """So many random rows in their order, or all."""
        if count >= self.n:
            return np.asarray(self._rows[:])
        chosen = np.sort(rng.choice(self.n, count, replace=False))
        return np.ascontiguousarray(self._rows[chosen])

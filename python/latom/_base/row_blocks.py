"""Dense rows read in blocks: of half precision, memory-mapped, or more than memory holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import as_stored, widen

BLOCK_BYTES = 16 << 20  # of a block as it is computed with


class RowBlocks:
    """The rows of X [n, d] as blocks of float32 or float64; half precision is widened a block at a time.

    The grid of blocks depends on shape and dtype alone, so sums over blocks do not depend on threads.

    Attributes
    ----------
    n, d : int
    shape : tuple of int
    n_threads : int
    dtype : dtype
        Of the blocks: float64 where X is, else float32.
    """

    def __init__(self, function: str, X: Any, n_threads: int) -> None:
        self._function, self.n_threads = function, n_threads
        self._rows, self._storage = as_stored(function, X)
        self.n, self.d = self.shape = self._rows.shape
        self.dtype = np.dtype(np.float32) if self._storage else self._rows.dtype
        self._step = max(64, BLOCK_BYTES // (self.dtype.itemsize * self.d) // 64 * 64)

    def __iter__(self) -> Iterator[tuple[slice, NDArray[Any]]]:
        for first in range(0, self.n, self._step):
            part = slice(first, min(first + self._step, self.n))
            yield part, widen(self._rows[part], self._storage, self.n_threads)

    def squares(self) -> float:
        """The sum of all squares, in float64; refuses NaN and infinity."""
        total = 0.0
        for part, rows in self:
            own = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
            if not np.isfinite(own.sum()):
                bad = part.start + int(np.flatnonzero(~np.isfinite(own))[0])
                raise ValueError(
                    f"{self._function}: X must be finite, without NaN or infinity, and with finite squares; "
                    f"got another value in row {bad}. Drop or impute such rows, or scale X."
                )
            total += float(own.sum())
        return total

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
            return widen(np.asarray(self._rows), self._storage)
        chosen = np.sort(rng.choice(self.n, count, replace=False))
        return np.ascontiguousarray(widen(np.asarray(self._rows[chosen]), self._storage))

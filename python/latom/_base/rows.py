"""The one prepared X of a call: a function or estimator makes it once, and all parts of the call use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import Matrix, as_container, as_weights, to_core, widen
from latom._base.backend import backend, call

BLOCK_BYTES = 16 << 20  # of a block as it is computed with: a few of them fit in the last cache


class Rows:
    """Rows of X as they came in, and as the core holds them.

    The core checks and measures numbers once, when they are first needed, and refuses what no algorithm can
    use: NaN, infinity, and rows of lengths beyond [1e-145, 1e145]. Half precision is read in place by top-k
    and in blocks; where an algorithm reads rows again and again, the core widens them to float32 once.

    Parameters
    ----------
    function : str
        The name that messages give.
    X : array, tensor, DLPack array or sparse matrix
        As :func:`latom._base.arrays.as_container` takes it.
    name : str
        What messages call X.
    dtype : dtype, optional
        float32 or float64, to convert to.
    like : Rows, optional
        Rows whose container, number type and index width X is converted to.

    Attributes
    ----------
    array : ndarray or CSR
        As stored; uint16 where ``storage`` says half precision.
    storage : str
        "", "float16" or "bfloat16".
    core : object
        What the core's functions take.
    dtype : dtype
        That of the computation: float32 for half precision.
    shape : tuple of int
    sparse : bool
    """

    def __init__(
        self, function: str, X: Matrix, name: str = "X", dtype: Any = None, like: Rows | None = None
    ) -> None:
        if like is not None:
            X, _ = as_container(function, X, name, like.dtype)
            if sp.issparse(X) and not like.sparse:  # scipy trusts indices, and would write past arrays
                X = Rows(function, X, name).array
            X = _stored_like(like, X)
        array, self.storage = as_container(function, X, name, dtype)
        context = call(function)
        core = backend().prepare(context, to_core(array), self.storage, name)
        if core is None:  # CSR whose columns are not sorted, or occur twice
            array = array.copy()
            array.has_canonical_format = array.has_sorted_indices = False  # do not trust what is cached
            array.sum_duplicates()
            core = backend().prepare(context, to_core(array), self.storage, name)
        self.array: Matrix = array
        self.core: Any = core
        self.sparse: bool = sp.issparse(array)
        self.shape: tuple[int, int] = array.shape
        self.dtype: np.dtype[Any] = np.dtype(np.float32) if self.storage else array.dtype
        self._name = name

    def __getstate__(self) -> dict[str, Any]:
        """What is stored; the core measures it anew where it is loaded."""
        return {name: value for name, value in self.__dict__.items() if name != "core"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state
        self.core = backend().prepare(call("Rows"), to_core(self.array), self.storage, self._name)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, indices: Any) -> Matrix:
        """Copies of rows, in the container of X; half precision as float32."""
        part = self.array[indices]
        return widen(np.ascontiguousarray(part), self.storage) if self.storage else part

    @property
    def numbers(self) -> Matrix:
        """All rows as float32 or float64: those that came in, or a copy of half precision."""
        return self[:] if self.storage else self.array

    @property
    def entries(self) -> int:
        """Stored numbers."""
        return int(self.array.nnz if self.sparse else self.array.size)

    def as_type(self, function: str, dtype: Any) -> Rows:
        """The same rows as float32 or float64; these themselves where they are so."""
        if self.dtype == dtype:
            return self
        return Rows(function, self.numbers, self._name, dtype)

    def blocks(self, n_threads: int | None = None) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Dense rows one block at a time, as float32 or float64.

        For half precision, memory-mapped rows, and more than memory holds. The grid of blocks depends on
        shape and type alone, so sums over blocks do not depend on threads.
        """
        n, d = self.shape
        step = max(64, BLOCK_BYTES // (self.dtype.itemsize * d) // 64 * 64)
        for first in range(0, n, step):
            part = slice(first, min(first + step, n))
            yield part, widen(self.array[part], self.storage, n_threads)


def row_weights(
    function: str, sample_weight: Any, rows: Rows, metric: str = "euclidean"
) -> NDArray[np.float64] | None:
    """:func:`latom._base.arrays.as_weights` for rows whose weighted squared distances stay within float64."""
    return weights_of(function, sample_weight, len(rows), metric, lambda: longest_row(function, rows))


def longest_row(function: str, rows: Rows) -> float:
    """The length of the longest row."""
    return float(np.sqrt(rows.core.norm2(call(function)).max()))


def weights_of(
    function: str, sample_weight: Any, n: int, metric: str, length: Callable[[], float]
) -> NDArray[np.float64] | None:
    """:func:`row_weights` of n rows; length gives that of the longest, which is asked for where it counts."""
    weights = as_weights(function, sample_weight, n)
    heaviest = 1.0 if weights is None or metric == "cosine" else weights.max()
    if 1e-8 <= heaviest <= 1e8:
        return weights  # squares are at most 1e290
    longest = length()
    if longest and not 1e-145 <= np.sqrt(heaviest) * longest <= 1e145:
        raise ValueError(
            f"{function}: sample_weight must be within [1e-290, 1e290] times squared lengths of rows; got "
            f"{heaviest:.3g}, with a length of {longest:.3g}. Divide the weights by their mean, or scale X."
        )
    return weights


def _stored_like(like: Rows, array: Matrix) -> Matrix:
    """The matrix in the container of other rows: dense, or CSR of the same index width."""
    if not like.sparse:
        return np.ascontiguousarray(array.toarray()) if sp.issparse(array) else array
    matrix = sp.csr_array(array)
    width = like.array.indices.dtype
    if matrix.indices.dtype != width:
        matrix.indices, matrix.indptr = matrix.indices.astype(width), matrix.indptr.astype(width)
    return matrix

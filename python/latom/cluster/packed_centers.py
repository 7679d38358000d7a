"""Centers that rows are compared with again and again: what a fitted estimator keeps of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import Matrix
from latom._base.backend import backend, call
from latom._base.rows import Rows
from latom.cluster.assign import assign_rows

# Many rows of few columns are assigned faster by the pass that Lloyd's steps make; by measurement.
FEW_COLUMNS, FEW_ROWS, FEW_NUMBERS = 64, 512, 1 << 14


class PackedCenters:
    """A copy of centers, packed for dense rows of either float type when first asked for.

    Answers are those of :func:`latom.assign`, bit for bit. Threads may share it.
    """

    def __init__(self, centers: Matrix, metric: str) -> None:
        self._centers = centers.copy()
        self._metric = metric
        self._indexes: dict[Any, Any] = {}  # by number type
        self._distances: dict[Any, Any] = {}  # by number type, and whether rows are dense

    def holds(self, centers: Matrix) -> bool:
        """Whether these are still the centers, though someone may have written into them."""
        own = self._centers
        if not sp.issparse(own):
            return np.array_equal(own, centers)
        parts = ("indptr", "indices", "data")
        return all(np.array_equal(getattr(own, part), getattr(centers, part)) for part in parts)

    def assign(
        self, function: str, rows: Rows, n_threads: int | None
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """:func:`latom.assign` with these centers."""
        (n, d), m = rows.shape, self._centers.shape[0]
        many_of_few = d <= FEW_COLUMNS and n >= FEW_ROWS and m * d <= FEW_NUMBERS
        if rows.sparse or many_of_few:
            return assign_rows(function, rows, self._centers, self._metric, n_threads)
        single = rows.dtype == self._centers.dtype == np.float32
        dtype = np.float32 if single else np.float64  # no value is rounded on the way in
        context = call(function, n_threads)
        labels, scores = self._index(context, dtype).nearest(context, rows.as_type(function, dtype).core)
        return labels, scores

    def distances(self, function: str, rows: Rows, n_threads: int | None) -> NDArray[Any]:
        """1 - cosine or Euclidean distances [n, m], in the wider of the two number types."""
        context = call(function, n_threads)
        dtype = np.result_type(rows.dtype, self._centers.dtype)
        key = (dtype, rows.sparse)
        kept = self._distances.get(key)
        if kept is None:
            centers = self._centers
            if sp.issparse(centers) and not rows.sparse:
                centers = centers.toarray()
            made = backend().CenterDistances(
                context, Rows(function, centers, "centers", dtype).core, self._metric
            )
            kept = self._distances.setdefault(key, made)
        found: NDArray[Any] = kept.run(context, rows.as_type(function, dtype).core)
        return found

    def _index(self, context: Any, dtype: Any) -> Any:
        """The core's index of the centers, one for all threads: it packs them once."""
        index = self._indexes.get(dtype)
        if index is None:
            centers = Rows(context.function, self._centers, "centers").numbers
            dense = centers.toarray() if sp.issparse(centers) else centers
            made = backend().AtomIndex(context, dense.astype(dtype, copy=False), None, self._metric)
            made.pack(context)
            index = self._indexes.setdefault(dtype, made)
        return index

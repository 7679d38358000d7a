"""Centers that rows are compared with again and again: what a fitted estimator keeps of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import Matrix
from latom._base.backend import backend, call
from latom._base.device import Place
from latom._base.device_csr import DeviceCsrCenters
from latom._base.device_select import DeviceAtoms
from latom._base.rows import Rows
from latom.cluster.assign import assign_rows

# Many rows of few columns are assigned faster by the pass that Lloyd's steps make; by measurement.
FEW_COLUMNS, FEW_ROWS, FEW_NUMBERS = 64, 512, 1 << 14
# CSR rows are scored with all centers where these are few, or the rows too few to make an index of centers
# for; up to so many bytes of centers by columns.
FEW_CENTERS, MOST_BYTES = 144, 1 << 28


class PackedCenters:
    """A copy of centers, packed for rows of either float type when first asked for.

    Answers are those of :func:`latom.assign`, bit for bit. Threads may share it.
    """

    def __init__(self, centers: Matrix, metric: str) -> None:
        self._centers = Rows("centers", centers, "cluster_centers_").numbers.copy()
        self._metric = metric
        self._indexes: dict[Any, Any] = {}  # by number type
        self._distances: dict[Any, Any] = {}  # by number type, and whether rows are CSR

    def holds(self, centers: Matrix, n_threads: int | None) -> bool:
        """Whether these are still the centers, though someone may have written into them."""
        own = self._centers
        if not sp.issparse(own):
            return _same(own, centers, n_threads)
        parts = ("indptr", "indices", "data")
        return sp.issparse(centers) and all(
            _same(getattr(own, part), getattr(centers, part), n_threads) for part in parts
        )

    def assign(
        self, function: str, rows: Rows, n_threads: int | None, scores: bool = True
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """:func:`latom.assign` with these centers; scores may be empty where they are not asked for."""
        (n, d), m = rows.shape, self._centers.shape[0]
        context = call(function, n_threads)
        dtype = np.result_type(rows.dtype, self._centers.dtype)  # no value is rounded on the way in
        if rows.sparse:
            packs = m <= FEW_CENTERS or n <= m
            if packs and m * d * dtype.itemsize <= MOST_BYTES:
                core = rows.as_type(function, dtype).core
                labels, found = self._to_centers(context, dtype, True).nearest(context, core)
                return labels, found
        elif d > FEW_COLUMNS or n < FEW_ROWS or m * d > FEW_NUMBERS:
            core = rows.as_type(function, dtype).core
            labels, found = self._index(context, dtype).nearest(context, core, scores)
            return labels, found
        return assign_rows(function, rows, self._centers, self._metric, n_threads)

    def on_device(self, function: str, place: Place, dtype: Any, sparse: bool = False) -> Any:
        """The centers on a GPU, for rows of a type, dense or CSR; they stay there for the next call."""
        wide = np.dtype(np.result_type(dtype, self._centers.dtype))
        key = (place.module, place.ordinal, wide, sparse)
        made = self._indexes.get(key)
        if made is None:
            centers, metric, name = self._centers, self._metric, "cluster_centers_"
            if sparse:
                made = DeviceCsrCenters(function, place, centers, metric, wide, name)
            else:
                dense = centers.toarray() if sp.issparse(centers) else centers
                made = DeviceAtoms(function, place, dense, metric, None, wide, name)
            made = self._indexes.setdefault(key, made)
        return made.at(place)

    def distances(self, function: str, rows: Rows, n_threads: int | None) -> NDArray[Any]:
        """1 - cosine or Euclidean distances [n, m], in the wider of the two number types."""
        context = call(function, n_threads)
        dtype = np.result_type(rows.dtype, self._centers.dtype)
        core = rows.as_type(function, dtype).core
        found: NDArray[Any] = self._to_centers(context, dtype, rows.sparse).run(context, core)
        return found

    def _to_centers(self, context: Any, dtype: Any, sparse: bool) -> Any:
        """The core's tiles of centers, one for all threads, for dense or CSR rows."""
        made = self._distances.get((dtype, sparse))
        if made is None:
            centers = self._centers.toarray() if sp.issparse(self._centers) and not sparse else self._centers
            core = Rows(context.function, centers, "centers", dtype).core
            made = backend().CenterDistances(context, core, self._metric)
            made = self._distances.setdefault((dtype, sparse), made)
        return made

    def _index(self, context: Any, dtype: Any) -> Any:
        """The core's index of the centers, one for all threads: it packs them once."""
        index = self._indexes.get(dtype)
        if index is None:
            centers = self._centers
            dense = centers.toarray() if sp.issparse(centers) else centers
            made = backend().AtomIndex(context, dense.astype(dtype, copy=False), None, self._metric)
            made.pack(context)
            index = self._indexes.setdefault(dtype, made)
        return index


def _same(own: NDArray[Any], given: Any, n_threads: int | None) -> bool:
    """Whether a given array still is what own is a copy of."""
    if (
        type(given) is np.ndarray
        and given.dtype == own.dtype
        and given.flags.c_contiguous
        and given.flags.aligned
    ):
        return given.shape == own.shape and bool(
            backend().same_bytes(call("same_bytes", n_threads), own, given)
        )
    return np.array_equal(own, given)

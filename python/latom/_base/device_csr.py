"""CSR on a GPU: rows that lie there or come block by block, and the nearest of sparse centers."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base import device_rows
from latom._base.arrays import Matrix
from latom._base.backend import call
from latom._base.device import Place
from latom._base.device_rows import each_block
from latom._base.device_select import METRICS
from latom._base.rows import Rows

CHUNK_ROWS = 1 << 17  # whose candidates the GPU lists, 128 MiB
SLAB_BYTES = 512 << 20  # of some 2000 centers that it lays out by columns, of up to 130 000 columns
SLICE = 256  # centers that a row looks at together: kSlice of csrc/cuda/csr_slab.cuh


@dataclass(frozen=True)
class CsrBlock:
    """Rows [first, first + count), and where on the device their parts lie."""

    first: int
    count: int
    begin: int
    column: int
    value: int
    norm2: int


class DeviceCsr:
    """Rows in CSR for the kernels of a GPU, with their squared lengths.

    They lie in the memory of the CPU and come in blocks through pinned memory: while one is at work, the next
    is on its way. :meth:`settle_if_small` keeps them on the device.

    Parameters
    ----------
    function : str
        The name that messages give.
    place : Place
    rows : Rows
        In CSR.
    """

    resident = False  # results are arrays of numpy, as the rows are

    def __init__(self, function: str, place: Place, rows: Rows) -> None:
        self.place, self.shape, self.dtype = place, rows.shape, rows.dtype
        self._array = rows.array
        self._norm2: NDArray[np.float64] = rows.core.norm2(call(function))
        starts = np.asarray(rows.array.indptr, np.int64)
        each = 12 + rows.dtype.itemsize  # more than a row's own 16 bytes, and those of an entry, together
        size = (starts - starts[0]) * each + 16 * np.arange(len(starts))
        cuts, n = [0], len(rows)
        while cuts[-1] < n:
            end = int(np.searchsorted(size, size[cuts[-1]] + device_rows.BLOCK_BYTES, "right")) - 1
            cuts.append(max(end, cuts[-1] + 1))
        self._cuts, self._starts = cuts, starts
        self._kept: list[Any] = []
        self._feed: Any = None

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def block_rows(self) -> int:
        """Rows of the largest block."""
        return len(self) if self._kept else int(np.diff(self._cuts).max())

    @property
    def feed(self) -> Any:
        """What brings the blocks of rows of the host."""
        if self._feed is None:
            room, place = max(self._offsets(*pair)[-1] for pair in self._pairs), self.place
            self._feed = place.make(2 * room, lambda: place.module.RowFeed(room, place.ordinal))
        return self._feed

    @property
    def bytes(self) -> int:
        """Of all rows on the device."""
        return int(16 * (len(self) + 1) + (self._starts[-1] - self._starts[0]) * (4 + self.dtype.itemsize))

    def settle_if_small(self) -> None:
        """Brings all rows to the device where they take at most half of what is free there."""
        if self.bytes <= self.place.module.memory_info(self.place.ordinal)[0] // 2:
            self._keep()

    def blocks(self) -> Iterator[CsrBlock]:
        """All rows, block by block.

        What is queued on the place's stream before the next is asked for may read a block; the next is being
        copied meanwhile.
        """
        if len(self._cuts) == 2 and not self._kept:
            self._keep()
        if self._kept:
            yield CsrBlock(0, len(self), *(part.memory.pointer for part in self._kept))
            return
        place, pairs, feed = self.place, self._pairs, self.feed
        slot = feed.put(self._packed(*pairs[0]))
        for turn, (first, end) in enumerate(pairs):
            at = feed.use(slot, place.stream)
            begin, norm2, column, value, _ = (at + offset for offset in self._offsets(first, end))
            yield CsrBlock(first, end - first, begin, column, value, norm2)
            feed.done(slot, place.stream)
            if turn + 1 < len(pairs):
                slot = feed.put(self._packed(*pairs[turn + 1]))

    @property
    def _pairs(self) -> list[tuple[int, int]]:
        """First row, and the one after the last, of each block."""
        return list(zip(self._cuts, self._cuts[1:], strict=False))

    def _keep(self) -> None:
        self._kept = [self.place.upload(part) for part in self._parts(0, len(self))]

    def _parts(self, first: int, end: int) -> tuple[NDArray[Any], ...]:
        """begin, column, value and squared lengths of some rows."""
        low, high = self._starts[first], self._starts[end]
        column = np.ascontiguousarray(self._array.indices[low:high], np.int32)
        value = np.ascontiguousarray(self._array.data[low:high])
        return self._starts[first : end + 1] - low, column, value, self._norm2[first:end]

    def _offsets(self, first: int, end: int) -> tuple[int, ...]:
        """Where begin, squared lengths, column and value of a block lie, by 8 bytes; the bytes of all."""
        entries, n = int(self._starts[end] - self._starts[first]), end - first
        column, value = 16 * n + 8, 16 * n + 8 + (4 * entries + 7) // 8 * 8
        return 0, 8 * n + 8, column, value, value + entries * self.dtype.itemsize

    def _packed(self, first: int, end: int) -> NDArray[np.uint8]:
        """The parts of a block, one after the other."""
        begin, column, value, norm2 = self._parts(first, end)
        offsets = self._offsets(first, end)
        packed = np.empty(offsets[-1], np.uint8)
        for at, part in zip(offsets, (begin, norm2, column, value), strict=False):
            packed[at : at + part.nbytes] = part.view(np.uint8)
        return packed


class DeviceCsrCenters:
    """Sparse centers that are prepared once and searched by any number of calls.

    Parameters
    ----------
    function : str
        The name that messages give.
    place : Place
    centers : array or CSR of shape (m, d)
        Of the CPU.
    metric : {"cosine", "euclidean"}
    dtype : dtype
        float32 or float64, to compute in.
    name : str
        What messages call the centers.
    """

    def __init__(
        self, function: str, place: Place, centers: Matrix, metric: str, dtype: Any, name: str = "centers"
    ) -> None:
        given = Rows(function, centers, name, dtype)
        given.core.norm2(call(function))  # refuses what no algorithm can use
        array = sp.csr_array(given.array)
        if not array.data.all():
            array = array.copy()
            array.eliminate_zeros()  # lengths are sums over what is not 0
        self.place, self.shape, self.dtype = place, given.shape, given.dtype
        (m, d), entries = given.shape, len(array.data)
        parts = np.asarray(array.indptr, np.int64), array.indices.astype(np.int32, copy=False), array.data
        self._parts = [place.upload(np.ascontiguousarray(part)) for part in parts]
        kind = getattr(place.module, "CsrCentersf32" if self.dtype == np.float32 else "CsrCentersf64")
        pointers = [part.memory.pointer for part in self._parts]
        self._made = place.make(
            kind.bytes(m, entries),
            lambda: kind(*pointers, m, d, entries, METRICS.index(metric), place.ordinal, place.stream),
        )

    def __len__(self) -> int:
        return self.shape[0]

    def at(self, place: Place) -> DeviceCsrCenters:
        """The same centers for another call; rows in CSR come from the CPU, and run on its stream."""
        other = copy.copy(self)
        other.place = place
        return other

    def nearest(self, X: DeviceCsr, scores: bool = True) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """(labels, scores) of the nearest center of each row, as k-means has them."""
        columns = [((), np.int32), ((), np.float64)][: 1 + scores]
        workspace = self._workspace(X.block_rows)

        def launch(block: CsrBlock, out: list[int]) -> Any:
            return self._made.nearest(
                *(block.begin, block.column, block.value, block.norm2, block.count),
                *(out[0], out[1] if scores else 0, CHUNK_ROWS, SLAB_BYTES, workspace, self.place.stream),
            )

        found = each_block(X, columns, launch, lambda block, report: None)
        return found[0], found[1] if scores else np.empty(0)

    def improve(
        self, X: DeviceCsr, plan: tuple[NDArray[Any], ...]
    ) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]:
        """(labels, scores, others) of a plan: the best center of what each row looks at, its score by the
        rule that centers rank by, and what no other of them scores above.

        plan: order, widths, labels and scores of SearchPlan in csrc/include/latom/cluster.h.
        """
        order, width, labels, own = plan
        found = labels.copy(), own.copy(), np.zeros(len(own))
        there, before = self.place.upload(order), None
        for block in X.blocks():
            if before is not None:
                before.fetch(found)  # while the next block is on its way
            before = self._queue(block, there, width, labels, own)
        if before is not None:
            before.fetch(found)
        return found

    def _queue(self, block: CsrBlock, order: Any, width: Any, labels: Any, own: Any) -> _Improving | None:
        """Begins what :meth:`improve` does of a block."""
        slices = -(-width[block.first : block.first + block.count] // SLICE)
        rows = np.flatnonzero(slices)
        if not len(rows):
            return None
        key = slices.max() - slices[rows]
        falling = np.argsort(key.astype(np.min_scalar_type(int(key.max()))), kind="stable")  # by width
        rows = rows[falling]
        wide, all_rows = np.minimum(slices[rows] * SLICE, len(self)).astype(np.int32), rows + block.first
        place = self.place
        given = [rows.astype(np.int32), wide, labels[all_rows], own[all_rows]]
        which, widths, known, known_own = (place.upload(part) for part in given)
        out = [place.memory(len(rows) * size) for size in (4, 8, 8)]
        workspace = self._workspace(len(rows))
        report = self._made.improve(
            *(block.begin, block.column, block.value, block.norm2, order.memory.pointer),
            *(which.memory.pointer, widths.memory.pointer, wide),
            *(known.memory.pointer, known_own.memory.pointer, *(memory.pointer for memory in out)),
            *(CHUNK_ROWS, SLAB_BYTES, workspace, place.stream),
        )
        return _Improving(place, all_rows, report, out, [which, widths, known, known_own, workspace])

    def _workspace(self, rows: int) -> Any:
        size = self.place.module.csr_nearest_bytes(rows, self.shape[1], len(self), CHUNK_ROWS, SLAB_BYTES)
        return self.place.memory(size)


@dataclass(frozen=True)
class _Improving:
    """A block at work, and what must stay until it is done."""

    place: Place
    rows: NDArray[np.int64]
    report: Any
    out: list[Any]
    kept: list[Any]

    def fetch(self, found: tuple[NDArray[Any], ...]) -> None:
        """Waits, and writes what has been found of the rows."""
        self.report.wait()
        for memory, array in zip(self.out, found, strict=True):
            part = np.empty(len(self.rows), array.dtype)
            memory.read(part, self.place.stream)
            array[self.rows] = part

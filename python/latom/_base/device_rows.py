"""Rows on a GPU: those that lie there, and those of the host, which come block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from latom._base.arrays import as_container, widen
from latom._base.device import Place, as_device_rows, device_dtype, lies_on_gpu, pointer_of
from latom._base.foreign import refuse_sparse
from latom._base.rows import Rows

BLOCK_BYTES = 64 << 20  # of rows that come from the host: two blocks are on the GPU, and two in pinned memory


@dataclass(frozen=True)
class Block:
    """Rows [first, first + count), where they lie on the device."""

    first: int
    count: int
    pointer: int


class DeviceRows:
    """Dense rows for the kernels of a GPU.

    Rows that lie on the device stay in place. Rows of the host come in blocks through pinned memory: while
    one is at work, the next is on its way. So X may be larger than the device.

    Parameters
    ----------
    function : str
        The name that messages give.
    place : Place
    X : array, or Rows
    name : str
        What messages call X.
    dtype : dtype, optional
        float32 or float64, to compute in; None takes that of X.
    """

    def __init__(self, function: str, place: Place, X: Any, name: str = "X", dtype: Any = None) -> None:
        self.place = place
        self._owner: Any = None
        self._feed: Any = None
        self._pointer: int | None = None
        if not isinstance(X, Rows) and lies_on_gpu(X):
            self._pointer, self._owner, found = as_device_rows(function, X, name, dtype)
            self.dtype, self.shape = np.dtype(found), tuple(int(extent) for extent in self._owner.shape)
            return
        if isinstance(X, Rows):
            self._host, self._storage = X.array, X.storage
        else:
            refuse_sparse(function, X, name)
            self._host, self._storage = as_container(function, X, name)
        self.shape = self._host.shape
        self.dtype = np.dtype(dtype or (np.float32 if self._storage else self._host.dtype))

    def __len__(self) -> int:
        return int(self.shape[0])

    @property
    def resident(self) -> bool:
        """Whether all rows lie on the device."""
        return self._pointer is not None

    @property
    def bytes(self) -> int:
        """Of all rows on the device."""
        return int(self.shape[0] * self.shape[1] * self.dtype.itemsize)

    def settle(self) -> int:
        """Where all rows lie on the device, which they are copied to for it."""
        if self._pointer is None:
            self._owner = self.place.upload(self._part(0, len(self)))
            self._pointer = int(self._owner.memory.pointer)
        return self._pointer

    def settle_if_small(self) -> None:
        """Brings all rows to the device where they take at most half of what is free there."""
        if self.bytes <= self.place.module.memory_info(self.place.ordinal)[0] // 2:
            self.settle()

    def to_numpy(self) -> Any:
        """A copy of all rows, from the device once they have been brought there."""
        if self._pointer is None:
            return self._part(0, len(self)).copy()
        out = np.empty(self.shape, self.dtype)
        self.place.module.copy_out(self._pointer, out, self.place.ordinal, self.place.stream)
        return out

    @property
    def block_rows(self) -> int:
        """Rows of a block; the last may have fewer."""
        if self.resident:
            return len(self)
        return min(len(self), max(64, BLOCK_BYTES // int(self.dtype.itemsize * self.shape[1])))

    @property
    def feed(self) -> Any:
        """What brings the blocks of rows of the host."""
        if self._feed is None:
            size = self.block_rows * self.shape[1] * self.dtype.itemsize
            self._feed = self.place.make(
                2 * size, lambda: self.place.module.RowFeed(size, self.place.ordinal)
            )
        return self._feed

    def blocks(self) -> Iterator[Block]:
        """All rows, block by block.

        What is queued on the place's stream before the next is asked for may read a block; the next is being
        copied meanwhile.
        """
        n, step, place = len(self), self.block_rows, self.place
        if self._pointer is not None or step == n:
            yield Block(0, n, self._pointer if self._pointer is not None else self._once())
            return
        feed = self.feed
        slot = feed.put(self._part(0, step))
        for first in range(0, n, step):
            count = min(step, n - first)
            yield Block(first, count, feed.use(slot, place.stream))
            feed.done(slot, place.stream)
            if first + step < n:
                slot = feed.put(self._part(first + step, min(step, n - first - step)))

    def _once(self) -> int:
        self._owner = self.place.upload(self._part(0, len(self)))
        return int(self._owner.memory.pointer)

    def _part(self, first: int, count: int) -> Any:
        part = widen(self._host[first : first + count], self._storage)
        return np.require(part, self.dtype, ["C", "A"])


class BlockwiseRows(Protocol):
    """Rows that come to a device block by block."""

    place: Place

    def __len__(self) -> int: ...
    @property
    def resident(self) -> bool: ...
    @property
    def block_rows(self) -> int: ...
    @property
    def feed(self) -> Any: ...
    def blocks(self) -> Iterator[Any]: ...


def common_dtype(*arrays: Any) -> np.dtype[Any]:
    """float32 where no array needs more."""
    kinds = {X.dtype if isinstance(X, (Rows, DeviceRows)) else device_dtype(X) for X in arrays}
    return np.dtype(np.float32 if kinds == {np.dtype(np.float32)} else np.float64)


def each_block(
    rows: BlockwiseRows,
    columns: Sequence[tuple[tuple[int, ...], Any]],
    launch: Callable[[Any, list[int]], Any],
    check: Callable[[Any, tuple[int, ...]], None],
) -> list[Any]:
    """What launch writes for the rows, one array per entry of columns, in the library of the rows.

    Parameters
    ----------
    rows : DeviceRows or DeviceCsr
    columns : list of (shape, dtype)
        Of what is written for a row.
    launch : callable
        Of a block and pointers to write its rows to: queues, and returns a report with ``wait()``.
    check : callable
        Of a block and what its report says.
    """
    place, n = rows.place, len(rows)
    if rows.resident:
        made = [place.empty((n, *shape), dtype) for shape, dtype in columns]
        for block in rows.blocks():
            check(block, launch(block, [pointer_of(array) for array in made]).wait())
        return made
    arrays = [np.empty((n, *shape), dtype) for shape, dtype in columns]
    size = rows.block_rows
    turns = [
        [place.memory(size * int(np.prod(shape)) * np.dtype(dtype).itemsize) for shape, dtype in columns]
        for _ in range(1 if size == n else 2)
    ]
    side = place.stream if size == n else rows.feed.stream
    before: tuple[Any, Any, list[Any]] | None = None

    def fetch(done: tuple[Any, Any, list[Any]]) -> None:
        part = slice(done[0].first, done[0].first + done[0].count)
        for memory, array in zip(done[2], arrays, strict=True):
            memory.read(array[part], side)

    for turn, block in enumerate(rows.blocks()):
        if before is not None:
            check(before[0], before[1].wait())
        own = turns[turn % len(turns)]
        report = launch(block, [memory.pointer for memory in own])
        if before is not None:
            fetch(before)  # while this block is at work
        before = block, report, own
    assert before is not None
    check(before[0], before[1].wait())
    fetch(before)
    return arrays

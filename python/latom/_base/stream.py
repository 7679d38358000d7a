"""Rows that need not fit in memory: files, memory-mapped arrays, or blocks that can be iterated again."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import Matrix
from latom._base.checks import check_integer, shown
from latom._base.csr import checked_csr
from latom._base.sparse_tensor import as_scipy

BLOCK_BYTES = 64 << 20
SUFFIXES = (".npy", ".npz", ".parquet", ".arrow", ".feather")


class Stream:
    """Rows that are read block by block, as often as an algorithm asks for them.

    Pass it to ``fit`` of :class:`SphericalKMeans` or :class:`KMeans` in place of X: each iteration reads all
    blocks once, and memory holds the centers, their sums, some 40 bytes per row and a few blocks. Or pass it
    to ``fit`` of :class:`MiniBatchKMeans` or :class:`MiniBatchSphericalKMeans`. Files must stay as they are
    meanwhile. ``predict``, ``transform`` and ``score`` of k-means estimators and :func:`assign` take it as
    well: they read each block once, and give what they give for all rows in memory.

    Parameters
    ----------
    source : path, array, CSR, or iterable
        A file or a folder of files, in order of their names: ``.npy`` (dense, C order), ``.npz`` of
        :func:`scipy.sparse.save_npz` (each file is a block), ``.parquet``, ``.arrow`` and ``.feather`` (by
        row groups and record batches; needs pyarrow; numeric columns, or one column of lists of one length).
        Or an array, such as ``numpy.memmap``. Or an iterable whose every ``iter()`` yields the same blocks,
        dense or CSR, of one number of columns; a generator is none.
    block_rows : int, optional
        Rows per block of arrays and ``.npy`` files; None takes blocks of some 64 MiB. The result does not
        depend on it.
    checkpoint : path, optional
        A file that holds the state of a fit after each iteration, written whole and renamed in place. Where
        it exists, a fit goes on from it, to the same bits; it is removed when the fit is done.

    Raises
    ------
    ValueError
        If the source does not exist, is an array that is not 2-d, or an iterable that can be read only once;
        while it is read, if a file is broken.

    Examples
    --------
    >>> import numpy as np, latom
    >>> X = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    >>> streamed = latom.KMeans(3, init=X[:3]).fit(latom.Stream(X, block_rows=64))
    >>> whole = latom.KMeans(3, init=X[:3]).fit(X)
    >>> bool((streamed.cluster_centers_ == whole.cluster_centers_).all())
    True
    """

    def __init__(self, source: Any, *, block_rows: int | None = None, checkpoint: Any = None) -> None:
        if block_rows is not None:
            block_rows = check_integer("Stream", "block_rows", block_rows)
        source = as_scipy("Stream", source, "source")
        self.source, self.block_rows, self.checkpoint = source, block_rows, checkpoint
        self._rows = source
        if isinstance(source, (str, os.PathLike)):
            self._files = _files(Path(source))
        elif sp.issparse(source):
            self._rows = checked_csr("Stream", source, "source")  # scipy's slices trust what they cut
        elif isinstance(source, np.ndarray):
            if source.ndim != 2:
                raise ValueError(f"Stream: source must be 2-d; got shape {source.shape}. Reshape it.")
        elif not hasattr(source, "__iter__") or iter(source) is source:
            raise ValueError(
                f"Stream: source must be a path, an array, or iterable more than once; got "
                f"{type(source).__name__}. Pass an object whose __iter__ starts anew."
            )

    def __iter__(self) -> Iterator[Matrix]:
        if isinstance(self.source, (str, os.PathLike)):
            for file in self._files:
                yield from _told(file, self._numbers(file) if file.suffix == ".npy" else _ahead(_read(file)))
        elif isinstance(self.source, np.ndarray) or sp.issparse(self.source):
            yield from self._slices(self._rows)
        else:
            yield from self.source

    def rows_at(self, numbers: NDArray[np.int64]) -> Matrix | None:
        """Rows by their numbers, in that order; None where only a pass over all blocks finds them."""
        if isinstance(self.source, np.ndarray) or sp.issparse(self.source):
            return self.source[numbers]
        if not isinstance(self.source, (str, os.PathLike)) or any(f.suffix != ".npy" for f in self._files):
            return None
        maps = [np.load(file, mmap_mode="r") for file in self._files]
        begin = np.cumsum([0, *(len(rows) for rows in maps)])
        file = np.searchsorted(begin, numbers, side="right") - 1
        found = np.empty((len(numbers), maps[0].shape[1]), np.result_type(*maps))
        for k, rows in enumerate(maps):
            at = np.flatnonzero(file == k)
            found[at] = rows[numbers[at] - begin[k]]
        return found

    def _step(self, d: int, itemsize: int) -> int:
        return self.block_rows or max(64, BLOCK_BYTES // max(1, itemsize * d) // 64 * 64)

    def _slices(self, array: Any) -> Iterator[Matrix]:
        n, d = array.shape
        dense = not sp.issparse(array)
        step = self._step(d if dense else max(1, array.nnz // max(1, n)), 8 if not dense else array.itemsize)
        for first in range(0, n, step):
            part = array[first : first + step]
            yield np.asarray(part) if dense else part

    def _numbers(self, file: Path) -> Iterator[Matrix]:
        """Blocks of a .npy file, mapped one by one: the system reads the next while one is at work."""
        mapped = np.lib.format.open_memmap(file, mode="r")
        if mapped.ndim != 2 or not mapped.flags.c_contiguous:
            raise ValueError(
                f"Stream: {file.name} must hold a 2-d array in C order; got shape {mapped.shape}. Save "
                "numpy.ascontiguousarray of it."
            )
        (n, d), dtype, offset = mapped.shape, mapped.dtype, getattr(mapped, "offset", 0)
        del mapped
        step = self._step(d, dtype.itemsize)
        with open(file, "rb") as stream:
            following = None
            for first in range(0, n, step):
                block = following
                if block is None:
                    block = _window(stream, offset, min(step, n), d, dtype)
                at, rows = first + step, min(step, n - first - step)
                if rows > 0:
                    following = _window(stream, offset + at * d * dtype.itemsize, rows, d, dtype)
                yield block


def in_blocks(function: str, stream: Stream, of_rows: Callable[[Matrix], Any]) -> list[Any]:
    """What a function of rows gives for each block of a stream; blocks without rows are passed over."""
    found = [of_rows(block) for block in stream if 0 not in getattr(block, "shape", ())[:1]]
    if not found:
        raise ValueError(f"{function}: X must have rows; got a Stream without. Pass a source that has some.")
    return found


def _told(file: Path, blocks: Iterator[Matrix]) -> Iterator[Matrix]:
    """The same blocks; what a reader of a format raises, which may be anything, becomes one error."""
    try:
        yield from blocks
    except ImportError:
        raise
    except Exception as error:
        if str(error).startswith("Stream: "):  # one of ours
            raise
        reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
        raise ValueError(
            f"Stream: {file.name} must be a file that can be read; got {reason}. Write it again."
        ) from error


def _window(file: Any, offset: int, rows: int, d: int, dtype: np.dtype[Any]) -> Matrix:
    """Rows of a file as an array that maps them, whose reading begins."""
    before = offset % mmap.ALLOCATIONGRANULARITY
    window = mmap.mmap(
        file.fileno(), before + rows * d * dtype.itemsize, access=mmap.ACCESS_READ, offset=offset - before
    )
    if hasattr(mmap, "MADV_WILLNEED"):
        window.madvise(mmap.MADV_WILLNEED)
    return np.frombuffer(window, dtype, rows * d, before).reshape(rows, d)


def _ahead(blocks: Iterator[Matrix]) -> Iterator[Matrix]:
    """The same blocks; a thread reads the next while one is at work."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = pool.submit(next, blocks, None)
            yield block


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES)
    else:
        files = [path] if path.exists() else []
    if not files or any(p.suffix not in SUFFIXES for p in files):
        raise ValueError(
            f"Stream: source must be a file or folder of {', '.join(SUFFIXES)}; got {shown(str(path))}. Pass "
            "one that exists."
        )
    return files


def _read(file: Path) -> Iterator[Matrix]:
    """Blocks of a file of compressed rows or of a table."""
    if file.suffix == ".npz":
        with file.open("rb") as stream:
            yield sp.load_npz(stream)  # of any format, checked before it is converted
        return
    import pyarrow as pa

    if file.suffix == ".parquet":
        import pyarrow.parquet as pq

        table = pq.ParquetFile(file)
        for group in range(table.num_row_groups):
            yield _matrix(table.read_row_group(group))
        return
    with pa.memory_map(str(file)) as source:
        reader = pa.ipc.open_file(source)
        for batch in range(reader.num_record_batches):
            yield _matrix(pa.Table.from_batches([reader.get_batch(batch)]))


def _matrix(table: Any) -> Matrix:
    """Numeric columns side by side, or one column of lists as rows."""
    import pyarrow as pa

    first = table.column(0)
    if table.num_columns == 1 and (pa.types.is_fixed_size_list(first.type) or pa.types.is_list(first.type)):
        flat = np.asarray(first.combine_chunks().flatten())
        return np.ascontiguousarray(flat.reshape(table.num_rows, -1))
    columns = [np.asarray(table.column(c)) for c in range(table.num_columns)]
    return np.ascontiguousarray(np.stack(columns, axis=1))

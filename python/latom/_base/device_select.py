"""Atoms on a GPU, and the searches that families share: the k best of rows, the nearest, all above."""

from __future__ import annotations

import copy
import functools
import os
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.device import Place, pointer_of
from latom._base.device_rows import Block, DeviceRows, each_block

CHUNK_ROWS = 8192  # whose scores with a panel of atoms the GPU holds, twice 256 MiB
METRICS = ("dot", "cosine", "euclidean")
ACTIVATIONS = ("identity", "relu", "abs")


class DeviceAtoms:
    """Atoms that are prepared once and searched by any number of calls.

    Parameters
    ----------
    function : str
        The name that messages give.
    place : Place
    atoms : array or DeviceRows of shape (m, d)
    metric : {"dot", "cosine", "euclidean"}
    bias : float64 array of shape (m,), optional
        Of the CPU, or on the device.
    dtype : dtype, optional
        float32 or float64, to compute in.
    name : str
        What messages call the atoms.
    """

    def __init__(
        self,
        function: str,
        place: Place,
        atoms: Any,
        metric: str,
        bias: Any = None,
        dtype: Any = None,
        name: str = "atoms",
    ) -> None:
        rows = atoms if isinstance(atoms, DeviceRows) else DeviceRows(function, place, atoms, name, dtype)
        self.place, self.rows, self.dtype, self.metric = place, rows, rows.dtype, metric
        self._suffix = "f32" if rows.dtype == np.float32 else "f64"
        self._name, self._sound = name, False
        pointer, (m, d) = rows.settle(), rows.shape
        self._bias = place.upload(bias) if isinstance(bias, np.ndarray) else bias
        kind = getattr(place.module, "Atoms" + self._suffix)
        self._made = place.make(
            kind.bytes(m, d),
            lambda: kind(
                *(pointer, m, d, METRICS.index(metric), 0 if bias is None else pointer_of(self._bias)),
                *(place.ordinal, place.stream),
            ),
        )

    def __len__(self) -> int:
        return self.rows.shape[0]

    def at(self, place: Place) -> DeviceAtoms:
        """The same atoms for rows of another library or stream."""
        if place.stream != self.place.stream:
            self._made.bad(self.place.stream)  # waits until they have been prepared
        other = copy.copy(self)
        other.place = place
        return other

    def prepare(self) -> None:
        """Takes up what stands in the atoms now."""
        self._made.prepare(self.place.stream)

    def of(self, name: str) -> Any:
        """A function of the extension for the number type of the atoms."""
        return getattr(self.place.module, name + self._suffix)

    def topk(
        self, function: str, X: DeviceRows, k: int, activation: str = "identity"
    ) -> tuple[Any, Any, dict[str, int]]:
        """(values, indices, stats) as those of :func:`latom.topk`, in the library of X."""
        stats = {"scored": 0, "overflowed": 0}
        queue = self.queue(X, k, activation)

        def launch(block: Block, out: list[int]) -> Any:
            return queue(block, 0, out[0], out[1], 0)

        values, indices = each_block(
            X, [((k,), self.dtype), ((k,), np.int32)], launch, self._check(function, stats)
        )
        return values, indices, stats

    def nearest(self, function: str, X: DeviceRows) -> tuple[Any, Any, Any]:
        """(labels, scores, dots) of the nearest atom of each row, as k-means has them: scores in float64, and
        the products that they follow from."""
        queue, place = self.queue(X, 1, "identity"), self.place
        norm2 = place.memory(8 * X.block_rows)

        def launch(block: Block, out: list[int]) -> Any:
            report = queue(block, norm2.pointer, 0, out[0], out[2])
            self.score_nearest(out[2], out[0], norm2.pointer, block.count, out[1])
            return report

        columns = [((), np.int32), ((), np.float64), ((), np.float64)]
        labels, scores, dots = each_block(X, columns, launch, self._check(function, {}))
        return labels, scores, dots

    def score_nearest(self, dot: int, label: int, norm2: int, count: int, score: int) -> None:
        """Queues the scores of rows with their nearest atoms, from pointers to what is known of them."""
        self.of("score_nearest_")(self._made, dot, label, norm2, count, score, self.place.stream)

    def above(
        self, function: str, X: DeviceRows, thresholds: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], list[Any], list[Any]]:
        """(indptr, indices, values): all atoms above each row's threshold, the latter two in pieces."""
        place, n = self.place, len(X)
        chunk = min(CHUNK_ROWS, X.block_rows)
        workspace = place.memory(self.of("above_bytes_")(chunk, X.shape[1], len(self)))
        bars = place.memory(8 * chunk)
        indptr, indices, values = np.zeros(n + 1, np.int64), [], []
        step = X.shape[1] * self.dtype.itemsize
        check = self._check(function, {})
        for block in X.blocks():
            for first in range(0, block.count, chunk):
                count, start = min(chunk, block.count - first), block.first + first
                bars.write(np.ascontiguousarray(thresholds[start : start + count]), place.stream)
                call = (block.pointer + first * step, count, bars.pointer, workspace)
                report, found, begin = self._made.count_above(
                    *call, product_library(place.module), place.stream
                )
                check(Block(start, count, 0), report)
                own = np.empty(count + 1, np.int64)
                workspace.read(own, place.stream, begin - workspace.pointer)
                indptr[start + 1 : start + count + 1] = indptr[start] + own[1:]
                if found:
                    pair = place.empty((found,), np.int32), place.empty((found,), self.dtype)
                    self._made.write_above(*call, pointer_of(pair[1]), pointer_of(pair[0]), place.stream)
                    indices.append(place.result(pair[0]))
                    values.append(place.result(pair[1]))
        return indptr, indices, values

    def queue(self, X: DeviceRows, k: int, activation: str) -> Any:
        """What queues the search of a block; takes pointers to squared lengths, values, indices, dots."""
        place, (_, d) = self.place, X.shape
        chunk = CHUNK_ROWS
        workspace = place.memory(self.of("topk_bytes_")(X.block_rows, d, len(self), k, chunk))

        def queue(block: Block, norm2: int, values: int, indices: int, dots: int, known: bool = False) -> Any:
            return self._made.topk(
                *(block.pointer, block.count, norm2, known, ACTIVATIONS.index(activation), k),
                *(values, indices, dots, chunk, workspace, product_library(place.module), place.stream),
            )

        return queue

    def _check(self, function: str, stats: dict[str, int]) -> Any:
        def check(block: Block, report: tuple[int, ...]) -> None:
            bad, scored, overflowed, unheld = report
            if not self._sound:
                self.refuse(function, self._name, self._made.bad(self.place.stream), len(self))
                self._sound = True
            self.refuse(function, "X", bad, block.count, block.first)
            if unheld < block.count:
                raise ValueError(
                    f"{function}: X and atoms must have scores that float32 holds; got a score beyond 3.4e38."
                    " Pass X or atoms as float64."
                )
            if stats:
                stats["scored"] += scored
                stats["overflowed"] += overflowed

        return check

    @staticmethod
    def refuse(function: str, name: str, bad: int, count: int, first: int = 0) -> None:
        """The ValueError for the first row that is not acceptable, where there is one."""
        if bad < count:
            raise ValueError(
                f"{function}: {name} must hold finite numbers, in rows of length 0 or within [1e-145, "
                f"1e145]; got another in row {first + bad}. Drop or scale such rows."
            )


@functools.lru_cache(maxsize=1)
def _lt_library() -> str:
    """Where cuBLASLt is: the copy that the process has loaded, that of the wheels, or the system's."""
    if os.path.exists("/proc/self/maps"):
        with open("/proc/self/maps") as maps:
            for line in maps:
                path = line.rstrip().rpartition(" ")[2]
                if "libcublasLt.so" in path:
                    return path
    for folder in sys.path:
        for part in ("nvidia/cu13/lib", "nvidia/cublas/lib"):
            path = os.path.join(folder, part, "libcublasLt.so.13")
            if os.path.exists(path):
                return path
    return "libcublasLt.so.13"


def product_library(module: Any) -> str:
    """Where products come from; "" for the kernel of our own."""
    own = not module.has_cublaslt or os.environ.get("LATOM_CUDA_PRODUCT") == "plain"
    return "" if own else _lt_library()

"""Lloyd's steps on a GPU, with the bits of the core's: labels, objective and centers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.backend import backend, call
from latom._base.device import Place
from latom._base.device_rows import Block, DeviceRows
from latom._base.device_select import DeviceAtoms
from latom._base.rows import Rows
from latom.cluster.shards import CHUNK, pieces, relocations, total_cost, worst_rows


class DeviceLloyd:
    """The steps of the core's Lloyd (csrc/include/latom/cluster.h), dense rows on a GPU.

    Rows stay on the device where they take at most half of what is free there; else each pass streams them.
    Beside them: 48 bytes per row, the centers, 16 or 24 bytes per number of them for sums, and the workspace
    of the search (``topk_bytes`` of the extension).

    Parameters
    ----------
    name : str
        What messages call the function.
    place : Place
    rows : Rows
        All rows, in the memory of the CPU.
    there : DeviceRows
        The same, for the device.
    weights : float64 array of shape (n,), optional
    metric : {"cosine", "euclidean"}
    n_threads : int, optional
    """

    def __init__(
        self,
        name: str,
        place: Place,
        rows: Rows,
        there: DeviceRows,
        weights: NDArray[np.float64] | None,
        metric: str,
        n_threads: int | None,
    ) -> None:
        self._name, self._place, self._metric, self._threads = name, place, metric, n_threads
        self._weights, self._cosine = weights, metric == "cosine"
        self._rows = there
        n = len(rows)
        self._norm2: NDArray[np.float64] = rows.core.norm2(call(name, n_threads))
        w = np.ones(1) if weights is None else weights
        self._longest = float((w if self._cosine else w * np.sqrt(self._norm2)).max(initial=0.0))
        self._heaviest = float(w.max(initial=0.0))
        self._device_norm2 = place.upload(self._norm2).memory
        self._device_weight = None if weights is None else place.upload(weights).memory
        self._label, self._before = place.memory(4 * n), place.memory(4 * n)
        self._dot, self._score = place.memory(8 * n), place.memory(8 * n)
        self._changed, self._costs = place.memory(4), place.memory(8 * -(-n // CHUNK))
        self._squares: float | None = None
        self._queue: Any = None

    @property
    def zero_rows(self) -> int:
        """Rows of X that are zero."""
        return int((self._norm2 == 0).sum())

    def set_centers(self, centers: Any, normalize: bool) -> None:
        """Start from these centers, prepared rows of the core; normalize scales each to length 1 first."""
        made = backend().Lloyd(call(self._name, self._threads), centers, None, "euclidean")
        made.set_centers(centers, normalize)
        place, start = self._place, np.ascontiguousarray(made.centers(), self._rows.dtype)
        self._m, self._d = start.shape
        self._centers = DeviceRows(self._name, place, start, "centers")
        self._atoms = DeviceAtoms(self._name, place, self._centers, self._metric, name="centers")
        self._moved, self._queue = False, None
        kind, m, d = place.module.Sums, self._m, self._d
        self._sums = place.make(
            kind.bytes(m, d, self._longest),
            lambda: kind(*(m, d, self._cosine, self._longest, self._heaviest, place.ordinal, place.stream)),
        )
        self._shift = place.memory(8 * m)
        size = max(place.module.sums_bytes(self._rows.block_rows, m), self._atoms.of("move_bytes_")(m, d))
        self._workspace = place.memory(size)
        self._before.fill(0xFF, place.stream)  # of no cluster

    def assign(self, objective: bool = True) -> tuple[int, float, float]:
        """Rows that changed over, the objective (where it is asked for), and multiply-adds."""
        if self._moved:
            self._atoms.prepare()
            self._moved = False
        self._changed.fill(0, self._place.stream)
        if self._queue is None:
            self._queue = self._atoms.queue(self._rows, 1, "identity")
        for block in self._rows.blocks():
            at = self._at(block)
            self._queue(block, at["norm2"], 0, at["label"], at["dot"], True)
            self._atoms.score_nearest(at["dot"], at["label"], at["norm2"], block.count, at["score"])
            self._follow(block)
        changed = np.zeros(1, np.int32)
        self._changed.read(changed, self._place.stream)
        found = self._objective() if objective else 0.0
        return int(changed[0]), found, float(len(self._rows)) * self._m * self._d

    def update(self) -> tuple[int, int, float]:
        """Centers moved, clusters filled, and the squared shift."""
        stream = self._place.stream
        sizes = self._sums.sizes(stream).astype(np.int64)
        empty, relocated = int((sizes == 0).sum()), 0
        if empty:
            labels = self.labels()
            worst = worst_rows(
                *(self.scores(), self._norm2, self._weights, labels, self._metric, self._m + empty, 0)
            )
            numbers, new = relocations(sizes, [worst])
            relocated = len(numbers)
        if relocated:
            labels[numbers] = new
            self._label.write(labels, stream)
            for block in self._rows.blocks():
                self._follow(block)
        centers = self._centers.settle()
        getattr(self._sums, "move_" + self._suffix)(centers, self._shift.pointer, self._workspace, stream)
        self._moved = True
        shift = np.empty(self._m)
        self._shift.read(shift, stream)
        return int((shift > 0).sum()), relocated, float(np.cumsum(shift)[-1])

    def inertia(self) -> float:
        """The objective of the last assignment, from the costs of its rows."""
        place, n = self._place, len(self._rows)
        weight = 0 if self._device_weight is None else self._device_weight.pointer
        place.module.sum_costs(
            *(self._score.pointer, weight, n, self._cosine, self._costs.pointer, place.ordinal, place.stream)
        )
        sums = np.empty(-(-n // CHUNK))
        self._costs.read(sums, place.stream)
        return float(np.cumsum(sums)[-1])

    def labels(self) -> NDArray[np.int32]:
        """Labels of the last assignment."""
        labels = np.empty(len(self._rows), np.int32)
        self._label.read(labels, self._place.stream)
        return labels

    def scores(self) -> NDArray[np.float64]:
        """The cosine of each row with its center, or minus the squared distance to it."""
        scores = np.empty(len(self._rows))
        self._score.read(scores, self._place.stream)
        return scores

    def centers(self) -> NDArray[Any]:
        """The present centers, of the type of the rows."""
        centers: NDArray[Any] = self._centers.to_numpy()
        return centers

    # ---- parts of a step

    @property
    def _suffix(self) -> str:
        return "f32" if self._rows.dtype == np.float32 else "f64"

    def _at(self, block: Block) -> dict[str, int]:
        """Where what is known of the rows of a block lies."""
        return {
            "norm2": self._device_norm2.pointer + 8 * block.first,
            "weight": 0 if self._device_weight is None else self._device_weight.pointer + 8 * block.first,
            "label": self._label.pointer + 4 * block.first,
            "before": self._before.pointer + 4 * block.first,
            "dot": self._dot.pointer + 8 * block.first,
            "score": self._score.pointer + 8 * block.first,
        }

    def _follow(self, block: Block) -> None:
        """Brings the sums to the labels of a block."""
        at = self._at(block)
        getattr(self._sums, "follow_" + self._suffix)(
            *(block.pointer, block.count, at["norm2"], at["weight"], at["label"], at["before"]),
            *(self._changed.pointer, self._workspace, self._place.stream),
        )

    def _objective(self) -> float:
        if not backend().objective_by_sums(self._d, self._m):
            return self.inertia()
        if self._squares is None:
            weighted = self._norm2 if self._weights is None else self._weights * self._norm2
            self._squares = total_cost(pieces(0, weighted))
        stream = self._place.stream
        found: float | None = backend().sums_objective(
            call(self._name, self._threads),
            Rows(self._name, self.centers(), "centers").core,
            self._sums.totals(stream),
            self._sums.weights(stream),
            self._metric,
            self._longest,
            self._heaviest,
            self._squares,
        )
        return self.inertia() if found is None else found

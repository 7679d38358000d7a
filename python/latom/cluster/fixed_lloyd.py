"""Lloyd's steps where the first centers stay where they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import Matrix
from latom._base.backend import call
from latom._base.rows import Rows
from latom.cluster.centers import from_core, stacked
from latom.cluster.shards import Bounds, Shard, block_rows, sums_of


class FixedLloyd:
    """The core's Lloyd, with the first centers put back after each update.

    Putting centers back resets the core's bounds, so that each pass looks at all centers: the result is
    exact, and an iteration takes longer than without fixed centers.

    Parameters
    ----------
    lloyd : object
        The core's Lloyd on rows.
    name : str
        What messages call the function.
    rows : Rows
    weights : float64 array of shape (n,), optional
    metric : {"cosine", "euclidean"}
    fixed : int
        Centers that stay.
    """

    def __init__(
        self,
        lloyd: Any,
        name: str,
        rows: Rows,
        weights: NDArray[np.float64] | None,
        metric: str,
        fixed: int,
    ) -> None:
        self._lloyd, self._name, self._rows, self._fixed = lloyd, name, rows, fixed
        self._weights, self._metric = weights, metric
        self._centers: Matrix = None
        self._labels: NDArray[np.int32] | None = None
        self._bounds: Bounds | None = None

    @property
    def zero_rows(self) -> int:
        """Rows of X that are zero."""
        return int(self._lloyd.zero_rows)

    def set_centers(self, centers: Any, normalize: bool) -> None:
        """Start from these centers, the fixed ones first."""
        self._lloyd.set_centers(centers, normalize)
        self._centers, self._labels = from_core(self._lloyd.centers(), self._rows), None

    def assign(self, objective: bool = True) -> tuple[int, float, float]:
        """Rows that changed over, the objective (where it is asked for), and multiply-adds."""
        _, found, products = self._lloyd.assign(objective)
        labels = self._lloyd.labels()
        changed = len(labels) if self._labels is None else int((labels != self._labels).sum())
        self._labels = labels
        return changed, found, products

    def inertia(self) -> float:
        """The objective of the last assignment, from the costs of its rows."""
        return float(self._lloyd.inertia())

    def update(self) -> tuple[int, int, float]:
        """Centers moved, clusters filled, and the squared shift, of those that may move."""
        f, before = self._fixed, self._labels
        assert before is not None
        _, relocated, _ = self._lloyd.update()
        after, labels = from_core(self._lloyd.centers(), self._rows), self._lloyd.labels()
        if relocated:
            # The core also fills fixed centers that are empty; the rows that it took go back.
            taken = (labels != before) & (labels < f)
            labels = np.where(taken, before, labels)
            after = self._with_means(after, labels, np.unique(before[taken & (before >= f)]))
            relocated = int((labels != before).sum())
        self._centers, moved, shift = put_back(self._centers, after, f)
        self._labels = labels
        self._lloyd.set_centers(Rows(self._name, self._centers, "centers", like=self._rows).core, False)
        return moved, relocated, shift

    def labels(self) -> NDArray[np.int32]:
        """Labels of the last assignment."""
        labels: NDArray[np.int32] = self._lloyd.labels()
        return labels

    def centers(self) -> Any:
        """Centers as the core returns them."""
        return self._lloyd.centers()

    def _with_means(self, centers: Matrix, labels: NDArray[np.int32], clusters: NDArray[np.int32]) -> Matrix:
        """The centers, those of some clusters made anew from their rows."""
        if not len(clusters):
            return centers
        name, metric, context = self._name, self._metric, call(self._name)
        if self._bounds is None:
            self._bounds = Shard(name, self._rows, 0, self._weights, metric, None).bounds(False)
        members = np.flatnonzero(np.isin(labels, clusters))
        part = block_rows(name, self._rows[members], None)
        weights = None if self._weights is None else np.ascontiguousarray(self._weights[members])
        change = None, np.ascontiguousarray(labels[members])
        sums = sums_of(context, part, weights, change, centers.shape[0], metric, self._bounds)
        before = block_rows(name, self._centers, None)
        made = sums.centers(name, before, metric, self._bounds, None)[0].array
        which = np.arange(centers.shape[0])
        which[clusters] += centers.shape[0]
        return stacked([centers, made])[which]


def put_back(before: Matrix, after: Matrix, fixed: int) -> tuple[Matrix, int, float]:
    """The centers after an update, the first as they were; how many others moved, and how far, squared."""
    free = after[fixed:]
    gap = free.astype(np.float64) - before[fixed:].astype(np.float64)
    each = gap.multiply(gap).sum(axis=1) if sp.issparse(gap) else (gap**2).sum(axis=1)
    each = np.asarray(each).ravel()
    return stacked([before[:fixed], free]), int((each > 0).sum()), float(each.sum())

"""Lloyd's steps where the first centers stay where they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import Matrix
from latom._base.rows import Rows
from latom.cluster.centers import from_core, stacked


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
        free = after[f:]
        if relocated:
            # The core also fills fixed centers that are empty; the rows that it took go back.
            taken = (labels != before) & (labels < f)
            labels = np.where(taken, before, labels)
            free = self._with_means(free, labels, np.unique(before[taken & (before >= f)]))
            relocated = int((labels != before).sum())
        shift, moved = _difference(free, self._centers[f:])
        self._centers, self._labels = stacked([self._centers[:f], free]), labels
        self._lloyd.set_centers(Rows(self._name, self._centers, "centers", like=self._rows).core, False)
        return moved, relocated, shift

    def labels(self) -> NDArray[np.int32]:
        """Labels of the last assignment."""
        labels: NDArray[np.int32] = self._lloyd.labels()
        return labels

    def centers(self) -> Any:
        """Centers as the core returns them."""
        return self._lloyd.centers()

    def _with_means(self, free: Matrix, labels: NDArray[np.int32], clusters: NDArray[np.int32]) -> Matrix:
        """The centers that may move, those of some clusters made anew from their rows."""
        means = []
        for j in clusters:
            members = np.flatnonzero(labels == j)
            part = self._rows[members].astype(np.float64)
            part = part.toarray() if sp.issparse(part) else part
            w = np.ones(len(members)) if self._weights is None else self._weights[members]
            if self._metric == "cosine":
                length = np.linalg.norm(part, axis=1)
                w = np.divide(w, length, out=np.zeros(len(w)), where=length > 0)
            total = w @ part
            size = np.linalg.norm(total) if self._metric == "cosine" else w.sum()
            old = free[[j - self._fixed]]
            means.append(total / size if size > 0 else (old.toarray() if sp.issparse(old) else old)[0])
        if not means:
            return free
        at, new = clusters - self._fixed, np.array(means, free.dtype)
        if not sp.issparse(free):
            free = free.copy()
            free[at] = new
            return free
        keep = np.ones(free.shape[0], free.dtype)
        keep[at] = 0
        place = sp.csr_array((np.ones(len(at), free.dtype), (at, np.arange(len(at)))), (len(keep), len(at)))
        merged = sp.csr_array(sp.diags_array(keep) @ free + place @ sp.csr_array(new))
        merged.eliminate_zeros()
        return merged


def _difference(new: Matrix, old: Matrix) -> tuple[float, int]:
    """The squared distance between centers, and how many differ."""
    gap = new.astype(np.float64) - old.astype(np.float64)
    each = gap.multiply(gap).sum(axis=1) if sp.issparse(gap) else (gap**2).sum(axis=1)
    each = np.asarray(each).ravel()
    return float(each.sum()), int((each > 0).sum())

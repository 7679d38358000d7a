"""Lloyd's steps for CSR where a GPU assigns rows to centers, with the bits of the core's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.backend import backend, call
from latom._base.device import Place
from latom._base.device_csr import DeviceCsr, DeviceCsrCenters
from latom._base.rows import Rows
from latom.cluster.centers import from_core


class DeviceCsrLloyd:
    """The core's Lloyd (csrc/include/latom/cluster.h) on rows in CSR, whose labels and scores a GPU finds.

    The core says by its bounds which centers a row has to look at. Sums, centers and objectives are its work
    too: sums of sparse rows by cluster and column would take up to 24 m d bytes of the device. What goes
    there in an iteration are the centers, and 20 bytes per row that looks at any; as much comes back. Rows
    stay on the device where they take at most half of what is free there; else each pass streams them.

    Parameters
    ----------
    name : str
        What messages call the function.
    place : Place
    rows : Rows
        All rows, in CSR.
    weights : float64 array of shape (n,), optional
    metric : {"cosine", "euclidean"}
    n_threads : int, optional
    """

    def __init__(
        self,
        name: str,
        place: Place,
        rows: Rows,
        weights: NDArray[np.float64] | None,
        metric: str,
        n_threads: int | None,
    ) -> None:
        self._name, self._place, self._metric, self._rows = name, place, metric, rows
        self._core = backend().Lloyd(call(name, n_threads), rows.core, weights, metric)
        self._there = DeviceCsr(name, place, rows)
        self._there.settle_if_small()

    @property
    def zero_rows(self) -> int:
        """Rows of X that are zero."""
        return int(self._core.zero_rows)

    def set_centers(self, centers: Any, normalize: bool) -> None:
        """Start from these centers, prepared rows of the core; normalize scales each to length 1 first."""
        self._core.set_centers(centers, normalize)

    def assign(self, objective: bool = True) -> tuple[int, float, float]:
        """Rows that changed over, the objective (where it is asked for), and multiply-adds."""
        centers = from_core(self._core.centers(), self._rows)
        there = DeviceCsrCenters(self._name, self._place, centers, self._metric, self._rows.dtype)
        found: tuple[int, float, float] = self._core.adopt(
            *there.improve(self._there, self._core.plan()), objective
        )
        return found

    def update(self) -> tuple[int, int, float]:
        """Centers moved, clusters filled, and the squared shift."""
        found: tuple[int, int, float] = self._core.update()
        return found

    def inertia(self) -> float:
        """The objective of the last assignment, from the costs of its rows."""
        return float(self._core.inertia())

    def labels(self) -> NDArray[np.int32]:
        """Labels of the last assignment."""
        labels: NDArray[np.int32] = self._core.labels()
        return labels

    def scores(self) -> NDArray[np.float64]:
        """The cosine of each row with its center, or minus the squared distance to it."""
        scores: NDArray[np.float64] = self._core.scores()
        return scores

    def centers(self) -> Any:
        """The present centers, as the core returns them."""
        return self._core.centers()

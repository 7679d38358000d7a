"""Folds of seeding on a GPU: the nearest of the new centers of all rows, with the CPU's bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.device import Place, lies_on_gpu
from latom._base.device_rows import DeviceRows
from latom._base.device_select import DeviceAtoms
from latom._base.foreign import refuse_sparse
from latom._base.rows import Rows

Nearest = Callable[[NDArray[np.int64]], tuple[NDArray[np.int32], NDArray[np.float64]]]
"""Of the numbers of centers: which is nearest to each row, and its product with the row."""


def rows_of_call(function: str, place: Place | None, X: Any) -> tuple[Rows, DeviceRows | None]:
    """X prepared for the core, and for a GPU where the call is for one."""
    if place is None:
        return Rows(function, X), None
    rows = Rows(function, place.fetch(X))
    return rows, rows_on_device(function, place, X, rows)


def rows_on_device(function: str, place: Place, X: Any, rows: Rows) -> DeviceRows:
    """Rows that many passes will read: on the device, if they take at most half of what is free there."""
    if rows.sparse:
        refuse_sparse(function, rows.array)
    there = DeviceRows(function, place, X if lies_on_gpu(X) else rows, "X", rows.dtype)
    there.settle_if_small()
    return there


def on_place(place: Place | None, *arrays: Any) -> Any:
    """Results of the CPU in the library of X."""
    return arrays if place is None else tuple(place.put(array) for array in arrays)


def nearest_by(function: str, rows: Rows, there: DeviceRows | None, metric: str) -> Nearest | None:
    """What the core asks for at a fold; None for the CPU."""
    if there is None:
        return None

    def nearest(chosen: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        atoms = DeviceAtoms(function, there.place, rows[chosen], metric, dtype=rows.dtype, name="X")
        labels, _, dots = atoms.nearest(function, there)
        return there.place.fetched(labels), there.place.fetched(dots)

    return nearest

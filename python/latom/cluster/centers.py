"""Centers on their way in and out: what a run starts from, and the container that users get."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from latom._base.arrays import Matrix, as_seed
from latom._base.backend import call
from latom._base.device_rows import DeviceRows
from latom._base.estimator import as_random_state
from latom._base.rows import Rows
from latom.cluster.refined_start import refined_start
from latom.seed.kmeans_parallel import starting_rows
from latom.seed.kmeans_plusplus import draw, local_trials

MUCH = 1 << 30  # bytes of dense centers that a user should know of


def from_core(centers: Any, rows: Rows) -> Matrix:
    """Centers as the core returns them, in the container of X."""
    if not rows.sparse:
        return centers
    indptr, indices, values = centers
    index = rows.array.indices.dtype if len(values) < 2**31 else np.int64
    shape = (len(indptr) - 1, rows.shape[1])
    container = sp.csr_array if isinstance(rows.array, sp.sparray) else sp.csr_matrix
    return container((values, indices.astype(index, copy=False), indptr.astype(index)), shape=shape)


def warn_of_size(name: str, m: int, rows: Rows) -> None:
    """Say so where dense centers of CSR rows take much memory."""
    size = m * rows.shape[1] * rows.dtype.itemsize
    if rows.sparse and size > MUCH:
        warnings.warn(
            f"{name}: cluster_centers_ is dense and takes {size / 2**30:.1f} GiB, as an array of shape "
            f"({m}, {rows.shape[1]}). Pass sparse_centers=True to keep it in CSR.",
            stacklevel=3,
        )


def warn_of_empty(name: str, sizes: NDArray[np.int64]) -> None:
    """Say so where clusters have no row."""
    m, found = len(sizes), np.count_nonzero(sizes)
    if found < m:
        warnings.warn(
            f"{name}: Number of distinct clusters ({found}) found smaller than n_clusters ({m}). "
            "Possibly due to duplicate points in X. Ask for fewer clusters.",
            ConvergenceWarning,
            stacklevel=3,
        )


def initial_centers(
    name: str,
    init: Any,
    rows: Rows,
    m: int,
    weights: NDArray[np.float64] | None,
    metric: str,
    rng: Any,
    n_threads: int | None,
    fixed: Rows | None = None,
    there: DeviceRows | None = None,
) -> Any:
    """Starting centers as the core takes them: rows of X in place, or what the user gave.

    Fixed centers come first and count; init is then of the others. there: the rows on a GPU, where folds are
    made on one.
    """
    k = m if fixed is None else m - len(fixed)
    if isinstance(init, str) and k:
        if init == "random":
            chosen = random_rows(len(rows), k, weights, rng)
        elif fixed is None:
            refined = refined_start(name, rows, k, weights, metric, rng, n_threads)
            if refined is not None:
                return Rows(name, refined, "init", like=rows).core
            chosen = starting_rows(name, rows, k, weights, metric, rng, n_threads, there)
        else:
            trials, budget = local_trials(name, "auto", rows, k)
            context = call(name, n_threads, as_seed(name, rng))
            chosen = draw(
                context,
                rows,
                k,
                weights,
                metric,
                local_trials=trials,
                budget=budget,
                existing=fixed.core,
            )[0]
        if fixed is None:
            return rows.core.subset(call(name, n_threads), chosen)
        others = rows[chosen]
    elif k:
        if callable(init):
            init = init(rows[:], k, random_state=as_random_state(name, rng))
        given = Rows(name, init, "init", like=rows)
        check_shape(name, given.shape, (k, rows.shape[1]))
        if fixed is None:
            return given.core
        others = given.array
    else:
        others = None
    assert fixed is not None
    return Rows(name, stacked([fixed.array] + ([] if others is None else [others])), "init", like=rows).core


def stacked(parts: list[Matrix]) -> Matrix:
    """Matrices of one container, one below the other."""
    if sp.issparse(parts[0]):
        return sp.csr_array(sp.vstack(parts, format="csr"))
    return np.vstack(parts)


def random_rows(n: int, k: int, weights: NDArray[np.float64] | None, rng: Any) -> NDArray[np.int64]:
    """Rows of positive weight first."""
    order = rng.permutation(n)
    if weights is not None:
        order = order[np.argsort(weights[order] == 0, kind="stable")]
    return np.ascontiguousarray(order[:k], np.int64)


def check_shape(name: str, got: tuple[int, int], wanted: tuple[int, int]) -> None:
    """Refuse starting centers of another shape."""
    for axis, what, remedy in (
        (0, f"number of clusters {wanted[0]}", "Pass one center for each cluster."),
        (1, f"number of features of the data {wanted[1]}", "Pass one number for each column of X."),
    ):
        if got[axis] != wanted[axis]:
            raise ValueError(
                f"{name}: init must have shape {wanted}, n_clusters by features; got {got}. The shape of the "
                f"initial centers {got} does not match the {what}. {remedy}"
            )

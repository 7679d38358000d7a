"""Nearest centers: the assignment step by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import Matrix
from latom._base.backend import backend, call
from latom._base.checks import check_metric
from latom._base.device import place_of
from latom._base.device_csr import DeviceCsr, DeviceCsrCenters
from latom._base.device_rows import DeviceRows, common_dtype
from latom._base.device_select import DeviceAtoms
from latom._base.rows import Rows
from latom._base.stream import Stream, in_blocks


def assign(
    X: Matrix,
    centers: Matrix,
    *,
    metric: str = "cosine",
    n_threads: int | None = None,
    device: str | None = None,
) -> tuple[Any, Any]:
    """Nearest center of each row, exactly.

    Parameters
    ----------
    X : array or CSR of shape (n, d), float32 or float64
        Rows. Taken without a copy when C-contiguous or canonical CSR (int32 or int64 indices). Half
        precision, tensors (sparse ones as CSR) and DLPack arrays on the CPU are taken too; results are
        numpy arrays for all. Blocks of a :class:`latom.Stream` are read one after the other.
    centers : array or CSR of shape (m, d)
        Centers; under cosine their length does not matter.
    metric : {"cosine", "euclidean"}, default "cosine"
        How nearness is measured. Centers of :class:`latom.KMeans` want "euclidean": under the default their
        rows get other labels than ``labels_``.
    n_threads : int, optional
        Threads; None takes ``LATOM_NUM_THREADS``, ``OMP_NUM_THREADS`` (as they were at import) or the CPUs
        of this process. threadpoolctl's limit holds for both. The result does not depend on it.
    device : {None, "cpu", "cuda", "cuda:0", ...}
        None: where X lives. Dense arrays on a GPU, of torch, CuPy or with ``__cuda_array_interface__``, are
        computed with there, if latom was built with CUDA, and results stay there in the library of X.
        "cuda" sends arrays and CSR of the CPU to a GPU, block by block, and fetches the results. The bits
        are the same.

    Returns
    -------
    labels : int32 array of shape (n,)
        The center with the highest score, the lowest index among equals.
    scores : float64 array of shape (n,)
        Cosine with that center (0 for a zero row), or minus the squared Euclidean distance to it.

    Raises
    ------
    ValueError
        If shapes disagree, or X holds NaN or infinity (the message names the first bad row).
    TypeError
        If X or centers do not hold real numbers.

    Notes
    -----
    Scores are float64 sums in a fixed order. For sparse X an 8-bit index over the centers discards
    those that cannot win (Knittel, Koch & Ertl, 2021, for the idea of an index over the centers);
    at worst n * m dot products.

    Examples
    --------
    >>> import numpy as np, latom
    >>> X = np.array([[3.0, 0], [1, 1], [0, 2]])
    >>> labels, scores = latom.assign(X, [[1.0, 0], [0, 1]])
    >>> labels.tolist(), scores.round(3).tolist()
    ([0, 0, 1], [1.0, 0.707, 1.0])
    >>> model = latom.KMeans(2, random_state=0).fit(X)
    >>> labels, _ = latom.assign(X, model.cluster_centers_, metric="euclidean")
    >>> bool((labels == model.labels_).all())
    True
    """
    function = "assign"
    check_metric(function, metric)
    if isinstance(X, Stream):
        found = in_blocks(
            function,
            X,
            lambda block: assign(block, centers, metric=metric, n_threads=n_threads, device=device),
        )
        labels, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return labels, scores
    place = place_of(function, device, X=X, centers=centers)
    if place is None:
        return assign_rows(function, Rows(function, X), centers, metric, n_threads)
    if sp.issparse(X):
        rows, there = Rows(function, X), Rows(function, centers, "centers")
        dtype = np.result_type(rows.dtype, there.dtype)
        return nearest_csr(function, rows, DeviceCsrCenters(function, place, there.numbers, metric, dtype))
    atoms = DeviceAtoms(function, place, centers, metric, dtype=common_dtype(X, centers), name="centers")
    return nearest_on_device(function, X, atoms)


def nearest_csr(
    function: str, rows: Rows, centers: DeviceCsrCenters, scores: bool = True
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """:func:`assign` of CSR on a GPU, to centers that have been prepared there."""
    _check_columns(function, rows.shape[1], centers.shape[1])
    there = DeviceCsr(function, centers.place, rows.as_type(function, centers.dtype))
    return centers.nearest(there, scores)


def nearest_on_device(function: str, X: Any, atoms: DeviceAtoms) -> tuple[Any, Any]:
    """:func:`assign` on a GPU, to centers that have been prepared there; X may be Rows."""
    rows = DeviceRows(function, atoms.place, X, "X", atoms.dtype)
    _check_columns(function, rows.shape[1], atoms.rows.shape[1])
    labels, scores, _ = atoms.nearest(function, rows)
    return labels, scores


def _check_columns(function: str, wanted: int, got: int) -> None:
    if wanted != got:
        raise ValueError(
            f"{function}: centers must have the {wanted} columns of X; got {got}. "
            "Pass centers of the features of X."
        )


def assign_rows(
    function: str, rows: Rows, centers: Matrix, metric: str, n_threads: int | None
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """:func:`assign` for prepared rows, with the name that messages give."""
    check_metric(function, metric)
    there = Rows(function, centers, "centers")
    if there.dtype != rows.dtype:  # no value is rounded on the way in
        there, rows = there.as_type(function, np.float64), rows.as_type(function, np.float64)
    lloyd = backend().Lloyd(call(function, n_threads), rows.core, None, metric)
    lloyd.set_centers(there.core, False)
    lloyd.assign(False)
    return lloyd.labels(), lloyd.scores()

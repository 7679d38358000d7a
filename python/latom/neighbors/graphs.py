"""Neighbor graphs of the rows of one matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import Matrix
from latom._base.backend import call
from latom._base.checks import check_choice
from latom._base.rows import Rows
from latom.neighbors.collection import METRICS, Collection, as_without
from latom.neighbors.index import check_neighbors

MODES = ("connectivity", "distance")


def kneighbors_graph(
    X: Matrix,
    n_neighbors: int = 15,
    *,
    metric: str = "cosine",
    mode: str = "distance",
    include_self: bool = False,
    n_threads: int | None = None,
) -> Any:
    """The graph of the nearest rows of each row, exactly.

    Parameters
    ----------
    X : array or sparse matrix of shape (n, d)
        Rows, dense or sparse.
    n_neighbors : int, default 15
        Edges of a row.
    metric : {"cosine", "euclidean", "dot"}, default "cosine"
        What is near; scikit-learn's function of this name has "minkowski", which is "euclidean". With "dot"
        the distance is minus the product.
    mode : {"distance", "connectivity"}
        What edges hold: distances, or 1.
    include_self : bool, default False
        Whether a row may be its own neighbor.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`. The result does not depend on it.

    Returns
    -------
    graph : scipy.sparse.csr_array of shape (n, n)
        n_neighbors entries per row, nearest first, ties to the lowest row.

    Raises
    ------
    ValueError
        If n_neighbors is more than the rows that there are, or X holds NaN or infinity.

    Examples
    --------
    >>> import numpy as np
    >>> from latom.neighbors import kneighbors_graph
    >>> X = np.array([[0.0], [1.0], [3.0]])
    >>> kneighbors_graph(X, 1, metric="euclidean").toarray().tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
    """
    function = "kneighbors_graph"
    check_choice(function, "metric", metric, METRICS, "cosine")
    check_choice(function, "mode", mode, MODES, "distance")
    rows = Rows(function, X)
    k = check_neighbors(function, n_neighbors, len(rows), 0 if include_self else 1)
    without = as_without(function, not include_self, len(rows), len(rows))
    distances, indices = Collection(rows, metric).nearest(call(function, n_threads), rows, k, without)
    return as_graph(distances, indices, len(rows), mode)


def as_graph(distances: NDArray[Any], indices: NDArray[Any], n: int, mode: str) -> Any:
    """Neighbors [q, k] as CSR of q rows and n columns."""
    q, k = indices.shape
    data = np.ones(q * k, distances.dtype) if mode == "connectivity" else distances.reshape(-1)
    width = np.int32 if q * k < 2**31 else np.int64
    indptr = np.arange(0, q * k + 1, k, dtype=width)
    graph = sp.csr_array((q, n), dtype=data.dtype)
    graph.data, graph.indices, graph.indptr = data, indices.reshape(-1).astype(width, copy=False), indptr
    return graph


def precomputed_knn(
    X: Matrix, n_neighbors: int = 15, *, metric: str = "cosine", n_threads: int | None = None
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Neighbors in the form that UMAP takes as ``precomputed_knn``.

    Parameters
    ----------
    X, n_threads
        As in :func:`kneighbors_graph`.
    n_neighbors : int, default 15
        Neighbors with the row itself, as UMAP counts them.
    metric : {"cosine", "euclidean", "dot"}, default "cosine"
        As in :func:`kneighbors_graph`. UMAP's own default is "euclidean": give both the same.

    Returns
    -------
    indices : int32 array of shape (n, n_neighbors)
        Each row itself, then its nearest rows.
    distances : float32 array of shape (n, n_neighbors)

    Raises
    ------
    ValueError
        If n_neighbors is more than the rows that there are, or X holds NaN or infinity.

    Examples
    --------
    >>> import numpy as np
    >>> from latom.neighbors import precomputed_knn
    >>> indices, distances = precomputed_knn(np.array([[0.0], [1.0], [3.0]]), 2, metric="euclidean")
    >>> indices.tolist(), distances.tolist()
    ([[0, 1], [1, 0], [2, 1]], [[0.0, 1.0], [0.0, 1.0], [0.0, 2.0]])
    """
    function = "precomputed_knn"
    check_choice(function, "metric", metric, METRICS, "cosine")
    rows = Rows(function, X)
    n = len(rows)
    k = check_neighbors(function, n_neighbors, n, 0)
    own = np.arange(n, dtype=np.int32)[:, None]
    if k == 1:
        return own, np.zeros((n, 1), np.float32)
    without = as_without(function, True, n, n)
    distances, indices = Collection(rows, metric).nearest(call(function, n_threads), rows, k - 1, without)
    none = np.zeros((n, 1), np.float32)
    return np.hstack([own, indices]), np.hstack([none, distances.astype(np.float32)])

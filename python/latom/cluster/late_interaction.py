"""Late interaction: the best documents for queries of several vectors, exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.backend import backend, call
from latom._base.checks import check_integer
from latom.cluster.problems import as_problems


def maxsim(
    queries: Any,
    documents: Any,
    k: int,
    *,
    query_offsets: Any = None,
    document_offsets: Any = None,
    n_threads: int | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Find the k best documents of each query by the sum, over query vectors, of the best product.

    Parameters
    ----------
    queries, documents : array of shape (n, d) or (items, vectors, d), or list of arrays of shape (vectors, d)
        Vectors of queries and documents, as :func:`latom.kmeans_batch` takes its rows; scale them to length 1
        first for cosines.
    k : int
        Documents to return, at most as many as there are.
    query_offsets, document_offsets : int arrays, optional
        Where the vectors of each begin in stacked rows.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`. Results do not depend on it.

    Returns
    -------
    scores : float64 array of shape (queries, k)
        Falling; a query or document without vectors scores 0.
    indices : int64 array of shape (queries, k)
        Documents; the lowest first among equals.

    Raises
    ------
    ValueError
        If shapes disagree, k is out of range, or vectors hold NaN or infinity.
    TypeError
        If vectors are sparse or do not hold real numbers.

    Notes
    -----
    All products are found in float32 with a bound on their rounding; the documents that it leaves are scored
    in float64, by sums in a fixed order. Cost: 2 d operations per pair of vectors. Memory: the queries that
    are screened together, some 500 vectors, take 16 bytes per query and document.

    Source: Khattab & Zaharia, "ColBERT", 2020.

    Examples
    --------
    >>> from latom import maxsim
    >>> documents = [[[1.0, 0], [0, 1]], [[0.6, 0.8]]]
    >>> maxsim([[[1.0, 0], [0, 1]]], documents, 2)[1].tolist()
    [[0, 1]]
    """
    function = "maxsim"
    Q, q_at = as_problems(function, queries, query_offsets, "queries")
    D, d_at = as_problems(function, documents, document_offsets, "documents")
    most = check_integer(function, "k", k, len(d_at) - 1)
    dtype = np.result_type(Q.dtype, D.dtype)
    Q, D = Q.as_type(function, dtype), D.as_type(function, dtype)
    if Q.shape[1] != D.shape[1]:
        raise ValueError(
            f"{function}: queries must have {D.shape[1]} columns, as documents have; got {Q.shape[1]}. Embed "
            "both by one model."
        )
    found: tuple[Any, Any] = backend().maxsim(
        call(function, n_threads), Q.core, q_at, D.core, d_at, most, dtype == np.float64
    )
    return found

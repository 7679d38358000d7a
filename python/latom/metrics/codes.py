"""How good sparse codes are, which latents fire together, and how alike two dictionaries are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import Matrix, as_dense
from latom._base.checks import check_choice, check_integer, shown
from latom._base.csr import as_csr
from latom._base.rows import BLOCK_BYTES
from latom._base.sparse_tensor import as_scipy
from latom.encode.topk import topk


def fvu(X: Any, reconstruction: Any) -> float:
    """Fraction of variance unexplained: ``sum |x - x^|^2 / sum |x - mean(x)|^2``.

    Parameters
    ----------
    X, reconstruction : dense arrays of shape (n, d)

    Returns
    -------
    fvu : float
        0 is perfect; 1 is what the mean row gets. NaN where X does not vary and is met, infinity where it
        is not.

    Raises
    ------
    ValueError
        If shapes differ, or X or reconstruction is empty or holds NaN or infinity.
    TypeError
        If one is sparse or does not hold real numbers.

    Notes
    -----
    Summed in float64, a block of rows at a time.

    Examples
    --------
    >>> import numpy as np
    >>> from latom.metrics import fvu
    >>> X = np.array([[0.0, 1], [2, 1]])
    >>> fvu(X, np.array([[0.0, 1], [2, 2]]))
    0.5
    """
    function = "fvu"
    rows = as_dense(function, X, "X")
    made = as_dense(function, reconstruction, "reconstruction")
    if rows.shape != made.shape:
        raise ValueError(
            f"{function}: reconstruction must have the shape of X, {rows.shape}; got {made.shape}. "
            "Decode the codes of these rows."
        )
    mean = rows.mean(axis=0, dtype=np.float64)
    missed = total = 0.0
    step = max(1, BLOCK_BYTES // (8 * rows.shape[1]))
    for first in range(0, len(rows), step):
        part = rows[first : first + step].astype(np.float64)
        missed += float(np.square(part - made[first : first + step]).sum())
        total += float(np.square(part - mean).sum())
    if not np.isfinite(missed + total):
        raise ValueError(
            f"{function}: X and reconstruction must be finite; got NaN or infinity. Drop such rows."
        )
    return missed / total if total else (np.nan if missed == 0 else np.inf)


def l0(codes: Any) -> float:
    """Mean number of latents that fire in a row: entries that are not 0.

    Parameters
    ----------
    codes : sparse array or tensor of shape (n, m)

    Returns
    -------
    l0 : float

    Raises
    ------
    ValueError
        If codes have no row or no column, or parts that do not fit together.
    TypeError
        If codes are not sparse.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from latom.metrics import l0
    >>> l0(sp.csr_array([[0.0, 2, 1], [0, 0, 3]]))
    1.5
    """
    matrix = _codes("l0", codes)
    return float(np.count_nonzero(matrix.data) / matrix.shape[0])


def dead_share(codes: Any) -> float:
    """Share of the latents that fire in no row.

    Parameters
    ----------
    codes : sparse array or tensor of shape (n, m)

    Returns
    -------
    share : float
        In [0, 1].

    Raises
    ------
    ValueError
        If codes have no row or no column, or parts that do not fit together.
    TypeError
        If codes are not sparse.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from latom.metrics import dead_share
    >>> dead_share(sp.csr_array([[0.0, 2, 1, 0], [0, 0, 3, 0]]))
    0.5
    """
    matrix = _codes("dead_share", codes)
    return float(1.0 - len(np.unique(matrix.indices[matrix.data != 0])) / matrix.shape[1])


def cooccurrence(codes: Any, *, measure: str = "count", k: int | None = None) -> Matrix:
    """Which latents fire in the same rows, as a sparse matrix: what feature families are found from.

    Parameters
    ----------
    codes : sparse array or tensor of shape (n, m)
        Entries that are not 0 count; their values do not.
    measure : {"count", "jaccard", "conditional"}
        "count": rows in which both fire. "jaccard": these over rows in which either fires. "conditional":
        these over the rows in which the first (the row of the result) fires.
    k : int, optional
        Keep the k largest per latent, beside itself; the lowest latents among equals. None keeps all.

    Returns
    -------
    together : scipy.sparse.csr_array of shape (m, m)
        int64 for "count", else float64; columns sorted. The diagonal has each latent with itself. Symmetric
        where k is None and measure is not "conditional".

    Raises
    ------
    ValueError
        If measure or k is out of range, or codes have no row or no column, or parts that do not fit together.
    TypeError
        If codes are not sparse.

    Notes
    -----
    One sparse product, some latents at a time, so that no more than the result and a block of it are held:
    cost nnz times the mean number of latents of a row.

    References
    ----------
    O'Neill et al., "Disentangling dense embeddings with sparse autoencoders", 2024.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from latom.metrics import cooccurrence
    >>> cooccurrence(sp.csr_array([[1.0, 2, 0], [3, 0, 0]])).toarray().tolist()
    [[2, 1, 0], [1, 1, 0], [0, 0, 0]]
    """
    function = "cooccurrence"
    check_choice(function, "measure", measure, ("count", "jaccard", "conditional"))
    kept = None if k is None else check_integer(function, "k", k)
    matrix = _codes(function, codes)
    fires = sp.csr_array((matrix.data != 0, matrix.indices, matrix.indptr), shape=matrix.shape)
    fires = fires.astype(np.int64)
    fires.sum_duplicates()
    fires.eliminate_zeros()
    fires.data[:] = 1
    m = fires.shape[1]
    counts = np.bincount(fires.indices, minlength=m)
    by_latent = sp.csr_array(fires.T)
    step = max(1, (1 << 23) // max(1, m))
    blocks = []
    for first in range(0, m, step):
        block = sp.csr_array(by_latent[first : first + step] @ fires)
        block.sort_indices()
        own = np.repeat(np.arange(first, first + block.shape[0]), np.diff(block.indptr))
        if measure == "jaccard":
            block = block.astype(np.float64)
            block.data /= counts[own] + counts[block.indices] - block.data
        elif measure == "conditional":
            block = block.astype(np.float64)
            block.data /= counts[own]
        blocks.append(block if kept is None else _largest(block, own, kept))
    return sp.csr_array(sp.vstack(blocks, format="csr"))


def _largest(block: Matrix, own: NDArray[np.int64], k: int) -> Matrix:
    """The k largest entries per row, and the diagonal; `own` is the latent of each entry's row."""
    rows = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
    itself = block.indices == own
    order = np.lexsort((block.indices, -block.data, itself, rows))  # itself last, then it does not count
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order)) - block.indptr[rows[order]]
    kept = (ranks < k) | itself
    indptr = np.concatenate(([0], np.cumsum(np.bincount(rows[kept], minlength=block.shape[0]))))
    return sp.csr_array((block.data[kept], block.indices[kept], indptr), shape=block.shape)


def mean_max_cosine(atoms: Any, others: Any, *, n_threads: int | None = None) -> float:
    """How well atoms are found again: the mean over atoms of the largest cosine with any of the others.

    Parameters
    ----------
    atoms : dense array of shape (m, d)
    others : dense array of shape (m', d)
        Atoms of another run, layer or seed.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`.

    Returns
    -------
    similarity : float
        1 where each atom has its like among the others. Not symmetric.

    Raises
    ------
    ValueError
        If the columns disagree, or atoms or others are empty or hold NaN or infinity.
    TypeError
        If one is sparse or does not hold real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from latom.metrics import mean_max_cosine
    >>> mean_max_cosine(np.eye(2), np.array([[0.0, 3.0], [0.0, 1.0]]))
    0.5
    """
    function = "mean_max_cosine"
    rows = as_dense(function, atoms, "atoms")
    values, _ = topk(rows, as_dense(function, others, "others"), 1, metric="cosine", n_threads=n_threads)
    return float(values.mean(dtype=np.float64))


def jaccard(first: Iterable[Any], second: Iterable[Any]) -> float:
    """Members that two collections share, over members of either.

    Parameters
    ----------
    first, second : iterables of hashable members, or arrays
        Such as the rows that two dictionaries were made of; rows of an array are members.

    Returns
    -------
    similarity : float
        In [0, 1]; 1 for two empty collections.

    Raises
    ------
    TypeError
        If one is no collection, or has members that cannot be hashed.

    Examples
    --------
    >>> from latom.metrics import jaccard
    >>> jaccard([1, 2, 3], [2, 3, 4])
    0.5
    """
    ours, theirs = _members("first", first), _members("second", second)
    either = len(ours | theirs)
    return len(ours & theirs) / either if either else 1.0


def _members(name: str, given: Iterable[Any]) -> set[Any]:
    if isinstance(given, np.ndarray):
        given = given.tolist()
    try:
        return {tuple(member) if isinstance(member, list) else member for member in given}
    except TypeError as error:
        raise TypeError(
            f"jaccard: {name} must be a collection of hashable members; got {shown(given)}. "
            "Pass a set, a list or an array."
        ) from error


def _codes(function: str, codes: Any) -> Matrix:
    codes = as_scipy(function, codes, "codes")
    if not sp.issparse(codes):
        raise TypeError(
            f"{function}: codes must be a sparse matrix or tensor; got {type(codes).__name__}. "
            "Use scipy.sparse.csr_array(codes) for a dense one."
        )
    matrix = as_csr(function, codes, "codes")
    if not matrix.shape[0] or not matrix.shape[1]:
        raise ValueError(
            f"{function}: codes must have at least one row and one column; got shape {matrix.shape}. "
            "Leave out what is empty."
        )
    return matrix

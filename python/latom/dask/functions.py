"""Functions of each row by itself, on the chunks of dask arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from latom._base.checks import check_metric, shown
from latom._base.rows import Rows
from latom.cluster.assign import assign as assign_here
from latom.cluster.packed_centers import PackedCenters
from latom.encode import encode as encode_here
from latom.encode import topk as topk_here
from latom.factorize.als import AlternatingLeastSquares


def row_chunks(function: str, X: Any) -> Any:
    """A dask array with all columns in one chunk."""
    if not hasattr(X, "chunks") or getattr(X, "ndim", 0) != 2:
        raise ValueError(
            f"{function}: X must be a 2-d dask array; got {shown(X)}. Use dask.array.from_array, or latom's "
            "own function for numpy arrays."
        )
    return X if X.numblocks[1] == 1 else X.rechunk({1: -1})


def row_count(chunk: Any) -> int:
    """Rows of a chunk that has been computed."""
    return int(chunk.shape[0])


def with_rows(chunks: list[Any], sizes: list[int]) -> tuple[list[Any], list[int]]:
    """The chunks that have rows, and how many: boolean masks leave chunks without any.

    Where none has rows it is the first chunk, so that the message is that of a matrix without rows.
    """
    held = [(chunk, n) for chunk, n in zip(chunks, sizes, strict=True) if n] or [(chunks[0], 0)]
    return [chunk for chunk, _ in held], [n for _, n in held]


def assign(
    X: Any, centers: Any, *, client: Any = None, metric: str = "cosine", n_threads: int | None = None
) -> tuple[Any, Any]:
    """Nearest center of each row: :func:`latom.assign` on each chunk, when the result is computed.

    Parameters
    ----------
    X : dask array of shape (n, d), chunks dense or CSR
    centers : array or CSR of shape (m, d)
    client : distributed.Client, optional
        Where centers are sent once; None leaves them in the graph.
    metric : {"cosine", "euclidean"}, default "cosine"
        As in :func:`latom.assign`.
    n_threads : int, optional
        Threads for each chunk; None takes those that the worker has.

    Returns
    -------
    labels : dask array of int32, shape (n,)
        The center with the highest score, the lowest index among equals.
    scores : dask array of float64, shape (n,)
        Cosine with that center, or minus the squared Euclidean distance to it.

    Raises
    ------
    ValueError
        If X is no 2-d dask array; when the result is computed, what :func:`latom.assign` refuses.

    Notes
    -----
    Labels and scores are the bits of :func:`latom.assign` of all rows, whatever the chunks.

    Examples
    --------
    >>> import numpy as np, latom.dask
    >>> import dask.array as da
    >>> X = da.from_array(np.eye(4), chunks=(2, 4))
    >>> latom.dask.assign(X, np.eye(4)[:2])[0].compute().tolist()
    [0, 1, 0, 0]
    """
    X = row_chunks("dask.assign", X)
    check_metric("dask.assign", metric)
    both = _each(assign_here, X, centers, {"metric": metric, "n_threads": n_threads}, client)
    rows = [int(n) if n == n else np.nan for n in X.chunks[0]]
    return _column(both, 0, rows, np.int32), _column(both, 1, rows, np.float64)


def topk(X: Any, atoms: Any, k: int, *, client: Any = None, **options: Any) -> tuple[Any, Any]:
    """The k best atoms of each row: :func:`latom.topk` on each chunk, when the result is computed.

    Parameters
    ----------
    X : dask array of shape (n, d), chunks dense
    atoms : array of shape (m, d)
    k : int
        Atoms kept per row.
    client : distributed.Client, optional
        Where atoms are sent once; None leaves them in the graph.
    **options
        Further arguments of :func:`latom.topk`, for each chunk: all but ``exclude_self``, which would count
        rows within their chunk, ``return_stats`` and ``output``.

    Returns
    -------
    values : dask array of shape (n, k)
        Scores, the highest first.
    indices : dask array of shape (n, k)
        Their atoms.

    Raises
    ------
    ValueError
        If X is no 2-d dask array, or an argument is one that :func:`latom.topk` refuses.

    Examples
    --------
    >>> import numpy as np, latom.dask
    >>> import dask.array as da
    >>> X = da.from_array(np.eye(4) + 0.1, chunks=(2, 4))
    >>> latom.dask.topk(X, np.eye(4), 1)[1].compute().ravel().tolist()
    [0, 1, 2, 3]
    """
    X = row_chunks("dask.topk", X)
    for argument, default in (("exclude_self", False), ("return_stats", False), ("output", "numpy")):
        value = options.pop(argument, None)
        if value is not None and not (np.ndim(value) == 0 and value == default):
            raise ValueError(
                f"dask.topk: {argument} must be left out; got {shown(value)}. Call latom.topk on the chunks."
            )
    both = _each(topk_here, X, atoms, {"k": k, **options}, client)
    probe = topk_here(np.ones((1, X.shape[1]), X.dtype), atoms, k=k, **options)
    rows = list(X.chunks[0])
    first, second = (_column(both, p, rows, probe[p].dtype, probe[p].shape[1]) for p in (0, 1))
    return first, second


def encode(X: Any, atoms: Any, k: int, *, client: Any = None, **options: Any) -> Any:
    """Codes of each row: :func:`latom.encode` on each chunk, when the result is computed.

    Parameters
    ----------
    X : dask array of shape (n, d), chunks dense
    atoms : array of shape (m, d)
    k : int
        Atoms kept per row.
    client : distributed.Client, optional
        Where atoms are sent once; None leaves them in the graph.
    **options
        Further arguments of :func:`latom.encode`, for each chunk.

    Returns
    -------
    codes : dask array of shape (n, m), its chunks CSR
        At most k entries per row.

    Raises
    ------
    ValueError
        If X is no 2-d dask array, or an argument is one that :func:`latom.encode` refuses.

    Examples
    --------
    >>> import numpy as np, latom.dask
    >>> import dask.array as da
    >>> X = da.from_array(np.eye(4), chunks=(2, 4))
    >>> latom.dask.encode(X, np.eye(4), 1).compute().nnz
    4
    """
    import dask.array as da

    X = row_chunks("dask.encode", X)
    parts = _each(encode_here, X, atoms, {"k": k, **options}, client)
    probe = encode_here(np.ones((1, X.shape[1]), X.dtype), atoms, k=k, **options)
    rows = list(X.chunks[0])
    m = probe.shape[1]
    made = [da.from_delayed(p, (n, m), meta=probe[:0]) for p, n in zip(parts, rows, strict=True)]
    return da.concatenate(made, axis=0, allow_unknown_chunksizes=True)


def distances(name: str, X: Any, centers: Any, metric: str, n_threads: int | None, client: Any) -> Any:
    """Distance of each row to each center, on each chunk: what ``transform`` of k-means gives."""
    X = row_chunks(name, X)
    options: dict[str, Any] = {"name": name, "metric": metric, "n_threads": n_threads}
    parts = _each(_distances_here, X, centers, options, client)
    probe = _distances_here(np.ones((1, X.shape[1]), X.dtype), centers, **options)
    return _column(parts, None, list(X.chunks[0]), probe.dtype, probe.shape[1])


def _distances_here(X: Any, centers: Any, *, name: str, metric: str, n_threads: int | None) -> Any:
    return PackedCenters(centers, metric).distances(name, Rows(name, X), n_threads)


def half_step(X: Any, factors: Any, *, client: Any = None, **options: Any) -> Any:
    """Half a step of alternating least squares: factors of rows where those of columns stay.

    Each row is solved for exactly, on the worker that has its chunk, when the result is computed. A whole
    step is this for users by items, and then for the transpose, items by users.

    Parameters
    ----------
    X : dask array of shape (n, m), chunks CSR
    factors : array of shape (m, k)
        Of the columns of X.
    client : distributed.Client, optional
        Where factors are sent once.
    **options
        Of :class:`latom.AlternatingLeastSquares`: ``regularization``, ``alpha``, ``loss``, ``reg_exponent``,
        ``dtype``, ``num_threads``.

    Returns
    -------
    factors : dask array of shape (n, k)
        To the bits of ``AlternatingLeastSquares(solver="cholesky")`` on one machine.

    Raises
    ------
    ValueError
        If X is no 2-d dask array, factors do not fit its columns, or an option is out of range.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp, latom.dask
    >>> import dask.array as da
    >>> X = da.from_array(np.eye(6), chunks=(3, 6)).map_blocks(sp.csr_array)
    >>> latom.dask.half_step(X, np.ones((6, 2)), alpha=10.0).compute().shape
    (6, 2)
    """
    import dask.array as da

    X = row_chunks("dask.half_step", X)
    given = np.asarray(factors)
    if given.ndim != 2 or len(given) != X.shape[1] or not given.size:
        raise ValueError(
            f"dask.half_step: factors must have a row for each of the {X.shape[1]} columns of X; got shape "
            f"{given.shape}. Pass those of the other side."
        )
    model = _solver(given.shape[1], options)
    given = np.ascontiguousarray(given, model.dtype)
    parts = _each(_solve_rows, X, given, options, client)
    shapes = [(int(n) if n == n else np.nan, given.shape[1]) for n in X.chunks[0]]
    made = [da.from_delayed(p, shape, dtype=given.dtype) for p, shape in zip(parts, shapes, strict=True)]
    return da.concatenate(made, axis=0, allow_unknown_chunksizes=True)


def _solver(k: int, options: dict[str, Any]) -> AlternatingLeastSquares:
    model = AlternatingLeastSquares(k, **options)
    model._check_parameters("dask.half_step")
    return model


def _solve_rows(X: Any, factors: Any, **options: Any) -> Any:
    model = _solver(factors.shape[1], options)
    model.item_factors, model.n_features_in_ = factors, len(factors)
    return model.transform(X)


def _run(function: Any, X: Any, atoms: Any, options: dict[str, Any]) -> Any:
    """What a function gives for a chunk. Boolean masks leave chunks without rows, which functions refuse:
    their results are those of one row, less that row."""
    if X.shape[0]:
        return function(X, atoms, **options)
    row = np.ones((1, X.shape[1]), X.dtype)
    found = function(sp.csr_array(row) if sp.issparse(X) else row, atoms, **options)
    return tuple(part[:0] for part in found) if isinstance(found, tuple) else found[:0]


def _each(function: Any, X: Any, atoms: Any, options: dict[str, Any], client: Any) -> list[Any]:
    import dask

    held = client.scatter(atoms, broadcast=True, hash=False) if client is not None else dask.delayed(atoms)
    run = dask.delayed(_run, pure=False)
    return [run(function, chunk, held, options) for chunk in X.to_delayed().ravel()]


def _column(
    parts: list[Any], which: int | None, rows: list[Any], dtype: Any, width: int | None = None
) -> Any:
    """One array of parts that are arrays (which: None) or tuples of such."""
    import dask.array as da

    shape = () if width is None else (width,)
    parts = parts if which is None else [p[which] for p in parts]
    made = [da.from_delayed(p, (n, *shape), dtype=dtype) for p, n in zip(parts, rows, strict=True)]
    return da.concatenate(made, axis=0, allow_unknown_chunksizes=True)

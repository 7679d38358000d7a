"""Functions of each row by itself, on the chunks of dask arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from latom._base.checks import shown
from latom.cluster.assign import assign as assign_here
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


def assign(X: Any, centers: Any, *, client: Any = None, **options: Any) -> tuple[Any, Any]:
    """Nearest center of each row: :func:`latom.assign` on each chunk, when the result is computed.

    Parameters
    ----------
    X : dask array of shape (n, d), chunks dense or CSR
    centers : array or CSR of shape (m, d)
    client : distributed.Client, optional
        Where centers are sent once; None leaves them in the graph.
    **options
        Of :func:`latom.assign`.

    Returns
    -------
    labels : dask array of int32, shape (n,)
    scores : dask array of float64, shape (n,)
    """
    X = row_chunks("dask.assign", X)
    both = _each(assign_here, X, centers, options, client)
    rows = [int(n) if n == n else np.nan for n in X.chunks[0]]
    return _column(both, 0, rows, np.int32), _column(both, 1, rows, np.float64)


def topk(X: Any, atoms: Any, k: int, *, client: Any = None, **options: Any) -> tuple[Any, Any]:
    """The k best atoms of each row: :func:`latom.topk` on each chunk, when the result is computed.

    Parameters
    ----------
    X : dask array of shape (n, d)
    atoms : array of shape (m, d)
    k : int
    client : distributed.Client, optional
        Where atoms are sent once.
    **options
        Of :func:`latom.topk`.

    Returns
    -------
    first, second : dask array of shape (n, k)
        As :func:`latom.topk` returns them for the whole.
    """
    X = row_chunks("dask.topk", X)
    both = _each(topk_here, X, atoms, {"k": k, **options}, client)
    probe = topk_here(np.ones((1, X.shape[1]), X.dtype), atoms, k=k, **options)
    rows = list(X.chunks[0])
    first, second = (_column(both, p, rows, probe[p].dtype, probe[p].shape[1]) for p in (0, 1))
    return first, second


def encode(X: Any, atoms: Any, k: int, *, client: Any = None, **options: Any) -> Any:
    """Codes of each row: :func:`latom.encode` on each chunk, when the result is computed.

    Parameters
    ----------
    X : dask array of shape (n, d)
    atoms : array of shape (m, d)
    k : int
    client : distributed.Client, optional
        Where atoms are sent once.
    **options
        Of :func:`latom.encode`.

    Returns
    -------
    codes : dask array of shape (n, m), its chunks CSR
    """
    import dask.array as da

    X = row_chunks("dask.encode", X)
    parts = _each(encode_here, X, atoms, {"k": k, **options}, client)
    probe = encode_here(np.ones((1, X.shape[1]), X.dtype), atoms, k=k, **options)
    rows = list(X.chunks[0])
    m = probe.shape[1]
    made = [da.from_delayed(p, (n, m), meta=probe[:0]) for p, n in zip(parts, rows, strict=True)]
    return da.concatenate(made, axis=0, allow_unknown_chunksizes=True)


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
    return function(X, atoms, **options)


def _each(function: Any, X: Any, atoms: Any, options: dict[str, Any], client: Any) -> list[Any]:
    import dask

    held = client.scatter(atoms, broadcast=True, hash=False) if client is not None else dask.delayed(atoms)
    run = dask.delayed(_run, pure=False)
    return [run(function, chunk, held, options) for chunk in X.to_delayed().ravel()]


def _column(parts: list[Any], which: int, rows: list[Any], dtype: Any, width: int | None = None) -> Any:
    import dask.array as da

    shape = () if width is None else (width,)
    made = [da.from_delayed(p[which], (n, *shape), dtype=dtype) for p, n in zip(parts, rows, strict=True)]
    return da.concatenate(made, axis=0, allow_unknown_chunksizes=True)

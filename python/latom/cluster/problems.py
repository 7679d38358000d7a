"""Many small problems: their rows one below the other, with offsets, from what users have."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import as_container, as_numpy, is_tensor, refuse_sparse, widen
from latom._base.checks import check_integer, is_number, shown
from latom._base.rows import Rows

Offsets = NDArray[np.int64]


def as_problems(function: str, X: Any, offsets: Any, name: str = "X") -> tuple[Rows, Offsets]:
    """The rows of all problems, and where each begins.

    X is a list of arrays, an array of shape (problems, n, d), or stacked rows with offsets.
    """
    if offsets is None and isinstance(X, (list, tuple)):
        return _stacked(function, X, name)
    if offsets is None:
        shape: Any = getattr(X, "shape", ())
        if len(shape) != 3:
            raise ValueError(
                f"{function}: {name} must be a list of arrays or have three dimensions where offsets are "
                f"left out; got {shown(X)}. Pass offsets=np.append(0, np.cumsum(lengths)) with stacked rows."
            )
        rows = Rows(function, X.reshape(shape[0] * shape[1], shape[2]), name)
        return rows, np.arange(shape[0] + 1, dtype=np.int64) * shape[1]
    refuse_sparse(function, X, name)
    rows = Rows(function, X, name)
    return rows, as_offsets(function, offsets, len(rows))


def as_offsets(function: str, offsets: Any, n: int, name: str = "offsets") -> Offsets:
    """Where problems begin [count + 1]: whole numbers that rise from 0 to n."""
    given = as_numpy(function, offsets, name)
    sound = given.ndim == 1 and given.size >= 2 and given.dtype.kind in "iu"
    if sound:
        at = np.ascontiguousarray(given, np.int64)
        if at[0] == 0 and at[-1] == n and (np.diff(at) >= 0).all():
            return at
    raise ValueError(
        f"{function}: {name} must be integers that rise from 0 to {n}, the rows; got {shown(offsets)}. "
        "Pass np.append(0, np.cumsum(lengths))."
    )


def as_labels(function: str, name: str, labels: Any, n: int) -> NDArray[np.int32]:
    """Whole numbers [n] as int32, from a vector or a list of vectors."""
    if isinstance(labels, (list, tuple)) and labels and not is_number(labels[0]):
        labels = np.concatenate([as_numpy(function, part, name) for part in labels])
    given = as_numpy(function, labels, name)
    if given.shape != (n,) or given.dtype.kind not in "iu":
        got = f"{given.dtype} of shape {given.shape}"
        raise ValueError(
            f"{function}: {name} must be integers of shape ({n},); got {got}. Give one label per row, -1 "
            "where there is none."
        )
    if given.size and not (int(given.min()) >= -1 and int(given.max()) < 2**31):
        raise ValueError(
            f"{function}: {name} must be -1 or count from 0; got {int(given.min())} to {int(given.max())}. "
            "Number the labels of a problem from 0."
        )
    return np.ascontiguousarray(given, np.int32)


def cluster_counts(function: str, n_clusters: Any, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Clusters of each problem, at most its rows: from a number, a share of the rows, or one number each."""
    if isinstance(n_clusters, float) or (is_number(n_clusters) and isinstance(n_clusters, np.floating)):
        share = float(n_clusters)
        if not 0 < share < 1:
            raise ValueError(
                f"{function}: n_clusters must be an integer, a share between 0 and 1, or one integer per "
                f"problem; got {shown(n_clusters)}. Pass an int for a number of clusters."
            )
        wanted = np.maximum((share * lengths).astype(np.int64), 1)
    elif is_number(n_clusters):
        wanted = np.full(len(lengths), check_integer(function, "n_clusters", n_clusters))
    else:
        given = as_numpy(function, n_clusters, "n_clusters")
        if given.shape != lengths.shape or given.dtype.kind not in "iu" or (given < 1).any():
            raise ValueError(
                f"{function}: n_clusters must be an integer, a share between 0 and 1, or {len(lengths)} "
                f"positive integers, one per problem; got {shown(n_clusters)}. Pass an int for all "
                "problems alike."
            )
        wanted = given.astype(np.int64)
    return np.minimum(wanted, lengths)


def offsets_of(counts: NDArray[np.int64]) -> Offsets:
    """Where each of so many begins."""
    return np.append(np.int64(0), np.cumsum(counts, dtype=np.int64))


def _stacked(function: str, parts: Sequence[Any], name: str) -> tuple[Rows, Offsets]:
    """One array of several; half precision stays where all are of one kind."""
    if not parts:
        raise ValueError(
            f"{function}: {name} must hold at least one array; got an empty list. Leave out the call."
        )
    lengths, found = [], []
    for b, part in enumerate(parts):
        shape = getattr(part, "shape", None) or np.shape(part)
        lengths.append(int(shape[0]) if len(shape) == 2 else -1)
        if lengths[-1] != 0:
            found.append(as_container(function, part, f"{name}[{b}]"))
    if not found:
        raise ValueError(f"{function}: {name} must hold at least one row; got none. Leave out what is empty.")
    columns = found[0][0].shape[1]
    for rows, _ in found:
        refuse_sparse(function, rows, name)
        if rows.shape[1] != columns:
            raise ValueError(
                f"{function}: {name} must hold arrays of one number of columns; got {columns} and "
                f"{rows.shape[1]}. Embed all by one model."
            )
    given = [part for part, length in zip(parts, lengths, strict=True) if length]
    joined: Any
    if all(map(is_tensor, given)):
        joined = sys.modules["torch"].cat([part.detach() for part in given])
    elif len({storage for _, storage in found}) > 1 or any(map(is_tensor, given)):
        joined = np.concatenate([widen(rows, storage) for rows, storage in found])
    elif found[0][1]:
        joined = np.concatenate([np.asarray(part) for part in given])
    else:
        joined = np.concatenate([rows for rows, _ in found])
    return Rows(function, joined, name), offsets_of(np.array(lengths, np.int64))

"""Entries of X that are not observed: NaN, or left out by a mask."""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import Matrix
from latom._base.csr import checked_csr
from latom._base.sparse_tensor import as_scipy


class Listed(NamedTuple):
    """Entries of each row by their columns, in order: those observed or missing, whichever are fewer."""

    indptr: NDArray[np.int64]
    indices: NDArray[Any]
    observed: bool


class Missing(NamedTuple):
    """What is missing of X, by rows and by columns."""

    rows: Listed
    columns: Listed
    seen: int  # entries


def without_missing(function: str, X: Matrix, mask: Any) -> tuple[Matrix, Missing | None]:
    """X with 0 for what is missing, and what that is; X itself and None where nothing is."""
    gone = _not_a_number(X)
    if mask is None:
        if not gone.nnz:
            return X, None
        listed, observed = gone, False
    else:
        mask = _as_mask(function, mask, X.shape)
        observed = 2 * (mask.nnz if sp.issparse(mask) else np.count_nonzero(mask)) <= X.shape[0] * X.shape[1]
        if observed and sp.issparse(mask):
            listed = mask if not gone.nnz else _entries(mask, gone, False)
        else:
            listed = _from_blocks(mask, gone, observed)
    if not listed.nnz and not observed:
        return X, None
    size = X.shape[0] * X.shape[1]
    seen = listed.nnz if observed else size - listed.nnz
    kept = _entries(X, listed, observed) if sp.issparse(X) else _zeroed(X, listed, observed)
    return kept, Missing(_listed(listed, observed), _listed(listed.T.tocsr(), observed), int(seen))


def _as_mask(function: str, mask: Any, shape: tuple[int, int]) -> Any:
    """A boolean array, or CSR of its True entries."""
    mask = as_scipy(function, mask, "mask")
    if not sp.issparse(mask):
        try:
            mask = np.asarray(mask)
        except ValueError:  # rows of several lengths
            mask = np.asarray(mask, object)
    if mask.shape != shape or mask.dtype != bool:
        _refuse(function, shape, f"{mask.dtype} {mask.shape}")
    if not sp.issparse(mask):
        return mask
    mask = sp.csr_array(checked_csr(function, mask, "mask"), copy=True)
    mask.sum_duplicates()
    mask.eliminate_zeros()
    return mask


def _refuse(function: str, shape: tuple[int, int], got: str) -> NoReturn:
    raise ValueError(
        f"{function}: mask must be boolean of the shape of X, {shape}, True where X is observed; got {got}. "
        "Pass for example ~np.isnan(X)."
    )


def _not_a_number(X: Matrix) -> Any:
    """CSR pattern of the NaN entries, of dense X found a block of rows at a time."""
    if sp.issparse(X):
        bad = np.isnan(X.data)
        if not bad.any():
            return sp.csr_array(X.shape, dtype=bool)
        coo = X.tocoo()
        return sp.csr_array((np.ones(bad.sum(), bool), (coo.row[bad], coo.col[bad])), shape=X.shape)
    return sp.csr_array(sp.vstack([sp.csr_array(np.isnan(X[part])) for part in _parts(X.shape)]))


def _from_blocks(mask: Any, gone: Any, observed: bool) -> Any:
    """CSR pattern of what is observed, or of what is not."""
    patterns = []
    for part in _parts(mask.shape):
        block = mask[part].toarray() if sp.issparse(mask) else mask[part]
        seen = block & ~gone[part].toarray() if gone.nnz else block
        patterns.append(sp.csr_array(seen if observed else ~seen))
    return sp.csr_array(sp.vstack(patterns))


def _parts(shape: tuple[int, int]) -> list[slice]:
    step = max(1, (1 << 20) // shape[1])
    return [slice(i, i + step) for i in range(0, shape[0], step)]


def _entries(X: Any, pattern: Any, inside: bool) -> Any:
    """The stored entries of CSR X that are inside a pattern, or outside it."""
    numbered = sp.csr_array((np.arange(1, X.nnz + 1), X.indices, X.indptr), shape=X.shape)
    keep = np.full(X.nnz, not inside)
    keep[numbered.multiply(pattern).data - 1] = inside
    before = np.concatenate([[0], np.cumsum(keep)])
    return sp.csr_array((X.data[keep], X.indices[keep], before[X.indptr]), shape=X.shape)


def _zeroed(X: NDArray[Any], listed: Any, observed: bool) -> NDArray[Any]:
    """A copy of dense X with 0 for what is missing."""
    if observed:
        kept, at = np.zeros_like(X), listed.nonzero()
        kept[at] = X[at]
        return kept
    kept = X.copy()
    kept[listed.nonzero()] = 0
    return kept


def _listed(pattern: Any, observed: bool) -> Listed:
    pattern.sort_indices()
    return Listed(pattern.indptr.astype(np.int64), pattern.indices, observed)

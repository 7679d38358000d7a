"""Results as torch tensors on request; torch is imported only then."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import scipy.sparse as sp

from latom._base.arrays import Matrix, as_rows
from latom._base.checks import check_choice
from latom._base.csr import as_csr
from latom._base.sparse_tensor import as_scipy

OUTPUTS = ("numpy", "torch")


def check_output(function: str, output: Any) -> None:
    """Refuse what is not a kind of output, or one whose library is missing."""
    check_choice(function, "output", output, OUTPUTS)
    if output == "torch":
        _torch(function)


def as_output(function: str, result: Any, output: str) -> Any:
    """An array, CSR or tuple of these as asked for: CSR becomes a sparse COO tensor, indices become int64."""
    if output == "numpy":
        return result
    torch = _torch(function)
    if isinstance(result, tuple):
        return tuple(as_output(function, part, output) for part in result)
    if not sp.issparse(result):
        wide = result.astype(np.int64) if result.dtype == np.int32 else result
        return torch.from_numpy(np.ascontiguousarray(wide))
    rows = np.repeat(np.arange(result.shape[0], dtype=np.int64), np.diff(result.indptr))
    places = np.stack([rows, result.indices.astype(np.int64)])
    return torch.sparse_coo_tensor(
        torch.from_numpy(places),
        torch.from_numpy(result.data),
        result.shape,
        is_coalesced=True,
        check_invariants=False,  # they hold; torch warns unless told
    )


def given_codes(function: str, X: Any, name: str) -> Matrix:
    """Codes as CSR: a matrix, sparse or dense, or a tensor of either kind."""
    X = as_scipy(function, X, name)
    return as_csr(function, X if sp.issparse(X) else sp.csr_array(as_rows(function, X, name)), name)


def _torch(function: str) -> Any:
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise ImportError(
            f"{function}: torch must be installed for output='torch'; got no such module. "
            "pip install 'latom[torch]', or leave output out."
        ) from error

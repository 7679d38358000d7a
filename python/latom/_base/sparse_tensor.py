"""Sparse tensors of torch as scipy's CSR, for functions that take this."""

from __future__ import annotations

from typing import Any

import scipy.sparse as sp

from latom._base.foreign import as_array, is_tensor, refuse_type

_TAKEN = ("torch.sparse_coo", "torch.sparse_csr", "torch.sparse_csc")


def is_sparse_tensor(X: Any) -> bool:
    """Whether X is a torch tensor of a sparse layout."""
    return is_tensor(X) and str(X.layout).startswith("torch.sparse_")


def as_scipy(function: str, X: Any, name: str = "X") -> Any:
    """A sparse tensor on the CPU as a scipy.sparse array; anything else as it is.

    They share their memory. Entries of COO that stand for one place are added up later. Half precision
    becomes float32. What scipy's array holds is checked by whoever computes with it.
    """
    if not is_sparse_tensor(X):
        return X
    if X.device.type != "cpu":
        raise TypeError(
            f"{function}: {name} must lie in the memory of the CPU; got a tensor on {X.device}. "
            f"Pass {name}.cpu()."
        )
    layout = str(X.layout)
    if layout not in _TAKEN or X.dim() != 2 or X.dense_dim():
        raise TypeError(
            f"{function}: {name} must be sparse as a matrix in COO, CSR or CSC is; got a tensor of {layout} "
            f"with {X.dim()} dimensions. Convert it, for example with "
            f"scipy.sparse.csr_array({name}.to_dense())."
        )
    X = X.detach()
    if X.dtype.is_complex:
        refuse_type(function, name, f"dtype {str(X.dtype).removeprefix('torch.')}")
    if X.dtype.itemsize < 4 and X.dtype.is_floating_point:
        X = X.float()
    kind = {
        "torch.sparse_coo": sp.coo_array,
        "torch.sparse_csr": sp.csr_array,
        "torch.sparse_csc": sp.csc_array,
    }
    coo = layout == "torch.sparse_coo"
    data = as_array(function, X._values() if coo else X.values(), name)[0]
    made = kind[layout](tuple(X.shape), dtype=data.dtype)  # scipy sorts and checks nothing yet
    made.data = data
    if coo:  # X.indices() is there only once torch has added up what stands twice, and it trusts indices
        made.row, made.col = X._indices().numpy()
        made.has_canonical_format = False
    elif layout == "torch.sparse_csr":
        made.indices, made.indptr = X.col_indices().numpy(), X.crow_indices().numpy()
    else:
        made.indices, made.indptr = X.row_indices().numpy(), X.ccol_indices().numpy()
    return made

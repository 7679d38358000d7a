"""The best atoms of dense rows: the k best, and all above a threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import as_numpy, as_vector
from latom._base.backend import call
from latom._base.checks import check_choice, check_flag, shown
from latom._base.device import place_of
from latom._base.foreign import refuse_type
from latom._base.rows import Rows
from latom._base.sparse_tensor import is_sparse_tensor
from latom.encode.atoms import Atoms, as_atoms
from latom.encode.on_device import above_on_device, atoms_on_device, topk_on_device
from latom.encode.tensors import as_output, check_output
from latom.neighbors.collection import Collection, as_allowed, as_without

_METRICS = ("dot", "cosine", "euclidean")


def topk(
    X: Any,
    atoms: Any,
    k: int,
    *,
    bias: Any = None,
    activation: str = "identity",
    metric: str = "dot",
    output: str = "numpy",
    allowed: Any = None,
    exclude_self: bool = False,
    n_threads: int | None = None,
    device: str | None = None,
    return_stats: bool = False,
) -> Any:
    """The k best atoms of each row, exactly, without an n x m matrix.

    Parameters
    ----------
    X : dense array of shape (n, d) or (..., d), or sparse matrix of shape (n, d)
        Rows: float32 or float64; float16 (numpy) and bfloat16 (ml_dtypes); or a torch tensor of any of
        these on the CPU, also one that requires grad, or a DLPack array. Read-only and memory-mapped
        arrays are taken as they are. Not copied when C-contiguous and of the type computed in (half
        precision: where atoms are not float64); other number types become float64.
    atoms : dense array or sparse matrix of shape (m, d)
        Atoms; half precision is widened to float32. Where X or atoms are sparse, answers are those for the
        same numbers as dense arrays, found by an inverted index: :class:`latom.neighbors.SparseIndex`
        keeps it. Then there is no bias, no "abs", and one device.
    k : int
        Atoms to keep per row, at most m.
    bias : array of shape (m,), optional
        Added to each atom's score, in float64. Only with ``metric="dot"``.
    activation : {"identity", "relu", "abs"}
        "identity": the k highest scores. "relu": the k highest of those above 0; a row with fewer is
        filled up with value 0, index 0. "abs": the k highest magnitudes, their sign kept. "relu" and
        "abs" do not go with ``metric="euclidean"``.
    metric : {"dot", "cosine", "euclidean"}
        Score: the dot product, the cosine (0 where a length is 0), or minus the squared distance.
    output : {"numpy", "torch"}, default "numpy"
        Results are numpy arrays, also for tensors, unless "torch" asks for tensors. No gradient passes.
    allowed : boolean mask of shape (m,) or integer array, optional
        Atoms that may answer; all by default. Places without an atom have index -1 and value minus infinity
        ("relu": index 0 and value 0). Not for "abs", a bias or a GPU.
    exclude_self : bool, default False
        Row i does not find atom i: for X and atoms that are the same rows. Otherwise as ``allowed``.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`. The result does not depend on it.
    device : {None, "cpu", "cuda", "cuda:0", ...}
        None: where X lives. Arrays on a GPU, of torch, CuPy or with ``__cuda_array_interface__``, are
        computed with there, if latom was built with CUDA, and results stay there in the library of X.
        "cuda" sends arrays of the CPU to a GPU and fetches the results. The bits are the same.
    return_stats : bool, default False
        Return a dict as well: "scored", products decided in float64, and "overflowed", rows that went
        through all atoms in float64 because too many were within the bound of the k-th. Sparse: "postings",
        "decided" and "exhausted", rows for which every atom was looked at.

    Returns
    -------
    values : array of shape (n, k) or (..., k)
        Scores, highest first ("abs": highest magnitude first); float32 where X and atoms both are
        float32 or half precision, else float64.
    indices : int32 array of the same shape
        Atoms, the lowest index first among equal scores; int64 as a tensor.
    stats : dict of int
        Only with ``return_stats=True``.

    Raises
    ------
    ValueError
        If shapes disagree, k is not in [1, m], X or atoms hold NaN or infinity, or a score exceeds float32
        where that is its type (the message names the first bad row).
    TypeError
        If X or atoms are masked, or do not hold real numbers.

    Notes
    -----
    A product in 8 or 16 bits with a proven bound discards most atoms; the rest are decided by
    float64 sums in a fixed order. So sets are those of float64 scores of the numbers as given, the same
    for every number of threads and every processor; values are rounded once. At worst 2 n m d flops.
    Extra memory: the atoms packed once more, and some MiB per thread.

    References
    ----------
    Makhzani & Frey, "k-sparse autoencoders", 2013. Gao et al., "Scaling and evaluating sparse
    autoencoders", 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import topk
    >>> values, indices = topk(np.array([[1.0, 3, 2], [-1, -2, -3]]), np.eye(3), 2)
    >>> values.tolist(), indices.tolist()
    ([[3.0, 2.0], [-1.0, -2.0]], [[1, 2], [0, 1]])
    """
    function = "topk"
    check_choice(function, "activation", activation, ("identity", "relu", "abs"))
    check_choice(function, "metric", metric, _METRICS)
    return_stats = check_flag(function, "return_stats", return_stats)
    if metric == "euclidean" and activation != "identity":
        raise ValueError(
            f"{function}: activation must be 'identity' with metric='euclidean', whose scores are never "
            f"positive; got {shown(activation)}. Leave it out."
        )
    check_output(function, output)
    exclude_self = check_flag(function, "exclude_self", exclude_self)
    if _needs_collection(X, atoms, allowed, exclude_self):
        _refuse_beside_collection(function, bias, activation, device)
        values, indices, stats = _search(
            function, X, atoms, k, activation, metric, allowed, exclude_self, n_threads
        )
        found = as_output(function, (values, indices), output)
        return (*found, stats) if return_stats else found
    place = place_of(function, device, X=X, atoms=atoms)
    if place is not None:
        _refuse_bias(function, bias, metric)
        there = atoms_on_device(function, place, atoms, X, metric, bias)
        values, indices, stats = topk_on_device(function, X, there, k, activation)
        found = as_output(function, (values, indices), output if place.library == "numpy" else "numpy")
        return (*found, stats) if return_stats else found
    table = _scored_atoms(function, atoms, bias, metric)
    values, indices, stats = table.topk(call(function, n_threads), X, k, activation)
    found = as_output(function, (values, indices), output)
    return (*found, stats) if return_stats else found


def above(
    X: Any,
    atoms: Any,
    threshold: Any,
    *,
    bias: Any = None,
    metric: str = "dot",
    allowed: Any = None,
    exclude_self: bool = False,
    output: str = "numpy",
    n_threads: int | None = None,
    device: str | None = None,
) -> Any:
    """All atoms of each row that score above a threshold, exactly, without an n x m matrix.

    Parameters
    ----------
    X, atoms, bias, metric, allowed, exclude_self, n_threads
        As in :func:`topk`; sparse matrices are taken.
    output : {"numpy", "torch"}, default "numpy"
        Matches are CSR of scipy, also for tensors, unless "torch" asks for a sparse COO tensor.
    device : {None, "cpu", "cuda", "cuda:0", ...}
        As in :func:`topk`. Matches of torch tensors on a GPU are sparse COO tensors there, those of CuPy's
        arrays CuPy's CSR.
    threshold : float or array of shape (n,) or (...)
        Atoms with a float64 score above it are returned; an array has one threshold per row. Under
        ``metric="euclidean"`` scores are minus squared distances: ``-radius**2`` finds the neighbors nearer
        than a radius.

    Returns
    -------
    matches : scipy.sparse.csr_array of shape (n, m)
        Scores, sorted by atom; a score of 0 is stored like any other. Rows of X of more dimensions come in
        their order.

    Raises
    ------
    ValueError, TypeError
        As in :func:`topk`; if threshold is not a number.

    Notes
    -----
    Cost and promises as in :func:`topk`, for as large a k as rows have matches.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import above
    >>> above(np.array([[1.0, 2.0]]), np.eye(2), 1.5).toarray().tolist()
    [[0.0, 2.0]]
    """
    function = "above"
    check_choice(function, "metric", metric, _METRICS)
    check_output(function, output)
    exclude_self = check_flag(function, "exclude_self", exclude_self)
    if _needs_collection(X, atoms, allowed, exclude_self):
        _refuse_beside_collection(function, bias, "identity", device)
        rows, collection = _collection(function, X, atoms, metric)
        mask = as_allowed(function, allowed, len(collection.rows))
        without = as_without(function, exclude_self, len(rows), len(collection.rows))
        bars = _thresholds(function, threshold)
        matches = collection.above(call(function, n_threads), rows, bars, allowed=mask, without=without)
        return as_output(function, matches, output)
    place = place_of(function, device, X=X, atoms=atoms)
    if place is not None:
        _refuse_bias(function, bias, metric)
        there = atoms_on_device(function, place, atoms, X, metric, bias)
        bars = _thresholds(function, place.fetch(threshold))
        matches = above_on_device(function, X, there, bars)
        return as_output(function, matches, output if place.library == "numpy" else "numpy")
    table = _scored_atoms(function, atoms, bias, metric)
    matches = table.above(call(function, n_threads), X, _thresholds(function, threshold))
    return as_output(function, matches, output)


def _needs_collection(X: Any, atoms: Any, allowed: Any, exclude_self: bool) -> bool:
    """Whether a call is more than one of dense rows with all dense atoms."""
    sparse = any(sp.issparse(rows) or is_sparse_tensor(rows) for rows in (X, atoms))
    return sparse or allowed is not None or exclude_self


def _refuse_beside_collection(function: str, bias: Any, activation: str, device: Any) -> None:
    if bias is None and activation != "abs" and device in (None, "cpu"):
        return
    got = (
        "a bias" if bias is not None else "activation='abs'" if activation == "abs" else f"device={device!r}"
    )
    raise ValueError(
        f"{function}: X and atoms must be dense, without allowed and exclude_self, for a bias, "
        f"activation='abs' or a GPU; got {got}. Leave it out."
    )


def _collection(function: str, X: Any, atoms: Any, metric: str) -> tuple[Rows, Collection]:
    collection = Collection(Rows(function, atoms, "atoms"), metric)
    rows = Rows(function, X)
    collection.check_columns(function, rows)
    return rows, collection


def _search(
    function: str,
    X: Any,
    atoms: Any,
    k: Any,
    activation: str,
    metric: str,
    allowed: Any,
    exclude_self: bool,
    n_threads: int | None,
) -> tuple[NDArray[Any], NDArray[np.int32], dict[str, int]]:
    """:func:`topk` of sparse rows, and of a part of the atoms."""
    rows, collection = _collection(function, X, atoms, metric)
    mask = as_allowed(function, allowed, len(collection.rows))
    without = as_without(function, exclude_self, len(rows), len(collection.rows))
    threshold = 0.0 if activation == "relu" else -np.inf
    context = call(function, n_threads)
    values, indices, stats = collection.topk(context, rows, k, threshold, mask, without)
    if activation == "relu":
        none = indices < 0
        values[none], indices[none] = 0, 0
    return values, indices, stats


def _thresholds(function: str, threshold: Any) -> NDArray[np.float64]:
    """One number, or one per row, as an array of at least one dimension."""
    if threshold is None or isinstance(threshold, (str, bytes, bool)):
        raise ValueError(
            f"{function}: threshold must be a number, or an array with one number per row; got "
            f"{shown(threshold)}. Pass for example 0.5."
        )
    values = as_numpy(function, threshold, "threshold")
    if values.dtype.kind == "b":
        refuse_type(function, "threshold", f"dtype {values.dtype}")
    return np.ascontiguousarray(values, np.float64)


def _scored_atoms(function: str, atoms: Any, bias: Any, metric: str) -> Atoms:
    """Atoms under a metric, with the bias that goes with it."""
    _refuse_bias(function, bias, metric)
    table = Atoms(as_atoms(function, "atoms", atoms), metric)
    table.bias = as_vector(function, "bias", bias, len(table.rows))
    return table


def _refuse_bias(function: str, bias: Any, metric: str) -> None:
    if metric != "dot" and bias is not None:
        raise ValueError(
            f"{function}: bias must be None with metric={metric!r}; got {type(bias).__name__}. "
            "Leave it out, or use metric='dot'."
        )

"""Top-k encoding: the best atoms of dense rows, sparse codes made of them, and rows made of codes."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom import _core
from latom._base.arrays import Matrix, as_numpy, as_stored, as_vector, widen
from latom._base.config import check_integer, check_threads

ACTIVATIONS = {"relu": "relu", "topk-relu": "relu", "identity": "identity", "abs": "abs"}
"""What :func:`encode` offers, and what the core calls it."""


def topk(
    X: Any,
    atoms: Any,
    k: int,
    *,
    bias: Any = None,
    activation: str = "identity",
    metric: str = "dot",
    n_threads: int | None = None,
    return_stats: bool = False,
) -> Any:
    """The k best atoms of each row, exactly, without an n x m matrix.

    Parameters
    ----------
    X : dense array of shape (n, d)
        Rows: float32 or float64; float16 (numpy) and bfloat16 (ml_dtypes), or a torch tensor of any of
        these on the CPU. Read-only and memory-mapped arrays are taken as they are. Not copied when
        C-contiguous and of the type computed in (half precision: where atoms are not float64); other
        number types become float64.
    atoms : dense array of shape (m, d)
        Atoms; half precision is widened to float32.
    k : int
        Atoms to keep a row, at most m.
    bias : array of shape (m,), optional
        Added to each atom's score, in float64. Only with ``metric="dot"``.
    activation : {"identity", "relu", "abs"}
        "identity": the k highest scores. "relu": the k highest of those above 0; a row with fewer is
        filled up with value 0, index 0. "abs": the k highest magnitudes, their sign kept. "relu" and
        "abs" do not go with ``metric="euclidean"``.
    metric : {"dot", "cosine", "euclidean"}
        Score: the dot product, the cosine (0 where a length is 0), or minus the squared distance.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`. The result does not depend on it.
    return_stats : bool, default False
        Return a dict as well: "scored", products decided in float64, and "crowded", rows that went
        through all atoms in float64 because too many were within the bound of the k-th.

    Returns
    -------
    values : array of shape (n, k)
        Scores, highest first ("abs": highest magnitude first); float32 where X and atoms both are
        float32 or half precision, else float64.
    indices : int32 array of shape (n, k)
        Atoms, the lowest index first among equal scores.
    stats : dict of int
        Only with ``return_stats=True``.

    Raises
    ------
    ValueError
        If shapes disagree, k is not in [1, m], or X or atoms hold NaN or infinity (the message names
        the first bad row).
    TypeError
        If X or atoms are sparse or do not hold real numbers.

    Notes
    -----
    A product in 8 or 16 bits with a proven bound discards most atoms; the rest are decided by
    float64 sums in a fixed order. So sets are those of float64 scores of the numbers as given, the same
    for every number of threads and every processor; values are rounded once. At worst 2 n m d flops.
    Extra memory: the atoms packed once more, and some MiB a thread.

    References
    ----------
    Makhzani & Frey, "k-sparse autoencoders", 2013. Gao et al., "Scaling and evaluating sparse
    autoencoders", 2024.
    """
    function = "topk"
    check_choice(function, "activation", activation, ("identity", "relu", "abs"))
    if metric == "euclidean" and activation != "identity":
        raise ValueError(
            f"{function}: activation must be 'identity' with metric='euclidean', whose scores are never "
            f"positive; got {activation!r}. Leave it out."
        )
    table = _scored_atoms(function, atoms, bias, metric, n_threads)
    values, indices, stats = table.topk(function, X, k, activation, n_threads)
    return (values, indices, stats) if return_stats else (values, indices)


def above(
    X: Any,
    atoms: Any,
    threshold: float,
    *,
    bias: Any = None,
    metric: str = "dot",
    n_threads: int | None = None,
) -> Matrix:
    """All atoms of each row that score above a threshold, exactly, without an n x m matrix.

    Parameters
    ----------
    X, atoms, bias, metric, n_threads
        As in :func:`topk`.
    threshold : float
        Atoms with a float64 score above it are returned. Under ``metric="euclidean"`` scores are minus
        squared distances: ``-radius**2`` finds the neighbours nearer than a radius.

    Returns
    -------
    matches : scipy.sparse.csr_array of shape (n, m)
        Scores, sorted by atom; a score of 0 is stored like any other.

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
    if isinstance(threshold, bool) or not isinstance(threshold, Real):
        raise ValueError(f"{function}: threshold must be a number; got {threshold!r}. Pass one.")
    return _scored_atoms(function, atoms, bias, metric, n_threads).above(
        function, X, float(threshold), n_threads
    )


def encode(
    X: Any,
    W_enc: Any,
    k: int,
    *,
    b_enc: Any = None,
    b_pre: Any = None,
    activation: str = "relu",
    n_threads: int | None = None,
) -> Matrix:
    """Sparse codes: the k best latents of each row under ``W_enc @ (x - b_pre) + b_enc``.

    Parameters
    ----------
    X : dense array of shape (n, d)
        Rows, as in :func:`topk`.
    W_enc : dense array of shape (m, d)
        Encoder: a latent a row, as torch's ``Linear.weight`` has it. SAELens keeps the transpose.
    k : int
        Latents to keep a row, at most m.
    b_enc : array of shape (m,), optional
        Bias of the latents.
    b_pre : array of shape (d,), optional
        Subtracted from each row. X is not copied for it: the bias becomes ``b_enc - W_enc @ b_pre``,
        summed in float64.
    activation : {"relu", "topk-relu", "identity", "abs"}
        Which order of ReLU and top-k the weights were trained with:

        - "relu", ReLU first (sparsify, dictionary_learning): the k highest above 0.
        - "topk-relu", ReLU after (SAELens, OpenAI, sentence-transformers): the k highest, of which
          those above 0 are kept. The codes are those of "relu": where k latents are above 0 the k
          highest are among them; where fewer are, both keep all of these. Libraries differ only in
          what fills the places left over, which CSR does not store.
        - "identity", no ReLU (turftopic): the k highest of any sign.
        - "abs": the k of highest magnitude, their sign kept.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`. The result does not depend on it.

    Returns
    -------
    codes : scipy.sparse.csr_array of shape (n, m)
        At most k entries a row, sorted by latent, no zeros stored. Values as in :func:`topk`.

    Raises
    ------
    ValueError, TypeError
        As in :func:`topk`.

    Notes
    -----
    Cost and sources as in :func:`topk`. Equal pre-activations at the k-th place: the lowest latents are
    kept (turftopic keeps all of them).
    """
    function = "encode"
    check_choice(function, "activation", activation, tuple(ACTIVATIONS))
    table = encoder_atoms(function, as_atoms(function, "W_enc", W_enc), b_enc, b_pre, n_threads)
    return table.encode(function, X, k, activation, n_threads)


def decode(codes: Any, W_dec: Any, *, b_pre: Any = None, n_threads: int | None = None) -> NDArray[Any]:
    """Rows from codes: ``b_pre + codes @ W_dec``.

    Parameters
    ----------
    codes : CSR of shape (n, m), or the pair (values, indices) of :func:`topk`
        int32 or int64 indices; other sparse formats are converted. Values are rounded to the dtype of
        W_dec.
    W_dec : dense array of shape (m, d)
        Decoder, a latent a row; half precision is widened to float32.
    b_pre : array of shape (d,), optional
        Added to each row.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`. The result does not depend on it.

    Returns
    -------
    X : array of shape (n, d)
        float64 where W_dec is, else float32.

    Raises
    ------
    ValueError
        If shapes disagree, an index is not in [0, m), or a row does not come out finite.
    TypeError
        If codes are neither sparse nor a pair.

    Notes
    -----
    Summed in the dtype of W_dec, b_pre first and then entries as they are stored, products rounded
    before they are added: the same bits for every number of threads and every processor.
    2 nnz d flops; no extra memory.
    """
    function = "decode"
    W = as_atoms(function, "W_dec", W_dec)
    m, d = W.shape
    if isinstance(codes, tuple) and len(codes) == 2:
        values, indices = (as_numpy(function, part, "codes") for part in codes)
        if values.ndim != 2 or values.shape != indices.shape:
            raise ValueError(
                f"{function}: codes must be two arrays of one shape (n, k); got {values.shape} and "
                f"{indices.shape}. Pass (values, indices) as topk returns them."
            )
        n, k = values.shape
        indptr = np.arange(n + 1, dtype=np.int64) * k
    elif sp.issparse(codes) and codes.ndim == 2:
        rows = codes.tocsr()
        if rows.shape[1] != m:
            raise ValueError(
                f"{function}: codes must have a column for each of the {m} rows of W_dec; got "
                f"{rows.shape[1]}. Decode with the weights that belong to the encoder."
            )
        values, indices, indptr = rows.data, rows.indices, rows.indptr
    else:
        raise TypeError(
            f"{function}: codes must be a sparse matrix or the pair (values, indices); got "
            f"{type(codes).__name__}. Use scipy.sparse.csr_array(codes) for a dense one."
        )
    if values.dtype.kind not in "fiubV" or indices.dtype.kind not in "iu":
        raise TypeError(
            f"{function}: codes must have real values and integer indices; got {values.dtype} and "
            f"{indices.dtype}. Pass (values, indices) in this order."
        )
    if indices.dtype not in (np.dtype(np.int32), np.dtype(np.int64)):
        indices = indices.astype(np.int64)
    bias = as_vector(function, "b_pre", b_pre, d)
    return _core.decode(
        np.require(indptr, np.int64, ["C", "A"]),
        np.require(indices, requirements=["C", "A"]).reshape(-1),
        np.require(values, W.dtype, ["C", "A"]).reshape(-1),
        W,
        None if bias is None else bias.astype(W.dtype),
        check_threads(function, n_threads),
        function,
    )


class Atoms:
    """Atoms with their bias, packed for rows of either float type when first asked for."""

    def __init__(self, function: str, rows: NDArray[Any], metric: str, n_threads: int | None) -> None:
        self.rows = rows
        self.bias: NDArray[np.float64] | None = None
        self._metric = metric
        self._threads = check_threads(function, n_threads)
        self._indexes: dict[Any, Any] = {}

    def index(self, function: str, dtype: Any) -> Any:
        """The core's index of the atoms as float32 or float64; made once."""
        if dtype not in self._indexes:
            atoms = self.rows.astype(dtype, copy=False)
            self._indexes[dtype] = _core.AtomIndex(
                atoms, self.bias, self._metric, "auto", self._threads, function
            )
        return self._indexes[dtype]

    def topk(
        self, function: str, X: Any, k: int, activation: str, n_threads: int | None, pack: bool = False
    ) -> tuple[NDArray[Any], NDArray[np.int32], dict[str, int]]:
        """:func:`topk` of these atoms. pack: keep what a first call prepares for those that follow."""
        index, rows, storage = self._matched(function, X)
        k = check_integer(function, "k", k, len(self.rows))
        threads = check_threads(function, n_threads)
        if pack:
            index.pack(threads, function)
        values, indices, scored, crowded = index.topk(rows, storage, k, activation, threads, function)
        return values, indices, {"scored": scored, "crowded": crowded}

    def above(self, function: str, X: Any, threshold: float, n_threads: int | None) -> Matrix:
        """:func:`above` with these atoms."""
        index, rows, storage = self._matched(function, X)
        threads = check_threads(function, n_threads)
        indptr, indices, values = index.above(rows, storage, threshold, threads, function)
        width = np.int32 if indptr[-1] < 2**31 else np.int64
        parts = (values, indices.astype(width, copy=False), indptr.astype(width))
        return sp.csr_array(parts, shape=(len(rows), len(self.rows)))

    def _matched(self, function: str, X: Any) -> tuple[Any, NDArray[Any], str]:
        """An index and rows of one float type, float32 where neither needs more; how the rows are stored."""
        rows, storage = as_stored(function, X)
        if self.rows.dtype == np.float32 and (storage or rows.dtype == np.float32):
            return self.index(function, np.float32), rows, storage
        return self.index(function, np.float64), widen(rows, storage).astype(np.float64, copy=False), ""

    def encode(
        self, function: str, X: Any, k: int, activation: str, n_threads: int | None, pack: bool = False
    ) -> Matrix:
        """:func:`encode` with these atoms."""
        values, indices, _ = self.topk(function, X, k, ACTIVATIONS[activation], n_threads, pack)
        return _as_csr(values, indices, len(self.rows))


def _scored_atoms(function: str, atoms: Any, bias: Any, metric: str, n_threads: int | None) -> Atoms:
    """Atoms under a metric, with the bias that goes with it."""
    check_choice(function, "metric", metric, ("dot", "cosine", "euclidean"))
    if metric != "dot" and bias is not None:
        raise ValueError(
            f"{function}: bias must be None with metric={metric!r}; got {type(bias).__name__}. "
            "Leave it out, or use metric='dot'."
        )
    table = Atoms(function, as_atoms(function, "atoms", atoms), metric, n_threads)
    table.bias = as_vector(function, "bias", bias, len(table.rows))
    return table


def encoder_atoms(function: str, W_enc: NDArray[Any], b_enc: Any, b_pre: Any, n_threads: int | None) -> Atoms:
    """The atoms of an encoder, its two biases made one."""
    table = Atoms(function, W_enc, "dot", n_threads)
    table.bias = as_vector(function, "b_enc", b_enc, W_enc.shape[0])
    center = as_vector(function, "b_pre", b_pre, W_enc.shape[1])
    if center is not None:
        table.bias = _core.fold_center(
            W_enc, center, table.bias, check_threads(function, n_threads), function
        )
    return table


def as_atoms(function: str, name: str, atoms: Any) -> NDArray[Any]:
    """Atoms as float32 or float64 rows; half precision is widened."""
    return widen(*as_stored(function, atoms, name))


def check_choice(function: str, argument: str, value: Any, choices: tuple[str, ...]) -> None:
    """Refuse what is not one of the names."""
    if not isinstance(value, str) or value not in choices:
        names = ", ".join(map(repr, choices[:-1])) + f" or {choices[-1]!r}"
        raise ValueError(f"{function}: {argument} must be {names}; got {value!r}. Pass one of them.")


def _as_csr(values: NDArray[Any], indices: NDArray[np.int32], m: int) -> Matrix:
    """Entries other than 0 as CSR with sorted columns; padding goes with the zeros."""
    order = np.argsort(indices, axis=1)
    values = np.take_along_axis(values, order, axis=1)
    indices = np.take_along_axis(indices, order, axis=1)
    kept = values != 0
    indptr = np.concatenate(([0], np.cumsum(kept.sum(axis=1, dtype=np.int64))))
    width = np.int32 if indptr[-1] < 2**31 else np.int64
    parts = (values[kept], indices[kept].astype(width, copy=False), indptr.astype(width))
    return sp.csr_array(parts, shape=(len(values), m))

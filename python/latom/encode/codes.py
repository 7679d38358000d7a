"""Sparse codes of dense rows, and rows made of codes."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import as_numpy, as_vector
from latom._base.backend import backend, call
from latom._base.checks import check_choice
from latom._base.csr import as_csr
from latom._base.device import place_of
from latom._base.sparse_tensor import as_scipy
from latom.encode.atoms import ACTIVATIONS, as_atoms, encoder_atoms
from latom.encode.on_device import decode_on_device, encode_on_device, encoder_on_device
from latom.encode.tensors import as_output, check_output


def encode(
    X: Any,
    W_enc: Any,
    k: int,
    *,
    b_enc: Any = None,
    b_pre: Any = None,
    activation: str = "relu",
    output: str = "numpy",
    n_threads: int | None = None,
    device: str | None = None,
) -> Any:
    """Sparse codes: the k best latents of each row under ``W_enc @ (x - b_pre) + b_enc``.

    Parameters
    ----------
    X : dense array of shape (n, d) or (..., d)
        Rows, as in :func:`topk`.
    W_enc : dense array of shape (m, d)
        Encoder: one latent per row, as torch's ``Linear.weight`` has it. SAELens keeps the transpose.
    k : int
        Latents to keep per row, at most m.
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
    output : {"numpy", "torch"}, default "numpy"
        Codes are CSR of scipy, also for tensors, unless "torch" asks for a sparse COO tensor.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`. The result does not depend on it.
    device : {None, "cpu", "cuda", "cuda:0", ...}
        As in :func:`topk`. Codes of torch tensors on a GPU are sparse COO tensors there, those of CuPy's
        arrays CuPy's CSR.

    Returns
    -------
    codes : scipy.sparse.csr_array of shape (n, m)
        At most k entries per row, sorted by latent, no zeros stored. Values as in :func:`topk`. Rows of X of
        more dimensions, as tokens of documents, come in their order.

    Raises
    ------
    ValueError, TypeError
        As in :func:`topk`.

    Notes
    -----
    Cost and sources as in :func:`topk`. Equal pre-activations at the k-th place: the lowest latents are
    kept (turftopic keeps all of them).

    Examples
    --------
    >>> import numpy as np
    >>> from latom import encode
    >>> X = np.array([[1.0, 3, 2], [-1, -2, -3]])
    >>> encode(X, np.eye(3), 2).toarray().tolist()
    [[0.0, 3.0, 2.0], [0.0, 0.0, 0.0]]
    >>> encode(X, np.eye(3), 1, activation="abs").toarray().tolist()
    [[0.0, 3.0, 0.0], [0.0, 0.0, -3.0]]
    """
    function = "encode"
    check_choice(function, "activation", activation, tuple(ACTIVATIONS))
    check_output(function, output)
    place = place_of(function, device, X=X, W_enc=W_enc)
    if place is not None:
        made = encode_on_device(
            function, X, encoder_on_device(function, place, X, W_enc, b_enc, b_pre), k, activation
        )
        return as_output(function, made, output if place.library == "numpy" else "numpy")
    context = call(function, n_threads)
    table = encoder_atoms(context, as_atoms(function, "W_enc", W_enc), b_enc, b_pre)
    return as_output(function, table.encode(context, X, k, activation), output)


def decode(
    codes: Any,
    W_dec: Any,
    *,
    b_pre: Any = None,
    output: str = "numpy",
    n_threads: int | None = None,
    device: str | None = None,
) -> Any:
    """Rows from codes: ``b_pre + codes @ W_dec``.

    Parameters
    ----------
    codes : CSR of shape (n, m), or the pair (values, indices) of :func:`topk`
        int32 or int64 indices; other sparse formats are converted, and sparse tensors taken. Values are
        rounded to the dtype of W_dec.
    W_dec : dense array of shape (m, d)
        Decoder, one latent per row; half precision is widened to float32.
    b_pre : array of shape (d,), optional
        Added to each row.
    output : {"numpy", "torch"}, default "numpy"
        Rows are a numpy array, also for tensors, unless "torch" asks for a tensor.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`. The result does not depend on it.
    device : {None, "cpu", "cuda", "cuda:0", ...}
        As in :func:`topk`, for codes that are a pair; CSR codes are decoded on the CPU.

    Returns
    -------
    X : array of shape (n, d), or (..., d) for a pair of that many dimensions
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

    Examples
    --------
    >>> import numpy as np
    >>> from latom import decode, encode, topk
    >>> X, atoms = np.array([[1.0, 3, 2]]), np.array([[1.0, 0, 0], [0, 0.6, 0.8]])
    >>> decode(encode(X, atoms, 1), atoms, b_pre=[1.0, 0, 0]).round(2).tolist()
    [[1.0, 2.04, 2.72]]
    >>> decode(topk(X, atoms, 2), atoms).round(2).tolist()
    [[1.0, 2.04, 2.72]]
    """
    function = "decode"
    check_output(function, output)
    if isinstance(codes, tuple) and len(codes) == 2:
        place = place_of(function, device, values=codes[0], indices=codes[1], W_dec=W_dec)
        if place is not None:
            rows = decode_on_device(function, place, codes, W_dec, "b_pre", b_pre)
            return as_output(function, rows, output if place.library == "numpy" else "numpy")
    elif device not in (None, "cpu"):
        raise ValueError(
            f"{function}: codes must be the pair (values, indices) on a GPU; got {type(codes).__name__} with "
            f"device={device!r}. Leave device out."
        )
    return as_output(function, decoded(function, codes, W_dec, "b_pre", b_pre, n_threads), output)


def decoded(
    function: str, codes: Any, W_dec: Any, bias_name: str, bias: Any, n_threads: int | None
) -> NDArray[Any]:
    """:func:`decode`, with the names that messages give."""
    W = as_atoms(function, "W_dec", W_dec)
    m, d = W.shape
    stack: tuple[int, ...] = ()
    codes = as_scipy(function, codes, "codes")
    if isinstance(codes, tuple) and len(codes) == 2:
        values, indices = (as_numpy(function, part, "codes") for part in codes)
        if values.ndim < 2 or values.shape != indices.shape:
            raise ValueError(
                f"{function}: codes must be two arrays of one shape (n, k); got {values.shape} and "
                f"{indices.shape}. Pass (values, indices) as topk returns them."
            )
        if indices.dtype.kind not in "iu":
            raise TypeError(
                f"{function}: codes must have real values and integer indices; got {values.dtype} and "
                f"{indices.dtype}. Pass (values, indices) in this order."
            )
        stack, k = values.shape[:-1], values.shape[-1]
        n = prod(stack)
        indptr = np.arange(n + 1, dtype=np.int64) * k
        if indices.dtype not in (np.dtype(np.int32), np.dtype(np.int64)):
            indices = indices.astype(np.int64)
    elif sp.issparse(codes):
        rows = as_csr(function, codes, "codes", W.dtype)
        if rows.shape[1] != m:
            raise ValueError(
                f"{function}: codes must have a column for each of the {m} rows of W_dec; got "
                f"{rows.shape[1]}. Decode with the weights that belong to the encoder."
            )
        n, values, indices, indptr = rows.shape[0], rows.data, rows.indices, rows.indptr
    else:
        raise TypeError(
            f"{function}: codes must be a sparse matrix or the pair (values, indices); got "
            f"{type(codes).__name__}. Use scipy.sparse.csr_array(codes) for a dense one."
        )
    start = as_vector(function, bias_name, bias, d)
    made: NDArray[Any] = backend().decode(
        call(function, n_threads),
        n,
        np.require(indptr, np.int64, ["C", "A"]),
        np.require(indices, requirements=["C", "A"]).reshape(-1),
        np.require(values, W.dtype, ["C", "A"]).reshape(-1),
        W,
        None if start is None else start.astype(W.dtype),
    )
    return made.reshape(*stack, d) if stack else made

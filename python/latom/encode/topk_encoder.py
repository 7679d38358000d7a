"""The encoder as a scikit-learn transformer."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import normalize

from latom._base.arrays import as_seed
from latom._base.backend import call
from latom._base.checks import check_choice, check_flag, check_integer
from latom._base.csr import csr_of
from latom._base.device import Place, lies_on_gpu, place_of
from latom._base.device_rows import common_dtype
from latom._base.packed import packed
from latom._base.rows import Rows
from latom.encode.atoms import ACTIVATIONS, Atoms, as_atoms, encoder_atoms
from latom.encode.base_encoder import BaseEncoder
from latom.encode.codes import decoded
from latom.encode.on_device import encode_on_device
from latom.encode.pretrained import load
from latom.encode.tensors import as_output, check_output
from latom.seed.kmeans_plusplus import draw


class TopKEncoder(BaseEncoder):
    """Top-k sparse codes of dense rows, from the weights of a sparse autoencoder or from rows of X.

    ``transform`` keeps the k best latents of ``W_enc @ (x - b_pre) + b_enc``; ``inverse_transform`` is
    ``codes @ W_dec + b_dec``. With weights given, neither needs ``fit``. Nothing here is trained.

    Parameters
    ----------
    W_enc : array of shape (m, d), optional
        Encoder, one latent per row. None: ``fit`` draws rows of X by k-means++ under cosine and scales them
        to length 1; the codes are then cosine-like scores with exemplars. That is a dictionary to start
        from, not a trained one: the sum of k correlated rows overshoots in ``inverse_transform``.
    k : int, default 32
        Latents kept per row: at most m of weights that are given, and all where ``fit`` draws fewer than k.
    n_components : int, optional
        Latents to draw where W_enc is None; None takes as many as X has columns, or rows if fewer.
    W_dec : array of shape (m, d'), optional
        Decoder, one latent per row; None takes the encoder's rows (tied weights).
    b_enc : array of shape (m,), optional
        Bias of the latents.
    b_pre : array of shape (d,), optional
        Subtracted before encoding; X is not copied for it.
    b_dec : array of shape (d',), optional
        Added after decoding; None takes b_pre.
    activation : {"relu", "topk-relu", "identity", "abs"}
        As in :func:`latom.encode`.
    rescale_by_decoder_norm : bool, default False
        Scale pre-activations by the length of each latent's decoder row before the k best are chosen, and
        divide by it in ``inverse_transform`` (SAELens's ``rescale_acts_by_decoder_norm``). The scaled
        encoder is rounded to its dtype.
    sparse_output : bool, default True
        Codes are sparse; False makes them a dense array [n, m], which ``set_output(transform="pandas")``
        needs.
    output : {"numpy", "torch"}, default "numpy"
        Codes and rows are numpy's and scipy's, also for tensors, unless "torch" asks for tensors: codes
        as sparse COO, or dense by ``sparse_output=False``.
    random_state : int, Generator, RandomState or None
        Seed of the rows drawn.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`; the result does not depend on it.
    device : {None, "cpu", "cuda", "cuda:0", ...}
        Where ``transform`` computes, as in :func:`latom.encode`; ``fit`` and ``inverse_transform`` compute on
        the CPU. The encoder's rows stay on the GPU from one call to the next.

    Attributes
    ----------
    components_ : array of shape (m, d)
        The encoder's rows; after ``fit``.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    The atoms are packed at the first ``transform`` and kept for the next, not pickled. Weights are read
    once: to change them, set the parameter to another array instead of writing into it.

    References
    ----------
    Gao et al., "Scaling and evaluating sparse autoencoders", 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import TopKEncoder
    >>> codes = TopKEncoder(np.eye(3), k=1).transform(np.array([[1.0, 3, 2], [-1, -2, -3]]))
    >>> codes.toarray().tolist()
    [[0.0, 3.0, 0.0], [0.0, 0.0, 0.0]]
    """

    _gpu = True
    components_: NDArray[Any]

    def __init__(
        self,
        W_enc: Any = None,
        k: int = 32,
        *,
        n_components: int | None = None,
        W_dec: Any = None,
        b_enc: Any = None,
        b_pre: Any = None,
        b_dec: Any = None,
        activation: str = "relu",
        rescale_by_decoder_norm: bool = False,
        sparse_output: bool = True,
        output: str = "numpy",
        random_state: Any = None,
        n_threads: int | None = None,
        device: str | None = None,
    ) -> None:
        self.W_enc = W_enc
        self.k = k
        self.n_components = n_components
        self.W_dec = W_dec
        self.b_enc = b_enc
        self.b_pre = b_pre
        self.b_dec = b_dec
        self.activation = activation
        self.rescale_by_decoder_norm = rescale_by_decoder_norm
        self.sparse_output = sparse_output
        self.output = output
        self.random_state = random_state
        self.n_threads = n_threads
        self.device = device

    @classmethod
    def from_pretrained(
        cls,
        path: str | os.PathLike[str],
        *,
        k: int | None = None,
        input_normalized: bool = False,
        n_threads: int | None = None,
    ) -> TopKEncoder:
        """An encoder with the weights of a checkpoint on disk.

        Parameters
        ----------
        path : path
            A folder as SAELens (``cfg.json``, ``sae_weights.safetensors``; architectures "topk" and
            "abstopk"), sparsify (``cfg.json``, ``sae.safetensors``), dictionary_learning (``config.json``,
            ``ae.pt``) or sentence-transformers' SparseAutoEncoder (``config.json``, ``model.safetensors`` or
            ``pytorch_model.bin``) write it; OpenAI's ``.pt`` file; or a ``.npz`` file in the layout of
            Gemma Scope.
        k : int, optional
            Latents to keep; None takes the checkpoint's own number.
        input_normalized : bool, default False
            Some weights expect rows that were standardized, ``(x - x.mean()) / (x.std(ddof=1) + 1e-5)``
            (OpenAI's always, sentence-transformers' where ``normalize`` is set), which is not done
            here. True says that rows come in standardized; they come back so from ``inverse_transform``.
        n_threads : int, optional
            Threads of the encoder.

        Returns
        -------
        encoder : TopKEncoder

        Raises
        ------
        ValueError
            If the checkpoint is no top-k autoencoder, or has parts that this class does not compute
            (JumpReLU thresholds, skip connections, input scaling): nothing is left out silently.
        ImportError
            If the library that reads the format is missing.
        FileNotFoundError
            If nothing known is at the path.
        """
        return cls(**load("TopKEncoder.from_pretrained", path, k, input_normalized), n_threads=n_threads)

    def fit(self, X: Any, y: Any = None) -> TopKEncoder:
        """Check the weights against X; where there are none, take rows of X.

        Parameters
        ----------
        X : dense array of shape (n, d) or (..., d)
            Rows, as in :func:`latom.topk`.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If shapes disagree, a parameter is out of range, X or a weight is sparse, or X holds NaN or
            infinity.
        """
        name = f"{type(self).__name__}.fit"
        rows = self._rows(name, X, reset=True)
        if self.W_enc is None:
            self.components_ = self._draw(name, rows)
        else:
            self.components_ = as_atoms(name, "W_enc", self.W_enc)
        if self.components_.shape[1] != rows.shape[1]:
            raise ValueError(
                f"{name}: W_enc must have as many columns as X, {rows.shape[1]}; got "
                f"{self.components_.shape[1]}. Pass rows of that width, or W_enc.T."
            )
        self._check_parameters(name, len(self.components_))
        self._prepared(name)
        return self

    def transform(self, X: Any) -> Any:
        """Sparse codes of the rows of X.

        Parameters
        ----------
        X : dense array of shape (n, d) or (..., d)

        Returns
        -------
        codes : scipy.sparse.csr_array of shape (n, m)
            Or what ``sparse_output`` and ``output`` ask for. Rows of X of more dimensions, as tokens of
            documents, come in their order.
        """
        name = f"{type(self).__name__}.transform"
        atoms = self._prepared(name)
        k = self._check_parameters(name, len(atoms.rows))
        place = place_of(name, self.device, X=X)
        if place is not None:
            return self._on_device(name, place, X, atoms, k)
        return self._coded(name, self._rows_to_code(name, X))

    def _coded(self, name: str, rows: Rows) -> Any:
        """Codes of prepared rows, for a method of that name; parameters have been checked."""
        atoms = self._prepared(name)
        k = min(self.k, len(atoms.rows))
        codes = atoms.encode(call(name, self.n_threads), rows, k, self.activation, pack=True)
        return as_output(name, codes if self.sparse_output else codes.toarray(), self.output)

    def inverse_transform(self, X: Any) -> Any:
        """Rows from codes.

        Parameters
        ----------
        X : sparse or dense array of shape (n, m)
            Codes; sparse tensors are taken.

        Returns
        -------
        rows : array of shape (n, d')
        """
        name = f"{type(self).__name__}.inverse_transform"
        W_enc = self._prepared(name).rows if self.W_enc is None else self.W_enc
        W_dec = as_atoms(name, "W_dec", W_enc if self.W_dec is None else self.W_dec)
        codes = self._given_codes(name, X, len(W_dec))
        if self.rescale_by_decoder_norm:
            lengths = _lengths(W_dec)
            codes = csr_of(codes, codes.data / lengths[codes.indices], codes.indices, codes.indptr)
        b_dec = ("b_pre", self.b_pre) if self.b_dec is None else ("b_dec", self.b_dec)
        return as_output(name, decoded(name, codes, W_dec, *b_dec, self.n_threads), self.output)

    def _on_device(self, name: str, place: Place, X: Any, atoms: Atoms, k: int) -> Any:
        there = X if lies_on_gpu(X) else self._rows_to_code(name, X)
        on_device = atoms.on_device(name, place, common_dtype(there))
        codes = encode_on_device(name, there, on_device, k, self.activation)
        if not self.sparse_output:
            codes = codes.to_dense() if place.library == "torch" else codes.toarray()
        return as_output(name, codes, self.output if place.library == "numpy" else "numpy")

    # ---- what scikit-learn asks for

    @property
    def _n_features_out(self) -> int:
        return len(self._weights("get_feature_names_out"))

    def __sklearn_is_fitted__(self) -> bool:
        return self.W_enc is not None or hasattr(self, "components_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = self.W_enc is None
        return tags

    # ---- weights and checks

    def _weights(self, name: str) -> Any:
        if self.W_enc is not None:
            return self.W_enc
        if not hasattr(self, "components_"):
            raise NotFittedError(
                f"{name}: W_enc must be given or fit must be called first; got None. Call fit."
            )
        return self.components_

    def _prepared(self, name: str) -> Atoms:
        """The packed atoms; made again when a parameter that they depend on is another object."""
        parts = (self._weights(name), self.b_enc, self.b_pre, self.W_dec, self.rescale_by_decoder_norm)
        atoms: Atoms = packed(self, parts, lambda: self._pack(name, *parts))
        return atoms

    def _pack(self, name: str, weights: Any, b_enc: Any, b_pre: Any, decoder: Any, rescale: bool) -> Atoms:
        W_enc = as_atoms(name, "W_enc", weights)
        atoms = encoder_atoms(call(name, self.n_threads), W_enc, b_enc, b_pre)
        if rescale:
            W_dec = W_enc if decoder is None else as_atoms(name, "W_dec", decoder)
            lengths = _lengths(W_dec)
            if len(W_dec) != len(W_enc) or not lengths.all():
                raise ValueError(
                    f"{name}: W_dec must have {len(W_enc)} rows, none of them zero, to rescale by; got "
                    f"{len(W_dec)} rows or zeros. Leave rescale_by_decoder_norm False."
                )
            atoms.rows = (W_enc * lengths[:, None]).astype(W_enc.dtype)
            atoms.bias = None if atoms.bias is None else atoms.bias * lengths
        return atoms

    def _draw(self, name: str, rows: Rows) -> NDArray[Any]:
        n, d = rows.shape
        m = min(n, d)
        if self.n_components is not None:
            m = check_integer(name, "n_components", self.n_components)
        if m > n:
            raise ValueError(
                f"{name}: n_components must be at most the number of rows, n_samples={n}; got {m}. "
                "Draw fewer."
            )
        context = call(name, self.n_threads, as_seed(name, self.random_state))
        chosen = draw(context, rows, m, None, "cosine")[0]
        return np.ascontiguousarray(normalize(rows[chosen]))

    def _check_parameters(self, name: str, m: int) -> int:
        """The latents to keep per row."""
        k = check_integer(name, "k", self.k, None if self.W_enc is None else m)
        check_choice(name, "activation", self.activation, tuple(ACTIVATIONS))
        check_flag(name, "rescale_by_decoder_norm", self.rescale_by_decoder_norm)
        check_flag(name, "sparse_output", self.sparse_output)
        check_output(name, self.output)
        self._check_place(name)
        return min(k, m)


def _lengths(W_dec: NDArray[Any]) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.sqrt(np.einsum("ij,ij->i", W_dec, W_dec, dtype=np.float64))
    return lengths

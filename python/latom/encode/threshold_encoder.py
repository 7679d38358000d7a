"""Encoders with a threshold per latent: JumpReLU, BatchTopK at inference, ReLU."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import as_numpy, as_vector
from latom._base.backend import call
from latom._base.checks import check_flag, shown
from latom._base.packed import packed
from latom._base.rows import Rows
from latom.encode.atoms import Atoms, as_atoms, encoder_atoms
from latom.encode.base_encoder import BaseEncoder
from latom.encode.codes import decoded
from latom.encode.tensors import as_output, check_output
from latom.encode.threshold_pretrained import load


class ThresholdEncoder(BaseEncoder):
    """Sparse codes of dense rows by a threshold per latent, from the weights of a sparse autoencoder.

    A latent's code is its pre-activation ``p = W_enc @ (x - b_pre) + b_enc`` where p is above the latent's
    threshold and above 0, else 0: JumpReLU; BatchTopK as it is used after training, with the one threshold
    that training has found; and ReLU, where thresholds are 0. Nothing here is trained.

    Parameters
    ----------
    W_enc : array of shape (m, d)
        Encoder, one latent per row.
    threshold : float or array of shape (m,), default 0
        What pre-activations must exceed; below 0 counts as 0.
    W_dec : array of shape (m, d'), optional
        Decoder, one latent per row; None takes the encoder's rows.
    b_enc : array of shape (m,), optional
        Bias of the latents.
    b_pre : array of shape (d,), optional
        Subtracted before encoding.
    b_dec : array of shape (d',), optional
        Added after decoding; None takes b_pre.
    sparse_output : bool, default True
        Codes are sparse; False makes them a dense array [n, m].
    output : {"numpy", "torch"}, default "numpy"
        Codes and rows are numpy's and scipy's, also for tensors, unless "torch" asks for tensors.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`; the result does not depend on it.

    Notes
    -----
    Which latents fire is decided exactly, by float64 sums of ``<x, w> + (b - threshold)``, as in
    :func:`latom.above`; where all thresholds are equal, whether ``<x, w> + b`` is above that one. Values
    are p, rounded to the dtype; where thresholds differ, p minus its threshold is rounded, then the threshold
    is added.

    References
    ----------
    Rajamanoharan et al., "Jumping ahead: improving reconstruction fidelity with JumpReLU sparse
    autoencoders", 2024. Bussmann, Leask & Nanda, "BatchTopK sparse autoencoders", 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import ThresholdEncoder
    >>> encoder = ThresholdEncoder(np.eye(3), threshold=[0.5, 4.0, 1.0])
    >>> encoder.transform(np.array([[1.0, 3, 2], [-1, 5, 0.5]])).toarray().tolist()
    [[1.0, 0.0, 2.0], [0.0, 5.0, 0.0]]
    """

    def __init__(
        self,
        W_enc: Any,
        threshold: Any = 0.0,
        *,
        W_dec: Any = None,
        b_enc: Any = None,
        b_pre: Any = None,
        b_dec: Any = None,
        sparse_output: bool = True,
        output: str = "numpy",
        n_threads: int | None = None,
    ) -> None:
        self.W_enc = W_enc
        self.threshold = threshold
        self.W_dec = W_dec
        self.b_enc = b_enc
        self.b_pre = b_pre
        self.b_dec = b_dec
        self.sparse_output = sparse_output
        self.output = output
        self.n_threads = n_threads

    @classmethod
    def from_pretrained(
        cls,
        path: str | os.PathLike[str],
        *,
        input_normalized: bool = False,
        n_threads: int | None = None,
    ) -> ThresholdEncoder:
        """An encoder with the weights of a checkpoint on disk.

        Parameters
        ----------
        path : path
            A folder as SAELens writes it (``cfg.json``, ``sae_weights.safetensors``; architectures
            "jumprelu", "standard" with ReLU, "transcoder", "jumprelu_transcoder"), or dictionary_learning
            (``config.json``, ``ae.pt``; BatchTopK, JumpReLU and plain ReLU autoencoders); or a ``.npz`` file
            with a threshold, as Gemma Scope has.
        input_normalized : bool, default False
            Some weights expect rows that were scaled or standardized (SAELens's
            ``normalize_activations``), which is not done here. True says that rows come in so; they come
            back so from ``inverse_transform``.
        n_threads : int, optional
            Threads of the encoder.

        Returns
        -------
        encoder : ThresholdEncoder

        Raises
        ------
        ValueError
            If the checkpoint has parts that this class does not compute, such as gates, skip connections or
            scaling of its input, or was saved without its threshold: nothing is left out silently.
        ImportError
            If the library that reads the format is missing.
        FileNotFoundError
            If nothing known is at the path.
        """
        return cls(**load("ThresholdEncoder.from_pretrained", path, input_normalized), n_threads=n_threads)

    def fit(self, X: Any, y: Any = None) -> ThresholdEncoder:
        """Check that the weights go with X.

        Parameters
        ----------
        X : dense array of shape (n, d) or (..., d)
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
        atoms = self._prepared(name)[0]
        rows = self._rows(name, X, reset=True)
        if rows.shape[1] != atoms.rows.shape[1]:
            raise ValueError(
                f"{name}: W_enc must have as many columns as X, {rows.shape[1]}; got {atoms.rows.shape[1]}. "
                "Pass rows of that width, or W_enc.T."
            )
        return self

    def transform(self, X: Any) -> Any:
        """Sparse codes of the rows of X.

        Parameters
        ----------
        X : dense array of shape (n, d) or (..., d)

        Returns
        -------
        codes : scipy.sparse.csr_array of shape (n, m)
            Sorted by latent, no zeros stored; or what ``sparse_output`` and ``output`` ask for.
        """
        name = f"{type(self).__name__}.transform"
        check_flag(name, "sparse_output", self.sparse_output)
        check_output(name, self.output)
        self._prepared(name)
        return self._coded(name, self._rows_to_code(name, X))

    def _coded(self, name: str, rows: Rows) -> Any:
        """Codes of prepared rows, for a method of that name; parameters have been checked."""
        atoms, threshold = self._prepared(name)
        context = call(name, self.n_threads)
        if len(threshold) == 1:
            codes = atoms.above(context, rows, threshold)
        else:
            codes = atoms.above(context, rows, np.zeros(1))
            codes.data = (codes.data + threshold[codes.indices]).astype(codes.dtype)
        return as_output(name, codes if self.sparse_output else codes.toarray(), self.output)

    def inverse_transform(self, X: Any) -> Any:
        """Rows from codes.

        Parameters
        ----------
        X : sparse or dense array of shape (n, m)

        Returns
        -------
        rows : array of shape (n, d')
        """
        name = f"{type(self).__name__}.inverse_transform"
        W_dec = as_atoms(name, "W_dec", self.W_enc if self.W_dec is None else self.W_dec)
        codes = self._given_codes(name, X, len(W_dec))
        b_dec = ("b_pre", self.b_pre) if self.b_dec is None else ("b_dec", self.b_dec)
        return as_output(name, decoded(name, codes, W_dec, *b_dec, self.n_threads), self.output)

    # ---- what scikit-learn asks for

    @property
    def _n_features_out(self) -> int:
        return len(self.W_enc)

    def _prepared(self, name: str) -> tuple[Atoms, NDArray[np.float64]]:
        """The packed atoms, and the threshold [1], or [m] with a bias that is less it already; made again
        when a parameter is another object."""
        parts = (self.W_enc, self.threshold, self.b_enc, self.b_pre)
        made: tuple[Atoms, NDArray[np.float64]] = packed(self, parts, lambda: self._pack(name))
        return made

    def _pack(self, name: str) -> tuple[Atoms, NDArray[np.float64]]:
        self._check_place(name)
        atoms = encoder_atoms(
            call(name, self.n_threads), as_atoms(name, "W_enc", self.W_enc), self.b_enc, self.b_pre
        )
        m = len(atoms.rows)
        given = as_numpy(name, self.threshold, "threshold")
        if given.size == 1:
            given = np.full(m, given.reshape(-1)[0], np.float64)
        threshold = as_vector(name, "threshold", given, m)
        if threshold is None:
            raise ValueError(
                f"{name}: threshold must be a number or one per latent; got {shown(self.threshold)}. "
                "Pass 0.0 for ReLU."
            )
        threshold = np.maximum(threshold, 0.0)
        if (threshold == threshold[0]).all():
            return atoms, threshold[:1]
        atoms.bias = -threshold if atoms.bias is None else atoms.bias - threshold
        return atoms, threshold

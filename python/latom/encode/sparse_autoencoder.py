"""Training of k-sparse autoencoders."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from latom._base.history import AutoencoderState
from latom.encode.base_autoencoder import BaseAutoencoder
from latom.encode.codes import decoded
from latom.encode.recipe import checked_recipe
from latom.encode.threshold_encoder import ThresholdEncoder
from latom.encode.topk_encoder import TopKEncoder
from latom.encode.training_files import load_training, save_training
from latom.encode.write_pretrained import write

Array = NDArray[Any]


class SparseAutoencoder(BaseAutoencoder):
    """A k-sparse autoencoder, trained on the CPU: dictionaries of more atoms than columns, k of them per row.

    ``transform`` gives the k best latents of ``W_enc @ (x - b_pre) + b_enc`` as CSR, ``inverse_transform``
    ``codes @ W_dec + b_pre``. The loss of a batch is

        MSE(k) + multi_k_weight MSE(multi_k k) + aux_weight L_aux + contrast_weight L_contrast

    with MSE the mean over rows and columns. L_aux is what the ``aux_k`` best dead latents leave of the
    residual ``x - x'``, relative to its variance; the residual is a constant there, and no bias is added.
    L_contrast is ``mean_i log(sum_j e_ij / sum_p e_ip)`` over the codes of a batch, with
    ``e_ij = exp((cos(z_i, z_j) - 1) / temperature)`` and p the rows that are alike i: row i itself, and the
    rows of its label where ``fit`` is given labels.

    Parameters
    ----------
    n_latents : int, optional
        Latents; None takes 4 per column.
    k : int, default 32
        Latents kept per row; all where there are fewer.
    tied : bool, default True
        The encoder's rows decode. False: two matrices, which start equal.
    activation : {"relu", "identity", "abs"}
        As in :func:`latom.encode`; "abs" is AbsTopK, whose latents fire in either direction. Dead latents
        are asked through ReLU, and by magnitude with "abs".
    selection : {"row", "batch"}
        "batch" keeps the n k largest pre-activations of a batch of n rows (BatchTopK). ``transform`` then
        keeps what is above ``threshold_``, the smoothed least of those kept. Needs "relu".
    multi_k, multi_k_weight : int and float, default 4 and 1/8
        A second code of ``multi_k k`` latents, and the weight of its error; weight 0 leaves it out.
    aux_k : int or "auto", default "auto"
        Dead latents that stand in for the residual, per row; "auto" takes half as many as columns. 0: none.
    aux_weight : float, default 1/32
        Weight of that loss.
    dead_steps : int, default 30
        A latent is dead once it has not been active for so many steps.
    dead_tokens : int, optional
        The same in rows, instead of steps.
    contrast_weight, temperature : float, default 0 and 0.2
        Weight and temperature of the contrast among the codes of a batch; with labels, rows of one label
        draw together.
    learning_rate : float, default 1e-3
        Of Adam (beta 0.9 and 0.999, epsilon 6.25e-10).
    batch_size : int, default 1024
        Rows of a step.
    max_epochs : int, default 10
        Passes over the rows.
    k_schedule : None or ("linear", k0, epochs)
        k falls from k0 to ``k`` over so many epochs: fewer latents die.
    unit_norm : bool, default True
        The decoder's rows are kept at length 1, and their gradients orthogonal to them.
    pre_bias : {"median", "mean", None}
        Where the bias that is subtracted before encoding and added after decoding starts: the geometric
        median or the mean of at most 32 768 rows. It is trained. None: no such bias.
    ema : float in (0, 1), optional
        The weights that encode are averages over steps, of which this share is kept per step.
    optimizer : {"adam", "lazy-adam"}
        "adam" moves all latents in each step, as torch does. "lazy-adam" leaves latents that were not active
        alone; their moments fade when they are active again. It is faster where most are not.
    random_state : int, Generator, RandomState or None
        Seed of the first weights and of the order of rows.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`; the result does not depend on it.
    sparse_output : bool, default True
        Codes are CSR; False makes them a dense array, which ``set_output(transform="pandas")`` needs.
    callback : callable, optional
        Called with the state of each epoch, or of each call of ``partial_fit``,
        :class:`latom.AutoencoderState`; a true result stops.
    verbose : int, default 0
        1 reports each epoch.

    Attributes
    ----------
    components_ : array of shape (m, d)
        The decoder, one latent per row.
    encoder_components_ : array of shape (m, d)
        The encoder.
    b_enc_, b_pre_ : arrays of shape (m,) and (d,)
        Biases; ``b_pre_`` None where there is none.
    threshold_ : float
        With "batch".
    history_ : structured array
        An entry per epoch, and per call of ``partial_fit``: loss (``objective``), ``fvu``, ``l0``, ``dead``
        (share of the latents) and ``seconds``, of the weights as they were in training.
    n_epochs_, n_steps_ : int
        Passes and steps so far.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    Weights and moments are in the dtype of X, float32 for half precision. A step costs one
    :func:`latom.topk`, one more over the dead latents, 8 k d flops per row and code, and 28 bytes of
    memory traffic per parameter that moves. Memory: weights, two moments each, a batch and its residuals,
    and tiles: never an array of rows times latents. X may be memory-mapped, and larger than memory. The
    result is the same bits for every number of threads and every processor, and so is a fit that was
    stopped and resumed.

    References
    ----------
    Makhzani & Frey, "k-Sparse Autoencoders", 2013. Gao et al., "Scaling and evaluating sparse autoencoders",
    2024. Bussmann, Leask & Nanda, "BatchTopK sparse autoencoders", 2024. Wen et al., "Beyond Matryoshka:
    Revisiting sparse coding for adaptive representation", 2025. Zhu, Khalili & Zhu, "AbsTopK: Rethinking
    sparse autoencoders for bidirectional features", 2025.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import SparseAutoencoder
    >>> rng = np.random.default_rng(0)
    >>> X = np.eye(8)[rng.integers(8, size=400)] * rng.uniform(1, 2, (400, 1))
    >>> sae = SparseAutoencoder(16, k=1, batch_size=50, learning_rate=0.05, max_epochs=40, random_state=0)
    >>> codes = sae.fit_transform(X)
    >>> codes.shape, codes.nnz
    ((400, 16), 400)
    >>> bool(sae.history_["fvu"][-1] < 0.05)
    True
    """

    def __init__(
        self,
        n_latents: int | None = None,
        k: int = 32,
        *,
        tied: bool = True,
        activation: str = "relu",
        selection: str = "row",
        multi_k: int = 4,
        multi_k_weight: float = 1 / 8,
        aux_k: Any = "auto",
        aux_weight: float = 1 / 32,
        dead_steps: int = 30,
        dead_tokens: int | None = None,
        contrast_weight: float = 0.0,
        temperature: float = 0.2,
        learning_rate: float = 1e-3,
        batch_size: int = 1024,
        max_epochs: int = 10,
        k_schedule: Any = None,
        unit_norm: bool = True,
        pre_bias: str | None = "median",
        ema: float | None = None,
        optimizer: str = "adam",
        sparse_output: bool = True,
        random_state: Any = None,
        n_threads: int | None = None,
        callback: Callable[[AutoencoderState], Any] | None = None,
        verbose: int = 0,
    ) -> None:
        self.n_latents = n_latents
        self.k = k
        self.tied = tied
        self.activation = activation
        self.selection = selection
        self.multi_k = multi_k
        self.multi_k_weight = multi_k_weight
        self.aux_k = aux_k
        self.aux_weight = aux_weight
        self.dead_steps = dead_steps
        self.dead_tokens = dead_tokens
        self.contrast_weight = contrast_weight
        self.temperature = temperature
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.k_schedule = k_schedule
        self.unit_norm = unit_norm
        self.pre_bias = pre_bias
        self.ema = ema
        self.optimizer = optimizer
        self.sparse_output = sparse_output
        self.random_state = random_state
        self.n_threads = n_threads
        self.callback = callback
        self.verbose = verbose

    # ---- use

    def to_encoder(self) -> TopKEncoder | ThresholdEncoder:
        """The trained weights as an encoder, whose ``transform`` gives the same bits.

        Returns
        -------
        encoder : TopKEncoder, or ThresholdEncoder
            The latter with selection "batch", which keeps what is above ``threshold_``. It is a new one at
            each call, whose parameters may be changed.
        """
        check_is_fitted(self)
        return self._made_encoder()

    def _as_encoder(self) -> TopKEncoder | ThresholdEncoder:
        """The one that keeps its packed atoms, unless weights or parameters have changed."""
        self._run.weights()  # forgets what was made of earlier weights
        threshold = self.threshold_ if self.selection == "batch" else None
        own = (threshold, self.k, self.activation, self.sparse_output, self.n_threads)
        kept = self._run.kept
        if kept.get("made_for") != own:
            kept["encoder"], kept["made_for"] = self._made_encoder(), own
        made: TopKEncoder | ThresholdEncoder = kept["encoder"]
        return made

    def transform(self, X: Any) -> Any:
        """Sparse codes of rows.

        Parameters
        ----------
        X : dense array of shape (n, d) or (..., d)

        Returns
        -------
        codes : scipy.sparse.csr_array of shape (n, m), or an array without ``sparse_output``
        """
        name = "SparseAutoencoder.transform"
        check_is_fitted(self)
        checked_recipe(name, self, self.n_features_in_)
        rows = self._rows_to_code(name, X)
        return self._as_encoder()._coded(name, rows)

    def inverse_transform(self, X: Any) -> Array:
        """Rows from codes.

        Parameters
        ----------
        X : sparse or dense array of shape (n, m)
            Codes; sparse tensors are taken.

        Returns
        -------
        rows : array of shape (n, d)
        """
        name = "SparseAutoencoder.inverse_transform"
        check_is_fitted(self)
        codes = self._given_codes(name, X, len(self.components_))
        return decoded(name, codes, self.components_, "b_pre", self.b_pre_, self.n_threads)

    # ---- files

    def save_pretrained(self, path: str | os.PathLike[str], format: str = "saelens") -> None:
        """Write the weights as another library reads them, and :meth:`latom.TopKEncoder.from_pretrained`.

        Parameters
        ----------
        path : path
            A folder; it is made.
        format : {"saelens", "sparsify", "sentence-transformers"}
            "saelens" writes ``topk``; ``jumprelu`` of selection "batch"; ``abstopk`` of activation "abs",
            which versions of SAELens without it do not load. "sentence-transformers" needs tied weights. The
            other two need activation "relu".

        Raises
        ------
        ValueError
            If the format cannot hold the model.
        """
        check_is_fitted(self)
        write("SparseAutoencoder.save_pretrained", path, format, self)

    def save_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Write all that :meth:`resume` needs into one file, ``.npz``.

        Parameters
        ----------
        path : path
        """
        check_is_fitted(self)
        save_training("SparseAutoencoder.save_checkpoint", path, self)

    @classmethod
    def load_checkpoint(cls, path: str | os.PathLike[str]) -> SparseAutoencoder:
        """The model that :meth:`save_checkpoint` wrote; a callback is not kept.

        Parameters
        ----------
        path : path

        Returns
        -------
        model : SparseAutoencoder
            ``resume`` goes on with the bits of a fit that was never stopped.
        """
        model = cls()
        load_training("SparseAutoencoder.load_checkpoint", path, model)
        return model

    # ---- what scikit-learn asks for

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

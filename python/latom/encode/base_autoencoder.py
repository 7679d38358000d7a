"""How an autoencoder is fitted: from the start, resumed, or on rows as they come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from latom._base.arrays import as_seed, label_numbers
from latom._base.backend import call
from latom._base.callbacks import CallbackSupport, FitTasks, with_callbacks
from latom._base.estimator import validated_rows
from latom._base.history import AutoencoderState, Iterations, history_type
from latom._base.progress import Progress
from latom._base.rows import Rows
from latom.encode.atoms import unstacked
from latom.encode.base_encoder import BaseEncoder
from latom.encode.recipe import checked_recipe
from latom.encode.threshold_encoder import ThresholdEncoder
from latom.encode.topk_encoder import TopKEncoder
from latom.encode.training_run import TrainingRun, tally

Array = NDArray[Any]


class BaseAutoencoder(CallbackSupport, BaseEncoder):
    """The fits of :class:`latom.SparseAutoencoder`, which has the parameters."""

    _learns = True

    threshold_: float
    history_: NDArray[Any]

    k: int
    activation: str
    selection: str
    contrast_weight: float
    batch_size: int
    max_epochs: int
    random_state: Any
    verbose: int
    callback: Callable[[AutoencoderState], Any] | None
    _run: TrainingRun

    @with_callbacks
    def fit(self, X: Any, y: Any = None) -> Any:
        """Train from the start.

        Parameters
        ----------
        X : dense array of shape (n, d) or (..., d)
            Rows, float32, float64, float16 or bfloat16; memory-mapped if wished.
        y : array of shape (n,), optional
            Labels, numbers or strings: with a ``contrast_weight``, rows of one label are alike, and batches
            are drawn in pairs of such rows, as a query and its document. Give a row without a label one of
            its own. Ignored where the weight is 0.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter or X is out of range, or the loss does not stay finite.
        """
        name = "SparseAutoencoder.fit"
        rows = self._rows(name, X, reset=True)
        labels = self._labels(name, y, len(rows))
        self._begin(name, rows)
        self._train(name, rows, labels, X, y)
        return self

    @with_callbacks
    def resume(self, X: Any, y: Any = None) -> Any:
        """Go on with a fit that was stopped, up to ``max_epochs``, as if it had not been.

        After a checkpoint was loaded, an interrupt, a callback that stopped it, or with more ``max_epochs``.

        Parameters
        ----------
        X : dense array of shape (n, d) or (..., d)
            The rows of the fit.
        y : array of shape (n,), optional
            The labels of the fit.

        Returns
        -------
        self
        """
        name = "SparseAutoencoder.resume"
        check_is_fitted(self)
        rows = self._rows(name, X, reset=False)
        self._train(name, rows, self._labels(name, y, len(rows)), X, y)
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Any:
        """Train on the rows once, in their order; k is ``k`` throughout.

        Each call is an entry of ``history_``, whose numbers go on from those before, and is told to
        ``callback`` when it ends.

        Parameters
        ----------
        X : dense array of shape (n, d) or (..., d)
            Rows, cut into batches of at most ``batch_size``.
        y : array of shape (n,), optional
            Labels, as in :meth:`fit`.

        Returns
        -------
        self
        """
        name = "SparseAutoencoder.partial_fit"
        first = not self.__sklearn_is_fitted__()
        rows = self._rows(name, X, reset=first)
        recipe = checked_recipe(name, self, rows.shape[1])
        labels = self._labels(name, y, len(rows))
        if first:
            self._begin(name, rows)
        run, context = self._run, call(name, self.n_threads)
        sums: dict[str, Any] = {}  # of this call: an epoch that was stopped keeps its own
        try:
            with Progress(name, 1, self.verbose) as progress:
                calls = Iterations(AutoencoderState, 1, self.callback, progress, before=len(run.states))
                for start in range(0, len(rows), self.batch_size):
                    chosen = np.arange(start, min(len(rows), start + self.batch_size))
                    batch = run.batch(context, rows, chosen)
                    alike = None if labels is None else labels[chosen]
                    k = min(self.k, run.latents)
                    tally(sums, batch, run.trainer.step(context, batch, k, recipe, alike))
                try:
                    calls.stop(True, **run.numbers(recipe, sums))
                finally:
                    run.states += calls.states
        finally:  # what was learned stays, also where Ctrl-C ends the call
            self._publish()
        return self

    def _rows(self, name: str, X: Any, reset: bool) -> Rows:
        return validated_rows(self, name, unstacked(name, X)[0], reset=reset, accept_sparse=False)

    def _labels(self, name: str, y: Any, n: int) -> NDArray[np.int32] | None:
        """Numbers [n] that tell which rows are alike, where the loss asks for that."""
        if y is None or not self.contrast_weight:
            return None
        return label_numbers(name, "y", y, n)[0]

    def _begin(self, name: str, rows: Rows) -> None:
        checked_recipe(name, self, rows.shape[1])
        context = call(name, self.n_threads)
        self._run = TrainingRun.start(context, rows, self, as_seed(name, self.random_state))

    def _train(self, name: str, rows: Rows, labels: NDArray[np.int32] | None, X: Any, y: Any) -> None:
        recipe = checked_recipe(name, self, rows.shape[1])
        context, run = call(name, self.n_threads), self._run
        tasks = FitTasks(self, 1, X, y)
        task = tasks.start(self.max_epochs)
        try:
            with Progress("SparseAutoencoder", self.max_epochs, self.verbose) as progress:
                most = self.max_epochs + len(run.states) - run.epoch  # with calls of partial_fit
                epochs = Iterations(AutoencoderState, most, self.callback, progress, task, self._learned)
                epochs.states = list(run.states)
                while run.epoch < self.max_epochs:
                    for batch, alike, k in run.batches(context, rows, labels, self):
                        run.count(batch, run.trainer.step(context, batch, k, recipe, alike))
                    last = epochs.stop(False, **run.numbers(recipe, run.sums))
                    run.end_epoch(epochs.states)
                    if last:
                        break
        finally:  # what was learned stays, also where Ctrl-C ends the fit
            self._publish()
        task.end(epochs.attributes)
        tasks.end()

    def _learned(self) -> dict[str, Any]:
        """Weights by the names of attributes."""
        weights = self._run.weights()
        decoder = weights["encoder"] if weights["decoder"] is None else weights["decoder"]
        return {
            "components_": decoder,
            "encoder_components_": weights["encoder"],
            "b_enc_": weights["b_enc"],
            "b_pre_": weights["b_pre"],
        }

    def _attribute(self, name: str) -> Any:
        if not hasattr(self, "_run"):
            raise AttributeError(f"{type(self).__name__} has no {name} before it is fitted.")
        return self._learned()[name]

    @property
    def components_(self) -> Array:
        """The decoder, (m, d), one latent per row, in the dtype of training; a copy."""
        decoder: Array = self._attribute("components_")
        return decoder

    @property
    def encoder_components_(self) -> Array:
        """The encoder, (m, d), one latent per row; the decoder where weights are tied."""
        encoder: Array = self._attribute("encoder_components_")
        return encoder

    @property
    def b_enc_(self) -> Array:
        """The bias of the latents, (m,): it is added before the best are chosen."""
        bias: Array = self._attribute("b_enc_")
        return bias

    @property
    def b_pre_(self) -> Array | None:
        """What is subtracted from rows before encoding and added after decoding, (d,); None with
        ``pre_bias`` None."""
        bias: Array | None = self._attribute("b_pre_")
        return bias

    def _publish(self) -> None:
        """Attributes from the run."""
        run = self._run
        if self.selection == "batch":
            self.threshold_ = run.trainer.threshold
        dtype = history_type(AutoencoderState)
        names: Any = dtype.names
        values = [tuple(getattr(state, name) for name in names) for state in run.states]
        self.history_ = np.array(values, dtype=dtype)
        self.n_epochs_, self.n_steps_ = run.epoch, run.trainer.steps

    def _made_encoder(self) -> TopKEncoder | ThresholdEncoder:
        weights: dict[str, Any] = {
            "W_dec": None if self._run.trainer.tied else self.components_,
            "b_enc": self.b_enc_,
            "b_pre": self.b_pre_,
            "sparse_output": self.sparse_output,
            "n_threads": self.n_threads,
        }
        if self.selection == "batch":
            return ThresholdEncoder(self.encoder_components_, max(self.threshold_, 0.0), **weights)
        k = min(self.k, len(self.components_))
        return TopKEncoder(self.encoder_components_, k, activation=self.activation, **weights)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_run")

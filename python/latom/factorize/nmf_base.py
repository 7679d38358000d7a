"""What NMF and MiniBatchNMF share: parameters, their checks, starts."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from latom._base.arrays import Matrix
from latom._base.callbacks import StartTask
from latom._base.checks import check_choice, check_integer, check_range
from latom._base.estimator import IterativeEstimator, validated_rows
from latom._base.history import Descent, FactorizationState
from latom._base.progress import Progress
from latom._base.rows import Rows
from latom.factorize.codes import decoded
from latom.factorize.nmf_init import INITS, initial_factors
from latom.factorize.nmf_solvers import Penalties
from latom.factorize.non_negative_rows import NonNegativeRows
from latom.factorize.units import times

Array = NDArray[Any]
BETA_LOSSES = ("frobenius", "kullback-leibler", 2, 1)


class DescentInUnits(Descent):
    """Iterations whose solver computes in other units than the user."""

    def __init__(self, unit: float, *rest: Any) -> None:
        super().__init__(*rest)
        self._unit = unit

    def reached(
        self, objective: float, violation: float, settled: bool | None = None, factor: Array | None = None
    ) -> bool:
        """As in Descent, with the objective in the user's units."""
        return super().reached(objective * self._unit, violation, settled, factor)


class BaseNMF(IterativeEstimator):
    """The scikit-learn interface of both."""

    _takes_sparse = True

    components_: Array
    n_components_: int
    reconstruction_err_: float
    n_iter_: int

    # What both are made with.
    n_components: Any
    init: str | None
    beta_loss: Any
    tol: float
    max_iter: int
    random_state: Any
    alpha_W: float
    alpha_H: Any
    l1_ratio: float
    verbose: int
    n_threads: int | None
    device: str | None
    callback: Callable[[FactorizationState], Any] | None

    # ---- the scikit-learn interface

    def score(self, X: Matrix, y: Any = None) -> float:
        """Minus the loss of rows with the fitted components, so that higher is better.

        Parameters
        ----------
        X : array or CSR of shape (n, d)
        y : ignored

        Returns
        -------
        score : float
            Minus half the squared error, or the divergence, summed over rows; W is that of :meth:`transform`.
        """
        return -self._codes(f"{type(self).__name__}.score", X)[1]

    def inverse_transform(self, X: Matrix) -> Array:
        """Rows from their weights: ``X @ components_``.

        Parameters
        ----------
        X : array or sparse matrix of shape (n, n_components)

        Returns
        -------
        X_original : array of shape (n, d)
        """
        check_is_fitted(self)
        return decoded(f"{type(self).__name__}.inverse_transform", X, self.components_)

    @property
    def _n_features_out(self) -> int:
        return int(self.components_.shape[0])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.input_tags.allow_nan = self._takes_nan()
        return tags

    def _codes(self, name: str, X: Matrix, mask: Any = None) -> tuple[Array, float]:
        """W of rows with the fitted components, and the loss."""
        raise NotImplementedError

    # ---- checks

    def _takes_nan(self) -> bool:
        return False

    def _validate(self, name: str, X: Matrix, reset: bool) -> Rows:
        return validated_rows(self, name, X, reset, "allow-nan" if self._takes_nan() else True)

    def _check_parameters(self, name: str) -> None:
        k = self.n_components
        if isinstance(k, str) and k != "auto":
            raise ValueError(
                f"{name}: n_components must be a positive integer, 'auto' or None; got {k!r}. "
                "Leave it out for as many as X has columns."
            )
        if k is not None and not isinstance(k, str):
            check_integer(name, "n_components", k)
        if self.init is not None:
            check_choice(name, "init", self.init, ("custom", *INITS))
        self._check_iterations(name)
        check_range(name, "alpha_W", self.alpha_W)
        if not (isinstance(self.alpha_H, str) and self.alpha_H == "same"):
            check_range(name, "alpha_H", self.alpha_H)
        check_range(name, "l1_ratio", self.l1_ratio, 1)
        if not (isinstance(self.beta_loss, (str, Real)) and self.beta_loss in BETA_LOSSES):
            raise ValueError(
                f"{name}: beta_loss must be 'frobenius' (2) or 'kullback-leibler' (1); got "
                f"{self.beta_loss!r}. Other divergences are not offered: scikit-learn's NMF has them."
            )

    def _warn_unless_converged(self, name: str, n_iter: int, converged: bool) -> None:
        if n_iter == self.max_iter and self.tol > 0 and not converged:
            warnings.warn(
                f"{name}: Maximum number of iterations {self.max_iter} reached. Increase it to improve "
                "convergence.",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _descent(self, p: NonNegativeRows, progress: Progress, task: StartTask | None = None) -> Descent:
        """The record of a run, in the user's units; callbacks are handed what transform needs."""

        def as_fitted(F: Array) -> dict[str, Any]:
            return {"components_": np.array(times(F, p.units.H).T, order="C"), "n_components_": F.shape[1]}

        callback = None if task is None else self.callback
        return DescentInUnits(
            self._unit_of_loss(p), self.max_iter, self.tol, callback, progress, task, as_fitted
        )

    def _unit_of_loss(self, p: NonNegativeRows) -> float:
        """What a loss of the divided X is to be multiplied with."""
        return p.units.X if self._kullback else p.units.X**2

    @property
    def _kullback(self) -> bool:
        return self.beta_loss in ("kullback-leibler", 1)

    def _penalties(self, p: NonNegativeRows) -> Penalties:
        """scikit-learn's scaling: those of W by the number of features, those of H by the number of rows.

        In the units of p. What its numbers could not hold counts as the largest that they square without
        harm, and then takes everything to 0: that is the optimum to some 1e-19 of X in float32, and 1e-154
        in float64.
        """
        (n, d), loss, most = p.shape, self._unit_of_loss(p), float(np.sqrt(np.finfo(p.dtype).max))
        alpha_W, share = float(self.alpha_W), float(self.l1_ratio)
        alpha_H = alpha_W if self.alpha_H == "same" else float(self.alpha_H)

        def scaled(alpha: float, unit: float) -> tuple[float, float]:
            # Units may be beyond all numbers, and nothing times infinity is no number.
            l1 = alpha * share * (unit / loss) if alpha * share else 0.0
            l2 = alpha * (1 - share) * (unit / loss * unit) if alpha * (1 - share) else 0.0
            return (most, most) if l2 > most else (min(l1, most), l2)

        (l1_W, l2_W), (l1_H, l2_H) = scaled(d * alpha_W, p.units.W), scaled(n * alpha_H, p.units.H)
        return Penalties(l1_W, l1_H, l2_W, l2_H)

    def _start(
        self, name: str, products: NonNegativeRows, W: Any, H: Any, rng: np.random.RandomState
    ) -> tuple[Array, Array]:
        """Starting W [n, k] and F [d, k], which may be written."""
        (n, d), k = products.shape, self.n_components
        if self.init == "custom":
            H = check_factor(name, "H", H, products.dtype, (d if k is None else k, d))
            W = check_factor(name, "W", W, products.dtype, (n, len(H)))
            W, F = (times(A, 1 / unit) for A, unit in ((W, products.units.W), (H.T, products.units.H)))
            return np.array(W, order="C"), np.array(F, order="C")
        if W is not None or H is not None:
            warnings.warn(
                f"{name}: When init!='custom', provided W or H are ignored. Set init='custom' to use them as "
                "initialization.",
                RuntimeWarning,
                stacklevel=3,
            )
        return initial_factors(products, d if k in (None, "auto") else k, self.init, rng, self.verbose)


def check_factor(name: str, which: str, A: Any, dtype: Any, shape: tuple[Any, Any]) -> Array:
    """A starting factor: non-negative, of the shape and dtype that X asks for; "auto" is any extent."""
    if A is None:
        raise ValueError(
            f"{name}: {which} must be an array of non-negative numbers; got None. Pass a start, or leave "
            "init='custom' and update_H=False out."
        )
    A = check_array(A, dtype=None, input_name=f"NMF (input {which})")
    for axis, side in enumerate(("first", "second")):
        wanted = shape[axis]
        if wanted != "auto" and A.shape[axis] != wanted:
            raise ValueError(
                f"{name}: {which} must fit X and n_components (Array with wrong {side} dimension passed to "
                f"NMF (input {which}). Expected {wanted}, but got {A.shape[axis]}.); got shape {A.shape}. "
                "Pass a start of their sizes."
            )
    if (A < 0).any():
        raise ValueError(
            f"{name}: {which} must not be negative (Negative values in data passed to NMF (input {which})); "
            f"got {A.min()}. Pass a non-negative start."
        )
    if not A.any():
        raise ValueError(
            f"{name}: {which} must have a positive number (Array passed to NMF (input {which}) is full of "
            "zeros.); got none. Pass a positive start."
        )
    if A.dtype != dtype:
        raise TypeError(
            f"{name}: {which} must have the dtype of X (H and W should have the same dtype as X. Got "
            f"{which}.dtype = {A.dtype}.); got {A.dtype}. Convert it to {dtype}."
        )
    return np.asarray(A)

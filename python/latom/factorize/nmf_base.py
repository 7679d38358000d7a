"""What NMF and MiniBatchNMF share: parameters, their checks, starts."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from latom._base.arrays import Matrix
from latom._base.checks import check_integer, check_range
from latom._base.estimator import IterativeEstimator, validated_rows
from latom._base.history import FactorizationState
from latom._base.rows import Rows
from latom.factorize.nmf_init import INITS, initial_factors
from latom.factorize.nmf_solvers import Penalties
from latom.factorize.non_negative_rows import NonNegativeRows

Array = NDArray[Any]


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

    def fit(self, X: Matrix, y: Any = None, **params: Any) -> Any:
        """Learn the factors of X; the arguments are those of ``fit_transform``.

        Returns
        -------
        self
        """
        self.fit_transform(X, **params)
        return self

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
        rows: Array = X @ self.components_
        return rows

    @property
    def _n_features_out(self) -> int:
        return int(self.components_.shape[0])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.input_tags.allow_nan = self._takes_nan()
        return tags

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
        if self.init not in (None, "custom", *INITS):
            raise ValueError(
                f"{name}: init must be None, 'custom' or one of {', '.join(map(repr, INITS))}; got "
                f"{self.init!r}. Leave it out for the best choice by shape."
            )
        self._check_iterations(name)
        check_range(name, "alpha_W", self.alpha_W)
        if not (isinstance(self.alpha_H, str) and self.alpha_H == "same"):
            check_range(name, "alpha_H", self.alpha_H)
        check_range(name, "l1_ratio", self.l1_ratio, 1)
        if self.beta_loss not in ("frobenius", "kullback-leibler", 2, 1):
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

    @staticmethod
    def _as_fitted(F: Array) -> dict[str, Any]:
        """The attributes that transform needs, for a run that would end with this H transposed."""
        return {"components_": np.array(F.T, order="C"), "n_components_": F.shape[1]}

    @property
    def _kullback(self) -> bool:
        return self.beta_loss in ("kullback-leibler", 1)

    def _penalties(self, n: int, d: int) -> Penalties:
        """scikit-learn's scaling: those of W by the number of features, those of H by the number of rows."""
        alpha_H = self.alpha_W if self.alpha_H == "same" else self.alpha_H
        l1 = self.l1_ratio
        return Penalties(
            d * self.alpha_W * l1, n * alpha_H * l1, d * self.alpha_W * (1 - l1), n * alpha_H * (1 - l1)
        )

    def _start(
        self, name: str, products: NonNegativeRows, W: Any, H: Any, rng: np.random.RandomState
    ) -> tuple[Array, Array]:
        """Starting W [n, k] and F [d, k], which may be written."""
        (n, d), k = products.shape, self.n_components
        if self.init == "custom":
            H = check_factor(name, "H", H, products, (k, d))
            W = check_factor(name, "W", W, products, (n, H.shape[0] if k == "auto" else k))
            return np.array(W, order="C"), np.array(H.T, order="C")
        if W is not None or H is not None:
            warnings.warn(
                f"{name}: When init!='custom', provided W or H are ignored. Set init='custom' to use them as "
                "initialization.",
                RuntimeWarning,
                stacklevel=3,
            )
        return initial_factors(products, d if k in (None, "auto") else k, self.init, rng)


def check_factor(name: str, which: str, A: Any, products: NonNegativeRows, shape: tuple[Any, Any]) -> Array:
    """A starting factor: non-negative, of the shape and dtype that X asks for."""
    A = check_array(A, dtype=None, input_name=f"NMF (input {which})")
    for axis, side in enumerate(("first", "second")):
        wanted = shape[axis] if shape[axis] is not None else products.shape[1]
        if wanted != "auto" and A.shape[axis] != wanted:
            raise ValueError(
                f"{name}: Array with wrong {side} dimension passed to NMF (input {which}). Expected "
                f"{wanted}, but got {A.shape[axis]}."
            )
    if (A < 0).any():
        raise ValueError(
            f"{name}: Negative values in data passed to NMF (input {which}). Pass a non-negative start."
        )
    if not A.any():
        raise ValueError(
            f"{name}: Array passed to NMF (input {which}) is full of zeros. Pass a positive start."
        )
    if A.dtype != products.dtype:
        raise TypeError(
            f"{name}: H and W should have the same dtype as X. Got {which}.dtype = {A.dtype}. Convert it to "
            f"{products.dtype}."
        )
    return np.asarray(A)

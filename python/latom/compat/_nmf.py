"""scikit-learn's NMF and mini-batch NMF on latom's steps, and the private functions that libraries import."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context, decomposition
from sklearn.decomposition import _nmf
from sklearn.utils import check_array, check_random_state

from latom._base.arrays import Matrix
from latom._base.backend import backend, call
from latom._base.rows import Rows
from latom.factorize import minibatch_nmf, nmf_function
from latom.factorize.nmf_init import initial_factors
from latom.factorize.non_negative_rows import NonNegativeRows

Array = NDArray[Any]


class NMF(decomposition.NMF):
    """``sklearn.decomposition.NMF``, whose iterations latom makes.

    ``solver="cd"`` and ``solver="mu"`` with the Frobenius or Kullback-Leibler loss make the steps that
    scikit-learn makes: results agree to rounding. :class:`latom.NMF` has a faster solver, and takes missing
    entries. Other losses, and ``shuffle=True``, run in scikit-learn's own code. One difference: in
    ``transform`` with "kullback-leibler", scikit-learn's L1 penalty grows with each step; here it is what was
    asked for.

    Parameters
    ----------
    n_components, init, solver, beta_loss, tol, max_iter, random_state, alpha_W, alpha_H, l1_ratio, verbose
        As in scikit-learn.
    shuffle
        As in scikit-learn.

    Attributes
    ----------
    components_, n_components_, reconstruction_err_, n_iter_, n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> import numpy as np
    >>> from latom.compat.sklearn import NMF
    >>> X = np.array([[1, 1], [2, 1], [3, 1.2], [4, 1], [5, 0.8], [6, 1]])
    >>> W = NMF(n_components=2, init="random", random_state=0).fit_transform(X)
    >>> W.shape
    (6, 2)
    """

    def _fit_transform(
        self, X: Matrix, y: Any = None, W: Any = None, H: Any = None, update_H: bool = True
    ) -> tuple[Array, Array, int]:
        """Factors and iterations, as scikit-learn's method of this name returns them."""
        if self.shuffle or not _is_own(self.beta_loss):
            return super()._fit_transform(X, W=W, H=H, update_H=update_H)  # type: ignore[no-any-return]
        self._check_params(X)
        if update_H and self.init != "custom":
            _warn_of_ignored(W, H)
            k = X.shape[1] if self.n_components in (None, "auto") else self.n_components
            W, H = _initialize_nmf(X, k, self.init, random_state=self.random_state)
        else:
            W, H = self._check_w_h(X, W, H, update_H)
        self._n_components = H.shape[0]
        return nmf_function.non_negative_factorization(
            X,
            W if update_H else None,
            H,
            self._n_components,
            init="custom",
            update_H=update_H,
            solver=self.solver,
            beta_loss=self.beta_loss,
            tol=self.tol,
            max_iter=self.max_iter,
            alpha_W=self.alpha_W,
            alpha_H=self.alpha_H,
            l1_ratio=self.l1_ratio,
            verbose=self.verbose,
        )


class _OwnMiniBatchNMF(minibatch_nmf.MiniBatchNMF):
    """latom's estimator, started with the numbers that scikit-learn's draws."""

    def _start(
        self, name: str, products: NonNegativeRows, W: Any, H: Any, rng: np.random.RandomState
    ) -> tuple[Array, Array]:
        if self.init != "nndsvdar":
            return super()._start(name, products, W, H, rng)
        k = products.shape[1] if self.n_components in (None, "auto") else self.n_components
        return _starting_factors(products, k, self.init, self.random_state)


_OwnMiniBatchNMF.__name__ = "MiniBatchNMF"  # what messages say; pickles go by __qualname__


class MiniBatchNMF(decomposition.MiniBatchNMF):
    """``sklearn.decomposition.MiniBatchNMF`` on latom's steps.

    Losses other than the Frobenius and Kullback-Leibler ones run in scikit-learn's own code.

    Parameters
    ----------
    n_components, init, batch_size, beta_loss, tol, max_no_improvement, max_iter, alpha_W, alpha_H, l1_ratio
        As in scikit-learn.
    forget_factor, fresh_restarts, fresh_restarts_max_iter, transform_max_iter, random_state, verbose
        As in scikit-learn.

    Attributes
    ----------
    components_, n_components_, reconstruction_err_, n_iter_, n_steps_, n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> import numpy as np
    >>> from latom.compat.sklearn import MiniBatchNMF
    >>> X = np.array([[1, 1], [2, 1], [3, 1.2], [4, 1], [5, 0.8], [6, 1]])
    >>> MiniBatchNMF(n_components=2, tol=0.1, random_state=0).fit_transform(X).shape
    (6, 2)
    """

    _own: _OwnMiniBatchNMF | None = None  # what has learned, where latom has the loss

    def fit_transform(self, X: Matrix, y: Any = None, W: Any = None, H: Any = None) -> Array:
        """As scikit-learn's."""
        self._own = None
        if not _is_own(self.beta_loss):
            return super().fit_transform(X, y, W, H)  # type: ignore[no-any-return]
        self._validate_params()
        self._own = _OwnMiniBatchNMF(**self.get_params())
        codes: Array = self._own.fit_transform(X, W=W, H=H)
        self._take()
        return codes

    def partial_fit(self, X: Matrix, y: Any = None, W: Any = None, H: Any = None) -> Any:
        """As scikit-learn's."""
        first = not hasattr(self, "components_")
        if not _is_own(self.beta_loss) or (self._own is None and not first):
            return super().partial_fit(X, y, W, H)
        self._validate_params()
        if self._own is None:
            self._own = _OwnMiniBatchNMF()
        self._own.set_params(**self.get_params()).partial_fit(X, W=W, H=H)
        self._take()
        return self

    def transform(self, X: Matrix) -> Array:
        """As scikit-learn's."""
        if self._own is None:
            return super().transform(X)  # type: ignore[no-any-return]
        return self._own.transform(X)

    def _take(self) -> None:
        """What latom's estimator has learned, under the names that scikit-learn's has."""
        assert self._own is not None
        learned = vars(self._own)
        self.__dict__.update({name: learned[name] for name in learned if name.endswith("_")})
        self._n_components = self.n_components_


def non_negative_factorization(
    X: Matrix,
    W: Any = None,
    H: Any = None,
    n_components: Any = "auto",
    *,
    init: str | None = None,
    update_H: bool = True,
    solver: str = "cd",
    beta_loss: Any = "frobenius",
    tol: float = 1e-4,
    max_iter: int = 200,
    alpha_W: float = 0.0,
    alpha_H: Any = "same",
    l1_ratio: float = 0.0,
    random_state: Any = None,
    verbose: int = 0,
    shuffle: bool = False,
) -> tuple[Array, Array, int]:
    """``sklearn.decomposition.non_negative_factorization``, by :class:`NMF` of this module.

    Parameters
    ----------
    X : array or sparse matrix of shape (n, d)
        Numbers of at least 0.
    W, H, n_components, init, update_H, solver, beta_loss, tol, max_iter, alpha_W, alpha_H, l1_ratio
        As in scikit-learn.
    random_state, verbose, shuffle
        As in scikit-learn.

    Returns
    -------
    W : array of shape (n, k)
    H : array of shape (k, d)
    n_iter : int
    """
    model = NMF(
        n_components,
        init=init,
        solver=solver,
        beta_loss=beta_loss,
        tol=tol,
        max_iter=max_iter,
        random_state=random_state,
        alpha_W=alpha_W,
        alpha_H=alpha_H,
        l1_ratio=l1_ratio,
        verbose=verbose,
        shuffle=shuffle,
    )
    model._validate_params()
    X = check_array(X, accept_sparse=("csr", "csc"), dtype=[np.float64, np.float32])
    with config_context(assume_finite=True):
        return model._fit_transform(X, W=W, H=H, update_H=update_H)


# ---- private functions that libraries import from scikit-learn: turftopic's KeyNMF


def _initialize_nmf(
    X: Matrix, n_components: int, init: str | None = None, eps: float = 1e-6, random_state: Any = None
) -> tuple[Array, Array]:
    """Starting factors W [n, k] and H [k, d]; scikit-learn's own where eps is not its default."""
    if eps != 1e-6:
        return _nmf._initialize_nmf(X, n_components, init, eps, random_state)  # type: ignore[no-any-return]
    products = NonNegativeRows(call("NMF initialization"), Rows("NMF initialization", X))
    W, F = _starting_factors(products, n_components, init, random_state)
    return W, np.ascontiguousarray(F.T)


def _starting_factors(
    products: NonNegativeRows, k: int, init: str | None, random_state: Any
) -> tuple[Array, Array]:
    """W and H transposed. Zeros of "nndsvdar" are filled in scikit-learn's order, from its generator."""
    fills = init == "nndsvdar" and k <= min(products.shape)
    W, F = initial_factors(products, k, "nndsvd" if fills else init, check_random_state(random_state))
    if fills:
        rng, mean = check_random_state(random_state), products.mean()
        for A in (W, F.T):
            zero = A == 0
            A[zero] = np.abs(mean * rng.standard_normal(int(zero.sum())) / 100)
    return W, F


def _update_coordinate_descent(
    X: Matrix, W: Array, Ht: Array, l1_reg: float, l2_reg: float, shuffle: bool, random_state: Any
) -> float:
    """One sweep over the coordinates of W, in place; returns how far they were from their optimum."""
    if shuffle:
        found = _nmf._update_coordinate_descent(X, W, Ht, l1_reg, l2_reg, shuffle, random_state)
        return float(found)
    context = call("_update_coordinate_descent")
    P = np.ascontiguousarray(X @ Ht, W.dtype)
    G = backend().gram(context, np.ascontiguousarray(Ht, W.dtype))
    G.flat[:: len(G) + 1] += l2_reg
    return float(backend().coordinate_sweep(context, G, P, W, l1_reg)[0])


# ---- which code runs


def _is_own(beta_loss: Any) -> bool:
    """Whether latom's NMF has this loss."""
    return beta_loss in ("frobenius", "kullback-leibler", 2, 1)


def _warn_of_ignored(W: Any, H: Any) -> None:
    if W is not None or H is not None:
        warnings.warn(
            "When init!='custom', provided W or H are ignored. Set init='custom' to use them as "
            "initialization.",
            RuntimeWarning,
            stacklevel=3,
        )

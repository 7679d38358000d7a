"""Non-negative matrix factorization as a function."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from latom._base.arrays import Matrix, as_weights
from latom._base.backend import call
from latom._base.history import FactorizationState
from latom.factorize.nmf import NMF
from latom.factorize.nmf_base import check_factor
from latom.factorize.non_negative_rows import NonNegativeRows

Array = NDArray[Any]


def non_negative_factorization(
    X: Matrix,
    W: Any = None,
    H: Any = None,
    n_components: Any = "auto",
    *,
    init: str | None = None,
    update_H: bool = True,
    solver: str = "hals",
    beta_loss: Any = "frobenius",
    tol: float = 1e-4,
    max_iter: int = 200,
    alpha_W: float = 0.0,
    alpha_H: Any = "same",
    l1_ratio: float = 0.0,
    random_state: Any = None,
    verbose: int = 0,
    shuffle: bool = False,
    n_threads: int | None = None,
    n_init: int = 1,
    callback: Callable[[FactorizationState], Any] | None = None,
    sample_weight: Any = None,
    mask: Any = None,
) -> tuple[Array, Array, int]:
    """Factors of X, as a function.

    Parameters
    ----------
    X : array or CSR of shape (n, d)
        Numbers of at least 0, as :meth:`NMF.fit` takes them.
    n_components, init, solver, beta_loss, tol, max_iter, alpha_W, alpha_H, l1_ratio
        As in :class:`NMF`.
    random_state, verbose, shuffle, n_threads
        As in :class:`NMF`.
    n_init, callback, sample_weight
        As in :class:`NMF` and its ``fit``. With ``update_H=False`` there is one start without iterations to
        hear of, and rows do not depend on each other's weights.
    mask : boolean array or sparse matrix of shape (n, d), optional
        True where X is observed.
    W, H : arrays of shape (n, k) and (k, d), optional
        Start with ``init="custom"``; with ``update_H=False`` H is the fixed factor and W is not used.
    update_H : bool, default True
        False solves for W alone.

    Returns
    -------
    W : array of shape (n, k)
    H : array of shape (k, d)
    n_iter : int

    Raises
    ------
    ValueError, TypeError
        As in :meth:`NMF.fit_transform`.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import non_negative_factorization
    >>> X = np.array([[1, 1], [2, 1], [3, 1.2], [4, 1], [5, 0.8], [6, 1]])
    >>> W, H, n_iter = non_negative_factorization(X, n_components=2, random_state=0)
    >>> bool(np.abs(W @ H - X).max() < 0.01)
    True
    """
    name = "non_negative_factorization"
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
        n_threads=n_threads,
        n_init=n_init,
        callback=callback,
    )
    if update_H:
        W = model._fit(name, X, None, W, H, sample_weight, mask)
        return W, model.components_, model.n_iter_
    model._check_parameters(name)
    if W is not None:
        warnings.warn(
            f"{name}: When update_H=False, the provided initial W is not used.", RuntimeWarning, stacklevel=2
        )
    rows = model._validate(name, X, reset=True)
    d = rows.shape[1]
    H = check_factor(name, "H", H, rows.dtype, (n_components or d, d))
    as_weights(name, sample_weight, len(rows))
    products = NonNegativeRows(call(name, n_threads), rows, mask, H=H)
    W, n_iter, _ = model._solve(name, products, H)
    return W, H, n_iter

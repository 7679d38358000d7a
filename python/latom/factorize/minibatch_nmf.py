"""Non-negative matrix factorization a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import gen_batches
from sklearn.utils.validation import check_is_fitted

from latom._base.arrays import Matrix
from latom._base.backend import backend, call
from latom._base.callbacks import FitTasks, with_callbacks
from latom._base.checks import check_flag, check_integer, check_range
from latom._base.estimator import as_random_state
from latom._base.history import FactorizationState
from latom._base.progress import Progress
from latom._base.rows import Rows
from latom.factorize.long_steps import LongSteps
from latom.factorize.nmf_base import BaseNMF
from latom.factorize.nmf_solvers import EPSILON, frobenius_step
from latom.factorize.non_negative_rows import NonNegativeRows
from latom.factorize.units import times

Array = NDArray[Any]


class MiniBatchNMF(BaseNMF):
    """Non-negative matrix factorization by multiplicative steps on batches of rows.

    Each batch renews its rows of W with H fixed, then H from sums over the batches so far, older ones
    forgotten at a rate. Where X fits in memory, :class:`NMF` reaches a lower loss sooner; this class is for
    rows that arrive over time, by :meth:`partial_fit`.

    Parameters
    ----------
    n_components, init, beta_loss, alpha_W, alpha_H, l1_ratio
        As in :class:`NMF`.
    random_state, verbose, n_threads, device
        As in :class:`NMF`.
    callback : callable, optional
        As in :class:`NMF`; it is called after each pass over the rows.
    batch_size : int, default 1024
        Rows of a batch.
    tol : float, default 1e-4
        A fit stops when a batch changes H by at most tol times its norm.
    max_no_improvement : int or None, default 10
        A fit stops after so many batches that did not lower the smoothed cost.
    max_iter : int, default 200
        Most passes over the rows.
    forget_factor : float in [0, 1], default 0.7
        What of the sums is kept over a whole pass.
    fresh_restarts : bool, default False
        Solve for a batch's W from the start each time, instead of one step.
    fresh_restarts_max_iter : int, default 30
        Most steps of such a solution.
    transform_max_iter : int, optional
        Most steps of :meth:`transform`; None takes max_iter.

    Attributes
    ----------
    components_, n_components_, reconstruction_err_, n_features_in_, feature_names_in_
        As in :class:`NMF`.
    n_iter_ : int
        Passes begun.
    history_ : structured array of shape (n_iter_,)
        Fields of :class:`latom.FactorizationState`, one per pass of a fit; the objective is the mean cost per
        row, smoothed over batches, and the violation is NaN.
    n_steps_ : int
        Batches processed.

    Notes
    -----
    The steps, constants and rules to stop are those of scikit-learn's MiniBatchNMF, so that it can be put in
    its place. Sparse batches are not densified for either loss.

    References
    ----------
    Lefevre, Bach & Fevotte, "Online algorithms for nonnegative matrix factorization with the Itakura-Saito
    divergence", 2011.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import MiniBatchNMF
    >>> rng = np.random.default_rng(0)
    >>> X = rng.random((500, 3)) @ rng.random((3, 20))
    >>> model = MiniBatchNMF(3, batch_size=100, tol=1e-3, random_state=0)
    >>> W = model.fit_transform(X)
    >>> bool(model.reconstruction_err_ < 0.2 * np.linalg.norm(X))
    True
    """

    history_: NDArray[Any]
    n_steps_: int
    _numerator: Array
    _denominator: Array
    _rate: float
    _unit: float

    def __init__(
        self,
        n_components: Any = "auto",
        *,
        init: str | None = None,
        batch_size: int = 1024,
        beta_loss: Any = "frobenius",
        tol: float = 1e-4,
        max_no_improvement: int | None = 10,
        max_iter: int = 200,
        alpha_W: float = 0.0,
        alpha_H: Any = "same",
        l1_ratio: float = 0.0,
        forget_factor: float = 0.7,
        fresh_restarts: bool = False,
        fresh_restarts_max_iter: int = 30,
        transform_max_iter: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
        n_threads: int | None = None,
        device: str | None = None,
        callback: Callable[[FactorizationState], Any] | None = None,
    ) -> None:
        self.n_components = n_components
        self.init = init
        self.batch_size = batch_size
        self.beta_loss = beta_loss
        self.tol = tol
        self.max_no_improvement = max_no_improvement
        self.max_iter = max_iter
        self.alpha_W = alpha_W
        self.alpha_H = alpha_H
        self.l1_ratio = l1_ratio
        self.forget_factor = forget_factor
        self.fresh_restarts = fresh_restarts
        self.fresh_restarts_max_iter = fresh_restarts_max_iter
        self.transform_max_iter = transform_max_iter
        self.random_state = random_state
        self.verbose = verbose
        self.n_threads = n_threads
        self.device = device
        self.callback = callback

    @with_callbacks
    def fit(self, X: Matrix, y: Any = None, W: Any = None, H: Any = None) -> MiniBatchNMF:
        """Learn the factors of X.

        Parameters
        ----------
        X, y, W, H
            As in :meth:`fit_transform`.

        Returns
        -------
        self
        """
        self._fit(f"{type(self).__name__}.fit", X, y, W, H)
        return self

    @with_callbacks
    def fit_transform(self, X: Matrix, y: Any = None, W: Any = None, H: Any = None) -> Array:
        """Learn the factors and return W.

        Parameters
        ----------
        X : array or CSR of shape (n, d), float32 or float64
            Non-negative and finite.
        y : ignored
        W, H : arrays of shape (n, k) and (k, d), optional
            Start, with ``init="custom"``.

        Returns
        -------
        W : array of shape (n, k)

        Raises
        ------
        ValueError, TypeError
            As in :meth:`NMF.fit_transform`.
        """
        return self._fit(f"{type(self).__name__}.fit_transform", X, y, W, H)

    def _fit(self, name: str, X: Matrix, y: Any, W: Any, H: Any) -> Array:
        self._check_parameters(name)
        rows = self._validate(name, X, reset=True)
        context = call(name, self.n_threads)
        whole = NonNegativeRows(context, rows)
        W, F = self._start(name, whole, W, H, as_random_state(name, self.random_state))
        n = len(rows)
        size = min(self.batch_size, n)
        batches = list(gen_batches(n, size))
        parts = [NonNegativeRows(context, Rows(name, rows[batch]), unit=whole.units.X) for batch in batches]
        self._unit = whole.units.X
        self._reset(F)
        self._rate = self.forget_factor ** (size / n)
        smoothed = lowest = np.inf
        stale = steps = 0
        settled = False
        tasks = FitTasks(self, 1, X, y)
        task = tasks.start(self.max_iter)
        with Progress(type(self).__name__, self.max_iter, self.verbose) as progress:
            run = self._descent(whole, progress, task)
            while True:
                for batch, part in zip(batches, parts, strict=True):
                    before = F
                    W[batch], F, cost = self._step(part, W[batch], F, self._rate)
                    steps += 1
                    if steps == 1:
                        continue
                    share = min(part.shape[0] / (n + 1), 1.0)
                    smoothed = cost if np.isinf(smoothed) else smoothed * (1 - share) + cost * share
                    stale = 0 if smoothed < lowest else stale + 1
                    lowest = min(lowest, smoothed)
                    change = np.linalg.norm(F - before)
                    settled = (self.tol > 0 and change <= self.tol * np.linalg.norm(F)) or (
                        self.max_no_improvement is not None and stale >= self.max_no_improvement
                    )
                    if settled:
                        break
                if run.reached(smoothed if steps > 1 else cost, np.nan, settled, F):
                    break
        task.end(run.attributes)
        if self.fresh_restarts:
            W = self._solve(whole, F, self.transform_max_iter or self.max_iter, self.verbose)
        self._warn_unless_converged(name, len(run.states), settled)
        self._keep(F, whole)
        self.n_iter_, self.n_steps_, self.history_ = len(run.states), steps, run.history
        loss, unit = max(self._loss(whole, W, F), 0.0), self._unit_of_loss(whole)
        self.reconstruction_err_ = float(np.sqrt(2 * loss) * np.sqrt(unit))
        tasks.end()
        return times(np.asarray(W), whole.units.W)

    def partial_fit(self, X: Matrix, y: Any = None, W: Any = None, H: Any = None) -> Any:
        """Update the components with one batch.

        Parameters
        ----------
        X : array or CSR of shape (n, d)
            The batch.
        y : ignored
        W, H : arrays of shape (n, k) and (k, d), optional
            Start of the first call, with ``init="custom"``.

        Returns
        -------
        self
        """
        name = f"{type(self).__name__}.partial_fit"
        self._check_parameters(name)
        first = not hasattr(self, "components_")
        rows, context = self._validate(name, X, reset=first), call(name, self.n_threads)
        products = NonNegativeRows(context, rows, unit=None if first else self._unit)
        if first:
            self._unit = products.units.X
            _, F = self._start(name, products, W, H, as_random_state(name, self.random_state))
            self._reset(F)
            self.n_steps_ = 0
            size = min(self.batch_size, products.shape[0])
            self._rate = self.forget_factor ** (size / products.shape[0])
        else:
            F = np.array(times(self.components_, 1 / products.units.H).T, products.dtype, order="C")
        self._keep(self._step(products, None, F, self._rate)[1], products)
        self.n_steps_ += 1
        return self

    def transform(self, X: Matrix) -> Array:
        """W of other rows with the fitted components.

        Parameters
        ----------
        X : array or CSR of shape (n, d)

        Returns
        -------
        W : array of shape (n, k)
        """
        return self._codes(f"{type(self).__name__}.transform", X)[0]

    def _codes(self, name: str, X: Matrix, mask: Any = None) -> tuple[Array, float]:
        check_is_fitted(self)
        self._check_parameters(name)
        rows, H = self._validate(name, X, reset=False), self.components_
        products = NonNegativeRows(call(name, self.n_threads), rows, H=H)
        F = np.ascontiguousarray(times(H, 1 / products.units.H).T, products.dtype)
        W = self._solve(products, F, self.transform_max_iter or self.max_iter, self.verbose)
        loss = max(self._loss(products, W, F), 0.0) * self._unit_of_loss(products)
        return times(W, products.units.W), loss

    # ---- steps

    def _reset(self, F: Array) -> None:
        self._numerator, self._denominator = F.copy(), np.ones_like(F)

    def _keep(self, F: Array, p: NonNegativeRows) -> None:
        self.components_, self.n_components_ = np.ascontiguousarray(times(F, p.units.H).T), F.shape[1]

    def _step(self, p: NonNegativeRows, W: Array | None, F: Array, keep: float) -> tuple[Array, Array, float]:
        """W and F after one batch, and its cost per row."""
        r = self._penalties(p)
        if W is None or self.fresh_restarts:
            W = self._solve(p, F, self.fresh_restarts_max_iter)
        else:
            W = self._renewed(p, W, F)
        cost = self._loss(p, W, F)
        cost += r.l1_W * W.sum() + r.l1_H * F.sum() + r.l2_W * (W**2).sum() + r.l2_H * (F**2).sum()
        if self._kullback:
            sums = W.sum(axis=0, dtype=np.float64)
            bottom = (sums + r.l1_H + r.l2_H * F).astype(F.dtype)
            top = p.kullback_step(F, W, True, r.l1_H, r.l2_H)[0] * bottom
            bottom += (sums == 0).astype(F.dtype)  # a component that the batch does not use fades
        else:
            bottom = (
                F @ backend().gram(p.context, W).astype(F.dtype)
                + F.dtype.type(r.l1_H)
                + F.dtype.type(r.l2_H) * F
            )
            bottom[bottom == 0] = EPSILON
            top = p.transposed_times(W) * F
        self._numerator = self._numerator * F.dtype.type(keep) + top
        self._denominator = self._denominator * F.dtype.type(keep) + bottom
        F = self._numerator / self._denominator
        if self._kullback:
            F[np.finfo(np.float64).eps > F] = 0
        return W, F, float(cost) / p.shape[0]

    def _renewed(self, p: NonNegativeRows, W: Array, F: Array) -> Array:
        r = self._penalties(p)
        if self._kullback:
            return np.asarray(p.kullback_step(W, F, False, r.l1_W, r.l2_W)[0])
        return frobenius_step(W, p.times(F), backend().gram(p.context, F), r.l1_W, r.l2_W)

    def _solve(self, p: NonNegativeRows, F: Array, steps: int, verbose: int = 0) -> Array:
        """W by steps until they change it by at most tol."""
        W = np.full((p.shape[0], F.shape[1]), np.sqrt(p.mean() / F.shape[1]), p.dtype)
        say = LongSteps(p.function, verbose)
        for step in range(steps):
            say(f"step {step + 1} of at most {steps} for W with these components")
            before, W = W, self._renewed(p, W, F)
            if self.tol > 0 and np.linalg.norm(W - before) <= self.tol * np.linalg.norm(W):
                break
        return W

    def _loss(self, p: NonNegativeRows, W: Array, F: Array) -> float:
        return p.kullback_loss(W, F) if self._kullback else p.squared_loss(W, F)

    def _check_parameters(self, name: str) -> None:
        super()._check_parameters(name)
        for argument in ("batch_size", "fresh_restarts_max_iter"):
            check_integer(name, argument, getattr(self, argument))
        for argument in ("max_no_improvement", "transform_max_iter"):
            if getattr(self, argument) is not None:
                check_integer(name, argument, getattr(self, argument))
        check_range(name, "forget_factor", self.forget_factor, 1)
        check_flag(name, "fresh_restarts", self.fresh_restarts)

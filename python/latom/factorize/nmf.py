"""Non-negative matrix factorization of dense, sparse and incomplete matrices."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from latom._base.arrays import Matrix, as_weights
from latom._base.backend import call
from latom._base.callbacks import FitTasks, StartTask, with_callbacks
from latom._base.checks import check_choice, check_flag, check_integer
from latom._base.estimator import as_random_state
from latom._base.history import Descent, FactorizationState
from latom._base.progress import Progress
from latom.factorize.nmf_base import BaseNMF
from latom.factorize.nmf_solvers import (
    HalfSteps,
    Solver,
    accelerated_hals,
    coordinate_descent,
    multiplicative,
    side_by_side,
    solve_W,
)
from latom.factorize.non_negative_rows import NonNegativeRows
from latom.factorize.units import times

Array = NDArray[Any]

BESIDE = 128  # columns of dense products, at most, by measurement; those of CSR gain nothing by being wider


class NMF(BaseNMF):
    """Non-negative matrix factorization: X is about W H, with W and H non-negative.

    Minimizes half the squared error (or the Kullback-Leibler divergence), plus

        alpha_W * d * (l1_ratio * |W| + (1 - l1_ratio) / 2 * ||W||^2)
        + alpha_H * n * (l1_ratio * |H| + (1 - l1_ratio) / 2 * ||H||^2)

    Parameters
    ----------
    n_components : int, "auto" or None, default "auto"
        Components, k. "auto" takes the shape of a custom W or H, else the number of features, as None does.
    init : {"random", "nndsvd", "nndsvda", "nndsvdar", "custom"}, optional
        Starting factors. None means "nndsvda" where k <= min(n, d), else "random"; "custom" takes
        W and H of :meth:`fit_transform`.
    solver : {"hals", "cd", "mu"}, default "hals"
        "hals": accelerated coordinate descent, several sweeps a product and extrapolation with restarts;
        the objective in ``history_`` never rises. "cd": one sweep each, scikit-learn's solver with
        shuffle=False. "mu": multiplicative steps; alone offers the Kullback-Leibler divergence.
    beta_loss : {"frobenius", "kullback-leibler"} or {2, 1}, default "frobenius"
        Loss. Other divergences are refused.
    tol : float, default 1e-4
        "hals" and "cd" stop when what the coordinates lack of optimality is at most tol times what it was
        in the first iteration; "mu" when ten iterations lower the objective by less than tol times the
        first one.
    max_iter : int, default 200
        Most iterations of a run.
    n_init : int, default 1
        Runs from different starts; the one with the lowest objective is kept. With dense X they advance side
        by side, as many as have 128 components together: one wide product is faster than several narrow ones.
    random_state : int, Generator, RandomState or None
        Seed of the starts.
    alpha_W, alpha_H : float, default 0.0 and "same"
        Penalties; "same" takes alpha_W.
    l1_ratio : float in [0, 1], default 0.0
        Share of the penalty that is on sums, not squares.
    verbose : int, default 0
        1 shows a progress bar on a terminal, a line per iteration elsewhere.
    shuffle : bool, default False
        Only False: coordinates go in order, so that rows can be swept side by side.
    n_threads : int, optional
        None takes ``LATOM_NUM_THREADS``, ``OMP_NUM_THREADS`` or the CPUs of this process. Products of dense X
        are numpy's, whose BLAS has its own setting.
    device : {None, "cpu"}
        Where to compute; this build has the CPU.
    callback : callable, optional
        Called with a :class:`latom.FactorizationState` after each iteration; a true result stops that run.

    Attributes
    ----------
    components_ : array of shape (k, d)
        H, of the dtype of X.
    n_components_ : int
    reconstruction_err_ : float
        Square root of twice the loss: the Frobenius norm of X - W H over the observed entries.
    n_iter_ : int
        Iterations of the best run.
    history_ : structured array of shape (n_iter_,)
        Fields of :class:`latom.FactorizationState`.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    The results for CSR do not depend on threads or processor, to the bit. An iteration costs two products,
    4 nnz k flops, and sweeps of 2 k^2 flops per row; sparse X is not densified for either loss. Extra memory:
    a transposed copy of sparse X, three times W and a few times H; times the starts side by side.

    References
    ----------
    Cichocki & Phan, "Fast local algorithms for large scale nonnegative matrix and tensor factorizations",
    2009.
    Gillis & Glineur, "Accelerated multiplicative updates and hierarchical ALS algorithms for nonnegative
    matrix factorization", 2012.
    Ang & Gillis, "Accelerating nonnegative matrix factorization algorithms using extrapolation", 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import NMF
    >>> X = np.array([[1, 1], [2, 1], [3, 1.2], [4, 1], [5, 0.8], [6, 1]])
    >>> model = NMF(2, random_state=0)
    >>> W = model.fit_transform(X)
    >>> bool(np.abs(W @ model.components_ - X).max() < 0.01)
    True
    """

    history_: NDArray[Any]

    def __init__(
        self,
        n_components: Any = "auto",
        *,
        init: str | None = None,
        solver: str = "hals",
        beta_loss: Any = "frobenius",
        tol: float = 1e-4,
        max_iter: int = 200,
        n_init: int = 1,
        random_state: Any = None,
        alpha_W: float = 0.0,
        alpha_H: Any = "same",
        l1_ratio: float = 0.0,
        verbose: int = 0,
        shuffle: bool = False,
        n_threads: int | None = None,
        device: str | None = None,
        callback: Callable[[FactorizationState], Any] | None = None,
    ) -> None:
        self.n_components = n_components
        self.init = init
        self.solver = solver
        self.beta_loss = beta_loss
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.random_state = random_state
        self.alpha_W = alpha_W
        self.alpha_H = alpha_H
        self.l1_ratio = l1_ratio
        self.verbose = verbose
        self.shuffle = shuffle
        self.n_threads = n_threads
        self.device = device
        self.callback = callback

    @with_callbacks
    def fit(
        self,
        X: Matrix,
        y: Any = None,
        W: Any = None,
        H: Any = None,
        *,
        sample_weight: Any = None,
        mask: Any = None,
    ) -> NMF:
        """Learn the factors of X.

        Parameters
        ----------
        X, y, W, H, sample_weight, mask
            As in :meth:`fit_transform`.

        Returns
        -------
        self
        """
        self._fit(f"{type(self).__name__}.fit", X, y, W, H, sample_weight, mask)
        return self

    @with_callbacks
    def fit_transform(
        self,
        X: Matrix,
        y: Any = None,
        W: Any = None,
        H: Any = None,
        *,
        sample_weight: Any = None,
        mask: Any = None,
    ) -> Array:
        """Learn the factors and return W.

        Parameters
        ----------
        X : array or CSR of shape (n, d), float32 or float64
            Non-negative; not copied when C-contiguous or canonical CSR. NaN entries are missing: they are
            not fitted (solvers "hals" and "cd").
        y : ignored
        W : array of shape (n, k), optional
            Start, with ``init="custom"``.
        H : array of shape (k, d), optional
            Start, with ``init="custom"``.
        sample_weight : array of shape (n,), optional
            Weight of each row in loss and penalty ("hals" and "cd"); a whole number is a repetition.
        mask : boolean array or sparse matrix of shape (n, d), optional
            True where X is observed; a sparse mask is not densified. Rows of W then have Gram matrices of
            their own: k^2 multiply-adds a missing entry, or an observed one in rows that miss more than half
            or see at most 4 k.

        Returns
        -------
        W : array of shape (n, k)

        Raises
        ------
        ValueError
            If a parameter is out of range, X is negative or infinite, or a start does not fit X.
        TypeError
            If W or H has not the dtype of X.
        """
        return self._fit(f"{type(self).__name__}.fit_transform", X, y, W, H, sample_weight, mask)

    def _fit(
        self, name: str, X: Matrix, y: Any, W: Any, H: Any, sample_weight: Any = None, mask: Any = None
    ) -> Array:
        self._check_parameters(name)
        rows = self._validate(name, X, reset=True)
        weights = as_weights(name, sample_weight, len(rows))
        products = NonNegativeRows(call(name, self.n_threads), rows, mask)
        self._check_multiplicative(name, products, weights)
        half = HalfSteps(products, self._penalties(products), weights)
        rng = as_random_state(name, self.random_state)
        n_init = 1 if self.init == "custom" else self.n_init
        tasks = FitTasks(self, n_init, X, y, sample_weight)
        stopped = False
        best: tuple[Descent, Array, Array] | None = None
        while n_init > 0 and not stopped:
            starts = [self._start(name, products, W, H, rng)]
            together = 1 if products.sparse else max(1, BESIDE // starts[0][1].shape[1])
            starts += [self._start(name, products, W, H, rng) for _ in range(min(n_init, together) - 1)]
            n_init -= len(starts)
            tasks_of = [tasks.start(self.max_iter) for _ in starts]
            for task, found in zip(tasks_of, self._run(half, starts, tasks_of), strict=True):
                stopped = task.end(found[0].attributes) or stopped
                if best is None or found[0].states[-1].objective < best[0].states[-1].objective:
                    best = found
        assert best is not None
        run, W_run, F = best
        self._warn_unless_converged(name, len(run.states), run.converged)
        self.components_ = np.ascontiguousarray(times(F, products.units.H).T)
        self.n_components_ = F.shape[1]
        self.n_iter_ = len(run.states)
        self.history_ = run.history
        self.reconstruction_err_ = self._error(half, run, W_run, F)
        tasks.end()
        return times(W_run, products.units.W)

    def transform(self, X: Matrix, *, mask: Any = None) -> Array:
        """W of other rows with the fitted components.

        Parameters
        ----------
        X : array or CSR of shape (n, d)
            As in :meth:`fit_transform`.
        mask : boolean array or sparse matrix of shape (n, d), optional
            As in :meth:`fit_transform`.

        Returns
        -------
        W : array of shape (n, k)
        """
        return self._codes(f"{type(self).__name__}.transform", X, mask)[0]

    def _codes(self, name: str, X: Matrix, mask: Any = None) -> tuple[Array, float]:
        check_is_fitted(self)
        self._check_parameters(name)
        rows = self._validate(name, X, reset=False)
        products = NonNegativeRows(call(name, self.n_threads), rows, mask, H=self.components_)
        W, _, loss = self._solve(name, products, self.components_)
        return W, loss

    def _run(
        self, half: HalfSteps, starts: list[tuple[Array, Array]], tasks: list[StartTask]
    ) -> list[tuple[Descent, Array, Array]]:
        """Runs from these starts, side by side."""
        name = type(self).__name__
        with ExitStack() as stack:
            runs, solvers = [], []
            for place, ((W, F), task) in enumerate(zip(starts, tasks, strict=True)):
                own = name if len(starts) == 1 else f"{name}, start {place + 1}"
                progress = stack.enter_context(Progress(own, self.max_iter, self.verbose))
                run = self._descent(half.products, progress, task)
                solver: Solver[tuple[Array, Array]]
                if self.solver == "mu":
                    solver = multiplicative(half, W, F, run, self._kullback, True)
                elif self.solver == "cd":
                    solver = coordinate_descent(half, W, F, run)
                else:
                    solver = accelerated_hals(half, W, F, run)
                runs.append(run)
                solvers.append(solver)
            found = side_by_side(half.products, solvers)
        return [(run, *factors) for run, factors in zip(runs, found, strict=True)]

    # ---- one half

    def _solve(self, name: str, products: NonNegativeRows, H: Array) -> tuple[Array, int, float]:
        """W for fixed H, the iterations that it took, and the loss."""
        self._check_multiplicative(name, products, None)
        F = np.ascontiguousarray(times(H, 1 / products.units.H).T, products.dtype)
        half = HalfSteps(products, self._penalties(products), None)
        shape = (products.shape[0], F.shape[1])
        with Progress(name, self.max_iter, self.verbose) as progress:
            run = self._descent(products, progress)
            if self.solver == "mu":  # steps that multiply cannot leave 0
                W = np.full(shape, np.sqrt(products.mean() / F.shape[1]), products.dtype)
                W = side_by_side(products, [multiplicative(half, W, F, run, self._kullback, False)])[0][0]
            else:
                W = solve_W(half, np.zeros(shape, products.dtype), F, run)
        self._warn_unless_converged(name, len(run.states), run.converged)
        r, unit = half.penalties, self._unit_of_loss(products)
        loss = run.states[-1].objective / unit - r.of(W, r.l1_W, r.l2_W)
        if self.solver == "mu":
            loss -= r.of(F, r.l1_H, r.l2_H)
        return times(W, products.units.W), len(run.states), max(loss, 0.0) * unit

    def _error(self, half: HalfSteps, run: Descent, W: Array, F: Array) -> float:
        p, r = half.products, half.penalties
        unit = self._unit_of_loss(p)
        loss = run.states[-1].objective / unit
        loss -= r.of(W, r.l1_W, r.l2_W, half.weights) + r.of(F, r.l1_H, r.l2_H)
        if not self._kullback and p.missing is None and loss < 1e-3 * half.norm2:
            # So near that the loss is a difference of large numbers: entry by entry.
            loss = p.loss_by_entries(W, F, half.weights)
        return float(np.sqrt(2 * max(loss, 0.0)) * np.sqrt(unit))

    # ---- checks

    def _takes_nan(self) -> bool:
        return self.solver != "mu"

    def _check_parameters(self, name: str) -> None:
        super()._check_parameters(name)
        check_integer(name, "n_init", self.n_init)
        check_choice(name, "solver", self.solver, ("hals", "cd", "mu"))
        check_flag(name, "shuffle", self.shuffle)
        if self.solver != "mu" and self._kullback:
            raise ValueError(
                f"{name}: beta_loss must be 'frobenius' with solver={self.solver!r} (Invalid beta_loss "
                f"parameter: solver {self.solver!r} does not handle beta_loss = {self.beta_loss!r}); got "
                f"{self.beta_loss!r}. Use solver='mu'."
            )
        if self.shuffle:
            raise ValueError(
                f"{name}: shuffle must be False; got {self.shuffle!r}. Coordinates go in order, so that rows "
                "can be swept side by side."
            )
        if self.solver == "mu" and self.init == "nndsvd":
            warnings.warn(
                f"{name}: The multiplicative update ('mu') solver cannot update zeros present in the "
                "initialization, and so leads to poorer results when used jointly with "
                "init='nndsvd'. You may try init='nndsvda' or init='nndsvdar' instead.",
                UserWarning,
                stacklevel=3,
            )

    def _check_multiplicative(self, name: str, products: NonNegativeRows, weights: Any) -> None:
        if self.solver == "mu" and (products.missing is not None or weights is not None):
            what, got = ("mask", "missing entries") if weights is None else ("sample_weight", "weights")
            raise ValueError(f"{name}: {what} must be None with solver='mu'; got {got}. Use solver='hals'.")

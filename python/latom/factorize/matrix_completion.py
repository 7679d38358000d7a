"""Low-rank completion of matrices of which some entries are observed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from latom._base.arrays import Matrix
from latom._base.backend import backend, call
from latom._base.callbacks import FitTasks, with_callbacks
from latom._base.checks import check_choice, check_flag, check_integer, check_range
from latom._base.csr import csr_of_parts
from latom._base.estimator import IterativeEstimator, as_random_state, validated_rows
from latom._base.finite import check_held
from latom._base.history import Descent, FactorizationState
from latom._base.progress import Progress
from latom._base.rows import Rows
from latom._base.sparse_tensor import as_scipy
from latom.factorize.observed import Side, as_csr_rows, transposed
from latom.factorize.singular_vectors import OVERSAMPLES

Array = NDArray[Any]

EXACT = 16  # columns of a system, up to which an exact solution costs as much as three steps; by measurement
SWEEPS = 30
SVD_ROUNDS = 4


class MatrixCompletion(IterativeEstimator):
    """Complete X from its observed entries: X[i, j] is about mean + row bias + column bias + <u_i, v_j>.

    Minimizes the sum over observed entries of squared errors, plus alpha |u_i|^2 per row and alpha |v_j|^2
    per column (biases among them; times their numbers of entries with ``weighted_alpha``), by alternating
    least squares.

    Parameters
    ----------
    n_components : int, default 10
        Rank, k.
    solver : {"auto", "cholesky", "cg", "sketch"}, default "auto"
        "cholesky": each row and column exactly. "cg": ``cg_steps`` steps of conjugate gradients from where it
        stands. "sketch": the same with the system of a sample of the entries as preconditioner, in rows of
        more than 8 k entries; shorter ones exactly. "auto": "cholesky" up to 16 columns, else "cg".
    cg_steps : int, default 3
    alpha : float, default 0.1
        Penalty.
    weighted_alpha : bool, default True
        A row's or column's penalty counts once per entry.
    fit_bias : bool, default True
        Fit the mean and biases. Without them X is taken to be of low rank itself.
    init : {"svd", "random"}, default "svd"
        "svd": the leading components of X with 0 for what is missing, rescaled.
    max_iter : int, default 50
    tol : float, default 1e-4
        Stop once the objective falls by at most tol times itself.
    nonnegative : bool, default False
        Factors of at least 0, by coordinate sweeps; biases may have any sign.
    random_state : int, Generator, RandomState or None
        Seed of the start.
    n_threads : int, optional
        None takes ``LATOM_NUM_THREADS``, ``OMP_NUM_THREADS`` or the CPUs of this process.
    verbose : int, default 0
        1 shows a progress bar on a terminal, a line per iteration elsewhere.
    callback : callable, optional
        Called with a :class:`latom.FactorizationState` after each iteration; a true result stops.

    Attributes
    ----------
    components_ : array of shape (k, d)
    row_factors_ : array of shape (n, k)
    mean_ : float
    row_bias_, column_bias_ : arrays of shape (n,) and (d,)
        0 without ``fit_bias``.
    rmse_ : float
        Root of the mean squared error of the observed entries.
    n_iter_ : int
    history_ : structured array of shape (n_iter_,)
        Fields of :class:`latom.FactorizationState`; ``violation`` is the relative fall of the objective.
    validation_scores_ : array of shape (n_iter_,)
        Root mean squared errors of ``validation``, where it was given to :meth:`fit`.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    The same bits for every number of threads and every processor. An iteration costs, for each of the n + d
    rows and columns with n_i entries, n_i k^2 + k^3 / 3 flops ("cholesky"), or 4 n_i k per step. That inexact
    solutions recover what exact ones do is what Gu et al. prove for sketched regressions;
    ``examples/completion.py`` shows it.

    References
    ----------
    Zhou, Wilkinson, Schreiber & Pan, "Large-scale parallel collaborative filtering for the Netflix prize",
    2008. Gu, Song, Yin & Zhang, "Low rank matrix completion via robust alternating minimization in nearly
    linear time", ICLR 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import MatrixCompletion
    >>> X = np.outer([1.0, 2, 3, 4], [1.0, 2, 3])
    >>> X[0, 2] = X[3, 0] = np.nan
    >>> model = MatrixCompletion(1, fit_bias=False, alpha=1e-9, tol=0, random_state=0).fit(X)
    >>> model.predict([0, 3], [2, 0]).round(3).tolist()
    [3.0, 4.0]
    """

    _takes_sparse = True

    history_: NDArray[Any]
    row_bias_: Array
    column_bias_: Array

    def __init__(
        self,
        n_components: int = 10,
        *,
        solver: str = "auto",
        cg_steps: int = 3,
        alpha: float = 0.1,
        weighted_alpha: bool = True,
        fit_bias: bool = True,
        init: str = "svd",
        max_iter: int = 50,
        tol: float = 1e-4,
        nonnegative: bool = False,
        random_state: Any = None,
        n_threads: int | None = None,
        verbose: int = 0,
        callback: Callable[[FactorizationState], Any] | None = None,
    ) -> None:
        self.n_components = n_components
        self.solver = solver
        self.cg_steps = cg_steps
        self.alpha = alpha
        self.weighted_alpha = weighted_alpha
        self.fit_bias = fit_bias
        self.init = init
        self.max_iter = max_iter
        self.tol = tol
        self.nonnegative = nonnegative
        self.random_state = random_state
        self.n_threads = n_threads
        self.verbose = verbose
        self.callback = callback

    @with_callbacks
    def fit(self, X: Matrix, y: Any = None, *, validation: Any = None) -> MatrixCompletion:
        """Learn factors and biases.

        Parameters
        ----------
        X : CSR or array of shape (n, d)
            CSR: stored entries are observed, zeros among them. An array: NaN is missing.
        y : ignored
        validation : CSR of shape (n, d), optional
            Entries that are not fitted, for ``validation_scores_``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is out of range, or X holds infinity.
        """
        name = f"{type(self).__name__}.fit"
        self._check_parameters(name)
        rows = self._observed(name, X, reset=True)
        held_out = None if validation is None else as_csr_rows(name, validation, rows.dtype, "validation")
        context = call(name, self.n_threads, int(as_random_state(name, self.random_state).randint(2**31)))
        values = rows.array.data
        fitted = bool(self.fit_bias and len(values))
        self.mean_ = float(values.mean(dtype=np.float64)) if fitted else 0.0
        left, right = self._side(rows), self._side(transposed(name, rows))
        U, V = self._start(name, context, left, right)
        tasks = FitTasks(self, 1, X)
        task = tasks.start(self.max_iter)
        scores: list[float] = []
        self._keep(U, V)
        with Progress(type(self).__name__, self.max_iter, self.verbose) as progress:
            run = Descent(self.max_iter, self.tol, self.callback, progress, task, self._fitted)
            before, last = np.inf, False
            while not last:
                U, V = U.copy(), V.copy()
                self._half(left, context, V, U)
                value = self._half(right, context, U, V)
                objective = value + left.penalty(U)
                self._keep(U, V)  # Ctrl-C leaves the last whole iteration
                fall = (before - objective) / max(objective, 1e-300) if np.isfinite(before) else np.inf
                before = objective
                if held_out is not None:
                    scores.append(self._rmse(context, held_out))
                last = run.stop(bool(fall <= self.tol and self.tol > 0), objective=objective, violation=fall)
        task.end(run.attributes)
        self.n_iter_ = len(run.states)
        self.history_ = run.history
        check_held(name, "X", "factors", U, V)
        self.rmse_ = self._rmse(context, rows)
        if held_out is not None:
            self.validation_scores_ = np.array(scores)
        tasks.end()
        return self

    def predict(self, rows: Any, columns: Any) -> Array:
        """What the model says of entries of X.

        Parameters
        ----------
        rows, columns : int arrays of one shape
            Places of entries.

        Returns
        -------
        values : array of that shape
        """
        name = f"{type(self).__name__}.predict"
        check_is_fitted(self)
        i, j = np.broadcast_arrays(np.asarray(rows), np.asarray(columns))
        for argument, places in (("rows", i), ("columns", j)):
            if places.size and places.dtype.kind not in "iu":
                raise ValueError(
                    f"{name}: {argument} must hold ints; got dtype {places.dtype}. Use .astype(int)."
                )
        U, V = self._bordered(self.row_factors_, self.row_bias_), self._bordered(self.components_.T, None)
        flat = [np.ascontiguousarray(places.ravel(), np.int64) for places in (i, j)]
        values = backend().predict_pairs(call(name, self.n_threads), U, V, *flat)
        total: Array = (values + (self.mean_ + self.column_bias_[flat[1]])).astype(U.dtype).reshape(i.shape)
        return total

    def transform(self, X: Matrix) -> Array:
        """Factors of rows, solved for exactly from their observed entries.

        Parameters
        ----------
        X : CSR or array of shape (n, d)
            As in :meth:`fit`.

        Returns
        -------
        factors : array of shape (n, k), or (n, k + 1) with ``fit_bias``
            The last column is then the row's bias.
        """
        name = f"{type(self).__name__}.transform"
        check_is_fitted(self)
        self._check_parameters(name)
        return self._folded(name, self._observed(name, X, reset=False))

    def inverse_transform(self, X: Any) -> Array:
        """Whole rows from what :meth:`transform` gives.

        Parameters
        ----------
        X : array of shape (n, k) or (n, k + 1)

        Returns
        -------
        rows : array of shape (n, d)
        """
        check_is_fitted(self)
        k = len(self.components_)
        codes = np.asarray(X)
        rows = codes[:, :k] @ self.components_
        if self.fit_bias:
            rows = rows + codes[:, k:] + (self.mean_ + self.column_bias_)
        full: Array = rows.astype(codes.dtype, copy=False)
        return full

    @property
    def _n_features_out(self) -> int:
        return int(self.components_.shape[0]) + bool(self.fit_bias)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    # ---- parts

    def _check_parameters(self, name: str) -> None:
        check_integer(name, "n_components", self.n_components)
        check_choice(name, "solver", self.solver, ("auto", "cholesky", "cg", "sketch"))
        check_integer(name, "cg_steps", self.cg_steps)
        check_range(name, "alpha", self.alpha)
        for flag in ("weighted_alpha", "fit_bias", "nonnegative"):
            check_flag(name, flag, getattr(self, flag))
        check_choice(name, "init", self.init, ("svd", "random"))
        self._check_iterations(name)

    def _observed(self, name: str, X: Matrix, reset: bool) -> Rows:
        """The observed entries as CSR rows."""
        X = as_scipy(name, X)
        if sp.issparse(X):
            return as_csr_rows(name, validated_rows(self, name, X, reset, True).array, None)
        rows = validated_rows(self, name, X, reset, "allow-nan")
        return observed_entries(name, rows[:])

    def _side(self, rows: Rows) -> Side:
        return Side(rows, "observed", 1.0, self.alpha, float(self.weighted_alpha))

    def _start(self, name: str, context: Any, left: Side, right: Side) -> tuple[Array, Array]:
        """Factors with a column of biases behind them, 0 at first."""
        rows, k = left.rows, self.n_components
        (n, d), rng = rows.shape, as_random_state(name, self.random_state)
        border = int(self.fit_bias)
        V = np.zeros((d, k + border), rows.dtype)
        U = np.zeros((n, k + border), rows.dtype)
        start = rng.standard_normal((d, k))
        off = rows.array.data - self.mean_
        spread = float(np.sqrt(np.mean(off**2, dtype=np.float64))) if rows.entries else 0.0
        size = np.sqrt(max(spread, 1e-30) / np.sqrt(k))
        if self.init == "svd" and k <= min(n, d) and spread > 0:
            A = Rows(name, sp.csr_array((off, rows.array.indices, rows.array.indptr), shape=(n, d)))
            leading = backend().randomized_svd(context, A.core, k, OVERSAMPLES, SVD_ROUNDS)[2]
            found = leading.any(axis=0)  # where X has a lower rank, the others start by chance
            start[:, found] = leading[:, found] * np.sqrt(d)
        V[:, :k] = start * size
        if self.nonnegative:
            V[:, :k] = np.abs(V[:, :k])
        return U, V

    def _half(self, side: Side, context: Any, V: Array, out: Array) -> float:
        """Solves for `out`, given V and the biases that stand in its last column."""
        fitted = bool(self.fit_bias)
        offsets = None
        solver = "nonnegative" if self.nonnegative else self._solver(V.shape[1])
        steps = SWEEPS if self.nonnegative else self.cg_steps
        if fitted:
            offsets = np.ascontiguousarray(V[:, -1] + V.dtype.type(self.mean_))
            V = V.copy()
            V[:, -1] = 1
        value, _ = side.solve(
            context, V, out, solver=solver, steps=steps, offsets=offsets, any_sign=int(fitted)
        )
        return value

    def _solver(self, k: int) -> str:
        if self.solver != "auto":
            return self.solver
        return "cholesky" if k <= EXACT else "cg"

    def _folded(self, name: str, rows: Rows) -> Array:
        dtype = self.components_.dtype
        rows = rows.as_type(name, dtype)
        V = np.ascontiguousarray(self.components_.T)
        offsets = None
        if self.fit_bias:
            V = np.column_stack((V, np.ones(len(V), dtype)))
            offsets = np.ascontiguousarray((self.column_bias_ + self.mean_).astype(dtype))
        out = np.zeros((rows.shape[0], V.shape[1]), dtype)
        self._side(rows).solve(
            call(name, self.n_threads),
            V,
            out,
            solver="nonnegative" if self.nonnegative else "cholesky",
            steps=10 * SWEEPS,
            offsets=offsets,
            any_sign=int(self.fit_bias),
        )
        return out

    def _keep(self, U: Array, V: Array) -> None:
        k = self.n_components
        self.row_factors_ = np.ascontiguousarray(U[:, :k])
        self.components_ = np.ascontiguousarray(V[:, :k].T)
        zeros = [np.zeros(len(factors), factors.dtype) for factors in (U, V)]
        self.row_bias_, self.column_bias_ = (U[:, -1], V[:, -1]) if self.fit_bias else zeros

    def _fitted(self, _: Any) -> dict[str, Any]:
        names = ("components_", "row_factors_", "row_bias_", "column_bias_", "mean_")
        return {name: getattr(self, name) for name in names}

    def _bordered(self, factors: Array, bias: Array | None) -> Array:
        """Factors with a column of biases, or of ones where there is none."""
        border = np.ones(len(factors), factors.dtype) if bias is None else bias
        return np.ascontiguousarray(np.column_stack((factors, border)))

    def _rmse(self, context: Any, rows: Rows) -> float:
        """Root of the mean squared error of stored entries."""
        if not rows.entries:
            return 0.0
        U, V = self._bordered(self.row_factors_, self.row_bias_), self._bordered(self.components_.T, None)
        said = backend().predict_stored(context, rows.core, V, U).astype(np.float64)
        errors = rows.array.data - (said + self.mean_ + self.column_bias_[rows.array.indices])
        return float(np.sqrt(np.mean(errors**2)))


def observed_entries(name: str, X: Array) -> Rows:
    """What is not NaN of an array, as CSR rows."""
    seen = ~np.isnan(X)
    indptr = np.append(0, np.cumsum(seen.sum(axis=1)))
    return Rows(name, csr_of_parts(X[seen], np.nonzero(seen)[1], indptr, X.shape))

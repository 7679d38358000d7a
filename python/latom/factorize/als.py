"""Alternating least squares for implicit feedback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from latom._base.arrays import Matrix
from latom._base.backend import call
from latom._base.callbacks import CallbackSupport, FitTasks, with_callbacks
from latom._base.checks import check_choice, check_flag, check_integer, check_range, check_tol, shown
from latom._base.estimator import Estimator, as_random_state, validated_rows
from latom._base.finite import check_held
from latom._base.history import Descent, FactorizationState
from latom._base.progress import Progress
from latom._base.rows import Rows
from latom.factorize.als_parts import Epochs, held_out_recall
from latom.factorize.codes import decoded
from latom.factorize.observed import Side, as_csr_rows, transposed
from latom.factorize.row_solutions import RowSolutions

Array = NDArray[Any]

RULES = {"implicit": "implicit", "ials": "weighted"}


class AlternatingLeastSquares(RowSolutions, CallbackSupport, Estimator):
    """Factors of users and items from what users chose, with weights (Hu, Koren & Volinsky 2008).

    With c = alpha * X[u, i] over the stored entries, minimizes

        sum over stored (u, i) of  |c| (1 - <x_u, y_i>)^2   +   sum over the others of  <x_u, y_i>^2
        + sum_u ridge_u |x_u|^2  +  sum_i ridge_i |y_i|^2

    (a negative c weighs a target of 0) by solving for all users, then for all items. Takes implicit's
    arguments and has its attributes and methods, and is a transformer of scikit-learn: rows are users,
    :meth:`transform` folds them in.

    Parameters
    ----------
    factors : int, default 100
        k.
    regularization : float, default 0.01
        Ridge of each row, before ``reg_exponent``.
    alpha : float, default 1.0
        What stored numbers are multiplied with.
    dtype : dtype, default float32
        Of the factors: float32 or float64. X is converted to it.
    iterations : int, default 15
        Most iterations.
    calculate_training_loss : bool, default False
        Set ``training_loss_``. The objective of each iteration is in ``history_`` anyway: it costs nothing.
    num_threads : int, default 0
        0 takes ``LATOM_NUM_THREADS``, ``OMP_NUM_THREADS`` or the CPUs of this process.
    random_state : int, Generator, RandomState or None
        Seed of the start.
    solver : {"auto", "cholesky", "cg", "block"}, default "auto"
        "cholesky": each row exactly, in float64. "cg": ``cg_steps`` steps of conjugate gradients from where
        the row stands (Takács, Pilászy & Tikk 2011), preconditioned with what all rows share, so that the
        largest weight alone decides how many steps it takes. "block": blocks of ``block_size`` coordinates,
        users and items in turn, from shared predictions (iALS++: Rendle et al. 2021). "auto": one system for
        all rows where stored entries weigh what others do, and "cg" otherwise, "cholesky" up to 32 factors.
    block_size : int, default 64
        Of "block".
    cg_steps : int, default 3
        "auto" takes one where no weight is more than twice another, those of entries that are not stored with
        them, two up to five times, and at most so many.
    loss : {"implicit", "ials"}, default "implicit"
        "ials" adds the weight of stored entries to that of all others: a stored entry has weight |c| for its
        target 1 and 1 for 0 (Rendle et al. 2021, with alpha = 1 / their alpha_0).
    reg_exponent : float, default 0.0
        A row's ridge is regularization times its total weight to this power; 1 is their frequency scaling.
    tol : float, default 0.0
        Stop once the objective falls by at most tol times itself.
    patience : int, default 3
        With ``validation`` given to :meth:`fit`: stop after so many iterations without a better recall at 20,
        and keep the best.
    verbose : int, default 0
        1 shows a progress bar on a terminal, a line per iteration elsewhere.
    callback : callable, optional
        Called with a :class:`latom.FactorizationState` after each iteration; a true result stops.

    Attributes
    ----------
    user_factors : array of shape (n, k)
    item_factors : array of shape (m, k)
    components_ : array of shape (k, m)
        ``item_factors.T``.
    n_iter_ : int
    history_ : structured array of shape (iterations,)
        Fields of :class:`latom.FactorizationState`; ``violation`` is the relative fall of the objective.
    validation_scores_ : array
        Recall at 20 after each iteration, where ``validation`` was given.
    training_loss_ : float
        The objective divided by the sum of all weights.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    The same bits for every number of threads and every processor. An iteration costs, for each of the n + m
    rows with n_u entries, n_u k^2 + k^3 / 3 flops ("cholesky"), 3 k^2 + (4 s + 2) n_u k ("cg") or n_u k b +
    4 n_u k + k b^2 / 3 ("block"). Memory: X, its transpose, three times the factors. Ctrl-C leaves the
    factors of the last whole iteration.

    References
    ----------
    Hu, Koren & Volinsky, "Collaborative filtering for implicit feedback datasets", 2008.
    Takács, Pilászy & Tikk, "Applications of the conjugate gradient method for implicit feedback collaborative
    filtering", 2011.
    Rendle, Krichene, Zhang & Koren, "iALS++: Speeding up matrix factorization with subspace optimization",
    2021.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> from latom import AlternatingLeastSquares
    >>> user_items = sp.csr_matrix(np.array([[1.0, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1], [0, 1, 1, 1]]))
    >>> model = AlternatingLeastSquares(factors=2, alpha=10, random_state=0).fit(user_items)
    >>> ids, scores = model.recommend(0, user_items[0], N=1)
    >>> ids.tolist()
    [2]
    """

    _takes_sparse = True

    history_: NDArray[Any]

    def __init__(
        self,
        factors: int = 100,
        regularization: float = 0.01,
        alpha: float = 1.0,
        dtype: Any = np.float32,
        iterations: int = 15,
        calculate_training_loss: bool = False,
        num_threads: int = 0,
        random_state: Any = None,
        *,
        solver: str = "auto",
        block_size: int = 64,
        cg_steps: int = 3,
        loss: str = "implicit",
        reg_exponent: float = 0.0,
        tol: float = 0.0,
        patience: int = 3,
        verbose: int = 0,
        callback: Callable[[FactorizationState], Any] | None = None,
    ) -> None:
        self.factors = factors
        self.regularization = regularization
        self.alpha = alpha
        self.dtype = dtype
        self.iterations = iterations
        self.calculate_training_loss = calculate_training_loss
        self.num_threads = num_threads
        self.random_state = random_state
        self.solver = solver
        self.block_size = block_size
        self.cg_steps = cg_steps
        self.loss = loss
        self.reg_exponent = reg_exponent
        self.tol = tol
        self.patience = patience
        self.verbose = verbose
        self.callback = callback

    # ---- learning

    @with_callbacks
    def fit(self, X: Matrix, y: Any = None, *, validation: Any = None) -> AlternatingLeastSquares:
        """Learn the factors of users and items.

        Parameters
        ----------
        X : CSR or array of shape (n, m)
            Users by items; stored zeros count as entries of weight 0. Of an array what is not 0 is stored.
        y : ignored
        validation : CSR of shape (n, m), optional
            What users chose later, to stop by.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is out of range, or X holds NaN or infinity.
        """
        return self._fit(f"{type(self).__name__}.fit", X, validation, None)

    def _fit(self, name: str, X: Matrix, validation: Any, start: Any) -> AlternatingLeastSquares:
        """From start, a pair of factors, or by chance."""
        self._check_parameters(name)
        rows = self._validate(name, X, reset=True)
        context = call(name, self.n_threads)
        left, right = self._side(rows), self._side(transposed(name, rows))
        U, V = self._start(name, rows.shape) if start is None else start
        epochs = Epochs(self, name, left, right)
        tasks = FitTasks(self, 1, X)
        task = tasks.start(self.iterations)
        recalls: list[float] = []
        kept: tuple[float, Any, Any, int] = (-1.0, None, None, 0)
        own = type(self).__name__
        try:
            with Progress(own, self.iterations, self.verbose) as progress:
                run = Descent(
                    self.iterations, self.tol, self.callback, progress, task, lambda _: self._fitted(U, V)
                )
                before, last = np.inf, False
                while not last:
                    U_next, V_next, objective = epochs.step(context, U, V)
                    U, V = U_next, V_next
                    fall = (
                        (before - objective) / max(abs(objective), 1e-300) if np.isfinite(before) else np.inf
                    )
                    settled = bool(self.tol > 0 and fall <= self.tol)
                    before = objective
                    if validation is not None:
                        recalls.append(held_out_recall(context, U, V, rows.array, validation))
                        if recalls[-1] > kept[0]:
                            kept = (recalls[-1], U, V, len(recalls))
                        settled = settled or len(recalls) - kept[3] >= self.patience
                    last = run.stop(settled, objective=objective, violation=fall)
        finally:  # Ctrl-C leaves the last whole iteration
            self.user_factors, self.item_factors = U, V
        self._check_held(name, "factors", self.user_factors, self.item_factors)
        self._check_held(name, "an objective", np.array([state.objective for state in run.states]))
        if recalls:
            _, self.user_factors, self.item_factors, _ = kept
            self.validation_scores_ = np.array(recalls)
        task.end(run.attributes)
        self.n_iter_ = len(run.states)
        self.history_ = run.history
        if self.calculate_training_loss:
            a, _ = left.weights()
            self.training_loss_ = run.states[-1].objective / (float(a.sum()) + rows.shape[0] * rows.shape[1])
        tasks.end()
        return self

    def _fitted(self, U: Array, V: Array) -> dict[str, Any]:
        return {"user_factors": U, "item_factors": V}

    def _check_held(self, name: str, what: str, *found: Array) -> None:
        # Without a ridge, systems of dependent factors may have no solution of ordinary size.
        remedy = "" if self.regularization else "Raise regularization above 0."
        check_held(name, "X", what, *found, remedy=remedy)

    # ---- the scikit-learn interface

    def transform(self, X: Matrix) -> Array:
        """Factors of rows, solved for exactly with the items' factors as they are.

        Parameters
        ----------
        X : CSR or array of shape (n, m)

        Returns
        -------
        factors : array of shape (n, k)
        """
        name = f"{type(self).__name__}.transform"
        check_is_fitted(self)
        factors: Array = self._solved(name, self._validate(name, X, reset=False), self.item_factors)
        self._check_held(name, "factors", factors)
        return factors

    def fit_transform(self, X: Matrix, y: Any = None, **fit_params: Any) -> Array:
        """Learn the factors and return those of :meth:`transform`.

        Parameters
        ----------
        X, y, **fit_params
            As in :meth:`fit`.

        Returns
        -------
        factors : array of shape (n, k)
        """
        return self.fit(X, y, **fit_params).transform(X)

    def inverse_transform(self, X: Any) -> Array:
        """Scores of all items: ``X @ components_``.

        Parameters
        ----------
        X : array or sparse matrix of shape (n, k)

        Returns
        -------
        scores : array of shape (n, m)
        """
        check_is_fitted(self)
        return decoded(f"{type(self).__name__}.inverse_transform", X, self.components_)

    @property
    def n_threads(self) -> int | None:  # type: ignore[override]
        """``num_threads`` by latom's rule: None for the environment's choice."""
        return None if self.num_threads in (0, None) else self.num_threads

    @property
    def _n_features_out(self) -> int:
        return int(self.item_factors.shape[1])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # factors have the parameter's
        return tags

    # ---- parts

    @property
    def _type(self) -> Any:
        try:
            return np.dtype(self.dtype)
        except TypeError:  # names no type, and is refused
            return np.dtype(object)

    def _side(self, rows: Rows) -> Side:
        return Side(rows, RULES[self.loss], self.alpha, self.regularization, self.reg_exponent)

    def _validate(self, name: str, X: Matrix, reset: bool) -> Rows:
        given = validated_rows(self, name, X, reset)
        rows = as_csr_rows(name, given.array if given.sparse else given[:], self._type)
        rows.core.norm2(call(name))  # refuses NaN and infinity
        return rows

    def _start(self, name: str, shape: tuple[int, int]) -> tuple[Array, Array]:
        rng, k = as_random_state(name, self.random_state), self.factors
        V = (rng.standard_normal((shape[1], k)) * (0.1 / np.sqrt(k))).astype(self._type)
        return np.zeros((shape[0], k), self._type), V

    def _check_parameters(self, name: str) -> None:
        check_integer(name, "factors", self.factors)
        check_range(name, "regularization", self.regularization)
        check_range(name, "alpha", self.alpha)
        check_integer(name, "iterations", self.iterations)
        check_integer(name, "num_threads", self.num_threads, 4096, low=0)
        check_choice(name, "solver", self.solver, ("auto", "cholesky", "cg", "block"))
        check_integer(name, "block_size", self.block_size)
        check_integer(name, "cg_steps", self.cg_steps)
        check_choice(name, "loss", self.loss, tuple(RULES))
        check_range(name, "reg_exponent", self.reg_exponent)
        check_tol(name, self.tol)
        check_integer(name, "patience", self.patience)
        check_flag(name, "calculate_training_loss", self.calculate_training_loss)
        if self._type not in (np.dtype(np.float32), np.dtype(np.float64)):
            raise ValueError(
                f"{name}: dtype must be float32 or float64; got {shown(self.dtype)}. Use float32 if unsure."
            )
        if not isinstance(self.verbose, (bool, np.bool_)):
            check_integer(name, "verbose", self.verbose, low=0)
        if self.callback is not None and not callable(self.callback):
            raise TypeError(
                f"{name}: callback must be callable or None; got {shown(self.callback)}. "
                "Pass a function of one argument, the state."
            )

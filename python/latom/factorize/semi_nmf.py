"""Semi-NMF: rows as non-negative mixtures of components of any sign, dense or with few entries kept."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from math import ceil, log, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from latom._base.arrays import as_rows, as_seed
from latom._base.backend import call
from latom._base.callbacks import FitTasks, with_callbacks
from latom._base.checks import check_choice, check_integer, is_number
from latom._base.estimator import IterativeEstimator, validated_rows
from latom._base.finite import check_finite
from latom._base.history import Descent, FactorizationState
from latom._base.progress import Progress
from latom.factorize.codes import decoded
from latom.factorize.long_steps import LongSteps
from latom.factorize.row_blocks import RowBlocks
from latom.factorize.semi_nmf_init import initial_codes
from latom.factorize.semi_nmf_steps import SemiNMFSteps, descend, solve_codes, sweep_codes

SOLVERS = ("hals", "mu")
INITS = ("random", "svd", "kmeans", "custom")


class SemiNMF(IterativeEstimator):
    """Semi-non-negative matrix factorization: X ~ W H with codes W >= 0 and components H of any sign.

    Minimizes ||X - W H||^2 / 2. With ``keep_fraction`` each component keeps only its largest
    entries in magnitude (winner-take-all), as for features of the neurons of an MLP: rows of X are then
    tokens, columns are neurons, a component is a sparse set of neurons with signs, and a code says how
    much a token activates it.

    Parameters
    ----------
    n_components : int, default 100
        Components, k.
    solver : {"hals", "mu"}
        "hals": exact least squares for components, coordinate sweeps for codes. "mu": the multiplicative
        updates of the SNMF reference, step by step and with its constants, for results to be held to it;
        its loss is reached by "hals" in some twentieth of the iterations. Its constants are for entries of
        X of about 1: with all below some 1e-3 they hold it back, of which a warning tells.
    keep_fraction : float in (0, 1], optional
        Entries that each component keeps: those at least as large as the ceil(keep_fraction * d)-th
        largest, ties included. None keeps all. The loss is then not monotone; the best iteration is kept.
    refit : bool, default False
        With keep_fraction, solve once more for the entries kept ("hals" alone). Nearly free, and its loss was
        lower wherever it was measured, from 1 % to 50 % kept. False keeps what the first solution had there.
    init : {"random", "svd", "kmeans", "custom"}
        Codes to start from. "random": uniform in [1e-6, 1). "svd": the positive part of the leading
        singular vectors, signs chosen so that more of each is positive. "kmeans": 1 for the nearest of k
        centers of :class:`latom.KMeans` after 15 iterations, 1e-6 elsewhere. "custom": W or H, which
        :meth:`fit_transform` is given.
    max_iter : int, default 200
        Most iterations.
    tol : float, default 1e-4
        An iteration counts as progress if it lowers the best loss by more than this share of it ("mu":
        by more than tol itself, as the reference has it). 0: all iterations are made.
    patience : int, optional
        Iterations in a row without progress after which a fit ends. None: 1, with keep_fraction 10, for
        "mu" 1500.
    warm_start : bool, default False
        Start a further fit from the components of the one before.
    random_state : int, Generator, RandomState or None
        Seed of the start.
    n_threads : int, optional
        Threads of latom, as in :class:`latom.KMeans`. The large dense products are numpy's, which takes
        as many threads as its BLAS is told; limit them with threadpoolctl.
    verbose : int, default 0
        1 shows a progress bar on a terminal, a line per iteration elsewhere.
    callback : callable, optional
        Called with a :class:`latom.FactorizationState` after each iteration; a true result ends the fit.

    Attributes
    ----------
    components_ : array of shape (k, d)
        H, of the dtype of X (half precision: float32).
    reconstruction_err_ : float
        ||X - W H|| of what was kept: components of the best iteration, and the codes that fit_transform
        returns.
    n_iter_ : int
        Iterations made.
    history_ : structured array of shape (n_iter_,)
        Fields of :class:`latom.FactorizationState`; objective is ||X - W H||^2 / 2.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    The SNMF paper factorizes activations A [d, n], a column a token, as Z Y with Y >= 0. In terms of this
    class A is ``X.T``, Z is ``components_.T`` (its columns keep a share of the neurons) and Y is the
    transposed codes.

    X is read in place, in blocks of rows; half precision is widened one block at a time and no n x d array
    is made. An iteration reads X once. It costs 2 n d k flops for codes (with keep_fraction 2 n k times
    the entries kept), 2 n d k for components, and 2 n k^2 for each sweep over the codes and for their
    Gram matrix. Memory: two or three times the codes, and k x d and k x k numbers.
    Loss is summed in float64 from products in the dtype of X; for float32 it is good to some 1e-6 of
    ||X||^2, so exact fits are better followed in float64. Results do not depend on n_threads; dense products
    are those of numpy's BLAS, and have its bits.

    Without keep_fraction the loss of "hals" does not rise, but for rounding.

    References
    ----------
    Ding, Li & Jordan, "Convex and semi-nonnegative matrix factorizations", 2010.
    Shafran, Geiger & Geva, "Decomposing MLP activations into interpretable features via
    semi-nonnegative matrix factorization", 2025.
    Gillis & Glineur, "Accelerated multiplicative updates and hierarchical ALS algorithms", 2012.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import SemiNMF
    >>> X = np.array([[1.0, -1, 0], [2, -2, 0], [0, 1, 3], [0, 2, 6]])
    >>> model = SemiNMF(2, random_state=0)
    >>> W = model.fit_transform(X)
    >>> bool((W >= 0).all()), bool(np.allclose(W @ model.components_, X, atol=1e-3))
    (True, True)
    """

    components_: NDArray[Any]
    reconstruction_err_: float
    n_iter_: int
    history_: NDArray[Any]

    def __init__(
        self,
        n_components: int = 100,
        *,
        solver: str = "hals",
        keep_fraction: float | None = None,
        refit: bool = False,
        init: str = "random",
        max_iter: int = 200,
        tol: float = 1e-4,
        patience: int | None = None,
        warm_start: bool = False,
        random_state: Any = None,
        n_threads: int | None = None,
        verbose: int = 0,
        callback: Callable[[FactorizationState], Any] | None = None,
    ) -> None:
        self.n_components = n_components
        self.solver = solver
        self.keep_fraction = keep_fraction
        self.refit = refit
        self.init = init
        self.max_iter = max_iter
        self.tol = tol
        self.patience = patience
        self.warm_start = warm_start
        self.random_state = random_state
        self.n_threads = n_threads
        self.verbose = verbose
        self.callback = callback

    # ---- the scikit-learn interface

    @with_callbacks
    def fit(self, X: Any, y: Any = None, W: Any = None, H: Any = None) -> SemiNMF:
        """Find components.

        Parameters
        ----------
        X, y, W, H
            As in :meth:`fit_transform`.

        Returns
        -------
        self
        """
        self._fit(f"{type(self).__name__}.fit", X, W, H)
        return self

    @with_callbacks
    def fit_transform(self, X: Any, y: Any = None, W: Any = None, H: Any = None) -> NDArray[Any]:
        """Find components, and the codes that were found with them.

        Parameters
        ----------
        X : dense array of shape (n, d)
            float32, float64, float16 or bfloat16; a torch tensor of these on the CPU; C-contiguous, read-only
            and memory-mapped arrays are not copied.
        y : ignored
        W : array of shape (n, k), optional
            Codes to start from, not negative; given, they take the place of init.
        H : array of shape (k, d), optional
            Components to start from, where W is not given: codes are first solved for.

        Returns
        -------
        W : array of shape (n, k)
            Codes of the best iteration; with "hals" then solved for to their optimum, as :meth:`transform`
            does.

        Raises
        ------
        ValueError
            If a parameter is out of range, shapes disagree, W has negative entries, or X holds NaN or
            infinity (the message names the first bad row).
        TypeError
            If X is sparse or does not hold real numbers.
        """
        return self._fit(f"{type(self).__name__}.fit_transform", X, W, H)

    def transform(self, X: Any) -> NDArray[Any]:
        """Codes of rows: min ||x - w H||^2 over w >= 0, to the optimum.

        Sweeps over the codes, and an active set for the rows that sweeps do not solve.

        Parameters
        ----------
        X : dense array of shape (n, d)

        Returns
        -------
        W : array of shape (n, k)
        """
        return self._codes(f"{type(self).__name__}.transform", X)[1]

    def inverse_transform(self, X: Any) -> NDArray[Any]:
        """Rows from codes: ``X @ components_``.

        Parameters
        ----------
        X : array or sparse matrix of shape (n, k)
            Codes.

        Returns
        -------
        rows : array of shape (n, d)
        """
        check_is_fitted(self)
        return decoded(f"{type(self).__name__}.inverse_transform", X, self.components_)

    def score(self, X: Any, y: Any = None) -> float:
        """Minus half the squared error of rows with the fitted components, so that higher is better.

        Parameters
        ----------
        X : dense array of shape (n, d)
        y : ignored

        Returns
        -------
        score : float
            Summed over rows; W is that of :meth:`transform`. More components never lower it by much: numbers
            of them are compared by :meth:`bic`.
        """
        return -self._codes(f"{type(self).__name__}.score", X)[2] / 2

    def bic(self, X: Any) -> float:
        """The Bayesian information criterion of Bai & Ng (2002) on rows X; lower is better.

        ln(||X - W H||^2 / (n d)) + k (n + d) / (n d) ln(n d / (n + d)), with W from :meth:`transform`. It
        compares numbers of components on the same rows.

        Parameters
        ----------
        X : dense array of shape (n, d)

        Returns
        -------
        bic : float
            Minus infinity for an exact fit.
        """
        blocks, W, loss = self._codes(f"{type(self).__name__}.bic", X)
        n, d, k = blocks.n, blocks.d, W.shape[1]
        if loss <= 0:
            return -np.inf
        return float(log(loss / (n * d)) + k * (n + d) / (n * d) * log(n * d / (n + d)))

    @property
    def _n_features_out(self) -> int:
        return int(self.components_.shape[0])

    # ---- a fit

    def _fit(self, name: str, X: Any, W: Any, H: Any) -> NDArray[Any]:
        self._check_parameters(name)
        blocks = self._blocks(name, X, reset=True)
        kept = blocks.d if self.keep_fraction is None else ceil(self.keep_fraction * blocks.d)
        steps = SemiNMFSteps(blocks, kept, self.refit, self.solver)
        if self.solver == "mu" and 0 < steps.size < 1e-3:
            warnings.warn(
                f"{name}: the constants of solver='mu' are not small beside X, whose numbers are of about "
                f"{steps.size:.3g}. Scale X up.",
                UserWarning,
                stacklevel=3,
            )
        model = steps.start(self._start(name, blocks, W, H))
        patience = self.patience or (1500 if self.solver == "mu" else 10 if kept < blocks.d else 1)
        tasks = FitTasks(self, 1, X)
        task = tasks.start(self.max_iter)
        with Progress(type(self).__name__, self.max_iter, self.verbose) as progress:
            run = Descent(
                self.max_iter,
                self.tol,
                self.callback,
                progress,
                task,
                lambda H: {"components_": np.array(H)},
            )
            best, loss = descend(name, steps, model, run, patience)
        task.end(run.attributes)
        cut_short = len(run.states) == self.max_iter and not run.converged
        if cut_short and self.tol > 0 and self.max_iter > patience:
            warnings.warn(
                f"{name}: the loss was still falling after max_iter={self.max_iter} iterations. "
                "Raise max_iter or tol.",
                ConvergenceWarning,
                stacklevel=3,
            )
        if self.solver == "hals":
            loss = solve_codes(blocks, best.H, best.W, LongSteps(name, self.verbose))
        self.components_ = best.H
        self.reconstruction_err_ = sqrt(loss)
        self.n_iter_ = len(run.states)
        self.history_ = run.history
        tasks.end()
        return best.W

    def _start(self, name: str, blocks: RowBlocks, W: Any, H: Any) -> NDArray[Any]:
        """Codes to start from, not shared with anybody."""
        k = self.n_components
        if W is not None:
            return self._given(name, "W", W, (blocks.n, k), blocks.dtype).copy()
        if H is None and self.warm_start and hasattr(self, "components_"):
            H = self.components_
        if H is not None:
            components = self._given(name, "H", H, (k, blocks.d), blocks.dtype)
            codes = np.zeros((blocks.n, k), blocks.dtype)
            sweep_codes(blocks, components, codes, 10)
            return codes
        if self.init == "custom":
            raise ValueError(
                f"{name}: W or H must be given with init='custom'; got neither. Pass one to fit, or leave "
                "init out."
            )
        rng = np.random.Generator(np.random.Philox(as_seed(name, self.random_state)))
        return initial_codes(name, blocks, k, self.init, rng, self.verbose)

    def _given(
        self, name: str, argument: str, value: Any, shape: tuple[int, int], dtype: Any
    ) -> NDArray[Any]:
        rows: NDArray[Any] = as_rows(name, value, argument).astype(dtype, copy=False)
        if rows.shape != shape:
            sides = "rows of X by n_components" if argument == "W" else "n_components by columns of X"
            raise ValueError(
                f"{name}: {argument} must have shape {shape}; got {rows.shape}. Make it {sides}."
            )
        remedy = "Clip or replace it." if argument == "W" else "Replace it, with 0 say."
        check_finite(name, argument, rows, remedy, negative=argument != "W")
        return rows

    def _blocks(self, name: str, X: Any, reset: bool) -> RowBlocks:
        rows = validated_rows(self, name, X, reset, accept_sparse=False)
        return RowBlocks(call(name, self.n_threads), rows)

    # ---- codes for components that stay

    def _codes(self, name: str, X: Any) -> tuple[RowBlocks, NDArray[Any], float]:
        """The rows, their codes and ||X - W H||^2."""
        check_is_fitted(self)
        blocks = self._blocks(name, X, reset=False)
        blocks.squares()  # refuses what cannot be solved for
        H = self.components_.astype(blocks.dtype, copy=False)
        W = np.zeros((blocks.n, len(H)), blocks.dtype)
        return blocks, W, solve_codes(blocks, H, W, LongSteps(name, self.verbose))

    def _check_parameters(self, name: str) -> None:
        check_integer(name, "n_components", self.n_components)
        self._check_iterations(name)
        if self.patience is not None:
            check_integer(name, "patience", self.patience)
        check_choice(name, "solver", self.solver, SOLVERS)
        check_choice(name, "init", self.init, INITS)
        keep = self.keep_fraction
        if keep is not None and (not is_number(keep) or not 0 < keep <= 1):
            raise ValueError(
                f"{name}: keep_fraction must be None or in (0, 1]; got {keep!r}. It is the share of entries "
                "that a component keeps: 0.01 for 1 %."
            )
        if self.refit and self.solver == "mu":
            raise ValueError(f"{name}: refit must be False with solver='mu'; got {self.refit!r}. Use 'hals'.")

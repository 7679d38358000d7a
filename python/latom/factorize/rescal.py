"""RESCAL: relations of one set of things as products of one factor."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from latom._base.arrays import as_dense, as_seed
from latom._base.backend import call
from latom._base.callbacks import with_callbacks
from latom._base.checks import check_choice, check_flag, check_range, shown
from latom._base.finite import check_finite
from latom._base.history import Descent, FactorizationState
from latom._base.rows import Rows
from latom.factorize.decomposition import Decomposition
from latom.factorize.nmf import NMF
from latom.factorize.not_negative import check_not_negative
from latom.factorize.rank.alignment import unit_rows
from latom.factorize.rescal_steps import FLOOR, Products, floored, loss_of, multiplied, relations_step, stored

Array = NDArray[Any]
LEAST = 0.01  # of a mean: steps that multiply cannot leave 0
INITS = ("nmf", "random")


class RESCAL(Decomposition):
    """Slices X_t [n, n] as A R_t A^T: what things have in common, and how kinds of things relate in each.

    Minimizes the squared error over all slices.

    Parameters
    ----------
    n_components : int
        Columns of A, k.
    init : {"nmf", "random"}, default "nmf"
        Where a non-negative A starts: NMF of the sum of all slices and their transposes, itself from a random
        start; or random numbers. An A that is given to :meth:`fit` takes the place of both.
    nonnegative : bool, default True
        Multiplicative steps for A and R_t of numbers that are not negative; the loss never rises. False:
        alternating least squares, where A is found as if its two places were two matrices, so that the loss
        may rise.
    n_init : int, default 1
        Starts, one after the other; the one with the lowest loss is kept.
    max_iter : int, default 200
        Most iterations of a start.
    tol : float, default 1e-5
        A fit stops when ten iterations lower the loss by less than tol times the first one.
    l2 : float, default 0.0
        Ridge of the least squares, for ``nonnegative=False``.
    random_state : int, Generator, RandomState or None
        Seed of the starts.
    verbose : int, default 0
        1 shows a progress bar on a terminal, a line per iteration elsewhere.
    n_threads : int, optional
        As in :class:`latom.NMF`.
    callback : callable, optional
        Called with a :class:`latom.FactorizationState` after each iteration; a true result stops that start.

    Attributes
    ----------
    A_ : array of shape (n, n_components)
        With columns that sum to 1 where they are not negative, else of length 1.
    R_ : array of shape (slices, n_components, n_components)
    loss_ : float
        Half the squared error.
    reconstruction_err_ : float
        Square root of the squared error.
    n_iter_ : int
        Iterations of the start that was kept.
    history_ : structured array of shape (n_iter_,)
        Fields of :class:`latom.FactorizationState`.

    Notes
    -----
    An iteration costs two products of each slice, 4 nnz k flops together, and some n k^2 per slice. CSR
    slices are never made dense; what comes of them does not depend on threads or processor, to the bit.

    :func:`latom.select_n_components` finds the number of components whose columns of A come back in fits of
    perturbed slices, and their medians.

    References
    ----------
    Nickel, Tresp & Kriegel, "A three-way model for collective learning on multi-relational data", 2011.
    Krompass, Nickel, Jiang & Tresp, "Non-negative tensor factorization with RESCAL", 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import RESCAL
    >>> A = np.repeat(np.eye(2), 3, axis=0)
    >>> slices = [A @ R @ A.T for R in ([[1.0, 0], [0, 2]], [[0, 3.0], [0, 0]])]
    >>> model = RESCAL(2, random_state=0, max_iter=500).fit(slices)
    >>> bool(model.reconstruction_err_ < 0.01)
    True
    >>> refitted = RESCAL(2).fit(slices, A=A, update_A=False)  # relations alone, for an A that is known
    >>> bool(refitted.reconstruction_err_ < 1e-6)
    True
    """

    A_: Array
    R_: Array

    def __init__(
        self,
        n_components: int,
        *,
        init: str = "nmf",
        nonnegative: bool = True,
        n_init: int = 1,
        max_iter: int = 200,
        tol: float = 1e-5,
        l2: float = 0.0,
        random_state: Any = None,
        verbose: int = 0,
        n_threads: int | None = None,
        callback: Callable[[FactorizationState], Any] | None = None,
    ) -> None:
        self.n_components = n_components
        self.init = init
        self.nonnegative = nonnegative
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.l2 = l2
        self.random_state = random_state
        self.verbose = verbose
        self.n_threads = n_threads
        self.callback = callback

    @with_callbacks
    def fit(self, X: Any, y: Any = None, A: Any = None, *, update_A: bool = True) -> RESCAL:
        """Find the factors of slices.

        Parameters
        ----------
        X : sequence of CSR or arrays of shape (n, n), or array of shape (slices, n, n)
            Not negative with ``nonnegative=True``.
        y : ignored
        A : array of shape (n, n_components), optional
            The A to start from, in place of ``init``; not negative with ``nonnegative=True``, whose steps
            leave zeros where they are.
        update_A : bool, default True
            False keeps the given A, but for the sizes of its columns, and finds the best R_t for it, in one
            iteration: with the median A of many fits, say, as :func:`latom.select_n_components` gives it.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If slices are not square and of one size, A does not fit them, or a parameter is out of range.
        """
        name = f"{type(self).__name__}.fit"
        self._check_parameters(name)
        slices = self._prepared(name, X)
        check_flag(name, "update_A", update_A)
        if A is None and not update_A:
            raise ValueError(f"{name}: A must be given with update_A=False; got None. Pass the A to keep.")
        given = None if A is None else self._given(name, A, slices)
        n, k = slices[0].shape[0], self.n_components
        if not self.nonnegative and given is None and k > n:
            raise ValueError(
                f"{name}: n_components must be at most n = {n} with nonnegative=False; got {k}. Lower it."
            )
        products = Products(call(name, self.n_threads), slices)
        norm2 = float(products.norm2().sum())
        rng = np.random.default_rng(as_seed(name, self.random_state))

        def start() -> tuple[Array, NDArray[np.float64]]:
            return self._start(name, slices, rng, given)

        def descend(factors: tuple[Array, NDArray[np.float64]], run: Descent) -> None:
            if update_A:
                self._descend(products, norm2, *factors, run)
                return
            R, XA = products.relations(factors[0], self.nonnegative, self.l2)
            loss = loss_of(norm2, products.gram(factors[0]), products.inner(factors[0], XA), R)
            run.reached(loss, np.nan, True, (factors[0], R))

        self._fit(name, X, start, descend, given is not None)
        return self

    def transform(self, X: Any) -> Array:
        """Relations of further slices of the same things: the best R_t for the A that was found.

        Parameters
        ----------
        X : sequence of CSR or arrays of shape (n, n), or array of shape (slices, n, n)
            As in :meth:`fit`.

        Returns
        -------
        R : array of shape (slices, n_components, n_components)
            Not negative with ``nonnegative=True``. For the slices of the fit, its loss is at most that of
            ``R_``, since the last step of a fit moves A after R.
        """
        name = f"{type(self).__name__}.transform"
        check_is_fitted(self)
        self._check_parameters(name)
        slices = self._prepared(name, X)
        if len(self.A_) != slices[0].shape[0]:
            raise ValueError(
                f"{name}: X must have slices of the {len(self.A_)} things of the fit; got shape "
                f"{slices[0].shape}. Pass what relates the same things, in the same order."
            )
        dtype = np.result_type(self.A_.dtype, slices[0].dtype)
        products = Products(call(name, self.n_threads), _of_type(name, slices, dtype))
        A = self.A_.astype(dtype, copy=False)
        R: Array = products.relations(A, self.nonnegative, self.l2)[0].astype(dtype)
        return R

    def reconstruct(self) -> Array:
        """The slices that the factors make.

        Returns
        -------
        X : array of shape (slices, n, n)
            A R_t A^T.
        """
        check_is_fitted(self)
        made: Array = self.A_ @ self.R_ @ self.A_.T
        return made

    def _learned(self, factors: tuple[Array, NDArray[np.float64]]) -> dict[str, Any]:
        A, R = factors
        size = A.sum(axis=0, dtype=np.float64) if self.nonnegative else np.linalg.norm(A, axis=0)
        size = np.where(size > 0, size, 1)
        return {"A_": (A / size).astype(A.dtype), "R_": (R * np.outer(size, size)).astype(A.dtype)}

    def _start(
        self, name: str, slices: list[Rows], rng: np.random.Generator, given: Array | None
    ) -> tuple[Array, NDArray[np.float64]]:
        """A [n, k], given or found, and R."""
        n, k, dtype = slices[0].shape[0], self.n_components, slices[0].dtype
        if not self.nonnegative:
            A = np.linalg.qr(rng.standard_normal((n, k)))[0].astype(dtype) if given is None else given
            return A, np.zeros((len(slices), k, k))
        A = self._first_A(name, slices, rng) if given is None else given
        mean = sum(float(stored(rows).sum(dtype=np.float64)) for rows in slices) / (len(slices) * n * n)
        of_rows = max(float(A.sum(dtype=np.float64)) / n, FLOOR)
        return A, rng.uniform(0.5, 1.5, (len(slices), k, k)) * mean / of_rows**2

    def _first_A(self, name: str, slices: list[Rows], rng: np.random.Generator) -> Array:
        """A [n, k], positive."""
        n, k, dtype = slices[0].shape[0], self.n_components, slices[0].dtype
        A = rng.random((n, k)).astype(dtype)
        if self.init == "random" or not any(stored(rows).any() for rows in slices):
            return A
        total: Any = sum(rows.array + rows.array.T for rows in slices)
        total = sp.csr_array(total) if sp.issparse(total) else np.ascontiguousarray(total)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = NMF(k, init="random", max_iter=50, random_state=rng, n_threads=self.n_threads)
            W = model.fit_transform(Rows(name, total).array)
        W /= np.where(W.any(axis=0), W.mean(axis=0), 1)
        return np.ascontiguousarray(W + LEAST * A, dtype)

    def _given(self, name: str, A: Any, slices: list[Rows]) -> Array:
        found: Array = as_dense(name, A, "A").astype(slices[0].dtype, order="C")
        wanted = (slices[0].shape[0], self.n_components)
        if found.shape != wanted:
            raise ValueError(
                f"{name}: A must have a row per thing and a column per component, so shape {wanted}; got "
                f"{found.shape}. Transpose components that are rows."
            )
        check_finite(name, "A", found, "Clip or replace it.", negative=not self.nonnegative)
        return found

    def _descend(self, X: Products, norm2: float, A: Array, R: NDArray[np.float64], run: Descent) -> None:
        losses: list[float] = []
        XA, root = X.times(A), 1.0
        while True:
            G, inner = X.gram(A), X.inner(A, XA)
            R = relations_step(G, inner, R, self.nonnegative, self.l2)
            above = X.pulled(A, XA, R)
            below = (R @ G @ R.transpose(0, 2, 1) + R.transpose(0, 2, 1) @ G @ R).sum(axis=0)
            if self.nonnegative:
                before = loss_of(norm2, G, inner, R)
                A, XA, loss, root = multiplied(X, norm2, A, XA, R, above / floored(A @ below), before, root)
            else:
                ridge = self.l2 * np.eye(len(G))
                A = np.ascontiguousarray(
                    (above @ np.linalg.pinv(below + ridge, hermitian=True)).astype(A.dtype)
                )
                XA = X.times(A)
                loss = loss_of(norm2, X.gram(A), X.inner(A, XA), R)
            losses.append(loss)
            settled = root == 0 or (len(losses) > 10 and self.tol > 0 and self._slow(losses))
            if run.reached(loss, np.nan, settled, (A, R)):
                return

    def _slow(self, losses: list[float]) -> bool:
        return losses[-11] - losses[-1] <= self.tol * losses[0]

    def _prepared(self, name: str, X: Any) -> list[Rows]:
        if not (hasattr(X, "__len__") or hasattr(X, "__iter__")) or isinstance(X, str):
            parts: list[Any] = []
        else:
            parts = [] if sp.issparse(X) else list(X)
        if not parts or not all(map(_is_matrix, parts)):
            raise ValueError(
                f"{name}: X must be a sequence of square matrices, one per slice; got {shown(X)}. "
                "Put a single matrix in a list."
            )
        slices = [Rows(name, part, f"X[{t}]") for t, part in enumerate(parts)]
        shape = slices[0].shape
        for t, rows in enumerate(slices):
            if rows.shape[0] != rows.shape[1] or rows.shape != shape:
                raise ValueError(
                    f"{name}: X must have square slices of one size; got {rows.shape} for slice {t}. Use the "
                    "same things, in the same order, for rows and columns of all slices."
                )
        wide = any(rows.dtype == np.float64 for rows in slices)
        dtype = np.float64 if wide else np.float32
        slices = _of_type(name, slices, dtype)
        if self.nonnegative:
            for t, rows in enumerate(slices):
                check_not_negative(
                    call(name, self.n_threads),
                    rows,
                    "Use nonnegative=False.",
                    name=f"X[{t}]",
                    where=" with nonnegative=True",
                )
        return slices

    def _most(self, X: list[Rows]) -> int:
        return X[0].shape[0]

    def _norm2(self, X: list[Rows]) -> float:
        return float(Products(call(type(self).__name__, self.n_threads), X).norm2().sum())

    def _perturbed(self, X: list[Rows], rng: np.random.Generator, noise: float) -> list[Any]:
        moved = [rows.array.copy() for rows in X]
        for part in moved:
            values = part.data if sp.issparse(part) else part
            values *= rng.uniform(1 - noise, 1 + noise, values.shape).astype(values.dtype)
        return moved

    def _side_by_side(self) -> Array:
        return unit_rows(np.ascontiguousarray(self.A_.T))

    def _errors(self, name: str, X: list[Rows], H: Array) -> NDArray[np.float64]:
        products, A = Products(call(name, self.n_threads), X), np.ascontiguousarray(H.T, X[0].dtype)
        R, XA = products.relations(A, self.nonnegative, self.l2)
        return products.errors(A, XA, R)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = bool(self.nonnegative)
        return tags

    def _check_parameters(self, name: str) -> None:
        super()._check_parameters(name)
        check_choice(name, "init", self.init, INITS)
        check_flag(name, "nonnegative", self.nonnegative)
        check_range(name, "l2", self.l2)


def _of_type(name: str, slices: list[Rows], dtype: Any) -> list[Rows]:
    """Slices of float32 or float64; these themselves where they are so."""
    return [
        Rows(name, rows[:], dtype=dtype) if rows.storage or rows.dtype != dtype else rows for rows in slices
    ]


def _is_matrix(part: Any) -> bool:
    """Whether it has two dimensions, as far as that can be seen without making an array of it."""
    if isinstance(part, (list, tuple)):
        return len(part) > 0 and all(isinstance(row, (list, tuple)) or np.ndim(row) == 1 for row in part)
    return getattr(part, "ndim", 2 if hasattr(part, "__dlpack_device__") else 0) == 2

"""RESCAL: relations of one set of things as products of one factor."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from latom._base.arrays import as_seed
from latom._base.backend import backend, call
from latom._base.callbacks import with_callbacks
from latom._base.checks import check_choice, check_flag, check_range, shown
from latom._base.history import Descent, FactorizationState
from latom._base.rows import Rows
from latom.factorize.decomposition import Decomposition
from latom.factorize.nmf import NMF

Array = NDArray[Any]
FLOOR = 1e-12  # of a denominator, relative to its largest entry
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
        start; or random numbers.
    nonnegative : bool, default True
        Multiplicative steps for A and R_t of numbers that are not negative; the loss never rises. False:
        alternating least squares, where A is found as if its two places were two matrices, so that the loss
        may rise.
    max_iter : int, default 200
    tol : float, default 1e-5
        A fit stops when ten iterations lower the loss by less than tol times the first one.
    l2 : float, default 0.0
        Ridge of the least squares, for ``nonnegative=False``.
    random_state : int, Generator, RandomState or None
    verbose : int, default 0
    n_threads : int, optional
        As in :class:`latom.NMF`.
    callback : callable, optional
        As in :class:`latom.NMF`.

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
    history_ : structured array of shape (n_iter_,)
        Fields of :class:`latom.FactorizationState`.

    Notes
    -----
    An iteration costs two products of each slice, 4 nnz k flops together, and some n k^2 a slice. CSR slices
    are never made dense; what comes of them does not depend on threads or processor, to the bit.

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
    """

    A_: Array
    R_: Array

    def __init__(
        self,
        n_components: int,
        *,
        init: str = "nmf",
        nonnegative: bool = True,
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
        self.max_iter = max_iter
        self.tol = tol
        self.l2 = l2
        self.random_state = random_state
        self.verbose = verbose
        self.n_threads = n_threads
        self.callback = callback

    @with_callbacks
    def fit(self, X: Any, y: Any = None) -> RESCAL:
        """Find the factors of slices.

        Parameters
        ----------
        X : sequence of CSR or arrays of shape (n, n), or array of shape (slices, n, n)
            Not negative with ``nonnegative=True``.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If slices are not square and of one size, or a parameter is out of range.
        """
        name = f"{type(self).__name__}.fit"
        self._check_parameters(name)
        slices = self._slices(name, X)
        n, k, dtype = slices[0].shape[0], self.n_components, slices[0].dtype
        context = call(name, self.n_threads)
        norm2 = float(sum(rows.core.norm2(context).sum() for rows in slices))
        rng = np.random.default_rng(as_seed(name, self.random_state))
        if self.nonnegative:
            A = self._start(name, slices, rng)
            mean = sum(float(_values(rows).sum(dtype=np.float64)) for rows in slices) / (len(slices) * n * n)
            of_rows = max(float(A.sum(dtype=np.float64)) / n, FLOOR)
            R = rng.uniform(0.5, 1.5, (len(slices), k, k)) * mean / of_rows**2
        else:
            if k > n:
                raise ValueError(
                    f"{name}: n_components must be at most n = {n} with nonnegative=False; got {k}. Lower it."
                )
            A = np.linalg.qr(rng.standard_normal((n, k)))[0].astype(dtype)
            R = np.zeros((len(slices), k, k))
        products = _Products(context, slices)
        self._fit(name, X, lambda run: self._descend(products, norm2, A, R, run))
        return self

    def _learned(self, factors: tuple[Array, NDArray[np.float64]]) -> dict[str, Any]:
        A, R = factors
        size = A.sum(axis=0, dtype=np.float64) if self.nonnegative else np.linalg.norm(A, axis=0)
        size = np.where(size > 0, size, 1)
        return {"A_": (A / size).astype(A.dtype), "R_": (R * np.outer(size, size)).astype(A.dtype)}

    def _start(self, name: str, slices: list[Rows], rng: np.random.Generator) -> Array:
        """A [n, k], positive."""
        n, k, dtype = slices[0].shape[0], self.n_components, slices[0].dtype
        A = rng.random((n, k)).astype(dtype)
        if self.init == "random" or not any(_values(rows).any() for rows in slices):
            return A
        total: Any = sum(rows.array + rows.array.T for rows in slices)
        total = sp.csr_array(total) if sp.issparse(total) else np.ascontiguousarray(total)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = NMF(k, init="random", max_iter=50, random_state=rng, n_threads=self.n_threads)
            W = model.fit_transform(Rows(name, total).array)
        W /= np.where(W.any(axis=0), W.mean(axis=0), 1)
        return np.ascontiguousarray(W + LEAST * A, dtype)

    def _descend(self, X: _Products, norm2: float, A: Array, R: NDArray[np.float64], run: Descent) -> None:
        losses: list[float] = []
        XA, root = X.times(A), 1.0
        while True:
            G, inner = X.gram(A), X.inner(A, XA)
            if self.nonnegative:
                R = R * inner / _floored(G @ R @ G)
            else:
                inverse = np.linalg.pinv(G + self.l2 * np.eye(len(G)), hermitian=True)
                R = inverse @ inner @ inverse
            above = X.pulled(A, XA, R)
            below = (R @ G @ R.transpose(0, 2, 1) + R.transpose(0, 2, 1) @ G @ R).sum(axis=0)
            if self.nonnegative:
                before = _loss(norm2, G, inner, R)
                A, XA, loss, root = _multiplied(X, norm2, A, XA, R, above / _floored(A @ below), before, root)
            else:
                ridge = self.l2 * np.eye(len(G))
                A = np.ascontiguousarray(
                    (above @ np.linalg.pinv(below + ridge, hermitian=True)).astype(A.dtype)
                )
                XA = X.times(A)
                loss = _loss(norm2, X.gram(A), X.inner(A, XA), R)
            losses.append(loss)
            settled = root == 0 or (len(losses) > 10 and self.tol > 0 and self._slow(losses))
            if run.reached(loss, np.nan, settled, (A, R)):
                return

    def _slow(self, losses: list[float]) -> bool:
        return losses[-11] - losses[-1] <= self.tol * losses[0]

    def _slices(self, name: str, X: Any) -> list[Rows]:
        if not hasattr(X, "__len__") or isinstance(X, str) or len(X) == 0:
            raise ValueError(
                f"{name}: X must be a sequence of square matrices, one per slice; got {shown(X)}. "
                "Put a single matrix in a list."
            )
        slices = [Rows(name, part, f"X[{t}]") for t, part in enumerate(X)]
        shape = slices[0].shape
        for t, rows in enumerate(slices):
            if rows.shape[0] != rows.shape[1] or rows.shape != shape:
                raise ValueError(
                    f"{name}: X must have square slices of one size; got {rows.shape} for slice {t}. Use the "
                    "same things, in the same order, for rows and columns of all slices."
                )
        wide = any(rows.dtype == np.float64 for rows in slices)
        dtype = np.float64 if wide else np.float32
        slices = [
            Rows(name, rows[:], dtype=dtype) if rows.storage or rows.dtype != dtype else rows
            for rows in slices
        ]
        if self.nonnegative and not all(
            rows.core.non_negative(call(name, self.n_threads)) for rows in slices
        ):
            raise ValueError(
                f"{name}: X must not be negative with nonnegative=True (Negative values in data); got a "
                "negative entry. Use nonnegative=False."
            )
        return slices

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


class _Products:
    """Products of all slices with A."""

    def __init__(self, context: Any, slices: list[Rows]) -> None:
        self._context, self._slices = context, slices

    def times(self, A: Array) -> list[Array]:
        core = backend()
        return [
            core.multiply(self._context, rows.core, A) if rows.sparse else rows.array @ A
            for rows in self._slices
        ]

    def pulled(self, A: Array, XA: list[Array], R: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum over slices of X_t A R_t^T + X_t^T A R_t."""
        core, total = backend(), np.zeros(A.shape)
        for rows, own, relation in zip(self._slices, XA, R, strict=True):
            turned = (
                core.multiply_transposed(self._context, rows.core, A) if rows.sparse else rows.array.T @ A
            )
            total += own @ relation.T + turned @ relation
        return total

    def gram(self, A: Array) -> NDArray[np.float64]:
        made: NDArray[np.float64] = backend().gram(self._context, A)
        return made

    def inner(self, A: Array, XA: list[Array]) -> NDArray[np.float64]:
        """A^T X_t A [slices, k, k], in float64."""
        wide = A.astype(np.float64)
        return np.stack([wide.T @ each.astype(np.float64) for each in XA])


def _multiplied(
    X: _Products,
    norm2: float,
    A: Array,
    XA: list[Array],
    R: NDArray[np.float64],
    ratio: NDArray[np.float64],
    before: float,
    root: float,
) -> tuple[Array, list[Array], float, float]:
    """A times a power of the ratio that does not raise the loss, its products, the loss, the power (0: none).

    The loss is of degree 4 in A, and a step by the fourth root never raises it: products of two entries are
    bounded below by logarithms, those of four above by fourth powers. Larger steps mostly do not, either.
    """
    while root >= 0.25:
        moved = np.ascontiguousarray((A * np.maximum(ratio, 0) ** root).astype(A.dtype))
        products = X.times(moved)
        loss = _loss(norm2, X.gram(moved), X.inner(moved, products), R)
        if loss <= before:
            return moved, products, loss, root
        root /= 2
    return A, XA, before, 0.0


def _loss(norm2: float, G: NDArray[np.float64], inner: NDArray[np.float64], R: NDArray[np.float64]) -> float:
    """Half the squared error of all slices."""
    return norm2 / 2 - float((inner * R).sum()) + float((R * (G @ R @ G)).sum()) / 2


def _values(rows: Rows) -> Array:
    values: Array = rows.array.data if rows.sparse else rows.array
    return values


def _floored(below: NDArray[np.float64]) -> NDArray[np.float64]:
    most = float(below.max())
    floored: NDArray[np.float64] = np.maximum(below, FLOOR * most if most > 0 else 1.0)
    return floored

"""CP decomposition of tensors that are not negative into outer products of vectors that are not, either."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from latom._base.arrays import as_dense, as_numpy, as_seed
from latom._base.backend import backend, call
from latom._base.callbacks import with_callbacks
from latom._base.checks import shown
from latom._base.finite import check_finite
from latom._base.history import Descent, FactorizationState
from latom.factorize.decomposition import Decomposition
from latom.factorize.product_in_parts import product_in_parts
from latom.factorize.rank.alignment import unit_rows

Array = NDArray[Any]
SWEEPS, INNER_TOL = 3, 0.1  # of a factor's rows, as in nmf_batch
REFITTED = 1000  # sweeps over the weights alone


class NonNegativeCP(Decomposition):
    """A tensor as a sum of k outer products: X is about sum_c w_c a_c o b_c o ..., nothing negative.

    Minimizes the squared error.

    Parameters
    ----------
    n_components : int
        Outer products, k.
    solver : {"hals"}, default "hals"
        Coordinate sweeps over the rows of one factor after the other; the loss never rises.
    n_init : int, default 1
        Starts, one after the other; the one with the lowest loss is kept.
    max_iter : int, default 200
        Most iterations of a start.
    tol : float, default 1e-5
        A fit stops when what the coordinates lack of optimality is at most tol times what it was in the first
        iteration.
    random_state : int, Generator, RandomState or None
        Seed of the starts.
    verbose : int, default 0
        1 shows a progress bar on a terminal, a line per iteration elsewhere.
    n_threads : int, optional
        As in :class:`latom.NMF`; products of the tensor are numpy's.
    callback : callable, optional
        Called with a :class:`latom.FactorizationState` after each iteration; a true result stops that start.

    Attributes
    ----------
    factors_ : list of arrays of shape (size of the mode, n_components)
        With columns that sum to 1.
    weights_ : array of shape (n_components,)
        Falling.
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
    An iteration reads the tensor once per mode: 2 k flops per entry, and sweeps of some 2 k^2 per row of a
    factor.
    Extra memory: a Khatri-Rao product of all modes but one.

    References
    ----------
    Cichocki & Phan, "Fast local algorithms for large scale nonnegative matrix and tensor
    factorizations", 2009.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import NonNegativeCP
    >>> rng = np.random.default_rng(0)
    >>> X = np.einsum("ik,jk,lk->ijl", rng.random((6, 2)), rng.random((5, 2)), rng.random((4, 2)))
    >>> model = NonNegativeCP(2, max_iter=2000, tol=1e-6, random_state=0).fit(X)
    >>> bool(np.abs(model.reconstruct() - X).max() < 1e-3)
    True
    """

    factors_: list[Array]
    weights_: Array

    def __init__(
        self,
        n_components: int,
        *,
        solver: str = "hals",
        n_init: int = 1,
        max_iter: int = 200,
        tol: float = 1e-5,
        random_state: Any = None,
        verbose: int = 0,
        n_threads: int | None = None,
        callback: Callable[[FactorizationState], Any] | None = None,
    ) -> None:
        self.n_components = n_components
        self.solver = solver
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.verbose = verbose
        self.n_threads = n_threads
        self.callback = callback

    @with_callbacks
    def fit(self, X: Any, y: Any = None, factors: Any = None) -> NonNegativeCP:
        """Find the factors of a tensor.

        Parameters
        ----------
        X : array of two modes or more
            float32, float64 or half precision, which is widened; finite and not negative.
        y : ignored
        factors : sequence of arrays of shape (size of the mode, n_components), optional
            What to start from, one array per mode, in place of random numbers: those of a fit of like data,
            say, with its ``weights_`` in the first. Not negative; a component that is zero in two modes stays
            so.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X is negative or not finite, factors do not fit it, or a parameter is out of range.
        """
        name = f"{type(self).__name__}.fit"
        self._check_parameters(name)
        given, X = X, self._prepared(name, X)
        known = None if factors is None else self._given(name, factors, X)
        rng = np.random.default_rng(as_seed(name, self.random_state))
        k, mean = self.n_components, float(X.mean(dtype=np.float64))
        scale = (mean / k) ** (1 / X.ndim) * 2 if mean > 0 else 1.0
        norm2, context = self._norm2(X), call(name, self.n_threads)

        def start() -> list[Array]:
            return known or [(scale * rng.random((size, k))).astype(X.dtype) for size in X.shape]

        def descend(factors: list[Array], run: Descent) -> None:
            self._descend(context, X, norm2, factors, run)

        self._fit(name, given, start, descend, known is not None)
        return self

    def reconstruct(self) -> Array:
        """The tensor that the factors make.

        Returns
        -------
        X : array of the shape of that of the fit
        """
        check_is_fitted(self)
        shape = tuple(len(F) for F in self.factors_)
        made: Array = (self.factors_[0] * self.weights_) @ khatri_rao(self.factors_[1:]).T
        tensor: Array = made.reshape(shape)
        return tensor

    def _descend(self, context: Any, X: Array, norm2: float, factors: list[Array], run: Descent) -> None:
        core = backend()
        grams = [core.gram(context, F) for F in factors]
        while True:
            violation = cross = 0.0
            for mode, F in enumerate(factors):
                others = [factors[m] for m in range(X.ndim) if m != mode]
                G = np.prod([grams[m] for m in range(X.ndim) if m != mode], axis=0)
                P = mttkrp(X, others, mode)
                met, cross = core.coordinate_sweep(context, G, P, F, 0.0, SWEEPS, INNER_TOL)
                violation += met
                grams[mode] = core.gram(context, F)
            loss = norm2 / 2 - cross + float(np.prod(grams, axis=0).sum()) / 2
            if run.reached(loss, violation, None, factors):
                return

    def _learned(self, factors: list[Array]) -> dict[str, Any]:
        sums = [np.where(F.any(axis=0), F.sum(axis=0, dtype=np.float64), 1) for F in factors]
        weights = np.prod([np.where(F.any(axis=0), s, 0) for F, s in zip(factors, sums, strict=True)], axis=0)
        order, dtype = np.argsort(-weights, kind="stable"), factors[0].dtype
        return {
            "weights_": weights[order].astype(dtype),
            "factors_": [(F / s)[:, order].astype(dtype) for F, s in zip(factors, sums, strict=True)],
        }

    def _given(self, name: str, factors: Any, X: Array) -> list[Array]:
        """Copies of factors that a user gave."""
        if not isinstance(factors, (list, tuple)):
            raise TypeError(
                f"{name}: factors must be a list of arrays, one per mode of X; got {type(factors).__name__}. "
                "Put them in a list."
            )
        if len(factors) != X.ndim:
            raise ValueError(
                f"{name}: factors must be one array per mode of X, {X.ndim}; got {len(factors)}. Pass those "
                "of all modes, in their order."
            )
        made = []
        for mode, F in enumerate(factors):
            what, wanted = f"factors[{mode}]", (X.shape[mode], self.n_components)
            found: Array = as_dense(name, F, what).astype(X.dtype, order="C")
            if found.shape != wanted:
                raise ValueError(
                    f"{name}: {what} must have a row per index of mode {mode} and a column per component, so "
                    f"shape {wanted}; got {found.shape}. Transpose components that are rows."
                )
            check_finite(name, what, found, "Clip or replace it.", negative=False)
            made.append(found)
        return made

    def _prepared(self, name: str, X: Any) -> Array:
        X = as_numpy(name, X, "X")
        X = np.require(X, X.dtype if X.dtype in (np.float32, np.float64) else np.float64, ["C", "A"])
        if X.ndim < 2 or 0 in X.shape:
            raise ValueError(
                f"{name}: X must have at least two modes and no empty one; got shape {X.shape}. Stack "
                "matrices along a first axis."
            )
        must = "be finite and not negative (Negative values in data, NaN or infinity)"
        check_finite(name, "X", X, "Clip or replace it.", negative=False, must=must)
        most = float(X.max())
        if most and not 1e-100 < most < (1e15 if X.dtype == np.float32 else 1e100):
            raise ValueError(
                f"{name}: X must have a largest entry of ordinary size; got {most:.3g}. Scale X to about 1."
            )
        tensor: Array = X
        return tensor

    def _most(self, X: Array) -> int:
        # Outer products with the unit vectors of all modes but the longest give any tensor.
        return int(X.size // max(X.shape))

    def _norm2(self, X: Array) -> float:
        return float(np.square(X, dtype=np.float64).sum())

    def _perturbed(self, X: Array, rng: np.random.Generator, noise: float) -> Array:
        moved: Array = X * rng.uniform(1 - noise, 1 + noise, X.shape).astype(X.dtype)
        return moved

    def _side_by_side(self) -> Array:
        return np.hstack([unit_rows(np.ascontiguousarray(F.T)) for F in self.factors_])

    def _errors(self, name: str, X: Array, H: Array) -> NDArray[np.float64]:
        factors = [
            np.ascontiguousarray(part.T, X.dtype) for part in np.split(H, np.cumsum(X.shape)[:-1], axis=1)
        ]
        context, core = call(name, self.n_threads), backend()
        P = mttkrp(X, factors[1:], 0).astype(np.float64)
        G = np.prod([core.gram(context, F) for F in factors[1:]], axis=0)
        first = factors[0].astype(np.float64)
        weights = np.zeros((1, len(H)))
        own = np.ascontiguousarray((P * first).sum(axis=0)[None])
        core.coordinate_sweep(context, G * core.gram(context, factors[0]), own, weights, 0.0, REFITTED, 1e-12)
        said = first * weights
        squares = np.square(X.reshape(len(X), -1), dtype=np.float64).sum(axis=1)
        errors: NDArray[np.float64] = np.maximum(squares + np.einsum("ij,ij->i", said @ G - 2 * P, said), 0)
        return errors

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        return tags

    def _check_parameters(self, name: str) -> None:
        super()._check_parameters(name)
        if self.solver != "hals":
            raise ValueError(f"{name}: solver must be 'hals'; got {shown(self.solver)}. Leave it out.")


def khatri_rao(factors: list[Array]) -> Array:
    """Products of rows of all factors, [product of sizes, k], the last factor's rows fastest."""
    product = factors[0]
    for F in factors[1:]:
        product = (product[:, None, :] * F[None, :, :]).reshape(-1, F.shape[1])
    return product


def mttkrp(X: Array, others: list[Array], mode: int) -> Array:
    """The tensor unfolded along a mode, times the Khatri-Rao product of the others, in order."""
    product = khatri_rao(others)
    if mode == 0:
        return product_in_parts(X.reshape(X.shape[0], -1), product)
    if mode == X.ndim - 1:
        return product_in_parts(X.reshape(-1, X.shape[-1]).T, product)
    # In between: X as [before, mode, after]; the modes after are summed first, by one product.
    after = khatri_rao(others[mode:])
    before = khatri_rao(others[:mode])
    partial = product_in_parts(X.reshape(-1, len(after)), after).reshape(len(before), X.shape[mode], -1)
    made: Array = np.einsum("bmk,bk->mk", partial, before)
    return np.ascontiguousarray(made)

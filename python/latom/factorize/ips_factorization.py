"""Factorization of clicks as of relevance, by inverse propensities (Rel-MF)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import as_numpy, as_seed
from latom._base.backend import backend, call
from latom._base.callbacks import with_callbacks
from latom._base.checks import check_choice, check_integer, check_number, check_range, is_number, shown
from latom._base.csr import as_csr
from latom._base.history import FactorizationState
from latom._base.rows import Rows
from latom.factorize.recommender import PairSteps, Positives, Recommender, padded

LINKS = ("identity", "logistic")


class IPSFactorization(Recommender):
    """Factors of users and items for relevance, where a click needs relevance and exposure both (Rel-MF).

    Clicks Y are relevance times exposure, and exposure has a known or guessed propensity theta. Each click
    stands for 1 / theta relevant pairs:

        sum over all pairs of  (Y / theta) (1 - s)^2 + w (1 - Y / theta) s^2

    is in expectation the loss on relevance itself, whatever was exposed. s is the score, u_u . v_i with
    ``link="identity"`` and its logistic function with "logistic".

    Parameters
    ----------
    n_components : int, default 20
        Factors, k.
    propensity : "popularity", array of shape (m,) or (n, m), sparse matrix of shape (n, m), or None
        theta. "popularity": (clicks of the item / most clicks of an item) ** power, from X. An array: of
        each item, or of each pair. Sparse: of the clicks, all of which it must hold. None: 1 throughout,
        which is the unweighted factorization.
    power : float, default 0.5
        Of "popularity".
    clip : float, default 0.1
        theta below it counts as that.
    link : {"identity", "logistic"}
        "identity": exact alternating least squares, where all users share one normal matrix, so an
        iteration costs two products of X with factors. "logistic": the authors' loss, by gradient steps whose
        draws do not depend on threads.
    weight : float, default 1.0
        w, of pairs without a click. Must be 1 with "identity", whose normal matrix is else no longer shared.
    regularization : float, optional
        lambda. "identity": adds lambda (|U|^2 + |V|^2) to the loss. "logistic": a step multiplies
        what it touches by 1 - learning_rate * regularization. None: 1 and 0.01.
    n_negatives : int, default 4
        "logistic": pairs without a click that are drawn per click, from all users and items alike. They count
        for all such pairs.
    learning_rate : float, default 0.05
        "logistic".
    learning_decay : float, default 0.99
        "logistic": the rate is multiplied by it after each epoch.
    max_iter : int, default 100
        Iterations, or epochs.
    tol : float, default 1e-6
        Ends the fit after an iteration that lowered the objective by no more than this share of it; 0:
        never. With "logistic", whose objective is an estimate, 0 is the better choice.
    random_state : int, Generator, RandomState or None
        Seed of the start and of all draws.
    n_threads : int, optional
        Threads, as in :class:`latom.KMeans`.
    verbose : int, default 0
        1 shows a progress bar on a terminal, a line per iteration elsewhere.
    callback : callable, optional
        Called with a :class:`latom.FactorizationState` after each iteration; a true result ends the fit.

    Attributes
    ----------
    user_factors : array of shape (n, k)
        "identity": of the dtype of X; "logistic": float32.
    item_factors : array of shape (m, k)
    components_ : array of shape (k, m)
        ``item_factors.T``.
    n_iter_ : int
    history_ : structured array of shape (n_iter_,)
        Fields of :class:`latom.FactorizationState`. objective, "identity": half the loss above without what
        no factor changes, penalties included, which is half of |Y/theta - U V^T|^2 - |Y/theta|^2 + penalties;
        "logistic": the mean loss per pair of every 16th step, as met. violation is NaN.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    Stored entries above 0 are clicks; their values do not count.

    With "identity" and w = 1 the loss is s^2 + (Y / theta) (1 - 2 s) at each pair: least squares of the
    matrix Y / theta, all of it. Its minimum is the singular value decomposition of Y / theta with singular
    values lowered by lambda, from which a fit with tol=0 differs by rounding once it has converged. An
    iteration costs 4 nnz k + 2 (n + m) k^2 flops.

    With "logistic" an epoch visits each click once, and n_negatives times as many other pairs.

    Ctrl-C leaves the factors of the last whole iteration.

    References
    ----------
    Saito, Yaginuma, Nishino, Sakata & Nakata, "Unbiased recommender learning from missing-not-at-random
    implicit feedback", 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import IPSFactorization
    >>> Y = np.array([[1.0, 1, 0], [1, 1, 0], [1, 0, 1], [1, 0, 1]])
    >>> model = IPSFactorization(2, regularization=0.1, random_state=0).fit(Y)
    >>> abs(model.user_factors @ model.item_factors.T).round(1)[0].tolist()
    [1.0, 1.4, 0.0]
    """

    def __init__(
        self,
        n_components: int = 20,
        *,
        propensity: Any = "popularity",
        power: float = 0.5,
        clip: float = 0.1,
        link: str = "identity",
        weight: float = 1.0,
        regularization: float | None = None,
        n_negatives: int = 4,
        learning_rate: float = 0.05,
        learning_decay: float = 0.99,
        max_iter: int = 100,
        tol: float = 1e-6,
        random_state: Any = None,
        n_threads: int | None = None,
        verbose: int = 0,
        callback: Callable[[FactorizationState], Any] | None = None,
    ) -> None:
        self.n_components = n_components
        self.propensity = propensity
        self.power = power
        self.clip = clip
        self.link = link
        self.weight = weight
        self.regularization = regularization
        self.n_negatives = n_negatives
        self.learning_rate = learning_rate
        self.learning_decay = learning_decay
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.n_threads = n_threads
        self.verbose = verbose
        self.callback = callback

    _popularity: NDArray[np.float64]  # theta of each item

    @with_callbacks
    def fit(self, X: Any, y: Any = None) -> IPSFactorization:
        """Find factors.

        Parameters
        ----------
        X : sparse matrix or dense array of shape (n, m)
            A row per user, a column per item; entries above 0 are clicks.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is out of range, X has negative entries, NaN, or no entry above 0, or a propensity
            is not above 0 where there is a click.
        """
        name = f"{type(self).__name__}.fit"
        self._check_parameters(name)
        positives = self._positives(name, X)
        if isinstance(self.propensity, str):
            check_choice(name, "propensity", self.propensity, ("popularity",))
            clicks = np.bincount(positives.indices, minlength=positives.shape[1])
            self._popularity = (clicks / clicks.max()) ** self.power
        self._seed = as_seed(name, self.random_state)
        rng = np.random.Generator(np.random.Philox(self._seed))
        if self.link == "identity":
            self._fit_identity(name, X, positives, rng)
        else:
            start = [padded(0.1 * rng.standard_normal((size, self.n_components))) for size in positives.shape]
            self._run_steps(X, self._steps(name, positives, start))
        return self

    def _weighted(self, name: str, positives: Positives, dtype: Any) -> Rows:
        """Y / theta."""
        weights = self._weights(name, positives).astype(dtype)
        return Rows(name, sp.csr_array((weights, positives.indices, positives.indptr), shape=positives.shape))

    def _fit_identity(self, name: str, X: Any, positives: Positives, rng: np.random.Generator) -> None:
        context, core = call(name, self.n_threads), backend()
        rows = self._weighted(name, positives, positives.dtype)
        n, m = positives.shape
        k, penalty = self.n_components, self._penalty * np.eye(self.n_components)
        V = (rng.standard_normal((m, k)) / np.sqrt(k)).astype(positives.dtype)
        self.user_factors, self.item_factors = np.zeros((n, k), positives.dtype), V

        def epoch(number: int) -> float:
            V = self.item_factors
            U = _solved(core.multiply(context, rows.core, V), core.gram(context, V) + penalty)
            gram = core.gram(context, U)
            products = core.multiply_transposed(context, rows.core, U)
            V = _solved(products, gram + penalty)
            self.user_factors, self.item_factors = U, V
            fit = float(np.vdot(gram, core.gram(context, V))) - 2 * _dot(products, V)
            size = float(np.trace(gram)) + _dot(V, V)
            return 0.5 * (fit + self._penalty * size)

        self._run(X, epoch)

    def _steps(self, name: str, positives: Positives, factors: list[NDArray[np.float32]]) -> PairSteps:
        return PairSteps(
            name=name,
            seed=self._seed,
            n_threads=self.n_threads,
            positives=positives,
            weights=self._weights(name, positives).astype(np.float32),
            loss="relevance",
            n_negatives=self.n_negatives,
            unlabelled=float(self.weight),
            regularization=self._penalty,
            noise_regularization=0.0,
            factors=factors,
        )

    def _folded(self, name: str, positives: Positives) -> NDArray[Any]:
        if (
            self.propensity is not None
            and not isinstance(self.propensity, str)
            and np.ndim(self.propensity) != 1
        ):
            raise ValueError(
                f"{name}: propensity must be one of each item for new users; got one of each pair. "
                "Pass those of the items, or 'popularity'."
            )
        V = self.item_factors
        if self.link == "logistic":
            rng = np.random.Generator(np.random.Philox(self._seed))
            start = padded(0.1 * rng.standard_normal((positives.shape[0], self.n_components)))
            return self._folded_by_steps(self._steps(name, positives, [start, padded(V)]))
        context = call(name, self.n_threads)
        products = backend().multiply(context, self._weighted(name, positives, V.dtype).core, V)
        return _solved(products, backend().gram(context, V) + self._penalty * np.eye(V.shape[1]))

    def _weights(self, name: str, positives: Positives) -> NDArray[np.float64]:
        weights: NDArray[np.float64] = 1 / np.maximum(self._propensities(name, positives), self.clip)
        return weights

    def _propensities(self, name: str, positives: Positives) -> NDArray[np.float64]:
        """theta of each click."""
        m = positives.shape[1]
        if self.propensity is None:
            return np.ones(len(positives.indices))
        if isinstance(self.propensity, str):
            return self._popularity[positives.indices]
        if sp.issparse(self.propensity):
            given = as_csr(name, self.propensity, "propensity")
            self._check_shape(name, given.shape, positives.shape)
            found: NDArray[np.float64] = np.asarray(
                given[positives.rows, positives.indices], np.float64
            ).reshape(-1)
        else:
            array = as_numpy(name, self.propensity, "propensity")
            if array.ndim == 1:
                self._check_shape(name, array.shape, (m,))
                found = array[positives.indices].astype(np.float64)
            else:
                self._check_shape(name, array.shape, positives.shape)
                found = array[positives.rows, positives.indices].astype(np.float64)
        bad = np.flatnonzero(~((found > 0) & np.isfinite(found)))
        if len(bad):
            raise ValueError(
                f"{name}: propensity must be finite and above 0 wherever X has a click; got {found[bad[0]]} "
                f"in row {positives.rows[bad[0]]}. Give each click the chance with which it could be seen."
            )
        return found

    def _check_shape(self, name: str, shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
        if tuple(shape) != wanted:
            raise ValueError(
                f"{name}: propensity must have shape {wanted}; got {tuple(shape)}. "
                "Pass one per item, or one per pair."
            )

    def _check_parameters(self, name: str) -> None:
        self._check_iterations(name)
        check_integer(name, "n_components", self.n_components)
        check_choice(name, "link", self.link, LINKS)
        check_range(name, "power", self.power)
        check_number(name, "clip", self.clip)
        check_number(name, "weight", self.weight)
        self._penalty = 1.0 if self.link == "identity" else 0.01
        if self.regularization is not None:
            self._penalty = check_range(name, "regularization", self.regularization)
        check_integer(name, "n_negatives", self.n_negatives, 4096)
        check_number(name, "learning_rate", self.learning_rate)
        check_number(name, "learning_decay", self.learning_decay)
        if self.link == "identity" and not (is_number(self.weight) and self.weight == 1):
            raise ValueError(
                f"{name}: weight must be 1 with link='identity'; got {shown(self.weight)}. "
                "Use link='logistic' for another."
            )
        if self.link == "identity" and self._penalty == 0:
            raise ValueError(
                f"{name}: regularization must be above 0 with link='identity'; got 0. "
                "Use a small one, such as 1e-3."
            )


def _solved(products: NDArray[Any], normal: NDArray[np.float64]) -> NDArray[Any]:
    """products @ inverse of the normal matrix."""
    solved = np.linalg.solve(normal, products.T.astype(np.float64))
    return np.ascontiguousarray(solved.T.astype(products.dtype))


def _dot(A: NDArray[Any], B: NDArray[Any]) -> float:
    return float(np.einsum("ij,ij->", A, B, dtype=np.float64))

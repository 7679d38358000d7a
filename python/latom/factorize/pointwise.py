"""Factors from positives by gradient steps: BPR, logistic, and the noisy-label losses NBPO."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import as_seed
from latom._base.callbacks import with_callbacks
from latom._base.checks import check_choice, check_flag, check_integer, check_number, check_range
from latom._base.history import FactorizationState
from latom.factorize.recommender import PairSteps, Positives, Recommender, padded

LOSSES = ("bpr", "bpo", "nbpo", "nbpo_s", "nbpo_o")


class PointwiseFactorization(Recommender):
    """Factors of users and items from what users chose, by gradient steps on pairs; repeatable throughout.

    A score is the product u_u . v_i, and p = 1 / (1 + exp(-score)). A step takes a positive pair and
    ``n_negatives`` items that the user does not have, and moves their factors along the gradient of the
    loss. Draws are keyed by (seed, epoch, sample) and threads share no factors, so a fit gives the same
    numbers on any number of threads, where the usual lock-free descent gives others in each run.

    Parameters
    ----------
    n_components : int, default 50
        Factors, k.
    loss : {"bpr", "bpo", "nbpo", "nbpo_s", "nbpo_o"}
        "bpr": the positive's score above the negative's. "bpo": each pair by itself, the logistic loss. The
        others take into account that an item not chosen may be liked all the same: with probability gamma =
        1 / (1 + exp(-a_u . b_i)), from factors of its own, a liked item was not chosen. "nbpo_o" ascends
        the likelihood of that, "nbpo_s" the likelihood itself rather than its logarithm, and "nbpo" the
        surrogate that the paper proposes, whose gradient does not vanish where p nears 1.
    n_negatives : int, optional
        Items drawn for each positive, at most 4096. None: 1 for "bpr", else 4. A positive counts once for
        each.
    learning_rate : float, default 0.05
        Of the first epoch.
    learning_decay : float, default 0.99
        The rate is multiplied by it after each epoch.
    regularization : float, default 0.01
        A step multiplies what it touches by 1 - learning_rate * regularization, so a user shrinks as often as
        there are positives. (The authors of NBPO shrink all factors once per batch.)
    noise_components : int, optional
        Factors of gamma. None: n_components.
    noise_regularization : float, default 0.01
        The same for the factors of gamma.
    item_bias : bool, default False
        Items have a bias beside their factors, as in the BPR of implicit, lightfm and cornac: the last column
        of ``item_factors``, beside a 1 in that of ``user_factors``. It starts at 0 and shrinks as they do.
    max_iter : int, default 100
        Epochs. An epoch visits each positive once.
    tol : float, default 0
        Ends the fit after an epoch whose mean loss did not fall by more than this share of it. 0: never.
    random_state : int, Generator, RandomState or None
        Seed of the start and of all draws.
    n_threads : int, optional
        Threads, as in :class:`latom.KMeans`; at most 64 have work.
    verbose : int, default 0
        1 shows a progress bar on a terminal, a line per epoch elsewhere.
    callback : callable, optional
        Called with a :class:`latom.FactorizationState` after each epoch; a true result ends the fit.

    Attributes
    ----------
    user_factors : float32 array of shape (n, k), or (n, k + 1) with ``item_bias``
    item_factors : float32 array of shape (m, k), or (m, k + 1)
    components_ : float32 array of shape (k, m)
        ``item_factors.T``.
    user_noise_factors_, item_noise_factors_ : float32 arrays of shape (n, k) and (m, k)
        a and b; only of the losses that have them.
    n_iter_ : int
    history_ : structured array of shape (n_iter_,)
        Fields of :class:`latom.FactorizationState`. objective is the mean loss of every 16th step as it was
        met: -log p of the difference for "bpr", else minus the log-likelihood of a label. violation is NaN.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    Stored entries above 0 are positives; their values do not count, zeros are left out. Factors start as in
    the authors' code of NBPO: uniform in [0, 1/sqrt(k)), a in [0, 5/sqrt(k)), b in [-5/sqrt(k), 0); for
    "bpr" in [-0.5/sqrt(k), 0.5/sqrt(k)). Ranking uses u and v alone.

    In an epoch items are dealt by chance into at most 64 sets, and negatives come from the set of their
    positive: over epochs each item is drawn as often as any other. A negative that is not found in 64 draws,
    because the user has nearly all items of the set, is left out.

    Cost of an epoch: 6 (1 + n_negatives) k flops, and as many rows of k numbers read and written, per
    positive. Memory: factors in float32, twice; 12 bytes per positive and the positives themselves.
    Ctrl-C leaves the factors of the last whole epoch.

    References
    ----------
    Rendle, Freudenthaler, Gantner & Schmidt-Thieme, "BPR: Bayesian personalized ranking from implicit
    feedback", 2009. Yu & Qin, "Sampler design for implicit feedback data by noisy-label robust learning",
    2020.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> from latom import PointwiseFactorization
    >>> X = np.kron(np.eye(2), np.ones((6, 4)))  # two groups, within which all is chosen ...
    >>> X[0, 3] = 0  # ... but this
    >>> X = sp.csr_array(X)
    >>> model = PointwiseFactorization(4, max_iter=200, random_state=0).fit(X)
    >>> ids, scores = model.recommend(0, X[[0]], N=1)
    >>> ids.tolist()
    [3]
    """

    user_noise_factors_: NDArray[np.float32]
    item_noise_factors_: NDArray[np.float32]

    _learned = (*Recommender._learned, "user_noise_factors_", "item_noise_factors_")

    def __init__(
        self,
        n_components: int = 50,
        *,
        loss: str = "bpr",
        n_negatives: int | None = None,
        learning_rate: float = 0.05,
        learning_decay: float = 0.99,
        regularization: float = 0.01,
        noise_components: int | None = None,
        noise_regularization: float = 0.01,
        item_bias: bool = False,
        max_iter: int = 100,
        tol: float = 0.0,
        random_state: Any = None,
        n_threads: int | None = None,
        verbose: int = 0,
        callback: Callable[[FactorizationState], Any] | None = None,
    ) -> None:
        self.n_components = n_components
        self.loss = loss
        self.n_negatives = n_negatives
        self.learning_rate = learning_rate
        self.learning_decay = learning_decay
        self.regularization = regularization
        self.noise_components = noise_components
        self.noise_regularization = noise_regularization
        self.item_bias = item_bias
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.n_threads = n_threads
        self.verbose = verbose
        self.callback = callback

    @with_callbacks
    def fit(self, X: Any, y: Any = None) -> PointwiseFactorization:
        """Find factors.

        Parameters
        ----------
        X : sparse matrix or dense array of shape (n, m)
            A row per user, a column per item; entries above 0 are what users chose. CSR with int32 indices
            is not copied.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is out of range, X has negative entries, NaN, or no entry above 0, or factors did
            not stay finite.
        """
        name = f"{type(self).__name__}.fit"
        self._check_parameters(name)
        positives = self._positives(name, X)
        self._seed = as_seed(name, self.random_state)
        self._run_steps(X, self._steps(name, positives, self._start(positives.shape)))
        return self

    def _steps(self, name: str, positives: Positives, factors: list[NDArray[np.float32]]) -> PairSteps:
        return PairSteps(
            name=name,
            seed=self._seed,
            n_threads=self.n_threads,
            positives=positives,
            weights=None,
            loss=self.loss,
            n_negatives=self.n_negatives or (1 if self.loss == "bpr" else 4),
            unlabelled=0.0,
            regularization=float(self.regularization),
            noise_regularization=float(self.noise_regularization),
            factors=factors,
            ones=self.n_components if self.item_bias else -1,
        )

    def _folded(self, name: str, positives: Positives) -> NDArray[Any]:
        factors = self._start(positives.shape)
        factors[1] = padded(self.item_factors)
        if len(factors) > 2:
            factors[3] = padded(self.item_noise_factors_)
        return self._folded_by_steps(self._steps(name, positives, factors))

    def _check_parameters(self, name: str) -> None:
        self._check_iterations(name)
        check_integer(name, "n_components", self.n_components)
        check_choice(name, "loss", self.loss, LOSSES)
        if self.n_negatives is not None:
            check_integer(name, "n_negatives", self.n_negatives, 4096)
        check_number(name, "learning_rate", self.learning_rate)
        check_number(name, "learning_decay", self.learning_decay)
        check_range(name, "regularization", self.regularization)
        check_range(name, "noise_regularization", self.noise_regularization)
        check_flag(name, "item_bias", self.item_bias)
        if self.noise_components is not None:
            check_integer(name, "noise_components", self.noise_components)

    def _start(self, shape: tuple[int, int]) -> list[NDArray[np.float32]]:
        n, m = shape
        rng = np.random.Generator(np.random.Philox(self._seed))
        root = np.sqrt(self.n_components)
        low = -0.5 if self.loss == "bpr" else 0.0
        signal = [rng.uniform(low / root, (low + 1) / root, (size, self.n_components)) for size in shape]
        if self.item_bias:
            signal = [
                np.column_stack([x, np.full(len(x), one)]) for x, one in zip(signal, (1, 0), strict=True)
            ]
        factors = [padded(x) for x in signal]
        if self.loss.startswith("nbpo"):
            k = self.noise_components or self.n_components
            factors.append(padded(rng.uniform(0, 5 / np.sqrt(k), (n, k))))
            factors.append(padded(rng.uniform(-5 / np.sqrt(k), 0, (m, k))))
        return factors

    def _keep(self, factors: list[NDArray[np.float32]]) -> None:
        k = self.n_components + bool(self.item_bias)
        self.user_factors, self.item_factors = (factor[:, :k] for factor in factors[:2])
        if len(factors) > 2:
            k = self.noise_components or self.n_components
            self.user_noise_factors_, self.item_noise_factors_ = (factor[:, :k] for factor in factors[2:])

"""Which number of components a matrix has, by what replicates agree on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wilcoxon
from sklearn.base import BaseEstimator

from latom._base.arrays import as_seed
from latom._base.checks import check_candidates, check_integer, check_number, check_range, shown
from latom._base.figures import drawing
from latom._base.rows import Rows
from latom.factorize.decomposition import Decomposition
from latom.factorize.nmf import NMF
from latom.factorize.rank.alignment import Alignment, align
from latom.factorize.rank.problems import Decomposed, Matrix, Problem
from latom.factorize.rank.replicates import Replicates, factorize_replicates, in_the_core
from latom.factorize.rank.search import search_replicates

Array = NDArray[Any]
PATIENCE = 10  # times as many iterations, where replicates of the default estimator do not agree
SURE = 1.5  # a gain beyond doubt, in units of what white noise gives
# Where the fit decides and replicates differ: iterations of a run, runs of all together, and the most flops.
ITERATIONS, RUNS, FLOPS = 1000, 500, 1e12


@dataclass(frozen=True)
class RankSelection:
    """What :func:`select_n_components` returns.

    Attributes
    ----------
    n_components : int
        The number chosen.
    candidates : int64 array of shape (candidates,)
        Rising.
    stability : float64 array of shape (candidates,)
        The lowest mean silhouette of a cluster of matched components.
    mean_stability : float64 array of shape (candidates,)
        The mean silhouette.
    error : float64 array of shape (candidates,)
        ||X - W H|| / ||X|| with the median components H, and W fitted to them; of RESCAL and NonNegativeCP
        with relations, or weights, fitted to them.
    components_ : array of shape (n_components, d)
        The median components of the number chosen, of length 1. Of RESCAL the columns of A as rows, so that
        ``RESCAL(k).fit(X, A=selection.components_.T, update_A=False)`` is the model with their relations; of
        NonNegativeCP what a component is in each mode, side by side.
    medians : dict of int to array of shape (k, d)
        Those of each candidate.
    replicates : dict of int to array of shape (replicates, k, d)
        Components of each factorization, matched: component c of all replicates is of one cluster.
    losses : dict of int to float64 array of shape (replicates,)
        Half the squared error of each factorization, of its perturbed matrix.
    """

    n_components: int
    candidates: NDArray[np.int64]
    stability: NDArray[np.float64]
    mean_stability: NDArray[np.float64]
    error: NDArray[np.float64]
    components_: Array
    medians: dict[int, Array]
    replicates: dict[int, Array]
    losses: dict[int, NDArray[np.float64]]

    def plot(self, where: Any = None) -> Any:
        """Draw stability and error over the number of components, with matplotlib.

        Parameters
        ----------
        where : str, path-like or matplotlib axes, optional
            The file to write, or where to draw. None makes a figure that pyplot knows nothing of.

        Returns
        -------
        figure : matplotlib.figure.Figure
            The one that was made, or that of the axes.

        Raises
        ------
        TypeError
            If where is none of these.
        """
        with drawing("RankSelection.plot", where, (1,), (6, 4)) as (figure, (ax,)):
            ax.plot(self.candidates, self.stability, "o-", color="C0", label="lowest silhouette")
            mean = {"color": "C0", "alpha": 0.6, "label": "mean silhouette"}
            ax.plot(self.candidates, self.mean_stability, "s--", **mean)
            ax.set_xlabel("components")
            ax.set_xticks(self.candidates)
            ax.set_ylabel("stability", color="C0")
            ax.axvline(self.n_components, color="0.6", linewidth=1)
            beside = ax.twinx()
            beside.plot(self.candidates, self.error, "^-", color="C1", label="relative error")
            beside.set_ylabel("relative error", color="C1")
            lines = ax.get_lines()[:2] + beside.get_lines()
            labels = [line.get_label() for line in lines]
            below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.13)}  # within, it would lie on lines
            ax.legend(lines, labels, ncol=3, fontsize="small", frameon=False, **below)
        return figure


def select_n_components(
    X: Any,
    candidates: Sequence[int],
    *,
    estimator: Any = None,
    n_replicates: int = 20,
    noise: float = 0.03,
    threshold: float = 0.9,
    significance: float = 0.05,
    metric: str = "cosine",
    random_state: Any = None,
    n_threads: int | None = None,
) -> RankSelection:
    """Choose the number of components of a factorization by the agreement of replicates (NMFk).

    For each candidate k, X is factored `n_replicates` times, each time with entries multiplied by random
    numbers near 1 and from another start. Components are matched over replicates; where k is right they
    agree, where it is too high some of them differ from run to run. The largest k is taken whose clusters of
    components all have a mean silhouette of at least `threshold`, and whose rows have lower errors than those
    of the candidate taken before it. Where the squared error falls at a candidate by far more than white
    noise explains, and at all larger ones by no more than that, this candidate is taken, stable or not.

    Parameters
    ----------
    X : array or CSR of shape (n, d)
        Finite and not negative. For :class:`latom.RESCAL` and :class:`latom.NonNegativeCP`, what their
        ``fit`` takes.
    candidates : sequence of int
        Numbers of components.
    estimator : estimator, optional
        What is fitted. None is ``NMF(tol=1e-4, max_iter=200)``, and where its replicates do not agree though
        they gain more than noise explains, ``NMF(tol=1e-6, max_iter=2000)``: components that overlap, as
        dense ones do, take that long to be told apart. An NMF of squared errors without
        penalties has all its replicates made in one call of the core, from random starts; others (any
        estimator with ``n_components``, ``random_state`` and ``components_``, and :class:`latom.RESCAL` and
        :class:`latom.NonNegativeCP`) are fitted one after the other.
    n_replicates : int, default 20
        Factorizations of each number of components.
    noise : float, default 0.03
        Entries are multiplied by uniform numbers of [1 - noise, 1 + noise].
    threshold : float, default 0.9
        A number of components is stable if each cluster's mean silhouette is at least this.
    significance : float, default 0.05
        Of a one-sided Wilcoxon test of the rows' errors.
    metric : {"cosine"}, default "cosine"
        Of silhouettes.
    random_state : int, Generator, RandomState or None
        Seed of perturbations and starts.
    n_threads : int, optional
        As in :class:`latom.NMF`.

    Returns
    -------
    selection : RankSelection
        Where neither the fit decides nor a candidate is stable, the most stable is chosen.

    Raises
    ------
    ValueError
        If X is negative or not finite, or a parameter is out of range.

    Notes
    -----
    Parts that overlap little are told apart by a few hundred iterations, dense ones, which are all alike, by
    thousands, and from about 8 of these on replicates end in different minima whose losses differ by a
    thousandth. Where the fit decides for a candidate whose replicates do not agree, and X is small (n d k up
    to half a million numbers, or stored entries times k), they look for the lowest minimum from hundreds of
    starts. Of 12 uniform ones in 200 x 150 numbers with noise of a tenth, even the lowest minima of perturbed
    matrices often differ: then the number is right, and its stability says that components are not.

    White noise gives a component the square of its largest singular value, about its variance times
    (sqrt(n) + sqrt(d))^2; far more is 1.5 times as much (the edge of Marchenko and Pastur, 1967). Where noise
    is not white, as in counts, larger candidates gain more than that, and stability decides.

    Replicates with the same numbers, of all candidates, advance together, some 64 components of them as one
    thread's work, and those of a sparse X share its pattern. A factorization costs 4 nnz k flops an
    iteration. For CSR the result does not depend on threads.

    References
    ----------
    Alexandrov et al., "Deciphering signatures of mutational processes operative in human cancer", 2013.
    Vangara et al., "Finding the number of latent topics with semantic non-negative matrix
    factorization", 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import select_n_components
    >>> rng = np.random.default_rng(0)
    >>> X = rng.dirichlet([0.1] * 3, 60) @ rng.dirichlet([0.1] * 40, 3)
    >>> select_n_components(X, range(2, 6), n_replicates=8, random_state=0).n_components
    3
    """
    function = "select_n_components"
    model = _estimator(function, estimator)
    if not isinstance(metric, str) or metric != "cosine":
        raise ValueError(f"{function}: metric must be 'cosine'; got {shown(metric)}. Leave it out.")
    count = check_integer(function, "n_replicates", n_replicates, low=2)
    noise, threshold = (
        check_range(function, "noise", noise, 1),
        check_range(function, "threshold", threshold, 1),
    )
    check_number(function, "significance", significance)
    seed = as_seed(function, random_state)
    options = model, count, noise, seed, n_threads
    if isinstance(model, Decomposition):
        problem: Problem = Decomposed(function, X, *options)
    else:
        rows = Rows(function, X)
        problem = Matrix(function, rows, *options)
    ranks = check_candidates(function, candidates, 1, problem.most, "X has no more components.")
    found = problem.replicates(ranks)

    def agreement(k: int) -> _Agreement:
        H, losses, _ = found[k]
        alignment = align(H, int(np.nanargmin(losses)) if np.isfinite(losses).any() else 0)
        return _Agreement(alignment, alignment.silhouettes.mean(axis=1), problem.errors(alignment.medians))

    reached: dict[int, _Agreement] = {}

    def longer(max_iter: int) -> tuple[Any, ...]:
        return range(count), noise, NMF(tol=model.tol / PATIENCE**2, max_iter=max_iter), seed, n_threads

    for k in ranks:
        reached[k] = agreement(k)
        if estimator is None and reached[k].low < threshold and _gain(found, k, rows.shape) > 1:
            found |= factorize_replicates(function, rows, [k], *longer(PATIENCE * model.max_iter))
            reached[k] = agreement(k)
    chosen = _by_fit(found, rows.shape) if in_the_core(model) else 0
    unstable = chosen and estimator is None and reached[chosen].low < threshold
    if unstable and 4 * rows.entries * chosen * RUNS * ITERATIONS <= FLOPS:
        found[chosen] = search_replicates(function, rows, chosen, *longer(ITERATIONS))
        reached[chosen] = agreement(chosen)
    chosen = chosen or _by_stability(reached, threshold, significance)
    orders = {k: reached[k].alignment.order[:, :, None] for k in ranks}
    return RankSelection(
        chosen,
        np.array(ranks, np.int64),
        np.array([reached[k].low for k in ranks]),
        np.array([float(reached[k].of_clusters.mean()) for k in ranks]),
        np.array([np.sqrt(reached[k].error / problem.norm2) if problem.norm2 > 0 else 0.0 for k in ranks]),
        reached[chosen].alignment.medians,
        {k: reached[k].alignment.medians for k in ranks},
        {k: np.take_along_axis(found[k][0], orders[k], axis=1) for k in ranks},
        {k: found[k][1] for k in ranks},
    )


class _Agreement(NamedTuple):
    """What the replicates of one candidate agree on."""

    alignment: Alignment
    of_clusters: NDArray[np.float64]  # mean silhouettes
    errors: NDArray[np.float64]  # squared, of the rows with the medians

    @property
    def low(self) -> float:
        return float(self.of_clusters.min())

    @property
    def error(self) -> float:
        return float(self.errors.sum())


def _gain(found: dict[int, Replicates], k: int, shape: tuple[int, int]) -> float:
    """How far the lowest loss falls from the candidate before k to k, in units of what white noise explains.

    The noise gives a component the square of its largest singular value: the variance times about
    (sqrt(n) + sqrt(d))^2, of the (n - k) (d - k) times it that k components leave.
    """
    before = max((i for i in found if i < k), default=0)
    if not before:
        return np.inf
    n, d = shape
    share = (k - before) * (np.sqrt(n) + np.sqrt(d)) ** 2 / (max(n - before, 1) * max(d - before, 1))
    losses = found[before].losses.min(), found[k].losses.min()
    return float((losses[0] - losses[1]) / (share * losses[0])) if losses[0] > 0 else 0.0


def _by_fit(found: dict[int, Replicates], shape: tuple[int, int]) -> int:
    """The last candidate to gain beyond doubt, where all beyond it gain no more than noise gives; or 0."""
    *below, last = sorted(found)
    if _gain(found, last, shape) > 1:
        return 0
    for k in reversed(below[1:]):
        gain = _gain(found, k, shape)
        if gain > 1:
            return k if gain > SURE else 0
    return 0


def _by_stability(reached: dict[int, _Agreement], threshold: float, significance: float) -> int:
    """The largest stable candidate with lower errors than the one taken before it; or the most stable."""
    chosen = 0
    for k in sorted(reached):
        if reached[k].low >= threshold and (
            not chosen or _lower(reached[k].errors, reached[chosen].errors, significance)
        ):
            chosen = k
    return chosen or max(sorted(reached), key=lambda k: reached[k].low)


def _lower(errors: NDArray[np.float64], before: NDArray[np.float64], significance: float) -> bool:
    """Whether rows have lower errors than before."""
    differences = before - errors
    if not differences.any():
        return False
    return bool(wilcoxon(differences, alternative="greater").pvalue < significance)


def _estimator(function: str, estimator: Any) -> Any:
    if estimator is None:
        return NMF(tol=1e-4, max_iter=200)
    if not (
        isinstance(estimator, BaseEstimator)
        and {"n_components", "random_state"} <= set(estimator.get_params())
    ):
        raise ValueError(
            f"{function}: estimator must be a factorization with n_components and random_state; got "
            f"{shown(estimator)}. Pass NMF(), or leave it out."
        )
    if in_the_core(estimator) or isinstance(estimator, Decomposition):
        estimator._check_parameters(function)
    if not getattr(estimator, "nonnegative", True):
        raise ValueError(
            f"{function}: estimator must have nonnegative=True; got {shown(estimator)}. Leave it "
            "out: components of any sign are not unique, so that replicates need not agree."
        )
    return estimator

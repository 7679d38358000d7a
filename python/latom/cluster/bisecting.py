"""Bisecting k-means: the worst cluster is split in two until there are enough."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClusterMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from latom._base.arrays import Matrix, as_seed
from latom._base.callbacks import FitTasks, with_callbacks
from latom._base.checks import check_choice, check_clusters, check_flag, check_integer, check_metric, shown
from latom._base.estimator import IterativeEstimator, as_generator, validated_rows
from latom._base.history import HierarchyState, Iterations
from latom._base.progress import Progress
from latom._base.rows import Rows, row_weights
from latom._base.stream import Stream, in_blocks
from latom.cluster.assign import assign_rows
from latom.cluster.kmeans import KMeans, SphericalKMeans
from latom.cluster.leaves import Leaves, Node
from latom.cluster.packed_centers import PackedCenters


class BisectingKMeans(ClusterMixin, IterativeEstimator):
    """k-means by splits in two: of the clusters so far, one is split, until there are n_clusters.

    Arguments are those of scikit-learn's class, and the metric. Clusters lie in a tree, which new rows
    descend; a level of it costs k-means with two centers, where plain k-means compares rows with all.

    Parameters
    ----------
    n_clusters : int, default 8
    metric : {"euclidean", "cosine"}, default "euclidean"
        :class:`KMeans` or :class:`SphericalKMeans`.
    init : {"k-means++", "random"} or callable, default "k-means++"
        Starting centers of each split, as in :class:`KMeans`.
    n_init, max_iter, tol : int, int and float, default 1, 300 and 1e-4
        Of each split, as in :class:`KMeans`.
    bisecting_strategy : {"biggest_inertia", "largest_cluster"}
        Which cluster is split next: the one of the largest inertia, or of the most rows.
    random_state : int, Generator, RandomState or None
        Seed of all starts.
    copy_x, algorithm
        As in :class:`KMeans`.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`. The result does not depend on it.
    verbose : int, default 0
        1 shows a progress bar on a terminal, a line per split elsewhere.
    callback : callable, optional
        Called with a :class:`HierarchyState` after each split, whose level is the depth of what was split; a
        true result ends the fit.

    Attributes
    ----------
    cluster_centers_ : array of shape (n_clusters, d)
        Dense; fewer than n_clusters where X has fewer distinct rows, which is warned of.
    labels_ : int32 array of shape (n,)
        Equal to ``predict(X)``.
    inertia_ : float
        Sum over rows of weight times squared distance, or 1 - cosine, to the center of their cluster.
    n_iter_ : int
        Splits.
    history_ : structured array
        Fields of :class:`HierarchyState`, one entry per split.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    References
    ----------
    Steinbach, Karypis & Kumar, "A comparison of document clustering techniques", 2000.

    Examples
    --------
    >>> import numpy as np, latom
    >>> X = np.array([[0.0], [1], [10], [11], [100]])
    >>> latom.BisectingKMeans(3, random_state=0).fit(X).inertia_
    1.0
    """

    _takes_sparse = True

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        metric: str = "euclidean",
        init: Any = "k-means++",
        n_init: int = 1,
        max_iter: int = 300,
        tol: float = 1e-4,
        bisecting_strategy: str = "biggest_inertia",
        random_state: Any = None,
        copy_x: bool = True,
        algorithm: str = "lloyd",
        n_threads: int | None = None,
        verbose: int = 0,
        callback: Callable[[HierarchyState], Any] | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.metric = metric
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.bisecting_strategy = bisecting_strategy
        self.random_state = random_state
        self.copy_x = copy_x
        self.algorithm = algorithm
        self.n_threads = n_threads
        self.verbose = verbose
        self.callback = callback

    @with_callbacks
    def fit(self, X: Matrix, y: Any = None, sample_weight: Any = None) -> BisectingKMeans:
        """Split the rows of X.

        Parameters
        ----------
        X : array or CSR of shape (n, d)
        y : ignored
        sample_weight : array of shape (n,), optional

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is out of range, or there are fewer rows than clusters.
        """
        name = f"{type(self).__name__}.fit"
        self._check_parameters(name)
        rows = validated_rows(self, name, X, reset=True)
        m = check_clusters(name, self.n_clusters, len(rows))
        weights = row_weights(name, sample_weight, rows, self.metric)
        if rows.storage:  # read again and again: widened once
            rows = Rows(name, rows[:])
        rng = as_generator(name, self.random_state)
        top = self._kmeans(1, rng).fit(rows.numbers, sample_weight=sample_weight)
        nodes, centers, costs = [Node(np.arange(len(rows)), ())], [top.cluster_centers_], [top.inertia_]
        leaves = {0}
        whole: set[int] = set()  # leaves whose rows are alike
        tasks = FitTasks(self, 1, X, y, sample_weight)
        task = tasks.start(max(1, m - 1))
        with Progress(type(self).__name__, max(1, m - 1), self.verbose) as progress:
            run = Iterations(
                HierarchyState,
                m - 1,
                self.callback,
                progress,
                task,
                lambda: self._found(nodes, centers, costs, leaves),
            )
            while len(leaves) < m and leaves - whole:
                at = max(sorted(leaves - whole), key=lambda leaf: self._next(nodes[leaf], costs[leaf]))
                parts = self._split(name, rows, weights, nodes[at], rng)
                if parts is None:
                    whole.add(at)
                    continue
                leaves.remove(at)
                for child, (some, center, cost) in enumerate(parts):
                    leaves.add(len(nodes))
                    nodes[at].below.append(len(nodes))
                    nodes.append(Node(some, (*nodes[at].path, child)))
                    centers.append(center)
                    costs.append(cost)
                largest = max(len(nodes[leaf].rows) for leaf in leaves)
                total, level = float(sum(costs[leaf] for leaf in leaves)), len(nodes[at].path)
                if run.stop(False, objective=total, level=level, largest=largest, empty=0):
                    break
        task.end(run.attributes)
        if len(leaves) < m and not leaves - whole:
            warnings.warn(
                f"{name}: Number of distinct clusters ({len(leaves)}) found smaller than n_clusters ({m}). "
                "Possibly due to duplicate points in X. Ask for fewer clusters.",
                ConvergenceWarning,
                stacklevel=2,
            )
        for attribute, value in self._found(nodes, centers, costs, leaves).items():
            setattr(self, attribute, value)
        self.history_, self.n_iter_ = run.history, len(run.states)
        tasks.end()
        return self

    def predict(self, X: Matrix) -> NDArray[np.int32]:
        """The cluster that each row comes to from the top, by the nearer of two centers at each split.

        Parameters
        ----------
        X : array or CSR of shape (n, d), or Stream

        Returns
        -------
        labels : int32 array of shape (n,)
        """
        check_is_fitted(self)
        name = f"{type(self).__name__}.predict"
        if isinstance(X, Stream):
            return np.concatenate(in_blocks(name, X, self.predict))
        rows = validated_rows(self, name, X, reset=False)
        tree: Leaves = self._leaves
        return tree.descend(name, rows, self.metric, self.n_threads)

    def transform(self, X: Matrix) -> NDArray[Any]:
        """Distance of each row to each center: Euclidean, or 1 - cosine.

        Parameters
        ----------
        X : array or CSR of shape (n, d)

        Returns
        -------
        distances : array of shape (n, n_clusters)
        """
        check_is_fitted(self)
        name = f"{type(self).__name__}.transform"
        rows = validated_rows(self, name, X, reset=False)
        return PackedCenters(self.cluster_centers_, self.metric).distances(name, rows, self.n_threads)

    # ---- parts of a fit

    @staticmethod
    def _found(
        nodes: list[Node], centers: list[NDArray[Any]], costs: list[float], leaves: set[int]
    ) -> dict[str, Any]:
        """What the estimator learns from a tree."""
        tree = Leaves(list(map(copy, nodes)))
        return {
            "_leaves": tree,
            "labels_": tree.labels(len(nodes[0].rows)),
            "cluster_centers_": np.concatenate([centers[leaf] for leaf in sorted(leaves)]),
            "inertia_": float(sum(costs[leaf] for leaf in sorted(leaves))),
        }

    def _next(self, node: Node, cost: float) -> float:
        return cost if self.bisecting_strategy == "biggest_inertia" else float(len(node.rows))

    def _split(
        self, name: str, rows: Rows, weights: NDArray[np.float64] | None, node: Node, rng: Any
    ) -> list[tuple[NDArray[np.int64], NDArray[Any], float]] | None:
        """Rows, center and cost of two parts; None where the rows are alike."""
        if len(node.rows) < 2:
            return None
        own, weight = rows[node.rows], None if weights is None else weights[node.rows]
        with warnings.catch_warnings():  # of equal rows, and of zero ones, which the first fit has told of
            warnings.simplefilter("ignore")
            model = self._kmeans(2, rng).fit(own, sample_weight=weight)
        labels, scores = assign_rows(
            name, Rows(name, own), model.cluster_centers_, self.metric, self.n_threads
        )
        if len(np.unique(labels)) < 2:
            return None
        each = 1 - scores if self.metric == "cosine" else -scores
        costs = np.bincount(labels, each if weight is None else weight * each, 2)
        node.centers = model.cluster_centers_
        return [(node.rows[labels == c], node.centers[c : c + 1], float(costs[c])) for c in range(2)]

    def _kmeans(self, count: int, rng: Any) -> Any:
        kind = SphericalKMeans if self.metric == "cosine" else KMeans
        return kind(
            count,
            init=self.init,
            n_init=self.n_init,
            max_iter=self.max_iter,
            tol=self.tol,
            algorithm=self.algorithm,
            sparse_centers=False,
            random_state=as_seed(type(self).__name__, rng) % 2**32,
            n_threads=self.n_threads,
        )

    def _check_parameters(self, name: str) -> None:
        check_metric(name, self.metric, "euclidean")
        check_integer(name, "n_init", self.n_init)
        self._check_iterations(name)
        check_choice(
            name, "bisecting_strategy", self.bisecting_strategy, ("biggest_inertia", "largest_cluster")
        )
        check_choice(name, "algorithm", self.algorithm, ("lloyd", "elkan"))
        check_flag(name, "copy_x", self.copy_x)
        named = isinstance(self.init, str) and self.init in ("k-means++", "random")
        if not named and not callable(self.init):
            raise ValueError(
                f"{name}: init must be 'k-means++', 'random' or a callable; got {shown(self.init)}. "
                "Use 'k-means++'."
            )

    @property
    def _n_features_out(self) -> int:
        return int(self.cluster_centers_.shape[0])

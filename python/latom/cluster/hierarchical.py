"""Hierarchical k-means with resampling: clusters of clusters that cover a data set evenly."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from latom._base.arrays import Matrix, as_seed
from latom._base.callbacks import FitTasks, with_callbacks
from latom._base.checks import check_integer
from latom._base.estimator import IterativeEstimator, as_generator, validated_rows
from latom._base.history import HierarchyState, Iterations
from latom._base.progress import Progress
from latom._base.rows import Rows
from latom._base.stream import Stream, in_blocks
from latom.cluster.assign import assign_rows
from latom.cluster.balanced import balanced_sample, ranks_within
from latom.cluster.kmeans import KMeans, SphericalKMeans
from latom.cluster.leaves import Leaves
from latom.cluster.levels import checked_levels
from latom.cluster.packed_centers import PackedCenters
from latom.cluster.saved_hierarchy import Level, SavedHierarchy
from latom.seed.kmeans_plusplus import kmeans_plusplus


class HierarchicalKMeans(IterativeEstimator):
    """k-means of rows, then of their centers, level by level, for a sample that covers the data evenly.

    Plain k-means puts most centers where most rows are. Here each level is clustered, then again from a few
    rows per cluster, the closest to its center, so that dense parts count no more than others; all rows are
    then assigned anew. After some rounds the centers are spread evenly over where rows are at all.
    :meth:`balanced_sample` draws rows evenly over the clusters of all levels.

    With ``max_leaf_size`` the tree grows from the top instead: rows are split into ``n_clusters`` clusters,
    and each cluster again, until none has more rows than that. ``codes_`` then names the path to each row.

    Parameters
    ----------
    n_clusters : tuple of int, default (64, 8)
        Clusters of each level, the finest first: no level has more than the one before. With
        ``max_leaf_size`` one number, the clusters that a split makes.
    metric : {"cosine", "euclidean"}
        :class:`SphericalKMeans` or :class:`KMeans`.
    n_resampling : int or tuple of int, default 10
        Rounds of resampling after the first clustering, for all levels or for each. 0 is plain k-means of
        k-means.
    sample_size : "half", int or tuple of int, default "half"
        Rows that a round takes per cluster; "half" is half the average size of the level's clusters.
    strategy : {"closest", "random"}
        Which rows of a cluster a round takes.
    max_leaf_size : int, optional
        The most rows of a leaf; grows the tree from the top.
    max_iter : int, default 50
        Most iterations of each k-means.
    n_init : int, default 1
        Starts of each k-means.
    tol : float, default 1e-4
        As in :class:`KMeans`.
    warm_start : bool, default False
        Whether the first clustering of each level starts from the centers of an earlier fit, where it had as
        many.
    random_state : int, Generator, RandomState or None
        Seed of all starts.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`. The result does not depend on it.
    verbose : int, default 0
        1 shows a progress bar on a terminal, a line per round elsewhere.
    callback : callable, optional
        Called with a :class:`HierarchyState` after each round; a true result ends the level.
    checkpoint : path, optional
        A file that is replaced after each round: a fit of the same rows and parameters that finds it goes on
        from there, with an integer random_state to the same bits, and removes it when it is done.

    Attributes
    ----------
    cluster_centers_ : list of array of shape (n_clusters[l], d)
        Centers of each level, CSR where X is sparse and the metric is cosine.
    labels_ : list of int32 array of shape (n,)
        The cluster of each row at each level; with ``max_leaf_size`` one array, the leaf of each row.
    parents_ : list of int32 array
        ``parents_[l][j]`` is the cluster of level l + 1 that cluster j of level l lies in.
    children_ : list of list of int64 array
        ``children_[l][j]`` are the clusters of level l that lie in cluster j of level l + 1, rising.
    scores_ : float64 array of shape (n,)
        Nearness of each row to its finest center, as :func:`latom.assign` has it.
    codes_ : int32 array of shape (n, depth)
        With ``max_leaf_size``: the child that holds the row at each split, -1 beyond its leaf.
    n_iter_ : int
        Rounds of all levels.
    history_ : structured array
        Fields of :class:`HierarchyState`, one entry per round.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    A round costs a k-means of the rows taken, from plain k-means++, and one assignment of all rows of the
    level. Extra memory: the
    rows taken, and what k-means needs. X may be memory-mapped. A fitted object can be pickled.

    References
    ----------
    Vo et al., "Automatic data curation for self-supervised learning: a clustering-based approach", 2024.

    Examples
    --------
    >>> import numpy as np, latom
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(0, 0.1, (900, 2)), rng.normal(5, 0.1, (100, 2))])
    >>> tree = latom.HierarchicalKMeans((20, 2), metric="euclidean", random_state=0).fit(X)
    >>> rows = tree.balanced_sample(100, random_state=0)
    >>> int((rows >= 900).sum())
    50
    """

    _takes_sparse = True

    def __init__(
        self,
        n_clusters: Any = (64, 8),
        *,
        metric: str = "cosine",
        n_resampling: Any = 10,
        sample_size: Any = "half",
        strategy: str = "closest",
        max_leaf_size: int | None = None,
        max_iter: int = 50,
        n_init: int = 1,
        tol: float = 1e-4,
        warm_start: bool = False,
        random_state: Any = None,
        n_threads: int | None = None,
        verbose: int = 0,
        callback: Callable[[HierarchyState], Any] | None = None,
        checkpoint: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.metric = metric
        self.n_resampling = n_resampling
        self.sample_size = sample_size
        self.strategy = strategy
        self.max_leaf_size = max_leaf_size
        self.max_iter = max_iter
        self.n_init = n_init
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state
        self.n_threads = n_threads
        self.verbose = verbose
        self.callback = callback
        self.checkpoint = checkpoint

    @with_callbacks
    def fit(self, X: Matrix, y: Any = None) -> HierarchicalKMeans:
        """Build the hierarchy of the rows of X.

        Parameters
        ----------
        X : array or CSR of shape (n, d)
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is out of range, there are fewer rows than clusters, or a level has more clusters
            than the one below it.
        """
        name = f"{type(self).__name__}.fit"
        rows = validated_rows(self, name, X, reset=True)
        if rows.storage:  # read again and again: widened once
            rows = Rows(name, rows[:])
        self._check_iterations(name)
        counts, rounds, sizes = checked_levels(name, self, len(rows))
        rng = as_generator(name, self.random_state)
        if self.max_leaf_size is not None:
            most = check_integer(name, "max_leaf_size", self.max_leaf_size)
            self._leaves = Leaves.grow(
                rows, most, lambda part: self._kmeans(min(counts[0], part.shape[0]), rng).fit(part)
            )
            self.codes_, self.labels_ = self._leaves.codes(len(rows)), [self._leaves.labels(len(rows))]
            self.cluster_centers_, self.parents_, self.n_iter_ = [self._leaves.centers(rows)], [], 1
            return self
        tasks = FitTasks(self, len(counts), X, y)
        before = getattr(self, "cluster_centers_", None) if self.warm_start else None
        saved = SavedHierarchy(name, rows, counts, (rounds, sizes), self)
        saved.replay(rng)
        done = saved.standing.levels
        for level, count in enumerate(counts[len(done) :], len(done)):
            level_rows = Rows(name, done[-1].centers) if done else rows
            start = before[level] if before is not None and before[level].shape[0] == count else None
            task = tasks.start(rounds[level] + 1)
            with Progress(type(self).__name__, rounds[level] + 1, self.verbose) as progress:
                run = Iterations(HierarchyState, rounds[level] + 1, self.callback, progress, task)
                found = self._level(name, level_rows, level, count, sizes[level], start, run, rng, saved)
            task.end(dict)
            saved.level(Level(*found, run.history))
        self.cluster_centers_ = [level.centers for level in done]
        self.parents_ = [level.labels for level in done[1:]]
        self.scores_, self.labels_ = done[0].scores, self._climb(done[0].labels)
        self.history_ = np.concatenate([level.history for level in done])
        self.n_iter_ = len(self.history_)
        saved.remove()
        tasks.end()
        return self

    def predict(self, X: Matrix, level: int = 0) -> NDArray[np.int32]:
        """The cluster of each row at a level: its nearest finest center, and the clusters that this lies in.

        Parameters
        ----------
        X : array or CSR of shape (n, d), or Stream
        level : int, default 0
            0 is the finest. With ``max_leaf_size`` rows descend from the top to a leaf.

        Returns
        -------
        labels : int32 array of shape (n,)
        """
        check_is_fitted(self)
        name = f"{type(self).__name__}.predict"
        if isinstance(X, Stream):
            return np.concatenate(in_blocks(name, X, lambda block: self.predict(block, level)))
        rows = validated_rows(self, name, X, reset=False)
        level = check_integer(name, "level", level, len(self.cluster_centers_) - 1, low=0)
        if self.max_leaf_size is not None:
            return self._leaves.descend(name, rows, self.metric, self.n_threads)
        labels = assign_rows(name, rows, self.cluster_centers_[0], self.metric, self.n_threads)[0]
        return self._climb(labels)[level]

    def fit_predict(self, X: Matrix, y: Any = None) -> NDArray[np.int32]:
        """The finest cluster of each row, after a fit to these rows.

        Parameters
        ----------
        X : array or CSR of shape (n, d)
        y : ignored

        Returns
        -------
        labels : int32 array of shape (n,)
            ``labels_[0]``.
        """
        return self.fit(X, y).labels_[0]

    def transform(self, X: Matrix) -> NDArray[Any]:
        """Distance of each row to each finest center: 1 - cosine, or Euclidean.

        Parameters
        ----------
        X : array or CSR of shape (n, d)

        Returns
        -------
        distances : array of shape (n, n_clusters[0])
        """
        check_is_fitted(self)
        name = f"{type(self).__name__}.transform"
        rows = validated_rows(self, name, X, reset=False)
        return PackedCenters(self.cluster_centers_[0], self.metric).distances(name, rows, self.n_threads)

    def balanced_sample(
        self, size: int, *, strategy: str = "random", random_state: Any = None
    ) -> NDArray[np.int64]:
        """Draw rows of the fit evenly over the clusters of all levels, from the top down.

        Parameters
        ----------
        size, strategy, random_state
            As in :func:`latom.balanced_sample`.

        Returns
        -------
        indices : int64 array of shape (size,)
            Rows of X, rising and distinct.
        """
        return balanced_sample(self, size, strategy=strategy, random_state=random_state)

    @property
    def children_(self) -> list[list[NDArray[np.int64]]]:
        """Of each level but the finest: the clusters of the level below that lie in each cluster."""
        check_is_fitted(self)
        found = []
        for parents, centers in zip(self.parents_, self.cluster_centers_[1:], strict=True):
            cuts = np.cumsum(np.bincount(parents, minlength=centers.shape[0]))[:-1]
            found.append(np.split(np.argsort(parents, kind="stable"), cuts))
        return found

    # ---- one level

    def _level(
        self,
        name: str,
        rows: Rows,
        level: int,
        count: int,
        size: int,
        start: Matrix | None,
        run: Iterations[HierarchyState],
        rng: Any,
        saved: SavedHierarchy,
    ) -> tuple[Matrix, NDArray[np.int32], NDArray[np.float64]]:
        """Centers of a level, with the cluster and score of each of its rows."""
        run.states, resumed = saved.resume()
        taken = np.arange(len(rows)) if resumed is None else resumed
        while True:
            model = self._kmeans(count, rng, start if start is not None and not run.states else self._seeds)
            part = rows.numbers if len(taken) == len(rows) else rows[taken]
            with (
                warnings.catch_warnings()
            ):  # of rows without direction, which the first clustering has told of
                if run.states:
                    warnings.simplefilter("ignore")
                centers = model.fit(part).cluster_centers_
            labels, scores = assign_rows(name, rows, centers, self.metric, self.n_threads)
            sizes = np.bincount(labels, minlength=count)
            cost = float((1 - scores).sum() if self.metric == "cosine" else -scores.sum())
            if run.stop(
                False, objective=cost, level=level, largest=int(sizes.max()), empty=int((sizes == 0).sum())
            ):
                return centers, labels, scores
            wanted = size or max(1, len(rows) // (2 * count))
            seed = as_seed(name, rng)
            order = -scores
            if self.strategy == "random":
                order = np.random.Generator(np.random.Philox(key=seed)).random(len(rows))
            taken = np.flatnonzero(ranks_within(labels, order) < wanted)
            if len(taken) < count:  # clusters that hold no row: as many rows as centers are needed
                left = np.setdiff1d(np.arange(len(rows)), taken)
                taken = np.sort(np.concatenate([taken, left[np.argsort(scores[left])[: count - len(taken)]]]))
            saved.round(run.history, taken)

    def _kmeans(self, count: int, rng: Any, start: Any = "k-means++") -> Any:
        kind = SphericalKMeans if self.metric == "cosine" else KMeans
        return kind(
            count,
            init=start,
            n_init=self.n_init if isinstance(start, str) or callable(start) else 1,
            max_iter=self.max_iter,
            tol=self.tol,
            random_state=as_seed(type(self).__name__, rng) % 2**32,
            n_threads=self.n_threads,
        )

    def _seeds(self, X: Matrix, n_clusters: int, random_state: Any) -> Matrix:
        """Plain k-means++: rounds that follow make up for what greedy draws would gain, and cost as much."""
        with warnings.catch_warnings():  # of few distinct rows, which k-means tells of
            warnings.simplefilter("ignore")
            drawn: Matrix = kmeans_plusplus(
                X, n_clusters, metric=self.metric, random_state=random_state, n_threads=self.n_threads
            )[0]
        return drawn

    def _climb(self, labels: NDArray[np.int32]) -> list[NDArray[np.int32]]:
        """The clusters of all levels from those of the finest."""
        climbed = [labels]
        for parents in self.parents_:
            climbed.append(parents[climbed[-1]])
        return climbed

    @property
    def _n_features_out(self) -> int:
        return int(self.cluster_centers_[0].shape[0])

"""k-means over processes that hold some of the rows each and add up sums by a library of their own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import Matrix, as_weights
from latom._base.backend import call
from latom._base.checks import check_metric, check_threads, shown
from latom._base.foreign import refuse_sparse
from latom._base.rows import Rows
from latom.cluster.shards import Bounds, Shard, Step


class KMeansShard:
    """The rows of one process in a k-means that several make together.

    Sums are integers, so that all processes have the bits of one that holds all rows, in whatever order a
    library (torch.distributed, MPI) adds them up. ``docs/many-machines.md`` has the whole loop.

    Parameters
    ----------
    X : dense array of shape (n, d)
        The rows that this process holds.
    metric : {"euclidean", "cosine"}, default "euclidean"
        As in :class:`latom.KMeans` or :class:`latom.SphericalKMeans`.
    sample_weight : array of shape (n,), optional
        Weights of these rows.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`. No result depends on it.

    Raises
    ------
    ValueError
        If X or sample_weight holds what k-means cannot use.
    TypeError
        If X is sparse or holds no real numbers.

    Notes
    -----
    Rows keep bounds from one assignment to the next, some 40 bytes each. A cluster without rows keeps its
    center.

    Examples
    --------
    >>> import numpy as np
    >>> from latom.cluster import KMeansShard
    >>> X = np.array([[0.0], [1.0], [9.0], [10.0]])
    >>> shards = [KMeansShard(X[:1]), KMeansShard(X[1:])]  # each in a process of its own
    >>> looks = [shard.look() for shard in shards]
    >>> steps = [shard.assign(X[[0, 3]], looks) for shard in shards]
    >>> for first, second in zip(steps[0].sums, steps[1].sums):
    ...     first += second
    >>> steps[0].centers().tolist()
    [[0.5], [9.5]]
    """

    def __init__(
        self, X: Matrix, *, metric: str = "euclidean", sample_weight: Any = None, n_threads: int | None = None
    ) -> None:
        name = type(self).__name__
        check_metric(name, metric)
        check_threads(name, n_threads)
        refuse_sparse(name, X)
        self._metric, self._threads = metric, n_threads
        rows = Rows(name, X)
        self._weights = as_weights(name, sample_weight, len(rows))
        self._shard = self._made(rows)

    def _made(self, rows: Rows) -> Shard:
        return Shard(type(self).__name__, rows, 0, self._weights, self._metric, self._threads)

    def look(self) -> Bounds:
        """What a first look at the rows tells: how many they are, and how large what they add to sums can be.

        Returns
        -------
        look : Bounds
            To be gathered from all processes; it can be pickled.
        """
        found = self._shard.bounds(False)
        found.squares = []  # of the objective, which this class leaves to the caller
        return found

    def assign(self, centers: Matrix, looks: Iterable[Bounds]) -> ShardStep:
        """Label the rows, and sum them by cluster.

        Parameters
        ----------
        centers : dense array of shape (m, d)
            The same in all processes.
        looks : list
            The looks of all processes.

        Returns
        -------
        step : ShardStep

        Raises
        ------
        ValueError
            If centers have other columns than the rows, or looks are of rows of another width.
        """
        name = f"{type(self).__name__}.assign"
        bounds = self._joined(name, looks)
        refuse_sparse(name, centers, "centers")
        given = Rows(name, centers, "centers", like=self._shard.rows)
        d = self._shard.rows.shape[1]
        if given.shape[1] != d:
            raise ValueError(
                f"{name}: centers must have as many columns as X, {d}; got {given.shape[1]}. Pass centers of "
                "the same features."
            )
        given.core.norm2(call(name))  # refuses numbers that are not finite by the name of this method
        step = self._shard.assign(given, bounds)
        return ShardStep(step, self._shard.labels(), given, self._metric, bounds, self._threads)

    def _joined(self, name: str, looks: Iterable[Bounds]) -> Bounds:
        bounds, columns = Bounds(), self._shard.rows.shape[1]
        if not isinstance(looks, Iterable):
            raise ValueError(
                f"{name}: looks must be a list, of a look of each process; got {shown(looks)}. "
                "Pass [look] where there is one."
            )
        for look in looks:
            if not isinstance(look, Bounds) or look.columns != columns:
                got = f"one of {look.columns} columns" if isinstance(look, Bounds) else shown(look)
                raise ValueError(
                    f"{name}: looks must be those of shards of {columns} columns; got {got}. Gather what "
                    "look() returns in each process."
                )
            bounds = bounds.merge(look)
        if not bounds.rows:
            raise ValueError(f"{name}: looks must be those of all processes; got none. Pass them in a list.")
        if self._shard.rows.dtype != bounds.dtype:  # another process has float64
            self._shard = self._made(self._shard.rows.as_type(name, bounds.dtype))
        return bounds


class ShardStep:
    """What an assignment gives for the rows of one process.

    Parameters
    ----------
    step, labels, centers, metric, bounds, n_threads
        Of :class:`KMeansShard`, which makes it.

    Attributes
    ----------
    labels : int32 array of shape (n,)
        The nearest of the centers that were given, for the rows of this process.
    inertia : float
        The objective of these rows with those centers.
    sums : tuple of int64 arrays
        Of shapes (m, levels, d) and (m, 3): sums of rows and weights by cluster. Add those of all processes
        to them, in place, before :meth:`centers`.
    """

    def __init__(
        self,
        step: Step,
        labels: NDArray[np.int32],
        centers: Rows,
        metric: str,
        bounds: Bounds,
        n_threads: int | None,
    ) -> None:
        self.labels = labels
        self.inertia = step.objective()
        self.sums: tuple[NDArray[np.int64], NDArray[np.int64]] = (step.sums.total, step.sums.weight)
        self._step, self._before = step, centers
        self._metric, self._bounds, self._threads = metric, bounds, n_threads

    def centers(self) -> NDArray[Any]:
        """The centers that follow from the sums, the same bits in all processes.

        Returns
        -------
        centers : array of shape (m, d)
        """
        sums, how = self._step.sums, ("KMeansShard", self._before, self._metric, self._bounds, self._threads)
        made: NDArray[Any] = sums.centers(*how)[0].array
        return made

"""scikit-learn's faces of exact neighbor search: the same methods, dense and sparse rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from latom._base.arrays import Matrix, as_numpy
from latom._base.backend import call
from latom._base.checks import check_choice, check_flag, check_integer, check_range, shown
from latom._base.estimator import Estimator, validated_rows
from latom._base.rows import Rows
from latom.neighbors.collection import Collection, as_without
from latom.neighbors.graphs import MODES, as_graph
from latom.neighbors.index import check_neighbors

_METRICS = ("euclidean", "cosine")


class _Searcher(BaseEstimator):
    """Rows that were fitted, and neighbors among them."""

    n_neighbors: int
    metric: str
    n_threads: int | None

    n_samples_fit_: int
    effective_metric_: str

    def fit(self, X: Matrix, y: Any = None) -> Any:
        """Keep the rows that are searched. They are packed at the first search.

        Parameters
        ----------
        X : array or sparse matrix of shape (n, d)
            Rows.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If metric is no name of one, or X holds NaN or infinity.
        """
        name = f"{type(self).__name__}.fit"
        check_choice(name, "metric", self.metric, _METRICS)
        rows = validated_rows(self, name, X, reset=True)
        rows.core.norm2(call(name, self.n_threads))  # refuses what cannot be searched
        self._fit_rows = rows.numbers
        self._collection = Collection(rows, self.metric)
        self.n_samples_fit_ = len(rows)
        self.effective_metric_ = self.metric
        return self

    def kneighbors(
        self, X: Matrix = None, n_neighbors: int | None = None, return_distance: bool = True
    ) -> Any:
        """The nearest fitted rows of each row.

        Parameters
        ----------
        X : array or sparse matrix of shape (q, d), optional
            Rows; None takes the fitted rows, of which none is its own neighbor.
        n_neighbors : int, optional
            None takes the parameter.
        return_distance : bool, default True
            Whether distances come first.

        Returns
        -------
        distances : array of shape (q, n_neighbors)
            Nearest first, ties to the lowest row.
        indices : int64 array of shape (q, n_neighbors)

        Raises
        ------
        ValueError
            If n_neighbors is more than the rows that may answer, X has other columns than the fitted rows, or
            holds NaN or infinity.
        """
        name = f"{type(self).__name__}.kneighbors"
        queries, without = self._queries(name, X)
        others = 0 if without is None else 1
        wanted = self.n_neighbors if n_neighbors is None else n_neighbors
        k = check_neighbors(name, wanted, self.n_samples_fit_, others)
        distances, indices = self._searched().nearest(call(name, self.n_threads), queries, k, without)
        found = indices.astype(np.int64)
        if not check_flag(name, "return_distance", return_distance):
            return found
        return distances, found

    def kneighbors_graph(
        self, X: Matrix = None, n_neighbors: int | None = None, mode: str = "connectivity"
    ) -> Any:
        """The nearest fitted rows of each row as a graph.

        Parameters
        ----------
        X, n_neighbors
            As in :meth:`kneighbors`.
        mode : {"connectivity", "distance"}
            What edges hold: 1, or distances.

        Returns
        -------
        graph : scipy.sparse.csr_array of shape (q, n)

        Raises
        ------
        ValueError
            As :meth:`kneighbors`, and if mode is no name of one.
        """
        check_choice(f"{type(self).__name__}.kneighbors_graph", "mode", mode, MODES)
        distances, indices = self.kneighbors(X, n_neighbors)
        return as_graph(distances, indices, self.n_samples_fit_, mode)

    def _queries(self, name: str, X: Matrix) -> tuple[Rows, NDArray[np.int64] | None]:
        check_is_fitted(self)
        if X is not None:
            return validated_rows(self, name, X, reset=False), None
        rows = self._searched().rows
        return rows, as_without(name, True, len(rows), len(rows))

    def _searched(self) -> Collection:
        """The fitted rows with what is packed of them, which is not pickled."""
        if getattr(self, "_collection", None) is None:
            self._collection = Collection(Rows(type(self).__name__, self._fit_rows), self.effective_metric_)
        return self._collection

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_collection", None)
        return state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class NearestNeighbors(_Searcher):
    """The nearest of fitted rows, exactly, with the methods of scikit-learn's class of this name.

    Parameters
    ----------
    n_neighbors : int, default 5
        Neighbors of a row.
    radius : float, default 1.0
        Of ``radius_neighbors``; a row at this very distance is a neighbor.
    metric : {"euclidean", "cosine"}, default "euclidean"
        Euclidean distance, scikit-learn's default, or 1 - cosine, the default of latom's indexes and graphs.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`. No result depends on it.

    Attributes
    ----------
    n_samples_fit_ : int
        Rows that are searched.
    effective_metric_ : str
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    A search costs what :func:`latom.topk` does; by Euclidean distance of at most four columns, where there
    are many rows, what a k-d tree does.

    Examples
    --------
    >>> import numpy as np
    >>> from latom.neighbors import NearestNeighbors
    >>> model = NearestNeighbors(n_neighbors=1).fit(np.array([[0.0], [1.0], [3.0]]))
    >>> model.kneighbors(np.array([[2.1]]), return_distance=False).tolist()
    [[2]]
    """

    def __init__(
        self,
        *,
        n_neighbors: int = 5,
        radius: float = 1.0,
        metric: str = "euclidean",
        n_threads: int | None = None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.radius = radius
        self.metric = metric
        self.n_threads = n_threads

    def radius_neighbors(
        self,
        X: Matrix = None,
        radius: Any = None,
        return_distance: bool = True,
        sort_results: bool = False,
    ) -> Any:
        """All fitted rows within a radius of each row.

        Parameters
        ----------
        X : array or sparse matrix of shape (q, d), optional
            Rows; None takes the fitted rows, of which none is its own neighbor.
        radius : float or array of shape (q,), optional
            One number, or one per row; infinity takes all rows. None takes the parameter.
        return_distance : bool, default True
            Whether distances come first.
        sort_results : bool, default False
            Nearest first; else by rising row.

        Returns
        -------
        distances : object array of shape (q,)
            One array per row.
        indices : object array of shape (q,)

        Raises
        ------
        ValueError
            If a radius is below 0, X has other columns than the fitted rows, or holds NaN or infinity.
        """
        name = f"{type(self).__name__}.radius_neighbors"
        matches = self._within(name, X, radius)
        distances, indices = _pieces(matches, check_flag(name, "sort_results", sort_results))
        return (distances, indices) if check_flag(name, "return_distance", return_distance) else indices

    def radius_neighbors_graph(
        self,
        X: Matrix = None,
        radius: Any = None,
        mode: str = "connectivity",
        sort_results: bool = False,
    ) -> Any:
        """All fitted rows within a radius of each row as a graph.

        Parameters
        ----------
        X, radius, sort_results
            As in :meth:`radius_neighbors`.
        mode : {"connectivity", "distance"}
            What edges hold: 1, or distances.

        Returns
        -------
        graph : scipy.sparse.csr_array of shape (q, n)

        Raises
        ------
        ValueError
            As :meth:`radius_neighbors`, and if mode is no name of one.
        """
        name = f"{type(self).__name__}.radius_neighbors_graph"
        check_choice(name, "mode", mode, MODES)
        graph = self._within(name, X, radius)
        if check_flag(name, "sort_results", sort_results) and graph.nnz:
            distances, indices = _pieces(graph, True)
            graph.data, graph.indices = np.concatenate(distances), np.concatenate(indices)
        if mode == "connectivity":
            graph.data = np.ones_like(graph.data)
        return graph

    def _within(self, name: str, X: Matrix, radius: Any) -> Any:
        queries, without = self._queries(name, X)
        reach = _as_radius(name, self.radius if radius is None else radius, len(queries))
        least = -(reach**2) if self.metric == "euclidean" else 1 - reach
        bar = np.nextafter(least, -np.inf)  # a score above it is at least `least`
        return self._searched().within(call(name, self.n_threads), queries, bar, without)


class KNeighborsTransformer(Estimator, _Searcher):
    """The graph of nearest fitted rows as a transformer, for estimators that take ``metric="precomputed"``.

    Parameters
    ----------
    mode : {"distance", "connectivity"}
        What edges hold. With "distance" there is one neighbor more, since a fitted row is its own first.
    n_neighbors : int, default 5
        Neighbors of a row.
    metric : {"euclidean", "cosine"}, default "euclidean"
        Euclidean distance, scikit-learn's default, or 1 - cosine, the default of latom's indexes and graphs.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`. No result depends on it.

    Attributes
    ----------
    n_samples_fit_ : int
        Rows that are searched.
    effective_metric_ : str
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    A classifier by nearest neighbors, exact and on sparse rows:

    >>> import numpy as np
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from latom.neighbors import KNeighborsTransformer
    >>> model = make_pipeline(
    ...     KNeighborsTransformer(n_neighbors=1), KNeighborsClassifier(1, metric="precomputed")
    ... )
    >>> model.fit(np.array([[0.0], [1.0], [3.0]]), [0, 0, 1]).predict(np.array([[2.6]])).tolist()
    [1]
    """

    _takes_sparse = True

    def __init__(
        self,
        *,
        mode: str = "distance",
        n_neighbors: int = 5,
        metric: str = "euclidean",
        n_threads: int | None = None,
    ) -> None:
        self.mode = mode
        self.n_neighbors = n_neighbors
        self.metric = metric
        self.n_threads = n_threads

    def transform(self, X: Matrix) -> Any:
        """The graph from each row to its nearest fitted rows.

        Parameters
        ----------
        X : array or sparse matrix of shape (q, d)

        Returns
        -------
        graph : scipy.sparse.csr_array of shape (q, n)

        Raises
        ------
        ValueError
            As :meth:`kneighbors`, and if mode is no name of one.
        """
        check_is_fitted(self)
        name = f"{type(self).__name__}.transform"
        check_choice(name, "mode", self.mode, MODES)
        k = check_integer(name, "n_neighbors", self.n_neighbors)
        return self.kneighbors_graph(X, k + (self.mode == "distance"), self.mode)

    @property
    def _n_features_out(self) -> int:
        return self.n_samples_fit_


def _pieces(matches: Any, nearest_first: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """The entries of each row of a CSR matrix, by themselves."""
    n = matches.shape[0]
    distances, indices = np.empty(n, object), np.empty(n, object)
    for i in range(n):
        part = slice(matches.indptr[i], matches.indptr[i + 1])
        near, who = matches.data[part], matches.indices[part].astype(np.int64)
        order = np.argsort(near, kind="stable") if nearest_first else slice(None)
        distances[i], indices[i] = near[order], who[order]
    return distances, indices


def _as_radius(name: str, radius: Any, rows: int) -> NDArray[np.float64]:
    """Distances, infinity among them: one for all rows, or one per row."""
    if np.ndim(radius) == 0 and radius != np.inf:
        return np.array(check_range(name, "radius", radius))
    reach = as_numpy(name, radius, "radius").astype(np.float64)
    if reach.shape not in ((), (rows,)) or not (reach >= 0).all():
        raise ValueError(
            f"{name}: radius must be a number of at least 0, or {rows} of them, one per row; got "
            f"{shown(radius)}. Pass one number for all rows."
        )
    return reach

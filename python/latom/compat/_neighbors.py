"""scikit-learn's searches by brute force, answered by latom's; trees, other metrics stay scikit-learn's."""

from __future__ import annotations

from typing import Any

from sklearn import neighbors as host
from sklearn.utils.validation import check_is_fitted

from latom import neighbors
from latom._base.arrays import Matrix

_METRICS = ("euclidean", "cosine")


class _Kept:
    """In front of a class of scikit-learn's that keeps rows: searches of them by latom."""

    n_jobs: int | None

    def _latom(self) -> Any:
        """latom's search of the fitted rows; None where scikit-learn has a tree or another metric."""
        check_is_fitted(self)
        fitted: Any = self
        metric = fitted.effective_metric_
        if fitted._fit_method != "brute" or not isinstance(metric, str) or metric not in _METRICS:
            return None
        rows, search = self.__dict__.get("_search", (None, None))
        if rows is not fitted._fit_X:
            search = neighbors.NearestNeighbors(metric=metric).fit(fitted._fit_X)
            if hasattr(fitted, "feature_names_in_"):
                search.feature_names_in_ = fitted.feature_names_in_
            self._search = (fitted._fit_X, search)
        search.n_threads = None if self.n_jobs is None or self.n_jobs < 0 else self.n_jobs
        return search

    def __getstate__(self) -> dict[str, Any]:
        state: Any = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_search"}


class _Nearest(_Kept):
    n_neighbors: int

    def kneighbors(
        self, X: Matrix = None, n_neighbors: int | None = None, return_distance: bool = True
    ) -> Any:
        """The nearest fitted rows of each row, as in scikit-learn; ties to the lowest row."""
        search = self._latom()
        if search is None:
            return super().kneighbors(X, n_neighbors, return_distance)  # type: ignore[misc]
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        return search.kneighbors(X, k, return_distance)


class _Within(_Kept):
    radius: float

    def radius_neighbors(
        self,
        X: Matrix = None,
        radius: Any = None,
        return_distance: bool = True,
        sort_results: bool = False,
    ) -> Any:
        """All fitted rows within a radius of each row, as in scikit-learn."""
        search = self._latom()
        if search is None:
            return super().radius_neighbors(X, radius, return_distance, sort_results)  # type: ignore[misc]
        if sort_results and not return_distance:
            raise ValueError("return_distance must be True if sort_results is True.")
        reach = self.radius if radius is None else radius
        return search.radius_neighbors(X, reach, return_distance, sort_results)


class NearestNeighbors(_Nearest, _Within, host.NearestNeighbors):
    """``sklearn.neighbors.NearestNeighbors``, searched by latom where it would be by brute force.

    With ``algorithm="brute"``, or where "auto" chooses that (sparse rows, more than 15 columns), Euclidean
    and cosine neighbors are found by :class:`latom.neighbors.NearestNeighbors`: exactly, ties to the lowest
    row.

    Parameters
    ----------
    n_neighbors, radius, algorithm, leaf_size, metric, p, metric_params
        As in scikit-learn.
    n_jobs : int, optional
        Threads of latom's searches; None and -1 take all.

    Attributes
    ----------
    effective_metric_, effective_metric_params_, n_samples_fit_, n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> import numpy as np
    >>> from latom.compat.sklearn import NearestNeighbors
    >>> model = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(np.array([[0.0], [1.0], [3.0]]))
    >>> model.kneighbors(np.array([[2.1]]), return_distance=False).tolist()
    [[2]]
    """


class KNeighborsTransformer(_Nearest, host.KNeighborsTransformer):
    """``sklearn.neighbors.KNeighborsTransformer``, searched as :class:`NearestNeighbors` is.

    Parameters
    ----------
    mode, n_neighbors, algorithm, leaf_size, metric, p, metric_params
        As in scikit-learn.
    n_jobs : int, optional
        As in :class:`NearestNeighbors`.

    Attributes
    ----------
    effective_metric_, effective_metric_params_, n_samples_fit_, n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> import numpy as np
    >>> from latom.compat.sklearn import KNeighborsTransformer
    >>> model = KNeighborsTransformer(n_neighbors=1, algorithm="brute")
    >>> model.fit_transform(np.array([[0.0], [1.0], [3.0]])).toarray().tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
    """


class RadiusNeighborsTransformer(_Within, host.RadiusNeighborsTransformer):
    """``sklearn.neighbors.RadiusNeighborsTransformer``, searched as :class:`NearestNeighbors` is.

    Parameters
    ----------
    mode, radius, algorithm, leaf_size, metric, p, metric_params
        As in scikit-learn.
    n_jobs : int, optional
        As in :class:`NearestNeighbors`.

    Attributes
    ----------
    effective_metric_, effective_metric_params_, n_samples_fit_, n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> import numpy as np
    >>> from latom.compat.sklearn import RadiusNeighborsTransformer
    >>> model = RadiusNeighborsTransformer(radius=1.5, algorithm="brute")
    >>> model.fit_transform(np.array([[0.0], [1.0], [3.0]])).toarray().tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """

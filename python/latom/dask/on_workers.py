"""What k-means estimators on dask arrays do with rows beside fitting: labels, distances, scores, batches."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from latom._base.arrays import as_weights
from latom._base.rows import Rows, longest_row, weights_of
from latom.cluster.packed_centers import PackedCenters
from latom.cluster.shards import Piece, pieces, row_costs, total_cost
from latom.dask.functions import assign, distances, row_chunks, row_count, with_rows


class OnWorkers:
    """What k-means estimators on dask arrays add to those of one machine."""

    client: Any

    def _client(self, name: str) -> Any:
        from distributed import get_client

        if self.client is not None:
            return self.client
        try:
            return get_client()
        except ValueError:
            raise ValueError(
                f"{name}: client must be given where no distributed.Client is active; got None. Make one: "
                "distributed.Client()."
            ) from None

    def predict(self, X: Any) -> Any:
        """Nearest center of each row.

        Parameters
        ----------
        X : dask array of shape (n, d), or what the estimator of one machine takes
            A dask array gives a lazy one; its chunks are computed where they are.

        Returns
        -------
        labels : int32 array of shape (n,)
        """
        if not hasattr(X, "dask"):
            return super().predict(X)  # type: ignore[misc]
        name = self._check_rows("predict", X)
        return assign(row_chunks(name, X), **self._told())[0]

    def transform(self, X: Any) -> Any:
        """Distance of each row to each center: 1 - cosine for spherical k-means, else Euclidean.

        Parameters
        ----------
        X : dask array of shape (n, d), or what the estimator of one machine takes
            A dask array gives a lazy one; its chunks are computed where they are.

        Returns
        -------
        distances : array of shape (n, n_clusters)
        """
        if not hasattr(X, "dask"):
            return super().transform(X)  # type: ignore[misc]
        return distances(self._check_rows("transform", X), X, **self._told(), client=None)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Minus the objective of X with the fitted centers: higher is better.

        Parameters
        ----------
        X : dask array of shape (n, d), or what the estimator of one machine takes
            Of the chunks of a dask array sums come to the client, no rows.
        y : ignored
        sample_weight : array of shape (n,), optional
            On the client.

        Returns
        -------
        score : float
            The bits of one machine, for any chunks.
        """
        if not hasattr(X, "dask"):
            return float(super().score(X, y, sample_weight))  # type: ignore[misc]
        import dask

        name = self._check_rows("score", X)
        parts = list(row_chunks(name, X).to_delayed().ravel())
        parts, sizes = with_rows(parts, self._compute([dask.delayed(row_count)(part) for part in parts]))
        first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        weights = as_weights(name, sample_weight, int(first[-1]))
        told = self._told()
        held = dask.delayed(told.pop("centers"))
        cost = dask.delayed(_cost, pure=False)
        costs = self._compute(
            [
                cost(name, part, held, int(a), None if weights is None else weights[a:b], told)
                for part, a, b in zip(parts, first[:-1], first[1:], strict=True)
            ]
        )
        longest = max(found[1] for found in costs)
        weights_of(name, weights, int(first[-1]), told["metric"], lambda: longest)
        return -total_cost([piece for found in costs for piece in found[0]])

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Update the centers with one batch, or with each chunk of a dask array, in order of the rows.

        Parameters
        ----------
        X : dask array of shape (n, d), or what the estimator of one machine takes
            The chunks of a dask array come to the client, one after the other: each is a batch.
        y : ignored
        sample_weight : array of shape (n,), optional
            On the client.

        Returns
        -------
        self
        """
        if not hasattr(X, "dask"):
            return super().partial_fit(X, y, sample_weight)  # type: ignore[misc]
        import dask

        name = f"dask.{type(self).__name__}.partial_fit"
        chunks = list(row_chunks(name, X).to_delayed().ravel())
        weights, first = sample_weight, 0
        if weights is not None:
            sizes = self._compute([dask.delayed(row_count)(chunk) for chunk in chunks])
            weights = as_weights(name, weights, sum(sizes))
        for chunk in chunks:
            rows = self._compute([chunk])[0]
            part = None if weights is None else weights[first : first + rows.shape[0]]
            first += rows.shape[0]
            if rows.shape[0]:
                super().partial_fit(rows, None, part)  # type: ignore[misc]
        if not first:
            super().partial_fit(rows)  # type: ignore[misc]  # refuses a batch without rows
        return self

    def _compute(self, parts: list[Any]) -> list[Any]:
        """Values of tasks, by the client given, else by the one that is active, or by this process."""
        import dask

        if self.client is not None:
            return list(self.client.gather(self.client.compute(parts)))
        return list(dask.compute(*parts))

    def _told(self) -> dict[str, Any]:
        """What functions of rows are told of the fit."""
        model: Any = self
        return {
            "centers": model.cluster_centers_, "metric": model._metric, "n_threads": model.n_threads,
        }  # fmt: skip

    def _check_rows(self, method: str, X: Any) -> str:
        """The method's name in messages; refuses what is not fitted, and rows of other columns."""
        check_is_fitted(self)
        name, d = f"dask.{type(self).__name__}.{method}", self.n_features_in_  # type: ignore[attr-defined]
        if getattr(X, "ndim", 0) == 2 and X.shape[1] != d:
            raise ValueError(
                f"{name}: X must have the {d} features of the fit; got {X.shape[1]}. Pass rows of the same "
                "features."
            )
        return name


def _cost(
    name: str, chunk: Any, centers: Any, first: int, weights: Any, told: dict[str, Any]
) -> tuple[list[Piece], float]:
    """Weighted costs of rows, added up where a part of the grid of all rows is whole; the longest row."""
    rows, metric = Rows(name, chunk), told["metric"]
    scores = PackedCenters(centers, metric).assign(name, rows, told["n_threads"])[1]
    return pieces(first, row_costs(scores, weights, metric)), longest_row(name, rows)

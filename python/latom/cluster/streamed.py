"""k-means on a stream of blocks: each iteration reads all rows once, to the bits of a fit in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import Matrix, as_weights
from latom._base.rows import Rows
from latom._base.stream import Stream
from latom.cluster.parts import fit_parts
from latom.cluster.shards import Bounds, Piece, Shard, Step, Sums, total_cost


def fit_stream(model: Any, name: str, stream: Stream, sample_weight: Any = None) -> Any:
    """Fits a SphericalKMeans or KMeans to a stream."""
    return fit_parts(model, name, StreamParts(name, stream, model, sample_weight), stream.checkpoint)


class StreamParts:
    """The blocks of a stream, read anew at each call; nothing is kept of them but labels.

    Parameters
    ----------
    name : str
    stream : Stream
    model : estimator
    sample_weight : array of shape (n,), optional
    """

    def __init__(self, name: str, stream: Stream, model: Any, sample_weight: Any) -> None:
        self._name, self._stream, self._metric = name, stream, model._metric
        self._threads, self._given = model.n_threads, sample_weight
        self.weights: NDArray[np.float64] | None = None
        self.labels: Any = None
        self._dtype: Any = None

    def bounds(self, moments: bool) -> Bounds:
        """A look at all rows."""
        found = Bounds()
        n = 0
        if self._given is not None:
            self.weights = as_weights(self._name, self._given, len(self._given))
        for shard in self._shards():
            if found.rows and shard.rows.shape[1] != found.columns:
                raise ValueError(
                    f"{self._name}: blocks must have the {found.columns} columns of the first; got "
                    f"{shard.rows.shape[1]}. Pass rows of the same features."
                )
            found = found.merge(shard.bounds(moments))
            n += len(shard.rows)
        count = n if self._given is None else len(self._given)
        if not n or count != n:
            raise ValueError(
                f"{self._name}: X must have rows, and sample_weight one number for each of the {n}; got "
                f"{count}. Pass the same stream and its weights."
            )
        self._dtype = found.dtype
        return found

    def take(self, numbers: NDArray[np.int64]) -> Matrix:
        """Rows by their numbers, in that order."""
        order = np.argsort(numbers, kind="stable")
        ordered = numbers[order]
        found = []
        for shard in self._shards():
            low, high = np.searchsorted(ordered, [shard.first, shard.first + len(shard.rows)])
            if low < high:
                found.append(shard.take(ordered[low:high]))
            if high == len(ordered):
                break
        whole = (
            sp.csr_array(sp.vstack(found, format="csr")) if sp.issparse(found[0]) else np.concatenate(found)
        )
        return whole[np.argsort(order, kind="stable")]

    def assign(self, centers: Rows, bounds: Bounds, moved: Any = None) -> Step:
        """New labels of all rows."""
        if self.labels is None or len(self.labels) != bounds.rows:
            self.labels = np.full(bounds.rows, -1, np.int32)
        total: Step | None = None
        for shard in self._shards():
            part = slice(shard.first, shard.first + len(shard.rows))
            step = shard.assign(centers, bounds, self.labels[part])
            self.labels[part] = shard.labels()
            total = step if total is None else total.merge(step)
        assert total is not None
        return total

    def worst(self, centers: Rows, bounds: Bounds, count: int) -> list[tuple[NDArray[Any], ...]]:
        """Of each block the rows that fit worst."""
        found = []
        for shard in self._shards():
            shard.assign(centers, bounds)
            found.append(shard.worst(count))
        return found

    def correction(self, numbers: NDArray[np.int64], new: NDArray[np.int32], m: int, bounds: Bounds) -> Sums:
        """What sums change by where rows get new labels, which they have from now on."""
        rows = Shard(self._name, self.take(numbers), 0, None, self._metric, self._threads, self._dtype)
        rows.weights = None if self.weights is None else np.ascontiguousarray(self.weights[numbers])
        rows._labels = self.labels[numbers]
        self.labels[numbers] = new
        return rows.correction(np.arange(len(numbers)), new, m, bounds)

    def draw(self, centers: Rows, share: float, seed: int) -> tuple[NDArray[np.int64], float]:
        """Rows drawn one by one with probability share * cost, and the cost of all."""
        drawn: list[NDArray[np.int64]] = []
        costs: list[Piece] = []
        for shard in self._shards():
            numbers, part = shard.draw(centers, share, seed)
            drawn.append(numbers)
            costs += part
        return np.concatenate(drawn), total_cost(costs)

    def _shards(self) -> Iterator[Shard]:
        first = 0
        for block in self._stream:
            end = first + block.shape[0]
            weights = None
            if self.weights is not None:
                weights = np.ascontiguousarray(self.weights[first:end])
                if len(weights) < end - first:
                    weights = np.resize(weights, end - first) if len(weights) else np.ones(end - first)
            if end > first:
                yield Shard(self._name, block, first, weights, self._metric, self._threads, self._dtype)
            first = end

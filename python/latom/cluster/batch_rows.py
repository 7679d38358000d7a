"""The rows that mini-batches are drawn from: in memory, or a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import Matrix
from latom._base.backend import call
from latom._base.rows import Rows
from latom._base.stream import Stream
from latom.cluster.assign import assign_rows
from latom.cluster.packed_centers import PackedCenters
from latom.cluster.streamed import StreamParts

Drawn = Callable[[], NDArray[np.int64]]
"""Draws the rows of the next batch."""


class BatchRows(Protocol):
    """What a fit asks of its rows."""

    weights: NDArray[np.float64] | None
    like: Rows  # some rows, of the container and type of all
    zero_rows: int

    def __len__(self) -> int: ...

    def take(self, numbers: NDArray[Any] | None) -> tuple[Rows, NDArray[np.float64] | None]:
        """Rows by their numbers, None for all, and their weights."""

    def batches(self, draw: Drawn, most: int) -> Iterator[Any]:
        """The core's rows of one batch after the other, at most so many."""

    def limit(self, model: Any) -> float:
        """The squared shift at which a fit ends."""

    def assign(self, centers: Matrix, metric: str) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Labels and scores of all rows."""


class HeldRows:
    """Rows in memory."""

    def __init__(self, name: str, rows: Rows, weights: NDArray[np.float64] | None, model: Any) -> None:
        self._name, self.like, self.weights, self._threads = name, rows, weights, model.n_threads
        self.zero_rows = rows.core.zero_rows(call(name)) if model._metric == "cosine" else 0

    def __len__(self) -> int:
        return len(self.like)

    def take(self, numbers: NDArray[Any] | None) -> tuple[Rows, NDArray[np.float64] | None]:
        """Rows by their numbers, None for all, and their weights."""
        if numbers is None:
            return self.like, self.weights
        return Rows(self._name, self.like[numbers]), None if self.weights is None else self.weights[numbers]

    def batches(self, draw: Drawn, most: int) -> Iterator[Any]:
        """The core's rows of one batch after the other, at most so many."""
        context = call(self._name, self._threads)
        for _ in range(most):
            yield self.like.core.subset(context, draw())

    def limit(self, model: Any) -> float:
        """The squared shift at which a fit ends."""
        found: float = model._shift_limit(self._name, self.like)
        return found

    def assign(self, centers: Matrix, metric: str) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Labels and scores of all rows."""
        return assign_rows(self._name, self.like, centers, metric, self._threads)


class StreamedRows:
    """A stream: the same batches as in memory.

    Where rows cannot be read by themselves, a pass over all blocks collects as many batches as the largest
    block has rows for.

    Parameters
    ----------
    name : str
    stream : Stream
    model : estimator
    sample_weight : array of shape (n,), optional
    """

    def __init__(self, name: str, stream: Stream, model: Any, sample_weight: Any) -> None:
        if stream.checkpoint is not None:
            raise ValueError(
                f"{name}: checkpoint must be None for mini-batches; got {str(stream.checkpoint)!r}. Leave it "
                "out, and keep the estimator in a callback."
            )
        self._name, self._threads = name, model.n_threads
        self._parts = StreamParts(name, stream, model, sample_weight)
        self.bounds = self._parts.bounds(model._metric == "euclidean" and model.tol > 0)
        self.weights = self._parts.weights
        self.like = self.take(np.arange(1))[0]
        self.zero_rows = self.bounds.zero_rows

    def __len__(self) -> int:
        return self.bounds.rows

    def take(self, numbers: NDArray[Any] | None) -> tuple[Rows, NDArray[np.float64] | None]:
        """Rows by their numbers, None for all, and their weights."""
        if numbers is None:
            numbers = np.arange(len(self))
        rows = Rows(self._name, self._parts.take(numbers), dtype=self.bounds.dtype)
        return rows, None if self.weights is None else self.weights[numbers]

    def batches(self, draw: Drawn, most: int) -> Iterator[Any]:
        """The core's rows of one batch after the other, at most so many."""
        context = call(self._name, self._threads)
        while most > 0:
            numbers = [draw()]
            while len(numbers) < most and (len(numbers) + 1) * len(numbers[0]) <= self._parts.largest:
                numbers.append(draw())
            rows, begin = self.take(np.concatenate(numbers))[0], 0
            for some in numbers:
                yield rows.core.subset(context, np.arange(begin, begin + len(some)))
                begin += len(some)
            most -= len(numbers)

    def limit(self, model: Any) -> float:
        """The squared shift at which a fit ends."""
        found: float = model._limit(self.bounds.variance)
        return found

    def assign(self, centers: Matrix, metric: str) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Labels and scores of all rows."""
        packed = PackedCenters(centers, metric)
        labels, scores = np.empty(len(self), np.int32), np.empty(len(self))
        for rows, first, _ in self._parts.blocks():
            part = slice(first, first + len(rows))
            labels[part], scores[part] = packed.assign(self._name, rows, self._threads)
        return labels, scores

"""k-means on a stream of blocks: each iteration reads all rows once, to the bits of a fit in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import Matrix, as_numpy, as_weights
from latom._base.backend import backend, call
from latom._base.checks import shown
from latom._base.rows import Rows
from latom._base.stream import Stream
from latom.cluster.parts import fit_parts
from latom.cluster.shards import (
    Bounds,
    Piece,
    Shard,
    Step,
    Sums,
    block_rows,
    pieces,
    row_costs,
    sums_of,
    total_cost,
    worst_rows,
)


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
        self._name, self._metric, self.source = name, model._metric, stream
        self._threads, self._given = model.n_threads, sample_weight
        self.largest = 0  # rows of the largest block
        self.weights: NDArray[np.float64] | None = None
        self.labels: Any = None
        self._dtype: Any = None
        self._seen: tuple[int, int, bool] | None = None  # rows, columns and container, by the first pass
        self._run: Any = None  # the core's, and what it has made of the last pass
        self._sums: Any = None
        self._scores = self._norm2 = np.empty(0)

    def bounds(self, moments: bool) -> Bounds:
        """A look at all rows."""
        found = Bounds()
        n, norm2, self._seen = 0, [], None
        if self._given is not None:
            given = as_numpy(self._name, self._given, "sample_weight")
            if given.ndim != 1:
                raise ValueError(
                    f"{self._name}: sample_weight must be a vector, one number per row of the stream; got "
                    f"{shown(self._given)}. Leave it out for equal weights."
                )
            self.weights = as_weights(self._name, given, len(given))
        sparse = False
        for shard in self._shards():
            if found.rows and shard.rows.shape[1] != found.columns:
                raise ValueError(
                    f"{self._name}: blocks must have the {found.columns} columns of the first; got "
                    f"{shard.rows.shape[1]}. Pass rows of the same features."
                )
            if found.rows and shard.rows.sparse != sparse:
                raise ValueError(
                    f"{self._name}: blocks must be all dense or all sparse; got both. Convert one kind."
                )
            sparse = shard.rows.sparse
            found = found.merge(shard.bounds(moments))
            self.largest = max(self.largest, len(shard.rows))
            norm2.append(shard.rows.core.norm2(call(self._name)))
            n += len(shard.rows)
        count = n if self._given is None else len(given)
        if not n or count != n:
            raise ValueError(
                f"{self._name}: X must have rows, and sample_weight one number for each of the {n}; got "
                f"{count}. Pass the same stream and its weights."
            )
        self._dtype, self._norm2 = found.dtype, np.concatenate(norm2)
        self._seen = n, found.columns, sparse
        return found

    def take(self, numbers: NDArray[np.int64]) -> Matrix:
        """Rows by their numbers, in that order: by themselves where the source has them, else in a pass."""
        there = self.source.rows_at(numbers)
        if there is not None:
            return block_rows(self._name, there, self._dtype)[:]
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

    def assign(self, centers: Rows, bounds: Bounds) -> Step:
        """New labels of all rows."""
        m, n, metric = len(centers), bounds.rows, self._metric
        if self.labels is None or self._run is None or len(self._sums.weight) != m:
            self._run, self._sums = backend().BlockLloyd(call(self._name), n, metric), None
            self._scores = np.empty(n)
        fresh = self._sums is None
        if self.labels is None or len(self.labels) != n:
            self.labels = np.full(n, -1, np.int32)
        self._run.set_centers(call(self._name, self._threads), centers.core)
        changed, products = 0, 0.0
        for rows, first, weights in self.blocks():
            part = slice(first, first + len(rows))
            context = call(self._name, self._threads)
            before = None if fresh else self.labels[part]
            dense = () if self._sums is None or rows.sparse else (self._sums.total, self._sums.weight)
            labels, self._scores[part], work = self._run.assign(
                context, rows.core, first, weights, before, bounds.longest, bounds.heaviest,
                *(dense or (None, None)),
            )  # fmt: skip
            changed += int((labels != self.labels[part]).sum())
            products += work
            if not dense:
                sums = sums_of(context, rows, weights, (before, labels), m, metric, bounds)
                self._sums = sums if self._sums is None else self._sums.add(sums)
            self.labels[part] = labels
        sizes = np.bincount(self.labels, minlength=m)
        step = Step(0, n, changed, products, sizes, self._sums)
        step.costs = pieces(0, row_costs(self._scores, self.weights, metric))
        return step

    def worst(self, centers: Rows, bounds: Bounds, count: int) -> list[tuple[NDArray[Any], ...]]:
        """The rows that fit worst, as of the last assignment."""
        return [worst_rows(self._scores, self._norm2, self.weights, self.labels, self._metric, count, 0)]

    def correction(self, numbers: NDArray[np.int64], new: NDArray[np.int32], m: int, bounds: Bounds) -> Sums:
        """What sums change by where rows get new labels, which they have from now on."""
        context = call(self._name, self._threads)
        rows = Rows(self._name, self.take(numbers), dtype=self._dtype)
        weights = None if self.weights is None else np.ascontiguousarray(self.weights[numbers])
        old, self.labels[numbers] = self.labels[numbers], new
        return sums_of(context, rows, weights, (old, new), m, self._metric, bounds)

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
        for rows, first, weights in self.blocks():
            yield Shard(self._name, rows, first, weights, self._metric, self._threads)

    def blocks(self) -> Iterator[tuple[Rows, int, NDArray[np.float64] | None]]:
        """The rows of each block, the number of the first among all, and their weights."""
        first = 0
        for block in self.source:
            if 0 in getattr(block, "shape", ())[:1]:
                continue
            rows = block_rows(self._name, block, self._dtype)
            end = first + len(rows)
            self._check_pass(end, rows)
            weights = None
            if self.weights is not None:
                weights = np.ascontiguousarray(self.weights[first:end])
                if len(weights) < end - first:
                    weights = np.resize(weights, end - first) if len(weights) else np.ones(end - first)
            yield rows, first, weights
            first = end
        self._check_pass(first)

    def _check_pass(self, end: int, rows: Rows | None = None) -> None:
        """Refuse a pass that is not like the first: at a block, whose last row is end, or at its end."""
        if self._seen is None:
            return
        n, d, sparse = self._seen
        if rows is None and end == n:
            return
        if rows is not None and end <= n and (rows.shape[1], rows.sparse) == (d, sparse):
            return
        kind = "" if rows is None else f" of {rows.shape[1]} columns, {'sparse' if rows.sparse else 'dense'}"
        raise ValueError(
            f"{self._name}: blocks must be the same in each pass, {n} rows of {d} columns; got {end} rows"
            f"{kind}. Pass an iterable whose every iter() yields the same."
        )

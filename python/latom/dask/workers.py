"""The rows of a dask array with their state, on the workers that hold them."""

from __future__ import annotations

import contextlib
import uuid
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import Matrix, as_weights
from latom._base.backend import call
from latom._base.rows import Rows
from latom.cluster.shards import Bounds, Shard, Step, Sums, sums_of, total_cost
from latom.dask.functions import row_count, with_rows

_held: dict[str, dict[int, Any]] = {}  # on a worker: the shards of each fit
TOGETHER = 8  # steps that one task of a tree merges


def _shard(fit: str, number: int, chunk: Any, about: dict[str, Any]) -> Any:
    """The shard on this worker; made of its rows where this worker has none."""
    shards = _held.setdefault(fit, {})
    if number not in shards:
        shards[number] = Shard(
            about["name"], chunk, about["first"], about["weights"], about["metric"], about["n_threads"],
            about["dtype"],
        )  # fmt: skip
    return shards[number]


def _bounds(fit: str, number: int, chunk: Any, about: dict[str, Any], moments: bool) -> Bounds:
    found: Bounds = _shard(fit, number, chunk, about).bounds(moments)
    return found


def _assign(
    fit: str,
    number: int,
    chunk: Any,
    about: dict[str, Any],
    centers: Matrix,
    bounds: Bounds,
    before: Any,
) -> tuple[Step, NDArray[np.int32]]:
    """A step of one shard, and its labels.

    before: labels that changes are counted from, already corrected, or None where a run begins. A shard that
    knows nothing of its rows (on a new worker) gives the same answer.
    """
    shard = _shard(fit, number, chunk, about)
    if before is None:
        shard.forget()
    else:
        before = np.require(before, np.int32, ["C", "A"])  # what has come over a wire may lie anywhere
    rows = Rows(about["name"], centers, dtype=shard.rows.dtype)
    step = shard.assign(rows, bounds, before)
    return step, shard.labels()


def _draw(
    fit: str, number: int, chunk: Any, about: dict[str, Any], centers: Matrix, share: float, seed: int
) -> Any:
    shard = _shard(fit, number, chunk, about)
    return shard.draw(Rows(about["name"], centers, dtype=shard.rows.dtype), share, seed)


def _worst(
    fit: str, number: int, chunk: Any, about: dict[str, Any], centers: Matrix, bounds: Bounds, count: int
) -> Any:
    shard = Shard(
        about["name"],
        chunk,
        about["first"],
        about["weights"],
        about["metric"],
        about["n_threads"],
        about["dtype"],
    )
    shard.assign(Rows(about["name"], centers, dtype=shard.rows.dtype), bounds)
    return shard.worst(count)


def _step_of(pair: tuple[Step, Any]) -> Step:
    return pair[0]


def _labels_of(pair: tuple[Step, Any]) -> Any:
    return pair[1]


def _merge(steps: list[Step]) -> Step:
    total = Step(0, 0, 0, 0.0, 0 * steps[0].sizes, _copy(steps[0].sums))
    first = True
    for step in steps:
        if first:
            total.changed, total.products, total.rows = step.changed, step.products, step.rows
            total.sizes, total.costs, first = step.sizes.copy(), list(step.costs), False
        else:
            total.merge(step)
    return total


def _copy(sums: Sums) -> Sums:
    """Tasks may run again: what they are given stays as it is."""
    copy = object.__new__(Sums)
    copy.__dict__.update(sums.__dict__)
    if not sums.sparse:  # what is sparse is made anew by each addition
        copy.total = sums.total.copy()
    copy.weight = sums.weight.copy()
    return copy


def _take(chunk: Any, local: NDArray[np.int64]) -> Any:
    return chunk[local]


def _same(value: Any) -> Any:
    return value


def _forget(fit: str) -> None:
    _held.pop(fit, None)


class WorkerParts:
    """The chunks of a dask array, each with its state on the worker that holds it.

    Parameters
    ----------
    name : str
    client : distributed.Client
    X : dask array with all columns in one chunk
    model : estimator
    sample_weight : array of shape (n,), optional
    """

    def __init__(self, name: str, client: Any, X: Any, model: Any, sample_weight: Any) -> None:
        self.source = X
        self._name, self._client, self._model, self._fit = name, client, model, uuid.uuid4().hex
        chunks = client.compute(list(X.to_delayed().ravel()))
        self._chunks, sizes = with_rows(chunks, client.gather(client.map(row_count, chunks, pure=False)))
        self._first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        n = int(self._first[-1])
        self.weights = None if sample_weight is None else as_weights(name, sample_weight, n)
        self.labels: Any = None
        self._dtype: Any = None
        self._sums: Any = None  # of the labels

    def release(self) -> None:
        """Lets the workers forget the rows."""
        self._chunks = []
        with contextlib.suppress(Exception):  # a worker that has gone needs to forget nothing
            self._client.run(_forget, self._fit)

    def bounds(self, moments: bool) -> Bounds:
        """A look at all rows."""
        found = Bounds()
        for part in self._map(_bounds, lambda _: (moments,)):
            found = found.merge(part)
        self._dtype = found.dtype
        self._client.run(_forget, self._fit)  # shards know the dtype of all from now on
        return found

    def take(self, numbers: NDArray[np.int64]) -> Matrix:
        """Rows by their numbers, in that order."""
        order = np.argsort(numbers, kind="stable")
        ordered = numbers[order]
        cut = np.searchsorted(ordered, self._first)
        asked = [
            self._client.submit(_take, chunk, ordered[a:b] - first, pure=False)
            for chunk, first, a, b in zip(self._chunks, self._first[:-1], cut[:-1], cut[1:], strict=True)
            if a < b
        ]
        found = self._client.gather(asked)
        whole = (
            sp.csr_array(sp.vstack(found, format="csr")) if sp.issparse(found[0]) else np.concatenate(found)
        )
        return whole[np.argsort(order, kind="stable")]

    def assign(self, centers: Rows, bounds: Bounds) -> Step:
        """New labels of all rows."""
        matrix, before = centers.array, self.labels
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of their size
            # A task, unlike what is scattered, runs again where a worker is lost.
            held = self._client.submit(_same, matrix, pure=False)
        pairs = self._submit(
            _assign,
            lambda k: (
                held,
                bounds,
                None if before is None else before[self._first[k] : self._first[k + 1]],
            ),
        )
        steps = [self._client.submit(_step_of, pair, pure=False) for pair in pairs]
        labels = [self._client.submit(_labels_of, pair, pure=False) for pair in pairs]
        while len(steps) > 1:
            steps = [
                self._client.submit(_merge, steps[k : k + TOGETHER], pure=False)
                for k in range(0, len(steps), TOGETHER)
            ]
        step: Step = steps[0].result()
        self._sums = _copy(step.sums) if before is None else self._sums.add(step.sums)
        step.sums = self._sums
        self.labels = np.concatenate(self._client.gather(labels))
        return step

    def worst(self, centers: Rows, bounds: Bounds, count: int) -> list[tuple[NDArray[Any], ...]]:
        """Of each chunk the rows that fit worst."""
        return self._map(_worst, lambda _: (centers.array, bounds, count))

    def correction(self, numbers: NDArray[np.int64], new: NDArray[np.int32], m: int, bounds: Bounds) -> Sums:
        """What sums change by where rows get new labels, which they have from now on."""
        rows = Rows(self._name, self.take(numbers), dtype=self._dtype)
        weights = None if self.weights is None else np.ascontiguousarray(self.weights[numbers])
        old, self.labels[numbers] = self.labels[numbers], new
        context = call(self._name, self._model.n_threads)
        return sums_of(context, rows, weights, (old, new), m, self._model._metric, bounds)

    def draw(self, centers: Rows, share: float, seed: int) -> tuple[NDArray[np.int64], float]:
        """Rows drawn one by one with probability share * cost, and the cost of all."""
        found = self._map(_draw, lambda _: (centers.array, share, seed))
        return np.concatenate([part[0] for part in found]), total_cost([p for part in found for p in part[1]])

    # ---- tasks

    def _about(self, k: int) -> dict[str, Any]:
        a, b = self._first[k], self._first[k + 1]
        weights = None if self.weights is None else np.ascontiguousarray(self.weights[a:b])
        return {
            "name": self._name, "first": int(a), "weights": weights, "metric": self._model._metric,
            "n_threads": self._model.n_threads, "dtype": self._dtype,
        }  # fmt: skip

    def _submit(self, function: Any, arguments: Callable[[int], tuple[Any, ...]]) -> list[Any]:
        """A task per chunk. It runs where the chunk is, and so where the shard's state is."""
        return [
            self._client.submit(function, self._fit, k, chunk, self._about(k), *arguments(k), pure=False)
            for k, chunk in enumerate(self._chunks)
        ]

    def _map(self, function: Any, arguments: Callable[[int], tuple[Any, ...]]) -> list[Any]:
        return list(self._client.gather(self._submit(function, arguments)))

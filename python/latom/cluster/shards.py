"""Parts of the rows of a k-means: what each adds to an iteration, and how that is merged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import Matrix
from latom._base.backend import backend, call
from latom._base.csr import narrow_csr
from latom._base.rows import Rows
from latom.cluster.assign import assign_rows
from latom.cluster.centers import from_core

Piece: TypeAlias = "tuple[int, bool, NDArray[np.float64]]"
CHUNK = 4096  # rows whose costs the core adds up together; the grid counts from the first row of all


@dataclass
class Bounds:
    """What a first look at rows tells: their number, and how large what they add to sums can be."""

    rows: int = 0
    columns: int = 0
    longest: float = 0.0
    heaviest: float = 0.0
    zero_rows: int = 0
    dtype: Any = None
    mean: Any = None  # of columns, for parts put together in order
    spread: float = 0.0  # sum of squared distances to the mean
    squares: list[Piece] = field(default_factory=list)  # weighted squared lengths, of dense rows

    def merge(self, other: Bounds) -> Bounds:
        """Both together, this one first."""
        if not self.rows:
            return other
        n = self.rows + other.rows
        mean = spread = None
        if self.mean is not None:
            gap = other.mean - self.mean
            mean = self.mean + gap * (other.rows / n)
            spread = self.spread + other.spread + float(gap @ gap) * self.rows * other.rows / n
        return Bounds(
            n,
            self.columns,
            max(self.longest, other.longest),
            max(self.heaviest, other.heaviest),
            self.zero_rows + other.zero_rows,
            np.result_type(self.dtype, other.dtype),
            mean,
            spread or 0.0,
            self.squares + other.squares,
        )

    def variance(self) -> float:
        """The mean over columns of their variances; 0 where rows are equal, however means are rounded."""
        rounding = np.finfo(np.float64).eps * self.rows
        if self.spread <= rounding**2 * self.rows * float(self.mean @ self.mean):
            return 0.0
        return self.spread / self.rows / self.columns


class Sums:
    """Sums of all clusters, as integers: adding them up in any order gives the same bits.

    Parameters
    ----------
    parts : tuple
        As the core's cluster_parts returns them.

    Attributes
    ----------
    total : int64 array of shape (clusters, levels, d), or None
        Of dense rows.
    parts : tuple of arrays
        Of CSR rows: where clusters begin, columns, and their levels.
    weight : int64 array of shape (clusters, 3)
    """

    def __init__(self, parts: tuple[Any, ...]) -> None:
        self.weight: NDArray[np.int64] = parts[-1]
        self.sparse = len(parts) > 2
        self.total: Any = None if self.sparse else parts[0]  # [clusters, levels, d]
        self.parts: tuple[Any, ...] = parts[:-1] if self.sparse else ()  # indptr, indices, [entries, levels]

    def add(self, other: Sums, sign: int = 1) -> Sums:
        """Adds another's rows (or takes them away)."""
        self.weight = self.weight + sign * other.weight
        if self.sparse:
            self.parts = backend().merge_parts(call("k-means", 1), *self.parts, *other.parts, sign < 0)
        elif sign > 0:
            self.total += other.total
        else:
            self.total -= other.total
        return self

    def objective(
        self, name: str, centers: Rows, metric: str, bounds: Bounds, n_threads: int | None
    ) -> float | None:
        """The objective with these centers, to the bits of the core; None where the costs of rows tell."""
        if self.sparse:
            return None
        found: float | None = backend().sums_objective(
            call(name, n_threads), centers.core, self.total, self.weight, metric,
            bounds.longest, bounds.heaviest, total_cost(bounds.squares),
        )  # fmt: skip
        return found

    def centers(
        self, name: str, before: Rows, metric: str, bounds: Bounds, n_threads: int | None
    ) -> tuple[Rows, int, float]:
        """The centers that an update makes, how many moved, and their squared shift."""
        indptr, indices, total = self.parts if self.sparse else (None, None, self.total)
        found, moved, shift = backend().next_centers(
            call(name, n_threads), before.core, indptr, indices, total, self.weight, metric,
            bounds.longest, bounds.heaviest,
        )  # fmt: skip
        return Rows(name, from_core(found, before), "centers", like=before), moved, shift


@dataclass
class Step:
    """What an assignment of some rows gives: mergeable, in order of the rows."""

    first: int  # the first row's number among all rows
    rows: int
    changed: int
    products: float
    sizes: NDArray[np.int64]
    sums: Sums
    costs: list[Piece] = field(default_factory=list)

    def merge(self, other: Step) -> Step:
        """Both together."""
        self.changed += other.changed
        self.products += other.products
        self.rows += other.rows
        self.sizes = self.sizes + other.sizes
        self.sums.add(other.sums)
        self.costs += other.costs
        return self

    def objective(self) -> float:
        """The sum of all costs."""
        return total_cost(self.costs)


def total_cost(costs: list[Piece]) -> float:
    """The sum of all costs, to the bits of the core's sum over all rows."""
    chunks: list[float] = []
    pending: list[NDArray[np.float64]] = []
    for first, whole, numbers in sorted(costs, key=lambda piece: piece[0]):
        if pending and first % CHUNK == 0:
            chunks.append(_in_order(np.concatenate(pending)))
            pending = []
        if whole:
            chunks += numbers.tolist()
        else:
            pending.append(numbers)
    if pending:
        chunks.append(_in_order(np.concatenate(pending)))
    return _in_order(np.array(chunks))


def _in_order(numbers: NDArray[np.float64]) -> float:
    return float(np.cumsum(numbers)[-1]) if len(numbers) else 0.0


class Shard:
    """Some of the rows, with what k-means knows of them from one iteration to the next.

    Parameters
    ----------
    name : str
        What messages call the function.
    X : array, CSR or Rows
    first : int
        The number of the first row among all rows.
    weights : float64 array, optional
    metric : {"cosine", "euclidean"}
    n_threads : int, optional
    dtype : dtype, optional
        That of all rows together.
    """

    def __init__(
        self,
        name: str,
        X: Matrix | Rows,
        first: int,
        weights: NDArray[np.float64] | None,
        metric: str,
        n_threads: int | None,
        dtype: Any = None,
    ) -> None:
        self.rows = X if isinstance(X, Rows) else block_rows(name, X, dtype)
        self.first, self.weights = first, weights
        if weights is not None:
            self.weights = np.require(weights, requirements=["C", "A"])
        self._name, self._metric, self._threads = name, metric, n_threads
        self._run: Any = None  # the core's, and the scores of its last pass
        self._scores = np.empty(0)
        self._labels: NDArray[np.int32] = np.empty(0, np.int32)

    def bounds(self, moments: bool) -> Bounds:
        """A first look at the rows; with moments also at how far they spread."""
        norm2 = self.rows.core.norm2(call(self._name))
        w = np.ones(1) if self.weights is None else self.weights
        n, d = self.rows.shape
        found = Bounds(
            n,
            d,
            float((w if self._metric == "cosine" else w * np.sqrt(norm2)).max(initial=0.0)),
            float(w.max(initial=0.0)),
            int((norm2 == 0).sum()),
            self.rows.dtype,
        )
        if not self.rows.sparse and self._metric == "euclidean":
            found.squares = pieces(self.first, norm2 if self.weights is None else self.weights * norm2)
        if moments:
            X = self.rows[:]
            found.mean = np.asarray(X.mean(axis=0, dtype=np.float64)).ravel()
            core = backend().mean_variance(call(self._name, self._threads), self.rows.core)
            found.spread = float(core) * n * d
        return found

    def assign(self, centers: Rows, bounds: Bounds, before: NDArray[np.int32] | None = None) -> Step:
        """New labels by these centers.

        before: labels that changes are counted from, and that sums are the difference to; None: there are
        none.
        """
        context = call(self._name, self._threads)
        run, self._run = self._run, None  # until the step is whole
        if run is None:
            run = backend().BlockLloyd(context, len(self.rows), self._metric)
        run.set_centers(context, centers.core)
        labels, self._scores, products = run.assign(
            context, self.rows.core, 0, None, None, bounds.longest, bounds.heaviest, None, None
        )
        self._run, self._labels = run, labels
        changed = len(labels) if before is None else int((labels != before).sum())
        change = before, labels
        sums = sums_of(context, self.rows, self.weights, change, len(centers), self._metric, bounds)
        sizes = np.bincount(labels, minlength=len(centers))
        step = Step(self.first, len(self.rows), changed, products, sizes, sums)
        step.costs = pieces(self.first, row_costs(self._scores, self.weights, self._metric))
        return step

    def labels(self) -> NDArray[np.int32]:
        """Labels of the last assignment."""
        return self._labels

    def worst(self, count: int) -> tuple[NDArray[Any], ...]:
        """Costs, numbers and labels of rows that an empty cluster may take, the worst-fitting first."""
        norm2 = self.rows.core.norm2(call(self._name))
        return worst_rows(self._scores, norm2, self.weights, self._labels, self._metric, count, self.first)

    def take(self, numbers: NDArray[np.int64]) -> Matrix:
        """Rows by their numbers among all rows."""
        return self.rows[numbers - self.first]

    def forget(self) -> None:
        """Starts without bounds: other centers follow than those of an update."""
        self._run = None

    def draw(self, centers: Rows, share: float, seed: int) -> tuple[NDArray[np.int64], list[Piece]]:
        """Rows drawn one by one with probability share * weighted cost, and the costs of all.

        The draw of a row depends on the seed and its number alone.
        """
        scores = assign_rows(self._name, self.rows, centers.array, self._metric, self._threads)[1]
        costs = row_costs(scores, self.weights, self._metric)
        philox = np.random.Philox(key=seed)
        philox.advance(self.first // 4)  # four numbers a count
        skip = self.first % 4
        chance = np.random.Generator(philox).random(skip + len(costs))[skip:]
        return np.flatnonzero(chance < share * costs) + self.first, pieces(self.first, costs)


def block_rows(name: str, X: Matrix, dtype: Any) -> Rows:
    """Rows of a block; those of sparse ones with int32 indices, as the core's BlockLloyd takes them."""
    return Rows(name, narrow_csr(name, X, "X") if sp.issparse(X) else X, dtype=dtype)


def sums_of(
    context: Any, rows: Rows, weights: Any, change: tuple[Any, Any], m: int, metric: str, bounds: Bounds
) -> Sums:
    """What rows add to sums by labels change[1], less what they did by change[0] (None: nothing)."""
    before, labels = change
    parts = backend().cluster_parts(
        context, rows.core, weights, before, labels, m, metric, bounds.longest, bounds.heaviest
    )
    return Sums(parts)


def row_costs(
    scores: NDArray[np.float64], weights: NDArray[np.float64] | None, metric: str
) -> NDArray[np.float64]:
    """Weighted costs of rows by their scores."""
    costs: NDArray[np.float64] = 1 - scores if metric == "cosine" else -scores
    return costs if weights is None else weights * costs


def worst_rows(
    scores: NDArray[np.float64],
    norm2: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
    labels: NDArray[np.int32],
    metric: str,
    count: int,
    first: int,
) -> tuple[NDArray[Any], ...]:
    """Costs, numbers and labels of rows that an empty cluster may take, the worst-fitting first."""
    weighted = row_costs(scores, weights, metric)
    may = (norm2 > 0) & (1 - scores > 1e-12) if metric == "cosine" else -scores > 1e-12 * norm2
    if weights is not None:
        may &= weights > 0
    rows = np.flatnonzero(may)
    rows = rows[np.lexsort((rows, -weighted[rows]))[:count]]
    return weighted[rows], rows + first, labels[rows]


def pieces(first: int, costs: NDArray[np.float64]) -> list[Piece]:
    """Costs of rows, in place of those of whole chunks their sums (marked True), with the first row."""
    head = min(-first % CHUNK, len(costs))
    end = head + (len(costs) - head) // CHUNK * CHUNK
    pieces = [(first, False, costs[:head])] if head else []
    if end > head:
        sums = np.cumsum(costs[head:end].reshape(-1, CHUNK), axis=1)[:, -1]
        pieces.append((first + head, True, sums))
    if end < len(costs):
        pieces.append((first + end, False, costs[end:]))
    return pieces


def relocations(
    sizes: NDArray[np.int64], worst: list[tuple[NDArray[Any], ...]]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Rows that empty clusters take, and their new labels, as the core would choose them among all rows.

    Parameters
    ----------
    sizes : int64 array of shape (m,)
    worst : list
        Of each part: costs, numbers and labels of its worst rows, as many as there are clusters and empty
        clusters together.
    """
    cost, number, label = (np.concatenate([part[k] for part in worst]) for k in range(3))
    left, empty = sizes.copy(), np.flatnonzero(sizes == 0)
    taken: list[int] = []
    for r in np.lexsort((number, -cost)):
        if len(taken) == len(empty):
            break
        if left[label[r]] < 2:
            continue
        left[label[r]] -= 1
        taken.append(int(r))
    return number[taken].astype(np.int64), empty[: len(taken)].astype(np.int32)

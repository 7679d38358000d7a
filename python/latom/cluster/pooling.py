"""Token pooling: fewer vectors per document for late interaction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import as_seed
from latom._base.backend import call
from latom._base.checks import check_choice, check_integer, check_range, number_of, shown
from latom._base.rows import Rows
from latom.cluster.batch import Batch
from latom.cluster.problems import Offsets, as_problems, offsets_of
from latom.cluster.ward import ward_labels

METHODS = ("ward+kmeans", "ward", "kmeans")
PART_BYTES = 256 << 20  # of documents whose free rows are gathered at a time


def pool_tokens(
    X: Any,
    offsets: Any = None,
    *,
    pool_factor: float | None = None,
    max_tokens: int | None = None,
    distance_threshold: float | None = None,
    protected: int = 1,
    method: str = "ward+kmeans",
    max_iter: int = 10,
    random_state: Any = None,
    n_threads: int | None = None,
) -> tuple[NDArray[Any], Offsets]:
    """Replace the token vectors of each document by fewer: the directions of their clusters.

    Parameters
    ----------
    X : array of shape (n, d) or (documents, tokens, d), or list of arrays of shape (tokens, d)
        Token vectors, as in :func:`latom.kmeans_batch`. Their lengths do not matter.
    offsets : int array of shape (documents + 1,), optional
        Where the tokens of each document begin in a stacked X.
    pool_factor : float, optional
        Keep the whole part of (tokens that are not protected) / pool_factor, and at least one. 4 where none
        of the three is given.
    max_tokens : int, optional
        Keep at most so many vectors per document, with those protected.
    distance_threshold : float, optional
        Merge up to this height of Ward's dendrogram of the tokens at length 1.
    protected : int, default 1
        Leading tokens of each document that are kept by themselves, as [CLS].
    method : {"ward+kmeans", "ward", "kmeans"}
        Ward's clusters; spherical k-means from k-means++; or spherical k-means from Ward's clusters, whose
        mean cosine is at least that of Ward's.
    max_iter : int, default 10
        Iterations of k-means.
    random_state : int, Generator, RandomState or None
        Of method "kmeans".
    n_threads : int, optional
        Threads, as in :func:`latom.assign`. Results do not depend on it.

    Returns
    -------
    pooled : array of shape (vectors, d)
        At length 1, in the dtype of X (float32 for half precision): for each document its protected tokens,
        then its clusters in the order of first tokens (with "kmeans" in that of k-means++).
    offsets : int64 array of shape (documents + 1,)
        Where the vectors of each document begin.

    Raises
    ------
    ValueError
        If more than one of the three controls is given, or shapes disagree.
    TypeError
        If X is sparse or does not hold real numbers.

    Notes
    -----
    Cost: as :func:`latom.ward_batch` and :func:`latom.kmeans_batch`. Documents are pooled some at a time, so
    that copies of their free tokens take little memory.

    Sources: Clavié et al., "Reducing the footprint of multi-vector retrieval with minimal performance impact
    via token pooling", 2024; Veneroso et al., "CRISP", 2025.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import pool_tokens
    >>> tokens = np.array([[1.0, 1], [1, 0], [2, 0.2], [0, 1], [0.1, 1]], np.float32)
    >>> pooled, offsets = pool_tokens(tokens, [0, 5], pool_factor=2)
    >>> pooled.shape, offsets.tolist()
    ((3, 2), [0, 3])
    """
    function = "pool_tokens"
    check_choice(function, "method", method, METHODS)
    check_integer(function, "protected", protected, low=0)
    check_integer(function, "max_iter", max_iter)
    control = _control(function, pool_factor, max_tokens, distance_threshold, protected)
    if distance_threshold is not None and method == "kmeans":
        raise ValueError(
            f"{function}: method must start from 'ward' with distance_threshold; got 'kmeans'. Use "
            "'ward+kmeans', or pool_factor."
        )
    seed = as_seed(function, random_state) if method == "kmeans" else 0
    rows, at = as_problems(function, X, offsets)
    parts, counts = [], []
    for first, last in _documents(at, rows):
        part = _Part(function, rows, at[first : last + 1], protected, n_threads)
        pooled, lengths = part.pool(control, method, max_iter, (seed + first) % 2**32)
        parts.append(pooled)
        counts.append(lengths)
    return np.concatenate(parts), offsets_of(np.concatenate(counts))


class _Part:
    """Some documents: their free tokens gathered, clustered, and put back beside those protected."""

    def __init__(
        self, function: str, rows: Rows, offsets: Offsets, protected: int, n_threads: int | None
    ) -> None:
        self.function, self.n_threads = function, n_threads
        first, last = int(offsets[0]), int(offsets[-1])
        at = offsets - first
        lengths = np.diff(at)
        self.kept = np.minimum(lengths, protected)
        free = np.arange(last - first) - np.repeat(at[:-1], lengths) >= np.repeat(self.kept, lengths)
        self.leading: NDArray[Any] = rows[first:last][~free] if protected else rows[:0]
        self.offsets = offsets_of(lengths - self.kept)
        self.rows = None
        if free.any():
            whole = rows[first:last] if rows.storage else rows.array[first:last]
            self.rows = Rows(function, whole if free.all() else whole[free])

    def pool(
        self, control: tuple[str, float], method: str, max_iter: int, seed: int
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """The vectors of these documents, and how many each has."""
        if self.rows is None:
            return _normalized(self.function, self.leading), self.kept
        free = np.diff(self.offsets)
        centers = self._cluster(control, method, max_iter, seed, free)
        counts = centers[1] + self.kept
        out = np.empty((int(counts.sum()), self.rows.shape[1]), self.rows.dtype)
        place = np.arange(len(out)) - np.repeat(offsets_of(counts)[:-1], counts)
        leads = place < np.repeat(self.kept, counts)
        out[leads] = _normalized(self.function, self.leading)
        out[~leads] = centers[0]
        return out, counts

    def _cluster(
        self, control: tuple[str, float], method: str, max_iter: int, seed: int, free: NDArray[np.int64]
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        assert self.rows is not None
        kind, value = control
        if kind == "distance_threshold":
            wanted = None
        elif kind == "max_tokens":
            wanted = np.minimum(free, int(value))
        else:
            wanted = np.minimum(free, np.maximum((free // value).astype(np.int64), 1))
        if wanted is not None and method != "ward":
            batch = Batch(self.function, self.rows, self.offsets, wanted, "cosine", None, self.n_threads)
            init = "ward" if method == "ward+kmeans" else "k-means++"
            return batch.run(init, 1, max_iter, 0.0, seed).centers, wanted
        labels, found, _ = ward_labels(
            self.function,
            self.rows,
            self.offsets,
            "cosine",
            wanted,
            self.n_threads,
            value if wanted is None else 0.0,
        )
        batch = Batch(self.function, self.rows, self.offsets, found, "cosine", None, self.n_threads)
        clusters = batch.means(labels) if method == "ward" else batch.steps(labels, max_iter)
        return clusters.centers, found


def _control(
    function: str, factor: float | None, most: int | None, height: float | None, protected: int
) -> tuple[str, float]:
    given = {"pool_factor": factor, "max_tokens": most, "distance_threshold": height}
    given = {name: value for name, value in given.items() if value is not None}
    if len(given) > 1:
        raise ValueError(
            f"{function}: pool_factor must be the only control where it is given, as the others; got "
            f"{' and '.join(given)}. Leave out all but one."
        )
    if height is not None:
        return "distance_threshold", check_range(function, "distance_threshold", height)
    if most is not None:
        check_integer(function, "max_tokens", most)
        if most <= protected:
            raise ValueError(
                f"{function}: max_tokens must be more than the {protected} protected; got {most}. Raise it, "
                "or lower protected."
            )
        return "max_tokens", float(most - protected)
    if factor is None:
        return "pool_factor", 4.0
    if not 1 <= number_of(factor) < float("inf"):
        raise ValueError(
            f"{function}: pool_factor must be a finite number of at least 1; got {shown(factor)}. Pass 4 to "
            "keep a quarter."
        )
    return "pool_factor", float(factor)


def _documents(offsets: Offsets, rows: Rows) -> Iterator[tuple[int, int]]:
    """First and last document of parts that take little memory, by their rows alone."""
    most = max(1, PART_BYTES // (rows.shape[1] * rows.dtype.itemsize))
    first, count = 0, len(offsets) - 1
    while first < count:
        last = int(np.searchsorted(offsets, offsets[first] + most, side="right")) - 1
        last = min(max(last, first + 1), count)
        yield first, last
        first = last


def _normalized(function: str, rows: NDArray[Any]) -> NDArray[Any]:
    """Rows at length 1; zero rows stay."""
    if not len(rows):
        return rows
    length = np.sqrt(Rows(function, rows).core.norm2(call(function)))
    length[length == 0] = 1
    scaled: NDArray[Any] = (rows / length[:, None]).astype(rows.dtype)
    return scaled

"""Indexes: rows packed once, searched many times, from any number of threads."""

from __future__ import annotations

import threading
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import Matrix, as_numpy
from latom._base.backend import call
from latom._base.checks import check_choice, check_flag, check_integer, shown
from latom._base.device import lies_on_gpu, place_of
from latom._base.foreign import refuse_sparse
from latom._base.named_init import NamedInit
from latom._base.rows import Rows
from latom._base.sparse_tensor import as_scipy
from latom.neighbors.collection import METRICS, Collection, as_allowed, as_queries, as_without
from latom.neighbors.index_file import load_index, save_index


class _Index(NamedInit):
    """What both indexes do; they differ in the container of their rows."""

    _sparse: ClassVar[bool]

    def __init__(self, X: Matrix, *, metric: str = "cosine", n_threads: int | None = None) -> None:
        name = type(self).__name__
        check_choice(name, "metric", metric, METRICS, "cosine")
        self.metric = metric
        self.n_threads = n_threads
        self._lock = threading.Lock()
        self._take(name, self._rows(name, X), np.zeros(X.shape[0] if hasattr(X, "shape") else len(X), bool))

    def _take(self, name: str, rows: Rows, removed: NDArray[np.bool_]) -> None:
        """Rows and their index, prepared, in place of those before; a search under way keeps what it has."""
        collection = Collection(rows, self.metric)
        collection.prepare(call(name, self.n_threads), self._sparse, rows.dtype)
        self._state = (collection, removed, None if not removed.any() else (~removed).astype(np.uint8))

    @classmethod
    def _rows(cls, name: str, X: Matrix) -> Rows:
        if not cls._sparse:
            refuse_sparse(name, X)
            return Rows(name, X)
        X = as_scipy(name, X)
        if not sp.issparse(X):
            raise TypeError(
                f"{name}: X must be a scipy.sparse matrix; got {shown(X)}. Use DenseIndex, or "
                "scipy.sparse.csr_array(X)."
            )
        return Rows(name, X)

    def __len__(self) -> int:
        return len(self._state[0].rows)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, those that were removed among them, and columns."""
        return self._state[0].rows.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self._state[0].rows.dtype

    def search(
        self,
        Q: Matrix,
        k: int = 10,
        *,
        allowed: Any = None,
        exclude_self: bool = False,
        n_threads: int | None = None,
        device: str | None = None,
    ) -> tuple[Any, Any]:
        """The k best rows for each query, exactly.

        Parameters
        ----------
        Q : array or sparse matrix of shape (q, d), or (d,)
            Queries, sparse or dense; one query may be a vector.
        k : int, default 10
            At most the number of rows of the index, as in :func:`latom.topk`.
        allowed : boolean mask of shape (n,) or integer array, optional
            Rows that may answer, the same for all queries; all by default.
        exclude_self : bool, default False
            Query i does not find row i: for Q that are the rows of the index.
        n_threads : int, optional
            Threads; None takes those of the index.
        device : {None, "cpu", "cuda", "cuda:0", ...}
            As in :func:`latom.topk`, where index and Q are dense. The rows of the index stay on the GPU for
            the next search.

        Returns
        -------
        values : array of shape (q, k), or (k,) for a vector
            Scores, highest first: the product, the cosine, or minus the squared distance; float32 where Q and
            the index both are, else float64.
        indices : int32 array of shape (q, k), or (k,)
            Rows, the lowest first among equal scores.

        Raises
        ------
        ValueError
            If shapes disagree, k is out of range, or Q holds NaN or infinity.

        Notes
        -----
        A row that shares no term with a query has the product 0, and is an answer like any other. Where fewer
        than k rows may answer, since others were removed or are not allowed, the places left have index -1
        and value minus infinity.
        """
        name = f"{type(self).__name__}.search"
        Q, one = as_queries(Q)
        collection, removed, present = self._state
        place = place_of(name, device, Q=Q)
        queries = Q if lies_on_gpu(Q) else Rows(name, Q, "Q")
        count = int(queries.shape[0])
        without = as_without(
            name, check_flag(name, "exclude_self", exclude_self), count, len(collection.rows)
        )
        mask = _both(as_allowed(name, allowed, len(removed)), present)
        if place is not None:
            values, indices = collection.topk_on_device(name, place, queries, k, mask, without)
        else:
            context = call(name, self.n_threads if n_threads is None else n_threads)
            values, indices, _ = collection.topk(context, queries, k, allowed=mask, without=without)
        return (values[0], indices[0]) if one else (values, indices)

    def above(
        self,
        Q: Matrix,
        threshold: Any,
        *,
        allowed: Any = None,
        exclude_self: bool = False,
        n_threads: int | None = None,
    ) -> Matrix:
        """All rows that score above a threshold, exactly.

        Parameters
        ----------
        Q, allowed, exclude_self, n_threads
            As in :meth:`search`.
        threshold : float or array of shape (q,)
            One number, or one per query.

        Returns
        -------
        matches : scipy.sparse.csr_array of shape (q, n)
            Scores, sorted by row of the index; a vector gives a matrix of one row.

        Raises
        ------
        ValueError
            If shapes disagree, or Q holds NaN or infinity.
        """
        name = f"{type(self).__name__}.above"
        collection, removed, present = self._state
        queries = Rows(name, as_queries(Q)[0], "Q")
        without = as_without(
            name, check_flag(name, "exclude_self", exclude_self), len(queries), len(collection.rows)
        )
        mask = _both(as_allowed(name, allowed, len(removed)), present)
        context = call(name, self.n_threads if n_threads is None else n_threads)
        bars = as_numpy(name, threshold, "threshold").astype(np.float64)
        return collection.above(context, queries, bars, allowed=mask, without=without)

    def add(self, X: Matrix) -> NDArray[np.int64]:
        """Put rows behind those that are there; returns their indices. Packs again: cost as of a new index.

        Parameters
        ----------
        X : matrix of shape (q, d)
            Rows of the container of the index; they become of its number type.

        Returns
        -------
        indices : int64 array of shape (q,)

        Raises
        ------
        ValueError
            If X has other columns than the index.
        TypeError
            If X is sparse and the index dense, or the other way round.
        """
        name = f"{type(self).__name__}.add"
        with self._lock:
            collection, removed, _ = self._state
            more = self._rows(name, X)
            collection.check_columns(name, more)
            old = collection.rows
            more = more.as_type(name, old.dtype)
            if self._sparse:
                both: Any = sp.vstack([old.array, more.array], format="csr")
            else:
                both = np.concatenate([old[:], more[:]])
            gone = np.concatenate([removed, np.zeros(len(more), bool)])
            self._take(name, Rows(name, both), gone)
            return np.arange(len(removed), len(gone))

    def remove(self, indices: Any) -> None:
        """Rows that never answer again; the indices of all others stay as they are.

        Parameters
        ----------
        indices : int or array of int
            Rows; to remove one twice changes nothing.

        Raises
        ------
        ValueError
            If the index has no such row.
        """
        name = f"{type(self).__name__}.remove"
        with self._lock:
            collection, removed, _ = self._state
            remedy = "Pass indices that add or search returned."
            some = np.atleast_1d(as_numpy(name, indices, "indices"))
            gone = as_allowed(name, some, len(removed), "indices", remedy)
            assert gone is not None  # indices are no None
            removed = removed | gone.astype(bool)
            self._state = (collection, removed, (~removed).astype(np.uint8) if removed.any() else None)

    def save(self, path: Any) -> None:
        """Write the rows to a folder, as .npy files and one .json.

        Parameters
        ----------
        path : path
            A folder, made if it is not there.
        """
        collection, removed, _ = self._state
        save_index(path, type(self).__name__, self.metric, collection.rows, removed)

    @classmethod
    def load(cls, path: Any, *, mmap: bool = True, n_threads: int | None = None) -> Any:
        """An index that :meth:`save` has written.

        Parameters
        ----------
        path : path
            The folder.
        mmap : bool, default True
            Map the rows from the files instead of reading them into memory. What is packed of them is
            made again.
        n_threads : int, optional
            Threads of the index.

        Returns
        -------
        index : SparseIndex or DenseIndex

        Raises
        ------
        ValueError
            If the folder holds another class of index, or arrays that do not fit together.
        FileNotFoundError
            If there is no index.
        """
        name = f"{cls.__name__}.load"
        mapped = check_flag(name, "mmap", mmap)
        metric, rows, removed = load_index(name, path, cls.__name__, cls._sparse, mapped)
        index = cls(rows, metric=metric, n_threads=n_threads)
        if removed.any():
            index.remove(np.flatnonzero(removed))
        return index

    def __getstate__(self) -> dict[str, Any]:
        """Rows and what was removed; what is packed is made again where they are loaded."""
        collection, removed, _ = self._state
        return {
            "metric": self.metric,
            "n_threads": self.n_threads,
            "rows": collection.rows,
            "removed": removed,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.metric, self.n_threads = state["metric"], state["n_threads"]
        self._lock = threading.Lock()
        self._take(type(self).__name__, state["rows"], state["removed"])

    def __repr__(self) -> str:
        n, d = self.shape
        return f"{type(self).__name__}(shape=({n}, {d}), dtype={self.dtype}, metric={self.metric!r})"


class SparseIndex(_Index):
    """Sparse rows, packed once for exact search: the k best, or all above a threshold.

    Parameters
    ----------
    X : sparse matrix of shape (n, d)
        Rows: TF-IDF, BM25 or learned weights, codes; numbers of either sign. CSR of float32 or float64 is not
        copied.
    metric : {"cosine", "dot", "euclidean"}, default "cosine"
        What queries are scored by; :class:`NearestNeighbors` has scikit-learn's default, "euclidean".
    n_threads : int, optional
        Threads, as in :func:`latom.assign`. No result depends on it.

    Notes
    -----
    An inverted index in float32. A first look at the rarest terms of a query sets a bar; lists of
    frequent terms, which are long and say little, are left out where a bound by Cauchy and Schwarz shows
    that they cannot lift a row to it. What is left is scored in float64, so answers are those of float64
    sums over the rows' stored entries, the same for every number of threads and every processor. Memory:
    8 bytes per stored number and 64 per row beside the rows themselves. From 1024 queries on, those of long
    lists are answered together, a tile of rows at a time, in 8-bit numbers that are rounded up. Searches may
    run in several threads at once, also beside ``add``. A pickle or a copy holds the rows; what is packed of
    them is made again.

    References
    ----------
    Turtle & Flood, "Query evaluation: strategies and optimizations", 1995. Bayardo, Ma & Srikant, "Scaling up
    all pairs similarity search", 2007.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from latom.neighbors import SparseIndex
    >>> index = SparseIndex(sp.csr_array([[1.0, 0, 2], [0, 1, 0], [3, 0, 0]]))
    >>> values, indices = index.search(sp.csr_array([[1.0, 0, 0]]), 2)
    >>> indices.tolist()
    [[2, 0]]
    """

    _sparse = True


class DenseIndex(_Index):
    """Dense rows, packed once for exact search: the k best, or all above a threshold.

    Parameters
    ----------
    X : dense array of shape (n, d)
        Rows, as in :func:`latom.topk`.
    metric : {"cosine", "dot", "euclidean"}, default "cosine"
        What queries are scored by; :class:`NearestNeighbors` has scikit-learn's default, "euclidean".
    n_threads : int, optional
        Threads, as in :func:`latom.assign`. No result depends on it.

    Notes
    -----
    :func:`latom.topk` with its atoms packed; sparse queries are taken as well. Where ``allowed`` is given
    or rows have been removed, dense queries pack the rows that may answer for each call. Euclidean searches
    of at most four columns take a k-d tree of scipy's for candidates, where there are many rows and queries;
    the float64 scores that decide are the same. A pickle or a copy holds the rows; what is packed of them is
    made again.

    Examples
    --------
    >>> import numpy as np
    >>> from latom.neighbors import DenseIndex
    >>> index = DenseIndex(np.array([[0.0, 0], [3, 4], [1, 1]]), metric="euclidean")
    >>> values, indices = index.search(np.array([[1.0, 0]]), 2)
    >>> values.tolist(), indices.tolist()
    ([[-1.0, -1.0]], [[0, 2]])
    """

    _sparse = False


def _both(allowed: NDArray[np.uint8] | None, present: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
    if allowed is None or present is None:
        return present if allowed is None else allowed
    both: NDArray[np.uint8] = allowed & present
    return both


def check_neighbors(function: str, n_neighbors: Any, n: int, others: int) -> int:
    """n_neighbors as an int of at most the rows that may answer."""
    k = check_integer(function, "n_neighbors", n_neighbors)
    if k > n - others:
        raise ValueError(
            f"{function}: n_neighbors must be at most the {n - others} rows that may answer; got {k}. "
            f"Expected n_neighbors <= n_samples_fit: ask for fewer, n_samples_fit = {n}."
        )
    return k

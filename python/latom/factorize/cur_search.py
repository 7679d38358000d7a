"""Search by a costly similarity: few scores per query, the others estimated from anchors (ANNCUR, ADACUR)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from latom._base.arrays import as_dense, as_numpy, as_seed
from latom._base.backend import call
from latom._base.checks import check_integer, check_range, shown
from latom._base.estimator import Placed
from latom._base.finite import check_finite
from latom.factorize.cur import pseudo_inverse
from latom.factorize.packed_search import Best


class CURSearch(Placed, BaseEstimator):
    """The best items of queries by a score that is costly, within a budget of scores per query.

    Anchor queries are scored with all items beforehand, R [q, m]. A query is scored with a few anchor items
    S; its other scores are taken to be e pinv(R_S) R, where e are the scores known. The best by these are
    scored exactly, and the best of all that was scored is the answer.

    Parameters
    ----------
    score : callable or dense array of shape (queries, m)
        A callable is given one query and item numbers [p], and returns scores [p]; higher is better. No pair
        is asked for twice. Of an array, queries are row numbers.
    n_items : int, optional
        m; needed with a callable.
    n_anchor_queries : int, optional
        Of the queries that fit is given, so many by chance. None: all. Twice the anchor items or more keep
        the pseudo-inverse well conditioned.
    n_anchor_items : int, default 50
        Items per query that are scored to estimate the others.
    rounds : int, default 1
        1: anchor items are chosen by chance, the same for all queries (ANNCUR). More: that many equal parts,
        the first by chance, each other the best by the estimate so far (ADACUR).
    rcond : float, default 1e-6
        Singular values of R_S below it times the largest count as 0.
    ridge : float, default 0
        As in :class:`latom.CUR`: a small one, 1e-2 say, keeps estimates from following noise.
    random_state : int, Generator, RandomState or None
        Seed of all draws.
    n_threads : int, optional
        Threads, as in :class:`latom.KMeans`; the score is called by one.

    Attributes
    ----------
    R_ : array of shape (q, m)
        Scores of anchor queries.
    anchor_items_ : int64 array
        Of the first round, rising.
    calls_ : int
        Scores that fit asked for: q m.

    Notes
    -----
    fit costs 2 |S| q m flops besides scores; a query 2 |S| m in the first round, 2 q m in every further one.
    No queries x m array is made. A cheap ranker that is good, such as the cosine of pooled embeddings,
    followed by exact scores of its best, may need fewer calls: measure both.

    References
    ----------
    Yadav, Monath, Angell, Zaheer & McCallum, "Efficient nearest neighbor search for cross-encoder models
    using matrix factorization", 2022 (ANNCUR). Yadav, Monath, Zaheer & McCallum, "Efficient k-NN search with
    cross-encoders using adaptive multi-round CUR decomposition", 2023 (ADACUR).

    Examples
    --------
    >>> import numpy as np
    >>> from latom import CURSearch
    >>> rng = np.random.default_rng(0)
    >>> A = rng.standard_normal((60, 3)) @ rng.standard_normal((3, 200))
    >>> search = CURSearch(A, n_anchor_items=6, random_state=0).fit(np.arange(50))
    >>> values, indices, calls = search.search([55], k=1, budget=10)
    >>> bool(indices[0, 0] == A[55].argmax()), calls.tolist()
    (True, [10])
    """

    R_: NDArray[Any]
    anchor_items_: NDArray[np.int64]
    calls_: int

    def __init__(
        self,
        score: Any,
        n_items: int | None = None,
        *,
        n_anchor_queries: int | None = None,
        n_anchor_items: int = 50,
        rounds: int = 1,
        rcond: float = 1e-6,
        ridge: float = 0.0,
        random_state: Any = None,
        n_threads: int | None = None,
    ) -> None:
        self.score = score
        self.n_items = n_items
        self.n_anchor_queries = n_anchor_queries
        self.n_anchor_items = n_anchor_items
        self.rounds = rounds
        self.rcond = rcond
        self.ridge = ridge
        self.random_state = random_state
        self.n_threads = n_threads

    def fit(self, X: Sequence[Any], y: Any = None) -> CURSearch:
        """Score anchor queries with all items.

        Parameters
        ----------
        X : sequence
            Queries, as score takes them.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there are fewer queries or items than anchors, or a score is not finite.
        """
        name = f"{type(self).__name__}.fit"
        self._check_place(name)
        check_range(name, "rcond", self.rcond, 1.0)
        check_range(name, "ridge", self.ridge)
        score, m = self._scorer(name)
        anchors = check_integer(name, "n_anchor_items", self.n_anchor_items, m)
        check_integer(name, "rounds", self.rounds, anchors)
        count = len(X)
        if count < 1:
            raise ValueError(f"{name}: X must have at least one query; got none. Pass anchor queries.")
        rng = np.random.Generator(np.random.Philox(as_seed(name, self.random_state)))
        chosen = np.arange(count)
        if self.n_anchor_queries is not None:
            most = check_integer(name, "n_anchor_queries", self.n_anchor_queries, count)
            chosen = np.sort(rng.choice(count, most, replace=False))
        every = np.arange(m)
        self.R_ = np.stack([score(X[q], every) for q in map(int, chosen)])
        self.calls_ = self.R_.size
        self.anchor_items_ = np.sort(rng.choice(m, self._parts()[0], replace=False)).astype(np.int64)
        inverse = pseudo_inverse(self.R_[:, self.anchor_items_], self.rcond, self.ridge)
        self._first = np.ascontiguousarray(
            (inverse @ self.R_).T
        )  # [m, |S|]: items as the first round sees them
        self._items = np.ascontiguousarray(self.R_.T)
        return self

    def search(
        self, queries: Sequence[Any], k: int = 10, budget: int = 100
    ) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
        """The k best items of queries among those that were scored.

        Parameters
        ----------
        queries : sequence
            As score takes them.
        k : int, default 10
        budget : int, default 100
            Exact scores per query: anchor items and what is scored at the end. m gives the exact answer.

        Returns
        -------
        values : array of shape (queries, k)
            Exact scores, highest first.
        indices : int64 array of shape (queries, k)
            Ties to the lowest item.
        calls : int64 array of shape (queries,)
            Scores that were asked for: the budget.

        Raises
        ------
        ValueError
            If budget is below n_anchor_items or k, or above m.
        """
        check_is_fitted(self, "R_")
        name = f"{type(self).__name__}.search"
        score, m = self._scorer(name)
        k = check_integer(name, "k", k, m)
        budget = check_integer(name, "budget", budget, m, max(k, self.n_anchor_items))
        context = call(name, self.n_threads)
        known = np.empty((len(queries), 0), np.int64)
        values = np.empty((len(queries), 0), self.R_.dtype)
        if not len(queries):
            return values.reshape(0, k), known.reshape(0, k), np.zeros(0, np.int64)
        for part in [*self._parts(), budget - self.n_anchor_items]:
            if part == 0:
                continue
            if not known.shape[1]:
                items = np.tile(self.anchor_items_, (len(queries), 1))
            else:
                rows, atoms = self._estimates(known, values)
                best = Best(context, atoms, "dot")
                items = best.without(context, rows, part, _as_csr(known, m))[0].astype(np.int64)
            found = np.stack([score(query, of_it) for query, of_it in zip(queries, items, strict=True)])
            known, values = np.hstack([known, items]), np.hstack([values, found.astype(values.dtype)])
        order = np.lexsort((known, -values))[:, :k]
        calls = np.full(len(queries), known.shape[1], np.int64)
        return np.take_along_axis(values, order, axis=1), np.take_along_axis(known, order, axis=1), calls

    def _parts(self) -> list[int]:
        """Anchor items of each round."""
        return [len(part) for part in np.array_split(np.arange(self.n_anchor_items), self.rounds)]

    def _estimates(self, known: NDArray[np.int64], values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Rows and atoms whose products are the estimated scores of all items."""
        if known.shape[1] == len(self.anchor_items_):
            return values, self._first
        weights = np.empty((len(known), len(self.R_)), self.R_.dtype)
        for i, (items, found) in enumerate(zip(known, values, strict=True)):
            S = self._items[items].astype(np.float64)  # [|S|, q]
            squares, vectors = np.linalg.eigh(S @ S.T)
            bar = max(self.rcond, 1e-7) ** 2 * squares[-1]  # squares are known to some 1e-16 of the largest
            damped = np.divide(
                1, squares + self.ridge**2 * squares[-1], out=np.zeros_like(squares), where=squares > bar
            )
            weights[i] = (vectors @ (damped * (vectors.T @ found))) @ S
        return weights, self._items

    def _scorer(self, name: str) -> tuple[Callable[[Any, NDArray[np.int64]], NDArray[Any]], int]:
        """(the score, checked; items)."""
        if not callable(self.score):
            A = as_dense(name, self.score, "score")
            return lambda query, items: _finite(name, A[query, items], len(items)), A.shape[1]
        if self.n_items is None:
            raise ValueError(
                f"{name}: n_items must be given where score is a function; got {shown(self.n_items)}. "
                "Pass the number of items."
            )
        m = check_integer(name, "n_items", self.n_items)
        return lambda query, items: _finite(name, self.score(query, items), len(items)), m


def _finite(name: str, given: Any, count: int) -> NDArray[Any]:
    scores = as_numpy(name, given, "score")
    if scores.shape != (count,):
        raise ValueError(
            f"{name}: score must return a vector of {count} numbers for as many items; got shape "
            f"{scores.shape}. Return a score for each item."
        )
    check_finite(name, "score", scores, "Replace it.", must="return finite numbers", place="for item")
    return scores if scores.dtype in (np.float32, np.float64) else scores.astype(np.float64)


def _as_csr(columns: NDArray[np.int64], m: int) -> Any:
    n, width = columns.shape
    indptr = np.arange(0, n * width + 1, width)
    return sp.csr_array(
        (np.ones(n * width, np.int8), np.sort(columns, axis=1).reshape(-1), indptr), shape=(n, m)
    )

"""What a model of user and item factors answers: recommendations, neighbors of items and users."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from latom._base.backend import call
from latom._base.checks import check_flag, check_integer, shown
from latom._base.csr import checked_csr
from latom._base.sparse_tensor import as_scipy, is_sparse_tensor
from latom.factorize.observed import as_csr_rows
from latom.factorize.packed_search import Best, as_ids, positions

Array = NDArray[Any]


class FactorRecommender:
    """Recommendations from ``user_factors`` [n, k] and ``item_factors`` [m, k], by implicit's names."""

    n_threads: int | None

    _user_factors: Any = None
    _item_factors: Any = None

    @property
    def user_factors(self) -> Any:
        """Factors of users, of shape (n, k); None before they are learned or set."""
        return self._user_factors

    @user_factors.setter
    def user_factors(self, factors: Any) -> None:
        self._user_factors = factors
        self._changed()

    @property
    def item_factors(self) -> Any:
        """Factors of items, of shape (m, k); None before they are learned or set."""
        return self._item_factors

    @item_factors.setter
    def item_factors(self, factors: Any) -> None:
        self._item_factors = factors
        self._changed()

    @property
    def components_(self) -> Array:
        """The factors of items as components, of shape (k, m)."""
        if self.item_factors is None:
            raise AttributeError(f"{type(self).__name__}: components_ must be learned first. Call fit.")
        factors: Array = self.item_factors.T
        return factors

    def __sklearn_is_fitted__(self) -> bool:
        return self.item_factors is not None

    def recommend(
        self,
        userid: Any,
        user_items: Any = None,
        N: int = 10,
        filter_already_liked_items: bool = True,
        filter_items: Any = None,
        recalculate_user: bool = False,
        items: Any = None,
    ) -> tuple[NDArray[np.int32], Array]:
        """The best items of users, exactly, without those that they have.

        Parameters
        ----------
        userid : int or array of int
            Users.
        user_items : CSR of shape (users, m), optional
            What each of these users has, a row per user of ``userid``. Not looked at where nothing is left
            out or solved for.
        N : int, default 10
            Items per user.
        filter_already_liked_items : bool, default True
            Leave out what ``user_items`` stores.
        filter_items : array of int, optional
            Items to leave out for all users.
        recalculate_user : bool, default False
            Take factors solved for from ``user_items`` in place of the fitted ones.
        items : array of int, optional
            The items to choose among; not together with ``filter_items``.

        Returns
        -------
        ids : int32 array of shape (N,), or (users, N) for an array of users
            Best first, the lowest id among equals. N is at most the number of items to choose among. Where a
            user has fewer of them left, an array of users has -1 in the places behind, and a single user
            fewer places.
        scores : array of the same shape
            Products of factors; -inf beside -1.

        Raises
        ------
        ValueError
            If ``user_items`` is not CSR or has another number of rows, or both lists of items are given.
        IndexError
            If a user or an item is not of the model.

        Notes
        -----
        Cost: a screened search, 2 k m flops per user in low precision; memory users x N.
        """
        name = f"{type(self).__name__}.recommend"
        check_is_fitted(self)
        check_integer(name, "N", N)
        check_flag(name, "filter_already_liked_items", filter_already_liked_items)
        users, scalar = as_ids(name, "userid", userid, None if recalculate_user else len(self.user_factors))
        chosen = self._chosen(name, "item", items, filter_items, len(self.item_factors))
        have = None
        if not len(users):
            return self._search(name, "dot", self.item_factors, self.item_factors[:0], N, chosen, None, False)
        if filter_already_liked_items or check_flag(name, "recalculate_user", recalculate_user):
            have = self._rows_of(name, "user_items", user_items, len(users), len(self.item_factors))
        queries = self.recalculate_user(users, user_items) if recalculate_user else self.user_factors[users]
        if not filter_already_liked_items:
            have = None
        return self._search(name, "dot", self.item_factors, queries, N, chosen, have, scalar)

    def similar_users(
        self, userid: Any, N: int = 10, filter_users: Any = None, users: Any = None
    ) -> tuple[NDArray[np.int32], Array]:
        """The users whose factors have the highest cosine with those of given users.

        Parameters
        ----------
        userid : int or array of int
        N : int, default 10
        filter_users, users : array of int, optional
            Users to leave out, or to choose among.

        Returns
        -------
        ids, scores : arrays of shape (N,) or (users, N)
            As in :meth:`recommend`.
        """
        name = f"{type(self).__name__}.similar_users"
        check_is_fitted(self)
        asked, scalar = as_ids(name, "userid", userid, len(self.user_factors))
        chosen = self._chosen(name, "user", users, filter_users, len(self.user_factors))
        return self._search(
            name, "cosine", self.user_factors, self.user_factors[asked], N, chosen, None, scalar
        )

    def rank_items(
        self, userid: Any, user_items: Any, selected_items: Any, recalculate_user: bool = False
    ) -> tuple[NDArray[np.int32], Array]:
        """All of some items in the order of a user's scores: :meth:`recommend` that chooses among them.

        Parameters
        ----------
        userid : int or array of int
        user_items : CSR of shape (users, m)
        selected_items : array of int
        recalculate_user : bool, default False

        Returns
        -------
        ids, scores : arrays of shape (items,) or (users, items)
            As in :meth:`recommend`.
        """
        return self.recommend(
            userid,
            user_items,
            N=len(np.unique(np.asarray(selected_items))),
            filter_already_liked_items=False,
            recalculate_user=recalculate_user,
            items=selected_items,
        )

    def recalculate_user(self, userid: Any, user_items: Any) -> Array:
        raise NotImplementedError

    # ---- parts

    def _similar_items(self, name: str, of: Array, N: int, without: Any, among: Any, scalar: bool) -> Any:
        """Items whose factors have the highest cosine with those given, among some or without some."""
        chosen = self._chosen(name, "item", among, without, len(self.item_factors))
        return self._search(name, "cosine", self.item_factors, of, N, chosen, None, scalar)

    def _search(
        self,
        name: str,
        metric: str,
        factors: Array,
        queries: Array,
        N: int,
        chosen: Array | None,
        have: Any,
        scalar: bool,
    ) -> tuple[NDArray[np.int32], Array]:
        N = min(check_integer(name, "N", N), len(factors) if chosen is None else len(chosen))
        context = call(name, self.n_threads)
        queries = np.ascontiguousarray(queries)
        if not len(queries) or not N:
            return np.empty((len(queries), N), np.int32), np.empty((len(queries), N), queries.dtype)
        if chosen is None:
            best = self._best(context, factors, metric)
        else:
            best = Best(context, factors[chosen], metric)
            have = None if have is None else positions(chosen, have)
        if have is None or have.nnz == 0:
            ids, scores = best.topk(context, queries, N)
        else:
            ids, scores = best.without(context, queries, N, have)
        if chosen is not None:
            ids = np.where(ids < 0, ids, chosen[ids].astype(np.int32))
        if scalar:
            left = ids[0] >= 0
            return ids[0][left], scores[0][left]
        return ids, scores

    def _best(self, context: Any, factors: Array, metric: str) -> Best:
        """The packed search of these very factors, kept while they stay."""
        kept: dict[str, Best] = self.__dict__.setdefault("_searches", {})
        side = f"{metric} {factors is self.item_factors}"
        found = kept.get(side)
        if found is None or found.factors is not factors:
            found = kept[side] = Best(context, factors, metric)
        return found

    def _changed(self) -> None:
        """Factors have been written: what was packed of them is out of date."""
        self.__dict__.pop("_searches", None)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())  # type: ignore[call-overload]
        state.pop("_searches", None)
        return state

    def _rows_of(self, name: str, argument: str, X: Any, n: int, d: int) -> sp.csr_array:
        """A CSR matrix with a row for each id."""
        if is_sparse_tensor(X):
            X = checked_csr(name, as_scipy(name, X, argument), argument)
        if not sp.issparse(X) or X.format != "csr" or X.ndim != 2:
            got, remedy = shown(X), f"Convert it, for example with scipy.sparse.csr_array({argument})."
            if X is None:
                remedy = "Pass a row per id, such as X[ids] of the X of the fit"
                remedy += ", or filter_already_liked_items=False." if argument == "user_items" else "."
            elif sp.issparse(X):
                got = f"{X.format} of shape {X.shape}"
                remedy = "Convert it with .tocsr()." if X.ndim == 2 else "Index with a list, as X[[3]]."
            raise ValueError(f"{name}: {argument} must be a CSR matrix; got {got}. {remedy}")
        if X.shape[0] != n or X.shape[1] > d:
            raise ValueError(
                f"{name}: {argument} must have one row per id and at most {d} columns, so shape ({n}, {d}); "
                f"got {X.shape}. Pass the rows of these ids."
            )
        rows = as_csr_rows(name, X, np.float32, argument).array
        return sp.csr_array((rows.data, rows.indices, rows.indptr), shape=(n, d))

    def _chosen(self, name: str, what: str, among: Any, without: Any, m: int) -> Array | None:
        """The columns to choose among, rising; None for all."""
        if among is None and (without is None or len(without) == 0):
            return None
        if among is not None and without is not None:
            raise ValueError(
                f"{name}: {what}s must be given without filter_{what}s; got both. Leave out one of them."
            )
        given, _ = as_ids(
            name,
            f"{what}s" if among is not None else f"filter_{what}s",
            among if among is not None else without,
            m,
        )
        if among is not None:
            return np.unique(given)
        return np.setdiff1d(np.arange(m), given)

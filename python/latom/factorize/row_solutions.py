"""Rows that are solved for while the other side's factors stay: new users and items, explanations, files."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from latom._base.backend import call
from latom._base.checks import check_integer
from latom._base.rows import Rows
from latom.factorize.als_parts import explanation, load_model, save_model
from latom.factorize.factor_recommender import FactorRecommender
from latom.factorize.observed import Side, as_csr_rows
from latom.factorize.packed_search import as_ids

Array = NDArray[Any]


class RowSolutions(FactorRecommender):
    """Factors of rows from their entries, by the rule of the model."""

    def recalculate_user(self, userid: Any, user_items: Any) -> Array:
        """Factors of users, solved for from their items exactly; nothing is stored.

        Parameters
        ----------
        userid : int or array of int
        user_items : CSR of shape (users, m)
            A row for each id.

        Returns
        -------
        factors : array of shape (k,) or (users, k)
        """
        name = f"{type(self).__name__}.recalculate_user"
        return self._recalculated(name, userid, user_items, "user_items", self.item_factors)

    def recalculate_item(self, itemid: Any, item_users: Any) -> Array:
        """Factors of items, solved for from their users exactly; nothing is stored.

        Parameters
        ----------
        itemid : int or array of int
        item_users : CSR of shape (items, n)
            A row for each id.

        Returns
        -------
        factors : array of shape (k,) or (items, k)
        """
        name = f"{type(self).__name__}.recalculate_item"
        return self._recalculated(name, itemid, item_users, "item_users", self.user_factors)

    def partial_fit_users(self, userids: Any, user_items: Any) -> Any:
        """Store what :meth:`recalculate_user` gives; ids beyond the model's add rows, zeros between them.

        Parameters
        ----------
        userids : array of int
        user_items : CSR of shape (users, m)

        Returns
        -------
        self
        """
        self.user_factors = self._stored(
            self.user_factors, userids, self.recalculate_user(userids, user_items)
        )
        return self

    def partial_fit_items(self, itemids: Any, item_users: Any) -> Any:
        """Store what :meth:`recalculate_item` gives; ids beyond the model's add rows, zeros between them.

        Parameters
        ----------
        itemids : array of int
        item_users : CSR of shape (items, n)

        Returns
        -------
        self
        """
        self.item_factors = self._stored(
            self.item_factors, itemids, self.recalculate_item(itemids, item_users)
        )
        return self

    def similar_items(
        self,
        itemid: Any,
        N: int = 10,
        recalculate_item: bool = False,
        item_users: Any = None,
        filter_items: Any = None,
        items: Any = None,
    ) -> Any:
        """The items whose factors have the highest cosine with those of given items, themselves first.

        Parameters
        ----------
        itemid : int or array of int
        N : int, default 10
        recalculate_item : bool, default False
            Take factors solved for from ``item_users`` in place of the fitted ones.
        item_users : CSR of shape (items, n), optional
        filter_items, items : array of int, optional
            Items to leave out, or to choose among.

        Returns
        -------
        ids, scores : arrays of shape (N,) or (items, N)
            As in :meth:`recommend`.
        """
        name = f"{type(self).__name__}.similar_items"
        check_is_fitted(self)
        asked, scalar = as_ids(name, "itemid", itemid, None if recalculate_item else len(self.item_factors))
        factors = self.recalculate_item(asked, item_users) if recalculate_item else self.item_factors[asked]
        return self._similar_items(name, factors, N, filter_items, items, scalar)

    def explain(
        self, userid: int, user_items: Any, itemid: int, user_weights: Any = None, N: int = 10
    ) -> tuple[float, list[tuple[int, float]], Any]:
        """What each of a user's items adds to the score of an item (Hu, Koren & Volinsky 2008, section 5).

        Parameters
        ----------
        userid : int
            The row of ``user_items``.
        user_items : CSR of shape (users, m)
        itemid : int
        user_weights : array of shape (factors, factors), optional
            What an earlier call for this user returned, to save its factorization.
        N : int, default 10
            Items to name.

        Returns
        -------
        score : float
            The score with the user's factors as solved for: the sum over all of the user's items.
        contributions : list of (int, float)
            Items and what they add, the highest first.
        user_weights : array of shape (factors, factors)
        """
        name = f"{type(self).__name__}.explain"
        check_is_fitted(self)
        check_integer(name, "N", N)
        (row,), _ = as_ids(name, "userid", userid, user_items.shape[0])
        (item,), _ = as_ids(name, "itemid", itemid, len(self.item_factors))
        have = self._rows_of(name, "user_items", user_items[[row]], 1, len(self.item_factors))
        side = self._side(as_csr_rows(name, have, self._type))
        return explanation(side, call(name, self.n_threads), self.item_factors, int(item), user_weights, N)

    def save(self, file: Any) -> None:
        """Write factors and parameters in numpy's npz format.

        Parameters
        ----------
        file : path or file object
        """
        check_is_fitted(self)
        save_model(self, file)

    @classmethod
    def load(cls, file: Any) -> Any:
        """The model that :meth:`save` has written, or implicit's.

        Parameters
        ----------
        file : path or file object
            A path without ".npz" gets it.

        Returns
        -------
        model : of this class
        """
        return load_model(cls, file)

    # ---- parts

    @property
    def _type(self) -> Any:
        raise NotImplementedError

    def _side(self, rows: Rows) -> Side:
        raise NotImplementedError

    def _solved(self, name: str, rows: Rows, V: Array) -> Array:
        out = np.zeros((rows.shape[0], V.shape[1]), V.dtype)
        self._side(rows).solve(call(name, self.n_threads), V, out, solver="cholesky")
        return out

    def _recalculated(self, name: str, ids: Any, X: Any, argument: str, V: Any) -> Array:
        check_is_fitted(self)
        given, scalar = as_ids(name, "ids", ids, None)
        have = self._rows_of(name, argument, X, len(given), len(V))
        out = self._solved(name, as_csr_rows(name, have, self._type, argument), V)
        return out[0] if scalar else out

    def _stored(self, factors: Array, ids: Any, solved: Array) -> Array:
        """Factors with some rows replaced, and more where ids are beyond; earlier arrays stay as they are."""
        given, _ = as_ids(type(self).__name__, "ids", ids, None)
        size = max(len(factors), int(given.max()) + 1)
        out = np.zeros((size, factors.shape[1]), factors.dtype)
        out[: len(factors)] = factors
        out[given] = solved
        return out

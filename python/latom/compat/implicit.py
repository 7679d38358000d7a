"""implicit's alternating least squares on latom's core.

    from latom.compat.implicit import AlternatingLeastSquares        # in place of implicit.als

Arguments, attributes and methods are implicit's. Factors do not depend on the number of threads. Where a user
of a batch has too few items left for N, ids are -1 and scores -inf. Of ``items`` that are named all are
ranked, as by implicit: what a user has comes last, with the least number as its score.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from latom._base.history import FactorizationState
from latom.factorize.als import AlternatingLeastSquares as _AlternatingLeastSquares
from latom.factorize.als_parts import load_model, save_model

__all__ = ["AlternatingLeastSquares"]

SAVED = (
    "factors",
    "regularization",
    "alpha",
    "iterations",
    "calculate_training_loss",
    "num_threads",
    "random_state",
    "use_native",
    "use_cg",
    "cg_steps",
)


class AlternatingLeastSquares(_AlternatingLeastSquares):
    """``implicit.als.AlternatingLeastSquares``, computed by latom on the CPU.

    Parameters
    ----------
    factors, regularization, alpha, dtype, iterations, calculate_training_loss, num_threads, random_state
        As in :class:`latom.AlternatingLeastSquares`.
    use_native : ignored
    use_cg : bool, default True
        Conjugate gradients where rows have systems of their own; False: Cholesky.
    use_gpu : bool, default False
        Only False.

    Attributes
    ----------
    user_factors, item_factors : arrays of shape (n, k) and (m, k)
        None before :meth:`fit`, which starts from them where they are set, as implicit does.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> from latom.compat.implicit import AlternatingLeastSquares
    >>> likes = sp.csr_matrix(np.array([[1.0, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1]]))
    >>> model = AlternatingLeastSquares(factors=2, random_state=0)
    >>> model.fit(likes, show_progress=False)
    >>> model.recommend(0, likes[0], N=1)[0].tolist()
    [2]
    """

    def __init__(
        self,
        factors: int = 100,
        regularization: float = 0.01,
        alpha: float = 1.0,
        dtype: Any = np.float32,
        use_native: bool = True,
        use_cg: bool = True,
        use_gpu: bool = False,
        iterations: int = 15,
        calculate_training_loss: bool = False,
        num_threads: int = 0,
        random_state: Any = None,
    ) -> None:
        super().__init__(
            factors,
            regularization,
            alpha,
            dtype,
            iterations,
            calculate_training_loss,
            num_threads,
            random_state,
            solver="auto" if use_cg else "cholesky",
        )
        if use_gpu:
            raise ValueError(
                "AlternatingLeastSquares: use_gpu must be False in this build; got True. Leave it out."
            )
        self.use_native, self.use_cg, self.use_gpu = use_native, use_cg, use_gpu

    def fit(  # type: ignore[override]
        self,
        user_items: Any,
        show_progress: bool = True,
        callback: Callable[[int, float, float | None], Any] | None = None,
    ) -> None:
        """Learn the factors.

        Parameters
        ----------
        user_items : CSR of shape (n, m)
            Other sparse formats are converted, with a warning.
        show_progress : bool, default True
            A progress bar on a terminal.
        callback : callable, optional
            Called with the number of the iteration from 0, its seconds, and the loss, or None without
            ``calculate_training_loss``.
        """
        name = "AlternatingLeastSquares.fit"
        if not sp.issparse(user_items):
            raise TypeError(
                f"{name}: user_items must be a sparse matrix; got {type(user_items).__name__}. "
                "Convert it, for example with scipy.sparse.csr_matrix."
            )
        if user_items.format != "csr":
            warnings.warn(f"{name}: converts user_items from {user_items.format} to CSR.", stacklevel=2)
            user_items = user_items.tocsr()
        weight = 0.0
        if self.calculate_training_loss:
            weights = np.abs(user_items.data.astype(np.float64) * self.alpha) - 1
            weight = float(weights.sum()) + user_items.shape[0] * user_items.shape[1]
        began = time.perf_counter()

        def heard(state: FactorizationState) -> None:
            nonlocal began
            if callback is not None:
                loss = state.objective / weight if self.calculate_training_loss else None
                callback(state.iteration - 1, time.perf_counter() - began, loss)
            began = time.perf_counter()

        before, self.callback, self.verbose = self.callback, heard, int(show_progress and _on_terminal())
        start = self._given(user_items.shape)
        try:
            self._fit(name, user_items, None, start)
        finally:
            self.callback = before

    def _given(self, shape: tuple[int, int]) -> Any:
        """Factors that are there already, each with what stands in for the other."""
        if self.user_factors is None and self.item_factors is None:
            return None
        U, V = self._start("AlternatingLeastSquares.fit", shape)
        given = (self.user_factors, self.item_factors)
        chosen = [own if theirs is None else theirs for own, theirs in zip((U, V), given, strict=True)]
        for which, factors, size in zip(("user", "item"), chosen, shape, strict=True):
            if factors.shape != (size, self.factors):
                raise ValueError(
                    f"AlternatingLeastSquares.fit: {which}_factors must have shape ({size}, {self.factors}); "
                    f"got {factors.shape}. Set it to None to start afresh."
                )
        return tuple(np.ascontiguousarray(factors, self._type) for factors in chosen)

    def recommend(  # type: ignore[override]
        self,
        userid: Any,
        user_items: Any,
        N: int = 10,
        filter_already_liked_items: bool = True,
        filter_items: Any = None,
        recalculate_user: bool = False,
        items: Any = None,
    ) -> Any:
        """The best items of users.

        Parameters
        ----------
        userid, user_items, N, filter_already_liked_items, filter_items, recalculate_user, items
            As in :meth:`latom.AlternatingLeastSquares.recommend`.

        Returns
        -------
        ids, scores : arrays of shape (N,) or (users, N)
        """
        ids, scores = super().recommend(
            userid, user_items, N, filter_already_liked_items, filter_items, recalculate_user, items
        )
        if items is None:
            return ids, scores
        named = np.unique(np.asarray(items)).astype(np.int32)
        width = min(N, len(named))
        ranked = np.empty((len(np.atleast_1d(userid)), width), np.int32)
        values = np.full(ranked.shape, np.finfo(scores.dtype).min)
        for u, (found, score) in enumerate(zip(np.atleast_2d(ids), np.atleast_2d(scores), strict=True)):
            left = found >= 0
            count = int(left.sum())
            values[u, :count] = score[left]
            ranked[u] = np.concatenate([found[left], np.setdiff1d(named, found)])[:width]
        return (ranked[0], values[0]) if ids.ndim == 1 else (ranked, values)

    @property
    def item_norms(self) -> Any:
        """Lengths of the items' factors; 1e-10 for those of length 0, as in implicit."""
        return _norms(self.item_factors)

    @property
    def user_norms(self) -> Any:
        """Lengths of the users' factors; 1e-10 for those of length 0, as in implicit."""
        return _norms(self.user_factors)

    def save(self, file: Any) -> None:
        """Write factors and parameters as implicit does, which can load them.

        Parameters
        ----------
        file : path or file object
        """
        check_is_fitted(self)
        save_model(self, file, SAVED)

    @classmethod
    def load(cls, file: Any) -> Any:
        """The model that :meth:`save` or implicit has written.

        Parameters
        ----------
        file : path or file object
            A path without ".npz" gets it.

        Returns
        -------
        model : of this class
        """
        model = load_model(cls, file, SAVED)
        model.solver = "auto" if model.use_cg else "cholesky"
        return model

    def rank_items(
        self, userid: Any, user_items: Any, selected_items: Any, recalculate_user: bool = False
    ) -> Any:
        """All of some items in the order of a user's scores.

        Parameters
        ----------
        userid, user_items, selected_items, recalculate_user
            As in :meth:`latom.AlternatingLeastSquares.rank_items`.

        Returns
        -------
        ids, scores : arrays
        """
        warnings.warn(
            "rank_items is deprecated. Use recommend with the 'items' parameter instead",
            DeprecationWarning,
            stacklevel=2,
        )
        return super().rank_items(userid, user_items, selected_items, recalculate_user)


def _norms(factors: Any) -> Any:
    norms = np.linalg.norm(factors, axis=1)
    norms[norms == 0] = 1e-10
    return norms


def _on_terminal() -> bool:
    import sys

    return sys.stderr.isatty()

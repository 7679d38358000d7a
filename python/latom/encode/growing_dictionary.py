"""How a dictionary grows: rows go by in batches, and those that the atoms so far miss become atoms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError

from latom._base.backend import backend, call
from latom._base.checks import check_integer, shown
from latom._base.estimator import validated_rows
from latom._base.history import DictionaryState, Iterations
from latom._base.progress import Progress
from latom._base.rows import Rows
from latom.encode.atoms import as_atoms, unstacked
from latom.encode.base_encoder import BaseEncoder
from latom.encode.itda_checks import check_parameters, checked_labels, joined_labels
from latom.encode.pursuit import distinct

_SAME = 1e-10  # squared error at which a row is an atom already


class GrowingDictionary(BaseEncoder):
    """The fits of :class:`latom.ITDA`, which has the parameters."""

    _learns = True

    components_: NDArray[Any]
    atom_indices_: NDArray[np.int64]
    atom_labels_: NDArray[Any] | None
    history_: NDArray[Any]

    n_nonzero_coefs: int
    tol: float
    max_atoms: int | None
    algorithm: str
    update: str
    init: Any
    batch_size: int
    callback: Callable[[DictionaryState], Any] | None
    verbose: int
    _labeled: bool
    _seen: int

    def fit(self, X: Any, y: Any = None, *, labels: Any = None) -> Any:
        """Grow a dictionary from nothing, or from ``init``.

        Parameters
        ----------
        X : dense array of shape (n, d) or (..., d)
            Rows, as in :func:`latom.topk`; memory-mapped rows are read batch by batch.
        y : array of shape (n,) or (n, c), optional
            Labels, where ``labels`` is not given: what comes second, as pipelines pass it.
        labels : array or sequence of shape (n,) or (n, c), optional
            What each row is, such as its token and its place: ``atom_labels_`` has it for each atom. Numbers
            beside strings, such as pairs (1, "word"), stay what they are.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter is out of range, there is not one label per row, or X is sparse or holds NaN or
            infinity.
        """
        return self._fit(f"{type(self).__name__}.fit", X, y if labels is None else labels, reset=True)

    def partial_fit(self, X: Any, y: Any = None, *, labels: Any = None) -> Any:
        """Go on with more rows.

        Parameters
        ----------
        X, y, labels
            As in :meth:`fit`; labels either always or never.

        Returns
        -------
        self
        """
        fresh = not hasattr(self, "components_")
        name = f"{type(self).__name__}.partial_fit"
        return self._fit(name, X, y if labels is None else labels, reset=fresh)

    def _fit(self, name: str, X: Any, labels: Any, reset: bool) -> Any:
        check_parameters(name, self)
        X, _ = unstacked(name, X)
        rows = validated_rows(self, name, X, reset=reset, accept_sparse=False)
        if reset:
            self._start(name, rows)
        rows = rows.as_type(name, self.components_.dtype)
        before, past = (None, None) if reset else (self._labeled, self.atom_labels_)
        labels = checked_labels(name, labels, len(rows), before, past)
        self._labeled = labels is not None
        size = check_integer(name, "batch_size", self.batch_size)
        batches = -(-len(rows) // size)
        with Progress(name, batches, int(self.verbose)) as progress:
            made = len(self.__dict__.get("history_", ()))
            run = Iterations(DictionaryState, batches, self.callback, progress, before=made)
            try:
                for first in range(0, len(rows), size):
                    part = slice(first, min(first + size, len(rows)))
                    batch = Rows(name, rows.array[part]) if not rows.storage else Rows(name, rows[part])
                    error, added = self._learn(name, batch, None if labels is None else labels[part])
                    self._seen += part.stop - part.start
                    full = self.max_atoms is not None and len(self.atom_indices_) >= self.max_atoms
                    stopped = run.stop(full, objective=error, added=added, n_atoms=len(self.atom_indices_))
                    if stopped:
                        break
            except BaseException:
                self.__dict__.pop("_dictionary", None)  # it may have atoms of the batch that has not ended
                raise
        self.history_ = np.concatenate([self.history_, run.history]) if made else run.history
        return self

    def _start(self, name: str, rows: Rows) -> None:
        """Nothing learned yet, but the atoms of init."""
        for learned in ("_dictionary", "history_", "atom_labels_"):
            self.__dict__.pop(learned, None)
        dtype, d = np.float32 if rows.dtype == np.float32 else np.float64, rows.shape[1]
        atoms = np.zeros((0, d), dtype)
        if not isinstance(self.init, str):
            atoms = as_atoms(name, "init", self.init).astype(dtype)
            lengths = np.linalg.norm(atoms.astype(np.float64), axis=1)
            if atoms.shape[1] != d or not np.isfinite(lengths).all() or not lengths.all():
                raise ValueError(
                    f"{name}: init must be finite rows of {d} numbers, none of them zero; got "
                    f"{shown(self.init)}. Pass atoms for the columns of X."
                )
            atoms = np.ascontiguousarray(atoms / lengths[:, None], dtype)
        self.components_ = atoms
        self.atom_indices_ = np.full(len(atoms), -1, np.int64)
        self.atom_labels_ = None
        self._seen = 0

    def _learn(self, name: str, batch: Rows, labels: NDArray[Any] | None) -> tuple[float, int]:
        """One batch; returns its mean error and how many of its rows became atoms."""
        context = call(name, self.n_threads)
        dictionary = self._grown(name)
        most = 2**31 - 65 if self.max_atoms is None else self.max_atoms
        norm2 = batch.core.norm2(context)
        taken: list[int] = []
        d = batch.shape[1]
        if isinstance(self.init, str) and dictionary.m < min(d, most):
            taken += self._frequent(context, dictionary, batch, norm2, min(d, most) - dictionary.m)
            dictionary.adopt(context, batch.core, np.array(taken, np.int64))
        steps = check_integer(name, "n_nonzero_coefs", self.n_nonzero_coefs)
        orthogonal, tol = self.algorithm == "omp", float(self.tol)
        if self.update == "sequential":
            chosen, error = dictionary.grow(context, batch.core, steps, orthogonal, tol, most)
        else:
            missed = dictionary.pursue(context, batch.core, steps, orthogonal=orthogonal)[3]
            error = np.divide(missed, norm2, out=np.zeros(len(batch)), where=norm2 > 0)
            over = np.flatnonzero(error > tol)
            chosen = over[np.sort(distinct(batch[over])[0])][: most - dictionary.m]
            dictionary.adopt(context, batch.core, chosen)
        taken += chosen.tolist()
        if taken:
            self.components_ = dictionary.atoms(context)
            self.atom_indices_ = np.append(self.atom_indices_, np.array(taken, np.int64) + self._seen)
            if labels is not None:
                self._label(labels[taken])
        looked_at = error[~np.isnan(error)]
        return float(looked_at.mean()) if len(looked_at) else 0.0, len(taken)

    def _frequent(
        self, context: Any, dictionary: Any, batch: Rows, norm2: NDArray[np.float64], room: int
    ) -> list[int]:
        """The most frequent rows of the batch, the first of each, that are no atoms yet."""
        fresh = norm2 > 0
        if dictionary.m:
            missed = dictionary.pursue(context, batch.core, 1)[3]
            fresh &= missed > _SAME * norm2
        places = np.flatnonzero(fresh)
        first, counts = distinct(batch[places])
        order = np.lexsort((first, -counts))[:room]
        chosen: list[int] = places[first[order]].tolist()
        return chosen

    def _label(self, labels: NDArray[Any]) -> None:
        """Labels of new atoms; those of init have none, which is the zero or empty value of their type."""
        if self.atom_labels_ is None:
            before = len(self.atom_indices_) - len(labels)
            self.atom_labels_ = np.zeros((before, *labels.shape[1:]), labels.dtype)
        self.atom_labels_ = joined_labels(self.atom_labels_, labels)

    # ---- the core's dictionary

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "components_")

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_dictionary", None)
        return state

    def _grown(self, name: str) -> Any:
        """The core's dictionary of the atoms, made again where there is none."""
        dictionary = self.__dict__.get("_dictionary")
        if dictionary is None or dictionary.m != len(self.components_):
            context = call(name, self.n_threads)
            dictionary = backend().Dictionary(context, self.components_, growable=True)
            self._dictionary = dictionary
        return dictionary

    def _check_fitted(self, name: str) -> None:
        if not hasattr(self, "components_"):
            raise NotFittedError(f"{name}: fit must be called first; got no atoms. Call fit.")

"""ITDA: dictionaries of rows, grown where those so far do not suffice."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError

from latom._base.arrays import Matrix
from latom._base.backend import backend, call
from latom._base.checks import check_integer, shown
from latom._base.csr import as_csr
from latom._base.estimator import Estimator, validated_rows
from latom._base.history import DictionaryState, Iterations
from latom._base.progress import Progress
from latom._base.rows import Rows
from latom.encode.atoms import as_atoms, unstacked
from latom.encode.codes import decoded
from latom.encode.itda_checks import check_parameters, checked_labels
from latom.encode.itda_file import read, refuse, write
from latom.encode.pursuit import as_codes, distinct

_PARAMETERS = ("n_nonzero_coefs", "tol", "max_atoms", "algorithm", "update", "batch_size")
_SAME = 1e-10  # squared error at which a row is an atom already


class ITDA(Estimator):
    """Inference-time decomposition of activations: the atoms are rows that the atoms before them miss.

    Rows go by in batches. Each is coded by pursuit with the atoms so far; one whose error is above ``tol``
    becomes an atom itself, scaled to length 1, and keeps the label of its row, such as its token. No
    gradient, no epochs: one pass over the data.

    Parameters
    ----------
    n_nonzero_coefs : int, default 40
        Steps of the pursuit per row.
    tol : float, default 0.2
        A row becomes an atom where its squared error, with the row scaled to length 1, is above it: the
        share of the row that is missed, in [0, 1].
    max_atoms : int, optional
        Atoms at most: the rest of the data is then not looked at.
    algorithm : {"mp", "omp"}
        Pursuit, plain as in the authors' code or orthogonal as in their Algorithm 1: see
        :func:`latom.matching_pursuit`.
    update : {"batch", "sequential"}
        "batch", as the authors: all rows of a batch above ``tol`` with the atoms before the batch become
        atoms, equal ones once. "sequential": a row meets all atoms of rows before it, which gives smaller
        dictionaries, does not depend on ``batch_size`` once begun, and takes longer.
    init : "frequent" or array of shape (m, d)
        First atoms. "frequent": while there are fewer atoms than columns, the rows that are most frequent in
        the batch, those that come first among equals. An array: its rows, scaled to length 1.
    batch_size : int, default 1024
        Rows per batch.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`; the result does not depend on it.
    callback : callable, optional
        Called with a :class:`latom.DictionaryState` after each batch; a true result stops.
    verbose : int, default 0
        Whether to report each batch.

    Attributes
    ----------
    components_ : array of shape (m, d)
        Atoms, of length 1; float32 where the first X was float32 or half precision, else float64.
    atom_indices_ : int64 array of shape (m,)
        Rows that the atoms were, counted over all X since ``fit`` began; -1 for atoms of ``init``.
    atom_labels_ : array of shape (m, ...) or None
        Their labels, where labels were given.
    history_ : structured array
        A :class:`latom.DictionaryState` per batch.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    The error is ``|x - x^|^2 / |x|^2``. The authors' code has a mean over the columns of the difference of
    unit vectors, their paper the squared length; thresholds of one do not fit the other. Rows of length 0
    never become atoms. Cost per row as in :func:`latom.matching_pursuit`, and 2 m d flops per atom added for
    the Gram matrix (m^2 numbers, up to 1 GiB).

    References
    ----------
    Leask, Nanda & Al Moubayed, "Inference-time decomposition of activations (ITDA): a scalable approach to
    interpreting large language models", 2025.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import ITDA
    >>> X = np.array([[2.0, 0], [0, 1], [4, 0], [1, 1]])
    >>> model = ITDA(1, tol=0.4, init=np.array([[1.0, 0]])).fit(X, labels=["a", "b", "c", "d"])
    >>> model.atom_indices_.tolist()
    [-1, 1, 3]
    """

    components_: NDArray[Any]

    def __init__(
        self,
        n_nonzero_coefs: int = 40,
        tol: float = 0.2,
        max_atoms: int | None = None,
        *,
        algorithm: str = "mp",
        update: str = "batch",
        init: Any = "frequent",
        batch_size: int = 1024,
        n_threads: int | None = None,
        callback: Callable[[Any], Any] | None = None,
        verbose: int = 0,
    ) -> None:
        self.n_nonzero_coefs = n_nonzero_coefs
        self.tol = tol
        self.max_atoms = max_atoms
        self.algorithm = algorithm
        self.update = update
        self.init = init
        self.batch_size = batch_size
        self.n_threads = n_threads
        self.callback = callback
        self.verbose = verbose

    # ---- fitting

    def fit(self, X: Any, y: Any = None, *, labels: Any = None) -> ITDA:
        """Grow a dictionary from nothing, or from ``init``.

        Parameters
        ----------
        X : dense array of shape (n, d) or (..., d)
            Rows, as in :func:`latom.topk`; memory-mapped rows are read batch by batch.
        y : ignored
        labels : array of shape (n,) or (n, c), optional
            What each row is, such as its token and its place: ``atom_labels_`` has it for each atom.

        Returns
        -------
        self
        """
        return self._fit(f"{type(self).__name__}.fit", X, labels, reset=True)

    def partial_fit(self, X: Any, y: Any = None, *, labels: Any = None) -> ITDA:
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
        return self._fit(f"{type(self).__name__}.partial_fit", X, labels, reset=fresh)

    def _fit(self, name: str, X: Any, labels: Any, reset: bool) -> ITDA:
        check_parameters(name, self)
        X, _ = unstacked(name, X)
        rows = validated_rows(self, name, X, reset=reset, accept_sparse=False)
        if reset:
            self._start(name, rows)
        rows = rows.as_type(name, self.components_.dtype)
        labels = checked_labels(name, labels, len(rows), None if reset else self._labeled)
        self._labeled: bool = labels is not None
        size = check_integer(name, "batch_size", self.batch_size)
        batches = -(-len(rows) // size)
        with Progress(name, batches, int(self.verbose)) as progress:
            run = Iterations(DictionaryState, batches, self.callback, progress)
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
        past = self.__dict__.get("history_")
        self.history_ = run.history if past is None else np.concatenate([past, run.history])
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
        self.atom_labels_: NDArray[Any] | None = None
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
        self.atom_labels_ = np.concatenate([self.atom_labels_, labels])

    # ---- using it

    def transform(self, X: Any) -> Matrix:
        """Sparse codes of the rows of X: ``n_nonzero_coefs`` steps of the pursuit, whatever ``tol``.

        Parameters
        ----------
        X : dense array of shape (n, d) or (..., d)

        Returns
        -------
        codes : scipy.sparse.csr_array of shape (n, m)
        """
        name = f"{type(self).__name__}.transform"
        self._check_fitted(name)
        check_parameters(name, self)
        rows = validated_rows(self, name, unstacked(name, X)[0], reset=False, accept_sparse=False)
        rows = rows.as_type(name, self.components_.dtype)
        steps = check_integer(name, "n_nonzero_coefs", self.n_nonzero_coefs)
        context = call(name, self.n_threads)
        parts = self._grown(name).pursue(context, rows.core, steps, orthogonal=self.algorithm == "omp")
        return as_codes(name, parts, (len(rows), len(self.components_)))[0]

    def inverse_transform(self, X: Any) -> NDArray[Any]:
        """Rows from codes: codes times atoms.

        Parameters
        ----------
        X : sparse array of shape (n, m)

        Returns
        -------
        rows : array of shape (n, d)
        """
        name = f"{type(self).__name__}.inverse_transform"
        self._check_fitted(name)
        return decoded(name, as_csr(name, X, "X"), self.components_, "b", None, self.n_threads)

    def jaccard(self, other: ITDA) -> float:
        """How far two dictionaries were made of the same rows: shared rows over rows of either.

        Parameters
        ----------
        other : ITDA
            Fitted, on activations of the same texts. Atoms are compared by their labels where both have
            labels, else by the numbers of their rows; those of ``init`` do not count.

        Returns
        -------
        similarity : float
            In [0, 1].
        """
        name = f"{type(self).__name__}.jaccard"
        if not isinstance(other, ITDA):
            raise TypeError(f"{name}: other must be an ITDA; got {type(other).__name__}. Pass a fitted one.")
        for model in (self, other):
            model._check_fitted(name)
        by_label = self.atom_labels_ is not None and other.atom_labels_ is not None
        ours, theirs = self._ids(by_label), other._ids(by_label)
        return len(ours & theirs) / max(1, len(ours | theirs))

    def _ids(self, by_label: bool) -> set[Any]:
        own = self.atom_indices_ >= 0
        if not by_label or self.atom_labels_ is None:
            return set(self.atom_indices_[own].tolist())
        labels = self.atom_labels_[own].tolist()
        return {tuple(label) if isinstance(label, list) else label for label in labels}

    # ---- files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write atoms, rows, labels and parameters to a ``.npz`` file, without pickles.

        Parameters
        ----------
        path : path
            Numpy adds ``.npz`` where it is missing.
        """
        name = f"{type(self).__name__}.save"
        self._check_fitted(name)
        write(name, path, {key: getattr(self, key) for key in _PARAMETERS}, self._state())

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, n_threads: int | None = None) -> ITDA:
        """A dictionary that :meth:`save` has written: it codes with the same bits, and goes on growing.

        Parameters
        ----------
        path : path
        n_threads : int, optional

        Returns
        -------
        model : ITDA
        """
        name = f"{cls.__name__}.load"
        parameters, state = read(name, path)
        try:
            model = cls(**parameters, n_threads=n_threads)
        except TypeError as error:
            refuse(name, path, error)
        for key, value in state.items():
            setattr(model, key, value)
        return model

    def _state(self) -> dict[str, Any]:
        names = ("components_", "atom_indices_", "atom_labels_", "n_features_in_", "_seen", "_labeled")
        return {key: getattr(self, key) for key in names}

    # ---- what scikit-learn asks for

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

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

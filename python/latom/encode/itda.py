"""ITDA: dictionaries of rows, grown where those so far do not suffice."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from latom._base.backend import call
from latom._base.checks import check_integer
from latom.encode.codes import decoded
from latom.encode.growing_dictionary import GrowingDictionary
from latom.encode.itda_checks import check_parameters
from latom.encode.itda_file import read, refuse, write
from latom.encode.pursuit import as_codes

_PARAMETERS = ("n_nonzero_coefs", "tol", "max_atoms", "algorithm", "update", "batch_size", "sparse_output")


class ITDA(GrowingDictionary):
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
    sparse_output : bool, default True
        Codes are CSR; False makes them a dense array, which ``set_output(transform="pandas")`` needs.
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
        A :class:`latom.DictionaryState` per batch since ``fit`` began, over all calls of ``partial_fit``.
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
        sparse_output: bool = True,
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
        self.sparse_output = sparse_output
        self.n_threads = n_threads
        self.callback = callback
        self.verbose = verbose

    # ---- using it

    def transform(self, X: Any) -> Any:
        """Sparse codes of the rows of X: ``n_nonzero_coefs`` steps of the pursuit, whatever ``tol``.

        Parameters
        ----------
        X : dense array of shape (n, d) or (..., d)

        Returns
        -------
        codes : scipy.sparse.csr_array of shape (n, m), or an array without ``sparse_output``
        """
        name = f"{type(self).__name__}.transform"
        self._check_fitted(name)
        check_parameters(name, self)
        rows = self._rows_to_code(name, X)
        rows = rows.as_type(name, self.components_.dtype)
        steps = check_integer(name, "n_nonzero_coefs", self.n_nonzero_coefs)
        context = call(name, self.n_threads)
        parts = self._grown(name).pursue(context, rows.core, steps, orthogonal=self.algorithm == "omp")
        codes = as_codes(name, parts, (len(rows), len(self.components_)))[0]
        return codes if self.sparse_output else codes.toarray()

    def inverse_transform(self, X: Any) -> NDArray[Any]:
        """Rows from codes: codes times atoms.

        Parameters
        ----------
        X : sparse or dense array of shape (n, m)
            Codes; sparse tensors are taken.

        Returns
        -------
        rows : array of shape (n, d)
        """
        name = f"{type(self).__name__}.inverse_transform"
        self._check_fitted(name)
        codes = self._given_codes(name, X, len(self.components_))
        return decoded(name, codes, self.components_, "b", None, self.n_threads)

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

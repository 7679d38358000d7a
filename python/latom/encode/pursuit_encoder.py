"""Matching pursuit as a scikit-learn transformer."""

from __future__ import annotations

from typing import Any, NoReturn

import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import Matrix
from latom._base.backend import call
from latom._base.checks import check_choice, check_flag, check_integer, check_range
from latom._base.csr import csr_of
from latom._base.packed import packed
from latom._base.rows import Rows
from latom.encode.atoms import as_atoms
from latom.encode.base_encoder import BaseEncoder
from latom.encode.codes import decoded
from latom.encode.pursuit import PursuitAtoms
from latom.encode.topk import above

ALGORITHMS = ("omp", "mp", "threshold")


class MatchingPursuit(BaseEncoder):
    """Sparse codes of rows over a dictionary that is given: scikit-learn's ``SparseCoder``, with CSR out.

    Parameters
    ----------
    dictionary : array of shape (m, d)
        Atoms, of length 1 best.
    transform_algorithm : {"omp", "mp", "threshold"}
        "omp": :func:`latom.orthogonal_matching_pursuit`. "mp": :func:`latom.matching_pursuit`. "threshold":
        products of row and atom, moved towards 0 by ``transform_alpha``; those below it are 0.
    transform_n_nonzero_coefs : int, optional
        Atoms (or steps) per row. None: a tenth of the columns of X, at least 1 and at most m.
    transform_alpha : float, optional
        "omp" and "mp": tolerance, the squared length of the residual at which a row is done; it replaces
        ``transform_n_nonzero_coefs``, as scikit-learn documents but does not do. "threshold": the threshold;
        None is 1.
    split_sign : bool, default False
        Codes have 2 m columns: what is positive, and minus what is negative.
    positive_code : bool, default False
        No negative coefficients; not with "omp".
    sparse_output : bool, default True
        Codes are CSR; False makes them a dense array, which ``set_output(transform="pandas")`` needs.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`; the result does not depend on it.

    Attributes
    ----------
    components_ : array of shape (m, d)
        The dictionary, after ``fit``.
    n_components_ : int
        m.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    Nothing is learned: ``transform`` works without ``fit``, which checks that X and dictionary go
    together. Cost and promises as in :func:`latom.matching_pursuit`; the Gram matrix of the dictionary
    is kept for the next ``transform``, and not pickled. "lasso_lars" and "lasso_cd" are not offered.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import MatchingPursuit
    >>> coder = MatchingPursuit(np.eye(3), transform_n_nonzero_coefs=1)
    >>> coder.transform(np.array([[1.0, -3, 2]])).toarray().tolist()
    [[0.0, -3.0, 0.0]]
    """

    components_: NDArray[Any]

    def __init__(
        self,
        dictionary: Any,
        *,
        transform_algorithm: str = "omp",
        transform_n_nonzero_coefs: int | None = None,
        transform_alpha: float | None = None,
        split_sign: bool = False,
        positive_code: bool = False,
        sparse_output: bool = True,
        n_threads: int | None = None,
    ) -> None:
        self.dictionary = dictionary
        self.transform_algorithm = transform_algorithm
        self.transform_n_nonzero_coefs = transform_n_nonzero_coefs
        self.transform_alpha = transform_alpha
        self.split_sign = split_sign
        self.positive_code = positive_code
        self.sparse_output = sparse_output
        self.n_threads = n_threads

    def fit(self, X: Any, y: Any = None) -> MatchingPursuit:
        """Check that X has the columns of the dictionary.

        Parameters
        ----------
        X : dense array of shape (n, d) or (..., d)
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If it has not, X or the dictionary is sparse, X holds NaN or infinity, or a choice is not known.
            Numbers among the parameters are checked by :meth:`transform`.
        """
        name = f"{type(self).__name__}.fit"
        self._check_parameters(name)
        rows = self._rows(name, X, reset=True)
        self.components_ = self._fitting(name, rows).rows
        return self

    def transform(self, X: Any) -> Any:
        """Sparse codes of the rows of X.

        Parameters
        ----------
        X : dense array of shape (n, d) or (..., d)

        Returns
        -------
        codes : scipy.sparse.csr_array of shape (n, m), or (n, 2 m) with ``split_sign``
        """
        name = f"{type(self).__name__}.transform"
        self._check_parameters(name)
        rows = self._rows_to_code(name, X)
        codes = self._codes(name, rows, self._fitting(name, rows))
        if self.split_sign:
            codes = sp.csr_array(sp.hstack([codes.maximum(0), (-codes).maximum(0)]))
        return codes if self.sparse_output else codes.toarray()

    def inverse_transform(self, X: Any) -> NDArray[Any]:
        """Rows from codes: codes times dictionary.

        Parameters
        ----------
        X : sparse or dense array of shape (n, m), or (n, 2 m) with ``split_sign``

        Returns
        -------
        rows : array of shape (n, d)
        """
        name = f"{type(self).__name__}.inverse_transform"
        atoms = as_atoms(name, "dictionary", self.dictionary)
        m = len(atoms)
        codes = self._given_codes(name, X, 2 * m if self.split_sign else m)
        if self.split_sign:
            codes = sp.csr_array(codes[:, :m] - codes[:, m:])
        return decoded(name, codes, atoms, "b", None, self.n_threads)

    # ---- what scikit-learn asks for

    @property
    def n_components_(self) -> int:
        """Atoms."""
        return len(self.dictionary)

    @property
    def _n_features_out(self) -> int:
        return len(self.dictionary) * (2 if self.split_sign else 1)

    # ---- the parts

    def _fitting(self, name: str, rows: Rows) -> PursuitAtoms:
        """The packed dictionary, made again when the parameter is another object."""
        atoms: PursuitAtoms = packed(
            self, (self.dictionary,), lambda: PursuitAtoms(as_atoms(name, "dictionary", self.dictionary))
        )
        if atoms.rows.shape[1] != rows.shape[1]:
            raise ValueError(
                f"{name}: X must have as many columns as dictionary, {atoms.rows.shape[1]}; got "
                f"{rows.shape[1]}. Pass rows of that width."
            )
        return atoms

    def _codes(self, name: str, rows: Rows, atoms: PursuitAtoms) -> Matrix:
        m, d = atoms.rows.shape
        steps = min(max(d // 10, 1), m)
        if self.transform_n_nonzero_coefs is not None:
            steps = check_integer(name, "transform_n_nonzero_coefs", self.transform_n_nonzero_coefs, m)
        alpha = self.transform_alpha
        if alpha is not None:
            alpha = check_range(name, "transform_alpha", alpha)
        if self.transform_algorithm == "threshold":
            return self._shrunk(rows, atoms.rows, 1.0 if alpha is None else alpha)
        context = call(name, self.n_threads)
        if alpha is not None:
            steps = m
        return atoms.pursue(
            context,
            rows,
            steps,
            tol=-1.0 if alpha is None else alpha,
            orthogonal=self.transform_algorithm == "omp",
            positive=bool(self.positive_code),
        )[0]

    def _shrunk(self, rows: Rows, atoms: NDArray[Any], alpha: float) -> Matrix:
        """Products beyond the threshold, and how far they are."""
        X = rows.numbers
        codes = _beyond(above(X, atoms, alpha, n_threads=self.n_threads), alpha)
        if not self.positive_code:
            codes = sp.csr_array(codes - _beyond(above(X, -atoms, alpha, n_threads=self.n_threads), alpha))
        return codes

    def _check_parameters(self, name: str) -> None:
        check_choice(name, "transform_algorithm", self.transform_algorithm, ALGORITHMS)
        for flag in ("split_sign", "positive_code", "sparse_output"):
            check_flag(name, flag, getattr(self, flag))
        if self.positive_code and self.transform_algorithm == "omp":
            _refuse_positive(name)
        self._check_place(name)


def _beyond(products: Matrix, alpha: float) -> Matrix:
    data = (products.data - alpha).astype(products.dtype, copy=False)
    return csr_of(products, data, products.indices, products.indptr)


def _refuse_positive(name: str) -> NoReturn:
    raise ValueError(
        f"{name}: positive_code must be False with transform_algorithm='omp'; got True. "
        "Use 'mp', whose positive steps are defined."
    )

"""Matching pursuit: sparse codes of dense rows, atom after atom."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import Matrix
from latom._base.backend import backend, call
from latom._base.checks import check_flag, check_integer, check_range
from latom._base.csr import csr_of_parts
from latom._base.finite import check_held
from latom._base.foreign import refuse_sparse
from latom._base.rows import Rows
from latom.encode.atoms import as_atoms, unstacked
from latom.encode.tensors import as_output, check_output


def matching_pursuit(
    X: Any,
    atoms: Any,
    n_nonzero_coefs: int | None = None,
    *,
    tol: float | None = None,
    positive: bool = False,
    repeat: bool = True,
    output: str = "numpy",
    n_threads: int | None = None,
) -> Any:
    """Sparse codes by matching pursuit: each step takes the atom that the residual is most like.

    With the residual r, at first the row, a step takes the atom w with the largest ``|<r, w>|``, adds
    ``<r, w> / <w, w>`` to its coefficient, and takes that multiple of w from r.

    Parameters
    ----------
    X : dense array of shape (n, d) or (..., d)
        Rows, as in :func:`latom.topk`.
    atoms : dense array of shape (m, d)
        Atoms. Of the same length, 1 best: longer ones are preferred.
    n_nonzero_coefs : int, optional
        Steps per row; as an atom may be taken again, at most so many coefficients. None: m / 10, at least 1.
    tol : float, optional
        A row is done once the squared length of its residual is at most tol, after m steps at the latest. As
        in scikit-learn, tol then replaces ``n_nonzero_coefs``, and a row gets at least one atom.
    positive : bool, default False
        Take atoms by the largest ``<r, w>``, and none where that is not above 0: no negative coefficients.
    repeat : bool, default True
        An atom may be taken again. False takes each at most once.
    output : {"numpy", "torch"}, default "numpy"
        Codes are CSR of scipy, also for tensors, unless "torch" asks for a sparse COO tensor.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`. The result does not depend on it.

    Returns
    -------
    codes : scipy.sparse.csr_array of shape (n, m)
        Coefficients, sorted by atom, no zeros stored; float32 where X and atoms both are float32 or half
        precision, else float64. :func:`latom.decode` makes rows of them.

    Raises
    ------
    ValueError
        If shapes disagree, a number is out of range, X or atoms hold NaN or infinity, or a coefficient
        exceeds float32 where that is its type.
    TypeError
        If X or atoms are sparse, or do not hold real numbers.

    Notes
    -----
    The atoms taken are those of float64 products with the float64 residual, the lowest index among equal
    ones; products in 16 bits discard the rest by a proven bound. So codes are the same for every
    number of threads, every processor, and whatever rows stand beside. A row ends early once no product
    matters: when the square of the largest is below ``eps |x|^2 |w|^2``, eps that of the dtype.

    Cost: 2 m d flops per row, and per step m numbers of the Gram matrix of the atoms, which takes 2 m^2 d
    flops once and 2 m^2 bytes. Where it would take more than 1 GiB, or there are few rows, a step costs
    2 m d flops instead.

    References
    ----------
    Mallat & Zhang, "Matching pursuits with time-frequency dictionaries", 1993.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import matching_pursuit
    >>> matching_pursuit(np.array([[3.0, 0, -1]]), np.eye(3), 1).toarray().tolist()
    [[3.0, 0.0, 0.0]]
    """
    function = "matching_pursuit"
    check_flag(function, "positive", positive)
    check_flag(function, "repeat", repeat)
    check_output(function, output)
    table = PursuitAtoms(as_atoms(function, "atoms", atoms))
    steps, squared = _limits(function, n_nonzero_coefs, tol, len(table.rows), None if repeat else "atoms")
    codes = table.pursue(
        call(function, n_threads), X, steps, tol=squared, positive=bool(positive), repeat=bool(repeat)
    )[0]
    return as_output(function, codes, output)


def orthogonal_matching_pursuit(
    X: Any,
    atoms: Any,
    n_nonzero_coefs: int | None = None,
    *,
    tol: float | None = None,
    output: str = "numpy",
    n_threads: int | None = None,
) -> Any:
    """Sparse codes by orthogonal matching pursuit: after each step, all coefficients by least squares.

    scikit-learn's ``orthogonal_mp(atoms.T, X.T).T``, as CSR.

    Parameters
    ----------
    X : dense array of shape (n, d) or (..., d)
        Rows, as in :func:`latom.topk`.
    atoms : dense array of shape (m, d)
        Atoms. Of the same length, 1 best: longer ones are preferred.
    n_nonzero_coefs : int, optional
        Atoms per row, at most m. None: m / 10, at least 1.
    tol : float, optional
        A row is done once the squared length of its residual is at most tol. As in scikit-learn, tol then
        replaces ``n_nonzero_coefs``, and a row gets at least one atom.
    output, n_threads
        As in :func:`matching_pursuit`.

    Returns
    -------
    codes : scipy.sparse.csr_array of shape (n, m)
        As in :func:`matching_pursuit`.

    Raises
    ------
    ValueError, TypeError
        As in :func:`matching_pursuit`.

    Notes
    -----
    As in :func:`matching_pursuit`; with s atoms taken a step reads s rows of the Gram matrix. Coefficients
    solve the normal equations by a Cholesky factor that grows with the atoms, in float64 throughout. A
    row also ends, in silence, where its next atom depends on those that it has.

    References
    ----------
    Pati, Rezaiifar & Krishnaprasad, "Orthogonal matching pursuit", 1993. Rubinstein, Zibulevsky & Elad,
    "Efficient implementation of the K-SVD algorithm using batch orthogonal matching pursuit", 2008.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import orthogonal_matching_pursuit
    >>> atoms = np.array([[1.0, 0], [0.6, 0.8]])
    >>> orthogonal_matching_pursuit(np.array([[2.0, 0.8]]), atoms, 2).toarray().round(6).tolist()
    [[1.4, 1.0]]
    """
    function = "orthogonal_matching_pursuit"
    check_output(function, output)
    table = PursuitAtoms(as_atoms(function, "atoms", atoms))
    steps, squared = _limits(function, n_nonzero_coefs, tol, len(table.rows), "atoms")
    codes = table.pursue(call(function, n_threads), X, steps, tol=squared, orthogonal=True)[0]
    return as_output(function, codes, output)


class PursuitAtoms:
    """Atoms, packed for the pursuit of rows of either float type when first asked for."""

    def __init__(self, rows: NDArray[Any]) -> None:
        self.rows = rows
        self._dictionaries: dict[Any, Any] = {}

    def pursue(
        self, context: Any, X: Any, steps: int, tol: float = -1.0, **options: Any
    ) -> tuple[Matrix, NDArray[np.float64]]:
        """Codes, and the squared length of each row's residual. options: of the core's Dictionary.pursue."""
        rows = dense_rows(context.function, X)
        dtype = np.float32 if self.rows.dtype == rows.dtype == np.float32 else np.float64
        dictionary = self._dictionaries.get(dtype)
        if dictionary is None:
            made = backend().Dictionary(context, self.rows.astype(dtype, copy=False))
            dictionary = self._dictionaries.setdefault(dtype, made)
        rows = rows.as_type(context.function, dtype)
        parts = dictionary.pursue(context, rows.core, steps, tol=tol, **options)
        return as_codes(context.function, parts, (len(rows), len(self.rows)))


def dense_rows(function: str, X: Any) -> Rows:
    """Dense rows; those of more dimensions in their order."""
    X, _ = unstacked(function, X)
    if isinstance(X, Rows):
        return X
    refuse_sparse(function, X)
    return Rows(function, X)


def as_codes(
    function: str, parts: tuple[NDArray[Any], ...], shape: tuple[int, int]
) -> tuple[Matrix, NDArray[np.float64]]:
    """What the core returns of a pursuit as CSR, and the squared residuals."""
    indptr, indices, values, error = parts
    check_held(function, "X", "coefficients", values, remedy="Scale X down, or atoms up.")
    return csr_of_parts(values, indices, indptr, shape), error


def _limits(function: str, steps: Any, tol: Any, m: int, most: str | None) -> tuple[int, float]:
    """Steps per row and the squared residual, by scikit-learn's rules; most: what bounds n_nonzero_coefs."""
    if steps is not None:
        steps = check_integer(function, "n_nonzero_coefs", steps, None if most is None else m)
    if tol is not None:
        return m, check_range(function, "tol", tol)
    return max(m // 10, 1) if steps is None else steps, -1.0


def distinct(rows: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first place of each distinct row, and how often it occurs."""
    if not len(rows):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    keys = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    return first, counts

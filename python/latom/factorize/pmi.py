"""Embeddings from pointwise mutual information: how much more often two things meet than by chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from latom._base.arrays import Matrix, as_seed
from latom._base.backend import backend, call
from latom._base.checks import check_choice, check_integer, check_number, check_range, is_number
from latom._base.rows import Rows
from latom.factorize.embedding import Embedding

Array = NDArray[Any]
WEIGHTINGS = ("none", "arora")
ARORA_CAP = 100.0  # of a weight, as its authors set it
STEP = 2048  # rows of a block


class PMIFactorization(Embedding):
    """Embeddings of rows and columns of counts by factors of their pointwise mutual information.

        pmi_ij = log(x_ij total / (row_i column_j)) - shift

    over stored entries. Without weights the positive part is factored by a truncated SVD; with them, all
    entries by weighted alternating least squares.

    Parameters
    ----------
    n_components : int, default 128
        Columns of the embeddings.
    shift : float, default 0.0
        Taken from each entry: the logarithm of the number of negative samples of word2vec.
    cap : float, optional
        Counts above it count as it; with ``weighting="arora"``, weights do (None: 100).
    weighting : {"none", "arora"}, default "none"
        "arora": entries weigh as their counts, up to `cap`.
    window : int, default 1
        Steps of random walks whose visits are counted, for X a square adjacency: DeepWalk's window. More than
        1 makes the counts denser with each step.
    power : float in [0, 1], default 0.5
        Of the singular values in the embedding of rows; that of columns takes the rest.
    n_iter : int, default 5
        Power iterations of the SVD, or iterations of the least squares.
    l2 : float, default 1.0
        Ridge of the weighted least squares.
    random_state : int, Generator, RandomState or None
        Seed of the SVD.
    n_threads : int, optional
        As in :class:`latom.NMF`.

    Attributes
    ----------
    components_ : array of shape (n_components, d)
        The embedding of columns: the factored matrix is about ``fit_transform(X) @ components_``.
    singular_values_ : array of shape (n_components,)
        Without weights.
    losses_ : list of float
        With weights: the weighted squared error and ridge after each iteration; it never rises.
    column_share_ : array of shape (d,)
        Share of each column in all counts.
    n_features_in_ : int

    Notes
    -----
    Without weights as :class:`latom.TruncatedSVD`; with them k^2 multiply-adds an entry and half-step. Both
    are deterministic for any number of threads.

    References
    ----------
    Levy & Goldberg, "Neural word embedding as implicit matrix factorization", 2014.
    Arora, Li, Liang, Ma & Risteski, "A latent variable model approach to PMI-based word embeddings", 2016.
    Qiu et al., "Network embedding as matrix factorization", 2018.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from latom import PMIFactorization
    >>> X = sp.csr_array([[4.0, 4, 0, 0], [4, 4, 0, 0], [0, 0, 3, 3], [0, 0, 3, 3]])
    >>> Z = PMIFactorization(2, random_state=0).fit_transform(X)
    >>> bool(abs(Z[0] - Z[1]).max() < 1e-9), bool(abs(Z[0] @ Z[2]) < 1e-9)
    (True, True)
    """

    components_: Array
    column_share_: NDArray[np.float64]

    def __init__(
        self,
        n_components: int = 128,
        *,
        shift: float = 0.0,
        cap: float | None = None,
        weighting: str = "none",
        window: int = 1,
        power: float = 0.5,
        n_iter: int = 5,
        l2: float = 1.0,
        random_state: Any = None,
        n_threads: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.shift = shift
        self.cap = cap
        self.weighting = weighting
        self.window = window
        self.power = power
        self.n_iter = n_iter
        self.l2 = l2
        self.random_state = random_state
        self.n_threads = n_threads

    def fit_transform(self, X: Matrix, y: Any = None) -> Array:
        """Embed rows and columns, and return the embedding of rows.

        Parameters
        ----------
        X : CSR or array of shape (n, d)
            Counts, or an adjacency; not negative.
        y : ignored

        Returns
        -------
        embedding : array of shape (n, n_components)

        Raises
        ------
        ValueError
            If X is negative or a parameter is out of range.
        """
        return self._fit(f"{type(self).__name__}.fit_transform", X)

    def _fit(self, name: str, X: Matrix) -> Array:
        counts = self._counts(name, X, reset=True)
        k = self._check_parameters(name, counts.shape)
        self._walk: Any = None
        if self.window > 1:
            self._walk = _walks(name, counts, self.window)
            counts = sp.csr_array(counts @ self._walk)
        columns = np.zeros(counts.shape[1])
        columns += np.bincount(counts.indices, counts.data.astype(np.float64), minlength=counts.shape[1])
        total = float(columns.sum())
        self.column_share_ = columns / (total if total > 0 else 1.0)
        information, weights = self._information(counts)
        rows = Rows(name, information)
        context = call(name, self.n_threads, as_seed(name, self.random_state))
        U, S, V = backend().randomized_svd(context, rows.core, k, 10, self.n_iter)
        root = np.where(S > 0, S, 1) ** self.power * (S > 0)
        rest = np.where(S > 0, S, 1) ** (1 - self.power)
        embedding: Array = U * root.astype(U.dtype)
        F = np.ascontiguousarray(V * rest.astype(V.dtype))
        self.singular_values_ = S
        if weights is not None:
            embedding, F = self._weighted(name, rows, weights, F)
        self.components_ = np.ascontiguousarray(F.T)
        return embedding

    def transform(self, X: Matrix) -> Array:
        """Embeddings of other rows of counts, with the columns as fitted.

        Parameters
        ----------
        X : CSR or array of shape (m, d)

        Returns
        -------
        embedding : array of shape (m, n_components)
            The least-squares fit of a row's information by the columns' embeddings.
        """
        check_is_fitted(self)
        name = f"{type(self).__name__}.transform"
        counts = self._counts(name, X, reset=False)
        if self._walk is not None:
            counts = sp.csr_array(counts @ self._walk)
        information, weights = self._information(counts)
        rows, context = Rows(name, information), call(name, self.n_threads)
        F = np.ascontiguousarray(self.components_.T, rows.dtype)
        if weights is not None:
            found: Array = backend().weighted_rows(context, rows.core, weights, F, self.l2)
            return found
        inverse = np.linalg.pinv(backend().gram(context, F), hermitian=True)
        projected: Array = backend().multiply(context, rows.core, F)
        made: Array = projected @ inverse.astype(F.dtype)
        return made

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.input_tags.pairwise = not (is_number(self.window) and self.window == 1)  # walks: of a graph
        return tags

    def _counts(self, name: str, X: Matrix, reset: bool) -> Any:
        rows = self._non_negative(name, X, reset, "", "Pass counts.")
        return rows.array if rows.sparse else sp.csr_array(rows[:])

    def _information(self, counts: Any) -> tuple[Any, Array | None]:
        """The matrix that is factored, and the weights of its entries."""
        cap = self.cap if self.weighting == "none" else None
        values = counts.data.astype(np.float64)
        if cap is not None:
            values = np.minimum(values, cap)
        row = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
        share = np.bincount(row, counts.data.astype(np.float64), minlength=counts.shape[0])[row]
        share = share * self.column_share_[counts.indices]
        seen = (values > 0) & (share > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            pmi = np.where(seen, np.log(values / share), 0) - self.shift * seen
        weighted = self.weighting == "arora"
        kept = seen if weighted else pmi > 0
        ends = np.concatenate([[0], np.cumsum(kept)])[counts.indptr]
        made = sp.csr_array(
            (pmi[kept].astype(counts.dtype), counts.indices[kept], ends.astype(counts.indptr.dtype)),
            shape=counts.shape,
        )
        if not weighted:
            return made, None
        weights = np.minimum(values[kept], ARORA_CAP if self.cap is None else self.cap)
        return made, weights.astype(counts.dtype)

    def _weighted(self, name: str, rows: Rows, weights: Array, F: Array) -> tuple[Array, Array]:
        """Alternating least squares from the columns' F [d, k]."""
        X = rows.array
        marked = sp.csr_array((np.arange(1, X.nnz + 1), X.indices, X.indptr), shape=X.shape).T.tocsr()
        place = marked.data - 1
        turned = Rows(name, sp.csr_array((X.data[place], marked.indices, marked.indptr), shape=marked.shape))
        turned_weights = np.ascontiguousarray(weights[place])
        row = np.repeat(np.arange(len(rows)), np.diff(X.indptr))
        core, context = backend(), call(name, self.n_threads)
        self.losses_ = []
        for _ in range(self.n_iter):
            W: Array = core.weighted_rows(context, rows.core, weights, F, self.l2)
            F = core.weighted_rows(context, turned.core, turned_weights, W, self.l2)
            loss = self.l2 * (np.square(W, dtype=np.float64).sum() + np.square(F, dtype=np.float64).sum())
            for first in range(0, X.nnz, 1 << 16):
                part = slice(first, first + (1 << 16))
                fitted = np.einsum("ij,ij->i", W[row[part]], F[X.indices[part]], dtype=np.float64)
                loss += float(weights[part] @ np.square(X.data[part] - fitted))
            self.losses_.append(float(loss))
        W = core.weighted_rows(context, rows.core, weights, F, self.l2)
        return W, F

    def _check_parameters(self, name: str, shape: tuple[int, int]) -> int:
        k = self._check_n_components(name, shape)
        check_range(name, "shift", self.shift)
        check_choice(name, "weighting", self.weighting, WEIGHTINGS)
        check_integer(name, "window", self.window)
        check_range(name, "power", self.power, 1)
        check_integer(name, "n_iter", self.n_iter)
        check_number(name, "l2", self.l2)
        if self.cap is not None:
            check_number(name, "cap", self.cap)
        if self.window > 1 and shape[0] != shape[1]:
            raise ValueError(
                f"{name}: X must be square with window > 1, the adjacency of a graph; got shape {shape}. "
                "Use window=1 for a table of counts."
            )
        self._check_place(name)
        return k


def _walks(name: str, A: Any, window: int) -> Any:
    """(I + P + ... + P^(window - 1)) / window with P = D^-1 A."""
    degrees = np.asarray(A.sum(axis=1, dtype=np.float64)).ravel()
    inverse = np.divide(1, degrees, out=np.zeros_like(degrees), where=degrees > 0)
    P = sp.csr_array(sp.diags_array(inverse.astype(A.dtype)) @ A)
    one = sp.csr_array(sp.eye_array(A.shape[0], dtype=A.dtype))
    total = one
    for _ in range(window - 1):
        parts = [total[i : i + STEP] @ P for i in range(0, A.shape[0], STEP)]  # scipy hears no Ctrl-C
        total = sp.csr_array(one + sp.vstack(parts, format="csr"))
    total.data /= A.dtype.type(window)  # scipy would make float64 of float32
    return total

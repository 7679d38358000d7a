"""Embeddings of graphs by powers of their matrix times a very sparse random one."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from latom._base.arrays import Matrix, as_numpy, as_seed
from latom._base.backend import backend, call
from latom._base.checks import check_choice, check_flag, check_integer, number_of, shown
from latom._base.estimator import validated_rows
from latom._base.finite import check_held
from latom._base.rows import Rows
from latom.factorize.embedding import Embedding
from latom.factorize.rank.alignment import unit_rows
from latom.factorize.truncated_svd import multiply_rows

Array = NDArray[Any]
PROJECTIONS = ("sparse", "gaussian")


class FastRP(Embedding):
    """Node embeddings: weighted powers of a graph's matrix times a random projection.

        U_0 = R,  U_q = M U_(q-1),  embedding = sum of weights[q - 1] U_q over q = 1, 2, ...

    with M = D^-1 A, the adjacency with rows that sum to 1.

    Parameters
    ----------
    n_components : int, default 128
        Columns of R, and so of the embedding.
    weights : sequence of float or None, default (0, 0, 1, 1)
        Of the powers, the first first. None sets the first three beside each other, unweighted.
    projection : {"sparse", "gaussian"}, default "sparse"
        "sparse": one in sqrt(n) numbers of R is not 0, and +-1 times what makes their variance
        1 / n_components. "gaussian": normal numbers of that variance.
    beta : float, default 0.0
        Rows of R are multiplied by (degree / sum of degrees) ** beta: below 0, hubs count for less.
    transition : bool, default True
        M = D^-1 A; False takes A itself.
    normalize : bool, default False
        Each power is added with rows of length 1.
    standardize : bool, default True
        Columns of the embedding get mean 0 and deviation 1.
    random_state : int, Generator, RandomState or None
        Seed of R.
    n_threads : int, optional
        As in :class:`latom.NMF`.

    Attributes
    ----------
    embedding_ : array of shape (n, columns)
        Of the nodes; what ``fit_transform`` returns.
    mean_, scale_ : array of shape (columns,)
        What the embedding was standardized with; 0 and 1 without ``standardize``.
    n_features_in_ : int
        Nodes.

    Notes
    -----
    Of a sparse R only the entries are drawn, so that the first power costs little; any other stands in the
    memory that the second power takes. A power costs 2 nnz n_components flops; extra memory is two arrays
    of the embedding's size. The result does not
    depend on threads or processor, to the bit.

    References
    ----------
    Chen, Sultan, Tian, Chen & Skiena, "Fast and accurate network embeddings via very sparse random
    projection", 2019.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> from latom import FastRP
    >>> A = sp.block_diag([np.ones((5, 5)), np.ones((5, 5))], format="csr")
    >>> Z = FastRP(8, random_state=0).fit_transform(A)
    >>> bool(np.allclose(Z[0], Z[4])), bool(np.allclose(Z[0], Z[5]))
    (True, False)
    """

    embedding_: Array
    mean_: NDArray[np.float64]
    scale_: NDArray[np.float64]

    def __init__(
        self,
        n_components: int = 128,
        weights: Any = (0, 0, 1, 1),
        *,
        projection: str = "sparse",
        beta: float = 0.0,
        transition: bool = True,
        normalize: bool = False,
        standardize: bool = True,
        random_state: Any = None,
        n_threads: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.weights = weights
        self.projection = projection
        self.beta = beta
        self.transition = transition
        self.normalize = normalize
        self.standardize = standardize
        self.random_state = random_state
        self.n_threads = n_threads

    def fit_transform(self, X: Matrix, y: Any = None) -> Array:
        """Embed the nodes of a graph and return the embedding.

        Parameters
        ----------
        X : CSR or array of shape (n, n)
            The adjacency; not negative where ``transition`` divides by its sums.
        y : ignored

        Returns
        -------
        embedding : array of shape (n, n_components), or (n, 3 n_components) with ``weights=None``

        Raises
        ------
        ValueError
            If X is not square, or a parameter is out of range.
        """
        return self._fit(f"{type(self).__name__}.fit_transform", X)

    def _fit(self, name: str, X: Matrix) -> Array:
        weights = self._check_parameters(name)
        rows = self._rows(name, X, reset=True)
        if rows.shape[0] != rows.shape[1]:
            raise ValueError(
                f"{name}: X must be square, the adjacency of a graph; got shape {rows.shape}. For a "
                "bipartite graph B pass scipy.sparse.block_array([[None, B], [B.T, None]])."
            )
        self._seed = as_seed(name, self.random_state)
        self._graph = rows.array
        self.embedding_, self.mean_, self.scale_ = self._powers(
            name, rows, weights, self.weights is None, False
        )
        check_held(name, "X", "an embedding", self.embedding_)
        return self.embedding_

    def transform(self, X: Matrix) -> Array:
        """Embeddings of nodes from their links to the nodes of the fitted graph.

        Parameters
        ----------
        X : CSR or array of shape (m, n)

        Returns
        -------
        embedding : array of shape (m, columns)
            For the fitted graph itself, ``embedding_``. Costs as much as a fit, and a product for each power.
        """
        check_is_fitted(self)
        name = f"{type(self).__name__}.transform"
        weights = self._check_parameters(name)
        rows = self._rows(name, X, reset=False)
        graph = Rows(name, self._graph)
        powers, _, _ = self._powers(name, graph, [1.0] * len(weights), True, True)
        moved = multiply_rows(call(name, self.n_threads), rows, powers)
        if self.transition:
            sums = np.asarray(rows.array.sum(axis=1, dtype=np.float64)).ravel()
            moved *= np.divide(1, sums, out=np.zeros_like(sums), where=sums > 0)[:, None].astype(moved.dtype)
        parts = np.split(moved, len(weights), axis=1)
        if self.normalize:
            parts = [unit_rows(part) for part in parts]
        weighted = [part * part.dtype.type(weight) for part, weight in zip(parts, weights, strict=True)]
        return self._standardized(
            np.concatenate(weighted, axis=1) if self.weights is None else np.add.reduce(weighted)
        )

    @property
    def _n_features_out(self) -> int:
        return int(self.embedding_.shape[1])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = True  # rows of nodes come with the columns of the same nodes
        tags.input_tags.positive_only = bool(self.transition)
        return tags

    def _rows(self, name: str, X: Matrix, reset: bool) -> Rows:
        if self.transition:
            remedy = "Use transition=False for signed graphs."
            rows = self._non_negative(name, X, reset, " with transition=True", remedy)
        else:
            rows = validated_rows(self, name, X, reset)
            rows.core.norm2(call(name))  # NaN is told of before a shape that is not square
        return rows if rows.sparse else Rows(name, sp.csr_array(rows[:]))

    def _powers(
        self, name: str, graph: Rows, weights: list[float], concatenate: bool, from_start: bool
    ) -> tuple[Array, NDArray[np.float64], NDArray[np.float64]]:
        context = call(name, self.n_threads, self._seed)
        n = len(graph)
        factor = None
        if self.beta:
            degrees = np.asarray(graph.array.sum(axis=1, dtype=np.float64)).ravel()
            shares = degrees / (degrees.sum() or 1)
            factor = np.power(shares, self.beta, out=np.zeros(n), where=degrees > 0)
        density = 1 / np.sqrt(n) if self.projection == "sparse" else 0.0
        made: tuple[Array, NDArray[np.float64], NDArray[np.float64]] = backend().projected_powers(
            context,
            graph.core,
            self.n_components,
            density,
            factor,
            weights,
            self.transition,
            self.normalize and not from_start,
            concatenate,
            from_start,
            self.standardize and not from_start,
        )
        return made

    def _standardized(self, embedding: Array) -> Array:
        if self.standardize:
            embedding -= self.mean_.astype(embedding.dtype)
            embedding /= self.scale_.astype(embedding.dtype)
        return embedding

    def _check_parameters(self, name: str) -> list[float]:
        check_integer(name, "n_components", self.n_components)
        check_choice(name, "projection", self.projection, PROJECTIONS)
        for flag in ("transition", "normalize", "standardize"):
            check_flag(name, flag, getattr(self, flag))
        if not np.isfinite(number_of(self.beta)):
            raise ValueError(
                f"{name}: beta must be a finite number; got {shown(self.beta)}. Use 0 for no weights by "
                "degree."
            )
        self._check_place(name)
        if self.weights is None:
            return [1.0, 1.0, 1.0]
        weights = as_numpy(name, self.weights, "weights").astype(np.float64)
        if weights.ndim != 1 or not weights.size or not np.isfinite(weights).all() or not weights.any():
            raise ValueError(
                f"{name}: weights must be finite numbers, one per power, not all 0; got "
                f"{shown(self.weights)}. Use (0, 0, 1, 1)."
            )
        return [float(weight) for weight in weights]

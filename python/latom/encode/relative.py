"""Rows by their similarities to anchors: coordinates that rotations and scales of the space leave alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from latom._base.arrays import Matrix
from latom._base.backend import call
from latom._base.checks import check_choice, check_flag, check_integer, check_metric, shown
from latom._base.estimator import Estimator, validated_rows
from latom._base.finite import check_held
from latom._base.rows import Rows
from latom._base.sparse_tensor import as_scipy
from latom.encode.anchors import SELECTIONS, Whitening, select_anchors
from latom.neighbors.collection import Collection

STEP = 1024  # rows of a block


class RelativeRepresentation(Estimator):
    """Similarities of each row to anchor rows, in place of its coordinates.

    Two spaces of the same things, as two encoders make them, often differ by little more than a rotation
    and a scale. Described by cosines with the same anchors they become one space: what was trained on the
    one works on the other.

    Parameters
    ----------
    n_anchors : int, default 300
        Anchors, at most the rows of X.
    selection : {"uniform", "kmeans++", "kmeans", "leverage"}
        "uniform": rows drawn evenly without replacement. "kmeans++": rows spread by its draws under the
        metric. "kmeans": the best-fitting row of each of n_anchors clusters, of
        :class:`latom.SphericalKMeans` or :class:`latom.KMeans` as the metric is. "leverage": rows drawn
        without replacement, with chances as their squared lengths in the n_anchors leading left singular
        vectors of X, whose rows are scaled to length 1 first under cosine.
    metric : {"cosine", "euclidean"}
        Similarity: the cosine, or minus the distance.
    k : int, optional
        Keep the k highest similarities of each row, as CSR; None keeps all, dense.
    whiten : bool, default False
        Compare rows and anchors after the affine map that gives the rows of fit mean 0, variance 1 and no
        correlation. Similarities then also survive shears and stretches of the space, not only
        rotations and scalings. Dense rows only; anchors are chosen before it.
    random_state : int, Generator, RandomState or None
        Seed of the draw.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`.

    Attributes
    ----------
    anchor_indices_ : int64 array of shape (n_anchors,)
        Rows of X that were taken.
    anchors_ : array or CSR of shape (n_anchors, d)
        Those rows, as they stand in X.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    ``transform`` costs n_anchors products per row, "kmeans" a fit of so many clusters, "leverage" a
    randomized SVD, ``whiten`` d * d multiply-adds per row and the eigenvectors of a d x d matrix.

    References
    ----------
    Moschella et al., "Relative representations enable zero-shot latent space communication", ICLR 2023.
    Drineas, Mahoney & Muthukrishnan, "Relative-error CUR matrix decompositions", 2008 (leverage).

    Examples
    --------
    >>> import numpy as np
    >>> from latom import RelativeRepresentation
    >>> X = np.array([[2.0, 0], [0, 3], [1, 1]])
    >>> model = RelativeRepresentation().fit_anchors(X, [0, 1])
    >>> turned = RelativeRepresentation().fit_anchors(5 * X @ [[0, 1], [-1, 0]], model.anchor_indices_)
    >>> bool(np.allclose(model.transform(X), turned.transform(5 * X @ [[0, 1], [-1, 0]])))
    True
    """

    _takes_sparse = True

    anchor_indices_: NDArray[np.int64]
    anchors_: Any

    def __init__(
        self,
        n_anchors: int = 300,
        *,
        selection: str = "uniform",
        metric: str = "cosine",
        k: int | None = None,
        whiten: bool = False,
        random_state: Any = None,
        n_threads: int | None = None,
    ) -> None:
        self.n_anchors = n_anchors
        self.selection = selection
        self.metric = metric
        self.k = k
        self.whiten = whiten
        self.random_state = random_state
        self.n_threads = n_threads

    def fit(self, X: Matrix, y: Any = None) -> RelativeRepresentation:
        """Draw anchors among the rows of X: all rows where there are fewer than n_anchors.

        Parameters
        ----------
        X : array or sparse matrix of shape (n, d)
        y : ignored

        Returns
        -------
        self
        """
        name = f"{type(self).__name__}.fit"
        check_choice(name, "selection", self.selection, SELECTIONS)
        check_metric(name, self.metric)
        rows = self._rows(name, X)
        m = min(check_integer(name, "n_anchors", self.n_anchors), len(rows))
        how = self.selection, self.metric, self.random_state, self.n_threads
        return self._take(name, rows, select_anchors(name, rows, m, *how))

    def fit_anchors(self, X: Matrix, indices: Any) -> RelativeRepresentation:
        """Take given rows of X as the anchors: those that another space was described by.

        The anchors are looked up in X, and ``whiten`` measures X, so the rows come with their numbers.

        Parameters
        ----------
        X : array or sparse matrix of shape (n, d)
        indices : int array of shape (n_anchors,)
            Rows of X.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If indices are no rows of X.
        """
        name = f"{type(self).__name__}.fit_anchors"
        rows = self._rows(name, X)
        chosen = np.asarray(indices)
        wrong = chosen.ndim != 1 or chosen.size == 0 or chosen.dtype.kind not in "iu"
        if wrong or chosen.min() < 0 or chosen.max() >= len(rows):
            raise ValueError(
                f"{name}: indices must be rows of X, in [0, {len(rows)}); got {shown(indices)}. Count from 0."
            )
        return self._take(name, rows, chosen.astype(np.int64))

    def _take(self, name: str, rows: Rows, chosen: NDArray[np.int64]) -> RelativeRepresentation:
        self._check_parameters(name, len(chosen))
        self._whitening = Whitening(name, rows) if self.whiten else None
        self.anchor_indices_ = chosen
        self.anchors_ = rows[chosen]
        return self

    def _rows(self, name: str, X: Matrix) -> Rows:
        X = as_scipy(name, X)
        if check_flag(name, "whiten", self.whiten) and sp.issparse(X):
            raise TypeError(
                f"{name}: X must be dense where whiten=True; got {type(X).__name__}. Leave whiten out, or "
                "reduce X first, for example by latom.TruncatedSVD."
            )
        rows = validated_rows(self, name, X, reset=True)
        rows.core.norm2(call(name, self.n_threads))  # refuses what cannot be compared
        return rows

    def transform(self, X: Matrix) -> Any:
        """Similarities of rows to the anchors.

        Parameters
        ----------
        X : array or sparse matrix of shape (q, d)

        Returns
        -------
        similarities : array of shape (q, n_anchors), or CSR where k is given
            float32 where X and the anchors both are, else float64.
        """
        check_is_fitted(self, "anchors_")
        name = f"{type(self).__name__}.transform"
        m = self.anchors_.shape[0]
        self._check_parameters(name, m)
        whitening: Whitening | None = self._whitening
        rows = validated_rows(self, name, X, reset=False, accept_sparse=whitening is None)
        anchors = Rows(name, self.anchors_, "anchors")
        dtype = np.result_type(rows.dtype, anchors.dtype)
        context = call(name, self.n_threads)
        if whitening is not None:
            rows.core.norm2(context)  # refuses what cannot be compared
            rows, anchors = (Rows(name, whitening(part)) for part in (rows, anchors))
        if self.k is not None:
            return self._nearest(name, rows, anchors, dtype)
        squares, own = rows.core.norm2(context), anchors.core.norm2(context)
        turned = anchors.numbers.T.astype(np.float64)  # float32 holds no products of what is large in it
        made = np.empty((len(rows), m), dtype)
        for first in range(0, len(rows), STEP):  # a block at a time: numpy hears no Ctrl-C
            part = slice(first, first + STEP)
            product = rows[part] @ turned
            if sp.issparse(product):
                product = product.toarray()
            square = squares[part, None]
            if self.metric == "euclidean":
                with np.errstate(over="ignore"):
                    made[part] = 0 - np.sqrt(np.maximum(square + own - 2 * product, 0))
            else:
                lengths = np.sqrt(np.where(square > 0, square, 1)) * np.sqrt(np.where(own > 0, own, 1))
                made[part] = np.clip(product / lengths, -1, 1)
        check_held(name, "X", "distances", made)
        return made

    def _nearest(self, name: str, rows: Rows, anchors: Rows, dtype: Any) -> Any:
        collection, context = Collection(anchors, self.metric), call(name, self.n_threads)
        if self.metric == "euclidean":
            distances, indices = collection.nearest(context, rows, self.k or 1)
            values = 0 - distances
        else:
            values, indices, _ = collection.topk(context, rows, self.k or 1)
        q, k = indices.shape
        codes = sp.csr_array(
            (values.reshape(-1).astype(dtype, copy=False), indices.reshape(-1), np.arange(0, q * k + 1, k)),
            (q, len(anchors)),
        )
        codes.sort_indices()
        return codes

    def _check_parameters(self, name: str, m: int) -> None:
        check_metric(name, self.metric)
        if self.k is not None:
            check_integer(name, "k", self.k, m)
        self._check_place(name)

    @property
    def _n_features_out(self) -> int:
        return int(self.anchors_.shape[0])

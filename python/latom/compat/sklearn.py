"""scikit-learn's k-means, seeding, NMF, truncated SVD, sparse coder and neighbors on latom's core.

They have scikit-learn's signatures and no argument more.

    from latom.compat.sklearn import KMeans, NMF        # in place of sklearn.cluster, sklearn.decomposition

k-means draws other numbers than scikit-learn, so other starts; NMF starts where scikit-learn's does and makes
the same steps. What latom's NMF has not, divergences other than the Frobenius and Kullback-Leibler ones and
``shuffle=True``, runs in scikit-learn's own code, at its speed; so do neighbors by trees and other metrics.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from latom import seed
from latom._base.arrays import Matrix
from latom.cluster import kmeans, minibatch_kmeans
from latom.compat._decomposition import SparseCoder, TruncatedSVD
from latom.compat._neighbors import KNeighborsTransformer, NearestNeighbors, RadiusNeighborsTransformer
from latom.compat._nmf import NMF, MiniBatchNMF, non_negative_factorization
from latom.compat._nmf import _initialize_nmf as _initialize_nmf  # which libraries import from scikit-learn
from latom.compat._nmf import _update_coordinate_descent as _update_coordinate_descent

__all__ = [
    "NMF",
    "KMeans",
    "KNeighborsTransformer",
    "MiniBatchKMeans",
    "MiniBatchNMF",
    "NearestNeighbors",
    "RadiusNeighborsTransformer",
    "SparseCoder",
    "TruncatedSVD",
    "kmeans_plusplus",
    "non_negative_factorization",
]

Array = NDArray[Any]


class KMeans(kmeans.KMeans):
    """``sklearn.cluster.KMeans``, with the promises of :class:`latom.KMeans`.

    Parameters
    ----------
    n_clusters, init, n_init, max_iter, tol, random_state, copy_x, algorithm
        As in scikit-learn; both algorithms give the same answer here, at the same speed.
    verbose : int, default 0
        As in :class:`latom.KMeans`: other lines than scikit-learn's.

    Attributes
    ----------
    cluster_centers_, labels_, inertia_, n_iter_, n_features_in_, feature_names_in_
        As in scikit-learn.
    history_ : structured array of shape (n_iter_,)
        More than scikit-learn has; fields of :class:`latom.IterationState`.

    Examples
    --------
    >>> import numpy as np
    >>> from latom.compat.sklearn import KMeans
    >>> X = np.array([[1.0, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
    >>> KMeans(n_clusters=2, random_state=0).fit(X).cluster_centers_[:, 1].tolist()
    [2.0, 2.0]
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = "k-means++",
        n_init: Any = "auto",
        max_iter: int = 300,
        tol: float = 1e-4,
        verbose: int = 0,
        random_state: Any = None,
        copy_x: bool = True,
        algorithm: str = "lloyd",
    ) -> None:
        super().__init__(
            n_clusters,
            init=init,
            n_init=n_init,
            max_iter=max_iter,
            tol=tol,
            verbose=verbose,
            random_state=random_state,
            copy_x=copy_x,
            algorithm=algorithm,
        )


class MiniBatchKMeans(minibatch_kmeans.MiniBatchKMeans):
    """``sklearn.cluster.MiniBatchKMeans`` on latom's steps.

    Parameters
    ----------
    n_clusters, init, max_iter, batch_size, compute_labels, random_state, tol, max_no_improvement, init_size
        As in scikit-learn.
    n_init, reassignment_ratio
        As in scikit-learn.
    verbose : int, default 0
        As in :class:`latom.KMeans`: other lines than scikit-learn's.

    Attributes
    ----------
    cluster_centers_, labels_, inertia_, n_iter_, n_steps_, n_features_in_, feature_names_in_
        As in scikit-learn.
    history_ : structured array of shape (n_steps_,)
        More than scikit-learn has; fields of :class:`latom.MiniBatchState`.

    Examples
    --------
    >>> import numpy as np
    >>> from latom.compat.sklearn import MiniBatchKMeans
    >>> X = np.array([[1.0, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
    >>> sorted(MiniBatchKMeans(n_clusters=2, random_state=0).fit(X).cluster_centers_[:, 0].tolist())
    [1.0, 10.0]
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = "k-means++",
        max_iter: int = 100,
        batch_size: int = 1024,
        verbose: int = 0,
        compute_labels: bool = True,
        random_state: Any = None,
        tol: float = 0.0,
        max_no_improvement: int | None = 10,
        init_size: int | None = None,
        n_init: Any = "auto",
        reassignment_ratio: float = 0.01,
    ) -> None:
        super().__init__(
            n_clusters,
            init=init,
            max_iter=max_iter,
            batch_size=batch_size,
            verbose=verbose,
            compute_labels=compute_labels,
            random_state=random_state,
            tol=tol,
            max_no_improvement=max_no_improvement,
            init_size=init_size,
            n_init=n_init,
            reassignment_ratio=reassignment_ratio,
        )


def kmeans_plusplus(
    X: Matrix,
    n_clusters: int,
    *,
    sample_weight: Any = None,
    x_squared_norms: Any = None,
    random_state: Any = None,
    n_local_trials: int | None = None,
) -> tuple[Array, NDArray[np.int64]]:
    """``sklearn.cluster.kmeans_plusplus``: the same law, other draws, by :func:`latom.kmeans_plusplus`.

    Parameters
    ----------
    X : array or sparse matrix of shape (n, d)
        Rows.
    n_clusters, sample_weight, random_state, n_local_trials
        As in scikit-learn.
    x_squared_norms : array of shape (n,), optional
        Taken for scikit-learn's sake; latom takes norms of its own.

    Returns
    -------
    centers : array of shape (n_clusters, d)
        Dense, also for sparse X.
    indices : int64 array of shape (n_clusters,)
        The rows of X that they are.

    Raises
    ------
    ValueError
        If n_clusters is more than the rows of X, or x_squared_norms have another length.

    Examples
    --------
    >>> import numpy as np
    >>> from latom.compat.sklearn import kmeans_plusplus
    >>> X = np.array([[1.0, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
    >>> sorted(kmeans_plusplus(X, 2, random_state=0)[0][:, 0].tolist())
    [1.0, 10.0]
    """
    if x_squared_norms is not None and len(x_squared_norms) != X.shape[0]:
        raise ValueError(
            f"The length of x_squared_norms {len(x_squared_norms)} should be equal to the length of "
            f"n_samples {X.shape[0]}."
        )
    centers, indices = seed.kmeans_plusplus(
        X,
        n_clusters,
        metric="euclidean",
        sample_weight=sample_weight,
        n_local_trials=n_local_trials,
        random_state=random_state,
    )
    return centers.toarray() if issparse(centers) else centers, indices

"""k-means on dask arrays: to the bits of a fit on one machine, for any chunks and workers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.checks import shown
from latom.cluster import kmeans as here
from latom.cluster.minibatch_kmeans import MiniBatchKMeans as MiniBatchKMeansHere
from latom.cluster.parts import fit_parts
from latom.dask.functions import assign, row_chunks
from latom.dask.workers import WorkerParts


class _Distributed:
    """What the estimators below add to those of one machine."""

    client: Any

    def _client(self, name: str) -> Any:
        from distributed import get_client

        if self.client is not None:
            return self.client
        try:
            return get_client()
        except ValueError:
            raise ValueError(
                f"{name}: client must be given where no distributed.Client is active; got None. Make one: "
                "distributed.Client()."
            ) from None

    def predict(self, X: Any) -> Any:
        """Nearest center of each row.

        Parameters
        ----------
        X : dask array, or what the estimator of one machine takes
            A dask array gives a lazy one.

        Returns
        -------
        labels : int32 array of shape (n,)
        """
        if hasattr(X, "dask"):
            metric = self._metric  # type: ignore[attr-defined]
            return assign(X, self.cluster_centers_, metric=metric, n_threads=self.n_threads)[0]  # type: ignore[attr-defined]
        return super().predict(X)  # type: ignore[misc]


class _DistributedLloyd(_Distributed):
    _gpu = False

    def __init__(
        self, n_clusters: int = 8, *, init: Any = "k-means++", n_init: Any = "auto", max_iter: int = 300,
        tol: float = 1e-4, verbose: int = 0, random_state: Any = None, copy_x: bool = True,
        algorithm: str = "lloyd", sparse_centers: bool | None = None, fixed_centers: Any = None,
        n_threads: int | None = None, device: str | None = None, callback: Any = None, client: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(  # type: ignore[call-arg]
            n_clusters, init=init, n_init=n_init, max_iter=max_iter, tol=tol, verbose=verbose,
            random_state=random_state, copy_x=copy_x, algorithm=algorithm, sparse_centers=sparse_centers,
            fixed_centers=fixed_centers, n_threads=n_threads, device=device, callback=callback,
        )  # fmt: skip
        self.client = client

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Cluster the rows of a dask array, where they are.

        Parameters
        ----------
        X : dask array of shape (n, d)
            Chunks dense or CSR, float32 or float64. It should be persisted, or quick to make anew: workers
            hold their rows while the fit lasts.
        y : ignored
        sample_weight : array of shape (n,), optional
            On the client.

        Returns
        -------
        self
        """
        name = f"dask.{type(self).__name__}.fit"
        self._check_parameters(name)  # type: ignore[attr-defined]
        X = row_chunks(name, X)
        parts = WorkerParts(name, self._client(name), X, self, sample_weight)
        try:
            return fit_parts(self, name, parts)
        finally:
            parts.release()


class SphericalKMeans(_DistributedLloyd, here.SphericalKMeans):
    """:class:`latom.SphericalKMeans` on a dask array.

    Each worker keeps its rows, and what bounds tell of them from one iteration to the next. An iteration
    sends it the centers and takes sums back, as integers that are merged in a tree: labels, centers and
    objective are the bits of a fit on one machine, whatever the chunks and workers. If a worker is lost, its
    rows are made anew elsewhere, and the result stays the same.

    Parameters
    ----------
    n_clusters, init, n_init, max_iter, tol, verbose, random_state, sparse_centers, fixed_centers, \
    n_threads, callback
        As in :class:`latom.SphericalKMeans`; "k-means++" draws by k-means‖, keyed by the numbers of rows, a
        callable is given the dask array, and ``n_init="auto"`` is 1.
    client : distributed.Client, optional
        None takes the active one.

    Attributes
    ----------
    labels_ : int32 array of shape (n,)
    cluster_centers_, inertia_, n_iter_, history_
        As in :class:`latom.SphericalKMeans`.

    Examples
    --------
    >>> import latom.dask  # doctest: +SKIP
    >>> model = latom.dask.SphericalKMeans(1000, client=client).fit(X)  # doctest: +SKIP
    """


class KMeans(_DistributedLloyd, here.KMeans):
    """:class:`latom.KMeans` on a dask array; what :class:`latom.dask.SphericalKMeans` says holds.

    Parameters
    ----------
    n_clusters, init, n_init, max_iter, tol, verbose, random_state, sparse_centers, fixed_centers, \
    n_threads, callback, client
        As in :class:`latom.dask.SphericalKMeans`.
    """


class MiniBatchKMeans(_Distributed, MiniBatchKMeansHere):
    """:class:`latom.MiniBatchKMeans` on the chunks of a dask array, one after the other.

    Each chunk is a batch of ``partial_fit``, in order of the rows; ``max_iter`` passes over all chunks.

    Parameters
    ----------
    n_clusters, client, **options
        Of :class:`latom.MiniBatchKMeans`; passes are ``max_iter``.
    """

    def __init__(self, n_clusters: int = 8, *, max_iter: int = 1, random_state: Any = None,
                 n_threads: int | None = None, client: Any = None) -> None:  # fmt: skip
        super().__init__(n_clusters, max_iter=max_iter, random_state=random_state, n_threads=n_threads)
        self.client = client

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Take a step per chunk.

        Parameters
        ----------
        X : dask array of shape (n, d)
        y : ignored
        sample_weight : None

        Returns
        -------
        self
        """
        name = f"dask.{type(self).__name__}.fit"
        if sample_weight is not None:
            raise ValueError(f"{name}: sample_weight must be None; got {shown(sample_weight)}. Leave it out.")
        chunks = self._client(name).compute(list(row_chunks(name, X).to_delayed().ravel()))
        for attribute in ("cluster_centers_", "_counts"):
            self.__dict__.pop(attribute, None)
        for _ in range(self.max_iter):
            for chunk in chunks:
                self.partial_fit(chunk.result())
        return self

    labels_: NDArray[np.int32]

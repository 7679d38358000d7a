"""k-means on dask arrays: to the bits of a fit on one machine, for any chunks and workers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.checks import shown
from latom.cluster import kmeans as here
from latom.cluster.minibatch_kmeans import MiniBatchKMeans as MiniBatchKMeansHere
from latom.cluster.parts import fit_parts
from latom.dask.functions import row_chunks, row_count, with_rows
from latom.dask.on_workers import OnWorkers
from latom.dask.workers import WorkerParts


class _DistributedLloyd(OnWorkers):
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
    n_clusters : int, default 8
        Clusters, m.
    init : {"k-means++", "random"}, array or CSR of shape (m, d), or callable, default "k-means++"
        Starting centers. "k-means++" draws by k-means‖, keyed by the numbers of rows; a callable is called as
        ``init(X, n_clusters, random_state=RandomState)`` with the dask array.
    n_init : int or "auto", default "auto"
        Runs from different starts; the one with the lowest objective is kept. "auto" is 1.
    max_iter : int, default 300
        Most iterations of a run.
    tol : float, default 1e-4
        A run stops when the mean over centers of the squared distance moved is at most tol. 0 stops only when
        no label changes.
    verbose : int, default 0
        1 shows a progress bar on a terminal, a line per iteration elsewhere.
    random_state : int, Generator, RandomState or None
        Seed of the starts.
    copy_x, algorithm : bool and {"lloyd", "elkan"}
        Taken for the sake of scikit-learn's users; they change nothing.
    sparse_centers : bool, optional
        Whether CSR rows give ``cluster_centers_`` in CSR; None means True.
    fixed_centers : array or CSR of shape (f, d), optional
        Known centers that stay where they are: the first f of the n_clusters centers.
    n_threads : int, optional
        Threads of each task; None takes those that its worker has.
    device : {None, "cpu"}
        Workers compute on the CPU.
    callback : callable, optional
        Called with a :class:`latom.IterationState` after each iteration; a true result stops the run.
    client : distributed.Client, optional
        None takes the active one.

    Attributes
    ----------
    cluster_centers_ : array of shape (m, d)
        Centers, of the dtype of X.
    labels_ : int32 array of shape (n,)
        Nearest center of each row, on the client.
    inertia_ : float
        Sum over rows of weight times (1 - cosine).
    n_iter_ : int
        Iterations of the best run.
    history_ : structured array of shape (n_iter_,)
        Fields of :class:`latom.IterationState`.
    n_features_in_ : int
        Columns of X.

    Examples
    --------
    >>> import numpy as np, latom.dask
    >>> import dask.array as da
    >>> from distributed import Client
    >>> rows = np.repeat([[0.0, 1.0], [1.0, 0.0]], 4, axis=0)
    >>> with Client(processes=False, dashboard_address=None) as client:
    ...     model = latom.dask.SphericalKMeans(2, random_state=0, client=client)
    ...     model = model.fit(da.from_array(rows, (3, 2)))
    >>> model.inertia_
    0.0
    """


class KMeans(_DistributedLloyd, here.KMeans):
    """:class:`latom.KMeans` on a dask array; what :class:`latom.dask.SphericalKMeans` says holds.

    Parameters
    ----------
    n_clusters : int, default 8
        Clusters, m.
    init : {"k-means++", "random"}, array or CSR of shape (m, d), or callable, default "k-means++"
        Starting centers. "k-means++" draws by k-means‖, keyed by the numbers of rows; a callable is called as
        ``init(X, n_clusters, random_state=RandomState)`` with the dask array.
    n_init : int or "auto", default "auto"
        Runs from different starts; the one with the lowest objective is kept. "auto" is 1.
    max_iter : int, default 300
        Most iterations of a run.
    tol : float, default 1e-4
        A run stops when the centers' summed squared shift is at most tol times the mean variance of the
        columns. 0 stops only when no label changes.
    verbose : int, default 0
        1 shows a progress bar on a terminal, a line per iteration elsewhere.
    random_state : int, Generator, RandomState or None
        Seed of the starts.
    copy_x, algorithm : bool and {"lloyd", "elkan"}
        Taken for the sake of scikit-learn's users; they change nothing.
    sparse_centers : bool, optional
        Whether CSR rows give ``cluster_centers_`` in CSR; None means False.
    fixed_centers : array or CSR of shape (f, d), optional
        Known centers that stay where they are: the first f of the n_clusters centers.
    n_threads : int, optional
        Threads of each task; None takes those that its worker has.
    device : {None, "cpu"}
        Workers compute on the CPU.
    callback : callable, optional
        Called with a :class:`latom.IterationState` after each iteration; a true result stops the run.
    client : distributed.Client, optional
        None takes the active one.

    Attributes
    ----------
    cluster_centers_ : array of shape (m, d)
        Centers, of the dtype of X.
    labels_ : int32 array of shape (n,)
        Nearest center of each row, on the client.
    inertia_ : float
        Sum over rows of weight times squared distance.
    n_iter_ : int
        Iterations of the best run.
    history_ : structured array of shape (n_iter_,)
        Fields of :class:`latom.IterationState`.
    n_features_in_ : int
        Columns of X.

    Examples
    --------
    >>> import numpy as np, latom.dask
    >>> import dask.array as da
    >>> from distributed import Client
    >>> rows = np.repeat([[0.0, 1.0], [1.0, 0.0]], 4, axis=0)
    >>> with Client(processes=False, dashboard_address=None) as client:
    ...     model = latom.dask.KMeans(2, random_state=0, client=client).fit(da.from_array(rows, (3, 2)))
    >>> model.inertia_
    0.0
    """


class MiniBatchKMeans(OnWorkers, MiniBatchKMeansHere):
    """:class:`latom.MiniBatchKMeans` on the chunks of a dask array, one after the other.

    Each chunk is a batch of ``partial_fit``, in order of the rows; it comes to the client, where centers are
    updated. ``X.rechunk`` makes batches of other sizes.

    Parameters
    ----------
    n_clusters : int, default 8
        Clusters, m. The first chunk must have as many rows.
    init : {"k-means++", "random"}, array or CSR of shape (m, d), or callable, default "k-means++"
        Starting centers, drawn from the first chunk.
    max_iter : int, default 1
        Passes over all chunks.
    compute_labels : bool, default True
        Whether each step ends with ``labels_`` and ``inertia_`` of its chunk.
    random_state : int, Generator, RandomState or None
        Seed of the start and of replacements.
    init_size : int, optional
        Rows of the first chunk that the start is drawn from; None takes 3072, or 3 * n_clusters where that is
        too few.
    reassignment_ratio : float, default 0.01
        A center whose rows weigh less than this share of the heaviest center's is replaced by a row of the
        chunk, from time to time. 0 replaces none.
    sparse_centers : bool, optional
        Whether CSR rows give ``cluster_centers_`` in CSR; None means False.
    n_threads : int, optional
        Threads of the client; the result does not depend on it.
    client : distributed.Client, optional
        None takes the active one.

    Attributes
    ----------
    cluster_centers_ : array of shape (m, d)
        Centers, of the dtype of X.
    labels_ : int32 array
        Of the rows of the last chunk.
    inertia_ : float
        Sum over the rows of the last chunk of squared distance.
    n_steps_ : int
        Chunks processed.
    n_features_in_ : int
        Columns of X.

    Examples
    --------
    >>> import numpy as np, latom.dask
    >>> import dask.array as da
    >>> from distributed import Client
    >>> rows = np.tile([[0.0, 1.0], [8.0, 0.0]], (4, 1))
    >>> with Client(processes=False, dashboard_address=None) as client:
    ...     model = latom.dask.MiniBatchKMeans(2, random_state=0, client=client)
    ...     model = model.fit(da.from_array(rows, (4, 2)))
    >>> model.inertia_
    0.0
    """

    def __init__(
        self, n_clusters: int = 8, *, init: Any = "k-means++", max_iter: int = 1, compute_labels: bool = True,
        random_state: Any = None, init_size: int | None = None, reassignment_ratio: float = 0.01,
        sparse_centers: bool | None = None, n_threads: int | None = None, client: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(
            n_clusters, init=init, max_iter=max_iter, compute_labels=compute_labels,
            random_state=random_state, init_size=init_size, reassignment_ratio=reassignment_ratio,
            sparse_centers=sparse_centers, n_threads=n_threads,
        )  # fmt: skip
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
        client = self._client(name)
        chunks = client.compute(list(row_chunks(name, X).to_delayed().ravel()))
        chunks, _ = with_rows(chunks, client.gather(client.map(row_count, chunks, pure=False)))
        for attribute in ("cluster_centers_", "_counts"):
            self.__dict__.pop(attribute, None)
        for _ in range(self.max_iter):
            for chunk in chunks:
                self.partial_fit(chunk.result())
        return self

    labels_: NDArray[np.int32]

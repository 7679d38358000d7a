"""fastkmeans' class on latom's core, for fast-plaid and others that cluster token vectors.

    from latom.compat.fastkmeans import FastKMeans        # in place of fastkmeans
    fast_plaid.search.fast_plaid.FastKMeans = FastKMeans  # in fast-plaid, which has a subclass of its own

Rows are drawn and centroids found without torch, whose and numpy's global generators are left alone. Results
are others than fastkmeans' for the same seed.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import as_rows, is_tensor
from latom._base.backend import backend
from latom._base.checks import check_integer, check_tol
from latom._base.rows import Rows
from latom.cluster.assign import assign_rows
from latom.cluster.kmeans import KMeans

__all__ = ["FastKMeans"]


class FastKMeans:
    """``fastkmeans.FastKMeans``, computed by latom on the CPU.

    Parameters
    ----------
    d, k : int
        Columns, clusters.
    niter : int, default 25
        Most iterations.
    tol : float, default 1e-8
        A run stops once the centroids' shifts, as lengths, can be no more than tol together: once their
        squares are at most tol**2 / k.
    seed : int, default 0
    max_points_per_centroid : int or None, default 1_000_000_000
        Of more than k times so many rows, so many are drawn.
    verbose : bool, default False
    nredo : int, default 1
        Runs, of which the best is kept; fastkmeans makes one.
    device : default None
        None or "cpu"; not looked at with ``gpu=False``.
    gpu, chunk_size_data, chunk_size_centroids, dtype, pin_gpu_memory, use_triton : ignored

    Attributes
    ----------
    centroids : float32 array of shape (k, d)
        None before :meth:`train`.

    Examples
    --------
    >>> import numpy as np
    >>> from latom.compat.fastkmeans import FastKMeans
    >>> X = np.array([[1.0, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]], np.float32)
    >>> labels = FastKMeans(2, k=2).fit_predict(X)
    >>> bool(labels[0] != labels[3])
    True
    """

    centroids: NDArray[np.float32] | None

    def __init__(
        self,
        d: int,
        k: int,
        niter: int = 25,
        tol: float = 1e-8,
        gpu: bool = True,
        seed: int = 0,
        max_points_per_centroid: int | None = 1_000_000_000,
        chunk_size_data: int = 51_200,
        chunk_size_centroids: int = 10_240,
        device: Any = None,
        dtype: Any = None,
        pin_gpu_memory: bool = True,
        verbose: bool = False,
        nredo: int = 1,
        use_triton: bool | None = None,
    ) -> None:
        name = "FastKMeans"
        self.d, self.k = check_integer(name, "d", d), check_integer(name, "k", k)
        self.niter, self.nredo = check_integer(name, "niter", niter), check_integer(name, "nredo", nredo)
        self.tol = check_tol(name, tol)
        self.seed = check_integer(name, "seed", seed, low=0)
        if max_points_per_centroid is not None:
            check_integer(name, "max_points_per_centroid", max_points_per_centroid)
        self.max_points_per_centroid = max_points_per_centroid
        backend(None if gpu is False or device is None else str(device), name)
        self.device, self.dtype, self.verbose = "cpu", dtype, verbose
        self.chunk_size_data, self.chunk_size_centroids = chunk_size_data, chunk_size_centroids
        self.pin_gpu_memory, self.use_triton = pin_gpu_memory, False
        self.centroids = None

    def train(self, data: Any) -> Any:
        """Find centroids.

        Parameters
        ----------
        data : array or tensor of shape (n, d)
            Of any float type, bfloat16 and float16 among them; taken as float32.

        Returns
        -------
        centroids : array, or tensor where data is one, of shape (k, d)
            float32. (fastkmeans returns nothing; fast-plaid's subclass a tensor.)

        Raises
        ------
        ValueError
            If there are fewer rows than clusters, or data holds NaN or infinity.
        """
        name = "FastKMeans.train"
        rows = self._rows(name, data)
        if len(rows) < self.k:
            raise ValueError(
                f"{name}: k must be at most the number of rows of data, {len(rows)}; got {self.k}. "
                "Ask for fewer clusters."
            )
        rng = np.random.RandomState(self.seed)
        if self.max_points_per_centroid is not None and len(rows) > self.k * self.max_points_per_centroid:
            chosen = rng.permutation(len(rows))[: self.k * self.max_points_per_centroid]
            rows = rows[np.sort(chosen)]
        model = _ByLengths(
            self.k,
            init="random",
            n_init=self.nredo,
            max_iter=self.niter,
            tol=self.tol,
            random_state=rng,
            verbose=int(self.verbose),
        ).fit(rows)
        self.centroids = model.cluster_centers_
        return sys.modules["torch"].from_numpy(self.centroids) if is_tensor(data) else self.centroids

    def fit(self, data: Any) -> FastKMeans:
        """:meth:`train`, returning self."""
        self.train(data)
        return self

    def predict(self, data: Any) -> NDArray[np.int64]:
        """Nearest centroid of each row, an int64 array of shape (n,)."""
        name = "FastKMeans.predict"
        if self.centroids is None:
            raise RuntimeError(f"{name}: centroids must be there; got None. Call train() or fit() first.")
        rows = Rows(name, self._rows(name, data))
        return assign_rows(name, rows, self.centroids, "euclidean", None)[0].astype(np.int64)

    def fit_predict(self, data: Any) -> NDArray[np.int64]:
        """:meth:`fit`, then :meth:`predict`."""
        return self.fit(data).predict(data)

    def _rows(self, name: str, data: Any) -> NDArray[np.float32]:
        rows: NDArray[np.float32] = as_rows(name, data, "data", np.float32)
        if rows.shape[1] != self.d:
            raise ValueError(
                f"{name}: data must have d={self.d} columns; got {rows.shape[1]}. Pass rows of that width."
            )
        return rows


class _ByLengths(KMeans):
    """k-means that stops by the sum of the lengths that centers move."""

    def _shift_limit(self, name: str, rows: Rows) -> float:
        return self.tol**2 / self.n_clusters if self.tol else -1.0

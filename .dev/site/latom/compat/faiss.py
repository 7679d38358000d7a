"""faiss's k-means, flat indexes and ``knn`` on latom's core: its names, and exact float64 decisions.

    from latom.compat.faiss import Kmeans, knn        # in place of faiss

Distances are float32 and labels int64, as there. ``gpu=`` is taken and the CPU computes, as in faiss-cpu. The
rows that k-means starts from are drawn by latom, so results are others than faiss's for the same seed; from
given centroids the steps are the same.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import as_dense, as_rows, as_weights, refuse_sparse
from latom._base.backend import call
from latom._base.checks import check_flag, check_integer, check_range
from latom._base.history import IterationState
from latom.cluster.kmeans import KMeans, SphericalKMeans
from latom.encode.atoms import Atoms
from latom.seed.afkmc2 import afkmc2

__all__ = [
    "METRIC_INNER_PRODUCT",
    "METRIC_L2",
    "ClusteringInitMethod_AFK_MC2",
    "ClusteringInitMethod_KMEANS_PLUS_PLUS",
    "ClusteringInitMethod_RANDOM",
    "ClusteringParameters",
    "IndexFlat",
    "IndexFlatIP",
    "IndexFlatL2",
    "Kmeans",
    "knn",
]

METRIC_INNER_PRODUCT, METRIC_L2 = 0, 1
ClusteringInitMethod_RANDOM, ClusteringInitMethod_KMEANS_PLUS_PLUS, ClusteringInitMethod_AFK_MC2 = 0, 1, 2

Distances = NDArray[np.float32]
Labels = NDArray[np.int64]
FAR = np.finfo(np.float32).max  # what faiss writes where there are fewer than k vectors


class IndexFlat:
    """``faiss.IndexFlat``: vectors that are searched one and all, exactly.

    Parameters
    ----------
    d : int
        Columns.
    metric : int
        METRIC_L2, squared distances, lowest first, or METRIC_INNER_PRODUCT, highest first.

    Attributes
    ----------
    d, ntotal, metric_type, is_trained : as in faiss
    """

    is_trained = True

    def __init__(self, d: int, metric: int = METRIC_L2) -> None:
        self.d = check_integer("IndexFlat", "d", d)
        if metric not in (METRIC_L2, METRIC_INNER_PRODUCT):
            raise ValueError(
                f"IndexFlat: metric must be METRIC_L2 (1) or METRIC_INNER_PRODUCT (0); got {metric!r}. "
                "Use faiss for other metrics."
            )
        self.metric_type = metric
        self.reset()

    @property
    def ntotal(self) -> int:
        """Vectors in the index."""
        return sum(map(len, self._parts))

    def reset(self) -> None:
        """Take all vectors out."""
        self._parts: list[Distances] = []
        self._atoms: Atoms | None = None

    def add(self, x: Any) -> None:
        """Add vectors [n, d]; they get the next numbers."""
        self._parts.append(np.array(_as_float32("IndexFlat.add", x, self.d)))
        self._atoms = None

    def search(self, x: Any, k: int) -> tuple[Distances, Labels]:
        """The k nearest vectors of each row of x.

        Returns
        -------
        D : float32 array of shape (n, k)
            Squared distances, or inner products; the largest float32 (its negative) where there is no vector.
        I : int64 array of shape (n, k)
            Vectors, the lowest number first among equals; -1 where there is none.
        """
        name = "IndexFlat.search"
        k = check_integer(name, "k", k)
        inner = self.metric_type == METRIC_INNER_PRODUCT
        refuse_sparse(name, x, "x")
        n, found = len(x), min(k, self.ntotal)
        D, labels = np.full((n, k), -FAR if inner else FAR), np.full((n, k), -1, np.int64)
        if n and found:
            if self._atoms is None:
                self._atoms = Atoms(np.concatenate(self._parts), "dot" if inner else "euclidean")
            rows = _as_float32(name, x, self.d)
            scores, labels[:, :found], _ = self._atoms.topk(call(name), rows, found, "identity", pack=True)
            D[:, :found] = scores if inner else np.abs(scores)
        return D, labels


class IndexFlatL2(IndexFlat):
    """``faiss.IndexFlatL2``."""

    def __init__(self, d: int) -> None:
        super().__init__(d, METRIC_L2)


class IndexFlatIP(IndexFlat):
    """``faiss.IndexFlatIP``."""

    def __init__(self, d: int) -> None:
        super().__init__(d, METRIC_INNER_PRODUCT)


def knn(
    xq: Any, xb: Any, k: int, metric: int = METRIC_L2, metric_arg: float = 0.0
) -> tuple[Distances, Labels]:
    """``faiss.knn``: the k rows of xb nearest to each row of xq.

    Parameters
    ----------
    xq, xb : arrays of shape (nq, d) and (nb, d)
    k : int
    metric : int
        METRIC_L2 or METRIC_INNER_PRODUCT; faiss has more, some with a metric_arg.

    Returns
    -------
    D, I : as :meth:`IndexFlat.search` has them

    Examples
    --------
    >>> import numpy as np
    >>> from latom.compat.faiss import knn
    >>> knn(np.array([[0.9]]), np.array([[0.0], [1.0]]), 1)[1].tolist()
    [[1]]
    """
    base = as_dense("knn", xb, "xb")
    index = IndexFlat(base.shape[1], metric)
    index.add(base)
    return index.search(xq, k)


@dataclass
class ClusteringParameters:
    """What faiss's class of this name holds, with its defaults.

    ``init_method`` is one of ClusteringInitMethod_RANDOM, _KMEANS_PLUS_PLUS and _AFK_MC2. Of no effect:
    decode_block_size, update_index, use_faster_subsampling, use_super_kmeans, check_input_data_for_NaNs
    (latom always refuses NaN). ``int_centroids`` is refused.
    """

    niter: int = 25
    nredo: int = 1
    verbose: bool = False
    spherical: bool = False
    int_centroids: bool = False
    update_index: bool = False
    frozen_centroids: bool = False
    min_points_per_centroid: int = 39
    max_points_per_centroid: int = 256
    seed: int = 1234
    decode_block_size: int = 32768
    check_input_data_for_NaNs: bool = True
    use_faster_subsampling: bool = False
    use_super_kmeans: bool = False
    init_method: int = ClusteringInitMethod_RANDOM
    afkmc2_chain_length: int = 50
    early_stop_threshold: float = 0.0


class Kmeans:
    """``faiss.Kmeans`` on latom's Lloyd steps.

    Parameters
    ----------
    d, k : int
        Columns, clusters.
    gpu : ignored
    **kwargs
        Fields of :class:`ClusteringParameters`, which stand in ``cp``.

    Attributes
    ----------
    centroids : float32 array of shape (k, d)
        Of length 1 where ``spherical``.
    obj : float64 array
        Objective of each iteration: the sum over rows of weight times squared distance or, where
        ``spherical``, inner product. (faiss leaves the weights out of it.) There are niter iterations, or
        fewer where no label changes any more.
    iteration_stats : list of dict
        ``obj`` and ``time``, seconds since the start, as in faiss; ``time_search``, ``imbalance_factor``
        and ``nsplit``, which latom does not measure, are NaN.
    index : IndexFlat
        Holds the centroids after :meth:`train`.

    Examples
    --------
    >>> import numpy as np
    >>> from latom.compat.faiss import Kmeans
    >>> x = np.array([[1.0, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]], np.float32)
    >>> kmeans = Kmeans(2, 2, nredo=5, min_points_per_centroid=1)
    >>> float(kmeans.train(x))
    16.0
    """

    centroids: Distances | None
    obj: NDArray[np.float64] | None
    iteration_stats: list[dict[str, float]] | None
    index: IndexFlat

    def __init__(self, d: int, k: int, **kwargs: Any) -> None:
        self.d = check_integer("Kmeans", "d", d)
        self.gpu = kwargs.pop("gpu", False)
        known = [field.name for field in fields(ClusteringParameters)]
        for name, value in kwargs.items():
            if name not in known:
                raise AttributeError(
                    f"Kmeans: {name} must be a field of ClusteringParameters; got {name}={value!r}. Leave it "
                    f"out: there are {', '.join(known)}."
                )
        self.cp = ClusteringParameters(**kwargs)
        self.reset(k)
        self.set_index()

    def reset(self, k: int | None = None) -> None:
        """Forget what was learned; k, where given, is the next number of clusters."""
        if k is not None:
            self.k = check_integer("Kmeans", "k", k)
        self.centroids = self.obj = self.iteration_stats = None

    def set_index(self) -> None:
        """A new, empty index of the metric."""
        self.index = IndexFlatIP(self.d) if self.cp.spherical else IndexFlatL2(self.d)

    def train(self, x: Any, weights: Any = None, init_centroids: Any = None) -> float:
        """Find centroids.

        Parameters
        ----------
        x : array of shape (n, d)
            Taken as float32. Of more than ``k * max_points_per_centroid`` rows, so many are drawn.
        weights : array of shape (n,), optional
        init_centroids : array of shape (at most k, d), optional
            Where to start; the others are drawn. With ``frozen_centroids`` they stay.

        Returns
        -------
        final_obj : float
            Last of ``obj``.

        Raises
        ------
        ValueError
            If there are fewer rows than clusters, x holds NaN or infinity, or a parameter is out of range.
        """
        name = "Kmeans.train"
        self._check(name)
        x = _as_float32(name, x, self.d)
        rng = np.random.RandomState(self.cp.seed % 2**32)
        w = as_weights(name, weights, len(x))
        x, w = self._drawn(name, x, w, rng)
        given = None if init_centroids is None else _as_float32(name, init_centroids, self.d)
        if len(x) == self.k and given is None:
            self._keep(np.array(x), np.zeros(1), np.zeros(1))
        else:
            self._cluster(x, w, given, rng)
        assert self.obj is not None
        return float(self.obj[-1])

    def assign(self, x: Any) -> tuple[Distances, Labels]:
        """D and I of shape (n,): squared distances (inner products) to the centroids, and these."""
        if self.centroids is None:
            raise ValueError("Kmeans.assign: centroids must be there; got none. Call train first.")
        self.index.reset()
        self.index.add(self.centroids)
        D, labels = self.index.search(x, 1)
        return D.ravel(), labels.ravel()

    # ---- parts of train

    def _drawn(self, name: str, x: Distances, w: Any, rng: Any) -> tuple[Distances, Any]:
        """As many rows as are looked at."""
        n, k, cp = len(x), self.k, self.cp
        if n < k:
            raise ValueError(
                f"{name}: k must be at most the number of rows of x, {n}; got {k}. Ask for fewer clusters."
            )
        if n < k * cp.min_points_per_centroid:
            warnings.warn(
                f"{name}: {n} rows are few for {k} centroids. Pass at least "
                f"{k * cp.min_points_per_centroid}, or lower min_points_per_centroid.",
                stacklevel=3,
            )
        if n > k * cp.max_points_per_centroid:
            chosen = np.sort(rng.permutation(n)[: k * cp.max_points_per_centroid])
            x, w = x[chosen], None if w is None else w[chosen]
        return x, w

    def _cluster(self, x: Distances, w: Any, given: Distances | None, rng: Any) -> None:
        cp = self.cp
        total = 0.0
        kind = KMeans
        if cp.spherical:  # faiss sums rows as they are: unit vectors, weighted by length
            kind = SphericalKMeans
            w = np.linalg.norm(x.astype(np.float64), axis=1) * (1 if w is None else w)
            total = float(w.sum())
        model = kind(
            self.k,
            init=self._start(x, given, rng),
            fixed_centers=given if cp.frozen_centroids else None,
            n_init=cp.nredo if given is None else 1,
            max_iter=cp.niter,
            tol=0.0,
            random_state=rng,
            verbose=int(cp.verbose),
            callback=_stops_below(cp.early_stop_threshold, total) if cp.early_stop_threshold else None,
        ).fit(x, sample_weight=w)
        costs, seconds = model.history_["objective"], model.history_["seconds"].cumsum()
        self._keep(model.cluster_centers_, total - costs if cp.spherical else costs, seconds)

    def _start(self, x: Distances, given: Distances | None, rng: Any) -> Any:
        method, left = self.cp.init_method, self.k - (0 if given is None else len(given))
        if given is not None and not self.cp.frozen_centroids:
            return np.vstack([given, x[rng.permutation(len(x))[: max(left, 0)]]])
        if method == ClusteringInitMethod_AFK_MC2:
            metric = "cosine" if self.cp.spherical else "euclidean"
            draw = partial(afkmc2, metric=metric, chain_length=self.cp.afkmc2_chain_length)
            return lambda X, m, random_state: draw(X, m, random_state=random_state)[0]
        return "random" if method == ClusteringInitMethod_RANDOM else "k-means++"

    def _keep(self, centroids: Distances, obj: NDArray[np.float64], seconds: NDArray[np.float64]) -> None:
        self.centroids, self.obj = centroids, obj
        unknown = dict.fromkeys(("time_search", "imbalance_factor", "nsplit"), float("nan"))
        pairs = zip(obj.tolist(), seconds.tolist(), strict=True)
        self.iteration_stats = [{"obj": o, "time": s, **unknown} for o, s in pairs]
        self.set_index()
        self.index.add(centroids)

    def _check(self, name: str) -> None:
        cp = self.cp
        for argument in ("niter", "nredo", "min_points_per_centroid", "max_points_per_centroid"):
            check_integer(name, argument, getattr(cp, argument))
        check_integer(name, "seed", cp.seed, low=-(2**63), high=2**63 - 1)
        check_range(name, "early_stop_threshold", cp.early_stop_threshold)
        for argument in ("spherical", "frozen_centroids", "int_centroids"):
            check_flag(name, argument, getattr(cp, argument))
        if cp.int_centroids:
            raise ValueError(
                f"{name}: int_centroids must be False; got True. Round the centroids afterwards."
            )
        if cp.init_method not in (0, 1, 2):
            raise ValueError(
                f"{name}: init_method must be ClusteringInitMethod_RANDOM (0), _KMEANS_PLUS_PLUS (1) or "
                f"_AFK_MC2 (2); got {cp.init_method!r}. Leave it out for random rows."
            )


def _stops_below(threshold: float, total: float) -> Callable[[IterationState], bool]:
    """A callback that stops where an iteration betters the objective by less than this share of it.

    total is what costs are taken from where the objective is a sum of inner products.
    """
    before = float("nan")

    def stop(state: IterationState) -> bool:
        nonlocal before
        gain, size = before - state.objective, abs(total - before)
        before = state.objective
        return gain < threshold * size

    return stop


def _as_float32(function: str, x: Any, d: int) -> Distances:
    refuse_sparse(function, x, "x")
    rows: Distances = as_rows(function, x, "x", np.float32)
    if rows.shape[1] != d:
        raise ValueError(
            f"{function}: x must have d={d} columns; got {rows.shape[1]}. Pass rows of that width."
        )
    return rows

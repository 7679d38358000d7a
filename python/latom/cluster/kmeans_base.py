"""What all k-means estimators share: centers that are kept, and what is done with them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import ClusterMixin
from sklearn.utils.validation import check_is_fitted

from latom._base.arrays import Matrix
from latom._base.backend import backend, call
from latom._base.checks import check_clusters, check_flag, check_integer, shown
from latom._base.device import lies_on_gpu, place_of
from latom._base.device_rows import DeviceRows, common_dtype
from latom._base.estimator import IterativeEstimator, validated_rows
from latom._base.packed import packed
from latom._base.rows import Rows, longest_row, row_weights, weights_of
from latom._base.stream import Stream, in_blocks
from latom.cluster.assign import nearest_csr, nearest_on_device
from latom.cluster.centers import from_core, initial_centers
from latom.cluster.packed_centers import PackedCenters
from latom.cluster.shards import pieces, row_costs, total_cost


class KMeansBase(ClusterMixin, IterativeEstimator):
    """Prediction with centers, and the parameters that all k-means estimators have."""

    _takes_sparse = True
    _metric: ClassVar[str]
    _sparse_by_default: ClassVar[bool]  # whether CSR rows give CSR centers

    n_clusters: int
    init: Any
    n_init: Any
    random_state: Any
    sparse_centers: bool | None
    device: str | None

    cluster_centers_: Matrix
    labels_: NDArray[np.int32]
    inertia_: float
    n_iter_: int
    n_steps_: int
    _counts: NDArray[np.float64]  # weights of the rows that each center stands for

    def predict(self, X: Matrix) -> NDArray[np.int32]:
        """Nearest center of each row; for the rows of ``fit`` these are ``labels_``.

        Parameters
        ----------
        X : array or CSR of shape (n, d), or Stream
            Blocks of a :class:`latom.Stream` are read one after the other.

        Returns
        -------
        labels : int32 array of shape (n,)
            Of rows on a GPU, in their library there.
        """
        check_is_fitted(self)
        name = f"{type(self).__name__}.predict"
        if isinstance(X, Stream):
            return np.concatenate(in_blocks(name, X, self.predict))
        place = place_of(name, self.device, X=X) if self._gpu else None
        if place is not None:
            given = X if lies_on_gpu(X) else validated_rows(self, name, X, reset=False)
            sparse = isinstance(given, Rows) and given.sparse
            centers = self._centers().on_device(name, place, common_dtype(given), sparse)
            if sparse:
                return nearest_csr(name, given, centers, scores=False)[0]
            labels: NDArray[np.int32] = nearest_on_device(name, given, centers)[0]
            return labels
        rows = validated_rows(self, name, X, reset=False)
        return self._centers().assign(name, rows, self.n_threads, scores=False)[0]

    def transform(self, X: Matrix) -> NDArray[Any]:
        """Distance of each row to each center.

        Parameters
        ----------
        X : array or CSR of shape (n, d), or Stream
            Of a :class:`latom.Stream` too the distances of all rows are held in memory.

        Returns
        -------
        distances : array of shape (n, n_clusters)
            1 - cosine for spherical k-means, Euclidean distance for k-means, in the dtype of X. Those of
            float32 have some six digits: :meth:`predict` is the exact one.
        """
        check_is_fitted(self)
        name = f"{type(self).__name__}.transform"
        if isinstance(X, Stream):
            return np.concatenate(in_blocks(name, X, self.transform))
        rows = validated_rows(self, name, X, reset=False)
        return self._centers().distances(name, rows, self.n_threads)

    def score(self, X: Matrix, y: Any = None, sample_weight: Any = None) -> float:
        """Minus the objective of X with the fitted centers: higher is better.

        Parameters
        ----------
        X : array or CSR of shape (n, d), or Stream
            Blocks of a :class:`latom.Stream` are read one after the other.
        y : ignored
        sample_weight : array of shape (n,), optional

        Returns
        -------
        score : float
            The same bits for all rows at once and block by block.
        """
        check_is_fitted(self)
        name = f"{type(self).__name__}.score"
        weighted = sample_weight is not None

        def fits(part: Matrix) -> tuple[NDArray[np.float64], float]:
            rows = validated_rows(self, name, part, reset=False)
            scores = self._centers().assign(name, rows, self.n_threads)[1]
            return scores, longest_row(name, rows) if weighted else 0.0  # which is a pass over the rows

        parts = in_blocks(name, X, fits) if isinstance(X, Stream) else [fits(X)]
        scores = np.concatenate([part[0] for part in parts])
        weights = weights_of(
            name, sample_weight, len(scores), self._metric, lambda: max(part[1] for part in parts)
        )
        return -self._objective(scores, weights)

    @property
    def _n_features_out(self) -> int:
        return int(self.cluster_centers_.shape[0])

    def _centers(self) -> PackedCenters:
        """The present centers, packed; made again when they are others, or have been written into."""
        centers = self.cluster_centers_
        made: PackedCenters = packed(
            self,
            (centers,),
            lambda: PackedCenters(centers, self._metric),
            lambda kept: kept.holds(centers, self.n_threads),
        )
        return made

    # ---- parts of a fit

    def _objective(self, scores: NDArray[np.float64], weights: NDArray[np.float64] | None) -> float:
        return total_cost(pieces(0, row_costs(scores, weights, self._metric)))

    def _rows(self, name: str, X: Matrix, reset: bool, sample_weight: Any) -> tuple[Rows, Any]:
        """The rows of a fit and their weights; there must be a row for each cluster."""
        rows = validated_rows(self, name, X, reset=reset)
        if reset:
            check_clusters(name, self.n_clusters, len(rows))
        return rows, row_weights(name, sample_weight, rows, self._metric)

    def _start(
        self,
        name: str,
        rows: Rows,
        weights: Any,
        rng: Any,
        fixed: Rows | None = None,
        there: DeviceRows | None = None,
    ) -> Any:
        return initial_centers(
            name, self.init, rows, self.n_clusters, weights, self._metric, rng, self.n_threads, fixed, there
        )

    def _starts(self, name: str, automatic: int) -> int:
        """Runs to make; automatic: where starts are drawn at random and n_init says "auto"."""
        given = not isinstance(self.init, str) and not callable(self.init)
        if isinstance(self.n_init, str):
            drawn_well = isinstance(self.init, str) and self.init == "k-means++"
            return 1 if given or drawn_well else automatic
        if given and self.n_init > 1:
            warnings.warn(
                f"{name}: Explicit initial center position passed: performing only one init in "
                f"{type(self).__name__} instead of n_init={self.n_init}.",
                RuntimeWarning,
                stacklevel=3,
            )
            return 1
        return int(self.n_init)

    def _kept(self, centers: Any, rows: Rows) -> Matrix:
        """Centers as the core returns them, in the container that users get."""
        matrix = from_core(centers, rows)
        return matrix.toarray() if sp.issparse(matrix) and not self._keeps_sparse() else matrix

    def _keeps_sparse(self) -> bool:
        return self._sparse_by_default if self.sparse_centers is None else bool(self.sparse_centers)

    def _shift_limit(self, name: str, rows: Rows) -> float:
        """The squared shift of all centers together at which a run stops; negative where tol is 0."""
        context = call(name, self.n_threads)
        return self._limit(lambda: backend().mean_variance(context, rows.core))

    def _limit(self, mean_variance: Callable[[], float]) -> float:
        """:meth:`_shift_limit`, by the mean variance of columns where that counts."""
        if self.tol == 0:
            return -1.0
        return float(self.tol * (self.n_clusters if self._metric == "cosine" else mean_variance()))

    def _warn_of_zero_rows(self, name: str, zero_rows: int) -> None:
        if zero_rows and self._metric == "cosine":
            warnings.warn(
                f"{name}: {zero_rows} rows of X are zero; they have no direction, get label 0 and "
                "add nothing to a center.",
                stacklevel=3,
            )

    def _batch_steps(self, name: str, rows: Rows, start: Any) -> tuple[Rows, Any]:
        """The rows of a batch, and the core's MiniBatch, from a start or the present centers."""
        if start is None:
            known = self.cluster_centers_
            rows = rows.as_type(name, np.result_type(rows.dtype, known.dtype))
            start = Rows(name, known, "cluster_centers_", like=rows).core
        steps = backend(self.device, name).MiniBatch(
            call(name, self.n_threads), start, self._counts, self._metric, self._metric == "cosine"
        )
        return rows, steps

    # ---- checks

    def _check_parameters(self, name: str) -> None:
        check_integer(name, "n_clusters", self.n_clusters)
        if isinstance(self.n_init, str):
            if self.n_init != "auto":
                raise ValueError(
                    f"{name}: n_init must be a positive integer or 'auto'; got {shown(self.n_init)}. "
                    "Use 'auto'."
                )
        else:
            check_integer(name, "n_init", self.n_init)
        self._check_iterations(name)
        if isinstance(self.init, str) and self.init not in ("k-means++", "random"):
            raise ValueError(
                f"{name}: init must be 'k-means++', 'random', an array or a callable; got "
                f"{shown(self.init)}. Use 'k-means++'."
            )
        if self.sparse_centers is not None:
            check_flag(name, "sparse_centers", self.sparse_centers)

    def _check_same_clusters(self, name: str) -> None:
        """Between batches the number of clusters stays."""
        if len(self._counts) != self.n_clusters:
            raise ValueError(
                f"{name}: n_clusters must stay {len(self._counts)} between batches; got {self.n_clusters}. "
                "Use a new estimator."
            )

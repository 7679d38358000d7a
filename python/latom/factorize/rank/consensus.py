"""Consensus NMF: components that many factorizations agree on, in the four steps of cNMF."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from latom._base.arrays import Matrix, as_seed
from latom._base.backend import backend, call
from latom._base.checks import check_flag, check_integer, check_number, check_tol, shown
from latom._base.estimator import validated_rows
from latom._base.rows import Rows
from latom.cluster.kmeans import KMeans
from latom.factorize.nmf import NMF
from latom.factorize.not_negative import check_not_negative
from latom.factorize.rank.alignment import unit_rows
from latom.factorize.rank.replicates import factorize_replicates, refit

Array = NDArray[Any]
NEIGHBORS = 0.3  # of the replicates: so many nearest spectra say how dense it is around one


class ConsensusNMF(BaseEstimator):
    """Gene programs, or topics, that many factorizations agree on.

    ``prepare`` scales columns, ``factorize`` makes all factorizations, ``combine`` gathers their components
    (spectra), and ``consensus`` clusters those of one number of components, without outliers, and fits the
    rest to the clusters' medians. ``fit`` takes all four steps.

    Parameters
    ----------
    n_components : int or sequence of int
        Numbers of components to factorize with. ``fit`` takes the consensus of the one with the highest
        silhouette.
    n_replicates : int, default 100
        Factorizations of each.
    n_features : int, optional
        Columns to factorize: those with the most variance for their mean. None takes all.
    scale : bool, default True
        Columns are divided by their standard deviations, not centered.
    density_threshold : float, default 0.5
        Spectra whose mean distance to their neighbors (30 % of the replicates) is not below it are left out.
    tol, max_iter : float and int, default 1e-4 and 1000
        As in :class:`latom.NMF`.
    random_state : int, Generator, RandomState or None
        Seed of the starts.
    n_threads : int, optional
        As in :class:`latom.NMF`.

    Attributes
    ----------
    features_ : int64 array
        Columns that are factorized.
    spectra_ : dict of int to array of shape (n_replicates * k, features)
        After ``combine``.
    components_ : array of shape (k, features)
        Medians of the clusters, rows that sum to 1, those with the largest shares of the usages first; after
        ``consensus``, as what follows.
    usages_ : array of shape (n, k)
        Non-negative, of the prepared X with components_.
    programs_ : array of shape (k, d)
        Non-negative, in units of X, for usages with rows that sum to 1.
    scores_ : array of shape (k, d)
        Coefficients of these usages in a least-squares fit of standardized columns.
    density_ : array of shape (n_replicates * k,)
        Mean distance of each spectrum to its neighbors.
    silhouette_ : float
        Of the spectra that were clustered, by Euclidean distance.
    reconstruction_err_ : float
        Frobenius norm of the prepared X less usages_ @ components_.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    All factorizations are one call of the core, in which replicates of a sparse X share its pattern; X is
    never made dense.

    References
    ----------
    Kotliar et al., "Identifying gene expression programs of cell-type identity and cellular activity with
    single-cell RNA-Seq", 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import ConsensusNMF
    >>> rng = np.random.default_rng(0)
    >>> X = rng.dirichlet([0.1] * 3, 80) @ rng.dirichlet([0.1] * 30, 3)
    >>> model = ConsensusNMF(3, n_replicates=10, random_state=0).fit(X)
    >>> model.components_.shape, model.usages_.shape, bool(model.silhouette_ > 0.9)
    ((3, 30), (80, 3), True)
    """

    features_: NDArray[np.int64]
    components_: Array

    def __init__(
        self,
        n_components: Any = 10,
        *,
        n_replicates: int = 100,
        n_features: int | None = None,
        scale: bool = True,
        density_threshold: float = 0.5,
        tol: float = 1e-4,
        max_iter: int = 1000,
        random_state: Any = None,
        n_threads: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.n_replicates = n_replicates
        self.n_features = n_features
        self.scale = scale
        self.density_threshold = density_threshold
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state
        self.n_threads = n_threads

    def fit(self, X: Matrix, y: Any = None) -> ConsensusNMF:
        """All four steps.

        Parameters
        ----------
        X : array or CSR of shape (n, d)
            Finite and not negative.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X is negative or not finite, or a parameter is out of range.
        """
        self.prepare(X)
        self.factorize()
        self.combine()
        best = max(self._ranks, key=lambda k: self._clustered(k, self.density_threshold)[3])
        return self.consensus(best)

    def prepare(self, X: Matrix) -> ConsensusNMF:
        """Choose and scale columns.

        Parameters
        ----------
        X : array or CSR of shape (n, d)
            As in :meth:`fit`.

        Returns
        -------
        self
        """
        name = f"{type(self).__name__}.prepare"
        rows = validated_rows(self, name, X, reset=True)
        self._check_parameters(name, rows.shape)
        check_not_negative(call(name, self.n_threads), rows, "Pass counts, or shares.")
        self._seed = as_seed(name, self.random_state)
        self._X = rows.numbers
        self._mean, self._deviation = _moments(self._X)
        d = rows.shape[1]
        self.features_ = np.arange(d)
        if self.n_features is not None and self.n_features < d:
            spread = np.divide(self._deviation**2, self._mean, out=np.zeros(d), where=self._mean > 0)
            self.features_ = np.sort(np.argsort(-spread, kind="stable")[: self.n_features])
        chosen = self._X if len(self.features_) == d else self._X[:, self.features_]
        if self.scale:
            deviation = self._deviation[self.features_]
            if not deviation.any():
                raise ValueError(
                    f"{name}: X must have a column that varies with scale=True; got none, with n_samples="
                    f"{len(rows)}. Use scale=False."
                )
            factor = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 0)
            factor = factor.astype(self._X.dtype)
            chosen = sp.csr_array(chosen @ sp.diags_array(factor)) if rows.sparse else chosen * factor
        self._prepared = Rows(name, chosen)
        self._found: dict[int, dict[int, Array]] = {}
        return self

    def factorize(self, worker: int = 0, n_workers: int = 1) -> dict[int, dict[int, Array]]:
        """Make factorizations, all or a worker's share.

        Parameters
        ----------
        worker : int, default 0
        n_workers : int, default 1
            This worker takes every so many-th replicate.

        Returns
        -------
        parts : dict of int to dict of int to array of shape (k, features)
            By number of components, then by replicate: what :meth:`combine` takes.
        """
        name = f"{type(self).__name__}.factorize"
        check_is_fitted(self, "features_", msg=_unready(name, "prepare X"))
        workers = check_integer(name, "n_workers", n_workers)
        streams = range(check_integer(name, "worker", worker, workers - 1, 0), self.n_replicates, workers)
        if not len(streams):  # more workers than replicates
            return {k: {} for k in self._ranks}
        model = NMF(tol=self.tol, max_iter=self.max_iter)
        found = factorize_replicates(
            name, self._prepared, self._ranks, streams, 0.0, model, self._seed, self.n_threads
        )
        parts = {k: dict(zip(streams, H, strict=True)) for k, (H, _, _) in found.items()}
        for k, part in parts.items():
            self._found.setdefault(k, {}).update(part)
        return parts

    def combine(self, parts: Sequence[dict[int, dict[int, Array]]] = ()) -> ConsensusNMF:
        """Gather spectra.

        Parameters
        ----------
        parts : sequence of what :meth:`factorize` returns
            Of other workers.

        Returns
        -------
        self
        """
        name = f"{type(self).__name__}.combine"
        check_is_fitted(self, "features_", msg=_unready(name, "prepare X"))
        for part in parts:
            for k, own in part.items():
                self._found.setdefault(k, {}).update(own)
        spectra = {
            k: unit_rows(np.concatenate([own[r] for r in sorted(own)]))
            for k, own in sorted(self._found.items())
            if own
        }
        if not spectra:
            raise ValueError(
                f"{name}: parts must hold a factorization where this model has made none; got none. Call "
                "factorize first, or pass what it has returned elsewhere."
            )
        self.spectra_ = spectra
        return self

    def consensus(self, n_components: int, density_threshold: float | None = None) -> ConsensusNMF:
        """Cluster the spectra of one number of components, and fit the rest to the medians.

        Parameters
        ----------
        n_components : int
            One of those that were factorized.
        density_threshold : float, optional
            In place of the parameter of that name.

        Returns
        -------
        self
        """
        name = f"{type(self).__name__}.consensus"
        check_is_fitted(self, "spectra_", msg=_unready(name, "combine factorizations"))
        if n_components not in self.spectra_:
            raise ValueError(
                f"{name}: n_components must be one that was factorized, of {sorted(self.spectra_)}; got "
                f"{shown(n_components)}. Take one of these."
            )
        threshold = self.density_threshold if density_threshold is None else density_threshold
        check_number(name, "density_threshold", threshold)
        k = int(n_components)
        spectra, labels, self.density_, self.silhouette_ = self._clustered(k, threshold)
        medians = np.stack([np.median(spectra[labels == c], axis=0) for c in range(k)])
        total = medians.sum(axis=1, keepdims=True)
        self.components_ = (medians / np.where(total > 0, total, 1)).astype(self._prepared.dtype)
        model = NMF(tol=self.tol, max_iter=self.max_iter)
        usages, errors = refit(name, self._prepared, self.components_, model, self.n_threads)
        order = np.argsort(-_shares(usages).sum(axis=0), kind="stable")
        self.usages_, self.components_ = np.ascontiguousarray(usages[:, order]), self.components_[order]
        self.reconstruction_err_ = float(np.sqrt(errors.sum()))
        self._fit_programs(name, model)
        return self

    # ---- parts

    def _clustered(self, k: int, threshold: float) -> tuple[Array, NDArray[Any], NDArray[np.float64], float]:
        """Spectra that are not outliers, their clusters, the density of all, and the silhouette."""
        name = f"{type(self).__name__}.consensus"
        spectra = self.spectra_[k]
        distances = np.sqrt(np.maximum(2 - 2 * (spectra @ spectra.T).astype(np.float64), 0))
        np.fill_diagonal(distances, 0)
        count = min(max(1, int(NEIGHBORS * len(spectra) / k)), len(spectra) - 1)
        density = np.partition(distances, count, axis=1)[:, : count + 1].sum(axis=1) / max(count, 1)
        kept = density < threshold
        if kept.sum() < k:
            raise ValueError(
                f"{name}: density_threshold must leave at least {k} spectra; got {threshold}, which leaves "
                f"{kept.sum()}. Raise it: distances reach 2."
            )
        own = np.ascontiguousarray(spectra[kept])
        labels = KMeans(k, n_init=10, random_state=1, n_threads=self.n_threads).fit(own).labels_
        return own, labels, density, _silhouette(distances[np.ix_(kept, kept)], labels, k)

    def _fit_programs(self, name: str, model: NMF) -> None:
        shares = np.ascontiguousarray(_shares(self.usages_))
        turned = self._X.T
        columns = Rows(name, sp.csr_array(turned) if sp.issparse(turned) else np.ascontiguousarray(turned))
        programs, _ = refit(name, columns, np.ascontiguousarray(shares.T), model, self.n_threads)
        self.programs_ = np.ascontiguousarray(programs.T)
        G = backend().gram(call(name, self.n_threads), shares)
        cross = np.asarray(shares.T @ self._X, np.float64) - np.outer(shares.sum(axis=0), self._mean)
        standardized = np.divide(cross, self._deviation, out=np.zeros_like(cross), where=self._deviation > 0)
        self.scores_ = np.linalg.pinv(G, hermitian=True) @ standardized

    def _check_parameters(self, name: str, shape: tuple[int, int]) -> None:
        given = self.n_components
        many = isinstance(given, (Sequence, np.ndarray)) and not isinstance(given, str)
        most = min(shape)
        self._ranks = sorted(
            {check_integer(name, "n_components", k, most) for k in (given if many else [given])}
        )
        if not self._ranks:
            raise ValueError(f"{name}: n_components must not be empty; got {shown(given)}. Pass an integer.")
        check_integer(name, "n_replicates", self.n_replicates, low=2)
        if self.n_features is not None:
            check_integer(name, "n_features", self.n_features)
        check_flag(name, "scale", self.scale)
        check_number(name, "density_threshold", self.density_threshold)
        check_tol(name, self.tol)
        check_integer(name, "max_iter", self.max_iter)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = tags.input_tags.positive_only = True
        return tags


def _unready(name: str, step: str) -> str:
    """What a step says that comes before another."""
    return f"{name}: the model must {step} first; got one that has not. Call {step.split()[0]}, or fit."


def _shares(usages: Array) -> Array:
    """Rows that sum to 1; rows of zeros stay."""
    total = usages.sum(axis=1, keepdims=True)
    shares: Array = usages / np.where(total > 0, total, 1)
    return shares


def _moments(X: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means and standard deviations of columns, in float64."""
    n, d = X.shape
    if sp.issparse(X):
        values = X.data.astype(np.float64)
        sums, squares = (np.bincount(X.indices, v, minlength=d) for v in (values, values**2))
    else:
        sums = X.sum(axis=0, dtype=np.float64)
        squares = np.einsum("ij,ij->j", X, X, dtype=np.float64)
    mean = sums / n
    return mean, np.sqrt(np.maximum(squares / n - mean**2, 0))


def _silhouette(distances: NDArray[np.float64], labels: NDArray[Any], k: int) -> float:
    """The mean silhouette of rows with these distances."""
    if k == 1:
        return 1.0
    sums = np.stack([distances[:, labels == c].sum(axis=1) for c in range(k)], axis=1)
    sizes = np.bincount(labels, minlength=k)
    rows = np.arange(len(labels))
    alone = sizes[labels] <= 1
    within = sums[rows, labels] / np.maximum(sizes[labels] - 1, 1)
    means = sums / np.maximum(sizes, 1)
    means[rows, labels] = np.inf
    between = means.min(axis=1)
    larger = np.maximum(within, between)
    each = np.divide(between - within, larger, out=np.zeros_like(larger), where=(larger > 0) & ~alone)
    return float(each.mean())

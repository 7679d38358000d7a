"""Classes that nobody named, from how often each occurs in several domains."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from latom._base.arrays import as_seed
from latom._base.backend import backend
from latom._base.checks import check_choice, check_integer, check_threads, check_tol, shown
from latom._base.estimator import validated_rows
from latom._base.finite import check_finite
from latom.cluster.kmeans import KMeans
from latom.factorize.nmf_batch import Factorizations, nmf_batch

Array = NDArray[Any]
Float64 = NDArray[np.float64]
INITS = ("both", "random", "anchors")
FIRST, SECOND = 50, 10  # parts of the iterations that all starts get, and those kept of them
KEPT = 5  # one in so many starts is kept
BLAS_ALONE = 1 << 18  # multiply-adds up to which OpenBLAS takes one thread


class LatentLabelShift(BaseEstimator):
    """Classes that differ in their shares among domains, from a classifier of domains.

    Rows of P hold p(domain | x), as any classifier's ``predict_proba`` gives them. Where the classes of x
    occur with different shares in the domains, and look the same in all of them, these shares and the
    classes can be found without one label: p(domain | x) is cut into cells by k-means, the table of cells
    by domains is a product p(cell | class) p(class | domain), and NMF finds its factors.

    Parameters
    ----------
    n_classes : int
        Classes, at most as many as domains and cells.
    n_cells : int or "auto", default "auto"
        Clusters of P; "auto" takes twice the classes, but at least 30 (and at most the rows).
    n_init : int, default 20
        Random starts of the factorization. All get a fiftieth of the iterations, the best fifth a tenth, and
        the one with the lowest loss then the rest.
    init : {"both", "random", "anchors"}, default "both"
        "anchors": the one start whose classes are the domain shares of the most extreme cells (successive
        projections), which is the solution itself where each class has a cell of its own; "both" adds it to
        the random ones, which stop short of such a solution.
    cluster : estimator, optional
        With ``fit`` and ``predict``, and a number of clusters of its own; None is :class:`latom.KMeans` with
        5 starts of at most 100 iterations.
    nmf_tol : float, default 1e-6
        As in :func:`latom.nmf_batch`.
    nmf_max_iter : int, default 2000
        Most iterations of a start.
    random_state : int, Generator, RandomState or None
        Seed of the clusters and of the starts.
    n_threads : int, optional
        As in :class:`latom.NMF`.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        0, 1, ...: names are not to be had.
    domains_ : array of shape (n_domains,)
        What `domains` held, sorted: the order of the columns of P.
    class_prior_ : array of shape (n_domains, n_classes)
        p(class | domain); rows sum to 1.
    cell_given_class_ : array of shape (n_cells, n_classes)
        p(cell | class); columns sum to 1. A class that no domain has gets the shares of cells in all rows.
    domain_given_class_ : array of shape (n_domains, n_classes)
        p(domain | class), with the share of rows that each domain has.
    losses_ : array of shape (starts,)
        Half the squared error of each factorization, as far as it went; an "anchors" start stands first.
    labels_ : array of shape (n,)
        ``predict`` on the rows of the fit.
    n_features_in_ : int

    Notes
    -----
    Costs k-means of P, and starts that are small problems of :func:`latom.nmf_batch`: with ``nmf_tol=1e-4``
    and ``nmf_max_iter=150`` all 20 of them take less time than one fit of scikit-learn's NMF, and end lower.
    The defaults take several times as long, which pays where the table is exact: a whole fit takes a fifth
    more time than one k-means and one NMF of scikit-learn's, and errs less. Where no cell is a class's own,
    factors need not be unique: the loss of several starts is then equally low.

    References
    ----------
    Roberts, Mani, Garg & Lipton, "Unsupervised learning under latent label shift", 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import LatentLabelShift
    >>> shares = np.array([[0.9, 0.1], [0.2, 0.8]])  # p(class | domain)
    >>> y = np.repeat([0, 1, 0, 1], [90, 10, 20, 80])
    >>> domains = np.repeat([0, 1], 100)
    >>> P = (shares / shares.sum(axis=0)).T[y]  # p(domain | x)
    >>> model = LatentLabelShift(2, n_cells=2, init="anchors", random_state=0).fit(P, domains)
    >>> np.round(np.sort(model.class_prior_[0]), 6).tolist()
    [0.1, 0.9]
    >>> same = model.predict(P, domains) == y
    >>> bool(same.all() or not same.any())
    True
    """

    class_prior_: Float64
    cell_given_class_: Float64
    domain_given_class_: Float64

    def __init__(
        self,
        n_classes: int,
        n_cells: Any = "auto",
        *,
        n_init: int = 20,
        init: str = "both",
        cluster: Any = None,
        nmf_tol: float = 1e-6,
        nmf_max_iter: int = 2000,
        random_state: Any = None,
        n_threads: int | None = None,
    ) -> None:
        self.n_classes = n_classes
        self.n_cells = n_cells
        self.n_init = n_init
        self.init = init
        self.cluster = cluster
        self.nmf_tol = nmf_tol
        self.nmf_max_iter = nmf_max_iter
        self.random_state = random_state
        self.n_threads = n_threads

    def fit(self, X: Any, domains: Any) -> LatentLabelShift:
        """Find the shares of classes in domains.

        Parameters
        ----------
        X : array of shape (n, n_domains)
            p(domain | x), columns in the order of the sorted domains; rows that do not sum to 1 are divided
            by their sums.
        domains : array of shape (n,)
            The domain that each row comes from.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is out of range, X is negative, or `domains` does not name as many domains as X
            has columns.
        """
        name = f"{type(self).__name__}.fit"
        P = self._probabilities(name, X, reset=True)
        self._check_parameters(name, *P.shape)
        self.domains_, place = np.unique(self._names(name, domains, len(P)), return_inverse=True)
        if len(self.domains_) != P.shape[1]:
            raise ValueError(
                f"{name}: domains must name as many as X has columns, {P.shape[1]}; got "
                f"{len(self.domains_)}. "
                "Pass p(domain | x) of these domains alone."
            )
        rng = np.random.default_rng(as_seed(name, self.random_state))
        cells = self._cells(name, P, int(rng.integers(2**31)))
        pairs = np.bincount(cells * P.shape[1] + place, minlength=(int(cells.max()) + 1) * P.shape[1])
        counts = pairs.reshape(-1, P.shape[1]).astype(np.float64)
        self._domain_share = counts.sum(axis=0) / len(P)
        table = counts / counts.sum(axis=0)  # p(cell | domain)
        W, H = self._factors(table, int(rng.integers(2**31)))
        size = H.sum(axis=1)
        self.cell_given_class_ = np.empty(H.T.shape)
        self.cell_given_class_[:] = counts.sum(axis=1, keepdims=True) / len(P)  # of classes that are nowhere
        np.divide(H.T, size, out=self.cell_given_class_, where=size > 0)
        prior = W * size
        total = prior.sum(axis=1, keepdims=True)
        self.class_prior_ = np.where(total > 0, prior / np.where(total > 0, total, 1), 1 / self.n_classes)
        joint = self.class_prior_ * self._domain_share[:, None]
        of_class = joint.sum(axis=0)
        self.domain_given_class_ = np.divide(joint, of_class, out=np.zeros_like(joint), where=of_class > 0)
        self.classes_ = np.arange(self.n_classes)
        self.labels_ = self._classes(P, place).argmax(axis=1)
        return self

    def predict_proba(self, X: Any, domains: Any = None) -> Float64:
        """p(class | x, domain).

        Parameters
        ----------
        X : array of shape (n, n_domains)
            As in :meth:`fit`.
        domains : array of shape (n,), optional
            The domain of each row, among those of the fit. None: p(class | x) over all domains.

        Returns
        -------
        probabilities : array of shape (n, n_classes)
            Rows sum to 1.
        """
        check_is_fitted(self)
        name = f"{type(self).__name__}.predict_proba"
        P = self._probabilities(name, X, reset=False)
        if domains is None:
            return self._classes(P, None)
        given = self._names(name, domains, len(P))
        place = np.searchsorted(self.domains_, given).clip(max=len(self.domains_) - 1)
        bad = self.domains_[place] != given
        if bad.any():
            raise ValueError(
                f"{name}: domains must be among those of the fit; got {given[bad].tolist()[0]!r}. Leave "
                "domains out for rows of others."
            )
        return self._classes(P, place)

    def predict(self, X: Any, domains: Any = None) -> NDArray[np.int64]:
        """The most probable class of each row.

        Parameters
        ----------
        X, domains
            As in :meth:`predict_proba`.

        Returns
        -------
        labels : array of shape (n,)
        """
        labels: NDArray[np.int64] = self.predict_proba(X, domains).argmax(axis=1)
        return labels

    # ---- parts of a fit

    def _cells(self, name: str, P: Float64, seed: int) -> NDArray[np.int64]:
        k = max(30, 2 * self.n_classes) if isinstance(self.n_cells, str) else self.n_cells
        model = self.cluster
        if model is None:
            k = min(k, len(np.unique(P, axis=0)) if len(P) <= 4096 else len(P))
            model = KMeans(k, n_init=5, max_iter=100, random_state=seed, n_threads=self.n_threads)
            labels = model.fit(P).labels_
        else:
            labels = np.asarray(model.fit(P).predict(P))
        return np.unique(labels, return_inverse=True)[1].astype(np.int64)  # cells without rows say nothing

    def _factors(self, table: Float64, seed: int) -> tuple[Float64, Float64]:
        """W [domains, classes] and H [classes, cells] of the transposed table."""
        X, k, most = np.ascontiguousarray(table.T), self.n_classes, self.nmf_max_iter

        def descend(starts: Any, max_iter: int) -> Factorizations:
            options: dict[str, Any] = {"random_state": seed, "n_threads": self.n_threads}
            return nmf_batch(X, k, starts, tol=self.nmf_tol, max_iter=max(1, max_iter), **options)

        rounding = float(np.finfo(np.float64).eps * (X**2).sum())  # below it no loss tells more than another
        anchors = () if self.init == "random" else tuple(part[None] for part in anchor_start(X, k))
        if self.init == "anchors":
            runs = descend(anchors, most)
            self.losses_ = np.maximum(runs.loss, 0)
            return runs.W[0], runs.H[0]
        first, second = most // FIRST, most // SECOND
        lots = [descend(start, first) for start in (anchors, self.n_init) if start]
        losses, W, H = (np.concatenate([getattr(runs, part) for runs in lots]) for part in ("loss", "W", "H"))
        self.losses_, place = losses.copy(), np.arange(len(losses))
        for count, max_iter in ((-(-self.n_init // KEPT), second), (1, most - first - second)):
            best = np.argsort(np.maximum(losses, rounding), kind="stable")[:count]
            place, runs = place[best], descend((W[best], H[best]), max_iter)
            losses, W, H = runs.loss, runs.W, runs.H
            self.losses_[place] = losses
        self.losses_ = np.maximum(self.losses_, 0)
        return W[0], H[0]

    def _classes(self, P: Float64, place: NDArray[Any] | None) -> Float64:
        """p(class | x), or p(class | x, domain)."""
        decoder = np.linalg.pinv(self.domain_given_class_).T
        out = np.empty((len(P), self.n_classes))
        # In parts so small, where there are few domains, that BLAS computes them on one thread: those that it
        # wakes go on spinning beside what comes next.
        step = max(1024, BLAS_ALONE // decoder.size)
        for first in range(0, len(P), step):
            part = slice(first, first + step)
            codes = np.maximum(P[part] @ decoder, 0)
            if place is not None:
                codes *= self.domain_given_class_[place[part]]
            total = codes.sum(axis=1, keepdims=True)
            flat = self._domain_share @ self.class_prior_ if place is None else self.class_prior_[place[part]]
            out[part] = np.where(total > 0, codes / np.where(total > 0, total, 1), flat)
        return out

    # ---- checks

    def _probabilities(self, name: str, X: Any, reset: bool) -> Float64:
        rows = validated_rows(self, name, X, reset, accept_sparse=False, dtype=np.float64)
        P: Float64 = np.asarray(rows[:], np.float64)
        must = "hold probabilities, finite and not negative (Negative values in data, NaN or infinity)"
        check_finite(name, "X", P, "Pass what predict_proba returns.", negative=False, must=must)
        total = P.sum(axis=1, keepdims=True)
        return np.where(total > 0, P / np.where(total > 0, total, 1), 1 / P.shape[1])

    def _names(self, name: str, domains: Any, n: int) -> NDArray[Any]:
        given = np.asarray(domains)
        if given.shape != (n,):
            raise ValueError(
                f"{name}: domains must have shape ({n},); got {given.shape}. Pass the domain of each row."
            )
        return given

    def _check_parameters(self, name: str, n: int, domains: int) -> None:
        k = check_integer(name, "n_classes", self.n_classes)
        if k > domains:
            raise ValueError(
                f"{name}: n_classes must be at most the number of domains, {domains}; got {k}. Shares "
                "of more "
                "classes than domains cannot be told apart: gather more domains."
            )
        if not (isinstance(self.n_cells, str) and self.n_cells == "auto"):
            check_integer(name, "n_cells", self.n_cells, max(n, k), k)
            if self.cluster is not None:
                raise ValueError(
                    f"{name}: n_cells must be 'auto' when cluster is given; got {self.n_cells}. Give that "
                    "number to cluster."
                )
        check_integer(name, "n_init", self.n_init)
        check_choice(name, "init", self.init, INITS)
        check_tol(name, self.nmf_tol)
        check_integer(name, "nmf_max_iter", self.nmf_max_iter)
        if self.cluster is not None and not (
            hasattr(self.cluster, "fit") and hasattr(self.cluster, "predict")
        ):
            raise ValueError(
                f"{name}: cluster must have fit and predict; got {shown(self.cluster)}. Pass None for "
                "k-means."
            )
        check_threads(name, self.n_threads)
        backend(None, name)


def anchor_start(X: Float64, k: int) -> tuple[Float64, Float64]:
    """W [n, k], H [k, d] where columns of W are columns of X, scaled to a sum of 1, at the corners of all.

    The successive projection algorithm (Araujo et al. 2001; Gillis & Vavasis 2014): the longest column, then
    the longest of what is left when its direction is taken out. H minimizes the squared error without
    signs, and what of it is negative becomes small.
    """
    sums = X.sum(axis=0)
    columns = X / np.where(sums > 0, sums, 1)
    rest, chosen = columns.copy(), []
    for _ in range(k):
        length = np.einsum("ij,ij->j", rest, rest)
        chosen.append(int(length.argmax()))
        norm = float(np.sqrt(length[chosen[-1]]))
        if norm > 0:
            direction = rest[:, chosen[-1]] / norm
            rest -= np.outer(direction, direction @ rest)
    W = columns[:, chosen]
    H = np.linalg.lstsq(W, X, rcond=None)[0]
    return W, np.maximum(H, 1e-12)

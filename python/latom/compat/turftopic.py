"""turftopic's semi-NMF and top-k autoencoder on latom's core: the shapes that its models call.

    turftopic.models.senstopic.SNMF = latom.compat.turftopic.SNMF  # SensTopic makes its own
    LatentTermsVectorizer(encoder, TopKAutoEncoder.from_dict(theirs.to_dict()), labels)

KeyNMF takes the names of :mod:`latom.compat.sklearn`, in ``turftopic.models._keynmf``; clustering models and
S3 take latom's estimators as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log, sqrt
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from latom._base.arrays import Matrix, as_seed
from latom._base.backend import call
from latom._base.checks import check_integer, check_range, check_tol
from latom._base.history import Descent
from latom._base.progress import Progress
from latom._base.rows import Rows
from latom.cluster.kmeans import KMeans
from latom.compat._semi_nmf_steps import error, least_squares, measured, multiplied, solved, swept
from latom.encode.atoms import Atoms, as_atoms, as_csr, encoder_atoms

__all__ = ["SNMF", "TopKAutoEncoder"]

Array = NDArray[Any]
START = 0.2  # what every document has of every component besides the cluster that it is in
SWEEPS = 4  # over the codes, an iteration


class SNMF(TransformerMixin, BaseEstimator):
    """turftopic's ``SNMF``: X ~ G H with G >= 0, where sums of G are penalized.

    H is found by least squares. With ``sparsity=0``, G is by coordinate sweeps, which come to a lower error
    in fewer iterations than turftopic's multiplicative steps. Otherwise these are made, as what sparsity does
    is theirs alone: an addend of their denominators. A fit keeps G at length 1 (Frobenius), as there.

    Parameters
    ----------
    n_components : int
    tol : float, default 1e-5
        A fit stops when an iteration lowers the error by less than tol times the error of the start.
    max_iter : int, default 200
    progress_bar : ignored, as in turftopic
    random_state : int, Generator, RandomState or None
        Seed of the k-means that a fit starts from.
    sparsity : float, default 0.0
    verbose : bool, default False

    Attributes
    ----------
    components_ : array of shape (k, d)
        H; turftopic calls its transpose F.
    reconstruction_err_, error_at_init : float
        ||X - G H||.
    n_iter_, n_datapoints_ : int
        Iterations of the last fit; rows seen by all.

    Notes
    -----
    Without sparsity, :meth:`transform` solves for the codes of each row by itself, to the end. With it, codes
    have length 1 all together, as in turftopic, and depend on the other rows.

    References
    ----------
    Ding, Li & Jordan, "Convex and semi-nonnegative matrix factorizations", 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from latom.compat.turftopic import SNMF
    >>> X = np.array([[1.0, -1, 0], [2, -2, 0], [0, 1, 3], [0, 2, 6]])
    >>> G = SNMF(2, random_state=0).fit_transform(X)
    >>> G.shape, bool((G >= 0).all())
    ((4, 2), True)
    """

    def __init__(
        self,
        n_components: int,
        tol: float = 1e-5,
        max_iter: int = 200,
        progress_bar: bool = True,
        random_state: Any = None,
        sparsity: float = 0.0,
        verbose: bool = False,
    ) -> None:
        self.n_components = n_components
        self.tol = tol
        self.max_iter = max_iter
        self.progress_bar = progress_bar
        self.random_state = random_state
        self.sparsity = sparsity
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> SNMF:
        """:meth:`fit_transform`, returning self."""
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Array:
        """Find components of dense rows [n, d]; returns G [n, k], of length 1."""
        name = "SNMF.fit_transform"
        self._check(name)
        X, squares = measured(name, X)
        G = self._start(name, X)
        G /= np.linalg.norm(G)  # sparsity is felt at this length
        H = least_squares(name, X, G)
        self.error_at_init = error(name, X, G, H, squares)
        G, H, self.reconstruction_err_, self.n_iter_ = self._descend(name, X, squares, G, H, 0)
        self.components_, self.n_datapoints_ = H, len(X)
        return G

    def transform(self, X: Any, F: Any = None) -> Array:
        """G [n, k] of rows, for the components or the columns of F [d, k]."""
        name = "SNMF.transform"
        H = self.components_ if F is None else np.asarray(F).T
        rows, squares = measured(name, X, H.shape[1])
        H = np.ascontiguousarray(H, rows.dtype)
        if not self.sparsity:
            return solved(rows, H)
        G = self._start(name, rows, len(H))
        start = before = error(name, rows, G, H, squares)
        for _ in range(self.max_iter):
            G = multiplied(rows, G, H, self.sparsity)
            G /= max(np.linalg.norm(G), np.finfo(G.dtype).tiny)
            last, before = before, error(name, rows, G, H, squares)
            if self.tol > 0 and before < start and last - before < self.tol * start:
                break
        return G

    def inverse_transform(self, X: Any) -> Array:
        """Rows from codes: ``X @ components_``."""
        return np.asarray(X @ self.components_)

    def rec_err(self, X: Any) -> float:
        """||X - G H|| with the codes of :meth:`transform`."""
        X, squares = measured("SNMF.rec_err", X, self.components_.shape[1])
        return error("SNMF.rec_err", X, self.transform(X), self.components_, squares)

    def bic(self, X: Any, F: Any = None, G: Any = None) -> float:
        """turftopic's information criterion of rows X; lower is better.

        ln ||X - G H||^2 + k (n + d) / (n d) ln(n d / (n + d)), with G from :meth:`transform` if not given.
        """
        name = "SNMF.bic"
        H = self.components_ if F is None else np.asarray(F).T
        X, squares = measured(name, X, H.shape[1])
        G = self.transform(X, H.T) if G is None else np.asarray(G)
        (n, d), k = X.shape, G.shape[1]
        rest = error(name, X, G, H, squares)
        fit = 2 * log(rest) if rest > 0 else -np.inf
        return float(fit + k * (n + d) / (n * d) * log(n * d / (n + d)))

    def fit_new_components(self, X: Any, n_new_components: int) -> SNMF:
        """Add components that further rows need beside the present ones, which stay as they are."""
        found = self._fit_new(X, n_new_components)
        self.components_ = np.ascontiguousarray(found["F"].T)
        self.n_components = len(self.components_)
        self.reconstruction_err_, self.n_iter_ = found["error"], found["n_iter"]
        self.n_datapoints_ += len(X)
        return self

    def fit_timeslice(self, X_t: Any, G_t: Any) -> Array:
        """Components [k, d] for which rows have the codes G_t, by least squares."""
        name = "SNMF.fit_timeslice"
        X_t, _ = measured(name, X_t)
        return least_squares(name, X_t, np.ascontiguousarray(G_t, X_t.dtype))

    def merge_with(
        self,
        other: SNMF,
        match_threshold: float = 0.7,
        merge_method: str | Callable[..., Any] = "symmetric_mean",
        weighted: bool = True,
    ) -> tuple[SNMF, list[list[int]]]:
        """A model with the components of both, those alike merged, and what became of each.

        Methods with a name are turftopic's; a callable is called as ``merge_method([own, others],
        weights=, match_threshold=)`` and returns components and history.
        """
        merge: Any = merge_method
        if isinstance(merge_method, str):
            from turftopic.merging import get_merge_fn

            merge = get_merge_fn(merge_method)
        weights = [self.n_datapoints_, other.n_datapoints_] if weighted else None
        pair = [self.components_, other.components_]
        components, history = merge(pair, weights=weights, match_threshold=match_threshold)
        merged = type(self)(**{**self.get_params(), "n_components": len(components)})
        merged.components_ = components
        merged.reconstruction_err_, merged.n_iter_ = self.reconstruction_err_, self.n_iter_
        merged.n_datapoints_ = self.n_datapoints_ + other.n_datapoints_
        return merged, history

    # ---- parts of a fit

    def _fit_new(self, X: Any, n_new: int) -> dict[str, Any]:
        """turftopic's method of this name: F [d, k], G, error and n_iter with n_new components more."""
        name = "SNMF.fit_new_components"
        self._check(name)
        check_integer(name, "n_new_components", n_new)
        X, squares = measured(name, X, self.components_.shape[1])
        G = self.transform(X)
        old = len(self.components_)
        # what the present components leave over tells the new ones where to start
        left = np.ascontiguousarray(X - G @ self.components_, X.dtype)
        own = self._start(name, left, n_new)
        H = np.vstack([self.components_, least_squares(name, left, own)]).astype(X.dtype)
        G = np.ascontiguousarray(np.hstack([G, own]))
        G, H, rest, n_iter = self._descend(name, X, squares, G, H, old)
        return {"G": G, "F": H.T, "error": rest, "n_iter": n_iter}

    def _start(self, name: str, X: Array, k: int | None = None) -> Array:
        """1 for the cluster of a row, and START everywhere."""
        k = self.n_components if k is None else k
        seed = as_seed(name, self.random_state)
        if k > len(X):
            return np.asarray(np.random.default_rng(seed).random((len(X), k), X.dtype) + START, X.dtype)
        G = np.full((len(X), k), START, X.dtype)
        G[np.arange(len(X)), KMeans(k, random_state=seed).fit(X).labels_] += 1
        return G

    def _descend(
        self, name: str, X: Array, squares: float, G: Array, H: Array, frozen: int
    ) -> tuple[Array, Array, float, int]:
        """Iterations from G and H, whose first rows may stay: G, H, the error, and how many were made."""
        start = before = error(name, X, G, H, squares)
        with Progress("SNMF", self.max_iter, int(self.verbose)) as progress:
            run = Descent(self.max_iter, self.tol, None, progress)
            while True:
                G = multiplied(X, G, H, self.sparsity) if self.sparsity else swept(name, X, G, H, SWEEPS, 0)
                free, kept = G[:, frozen:], G[:, :frozen]
                length, wanted = float(np.linalg.norm(free)), 1.0
                if frozen:
                    wanted = float(np.linalg.norm(kept)) * sqrt(free.shape[1] / frozen)
                if length > 0 and wanted > 0:
                    free *= X.dtype.type(wanted / length)
                left = X if not frozen else X - kept @ H[:frozen]
                H = np.vstack([H[:frozen], least_squares(name, left, np.ascontiguousarray(free))])
                last, before = before, error(name, X, G, H, squares)
                settled = self.tol > 0 and before < start and last - before < self.tol * start
                if run.reached(before**2 / 2, np.nan, settled):
                    return G, H, before, len(run.states)

    def _check(self, name: str) -> None:
        check_integer(name, "n_components", self.n_components)
        check_integer(name, "max_iter", self.max_iter)
        check_tol(name, self.tol)
        check_range(name, "sparsity", self.sparsity)


class TopKAutoEncoder(TransformerMixin, BaseEstimator):
    """turftopic's ``TopKAutoEncoder``: encodes dense rows with the weights of a trained autoencoder.

    Codes are the top_k highest of ``x @ coef_ + intercept_``, of any sign; all that equal the last in float64
    are kept.

    Parameters
    ----------
    n_latent, top_k, lr, batch_size, n_epochs, alpha, show_progress_bar, random_state
        As in turftopic. Only top_k matters here, and batch_size where X is sparse: so many rows are made
        dense at a time.

    Attributes
    ----------
    coef_, coef_d_ : arrays of shape (d, n_latent) and (n_latent, d)
        Encoder and decoder.
    intercept_, intercept_d_ : arrays of shape (n_latent,) and (d,)
    loss_curve_ : object
        Of the training, which is done elsewhere.
    """

    def __init__(
        self,
        n_latent: int = 32768,
        top_k: int = 16,
        lr: float = 1e-3,
        batch_size: int = 4096,
        n_epochs: int = 10,
        alpha: float = 0.03,
        show_progress_bar: bool = True,
        random_state: int | None = None,
    ) -> None:
        self.n_latent = n_latent
        self.top_k = top_k
        self.lr = lr
        self.batch_size = batch_size
        self.n_epochs = n_epochs
        self.alpha = alpha
        self.show_progress_bar = show_progress_bar
        self.random_state = random_state

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TopKAutoEncoder:
        """The encoder that :meth:`to_dict`, or turftopic's, has described."""
        model, params = cls(**data["attr"]), data["params"]
        model.coef_, model.intercept_ = np.asarray(params["W_e"]), np.asarray(params["b_e"])
        model.coef_d_, model.intercept_d_ = np.asarray(params["W_d"]), np.asarray(params["b_d"])
        model.loss_curve_ = data["loss_curve"]
        return model

    def to_dict(self) -> dict[str, Any]:
        """Parameters and weights, as turftopic's ``from_dict`` takes them."""
        params = {"W_e": self.coef_, "b_e": self.intercept_, "W_d": self.coef_d_, "b_d": self.intercept_d_}
        return {"attr": self.get_params(), "params": params, "loss_curve": self.loss_curve_}

    def fit(self, X: Any, y: Any = None) -> TopKAutoEncoder:
        """Does nothing, as in turftopic."""
        return self

    def transform(self, X: Matrix) -> Matrix:
        """Codes of the rows of X [n, d], a csr_array [n, n_latent]."""
        name = "TopKAutoEncoder.transform"
        atoms = self._atoms(name)
        if not sp.issparse(X):
            return self._codes(name, atoms, Rows(name, X))
        X, step = X.tocsr(), check_integer(name, "batch_size", self.batch_size)
        parts = [X[first : first + step].toarray() for first in range(0, X.shape[0], step)]
        return sp.vstack([self._codes(name, atoms, Rows(name, part)) for part in parts], format="csr")

    def _codes(self, name: str, atoms: Atoms, rows: Rows) -> Matrix:
        context, m = call(name), len(atoms.rows)
        k = check_integer(name, "top_k", self.top_k, m)
        values, indices, _ = atoms.topk(context, rows, min(k + 1, m), "identity", pack=True)
        tied = values[:, k - 1] == values[:, k] if k < m else np.zeros(len(rows), bool)
        codes = as_csr(values[~tied, :k], indices[~tied, :k], m)
        if not tied.any():
            return codes
        equal = np.ascontiguousarray(rows[tied], np.float64)
        last = atoms.topk(context, equal, k, "identity")[0][:, -1]
        found = atoms.above(context, equal, np.nextafter(last, -np.inf)).astype(values.dtype)
        found.eliminate_zeros()
        order = np.argsort(np.concatenate([np.flatnonzero(~tied), np.flatnonzero(tied)]))
        return sp.csr_array(sp.vstack([codes, found], format="csr")[order])

    def _atoms(self, name: str) -> Atoms:
        """The encoder's columns as atoms, packed once for the weights as they are."""
        weights = (self.coef_, self.intercept_)
        made = getattr(self, "_packed", None)
        if made is None or made[0] is not weights[0] or made[1] is not weights[1]:
            W = as_atoms(name, "coef_", np.ascontiguousarray(np.asarray(self.coef_).T))
            made = self._packed = (*weights, encoder_atoms(call(name), W, np.asarray(self.intercept_), None))
        return made[2]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_packed"}

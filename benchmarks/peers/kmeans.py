"""k-means on sparse or dense rows: one adapter a library, asked for exactly n iterations.

A fit starts from the rows in `init` where the library takes initial centers; every answer is labels.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import scipy.sparse as sp
from data import Problem

from peers.base import Answer, Fit, Peer, by_name, tuned


class Latom(Peer):
    """latom itself. `arguments` go to the estimator, so that variants can stand side by side."""

    distribution = "latom"
    final_pass = True
    typical_first = False

    def __init__(
        self, name: str = "latom", note: str = "", kind: str = "SphericalKMeans", **arguments: Any
    ) -> None:
        self.name, self.note, self.kind, self.arguments = name, note, kind, arguments

    def load(self) -> None:
        self.estimator = getattr(importlib.import_module("latom"), self.kind)

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X, init = problem["X"], problem["init"]

        def fit(n_iter: int) -> Answer:
            options = {"n_init": 1, "max_iter": n_iter, "tol": 0.0, "n_threads": threads}
            model = self.estimator(init.shape[0], init=init, **(options | self.arguments))
            model.fit(X)
            return Answer(lambda: model.labels_, model.n_iter_)

        return fit


class ScikitLearn(Peer):
    """scikit-learn's KMeans, Lloyd: Euclidean, dense centers also where rows are sparse."""

    name = "scikit-learn"
    distribution = "scikit-learn"
    module = "sklearn.cluster"
    final_pass = True

    def __init__(self, note: str = "", algorithm: str = "lloyd") -> None:
        self.note, self.algorithm = note, algorithm
        if algorithm != "lloyd":
            self.name = f"{self.name}-{algorithm}"
            self.typical_first = False  # its bounds save work from the second iteration on

    def load(self) -> None:
        self.estimator = importlib.import_module(self.module).KMeans

    def options(self, threads: int) -> dict[str, Any]:
        """Arguments beyond the common ones."""
        return {}

    def check(self, model: Any) -> None:
        """Raise where the fit was not what its name says."""

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X, init = problem["X"], problem["init"]
        if sp.issparse(init):
            init = init.toarray()  # sparse centers are refused

        def fit(n_iter: int) -> Answer:
            model = self.estimator(
                init.shape[0],
                init=init,
                n_init=1,
                max_iter=n_iter,
                tol=0.0,
                algorithm=self.algorithm,
                copy_x=False,
                **self.options(threads),
            )
            model.fit(X)
            self.check(model)
            return Answer(lambda: model.labels_, model.n_iter_)

        return fit


class ScikitLearnIntelex(ScikitLearn):
    """The same estimator on oneDAL. Where it falls back to scikit-learn, that is an error here."""

    name = "scikit-learn-intelex"
    distribution = "scikit-learn-intelex"
    module = "sklearnex.cluster"

    def options(self, threads: int) -> dict[str, Any]:
        return {"n_jobs": threads}

    def check(self, model: Any) -> None:
        if not hasattr(model, "_onedal_estimator"):
            raise RuntimeError("fell back to scikit-learn")


class SparseKMeansLloyd(Peer):
    """sparsekmeans (GraphBLAS), Lloyd by sparse products."""

    name = "sparsekmeans"
    distribution = "sparsekmeans"
    note = "Euclidean; float64; n × m distances in memory"
    kind = "LloydKmeans"
    typical_first = False  # the initial rows are kept sparse, later centers are not
    dense_matrices = 3  # n × m float64, alive at once

    def load(self) -> None:
        self.estimator = getattr(importlib.import_module("sparsekmeans"), self.kind)
        self.from_scipy = importlib.import_module("graphblas").io.from_scipy_sparse

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X = sp.csr_matrix(problem["X"])
        init = sp.csr_matrix(problem["init"], dtype=np.float64)

        def fit(n_iter: int) -> Answer:
            model = self.estimator(n_clusters=init.shape[0], n_threads=threads, max_iter=n_iter, tol=0.0)
            # It offers no way to hand in centers; this is the method that seeds them.
            model._initialize_centroids = lambda _: self.from_scipy(init)
            model.fit(X)
            return Answer(lambda: np.asarray(model.labels), n_iter)

        return fit

    def least_memory(self, n: int, d: int, m: int) -> int:
        return self.dense_matrices * 8 * n * m


class SparseKMeansElkan(SparseKMeansLloyd):
    """sparsekmeans, Elkan's bounds."""

    name = "sparsekmeans-elkan"
    note = "Euclidean; float64; n × m bounds in memory; gets faster over the iterations"
    kind = "ElkanKmeans"
    dense_matrices = 1


class SoyClustering(Peer):
    """soyclustering: spherical, one thread, no sparsification of centers (its default)."""

    name = "soyclustering"
    distribution = "soyclustering"
    note = "spherical; one thread; runs only with the removed `numpy.int` put back"

    def load(self) -> None:
        if not hasattr(np, "int"):
            setattr(np, "int", int)  # noqa: B010  (mypy knows that it is gone)
        self.estimator = importlib.import_module("soyclustering").SphericalKMeans

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X, init = problem["X"], problem["init"].toarray()

        def fit(n_iter: int) -> Answer:
            model = self.estimator(
                init.shape[0], init=init, max_iter=n_iter, tol=0.0, sparsity=None, verbose=0
            )
            model.fit(X)
            return Answer(lambda: model.labels_, n_iter)

        return fit

    def least_memory(self, n: int, d: int, m: int) -> int:
        return 2 * 8 * m * d


class Faiss(Peer):
    """faiss's Kmeans: Lloyd, Euclidean, nothing subsampled."""

    name = "faiss"
    distribution = "faiss-cpu"
    note = "centers alone; the labels' pass is not timed"
    kind = "Kmeans"
    labels_pass = True

    def load(self) -> None:
        self.faiss = importlib.import_module("faiss")
        self.estimator = getattr(self.faiss, self.kind)

    def train(self, model: Any, X: np.ndarray, init: np.ndarray) -> None:
        """Fit from the given centers."""
        model.train(X, init_centroids=init)

    def prepare(self, problem: Problem, threads: int) -> Fit:
        self.faiss.omp_set_num_threads(threads)
        X, init = problem["X"], problem["init"]
        if sp.issparse(X):
            raise TypeError("dense rows only")
        m, d = init.shape

        def fit(n_iter: int) -> Answer:
            model = self.estimator(
                d, m, niter=n_iter, max_points_per_centroid=X.shape[0], min_points_per_centroid=1
            )
            self.train(model, X, init)
            return Answer(lambda: model.assign(X)[1], n_iter)

        return fit


class FaissSuperKmeans(Faiss):
    """faiss's SuperKmeans: products of a few dimensions first, which prune most centers."""

    name = "faiss-SuperKmeans"
    note = "own random start; prunes by estimated distances; centers alone; the labels' pass is not timed"
    kind = "SuperKmeans"
    typical_first = False  # pruning needs the labels of an iteration before

    def train(self, model: Any, X: np.ndarray, init: np.ndarray) -> None:
        model.train(X)  # it refuses initial centers


class SuperKMeans(Peer):
    """superkmeans: flat, every row in every iteration, on float32 or on codes of fewer bits."""

    distribution = "superkmeans"
    note = "own random start; prunes by estimated distances; centers alone; the labels' pass is not timed"
    labels_pass = True
    typical_first = False

    def __init__(self, quantizer: str = "f32") -> None:
        self.quantizer = quantizer
        self.name = "superkmeans" if quantizer == "f32" else f"superkmeans-{quantizer}"
        if quantizer != "f32":
            self.note = f'quantizer="{quantizer}", so approximate; {self.note}'

    def load(self) -> None:
        self.estimator = importlib.import_module("superkmeans").SuperKMeans

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X, (m, d) = problem["X"], problem["init"].shape

        def fit(n_iter: int) -> Answer:
            model = self.estimator(
                m,
                d,
                hierarchical=False,
                quantizer=self.quantizer,
                iters=n_iter,
                sampling_fraction=1.0,
                max_points_per_cluster=X.shape[0],
                n_threads=threads,
                early_termination=False,
            )
            centers = model.train(X)
            return Answer(lambda: model.assign(X, centers), n_iter)

        return fit


class FastKMeans(Peer):
    """fastkmeans: Lloyd on torch, in chunks of rows and centers."""

    name = "fastkmeans"
    distribution = "fastkmeans"
    note = "own random start; centers alone; the labels' pass is not timed"
    labels_pass = True

    def __init__(self, precision: str = "") -> None:
        self.precision = precision
        if precision:
            self.name = f"{self.name}-tuned"
            self.note = f'set_float32_matmul_precision("{precision}"); {self.note}'

    def load(self) -> None:
        self.torch = importlib.import_module("torch")
        if self.precision:
            self.torch.set_float32_matmul_precision(self.precision)
        self.estimator = importlib.import_module("fastkmeans").FastKMeans

    def prepare(self, problem: Problem, threads: int) -> Fit:
        self.torch.set_num_threads(threads)
        X, (m, d) = problem["X"], problem["init"].shape

        def fit(n_iter: int) -> Answer:
            model = self.estimator(d, m, niter=n_iter, tol=0.0, gpu=False)
            model.train(X)
            return Answer(lambda: model.predict(X), n_iter)

        return fit


# On sparse rows no peer spends its time in OpenBLAS, so there is nothing to choose there.
SPARSE_KMEANS: dict[str, Peer] = by_name(
    Latom(),
    ScikitLearn("Euclidean; dense centers"),
    ScikitLearnIntelex("Euclidean; dense centers"),
    SparseKMeansLloyd(),
    SparseKMeansElkan(),
    SoyClustering(),
)

DENSE_KMEANS: dict[str, Peer] = by_name(
    Latom(kind="KMeans"),
    Latom("latom-spherical", "cosine; unit centers"),
    *tuned(ScikitLearn()),
    ScikitLearn("Elkan's bounds, n × m in memory", "elkan"),
    ScikitLearnIntelex(),
    *tuned(Faiss()),
    *tuned(FaissSuperKmeans()),
    *tuned(SuperKMeans()),
    *tuned(SuperKMeans("sq8")),
    *tuned(SuperKMeans("rabitq")),
    FastKMeans(),
    FastKMeans("medium"),
)

# Ten iterations on few columns, dense or one-hot: those of the above that everybody installs.
EVERYDAY_KMEANS: dict[str, Peer] = by_name(
    Latom(kind="KMeans"),
    *tuned(ScikitLearn()),
    ScikitLearn("Elkan's bounds, n × m in memory", "elkan"),
    ScikitLearnIntelex(),
    *tuned(Faiss()),
)

"""One adapter a library: how it is imported, fed and asked for exactly n iterations.

`prepare` may convert what the library cannot take as it is; that is not timed. What it returns is
timed from call to return. Warnings and prints of a library end in the log of its process.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from data import Problem


class Answer(NamedTuple):
    """What a fit gave: an array that its task can score, and the iterations that it ran."""

    output: np.ndarray
    n_iter: int


Fit = Callable[[int], Answer]


class Peer(ABC):
    """A library that solves one task.

    Attributes
    ----------
    name : str
        In reports and on the command line.
    distribution : str
        On the package index; gives the version.
    note : str
        What a reader of the table must know.
    final_pass : bool
        A fit of n iterations ends with one more assignment pass, so it costs about n + 1.
    typical_first : bool
        The first iteration costs about as much as the later ones, so that it may stand for them.
    """

    name: str
    distribution: str
    note: str = ""
    final_pass: bool = False
    typical_first: bool = True

    @abstractmethod
    def load(self) -> None:
        """Import the library; whatever goes wrong here makes its cases skip with the reason."""

    @abstractmethod
    def prepare(self, problem: Problem, threads: int) -> Fit:
        """Convert the problem (not timed) and return the fit (timed): iterations -> answer."""

    def least_memory(self, n: int, d: int, m: int) -> int:
        """Bytes that the library allocates at least, by its source; 0 where that is modest."""
        return 0

    def passes(self, n_iter: int) -> int:
        """Assignment passes in a fit of `n_iter` iterations."""
        return n_iter + int(self.final_pass)


class Latom(Peer):
    """latom itself. `arguments` go to the estimator, so that variants can stand side by side."""

    distribution = "latom"
    final_pass = True
    typical_first = False

    def __init__(self, name: str = "latom", note: str = "", **arguments: Any) -> None:
        self.name, self.note, self.arguments = name, note, arguments

    def load(self) -> None:
        self.estimator = importlib.import_module("latom").SphericalKMeans

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X, init = problem["X"], problem["init"]

        def fit(n_iter: int) -> Answer:
            options = {"n_init": 1, "max_iter": n_iter, "tol": 0.0, "n_threads": threads}
            model = self.estimator(init.shape[0], init=init, **(options | self.arguments))
            model.fit(X)
            return Answer(model.labels_, model.n_iter_)

        return fit


class ScikitLearn(Peer):
    """scikit-learn's KMeans, Lloyd: Euclidean, sparse rows against dense centres."""

    name = "scikit-learn"
    distribution = "scikit-learn"
    note = "Euclidean; dense centres"
    module = "sklearn.cluster"
    final_pass = True

    def load(self) -> None:
        self.estimator = importlib.import_module(self.module).KMeans

    def options(self, threads: int) -> dict[str, Any]:
        """Arguments beyond the common ones."""
        return {}

    def check(self, model: Any) -> None:
        """Raise where the fit was not what its name says."""

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X, init = problem["X"], problem["init"].toarray()  # sparse centres are refused

        def fit(n_iter: int) -> Answer:
            model = self.estimator(
                init.shape[0],
                init=init,
                n_init=1,
                max_iter=n_iter,
                tol=0.0,
                algorithm="lloyd",
                copy_x=False,
                **self.options(threads),
            )
            model.fit(X)
            self.check(model)
            return Answer(model.labels_, model.n_iter_)

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
    typical_first = False  # the initial rows are kept sparse, later centres are not
    dense_matrices = 3  # n × m float64, alive at once

    def load(self) -> None:
        self.estimator = getattr(importlib.import_module("sparsekmeans"), self.kind)
        self.from_scipy = importlib.import_module("graphblas").io.from_scipy_sparse

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X = sp.csr_matrix(problem["X"])
        init = sp.csr_matrix(problem["init"], dtype=np.float64)

        def fit(n_iter: int) -> Answer:
            model = self.estimator(n_clusters=init.shape[0], n_threads=threads, max_iter=n_iter, tol=0.0)
            # It offers no way to hand in centres; this is the method that seeds them.
            model._initialize_centroids = lambda _: self.from_scipy(init)
            model.fit(X)
            return Answer(np.asarray(model.labels), n_iter)

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
    """soyclustering: spherical, one thread, no sparsification of centres (its default)."""

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
            return Answer(model.labels_, n_iter)

        return fit

    def least_memory(self, n: int, d: int, m: int) -> int:
        return 2 * 8 * m * d


SPARSE_KMEANS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Latom(),
        ScikitLearn(),
        ScikitLearnIntelex(),
        SparseKMeansLloyd(),
        SparseKMeansElkan(),
        SoyClustering(),
    )
}

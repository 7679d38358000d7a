"""Singular vectors, powers of a graph and factorizations by the dozen; answers are what scores read."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from data import Problem

from peers.base import Call, by_name, tuned


class LatomSVD(Call):
    """latom.TruncatedSVD."""

    name = "latom"
    distribution = "latom"
    module = "latom"

    def load(self) -> None:
        self.cls = importlib.import_module(self.module).TruncatedSVD

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, k = problem["X"], int(problem["m"])
        return lambda: self.cls(k, random_state=0).fit(X).singular_values_


class SklearnSVD(LatomSVD):
    """scikit-learn's, whose random range and power iterations are as many."""

    name = "scikit-learn"
    distribution = "scikit-learn"
    module = "sklearn.decomposition"


class LatomPowers(Call):
    """latom.FastRP, of four powers, not standardized."""

    name = "latom"
    distribution = "latom"

    def load(self) -> None:
        self.FastRP = importlib.import_module("latom").FastRP

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        A, m = problem["A"], int(problem["m"])
        return lambda: self.FastRP(m, random_state=0, standardize=False).fit_transform(A)


class ScipyPowers(Call):
    """The same products of CSR in scipy, from a projection of scikit-learn's that is made in the call."""

    name = "scipy"
    distribution = "scipy"
    note = "a chain of csr_array @ ndarray; one thread"

    def load(self) -> None:
        self.projection = importlib.import_module("sklearn.random_projection").SparseRandomProjection

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        A, m = problem["A"], int(problem["m"])
        density = 1 / np.sqrt(A.shape[0])

        def call() -> Any:
            degrees = np.maximum(np.asarray(A.sum(axis=1)).ravel(), 1)
            M = sp.diags_array((1 / degrees).astype(A.dtype)) @ A
            R = self.projection(m, density=density, random_state=0).fit(A).components_
            U = R.T.toarray().astype(A.dtype)
            total = np.zeros_like(U)
            for weight in (0, 0, 1, 1):
                U = M @ U
                if weight:
                    total += A.dtype.type(weight) * U
            return total

        return call


class ScikitNetwork(Call):
    """scikit-network's RandomProjection: powers of a normal projection, made orthogonal."""

    name = "scikit-network"
    distribution = "scikit-network"
    note = "RandomProjection, four iterations"

    def load(self) -> None:
        self.cls = importlib.import_module("sknetwork.embedding").RandomProjection

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        A, m = sp.csr_matrix(problem["A"]), int(problem["m"])
        return lambda: self.cls(m, n_iter=4, random_state=0).fit_transform(A)


class LatomReplicates(Call):
    """latom.select_n_components without its alignment: all factorizations in one call."""

    name = "latom"
    distribution = "latom"

    def load(self) -> None:
        self.NMF = importlib.import_module("latom").NMF
        self.rows = importlib.import_module("latom._base.rows").Rows
        self.run = importlib.import_module("latom.factorize.rank.replicates").factorize_replicates

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, ranks, count = problem["X"], problem["ranks"].tolist(), int(problem["replicates"])
        model = self.NMF(tol=1e-4, max_iter=200)

        def call() -> Any:
            found = self.run("benchmark", self.rows("benchmark", X), ranks, range(count), 0.0, model, 0, None)
            return np.array([np.median(found[k][1]) for k in ranks])

        return call


class SklearnReplicates(Call):
    """A loop of scikit-learn's NMF, as cNMF has it."""

    name = "scikit-learn"
    distribution = "scikit-learn"
    note = "one factorization after another"

    def load(self) -> None:
        self.NMF = importlib.import_module("sklearn.decomposition").NMF

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, ranks, count = problem["X"], problem["ranks"].tolist(), int(problem["replicates"])

        def call() -> Any:
            losses = []
            for k in ranks:
                fits = [self.NMF(k, init="random", random_state=seed).fit(X) for seed in range(count)]
                losses.append(np.median([fit.reconstruction_err_**2 / 2 for fit in fits]))
            return np.array(losses)

        return call


class LatomLabelShift(Call):
    """A fit with everything left alone: the answer is p(class | domain)."""

    name = "latom"
    distribution = "latom"
    note = "20 starts of the factorization, 5 of k-means"

    def load(self) -> None:
        self.cls = importlib.import_module("latom").LatentLabelShift

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        P, domains, m = problem["X"], problem["domains"], int(problem["m"])
        model = self.cls(m, random_state=0, n_threads=threads)
        return lambda: model.fit(P, domains).class_prior_


class LatomOneKMeans(LatomLabelShift):
    """The same with one start of k-means, as the peer has it."""

    name = "latom, one k-means"
    note = "20 starts of the factorization, 1 of k-means"

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        P, domains, m = problem["X"], problem["domains"], int(problem["m"])
        cells = importlib.import_module("latom").KMeans(30, random_state=0, n_threads=threads)
        model = self.cls(m, cluster=cells, random_state=0, n_threads=threads)
        return lambda: model.fit(P, domains).class_prior_


class SklearnLabelShift(Call):
    """Cells, their table and one NMF of scikit-learn's, as the authors' code has it."""

    name = "scikit-learn"
    distribution = "scikit-learn"
    note = "one start of each"

    def load(self) -> None:
        self.NMF = importlib.import_module("sklearn.decomposition").NMF
        self.KMeans = importlib.import_module("sklearn.cluster").KMeans

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        P, domains, m = problem["X"], problem["domains"], int(problem["m"])

        def call() -> Any:
            cells = self.KMeans(30, random_state=0).fit_predict(P)
            table = np.zeros((P.shape[1], 30))
            np.add.at(table, (domains, cells), 1)
            table /= table.sum(axis=1, keepdims=True)
            model = self.NMF(m, init="random", random_state=0)
            W = model.fit_transform(table) * model.components_.sum(axis=1)
            return W / W.sum(axis=1, keepdims=True)

        return call


SVD: dict[str, Call] = by_name(LatomSVD(), *tuned(SklearnSVD()))
POWERS: dict[str, Call] = by_name(LatomPowers(), ScipyPowers(), ScikitNetwork())
RANKS: dict[str, Call] = by_name(LatomReplicates(), *tuned(SklearnReplicates()))
LABEL_SHIFT: dict[str, Call] = by_name(LatomLabelShift(), LatomOneKMeans(), *tuned(SklearnLabelShift()))

"""Sparse codes of rows over a given dictionary. Every answer is dense codes [n, m], for its score."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from data import Problem

from peers.base import Call, by_name, tuned


class Latom(Call):
    """latom.orthogonal_matching_pursuit."""

    name = "latom"
    distribution = "latom"

    def load(self) -> None:
        self.latom = importlib.import_module("latom")

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, atoms, k = problem["X"], problem["atoms"], int(problem["k"])
        return lambda: self.latom.orthogonal_matching_pursuit(X, atoms, k)  # threads: LATOM_NUM_THREADS

    def output(self, result: Any) -> np.ndarray:
        dense: np.ndarray = sp.csr_array(result).toarray()
        return dense


class LatomPlain(Latom):
    """latom.matching_pursuit."""

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, atoms, k = problem["X"], problem["atoms"], int(problem["k"])
        return lambda: self.latom.matching_pursuit(X, atoms, k)


class ScikitLearn(Call):
    """scikit-learn's sparse_encode: orthogonal_mp_gram, a loop over rows in Python."""

    name = "scikit-learn"
    distribution = "scikit-learn"
    note = 'sparse_encode(algorithm="omp"); dense codes'

    def load(self) -> None:
        self.decomposition = importlib.import_module("sklearn.decomposition")

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, atoms, k = problem["X"], problem["atoms"], int(problem["k"])
        encode = self.decomposition.sparse_encode
        return lambda: encode(X, atoms, algorithm="omp", n_nonzero_coefs=k)


class Spams(Call):
    """SPAMS, in C++: columns in Fortran order, made beforehand."""

    name = "spams"
    distribution = "spams-bin"
    note = "omp, which weighs atoms by what is new in them; Fortran order, made beforehand"

    def load(self) -> None:
        self.spams = importlib.import_module("spams")

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X = np.asfortranarray(problem["X"].T)
        atoms, k = np.asfortranarray(problem["atoms"].T), int(problem["k"])
        return lambda: self.spams.omp(X, atoms, L=k, eps=0.0, numThreads=threads)

    def output(self, result: Any) -> np.ndarray:
        dense: np.ndarray = sp.csr_array(result.T).toarray()
        return dense


class NumpyPlain(Call):
    """Plain pursuit as sparse autoencoders have it: products with all atoms anew in each step."""

    name = "numpy"
    distribution = "numpy"
    note = "residual @ atoms.T in each step, 1024 rows together"

    def load(self) -> None:
        pass

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, atoms, k = problem["X"], problem["atoms"], int(problem["k"])

        def call() -> np.ndarray:
            codes = np.zeros((len(X), len(atoms)), X.dtype)
            for first in range(0, len(X), 1024):
                left, out = X[first : first + 1024].copy(), codes[first : first + 1024]
                each = np.arange(len(left))
                for _ in range(k):
                    products = left @ atoms.T
                    best = np.abs(products).argmax(axis=1)
                    step = products[each, best]
                    out[each, best] += step
                    left -= step[:, None] * atoms[best]
            return codes

        return call


class TorchPlain(Call):
    """The same in torch."""

    name = "torch"
    distribution = "torch"
    note = "residual @ atoms.T in each step, 1024 rows together"

    def load(self) -> None:
        self.torch = importlib.import_module("torch")

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        torch, k = self.torch, int(problem["k"])
        torch.set_num_threads(threads)
        X, atoms = torch.from_numpy(problem["X"]), torch.from_numpy(problem["atoms"])

        def call() -> Any:
            codes = torch.zeros((len(X), len(atoms)))
            with torch.inference_mode():
                for first in range(0, len(X), 1024):
                    left, out = X[first : first + 1024].clone(), codes[first : first + 1024]
                    for _ in range(k):
                        products = left @ atoms.T
                        best = products.abs().argmax(dim=1, keepdim=True)
                        step = products.gather(1, best)
                        out.scatter_add_(1, best, step)
                        left -= step * atoms[best[:, 0]]
            return codes

        return call


OMP: dict[str, Call] = by_name(Latom(), *tuned(Spams()), *tuned(ScikitLearn()))
PLAIN_PURSUIT: dict[str, Call] = by_name(LatomPlain(), TorchPlain(), *tuned(NumpyPlain()))

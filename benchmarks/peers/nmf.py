"""Non-negative factorization from given factors. An answer is W [n, m] above the transpose of H [m, d]."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import scipy.sparse as sp
from data import Problem

from peers.base import Answer, Fit, Peer, by_name, tuned


def _stacked(W: Any, H: Any) -> np.ndarray:
    return np.concatenate([np.asarray(W), np.asarray(H).T])


class Estimator(Peer):
    """A class with the arguments of scikit-learn's NMF, from the factors of the problem."""

    def __init__(
        self,
        name: str,
        module: str,
        distribution: str,
        class_name: str = "NMF",
        note: str = "",
        **arguments: Any,
    ) -> None:
        self.name, self.note, self.distribution = name, note, distribution
        self._module, self._class, self._arguments = module, class_name, arguments
        self.lengths = (5, 10, 15, 20, 25, 30, 40, 60, 100) if distribution == "latom" else (10, 100)

    def load(self) -> None:
        self.estimator = getattr(importlib.import_module(self._module), self._class)

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X, W, H = problem["X"], problem["W"], problem["H"]

        def fit(n_iter: int) -> Answer:
            model = self.estimator(
                len(H),
                init="custom",
                beta_loss=str(problem["beta"]),
                max_iter=n_iter,
                tol=0,
                **self._arguments,
            )
            found = model.fit_transform(X, W=W.copy(), H=H.copy())  # some write their results there
            return Answer(lambda: _stacked(found, model.components_), model.n_iter_)

        return fit


class TorchNMF(Peer):
    """torchnmf's multiplicative updates, by automatic differentiation."""

    name = "torchnmf"
    distribution = "torchnmf"
    note = "multiplicative; dense"
    lengths = (10, 100)

    def load(self) -> None:
        self.torch = importlib.import_module("torch")
        self.NMF = importlib.import_module("torchnmf.nmf").NMF

    def prepare(self, problem: Problem, threads: int) -> Fit:
        torch = self.torch
        torch.set_num_threads(threads)
        V = torch.from_numpy(_dense(problem["X"]))
        beta = 1 if str(problem["beta"]) == "kullback-leibler" else 2

        def fit(n_iter: int) -> Answer:
            model = self.NMF(
                W=torch.from_numpy(problem["H"].T.copy()), H=torch.from_numpy(problem["W"].copy())
            )
            model.fit(V, beta=beta, tol=0, max_iter=n_iter)
            return Answer(lambda: _stacked(model.H.detach(), model.W.detach().T), n_iter)

        return fit


class NmfTorch(Peer):
    """nmf-torch's HALS."""

    name = "nmf-torch"
    distribution = "nmf-torch"
    note = "HALS; dense; random factors of its own"
    lengths = (10, 100)

    def load(self) -> None:
        self.torch = importlib.import_module("torch")
        self.run = importlib.import_module("nmf").run_nmf

    def prepare(self, problem: Problem, threads: int) -> Fit:
        self.torch.set_num_threads(threads)
        X, m = _dense(problem["X"]), len(problem["H"])

        def fit(n_iter: int) -> Answer:
            count = max(10, n_iter)  # it looks at its error every ten iterations, and fails if it never did
            W, H, _ = self.run(
                X, m, init="random", algo="hals", tol=0.0, n_jobs=threads, batch_max_iter=count,
                beta_loss=str(problem["beta"]),
            )  # fmt: skip
            return Answer(lambda: _stacked(W, H), count)

        return fit


def _dense(X: Any) -> np.ndarray:
    return X.toarray() if sp.issparse(X) else X


def _latom(name: str, note: str = "", **arguments: Any) -> Estimator:
    return Estimator(name, "latom", "latom", "NMF", note, **arguments)


def _scikit_learn(name: str, note: str, class_name: str = "NMF", **arguments: Any) -> Estimator:
    return Estimator(name, "sklearn.decomposition", "scikit-learn", class_name, note, **arguments)


DENSE_ALONE = ("torchnmf", "nmf-torch")  # libraries that would have to densify sparse rows
NMF: dict[str, Peer] = by_name(
    *tuned(_scikit_learn("scikit-learn", "coordinate descent", solver="cd")),
    *tuned(_scikit_learn("scikit-learn, mu", "multiplicative", solver="mu")),
    _scikit_learn("scikit-learn, MiniBatchNMF", "multiplicative", "MiniBatchNMF", max_no_improvement=None),
    NmfTorch(),
    TorchNMF(),
    _latom("latom"),
    _latom("latom, cd", "one sweep a product, not extrapolated", solver="cd"),
)


class Replicates(Peer):
    """latom.nmf_batch: all problems in one call."""

    name = "latom"
    distribution = "latom"
    note = "nmf_batch"
    lengths: tuple[int, ...] = (5, 10, 20, 40, 60, 80, 100, 150, 200)

    def load(self) -> None:
        self.nmf_batch = importlib.import_module("latom").nmf_batch

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X, W, H = problem["X"], problem["W"], problem["H"]

        def fit(n_iter: int) -> Answer:
            runs = self.nmf_batch(X, W.shape[2], (W, H), tol=0, max_iter=n_iter)
            return Answer(lambda: np.concatenate([runs.W, runs.H.transpose(0, 2, 1)], axis=1), n_iter)

        return fit


class OneByOne(Replicates):
    """scikit-learn's NMF, a problem after another."""

    name = "scikit-learn"
    distribution = "scikit-learn"
    note = "coordinate descent, one problem after another"
    lengths = (10, 100)

    def load(self) -> None:
        self.NMF = importlib.import_module("sklearn.decomposition").NMF

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X, starts_W, starts_H = problem["X"], problem["W"], problem["H"]

        def fit(n_iter: int) -> Answer:
            found = []
            for W, H in zip(starts_W, starts_H, strict=True):
                model = self.NMF(len(H), init="custom", max_iter=n_iter, tol=0)
                found.append(_stacked(model.fit_transform(X, W=W.copy(), H=H.copy()), model.components_))
            return Answer(lambda: np.stack(found), n_iter)

        return fit


REPLICATES: dict[str, Peer] = by_name(*tuned(OneByOne()), Replicates())
NMF_KL: dict[str, Peer] = by_name(
    *tuned(_scikit_learn("scikit-learn, mu", "multiplicative", solver="mu")),
    TorchNMF(),
    _latom("latom, mu", "multiplicative", solver="mu"),
)

"""BPR on pairs of users and items. An answer is the factors of users above those of items [n + m, k]."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import scipy.sparse as sp
from data import Problem

from peers.base import Answer, Fit, Peer, by_name

RATE, PENALTY = 0.05, 0.01


class Latom(Peer):
    """latom.PointwiseFactorization."""

    distribution = "latom"
    note = "the same numbers on any number of threads"

    def __init__(self, name: str = "latom", loss: str = "bpr") -> None:
        self.name, self.loss = name, loss

    def load(self) -> None:
        self.latom = importlib.import_module("latom")

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X, k = problem["X"], int(problem["k"])

        def fit(n_iter: int) -> Answer:
            model = self.latom.PointwiseFactorization(
                k,
                loss=self.loss,
                max_iter=n_iter,
                learning_rate=RATE,
                learning_decay=1.0,
                regularization=PENALTY,
                random_state=0,
                n_threads=threads,
            ).fit(X)
            return Answer(lambda: np.vstack([model.user_factors, model.item_factors]), n_iter)

        return fit


class Implicit(Peer):
    """implicit's BPR: lock-free threads; a column of biases beside the factors."""

    name = "implicit"
    distribution = "implicit"
    note = "lock-free, other numbers in each run; one of its k columns holds biases"

    def __init__(self) -> None:
        self.environment = {"OPENBLAS_NUM_THREADS": "1"}  # as its documentation asks

    def load(self) -> None:
        self.bpr = importlib.import_module("implicit.bpr")

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X, k = sp.csr_matrix(problem["X"]), int(problem["k"])

        def fit(n_iter: int) -> Answer:
            model = self.bpr.BayesianPersonalizedRanking(
                factors=k - 1,
                learning_rate=RATE,
                regularization=PENALTY,
                iterations=n_iter,
                num_threads=threads,
                random_state=0,
            )
            model.fit(X, show_progress=False)
            return Answer(lambda: np.vstack([model.user_factors, model.item_factors]), n_iter)

        return fit


class LightFM(Peer):
    """lightfm's BPR: lock-free threads, AdaGrad, biases."""

    name = "lightfm"
    distribution = "lightfm-next"
    note = "lock-free, AdaGrad; biases as two columns more"

    def load(self) -> None:
        self.lightfm = importlib.import_module("lightfm")

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X, k = sp.coo_matrix(problem["X"]), int(problem["k"])

        def factors(model: Any) -> np.ndarray:
            user_bias, users = model.get_user_representations()
            item_bias, items = model.get_item_representations()
            ones = np.ones_like
            U = np.column_stack([users, user_bias, ones(user_bias)])
            return np.vstack([U, np.column_stack([items, ones(item_bias), item_bias])])

        def fit(n_iter: int) -> Answer:
            model = self.lightfm.LightFM(k, loss="bpr", learning_rate=RATE, random_state=0)
            model.fit(X, epochs=n_iter, num_threads=threads)
            return Answer(lambda: factors(model), n_iter)

        return fit


class Cornac(Peer):
    """cornac's BPR: lock-free threads, biases of items."""

    name = "cornac"
    distribution = "cornac"
    note = "lock-free; biases of items as a column more"

    def load(self) -> None:
        self.models = importlib.import_module("cornac.models.bpr")
        self.data = importlib.import_module("cornac.data")

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X, k = sp.coo_matrix(problem["X"]), int(problem["k"])
        users = {i: i for i in range(X.shape[0])}
        items = {j: j for j in range(X.shape[1])}
        train = self.data.Dataset(
            X.shape[0], X.shape[1], users, items, (X.row, X.col, np.ones(X.nnz, np.float64)), seed=0
        )

        def fit(n_iter: int) -> Answer:
            model = self.models.BPR(
                k,
                max_iter=n_iter,
                learning_rate=RATE,
                lambda_reg=PENALTY,
                num_threads=threads,
                seed=0,
            ).fit(train)
            U = np.column_stack([model.u_factors, np.ones(len(model.u_factors), np.float32)])
            return Answer(lambda: np.vstack([U, np.column_stack([model.i_factors, model.i_biases])]), n_iter)

        return fit


PAIRS: dict[str, Peer] = by_name(Implicit(), LightFM(), Cornac(), Latom(), Latom("latom, nbpo", "nbpo"))

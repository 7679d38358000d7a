"""Alternating least squares for implicit feedback. An answer is the factors of users above those of items."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from data import Problem

from peers.base import Answer, Call, Fit, Peer, by_name, tuned
from peers.completion import LensKit as Completing
from peers.completion import lenskit_dataset, lenskit_factors


class ByName(Peer):
    """A class with implicit's arguments and attributes."""

    def __init__(self, name: str, module: str, distribution: str, note: str = "", **arguments: Any) -> None:
        self.name, self.note, self.distribution = name, note, distribution
        self._module, self._arguments = module, arguments
        self.lengths = (2, 4, 6, 8, 10, 12, 15) if distribution == "latom" else (5, 15)

    def load(self) -> None:
        self.model = importlib.import_module(self._module).AlternatingLeastSquares

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X = sp.csr_matrix(problem["X"])
        factors = int(problem["factors"])
        shown = {"show_progress": False} if self.distribution == "implicit" else {}

        def fit(n_iter: int) -> Answer:
            model = self.model(
                factors,
                regularization=float(problem["regularization"]),
                alpha=float(problem["alpha"]),
                iterations=n_iter,
                num_threads=threads,
                random_state=0,
                **self._arguments,
            )
            model.fit(X, **shown)
            return Answer(lambda: np.concatenate([model.user_factors, model.item_factors]), n_iter)

        return fit


class Implicit(ByName):
    """implicit, whose own threads want a BLAS of one."""

    environment: ClassVar[Mapping[str, str]] = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Irspack(Peer):
    """irspack's IALSTrainer, whose loss "ORIGINAL" is implicit's."""

    name = "irspack"
    distribution = "irspack"
    note = "conjugate gradients"
    lengths = (5, 15)

    def load(self) -> None:
        module = importlib.import_module("irspack.recommenders.ials")
        self.model, self.loss = module.IALSRecommender, "ORIGINAL"

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X = sp.csr_matrix(problem["X"])

        def fit(n_iter: int) -> Answer:
            model = self.model(
                X,
                n_components=int(problem["factors"]),
                alpha0=1.0,
                reg=float(problem["regularization"]),
                nu=0.0,
                loss_type=self.loss,
                train_epochs=n_iter,
                n_threads=threads,
            )
            model.learn()
            parts = (model.get_user_embedding(), model.get_item_embedding())
            return Answer(lambda: np.concatenate(parts), n_iter)

        return fit


class LensKit(Completing):
    """LensKit's ImplicitMFScorer, which counts confidences beyond 1."""

    note = "Cholesky"
    lengths = (5, 15)

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X = problem["X"]
        dataset = lenskit_dataset(self.data, X, rating=False)

        def fit(n_iter: int) -> Answer:
            model = self.als.ImplicitMFScorer(
                embedding_size=int(problem["factors"]),
                epochs=n_iter,
                regularization=float(problem["regularization"]),
                weight=float(problem["alpha"]) - 1,
            )
            model.train(dataset, self.training.TrainingOptions(rng=0))
            return Answer(lambda: np.concatenate(lenskit_factors(model, X.shape)), n_iter)

        return fit


class Recommend(Call):
    """The best items of many users, without those that they have, by a model with implicit's names."""

    def __init__(self, name: str, module: str, note: str = "") -> None:
        self.name = self.distribution = name
        self._module, self.note = module, note

    def load(self) -> None:
        self.model = importlib.import_module(self._module).AlternatingLeastSquares

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, N = sp.csr_matrix(problem["X"]), int(problem["k"])
        model = self.model(problem["atoms"].shape[1], num_threads=threads)
        model.user_factors, model.item_factors = problem["queries"], problem["atoms"]
        users = np.arange(len(problem["queries"]))
        return lambda: model.recommend(users, X, N=N)

    def output(self, result: Any) -> np.ndarray:
        return np.asarray(result[0])


class Threaded(Recommend):
    """implicit, whose own threads want a BLAS of one."""

    environment: ClassVar[Mapping[str, str]] = Implicit.environment


ALS: dict[str, Peer] = by_name(
    *tuned(Implicit("implicit", "implicit.cpu.als", "implicit", "three steps of conjugate gradients")),
    Irspack(),
    *tuned(LensKit()),
    ByName("latom", "latom", "latom"),
)
RECOMMEND: dict[str, Peer] = by_name(
    *tuned(Threaded("implicit", "implicit.cpu.als", "its own threads, a BLAS of one")),
    Recommend("latom", "latom"),
)

"""Completion of a matrix from some entries, with biases. An answer is predictions of those held out."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import scipy.sparse as sp
from data import Problem

from peers.base import Answer, Fit, Peer, by_name, tuned


class Latom(Peer):
    """latom.MatrixCompletion; penalties grow with a row's entries in all three libraries."""

    name = "latom"
    distribution = "latom"
    lengths = (1, 2, 3, 4, 6, 8, 10, 15)

    def load(self) -> None:
        self.model = importlib.import_module("latom").MatrixCompletion

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X, rows, columns = problem["X"], problem["rows"], problem["columns"]

        def fit(n_iter: int) -> Answer:
            model = self.model(
                int(problem["factors"]),
                alpha=float(problem["penalty"]),
                max_iter=n_iter,
                tol=0,
                random_state=0,
                n_threads=threads,
            ).fit(X)
            return Answer(lambda: model.predict(rows, columns), n_iter)

        return fit


class Cmfrec(Peer):
    """cmfrec's alternating least squares by conjugate gradients, its default."""

    distribution = "cmfrec"
    lengths = (3, 5, 10, 15)

    def __init__(self, name: str = "cmfrec", note: str = "", **arguments: Any) -> None:
        self.name, self.note, self._arguments = name, note, arguments

    def load(self) -> None:
        self.model = importlib.import_module("cmfrec").CMF

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X, rows, columns = sp.coo_matrix(problem["X"]), problem["rows"], problem["columns"]

        def fit(n_iter: int) -> Answer:
            model = self.model(
                int(problem["factors"]),
                lambda_=float(problem["penalty"]),
                scale_lam=True,
                niter=n_iter,
                nthreads=threads,
                verbose=False,
                **self._arguments,
            ).fit(X)
            return Answer(lambda: model.predict(rows, columns), n_iter)

        return fit


class LensKit(Peer):
    """LensKit's BiasedMFScorer: biases first, then factors of what they leave, by Cholesky."""

    name = "lenskit"
    distribution = "lenskit"
    note = "Cholesky; biases are learned before the factors"
    lengths = (3, 5, 10, 15)

    def load(self) -> None:
        self.data = importlib.import_module("lenskit.data")
        self.als = importlib.import_module("lenskit.als")
        self.training = importlib.import_module("lenskit.training")

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X, rows, columns = problem["X"], problem["rows"], problem["columns"]
        dataset = lenskit_dataset(self.data, X, rating=True)

        def fit(n_iter: int) -> Answer:
            model = self.als.BiasedMFScorer(
                embedding_size=int(problem["factors"]),
                epochs=n_iter,
                regularization=float(problem["penalty"]),
            )
            model.train(dataset, self.training.TrainingOptions(rng=0))

            def predictions() -> np.ndarray:
                U, V, bias = lenskit_factors(model, X.shape)[:2] + (model.bias,)
                y = np.full(len(rows), bias.global_bias, np.float64)
                for ids, learned, own in (
                    (rows, model.users, bias.user_biases),
                    (columns, model.items, bias.item_biases),
                ):
                    whole = np.zeros(max(ids.max() + 1, *X.shape))
                    whole[learned.ids()] = own
                    y += whole[ids]
                return y + np.einsum("pc,pc->p", U[rows], V[columns])

            return Answer(predictions, n_iter)

        return fit


def lenskit_dataset(module: Any, X: Any, rating: bool) -> Any:
    """Rows as users and columns as items, by number."""
    entries = X.tocoo()
    columns = {"user_id": entries.row, "item_id": entries.col}
    frame = importlib.import_module("pandas").DataFrame(
        columns | ({"rating": entries.data} if rating else {})
    )
    return module.from_interactions_df(frame)


def lenskit_factors(model: Any, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Factors of all users and items by number; 0 for those without an entry, which it does not know."""
    whole = []
    pairs = ((model.users, model.user_embeddings), (model.items, model.item_embeddings))
    for size, (learned, factors) in zip(shape, pairs, strict=True):
        whole.append(np.zeros((size, factors.shape[1]), np.float32))
        whole[-1][learned.ids()] = np.asarray(factors)
    return whole[0], whole[1]


COMPLETION: dict[str, Peer] = by_name(
    *tuned(Cmfrec()),
    *tuned(
        Cmfrec(
            "cmfrec, fast",
            "the arguments that its documentation names for speed",
            finalize_chol=False,
            precompute_for_predictions=False,
            produce_dicts=False,
        )
    ),
    LensKit(),
    Latom(),
)

"""Training of k-sparse autoencoders: one step, forward, backward and dense Adam, on a batch that stays.

Weights are not tied, decoders not normalized, the loss is the mean square. Every answer is the losses of the
first five steps.
"""

from __future__ import annotations

import importlib
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from data import Problem

from peers.base import Call, by_name

STEPS = 5


class Training(Call):
    """A step is a call; the losses are kept."""

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        step, self.losses = self.start(problem, threads), []
        self.again = step

        def call() -> Any:
            loss = step()
            if len(self.losses) < STEPS:
                self.losses.append(loss)
            return loss

        return call

    def output(self, result: Any) -> np.ndarray:
        while len(self.losses) < STEPS:
            self.losses.append(self.again())
        return np.array([float(loss) for loss in self.losses])

    @abstractmethod
    def start(self, problem: Problem, threads: int) -> Callable[[], Any]:
        """Makes the model of the problem's weights; returns a step."""


class Latom(Training):
    """latom.SparseAutoencoder.partial_fit, which makes one step of a batch."""

    name = "latom"
    distribution = "latom"
    optimizer = "adam"

    def load(self) -> None:
        self.latom = importlib.import_module("latom")

    def start(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, W, k = problem["X"], problem["atoms"], int(problem["k"])
        trainer = importlib.import_module("latom.encode.trainer")
        results, step = [], trainer.Trainer.step

        class Seen(trainer.Trainer):
            def step(self, *given: Any) -> Any:
                results.append(step(self, *given))
                return results[-1]

        model = self.latom.SparseAutoencoder(
            len(W),
            k,
            tied=False,
            unit_norm=False,
            multi_k_weight=0,
            aux_k=0,  # the peers have no dead latents: a batch that stays the same soon makes many
            pre_bias="mean",
            batch_size=len(X),
            optimizer=self.optimizer,
            n_threads=threads,
            random_state=0,
        )
        model.partial_fit(X[:1])  # makes a run, whose weights are those of the problem from here on
        model._run.trainer = Seen.start(W.copy(), False, X.mean(axis=0), False)

        def call() -> float:
            model.partial_fit(X)
            return float(results.pop().loss)

        return call


class LatomLazy(Latom):
    """Latents without entries are left alone."""

    name = "latom-lazy"
    note = "lazy moments"
    optimizer = "lazy-adam"


class TorchEmbeddingBag(Training):
    """torch: linear, topk, embedding_bag, fused Adam."""

    name = "torch-embedding_bag"
    distribution = "torch"
    note = "linear, topk, embedding_bag; Adam(fused=True)"

    def load(self) -> None:
        self.torch = importlib.import_module("torch")

    def start(self, problem: Problem, threads: int) -> Callable[[], Any]:
        torch, k = self.torch, int(problem["k"])
        torch.set_num_threads(threads)
        X = torch.from_numpy(problem["X"])
        W, center = problem["atoms"], problem["X"].mean(axis=0)
        made = (W.copy(), W.copy(), np.zeros(len(W), W.dtype), center)
        W_enc, W_dec, b_enc, b_pre = (torch.from_numpy(part).requires_grad_() for part in made)
        adam = torch.optim.Adam([W_enc, W_dec, b_enc, b_pre], lr=1e-3, eps=6.25e-10, fused=True)

        loss_of = self.prepared()

        def call() -> float:
            loss = loss_of(X, W_enc, W_dec, b_enc, b_pre, k)
            adam.zero_grad()
            loss.backward()
            adam.step()
            return float(loss.detach())

        return call

    def prepared(self) -> Callable[..., Any]:
        """The loss as it is called."""
        return self.loss

    def loss(self, X: Any, W_enc: Any, W_dec: Any, b_enc: Any, b_pre: Any, k: int) -> Any:
        """Of the reconstruction from the k best."""
        p = self.products(X - b_pre, W_enc, b_enc).relu()
        values, indices = p.topk(k, dim=1, sorted=False)
        return ((self.decode(values, indices, W_dec) + b_pre - X) ** 2).mean()

    def products(self, X: Any, W_enc: Any, b_enc: Any) -> Any:
        """Pre-activations."""
        return self.torch.nn.functional.linear(X, W_enc, b_enc)

    def decode(self, values: Any, indices: Any, W_dec: Any) -> Any:
        """Codes times decoder."""
        return self.torch.nn.functional.embedding_bag(indices, W_dec, per_sample_weights=values, mode="sum")


class TorchDense(TorchEmbeddingBag):
    """torch: codes scattered into a dense matrix, as most libraries have them."""

    name = "torch"
    note = "linear, topk, scatter, matmul; Adam(fused=True)"

    def decode(self, values: Any, indices: Any, W_dec: Any) -> Any:
        codes = self.torch.zeros((len(values), len(W_dec))).scatter(1, indices, values)
        return codes @ W_dec


class TorchTuned(TorchEmbeddingBag):
    """torch at its best on a processor: what can be compiled is, and the encoder multiplies in bfloat16."""

    name = "torch-tuned"
    note = "torch.compile, bfloat16 products, topk, embedding_bag; Adam(fused=True)"

    def prepared(self) -> Callable[..., Any]:
        compiled: Callable[..., Any] = self.torch.compile(self.loss)
        return compiled

    def products(self, X: Any, W_enc: Any, b_enc: Any) -> Any:
        low = self.torch.bfloat16
        return self.torch.nn.functional.linear(X.to(low), W_enc.to(low)).float() + b_enc


TRAIN: dict[str, Training] = by_name(Latom(), LatomLazy(), TorchEmbeddingBag(), TorchTuned(), TorchDense())

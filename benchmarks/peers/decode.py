"""Decoding: codes · W_dec for CSR codes with k entries a row. Every answer is the dense rows [n, d]."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from data import Problem

from peers.base import Call, by_name


class Latom(Call):
    """latom.decode."""

    name = "latom"
    distribution = "latom"

    def load(self) -> None:
        self.latom = importlib.import_module("latom")

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        codes, atoms = problem["codes"], problem["atoms"]
        return lambda: self.latom.decode(codes, atoms)  # threads come from LATOM_NUM_THREADS


class TorchDense(Call):
    """torch.matmul of codes kept dense, as a sparse autoencoder that masks its latents has them."""

    name = "torch"
    distribution = "torch"
    note = "matmul; dense codes, made beforehand"

    def load(self) -> None:
        self.torch = importlib.import_module("torch")

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        self.torch.set_num_threads(threads)
        codes = self.torch.from_numpy(problem["codes"].toarray())
        atoms = self.torch.from_numpy(problem["atoms"])

        def call() -> Any:
            with self.torch.inference_mode():
                return codes @ atoms

        return call


class TorchEmbeddingBag(TorchDense):
    """torch's embedding_bag: k rows of W_dec, weighted and summed."""

    name = "torch-embedding_bag"
    note = 'embedding_bag, mode="sum"; indices and values [n, k], made beforehand'

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        torch, codes = self.torch, problem["codes"]
        torch.set_num_threads(threads)
        shape = (codes.shape[0], -1)  # as many entries in each row
        values = torch.from_numpy(codes.data.reshape(shape))
        indices = torch.from_numpy(codes.indices.reshape(shape))
        atoms = torch.from_numpy(problem["atoms"])
        embedding_bag = torch.nn.functional.embedding_bag

        def call() -> Any:
            with torch.inference_mode():
                return embedding_bag(indices, atoms, per_sample_weights=values, mode="sum")

        return call


class Scipy(Call):
    """scipy's CSR product with a dense matrix."""

    name = "scipy"
    distribution = "scipy"
    note = "csr_array @ ndarray; one thread"

    def load(self) -> None:
        pass

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        codes, atoms = problem["codes"], problem["atoms"]
        return lambda: codes @ atoms


DECODE: dict[str, Call] = by_name(Latom(), TorchDense(), TorchEmbeddingBag(), Scipy())

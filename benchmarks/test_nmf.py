"""Non-negative factorization beside its peers: time to the loss of 100 iterations of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data import Corpus, Problem, mnist
from measure import Case
from peers import NMF, NMF_KL, REPLICATES
from peers.nmf import DENSE_ALONE
from runner import available_cpus

Stored = Callable[[tuple[Any, ...], Callable[[], Problem]], tuple[Path, Problem]]
RunCase = Callable[[Case, str], None]

SHAPES = {"W": (150, 10), "H": (10, 60)}  # of a replicate's start


def quick(test: str, case: dict[str, Any]) -> bool:
    """Cases of --quick."""
    return case.get("m", 32) == 32


def factors(X: Any, m: int, beta: str) -> Problem:
    """Random factors, scaled as scikit-learn scales them."""
    rng = np.random.default_rng(0)
    scale = np.float32(np.sqrt(X.mean() / m))
    W, H = (
        scale * np.abs(rng.standard_normal(shape, dtype=np.float32))
        for shape in ((X.shape[0], m), (m, X.shape[1]))
    )
    return {"X": X, "W": W, "H": H, "beta": np.str_(beta)}


@pytest.mark.parametrize("library", NMF)
@pytest.mark.parametrize("m", [32, 128, 256])
def test_sparse(m: int, library: str, corpus: Corpus, stored: Stored, run_case: RunCase) -> None:
    if library in DENSE_ALONE:
        pytest.skip("would densify")
    folder, problem = stored(("nmf", corpus.name, m), lambda: factors(corpus.X, m, "frobenius"))
    run_case(Case("nmf", "sparse", folder, problem, corpus.name, available_cpus()), library)


@pytest.mark.parametrize("library", NMF)
@pytest.mark.parametrize("m", [32])
def test_dense(m: int, library: str, stored: Stored, run_case: RunCase) -> None:
    corpus = mnist()
    folder, problem = stored(("nmf", corpus.name, m), lambda: factors(corpus.X, m, "frobenius"))
    run_case(Case("nmf", "dense", folder, problem, corpus.name, available_cpus()), library)


@pytest.mark.parametrize("library", NMF_KL)
@pytest.mark.parametrize("m", [32])
def test_kullback(m: int, library: str, corpus: Corpus, stored: Stored, run_case: RunCase) -> None:
    if library in DENSE_ALONE:
        pytest.skip("would densify")
    folder, problem = stored(("nmf_kl", corpus.name, m), lambda: factors(corpus.X, m, "kullback-leibler"))
    run_case(Case("nmf_kl", "sparse", folder, problem, corpus.name, available_cpus()), library)


@pytest.mark.parametrize("library", REPLICATES)
def test_replicates(library: str, stored: Stored, run_case: RunCase) -> None:
    def make() -> Problem:
        rng = np.random.default_rng(0)
        X = rng.random((150, 10), dtype=np.float32) @ rng.random((10, 60), dtype=np.float32)
        X += rng.random(X.shape, dtype=np.float32)
        starts = {name: rng.random((200, *shape), dtype=np.float32) for name, shape in SHAPES.items()}
        return {"X": X} | starts

    folder, problem = stored(("nmf_replicates",), make)
    run_case(Case("nmf_replicates", "200 starts", folder, problem, "150 x 60", available_cpus()), library)

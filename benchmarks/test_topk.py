"""Dense top-k beside its peers: random rows and atoms, real rows, nearest neighbors, and their graphs.

See README.md for the protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data import Corpus, Problem, mixture, mnist, normal_rows, sample_rows, unit_rows
from measure import Case
from peers import TOPK
from runner import available_cpus

Stored = Callable[[tuple[Any, ...], Callable[[], Problem]], tuple[Path, Problem]]
RunCase = Callable[[Case, str], None]
Sampled = Callable[[Corpus], Corpus]

SHAPES = ((768, 16_384, 32), (384, 4096, 32), (768, 131_072, 32), (2048, 8192, 64))  # d, m, k
ROWS = (1, 64, 4096)
REAL = (16_384, 32)  # m, k
NEIGHBORS = (1024, 10)  # queries, k
GRAPHS = (384, 784, 50, 10, 3)  # columns: embeddings, digits, mixtures
EDGES = 16  # per row, itself among them


def quick(test: str, case: dict[str, Any]) -> bool:
    """Cases of --quick."""
    return case.get("d", 384) == 384


def _libraries(metric: str, columns: int = 384) -> list[str]:
    return [name for name, peer in TOPK.items() if metric in peer.metrics and columns <= peer.most_columns]


@pytest.mark.parametrize("library", _libraries("dot"))
@pytest.mark.parametrize("n", ROWS)
@pytest.mark.parametrize(("d", "m", "k"), SHAPES)
def test_topk_random(d: int, m: int, k: int, n: int, library: str, stored: Stored, run_case: RunCase) -> None:
    def make() -> Problem:
        return {"X": normal_rows(n, d, 0), "atoms": normal_rows(m, d, 1), "k": k, "metric": "dot"}

    folder, problem = stored(("topk", n, d, m, k), make)
    run_case(Case("topk", "random", folder, problem, "normal rows and atoms", available_cpus()), library)


@pytest.mark.parametrize("library", _libraries("dot"))
def test_topk_embeddings(library: str, embeddings: Corpus, stored: Stored, run_case: RunCase) -> None:
    m, k = REAL

    def make() -> Problem:
        X = sample_rows(embeddings.X, max(ROWS))
        return {"X": X, "atoms": unit_rows(m, X.shape[1], 1), "k": k, "metric": "dot"}

    folder, problem = stored(("topk", embeddings.name, m, k), make)
    name = f"{embeddings.name}, random unit atoms"
    run_case(Case("topk", "embeddings", folder, problem, name, available_cpus()), library)


@pytest.mark.parametrize("library", _libraries("euclidean"))
def test_topk_neighbors(library: str, embeddings: Corpus, stored: Stored, run_case: RunCase) -> None:
    queries, k = NEIGHBORS

    def make() -> Problem:
        X = np.ascontiguousarray(sample_rows(embeddings.X, queries))
        return {"X": X, "atoms": embeddings.X, "k": k, "metric": "euclidean"}

    folder, problem = stored(("neighbors", embeddings.name, queries, k), make)
    name = f"{embeddings.name}, some among all"
    run_case(Case("topk", "neighbors", folder, problem, name, available_cpus()), library)


@pytest.mark.parametrize(
    ("d", "library"), [(d, library) for d in GRAPHS for library in _libraries("euclidean", d)]
)
def test_topk_graph(
    d: int, library: str, sampled: Sampled, embeddings: Corpus, stored: Stored, run_case: RunCase
) -> None:
    if d == 384:
        corpus = embeddings
    else:
        corpus = sampled(mnist() if d == 784 else Corpus("mixture of 50", mixture(20_000, d, 50)))

    def make() -> Problem:
        X = np.ascontiguousarray(corpus.X)
        return {"X": X, "atoms": X, "k": EDGES, "metric": "euclidean"}

    folder, problem = stored(("graph", corpus.name, d), make)
    run_case(Case("topk", "graph", folder, problem, f"{corpus.name}, all", available_cpus()), library)

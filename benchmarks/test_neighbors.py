"""Neighbors of sparse rows beside peers: a part of the graph of all rows, single queries, and BM25.

See README.md for the protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from data import Corpus, Problem, bm25_corpus, sample_rows
from measure import Case
from peers import NEIGHBORS
from runner import available_cpus

Stored = Callable[[tuple[Any, ...], Callable[[], Problem]], tuple[Path, Problem]]
RunCase = Callable[[Case, str], None]

QUERIES = (1, 2048)
K = 15
WORDS = 10  # of a query


def _libraries(metric: str) -> list[str]:
    return [name for name, peer in NEIGHBORS.items() if metric in peer.metrics]


def quick(test: str, case: dict[str, Any]) -> bool:
    """Cases of --quick."""
    return case["n"] == QUERIES[1]


@pytest.mark.parametrize("library", _libraries("cosine"))
@pytest.mark.parametrize("n", QUERIES)
def test_neighbors(n: int, library: str, corpus: Corpus, stored: Stored, run_case: RunCase) -> None:
    def make() -> Problem:
        return {"X": sample_rows(corpus.X, n), "atoms": corpus.X, "k": K, "metric": "cosine"}

    folder, problem = stored(("neighbors", corpus.name, n), make)
    run_case(Case("neighbors", "graph", folder, problem, corpus.name, available_cpus()), library)


@pytest.mark.parametrize("library", _libraries("dot"))
@pytest.mark.parametrize("n", QUERIES)
def test_neighbors_by_words(n: int, library: str, stored: Stored, run_case: RunCase) -> None:
    def make() -> Problem:
        documents, asked = bm25_corpus(n, WORDS)
        return {"X": asked, "atoms": documents.X, "k": K, "metric": "dot"}

    folder, problem = stored(("words", n), make)
    run_case(Case("neighbors", "words", folder, problem, "BM25 weights", available_cpus()), library)

"""Exact silhouettes beside scikit-learn's. See README.md for the protocol."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from data import Corpus, Problem, dense_corpus, sample_rows
from measure import Case
from peers import SILHOUETTE
from runner import available_cpus

from latom import KMeans

Stored = Callable[[tuple[Any, ...], Callable[[], Problem]], tuple[Path, Problem]]
RunCase = Callable[[Case, str], None]
Sampled = Callable[[Corpus], Corpus]


def quick(test: str, case: dict[str, Any]) -> bool:
    """Cases of --quick."""
    return bool(case["rows"] < 10_000)


@pytest.mark.parametrize("library", SILHOUETTE)
@pytest.mark.parametrize("rows", [6144, 49_152])
@pytest.mark.parametrize("m", [20, 200])
def test_silhouette(
    m: int, rows: int, library: str, sampled: Sampled, stored: Stored, run_case: RunCase
) -> None:
    corpus = sampled(dense_corpus())
    X = sample_rows(corpus.X, min(rows, len(corpus.X)))

    def make() -> Problem:
        return {"X": X, "labels": KMeans(m, max_iter=10, random_state=0).fit(X).labels_}

    folder, problem = stored(("silhouette", corpus.name, len(X), m), make)
    run_case(Case("silhouette", "embeddings", folder, problem, corpus.name, available_cpus()), library)

"""Hierarchical k-means beside the same loop on other libraries. See README.md for the protocol."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data import Corpus, Problem, dense_corpus, sample_rows
from measure import Case
from peers import HIERARCHY
from runner import available_cpus

Stored = Callable[[tuple[Any, ...], Callable[[], Problem]], tuple[Path, Problem]]
RunCase = Callable[[Case, str], None]
Sampled = Callable[[Corpus], Corpus]


def quick(test: str, case: dict[str, Any]) -> bool:
    """Cases of --quick."""
    return bool(case["rows"] < 10_000)


@pytest.mark.parametrize("library", HIERARCHY)
@pytest.mark.parametrize(
    ("rows", "levels", "rounds"), [(6144, (600, 60), 3), (49_152, (1000, 100), 3), (49_152, (5000, 500), 10)]
)
def test_hierarchy(
    rows: int,
    levels: tuple[int, ...],
    rounds: int,
    library: str,
    sampled: Sampled,
    stored: Stored,
    run_case: RunCase,
) -> None:
    corpus = sampled(dense_corpus())
    X = sample_rows(corpus.X, min(rows, len(corpus.X)))
    X = np.ascontiguousarray(X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-12), np.float32)

    def make() -> Problem:
        return {"X": X, "levels": np.array(levels), "rounds": np.array(rounds), "m": np.array(levels[0])}

    folder, problem = stored(("hierarchy", corpus.name, len(X), levels, rounds), make)
    run_case(Case("hierarchy", "embeddings", folder, problem, corpus.name, available_cpus()), library)

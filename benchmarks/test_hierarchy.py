"""Hierarchical k-means with resampling beside the same loop around other libraries. See README.md."""

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
    return case["rows"] == 6144


@pytest.mark.parametrize("library", HIERARCHY)
@pytest.mark.parametrize(
    ("rows", "counts", "rounds"), [(6144, (600, 60), 2), (12_288, (1200, 120), 5), (49_152, (5000, 500), 10)]
)
def test_hierarchy(
    rows: int,
    counts: tuple[int, int],
    rounds: int,
    library: str,
    sampled: Sampled,
    stored: Stored,
    run_case: RunCase,
) -> None:
    corpus = sampled(dense_corpus())
    X = sample_rows(corpus.X, min(rows, len(corpus.X)))
    folder, problem = stored(
        ("hierarchy", corpus.name, len(X), *counts, rounds),
        lambda: {"X": X, "counts": np.array(counts), "rounds": np.array(rounds)},
    )
    run_case(Case("hierarchy", "embeddings", folder, problem, corpus.name, available_cpus()), library)

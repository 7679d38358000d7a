"""BPR on pairs of users and items beside its peers: an epoch, and what rank held-out items have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data import Problem, choices
from measure import Case
from peers import PAIRS
from runner import available_cpus

Stored = Callable[[tuple[Any, ...], Callable[[], Problem]], tuple[Path, Problem]]
RunCase = Callable[[Case, str], None]
Sampled = Callable[[Any], Any]


def quick(test: str, case: dict[str, Any]) -> bool:
    """Cases of --quick."""
    return case["k"] == 64


@pytest.mark.parametrize("library", PAIRS)
@pytest.mark.parametrize("k", [64, 256])
def test_pairs(k: int, library: str, sampled: Sampled, stored: Stored, run_case: RunCase) -> None:
    corpus = sampled(choices())

    def make() -> Problem:
        rng = np.random.default_rng(1)
        X = corpus.X.tocsr()
        several = np.flatnonzero(np.diff(X.indptr) > 1)
        out = X.indptr[several] + rng.integers(0, np.diff(X.indptr)[several])
        kept = np.ones(X.nnz, np.float32)
        kept[out] = 0
        held_out = X.copy()
        held_out.data = 1 - kept
        held_out.eliminate_zeros()
        X = X.copy()
        X.data = kept
        X.eliminate_zeros()
        return {"X": X, "held_out": held_out, "k": np.int64(k)}

    folder, problem = stored((corpus.name, corpus.X.shape[0], k), make)
    run_case(Case("pairs", "pairs", folder, problem, corpus.name, available_cpus()), library)

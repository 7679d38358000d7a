"""Semi-NMF of MLP activations beside its peers: time to the loss of 200 multiplicative updates."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data import Corpus, Problem, activations
from measure import Case
from peers import SEMI_NMF
from peers.semi_nmf import ALL_KEPT, SOME_KEPT
from runner import available_cpus

Stored = Callable[[tuple[Any, ...], Callable[[], Problem]], tuple[Path, Problem]]
RunCase = Callable[[Case, str], None]
Sampled = Callable[[Corpus], Corpus]


def quick(test: str, case: dict[str, Any]) -> bool:
    """Cases of --quick."""
    return case["m"] == 100


@pytest.mark.parametrize("library", SEMI_NMF)
@pytest.mark.parametrize("fraction", [0.0, 0.01], ids=["all", "1 %"])
@pytest.mark.parametrize("m", [100, 400])
def test_semi_nmf(
    m: int, fraction: float, library: str, sampled: Sampled, stored: Stored, run_case: RunCase
) -> None:
    if library in (ALL_KEPT if fraction else SOME_KEPT):
        pytest.skip("not for this problem")
    corpus = sampled(activations())
    X = np.ascontiguousarray(corpus.X)

    def make() -> Problem:
        start = np.random.default_rng(0).random((len(X), m), dtype=np.float32)
        kept = np.int64(ceil(fraction * X.shape[1]))
        return {"X": X, "codes": np.maximum(start, np.float32(1e-6)), "kept": kept}

    folder, problem = stored((corpus.name, len(X), m, fraction), make)
    run_case(Case("semi_nmf", "activations", folder, problem, corpus.name, available_cpus()), library)

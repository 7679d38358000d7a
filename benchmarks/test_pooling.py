"""Clusters of the tokens of many documents beside their peers. See README.md for the protocol."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from data import Problem, token_documents
from measure import Case
from peers import POOLING
from runner import available_cpus

Stored = Callable[[tuple[Any, ...], Callable[[], Problem]], tuple[Path, Problem]]
RunCase = Callable[[Case, str], None]

TOKENS, FACTOR = 188, 4


def quick(test: str, case: dict[str, Any]) -> bool:
    """Cases of --quick."""
    return case["documents"] == 100


@pytest.mark.parametrize("library", POOLING)
@pytest.mark.parametrize("documents", [100, 1000])
def test_pooling(documents: int, library: str, stored: Stored, run_case: RunCase) -> None:
    if documents > 100 and library.startswith("scikit-learn"):
        pytest.skip("its time is that of a document times their number")
    corpus = token_documents(documents, TOKENS)
    folder, problem = stored(
        ("pooling", corpus.name, documents, TOKENS, FACTOR), lambda: {"X": corpus.X, "m": TOKENS // FACTOR}
    )
    run_case(Case("pooling", "tokens", folder, problem, corpus.name, available_cpus()), library)

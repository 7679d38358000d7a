"""Dense k-means on embeddings beside its peers: one case a library and number of clusters.

Ten iterations from the same random rows, but for libraries that take no initial centers; see
README.md for the protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from data import Corpus, Problem
from measure import Case
from peers import DENSE_KMEANS
from runner import available_cpus

Build = Callable[[Corpus, float, int], tuple[Path, Problem]]
RunCase = Callable[[Case, str], None]

CLUSTERS = (256, 1024, 4096)


def quick(test: str, case: dict[str, Any]) -> bool:
    """Cases of --quick."""
    return case["m"] == min(CLUSTERS)


@pytest.mark.parametrize("library", DENSE_KMEANS)
@pytest.mark.parametrize("m", CLUSTERS)
def test_dense_clusters(
    m: int, library: str, embeddings: Corpus, kmeans_problem: Build, run_case: RunCase
) -> None:
    folder, problem = kmeans_problem(embeddings, 1.0, m)
    run_case(Case("dense_kmeans", "m", folder, problem, embeddings.name, available_cpus()), library)

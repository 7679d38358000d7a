"""Sparse spherical k-means beside its peers: clusters, rows and threads, one case a library.

Every case starts from the same random rows and runs the same number of iterations with early
stopping off; see README.md for the protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from data import Corpus, Problem
from measure import Case
from peers import SPARSE_KMEANS
from runner import available_cpus

Build = Callable[[Corpus, float, int], tuple[Path, Problem]]
RunCase = Callable[[Case, str], None]

CLUSTERS = (20, 100, 1000, 10_000)
SCALING_CLUSTERS = 1000
SCALING_LIBRARIES = ("latom", "scikit-learn-intelex")  # latom and its fastest peer
FRACTIONS = (0.125, 0.25, 0.5)  # the whole is among CLUSTERS
THREADS = tuple(t for t in (1, 2, 4, 8, 16, 32, 64) if t < available_cpus())  # all: likewise


def quick(test: str, case: dict[str, Any]) -> bool:
    """Cases of --quick."""
    return test == "test_clusters" and case["m"] == CLUSTERS[1]


def _case(series: str, corpus: Corpus, built: tuple[Path, Problem], threads: int = 0) -> Case:
    folder, problem = built
    threads = threads or available_cpus()
    return Case("sparse_kmeans", series, folder, problem, corpus.name, threads)


@pytest.mark.parametrize("library", SPARSE_KMEANS)
@pytest.mark.parametrize("m", CLUSTERS)
def test_clusters(m: int, library: str, corpus: Corpus, kmeans_problem: Build, run_case: RunCase) -> None:
    run_case(_case("m", corpus, kmeans_problem(corpus, 1.0, m)), library)


@pytest.mark.parametrize("library", SCALING_LIBRARIES)
@pytest.mark.parametrize("fraction", FRACTIONS)
def test_rows(
    fraction: float, library: str, corpus: Corpus, kmeans_problem: Build, run_case: RunCase
) -> None:
    run_case(_case("rows", corpus, kmeans_problem(corpus, fraction, SCALING_CLUSTERS)), library)


@pytest.mark.parametrize("library", SCALING_LIBRARIES)
@pytest.mark.parametrize("threads", THREADS)
def test_threads(
    threads: int, library: str, corpus: Corpus, kmeans_problem: Build, run_case: RunCase
) -> None:
    built = kmeans_problem(corpus, 1.0, SCALING_CLUSTERS)
    run_case(_case("threads", corpus, built, threads), library)

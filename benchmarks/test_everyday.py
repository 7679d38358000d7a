"""k-means as most people call it: default fits, iterations of few columns, and fitted models.

    LATOM_DATA=/folder/with/data pytest benchmarks -k everyday [--quick]

- `test_everyday_fit`: `KMeans(m, random_state=s).fit(X)` with everything else left alone.
- `test_everyday_mixture` and `test_everyday_one_hot`: ten iterations from given centers.
- `test_everyday_predict` and `test_everyday_transform`: one call of a fitted model.

See README.md for the protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data import Corpus, Problem, dense_corpus, initial_rows, kdd, mixture, mnist, one_hot, sample_rows, skin
from measure import Case
from peers import EVERYDAY_FIT, EVERYDAY_KMEANS, EVERYDAY_PREDICT, EVERYDAY_TRANSFORM
from runner import available_cpus

Stored = Callable[[tuple[Any, ...], Callable[[], Problem]], tuple[Path, Problem]]
RunCase = Callable[[Case, str], None]
Sampled = Callable[[Corpus], Corpus]

CORPORA: dict[str, Callable[[], Corpus]] = {"skin": skin, "KDD": kdd, "MNIST": mnist, "MiniLM": dense_corpus}
FIT_CLUSTERS = (2, 8, 10, 16, 64, 100, 256, 1000)
COLUMNS = {2: 1_000_000, 3: 1_000_000, 8: 1_000_000, 16: 1_000_000, 32: 500_000, 64: 500_000}  # d: n
CLUSTERS = (8, 16, 64, 256, 1000)
ONE_HOT = {"n": 200_000, "columns": 20, "values": 30, "groups": 200}
ONE_HOT_CLUSTERS = (16, 256)
ROWS = (1, 64, 4096)
FITTED_CLUSTERS = (10, 100, 1000)

QUICK_CLUSTERS, QUICK_COLUMNS = (10, 16, 64), (2, 8, 32)


def quick(test: str, case: dict[str, Any]) -> bool:
    """Cases of --quick."""
    if test in ("test_everyday_predict", "test_everyday_transform"):
        return case["m"] == 100
    return case["m"] in QUICK_CLUSTERS and case.get("d", 2) in QUICK_COLUMNS


@pytest.mark.parametrize("library", EVERYDAY_FIT)
@pytest.mark.parametrize("m", FIT_CLUSTERS)
@pytest.mark.parametrize("name", CORPORA)
def test_everyday_fit(
    name: str, m: int, library: str, whole: Sampled, stored: Stored, run_case: RunCase
) -> None:
    def make() -> Problem:
        return {"X": np.ascontiguousarray(whole(CORPORA[name]()).X), "m": np.array(m)}

    folder, problem = stored(("everyday_fit", name, m), make)
    run_case(Case("everyday_fit", "default fits", folder, problem, name, available_cpus()), library)


@pytest.mark.parametrize("library", EVERYDAY_KMEANS)
@pytest.mark.parametrize("m", CLUSTERS)
@pytest.mark.parametrize("d", COLUMNS)
def test_everyday_mixture(
    d: int, m: int, library: str, whole: Sampled, stored: Stored, run_case: RunCase
) -> None:
    def make() -> Problem:
        X = whole(Corpus("mixture", mixture(COLUMNS[d], d, 2 * m))).X
        return {"X": X, "init": initial_rows(X, m)}

    folder, problem = stored(("mixture", d, m), make)
    case = Case("everyday_iterations", "mixtures", folder, problem, f"mixture, d = {d}", available_cpus())
    run_case(case, library)


@pytest.mark.parametrize("library", [name for name in EVERYDAY_KMEANS if not name.startswith("faiss")])
@pytest.mark.parametrize("m", ONE_HOT_CLUSTERS)
def test_everyday_one_hot(m: int, library: str, whole: Sampled, stored: Stored, run_case: RunCase) -> None:
    def make() -> Problem:
        X = whole(Corpus("one-hot", one_hot(**ONE_HOT))).X
        return {"X": X, "init": initial_rows(X, m)}

    folder, problem = stored(("one-hot", m), make)
    run_case(
        Case("everyday_iterations", "one-hot", folder, problem, "one-hot CSR", available_cpus()), library
    )


@pytest.mark.parametrize("library", EVERYDAY_PREDICT)
@pytest.mark.parametrize("m", FITTED_CLUSTERS)
@pytest.mark.parametrize("n", ROWS)
def test_everyday_predict(n: int, m: int, library: str, stored: Stored, run_case: RunCase) -> None:
    run_case(_fitted("everyday_predict", "predict", n, m, stored), library)


@pytest.mark.parametrize("library", EVERYDAY_TRANSFORM)
@pytest.mark.parametrize("m", FITTED_CLUSTERS)
@pytest.mark.parametrize("n", ROWS)
def test_everyday_transform(n: int, m: int, library: str, stored: Stored, run_case: RunCase) -> None:
    run_case(_fitted("everyday_transform", "transform", n, m, stored), library)


def _fitted(task: str, series: str, n: int, m: int, stored: Stored) -> Case:
    """Some embeddings, and others as centers."""

    def make() -> Problem:
        some = sample_rows(dense_corpus().X, n + m)
        order = np.random.default_rng(1).permutation(n + m)
        return {"X": some[order[:n]], "centers": some[order[n:]]}

    folder, problem = stored(("fitted", n, m), make)
    return Case(task, series, folder, problem, "embeddings", available_cpus())

"""Matching pursuit, orthogonal and plain, beside its peers. See README.md for the protocol."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data import Problem, dense_corpus, normal_rows
from measure import Case
from peers import OMP, PLAIN_PURSUIT
from runner import available_cpus

Stored = Callable[[tuple[Any, ...], Callable[[], Problem]], tuple[Path, Problem]]
RunCase = Callable[[Case, str], None]

M, K = 4096, 20
FEW, MANY = 2000, 20_000  # with many rows the Gram matrix of the atoms counts for little
PLAIN = 4000


def problem(n: int) -> Problem:
    """Embeddings that are coded with others: rows of the corpus, and others moved by noise, of length 1."""
    rows = dense_corpus().X
    chosen = np.random.default_rng(0).permutation(len(rows))
    atoms = rows[chosen[n : n + M]] + 0.02 * normal_rows(M, rows.shape[1], 1)
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    X = np.ascontiguousarray(rows[chosen[:n]], np.float32)
    return {"X": X, "atoms": np.ascontiguousarray(atoms, np.float32), "k": np.array(K)}


@pytest.mark.parametrize("library", OMP)
@pytest.mark.parametrize("n", [FEW, MANY])
def test_omp(n: int, library: str, stored: Stored, run_case: RunCase) -> None:
    if n == MANY and library.startswith("scikit-learn"):
        pytest.skip("takes 10 ms per row, whatever their number")
    if n == MANY and n + M > len(dense_corpus().X):
        pytest.skip("needs more rows than are generated: set LATOM_DATA")
    folder, made = stored(("omp", n, M, K), lambda: problem(n))
    run_case(Case("omp", "embeddings", folder, made, "k atoms per row", available_cpus()), library)


@pytest.mark.parametrize("library", PLAIN_PURSUIT)
def test_plain_pursuit(library: str, stored: Stored, run_case: RunCase) -> None:
    folder, made = stored(("plain_pursuit", PLAIN, M, K), lambda: problem(PLAIN))
    run_case(Case("plain_pursuit", "embeddings", folder, made, "k steps per row", available_cpus()), library)

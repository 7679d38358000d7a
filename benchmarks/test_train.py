"""Training steps of k-sparse autoencoders beside torch. See README.md for the protocol."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data import Problem, normal_rows, random_codes
from measure import Case
from peers import TRAIN
from runner import available_cpus

Stored = Callable[[tuple[Any, ...], Callable[[], Problem]], tuple[Path, Problem]]
RunCase = Callable[[Case, str], None]

SHAPES = {"small": (4096, 384, 4096, 32), "wide": (4096, 2048, 8192, 64), "large": (4096, 768, 16_384, 32)}


@pytest.mark.parametrize("library", TRAIN)
@pytest.mark.parametrize("size", SHAPES)
def test_train(size: str, library: str, stored: Stored, run_case: RunCase) -> None:
    n, d, m, k = SHAPES[size]

    def make() -> Problem:
        true = normal_rows(2 * d, d, 1)
        X = random_codes(n, 2 * d, 16, 2) @ true + 0.1 * normal_rows(n, d, 3)
        atoms = normal_rows(m, d, 4)
        atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
        X = np.ascontiguousarray(X / np.sqrt(16), dtype=np.float32)
        return {"X": X, "atoms": atoms.astype(np.float32), "k": np.int64(k), "metric": np.str_("dot")}

    folder, problem = stored(("train", n, d, m, k), make)
    run_case(Case("train", "planted codes", folder, problem, "sums of 16 atoms", available_cpus()), library)

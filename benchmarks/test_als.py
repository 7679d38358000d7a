"""Alternating least squares beside its peers: time to the loss of 15 iterations of implicit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from data import Problem
from measure import Case
from peers import ALS
from runner import available_cpus

Stored = Callable[[tuple[Any, ...], Callable[[], Problem]], tuple[Path, Problem]]
RunCase = Callable[[Case, str], None]

USERS, ITEMS = 138_000, 27_000


def quick(test: str, case: dict[str, Any]) -> bool:
    """Cases of --quick."""
    return (case.get("m", 64), case.get("alpha", 1.0)) == (64, 1.0)


def choices() -> sp.csr_array:
    """What users chose: 8.4 M ones, as many as users and items of MovieLens 20M have from four stars on."""
    rng = np.random.default_rng(0)
    degree = np.minimum(np.exp(rng.normal(3.6, 1.1, USERS)).astype(int) + 5, 3000)
    share = np.arange(1, ITEMS + 1) ** -0.9
    items = rng.choice(ITEMS, degree.sum(), p=share / share.sum())
    users = np.repeat(np.arange(USERS), degree)
    X = sp.csr_array((np.ones(len(items), np.float32), (users, items)), shape=(USERS, ITEMS))
    X.sum_duplicates()
    X.data[:] = 1
    return X


@pytest.mark.parametrize("library", ALS)
@pytest.mark.parametrize("alpha", [1.0, 2.0])
@pytest.mark.parametrize("m", [64, 256])
def test_choices(m: int, alpha: float, library: str, stored: Stored, run_case: RunCase) -> None:
    if library == "irspack" and alpha != 1:
        pytest.skip("weighs by another rule")
    numbers = {"factors": np.int64(m), "alpha": np.float64(alpha), "regularization": np.float64(0.05)}
    folder, problem = stored(("als", m, alpha), lambda: {"X": choices()} | numbers)
    corpus = f"138 000 x 27 000, alpha {alpha:g}"
    run_case(Case("als", "choices", folder, problem, corpus, available_cpus()), library)

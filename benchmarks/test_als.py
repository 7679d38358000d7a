"""Factors of users and items beside their peers: to fit them, to recommend by them, to complete ratings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data import Problem, choices, ratings
from measure import Case
from peers import ALS, COMPLETION, RECOMMEND
from runner import available_cpus

Stored = Callable[[tuple[Any, ...], Callable[[], Problem]], tuple[Path, Problem]]
RunCase = Callable[[Case, str], None]


def quick(test: str, case: dict[str, Any]) -> bool:
    """Cases of --quick."""
    return (case.get("m", 64), case.get("alpha", 1.0)) == (64, 1.0)


@pytest.mark.parametrize("library", ALS)
@pytest.mark.parametrize("alpha", [1.0, 2.0])
@pytest.mark.parametrize("m", [64, 256])
def test_choices(m: int, alpha: float, library: str, stored: Stored, run_case: RunCase) -> None:
    if library == "irspack" and alpha != 1:
        pytest.skip("weighs by another rule")
    numbers = {"factors": np.int64(m), "alpha": np.float64(alpha), "regularization": np.float64(0.05)}
    folder, problem = stored(("als", m, alpha), lambda: {"X": choices().X} | numbers)
    corpus = f"138 000 x 27 000, alpha {alpha:g}"
    run_case(Case("als", "choices", folder, problem, corpus, available_cpus()), library)


@pytest.mark.parametrize("library", RECOMMEND)
@pytest.mark.parametrize("m", [64, 256])
def test_recommend(m: int, library: str, stored: Stored, run_case: RunCase) -> None:
    """20 items for each of 10 000 users, by factors of 5 iterations."""

    def make() -> Problem:
        import latom  # no peer runs in this process

        X = choices().X
        model = latom.AlternatingLeastSquares(m, iterations=5, random_state=0).fit(X)
        few = 10_000
        return {
            "X": X[:few],
            "queries": model.user_factors[:few],
            "atoms": model.item_factors,
            "k": np.int64(20),
        }

    folder, problem = stored(("recommend", m), make)
    corpus = "generated pairs, what users have left out"
    run_case(Case("recommend", "recommend", folder, problem, corpus, available_cpus()), library)


@pytest.mark.parametrize("library", COMPLETION)
def test_ratings(library: str, stored: Stored, run_case: RunCase) -> None:
    numbers = {"factors": np.int64(40), "penalty": np.float64(0.05)}
    folder, problem = stored(("completion",), lambda: ratings() | numbers)
    run_case(Case("completion", "ratings", folder, problem, "138 000 x 27 000", available_cpus()), library)

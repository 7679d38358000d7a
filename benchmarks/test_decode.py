"""Decoding CSR codes beside its peers. See README.md for the protocol."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from data import Problem, normal_rows, random_codes
from measure import Case
from peers import DECODE
from runner import available_cpus

Stored = Callable[[tuple[Any, ...], Callable[[], Problem]], tuple[Path, Problem]]
RunCase = Callable[[Case, str], None]

N, D, M, K = 4096, 768, 16_384, 32


@pytest.mark.parametrize("library", DECODE)
def test_decode(library: str, stored: Stored, run_case: RunCase) -> None:
    def make() -> Problem:
        return {"codes": random_codes(N, M, K), "atoms": normal_rows(M, D, 1)}

    folder, problem = stored(("decode", N, D, M, K), make)
    run_case(Case("decode", "codes", folder, problem, "k random atoms per row", available_cpus()), library)

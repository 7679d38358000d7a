"""A short run of each fuzzer, the same in every run of the suite; ``-m long`` runs each for ten minutes."""

from __future__ import annotations

import importlib
import time

import pytest
from fuzzing import FUZZERS, hold

CASES = {"api": 160, "checkpoints": 40, "files": 60, "cli": 50}


def case_of(name: str):
    if name == "checkpoints":
        pytest.importorskip("safetensors")
        pytest.importorskip("torch")
    return importlib.import_module(f"fuzz_{name}").case


@pytest.mark.parametrize("name", FUZZERS)
def test_short(name):
    hold(name, case_of(name), seed=83, cases=CASES[name])


@pytest.mark.long
@pytest.mark.parametrize("name", FUZZERS)
def test_long(name):
    hold(name, case_of(name), seed=int(time.time()), seconds=600)

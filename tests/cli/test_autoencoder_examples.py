"""The examples of sparse autoencoders run, on data made here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

if not EXAMPLES.is_dir():
    pytest.skip("the examples are not here", allow_module_level=True)


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("sparse_embeddings.py", ["--active", "4", "--epochs", "2"], ["made here: 1,600 rows", "codes"]),
        (
            "search_by_codes.py",
            ["--active", "4", "8"],
            ["2,250 rows of 48 columns", "recall  again  ms per query", "components of as many bytes"],
        ),
        ("stable_features.py", ["--concepts", "2"], ["another seed", "mean, one feature"]),
        ("embedding_features.py", [], ["3,000 documents", "topic", "steered: topic"]),
        ("k_sparse_digits.py", ["--k", "10", "--units", "100", "--epochs", "2"], ["raw pixels", "claim"]),
    ],
)
def test_an_example_runs(name: str, given: list[str], words: list[str]) -> None:
    alone = {key: value for key, value in os.environ.items() if key != "LATOM_DATA"}
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *given], capture_output=True, text=True, timeout=120, env=alone
    )
    assert done.returncode == 0, done.stderr
    for word in words:
        assert word in done.stdout, done.stdout

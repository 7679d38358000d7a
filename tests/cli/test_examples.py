"""The worked examples run, on data made here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

if not EXAMPLES.is_dir():
    pytest.skip("the examples are not here", allow_module_level=True)


def test_mlp_features_finds_planted_ones(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(0)
    words = np.array([f"{group}{word}" for group in ("red", "green", "blue") for word in range(10)])
    token = rng.integers(0, len(words), 900)
    neurons = np.zeros((3, 60))
    for group in range(3):
        neurons[group, 20 * group : 20 * group + 3] = (2, 1, -1)
    X = neurons[token // 10] * (1 + rng.random((900, 1))) + 0.05 * rng.standard_normal((900, 60))
    sentence = np.repeat(np.arange(90), 10)
    np.savez(tmp_path / "a.npz", mlp=X.astype(np.float16), token=words[token], sentence=sentence)
    done = subprocess.run(
        [
            sys.executable,
            EXAMPLES / "mlp_features.py",
            tmp_path / "a.npz",
            "--components",
            "3",
            "--keep",
            "0.05",
        ]
        + ["--output", tmp_path / "f.png"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("900 tokens, 60 neurons: 3 features of 3 neurons")
    groups = [{word.rstrip("0123456789") for word in line.split()[1:]} for line in lines[1:4]]
    assert sorted(map(sorted, groups)) == [["blue"], ["green"], ["red"]]
    assert (tmp_path / "f.png").stat().st_size > 10_000


def run_example(name: str, *arguments: str) -> list[str]:
    """Lines that an example prints on data that it makes up."""
    environment = {key: value for key, value in os.environ.items() if key != "LATOM_DATA"}
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_retail_recommendations_beat_popularity() -> None:
    lines = run_example("retail_recommendations.py", "--factors", "16", "--customers", "1")
    recall = {line[:18].strip(): float(line[18:].split()[0]) for line in lines[2:5]}
    assert recall["ALS, 16 factors"] > 1.3 * recall["popularity"]
    assert any(line.startswith("a customer with item") for line in lines)


def test_completion_recovers_and_fills() -> None:
    arguments = ["--size", "60", "--trials", "1", "--entries", "200000", "--rows", "300", "--slow", "100"]
    lines = run_example("completion.py", *arguments)
    claims = [line for line in lines if line.startswith("claim: ")]
    assert len(claims) == 2
    error = {
        line[:24].strip(): float(line[24:].split()[0]) for line in lines if line[:6] in ("column", "LowRan")
    }
    assert error["LowRankImputer, rank 5"] < 0.8 * error["column means"]

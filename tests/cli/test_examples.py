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


def test_activation_atoms_are_found_and_named() -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "activation_atoms.py", "--rows", "1500"],
        env={name: value for name, value in os.environ.items() if name != "LATOM_DATA"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "1,500 rows of 48 columns"
    rows = {line.split("  ")[1]: line.split() for line in lines if line.startswith("  ")}
    assert 0 < float(rows["ITDA"][1]) < 0.1
    named = [line for line in lines if "[word" in line and "adding" not in line]
    assert len(named) == 10
    for line in named:  # an atom fires hardest on its own word
        word = line.split("[")[1].split("]")[0]
        assert word in line.split("]")[1].replace(",", " ").split()
    assert float(lines[-1].split()[-1].rstrip("%")) > 90

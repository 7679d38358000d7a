"""The worked examples run, on data made here."""

from __future__ import annotations

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


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("text_neighbors.py", ["--queries", "200"], ["category by 10 neighbors", "local scaling"]),
        ("relative_spaces.py", ["-n", "400"], ["absolute coordinates", "anchors grown from 15 pairs"]),
    ],
)
def test_neighbors_examples(name: str, arguments: list[str], words: list[str], monkeypatch) -> None:
    monkeypatch.delenv("LATOM_DATA", raising=False)
    command = [sys.executable, EXAMPLES / name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for word in words:
        assert word in done.stdout

"""Calls of ``python -m latom cluster`` in this process, and what their messages look like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from latom.cli.main import main


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def run(*argv: object) -> int:
    return main(["cluster", *map(str, argv)])


def assert_message(capsys: pytest.CaptureFixture[str], *parts: str) -> None:
    """One line on stderr in the project's form, nothing on stdout."""
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("latom cluster: ")
    assert captured.err.count("\n") == 1
    for part in (" must ", "; got ", *parts):
        assert part in captured.err


def labels_of(path: object, tmp_path: Path, *argv: object) -> np.ndarray:
    out = tmp_path / "labels.npy"
    assert run(path, "-k", 3, "--n-init", 5, "--labels", out, *argv) == 0
    return np.load(out)


def assert_topics(labels: np.ndarray) -> None:
    """The labels tell the three topics apart, whatever their numbers."""
    by_topic = [set(labels[topic::3].tolist()) for topic in range(3)]
    assert all(len(found) == 1 for found in by_topic)
    assert len(set.union(*by_topic)) == 3

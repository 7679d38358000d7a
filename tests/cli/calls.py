"""Calls of ``python -m latom cluster`` in this process, and what their messages look like."""

from __future__ import annotations

from pathlib import Path

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

"""Which words of texts are terms, what help says of it, and whose help an error points to."""

from __future__ import annotations

import re

import pytest
from calls import assert_message, run, write

from latom.cli.main import main

# --- which words count


def test_switches_of_words(tmp_path, monkeypatch, capsys):
    texts = ["the violin and the cello", "the violin or the organ", "the cello and don't ask", "the organ"]
    path = write(tmp_path / "lines.txt", "\n".join(texts) + "\n")
    monkeypatch.setenv("COLUMNS", "200")

    def terms(*argv: object) -> set[str]:
        assert run(path, "-k", 1, "--top-terms", 20, *argv) == 0
        fields = re.split(r"\s{2,}", capsys.readouterr().out.splitlines()[-1].strip())
        return set(fields[3].split(", "))

    stopped = ["--stop-words", "none"]
    assert terms() == {"violin", "cello", "organ", "don", "ask"}
    assert terms(*stopped) == terms() | {"the", "and", "or"}
    assert terms(*stopped, "--max-df", "0.9") == terms() | {"and", "or"}
    assert terms(*stopped, "--max-df", "0.9", "--stream") == terms() | {"and", "or"}
    own = write(tmp_path / "stop.txt", "The and\nDon't\nVIOLIN\n")
    assert terms("--stop-words", own) == {"cello", "organ", "or", "ask"}
    assert terms("--stop-words", own, "--stream") == {"cello", "organ", "or", "ask"}


@pytest.mark.parametrize("option", ["--stop-words", "--max-df", "--min-df", "--max-features"])
def test_matrices_have_their_terms(option, counts, capsys):
    value = "none" if option == "--stop-words" else "1"
    assert run(counts, "-k", 2, option, value) == 2
    assert_message(capsys, f"{option} must go with texts; got ")


# --- whose help an error points to


@pytest.mark.parametrize("command", ["cluster", "neighbors", "duplicates"])
def test_errors_point_to_the_help_of_their_command(command, line_file, capsys):
    words = ["violin"] if command == "neighbors" else []
    for wrong in (["-k", "0"], ["--max-df", "2"], ["--encoding", "klingon"], ["--frobnicate"]):
        assert main([command, str(line_file), *words, *wrong]) == 2
        told = capsys.readouterr().err
        assert told.startswith(f"latom {command}: ")
        assert told.endswith(f". See python -m latom {command} --help.\n")
        assert told.count("See python") == 1
        assert ".." not in told


def test_a_command_that_there_is_not(capsys):
    assert main(["clusterr", "x"]) == 2
    told = capsys.readouterr().err
    assert told == (
        "latom: COMMAND must be one of cluster, neighbors, duplicates, cuda-check; got 'clusterr'. The "
        "nearest is 'cluster'. See python -m latom --help.\n"
    )


def test_help_tells_what_each_command_takes(capsys):
    for command in ("cluster", "neighbors", "duplicates"):
        assert main([command, "--help"]) == 0
        told = capsys.readouterr().out
        assert ("left out" in told) == (".npy" in told) == (command == "cluster")
        assert "english, none" in " ".join(told.split())
        assert "else 0.5)" in told
    assert main(["--help"]) == 0
    assert "repeat others" in capsys.readouterr().out

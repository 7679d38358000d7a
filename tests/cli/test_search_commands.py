"""``python -m latom neighbors`` and ``duplicates``."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from latom.cli.main import main

TEXTS = """\
the cat sat on the warm mat
the cat sat on a warm mat
dogs bark at passing cars
quantum fields on curved space
quantum fields in curved space
bread rises with yeast and flour
"""


def test_neighbors_finds_the_words(tmp_path, capsys):
    path = tmp_path / "lines.txt"
    path.write_text(TEXTS)
    assert main(["neighbors", str(path), "curved quantum", "-k", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "6 documents" in lines[0]
    found = [line for line in lines if "quantum fields" in line]
    assert len(found) == 2
    assert float(found[0].split()[0]) > 0.5
    assert main(["neighbors", str(path), "zebra"]) == 2
    assert "QUERY must hold a term" in capsys.readouterr().err


def test_duplicates_are_groups(tmp_path, capsys):
    path = tmp_path / "lines.txt"
    path.write_text(TEXTS)
    assert main(["duplicates", str(path), "--cosine", "0.9"]) == 0
    out = capsys.readouterr().out
    assert "2 groups, 2 documents that repeat another" in out
    assert out.count("quantum fields") == 2
    assert "bread" not in out
    assert main(["duplicates", str(path), "--cosine", "1.5"]) == 2
    assert "must be a number above 0" in capsys.readouterr().err


def test_a_matrix_is_searched_by_its_terms(tmp_path, capsys):
    sp.save_npz(tmp_path / "X.npz", sp.csr_matrix(np.eye(3)))
    (tmp_path / "terms.txt").write_text("red\ngreen\nblue\n")
    arguments = [str(tmp_path / "X.npz"), "green", "--vocabulary", str(tmp_path / "terms.txt")]
    assert main(["neighbors", *arguments]) == 0
    assert "1.000  row 1" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["neighbors", "duplicates"])
def test_messages_name_the_command(command, tmp_path, capsys):
    words = ["some words"] if command == "neighbors" else []
    assert main([command, str(tmp_path / "missing"), *words]) == 2
    assert capsys.readouterr().err.startswith(f"latom {command}: ")
    assert main([command, "--no-such-option"]) == 2
    assert capsys.readouterr().err.startswith(f"latom {command}: ")

"""``python -m latom cluster`` among hostile files and surroundings: a message, never a traceback."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from calls import assert_message, run, write
from scipy import sparse

from latom.cli import documents
from latom.cli.main import main

# --- what is around it


def shell(line: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of sh in which "latom" is the command."""
    line = line.replace("latom", f"'{sys.executable}' -m latom cluster")
    return subprocess.run(
        ["sh", "-c", line], cwd=folder, env={**os.environ, **environment}, capture_output=True, check=False
    )


def test_closed_and_full_streams(line_file):
    for streams in ("2>&-", ">&- 2>/dev/full"):
        good = shell(f"latom lines.txt -k 3 --labels out.txt {streams}", line_file.parent)
        assert (good.returncode, good.stderr) == (0, b"")
        assert len((line_file.parent / "out.txt").read_text().splitlines()) == 18
    bad = shell("latom nowhere 2>&-", line_file.parent)
    assert (bad.returncode, bad.stdout) == (2, b"")  # a message for stderr does not go to stdout


def test_streams_that_python_has_closed(line_file, monkeypatch):
    gone = io.StringIO()
    gone.close()
    for stderr in (None, gone):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", stderr)
            assert run(line_file, "-k", 3, "-q") == 0
            assert run(line_file, "-k", 99) == 2
            assert run("--frobnicate") == 2
            assert main([]) == 2


@pytest.mark.parametrize("columns", ["1", "2", "0", "-5", "many", "99999999999"])
def test_any_columns(columns, line_file, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    assert run(line_file, "-k", 3) == 0
    assert "cluster" in capsys.readouterr().out
    assert main(["cluster", "--help"]) == 0


def never(*_: object, **__: object) -> None:
    raise AssertionError("the work has begun")


@pytest.mark.parametrize("settings", ["a program that is missing", "a backend that is none"])
def test_plots_that_cannot_be_drawn_are_refused_before_the_work(
    settings,
    line_file,
    tmp_path,
    monkeypatch,
    capsys,
):
    matplotlib = pytest.importorskip("matplotlib")
    monkeypatch.setattr(documents, "read_lines", never)
    if settings == "a program that is missing":
        monkeypatch.setitem(matplotlib.rcParams, "pgf.texsystem", "xelatex")
        monkeypatch.setenv("PATH", str(tmp_path))
        assert run(line_file, "-k", 3, "--plot", tmp_path / "x.pgf") == 2
        assert_message(capsys, "--plot must be drawn by matplotlib; got 'xelatex' not found", "Use .png")
    else:
        done = shell("latom lines.txt --plot x.png", tmp_path, MPLBACKEND="none such")
        assert done.returncode == 2
        assert done.stderr.startswith(b"latom cluster: --plot must be drawn by matplotlib; got Key backend")
        assert done.stderr.count(b"\n") == 1
    assert not list(tmp_path.glob("x.*"))


def test_outputs_that_are_folders_or_closed_are_refused_before_the_work(
    line_file,
    tmp_path,
    monkeypatch,
    capsys,
):
    monkeypatch.setattr(documents, "read_lines", never)
    (tmp_path / "folder.csv").mkdir()
    assert run(line_file, "-k", 3, "--labels", tmp_path / "folder.csv") == 2
    assert_message(capsys, "--labels must be a file; got the folder ")
    if os.access(tmp_path, os.W_OK) and os.geteuid():  # root may write everywhere
        (tmp_path / "folder.csv").chmod(0o500)
        assert run(line_file, "-k", 3, "--labels", tmp_path / "folder.csv" / "x.csv") == 2
        assert_message(capsys, "--labels must be writable; got ")


# --- what it is given


@pytest.mark.parametrize("name", ["a\0b", "a\0b.npz", "x" * 5000, "", "lines.txt/inside"])
def test_names_that_are_no_paths(name, line_file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for argv in ([name], [line_file, "--labels", name], [line_file, "--vocabulary", name]):
        assert run(*argv) == 2
        assert_message(capsys, "must be the name of a file or folder; got ")


@pytest.mark.parametrize("name", ["undefined", "utf-8\0", "", "x" * 500])
def test_names_that_are_no_encodings(name, line_file, capsys):
    assert run(line_file, "--encoding", name) == 2
    assert_message(capsys, "--encoding must be a text encoding of Python; got ")


def test_threads_have_a_bound_of_their_own(line_file, capsys):
    assert run(line_file, "--threads", 5000) == 2
    assert_message(capsys, "--threads must be an integer of at most 4096; got '5000'")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", ["pipe", "pipe.csv", "pipe.npz"])
def test_a_pipe_without_a_writer(name, tmp_path, monkeypatch, capsys):
    os.mkfifo(tmp_path / name)
    monkeypatch.setattr(documents._open_pipe, "__defaults__", (0.1,))
    before = threading.active_count()
    assert run(tmp_path / name) == 2
    assert_message(capsys, f"{name} must be readable; got a pipe to which nobody has written for 0.1 s")
    assert threading.active_count() == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_with_a_writer_that_takes_its_time(line_file, tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    done = shell("(sleep 0.2; cat lines.txt) > pipe & latom pipe -k 3", tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"pipe: 18 documents" in done.stdout


@pytest.mark.parametrize(
    ("content", "got"),
    [
        ('{"a": 1e400, "b": 1}', "got 'a' in column inf. "),
        ('{"a": NaN, "b": 1}', "got 'a' in column nan. "),
        ('{"a": 0.7, "b": 1}', "got 'a' in column 0.7. "),
        ('{"a": 0, "b": 0}', "got no term for column 1. "),
        ('[["a"], "b"]', "got a term that is a list. "),
        ('"ab"', "got a JSON str. "),
        ("[" * 100_000, "got "),
    ],
)
def test_vocabularies_that_are_none(content, got, counts, tmp_path, capsys):
    write(tmp_path / "v.json", content)
    assert run(counts, "-k", 2, "--vocabulary", tmp_path / "v.json") == 2
    assert_message(capsys, "v.json must be a JSON list of terms or object of columns; ", got)


# --- matrices that claim more than they hold


def save(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def test_columns_that_hold_nothing_cost_nothing(tmp_path, capsys):
    """2^28 columns, of which centers would take gigabytes."""
    d = 1 << 28
    parts = {"indices": [0, 5, d - 1], "indptr": [0, 2, 3], "data": np.ones(3)}
    save(tmp_path / "X.npz", format="csr", shape=(2, d), **parts)
    assert run(tmp_path / "X.npz", "-k", 2) == 0
    out = capsys.readouterr().out
    assert "2 documents, 3 terms, 3 nonzeros" in out
    assert f"#{d - 1} " in out


def test_columns_that_hold_nothing_keep_the_names_of_others(counts, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "1000")
    terms = (tmp_path / "terms.txt").read_text().split()
    wide = sparse.csc_array(sparse.load_npz(counts).astype(np.uint8)[:, np.repeat(np.arange(len(terms)), 2)])
    wide.data[wide.indptr[2] : wide.indptr[3]] = 0  # zeros that are stored
    sparse.save_npz(tmp_path / "wide.npz", wide)
    write(tmp_path / "wide.txt", "".join(f"{term}\nno-{term}\n" for term in terms))
    argv = [tmp_path / "wide.npz", "-k", 3, "--vocabulary", tmp_path / "wide.txt"]
    assert run(*argv, "--top-terms", 50) == 0
    out = capsys.readouterr().out
    assert f"{2 * len(terms) - 1} terms" in out
    assert f"no-{terms[0]}" in out
    assert f", {terms[1]}, " not in out


def test_more_rows_than_entries(tmp_path, capsys):
    for n in (1 << 25, 1 << 40, (1 << 62)):
        save(tmp_path / "X.npz", format="coo", shape=(n, 2), row=[0, 1], col=[0, 1], data=[1.0, 1])
        assert run(tmp_path / "X.npz", "-k", 2) == 2
        assert_message(capsys, f"hold entries for its rows; got {n} rows and 2 entries")


def test_more_entries_than_memory(tmp_path, capsys):
    def header(count: int, kind: str) -> bytes:
        file = io.BytesIO()
        np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": (count,)})
        return file.getvalue()

    path = save(tmp_path / "X.npz", format="csr", shape=(2, 2), indptr=[0, 1, 2])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("data.npy", header(1 << 45, "<f8"))
        archive.writestr("indices.npy", header(1 << 45, "<i4"))
    assert run(path, "-k", 2) == 2
    assert_message(capsys, "X.npz must fit in memory; got Unable to allocate")


def test_indices_that_conversions_would_follow_out_of_the_array(tmp_path, capsys):
    parts = {"indptr": [0, 1, 2], "data": np.ones(2)}
    for indices in ([0, 1 << 20], [0, -(1 << 20)]):
        save(tmp_path / "X.npz", format="csc", shape=(2, 2), indices=indices, **parts)
        assert run(tmp_path / "X.npz", "-k", 2) == 2
        assert_message(capsys, "be a sparse matrix saved by scipy.sparse.save_npz")


def test_small_integers_that_occur_twice_do_not_overflow(tmp_path, capsys):
    twice = {
        "row": [0, 0, 1],
        "col": [0, 0, 1],
        "data": np.array([200, 56, 1], np.uint8),
    }  # 256 is 0 in 8 bits
    save(tmp_path / "X.npz", format="coo", shape=(2, 2), **twice)
    assert run(tmp_path / "X.npz", "-k", 2) == 0
    assert "2 documents, 2 terms, 2 nonzeros" in capsys.readouterr().out


def test_integers_beyond_float32_keep_their_values(tmp_path):
    large = (1 << 24) + 1
    sparse.save_npz(tmp_path / "X.npz", sparse.csr_array(np.array([[large, 0, 1]], np.int32)))
    X, terms = documents.read_matrix(tmp_path / "X.npz", None)
    assert X.data.tolist() == [large, 1]
    assert terms == ["#0", "#2"]

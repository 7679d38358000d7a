"""``python -m latom cluster``: every kind of input, every bad file, every output."""

from __future__ import annotations

import csv
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from calls import assert_message, assert_topics, labels_of, run, write
from scipy import sparse

from latom.cli.main import main

# --- inputs


def test_lines(line_file, tmp_path, capsys):
    assert_topics(labels_of(line_file, tmp_path))
    summary, times, blank, header, *rows = capsys.readouterr().out.splitlines()
    assert summary == f"{line_file}: 18 documents, 21 terms, 108 nonzeros"
    for part in ("read ", "vectorized ", "clustered ", "iteration", "mean cosine 0.", "thread"):
        assert part in times
    assert blank == ""
    assert header.split() == ["cluster", "size", "cosine", "top", "terms", "typical", "document"]
    assert len(rows) == 3
    assert all(row.split()[1] == "6" for row in rows)


def test_folder_skips_hidden_and_binary_files(tmp_path, texts, capsys):
    folder = tmp_path / "corpus"
    (folder / "sub").mkdir(parents=True)
    for i, text in enumerate(texts):
        write(folder / "sub" / f"{i:02}.txt", text)
    write(folder / ".hidden", "nothing to see")
    (folder / "picture.png").write_bytes(b"\x89PNG\0\0")
    assert_topics(labels_of(folder, tmp_path))
    out = capsys.readouterr().out
    assert "(1 binary file skipped): 18 documents" in out.replace("\n", " ")
    assert "sub/0" in out  # the typical document goes by its path


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv"])
def test_table_guesses_the_column_and_says_so(suffix, tmp_path, texts, capsys):
    path = tmp_path / f"table{suffix}"
    rows = [{"id": f"{i}", "title": f"Title {i}", "abstract": t} for i, t in enumerate(texts)]
    if suffix == ".jsonl":
        write(path, "".join(f"{json.dumps(row)}\n\n" for row in rows))
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0], delimiter="\t" if suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    assert_topics(labels_of(path, tmp_path))
    out = capsys.readouterr().out
    assert "column 'abstract' (guessed; --column picks another): 18 documents" in " ".join(out.split())
    assert "Title " in out


def test_table_prefers_the_longest_strings_without_a_usual_name(tmp_path, texts, capsys):
    lines = [json.dumps({"code": "x y", "story": text, "year": 1999}) for text in texts]
    path = write(tmp_path / "table.jsonl", "\n".join(lines))
    assert_topics(labels_of(path, tmp_path))
    assert "column 'story' (guessed" in capsys.readouterr().out


def test_table_with_a_named_column(tmp_path, texts, capsys):
    lines = [json.dumps({"text": "same words here", "note": text}) for text in texts]
    path = write(tmp_path / "table.jsonl", "\n".join(lines))
    assert_topics(labels_of(path, tmp_path, "--column", "note"))
    assert "column 'note': 18 documents" in " ".join(capsys.readouterr().out.split())


def test_csv_with_a_line_break_a_long_field_and_a_byte_order_mark(tmp_path, texts, capsys):
    cells = [texts[0].replace(" ", "\n"), "violin " * 30_000, *texts[1:]]
    body = "".join(f'"{cell}"\r\n' for cell in cells)
    path = write(tmp_path / "table.csv", "\ufefftext\r\n" + body)
    assert run(path, "-k", 3) == 0
    assert "column 'text': 19 documents" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("vocabulary", [None, "terms.txt", "list.json", "columns.json"])
def test_matrix(vocabulary, counts, tmp_path, capsys):
    terms = (tmp_path / "terms.txt").read_text().split()
    write(tmp_path / "list.json", json.dumps(terms))
    write(tmp_path / "columns.json", json.dumps({t: j for j, t in reversed([*enumerate(terms)])}))
    options = [] if vocabulary is None else ["--vocabulary", tmp_path / vocabulary]
    assert_topics(labels_of(counts, tmp_path, *options))
    out = capsys.readouterr().out
    assert "18 documents, 21 terms, 108 nonzeros" in out
    assert "vectorized" not in out
    assert ("#" if vocabulary is None else "league") in out
    assert "row " in out


def test_encoding(tmp_path, texts, capsys):
    path = write(tmp_path / "lines.txt", "\n".join(f"déjà {t}" for t in texts), "latin-1")
    assert run(path, "-k", 3) == 2
    assert_message(capsys, "UTF-8 text; got byte 0xe9 in line 1. ", "--encoding latin-1.")
    assert_topics(labels_of(path, tmp_path, "--encoding", "latin-1"))
    assert "déjà" in capsys.readouterr().out


def test_documents_without_terms_are_left_out(tmp_path, texts, capsys):
    path = write(tmp_path / "lines.txt", "\n".join([texts[0], "", "the of 12", *texts[1:]]))
    labels = labels_of(path, tmp_path)
    assert labels.shape == (20,)
    assert labels[1] == labels[2] == -1
    assert_topics(np.delete(labels, [1, 2]))
    assert "18 documents (2 without terms left out)" in " ".join(capsys.readouterr().out.split())


# --- outputs


def test_labels_in_three_formats_agree(line_file, tmp_path):
    for name in ("labels.txt", "labels.csv", "labels.npy"):
        assert run(line_file, "-k", 3, "-q", "--labels", tmp_path / name) == 0
    labels = np.load(tmp_path / "labels.npy")
    assert labels.dtype == np.int32
    assert np.array_equal(np.loadtxt(tmp_path / "labels.txt", dtype=int), labels)
    with (tmp_path / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["label"]) for row in rows] == labels.tolist()
    assert rows[4]["document"] == "line 5"
    assert all(0 < float(row["cosine"]) <= 1 for row in rows)


def test_quiet_prints_nothing(line_file, capsys):
    assert run(line_file, "-k", 3, "--quiet") == 0
    assert capsys.readouterr() == ("", "")


def test_seed_decides_and_threads_do_not(line_file, tmp_path):
    first = labels_of(line_file, tmp_path, "-q", "--seed", 7, "--threads", 1)
    assert np.array_equal(first, labels_of(line_file, tmp_path, "-q", "--seed", 7, "--threads", 2))


@pytest.mark.parametrize("columns", [50, 80, 200])
def test_the_table_fits_the_terminal(columns, tmp_path, texts, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    rows = [json.dumps({"title": "日本語 \x1b[31m" * 20, "text": text}) for text in texts]
    path = write(tmp_path / "t.jsonl", "\n".join(rows))
    monkeypatch.chdir(tmp_path)
    assert run(path.name, "-k", 3, "--top-terms", 20) == 0
    out = capsys.readouterr().out
    wide = sum(character in "日本語" for character in out.splitlines()[-1])
    assert len(out.splitlines()[-1]) + wide < columns
    assert max(len(line) for line in out.splitlines()) < columns
    assert "\x1b" not in out


@pytest.mark.parametrize("max_iter", [1, 100])
def test_plot(max_iter, line_file, tmp_path):
    pytest.importorskip("matplotlib")
    out = tmp_path / "clusters.png"
    assert run(line_file, "-k", 3, "-q", "--max-iter", max_iter, "--plot", out) == 0
    assert out.read_bytes().startswith(b"\x89PNG")


def test_plot_clusters_needs_no_terms_history_or_full_clusters():
    pytest.importorskip("matplotlib")
    from latom.cli.plotting import plot_clusters

    figure = plot_clusters([0, 2, 2], [0.5, 1.0, 1.0], max_clusters=2)
    assert "3 documents in 3 clusters (the 2 largest shown)" in figure.texts[0].get_text()
    with pytest.raises(ValueError, match=r"plot_clusters: labels and cosines must .* got \(0,\)"):
        plot_clusters([], [])


def test_plot_without_matplotlib_names_the_extra(line_file, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert run(line_file, "--plot", tmp_path / "x.png") == 2
    assert_message(capsys, "--plot must find matplotlib", "latom[plot]")


# --- bad files and arguments

BAD_FILES = {
    "binary.txt": (b"\x7fELF\0\1\2", "be a text file; got binary data"),
    "utf16.txt": ("a word".encode("utf-16"), "pass --encoding utf-16"),
    "bytes.txt": (b"fine\nfine \xff\xfe\n", "be UTF-8 text; got byte 0xff in line 2"),
    "empty.txt": (b"", "got an empty file"),
    "blank.txt": (b" \n\n\t\n", "got 3 documents, all empty"),
    "stop.txt": (b"the of and\n12 34\n", "hold terms other than stop words"),
    "broken.jsonl": (b'{"text": "a"}\n{"text": \n', "value at character 11 of line 2. Correct l"),
    "list.jsonl": (b"[1, 2]\n", "hold a JSON object a line; got list in line 1"),
    "number.jsonl": (b'{"text": "a"}\n{"text": 3}\n', "line 2, column 'text' must be a string"),
    "numbers.jsonl": (b'{"a": 1, "b": 2}\n', "have a column of texts; got columns a, b"),
    "empty.jsonl": (b"\n", "hold at least one record"),
    "header.csv": (b"id,text\n", "hold at least one record"),
    "empty.csv": (b"", "hold at least one record"),
    "bytes.csv": (b"text\na\xe9\n", "be UTF-8 text; got byte 0xe9 in line 2"),
    "blank.csv": (b'id,text\n1,""\n', "have a column of texts; got columns id, text"),
    "text.npz": (b"not a zip at all", "be a sparse matrix saved by scipy.sparse.save_npz"),
    "truncated.npz": (b"PK\3\4broken", "be a sparse matrix saved by scipy.sparse.save_npz"),
    "packed.jsonl": (gzip.compress(b"{}" * 999, mtime=0), "be a text file; got binary data"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_file(name, tmp_path, capsys):
    content, message = BAD_FILES[name]
    path = tmp_path / name
    path.write_bytes(content)
    assert run(path, "-k", 1) == 2
    assert_message(capsys, str(path), message)


def matrix(data: object, **options: object) -> sparse.csr_matrix:
    return sparse.csr_matrix(np.array(data, **options))


BAD_MATRICES = {
    "nan": (matrix([[1.0, 0], [0, np.nan]]), "hold finite numbers; got nan in row 1"),
    "complex": (matrix([[1j, 0]]), "hold real numbers; got dtype complex128"),
    "zeros": (matrix([[0.0, 0]]), "hold a row that is not empty"),
    "overflow": (matrix([[1e300, 0]]), "hold rows that can be clustered; got SphericalKMeans.fit:"),
    "shape": (sparse.csr_matrix((0, 3)), "have rows and columns; got shape (0, 3)"),
}


@pytest.mark.parametrize("name", BAD_MATRICES)
def test_bad_matrix(name, tmp_path, capsys):
    X, message = BAD_MATRICES[name]
    sparse.save_npz(tmp_path / "X.npz", X)
    assert run(tmp_path / "X.npz", "-k", 1) == 2
    assert_message(capsys, message)


def test_bad_npz_contents(tmp_path, capsys):
    np.savez(tmp_path / "dense.npz", X=np.eye(3))
    assert run(tmp_path / "dense.npz", "-k", 1) == 2
    assert_message(capsys, "be a sparse matrix saved by scipy.sparse.save_npz")
    broken = {"indices": np.array([0, 9]), "indptr": np.array([0, 1, 2]), "data": np.ones(2)}
    np.savez(tmp_path / "broken.npz", format="csr", shape=(2, 2), **broken)
    assert run(tmp_path / "broken.npz", "-k", 1) == 2
    assert_message(capsys, "be a sparse matrix saved by scipy.sparse.save_npz")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v.txt", "one\ntwo\n", "hold a term for each of the 21 columns of"),
        ("v.json", "{oops", "be a JSON list of terms or object of columns"),
        ("v.json", '{"a": 0, "b": 7}', "be a JSON list of terms or object of columns"),
        ("missing.txt", None, "exist; got no such file"),
    ],
)
def test_bad_vocabulary(name, content, message, counts, tmp_path, capsys):
    if content is not None:
        write(tmp_path / name, content)
    assert run(counts, "-k", 2, "--vocabulary", tmp_path / name) == 2
    assert_message(capsys, name, message)


def test_bad_path(tmp_path, capsys):
    for name in ("nowhere", "nowhere.csv", "nowhere.npz"):
        assert run(tmp_path / name) == 2
        assert_message(capsys, f"{tmp_path / name} must exist; got no such file or folder")
    folder = tmp_path / "folder"
    folder.mkdir()
    assert run(folder) == 2
    assert_message(capsys, f"{folder} must hold text files; got no file")
    (folder / "a.bin").write_bytes(b"\0")
    assert run(folder) == 2
    assert_message(capsys, f"{folder} must hold text files; got 1 binary files only")
    (folder / "b.txt").write_bytes(b"caf\xe9")
    assert run(folder) == 2
    assert_message(capsys, f"{folder / 'b.txt'} must be UTF-8 text; got byte 0xe9 in line 1")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-k", 19], "-k must be at most the number of documents with terms, 18; got 19. Pass"),
        (["-k", 0], "-k/--n-clusters must be an integer of at least 1; got '0'"),
        (["-k", "many"], "-k/--n-clusters must be an integer of at least 1; got 'many'"),
        (["--seed", -1], "--seed must be an integer of at least 0; got '-1'"),
        (["--encoding", "klingon"], "--encoding must be a text encoding of Python; got 'kl"),
        (["--encoding", "hex"], "--encoding must be a text encoding of Python; got 'hex'"),
        (["--column", "text"], "--column must go with a PATH in .jsonl, .ndjson, .csv, .tsv"),
        (["--vocabulary", "v.txt"], "--vocabulary must go with a .npz PATH"),
        (["--labels", "labels.xlsx"], "--labels must end in one of .txt, .csv, .npy; got"),
        (["--labels", "no/where.txt"], "--labels must lie in an existing folder; got no."),
        (["--min-df", 100], "hold terms other than stop words, rare ones"),
        (["--max-df", "1.5"], "--max-df must be a number above 0 and at most 1; got '1.5'. See python"),
        (["--max-df", "much"], "--max-df must be a number above 0 and at most 1; got 'much'"),
        (["--stop-words", "nowhere.txt"], "nowhere.txt must exist; got no such file or folder"),
    ],
)
def test_bad_argument(argv, message, line_file, capsys):
    assert run(line_file, *argv) == 2
    assert_message(capsys, message)


def test_bad_plot_suffix(line_file, capsys):
    pytest.importorskip("matplotlib")
    assert run(line_file, "--plot", "picture.docx") == 2
    assert_message(capsys, "--plot must end in a picture's suffix; got picture.docx")


def test_missing_column_lists_the_columns(tmp_path, capsys):
    for name, content in (("t.csv", "id,text\n1,a b\n"), ("t.jsonl", '{"id": 1, "text": "a"}\n')):
        path = write(tmp_path / name, content)
        assert run(path, "--column", "body") == 2
        assert_message(capsys, "have a column 'body'; got columns id, text. ", "--column")


def test_usage(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("latom ")
    assert main(["cluster", "--help"]) == 0
    assert "a document a line" in capsys.readouterr().out
    assert main([]) == 2
    assert "cluster" in capsys.readouterr().err
    assert main(["cluster", "--frobnicate"]) == 2
    assert capsys.readouterr().err.startswith("latom cluster: unrecognized arguments")


def test_interrupt(line_file, monkeypatch, capsys):
    import latom

    def interrupted(self: object, X: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(latom.SphericalKMeans, "fit", interrupted)
    assert run(line_file, "-k", 3) == 130
    assert capsys.readouterr() == ("", "latom cluster: interrupted\n")


# --- as a process


def process(*argv: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "latom", "cluster", *argv]
    return subprocess.run(command, capture_output=True, check=False, **options)  # type: ignore


def test_standard_library_where_stdout_is_ascii(tmp_path):
    labels = tmp_path / "labels.csv"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "100"}
    done = process("-k", "4", "--labels", str(labels), env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    out = done.stdout.decode("ascii").splitlines()
    assert out[0].startswith("docstrings of Python 3.")
    assert len(out) >= 8
    assert "collections" in labels.read_text(encoding="utf-8")


def test_reader_that_leaves_early(line_file, tmp_path):
    labels = tmp_path / "labels.txt"
    read, write_end = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "latom", "cluster", line_file, "-k", "3", "--labels", labels]
    done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, check=False)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(labels.read_text().splitlines()) == 18


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk(line_file):
    command = [sys.executable, "-m", "latom", "cluster", line_file, "-k", "3"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(b"latom cluster: standard output must be writable; got No space")
    assert done.stderr.count(b"\n") == 1

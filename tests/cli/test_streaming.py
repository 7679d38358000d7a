"""``python -m latom cluster`` on what need not fit in memory: texts with --stream, folders of numbers."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import textwrap
from argparse import Namespace

import numpy as np
import pytest
from calls import assert_message, assert_topics, labels_of, run, write
from scipy import sparse

from latom.cli import streaming
from latom.cli.reading import read_corpus


def quiet(items, **_):
    return items


def arguments(path, **more):
    given = {
        "path": path, "encoding": "utf-8", "column": None, "min_df": None, "max_features": None,
        "max_df": None, "stop_words": None, "vocabulary": None,
    }  # fmt: skip
    return Namespace(**{**given, **more})


@pytest.mark.parametrize("max_features", [None, 11])
@pytest.mark.parametrize("min_df", [None, 3])
def test_weights_are_those_of_memory(tmp_path, texts, monkeypatch, min_df, max_features):
    monkeypatch.setattr(streaming, "ENTRIES", 40)
    words = [*texts, "the of", "violin violin violin cello", "rare", "goalkeeper 12 striker"]
    terms = sorted(set(" ".join(texts).split()))
    words += [" ".join([term] * count) for count, term in enumerate(terms)]  # no two occur as often
    path = write(tmp_path / "lines.txt", "\n".join(words))
    asked = arguments(path, min_df=min_df, max_features=max_features)
    whole, _ = read_corpus(asked, quiet)
    made, _ = streaming.stream_texts(asked, quiet, tmp_path)
    assert list(made.terms) == list(whole.terms)
    assert made.size == whole.size
    assert made.rows.tolist() == whole.rows.tolist()
    blocks = list(made.X)
    assert len(blocks) > 2
    X = sparse.vstack(blocks).tocsr()
    whole.X.sort_indices()
    assert np.array_equal(X.indices, whole.X.indices)
    np.testing.assert_allclose(X.data, whole.X.data, rtol=3e-7)


def test_texts_of_every_kind(tmp_path, texts, line_file, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "300")
    folder = tmp_path / "folder"
    folder.mkdir()
    for number, text in enumerate(texts):
        write(folder / f"{number:02}.txt", text)
    (folder / "zz.bin").write_bytes(b"\0")
    table = write(tmp_path / "t.jsonl", "\n".join(json.dumps({"title": t[:9], "text": t}) for t in texts))
    for path in (line_file, folder, table):
        assert_topics(labels_of(path, tmp_path, "--stream"))
        summary, times, *_, last = capsys.readouterr().out.splitlines()
        assert "18 documents, 21 terms, 108 nonzeros" in " ".join(summary.split())
        assert "counted " in times
        assert any(text in last for text in texts)  # the typical document is read again
    assert not list(tmp_path.glob("latom-*"))


def test_documents_without_terms_are_left_out(tmp_path, texts, capsys):
    path = write(tmp_path / "lines.txt", "\n".join([texts[0], "", "the of 12", *texts[1:]]))
    labels = labels_of(path, tmp_path, "--stream")
    assert labels[1] == labels[2] == -1
    assert_topics(np.delete(labels, [1, 2]))
    out = tmp_path / "labels.csv"
    assert run(path, "-k", 3, "--stream", "--labels", out) == 0
    rows = list(csv.reader(out.read_text(encoding="utf-8").splitlines()))
    assert [row[0] for row in rows[1:]] == [f"line {i}" for i in range(1, 21)]
    assert rows[2][1:] == ["-1", ""]


@pytest.mark.parametrize("kind", ["npz", "npy", "parquet"])
def test_folders_of_numbers(tmp_path, counts, kind, capsys):
    X = sparse.load_npz(counts).tocsr()
    folder = tmp_path / "rows"
    folder.mkdir()
    for number, (a, b) in enumerate(((0, 5), (5, 18))):
        part = sparse.vstack([X[a:b], sparse.csr_matrix((1, X.shape[1]), dtype=X.dtype)])
        if kind == "npz":
            sparse.save_npz(folder / f"{number}.npz", part)
        elif kind == "npy":
            np.save(folder / f"{number}.npy", part.toarray())
        else:
            pa = pytest.importorskip("pyarrow")
            import pyarrow.parquet as pq

            columns = {f"c{c}": column for c, column in enumerate(part.toarray().T)}
            pq.write_table(pa.table(columns), folder / f"{number}.parquet")
    labels = labels_of(folder, tmp_path, "--vocabulary", tmp_path / "terms.txt")
    assert labels[5] == labels[19] == -1
    assert_topics(np.delete(labels, [5, 19]))
    out = capsys.readouterr().out
    assert "18 documents (2 without terms left out), 21 terms, 108 nonzeros" in " ".join(out.split())
    assert "league" in out
    assert "row " in out


def test_what_does_not_go_with_it(tmp_path, counts, line_file, capsys):
    assert run("--stream") == 2
    assert_message(capsys, "--stream must go with texts in files, or a folder; got the standard library")
    assert run(counts, "--stream") == 2
    assert_message(capsys, "--stream must go with texts in files")
    assert run(line_file, "--stream", "-k", 19) == 2
    assert_message(capsys, "-k must be at most the number of documents with terms, 18")
    assert run(write(tmp_path / "stop.txt", "the of\nof\n"), "--stream") == 2
    assert_message(capsys, "hold terms other than stop words")
    np.save(tmp_path / "zeros.npy", np.zeros((4, 3)))
    assert run(tmp_path / "zeros.npy", "-k", 2) == 2
    assert_message(capsys, "hold a row that is not empty; got zeros only")
    write(tmp_path / "broken.npy", "no array")
    assert run(tmp_path / "broken.npy", "-k", 2) == 2
    assert_message(capsys, "hold rows of numbers")
    np.save(tmp_path / "nan.npy", np.full((4, 3), np.nan))
    assert run(tmp_path / "nan.npy", "-k", 2) == 2
    assert_message(capsys, "hold rows that can be clustered", "NaN")
    np.save(tmp_path / "five.npy", np.eye(5))
    assert run(tmp_path / "five.npy", "-k", 2, "--vocabulary", tmp_path / "terms.txt") == 2
    assert_message(capsys, "hold a term for each of the 5 columns")


def test_files_that_change_meanwhile_are_told(tmp_path, texts, line_file):
    made, _ = streaming.stream_texts(arguments(line_file), quiet, tmp_path)
    write(line_file, "\n".join(texts[:7]))
    with pytest.raises(streaming.InputError, match="stay as it is, 18 documents; got 7 when read again"):
        made.documents.pick([3])


LIMITED = """
import resource, sys, numpy as np
from pathlib import Path
from latom.cli.main import main
small, large = sys.argv[1:3]
options = ["--threads", "1", "--max-iter", "2", "-k", "5", "-q", *sys.argv[3:]]
assert main(["cluster", small, *options]) == 0  # threads and imports are there
used = int(next(l for l in open("/proc/self/status") if l.startswith("VmData")).split()[1]) << 10
resource.setrlimit(resource.RLIMIT_DATA, (used + (40 << 20),) * 2)
assert main(["cluster", large, *options]) == 0
try:
    b"".join(path.read_bytes() for path in sorted(Path(large).iterdir()))
except MemoryError:
    print("ok")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_DATA is Linux's")
@pytest.mark.parametrize("kind", ["texts", "numbers"])
def test_a_folder_larger_than_memory(tmp_path, kind):
    rng = np.random.default_rng(0)
    words = np.array(["".join(rng.choice(list("abcdefgh"), 400)) for _ in range(300)])
    for folder, count in (("small", 6), ("large", 20 if kind == "numbers" else 56)):
        (tmp_path / folder).mkdir()
        for number in range(count):
            if kind == "texts":  # 1.5 MB each
                write(tmp_path / folder / f"{number:02}.txt", " ".join(rng.choice(words, 3750)))
            else:  # 4 MB each
                np.save(tmp_path / folder / f"{number:02}.npy", rng.random((2000, 512), np.float32))
    options = ["--stream", "--min-df", "1"] if kind == "texts" else []
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LIMITED), tmp_path / "small", tmp_path / "large", *options],
        capture_output=True,
        text=True,
        env=dict(os.environ, OPENBLAS_NUM_THREADS="1"),
    )
    assert done.stdout.strip() == "ok", done.stderr

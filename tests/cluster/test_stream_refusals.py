"""Streams that change, mix, break or hold what is no row: messages, and nothing read past an array."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import latom

X = np.random.default_rng(0).standard_normal((40, 5)).astype(np.float32)
CSR = sp.csr_array(np.maximum(X, 0))


class Passes:
    """Other blocks in each pass."""

    def __init__(self, *passes):
        self.passes, self.seen = passes, 0

    def __iter__(self):
        self.seen += 1
        yield from self.passes[min(self.seen, len(self.passes)) - 1]


def fit(source, sample_weight=None, **options):
    options = {"init": X[:3], "tol": 0, "max_iter": 4} | options
    return latom.KMeans(3, **options).fit(latom.Stream(source), sample_weight=sample_weight)


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        (Passes([X], [X[:30]]), "the same in each pass, 40 rows of 5 columns; got 30 rows"),
        (Passes([X], [X, X]), "the same in each pass, 40 rows of 5 columns; got 80 rows of 5 columns, dense"),
        (Passes([X], [X[:, :4]]), "the same in each pass, .*; got 40 rows of 4 columns"),
        (Passes([X], [CSR]), "the same in each pass, .*; got 40 rows of 5 columns, sparse"),
        ([X, CSR], "all dense or all sparse; got both"),
        ([CSR, X], "all dense or all sparse; got both"),
        ([X, None], "must hold real numbers; got None"),
        ([X, X[0]], "must have two dimensions"),
        ([X, X[:, :0]], "at least one row and one column"),
        ([[]], "must have two dimensions"),
        ([X[:0]], "X must have rows"),
        ([], "X must have rows"),
    ],
)
def test_blocks_that_do_not_fit(blocks, words):
    with pytest.raises((ValueError, TypeError), match=rf"^KMeans\.fit: .*{words}.*\. \w"):
        fit(blocks)


def test_blocks_without_rows_are_passed_over():
    assert (fit([X[:0], X[:7], X[:0], X[7:]]).labels_ == fit([X]).labels_).all()


@pytest.mark.filterwarnings("ignore:.*Number of distinct clusters")
@pytest.mark.parametrize("convert", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("cls", [latom.KMeans, latom.SphericalKMeans])
def test_fewer_distinct_rows_than_clusters(cls, convert):
    """Then no row may be taken by an empty cluster."""
    for distinct in (1, 2):
        rows = convert(np.repeat(np.abs(X[:distinct]), 10, axis=0))
        model = cls(3, init=np.abs(X[:3]), tol=0)
        whole, streamed = model.fit(rows).labels_, model.fit(latom.Stream(rows, block_rows=7)).labels_
        assert (whole == streamed).all()


@pytest.mark.parametrize("weights", [2.0, "a", np.ones((40, 1)), np.ones(39), [None] * 40])
def test_weights_are_one_number_per_row(weights):
    with pytest.raises((ValueError, TypeError), match=r"^KMeans\.fit: .*sample_weight .*; got .*\. \w"):
        fit([X], sample_weight=weights)


@pytest.mark.parametrize(
    ("part", "numbers"),
    [("indptr", [0, 2**40]), ("indptr", [0, -7]), ("indices", 2**30), ("indices", -(2**30))],
)
@pytest.mark.parametrize("convert", [sp.csr_array, sp.csc_array])
def test_sparse_sources_are_checked_before_they_are_cut(part, numbers, convert):
    source = convert(CSR)
    array = getattr(source, part).astype(np.int64)
    array[: np.size(numbers)] = numbers
    setattr(source, part, array)
    with pytest.raises(ValueError, match=r"source\.ind\w+ must .*; got"):
        fit(source)


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"\x93NUMPY", b"x" * 200])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_files_that_cannot_be_read(content, suffix, tmp_path):
    (tmp_path / f"a{suffix}").write_bytes(content)
    with pytest.raises(
        ValueError, match=rf"^Stream: a\{suffix} must be a file that can be read; got .*\. Write"
    ):
        fit(tmp_path)


def test_archives_whose_indices_lead_past_them(tmp_path):
    columns = sp.csc_array(CSR)
    columns.indices[5] = 2**30
    sp.save_npz(tmp_path / "a.npz", columns)
    with pytest.raises(ValueError, match=r"X\.indices must lie in \[0, 40\)"):
        fit(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"PK\3\4", b"x" * 200, {"labels": np.zeros(3)}, {"fit": np.ones(2)}]
)
def test_checkpoints_that_cannot_be_read(content, tmp_path):
    path = tmp_path / "state.npz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.savez(path, **content)
    with pytest.raises(ValueError, match=r"^KMeans\.fit: checkpoint must be .*; got .*\. Remove state\.npz"):
        latom.KMeans(3, init=X[:3]).fit(latom.Stream(X, checkpoint=path))

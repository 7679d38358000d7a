"""SparseIndex and DenseIndex: what they hold over time, on disk and between threads."""

from __future__ import annotations

import copy
import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp
from plain import best, documents, scores, whole_numbers

from latom.neighbors import DenseIndex, SparseIndex


def make(kind, X, **options):
    return SparseIndex(X, **options) if kind == "sparse" else DenseIndex(X.toarray(), **options)


def rows_of(kind, X):
    return X if kind == "sparse" else X.toarray()


@pytest.fixture(params=["sparse", "dense"])
def kind(request):
    return request.param


@pytest.mark.parametrize("metric", ["dot", "euclidean"])
def test_search_add_remove(kind, metric, rng):
    X, more, Q = (whole_numbers(rng, n, 25, 0.3) for n in (60, 15, 8))
    index = make(kind, X, metric=metric)
    assert len(index) == 60
    assert index.shape == (60, 25)
    assert index.add(rows_of(kind, more)).tolist() == list(range(60, 75))
    index.remove([3, 70])
    index.remove(3)
    everything = sp.csr_array(sp.vstack([X, more]))
    allowed = np.ones(75, bool)
    allowed[[3, 70]] = False
    table = scores(Q, everything, metric)
    for queries in (Q, Q.toarray()):
        values, indices = index.search(queries, 9)
        wanted, at = best(table, 9, allowed)
        assert (indices == at).all()
        assert (values == wanted).all()
        half = np.arange(0, 75, 2)
        mask = np.isin(np.arange(75), half) & allowed
        assert (index.search(queries, 9, allowed=half)[1] == best(table, 9, mask)[1]).all()
        bars = np.arange(8) - 4.0
        found = index.above(queries, bars)
        kept = (table > bars[:, None]) & allowed
        assert found.nnz == kept.sum()
        assert (np.repeat(np.arange(8), np.diff(found.indptr)) == np.nonzero(kept)[0]).all()
        assert (found.indices == np.nonzero(kept)[1]).all()


@pytest.mark.parametrize("mmap", [True, False])
def test_save_and_load(kind, mmap, rng, tmp_path):
    X = documents(rng, 80, 50).astype(np.float32)
    index = make(kind, X)
    index.remove([5])
    index.save(tmp_path / "index")
    again = type(index).load(tmp_path / "index", mmap=mmap)
    assert repr(again) == repr(index)
    a, b = index.search(X, 4), again.search(X, 4)
    assert (a[0] == b[0]).all()
    assert (a[1] == b[1]).all()
    assert again.add(rows_of(kind, X)).tolist() == list(range(80, 160))
    assert not any(path.read_bytes()[:1] == b"\x80" for path in (tmp_path / "index").iterdir())  # no pickle


def test_load_refuses_what_it_did_not_write(rng, tmp_path):
    X = documents(rng, 20, 10)
    SparseIndex(X).save(tmp_path)
    with pytest.raises(ValueError, match=r"^DenseIndex\.load: path must hold"):
        DenseIndex.load(tmp_path)
    np.save(tmp_path / "indices.npy", np.full(X.nnz, 99, np.int32))
    with pytest.raises(ValueError, match="must"):
        SparseIndex.load(tmp_path)
    (tmp_path / "index.json").write_text(json.dumps({"class": "SparseIndex", "version": 99}))
    with pytest.raises(ValueError, match="version"):
        SparseIndex.load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"SparseIndex\.load: path must be readable; got No such"):
        SparseIndex.load(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("index.json", b"{"),
        ("index.json", b"[]"),
        ("index.json", b"{}"),
        ("index.json", json.dumps({"class": "DenseIndex", "version": 1, "metric": "dot"}).encode()),
        ("index.json", b'{"class": "DenseIndex", "version": 1, "metric": "dot", "shape": [1, "x"]}'),
        ("rows.npy", b""),
        ("rows.npy", b"\x93NUMPY"),
        ("removed.npy", np.zeros(3, bool)),
        ("removed.npy", np.zeros(20)),
        ("rows.npy", np.zeros((20, 9))),
    ],
)
def test_damaged_folders_are_refused_in_one_way(file, content, rng, tmp_path):
    DenseIndex(documents(rng, 20, 10).toarray()).save(tmp_path)
    if isinstance(content, bytes):
        (tmp_path / file).write_bytes(content)
    else:
        np.save(tmp_path / file, content)
    with pytest.raises(
        ValueError, match=r"^DenseIndex\.load: path must hold a DenseIndex of version 1; got .*\. Load"
    ):
        DenseIndex.load(tmp_path)


@pytest.mark.parametrize("wrong", [[3], -1, 2.5, [0.0], "a", None, [[0]], [[0], [1, 2]]])
def test_rows_that_are_not_there_are_not_removed(wrong):
    index = DenseIndex(np.eye(3))
    with pytest.raises((ValueError, TypeError), match=r"DenseIndex\.remove: indices must .*; got .*"):
        index.remove(wrong)


def test_the_row_that_is_not_there_is_named():
    index = DenseIndex(np.eye(3))
    for wrong, got in (([500], 500), ([0, -7, 2], -7), (np.array([1, 9]), 9), (4, 4), (2.5, 2.5)):
        with pytest.raises(ValueError, match=rf"remove: indices must .*; got {got}\. Pass indices"):
            index.remove(wrong)
    with pytest.raises(
        ValueError, match=r"search: allowed must be a mask .* got ndarray of .*\. Ask the queries"
    ):
        index.search(np.eye(3), 1, allowed=np.ones((3, 3), bool))


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, copy.copy, lambda index: pickle.loads(pickle.dumps(index))]
)
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_copies_and_pickles_answer_alike(kind, copied, metric, dtype, rng, tmp_path):
    X = documents(rng, 60, 30).astype(np.float32)
    given = X if kind == "sparse" else X.toarray().astype(dtype)
    index = (SparseIndex if kind == "sparse" else DenseIndex)(given, metric=metric, n_threads=1)
    index.remove([5, 7])
    again = copied(index)
    assert repr(again) == repr(index)
    assert again.n_threads == index.n_threads
    for Q in (X[:20], X[:20].toarray()):
        for a, b in zip(index.search(Q, 4), again.search(Q, 4), strict=True):
            assert (a == b).all()
        assert (index.above(Q, 0.1) != again.above(Q, 0.1)).nnz == 0
    again.add(rows_of(kind, X))
    again.remove(0)
    assert len(again) == 120
    assert len(index) == 60
    assert 0 in index.search(X[[0]], 1)[1]
    index.save(tmp_path / "index")
    mapped = copied(type(index).load(tmp_path / "index"))
    assert (mapped.search(X[:20], 4)[1] == index.search(X[:20], 4)[1]).all()


def test_workers_of_joblib_take_an_index(kind, rng):
    joblib = pytest.importorskip("joblib")
    X = documents(rng, 50, 30)
    index = make(kind, X)
    wanted = index.search(X, 3)[1]
    found = joblib.Parallel(2)(joblib.delayed(index.search)(part, 3) for part in (X[:25], X[25:]))
    assert (np.vstack([indices for _, indices in found]) == wanted).all()


def test_one_query_gives_one_answer(kind, rng):
    torch = pytest.importorskip("torch")
    X = documents(rng, 60, 30)
    index = make(kind, X)
    values, indices = index.search(X, 4)
    matches = index.above(X, 0.2)
    for i in (0, 59):
        q = X[[i]].toarray()[0]
        for one in (
            q,
            q.tolist(),
            tuple(q),
            torch.as_tensor(q),
            Series(q),
            X[[i]].reshape(-1),
            torch.as_tensor(q).to_sparse(),
        ):
            value, index_of = index.search(one, 4)
            assert value.shape == index_of.shape == (4,)
            assert (index_of == indices[i]).all()
            np.testing.assert_allclose(value, values[i], rtol=1e-12)
            row = index.above(one, 0.2)
            assert row.shape == (1, 60)
            assert (row.indices == matches[[i]].indices).all()
        assert index.search(X[[i]], 4)[0].shape == (1, 4)
        assert index.search(q[None].tolist(), 4)[0].shape == (1, 4)
    for wrong in (np.zeros(29), [0.0] * 31, []):
        with pytest.raises(ValueError, match=r"^(Sparse|Dense)Index\.search: (X|Q) must have"):
            index.search(wrong, 4)
    with pytest.raises(ValueError, match=r"search: exclude_self must be False"):
        index.search(X[[0]].toarray()[0], 4, exclude_self=True)


class Series:
    """A column of pandas, as far as this goes: an array by its conversion alone."""

    ndim = 1

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)


def test_many_threads_read_while_one_adds(rng):
    X = documents(rng, 400, 100)
    index = SparseIndex(X[:200], n_threads=1)
    only = np.arange(200)
    wanted = index.search(X, 5, allowed=only)

    def read(_):
        found = index.search(X, 5, allowed=only)
        return all((a == b).all() for a, b in zip(wanted, found, strict=True))

    with ThreadPoolExecutor(4) as pool:
        reads = pool.map(read, range(24))
        index.add(X[200:])
        assert all(reads)
    assert len(index) == 400
    assert (index.search(X, 1)[0] > 0.999999).all()


def test_containers_are_told_apart():
    with pytest.raises(TypeError, match=r"^SparseIndex: X must be a scipy.sparse"):
        SparseIndex(np.eye(3))
    with pytest.raises(TypeError, match="DenseIndex"):
        DenseIndex(sp.eye(3, format="csr"))
    with pytest.raises(ValueError, match="metric must be"):
        SparseIndex(sp.eye(3, format="csr"), metric="l1")

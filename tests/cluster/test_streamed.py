"""k-means on streams of blocks: the bits of memory, little memory, fits that go on after a kill."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import scipy.sparse as sp
from cut_streams import KINDS, Cuts, rows, same
from oracle import corpus

import latom
from latom._base.backend import backend, call
from latom._base.rows import Rows
from latom.cluster.shards import CHUNK, Bounds, Sums, pieces, total_cost


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_a_stream_gives_the_bits_of_memory(metric, sparse, dtype, weighted):
    X = rows(sparse, dtype)
    w = np.random.default_rng(1).random(X.shape[0]) if weighted else None
    arguments = {"init": "random", "n_init": 1, "random_state": 3, "tol": 0, "n_threads": 2}
    whole = KINDS[metric](17, **arguments).fit(X, sample_weight=w)
    for cuts in ([1], [64, 65, 300], list(range(50, 700, 50))):
        streamed = KINDS[metric](17, **arguments).fit(latom.Stream(Cuts(X, cuts)), sample_weight=w)
        same(whole, streamed)


@pytest.mark.parametrize("kind", ["dense", "8-bit", "csr", "signs", "int64"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_bounds_that_rows_keep_from_pass_to_pass_change_no_bit(metric, kind):
    rng = np.random.default_rng(2)
    if kind in ("dense", "8-bit"):  # columns and centers from which on bounds are kept, and 8 bits go first
        d, m = (70, 20) if kind == "dense" else (300, 130)
        means = 0.5 * rng.normal(size=(30, d))
        spread = 1.0 if kind == "dense" else 1.2
        X = (means[rng.integers(30, size=900)] + spread * rng.normal(size=(900, d))).astype(np.float32)
    else:
        X, m = corpus(rng, 900, 90, 9, False, np.float64), 150
        if kind == "signs":  # the first block that has a negative number is not the first
            X.data[X.indptr[500] :] *= rng.choice([-1, 1], X.nnz - X.indptr[500])
        if kind == "int64":
            X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    drawn = np.sort(rng.permutation(900)[: m - 6])
    init = X[np.concatenate([drawn, drawn[:6]])]  # clusters that stand empty, and take rows
    whole = KINDS[metric](m, init=init, tol=0, max_iter=12).fit(X)
    assert whole.n_iter_ > 2
    streamed = KINDS[metric](m, init=init, tol=0, max_iter=12, n_threads=5).fit(
        latom.Stream(Cuts(X, [64, 400, 650]))
    )
    same(whole, streamed)
    assert streamed.history_["avoided"].max() > 0.1  # a pass without bounds looks at all centers


def test_costs_add_up_to_the_bits_of_the_core_beyond_one_chunk():
    X = rows(False, np.float32, 2 * CHUNK + 900)
    whole = latom.KMeans(5, init=X[:5], max_iter=3).fit(X)
    for step in (1000, CHUNK - 1, CHUNK, 3 * CHUNK):
        same(whole, latom.KMeans(5, init=X[:5], max_iter=3).fit(latom.Stream(X, block_rows=step)))


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_empty_clusters_take_the_rows_that_memory_gives_them(metric, sparse):
    X = rows(sparse, np.float32)
    start = X[[0] * 6 + list(range(9))]  # copies: all but the first are empty
    whole = KINDS[metric](15, init=start, tol=0).fit(X)
    streamed = KINDS[metric](15, init=start, tol=0).fit(latom.Stream(Cuts(X, [5, 200, 450])))
    same(whole, streamed)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_empty_clusters_take_no_row_without_weight(metric):
    X = rows(False, np.float32, 60)
    w = np.zeros(60)
    w[[2, 7, 11, 40]] = 1, 2, 3, 4  # fewer than there are empty clusters
    start = X[[0] * 6 + [1, 2]]
    with pytest.warns(Warning, match="distinct clusters"):
        whole = KINDS[metric](8, init=start, tol=0).fit(X, sample_weight=w)
    with pytest.warns(Warning, match="distinct clusters"):
        streamed = KINDS[metric](8, init=start, tol=0).fit(latom.Stream(Cuts(X, [5, 30])), sample_weight=w)
    same(whole, streamed)


@pytest.mark.filterwarnings("ignore:.*rows of X are zero")
@pytest.mark.parametrize("sparse", [False, True])
def test_empty_clusters_take_no_row_without_direction(sparse):
    X = np.abs(rows(False, np.float32, 60))  # no cosine is below 0
    X[[3, 4, 5, 31, 50]] = 0  # so that these fit worst of all
    X = sp.csr_array(X) if sparse else X
    start = X[[0] * 4 + [1, 2]]
    whole = latom.SphericalKMeans(6, init=start, tol=0).fit(X)
    same(whole, latom.SphericalKMeans(6, init=start, tol=0).fit(latom.Stream(Cuts(X, [4, 30]))))
    assert len(np.unique(whole.labels_)) == 6


def test_no_row_may_be_left_for_an_empty_cluster():
    X = np.repeat(np.eye(3, 5, dtype=np.float32), 4, axis=0)
    for fit in (lambda km: km.fit(X), lambda km: km.fit(latom.Stream(Cuts(X, [5])))):
        with pytest.warns(Warning, match=r"distinct clusters \(3\)"):
            fit(latom.KMeans(5, init=X[[0, 4, 8, 0, 0]], tol=0))


@pytest.mark.parametrize("isa", ["baseline", "avx2"])
def test_every_variant_and_number_of_threads(isa):
    import core

    if isa not in core.available_isas():
        pytest.skip(f"no {isa} here")
    X = rows(True, np.float64)
    whole = latom.SphericalKMeans(9, init=X[:9], tol=0).fit(X)
    before = core.isa()
    core.set_isa(isa)
    try:
        for threads in (1, 5):
            model = latom.SphericalKMeans(9, init=X[:9], tol=0, n_threads=threads)
            same(whole, model.fit(latom.Stream(Cuts(X, [100, 333]))))
    finally:
        core.set_isa(before)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_seeds_depend_on_no_partition_and_are_good(metric):
    rng = np.random.default_rng(5)
    means = 10 * rng.normal(size=(12, 6))
    X = (means[rng.integers(12, size=900)] + 0.1 * rng.normal(size=(900, 6))).astype(np.float32)
    fits = [
        KINDS[metric](12, random_state=1).fit(latom.Stream(Cuts(X, cuts)))
        for cuts in ([], [3, 450], [101, 202, 303])
    ]
    for other in fits[1:]:
        same(fits[0], other)
    best = KINDS[metric](12, random_state=0).fit(X).inertia_
    assert fits[0].inertia_ < 1.5 * best


def test_batches_may_follow():
    X = rows(False, np.float32)
    whole, streamed = latom.KMeans(6, init=X[:6]), latom.KMeans(6, init=X[:6])
    whole.fit(X).partial_fit(X[:50])
    streamed.fit(latom.Stream(X, block_rows=90)).partial_fit(X[:50])
    assert np.array_equal(whole.cluster_centers_, streamed.cluster_centers_)


def test_files_of_all_kinds(tmp_path):
    X = rows(False, np.float32, 300)
    whole = latom.KMeans(6, init=X[:6]).fit(X)
    np.save(tmp_path / "a.npy", X[:120])
    np.save(tmp_path / "b.npy", X[120:])
    same(whole, latom.KMeans(6, init=X[:6]).fit(latom.Stream(tmp_path, block_rows=50)))
    S = rows(True, np.float32, 300)
    folder = tmp_path / "sparse"
    folder.mkdir()
    sp.save_npz(folder / "0.npz", S[:100].tocsr())
    sp.save_npz(folder / "1.npz", S[100:].tocsr())
    whole = latom.SphericalKMeans(6, init=S[:6]).fit(S)
    same(whole, latom.SphericalKMeans(6, init=S[:6]).fit(latom.Stream(folder)))


def test_tables(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.feather as feather
    import pyarrow.parquet as pq

    X = rows(False, np.float32, 300)
    whole = latom.KMeans(6, init=X[:6]).fit(X)
    columns = pa.table({f"c{c}": X[:, c] for c in range(X.shape[1])})
    pq.write_table(columns, tmp_path / "x.parquet", row_group_size=70)
    lists = pa.table({"x": pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), X.shape[1])})
    feather.write_feather(lists, tmp_path / "x.arrow", compression="uncompressed", chunksize=90)
    for file in ("x.parquet", "x.arrow"):
        same(whole, latom.KMeans(6, init=X[:6]).fit(latom.Stream(tmp_path / file)))


class Killed(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("at", [1, 2, 4])
@pytest.mark.parametrize("sparse", [False, True])
def test_a_fit_goes_on_from_its_checkpoint(tmp_path, sparse, at):
    X = rows(sparse, np.float32)
    stream = latom.Stream(Cuts(X, [200, 300]), checkpoint=tmp_path / "state.npz")
    arguments = {"init": X[[0, 0, *range(12)]], "tol": 0, "sparse_centers": sparse}
    whole = latom.KMeans(14, **arguments).fit(X)

    def kill(state):
        if state.iteration == at:
            raise Killed

    with pytest.raises(Killed):  # within iteration `at`: the state of the one before is kept
        latom.KMeans(14, callback=kill, **arguments).fit(stream)
    assert (tmp_path / "state.npz").exists() == (at > 1)
    if at > 1:
        with pytest.raises(ValueError, match="checkpoint must be of the same fit"):
            latom.KMeans(13, init=X[:13]).fit(stream)
    same(whole, latom.KMeans(14, **arguments).fit(stream))
    assert not list(tmp_path.iterdir())


def test_memory_stays_within_a_few_blocks(tmp_path):
    if not sys.platform.startswith("linux"):
        pytest.skip("RLIMIT_DATA is Linux's")
    script = textwrap.dedent(
        """
        import resource, sys, numpy as np, latom, sklearn.base, latom.cluster.kmeans
        path, n, d = sys.argv[1], 40_000, 512  # 80 MB
        rng = np.random.default_rng(0)
        with open(path, "wb") as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "<f4", "fortran_order": False, "shape": (n, d)}
            )
            for _ in range(0, n, 4000):
                file.write(rng.random((4000, d), np.float32).tobytes())
        model = lambda k: latom.KMeans(k, init=np.eye(8, d, dtype=np.float32), max_iter=2, n_threads=1)
        model(8).fit(latom.Stream(rng.random((300, d), np.float32)))  # threads and imports are there
        used = int(next(l for l in open("/proc/self/status") if l.startswith("VmData")).split()[1]) << 10
        resource.setrlimit(resource.RLIMIT_DATA, (used + (40 << 20),) * 2)
        model(8).fit(latom.Stream(path, block_rows=2048))  # blocks of 4 MB
        try:
            np.ones((n, d), np.float32)
        except MemoryError:
            print("ok")
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "x.npy")],
        capture_output=True,
        text=True,
        env=dict(os.environ, OPENBLAS_NUM_THREADS="1"),
    )
    assert done.stdout.strip() == "ok", done.stderr


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.npy", "must be a file or folder"),
        ((x for x in ()), "iterable more than once"),
        (3, "iterable more than once"),
        (np.ones(3), "must be 2-d"),
    ],
)
def test_what_is_no_stream_is_refused(source, message):
    with pytest.raises(ValueError, match=message):
        latom.Stream(source)


def test_what_streams_do_not_take():
    X = rows(False, np.float32, 50)
    with pytest.raises(ValueError, match="fixed_centers must have at most"):
        latom.KMeans(2, fixed_centers=X[:3]).fit(latom.Stream(X))
    with pytest.raises(ValueError, match="checkpoint must be None"):
        latom.MiniBatchKMeans(2).fit(latom.Stream(X, checkpoint="state.npz"))
    with pytest.raises(ValueError, match="n_clusters"):
        latom.KMeans(51).fit(latom.Stream(X))
    with pytest.raises(ValueError, match="sample_weight"):
        latom.KMeans(2).fit(latom.Stream(X), sample_weight=np.ones(49))
    with pytest.raises(ValueError, match="columns of the first"):
        latom.KMeans(2).fit(latom.Stream([X, X[:, :3]]))
    with pytest.raises(ValueError, match="NaN"):
        latom.KMeans(2).fit(latom.Stream([X, X * np.float32("nan")]))


def test_pieces_cover_each_cost_once():
    rng = np.random.default_rng(0)
    costs = rng.random(3 * CHUNK + 77)
    whole = total_cost(pieces(0, costs))
    for cut in (1, CHUNK - 1, CHUNK, 2 * CHUNK + 5):
        assert total_cost(pieces(cut, costs[cut:]) + pieces(0, costs[:cut])) == whole
    assert np.isclose(whole, costs.sum())


@pytest.mark.filterwarnings("ignore")  # of clusters without rows
@pytest.mark.parametrize("sparse", [False, True])
def test_equal_rows_stop_where_they_stop_in_memory(sparse):
    """Their variance, by which tol is scaled, is what means are rounded by: another in other blocks."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        n = 3 + seed
        X = np.tile(rng.standard_normal((1, 13)), (n, 1))
        X = sp.csr_array(X) if sparse else X
        cuts = [0, 1, 2, n // 2 + 1, n]
        stream = latom.Stream([X[a:b] for a, b in itertools.pairwise(cuts)])
        weights = rng.random(n) if seed % 2 else None
        one, other = (
            latom.KMeans(3, init=X[:3], max_iter=5).fit(given, sample_weight=weights) for given in (stream, X)
        )
        assert one.n_iter_ == other.n_iter_
        assert (one.labels_ == other.labels_).all()
        assert one.inertia_ == other.inertia_
        assert (one.cluster_centers_ == other.cluster_centers_).all()
        assert latom.KMeans(3).fit(X)._shift_limit("fit", Rows("fit", X)) == 0


def test_bounds_merge_like_moments():
    X = rows(False, np.float64, 60)
    halves = [
        Bounds(len(p), 19, 1, 1, 0, X.dtype, p.mean(0), ((p - p.mean(0)) ** 2).sum()) for p in (X[:7], X[7:])
    ]
    both = Bounds().merge(halves[0]).merge(halves[1])
    assert np.allclose(both.mean, X.mean(0))
    assert np.isclose(both.spread, X.var(0).sum() * 60)


def test_sums_take_back_what_they_were_given():
    parts = (
        np.array([0, 1, 2]),
        np.array([3, 0], np.int32),
        np.array([[5, 1], [7, 0]]),
        np.ones((2, 3), np.int64),
    )
    sums = Sums(parts)
    sums.add(Sums(parts)).add(Sums(parts), -1)
    for ours, theirs in zip((*sums.parts, sums.weight), parts, strict=True):
        assert ours.dtype == theirs.dtype
        assert (ours == theirs).all()


@pytest.mark.parametrize("levels", [1, 2, 3])
@pytest.mark.parametrize("minus", [False, True])
def test_parts_of_csr_are_merged_by_cluster_and_column(levels, minus):
    rng = np.random.default_rng(levels)
    m, d = 7, 40

    def part():
        dense = rng.integers(-2, 3, size=(m, d, levels)) * (rng.random((m, d, 1)) < rng.random((m, 1, 1)))
        dense[rng.integers(m)] = 0  # a cluster without columns
        held = dense.any(axis=2)
        indptr = np.concatenate([[0], held.sum(axis=1).cumsum()])
        return dense, (indptr, np.nonzero(held)[1].astype(np.int32), dense[held])

    for _ in range(20):
        (one, a), (two, b) = part(), part()
        if rng.random() < 0.3:
            two, b = one, a
        wanted = one - two if minus else one + two
        indptr, indices, values = backend().merge_parts(call("test", 2), *a, *b, minus)
        assert (values != 0).any(axis=1).all()
        found = np.zeros_like(wanted)
        found[np.repeat(np.arange(m), np.diff(indptr)), indices] = values
        assert (found == wanted).all()
        assert all((np.diff(indices[p:q]) > 0).all() for p, q in itertools.pairwise(indptr))

"""k-means on a cluster of workers: the bits of one machine, for any chunks, also when a worker dies."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.sparse as sp

import latom

pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")

import dask.array as da  # noqa: E402

import latom.dask  # noqa: E402

KINDS = {"cosine": "SphericalKMeans", "euclidean": "KMeans"}


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as made,
    ):
        yield made


def rows(sparse, n=600):
    rng = np.random.default_rng(0)
    if sparse:
        return sp.csr_array(sp.random_array((n, 80), density=0.1, rng=rng, dtype=np.float32))
    return rng.normal(size=(n, 13)).astype(np.float32)


def chunked(X, cuts):
    edges = [0, *cuts, X.shape[0]]
    parts = [
        da.from_delayed(_delayed(X[a:b]), (b - a, X.shape[1]), dtype=X.dtype, meta=X[:0])
        for a, b in itertools.pairwise(edges)
    ]
    return da.concatenate(parts, axis=0)


def _delayed(part):
    import dask

    return dask.delayed(part)


def same(a, b):
    x, y = a.cluster_centers_, b.cluster_centers_
    if sp.issparse(x):
        assert np.array_equal(x.indices, y.indices)
        x, y = x.data, y.data
    assert np.array_equal(x, y)
    assert np.array_equal(a.labels_, b.labels_)
    assert a.inertia_ == b.inertia_
    for field in ("objective", "changed", "moved"):
        assert np.array_equal(a.history_[field], b.history_[field])


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_the_bits_of_one_machine(client, metric, sparse):
    X = rows(sparse)
    w = np.random.default_rng(1).random(600)
    start = X[[0, 0, *range(11)]]  # one cluster is empty at first
    whole = getattr(latom, KINDS[metric])(13, init=start, tol=0).fit(X, sample_weight=w)
    for cuts in ([300], [1, 100, 250]):
        kind = getattr(latom.dask, KINDS[metric])
        model = kind(13, init=start, tol=0, client=client, n_threads=1).fit(chunked(X, cuts), sample_weight=w)
        same(whole, model)
        assert np.array_equal(model.predict(chunked(X, cuts)).compute(), whole.predict(X))


def test_seeds_are_those_of_a_stream(client):
    X = rows(False)
    streamed = latom.KMeans(7, random_state=2).fit(latom.Stream(X, block_rows=100))
    same(streamed, latom.dask.KMeans(7, random_state=2, client=client).fit(chunked(X, [50, 400])))


def test_functions(client):
    X = rows(False)
    atoms = X[:40]
    parts = chunked(X, [77, 300])
    for got, wanted in zip(
        latom.dask.assign(parts, atoms, client=client), latom.assign(X, atoms), strict=True
    ):
        assert np.array_equal(got.compute(), wanted)
    for got, wanted in zip(
        latom.dask.topk(parts, atoms, 3, client=client), latom.topk(X, atoms, 3), strict=True
    ):
        assert np.array_equal(got.compute(), wanted)
    got, wanted = latom.dask.encode(parts, atoms, 3, client=client).compute(), latom.encode(X, atoms, 3)
    assert (sp.csr_array(got) != sp.csr_array(wanted)).nnz == 0


@pytest.mark.parametrize("loss", ["implicit", "ials"])
def test_half_steps_are_least_squares_of_one_machine(client, loss):
    X = sp.csr_array(sp.random_array((90, 40), density=0.15, rng=np.random.default_rng(3), dtype=np.float32))
    options = {"regularization": 0.1, "alpha": 5.0, "loss": loss, "reg_exponent": 0.5}
    whole = latom.AlternatingLeastSquares(7, solver="cholesky", iterations=2, random_state=0, **options)
    V = whole.fit(X)._start("f", X.shape)[1]
    for _ in range(2):
        U = latom.dask.half_step(chunked(X, [20, 70]), V, client=client, **options).compute()
        V = latom.dask.half_step(chunked(sp.csr_array(X.T), [15]), U, client=client, **options).compute()
    assert np.array_equal(U, whole.user_factors)
    assert np.array_equal(V, whole.item_factors)
    assert U.dtype == np.float32
    with pytest.raises(ValueError, match=r"dask\.half_step: factors must have a row for each of the 40"):
        latom.dask.half_step(chunked(X, [20]), U)
    with pytest.raises(ValueError, match=r"dask\.half_step: alpha must"):
        latom.dask.half_step(chunked(X, [20]), V, alpha=-1)


def test_mini_batches(client):
    X = rows(False)
    plain = latom.MiniBatchKMeans(5, random_state=0)
    for part in (X[:300], X[300:]):
        plain.partial_fit(part)
    model = latom.dask.MiniBatchKMeans(5, random_state=0, client=client).fit(chunked(X, [300]))
    assert np.array_equal(model.cluster_centers_, plain.cluster_centers_)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("kind", ["KMeans", "SphericalKMeans"])
def test_new_rows_stay_in_their_chunks(client, kind, sparse):
    X = rows(sparse, 9000 if not sparse else 600)
    w = np.random.default_rng(1).random(X.shape[0])
    w[:77] = 0  # a chunk without weight
    parts = chunked(X, [77, 300, 500])
    model = getattr(latom.dask, kind)(5, init=X[:5], max_iter=2, client=client).fit(parts)
    whole = getattr(latom, kind)(5, init=X[:5], max_iter=2).fit(X)
    for given, wanted in (
        (model.transform(parts), whole.transform(X)),
        (model.predict(parts), whole.predict(X)),
    ):
        assert isinstance(given, da.Array)  # nothing has been computed
        assert given.chunks[0] == (77, 223, 200, X.shape[0] - 500)
        assert given.dtype == wanted.dtype
        assert np.array_equal(given.compute(), wanted)
    assert model.score(parts) == whole.score(X)
    assert model.score(parts, sample_weight=w) == whole.score(X, sample_weight=w)
    assert np.array_equal(model.transform(X), whole.transform(X))  # rows of this machine
    with pytest.raises(ValueError, match=rf"^dask\.{kind}\.transform: X must have the {X.shape[1]} features"):
        model.transform(parts[:, :4])
    with pytest.raises(ValueError, match=rf"^dask\.{kind}\.score: sample_weight must have shape"):
        model.score(parts, sample_weight=w[1:])


def test_rows_of_chunks_come_one_chunk_at_a_time(client):
    X = rows(False)
    w = np.random.default_rng(1).random(600)
    for kind in ("KMeans", "SphericalKMeans", "MiniBatchKMeans"):
        plain = getattr(latom, kind)(5, random_state=0)
        for part in (slice(300), slice(300, 450), slice(450, 600)):
            plain.partial_fit(X[part], sample_weight=w[part])
        model = getattr(latom.dask, kind)(5, random_state=0, client=client)
        model.partial_fit(chunked(X, [300, 450]), sample_weight=w)
        assert model.n_steps_ == 3
        assert np.array_equal(model.cluster_centers_, plain.cluster_centers_)


def test_mini_batches_have_the_parameters_of_their_steps(client):
    X = rows(False)
    options = {"init": X[:5], "reassignment_ratio": 0.0, "compute_labels": False}
    plain = latom.MiniBatchKMeans(5, **options)
    for part in (X[:300], X[300:]) * 2:
        plain.partial_fit(part)
    model = latom.dask.MiniBatchKMeans(5, max_iter=2, client=client, **options).fit(chunked(X, [300]))
    assert np.array_equal(model.cluster_centers_, plain.cluster_centers_)
    assert not hasattr(model, "labels_")
    assert latom.dask.MiniBatchKMeans(init_size=9, sparse_centers=True).get_params()["init_size"] == 9


def test_what_is_refused(client):
    with pytest.raises(ValueError, match="X must be a 2-d dask array"):
        latom.dask.KMeans(2, client=client).fit(rows(False))
    parts = chunked(rows(False), [300])
    with pytest.raises(ValueError, match=r"dask\.assign: metric must be 'cosine' or 'euclidean'; got 'l1'"):
        latom.dask.assign(parts, rows(False)[:3], metric="l1")
    for name, value in (
        ("exclude_self", True), ("exclude_self", "numpy"), ("return_stats", True), ("output", "torch"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=rf"^dask\.topk: {name} must be left out; got {value!r}\. "):
            latom.dask.topk(parts, rows(False)[:3], 2, **{name: value})
    latom.dask.topk(parts, rows(False)[:3], 2, exclude_self=False, return_stats=None, output="numpy")


@pytest.mark.parametrize("sparse", [False, True])
def test_chunks_without_rows_change_nothing(client, sparse):
    X = rows(sparse)
    mask = np.ones(600, bool)
    mask[:200] = mask[300:450] = False
    kept, w = X[mask], np.random.default_rng(1).random(250)
    masked = chunked(X, [200, 300, 450])[da.from_array(mask, chunks=((200, 100, 150, 150),))]
    cuts = itertools.pairwise([0, 0, 100, 100, 250])
    shape = np.nan, X.shape[1]  # chunks that are known to be empty are left out by concatenate
    made = [da.from_delayed(_delayed(kept[a:b]), shape, dtype=X.dtype, meta=X[:0]) for a, b in cuts]
    cut = da.concatenate(made, axis=0, allow_unknown_chunksizes=True)
    for kind in ("KMeans", "SphericalKMeans"):
        told = {"n_clusters": 5, "init": kept[:5], "max_iter": 2}
        whole = getattr(latom, kind)(**told).fit(kept, sample_weight=w)
        for parts in (cut,) if sparse else (cut, masked):
            model = getattr(latom.dask, kind)(**told, client=client).fit(parts, sample_weight=w)
            same(model, whole)
            assert np.array_equal(model.labels_, whole.labels_)
            assert np.array_equal(model.predict(parts).compute(), whole.predict(kept))
            assert np.array_equal(model.transform(parts).compute(), whole.transform(kept))
            assert model.score(parts, sample_weight=w) == whole.score(kept, sample_weight=w)
            stepped = getattr(latom.dask, kind)(5, init=kept[:5], client=client)
            stepped.partial_fit(parts, sample_weight=w)
            assert stepped.n_steps_ == 2
    if not sparse:
        batches = latom.dask.MiniBatchKMeans(5, init=kept[:5], random_state=0, client=client)
        assert batches.fit(masked).n_steps_ == 2
        for given, wanted in zip(latom.dask.topk(masked, X[:9], 3), latom.topk(kept, X[:9], 3), strict=True):
            assert np.array_equal(given.compute(), wanted)
        codes = latom.dask.encode(masked, X[:9], 3).compute()
        assert (codes != latom.encode(kept, X[:9], 3)).nnz == 0
    else:
        factors = np.ones((80, 2))
        given = latom.dask.half_step(cut, factors).compute()
        assert np.array_equal(given, latom.dask.half_step(chunked(kept, []), factors).compute())


def test_dask_arrays_without_rows_are_refused(client):
    X = rows(False)
    none = chunked(X[:0], [0])
    model = latom.dask.KMeans(5, init=X[:5], client=client).fit(chunked(X, []))
    for call in (model.fit, model.score, model.partial_fit, latom.dask.MiniBatchKMeans(2, client=client).fit):
        with pytest.raises(ValueError, match=r"0 sample|must have at least one row"):
            call(none)
    assert model.predict(none).compute().shape == (0,)


def test_a_worker_that_dies_changes_nothing():
    X = rows(False, 400)
    whole = latom.KMeans(9, init=X[:9], tol=0).fit(X)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        parts = da.from_array(X, chunks=(100, -1))
        killed = []

        def kill(state):
            if state.iteration == 2:
                worker = next(iter(client.scheduler_info()["workers"].values()))["id"]
                cluster.workers[worker].process.process._process.kill()
                killed.append(worker)

        model = latom.dask.KMeans(9, init=X[:9], tol=0, client=client, n_threads=1, callback=kill).fit(parts)
    assert killed
    same(whole, model)

"""latom.compat.faiss: against statements in numpy, and beside faiss where it is installed."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import scipy.sparse as sp

from latom.compat import faiss as compat

METRICS = [compat.METRIC_L2, compat.METRIC_INNER_PRODUCT]


@pytest.fixture(scope="module")
def host():
    return pytest.importorskip("faiss", reason="faiss is not installed")


@pytest.fixture
def x(rng):
    """2000 float32 rows around 20 points."""
    return (3 * rng.standard_normal((20, 8))[rng.integers(20, size=2000)] + rng.random((2000, 8))).astype(
        "f4"
    )


def scores(xq, xb, metric):
    """Distances, or inner products, in float64."""
    xq, xb = xq.astype(float), xb.astype(float)
    if metric == compat.METRIC_INNER_PRODUCT:
        return xq @ xb.T
    return ((xq[:, None] - xb) ** 2).sum(axis=2)


@pytest.mark.parametrize("metric", METRICS)
def test_knn_is_that_of_float64(x, metric):
    D, I = compat.knn(x[:50], x[50:400], 7, metric)  # noqa: E741
    wanted = scores(x[:50], x[50:400], metric)
    best = np.argsort(-wanted if metric == compat.METRIC_INNER_PRODUCT else wanted, kind="stable")[:, :7]
    assert (best == I).all()
    assert (D.dtype, I.dtype) == (np.float32, np.int64)
    np.testing.assert_allclose(D, np.take_along_axis(wanted, best, axis=1), rtol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_where_there_are_fewer_vectors_than_asked_for(x, metric):
    D, I = compat.knn(x[:2], x[:3], 5, metric)  # noqa: E741
    assert (I[:, 3:] == -1).all()
    assert sorted(I[0, :3]) == [0, 1, 2]
    most = np.finfo(np.float32).max
    assert (D[:, 3:] == (-most if metric == compat.METRIC_INNER_PRODUCT else most)).all()


@pytest.mark.parametrize("metric", METRICS)
def test_knn_and_indexes_answer_as_faiss(host, x, metric):
    for k, base in ((7, x[50:400]), (5, x[:3])):
        own, theirs = (module.knn(x[:50], base, k, metric) for module in (compat, host))
        assert (own[1] == theirs[1]).all()
        np.testing.assert_allclose(own[0], theirs[0], rtol=1e-5, atol=1e-4)
    name = "IndexFlatIP" if metric == compat.METRIC_INNER_PRODUCT else "IndexFlatL2"
    own, theirs = getattr(compat, name)(8), getattr(host, name)(8)
    for index in (own, theirs):
        index.add(x[:30])
        index.add(x[30:90])
    assert own.ntotal == theirs.ntotal == 90
    assert own.metric_type == theirs.metric_type
    assert (own.search(x[:20], 4)[1] == theirs.search(x[:20], 4)[1]).all()
    own.reset()
    assert own.ntotal == 0
    assert (own.search(x[:2], 1)[1] == -1).all()


def test_parameters_and_their_defaults_are_those_of_faiss(host):
    theirs = host.ClusteringParameters()
    for name, value in vars(compat.ClusteringParameters()).items():
        if hasattr(theirs, name):  # each version has some more
            assert getattr(theirs, name) == value
    for name in compat.__all__:
        if isinstance(getattr(compat, name), int) and hasattr(host, name):
            assert getattr(host, name) == getattr(compat, name)
    assert list(inspect.signature(compat.knn).parameters) == list(inspect.signature(host.knn).parameters)
    for method in ("train", "assign", "reset"):
        own, theirs = (inspect.signature(getattr(module.Kmeans, method)) for module in (compat, host))
        assert list(own.parameters) == list(theirs.parameters)


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_kmeans_makes_the_steps_of_faiss(host, x, rng, spherical, weighted):
    weights = rng.random(2000).astype("f4") if weighted else None
    own, theirs = (module.Kmeans(8, 10, niter=6, spherical=spherical) for module in (compat, host))
    final = own.train(x, weights, x[:10])
    theirs.train(x, weights, x[:10])
    np.testing.assert_allclose(own.centroids, theirs.centroids, rtol=1e-4, atol=1e-4)
    if not weighted:  # faiss's objective leaves weights out
        np.testing.assert_allclose(own.obj[:6], theirs.obj[:6], rtol=1e-5)
    assert final == own.obj[-1]
    assert [stats["obj"] for stats in own.iteration_stats] == own.obj.tolist()
    assert set(own.iteration_stats[0]) == set(theirs.iteration_stats[0])


@pytest.mark.parametrize("spherical", [False, True])
def test_kmeans_stops_early_where_faiss_does(host, x, spherical):
    parameters = {"niter": 30, "early_stop_threshold": 0.01, "spherical": spherical}
    own, theirs = (module.Kmeans(8, 10, **parameters) for module in (compat, host))
    if not hasattr(theirs.cp, "early_stop_threshold"):
        pytest.skip("this faiss does not stop early")
    for kmeans in (own, theirs):
        kmeans.train(x, init_centroids=x[:10])
    assert 1 < len(own.obj) == len(theirs.obj) < 30


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("method", [0, 1, 2])
def test_assign_and_index_hold_the_centroids(x, spherical, method):
    kmeans = compat.Kmeans(8, 10, niter=3, spherical=spherical, seed=5, nredo=2, init_method=method)
    kmeans.train(x)
    D, labels = kmeans.assign(x)
    wanted = scores(x, kmeans.centroids, int(not spherical))
    assert (labels == (wanted.argmax(axis=1) if spherical else wanted.argmin(axis=1))).all()
    np.testing.assert_allclose(D, np.take_along_axis(wanted, labels[:, None], 1)[:, 0], rtol=1e-5)
    assert (kmeans.index.search(x, 1)[1][:, 0] == labels).all()
    assert kmeans.centroids.dtype == np.float32
    if spherical:
        np.testing.assert_allclose(np.linalg.norm(kmeans.centroids, axis=1), 1, rtol=1e-6)


def test_a_seed_repeats_and_redos_do_not_worsen(x):
    one, again = (compat.Kmeans(8, 20, niter=5, seed=3) for _ in range(2))
    assert one.train(x) == again.train(x)
    assert (one.centroids == again.centroids).all()
    many = compat.Kmeans(8, 20, niter=5, seed=3, nredo=8)
    assert many.train(x) < one.obj[-1]


def test_frozen_centroids_stay(x):
    kmeans = compat.Kmeans(8, 10, niter=5, frozen_centroids=True)
    kmeans.train(x, init_centroids=x[:4])
    assert (kmeans.centroids[:4] == x[:4]).all()
    assert not (kmeans.centroids[4:] == x[4:10]).all()


def test_rows_are_drawn_where_there_are_many(x):
    x = np.vstack([x, x[:1] + 1000])  # 50 of 2001 rows hardly hold the last
    kmeans = compat.Kmeans(8, 5, niter=5, max_points_per_centroid=10, min_points_per_centroid=1)
    kmeans.cp.max_points_per_centroid = 10
    kmeans.train(x)
    few = compat.Kmeans(8, 5, niter=5)
    few.train(x)
    assert kmeans.obj[-1] < few.obj[-1] / 10
    with pytest.warns(UserWarning, match="100 rows are few for 5 centroids"):
        few.train(x[:100])


def test_as_many_centroids_as_rows(x):
    kmeans = compat.Kmeans(8, 6, min_points_per_centroid=1)
    assert kmeans.train(x[:6]) == 0
    assert (kmeans.centroids == x[:6]).all()


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"niter": 0}, r"^Kmeans.train: niter must .*got 0\. "),
        ({"int_centroids": True}, r"^Kmeans.train: int_centroids must be False; got True\. "),
        ({"init_method": 7}, r"^Kmeans.train: init_method must .*got 7\. "),
    ],
)
def test_parameters_are_checked(x, parameters, match):
    with pytest.raises(ValueError, match=match):
        compat.Kmeans(8, 5, **parameters).train(x)


def test_what_cannot_be_is_refused(x):
    with pytest.raises(AttributeError, match="progressive_dim_steps must be a field"):
        compat.Kmeans(8, 5, progressive_dim_steps=3)
    with pytest.raises(ValueError, match=r"k must be at most the number of rows of x, 4; got 5\."):
        compat.Kmeans(8, 5).train(x[:4])
    with pytest.raises(ValueError, match="x must have d=8 columns; got 3"):
        compat.Kmeans(8, 5).train(x[:, :3])
    with pytest.raises(ValueError, match="Call train first"):
        compat.Kmeans(8, 5).assign(x)
    with pytest.raises(ValueError, match="metric must be METRIC_L2"):
        compat.knn(x, x, 1, metric=2)
    for run in (
        compat.Kmeans(8, 5).train,
        lambda rows: compat.knn(rows, x, 1),
        lambda rows: compat.knn(x, rows, 1),
    ):
        with pytest.raises(TypeError, match=r"must be dense, not sparse; got csr_array\."):
            run(sp.csr_array(x))
    D, labels = compat.knn(x[:0], x, 3)
    assert D.shape == labels.shape == (0, 3)

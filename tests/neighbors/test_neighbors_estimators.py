"""NearestNeighbors and KNeighborsTransformer against scikit-learn's, and in its pipelines."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from plain import documents
from sklearn import neighbors as host
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import latom
from latom.neighbors import KNeighborsTransformer, NearestNeighbors, kneighbors_graph, precomputed_knn


@parametrize_with_checks([NearestNeighbors(), KNeighborsTransformer(), latom.RelativeRepresentation(5)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_as_scikit_learn(metric, container, rng):
    X, Q = (container(rng.random((n, 7)).round(3)) for n in (80, 20))
    ours = NearestNeighbors(n_neighbors=6, radius=0.4, metric=metric).fit(X)
    theirs = host.NearestNeighbors(n_neighbors=6, radius=0.4, metric=metric, algorithm="brute").fit(X)
    for queries in (Q, None):
        distances, indices = ours.kneighbors(queries)
        wanted, at = theirs.kneighbors(queries)
        np.testing.assert_allclose(distances, wanted, atol=1e-7)
        assert (indices == at).all()
        assert (ours.kneighbors(queries, 3, return_distance=False) == at[:, :3]).all()
        for mode in ("connectivity", "distance"):
            a, b = ours.kneighbors_graph(queries, mode=mode), theirs.kneighbors_graph(queries, mode=mode)
            np.testing.assert_allclose(a.toarray(), b.toarray(), atol=1e-7)
            a = ours.radius_neighbors_graph(queries, mode=mode, sort_results=True)
            b = theirs.radius_neighbors_graph(queries, mode=mode)
            np.testing.assert_allclose(a.toarray(), b.toarray(), atol=1e-7)
        near, who = ours.radius_neighbors(queries, sort_results=True)
        near_host, who_host = theirs.radius_neighbors(queries, sort_results=True)
        for row in range(len(near)):
            np.testing.assert_allclose(near[row], near_host[row], atol=1e-7)
            assert (who[row] == who_host[row]).all()


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_the_border_of_a_radius_is_inside(container):
    model = NearestNeighbors(radius=5.0).fit(container(np.array([[3.0, 4.0], [3.0, 4.1]])))
    origin = container(np.zeros((1, 2)))
    assert model.radius_neighbors(origin, return_distance=False)[0].tolist() == [0]
    assert model.radius_neighbors(origin, np.inf, return_distance=False)[0].tolist() == [0, 1]
    both = container(np.zeros((2, 2)))
    found = model.radius_neighbors(both, np.array([4.9, 5.0]), return_distance=False)
    assert [row.tolist() for row in found] == [[], [0]]
    for bad in ([1.0], [1.0, -1.0], [1.0, np.nan], np.nan, "far"):
        with pytest.raises(ValueError, match=r"^NearestNeighbors\.radius_neighbors: radius must be"):
            model.radius_neighbors(both, bad)


@pytest.mark.parametrize("mode", ["distance", "connectivity"])
def test_transformer_as_scikit_learn(mode, rng):
    X, Q = rng.random((50, 4)), rng.random((9, 4))
    ours = KNeighborsTransformer(mode=mode, n_neighbors=4).fit(X)
    theirs = host.KNeighborsTransformer(mode=mode, n_neighbors=4, algorithm="brute").fit(X)
    np.testing.assert_allclose(ours.transform(Q).toarray(), theirs.transform(Q).toarray(), atol=1e-7)
    assert ours.get_feature_names_out().shape == (50,)


def test_composition_classifies_and_clusters(rng):
    X = documents(rng, 300, 80)
    y = np.asarray(X[:, [0]].toarray().ravel() > 0.05)
    for host_model in (host.KNeighborsClassifier, host.KNeighborsRegressor):
        ours = make_pipeline(
            KNeighborsTransformer(n_neighbors=7, metric="cosine"), host_model(7, metric="precomputed")
        )
        theirs = host_model(7, metric="cosine", algorithm="brute")
        assert (
            ours.fit(X[:200], y[:200]).predict(X[200:]) == theirs.fit(X[:200], y[:200]).predict(X[200:])
        ).all()


def test_pickle_clone_and_names(rng):
    X = rng.random((30, 3))
    model = NearestNeighbors(n_neighbors=2, metric="cosine").fit(X)
    model.kneighbors(X)
    again = pickle.loads(pickle.dumps(model))
    assert (again.kneighbors(X)[1] == model.kneighbors(X)[1]).all()
    assert (again.kneighbors()[1] != np.arange(30)[:, None]).all()
    assert clone(model).get_params() == model.get_params()


def test_graph_and_umap_tuple(rng):
    X = documents(rng, 60, 40)
    graph = kneighbors_graph(X, 5, metric="euclidean")
    wanted = host.NearestNeighbors(n_neighbors=5, algorithm="brute").fit(X).kneighbors_graph(mode="distance")
    np.testing.assert_allclose(graph.toarray(), wanted.toarray(), atol=1e-7)
    indices, distances = precomputed_knn(X, 6, metric="euclidean")
    assert indices.dtype == np.int32
    assert distances.dtype == np.float32
    assert (indices[:, 0] == np.arange(60)).all()
    assert (distances[:, 0] == 0).all()
    assert (indices[:, 1:] == graph.indices.reshape(60, 5)).all()
    assert precomputed_knn(X, 1)[0].shape == (60, 1)


def test_refusals(rng):
    X = rng.random((5, 2))
    model = NearestNeighbors().fit(X)
    with pytest.raises(ValueError, match=r"^NearestNeighbors\.kneighbors: n_neighbors must be at most"):
        model.kneighbors()
    with pytest.raises(ValueError, match=r"^kneighbors_graph: n_neighbors must"):
        kneighbors_graph(X, 5)
    with pytest.raises(ValueError, match="metric must be"):
        NearestNeighbors(metric="l1").fit(X)
    with pytest.raises(ValueError, match="radius must be"):
        model.radius_neighbors(X, -1.0)
    with pytest.raises(ValueError, match="mode must be"):
        KNeighborsTransformer(mode="both", n_neighbors=1).fit(X).transform(X)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_no_distance_is_minus_zero(container, metric):
    X = container(np.array([[0.0, 1], [0, 1], [3, 4], [0, 2]]))
    model = NearestNeighbors(n_neighbors=2, metric=metric, radius=0.5).fit(X)
    found = [model.kneighbors(X)[0].ravel(), *model.radius_neighbors(X)[0]]
    found += [model.radius_neighbors_graph(X, mode="distance").data]
    found += [kneighbors_graph(X, 1, metric=metric).data, precomputed_knn(X, 2, metric=metric)[1].ravel()]
    relative = latom.RelativeRepresentation(2, metric="euclidean", random_state=0).fit(X)
    found += [relative.transform(X).ravel(), relative.set_params(k=1).transform(X).data]
    assert not any(np.signbit(distances[distances == 0]).any() for distances in found)
    assert all((distances == 0).any() for distances in found)

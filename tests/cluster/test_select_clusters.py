"""Sweeps over the number of clusters: the fits and scores of a plain loop, and the number that is planted."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import latom

KINDS = {"cosine": latom.SphericalKMeans, "euclidean": latom.KMeans}


def planted(metric, m=5, n=200, d=12):
    """Rows about so many centers, far from each other."""
    rng = np.random.default_rng(m)
    centers = 6 * np.abs(rng.standard_normal((m, d))) * (rng.random((m, d)) < 0.4) + np.eye(m, d)
    X = centers[np.arange(n) % m] + 0.3 * rng.standard_normal((n, d)) * (rng.random((n, d)) < 0.5)
    return X * (rng.uniform(0.5, 2, (n, 1)) if metric == "cosine" else 1)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("criterion", ["silhouette", "davies_bouldin", "elbow"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_the_planted_number_is_found(metric, criterion, container):
    X = planted(metric)
    if criterion == "davies_bouldin":  # which knows no directions
        X /= np.linalg.norm(X, axis=1, keepdims=True)
    found = latom.select_n_clusters(
        container(X), (9, 2, 3, 4, 5, 6, 5, 7), metric=metric, criterion=criterion, random_state=0
    )
    assert found.best == 5
    assert found.n_clusters.tolist() == [2, 3, 4, 5, 6, 7, 9]
    assert (np.diff(found.inertia) < 0).all()
    for at, model in enumerate(found.models):
        assert model.n_clusters == found.n_clusters[at]
        assert model.inertia_ == found.inertia[at]
        assert model.n_iter_ == found.n_iter[at]
        assert found.seconds[at] > 0
        scores = {
            "silhouette": latom.silhouette(X, model.labels_, metric=metric),
            "davies_bouldin": latom.davies_bouldin(X, model.labels_),
        }
        for name, score in scores.items():
            got = getattr(found, name)[at]
            assert np.isclose(got, score) if name == criterion else np.isnan(got)


@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_fits_are_those_of_a_plain_loop(metric, warm):
    X = planted(metric, 8)
    found = latom.select_n_clusters(X, [2, 5, 11], metric=metric, warm_start=warm, random_state=3)
    rng, centers = np.random.RandomState(3), None
    for m, model in zip((2, 5, 11), found.models, strict=True):
        init = "k-means++"
        if warm and centers is not None:
            new, _ = latom.kmeans_plusplus(
                X, m - len(centers), metric=metric, existing_centers=centers, n_local_trials="auto",
                random_state=rng,
            )  # fmt: skip
            init = np.concatenate([centers, new])
        plain = KINDS[metric](m, init=init, n_init=1, random_state=rng).fit(X)
        centers = plain.cluster_centers_
        assert (model.cluster_centers_ == centers).all()
        assert (model.labels_ == plain.labels_).all()


def test_warm_starts_save_iterations():
    X = np.random.default_rng(0).standard_normal((1500, 8))
    warm, cold = (
        latom.select_n_clusters(
            X, range(2, 20), metric="euclidean", criterion="elbow", warm_start=w, random_state=0
        )
        for w in (True, False)
    )
    assert warm.n_iter.sum() < cold.n_iter.sum()
    assert (np.diff(warm.inertia) < 0).all()


def test_the_elbow_is_farthest_below_the_line():
    X = planted("euclidean")
    found = latom.select_n_clusters(
        X, (2, 4, 5, 9, 14), metric="euclidean", criterion="elbow", random_state=0
    )
    ends = found.n_clusters[[0, -1]], found.inertia[[0, -1]]
    below = np.interp(found.n_clusters, *ends) - found.inertia
    assert found.best == found.n_clusters[below.argmax()]
    two = latom.select_n_clusters(X, (3, 4), criterion="elbow", random_state=0)
    assert two.best == 3  # no point lies between the ends


@pytest.mark.parametrize("criterion", ["silhouette", "elbow"])
def test_plot(criterion, tmp_path):
    pytest.importorskip("matplotlib")
    file = tmp_path / "f.png"
    found = latom.select_n_clusters(planted("cosine"), (2, 3), criterion=criterion, plot=file, random_state=0)
    assert file.stat().st_size > 3_000
    figure = found.plot()
    curves = ["inertia", "silhouette"] if criterion == "silhouette" else ["inertia"]
    assert [axes.get_title() for axes in figure.axes] == curves
    given = figure.__class__().subplots(1, len(curves), squeeze=False)[0]
    assert found.plot(given) is given[0].figure
    assert [axes.get_title() for axes in given] == curves
    one = figure.__class__().subplots()
    found.plot(one)
    assert one.get_title() == curves[-1]
    for where in (3, [one] * 3, object()):
        with pytest.raises(TypeError, match=r"^ClusterSweep\.plot: where must be a path, or matplotlib axes"):
            found.plot(where)


def test_a_sweep_is_short_in_print():
    found = latom.select_n_clusters(planted("cosine"), range(2, 12), criterion="elbow", random_state=0)
    assert repr(found) == f"ClusterSweep(best={found.best}, n_clusters=[2, 3, 4, 5, 6, 7, 8, 9, ...])"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"candidates": []}, r"candidates must be a sequence of one or more integers; got \[\]"),
        ({"candidates": 3}, "candidates must be a sequence of one or more integers; got 3"),
        (
            {"candidates": [1, 2]},
            r"candidates must be integers in \[2, 199\]; got 1 among them\. Silhouettes",
        ),
        ({"candidates": [2, 200]}, r"candidates must be integers in \[2, 199\]; got 200 among them\. Silh"),
        ({"candidates": [2, 2.5]}, r"candidates must be integers in \[2, 199\]; got 2\.5 among them\. Pass"),
        ({"candidates": [2.0]}, r"candidates must be integers in \[2, 199\]; got 2\.0 among them\. Pass"),
        ({"candidates": [2, True]}, r"candidates must be integers in \[2, 199\]; got True among them\. Pass"),
        ({"criterion": "gap"}, "criterion must be"),
        ({"metric": "l1"}, "metric must be"),
        ({"warm_start": 3}, "warm_start must be"),
    ],
)
def test_refusals(arguments, words):
    with pytest.raises(ValueError, match=rf"^select_n_clusters: {words}"):
        latom.select_n_clusters(planted("cosine"), **{"candidates": [2, 3], **arguments})

"""Hierarchical k-means and draws that are even over clusters, against plain code."""

from __future__ import annotations

import importlib.util
import itertools
import pickle
from pathlib import Path

import numpy as np
import pytest
from oracle import corpus
from sklearn.mixture import GaussianMixture
from sklearn.utils.estimator_checks import parametrize_with_checks

import latom
from latom.cluster.balanced import fill_evenly


def rings(rng, counts=(2000, 50, 120, 80, 900)):
    """Rings of radius 1, 3, 5, 7 and 9 with so many points each, and the ring of each point."""
    radius = np.repeat(np.arange(len(counts)) * 2 + 1.0, counts)
    angle = rng.uniform(0, 2 * np.pi, len(radius))
    X = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (radius + rng.normal(0, 0.1, len(radius)))[:, None]
    return X, ((radius - 1) / 2).astype(int)


@pytest.mark.parametrize("sizes", [(5, 3, 9), (1, 1, 1), (7,), (0, 4, 2, 2), (3, 0, 0, 50)])
def test_water_filling_is_the_most_even_split(sizes, rng):
    sizes = np.array(sizes)
    for total in range(int(sizes.sum()) + 1):
        given = fill_evenly(sizes, total, rng)
        assert given.sum() == total
        assert (given <= sizes).all()
        # No other split has more of its smallest parts: the sorted one is the highest, lexicographically.
        if sizes.prod() and sizes.max() < 10:
            splits = itertools.product(*(range(s + 1) for s in sizes))
            best = max(sorted(split) for split in splits if sum(split) == total)
            assert sorted(given) == best


@pytest.mark.parametrize("strategy", ["random", "closest", "farthest"])
def test_balanced_sample_of_labels(strategy, rng):
    labels = rng.permutation(np.repeat([0, 1, 2, 4], [100, 3, 40, 9]))
    labels[:5] = -1
    scores = rng.random(len(labels))
    rows = latom.balanced_sample(labels, 60, strategy=strategy, scores=scores, random_state=3)
    assert len(set(rows)) == 60
    assert (np.diff(rows) > 0).all()
    assert (labels[rows] >= 0).all()
    sizes = np.bincount(labels[labels >= 0])
    counts = np.bincount(labels[rows], minlength=5)
    level = counts.max()
    assert (counts >= np.minimum(sizes, level - 1)).all()
    if strategy != "random":
        sign = 1 if strategy == "closest" else -1
        for j in (0, 2):
            own = np.flatnonzero(labels == j)
            wanted = own[np.argsort(-sign * scores[own])[: counts[j]]]
            assert set(rows[labels[rows] == j]) == set(wanted)
    assert (rows == latom.balanced_sample(labels, 60, strategy=strategy, scores=scores, random_state=3)).all()


def test_balanced_sample_takes_all_and_refuses_more():
    assert latom.balanced_sample([0, 1, 1], 3).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match=r"size must .*3"):
        latom.balanced_sample([0, 1, 1], 4)
    with pytest.raises(ValueError, match="levels of one hierarchy"):
        latom.balanced_sample([np.array([0, 0, 1]), np.array([0, 1, 1])], 2)
    with pytest.raises(ValueError, match="scores must be given"):
        latom.balanced_sample([0, 1, 1], 2, strategy="closest")
    with pytest.raises(
        ValueError, match=r"^balanced_sample: labels must give a row a cluster.*; got only negative"
    ):
        latom.balanced_sample([-1, -1, -1], 2)
    mixture = GaussianMixture(1).fit(np.eye(3))
    with pytest.raises(
        ValueError,
        match=r"^balanced_sample: labels must be numbers, or an estimator with labels_; got Gaussian",
    ):
        latom.balanced_sample(mixture, 2)


def test_the_rings_are_drawn_evenly(rng):
    """Each ring's share is within a factor 2 of its share of the length of all; of flat k-means it is not."""
    X, ring = rings(rng)
    wanted = np.array([1, 3, 5, 7, 9]) / 25
    tree = latom.HierarchicalKMeans(
        (150, 40), metric="euclidean", n_resampling=10, sample_size=(6, 2), random_state=0
    ).fit(X)
    rows = tree.balanced_sample(150, random_state=0)
    share = np.bincount(ring[rows], minlength=5) / 150
    assert (np.minimum(share, wanted) / np.maximum(share, wanted)).min() > 0.5, share
    flat = latom.KMeans(150, random_state=0).fit(X)
    rows = latom.balanced_sample(flat.labels_, 150, random_state=0)
    share = np.bincount(ring[rows], minlength=5) / 150
    assert (np.minimum(share, wanted) / np.maximum(share, wanted)).min() < 0.5, share


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("container", ["dense", "csr"])
def test_levels_fit_together(metric, container, rng):
    X = corpus(rng, 300, 40, 8)
    X = X.toarray() if container == "dense" else X
    states = []
    tree = latom.HierarchicalKMeans(
        [30, 7, 2],
        metric=metric,
        n_resampling=(3, 2, 0),
        sample_size=4,
        random_state=1,
        callback=states.append,
        n_threads=2,
    ).fit(X)
    assert [len(level) for level in tree.labels_] == [300] * 3
    assert [c.shape[0] for c in tree.cluster_centers_] == [30, 7, 2]
    assert [(s.level, s.iteration) for s in states] == [
        (0, 1),
        (0, 2),
        (0, 3),
        (0, 4),
        (1, 1),
        (1, 2),
        (1, 3),
        (2, 1),
    ]
    assert len(tree.history_) == 8
    labels, scores = latom.assign(X, tree.cluster_centers_[0], metric=metric)
    assert (labels == tree.labels_[0]).all()
    assert (scores == tree.scores_).all()
    for level in range(2):
        above = latom.assign(tree.cluster_centers_[level], tree.cluster_centers_[level + 1], metric=metric)[0]
        assert (above == tree.parents_[level]).all()
        assert (above[tree.labels_[level]] == tree.labels_[level + 1]).all()
        assert (tree.predict(X, level + 1) == tree.labels_[level + 1]).all()
    again = latom.HierarchicalKMeans(
        [30, 7, 2], metric=metric, n_resampling=(3, 2, 0), sample_size=4, random_state=1, n_threads=1
    ).fit(X)
    assert (again.labels_[0] == tree.labels_[0]).all()
    copy = pickle.loads(pickle.dumps(tree.set_params(callback=None)))
    assert (copy.balanced_sample(50, random_state=0) == tree.balanced_sample(50, random_state=0)).all()
    assert tree.transform(X).shape == (300, 30)
    for strategy in ("closest", "farthest"):
        assert len(tree.balanced_sample(40, strategy=strategy)) == 40


def test_half_precision_is_clustered_by_its_numbers(rng):
    X = rng.standard_normal((80, 5)).astype(np.float16)
    model = latom.HierarchicalKMeans((6, 2), metric="euclidean", n_resampling=2, random_state=0)
    labels = model.fit(X).labels_[0]
    assert (model.fit(X.astype(np.float32)).labels_[0] == labels).all()
    assert (model.predict(X) == labels).all()


def test_warm_start_goes_on_from_the_centers(rng):
    X = rng.standard_normal((400, 5))
    tree = latom.HierarchicalKMeans(
        (20, 4), metric="euclidean", n_resampling=0, warm_start=True, tol=0, max_iter=300, random_state=0
    ).fit(X)
    centers = [c.copy() for c in tree.cluster_centers_]
    tree.fit(X)  # from where it had settled
    assert all((a == b).all() for a, b in zip(tree.cluster_centers_, centers, strict=True))


class Killed(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("strategy", ["closest", "random"])
@pytest.mark.parametrize("container", ["dense", "csr"])
def test_a_fit_goes_on_from_its_checkpoint(container, strategy, rng, tmp_path):
    X = corpus(rng, 200, 30, 6)
    X = X.toarray() if container == "dense" else X
    file = tmp_path / "state.npz"
    options = {"n_resampling": (2, 3), "sample_size": 4, "strategy": strategy, "random_state": 1}
    whole = latom.HierarchicalKMeans((20, 4), **options).fit(X)
    for at in range(7):  # rounds that end before the kill, in either level
        seen = []

        def kill(state, at=at, seen=seen):
            seen.append(state)
            if len(seen) > at:
                raise Killed

        with pytest.raises(Killed):
            latom.HierarchicalKMeans((20, 4), checkpoint=file, callback=kill, **options).fit(X)
        assert file.exists() == (at > 0)
        heard = []
        model = latom.HierarchicalKMeans((20, 4), checkpoint=file, callback=heard.append, **options).fit(X)
        assert len(heard) == 7 - at
        assert not list(tmp_path.iterdir())
        for name in ("labels_", "parents_"):
            assert all(
                (a == b).all() for a, b in zip(getattr(model, name), getattr(whole, name), strict=True)
            )
        for a, b in zip(model.cluster_centers_, whole.cluster_centers_, strict=True):
            assert type(a) is type(b)
            assert (a != b).sum() == 0
        assert (model.scores_ == whole.scores_).all()
        assert (model.history_["objective"] == whole.history_["objective"]).all()


def test_checkpoints_of_other_fits_are_refused(rng, tmp_path):
    X, file = rng.standard_normal((90, 4)), tmp_path / "state.npz"

    def kill(state):
        if state.iteration == 2:
            raise Killed

    options = {"metric": "euclidean", "n_resampling": 2, "random_state": 0, "checkpoint": file}
    with pytest.raises(Killed):
        latom.HierarchicalKMeans((8, 2), callback=kill, **options).fit(X)
    kept = file.read_bytes()
    for other, rows in (({"n_clusters": (9, 2)}, X), ({"random_state": 1}, X), ({}, X + 1), ({}, X[:80])):
        model = latom.HierarchicalKMeans(**{"n_clusters": (8, 2), **options, **other})
        with pytest.raises(ValueError, match=r"checkpoint must be of the same fit .*Remove state\.npz"):
            model.fit(rows)
    with np.load(file) as state:
        arrays = dict(state)
    for name, wrong in (("taken", arrays["taken"] + 90), ("levels", np.array(7)), ("history", np.zeros(0))):
        np.savez(file, **{**arrays, name: wrong})
        with pytest.raises(ValueError, match="checkpoint must be a file that a fit has left"):
            latom.HierarchicalKMeans((8, 2), **options).fit(X)
    file.write_bytes(kept[: len(kept) // 2])
    with pytest.raises(ValueError, match="checkpoint must be a file that a fit has left"):
        latom.HierarchicalKMeans((8, 2), **options).fit(X)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_leaves_are_small_and_found_again(metric, rng):
    X = rng.standard_normal((300, 6))
    X[100:160] = X[0]  # rows that no split parts
    tree = latom.HierarchicalKMeans(3, metric=metric, max_leaf_size=10, random_state=0).fit(X)
    leaves = np.bincount(tree.labels_[0])
    assert leaves.max() <= 10
    assert leaves.min() >= 1
    assert len(tree.codes_) == 300
    paths = {tuple(code): leaf for code, leaf in zip(tree.codes_.tolist(), tree.labels_[0], strict=True)}
    assert len(paths) == len(leaves)
    single = np.ones(300, bool)
    single[0] = single[100:160] = False
    assert (tree.predict(X)[single] == tree.labels_[0][single]).all()
    assert tree.cluster_centers_[0].shape == (len(leaves), 6)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_clusters": (2, 5)}, "n_clusters"),
        ({"n_clusters": ()}, "number for each level"),
        ({"n_resampling": (1, 2, 3)}, "n_resampling must have a number for each of the 2 levels"),
        ({"sample_size": "third"}, "sample_size must be 'half' or a positive integer, .*; got 'third'"),
        (
            {"n_clusters": (2, 8)},
            r"n_clusters must fall from level to level, .*; got \(2, 8\)\. Pass \(8, 2\)",
        ),
        ({"strategy": "best"}, "strategy must"),
        ({"metric": "l1"}, "metric must"),
        ({"max_leaf_size": 5}, "one number with max_leaf_size"),
        ({"n_clusters": 3, "max_leaf_size": 5, "checkpoint": "x.npz"}, "checkpoint must be None with"),
    ],
)
def test_wrong_parameters(parameters, message, rng):
    model = latom.HierarchicalKMeans(**{"n_clusters": (6, 2), **parameters})
    with pytest.raises(ValueError, match=message):
        model.fit(rng.random((50, 3)))


@parametrize_with_checks([latom.HierarchicalKMeans((4, 2), n_resampling=1, metric="euclidean")])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_the_example_of_curation(monkeypatch, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    path = Path(__file__).parents[2] / "examples" / "curate_embeddings.py"
    if not path.exists():
        pytest.skip("the examples are not here")
    monkeypatch.delenv("LATOM_DATA", raising=False)
    spec = importlib.util.spec_from_file_location("curate_embeddings", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.main(["--scale", "0.1", "--plot", str(tmp_path / "f.png")])
    assert found["rings"]["hierarchy"] < 2.5 < found["rings"]["flat k-means"]
    assert found["embeddings"]["recall"] > 0.9
    assert (tmp_path / "f.png").stat().st_size > 5000
    assert "planted pairs" in capsys.readouterr().out


def test_children_are_the_parents_turned_round(rng):
    X = rng.normal(size=(200, 3))
    tree = latom.HierarchicalKMeans((30, 7, 2), n_resampling=0, random_state=0)
    assert np.array_equal(tree.fit_predict(X), tree.labels_[0])
    assert [len(level) for level in tree.children_] == [7, 2]
    for parents, children in zip(tree.parents_, tree.children_, strict=True):
        for j, own in enumerate(children):
            assert np.array_equal(own, np.flatnonzero(parents == j))
    grown = latom.HierarchicalKMeans(2, max_leaf_size=50, random_state=0).fit(X)
    assert grown.children_ == []


@pytest.mark.parametrize("strategy", ["random", "closest"])
def test_the_function_takes_a_tree(strategy, rng):
    X = rng.normal(size=(200, 3))
    tree = latom.HierarchicalKMeans((20, 4), n_resampling=1, random_state=0).fit(X)
    rows = latom.balanced_sample(tree, 50, strategy=strategy, random_state=5)
    assert np.array_equal(rows, tree.balanced_sample(50, strategy=strategy, random_state=5))
    levels = {"strategy": strategy, "scores": tree.scores_, "random_state": 5}
    assert np.array_equal(rows, latom.balanced_sample(tree.labels_, 50, **levels))
    flat = latom.KMeans(5, random_state=0).fit(X)
    assert np.array_equal(
        latom.balanced_sample(flat, 20, random_state=1),
        latom.balanced_sample(flat.labels_, 20, random_state=1),
    )
    with pytest.raises(ValueError, match="not fitted"):
        latom.balanced_sample(latom.HierarchicalKMeans(), 5)

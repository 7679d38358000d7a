"""kmeans_batch: each problem has the bits of the estimators on it alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import latom

KINDS = {"cosine": latom.SphericalKMeans, "euclidean": latom.KMeans}
LENGTHS = [0, 1, 2, 3, 17, 0, 40, 64, 65, 7]


def problems(rng, d, dtype=np.float32, lengths=LENGTHS):
    """Clumped rows of several problems, with a zero row and equal rows among them."""
    offsets = np.append(0, np.cumsum(lengths))
    X = (
        rng.standard_normal((offsets[-1], d))
        + 2 * rng.standard_normal((5, d))[rng.integers(0, 5, offsets[-1])]
    )
    X[10] = 0
    X[11] = X[12]
    return X.astype(dtype), offsets


def check_alone(found, X, offsets, metric, m, **options):
    """Each problem beside an estimator; options by problem where callable."""
    for b, (first, last) in enumerate(itertools.pairwise(offsets)):
        clusters = min(m, last - first)
        own = slice(found.center_offsets[b], found.center_offsets[b + 1])
        assert own.stop - own.start == clusters
        if first == last:
            assert found.inertia[b] == 0
            assert found.n_iter[b] == 0
            continue
        given = {name: value(b) if callable(value) else value for name, value in options.items()}
        weights = given.pop("sample_weight", None)
        if weights is not None:
            weights = weights[first:last]
        alone = KINDS[metric](clusters, **given).fit(X[first:last], sample_weight=weights)
        assert (found.labels[first:last] == alone.labels_).all(), b
        assert (found.centers[own] == alone.cluster_centers_).all(), b
        assert found.inertia[b] == alone.inertia_
        assert found.n_iter[b] == alone.n_iter_


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("metric", KINDS)
@pytest.mark.parametrize(
    ("dtype", "d"), [(np.float32, 19), (np.float64, 19), (np.float32, 1), (np.float64, 65)]
)
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_seeded_runs_are_those_of_the_estimator(metric, dtype, d, threads, rng):
    X, offsets = problems(rng, d, dtype)
    for runs, weights in ((1, None), (2, rng.integers(1, 4, len(X)).astype(float))):
        found = latom.kmeans_batch(
            X,
            6,
            offsets,
            metric=metric,
            init="k-means++",
            n_init=runs,
            random_state=5,
            sample_weight=weights,
            n_threads=threads,
        )
        check_alone(
            found,
            X,
            offsets,
            metric,
            6,
            n_init=runs,
            tol=0,
            max_iter=10,
            random_state=lambda b: 5 + b,
            sample_weight=weights,
        )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("metric", KINDS)
@pytest.mark.parametrize("tol", [0, 1e-2])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.7])
def test_given_starts(metric, tol, share, rng, isa):
    """With few rows per cluster pairs of rows bound the scores; with many all are computed."""
    X, offsets = problems(rng, 33)
    found = latom.kmeans_batch(X, share, offsets, metric=metric, init="even", tol=tol)
    lengths = np.diff(offsets)
    counts = np.minimum(np.maximum((share * lengths).astype(int), 1), lengths)
    assert (np.diff(found.center_offsets) == counts).all()
    for b, m in enumerate(counts):
        if not m:
            continue
        part = X[offsets[b] : offsets[b + 1]]
        start = part[(2 * np.arange(m) + 1) * len(part) // (2 * m)]
        alone = KINDS[metric](m, init=start, tol=tol, max_iter=10).fit(part)
        own = slice(found.center_offsets[b], found.center_offsets[b + 1])
        assert (found.labels[offsets[b] : offsets[b + 1]] == alone.labels_).all()
        assert (found.centers[own] == alone.cluster_centers_).all()
        assert found.inertia[b] == alone.inertia_
    again = latom.kmeans_batch(
        X,
        share,
        offsets,
        metric=metric,
        tol=tol,
        init=np.concatenate(
            [
                X[o:p][(2 * np.arange(m) + 1) * (p - o) // (2 * m)]
                for o, p, m in zip(offsets[:-1], offsets[1:], counts, strict=True)
                if m
            ]
        ),
    )
    assert (again.labels == found.labels).all()
    assert (again.centers == found.centers).all()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("metric", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_from_ward(metric, dtype, rng):
    """As an estimator that starts from the means of Ward's clusters; and no worse than these."""
    X, offsets = problems(rng, 24, dtype, [50, 30, 1, 80])
    ward = latom.ward_batch(X, 0.3, offsets, metric=metric)
    found = latom.kmeans_batch(X, 0.3, offsets, metric=metric, init="ward", max_iter=20)
    for b, m in enumerate(ward.n_clusters):
        part, labels = X[offsets[b] : offsets[b + 1]], ward.labels[offsets[b] : offsets[b + 1]]
        rows = part.astype(np.float64)
        if metric == "cosine":
            rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-300)
        means = np.array([rows[labels == j].mean(axis=0) for j in range(m)])
        if metric == "cosine":
            cost = len(rows) - sum(np.linalg.norm(rows[labels == j].sum(axis=0)) for j in range(m))
        else:
            cost = ((rows - means[labels]) ** 2).sum()
        assert found.inertia[b] <= cost * (1 + 1e-6) + 1e-6
        alone = KINDS[metric](m, init=means.astype(dtype), tol=0, max_iter=20).fit(part)
        assert (found.labels[offsets[b] : offsets[b + 1]] == alone.labels_).all()
        assert np.allclose(found.inertia[b], alone.inertia_, rtol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_fixed_labels_against_plain(rng):
    """Support rows keep their labels, novel clusters are found beside them."""
    centers = 6 * rng.standard_normal((4, 8))
    truth = rng.integers(0, 4, (3, 60))
    truth[:, :8] = np.arange(8) % 4
    X = (centers[truth] + rng.standard_normal((3, 60, 8))).astype(np.float32)
    fixed = np.full((3, 60), -1)
    fixed[:, :8] = truth[:, :8]
    fixed[fixed == 3] = -1  # a class without support
    fixed[:, 4] = 1  # of another class: it stays
    found = latom.kmeans_batch(
        X,
        4,
        metric="euclidean",
        init="k-means++",
        fixed_labels=fixed.reshape(-1),
        max_iter=50,
        random_state=0,
    )
    labels = found.labels.reshape(3, 60)
    assert (labels[fixed >= 0] == fixed[fixed >= 0]).all()
    free = np.ones((3, 60), bool)
    free[:, :8] = False
    assert (labels[free] == truth[free]).mean() > 0.95
    for b in range(3):
        own = found.centers[4 * b : 4 * b + 4].astype(float)
        for j in range(4):
            assert np.allclose(own[j], X[b][labels[b] == j].mean(axis=0), atol=1e-4)
        near = ((X[b][:, None] - own) ** 2).sum(-1).argmin(1)
        assert (near == labels[b])[fixed[b] < 0].all()


def test_containers(rng):
    """Lists, three dimensions, half precision and tensors give what float32 rows do."""
    X = rng.standard_normal((4, 12, 16)).astype(np.float16)
    wide = X.astype(np.float32)
    offsets = np.arange(5) * 12
    want = latom.kmeans_batch(wide.reshape(48, 16), 3, offsets)
    for given in (X, list(X), wide, list(wide), [row.tolist() for row in wide]):
        found = latom.kmeans_batch(given, 3)
        assert (found.labels == want.labels).all()
        assert np.allclose(found.centers, want.centers, atol=1e-6)
        assert found.centers.dtype == (np.float64 if isinstance(given[0], list) else np.float32)
    torch = pytest.importorskip("torch")
    for kind in (torch.float16, torch.bfloat16, torch.float32):
        tensor = torch.from_numpy(wide).to(kind)
        alike = latom.kmeans_batch(tensor.float().numpy(), 3)
        for given in (tensor, list(tensor), list(tensor) + [tensor[0, :0]]):
            assert (latom.kmeans_batch(given, 3).labels == alike.labels).all()
            assert (latom.kmeans_batch(given, 3).centers == alike.centers).all()


@pytest.mark.filterwarnings("ignore")
def test_a_large_problem_is_the_estimators(rng, monkeypatch):
    """Problems that an estimator would seed by other means go to it."""
    from latom.cluster import batch as module

    monkeypatch.setattr(module, "MANY", 150)
    X, offsets = problems(rng, 12, lengths=[20, 60, 10])
    found = latom.kmeans_batch(X, 4, offsets, init="k-means++", random_state=2)
    check_alone(found, X, offsets, "cosine", 4, tol=0, max_iter=10, random_state=lambda b: 2 + b)


def test_refusals(rng):
    X = rng.standard_normal((10, 3))
    for message, call in {
        "offsets must be integers that rise from 0 to 10": dict(offsets=[0, 5, 9]),
        "offsets must be integers": dict(offsets=[0, 6, 5, 10]),
        "X must be a list of arrays or have three dimensions": dict(offsets=None),
        "n_clusters must be an integer, a share": dict(offsets=[0, 10], n_clusters=[2, 2]),
        "n_clusters must be an integer, a share between": dict(offsets=[0, 10], n_clusters=1.5),
        "init must be 'ward'": dict(offsets=[0, 10], init="random"),
        "init must have shape": dict(offsets=[0, 10], init=X[:3]),
        "n_init must be 1": dict(offsets=[0, 10], n_init=2),
        "sample_weight must have a positive entry in each problem": dict(
            offsets=[0, 5, 10], sample_weight=[1] * 5 + [0] * 5
        ),
        "fixed_labels must lie within": dict(offsets=[0, 10], fixed_labels=[2] + [-1] * 9),
        "fixed_labels must be integers": dict(offsets=[0, 10], fixed_labels=[0.5] * 10),
    }.items():
        given = {"n_clusters": 2, **call}
        with pytest.raises(ValueError, match="^kmeans_batch: " + message):
            latom.kmeans_batch(X, **given)
    X[7, 1] = np.nan
    with pytest.raises(ValueError, match=r"kmeans_batch: X must be finite.*row 7"):
        latom.kmeans_batch(X, 2, [0, 5, 10])

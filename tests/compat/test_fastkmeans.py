"""latom.compat.fastkmeans: its shape, what it computes, and beside fastkmeans where it is installed."""

from __future__ import annotations

import inspect
from itertools import pairwise

import numpy as np
import pytest

from latom.compat.fastkmeans import FastKMeans


@pytest.fixture
def x(rng):
    return (3 * rng.standard_normal((20, 8))[rng.integers(20, size=1000)] + rng.random((1000, 8))).astype(
        "f4"
    )


def loss(x, centroids):
    return ((x[:, None].astype(float) - centroids) ** 2).sum(axis=2).min(axis=1).sum()


@pytest.mark.filterwarnings("default")  # the host's
def test_signature_and_results_beside_fastkmeans(x):
    host = pytest.importorskip("fastkmeans", reason="fastkmeans is not installed")
    own, theirs = (inspect.signature(c.__init__).parameters for c in (FastKMeans, host.FastKMeans))
    assert [(p.name, p.default) for p in own.values()] == [(p.name, p.default) for p in theirs.values()]
    for method in ("train", "fit", "predict", "fit_predict"):
        own, theirs = (inspect.signature(getattr(c, method)) for c in (FastKMeans, host.FastKMeans))
        assert list(own.parameters) == list(theirs.parameters)
    own, theirs = (c(8, 20, niter=50, gpu=False) for c in (FastKMeans, host.FastKMeans))
    own.train(x)
    theirs.train(x)
    assert loss(x, own.centroids) < 1.3 * loss(x, theirs.centroids)
    theirs.centroids = own.centroids
    assert (own.predict(x) == theirs.predict(x)).mean() > 0.999  # fastkmeans rounds to float32 on the way
    assert own.predict(x).dtype == theirs.predict(x).dtype


def test_labels_are_those_of_the_nearest_centroid(x):
    kmeans = FastKMeans(8, k=20, niter=4)
    labels = kmeans.fit_predict(data=x)
    assert labels.dtype == np.int64
    distances = ((x[:, None].astype(float) - kmeans.centroids) ** 2).sum(axis=2)
    assert (labels == distances.argmin(axis=1)).all()
    assert kmeans.centroids.dtype == np.float32


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_train_returns_a_tensor_for_a_tensor(x, dtype):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    data = torch.from_numpy(x).to(getattr(torch, dtype)).requires_grad_()
    kmeans = FastKMeans(d=8, k=20, niter=4, seed=1, gpu=False, max_points_per_centroid=256, use_triton=None)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    centroids = kmeans.train(data=data).to(device="cpu", dtype=torch.float32)  # as fast-plaid does
    assert (torch.get_rng_state() == before[0]).all()
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    assert isinstance(kmeans.centroids, np.ndarray)
    assert (centroids.numpy() == kmeans.centroids).all()
    same = FastKMeans(8, 20, niter=4, seed=1).train(data.detach().float().numpy())
    assert (same == kmeans.centroids).all()
    assert kmeans.predict(data).tolist() == kmeans.predict(data.detach().float().numpy()).tolist()


def test_a_run_ends_when_centroids_move_no_more_than_tol(x):
    path = [FastKMeans(8, 20, niter=n, tol=0.0).train(x) for n in range(1, 40)]
    lengths = [np.linalg.norm(after - before, axis=1) for before, after in pairwise(path)]
    ends = set()
    for tol in (0.3, 1.0, 4.0):
        end = next(n for n, moved in enumerate(lengths, 1) if (moved**2).sum() <= tol**2 / 20)
        assert (FastKMeans(8, 20, niter=100, tol=tol).train(x) == path[end]).all()
        assert lengths[end - 1].sum() <= tol
        ends.add(end)
    assert len(ends) > 1
    assert (FastKMeans(8, 20, niter=100).train(x) == path[-1]).all()


def test_rows_are_drawn_where_there_are_many(x):
    x = np.vstack([x, x[:1] + 1000])
    drawn = FastKMeans(8, 5, max_points_per_centroid=10)
    drawn.train(x)
    assert drawn.centroids.max() < 500
    assert FastKMeans(8, 5, max_points_per_centroid=None).train(x).max() > 500


@pytest.mark.parametrize(
    ("run", "match"),
    [
        (lambda x: FastKMeans(8, 20, device="cuda").train(x), "FastKMeans: device must"),
        (lambda x: FastKMeans(8, 2000).train(x), r"FastKMeans.train: k must be .*1000; got 2000\. "),
        (lambda x: FastKMeans(9, 20).train(x), r"FastKMeans.train: data must have d=9 columns; got 8\. "),
        (lambda x: FastKMeans(8, 20, niter=0), "FastKMeans: niter must"),
    ],
)
def test_wrong_calls_are_refused(x, run, match):
    with pytest.raises(ValueError, match=match):
        run(x)


def test_predict_comes_after_train(x):
    with pytest.raises(RuntimeError, match="Call train"):
        FastKMeans(8, 20).predict(x)
    FastKMeans(8, 20, gpu=False, device="cuda")  # fastkmeans looks at gpu first

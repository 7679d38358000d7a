"""Mini-batch k-means on streams: the batches of memory, few passes, little memory."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import scipy.sparse as sp
from cut_streams import Cuts, rows

import latom

KINDS = {"cosine": latom.MiniBatchSphericalKMeans, "euclidean": latom.MiniBatchKMeans}


class Counted(Cuts):
    """Counts passes."""

    passes = 0

    def __iter__(self):
        self.passes += 1
        return super().__iter__()


def same(a, b):
    x, y = a.cluster_centers_, b.cluster_centers_
    if sp.issparse(x):
        assert np.array_equal(x.indptr, y.indptr)
        assert np.array_equal(x.indices, y.indices)
        x, y = x.data, y.data
    assert x.dtype == y.dtype
    assert np.array_equal(x, y)
    assert a.inertia_ == b.inertia_
    assert (a.n_iter_, a.n_steps_) == (b.n_iter_, b.n_steps_)
    for field in ("objective", "replaced"):
        assert np.array_equal(a.history_[field], b.history_[field]), field
    if a.compute_labels:
        assert np.array_equal(a.labels_, b.labels_)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_the_bits_of_memory(metric, sparse, dtype, weighted):
    X = rows(sparse, dtype)
    w = np.random.default_rng(1).random(700) if weighted else None
    arguments = {"batch_size": 60, "random_state": 3, "init_size": 150, "reassignment_ratio": 0.5}
    whole = KINDS[metric](9, **arguments).fit(X, sample_weight=w)
    assert whole.history_["replaced"].any()
    for source in (X, Cuts(X, [400, 650]), Cuts(X, list(range(50, 700, 50)))):
        same(whole, KINDS[metric](9, **arguments).fit(latom.Stream(source), sample_weight=w))


@pytest.mark.parametrize(
    "change",
    [
        {"init": "random"},
        {"init": lambda X, k, random_state: X[random_state.permutation(X.shape[0])[:k]], "n_init": 2},
        {"init": np.eye(6, 19)},
        {"init_size": 10**6},
        {"compute_labels": False},
        {"max_no_improvement": None, "max_iter": 3},
        {"batch_size": 10**6, "max_iter": 4},
        {"random_state": np.random.default_rng(3)},
    ],
)
def test_every_argument_counts_as_in_memory(change):
    X = rows(False, np.float32)
    generator = change.get("random_state")
    fits = []
    for source in (X, latom.Stream(Cuts(X, [100, 333]))):
        if generator is not None:
            change = {"random_state": np.random.default_rng(3)}
        model = latom.MiniBatchKMeans(6, **{"batch_size": 64, "random_state": 3, **change})
        fits.append(model.fit(source))
        if generator is not None:
            fits[-1].after = change["random_state"].integers(2**40)
    same(*fits)
    if generator is not None:  # what is drawn ahead is not taken from it
        assert fits[0].after == fits[1].after


def test_files(tmp_path):
    X = rows(False, np.float32, 300)
    np.save(tmp_path / "a.npy", X[:120])
    np.save(tmp_path / "b.npy", X[120:])
    whole = latom.MiniBatchKMeans(6, batch_size=50, random_state=0).fit(X)
    same(whole, latom.MiniBatchKMeans(6, batch_size=50, random_state=0).fit(latom.Stream(tmp_path)))


def test_a_pass_serves_as_many_batches_as_a_block_has_rows_for():
    X = rows(False, np.float32)
    source = Counted(X, [400])
    model = latom.MiniBatchKMeans(4, init=X[:4], batch_size=50, max_iter=2, max_no_improvement=None)
    stream, source.passes = latom.Stream(source), 0
    model.fit(stream)
    assert model.n_steps_ == 28
    assert source.passes == 1 + 1 + 4 + 1  # a look, the first row, 28 batches of 8 a pass, labels


def test_batches_may_follow():
    X = rows(False, np.float32)
    for source in (X, latom.Stream(Cuts(X, [90]))):
        model = latom.MiniBatchKMeans(6, random_state=0).fit(source).partial_fit(X[:50])
        assert model.n_steps_ > 1
        assert len(model.labels_) == 50


def test_memory_stays_within_a_few_blocks(tmp_path):
    if not sys.platform.startswith("linux"):
        pytest.skip("RLIMIT_DATA is Linux's")
    script = textwrap.dedent(
        """
        import resource, sys, numpy as np, latom, sklearn.base, latom.cluster.minibatch_kmeans
        class Blocks:
            def __init__(self, count): self.count = count
            def __iter__(self):
                for k in range(self.count):
                    yield np.random.default_rng(k).random((2000, 512), np.float32)  # 4 MB of 80 MB
        model = lambda: latom.MiniBatchKMeans(
            8, random_state=0, batch_size=1000, max_iter=1, max_no_improvement=2, n_threads=1
        )
        model().fit(latom.Stream(Blocks(2)))  # threads and imports are there
        used = int(next(l for l in open("/proc/self/status") if l.startswith("VmData")).split()[1]) << 10
        resource.setrlimit(resource.RLIMIT_DATA, (used + (40 << 20),) * 2)
        model().fit(latom.Stream(Blocks(20)))
        try:
            np.ones((40_000, 512), np.float32)
        except MemoryError:
            print("ok")
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=dict(os.environ, OPENBLAS_NUM_THREADS="1"),
    )
    assert done.stdout.strip() == "ok", done.stderr

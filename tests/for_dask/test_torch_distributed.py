"""The recipe for torch.distributed, with two processes and gloo: the bits of one machine."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import latom

pytest.importorskip("torch")

SCRIPT = textwrap.dedent(
    """
    import sys
    import numpy as np, torch, torch.distributed as dist
    from latom._base.rows import Rows
    from latom.cluster.shards import Bounds, Shard

    rank, world, file, folder = int(sys.argv[1]), 2, sys.argv[2], sys.argv[3]
    dist.init_process_group("gloo", init_method="file://" + file, rank=rank, world_size=world)
    whole = np.load(folder + "/X.npy")
    cut = [0, 130, len(whole)]
    X, first = whole[cut[rank] : cut[rank + 1]], cut[rank]
    shard = Shard("kmeans", X, first, None, "euclidean", n_threads=1)
    gathered = [None] * world
    dist.all_gather_object(gathered, shard.bounds(False))
    bounds = Bounds()
    for part in gathered:
        bounds = bounds.merge(part)
    centers = Rows("kmeans", whole[:7])
    for _ in range(4):
        step = shard.assign(centers, bounds)
        for array in (step.sums.total, step.sums.weight):
            dist.all_reduce(torch.from_numpy(array))
        centers, moved, shift = step.sums.centers("kmeans", centers, "euclidean", bounds, 1)
    np.save(f"{folder}/{rank}.npy", centers.array)
    dist.destroy_process_group()
    """
)


def test_two_processes_agree_with_one(tmp_path):
    X = np.random.default_rng(0).normal(size=(400, 9)).astype(np.float32)
    np.save(tmp_path / "X.npy", X)
    whole = latom.KMeans(7, init=X[:7], max_iter=4, tol=0).fit(X)
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(rank), str(tmp_path / "meet"), str(tmp_path)],
            env=dict(os.environ, OMP_NUM_THREADS="1"),
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    for run in runs:
        _, errors = run.communicate(timeout=100)
        assert run.returncode == 0, errors
    for rank in (0, 1):
        assert np.array_equal(np.load(tmp_path / f"{rank}.npy"), whole.cluster_centers_)

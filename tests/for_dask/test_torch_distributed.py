"""The recipe for torch.distributed as the documentation has it, with two processes and gloo: the bits of one
machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import latom

pytest.importorskip("torch")
PAGE = Path(__file__).parents[2] / "docs" / "many-machines.md"
if not PAGE.exists():
    pytest.skip("the documentation is not here", allow_module_level=True)

RECIPE = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
BEFORE = """
import sys
import torch.distributed as dist

rank, world, file, folder = int(sys.argv[1]), 2, sys.argv[2], sys.argv[3]
dist.init_process_group("gloo", init_method="file://" + file, rank=rank, world_size=world)
"""
AFTER = """
whole = np.load(folder + "/X.npy")
X = whole[:130] if rank == 0 else whole[130:]
start = starting_centers(X, 7)
labels, centers, inertia = kmeans(X, start, 4)
np.savez(f"{folder}/{rank}.npz", start=start, labels=labels, centers=centers, inertia=inertia)
dist.destroy_process_group()
"""


def test_two_processes_agree_with_one(tmp_path):
    (recipe,) = [code for code in RECIPE if "torch.distributed" in code]
    script = textwrap.dedent(BEFORE + recipe + AFTER)
    X = np.random.default_rng(0).normal(size=(400, 9)).astype(np.float32)
    np.save(tmp_path / "X.npy", X)
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(rank), str(tmp_path / "meet"), str(tmp_path)],
            env=dict(os.environ, OMP_NUM_THREADS="1"),
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    for run in runs:
        _, errors = run.communicate(timeout=100)
        assert run.returncode == 0, errors
    found = [np.load(tmp_path / f"{rank}.npz") for rank in (0, 1)]
    whole = latom.KMeans(7, init=found[0]["start"], max_iter=4, tol=0).fit(X)
    for each in found:
        assert np.array_equal(each["start"], found[0]["start"])
        assert np.array_equal(each["centers"], whole.cluster_centers_)
        assert np.isclose(each["inertia"], whole.inertia_, rtol=1e-12)
    assert np.array_equal(np.concatenate([each["labels"] for each in found]), whole.labels_)

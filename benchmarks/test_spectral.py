"""Singular vectors, powers of a graph and replicates of factorizations beside their peers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from data import Corpus, Problem, data_folder
from measure import Case
from peers import LABEL_SHIFT, POWERS, RANKS, SVD
from runner import available_cpus

Stored = Callable[[tuple[Any, ...], Callable[[], Problem]], tuple[Path, Problem]]
RunCase = Callable[[Case, str], None]


@pytest.mark.parametrize("library", SVD)
@pytest.mark.parametrize("m", [100])
def test_svd(m: int, library: str, corpus: Corpus, stored: Stored, run_case: RunCase) -> None:
    folder, problem = stored(("svd", corpus.name, m), lambda: {"X": corpus.X, "m": np.int64(m)})
    run_case(Case("svd", "sparse", folder, problem, corpus.name, available_cpus()), library)


@pytest.mark.parametrize("library", POWERS)
def test_powers(library: str, stored: Stored, run_case: RunCase) -> None:
    def make() -> Problem:
        folder = data_folder()
        if folder is None:
            pytest.skip("needs facebook-edges.npz in the folder of LATOM_DATA")
        edges = np.load(folder / "facebook-edges.npz")["edges"]
        n = int(edges.max()) + 1
        A = sp.coo_array((np.ones(len(edges), np.float32), (edges[:, 0], edges[:, 1])), (n, n)).tocsr()
        A = sp.csr_array(A + A.T)
        A.data[:] = 1
        return {"A": A, "m": np.int64(128)}

    folder, problem = stored(("powers",), make)
    run_case(Case("powers", "graph", folder, problem, "Facebook pages", available_cpus()), library)


@pytest.mark.parametrize("library", RANKS)
@pytest.mark.parametrize(
    ("n", "d", "ranks", "replicates"), [(2000, 800, (5, 10), 4), (5000, 2000, (4, 14), 20)]
)
def test_ranks(
    n: int,
    d: int,
    ranks: tuple[int, int],
    replicates: int,
    library: str,
    stored: Stored,
    run_case: RunCase,
) -> None:
    def make() -> Problem:
        rng = np.random.default_rng(0)
        W, H = rng.dirichlet(np.full(8, 0.1), n), rng.dirichlet(np.full(d, 0.03), 8)
        X = sp.csr_array(rng.poisson(60 * W @ H).astype(np.float32))
        return {"X": X, "ranks": np.arange(*ranks), "replicates": np.int64(replicates)}

    folder, problem = stored(("ranks", n), make)
    run_case(Case("ranks", "counts", folder, problem, f"{n} x {d}", available_cpus()), library)


@pytest.mark.parametrize("library", LABEL_SHIFT)
def test_label_shift(library: str, stored: Stored, run_case: RunCase) -> None:
    def make() -> Problem:
        rng = np.random.default_rng(0)
        shares, cells = rng.dirichlet(np.full(10, 0.5), 20), rng.dirichlet(np.full(30, 0.1), 10)
        domains = rng.integers(20, size=20_000)
        cell = (np.cumsum((shares @ cells)[domains], axis=1) < rng.random((20_000, 1))).sum(axis=1)
        P = (shares @ cells / (shares @ cells).sum(axis=0)).T[np.minimum(cell, 29)]
        P = 0.9 * P + 0.1 * rng.dirichlet(np.ones(20), 20_000)  # a classifier errs
        return {"X": P, "domains": domains, "shares": shares, "m": np.int64(10)}

    folder, problem = stored(("label_shift",), make)
    run_case(Case("label_shift", "fits", folder, problem, "20 domains", available_cpus()), library)

"""What each family of cases measures: its libraries, the size of a problem, and how an answer is scored.

A later family adds an entry to `TASKS`; data, runner and report stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from data import Problem
from peers import (
    DECODE,
    DENSE_KMEANS,
    GEMM,
    NMF,
    NMF_KL,
    REPLICATES,
    SEEDING,
    SEMI_NMF,
    SPARSE_KMEANS,
    TOPK,
    Peer,
)

Shape = dict[str, Any]

SCORED_ROWS = 64  # of a top-k answer; the float64 scores of all would take longer than the cases


@dataclass(frozen=True)
class Task:
    """A family.

    Attributes
    ----------
    peers : mapping
        Its libraries.
    score : callable
        Problem, answer -> number; the same for every library, outside the timed process.
    score_name, score_format : str
        In reports.
    shape : callable
        Problem -> what identifies its size in reports: n, d, nnz, m and what else there is.
    work : callable
        Shape -> a number in proportion to the cost of an iteration, so that a smaller case predicts.
    calls : bool
        An answer takes one call. Then blocks of calls are timed instead of fits of n iterations.
    operations : callable or None
        Shape -> floating-point operations of a call, as the plain algorithm counts them.
    peaks : bool
        Reports compare the operations with the peaks of the machine.
    reference : str
        Library whose last answer is the loss that all are to reach; its name makes this a family of
        losses: fits of several lengths are timed and scored, and reports say when each library got there.
    """

    peers: Mapping[str, Peer]
    score: Callable[[Problem, np.ndarray], float]
    score_name: str
    shape: Callable[[Problem], Shape]
    work: Callable[[Shape], float]
    score_format: str = ".4f"
    calls: bool = False
    operations: Callable[[Shape], float] | None = None
    peaks: bool = False
    reference: str = ""


def mean_cosine(X: sp.csr_array, labels: np.ndarray) -> float:
    """Mean over the rows of the cosine with the normalized sum of their cluster, in float64.

    It depends on the partition alone, so it compares Euclidean with spherical methods and does not
    care what a library returns as centers. Zero rows count as 0.
    """
    n = X.shape[0]
    X64 = sp.csr_array((X.data.astype(np.float64), X.indices, X.indptr), shape=X.shape)
    norms = np.sqrt(np.asarray(X64.multiply(X64).sum(axis=1)).ravel())
    scale = np.divide(1.0, norms, out=np.zeros(n), where=norms > 0)
    members = sp.csr_array((scale, (np.asarray(labels, np.int64), np.arange(n))))
    sums = members @ X64  # [clusters, d]; Σ_i ⟨x_i, s/‖s‖⟩ over a cluster is ‖s‖
    return float(np.sqrt(np.asarray(sums.multiply(sums).sum(axis=1))).sum() / n)


def inertia(X: np.ndarray, labels: np.ndarray) -> float:
    """Sum over the rows of the squared distance to the mean of their cluster, in float64.

    Like `mean_cosine` it depends on the partition alone.
    """
    n = X.shape[0]
    X64 = X.astype(np.float64)
    labels = np.asarray(labels, np.int64)
    members = sp.csr_array((np.ones(n), (labels, np.arange(n))))
    sizes = np.bincount(labels)
    means = (members @ X64) / np.maximum(sizes, 1)[:, None]
    X64 -= means[labels]
    return float(np.einsum("ij,ij->", X64, X64))


def recall(problem: Problem, indices: np.ndarray) -> float:
    """Share of the float64 top-k that was found, over a sample of the rows; 1 means the exact sets.

    An index counts when its float64 score reaches the k-th best but for the rounding of float64, so
    that either of two equal atoms will do; an index given twice counts once.
    """
    X, atoms, k = problem["X"], problem["atoms"], int(problem["k"])
    rows = np.random.default_rng(0).permutation(X.shape[0])[:SCORED_ROWS]
    sample = X[rows].astype(np.float64)
    scores = np.empty((len(rows), atoms.shape[0]))
    for start in range(0, atoms.shape[0], 8192):
        block = atoms[start : start + 8192].astype(np.float64)
        scores[:, start : start + 8192] = sample @ block.T
        if str(problem["metric"]) == "euclidean":  # −‖x − w‖² but for ‖x‖², the same for all atoms
            scores[:, start : start + 8192] -= 0.5 * np.einsum("ij,ij->i", block, block)
    kth = np.partition(scores, -k, axis=1)[:, -k]
    slack = 1e-13 * np.abs(scores).max(axis=1)
    found = 0
    for row, line, least in zip(indices[rows], scores, kth - slack, strict=True):
        given = np.unique(row)
        found += min(k, int((line[given[given >= 0]] >= least).sum()))
    return found / (k * len(rows))


def decoding_error(problem: Problem, decoded: np.ndarray) -> float:
    """Largest ‖row − float64 row‖ / ‖float64 row‖ over the rows."""
    exact = problem["codes"].astype(np.float64) @ problem["atoms"].astype(np.float64)
    return float((np.linalg.norm(decoded - exact, axis=1) / np.linalg.norm(exact, axis=1)).max())


def relative_loss(problem: Problem, factors: np.ndarray) -> float:
    """‖X − W H‖² / ‖X‖² in float64, for codes W above the transposed components H, in one array [n + d, m].

    NaN where W has negative entries, or a component more entries than it may keep (ties aside, which
    float32 data do not have).
    """
    X, kept = problem["X"], int(problem["kept"])
    n = X.shape[0]
    W, H = factors[:n].astype(np.float64), factors[n:].T.astype(np.float64)
    if W.min() < 0 or (kept and np.count_nonzero(H, axis=1).max() > kept):
        return float("nan")
    loss = total = 0.0
    for start in range(0, n, 2048):
        rows = X[start : start + 2048].astype(np.float64)
        total += float(np.einsum("ij,ij->", rows, rows))
        rows -= W[start : start + 2048] @ H
        loss += float(np.einsum("ij,ij->", rows, rows))
    return loss / total


def squared_loss(problem: Problem, factors: np.ndarray) -> float:
    """‖X − W H‖² / ‖X‖² in float64, for W above the transpose of H; by traces. NaN for negative entries."""
    X = problem["X"]
    X = X.astype(np.float64)
    W, F = factors[: X.shape[0]].astype(np.float64), factors[X.shape[0] :].astype(np.float64)
    if factors.min() < 0:
        return float("nan")
    total = float((X.data**2).sum() if sp.issparse(X) else (X**2).sum())
    return float(1 - (2 * ((X @ F) * W).sum() - ((W.T @ W) * (F.T @ F)).sum()) / total)


def median_loss(problem: Problem, factors: np.ndarray) -> float:
    """Median over the problems of ‖X − W H‖² / ‖X‖², in float64, for [problems, n + d, m]."""
    X = problem["X"].astype(np.float64)
    W, F = factors[:, : len(X)].astype(np.float64), factors[:, len(X) :].astype(np.float64)
    return float(np.median(((X - W @ F.transpose(0, 2, 1)) ** 2).sum(axis=(1, 2))) / (X**2).sum())


def kullback_loss(problem: Problem, factors: np.ndarray) -> float:
    """Mean over the rows of the generalized Kullback-Leibler divergence, in float64. NaN as above."""
    X = problem["X"].tocoo()
    W, F = factors[: X.shape[0]], factors[X.shape[0] :]
    if factors.min() < 0:
        return float("nan")
    loss = float(W.sum(axis=0, dtype=np.float64) @ F.sum(axis=0, dtype=np.float64))
    for start in range(0, X.nnz, 1 << 19):
        part = slice(start, start + (1 << 19))
        x = X.data[part].astype(np.float64)
        y = np.einsum("pc,pc->p", W[X.row[part]], F[X.col[part]], dtype=np.float64)
        loss += float((x * np.log(x / np.maximum(y, 1e-12)) - x).sum())
    return loss / X.shape[0]


def _nmf_shape(problem: Problem) -> Shape:
    X = problem["X"]
    n, d = X.shape
    return {"n": n, "d": d, "nnz": X.nnz if sp.issparse(X) else n * d, "m": problem["H"].shape[0]}


def _replicates_shape(problem: Problem) -> Shape:
    (n, d), (problems, _, m) = problem["X"].shape, problem["W"].shape
    return {"n": n, "d": d, "nnz": problems * n * d, "m": m, "k": problems}


def _semi_nmf_shape(problem: Problem) -> Shape:
    (n, d), kept = problem["X"].shape, int(problem["kept"])
    shape = {"n": n, "d": d, "nnz": n * d, "m": problem["codes"].shape[1]}
    return shape | ({"k": kept} if kept else {})


def _kmeans_shape(problem: Problem) -> Shape:
    n, d = problem["X"].shape
    nnz = problem["X"].nnz if sp.issparse(problem["X"]) else n * d
    return {"n": n, "d": d, "nnz": nnz, "m": problem["init"].shape[0]}


def _topk_shape(problem: Problem) -> Shape:
    (n, d), m = problem["X"].shape, problem["atoms"].shape[0]
    about = {"k": int(problem["k"]), "metric": str(problem["metric"])}
    return {"n": n, "d": d, "nnz": n * d, "m": m} | about


def _decode_shape(problem: Problem) -> Shape:
    codes, (m, d) = problem["codes"], problem["atoms"].shape
    n = codes.shape[0]
    return {"n": n, "d": d, "nnz": codes.nnz, "m": m, "k": codes.nnz // n}


def _seeding_shape(problem: Problem) -> Shape:
    n, d = problem["X"].shape
    nnz = problem["X"].nnz if sp.issparse(problem["X"]) else n * d
    return {"n": n, "d": d, "nnz": nnz, "m": int(problem["m"])}


def potential(problem: Problem, indices: np.ndarray) -> float:
    """Sum over the rows of the squared distance to the nearest row that was drawn."""
    import latom  # not in the process of every peer

    X, euclidean = problem["X"], str(problem["metric"]) == "euclidean"
    rows = X[np.asarray(indices, np.int64)]
    scores = latom.assign(X, rows, metric=str(problem["metric"]))[1]
    return float(-scores.sum() if euclidean else (2 - 2 * scores).sum())


def _gemm_shape(problem: Problem) -> Shape:
    (n, d), m = problem["X"].shape, problem["atoms"].shape[0]
    return {"n": n, "d": d, "nnz": n * d, "m": m}


def _entries_times_atoms(shape: Shape) -> float:
    return float(shape["nnz"]) * float(shape["m"])


def _products(shape: Shape) -> float:
    return 2.0 * _entries_times_atoms(shape)


def _entries_times_columns(shape: Shape) -> float:
    return 2.0 * float(shape["nnz"]) * float(shape["d"])


TASKS: dict[str, Task] = {
    "sparse_kmeans": Task(
        SPARSE_KMEANS,
        lambda problem, labels: mean_cosine(problem["X"], labels),
        "mean cosine",
        _kmeans_shape,
        _entries_times_atoms,
    ),
    "dense_kmeans": Task(
        DENSE_KMEANS,
        lambda problem, labels: inertia(problem["X"], labels),
        "inertia",
        _kmeans_shape,
        _entries_times_atoms,
        score_format=".1f",
    ),
    "topk": Task(
        TOPK,
        recall,
        "recall",
        _topk_shape,
        _entries_times_atoms,
        calls=True,
        operations=_products,
        peaks=True,
    ),
    "decode": Task(
        DECODE,
        decoding_error,
        "error",
        _decode_shape,
        _entries_times_columns,
        score_format=".1e",
        calls=True,
        operations=_entries_times_columns,
    ),
    # `seeding.py` measures it by itself: a fit of s is one draw from seed s.
    "seeding": Task(SEEDING, potential, "potential", _seeding_shape, _entries_times_atoms, ".5g"),
    "semi_nmf": Task(
        SEMI_NMF,
        relative_loss,
        "loss",
        _semi_nmf_shape,
        _entries_times_atoms,
        reference="torch",
    ),
    "nmf": Task(
        NMF,
        squared_loss,
        "loss",
        _nmf_shape,
        _entries_times_atoms,
        score_format=".5f",
        reference="scikit-learn",
    ),
    "nmf_replicates": Task(
        REPLICATES,
        median_loss,
        "median loss",
        _replicates_shape,
        _entries_times_atoms,
        score_format=".5f",
        reference="scikit-learn",
    ),
    "nmf_kl": Task(
        NMF_KL,
        kullback_loss,
        "divergence",
        _nmf_shape,
        _entries_times_atoms,
        reference="scikit-learn, mu",
    ),
    # Not a family with cases of its own: `peak.py` asks it how fast the machine multiplies.
    "gemm": Task(
        GEMM,
        lambda problem, product: float("nan"),
        "",
        _gemm_shape,
        _entries_times_atoms,
        calls=True,
        operations=_products,
    ),
}

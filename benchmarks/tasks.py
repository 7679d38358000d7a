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
    ALS,
    DECODE,
    DENSE_KMEANS,
    EVERYDAY_FIT,
    EVERYDAY_KMEANS,
    EVERYDAY_PREDICT,
    EVERYDAY_TRANSFORM,
    GEMM,
    HIERARCHY,
    NMF,
    NMF_KL,
    OMP,
    PAIRS,
    PLAIN_PURSUIT,
    POOLING,
    POWERS,
    RANKS,
    REPLICATES,
    SEEDING,
    SEMI_NMF,
    SILHOUETTE,
    SPARSE_KMEANS,
    SVD,
    TOPK,
    TRAIN,
    Peer,
)
from scores import (
    agreement,
    covering_cosine,
    decoding_error,
    distance_error,
    inertia,
    kullback_loss,
    mean_cosine,
    median_loss,
    pair_ranking,
    pooled_cosine,
    potential,
    pursuit_error,
    recall,
    relative_loss,
    silhouette_error,
    squared_loss,
    training_loss,
    weighted_loss,
)

Shape = dict[str, Any]
Fair = Callable[[float, float], bool]  # score of a peer, score of latom -> may it be called the fastest?


def no_lower(slack: float) -> Fair:
    """A score that is to be high, at least latom's less this share of it."""
    return lambda own, ours: own >= ours * (1 - slack)


def no_higher(slack: float) -> Fair:
    """A score that is to be low, at most latom's and this share of it."""
    return lambda own, ours: own <= ours * (1 + slack)


def at_most(worst: float) -> Fair:
    """An error up to so much."""
    return lambda own, ours: own <= worst


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
    fair : callable
        Scores of a peer and of latom -> whether the peer's answer is good enough that it may be the fastest
        one, to which speeds are relative. Few bits and samples are fast; they are to be as right, too.
    calls : bool
        An answer takes one call. Then blocks of calls are timed instead of fits of n iterations.
    seeds : bool
        A "fit" of s is the whole of what a user types, from seed s. Medians over many seeds are reported.
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
    fair: Fair = lambda own, ours: True
    calls: bool = False
    seeds: bool = False
    operations: Callable[[Shape], float] | None = None
    peaks: bool = False
    reference: str = ""


def _nmf_shape(problem: Problem) -> Shape:
    X = problem["X"]
    n, d = X.shape
    return {"n": n, "d": d, "nnz": X.nnz if sp.issparse(X) else n * d, "m": problem["H"].shape[0]}


def _als_shape(problem: Problem) -> Shape:
    n, d = problem["X"].shape
    return {"n": n, "d": d, "nnz": problem["X"].nnz, "m": int(problem["factors"])}


def _replicates_shape(problem: Problem) -> Shape:
    (n, d), (problems, _, m) = problem["X"].shape, problem["W"].shape
    return {"n": n, "d": d, "nnz": problems * n * d, "m": m, "k": problems}


def _semi_nmf_shape(problem: Problem) -> Shape:
    (n, d), kept = problem["X"].shape, int(problem["kept"])
    shape = {"n": n, "d": d, "nnz": n * d, "m": problem["codes"].shape[1]}
    return shape | ({"k": kept} if kept else {})


def _pairs_shape(problem: Problem) -> Shape:
    n, d = problem["X"].shape
    return {"n": n, "d": d, "nnz": problem["X"].nnz, "m": int(problem["k"])}


def _kmeans_shape(problem: Problem) -> Shape:
    n, d = problem["X"].shape
    nnz = problem["X"].nnz if sp.issparse(problem["X"]) else n * d
    return {"n": n, "d": d, "nnz": nnz, "m": problem["init"].shape[0]}


def _topk_shape(problem: Problem) -> Shape:
    (n, d), m = problem["X"].shape, problem["atoms"].shape[0]
    about = {"k": int(problem["k"]), "metric": str(problem["metric"])}
    return {"n": n, "d": d, "nnz": n * d, "m": m} | about


def _pursuit_shape(problem: Problem) -> Shape:
    (n, d), m = problem["X"].shape, problem["atoms"].shape[0]
    return {"n": n, "d": d, "nnz": n * d, "m": m, "k": int(problem["k"])}


def _decode_shape(problem: Problem) -> Shape:
    codes, (m, d) = problem["codes"], problem["atoms"].shape
    n = codes.shape[0]
    return {"n": n, "d": d, "nnz": codes.nnz, "m": m, "k": codes.nnz // n}


def _seeding_shape(problem: Problem) -> Shape:
    n, d = problem["X"].shape
    nnz = problem["X"].nnz if sp.issparse(problem["X"]) else n * d
    return {"n": n, "d": d, "nnz": nnz, "m": int(problem["m"])}


def _pooling_shape(problem: Problem) -> Shape:
    documents, n, d = problem["X"].shape
    return {"n": documents * n, "d": d, "nnz": documents * n * d, "m": int(problem["m"]), "k": documents}


def _hierarchy_shape(problem: Problem) -> Shape:
    n, d = problem["X"].shape
    return {"n": n, "d": d, "nnz": n * d, "m": int(problem["counts"][0]), "k": int(problem["rounds"])}


def _silhouette_shape(problem: Problem) -> Shape:
    n, d = problem["X"].shape
    return {"n": n, "d": d, "nnz": n * d, "m": int(problem["labels"].max()) + 1}


def _spectral_shape(problem: Problem) -> Shape:
    X = problem["X"] if "X" in problem else problem["A"]
    (n, d), m = X.shape, int(problem["m"] if "m" in problem else problem["ranks"].max())
    about = {"k": int(problem["replicates"])} if "replicates" in problem else {}
    return {"n": n, "d": d, "nnz": X.nnz, "m": m} | about


def _predict_shape(problem: Problem) -> Shape:
    (n, d), m = problem["X"].shape, problem["centers"].shape[0]
    return {"n": n, "d": d, "nnz": n * d, "m": m}


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
        fair=no_lower(0.01),
    ),
    "dense_kmeans": Task(
        DENSE_KMEANS,
        lambda problem, labels: inertia(problem["X"], labels),
        "inertia",
        _kmeans_shape,
        _entries_times_atoms,
        score_format=".1f",
        fair=no_higher(0.01),  # other initial rows differ by some thousandths
    ),
    "everyday_fit": Task(
        EVERYDAY_FIT,
        lambda problem, labels: inertia(problem["X"], labels),
        "inertia",
        _seeding_shape,
        _entries_times_atoms,
        score_format=".6g",
        seeds=True,  # objectives vary with seeds, so every peer counts, and the report compares them
    ),
    "everyday_iterations": Task(
        EVERYDAY_KMEANS,
        lambda problem, labels: inertia(problem["X"], labels),
        "inertia",
        _kmeans_shape,
        _entries_times_atoms,
        score_format=".6g",
        fair=no_higher(0.01),
    ),
    "everyday_predict": Task(
        EVERYDAY_PREDICT,
        agreement,
        "nearest centers found",
        _predict_shape,
        _entries_times_atoms,
        fair=no_lower(1e-3),
        calls=True,
        operations=_products,
    ),
    "everyday_transform": Task(
        EVERYDAY_TRANSFORM,
        distance_error,
        "error",
        _predict_shape,
        _entries_times_atoms,
        score_format=".1e",
        fair=at_most(1e-3),
        calls=True,
        operations=_products,
    ),
    "topk": Task(
        TOPK,
        recall,
        "recall",
        _topk_shape,
        _entries_times_atoms,
        fair=no_lower(1e-3),
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
        fair=at_most(1e-5),
        calls=True,
        operations=_entries_times_columns,
    ),
    "omp": Task(
        OMP,
        pursuit_error,
        "error",
        _pursuit_shape,
        _entries_times_atoms,
        fair=no_higher(1e-3),
        calls=True,
    ),
    "plain_pursuit": Task(
        PLAIN_PURSUIT,
        pursuit_error,
        "error",
        _pursuit_shape,
        _entries_times_atoms,
        fair=no_higher(1e-3),
        calls=True,
    ),
    "pooling": Task(
        POOLING,
        pooled_cosine,
        "mean cosine",
        _pooling_shape,
        _entries_times_atoms,
        fair=no_lower(0.02),  # k-means++ is a little worse than Ward
        calls=True,
    ),
    "hierarchy": Task(
        HIERARCHY,
        covering_cosine,
        "mean cosine",
        _hierarchy_shape,
        _entries_times_atoms,
        fair=no_lower(0.05),
        calls=True,
    ),
    "silhouette": Task(
        SILHOUETTE,
        silhouette_error,
        "error",
        _silhouette_shape,
        lambda shape: float(shape["n"]) * float(shape["nnz"]),
        score_format=".1e",
        fair=at_most(1e-4),
        calls=True,
    ),
    "svd": Task(
        SVD,
        lambda problem, values: float(values.sum()),
        "sum of singular values",
        _spectral_shape,
        _entries_times_atoms,
        score_format=".6g",
        fair=no_lower(1e-3),
        calls=True,
    ),
    "powers": Task(
        POWERS,
        lambda problem, embedding: float(np.square(embedding, dtype=np.float64).mean()),
        "mean square",
        _spectral_shape,
        _entries_times_atoms,
        score_format=".3g",
        calls=True,
    ),
    "ranks": Task(
        RANKS,
        lambda problem, losses: float(losses.mean()),
        "mean of median losses",
        _spectral_shape,
        _entries_times_atoms,
        score_format=".6g",
        fair=no_higher(0.01),
        calls=True,
    ),
    "train": Task(
        TRAIN,
        training_loss,
        "loss after 4 steps",
        _topk_shape,
        _entries_times_atoms,
        score_format=".5f",
        fair=no_higher(0.01),
        calls=True,
        operations=_products,  # of the encoder, forward
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
    "pairs": Task(
        PAIRS,
        pair_ranking,
        "AUC",
        _pairs_shape,
        _entries_times_atoms,
        fair=no_lower(0.01),
    ),
    "als": Task(
        ALS,
        weighted_loss,
        "loss",
        _als_shape,
        _entries_times_atoms,
        score_format=".6f",
        reference="implicit",
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

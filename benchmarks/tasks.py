"""What each family of cases measures: its libraries, the size of a problem, and how an answer is scored.

A later family adds an entry to `TASKS`; data, runner and report stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from data import Problem
from peers import (
    ALS,
    COMPLETION,
    DECODE,
    DENSE_KMEANS,
    EVERYDAY_FIT,
    EVERYDAY_KMEANS,
    EVERYDAY_PREDICT,
    EVERYDAY_TRANSFORM,
    GEMM,
    HIERARCHY,
    LABEL_SHIFT,
    NEIGHBORS,
    NMF,
    NMF_KL,
    OMP,
    PAIRS,
    PLAIN_PURSUIT,
    POOLING,
    POWERS,
    RANKS,
    RECOMMEND,
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
    error_of_shares,
    held_out_error,
    inertia,
    kullback_loss,
    mean_cosine,
    median_loss,
    pair_ranking,
    pooled_cosine,
    potential,
    pursuit_error,
    recall,
    recommended,
    relative_loss,
    silhouette_error,
    sparse_recall,
    squared_loss,
    training_loss,
    weighted_loss,
)
from shapes import (
    Shape,
    als_shape,
    decode_shape,
    entries_times_atoms,
    entries_times_columns,
    gemm_shape,
    hierarchy_shape,
    kmeans_shape,
    neighbors_shape,
    nmf_shape,
    pairs_shape,
    pooling_shape,
    predict_shape,
    products,
    pursuit_shape,
    recommend_shape,
    replicates_shape,
    seeding_shape,
    semi_nmf_shape,
    silhouette_shape,
    spectral_shape,
    topk_shape,
)

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


TASKS: dict[str, Task] = {
    "sparse_kmeans": Task(
        SPARSE_KMEANS,
        lambda problem, labels: mean_cosine(problem["X"], labels),
        "mean cosine",
        kmeans_shape,
        entries_times_atoms,
        fair=no_lower(0.015),  # centers of another length cost the Euclidean ones up to 1.1 %
    ),
    "dense_kmeans": Task(
        DENSE_KMEANS,
        lambda problem, labels: inertia(problem["X"], labels),
        "inertia",
        kmeans_shape,
        entries_times_atoms,
        score_format=".1f",
        fair=no_higher(0.01),  # other initial rows differ by some thousandths
    ),
    "everyday_fit": Task(
        EVERYDAY_FIT,
        lambda problem, labels: inertia(problem["X"], labels),
        "inertia",
        seeding_shape,
        entries_times_atoms,
        score_format=".6g",
        seeds=True,  # objectives vary with seeds, so every peer counts, and the report compares them
    ),
    "everyday_iterations": Task(
        EVERYDAY_KMEANS,
        lambda problem, labels: inertia(problem["X"], labels),
        "inertia",
        kmeans_shape,
        entries_times_atoms,
        score_format=".6g",
        fair=no_higher(0.01),
    ),
    "everyday_predict": Task(
        EVERYDAY_PREDICT,
        agreement,
        "nearest centers found",
        predict_shape,
        entries_times_atoms,
        fair=no_lower(1e-3),
        calls=True,
        operations=products,
    ),
    "everyday_transform": Task(
        EVERYDAY_TRANSFORM,
        distance_error,
        "error",
        predict_shape,
        entries_times_atoms,
        score_format=".1e",
        fair=at_most(1e-3),
        calls=True,
        operations=products,
    ),
    "topk": Task(
        TOPK,
        recall,
        "recall",
        topk_shape,
        entries_times_atoms,
        fair=no_lower(1e-3),
        calls=True,
        operations=products,
        peaks=True,
    ),
    "neighbors": Task(
        NEIGHBORS,
        sparse_recall,
        "recall",
        neighbors_shape,
        entries_times_atoms,
        fair=no_lower(1e-3),
        calls=True,
    ),
    "decode": Task(
        DECODE,
        decoding_error,
        "error",
        decode_shape,
        entries_times_columns,
        score_format=".1e",
        fair=at_most(1e-5),
        calls=True,
        operations=entries_times_columns,
    ),
    "omp": Task(
        OMP,
        pursuit_error,
        "error",
        pursuit_shape,
        entries_times_atoms,
        fair=no_higher(1e-3),
        calls=True,
    ),
    "plain_pursuit": Task(
        PLAIN_PURSUIT,
        pursuit_error,
        "error",
        pursuit_shape,
        entries_times_atoms,
        fair=no_higher(1e-3),
        calls=True,
    ),
    "pooling": Task(
        POOLING,
        pooled_cosine,
        "mean cosine",
        pooling_shape,
        entries_times_atoms,
        fair=no_lower(0.02),  # k-means++ is a little worse than Ward
        calls=True,
    ),
    "hierarchy": Task(
        HIERARCHY,
        covering_cosine,
        "mean cosine",
        hierarchy_shape,
        entries_times_atoms,
        fair=no_lower(0.05),
        calls=True,
    ),
    "silhouette": Task(
        SILHOUETTE,
        silhouette_error,
        "error",
        silhouette_shape,
        lambda shape: float(shape["n"]) * float(shape["nnz"]),
        score_format=".1e",
        fair=at_most(1e-4),
        calls=True,
    ),
    "svd": Task(
        SVD,
        lambda problem, values: float(values.sum()),
        "sum of singular values",
        spectral_shape,
        entries_times_atoms,
        score_format=".6g",
        fair=no_lower(0.01),  # scikit-learn's default accuracy loses half a per cent of the sum
        calls=True,
    ),
    "powers": Task(
        POWERS,
        lambda problem, embedding: float(np.square(embedding, dtype=np.float64).mean()),
        "mean square",
        spectral_shape,
        entries_times_atoms,
        score_format=".3g",
        calls=True,
    ),
    "ranks": Task(
        RANKS,
        lambda problem, losses: float(losses.mean()),
        "mean of median losses",
        spectral_shape,
        entries_times_atoms,
        score_format=".6g",
        fair=no_higher(0.01),
        calls=True,
    ),
    "label_shift": Task(
        LABEL_SHIFT,
        error_of_shares,
        "mean error of p(class | domain)",
        spectral_shape,
        entries_times_atoms,
        score_format=".4g",
        fair=at_most(0.2),  # starts of one factorization end in other places
        calls=True,
    ),
    "train": Task(
        TRAIN,
        training_loss,
        "loss after 4 steps",
        topk_shape,
        entries_times_atoms,
        score_format=".5f",
        fair=no_higher(0.01),
        calls=True,
        operations=products,  # of the encoder, forward
    ),
    # `seeding.py` measures it by itself: a fit of s is one draw from seed s.
    "seeding": Task(SEEDING, potential, "potential", seeding_shape, entries_times_atoms, ".5g"),
    "semi_nmf": Task(
        SEMI_NMF,
        relative_loss,
        "loss",
        semi_nmf_shape,
        entries_times_atoms,
        reference="torch",
    ),
    "pairs": Task(
        PAIRS,
        pair_ranking,
        "AUC",
        pairs_shape,
        entries_times_atoms,
        fair=no_lower(0.01),
    ),
    "als": Task(
        ALS,
        weighted_loss,
        "loss",
        als_shape,
        entries_times_atoms,
        score_format=".6f",
        reference="implicit",
    ),
    "recommend": Task(
        RECOMMEND,
        recommended,
        "recall",
        recommend_shape,
        entries_times_atoms,
        fair=no_lower(1e-3),
        calls=True,
        operations=products,
    ),
    "completion": Task(
        COMPLETION,
        held_out_error,
        "root mean squared error of held-out entries",
        als_shape,
        entries_times_atoms,
        score_format=".5f",
        reference="cmfrec",
    ),
    "nmf": Task(
        NMF,
        squared_loss,
        "loss",
        nmf_shape,
        entries_times_atoms,
        score_format=".5f",
        reference="scikit-learn",
    ),
    "nmf_replicates": Task(
        REPLICATES,
        median_loss,
        "median loss",
        replicates_shape,
        entries_times_atoms,
        score_format=".5f",
        reference="scikit-learn",
    ),
    "nmf_kl": Task(
        NMF_KL,
        kullback_loss,
        "divergence",
        nmf_shape,
        entries_times_atoms,
        reference="scikit-learn, mu",
    ),
    # Not a family with cases of its own: `peak.py` asks it how fast the machine multiplies.
    "gemm": Task(
        GEMM,
        lambda problem, product: float("nan"),
        "",
        gemm_shape,
        entries_times_atoms,
        calls=True,
        operations=products,
    ),
}

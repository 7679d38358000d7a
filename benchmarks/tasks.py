"""What each family of cases measures: its libraries and how an answer is scored.

A later family adds an entry to `TASKS`; data, runner and report stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from data import Problem
from peers import SPARSE_KMEANS, Peer


@dataclass(frozen=True)
class Task:
    """A family: `score` is computed the same way for every library, outside the timed process."""

    peers: Mapping[str, Peer]
    score: Callable[[Problem, np.ndarray], float]
    score_name: str


def mean_cosine(X: sp.csr_array, labels: np.ndarray) -> float:
    """Mean over the rows of the cosine with the normalized sum of their cluster, in float64.

    It depends on the partition alone, so it compares Euclidean with spherical methods and does not
    care what a library returns as centres. Zero rows count as 0.
    """
    n = X.shape[0]
    X64 = sp.csr_array((X.data.astype(np.float64), X.indices, X.indptr), shape=X.shape)
    norms = np.sqrt(np.asarray(X64.multiply(X64).sum(axis=1)).ravel())
    scale = np.divide(1.0, norms, out=np.zeros(n), where=norms > 0)
    members = sp.csr_array((scale, (np.asarray(labels, np.int64), np.arange(n))))
    sums = members @ X64  # [clusters, d]; Σ_i ⟨x_i, s/‖s‖⟩ over a cluster is ‖s‖
    return float(np.sqrt(np.asarray(sums.multiply(sums).sum(axis=1))).sum() / n)


TASKS: dict[str, Task] = {
    "sparse_kmeans": Task(
        SPARSE_KMEANS, lambda problem, labels: mean_cosine(problem["X"], labels), "mean cosine"
    ),
}

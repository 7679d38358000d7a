"""A plain statement in numpy float64 of what the core's MiniBatch computes."""

from __future__ import annotations

from typing import Any

import core
import numpy as np


def numbers(X: Any) -> np.ndarray:
    """The rows that the core has prepared, as float64."""
    lloyd = core.Lloyd(X, None, "euclidean")
    lloyd.set_centers(X, False)
    found = lloyd.centers()
    if not isinstance(found, tuple):
        return found.astype(np.float64)
    out = np.zeros((X.n, X.d))
    indptr, indices, values = found
    out[np.repeat(np.arange(X.n), np.diff(indptr)), indices] = values
    return out


def unit(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)


class PlainMiniBatch:
    """The interface of the core's MiniBatch."""

    def __init__(self, context: Any, centers: Any, counts: np.ndarray, metric: str, normalize: bool) -> None:
        lloyd = core.Lloyd(centers, None, "euclidean")
        lloyd.set_centers(centers, False)
        first = lloyd.centers()
        self._sparse = isinstance(first, tuple)
        self._dtype = (first[2] if self._sparse else first).dtype
        self._centers = unit(numbers(centers)) if normalize else numbers(centers)
        self._counts, self._metric, self._unit = np.array(counts, float), metric, normalize

    def _rounded(self) -> np.ndarray:
        self._centers = self._centers.astype(self._dtype).astype(float)
        return self._centers

    def step(self, context: Any, X: Any, weights: np.ndarray | None) -> tuple[float, float]:
        A = numbers(X)
        w = np.ones(len(A)) if weights is None else weights
        C = self._rounded().copy()
        if self._metric == "cosine":
            A = unit(A)
            self._scores = A @ unit(C).T
        else:
            self._scores = -((A[:, None] - C[None]) ** 2).sum(axis=2)
        self._labels = self._scores.argmax(axis=1).astype(np.int32)
        self._scores = self._scores.max(axis=1)
        cost = 1 - self._scores if self._metric == "cosine" else -self._scores
        for j in range(len(C)):
            own = self._labels == j
            if w[own].sum() > 0:
                total = self._counts[j] * C[j] + w[own] @ A[own]
                length = np.linalg.norm(total) if self._unit else self._counts[j] + w[own].sum()
                if length > 1e-12:
                    self._centers[j] = total / length
                self._counts[j] += w[own].sum()
        return float(w @ cost), float(((self._rounded() - C) ** 2).sum())

    def labels(self) -> np.ndarray:
        return self._labels

    def scores(self) -> np.ndarray:
        return self._scores

    def counts(self) -> np.ndarray:
        return self._counts.copy()

    def set_counts(self, counts: np.ndarray) -> None:
        self._counts = counts.copy()

    def replace(self, context: Any, X: Any, rows: np.ndarray, clusters: np.ndarray) -> None:
        self._centers[clusters] = (unit(numbers(X)) if self._unit else numbers(X))[rows]

    def centers(self) -> Any:
        C = self._centers.astype(self._dtype)
        if not self._sparse:
            return C
        at = C != 0
        indptr = np.r_[0, at.sum(axis=1).cumsum()].astype(np.int64)
        return indptr, at.nonzero()[1].astype(np.int32), C[at]

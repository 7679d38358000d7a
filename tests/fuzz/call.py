"""What the calls of the API fuzzer share: the call, its parts by chance, and scores in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import inputs
import numpy as np
from fuzzing import Finding, check, pick

METRICS = ("cosine", "euclidean")
EPS = {4: 1.2e-7, 8: 2.3e-16}


@dataclass
class Call:
    """``run(n_threads)`` calls with ``arguments`` as they are by then, ``verify`` holds the result."""

    function: Callable[..., Any]
    arguments: dict[str, Any]
    verify: Callable[[Any], None]
    given: list[inputs.Rows]
    sane: bool = True
    exact: bool = True
    estimator: bool = False

    def run(self, n_threads: int) -> Any:
        return self.function(**self.arguments, n_threads=n_threads)

    @property
    def kinds(self) -> str:
        return "; ".join(rows.kind for rows in self.given)


def one_metric(rng: np.random.Generator, *more: str) -> str:
    return str(pick(rng, [*METRICS, *more]))


def two_rows(
    rng: np.random.Generator, square: bool = False, **options: Any
) -> tuple[inputs.Rows, inputs.Rows]:
    """Rows and atoms of the same width; as many atoms as rows if square."""
    n, d = inputs.sizes(rng)
    m = n if square else int(rng.integers(1, 24))
    return inputs.rows(rng, (n, d), **options), inputs.rows(rng, (m, d), **options)


def scale(*arrays: np.ndarray) -> float:
    """The largest magnitude, by which others are divided so that no square leaves float64."""
    largest = max((float(np.abs(A).max()) for A in arrays if A.size), default=0.0)
    return largest if 0 < largest < np.inf else 1.0


def scores(X: np.ndarray, C: np.ndarray, metric: str, bias: np.ndarray | None = None) -> np.ndarray:
    """Scores [n, m] in float64: of scaled rows where the metric is "cosine"."""
    if metric == "cosine":
        X, C = (A / np.maximum(np.abs(A).max(axis=1, keepdims=True), 1e-300) for A in (X, C))
        lengths = [np.linalg.norm(A, axis=1, keepdims=True) for A in (X, C)]
        X, C = (
            np.divide(A, v, out=np.zeros_like(A), where=v > 0) for A, v in zip((X, C), lengths, strict=True)
        )
        return X @ C.T
    if metric == "euclidean":
        return -((X[:, None] - C[None]) ** 2).sum(axis=2)
    return X @ C.T + (0.0 if bias is None else bias)


def near(got: Any, want: Any, atol: Any, what: str) -> None:
    with np.errstate(all="ignore"):
        wrong = ~(np.abs(np.asarray(got, np.float64) - want) <= atol)
    if wrong.any():
        raise Finding(
            f"{what}: {np.asarray(got)[wrong][:3]} is not {np.broadcast_to(want, wrong.shape)[wrong][:3]}"
        )


def row_weights(rng: np.random.Generator, n: int) -> np.ndarray | None:
    if rng.random() < 0.5:
        return None
    weights = pick(
        rng, [rng.random(n), rng.integers(0, 3, n).astype(float), rng.random(n) * 1e90, np.ones(n)]
    )
    weights[int(rng.integers(n))] = 1.0
    return weights


def check_labels(
    X: np.ndarray, C: np.ndarray, labels: Any, found: Any, metric: str, tol: float = 1e-12
) -> None:
    unit = scale(X, C) if metric == "euclidean" else 1.0
    want = scores(X / unit, C / unit, metric)
    check((labels >= 0).all() and (labels < len(C)).all(), "labels out of range")
    chosen = want[np.arange(len(want)), labels]
    slack = tol * max(1, X.shape[1])
    near(chosen, want.max(axis=1), slack, "score of a label")
    if found is not None:
        near(found / unit**2, chosen, 4 * slack, "score")


def seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**32))

"""Seeding and sampling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import inputs
import numpy as np
import scipy.sparse as sp
from call import Call, one_metric, row_weights
from fuzzing import check, pick

import latom


def _seeding(function: Callable[..., Any], options: Callable[[np.random.Generator], dict[str, Any]]) -> Any:
    def make(rng: np.random.Generator) -> Call:
        X = inputs.rows(rng, inputs.sizes(rng))
        n = len(X.exact)
        m = int(rng.integers(1, min(n, 20) + 1))
        arguments = {
            "X": X.X,
            "n_clusters": m,
            "metric": one_metric(rng),
            "sample_weight": row_weights(rng, n),
        }
        arguments |= {"random_state": int(rng.integers(2**32)), **options(rng)}

        def verify(result: Any) -> None:
            centers, indices = result[0], result[1]
            check(indices.dtype == np.int64 and indices.shape == (m,), "indices")
            check(len(set(indices.tolist())) == m and (indices >= 0).all() and (indices < n).all(), "indices")
            here = centers.toarray() if sp.issparse(centers) else np.asarray(centers)
            check(np.array_equal(here.astype(np.float64), X.exact[indices]), "centers are not rows of X")

        return Call(function, arguments, verify, [X], X.sane)

    return make


def _plusplus(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "n_local_trials": pick(rng, [1, 1, 2, 5, None, "auto"]),
        "method": "auto",
        "bound": "auto",
        "return_stats": bool(rng.random() < 0.3),
    } | (
        {"method": m, "n_local_trials": 1}
        if (m := pick(rng, ["auto", "exact", "fold", "rejection"])) != "auto"
        else {}
    )


def coreset(rng: np.random.Generator) -> Call:
    X = inputs.rows(rng, inputs.sizes(rng))
    n, metric = len(X.exact), one_metric(rng)
    arguments = {
        "X": X.X,
        "size": int(rng.integers(1, 60)),
        "metric": metric,
        "sample_weight": row_weights(rng, n),
    }
    arguments |= {"random_state": int(rng.integers(2**32)), "method": "lightweight", "n_clusters": None}
    if rng.random() < 0.5:
        arguments |= {"method": "sensitivity", "n_clusters": int(rng.integers(1, n + 1))}
    size, weights = arguments["size"], arguments["sample_weight"]

    def verify(result: Any) -> None:
        indices, found = result
        check(1 <= len(indices) <= size and len(found) == len(indices), "sizes")
        check((np.diff(indices) > 0).all() and indices[0] >= 0 and indices[-1] < n, "indices")
        check((found > 0).all() and (weights is None or (weights[indices] > 0).all()), "weights")

    kept = X.exact if weights is None else X.exact[weights > 0]
    return Call(latom.coreset, arguments, verify, [X], X.sane and bool(kept.any()))


def weighted_sample(rng: np.random.Generator) -> Call:
    n = int(rng.integers(1, 300))
    weights = rng.random(n) * 10.0 ** rng.integers(-5, 6, n) * (rng.random(n) < 0.8)
    weights[0] = 1.0
    replacement = bool(rng.random() < 0.5)
    size = int(rng.integers(1, 400 if replacement else np.count_nonzero(weights) + 1))

    def verify(result: Any) -> None:
        check(result.shape == (size,) and result.dtype == np.int64, "shape or dtype")
        check((weights[result] > 0).all(), "a position of weight 0")
        check(replacement or len(set(result.tolist())) == size, "drawn twice")

    arguments = {
        "weights": weights,
        "size": size,
        "replacement": replacement,
        "random_state": int(rng.integers(2**32)),
    }
    return Call(latom.weighted_sample, arguments, verify, [])


CALLS: dict[str, Callable[[np.random.Generator], Call]] = {
    "kmeans_plusplus": _seeding(latom.kmeans_plusplus, _plusplus),
    "afkmc2": _seeding(latom.afkmc2, lambda rng: {"chain_length": int(rng.integers(1, 50))}),
    "kmeans_parallel": _seeding(
        latom.kmeans_parallel,
        lambda rng: {"rounds": int(rng.integers(1, 6)), "oversampling": float(rng.random() + 0.5)},
    ),
    "coreset": coreset,
    "weighted_sample": weighted_sample,
}

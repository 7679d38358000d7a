"""Clustering."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import inputs
import numpy as np
import scipy.sparse as sp
from call import Call, check_labels, near, one_metric, row_weights, scale, scores, two_rows
from fuzzing import check, pick

import latom


def assign(rng: np.random.Generator) -> Call:
    X, C = two_rows(rng)
    metric = one_metric(rng)

    def verify(result: Any) -> None:
        labels, found = result
        check(labels.dtype == np.int32 and found.dtype == np.float64, "dtypes")
        check(labels.shape == found.shape == (len(X.exact),), "shapes")
        check_labels(X.exact, C.exact, labels, found, metric)

    sane = X.sane and C.sane
    return Call(latom.assign, {"X": X.X, "centers": C.X, "metric": metric}, verify, [X, C], sane)


def _kmeans(cls: Any, metric: str, batches: bool) -> Any:
    def make(rng: np.random.Generator) -> Call:
        X = inputs.rows(rng, inputs.sizes(rng))
        n, d = X.exact.shape
        m = int(rng.integers(1, min(n, 12) + 1))
        stop = int(rng.integers(0, 5))
        arguments = {"X": X.X, "sample_weight": row_weights(rng, n), "n_clusters": m}
        arguments |= {"random_state": int(rng.integers(2**32)), "max_iter": int(rng.integers(1, 12))}
        arguments |= {"tol": pick(rng, [0.0, 1e-4]), "init": pick(rng, ["k-means++", "random", "rows"])}
        arguments |= {
            "n_init": pick(rng, ["auto", 1, 2]),
            "sparse_centers": pick(rng, [None, None, True, False]),
        }
        arguments["callback"] = pick(rng, [None, None, lambda state: state.iteration == stop])
        if arguments["init"] == "rows":
            arguments["init"] = X.exact[:m]
        if batches:
            arguments["batch_size"] = int(rng.integers(1, 40))
        weights = np.ones(n) if arguments["sample_weight"] is None else arguments["sample_weight"]

        def function(X: Any, sample_weight: Any, **options: Any) -> Any:
            model = cls(**options).fit(X, sample_weight=sample_weight)
            transformed = model.transform(X)
            return (
                model.labels_,
                model.cluster_centers_,
                model.inertia_,
                transformed,
                model.predict(X),
                model.n_iter_,
            )

        def verify(result: Any) -> None:
            labels, centers, inertia, transformed, predicted, n_iter = result
            C = centers.toarray() if sp.issparse(centers) else centers
            check(labels.dtype == np.int32 and labels.shape == (n,) and C.shape == (m, d), "shapes")
            check((labels == predicted).all(), "labels_ is not predict(X)")
            check(batches or 1 <= n_iter <= arguments["max_iter"], f"n_iter_ {n_iter}")
            C = C.astype(np.float64)
            check_labels(X.exact, C, labels, None, metric)
            check(np.asarray(transformed).shape == (n, m), "transform")
            unit = scale(X.exact, C) if metric == "euclidean" else 1.0
            S = scores(X.exact / unit, C / unit, metric)[np.arange(n), labels]
            total = float(weights @ (1 - S if metric == "cosine" else -S))
            slack = 1e-5 * total + 1e-12 * d * float(weights.sum())
            near(inertia / unit**2, total, slack, "inertia_")

        return Call(function, arguments, verify, [X], X.sane, estimator=True)

    return make


def streamed(rng: np.random.Generator) -> Call:
    """Blocks of rows that come one by one, in any form: the bits of a fit in memory."""
    X = inputs.rows(rng, inputs.sizes(rng), hard=0.05)
    n = len(X.exact)
    cls = pick(rng, [latom.KMeans, latom.SphericalKMeans])
    m = int(rng.integers(1, min(n, 12) + 1))
    arguments = {"X": X.X, "sample_weight": row_weights(rng, n), "n_clusters": m}
    arguments |= {"max_iter": int(rng.integers(1, 8)), "tol": pick(rng, [0.0, 1e-4])}
    arguments |= {"init": X.exact[:m], "sparse_centers": pick(rng, [None, True, False])}
    cuts = [0, *np.sort(rng.integers(0, n + 1, int(rng.integers(0, 5)))).tolist(), n]

    class Blocks:
        def __init__(self, X: Any) -> None:
            self.X = X

        def __iter__(self) -> Any:
            for a, b in itertools.pairwise(cuts):
                yield self.X[a:b]

    def results(model: Any) -> Any:
        C = model.cluster_centers_
        return model.labels_, C.toarray() if sp.issparse(C) else C, model.inertia_, model.n_iter_

    def function(X: Any, sample_weight: Any, **options: Any) -> Any:
        sliced = X.tocsr() if sp.issparse(X) and X.format not in ("csr", "csc", "lil") else X
        stream = latom.Stream(Blocks(sliced) if getattr(sliced, "ndim", 0) == 2 else sliced)
        return results(cls(**options).fit(stream, sample_weight=sample_weight))

    def verify(result: Any) -> None:
        C = result[1].astype(np.float64)
        check_labels(X.exact, C, result[0], None, cls._metric)
        given = {key: value for key, value in arguments.items() if key != "sample_weight"}
        whole = results(
            cls(**{k: v for k, v in given.items() if k != "X"}).fit(
                X.X, sample_weight=arguments["sample_weight"]
            )
        )
        same = all(
            np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in zip(result, whole, strict=True)
        )
        check(same, "other bits than in memory")

    sane = X.sane and hasattr(X.X, "shape")
    return Call(function, arguments, verify, [X], sane, estimator=True)


CALLS: dict[str, Callable[[np.random.Generator], Call]] = {
    "assign": assign,
    "Stream": streamed,
    "KMeans": _kmeans(latom.KMeans, "euclidean", False),
    "SphericalKMeans": _kmeans(latom.SphericalKMeans, "cosine", False),
    "MiniBatchKMeans": _kmeans(latom.MiniBatchKMeans, "euclidean", True),
    "MiniBatchSphericalKMeans": _kmeans(latom.MiniBatchSphericalKMeans, "cosine", True),
}

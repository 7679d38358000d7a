"""Many small clusterings, hierarchies, and what is asked of clusters."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import inputs
import numpy as np
from call import Call, near, one_metric, scale, scores, seed, two_rows
from fuzzing import check, pick

import latom


def _offsets(rng: np.random.Generator, n: int) -> np.ndarray:
    """Where the problems of n stacked rows begin; some have no rows."""
    cuts = np.sort(rng.integers(0, n + 1, int(rng.integers(0, 6))))
    return np.concatenate([[0], cuts, [n]]).astype(pick(rng, [np.int32, np.int64]))


def _share(rng: np.random.Generator, problems: int) -> Any:
    counts = rng.integers(1, 5, problems)
    return pick(rng, [int(rng.integers(1, 6)), float(rng.uniform(0.05, 0.95)), counts])


def _wanted(share: Any, offsets: np.ndarray) -> np.ndarray:
    lengths = np.diff(offsets)
    many = np.floor(np.float64(share) * lengths) if isinstance(share, float) else np.asarray(share)
    return np.minimum(np.maximum(many, 1), lengths).astype(np.int64)


def _check_problems(labels: np.ndarray, offsets: np.ndarray, counts: np.ndarray) -> None:
    check(labels.shape == (offsets[-1],) and labels.dtype == np.int32, "labels")
    for a, b, m in zip(offsets, offsets[1:], counts, strict=False):
        check(a == b or (labels[a:b].min() >= 0 and labels[a:b].max() < m), "a label out of range")


def kmeans_batch(rng: np.random.Generator) -> Call:
    X = inputs.rows(rng, inputs.sizes(rng), sparse=False)
    n, d = X.exact.shape
    offsets = _offsets(rng, n)
    share = _share(rng, len(offsets) - 1)
    metric = one_metric(rng)
    arguments = {"X": X.X, "n_clusters": share, "offsets": offsets, "metric": metric}
    arguments |= {"init": pick(rng, ["ward", "k-means++", "even"]), "max_iter": int(rng.integers(1, 8))}
    arguments |= {"random_state": seed(rng), "sample_weight": pick(rng, [None, rng.random(n) + 0.1])}

    def verify(result: Any) -> None:
        counts = _wanted(share, offsets)
        check(np.array_equal(np.diff(result.center_offsets), counts), "numbers of clusters")
        _check_problems(result.labels, offsets, counts)
        check(result.centers.shape == (counts.sum(), d), "centers")
        C = result.centers.astype(np.float64)
        unit = scale(X.exact, C) if metric == "euclidean" else 1.0
        for b, (i, j) in enumerate(itertools.pairwise(offsets)):
            here = C[result.center_offsets[b] : result.center_offsets[b + 1]]
            if j > i:
                S = scores(X.exact[i:j] / unit, here / unit, metric)
                mine = S[np.arange(j - i), result.labels[i:j]]
                near(mine, S.max(axis=1), 1e-12 * d, "score of a label")

    return Call(latom.kmeans_batch, arguments, verify, [X], X.sane)


def ward_batch(rng: np.random.Generator) -> Call:
    X = inputs.rows(rng, inputs.sizes(rng), sparse=False)
    offsets = _offsets(rng, len(X.exact))
    share = _share(rng, len(offsets) - 1)
    arguments = {"X": X.X, "n_clusters": share, "offsets": offsets, "metric": one_metric(rng)}
    if rng.random() < 0.3:
        arguments |= {"n_clusters": None, "distance_threshold": float(rng.random() * 3)}

    def verify(result: Any) -> None:
        counts = _wanted(share, offsets) if arguments["n_clusters"] is not None else result.n_clusters
        check(np.array_equal(result.n_clusters, counts), "numbers of clusters")
        _check_problems(result.labels, offsets, counts)

    return Call(latom.ward_batch, arguments, verify, [X], X.sane)


def pool_tokens(rng: np.random.Generator) -> Call:
    X = inputs.rows(rng, inputs.sizes(rng), sparse=False)
    offsets = _offsets(rng, len(X.exact))
    kept = int(rng.integers(0, 3))
    arguments = {"X": X.X, "offsets": offsets, "protected": kept, "random_state": seed(rng)}
    arguments |= pick(rng, [{}, {"pool_factor": 2.0}, {"max_tokens": kept + 3}, {"distance_threshold": 0.7}])
    arguments["method"] = pick(rng, ["ward+kmeans", "ward", "kmeans"])
    if "distance_threshold" in arguments:
        arguments["method"] = "ward"

    def verify(result: Any) -> None:
        pooled, places = result
        check(places.shape == offsets.shape and places[0] == 0 and places[-1] == len(pooled), "offsets")
        check((np.diff(places) <= np.diff(offsets)).all(), "more vectors than tokens")
        lengths = np.linalg.norm(pooled.astype(np.float64), axis=1)
        check(((np.abs(lengths - 1) < 1e-5) | (lengths == 0)).all(), "lengths")

    return Call(latom.pool_tokens, arguments, verify, [X], X.sane)


def maxsim(rng: np.random.Generator) -> Call:
    Q, D = two_rows(rng, sparse=False)
    at, of = _offsets(rng, len(Q.exact)), _offsets(rng, len(D.exact))
    k = int(rng.integers(1, len(of)))

    def verify(result: Any) -> None:
        values, indices = result
        check(values.shape == indices.shape == (len(at) - 1, k), "shapes")
        S, size = Q.exact @ D.exact.T, np.abs(Q.exact) @ np.abs(D.exact).T
        want = np.zeros((len(at) - 1, len(of) - 1))
        for q in range(len(at) - 1):
            for j in range(len(of) - 1):
                part = S[at[q] : at[q + 1], of[j] : of[j + 1]]
                want[q, j] = part.max(axis=1).sum() if part.size else 0
        slack = 1e-12 * Q.exact.shape[1] * (size.max(initial=0) + 1e-300) * max(1, len(Q.exact))
        near(values, -np.sort(-want, axis=1)[:, :k], slack, "scores")
        near(values, np.take_along_axis(want, indices, axis=1), slack, "score of an index")

    arguments = {"queries": Q.X, "documents": D.X, "k": k, "query_offsets": at, "document_offsets": of}
    return Call(latom.maxsim, arguments, verify, [Q, D], Q.sane and D.sane)


def _labels(rng: np.random.Generator, n: int) -> np.ndarray:
    labels = rng.integers(0, int(rng.integers(2, n)), n)
    labels[:3] = [0, 0, 1]
    return pick(rng, [labels, labels.astype(str), labels.astype(np.int8)])


def _some_rows(rng: np.random.Generator) -> inputs.Rows:
    n, d = inputs.sizes(rng)
    return inputs.rows(rng, (max(n, 3), d))


def silhouette(rng: np.random.Generator) -> Call:
    X = _some_rows(rng)
    labels, metric = _labels(rng, len(X.exact)), one_metric(rng)

    def verify(samples: Any) -> None:
        unit = scale(X.exact)
        D = -scores(X.exact / unit, X.exact / unit, metric)
        D = np.sqrt(np.maximum(D, 0)) if metric == "euclidean" else 1 + D
        kinds, inverse = np.unique(labels, return_inverse=True)
        sums = np.stack([D[:, inverse == j].sum(axis=1) for j in range(len(kinds))], axis=1)
        counts = np.bincount(inverse)
        own = np.arange(len(D)), inverse
        a = (sums[own] - np.diag(D)) / np.maximum(counts[inverse] - 1, 1)
        means = sums / counts
        means[own] = np.inf
        b = means.min(axis=1)
        top = np.maximum(a, b)
        want = np.where((counts[inverse] > 1) & (top > 1e-5), (b - a) / np.where(top > 0, top, 1), 0)
        check(samples.shape == (len(D),) and (np.abs(samples) <= 1).all(), "range")
        near(np.where(top > 1e-5, samples, 0), want, 1e-5, "silhouettes")

    arguments = {"X": X.X, "labels": labels, "metric": metric}
    return Call(latom.silhouette_samples, arguments, verify, [X], X.sane)


def davies_bouldin(rng: np.random.Generator) -> Call:
    X = _some_rows(rng)

    def verify(score: Any) -> None:
        check(score >= 0, "below 0")

    return Call(latom.davies_bouldin, {"X": X.X, "labels": _labels(rng, len(X.exact))}, verify, [X], X.sane)


def hierarchy(rng: np.random.Generator) -> Call:
    X = inputs.rows(rng, inputs.sizes(rng))
    n, d = X.exact.shape
    top = int(rng.integers(1, min(n, 4) + 1))
    levels = pick(rng, [(top,), (int(rng.integers(top, min(n, 9) + 1)), top)])
    arguments = {"X": X.X, "n_clusters": levels, "metric": one_metric(rng), "max_iter": 5}
    arguments |= {"n_resampling": int(rng.integers(0, 3)), "strategy": pick(rng, ["closest", "random"])}
    arguments["random_state"] = seed(rng)
    arguments["callback"] = None

    def function(X: Any, **options: Any) -> Any:
        model = latom.HierarchicalKMeans(**options).fit(X)
        centers = [C.toarray() if hasattr(C, "toarray") else C for C in model.cluster_centers_]
        return model.labels_, model.parents_, centers, model.predict(X)

    def verify(result: Any) -> None:
        labels, parents, centers, predicted = result
        check([C.shape for C in centers] == [(m, d) for m in levels], "centers")
        check(all(((c >= 0) & (c < m)).all() for c, m in zip(labels, levels, strict=True)), "labels")
        check(np.array_equal(labels[0], predicted), "labels_ is not predict(X)")
        for fine, coarse, parent in zip(labels, labels[1:], parents, strict=False):
            check(np.array_equal(parent[fine], coarse), "a row whose clusters do not lie in each other")

    return Call(function, arguments, verify, [X], X.sane, estimator=True)


def bisecting(rng: np.random.Generator) -> Call:
    X = inputs.rows(rng, inputs.sizes(rng))
    n, d = X.exact.shape
    arguments = {"X": X.X, "n_clusters": int(rng.integers(1, min(n, 6) + 1)), "metric": one_metric(rng)}
    arguments |= {"max_iter": 5, "bisecting_strategy": pick(rng, ["biggest_inertia", "largest_cluster"])}
    arguments |= {"random_state": seed(rng), "callback": None}

    def function(X: Any, **options: Any) -> Any:
        model = latom.BisectingKMeans(**options).fit(X)
        return model.labels_, model.cluster_centers_, model.inertia_, model.predict(X)

    def verify(result: Any) -> None:
        labels, centers, inertia, predicted = result
        check(centers.shape[1] == d and 1 <= len(centers) <= arguments["n_clusters"], "centers")
        check(set(labels.tolist()) == set(range(len(centers))), "labels")
        check(np.array_equal(labels, predicted) and inertia >= -1e-6, "labels_ is not predict(X), or inertia")

    return Call(function, arguments, verify, [X], X.sane, estimator=True)


def semdedup(rng: np.random.Generator) -> Call:
    X = inputs.rows(rng, inputs.sizes(rng))
    n, eps = len(X.exact), float(pick(rng, [0.0, 0.05, 0.5, 1.0]))
    arguments = {"X": X.X, "n_clusters": int(rng.integers(1, min(n, 5) + 1)), "eps": eps}
    arguments |= {"keep": pick(rng, ["farthest", "closest", "random"]), "random_state": seed(rng)}
    one = arguments["n_clusters"] == 1

    def verify(kept: Any) -> None:
        check(kept.shape == (n,) and kept.dtype == bool and kept.any(), "shape, dtype, or nothing kept")
        S = scores(X.exact[kept], X.exact[kept], "cosine")
        np.fill_diagonal(S, -2)
        check(not one or (1 - eps + 1e-6 >= S).all(), "two rows that are alike are kept")

    return Call(latom.semdedup, arguments, verify, [X], X.sane)


def loss_sample(rng: np.random.Generator) -> Call:
    X, C = two_rows(rng)
    size = int(rng.integers(1, 50))
    arguments = {"X": X.X, "size": size, "centers": C.X, "losses": rng.random(len(C.exact)) + 0.01}
    arguments |= {"lam": float(rng.random()), "z": float(pick(rng, [1.0, 2.0])), "random_state": seed(rng)}
    arguments["metric"] = one_metric(rng)

    def verify(result: Any) -> None:
        indices, weights = result
        check(indices.shape == weights.shape == (size,) and indices.dtype == np.int64, "shapes")
        check((indices >= 0).all() and (indices < len(X.exact)).all() and (weights > 0).all(), "draws")

    return Call(latom.loss_sample, arguments, verify, [X, C], X.sane and C.sane)


CALLS: dict[str, Callable[[np.random.Generator], Call]] = {
    "kmeans_batch": kmeans_batch,
    "ward_batch": ward_batch,
    "pool_tokens": pool_tokens,
    "maxsim": maxsim,
    "silhouette_samples": silhouette,
    "davies_bouldin": davies_bouldin,
    "HierarchicalKMeans": hierarchy,
    "BisectingKMeans": bisecting,
    "semdedup": semdedup,
    "loss_sample": loss_sample,
}

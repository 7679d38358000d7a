"""The public calls that the API fuzzer makes, each with arguments by chance and what its result must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import inputs
import numpy as np
import scipy.sparse as sp
from fuzzing import Finding, check, pick

import latom

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


def _metric(rng: np.random.Generator, *more: str) -> str:
    return str(pick(rng, [*METRICS, *more]))


def _two(rng: np.random.Generator, **options: Any) -> tuple[inputs.Rows, inputs.Rows]:
    n, d = inputs.sizes(rng)
    return inputs.rows(rng, (n, d), **options), inputs.rows(rng, (int(rng.integers(1, 24)), d), **options)


def _scale(*arrays: np.ndarray) -> float:
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


def _near(got: Any, want: Any, atol: Any, what: str) -> None:
    with np.errstate(all="ignore"):
        wrong = ~(np.abs(np.asarray(got, np.float64) - want) <= atol)
    if wrong.any():
        raise Finding(
            f"{what}: {np.asarray(got)[wrong][:3]} is not {np.broadcast_to(want, wrong.shape)[wrong][:3]}"
        )


# ---- nearest and best atoms


def assign(rng: np.random.Generator) -> Call:
    X, C = _two(rng)
    metric = _metric(rng)

    def verify(result: Any) -> None:
        labels, found = result
        check(labels.dtype == np.int32 and found.dtype == np.float64, "dtypes")
        check(labels.shape == found.shape == (len(X.exact),), "shapes")
        _check_labels(X.exact, C.exact, labels, found, metric)

    sane = X.sane and C.sane
    return Call(latom.assign, {"X": X.X, "centers": C.X, "metric": metric}, verify, [X, C], sane)


def _check_labels(
    X: np.ndarray, C: np.ndarray, labels: Any, found: Any, metric: str, tol: float = 1e-12
) -> None:
    unit = _scale(X, C) if metric == "euclidean" else 1.0
    want = scores(X / unit, C / unit, metric)
    check((labels >= 0).all() and (labels < len(C)).all(), "labels out of range")
    chosen = want[np.arange(len(want)), labels]
    slack = tol * max(1, X.shape[1])
    _near(chosen, want.max(axis=1), slack, "score of a label")
    if found is not None:
        _near(found / unit**2, chosen, 4 * slack, "score")


def topk(rng: np.random.Generator) -> Call:
    X, W = _two(rng, sparse=False)
    metric = _metric(rng, "dot", "dot")
    m = len(W.exact)
    arguments: dict[str, Any] = {"X": X.X, "atoms": W.X, "k": int(rng.integers(1, m + 1)), "metric": metric}
    arguments["bias"] = rng.standard_normal(m) if metric == "dot" and rng.random() < 0.5 else None
    arguments["activation"] = pick(rng, ["identity", "relu", "abs"]) if metric != "euclidean" else "identity"
    k, bias, activation = arguments["k"], arguments["bias"], arguments["activation"]

    def verify(result: Any) -> None:
        values, indices = result
        check(values.shape == indices.shape == (len(X.exact), k), "shapes")
        check(indices.dtype == np.int32, "dtype of indices")
        unit = _scale(X.exact, W.exact) if metric == "euclidean" else 1.0
        with np.errstate(all="ignore"):
            S = scores(X.exact / unit, W.exact / unit, metric, bias)
            size = scores(np.abs(X.exact), np.abs(W.exact), "dot", None if bias is None else np.abs(bias))
        slack = 1e-13 * max(1, X.exact.shape[1]) * (size if metric == "dot" else 4.0)
        key = np.abs(S) if activation == "abs" else np.maximum(S, 0) if activation == "relu" else S
        want = -np.sort(-key, axis=1)[:, :k]
        got = (np.abs(values) if activation == "abs" else values).astype(np.float64) / unit**2
        worst = np.max(slack, axis=1, keepdims=True) if metric == "dot" else slack
        step = EPS[values.itemsize] * np.abs(want) + np.finfo(values.dtype).smallest_subnormal / unit**2
        _near(got, want, worst + step, "values")
        here = np.take_along_axis(S, indices.astype(np.int64), axis=1)
        kept = values > 0 if activation == "relu" else np.ones(values.shape, bool)
        _near(np.where(kept, here, 0), np.where(kept, values / unit**2, 0), worst + step, "score of an index")
        distinct = all(len(set(i[j].tolist())) == j.sum() for i, j in zip(indices, kept, strict=True))
        check(distinct and (indices >= 0).all() and (indices < m).all(), "indices")

    return Call(latom.topk, arguments, verify, [X, W], X.sane and W.sane)


def above(rng: np.random.Generator) -> Call:
    X, W = _two(rng, sparse=False)
    metric = _metric(rng, "dot")
    n, m = len(X.exact), len(W.exact)
    threshold = pick(rng, [0.0, 0.5, -1.0, 1e300, rng.standard_normal(n)])

    def verify(result: Any) -> None:
        check(result.shape == (n, m) and result.has_sorted_indices, "shape or order")
        with np.errstate(all="ignore"):
            S = scores(X.exact, W.exact, metric)
            size = scores(np.abs(X.exact), np.abs(W.exact), "dot")
            if metric == "euclidean":
                size = size + (X.exact**2).sum(axis=1)[:, None] + (W.exact**2).sum(axis=1)
        slack = 1e-13 * max(1, X.exact.shape[1]) * (np.maximum(size, 1e-300) if metric != "cosine" else 1.0)
        stored = np.zeros((n, m), bool)
        stored[np.repeat(np.arange(n), np.diff(result.indptr)), result.indices] = True
        level = np.broadcast_to(np.reshape(threshold, (-1, 1)), (n, m))
        check(not (stored & (level - slack > S)).any(), "a score below the threshold")
        check(not (~stored & (level + slack < S)).any(), "a score above the threshold is missing")
        step = EPS[result.data.itemsize] * np.abs(S) + 1e-45
        _near(result.toarray()[stored], S[stored], (slack + step)[stored], "scores")

    arguments = {"X": X.X, "atoms": W.X, "threshold": threshold, "metric": metric}
    return Call(latom.above, arguments, verify, [X, W], X.sane and W.sane)


def encode(rng: np.random.Generator) -> Call:
    X, W = _two(rng, sparse=False)
    m, d = W.exact.shape
    arguments: dict[str, Any] = {"X": X.X, "W_enc": W.X, "k": int(rng.integers(1, m + 1))}
    arguments["b_enc"] = rng.standard_normal(m) if rng.random() < 0.5 else None
    arguments["b_pre"] = rng.standard_normal(d) if rng.random() < 0.5 else None
    arguments["activation"] = pick(rng, ["relu", "topk-relu", "identity", "abs"])

    def verify(codes: Any) -> None:
        check(codes.shape == (len(X.exact), m) and codes.has_sorted_indices, "shape or order")
        _check_codes(
            codes, X.exact, W.exact, *(arguments[name] for name in ("k", "activation", "b_enc", "b_pre"))
        )

    return Call(latom.encode, arguments, verify, [X, W], X.sane and W.sane)


def _check_codes(
    codes: Any, X: np.ndarray, W: np.ndarray, k: int, activation: str, b_enc: Any = None, b_pre: Any = None
) -> None:
    """Codes are the k best pre-activations of each row, or all that are above 0 where these are fewer."""
    with np.errstate(all="ignore"):
        P, size = X @ W.T, np.abs(X) @ np.abs(W).T
        for bias in (b_enc, None if b_pre is None else -(W @ b_pre)):
            if bias is not None:
                P, size = P + bias, size + np.abs(bias)
        if b_pre is not None:
            size = size + np.abs(W) @ np.abs(b_pre)
    slack = 1e-13 * max(1, X.shape[1]) * size + EPS[codes.data.itemsize] * np.abs(P) + 1e-44
    stored = np.zeros(P.shape, bool)
    stored[np.repeat(np.arange(len(P)), np.diff(codes.indptr)), codes.indices] = True
    count = stored.sum(axis=1)
    check((count <= k).all() and (codes.data != 0).all(), "more than k codes, or zeros")
    _near(codes.toarray(), np.where(stored, P, 0), slack, "codes")
    key = np.abs(P) if activation == "abs" else P
    if activation.endswith("relu"):
        check((codes.data > 0).all(), "codes below 0")
        check(not (~stored & (key > slack) & (count < k)[:, None]).any(), "a code above 0 is missing")
    worst = np.where(stored, key, np.inf).min(axis=1)
    best = np.where(stored, -np.inf, key).max(axis=1)
    check(not ((count == k) & (best > worst + 2 * slack.max(axis=1))).any(), "a better code is missing")


def decode(rng: np.random.Generator) -> Call:
    W = inputs.rows(rng, (int(rng.integers(1, 24)), int(rng.integers(1, 30))), sparse=False)
    codes = inputs.rows(rng, (int(rng.integers(1, 30)), len(W.exact)), sparse=True)
    bias = rng.standard_normal(W.exact.shape[1]) if rng.random() < 0.5 else None

    def verify(result: Any) -> None:
        eps = EPS[result.itemsize]
        with np.errstate(all="ignore"):
            A = codes.exact.astype(result.dtype).astype(np.float64)
            used = np.where(np.isfinite(W.exact), W.exact, 0)  # others have no code, or rows were refused
            want = A @ used + (0 if bias is None else bias)
            size = np.abs(A) @ np.abs(used) + (0 if bias is None else np.abs(bias))
        _near(result, want, 4 * eps * (A.shape[1] + 2) * size + 1e-38, "rows")

    return Call(
        latom.decode,
        {"codes": codes.X, "W_dec": W.X, "b_pre": bias},
        verify,
        [codes, W],
        codes.sane and W.sane,
    )


# ---- seeds


def _weights(rng: np.random.Generator, n: int) -> np.ndarray | None:
    if rng.random() < 0.5:
        return None
    weights = pick(
        rng, [rng.random(n), rng.integers(0, 3, n).astype(float), rng.random(n) * 1e90, np.ones(n)]
    )
    weights[int(rng.integers(n))] = 1.0
    return weights


def _seeding(function: Callable[..., Any], options: Callable[[np.random.Generator], dict[str, Any]]) -> Any:
    def make(rng: np.random.Generator) -> Call:
        X = inputs.rows(rng, inputs.sizes(rng))
        n = len(X.exact)
        m = int(rng.integers(1, min(n, 20) + 1))
        arguments = {"X": X.X, "n_clusters": m, "metric": _metric(rng), "sample_weight": _weights(rng, n)}
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
    n, metric = len(X.exact), _metric(rng)
    arguments = {
        "X": X.X,
        "size": int(rng.integers(1, 60)),
        "metric": metric,
        "sample_weight": _weights(rng, n),
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


# ---- k-means


def _kmeans(cls: Any, metric: str, batches: bool) -> Any:
    def make(rng: np.random.Generator) -> Call:
        X = inputs.rows(rng, inputs.sizes(rng))
        n, d = X.exact.shape
        m = int(rng.integers(1, min(n, 12) + 1))
        stop = int(rng.integers(0, 5))
        arguments = {"X": X.X, "sample_weight": _weights(rng, n), "n_clusters": m}
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
            _check_labels(X.exact, C, labels, None, metric)
            check(np.asarray(transformed).shape == (n, m), "transform")
            unit = _scale(X.exact, C) if metric == "euclidean" else 1.0
            S = scores(X.exact / unit, C / unit, metric)[np.arange(n), labels]
            total = float(weights @ (1 - S if metric == "cosine" else -S))
            slack = 1e-5 * total + 1e-12 * d * float(weights.sum())
            _near(inertia / unit**2, total, slack, "inertia_")

        return Call(function, arguments, verify, [X], X.sane, estimator=True)

    return make


# ---- factorizations


def _nmf(cls: Any, kind: str) -> Any:
    def make(rng: np.random.Generator) -> Call:
        signed = kind == "semi"
        X = inputs.rows(rng, inputs.sizes(rng), sparse=False if signed else None, positive=not signed)
        n, d = X.exact.shape
        k = int(rng.integers(1, min(n, d, 8) + 1))
        arguments: dict[str, Any] = {"X": X.X, "n_components": k, "random_state": int(rng.integers(2**32))}
        arguments |= {"max_iter": int(rng.integers(1, 30)), "tol": pick(rng, [0.0, 1e-4])}
        if kind == "nmf":
            arguments |= {
                "solver": pick(rng, ["hals", "cd", "mu"]),
                "init": pick(rng, [None, "random", "nndsvd", "nndsvda"]),
            }
            arguments |= {"alpha_W": pick(rng, [0.0, 0.0, 0.01]), "l1_ratio": pick(rng, [0.0, 0.5])}
            arguments["n_init"] = pick(rng, [1, 1, 2])
        if kind == "batch":
            arguments |= {"batch_size": int(rng.integers(1, 40)), "init": pick(rng, [None, "random"])}
        penalty = bool(arguments.get("alpha_W"))

        def function(X: Any, **options: Any) -> Any:
            model = cls(**options)
            W = model.fit_transform(X)
            return (
                W,
                model.components_,
                model.transform(X),
                getattr(model, "reconstruction_err_", None),
                model.n_iter_,
            )

        def verify(result: Any) -> None:
            W, H, again, error, _ = result
            check(W.shape == again.shape == (n, k) and H.shape == (k, d), "shapes")
            check((W >= 0).all() and (again >= 0).all() and (signed or (H >= 0).all()), "below 0")
            known = ~np.isnan(X.exact)  # NMF takes NaN for an entry that is missing
            A = np.where(known, X.exact, 0)
            unit = _scale(A)
            residual = A / unit - W.astype(np.float64) @ (H.astype(np.float64) / unit)
            loss = float(np.linalg.norm(residual[known]))
            length = float(np.linalg.norm(A / unit))
            best = loss
            if kind == "batch":  # W is of the pass, when H still changed
                best = float(
                    np.linalg.norm(A / unit - again.astype(np.float64) @ (H.astype(np.float64) / unit))
                )
            fine = signed or penalty or best <= 1.01 * length + 1e-6
            check(fine, f"a fit worse than none: {best} of {length}")
            if error is not None and np.ndim(error) == 0:
                _near(error / unit, loss, 1e-3 * loss + 2e-3 * length, "reconstruction_err_")

        # Products of dense rows are BLAS's, whose order is its own.
        return Call(function, arguments, verify, [X], X.sane, exact=False, estimator=True)

    return make


def nmf_batch(rng: np.random.Generator) -> Call:
    X = inputs.rows(rng, inputs.sizes(rng), sparse=False, positive=True)
    n, d = X.exact.shape
    k, starts = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    arguments = {"X": X.X, "n_components": k, "inits": starts, "max_iter": int(rng.integers(1, 20))}
    arguments |= {"random_state": int(rng.integers(2**32)), "tol": pick(rng, [0.0, 1e-4])}

    def verify(result: Any) -> None:
        check(result.W.shape == (starts, n, k) and result.H.shape == (starts, k, d), "shapes")
        check((result.W >= 0).all() and (result.H >= 0).all(), "below 0")

    return Call(latom.nmf_batch, arguments, verify, [X], X.sane, exact=False)


def encoder(rng: np.random.Generator) -> Call:
    X, W = _two(rng, sparse=False)
    m, d = W.exact.shape
    arguments: dict[str, Any] = {"X": X.X, "W_enc": W.X, "k": int(rng.integers(1, m + 1))}
    arguments |= {"b_pre": rng.standard_normal(d) if rng.random() < 0.5 else None, "random_state": 3}
    arguments["activation"] = pick(rng, ["relu", "topk-relu", "identity", "abs"])

    def function(X: Any, **options: Any) -> Any:
        model = latom.TopKEncoder(**options)
        codes = model.fit(X).transform(X)
        return codes, model.inverse_transform(codes)

    def verify(result: Any) -> None:
        codes, back = result
        check(codes.shape == (len(X.exact), m) and back.shape == X.exact.shape, "shapes")
        k, activation, b_pre = (arguments[name] for name in ("k", "activation", "b_pre"))
        _check_codes(codes, X.exact, W.exact, k, activation, b_pre=b_pre)

    return Call(function, arguments, verify, [X, W], X.sane and W.sane, estimator=True)


CALLS: dict[str, Callable[[np.random.Generator], Call]] = {
    "assign": assign,
    "topk": topk,
    "above": above,
    "encode": encode,
    "decode": decode,
    "kmeans_plusplus": _seeding(latom.kmeans_plusplus, _plusplus),
    "afkmc2": _seeding(latom.afkmc2, lambda rng: {"chain_length": int(rng.integers(1, 50))}),
    "kmeans_parallel": _seeding(
        latom.kmeans_parallel,
        lambda rng: {"rounds": int(rng.integers(1, 6)), "oversampling": float(rng.random() + 0.5)},
    ),
    "coreset": coreset,
    "weighted_sample": weighted_sample,
    "KMeans": _kmeans(latom.KMeans, "euclidean", False),
    "SphericalKMeans": _kmeans(latom.SphericalKMeans, "cosine", False),
    "MiniBatchKMeans": _kmeans(latom.MiniBatchKMeans, "euclidean", True),
    "MiniBatchSphericalKMeans": _kmeans(latom.MiniBatchSphericalKMeans, "cosine", True),
    "NMF": _nmf(latom.NMF, "nmf"),
    "MiniBatchNMF": _nmf(latom.MiniBatchNMF, "batch"),
    "SemiNMF": _nmf(latom.SemiNMF, "semi"),
    "nmf_batch": nmf_batch,
    "TopKEncoder": encoder,
}

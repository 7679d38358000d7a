"""Encoding: best atoms, codes, pursuit and training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import inputs
import numpy as np
from call import EPS, Call, near, one_metric, scale, scores, two_rows
from fuzzing import check, pick

import latom


def topk(rng: np.random.Generator) -> Call:
    X, W = two_rows(rng, sparse=False)
    metric = one_metric(rng, "dot", "dot")
    m = len(W.exact)
    arguments: dict[str, Any] = {"X": X.X, "atoms": W.X, "k": int(rng.integers(1, m + 1)), "metric": metric}
    arguments["bias"] = rng.standard_normal(m) if metric == "dot" and rng.random() < 0.5 else None
    arguments["activation"] = pick(rng, ["identity", "relu", "abs"]) if metric != "euclidean" else "identity"
    k, bias, activation = arguments["k"], arguments["bias"], arguments["activation"]

    def verify(result: Any) -> None:
        values, indices = result
        check(values.shape == indices.shape == (len(X.exact), k), "shapes")
        check(indices.dtype == np.int32, "dtype of indices")
        unit = scale(X.exact, W.exact) if metric == "euclidean" else 1.0
        with np.errstate(all="ignore"):
            S = scores(X.exact / unit, W.exact / unit, metric, bias)
            size = scores(np.abs(X.exact), np.abs(W.exact), "dot", None if bias is None else np.abs(bias))
        slack = 1e-13 * max(1, X.exact.shape[1]) * (size if metric == "dot" else 4.0)
        key = np.abs(S) if activation == "abs" else np.maximum(S, 0) if activation == "relu" else S
        want = -np.sort(-key, axis=1)[:, :k]
        got = (np.abs(values) if activation == "abs" else values).astype(np.float64) / unit**2
        worst = np.max(slack, axis=1, keepdims=True) if metric == "dot" else slack
        step = EPS[values.itemsize] * np.abs(want) + np.finfo(values.dtype).smallest_subnormal / unit**2
        near(got, want, worst + step, "values")
        here = np.take_along_axis(S, indices.astype(np.int64), axis=1)
        kept = values > 0 if activation == "relu" else np.ones(values.shape, bool)
        found = np.where(kept, values, 0).astype(np.float64) / unit**2
        near(np.where(kept, here, 0), found, worst + step, "score of an index")
        distinct = all(len(set(i[j].tolist())) == j.sum() for i, j in zip(indices, kept, strict=True))
        check(distinct and (indices >= 0).all() and (indices < m).all(), "indices")

    return Call(latom.topk, arguments, verify, [X, W], X.sane and W.sane)


def above(rng: np.random.Generator) -> Call:
    X, W = two_rows(rng, sparse=False)
    metric = one_metric(rng, "dot")
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
        near(result.toarray()[stored], S[stored], (slack + step)[stored], "scores")

    arguments = {"X": X.X, "atoms": W.X, "threshold": threshold, "metric": metric}
    return Call(latom.above, arguments, verify, [X, W], X.sane and W.sane)


def encode(rng: np.random.Generator) -> Call:
    X, W = two_rows(rng, sparse=False)
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
    near(codes.toarray(), np.where(stored, P, 0), slack, "codes")
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
        near(result, want, 4 * eps * (A.shape[1] + 2) * size + 1e-38, "rows")

    return Call(
        latom.decode,
        {"codes": codes.X, "W_dec": W.X, "b_pre": bias},
        verify,
        [codes, W],
        codes.sane and W.sane,
    )


def encoder(rng: np.random.Generator) -> Call:
    X, W = two_rows(rng, sparse=False)
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
    "topk": topk,
    "above": above,
    "encode": encode,
    "decode": decode,
    "TopKEncoder": encoder,
}

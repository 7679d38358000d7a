"""Codes by pursuit, by thresholds, and by dictionaries that are trained or grown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import inputs
import numpy as np
from call import EPS, Call, near, scale, scores, seed, two_rows
from fuzzing import check, pick

import latom


def _pursuit(function: Callable[..., Any], orthogonal: bool) -> Any:
    def make(rng: np.random.Generator) -> Call:
        X, W = two_rows(rng, sparse=False)
        m = len(W.exact)
        k = int(rng.integers(1, m + 1))
        arguments: dict[str, Any] = {"X": X.X, "atoms": W.X, "n_nonzero_coefs": k}
        if rng.random() < 0.2:
            arguments |= {"n_nonzero_coefs": None, "tol": float(rng.random() * 10)}
        if not orthogonal:
            arguments |= {"positive": bool(rng.random() < 0.3), "repeat": bool(rng.random() < 0.7)}

        def verify(codes: Any) -> None:
            check(codes.shape == (len(X.exact), m) and codes.has_sorted_indices, "shape or order")
            check("tol" in arguments or (np.diff(codes.indptr) <= k).all(), "too many coefficients")
            check(not arguments.get("positive") or (codes.data > 0).all(), "a coefficient below 0")
            if not (X.sane and W.sane):
                return
            A = codes.toarray().astype(np.float64)
            left = np.linalg.norm(X.exact - A @ W.exact, axis=1)
            size = np.linalg.norm(X.exact, axis=1) + 8 * np.abs(A) @ np.linalg.norm(W.exact, axis=1)
            slack = 64 * EPS[codes.data.itemsize] * size
            check((left <= np.linalg.norm(X.exact, axis=1) + slack).all(), "a residual longer than its row")

        return Call(function, arguments, verify, [X, W], X.sane and W.sane)

    return make


def threshold_encoder(rng: np.random.Generator) -> Call:
    X, W = two_rows(rng, sparse=False)
    m, d = W.exact.shape
    arguments: dict[str, Any] = {"X": X.X, "W_enc": W.X}
    arguments["threshold"] = pick(rng, [0.0, 0.5, rng.random(m)])
    arguments["b_enc"] = pick(rng, [None, rng.standard_normal(m)])
    level, bias = arguments["threshold"], arguments["b_enc"]

    def function(X: Any, **options: Any) -> Any:
        model = latom.ThresholdEncoder(**options).fit(X)
        codes = model.transform(X)
        return codes, model.inverse_transform(codes)

    def verify(result: Any) -> None:
        codes, back = result
        check(codes.shape == (len(X.exact), m) and back.shape == (len(X.exact), d), "shapes")
        P = X.exact @ W.exact.T + (0 if bias is None else bias)
        size = np.abs(X.exact) @ np.abs(W.exact).T + (0 if bias is None else np.abs(bias))
        slack = 1e-13 * d * size + EPS[codes.data.itemsize] * np.abs(P) + 1e-44
        found, wanted = codes.toarray(), np.where(level < P, P, 0)
        clear = np.abs(P - level) > slack
        near(np.where(clear, found, 0), np.where(clear, wanted, 0), slack, "codes")

    return Call(function, arguments, verify, [X, W], X.sane and W.sane, estimator=True)


def itda(rng: np.random.Generator) -> Call:
    X = inputs.rows(rng, inputs.sizes(rng), sparse=False)
    n, d = X.exact.shape
    arguments = {"X": X.X, "n_nonzero_coefs": int(rng.integers(1, 6)), "tol": float(rng.random())}
    arguments |= {"update": pick(rng, ["batch", "sequential"]), "algorithm": pick(rng, ["mp", "omp"])}
    arguments |= {"batch_size": int(rng.integers(1, 40)), "max_atoms": pick(rng, [None, 3, 50])}
    most = arguments["max_atoms"]
    arguments["callback"] = None

    def function(X: Any, **options: Any) -> Any:
        model = latom.ITDA(**options).fit(X)
        return model.components_, model.atom_indices_, model.transform(X)

    def verify(result: Any) -> None:
        atoms, indices, codes = result
        m = len(atoms)
        check(atoms.shape == (m, d) and indices.shape == (m,) and codes.shape == (n, m), "shapes")
        check((most is None or m <= most) and (indices >= 0).all() and (indices < n).all(), "atoms")
        lengths = np.linalg.norm(atoms.astype(np.float64), axis=1)
        check((np.abs(lengths - 1) < 1e-5).all(), "lengths of atoms")

    sane = X.sane and bool(X.exact.any())
    return Call(function, arguments, verify, [X], sane, estimator=True)


def autoencoder(rng: np.random.Generator) -> Call:
    X = inputs.rows(rng, inputs.sizes(rng), sparse=False)
    n, d = X.exact.shape
    m = int(rng.integers(1, 20))
    arguments = {"X": X.X, "n_latents": m, "k": int(rng.integers(1, m + 1)), "tied": bool(rng.random() < 0.5)}
    arguments |= {"selection": pick(rng, ["row", "row", "batch"]), "batch_size": int(rng.integers(1, 50))}
    arguments |= {"max_epochs": int(rng.integers(1, 4)), "optimizer": pick(rng, ["adam", "lazy-adam"])}
    arguments |= {"dead_steps": int(rng.integers(1, 4)), "pre_bias": pick(rng, ["median", "mean", None])}
    arguments |= {"multi_k": 2, "aux_k": pick(rng, ["auto", 0, 1]), "random_state": seed(rng)}
    arguments["contrast_weight"] = float(pick(rng, [0.0, 0.0, 0.1]))
    arguments["callback"] = None

    def function(X: Any, **options: Any) -> Any:
        model = latom.SparseAutoencoder(**options).fit(X)
        codes = model.transform(X)
        return model.components_, codes, model.inverse_transform(codes)

    def verify(result: Any) -> None:
        atoms, codes, back = result
        check(atoms.shape == (m, d) and codes.shape == (n, m) and back.shape == (n, d), "shapes")
        check(arguments["selection"] == "batch" or (np.diff(codes.indptr) <= arguments["k"]).all(), "codes")

    return Call(function, arguments, verify, [X], X.sane, estimator=True)


def relative(rng: np.random.Generator) -> Call:
    X = inputs.rows(rng, inputs.sizes(rng))
    n = len(X.exact)
    anchors = int(rng.integers(1, n + 1))
    selections = ["uniform", "kmeans++", "kmeans", "leverage"]
    arguments = {"X": X.X, "n_anchors": anchors, "selection": pick(rng, selections)}
    arguments |= {"metric": pick(rng, ["cosine", "euclidean"]), "random_state": seed(rng)}
    arguments["k"] = pick(rng, [None, int(rng.integers(1, anchors + 1))])

    def function(X: Any, **options: Any) -> Any:
        model = latom.RelativeRepresentation(**options).fit(X)
        return model.anchor_indices_, model.transform(X)

    def verify(result: Any) -> None:
        indices, relative = result
        check(len(set(indices.tolist())) == anchors and relative.shape == (n, anchors), "shapes")
        unit = scale(X.exact) if arguments["metric"] == "euclidean" else 1.0
        want = scores(X.exact / unit, X.exact[indices] / unit, arguments["metric"])
        if arguments["metric"] == "euclidean":
            want = -np.sqrt(-want)
        if arguments["k"] is not None:  # CSR
            here = np.repeat(np.arange(n), np.diff(relative.indptr)), relative.indices
            relative, want = relative.data, want[here]
        near(relative / unit, want, 2e-6 * np.sqrt(X.exact.shape[1]) + 1e-45 / unit, "similarities")

    return Call(function, arguments, verify, [X], X.sane, estimator=True)


CALLS: dict[str, Callable[[np.random.Generator], Call]] = {
    "matching_pursuit": _pursuit(latom.matching_pursuit, False),
    "orthogonal_matching_pursuit": _pursuit(latom.orthogonal_matching_pursuit, True),
    "ThresholdEncoder": threshold_encoder,
    "ITDA": itda,
    "SparseAutoencoder": autoencoder,
    "RelativeRepresentation": relative,
}

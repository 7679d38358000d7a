"""Singular vectors, projections of graphs, tensors, and ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import inputs
import numpy as np
from call import Call, scale, seed
from fuzzing import check, pick

import latom


def svd(rng: np.random.Generator) -> Call:
    X = inputs.rows(rng, inputs.sizes(rng))
    n, d = X.exact.shape
    k = int(rng.integers(1, min(n, d) + 1))
    arguments = {"X": X.X, "n_components": k, "random_state": seed(rng), "n_iter": int(rng.integers(0, 8))}

    def function(X: Any, **options: Any) -> Any:
        model = latom.TruncatedSVD(**options)
        codes = model.fit_transform(X)
        return model.components_, model.singular_values_, codes

    def verify(result: Any) -> None:
        V, s, codes = result
        check(V.shape == (k, d) and s.shape == (k,) and codes.shape == (n, k), "shapes")
        unit = scale(X.exact)
        want = np.linalg.svd(X.exact / unit, compute_uv=False)[:k]
        got = s.astype(np.float64) / unit
        check((got[:-1] >= got[1:]).all() and (got <= want * 1.0001 + 1e-4 * want[0]).all(), "values")
        if X.sane:
            G = V.astype(np.float64) @ V.T
            live = got > 1e-3 * max(got[0], 1e-300)
            check(np.allclose(G[np.ix_(live, live)], np.eye(int(live.sum())), atol=2e-3), "vectors")

    # Products of dense rows are BLAS's, whose order is its own.
    return Call(function, arguments, verify, [X], X.sane, exact=X.sparse, estimator=True)


def _graph(rng: np.random.Generator) -> inputs.Rows:
    n = inputs.sizes(rng)[0]
    return inputs.rows(rng, (n, n), sparse=True, positive=True)


def fast_rp(rng: np.random.Generator) -> Call:
    X = _graph(rng)
    n = len(X.exact)
    k = int(rng.integers(1, 20))
    arguments = {
        "X": X.X,
        "n_components": k,
        "random_state": seed(rng),
        "beta": float(pick(rng, [0.0, -0.5])),
    }
    arguments |= {"weights": pick(rng, [(1.0,), (0, 0, 1, 1), (1, 2)]), "normalize": bool(rng.random() < 0.5)}
    arguments["projection"] = pick(rng, ["sparse", "gaussian"])

    def function(X: Any, **options: Any) -> Any:
        return latom.FastRP(**options).fit_transform(X)

    def verify(found: Any) -> None:
        check(found.shape == (n, k), "shape")

    return Call(function, arguments, verify, [X], X.sane, estimator=True)


def pmi(rng: np.random.Generator) -> Call:
    X = _graph(rng)
    n = len(X.exact)
    k = int(rng.integers(1, min(n, 8) + 1))
    arguments = {"X": X.X, "n_components": k, "random_state": seed(rng), "window": int(rng.integers(1, 3))}

    def function(X: Any, **options: Any) -> Any:
        return latom.PMIFactorization(**options).fit_transform(X)

    def verify(found: Any) -> None:
        check(found.shape == (n, k), "shape")

    return Call(function, arguments, verify, [X], X.sane and bool(X.exact.any()), exact=False, estimator=True)


def rescal(rng: np.random.Generator) -> Call:
    n = int(rng.integers(1, 12))
    slices = [inputs.rows(rng, (n, n), positive=True, hard=0.05) for _ in range(int(rng.integers(1, 4)))]
    k = int(rng.integers(1, n + 1))
    arguments = {"X": [one.X for one in slices], "n_components": k, "random_state": seed(rng)}
    arguments |= {"init": pick(rng, ["nmf", "random"]), "max_iter": int(rng.integers(1, 15))}
    arguments["callback"] = None

    def function(X: Any, **options: Any) -> Any:
        model = latom.RESCAL(**options).fit(X)
        return model.A_, model.R_, model.loss_

    def verify(result: Any) -> None:
        A, R, _ = result
        check(A.shape == (n, k) and R.shape == (len(slices), k, k), "shapes")
        check((A >= 0).all() and (R >= 0).all(), "below 0")

    sane = all(one.sane for one in slices) and any(one.exact.any() for one in slices)
    return Call(function, arguments, verify, slices, sane, exact=False, estimator=True)


def cp(rng: np.random.Generator) -> Call:
    shape = tuple(int(s) for s in rng.integers(1, 8, int(rng.integers(2, 5))))
    X = rng.random(shape) * 10.0 ** rng.integers(-5, 5)
    k = int(rng.integers(1, 5))
    arguments = {"X": X.astype(pick(rng, ["f4", "f8", "f2"])), "n_components": k, "random_state": seed(rng)}
    arguments["max_iter"] = int(rng.integers(1, 15))
    arguments["callback"] = None

    def function(X: Any, **options: Any) -> Any:
        model = latom.NonNegativeCP(**options).fit(X)
        return model.factors_, model.weights_, model.reconstruct()

    def verify(result: Any) -> None:
        factors, weights, back = result
        check([F.shape for F in factors] == [(s, k) for s in shape], "shapes")
        check((weights >= 0).all() and back.shape == shape and (back >= 0).all(), "below 0")

    return Call(function, arguments, verify, [], True, exact=False, estimator=True)


def label_shift(rng: np.random.Generator) -> Call:
    n, kinds = inputs.sizes(rng)[0] + 3, int(rng.integers(1, 5))
    domains = rng.permutation(np.arange(n) % kinds)
    X = rng.dirichlet(np.ones(kinds), n).astype(pick(rng, ["f4", "f8"]))
    classes = int(rng.integers(1, kinds + 1))
    arguments = {"X": X, "domains": domains, "n_classes": classes, "n_init": 3, "nmf_max_iter": 30}
    arguments |= {"n_cells": int(rng.integers(classes, n + 1)), "random_state": seed(rng)}

    def function(X: Any, domains: Any, **options: Any) -> Any:
        model = latom.LatentLabelShift(**options).fit(X, domains)
        return model.class_prior_, model.cell_given_class_, model.labels_

    def verify(result: Any) -> None:
        prior, cells, labels = result
        check(prior.shape == (kinds, classes) and labels.shape == (n,), "shapes")
        check(np.allclose(prior.sum(axis=1), 1) and (prior >= 0).all(), "priors")
        check(np.allclose(cells.sum(axis=0), 1) and (cells >= 0).all(), "cells")

    return Call(function, arguments, verify, [], True, exact=False, estimator=True)


CALLS: dict[str, Callable[[np.random.Generator], Call]] = {
    "TruncatedSVD": svd,
    "FastRP": fast_rp,
    "PMIFactorization": pmi,
    "RESCAL": rescal,
    "NonNegativeCP": cp,
    "LatentLabelShift": label_shift,
}

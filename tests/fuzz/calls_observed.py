"""Factors from observed entries, and from some rows and columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import inputs
import numpy as np
from call import EPS, Call, near, scale, seed
from fuzzing import check, pick

import latom


def _chosen(rng: np.random.Generator) -> inputs.Rows:
    """What users chose: a sparse matrix of numbers that are not negative."""
    n, d = inputs.sizes(rng)
    return inputs.rows(rng, (n, max(d, 2)), sparse=True, positive=True)


def _shapes(X: inputs.Rows, k: int, users: Any, items: Any) -> None:
    n, m = X.exact.shape
    check(users.shape == (n, k) and items.shape == (m, k), "shapes of factors")


def als(rng: np.random.Generator) -> Call:
    X = _chosen(rng)
    k = int(rng.integers(1, 12))
    arguments = {"X": X.X, "factors": k, "regularization": float(pick(rng, [0.0, 0.01, 1.0]))}
    arguments |= {"alpha": float(pick(rng, [1.0, 2.5])), "iterations": int(rng.integers(1, 5))}
    arguments |= {"solver": pick(rng, ["auto", "cholesky", "cg", "block"]), "random_state": seed(rng)}
    arguments |= {"loss": pick(rng, ["implicit", "ials"]), "dtype": pick(rng, [np.float32, np.float64])}
    arguments["callback"] = None

    def function(X: Any, n_threads: int, **options: Any) -> Any:
        model = latom.AlternatingLeastSquares(num_threads=n_threads, **options).fit(X)
        return model.user_factors, model.item_factors, model.history_["objective"], model.transform(X)

    def verify(result: Any) -> None:
        users, items, objective, _ = result
        _shapes(X, k, users, items)
        exact = arguments["solver"] == "cholesky" and arguments["regularization"] and X.sane
        # Of sums of k products each, all of which are rounded, many of equal ones to the same side.
        weight = (k + 8) * (X.exact.size + arguments["alpha"] * np.abs(X.exact).sum())
        slack = 1e-6 + EPS[arguments["dtype"]().itemsize] * weight
        fell = objective[1:] <= objective[:-1] * (1 + 1e-4) + slack
        check(not exact or fell.all(), "the objective rises")

    sane = X.sane and bool(arguments["regularization"])  # without a ridge factors may leave their type
    return Call(function, arguments, verify, [X], sane, estimator=True)


def completion(rng: np.random.Generator) -> Call:
    X = inputs.rows(rng, inputs.sizes(rng), sparse=True)
    n, d = X.exact.shape
    k = int(rng.integers(1, 8))
    arguments = {"X": X.X, "n_components": k, "alpha": float(pick(rng, [0.0, 0.1, 1.0]))}
    arguments |= {
        "solver": pick(rng, ["auto", "cholesky", "cg", "sketch"]),
        "max_iter": int(rng.integers(1, 6)),
    }
    arguments |= {"fit_bias": bool(rng.random() < 0.5), "random_state": seed(rng)}
    arguments["nonnegative"] = bool(rng.random() < 0.2)
    if arguments["nonnegative"]:
        arguments["solver"] = "auto"
    arguments["callback"] = None

    def function(X: Any, **options: Any) -> Any:
        model = latom.MatrixCompletion(**options).fit(X)
        return model.row_factors_, model.components_, model.rmse_, model.predict([0], [0])

    def verify(result: Any) -> None:
        users, items, rmse, _ = result
        check(users.shape == (n, k) and items.shape == (k, d) and rmse >= 0, "shapes")
        stored = X.exact[X.exact != 0]
        spread = np.sqrt(np.mean((stored / scale(stored)) ** 2)) if stored.size else 0.0
        whole = arguments["solver"] == "cholesky" and arguments["alpha"] and X.sane and stored.size == X.X.nnz
        check(not whole or rmse / scale(stored) <= 1.05 * spread + 1e-6, "a fit worse than none")

    return Call(function, arguments, verify, [X], X.sane and X.X.nnz > 0, estimator=True)


def imputer(rng: np.random.Generator) -> Call:
    X = inputs.rows(rng, inputs.sizes(rng), sparse=False)
    missing = np.isnan(X.exact) | (rng.random(X.exact.shape) < 0.2)
    A = np.where(missing, np.nan, X.exact)
    arguments = {"X": A, "n_components": int(rng.integers(1, 6)), "random_state": seed(rng)}
    arguments |= {"max_iter": int(rng.integers(1, 6)), "scale": bool(rng.random() < 0.7)}

    def function(X: Any, **options: Any) -> Any:
        return latom.LowRankImputer(**options).fit_transform(X)

    def verify(filled: Any) -> None:
        check(filled.shape == A.shape, "shape")
        near(np.where(missing, 0, filled), np.where(missing, 0, X.exact), 0.0, "an observed value")

    return Call(function, arguments, verify, [X], X.sane and bool((~missing).any()), estimator=True)


def pointwise(rng: np.random.Generator) -> Call:
    X = _chosen(rng)
    k = int(rng.integers(1, 10))
    arguments = {"X": X.X, "n_components": k, "loss": pick(rng, ["bpr", "bpo", "nbpo", "nbpo_s", "nbpo_o"])}
    arguments |= {"max_iter": int(rng.integers(1, 4)), "random_state": seed(rng)}
    arguments["callback"] = None

    def function(X: Any, **options: Any) -> Any:
        model = latom.PointwiseFactorization(**options).fit(X)
        return model.user_factors, model.item_factors

    return Call(
        function,
        arguments,
        lambda found: _shapes(X, k, *found),
        [X],
        X.sane and bool(X.exact.any()),
        estimator=True,
    )


def ips(rng: np.random.Generator) -> Call:
    X = _chosen(rng)
    if X.sane:  # clicks, of 0 and 1
        clicks = (X.exact != 0).astype(float)
        X = inputs.Rows(inputs.stored_sparse(rng, clicks, "csr"), clicks, True, "clicks")
    k = int(rng.integers(1, 8))
    arguments = {"X": X.X, "n_components": k, "link": pick(rng, ["identity", "logistic"])}
    arguments |= {"max_iter": int(rng.integers(1, 6)), "random_state": seed(rng)}
    arguments["propensity"] = pick(rng, ["popularity", None, rng.uniform(0.2, 1, X.exact.shape[1])])
    arguments["callback"] = None

    def function(X: Any, **options: Any) -> Any:
        model = latom.IPSFactorization(**options).fit(X)
        return model.user_factors, model.item_factors

    sane = X.sane and bool(X.exact.any())
    return Call(function, arguments, lambda found: _shapes(X, k, *found), [X], sane, estimator=True)


def cur(rng: np.random.Generator) -> Call:
    A = inputs.rows(rng, inputs.sizes(rng), sparse=False)
    n, m = A.exact.shape
    rows, columns = int(rng.integers(1, n + 1)), int(rng.integers(1, m + 1))
    arguments = {"X": A.X, "n_rows": rows, "n_columns": columns, "random_state": seed(rng)}
    arguments["row_selection"] = pick(rng, ["uniform", "leverage", "kmeans++"])

    def function(X: Any, **options: Any) -> Any:
        model = latom.CUR(**options).fit(X)
        return model.row_indices_, model.column_indices_, model.C_, model.R_, model.reconstruct()

    def verify(result: Any) -> None:
        here, there, C, R, back = result
        check(here.shape == (rows,) and there.shape == (columns,) and back.shape == (n, m), "shapes")
        near(C, A.exact[:, there], 0.0, "columns")
        near(R, A.exact[here], 0.0, "rows")

    return Call(function, arguments, verify, [A], A.sane, exact=False, estimator=True)


CALLS: dict[str, Callable[[np.random.Generator], Call]] = {
    "AlternatingLeastSquares": als,
    "MatrixCompletion": completion,
    "LowRankImputer": imputer,
    "PointwiseFactorization": pointwise,
    "IPSFactorization": ips,
    "CUR": cur,
}

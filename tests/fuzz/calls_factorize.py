"""Factorization."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import inputs
import numpy as np
from call import Call, near, scale
from fuzzing import check, pick

import latom


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
        arguments["callback"] = None
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
            unit = scale(A)
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
                near(error / unit, loss, 1e-3 * loss + 2e-3 * length, "reconstruction_err_")

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


CALLS: dict[str, Callable[[np.random.Generator], Call]] = {
    "NMF": _nmf(latom.NMF, "nmf"),
    "MiniBatchNMF": _nmf(latom.MiniBatchNMF, "batch"),
    "SemiNMF": _nmf(latom.SemiNMF, "semi"),
    "nmf_batch": nmf_batch,
}

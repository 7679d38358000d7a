"""Codes of rows for components that stay, against SciPy's non-negative least squares."""

from __future__ import annotations

import core
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import nnls
from sklearn.datasets import load_digits

from latom import SemiNMF

Array = NDArray[np.floating]


def rows_and_components(kind: str, rng: np.random.Generator) -> tuple[Array, Array]:
    n, d, k = 70, 30, 12
    X, H = rng.standard_normal((n, d)), rng.standard_normal((k, d))
    if kind == "alike":  # sweeps crawl
        H = H[:1] + 1e-3 * H
    elif kind == "more components than columns":
        X, H = X[:, :8], H[:, :8]
    elif kind == "repeated":
        H[6:] = H[:6]
    elif kind == "zeros":
        H[[2, 5]] = 0
        X[::3] = 0
    elif kind == "scales":
        H *= 10.0 ** rng.integers(-6, 7, (k, 1))
        X *= 10.0 ** rng.integers(-6, 7, (n, 1))
    elif kind == "exact":
        X = rng.random((n, k)) * (rng.random((n, k)) < 0.5) @ H
    elif kind == "one":
        H = H[:1]
    return X, H


def errors(X: Array, W: Array, H: Array) -> NDArray[np.float64]:
    rest = X.astype(float) - W.astype(float) @ H.astype(float)
    return (rest**2).sum(axis=1)


def best_errors(X: Array, H: Array) -> NDArray[np.float64]:
    length = np.linalg.norm(H.astype(float), axis=1)  # nnls does not know of scales
    unit = H.astype(float) / np.where(length > 0, length, 1)[:, None]
    return np.array([nnls(unit.T, x, maxiter=10_000)[1] ** 2 for x in X.astype(float)])


def solve(X: Array, H: Array, W: Array, sweeps: int, threads: int = 1) -> float:
    wide = H.astype(float)
    G = wide @ wide.T
    curvature = max(0.0, float(np.linalg.eigvalsh(G)[0] - 1e-14 * np.abs(G).max()))
    return core.solve_rows(X, H, G, curvature, X @ H.T, W, sweeps, 1e-3, threads)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sweeps", [1, 40])
@pytest.mark.parametrize(
    "kind",
    ["plain", "alike", "more components than columns", "repeated", "zeros", "scales", "exact", "one"],
)
def test_every_row_is_at_its_optimum(kind, sweeps, dtype, rng):
    X, H = (np.ascontiguousarray(A, dtype) for A in rows_and_components(kind, rng))
    best, squares = best_errors(X, H), (X.astype(float) ** 2).sum(axis=1)
    for start in ("zero", "full"):
        W = np.zeros((len(X), len(H)), dtype)
        if start == "full":
            W[:] = rng.random(W.shape) * (np.linalg.norm(H, axis=1) > 0)
        told = solve(X, H, W, sweeps)
        assert (W >= 0).all()
        found, eps = errors(X, W, H), np.finfo(dtype).eps
        left = found - best - (1e-5 if dtype == np.float32 else 1e-8) * best
        # Codes that all but cancel are rounded as they are stored.
        stored = (W.astype(float) ** 2 * (H.astype(float) ** 2).sum(axis=1)).sum(axis=1)
        assert (left <= 100 * eps**2 * stored + eps * 10 * squares * eps + 1e-14 * squares).all()
        assert told == pytest.approx(found.sum(), rel=1e-4, abs=10 * eps * (squares + stored).sum())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_codes_have_the_same_bits_everywhere(dtype, rng):
    X, H = (np.ascontiguousarray(A, dtype) for A in rows_and_components("alike", rng))
    before, found = core.isa(), set()
    wide = H.astype(float)
    G, P = wide @ wide.T, X @ H.T
    for isa in core.available_isas():
        core.set_isa(isa)
        for threads in (1, 2, 5):
            W = np.zeros((len(X), len(H)), dtype)
            core.solve_rows(X, H, G, 0.0, P, W, 3, 0.0, threads)
            found.add(W.tobytes())
    core.set_isa(before)
    assert len(found) == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("settings", [{}, {"keep_fraction": 0.3}])
def test_semi_nmf_solves_digits_to_the_end(dtype, settings):
    X = np.ascontiguousarray(load_digits().data[:400] / 16, dtype)
    X -= X.mean(axis=0)
    model = SemiNMF(8, random_state=0, **settings)
    fitted = model.fit_transform(X)
    best = best_errors(X, model.components_)
    for W in (model.transform(X), fitted):
        assert (errors(X, W, model.components_) <= best * (1 + 2e-5)).all()
    assert model.reconstruction_err_**2 == pytest.approx(best.sum(), rel=2e-5)


def test_wrong_shapes_are_refused(rng):
    X, H = rows_and_components("plain", rng)
    G, P, W = H @ H.T, X @ H.T, np.zeros((70, 12))
    for wrong in (
        (X, H[:, :-1].copy(), G, 0.0, P, W),
        (X, H, G[:-1].copy(), 0.0, P, W),
        (X, H, G, 0.0, P[:-1].copy(), W),
        (X, H, G, 0.0, P, W[:, :-1].copy()),
        (X[:-1].copy(), H, G, 0.0, P, W),
    ):
        with pytest.raises(ValueError, match="solve_rows: "):
            core.solve_rows(*wrong)

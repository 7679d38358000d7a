"""Factorizations of X times a power: the answer is that of X, or a refusal says why there is none."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.sparse as sp

import latom

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

POWERS = [("float32", -120), ("float32", -80), ("float32", 80), ("float32", 110), ("float64", -460)]
POWERS += [("float64", -90), ("float64", 300), ("float64", 440)]
MODELS = {
    "hals": latom.NMF(4, random_state=0),
    "random": latom.NMF(4, init="random", random_state=0),
    "cd": latom.NMF(4, solver="cd", random_state=0),
    "mu": latom.NMF(4, solver="mu", random_state=0),
    "kullback": latom.NMF(4, solver="mu", beta_loss=1, random_state=0),
    "mini-batch": latom.MiniBatchNMF(4, batch_size=20, max_iter=30, random_state=0),
    "mini-batch kullback": latom.MiniBatchNMF(4, beta_loss=1, max_iter=30, random_state=0),
}


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    return rng.random((60, 4)) @ rng.random((4, 20)) + 0.1 * rng.random((60, 20))


def error(X, W, H, power):
    """||X - W H|| / ||X|| of factors of X 2**power."""
    half = power // 2
    W, H = np.ldexp(W.astype(float), -half), np.ldexp(H.astype(float), half - power)
    return np.linalg.norm(X - W @ H) / np.linalg.norm(X)


@pytest.mark.parametrize(("dtype", "power"), POWERS)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_the_fit_does_not_depend_on_the_scale(name, dtype, power, container, X):
    model = MODELS[name]
    wanted = error(X, model.fit_transform(X), model.components_, 0)
    scaled = container(np.ldexp(X.astype(dtype), power))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        W = model.fit_transform(scaled)
        again = model.transform(scaled)
    for codes in (W, again):
        assert codes.dtype == dtype
        assert error(X, codes, model.components_, power) == pytest.approx(wanted, rel=0.25)
    if "kullback" not in name:
        told = np.ldexp(model.reconstruction_err_, -power) / np.linalg.norm(X)
        true = error(X, W, model.components_, power)
        assert told**2 == pytest.approx(true**2, abs=1e-6 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("solver", ["hals", "mu"])
def test_penalties_starts_and_objectives_are_the_users(solver, X, rng):
    """In units in which nothing is divided, and in those in which all is."""
    W, H = rng.random((60, 4)), rng.random((4, 20))
    options = {"init": "custom", "solver": solver, "l1_ratio": 0.5, "max_iter": 20, "tol": 0}
    plain = latom.NMF(4, alpha_W=1e-3, alpha_H=2e-3, **options).set_params(l1_ratio=0.0)
    plain.fit(X, W=W, H=H)
    power = 60  # X and each penalty on squares grow by it
    scaled = latom.NMF(4, alpha_W=np.ldexp(1e-3, power), alpha_H=np.ldexp(2e-3, power), **options)
    scaled.set_params(l1_ratio=0.0)
    scaled.fit(np.ldexp(X, power), W=np.ldexp(W, power // 2), H=np.ldexp(H, power // 2))
    np.testing.assert_allclose(np.ldexp(scaled.components_, -power // 2), plain.components_, rtol=1e-9)
    objectives = np.ldexp(scaled.history_["objective"], -2 * power)
    np.testing.assert_allclose(objectives, plain.history_["objective"], rtol=1e-9)
    power = 40  # and of magnitudes one and a half times
    plain = latom.NMF(4, alpha_W=1e-3, alpha_H=2e-3, **options).set_params(l1_ratio=1.0)
    plain.fit(X, W=W, H=H)
    scaled = latom.NMF(4, alpha_W=np.ldexp(1e-3, 60), alpha_H=np.ldexp(2e-3, 60), **options)
    scaled.set_params(l1_ratio=1.0)
    scaled.fit(np.ldexp(X, power), W=np.ldexp(W, 20), H=np.ldexp(H, 20))
    np.testing.assert_allclose(np.ldexp(scaled.components_, -20), plain.components_, rtol=1e-9)


def test_batches_have_the_units_of_the_first(X):
    plain, scaled = (latom.MiniBatchNMF(4, init="random", random_state=0) for _ in range(2))
    for part in np.array_split(X, 3):
        plain.partial_fit(part)
        scaled.partial_fit(np.ldexp(part, 200))
    np.testing.assert_allclose(np.ldexp(scaled.components_, -100), plain.components_, rtol=1e-9)


@pytest.mark.parametrize(("dtype", "power"), POWERS)
def test_small_problems_have_units_of_their_own(dtype, power, X):
    both = np.stack([X, np.ldexp(X, power)]).astype(dtype)
    runs = latom.nmf_batch(both, 4, 2, random_state=0)
    for b, own in enumerate((0, power)):
        assert np.ldexp(runs.loss[b], -2 * own) < 1e-3 * np.linalg.norm(X) ** 2
        assert error(X, runs.W[b], runs.H[b], own) < 0.05
    starts = np.random.default_rng(0).random((1, 60, 4)), np.random.default_rng(1).random((1, 4, 20))
    plain = latom.nmf_batch(X, 4, starts, max_iter=5)
    scaled = latom.nmf_batch(np.ldexp(X, 200), 4, tuple(np.ldexp(A, 100) for A in starts), max_iter=5)
    np.testing.assert_allclose(np.ldexp(scaled.loss, -400), plain.loss, rtol=1e-9)


@pytest.mark.parametrize("factor", [1e200, 1e-200])
def test_numbers_whose_squares_cannot_be_held_are_refused(factor, X):
    for call in (
        latom.NMF(4).fit,
        latom.MiniBatchNMF(4).fit,
        latom.SemiNMF(4).fit,
        latom.SemiNMF(4, random_state=0, max_iter=3, tol=0).fit(X).transform,
        lambda Y: latom.nmf_batch(Y, 4, 2),
    ):
        with pytest.raises(ValueError, match=r"must have .* within \[1e-145, 1e145\]; got .* Scale X"):
            call(X * factor)


@pytest.mark.parametrize("factor", [1e-25, 1e-18, 1e18, 1e25])
@pytest.mark.parametrize("settings", [{}, {"init": "svd"}, {"solver": "mu"}])
def test_semi_nmf_refuses_float32_whose_products_it_cannot_hold(settings, factor, X):
    with pytest.raises(ValueError, match=r"X must have products that float32 can hold; got .* Scale X"):
        latom.SemiNMF(4, random_state=0, **settings).fit((X * factor).astype(np.float32))


def test_semi_nmf_mu_tells_of_its_constants(X):
    with pytest.warns(UserWarning, match="constants of solver='mu' are not small beside X"):
        latom.SemiNMF(4, solver="mu", random_state=0, max_iter=3, tol=0).fit(X * 1e-5)


@pytest.mark.parametrize("name", ["alpha_W", "alpha_H"])
@pytest.mark.parametrize("cls", [latom.NMF, latom.MiniBatchNMF])
def test_penalties_are_finite_and_large_ones_leave_nothing(cls, name, X):
    with pytest.raises(ValueError, match=f"{name} must be a finite number of at least 0; got inf"):
        cls(4, **{name: np.inf}).fit(X)
    for solver in ("hals", "cd") if cls is latom.NMF else ():
        model = cls(4, solver=solver, init="random", alpha_W=1e300, alpha_H=0.0, l1_ratio=1, max_iter=5)
        assert (model.fit_transform(X.astype(np.float32)) == 0).all()
        assert np.isfinite(model.components_).all()


@pytest.mark.parametrize("alpha", [0.01, np.float32(2), 1e300])
@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
def test_penalties_beyond_all_numbers_leave_nothing(alpha, l1_ratio, X):
    model = latom.NMF(4, solver="cd", alpha_W=alpha, l1_ratio=l1_ratio, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        for power in (-400, -100):
            scaled = np.ldexp(X, power)
            for W in (model.fit_transform(scaled), model.transform(scaled)):
                assert (W @ model.components_ < 1e-20 * scaled.max()).all()
            assert model.reconstruction_err_ == pytest.approx(np.linalg.norm(scaled))


@pytest.mark.parametrize("power", [-1060, -1000, 900])
@pytest.mark.parametrize("alpha", [0.0, 0.01])
def test_transform_with_components_at_the_ends_of_the_numbers(power, alpha, X):
    model = latom.NMF(4, solver="cd", random_state=0).fit(X)
    wanted = model.transform(X)
    model.components_ = np.ldexp(model.components_, power)
    model.alpha_W, model.l1_ratio = alpha, 0.0
    W = model.transform(np.ldexp(X, -60))
    if alpha and power < 0:  # a long row of codes would cost more than what it explains
        assert (W == 0).all()
    else:
        shift = -60 - power
        rel = 0.01 if power == -1060 else 1e-6  # subnormal components have lost bits
        with np.errstate(over="ignore"):
            assert np.allclose(np.ldexp(W, -shift), wanted, rtol=rel, atol=rel * wanted.max())

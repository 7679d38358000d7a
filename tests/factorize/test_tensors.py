"""RESCAL and non-negative CP: losses that fall, planted factors, plain statements."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.sparse as sp

import latom
from latom import _core
from latom.factorize.nonnegative_cp import khatri_rao, mttkrp
from latom.factorize.rank.alignment import unit_rows

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def relations(seed, n=40, k=3, slices=4):
    rng = np.random.default_rng(seed)
    A = rng.random((n, k)) * (rng.random((n, k)) < 0.45)
    A[np.arange(n), np.arange(n) % k] += 0.5
    R = rng.random((slices, k, k)) * (rng.random((slices, k, k)) < 0.6)
    return A, R, np.stack([A @ r @ A.T for r in R])


def agreement(found, truth):
    """The least cosine of matched columns, over the best matching."""
    cosine = unit_rows(found.T) @ unit_rows(truth.T).T
    return max(
        min(cosine[i, p[i]] for i in range(len(p))) for p in itertools.permutations(range(len(cosine)))
    )


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rescal_finds_what_is_planted_and_its_loss_falls(container, dtype):
    A, _, X = relations(0)
    best = None
    for seed in range(4):
        model = latom.RESCAL(3, max_iter=1500, tol=1e-9, random_state=seed)
        model.fit([container(part.astype(dtype)) for part in X])
        losses = model.history_["objective"]
        assert (np.diff(losses) <= 0).all()
        made = np.stack([model.A_ @ r @ model.A_.T for r in model.R_]).astype(np.float64)
        assert np.isclose(((made - X) ** 2).sum() / 2, model.loss_, rtol=1e-2, atol=1e-6 * (X**2).sum())
        assert (model.A_ >= 0).all()
        assert (model.R_ >= 0).all()
        assert np.allclose(model.A_.sum(axis=0), 1, atol=1e-5)
        if best is None or model.loss_ < best.loss_:
            best = model
    assert best.reconstruction_err_ < 0.03 * np.linalg.norm(X)
    assert agreement(best.A_, A) > 0.97


def test_rescal_of_any_sign_fits_exactly(rng):
    A, R = rng.standard_normal((30, 3)), rng.standard_normal((5, 3, 3))
    X = np.stack([A @ r @ A.T for r in R])
    model = latom.RESCAL(3, nonnegative=False, random_state=0, tol=1e-12).fit(X)
    assert model.reconstruction_err_ < 1e-4 * np.linalg.norm(X)


@pytest.mark.parametrize("cls", [latom.RESCAL, latom.NonNegativeCP])
def test_the_same_bits_for_threads_and_variants(cls):
    _, _, X = relations(1)
    given = X if cls is latom.NonNegativeCP else [sp.csr_array(part) for part in X]
    found, before = set(), _core.isa()
    try:
        for isa in _core.available_isas():
            _core.set_isa(isa)
            for threads in (1, 2, 5):
                model = cls(3, max_iter=20, random_state=0, n_threads=threads).fit(given)
                found.add((model.A_ if cls is latom.RESCAL else model.factors_[0]).tobytes())
    finally:
        _core.set_isa(before)
    assert len(found) == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(9, 8), (9, 8, 7), (5, 6, 4, 3)])
def test_cp_finds_what_is_planted_and_its_loss_falls(shape, dtype, rng):
    truth = [rng.random((size, 2)) * (rng.random((size, 2)) < 0.6) + 0.02 for size in shape]
    X = (truth[0] @ khatri_rao(truth[1:]).T).reshape(shape)
    model = latom.NonNegativeCP(2, max_iter=3000, tol=1e-7, random_state=1).fit(X.astype(dtype))
    losses = model.history_["objective"]
    close = 1e-6 if dtype == np.float32 else 1e-12
    assert (np.diff(losses) <= close * (X**2).sum()).all()
    made = model.reconstruct()
    assert np.allclose(made, X, atol=2e-2 * X.max())
    assert made.dtype == dtype
    assert np.isclose(((made - X) ** 2).sum() / 2, model.loss_, rtol=0.1, atol=1e-6 * (X**2).sum())
    assert (np.diff(model.weights_) <= 0).all()
    for F in model.factors_:
        assert np.allclose(F.sum(axis=0), 1, atol=1e-5)
    if len(shape) > 2:
        assert min(agreement(F, t) for F, t in zip(model.factors_, truth, strict=True)) > 0.98


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cp_starts_from_factors_that_are_given(dtype, rng):
    X = rng.random((7, 6, 5)).astype(dtype)
    whole = latom.NonNegativeCP(3, max_iter=40, tol=0, random_state=0).fit(X)
    half = latom.NonNegativeCP(3, max_iter=20, tol=0, random_state=0).fit(X)
    first, *others = half.factors_
    start = [first * half.weights_, *others]
    before = [F.copy() for F in start]
    rest = latom.NonNegativeCP(3, max_iter=20, tol=0, n_init=5, random_state=9).fit(X, factors=start)
    assert all(np.array_equal(a, b) for a, b in zip(start, before, strict=True))  # they are the user's
    assert rest.n_iter_ == 20
    assert rest.loss_ < half.loss_
    assert np.isclose(rest.loss_, whole.loss_, rtol=1e-2)  # like steps, but for the sizes of columns
    assert rest.history_["objective"][0] <= half.loss_ * (1 + 1e-6)
    empty = [F * [1, 1, 0] for F in start]
    assert latom.NonNegativeCP(3, max_iter=5, tol=0).fit(X, factors=empty).weights_[-1] == 0


def test_cp_refuses_factors_that_do_not_fit():
    X, model = np.ones((4, 3, 2)), latom.NonNegativeCP(2)
    good = [np.ones((size, 2)) for size in X.shape]
    with pytest.raises(TypeError, match=r"NonNegativeCP\.fit: factors must be a list of arrays.*; got int"):
        model.fit(X, factors=3)
    for factors, words in [
        (good[:2], r"one array per mode of X, 3; got 2"),
        ([good[0].T, *good[1:]], r"factors\[0\] must have .* shape \(4, 2\); got \(2, 4\)"),
        ([*good[:2], -good[2]], r"factors\[2\] must be finite and not negative"),
        ([*good[:2], good[2] * np.nan], r"factors\[2\] must be finite and not negative"),
    ]:
        with pytest.raises(ValueError, match=rf"NonNegativeCP\.fit: .*{words}"):
            model.fit(X, factors=factors)


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 5), (2, 3, 4, 5), (2, 1, 3, 2, 2)])
def test_unfolded_products_are_sums(shape, rng):
    X, factors = rng.random(shape), [rng.random((size, 3)) for size in shape]
    letters = "abcde"[: len(shape)]
    for mode in range(len(shape)):
        others = [m for m in range(len(shape)) if m != mode]
        terms = ",".join([letters, *(letters[m] + "z" for m in others)])
        wanted = np.einsum(f"{terms}->{letters[mode]}z", X, *(factors[m] for m in others))
        assert np.allclose(mttkrp(X, [factors[m] for m in others], mode), wanted)


@pytest.mark.parametrize("cls", [latom.RESCAL, latom.NonNegativeCP])
def test_refusals_of_both(cls):
    X = np.ones((2, 4, 4))
    for arguments, words in [
        ({"n_components": 0}, "n_components must be"),
        ({"max_iter": 0}, "max_iter must be"),
        ({"tol": -1}, "tol must be"),
        ({"verbose": -1}, "verbose must be"),
        ({"n_threads": 0}, "n_threads must be"),
        ({"random_state": -1}, "random_state must be"),
    ]:
        with pytest.raises(ValueError, match=rf"{cls.__name__}\.fit: {words}"):
            cls(**{"n_components": 2, **arguments}).fit(X)
    for bad in (-X, X * np.nan, X * np.inf):
        with pytest.raises(ValueError, match=rf"{cls.__name__}\.fit: "):
            cls(2).fit(bad)
    with pytest.raises(TypeError, match="callback must be callable or None"):
        cls(2, callback=3).fit(X)
    assert cls(2, callback=lambda state: True, random_state=0).fit(X).n_iter_ == 1


def test_refusals_of_shapes():
    for bad in ([], [np.ones((2, 3))], [np.eye(2), np.eye(3)], 3):
        with pytest.raises(ValueError, match=r"RESCAL\.fit: X must"):
            latom.RESCAL(2).fit(bad)
    with pytest.raises(ValueError, match="solver must be 'hals'; got 'mu'"):
        latom.NonNegativeCP(2, solver="mu").fit(np.ones((2, 2, 2)))
    with pytest.raises(ValueError, match="X must have at least two modes"):
        latom.NonNegativeCP(2).fit(np.ones(5))


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_half_precision_is_widened(kind):
    X = relations(2, n=12)[2]
    if kind == "bfloat16":
        torch = pytest.importorskip("torch")
        given = torch.tensor(X).to(torch.bfloat16)
        wide = given.to(torch.float32).numpy()
    else:
        given = X.astype(np.float16)
        wide = given.astype(np.float32)
    for model in (latom.NonNegativeCP, latom.RESCAL):
        half, exact = (model(2, max_iter=9, random_state=0).fit(rows) for rows in (given, wide))
        assert half.loss_ == exact.loss_
        made = half.factors_[0] if model is latom.NonNegativeCP else half.A_
        assert made.dtype == np.float32


def plain_updates(X, A, R):
    """One iteration of Krompass et al. as they state it."""
    for t, slice_ in enumerate(X):
        R[t] = R[t] * (A.T @ slice_ @ A) / (A.T @ A @ R[t] @ A.T @ A)
    above, below = np.zeros_like(A), np.zeros_like(A)
    for slice_, r in zip(X, R, strict=True):
        above += slice_ @ A @ r.T + slice_.T @ A @ r
        below += A @ (r @ A.T @ A @ r.T + r.T @ A.T @ A @ r)
    return A * above / below, R


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_rescal_takes_the_steps_of_its_paper(container):
    """A step by the plain ratio lowers the loss of this X, so that it is the one taken."""
    X = relations(0)[2]
    one, two = (
        latom.RESCAL(3, init="random", max_iter=i, tol=0, random_state=3).fit([container(x) for x in X])
        for i in (1, 2)
    )
    A, R = plain_updates(X, one.A_.copy(), one.R_.copy())
    made, wanted = (np.stack([a @ r @ a.T for r in rs]) for a, rs in ((two.A_, two.R_), (A, R)))
    assert np.allclose(made, wanted, rtol=1e-9)
    assert np.isclose(two.loss_, ((wanted - X) ** 2).sum() / 2)


def test_cp_minimizes_over_a_coordinate_at_a_time(rng):
    """After enough iterations no coordinate can be moved to a lower loss."""
    X = rng.random((6, 5, 4))
    model = latom.NonNegativeCP(2, max_iter=4000, tol=1e-10, random_state=0).fit(X)
    assert np.isclose(((model.reconstruct() - X) ** 2).sum() / 2, model.loss_)
    assert np.isclose(np.linalg.norm(model.reconstruct() - X), model.reconstruction_err_)
    factors = [F * model.weights_ if m == 0 else F for m, F in enumerate(model.factors_)]
    for mode, F in enumerate(factors):
        others = [G for m, G in enumerate(factors) if m != mode]
        G = np.prod([B.T @ B for B in others], axis=0)
        slope = F @ G - mttkrp(X, others, mode)
        scale = np.abs(mttkrp(X, others, mode)).max()
        assert (slope > -1e-5 * scale).all()
        assert (np.abs(slope[F > 1e-9]) < 1e-5 * scale).all()


@pytest.mark.parametrize("cls", [latom.RESCAL, latom.NonNegativeCP])
def test_callbacks_of_scikit_learn_are_heard(cls):
    pytest.importorskip("sklearn.callback")
    seen = []

    class Hear:
        def setup(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context, *, X, fitted_estimator):
            made = fitted_estimator.A_ if cls is latom.RESCAL else fitted_estimator.factors_[0]
            seen.append((context.task_name, made, X))
            return context.task_name == "iteration" and context.task_id == 2

        def teardown(self, estimator, context):
            pass

    X = relations(0, n=10)[2]
    model = cls(2, random_state=0).set_callbacks(Hear()).fit(X)
    assert model.n_iter_ == 3
    assert [name for name, _, _ in seen] == ["iteration"] * 3 + ["start", "fit"]
    assert all(given is X for _, _, given in seen)
    last = model.A_ if cls is latom.RESCAL else model.factors_[0]
    assert (seen[2][1] == last).all()
    assert (seen[1][1] != last).any()

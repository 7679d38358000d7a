"""NMF beside scikit-learn's: steps, starts, losses, missing entries, weights; scikit-learn's checks."""

from __future__ import annotations

import core
import hypothesis
import numpy as np
import pytest
import scipy.sparse as sp
from factors import matrix, start
from hypothesis import strategies as st
from sklearn.decomposition import NMF as SklearnNMF
from sklearn.utils.estimator_checks import parametrize_with_checks

import latom
from latom._base.backend import call
from latom._base.rows import Rows
from latom.factorize.non_negative_rows import NonNegativeRows

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

_MU = "multiplicative steps stop far from where transform, which starts elsewhere, stops; as in scikit-learn"
_STARTS = "starts are made from rows as they stand, so that a weight does not start as repeated rows do"
_NO_WEIGHTS = "solver='mu' takes no weights, and says so"


def expected_failed_checks(estimator):
    """Checks that cannot pass, each with its reason."""
    if not isinstance(estimator, latom.NMF):
        return {}
    weighted = ("equivalence_on_dense_data", "equivalence_on_sparse_data")
    failing = {f"check_sample_weight_{name}": _STARTS for name in weighted}
    if estimator.solver != "mu":
        return failing
    failing |= {f"check_sample_weights_{name}": _NO_WEIGHTS for name in ("list", "not_overwritten")}
    names = ("data_not_an_array", "general", "general(readonly_memmap=True)")
    return failing | {f"check_transformer_{name}": _MU for name in names}


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [
        latom.NMF(max_iter=500),  # as scikit-learn asks it of its own NMF
        latom.NMF(solver="cd", max_iter=500),
        latom.NMF(solver="mu", max_iter=500),
        latom.MiniBatchNMF(batch_size=10, max_iter=20, fresh_restarts=True),
    ],
    expected_failed_checks=expected_failed_checks,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(("solver", "loss"), [("cd", 2), ("mu", 2), ("mu", 1)])
@pytest.mark.parametrize("alpha", [0.0, 0.01])
def test_solvers_of_scikit_learn_step_by_step(dtype, sparse, solver, loss, alpha, rng):
    X = matrix(rng, dtype=dtype, sparse=sparse)
    first = start(rng, X, 7)
    options = {
        "init": "custom", "solver": solver, "beta_loss": loss, "max_iter": 25, "tol": 0,
        "alpha_W": alpha, "alpha_H": alpha / 2, "l1_ratio": 0.3,
    }  # fmt: skip
    theirs = SklearnNMF(7, **options)
    W = theirs.fit_transform(X, **{name: A.copy() for name, A in first.items()})
    ours = latom.NMF(7, **options)
    got = ours.fit_transform(X, **first)
    loose = 2e-3 if dtype == "float32" else 1e-8
    assert np.isclose(
        ours.reconstruction_err_, theirs.reconstruction_err_, rtol=5e-6 if loose > 1e-5 else 1e-10
    )
    assert np.allclose(got, W, rtol=loose, atol=loose)
    assert np.allclose(ours.components_, theirs.components_, rtol=loose, atol=loose)
    assert got.dtype == ours.components_.dtype == dtype


@pytest.mark.parametrize("init", ["nndsvd", "nndsvda"])
@pytest.mark.parametrize("sparse", [False, True])
def test_nndsvd_is_scikit_learns(init, sparse, rng):
    X = matrix(rng, sparse=sparse)
    options = {"init": init, "max_iter": 20, "tol": 0, "random_state": 0, "solver": "cd"}
    theirs, ours = SklearnNMF(5, **options).fit(X), latom.NMF(5, **options).fit(X)
    assert np.isclose(ours.reconstruction_err_, theirs.reconstruction_err_, rtol=1e-6)


@hypothesis.given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9)),
    sparse=st.booleans(),
    single=st.booleans(),
    alpha=st.sampled_from([0.0, 0.01, 1.0]),
    share=st.sampled_from([0.0, 0.3]),
    seed=st.integers(0, 2**20),
)
@hypothesis.settings(max_examples=40)
def test_the_objective_never_rises_and_is_what_it_says(shape, sparse, single, alpha, share, seed):
    rng = np.random.default_rng(seed)
    n, d, k = shape
    X = rng.random((n, d)) * (rng.random((n, d)) < 0.6)
    X = X.astype(np.float32 if single else np.float64)
    observed = rng.random((n, d)) >= share
    model = latom.NMF(k, init="random", max_iter=30, tol=0, alpha_W=alpha, l1_ratio=0.5, random_state=seed)
    W = model.fit_transform(sp.csr_array(X) if sparse else X, mask=observed if share else None)
    objective = model.history_["objective"]
    assert (np.diff(objective) <= 0).all()
    H = model.components_.astype(np.float64)
    W = W.astype(np.float64)
    loss = (((X - W @ H) * (observed if share else 1)) ** 2).sum() / 2
    penalty = alpha / 2 * (d * W.sum() + n * H.sum() + (d * (W**2).sum() + n * (H**2).sum()) / 2)
    total = (X.astype(np.float64) ** 2).sum() + 1e-9
    assert abs(objective[-1] - loss - penalty) <= (1e-5 if single else 1e-11) * (total + penalty)
    assert abs(model.reconstruction_err_**2 / 2 - loss) <= (1e-5 if single else 1e-11) * (total + penalty)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("solver", ["hals", "cd"])
def test_kkt_at_convergence(sparse, solver, rng):
    X = matrix(rng, 60, 40, sparse=sparse, rank=4)
    model = latom.NMF(3, solver=solver, tol=1e-7, max_iter=5000, random_state=0)
    W = model.fit_transform(X)
    assert model.n_iter_ < 5000
    H, wide = model.components_, X.toarray() if sparse else X
    for A, gradient in ((W, (W @ H - wide) @ H.T), (H, W.T @ (W @ H - wide))):
        scale = np.abs(wide).sum()
        assert np.abs(gradient[A > 0]).max() < 1e-5 * scale
        assert gradient.min() > -1e-5 * scale


@pytest.mark.parametrize("k", [4, 20])
def test_hals_is_ahead_of_cd(k, rng):
    X = matrix(rng, 300, 80, "float32", sparse=True)
    first = start(rng, X, k)
    options = {"init": "custom", "tol": 0, "max_iter": 15}
    hals = latom.NMF(k, **options).fit(X, **first)
    cd = latom.NMF(k, solver="cd", **options).fit(X, **first)
    assert hals.reconstruction_err_ < cd.reconstruction_err_


@pytest.mark.parametrize("solver", ["hals", "cd", "mu"])
@pytest.mark.parametrize("loss", [2, 1])
def test_bits_do_not_depend_on_threads_variant_or_index(solver, loss, rng):
    if loss == 1 and solver != "mu":
        pytest.skip("not offered")
    X = matrix(rng, 400, 90, "float32", sparse=True)
    first = start(rng, X, 12)
    seen = set()
    before = core.isa()
    try:
        for isa in core.available_isas():
            core.set_isa(isa)
            for threads, index in ((1, np.int32), (3, np.int64)):
                Y = sp.csr_array((X.data, X.indices.astype(index), X.indptr.astype(index)), shape=X.shape)
                model = latom.NMF(
                    12, init="custom", solver=solver, beta_loss=loss, max_iter=12, tol=0, n_threads=threads
                )
                W = model.fit_transform(Y, **first)
                if solver == "mu" and loss == 2:
                    continue  # a product of numpy's BLAS
                seen.add((W.tobytes(), model.components_.tobytes(), model.reconstruction_err_))
    finally:
        core.set_isa(before)
    assert len(seen) <= 1


def test_missing_entries_are_not_fitted(rng):
    W, H = rng.random((80, 3)), rng.random((3, 40))
    X = W @ H
    observed = rng.random(X.shape) > 0.3
    noisy = np.where(observed, X, 1e6)
    options = {"tol": 1e-9, "max_iter": 3000, "init": "random", "random_state": 1}
    by_mask = latom.NMF(3, **options)
    got = by_mask.fit_transform(noisy, mask=observed)
    assert np.abs(got @ by_mask.components_ - X).max() < 0.02
    by_nan = latom.NMF(3, **options)
    assert (by_nan.fit_transform(np.where(observed, X, np.nan)) == got).all()
    csr = sp.csr_array(noisy)
    by_csr = latom.NMF(3, **options)
    assert (
        np.abs(by_csr.fit_transform(csr, mask=sp.csr_array(observed)) @ by_csr.components_ - X).max() < 0.02
    )
    again = by_mask.transform(noisy, mask=observed)
    assert np.abs(again @ by_mask.components_ - X).max() < 0.05
    for held in (noisy, csr):  # what a random start is scaled by
        assert np.isclose(
            NonNegativeRows(call("test", 1), Rows("test", held), observed).mean(), X[observed].mean()
        )
    with pytest.raises(ValueError, match="mask must be boolean"):
        latom.NMF(3).fit(X, mask=observed.astype(int))
    with pytest.raises(ValueError, match="mask must be None with solver='mu'"):
        latom.NMF(3, solver="mu").fit(X, mask=observed)


@pytest.mark.parametrize("alpha", [0.0, 0.01])
def test_a_weight_is_a_repetition(alpha, rng):
    X = matrix(rng, 40, 30)
    weights = rng.integers(0, 4, 40)
    rows = np.repeat(np.arange(40), weights)
    first = start(rng, X, 5)
    # scikit-learn's scaling of alpha_H counts rows.
    # Under "hals" rows are swept until those beside them have had enough: same optimum, other path.
    options = {"init": "custom", "solver": "cd", "tol": 0, "max_iter": 20, "alpha_W": alpha}
    one = latom.NMF(5, alpha_H=alpha * len(rows) / 40, **options).fit(X, sample_weight=weights, **first)
    two = latom.NMF(5, alpha_H=alpha, **options).fit(X[rows], W=first["W"][rows], H=first["H"])
    assert np.allclose(one.components_, two.components_, rtol=1e-6, atol=1e-8)
    assert np.isclose(one.reconstruction_err_, two.reconstruction_err_)
    assert np.allclose(one.history_["objective"], two.history_["objective"])
    options["solver"] = "hals"
    one = latom.NMF(5, alpha_H=alpha * len(rows) / 40, **options).fit(X, sample_weight=weights, **first)
    two = latom.NMF(5, alpha_H=alpha, **options).fit(X[rows], W=first["W"][rows], H=first["H"])
    assert np.isclose(one.reconstruction_err_, two.reconstruction_err_, rtol=0.02)


@pytest.mark.parametrize("solver", ["hals", "cd", "mu"])
def test_transform_keeps_the_penalties(solver, rng):
    X = matrix(rng, dtype="float64")
    options = {"tol": 1e-9, "max_iter": 4000, "alpha_W": 0.01, "alpha_H": 0.002, "l1_ratio": 0.3}
    ours = latom.NMF(4, solver=solver, random_state=0, **options).fit(X)
    theirs = SklearnNMF(4, random_state=0, **options).fit(X)
    theirs.components_ = ours.components_
    new = X[::3] * 1.5
    settled = 5e-3 if solver == "mu" else 1e-4  # numbers that end at zero take mu long
    assert np.allclose(ours.transform(new), theirs.transform(new), atol=settled)
    ours.alpha_W = 0.0
    assert not np.allclose(ours.transform(new), theirs.transform(new), atol=2e-2)


# The loss of such a fit is what remains of sums a thousand million times as large.
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array, sp.csc_array])
@pytest.mark.parametrize("weighted", [False, True])
def test_error_of_a_fit_that_is_nearly_exact(container, weighted, rng):
    full = rng.random((300, 1)) @ (rng.random((1, 13)) + 0.1)
    X = np.where(rng.random((300, 1)) < 0.2, 0, full).astype(np.float32)
    weights = rng.uniform(0.5, 2, 300) if weighted else None
    model = latom.NMF(2, random_state=0, init="nndsvd", max_iter=60)
    W = model.fit_transform(container(X), sample_weight=weights)
    rest = X.astype(np.float64) - W.astype(np.float64) @ model.components_.astype(np.float64)
    error = np.sqrt((np.ones(300) if weights is None else weights) @ (rest**2).sum(axis=1))
    assert error < 1e-5 * np.linalg.norm(X)
    assert np.isclose(model.reconstruction_err_, error, rtol=0.02, atol=3e-8 * np.linalg.norm(X))


def test_transform_and_function(rng):
    X = matrix(rng)
    model = latom.NMF(4, random_state=0, tol=1e-8, max_iter=2000)
    W = model.fit_transform(X)
    assert np.allclose(model.transform(X), W, atol=1e-3)
    assert np.allclose(model.inverse_transform(W), W @ model.components_)
    for solver in ("hals", "cd", "mu"):
        got, H, n_iter = latom.non_negative_factorization(
            X, H=model.components_, update_H=False, solver=solver, tol=1e-6, max_iter=1000
        )
        assert H is model.components_
        assert n_iter > 1
        assert np.isclose(np.linalg.norm(X - got @ H), model.reconstruction_err_, rtol=1e-2)
    a, b, n_iter = latom.non_negative_factorization(
        X, n_components=4, random_state=0, tol=1e-8, max_iter=2000
    )
    assert (a == W).all()
    assert (b == model.components_).all()
    assert n_iter == model.n_iter_

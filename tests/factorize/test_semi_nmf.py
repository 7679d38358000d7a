"""SemiNMF: its updates against plain float64; losses, threads, types; scikit-learn's checks."""

from __future__ import annotations

import itertools
import pickle
import warnings

import core
import ml_dtypes
import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

import latom
from latom import SemiNMF
from latom._base import rows as prepared
from latom._base.backend import call
from latom.factorize import semi_nmf
from latom.factorize.row_blocks import RowBlocks
from latom.factorize.semi_nmf_steps import SemiNMFSteps


def planted(n=300, d=40, k=4, noise=0.05, seed=0, dtype=np.float64):
    """Rows made of k signed components with sparse non-negative codes."""
    rng = np.random.default_rng(seed)
    codes = rng.random((n, k)) * (rng.random((n, k)) < 0.5)
    return (codes @ rng.standard_normal((k, d)) + noise * rng.standard_normal((n, d))).astype(dtype)


def quiet_fit(model, X, **start):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit_transform(X, **start)


def largest(F, count):
    """What each column keeps of the SNMF reference's F [d, k]: ties included."""
    bar = np.sort(np.abs(F), axis=0)[-count]
    return np.where(np.abs(F) >= bar, F, 0)


def reference_updates(X, W, n_iter, keep_fraction=None):
    """The SNMF reference's multiplicative updates, in its letters, on A = X.T: losses, best F and G."""
    A, G, d = X.T, W.copy(), X.shape[1]
    losses, best = [], (np.inf, None, None)
    for _ in range(n_iter):
        F = A @ G @ np.linalg.inv(G.T @ G + 1e-6 * np.eye(G.shape[1]))
        if keep_fraction is not None:
            F = largest(F, int(np.ceil(keep_fraction * d)))
        lengths = np.maximum(np.linalg.norm(G, axis=0), 1e-8)
        G, F = G / lengths, F * lengths
        P, Q = A.T @ F, F.T @ F
        above = np.maximum(P, 0) + G @ np.maximum(-Q, 0)
        below = np.maximum(-P, 0) + G @ np.maximum(Q, 0) + 1e-6
        G = G * np.sqrt(above / below)
        losses.append(((A - F @ G.T) ** 2).sum())
        if losses[-1] < best[0] - 1e-4:
            best = (losses[-1], F, G)
    return losses, best[1], best[2]


# ---- the updates


@pytest.mark.parametrize("keep_fraction", [None, 0.2, 0.01])
def test_mu_follows_the_reference_step_by_step(keep_fraction):
    X = planted()
    W = np.random.default_rng(1).random((len(X), 6)) + 1e-6
    losses, F, G = reference_updates(X, W, 30, keep_fraction)
    model = SemiNMF(6, solver="mu", keep_fraction=keep_fraction, max_iter=30, tol=1e-4)
    codes = model.fit_transform(X, W=W)
    np.testing.assert_allclose(2 * model.history_["objective"], losses, rtol=1e-9)
    np.testing.assert_allclose(model.components_, F.T, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(codes, G, rtol=1e-6, atol=1e-9)
    assert np.isnan(model.history_["violation"]).all()
    if keep_fraction:
        assert np.array_equal((model.components_ != 0).sum(axis=1), (F != 0).sum(axis=0))


@pytest.mark.parametrize("refit", [False, True])
@pytest.mark.parametrize("keep_fraction", [None, 0.2])
def test_hals_first_iteration_is_least_squares_and_sweeps(keep_fraction, refit):
    X = planted(dtype=np.float64)
    W = np.random.default_rng(1).random((len(X), 5))
    model = SemiNMF(5, keep_fraction=keep_fraction, refit=refit, max_iter=1, tol=0)
    codes = model.fit_transform(X, W=W)
    unit = W / np.linalg.norm(W, axis=0)
    H = np.linalg.lstsq(unit, X, rcond=None)[0]
    if keep_fraction:
        H = largest(H.T, 8).T
        for j in np.flatnonzero(H.any(axis=0)) if refit else ():
            S = H[:, j] != 0
            H[S, j] = np.linalg.lstsq(unit.T[S] @ unit[:, S], unit.T[S] @ X[:, j], rcond=None)[0]
    np.testing.assert_allclose(model.components_, H, rtol=1e-6, atol=1e-8)
    error = ((X - codes @ H) ** 2).sum()
    assert model.reconstruction_err_ == pytest.approx(np.sqrt(error), rel=1e-7)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_loss_of_hals_does_not_rise(seed, dtype, monkeypatch):
    X = planted(seed=seed, dtype=dtype, noise=0.5)
    solved = SemiNMF(7, random_state=seed, tol=0, max_iter=40).fit(X)
    monkeypatch.setattr(semi_nmf, "solve_codes", lambda *rest: 0.0)  # codes as the last iteration left them
    model = SemiNMF(7, random_state=seed, tol=0, max_iter=40)
    W = model.fit_transform(X)
    rounding = (1e-6 if dtype == np.float32 else 1e-13) * float((X.astype(float) ** 2).sum())
    assert (np.diff(model.history_["objective"]) <= rounding).all()
    error = ((X.astype(float) - W.astype(float) @ model.components_.astype(float)) ** 2).sum()
    assert 2 * model.history_["objective"][-1] == pytest.approx(error, abs=2 * rounding)
    assert model.components_.dtype == W.dtype == dtype
    assert (W >= 0).all()
    assert np.array_equal(model.components_, solved.components_)
    assert 0.9 * error < solved.reconstruction_err_**2 <= error + rounding


def test_hals_beats_mu_from_the_same_start():
    X = planted(noise=0.3)
    W = np.random.default_rng(2).random((len(X), 6)) + 1e-6
    for keep_fraction, refit in ((None, False), (0.01, False), (0.2, True)):
        slow = SemiNMF(6, solver="mu", keep_fraction=keep_fraction, max_iter=200)
        quick = SemiNMF(6, keep_fraction=keep_fraction, refit=refit, max_iter=20, tol=0)
        slow.fit(X, W=W)
        quick.fit(X, W=W)
        assert quick.reconstruction_err_ <= slow.reconstruction_err_
        kept = [(m.components_ != 0).sum(axis=1) for m in (slow, quick)]
        assert np.array_equal(*kept)


def test_codes_are_optimal_for_their_components():
    """Karush-Kuhn-Tucker: no code can be changed alone to gain anything."""
    X = planted(noise=0.3)
    model = SemiNMF(6, random_state=0).fit(X)
    W, H = model.transform(X), model.components_
    gradient = W @ (H @ H.T) - X @ H.T
    scale = np.abs(X @ H.T).max()
    assert (gradient >= -1e-7 * scale).all()
    assert (np.abs(gradient[W > 0]) <= 1e-7 * scale).all()


@pytest.mark.parametrize("keep_fraction", [0.01, 0.11, 0.15, 1 / 3, 0.99])
def test_components_keep_that_share_rounded_up(keep_fraction):
    """And their codes are solved for once they are chosen."""
    X = planted(noise=0.3)
    model = SemiNMF(6, random_state=0, keep_fraction=keep_fraction, max_iter=30, tol=0)
    W = quiet_fit(model, X)
    assert ((model.components_ != 0).sum(axis=1) == np.ceil(keep_fraction * 40)).all()
    if 0.1 < keep_fraction < 0.9:  # components of one entry may share it: then many codes are best
        assert np.allclose(W, model.transform(X), atol=1e-6 * W.max())


def test_the_best_iteration_is_kept_where_the_loss_is_not_monotone():
    X = planted(noise=1.0, k=8)
    for refit in (False, True):
        model = SemiNMF(8, keep_fraction=0.1, refit=refit, random_state=3, max_iter=60, tol=0)
        W = quiet_fit(model, X)
        losses = 2 * model.history_["objective"]
        if not refit:
            assert (np.diff(losses) > 0).any(), "the example must rise somewhere"
        error = ((X - W @ model.components_) ** 2).sum()
        assert error == pytest.approx(model.reconstruction_err_**2)
        assert error <= losses.min() * (1 + 1e-9)
        assert ((model.components_ != 0).sum(axis=1) == 4).all()


def test_refit_lowers_the_loss_with_few_entries():
    X = planted(n=500, d=200, k=10, noise=0.5)
    errors = [
        SemiNMF(20, keep_fraction=0.02, refit=refit, random_state=0, max_iter=40).fit(X).reconstruction_err_
        for refit in (False, True)
    ]
    assert errors[1] < errors[0]


# ---- input and starts


def test_planted_components_are_found():
    X = planted(noise=0.0, k=3)
    model = SemiNMF(3, random_state=0, max_iter=500, tol=0)
    model.fit(X)
    assert model.reconstruction_err_ <= 1e-3 * np.linalg.norm(X)


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "torch", "memmap", "read-only", "Fortran"])
def test_rows_are_read_as_they_are_stored(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(prepared, "BLOCK_BYTES", 1)  # 64 rows: several blocks
    X = planted(dtype=np.float32)
    if kind == "float16":
        stored = X.astype(np.float16)
        wide = stored.astype(np.float32)
    elif kind in ("bfloat16", "torch"):
        stored = X.astype(ml_dtypes.bfloat16)
        wide = stored.astype(np.float32)
        if kind == "torch":
            torch = pytest.importorskip("torch")
            stored = torch.from_numpy(wide).to(torch.bfloat16)
    elif kind == "memmap":
        np.save(tmp_path / "X.npy", X)
        stored, wide = np.load(tmp_path / "X.npy", mmap_mode="r"), X
    elif kind == "read-only":
        stored, wide = X.copy(), X
        stored.flags.writeable = False
    else:
        stored, wide = np.asfortranarray(X), X
    for settings in ({}, {"keep_fraction": 0.1, "refit": True}, {"init": "svd"}, {"init": "kmeans"}):
        models = [SemiNMF(3, random_state=0, max_iter=5, tol=0, **settings) for _ in range(2)]
        W, wanted = models[0].fit_transform(stored), models[1].fit_transform(wide)
        assert np.array_equal(W, wanted), settings
        assert np.array_equal(models[0].components_, models[1].components_)
        assert np.array_equal(models[0].transform(stored), models[1].transform(wide))


def test_blocks_do_not_change_the_result_but_for_rounding(monkeypatch):
    X = planted()
    whole = SemiNMF(4, random_state=0, max_iter=10, tol=0).fit(X)
    monkeypatch.setattr(prepared, "BLOCK_BYTES", 1)
    parts = SemiNMF(4, random_state=0, max_iter=10, tol=0).fit(X)
    np.testing.assert_allclose(parts.components_, whole.components_, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    "settings", [{}, {"keep_fraction": 0.1}, {"keep_fraction": 0.05, "refit": True}, {"solver": "mu"}]
)
def test_the_number_of_threads_does_not_change_a_bit(settings):
    X = planted(n=700, d=60, dtype=np.float32)
    models = [
        SemiNMF(9, random_state=0, max_iter=6, tol=0, n_threads=threads, **settings) for threads in (1, 2, 5)
    ]
    codes = [model.fit_transform(X) for model in models]
    for model, W in zip(models[1:], codes[1:], strict=True):
        assert np.array_equal(W, codes[0])
        assert np.array_equal(model.components_, models[0].components_)
        assert np.array_equal(model.history_["objective"], models[0].history_["objective"])


@pytest.mark.parametrize("init", ["random", "svd", "kmeans"])
def test_starts_are_repeatable_and_positive(init):
    X = planted(dtype=np.float32)
    models = [SemiNMF(4, init=init, random_state=seed, max_iter=3, tol=0).fit(X) for seed in (0, 0, 1)]
    assert np.array_equal(models[0].components_, models[1].components_)
    assert models[0].reconstruction_err_ < np.linalg.norm(X)
    if init == "random":
        assert not np.array_equal(models[0].components_, models[2].components_)


def test_svd_start_is_the_positive_part_of_the_leading_singular_vectors():
    X = planted(k=3, noise=0.01)

    from latom.factorize.semi_nmf_init import initial_codes

    W = initial_codes(
        "test", RowBlocks(call("test", 1), prepared.Rows("test", X)), 3, "svd", np.random.default_rng(0)
    )
    U, S, _ = np.linalg.svd(X, full_matrices=False)
    for j in range(3):
        u = U[:, j] * np.sqrt(S[j])
        u = u if (np.maximum(u, 0) ** 2).sum() >= (np.minimum(u, 0) ** 2).sum() else -u
        np.testing.assert_allclose(W[:, j], np.maximum(u, 1e-6), atol=1e-6)


def test_custom_starts_and_warm_starts():
    X = planted(noise=0.3)
    first = SemiNMF(5, random_state=0, max_iter=40, tol=0)
    W = first.fit_transform(X)
    before = W.copy()
    again = SemiNMF(5, init="custom", max_iter=1, tol=0)
    again.fit(X, W=W)
    assert again.reconstruction_err_ <= first.reconstruction_err_ * (1 + 1e-9)
    assert np.array_equal(W, before), "W must not be written"
    again.fit(X, H=first.components_)
    assert again.reconstruction_err_ <= first.reconstruction_err_ * (1 + 1e-3)
    warm = SemiNMF(5, random_state=0, max_iter=2, tol=0, warm_start=True)
    errors = [warm.fit(X).reconstruction_err_ for _ in range(4)]
    assert all(later < sooner for sooner, later in itertools.pairwise(errors))


# ---- the rest of the interface


def test_transform_inverse_transform_and_names():
    X = planted(noise=0.0)
    model = SemiNMF(4, random_state=0, max_iter=300, tol=0).set_output(transform="default")
    W = model.fit_transform(X)
    np.testing.assert_allclose(model.transform(X), W, atol=1e-2 * np.abs(W).max())
    np.testing.assert_allclose(model.inverse_transform(W), X, atol=2e-2 * np.abs(X).max())
    np.testing.assert_allclose(model.inverse_transform(sp.csr_array(W)), model.inverse_transform(W))
    assert model.get_feature_names_out().tolist() == [f"seminmf{j}" for j in range(4)]
    copy = pickle.loads(pickle.dumps(model))
    assert np.array_equal(copy.transform(X[:9]), model.transform(X[:9]))


def test_bic_has_its_least_where_the_components_are():
    X = planted(k=4, noise=0.1)
    values = [SemiNMF(k, init="svd", max_iter=200, random_state=0).fit(X).bic(X) for k in (2, 3, 4, 6, 9)]
    assert int(np.argmin(values)) == 2
    model = SemiNMF(4, init="svd", random_state=0).fit(X)
    n, d = X.shape
    loss = ((X - model.transform(X) @ model.components_) ** 2).sum()
    wanted = np.log(loss / (n * d)) + 4 * (n + d) / (n * d) * np.log(n * d / (n + d))
    assert model.bic(X) == pytest.approx(wanted)


def test_history_callback_and_stops(capsys):
    X = planted(noise=0.5)
    states = []
    model = SemiNMF(
        4, random_state=0, tol=0, callback=lambda s: states.append(s) or s.iteration == 3, verbose=1
    )
    model.fit(X)
    assert model.n_iter_ == len(model.history_) == 3
    assert [s.iteration for s in states] == [1, 2, 3]
    assert isinstance(states[0], latom.FactorizationState)
    assert model.history_["objective"].tolist() == [s.objective for s in states]
    assert capsys.readouterr().out.count("SemiNMF: iteration") == 3
    settled = SemiNMF(4, random_state=0, max_iter=500).fit(X)
    assert settled.n_iter_ < 500
    last = settled.history_["objective"][-2:]
    assert last[0] - last[1] <= 1e-4 * last[1]
    with pytest.warns(ConvergenceWarning, match="still falling after max_iter=2 iterations"):
        SemiNMF(4, random_state=0, max_iter=2).fit(X)


def test_an_exception_in_the_callback_leaves_no_model():
    def interrupt(state):
        raise KeyboardInterrupt

    model = SemiNMF(3, callback=interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.fit(planted())
    assert not hasattr(model, "components_")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_degenerate_rows(dtype):
    X = np.zeros((20, 6), dtype)
    model = SemiNMF(3, random_state=0).fit(X)
    assert model.reconstruction_err_ == 0
    X[3] = 2
    model = SemiNMF(3, random_state=0, keep_fraction=0.5)
    assert np.isfinite(model.fit_transform(X)).all()
    assert SemiNMF(8, random_state=0).fit(planted(n=5, d=3, k=2).astype(dtype)).reconstruction_err_ < 1e-2
    one = SemiNMF(1, random_state=0, max_iter=50)
    one.fit(np.full((4, 1), -3.0, dtype))
    assert one.components_[0, 0] < 0
    assert one.reconstruction_err_ < 1e-3


def test_components_whose_codes_are_zero_stay_and_may_return():
    X = planted(noise=0.3)
    W = np.random.default_rng(0).random((len(X), 4))
    W[:, 2] = 0
    model = SemiNMF(4, max_iter=10, tol=0)
    codes = model.fit_transform(X, W=W)
    assert np.isfinite(model.components_).all()
    assert np.isfinite(codes).all()
    steps = SemiNMFSteps(RowBlocks(call("test", 1), prepared.Rows("test", X)), X.shape[1], False, "hals")
    begun = steps.start(W)
    begun.H[2] = 7
    np.testing.assert_allclose(steps.components(begun)[0][2], 7)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_not_finite_names_the_first_row(bad, dtype):
    X = planted().astype(dtype)
    fitted = SemiNMF(2, random_state=0, max_iter=2, tol=0).fit(X)
    X[[41, 77], 3] = bad
    with pytest.raises(ValueError, match=r"SemiNMF\.fit: X must be finite.*in row 41\."):
        SemiNMF(2).fit(X)
    with pytest.raises(ValueError, match=r"SemiNMF\.transform: X must be finite.*in row 41\."):
        fitted.transform(X)


def test_products_that_overflow_are_refused():
    with pytest.raises(ValueError, match="X must have products that float32 can hold"):
        SemiNMF(2, random_state=0).fit(planted(dtype=np.float32) * np.float32(1e30))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_components": 0}, "n_components must be a positive integer; got 0"),
        ({"solver": "cd"}, "solver must be 'hals' or 'mu'; got 'cd'"),
        ({"init": "nndsvd"}, "init must be 'random', 'svd', 'kmeans' or 'custom'; got 'nndsvd'"),
        ({"init": "custom"}, "W or H must be given with init='custom'"),
        ({"keep_fraction": 0}, r"keep_fraction must be None or in \(0, 1\]; got 0"),
        ({"keep_fraction": 1.5}, r"keep_fraction must be None or in \(0, 1\]; got 1.5"),
        ({"tol": -1}, "tol must be a finite number of at least 0; got -1"),
        ({"tol": np.nan}, "tol must be a finite number of at least 0; got nan"),
        ({"max_iter": 0}, "max_iter must be a positive integer; got 0"),
        ({"patience": 0}, "patience must be a positive integer; got 0"),
        ({"solver": "mu", "refit": True}, "refit must be False with solver='mu'"),
        ({"n_components": 50, "init": "svd"}, r"n_components must be at most min\(n, d\) = 40"),
        ({"n_components": 301, "init": "kmeans"}, "n_components must be at most the number of rows"),
        ({"random_state": "x"}, "random_state must be"),
    ],
)
def test_wrong_parameters_are_refused(settings, message):
    with pytest.raises(ValueError, match=rf"SemiNMF\.fit: {message}"):
        SemiNMF(**{"n_components": 3, **settings}).fit(planted())


def test_wrong_arrays_are_refused():
    X = planted()
    model = SemiNMF(3, random_state=0, max_iter=3, tol=0).fit(X)
    with pytest.raises(TypeError, match="X must be dense, not sparse"):
        SemiNMF(3).fit(sp.csr_array(X))
    with pytest.raises(ValueError, match=r"W must have shape \(300, 3\); got \(300, 4\)"):
        model.fit(X, W=np.ones((300, 4)))
    with pytest.raises(ValueError, match=r"W must be finite and not negative; got -1\.0 in row 5"):
        model.fit(X, W=np.where(np.arange(300)[:, None] == 5, -1.0, 1) * np.ones(3))
    with pytest.raises(ValueError, match=r"H must have shape \(3, 40\)"):
        model.fit(X, H=np.ones((3, 41)))
    with pytest.raises(ValueError, match="X must have a column for each of the 3 components; got 2"):
        model.inverse_transform(np.ones((5, 2)))


@parametrize_with_checks([SemiNMF(2, random_state=0)])
def test_scikit_learns_checks(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


def test_every_variant_gives_almost_the_same(isa):
    X = planted(dtype=np.float32)
    model = SemiNMF(4, random_state=0, max_iter=5, tol=0, keep_fraction=0.2).fit(X)
    assert core.isa() == isa
    W = model.transform(X)
    error = np.linalg.norm(X - W @ model.components_)
    assert error == pytest.approx(model.reconstruction_err_, rel=1e-4)

"""SemiNMF: its updates against plain float64; losses, starts, threads, types."""

from __future__ import annotations

import itertools
import warnings

import ml_dtypes
import numpy as np
import pytest
from factors import planted
from sklearn.exceptions import ConvergenceWarning

from latom import SemiNMF
from latom._base import rows as prepared
from latom._base.backend import call
from latom.factorize import semi_nmf
from latom.factorize.row_blocks import RowBlocks


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

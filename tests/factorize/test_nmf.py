"""NMF, MiniBatchNMF, non_negative_factorization, nmf_batch: what a user sees."""

from __future__ import annotations

import pickle
import signal
import threading
import time

import core
import hypothesis
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import strategies as st
from oracle import random_rows
from sklearn.decomposition import NMF as SklearnNMF
from sklearn.decomposition import MiniBatchNMF as SklearnMiniBatchNMF
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

import latom
from latom._base.backend import call
from latom._base.rows import Rows
from latom.factorize.non_negative_rows import NonNegativeRows

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

_MU = "multiplicative steps stop far from where transform, which starts elsewhere, stops; as in scikit-learn"


def expected_failed_checks(estimator):
    """Checks that cannot pass, each with its reason."""
    if getattr(estimator, "solver", "") != "mu":
        return {}
    names = ("data_not_an_array", "general", "general(readonly_memmap=True)")
    return {f"check_transformer_{name}": _MU for name in names}


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


def matrix(rng, n=120, d=50, dtype="float64", sparse=False, rank=6):
    X = rng.random((n, rank)) @ rng.random((rank, d)) + 0.5 * rng.random((n, d))
    if sparse:
        X[rng.random(X.shape) < 0.7] = 0
        return sp.csr_array(X.astype(dtype))
    return X.astype(dtype)


def start(rng, X, k):
    n, d = X.shape
    return {"W": rng.random((n, k)).astype(X.dtype), "H": rng.random((k, d)).astype(X.dtype)}


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


def test_history_callback_verbose_and_n_init(rng, capsys):
    X = matrix(rng)
    states = []
    model = latom.NMF(4, tol=0, max_iter=12, random_state=0, callback=states.append, verbose=1).fit(X)
    assert model.history_.dtype.names == ("iteration", "objective", "violation", "seconds")
    assert [s.iteration for s in states] == list(range(1, 13))
    assert (model.history_["objective"] == [s.objective for s in states]).all()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12
    assert lines[0].startswith("NMF: iteration 1, objective ")
    assert latom.NMF(4, tol=0, callback=lambda s: s.iteration == 3).fit(X).n_iter_ == 3


@pytest.mark.parametrize("solver", ["hals", "cd", "mu"])
@pytest.mark.parametrize("sparse", [False, True])
def test_starts_side_by_side_are_runs_one_by_one(sparse, solver):
    """Runs that end early among them, and more of them than go side by side; neither end has the best."""
    X = matrix(np.random.default_rng(0), sparse=sparse)
    options = {"init": "random", "max_iter": 40, "tol": 1e-2, "solver": solver}
    state = np.random.RandomState(10)
    single = [latom.NMF(30, random_state=state, **options).fit(X) for _ in range(7)]
    model = latom.NMF(30, random_state=10, n_init=7, **options).fit(X)
    assert len({run.n_iter_ for run in single}) > 1 or solver == "mu"  # looks at every tenth iteration
    errors = [run.history_["objective"][-1] for run in single]
    best = single[int(np.argmin(errors))]
    assert best not in (single[0], single[-1])
    assert model.n_iter_ == best.n_iter_
    # numpy's products of other widths may be rounded otherwise.
    np.testing.assert_allclose(model.history_["objective"], best.history_["objective"], rtol=1e-5)
    np.testing.assert_allclose(model.components_, best.components_, rtol=1e-2, atol=1e-3)


def test_starts_side_by_side_report_and_stop_by_themselves(rng, capsys):
    states = []

    def callback(state):
        states.append(state.iteration)
        return state.iteration == 5

    options = {"init": "random", "tol": 0, "random_state": 0}
    latom.NMF(4, n_init=3, verbose=1, callback=callback, **options).fit(matrix(rng))
    assert states == sorted([*range(1, 6)] * 3)  # by turns
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("NMF, start 3: iteration") for line in lines) == 5


def test_inputs_are_read_where_they_lie(rng, tmp_path):
    X = matrix(rng, dtype="float32")
    X.flags.writeable = False
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    first = start(rng, X, 3)
    kept = {name: A.copy() for name, A in first.items()}
    options = {"init": "custom", "max_iter": 5, "tol": 0}
    reference = latom.NMF(3, **options).fit_transform(X, **first)
    assert (latom.NMF(3, **options).fit_transform(mapped, **first) == reference).all()
    assert all((first[name] == kept[name]).all() for name in first)
    S = sp.csr_array(np.where(X > 1.5, X, 0))
    double = sp.csr_array((np.tile(S.data / 2, 2), np.tile(S.indices, 2), S.indptr * 2), shape=S.shape)
    double.indices = np.concatenate(
        [np.tile(S.indices[a:b], 2) for a, b in zip(S.indptr, S.indptr[1:], strict=False)]
    )
    double.data = np.concatenate(
        [np.tile(S.data[a:b] / 2, 2) for a, b in zip(S.indptr, S.indptr[1:], strict=False)]
    )
    got = [
        latom.NMF(3, **options).fit_transform(Y, **first) for Y in (S, S.tocsc(), sp.csr_matrix(S), double)
    ]
    assert all((got[0] == W).all() for W in got)
    model = pickle.loads(pickle.dumps(latom.NMF(3, **options).fit(X, **first)))
    assert (model.transform(X) >= 0).all()


@pytest.mark.parametrize("cls", [latom.NMF, latom.MiniBatchNMF])
def test_degenerate_matrices(cls, rng):
    for X in (np.zeros((5, 4)), np.eye(4), np.ones((1, 1)), sp.csr_array((6, 5)), np.ones((3, 200))):
        model = cls(2, init="random", max_iter=5, random_state=0)
        W = model.fit_transform(X)
        assert np.isfinite(W).all()
        assert np.isfinite(model.components_).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_components": 0}, "n_components must be a positive integer"),
        ({"init": "svd"}, "init must be"),
        ({"solver": "als"}, "solver must be"),
        ({"beta_loss": 0}, "beta_loss must be"),
        ({"beta_loss": 1}, "Invalid beta_loss"),
        ({"shuffle": True}, "shuffle must be False"),
        ({"tol": -1}, "tol must be"),
        ({"l1_ratio": 2}, "l1_ratio must be"),
        ({"alpha_H": "twice"}, "alpha_H must be"),
        ({"max_iter": 0}, "max_iter must be"),
        ({"n_init": 0}, "n_init must be"),
        ({"device": "cuda"}, "device must be"),
        ({"n_threads": 0}, "n_threads must be"),
        ({"init": "nndsvd", "n_components": 40}, "n_components <= min"),
    ],
)
def test_wrong_parameters_are_refused(options, message, rng):
    with pytest.raises(ValueError, match=message):
        latom.NMF(**options).fit(rng.random((20, 10)))


def test_wrong_data_is_refused(rng):
    X = rng.random((20, 10))
    for bad, message in ((-X, "Negative values"), (np.where(X > 0.5, np.inf, X), "infinity")):
        for Y in (bad, sp.csr_array(bad)):
            with pytest.raises(ValueError, match=message):
                latom.NMF(2).fit(Y)
    with pytest.raises(ValueError, match="NaN"):
        latom.NMF(2, solver="mu").fit(np.where(X > 0.5, np.nan, X))
    with pytest.raises(TypeError, match="same dtype as X"):
        latom.NMF(2, init="custom").fit(X, W=np.ones((20, 2), "f4"), H=np.ones((2, 10), "f4"))
    with pytest.warns(RuntimeWarning, match="provided W or H are ignored"):
        latom.NMF(2).fit(X, W=np.ones((20, 2)))
    with pytest.warns(ConvergenceWarning, match="Maximum number of iterations"):
        latom.NMF(2, max_iter=2, tol=1e-12).fit(X)
    with pytest.warns(UserWarning, match="cannot update zeros"):
        latom.NMF(2, solver="mu", init="nndsvd").fit(X)


def test_minibatch_is_scikit_learns(rng):
    for sparse in (False, True):
        for loss in (1, 2):
            X = matrix(rng, 130, 30, sparse=sparse)
            first = start(rng, X, 4)
            options = {
                "init": "custom", "batch_size": 32, "max_iter": 5, "beta_loss": loss, "alpha_W": 0.01,
                "l1_ratio": 0.5, "transform_max_iter": 20,
            }  # fmt: skip
            theirs = SklearnMiniBatchNMF(4, **options)
            W = theirs.fit_transform(X, **{name: A.copy() for name, A in first.items()})
            ours = latom.MiniBatchNMF(4, **options)
            assert np.allclose(ours.fit_transform(X, **first), W, rtol=1e-6, atol=1e-9)
            assert np.allclose(ours.components_, theirs.components_, rtol=1e-6, atol=1e-9)
            assert np.isclose(ours.reconstruction_err_, theirs.reconstruction_err_, rtol=1e-8)
            assert (ours.n_iter_, ours.n_steps_) == (theirs.n_iter_, theirs.n_steps_)
            theirs, ours = SklearnMiniBatchNMF(4, **options), latom.MiniBatchNMF(4, **options)
            for rows in np.array_split(np.arange(130), 4):
                theirs.partial_fit(X[rows], W=first["W"][rows], H=first["H"].copy())
                ours.partial_fit(X[rows], W=first["W"][rows], H=first["H"])
            assert np.allclose(ours.components_, theirs.components_, rtol=1e-6, atol=1e-9)
            assert np.allclose(ours.transform(X), theirs.transform(X), rtol=1e-6, atol=1e-9)


def test_minibatch_stops_where_scikit_learn_does(rng):
    """By the smoothed cost, after batches of 40 and one of 10."""
    steps = []
    for patience in (1, 2, 3):
        X = matrix(rng, 130, 30)
        first = start(rng, X, 4)
        options = {"init": "custom", "batch_size": 40, "max_no_improvement": patience, "tol": 0.0}
        theirs = SklearnMiniBatchNMF(4, **options).fit(X, **{name: A.copy() for name, A in first.items()})
        ours = latom.MiniBatchNMF(4, **options).fit(X, **first)
        assert (ours.n_iter_, ours.n_steps_) == (theirs.n_iter_, theirs.n_steps_)
        steps.append(ours.n_steps_)
    assert max(steps) < 200 * 4
    assert len(set(steps)) > 1


def test_batch_of_small_problems(rng):
    X = matrix(rng, 40, 20)
    runs = latom.nmf_batch(X, 3, 6, random_state=0)
    again = latom.nmf_batch(X, 3, 6, random_state=0)
    assert (runs.loss == again.loss).all()
    assert len(set(runs.loss)) == 6
    best = runs.loss.argmin()
    assert np.isclose(runs.loss[best], np.linalg.norm(X - runs.W[best] @ runs.H[best]) ** 2 / 2)
    reference = SklearnNMF(3, max_iter=500).fit(X).reconstruction_err_ ** 2 / 2
    assert runs.loss[best] < 1.05 * reference
    with pytest.raises(ValueError, match="inits must be an integer or starts"):
        latom.nmf_batch(X, 3, (np.ones((2, 40, 3)), np.ones((2, 4, 20))))
    with pytest.raises(ValueError, match="not negative"):
        latom.nmf_batch(-X, 3, 2)
    with pytest.raises(ValueError, match="a start for each"):
        latom.nmf_batch(np.stack([X, X]), 3, 3)


def test_ctrl_c_stops_within_a_second():
    X = random_rows(np.random.default_rng(0), 30_000, 4000, density=0.02, dtype=np.float32)
    model = latom.NMF(64, init="random", max_iter=10_000, tol=0, random_state=0)
    pressed = []

    def press():
        time.sleep(1.5)
        pressed.append(time.perf_counter())
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X)
    assert time.perf_counter() - pressed[0] < 1
    thread.join()
    assert not hasattr(model, "components_")

"""NMF's interface: history, callbacks, several starts, inputs, refusals, Ctrl-C."""

from __future__ import annotations

import pickle
import signal
import threading
import time

import numpy as np
import pytest
import scipy.sparse as sp
from factors import matrix, start
from oracle import random_rows
from sklearn.exceptions import ConvergenceWarning

import latom

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


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


def test_the_function_takes_what_the_estimator_takes(rng):
    X = rng.random((30, 8))
    mask, weights, states = rng.random(X.shape) < 0.8, rng.integers(1, 4, 30), []
    options = {"n_init": 3, "random_state": 0, "init": "random", "max_iter": 30, "tol": 0}
    W, H, n_iter = latom.non_negative_factorization(
        X, n_components=2, mask=mask, sample_weight=weights, callback=states.append, **options
    )
    model = latom.NMF(2, **options)
    assert (model.fit_transform(X, mask=mask, sample_weight=weights) == W).all()
    assert (model.components_ == H).all()
    assert len(states) == 3 * 30 == 3 * n_iter
    fixed, _, _ = latom.non_negative_factorization(X, H=H, n_components=2, update_H=False, mask=mask)
    model = latom.NMF(2, tol=1e-4)
    model.components_, model.n_components_, model.n_features_in_ = H, 2, 8
    assert (fixed == model.transform(X, mask=mask)).all()
    for update_H in (True, False):
        with pytest.raises(ValueError, match=r"^non_negative_factorization: sample_weight must have shape"):
            latom.non_negative_factorization(X, H=H, n_components=2, sample_weight=[1], update_H=update_H)


def test_mini_batches_leave_a_history(rng):
    X, states = rng.random((90, 8)), []
    model = latom.MiniBatchNMF(2, batch_size=20, max_iter=4, tol=0, random_state=0, callback=states.append)
    model.set_params(max_no_improvement=None).fit(X)
    assert len(model.history_) == model.n_iter_ == 4
    assert model.history_["objective"].tolist() == [state.objective for state in states]
    assert np.isnan(model.history_["violation"]).all()

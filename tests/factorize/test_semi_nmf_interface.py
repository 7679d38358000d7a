"""SemiNMF's interface: transform, bic, history, callbacks, odd data, refusals; scikit-learn's checks."""

from __future__ import annotations

import pickle
import warnings

import core
import numpy as np
import pytest
import scipy.sparse as sp
from factors import planted
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

import latom
from latom import SemiNMF
from latom._base import rows as prepared
from latom._base.backend import call
from latom.factorize.row_blocks import RowBlocks
from latom.factorize.semi_nmf_steps import SemiNMFSteps


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

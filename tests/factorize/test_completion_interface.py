"""What completion tells of itself: errors per iteration, scores, places and shapes that do not fit."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.model_selection import GridSearchCV

import latom
from latom._base.rows import Rows
from latom.factorize.observed import folds


def planted(seed, n=120, d=60, k=3, share=0.4, noise=0.05):
    rng = np.random.default_rng(seed)
    whole = rng.standard_normal((n, k)) @ rng.standard_normal((k, d)) + rng.standard_normal(d) + 2
    seen = rng.random((n, d)) < share
    return whole, np.where(seen, whole + noise * rng.standard_normal((n, d)), np.nan), rng


def as_csr(X):
    i, j = np.nonzero(~np.isnan(X))
    return sp.csr_array((X[i, j], (i, j)), shape=X.shape)


@pytest.mark.parametrize("solver", ["cholesky", "cg", "sketch"])
@pytest.mark.parametrize("options", [{}, {"fit_bias": False}, {"nonnegative": True}])
def test_the_history_holds_errors_of_each_iteration(solver, options):
    whole, X, rng = planted(0)
    hidden = np.where(np.isnan(X) & (rng.random(X.shape) < 0.1), whole, np.nan)
    states = []
    for most in (1, 3, 6):
        states.clear()
        model = latom.MatrixCompletion(
            4, solver=solver, tol=0, max_iter=most, random_state=0, callback=states.append, **options
        ).fit(X, validation=hidden)
        for places, field in ((~np.isnan(X), "rmse"), (~np.isnan(hidden), "validation_rmse")):
            i, j = np.nonzero(places)
            truth = X[i, j] if field == "rmse" else hidden[i, j]
            rmse = np.sqrt(np.mean((model.predict(i, j) - truth) ** 2))
            assert np.isclose(model.history_[field][-1], rmse, rtol=1e-6)
        assert np.isclose(model.rmse_, model.history_["rmse"][-1], rtol=1e-6)
    assert all(isinstance(state, latom.CompletionState) for state in states)
    assert [state.rmse for state in states] == model.history_["rmse"].tolist()
    assert (model.validation_scores_ == model.history_["validation_rmse"]).all()
    sparse = latom.MatrixCompletion(4, solver=solver, tol=0, max_iter=6, random_state=0, **options)
    sparse.fit(as_csr(X), validation=as_csr(hidden))
    assert (sparse.validation_scores_ == model.validation_scores_).all()
    alone = latom.MatrixCompletion(2, max_iter=2, random_state=0).fit(X)
    assert np.isnan(alone.history_["validation_rmse"]).all()
    assert not hasattr(alone, "validation_scores_")


def test_folds_hold_each_entry_out_once():
    X = as_csr(planted(1, 23, 17)[1])
    rows, out = Rows("f", X), np.zeros(X.shape)
    for kept, held_out in folds("f", rows, 5):
        assert abs(kept.array + held_out.array - X).max() == 0
        assert kept.entries + held_out.entries == X.nnz
        out += held_out.array.toarray()
        counts = np.diff(held_out.array.indptr) - np.diff(X.indptr) / 5
        assert np.abs(counts).max() < 1
    assert (out == X.toarray()).all()


def plain_score(model, X):
    """Rows folded in by dense least squares from what is not held out."""
    errors = []
    V = np.column_stack((model.components_.T, np.ones(X.shape[1])))
    offsets = model.mean_ + model.column_bias_
    for r, row in enumerate(X):
        seen = np.flatnonzero(~np.isnan(row))
        turn = (np.arange(len(seen)) + r) % 5
        for fold in range(5):
            kept, out = seen[turn != fold], seen[turn == fold]
            ridge = model.alpha * len(kept) if model.weighted_alpha else model.alpha
            A = V[kept].T @ V[kept] + max(ridge, model.alpha) * np.eye(V.shape[1])
            u = np.linalg.solve(A, V[kept].T @ (row[kept] - offsets[kept]))
            errors.extend(row[out] - V[out] @ u - offsets[out])
    return -np.sqrt(np.mean(np.square(errors)))


@pytest.mark.parametrize("weighted", [True, False])
def test_scores_are_those_of_plain_least_squares(weighted):
    _, X, _ = planted(2, 40, 30)
    X[5] = np.nan
    X[6, 1:] = np.nan
    model = latom.MatrixCompletion(3, weighted_alpha=weighted, random_state=0).fit(X[:30])
    wanted = plain_score(model, X)
    assert np.isclose(model.score(X), wanted, rtol=1e-6)
    assert np.isclose(model.score(as_csr(X)), wanted, rtol=1e-6)
    assert model.score(np.full((2, 30), np.nan)) == 0
    own = latom.MatrixCompletion(3, fit_bias=False, random_state=0).fit(X)
    assert -10 < own.score(X) < 0


@pytest.mark.parametrize("fitted", [np.float32, np.float64])
@pytest.mark.parametrize("scored", [np.float32, np.float64, np.float16])
def test_scores_are_of_rows_of_any_type(fitted, scored):
    _, X, _ = planted(2, 40, 30)
    model = latom.MatrixCompletion(3, random_state=0).fit(X.astype(fitted))
    rows = X.astype(scored)
    wanted = plain_score(model, rows.astype(np.float64))
    assert np.isclose(model.score(rows), wanted, rtol=1e-4)
    if scored != np.float16:
        assert np.isclose(model.score(as_csr(rows)), wanted, rtol=1e-4)


def test_validation_may_be_a_sparse_tensor():
    torch = pytest.importorskip("torch")
    whole, X, rng = planted(4, 40, 30)
    hidden = as_csr(np.where(np.isnan(X) & (rng.random(X.shape) < 0.2), whole, np.nan))
    tensor = torch.tensor(hidden.toarray()).to_sparse()
    one, other = (
        latom.MatrixCompletion(3, max_iter=5, random_state=0).fit(X, validation=given).history_
        for given in (hidden, tensor)
    )
    assert (one["validation_rmse"] == other["validation_rmse"]).all()
    assert np.isfinite(other["validation_rmse"]).all()


def test_a_grid_search_finds_the_rank():
    _, X, _ = planted(3, 150, 50, k=3, share=0.5, noise=0.3)
    model = latom.MatrixCompletion(alpha=0.01, max_iter=20, random_state=0)
    search = GridSearchCV(model, {"n_components": [1, 2, 3, 5, 8]}, cv=3).fit(X)
    assert search.best_params_ == {"n_components": 3}


def test_semi_nmf_scores_as_nmf_does(rng):
    X = rng.standard_normal((40, 8))
    model = latom.SemiNMF(3, random_state=0).fit(X[:30])
    W = model.transform(X)
    assert np.isclose(model.score(X), -((X - W @ model.components_) ** 2).sum() / 2)
    search = GridSearchCV(latom.SemiNMF(random_state=0, tol=0.01), {"n_components": [1, 4]}, cv=2).fit(X)
    assert search.best_params_ == {"n_components": 4}


def test_validation_that_does_not_fit_is_refused_in_the_users_words():
    _, X, _ = planted(0, 10, 6)
    model = latom.MatrixCompletion(2, random_state=0)
    for wrong in (X[:4], as_csr(X[:, :3])):
        with pytest.raises(
            ValueError, match=r"MatrixCompletion\.fit: validation must have the shape of X, \(10, 6\); got"
        ):
            model.fit(X, validation=wrong)
    with pytest.raises(ValueError, match=r"validation must have two dimensions"):
        model.fit(X, validation=X[0])
    with pytest.raises(TypeError, match=r"validation must not be masked.*filled\(numpy\.nan\)"):
        model.fit(X, validation=np.ma.masked_invalid(X))
    infinite = as_csr(X)
    infinite.data[0] = np.inf
    with pytest.raises(ValueError, match=r"MatrixCompletion\.fit: validation must"):
        model.fit(X, validation=infinite)


def test_places_beyond_the_model_are_refused():
    _, X, _ = planted(0, 10, 6)
    model = latom.MatrixCompletion(2, random_state=0).fit(X)
    assert model.predict(np.array([[0, 1]]), 2).shape == (1, 2)
    assert model.predict(3, 2).shape == ()
    for rows, columns, words in [
        ([10], [0], r"rows must be in \[0, 10\); got 10"),
        ([-1], [0], r"rows must be in \[0, 10\); got -1"),
        ([0], [6], r"columns must be in \[0, 6\); got 6"),
    ]:
        with pytest.raises(IndexError, match=r"MatrixCompletion\.predict: " + words):
            model.predict(rows, columns)
    with pytest.raises(ValueError, match="rows and columns must be of one shape"):
        model.predict([0, 1], [0, 1, 2])
    with pytest.raises(ValueError, match="rows must hold ints; got dtype float64"):
        model.predict([0.5], [1])


def test_the_imputer_hands_on_what_completion_takes():
    _, X, _ = planted(4, 60, 30)
    states = []
    options = {"solver": "cg", "fit_bias": False, "callback": states.append, "max_iter": 4, "tol": 0}
    imputer = latom.LowRankImputer(3, random_state=0, **options).fit(X)
    assert len(states) == imputer.n_iter_ == 4
    assert (imputer.completion_.row_bias_ == 0).all()
    assert imputer.completion_.solver == "cg"
    with pytest.raises(ValueError, match="solver must be"):
        latom.LowRankImputer(3, solver="svd").fit(X)

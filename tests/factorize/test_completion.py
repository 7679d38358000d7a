"""MatrixCompletion and LowRankImputer: they recover what is of low rank, and fill tables."""

from __future__ import annotations

import numpy as np
import plain_least_squares as plain
import pytest
import scipy.sparse as sp
from sklearn.utils.estimator_checks import parametrize_with_checks

from latom import LowRankImputer, MatrixCompletion


def planted(rng, n=150, d=120, k=3, oversampling=3.0):
    A = rng.standard_normal((n, k)) @ rng.standard_normal((k, d))
    seen = rng.random((n, d)) < oversampling * k * (n + d - k) / (n * d)
    return A, np.where(seen, A, np.nan)


def as_csr(X):
    i, j = np.nonzero(~np.isnan(X))
    return sp.csr_matrix((X[i, j], (i, j)), shape=X.shape)


@pytest.mark.parametrize("solver", ["auto", "cholesky", "cg", "sketch"])
def test_planted_matrices_come_back(solver, rng):
    for _ in range(3):
        A, X = planted(rng)
        options = {"fit_bias": False, "alpha": 1e-9, "tol": 0, "max_iter": 120, "random_state": 0}
        model = MatrixCompletion(3, solver=solver, **options).fit(X)
        said = model.row_factors_ @ model.components_
        assert np.linalg.norm(said - A) < 1e-5 * np.linalg.norm(A)
        assert model.rmse_ < 1e-5
        full = model.inverse_transform(model.transform(X))
        assert np.linalg.norm(full - A) < 1e-5 * np.linalg.norm(A)


def test_inexact_solvers_recover_where_the_exact_one_does():
    """The claim of Gu et al.: over the oversampling, each of them where "cholesky" does."""
    found = {solver: [] for solver in ("cholesky", "cg", "sketch")}
    for seed in range(12):
        A, X = planted(np.random.default_rng(seed), 60, 60, 2, (1.2, 1.8, 2.4, 3.5)[seed % 4])
        for solver, recovered in found.items():
            model = MatrixCompletion(
                2, solver=solver, fit_bias=False, alpha=1e-8, tol=1e-9, max_iter=150, random_state=0
            ).fit(X)
            error = np.linalg.norm(model.row_factors_ @ model.components_ - A)
            recovered.append(error < 1e-3 * np.linalg.norm(A))
    exact = np.array(found["cholesky"])
    assert exact[3::4].all()  # enough entries
    assert not exact[0::4].any()  # too few
    for solver in ("cg", "sketch"):
        assert np.array(found[solver])[exact].mean() >= 0.95


def test_a_start_needs_no_full_rank(rng):
    """Beside singular vectors that there are, components start by chance, and are used."""
    X = np.outer(rng.standard_normal(40), rng.standard_normal(30))
    X[::2, ::2] = np.nan
    model = MatrixCompletion(3, fit_bias=False, alpha=1e-8, tol=0, max_iter=100, random_state=0).fit(X)
    assert model.components_.any(axis=1).all()
    assert model.rmse_ < 1e-4


def test_dense_and_sparse_are_the_same_and_zeros_count(rng):
    _, X = planted(rng)
    X[0, :60:2] = 0.0
    options = {"max_iter": 5, "random_state": 0}
    one, other = (MatrixCompletion(3, **options).fit(form) for form in (X, as_csr(X)))
    assert (one.components_ == other.components_).all()
    assert (one.row_bias_ == other.row_bias_).all()
    seen = X.copy()
    seen[0, :60:2] = np.nan
    assert not (MatrixCompletion(3, **options).fit(seen).components_ == one.components_).all()


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_an_iteration_is_two_half_steps(bias, weighted, rng):
    _, X = planted(rng)
    S = as_csr(X)
    options = {
        "fit_bias": bias,
        "weighted_alpha": weighted,
        "solver": "cholesky",
        "random_state": 0,
        "alpha": 0.3,
    }
    one, two = (MatrixCompletion(3, max_iter=i, tol=0, **options).fit(X) for i in (1, 2))
    ridges = [0.3 * (np.diff(M.indptr) if weighted else np.ones(M.shape[0])) for M in (S, S.T.tocsr())]
    V, column = one.components_.T, one.column_bias_
    border = (lambda F: np.column_stack((F, np.ones(len(F))))) if bias else (lambda F: F)
    U, _ = plain.half_step(S, border(V), "observed", 1.0, ridges[0], column + one.mean_)
    row = U[:, 3] if bias else np.zeros(len(U))
    V, value = plain.half_step(S.T, border(U[:, :3]), "observed", 1.0, ridges[1], row + one.mean_)
    np.testing.assert_allclose(two.row_factors_, U[:, :3], atol=1e-9)
    np.testing.assert_allclose(two.components_, V[:, :3].T, atol=1e-9)
    assert two.history_["objective"][1] == pytest.approx(value + ridges[0] @ (U**2).sum(1))
    i, j = S.nonzero()
    said = two.predict(i, j)
    whole = (
        two.mean_
        + two.row_bias_[i]
        + two.column_bias_[j]
        + (two.row_factors_[i] * two.components_.T[j]).sum(1)
    )
    np.testing.assert_allclose(said, whole, atol=1e-12)
    errors = X[i, j] - said
    assert two.rmse_ == pytest.approx(np.sqrt((errors**2).mean()))
    np.testing.assert_allclose(
        two.inverse_transform(np.column_stack((two.row_factors_, two.row_bias_))[:, : 3 + bias])[i, j],
        said,
        atol=1e-12,
    )


def test_objectives_fall_and_validation_is_kept(rng):
    A, X = planted(rng)
    X += 0.3 * rng.standard_normal(X.shape)
    hidden = np.isnan(X) & (rng.random(X.shape) < 0.1)
    held_out = as_csr(np.where(hidden, A, np.nan))
    model = MatrixCompletion(3, alpha=0.01, random_state=0).fit(X, validation=held_out)
    assert (np.diff(model.history_["objective"]) <= 0).all()
    assert len(model.validation_scores_) == model.n_iter_
    i, j = held_out.nonzero()
    rmse = np.sqrt(((model.predict(i, j) - A[i, j]) ** 2).mean())
    assert model.validation_scores_[-1] == pytest.approx(rmse, rel=1e-6)
    assert rmse < 0.5


def test_non_negative_factors(rng):
    A = rng.random((100, 3)) @ rng.random((3, 80))
    X = np.where(rng.random(A.shape) < 0.5, A, np.nan)
    for bias in (False, True):
        model = MatrixCompletion(
            3, nonnegative=True, fit_bias=bias, alpha=1e-5, max_iter=200, tol=0, random_state=0
        )
        codes = model.fit(X).transform(X)
        assert model.components_.min() >= 0
        assert codes[:, :3].min() >= 0
        error = np.sqrt(np.mean((model.inverse_transform(codes) - A) ** 2))
        assert (
            error < (0.3 if bias else 0.05) * A.std()
        )  # around a mean, A is no sum of few non-negative products


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_and_dtypes(dtype, rng):
    X = planted(rng)[1].astype(dtype)
    models = [MatrixCompletion(3, random_state=0, n_threads=t, max_iter=4).fit(X) for t in (1, 2, 5)]
    for model in models:
        assert model.components_.dtype == model.transform(X).dtype == model.predict(0, 1).dtype == dtype
        assert (model.components_ == models[0].components_).all()


def test_empty_rows_and_odd_tables(rng):
    X = rng.standard_normal((6, 4))
    X[2] = np.nan
    X[:, 1] = np.nan
    for init in ("svd", "random"):
        model = MatrixCompletion(9, init=init, random_state=0).fit(X)
        assert np.isfinite(model.inverse_transform(model.transform(X))).all()
        assert model.row_bias_[2] == model.column_bias_[1] == 0
    nothing = MatrixCompletion(2, random_state=0).fit(np.full((3, 4), np.nan))
    assert not nothing.predict([0, 2], [1, 3]).any()
    with pytest.raises(ValueError, match="infinity"):
        MatrixCompletion(2).fit(np.array([[1.0, np.inf]]))
    for wrong in ({"solver": "qr"}, {"alpha": -1}, {"init": "zeros"}, {"n_components": 0}, {"fit_bias": 2}):
        with pytest.raises(ValueError, match=rf"MatrixCompletion.fit: {next(iter(wrong))} must"):
            MatrixCompletion(**wrong).fit(X)
    with pytest.raises(IndexError, match=r"rows must be in \[0, 6\); got 9"):
        model.predict([9], [0])
    with pytest.raises(ValueError, match="rows must hold ints"):
        model.predict([0.5], [0])


def test_tables_are_filled_in(rng):
    whole = rng.standard_normal((300, 2)) @ rng.standard_normal((2, 8)) * 10.0 ** np.arange(8) + np.arange(8)
    X = np.where(rng.random(whole.shape) < 0.2, np.nan, whole)
    imputer = LowRankImputer(2, alpha=1e-3, random_state=0)
    filled = imputer.fit_transform(X)
    seen = ~np.isnan(X)
    assert (filled[seen] == X[seen]).all()
    spread = whole.std(axis=0)
    errors = np.sqrt((((filled - whole) / spread) ** 2)[~seen].mean())
    assert errors < 0.2
    assert np.allclose(imputer.transform(X), filled)
    assert imputer.get_feature_names_out().tolist() == [f"x{j}" for j in range(8)]
    X[:, 3] = np.nan
    filled = imputer.fit_transform(X)
    assert not filled[:, 3].any()
    low, high = np.nanmin(X[:, 0]), np.nanmax(X[:, 0])
    assert ((filled[:, 0] >= low) & (filled[:, 0] <= high)).all()
    with pytest.raises(ValueError, match="scale must be"):
        LowRankImputer(scale=3).fit(X)


class Transformer(MatrixCompletion):
    """Without predict, which takes places where scikit-learn's checks pass rows."""

    @property
    def predict(self):
        raise AttributeError("predict")


@parametrize_with_checks([Transformer(2, max_iter=3, tol=0), LowRankImputer(2, max_iter=3)])
def test_scikit_learn(estimator, check):
    check(estimator)


# Rows alike leave nothing of X when its biases are gone, and without a ridge rounding alone to solve for.
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_do_not_follow_what_rounding_left(dtype):
    for seed in range(30):
        row = np.random.default_rng(seed).standard_normal((1, 13)).astype(dtype)
        model = MatrixCompletion(2, alpha=0.0, solver="cg", max_iter=4, random_state=seed)
        model.fit(sp.csc_array(np.tile(row, (12, 1))))
        assert max(np.abs(model.components_).max(), np.abs(model.row_factors_).max()) < 100
        assert model.rmse_ < (1e-5 if dtype == np.float32 else 1e-13)

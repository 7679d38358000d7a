"""AlternatingLeastSquares: what it learns, recommends and refuses."""

from __future__ import annotations

import pickle
import signal
import threading

import numpy as np
import plain_least_squares as plain
import pytest
import scipy.sparse as sp
from sklearn.utils.estimator_checks import parametrize_with_checks

from latom import AlternatingLeastSquares


def checkerboard(n=50):
    """Even users like even items and odd users odd ones, but for the item of their own number."""
    i = np.arange(n)
    return sp.csr_matrix(((i[:, None] + i) % 2 == 0).astype(float) - np.eye(n))


def counts(rng, n=80, m=60):
    return sp.csr_matrix(rng.poisson(0.3, (n, m)).astype(float))


def fitted(X, **options):
    return AlternatingLeastSquares(**{"factors": 8, "alpha": 3.0, "random_state": 0, **options}).fit(X)


@pytest.mark.parametrize("loss", ["implicit", "ials"])
@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_iterations_are_half_steps_in_turn(loss, exponent, rng):
    X, rule = counts(rng), {"implicit": "implicit", "ials": "weighted"}[loss]
    options = {"loss": loss, "reg_exponent": exponent, "dtype": np.float64, "solver": "cholesky"}
    model = fitted(X, iterations=1, **options)
    after = fitted(X, iterations=2, **options)
    ridges = []
    for matrix in (X, X.T.tocsr()):
        a, _ = plain.weights(matrix.data, rule, 3.0)
        total = np.array([a[s:e].sum() for s, e in zip(matrix.indptr, matrix.indptr[1:], strict=False)])
        ridges.append(0.01 * (total + matrix.shape[1]) ** exponent)
    U, _ = plain.half_step(X, model.item_factors, rule, 3.0, ridges[0])
    V, _ = plain.half_step(X.T, U, rule, 3.0, ridges[1])
    np.testing.assert_allclose(after.user_factors, U, atol=1e-9)
    np.testing.assert_allclose(after.item_factors, V, atol=1e-9)
    objective = plain.objective(X, U, V, rule, 3.0, *ridges)
    assert after.history_["objective"][1] == pytest.approx(objective, rel=1e-9)


@pytest.mark.parametrize("solver", ["auto", "cholesky", "cg", "block"])
@pytest.mark.parametrize("loss", ["implicit", "ials"])
def test_objectives_fall_to_one_place(loss, solver, rng):
    X = counts(rng)
    model = fitted(
        X, solver=solver, iterations=40, loss=loss, block_size=3, dtype=np.float64, regularization=1.0
    )
    objective = model.history_["objective"]
    assert (np.diff(objective) <= 1e-9 * objective[:-1]).all()
    best = fitted(X, solver="cholesky", iterations=40, loss=loss, dtype=np.float64, regularization=1.0)
    assert objective[-1] == pytest.approx(best.history_["objective"][-1], rel=0.01)
    ridge = np.ones(80), np.ones(60)
    rule = {"implicit": "implicit", "ials": "weighted"}[loss]
    plainly = plain.objective(X, model.user_factors, model.item_factors, rule, 3.0, *ridge)
    assert objective[-1] == pytest.approx(plainly, rel=1e-9)


def test_the_training_loss_is_the_mean_over_weights(rng):
    X = counts(rng)
    model = fitted(X, calculate_training_loss=True)
    weight = (3 * X.data - 1).sum() + X.shape[0] * X.shape[1]
    assert model.training_loss_ == pytest.approx(model.history_["objective"][-1] / weight)


@pytest.mark.parametrize("solver", ["auto", "cholesky", "cg", "block"])
def test_the_withheld_item_comes_first(solver):
    X = checkerboard()
    model = AlternatingLeastSquares(32, regularization=0, solver=solver, random_state=23).fit(X)
    assert np.isfinite(model.user_factors).all()
    assert np.isfinite(model.item_factors).all()
    ids, scores = model.recommend(np.arange(50), X, N=1)
    assert ids.dtype == np.int32
    assert ids.shape == scores.shape == (50, 1)
    assert (ids[:, 0] == np.arange(50)).all()
    again, same = model.recommend(np.arange(50), X, N=1, recalculate_user=True)
    assert (again == ids).all()
    np.testing.assert_allclose(same, scores, atol=1e-3)
    model = AlternatingLeastSquares(3, regularization=0, solver=solver, block_size=2, random_state=23).fit(X)
    similar, _ = model.similar_items(np.arange(50), N=10)
    assert ((similar - np.arange(50)[:, None]) % 2 == 0).all()
    similar, cosines = model.similar_users(7, N=5)
    assert (similar % 2 == 1).all()
    assert cosines[0] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("N", [1, 7, 60])
def test_recommendations_are_those_of_all_scores(N, rng):
    X = counts(rng).tolil()
    X[3] = 1.0
    X[4] = 0
    X = X.tocsr()
    X.eliminate_zeros()
    model = fitted(X)
    scores = model.user_factors.astype(float) @ model.item_factors.astype(float).T
    leave, among = [5, 9, 30], np.array([50, 2, 9, 17, 33])
    cases = [
        ({}, np.ones(60, bool), True),
        ({"filter_already_liked_items": False}, np.ones(60, bool), False),
        ({"filter_items": leave}, ~np.isin(np.arange(60), leave), True),
        ({"items": among}, np.isin(np.arange(60), among), True),
    ]
    for options, allowed, without in cases:
        ids, found = model.recommend(np.arange(80), X, N=N, **options)
        assert ids.shape == (80, min(N, allowed.sum()))
        for u in range(80):
            left = allowed.copy()
            if without:
                left[X[[u]].indices] = False
            places = np.flatnonzero(left)
            wanted = places[np.argsort(-scores[u, places], kind="stable")][: ids.shape[1]]
            assert ids[u, : len(wanted)].tolist() == wanted.tolist()
            assert (ids[u, len(wanted) :] == -1).all()
            assert np.isneginf(found[u, len(wanted) :]).all()
            one, score = model.recommend(u, X[[u]], N=N, **options)
            assert one.tolist() == wanted.tolist()
            np.testing.assert_allclose(score, scores[u, wanted], rtol=1e-5, atol=1e-6)
    ranked, _ = model.rank_items(0, X[[0]], among)
    assert ranked.tolist() == among[np.argsort(-scores[0, among])].tolist()


@pytest.mark.parametrize("N", [1, 5, 20])
def test_users_who_have_what_is_best(N, rng):
    """The best h items of each user are what it has."""
    m, have = 400, np.array([0, 1, 15, 16, 17, 64, 80, 81, 320, 380, 396, 399, 400])
    model = AlternatingLeastSquares(factors=6)
    model.user_factors = rng.standard_normal((len(have), 6)).astype(np.float32)
    model.item_factors = rng.standard_normal((m, 6)).astype(np.float32)
    order = np.argsort(-(model.user_factors.astype(float) @ model.item_factors.astype(float).T), axis=1)
    rows = np.repeat(np.arange(len(have)), have)
    columns = np.concatenate([order[u, :h] for u, h in enumerate(have)])
    X = sp.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(have), m))
    ids, _ = model.recommend(np.arange(len(have)), X, N=N)
    for u, h in enumerate(have):
        wanted = order[u, h : h + N].tolist()
        assert ids[u].tolist() == wanted + [-1] * (N - len(wanted))


def test_what_recommend_refuses(rng):
    X = counts(rng)
    model = fitted(X)
    for wrong in (X[:3].tocsc(), X[:3].tocoo(), X[:3].toarray()):
        with pytest.raises(ValueError, match="user_items must be a CSR matrix; got"):
            model.recommend([0, 1, 2], wrong)
    with pytest.raises(ValueError, match="one row per id"):
        model.recommend([0, 1], X[:3])
    with pytest.raises(IndexError, match=r"userid must be in \[0, 80\); got 80"):
        model.recommend(80, X[:1])
    for items in ([-1], [60]):
        with pytest.raises(IndexError, match="items must be in"):
            model.recommend(0, X[:1], items=items)
    with pytest.raises(ValueError, match="without filter_items; got both"):
        model.recommend(0, X[:1], items=[1], filter_items=[2])
    with pytest.raises(ValueError, match="N must be a positive integer"):
        model.recommend(0, X[:1], N=0)
    ids, scores = model.recommend(np.zeros(0, int), X[:0], N=3)
    assert ids.shape == scores.shape == (0, 3)
    with pytest.raises(ValueError, match="userid must be an int"):
        model.recommend([0.5], X[:1])


@pytest.mark.parametrize("solver", ["auto", "cholesky", "cg", "block"])
def test_more_factors_than_items_and_than_1024(solver, rng):
    X = sp.csr_matrix(rng.poisson(1.0, (6, 5)).astype(float))
    model = fitted(X, factors=1100, solver=solver, iterations=1, regularization=0.5, dtype=np.float64)
    U, V = model.user_factors, model.item_factors
    assert np.isfinite(U).all()
    assert np.isfinite(V).all()
    ridges = np.full(6, 0.5), np.full(5, 0.5)
    reached = plain.objective(X, U, V, "implicit", 3.0, *ridges)
    assert model.history_["objective"][-1] == pytest.approx(reached, rel=1e-9)
    assert reached < plain.objective(X, 0 * U, 0 * V, "implicit", 3.0, *ridges)
    if solver == "cholesky":
        wanted, _ = plain.half_step(X.T.tocsr(), U, "implicit", 3.0, ridges[1])
        np.testing.assert_allclose(V, wanted, atol=1e-9)
    ids, _ = model.recommend(np.arange(6), X, N=7, filter_already_liked_items=False)
    assert (ids == np.argsort(-(U @ V.T), axis=1, kind="stable")).all()


def test_rows_and_columns_without_entries(rng):
    X = checkerboard().tolil()
    X[42] = 0
    X[:, 42] = 0
    model = fitted(X.tocsr(), factors=16)
    assert not model.user_factors[42].any()
    assert not model.item_factors[42].any()
    assert 42 not in model.similar_items(np.arange(40), 10)[0]
    empty = fitted(sp.csr_matrix((4, 3)))
    assert not empty.user_factors.any()
    assert empty.recommend(0, sp.csr_matrix((1, 3)))[0].tolist() == [0, 1, 2]


@pytest.mark.parametrize("solver", ["auto", "cg", "block"])
def test_factors_beyond_the_items_and_odd_numbers(solver, rng):
    X = counts(rng, 9, 5)
    X.data[::3] *= -1
    X.data[1::5] = 0
    for alpha in (0.0, 0.1, 1.0, 1e6):
        model = fitted(X, factors=70, alpha=alpha, solver=solver, regularization=0.0)
        assert np.isfinite(model.user_factors).all()
        assert np.isfinite(model.item_factors).all()
    one = fitted(sp.csr_matrix(np.ones((5, 1))), solver=solver)
    assert np.isfinite(one.item_factors).all()
    twice = sp.csr_matrix((np.ones(4), ([0, 0, 1, 1], [2, 2, 0, 1])), shape=(2, 3))
    doubled = sp.csr_matrix((np.array([2.0, 1, 1]), ([0, 1, 1], [2, 0, 1])), shape=(2, 3))
    assert (fitted(twice).item_factors == fitted(doubled).item_factors).all()
    with pytest.raises(ValueError, match=r"NaN|finite"):
        fitted(sp.csr_matrix(np.array([[1.0, np.nan]])))


def test_more_than_a_thousand_factors(rng):
    X = counts(rng, 9, 7)
    model = fitted(X, factors=1030, solver="cg", iterations=3, regularization=0.1)
    few = fitted(X, factors=9, solver="cholesky", iterations=3, regularization=0.1)
    assert np.isfinite(model.user_factors).all()
    assert model.history_["objective"][-1] == pytest.approx(few.history_["objective"][-1], rel=0.2)


def test_known_factors_come_back():
    X = np.array(
        [[1, 1, 0, 1, 0, 0], [0, 1, 1, 1, 0, 0], [1, 0, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 1]]
        + [[0, 1, 0, 0, 0, 1], [0, 0, 0, 0, 1, 1]],
        float,
    )
    for dtype in (np.float32, np.float64):
        for solver in ("cholesky", "cg", "block"):
            model = fitted(
                sp.csr_matrix(X),
                alpha=2,
                factors=6,
                regularization=0,
                dtype=dtype,
                solver=solver,
                iterations=30,
            )
            np.testing.assert_allclose(model.user_factors @ model.item_factors.T, X, atol=1e-3)


def test_new_rows_are_solved_for_exactly(rng):
    X = counts(rng)
    model = fitted(X)
    model.fit(X)
    wanted, _ = plain.half_step(X, model.item_factors, "implicit", 3.0, np.full(80, 0.01))
    for found in (model.transform(X), model.transform(X.toarray()), model.recalculate_user(np.arange(80), X)):
        np.testing.assert_allclose(found, wanted, atol=2e-4)
    assert model.recalculate_user(3, X[[3]]).shape == (8,)
    columns, _ = plain.half_step(X.T, model.user_factors, "implicit", 3.0, np.full(60, 0.01))
    np.testing.assert_allclose(model.recalculate_item(np.arange(60), X.T.tocsr()), columns, atol=2e-4)
    before = model.user_factors
    model.partial_fit_users([2, 90], X[[5, 5]])
    assert model.user_factors.shape == (91, 8)
    assert (model.user_factors[90] == model.user_factors[2]).all()
    assert not model.user_factors[80:90].any()
    assert (model.user_factors[:2] == before[:2]).all()
    model.partial_fit_items([60], sp.csr_matrix(np.ones((1, 91))))
    assert model.item_factors.shape == (61, 8)
    assert model.similar_items(60, N=1)[0].tolist() == [60]


def test_explanations_add_up(rng):
    X = counts(rng)
    X.data[::7] *= -1
    model = fitted(X, factors=4, regularization=2.0)
    own = model.recalculate_user(0, X[[0]])
    score, parts, weights = model.explain(0, X, itemid=11, N=100)
    assert score == pytest.approx(own @ model.item_factors[11], abs=1e-4)
    assert sum(s for _, s in parts) == pytest.approx(score, abs=1e-6)
    assert [s for _, s in parts] == sorted((s for _, s in parts), reverse=True)
    assert sorted(i for i, _ in parts) == sorted(X[[0]].indices[X[[0]].data > 0])
    again, two, _ = model.explain(0, X, itemid=11, user_weights=weights, N=2)
    assert again == score
    assert two == parts[:2]


def test_files_pickles_and_parameters(tmp_path, rng):
    X = counts(rng)
    model = fitted(X, solver="cg", loss="ials", tol=0.01)
    model.save(tmp_path / "model.npz")
    loaded = AlternatingLeastSquares.load(str(tmp_path / "model"))
    copy = pickle.loads(pickle.dumps(model))
    for other in (loaded, copy):
        assert (other.user_factors == model.user_factors).all()
        assert (other.recommend(0, X[:1])[0] == model.recommend(0, X[:1])[0]).all()
        assert other.get_params()["loss"] == "ials"
        assert np.dtype(other.dtype) == np.float32
    for wrong in ({"solver": "qr"}, {"loss": "log"}, {"factors": 0}, {"dtype": np.float16}, {"alpha": -1}):
        with pytest.raises(ValueError, match=rf"AlternatingLeastSquares.fit: {next(iter(wrong))} must"):
            fitted(X, **wrong)


def test_validation_stops_and_keeps_the_best(rng):
    groups = rng.integers(4, size=(90, 1)) == rng.integers(4, size=60)
    likes = sp.csr_matrix((groups & (rng.random((90, 60)) < 0.7)).astype(float))
    later = likes.multiply(rng.random((90, 60)) < 0.2).tocsr()
    later.eliminate_zeros()
    X = (likes - later).tocsr()
    X.eliminate_zeros()
    model = AlternatingLeastSquares(4, 0.1, 5.0, iterations=50, patience=2, random_state=0).fit(
        X, validation=later
    )
    scores = model.validation_scores_
    assert len(scores) == model.n_iter_ < 50
    assert scores.max() > 0.8
    best = AlternatingLeastSquares(4, 0.1, 5.0, iterations=int(scores.argmax()) + 1, random_state=0).fit(X)
    assert (best.item_factors == model.item_factors).all()
    ids, _ = model.recommend(np.arange(90), X, N=20)
    hits = [len(set(ids[u]) & set(later[[u]].indices)) / later[[u]].nnz for u in range(90) if later[[u]].nnz]
    assert scores.max() == pytest.approx(np.mean(hits))


def test_callbacks_and_tolerance_stop(rng):
    X, seen = counts(rng), []
    model = fitted(X, callback=lambda state: seen.append(state) or len(seen) == 3)
    assert model.n_iter_ == len(seen) == 3
    assert fitted(X, tol=0.05, iterations=100).n_iter_ < 100


def test_ctrl_c_leaves_the_last_whole_iteration(rng):
    X, model = counts(rng), AlternatingLeastSquares(8, alpha=3.0, iterations=10**6, random_state=0)

    def interrupt(state):
        if state.iteration == 4:
            threading.Thread(target=signal.raise_signal, args=(signal.SIGINT,)).start()

    model.callback = interrupt
    with pytest.raises(KeyboardInterrupt):
        model.fit(X)
    assert model.item_factors is not None
    for iterations in range(4, 5000):
        same = fitted(X, iterations=iterations).item_factors
        if (same == model.item_factors).all():
            break
    else:
        pytest.fail("not the factors of a whole iteration")


@pytest.mark.parametrize(("ridge", "remedy"), [(0.0, "Raise regularization above 0."), (0.1, "Scale X to")])
def test_factors_that_leave_their_type(ridge, remedy, monkeypatch):
    model = AlternatingLeastSquares(2, regularization=ridge, iterations=1, random_state=0).fit(np.eye(2))
    monkeypatch.setattr(AlternatingLeastSquares, "_solved", lambda *_: np.full((2, 2), np.inf, np.float32))
    with pytest.raises(ValueError, match=rf"transform: X must have factors .* holds; got .* {remedy}"):
        model.transform(np.eye(2))


def test_a_fit_that_overflows_says_so():
    place = [0, 0, 2, 4, 7, 9, 11], [0, 1, 1, 0, 1, 0, 0]
    X, told = sp.csr_array(([2.06, 0.1, 0.31, 1.33, 0.23, 1.5, 0.18], place), (16, 2)), []
    for seed in range(20):
        model = AlternatingLeastSquares(
            4,
            regularization=0.0,
            alpha=2.5,
            iterations=1,
            solver="block",
            random_state=seed,
            dtype=np.float32,
        )
        try:
            model.fit(X)
        except ValueError as error:
            told.append(str(error))
        else:
            assert np.isfinite(model.history_["objective"]).all()
    assert all("Raise regularization above 0." in message for message in told)


@parametrize_with_checks([AlternatingLeastSquares(2, iterations=3, random_state=0)])
def test_scikit_learn(estimator, check):
    check(estimator)

"""latom.compat.implicit: its shape, its rules, and beside implicit where it is installed."""

from __future__ import annotations

import inspect
import pickle

import numpy as np
import pytest
import scipy.sparse as sp

from latom.compat.implicit import AlternatingLeastSquares


@pytest.fixture
def likes():
    """Even users like even items and odd users odd ones, but for the item of their own number."""
    i = np.arange(50)
    return sp.csr_matrix(((i[:, None] + i) % 2 == 0).astype(float) - np.eye(50))


IMPLICITS = {"user_factors", "item_factors", "dtype", "factors", "regularization", "alpha", "iterations"} | {
    "calculate_training_loss", "num_threads", "random_state", "use_native", "use_cg", "cg_steps"
}  # fmt: skip


def model_of(X, **options):
    model = AlternatingLeastSquares(**{"factors": 3, "regularization": 0.01, "random_state": 23, **options})
    model.fit(X, show_progress=False)
    return model


@pytest.mark.filterwarnings("ignore")  # the host's
def test_files_and_lengths_beside_implicit(likes, tmp_path):
    als = pytest.importorskip("implicit.cpu.als", reason="implicit is not installed")
    model = model_of(likes, use_cg=False)
    model.item_factors[3] = 0
    model.save(str(tmp_path / "ours.npz"))
    host = als.AlternatingLeastSquares.load(str(tmp_path / "ours.npz"))
    assert (host.item_factors == model.item_factors).all()
    assert (host.factors, host.use_cg, host.alpha) == (3, False, 1.0)
    np.testing.assert_allclose(model.item_norms, host.item_norms, rtol=1e-6)
    np.testing.assert_allclose(model.user_norms, host.user_norms, rtol=1e-6)
    host.save(str(tmp_path / "theirs.npz"))
    again = AlternatingLeastSquares.load(str(tmp_path / "theirs.npz"))
    assert (again.user_factors == model.user_factors).all()
    assert again.solver == "cholesky"


@pytest.mark.filterwarnings("ignore")  # the host's
def test_signatures_and_factors_beside_implicit(likes):
    als = pytest.importorskip("implicit.cpu.als", reason="implicit is not installed")
    theirs = als.AlternatingLeastSquares
    wanted = [p for p in inspect.signature(theirs.__init__).parameters if p != "self"]
    own = [p for p in inspect.signature(AlternatingLeastSquares.__init__).parameters if p != "self"]
    assert [p for p in own if p != "use_gpu"] == wanted
    for method in ("fit", "recommend", "similar_items", "similar_users", "explain", "partial_fit_users"):
        one, other = (
            inspect.signature(getattr(c, method)).parameters for c in (AlternatingLeastSquares, theirs)
        )
        assert list(one) == list(other)
    X = likes.copy()
    X.data[:] = 1.5
    for use_cg in (True, False):
        host = theirs(4, 0.1, use_cg=use_cg, iterations=3, random_state=1)
        rng = np.random.default_rng(0)
        host.user_factors, host.item_factors = (rng.random((50, 4), dtype="f4") * 0.01 for _ in range(2))
        model = AlternatingLeastSquares(4, 0.1, use_cg=use_cg, iterations=3)
        model.user_factors, model.item_factors = host.user_factors.copy(), host.item_factors.copy()
        host.fit(X, show_progress=False)
        model.fit(X, show_progress=False)
        tol = 1e-2 if use_cg else 1e-3
        np.testing.assert_allclose(
            model.user_factors @ model.item_factors.T, host.user_factors @ host.item_factors.T, atol=tol
        )


def test_recommendations(likes):
    model = model_of(likes)
    for user in (0, 7, 49):
        ids, scores = model.recommend(user, likes[user], N=1)
        assert ids.tolist() == [user]
        assert scores.shape == (1,)
        again, _ = model.recommend(user, likes[user], N=1, recalculate_user=True)
        assert again.tolist() == [user]
    ids, scores = model.recommend(np.arange(50), likes, N=10)
    assert ids.shape == scores.shape == (50, 10)
    assert ids.dtype == np.int32
    ids, _ = model.recommend(0, likes[0], N=10000)
    assert len(ids) == 50 - likes[0].nnz
    ids, _ = model.recommend(0, likes[0], N=1, filter_items=[0])
    assert 0 not in ids
    assert (model.similar_items(4, N=5)[0] % 2 == 0).all()
    with pytest.warns(DeprecationWarning, match="rank_items"):
        ranked, _ = model.rank_items(0, likes[0], [1, 2, 3])
    assert sorted(ranked) == [1, 2, 3]
    with pytest.raises(ValueError, match="user_items must be a CSR matrix"):
        model.recommend(np.arange(50), likes.tocsc())
    with pytest.raises(IndexError):
        model.recommend(1, likes[1], items=[-1])


def test_fits_go_on_from_factors_and_tell_of_iterations(likes):
    heard = []
    model = AlternatingLeastSquares(3, iterations=4, calculate_training_loss=True, random_state=0)
    assert model.user_factors is None
    assert model.fit(likes, show_progress=False, callback=lambda *told: heard.append(told)) is None
    assert [told[0] for told in heard] == [0, 1, 2, 3]
    losses = [told[2] for told in heard]
    assert losses == sorted(losses, reverse=True)
    before = losses[-1]
    model.fit(likes, show_progress=False, callback=lambda *told: heard.append(told))
    assert heard[4][2] <= before
    quiet = AlternatingLeastSquares(3, iterations=1)
    quiet.fit(likes, show_progress=False, callback=lambda *told: heard.append(told))
    assert heard[-1][2] is None
    with pytest.raises(ValueError, match="user_factors must have shape"):
        model.fit(likes[:4], show_progress=False)
    with pytest.raises(TypeError, match="user_items must be a sparse matrix"):
        AlternatingLeastSquares().fit(likes.toarray())
    with pytest.warns(UserWarning, match="converts user_items from csc"):
        AlternatingLeastSquares(2, iterations=1).fit(likes.tocsc(), show_progress=False)
    with pytest.raises(ValueError, match="use_gpu must be False"):
        AlternatingLeastSquares(use_gpu=True)


def test_files_and_pickles(likes, tmp_path):
    model = model_of(likes, use_cg=False)
    model.save(str(tmp_path / "model.npz"))
    loaded = AlternatingLeastSquares.load(str(tmp_path / "model.npz"))
    for other in (loaded, pickle.loads(pickle.dumps(model))):
        assert (other.item_factors == model.item_factors).all()
        assert other.factors == 3
        assert other.solver == "cholesky"
    with np.load(tmp_path / "model.npz") as parts:  # implicit sets each as an attribute
        assert set(parts.files) <= IMPLICITS


def test_batches_are_users_one_by_one(likes):
    model = model_of(likes, factors=32, regularization=0)
    users = np.array([2, 3, 4, 49])
    for options in (
        {"N": 1},
        {"N": 5, "filter_already_liked_items": False},
        {"N": 3, "filter_items": [0, 3]},
    ):
        ids, scores = model.recommend(users, likes[users], **options)
        for row, user in enumerate(users):
            one, score = model.recommend(user, likes[user], **options)
            assert one.tolist() == ids[row].tolist()
            np.testing.assert_allclose(score, scores[row], rtol=1e-6)
        assert not np.isin(ids, options.get("filter_items", [])).any()


def test_items_that_are_named_are_all_ranked(likes):
    """What the user has comes last, as in implicit."""
    model = model_of(likes, factors=32, regularization=0)
    named = np.arange(1, 7)
    ids, scores = model.recommend(0, likes[0], items=named, N=20)
    assert sorted(ids) == named.tolist()
    assert sorted(ids[3:]) == [2, 4, 6]
    assert (scores[3:] == np.finfo(np.float32).min).all()
    ids, scores = model.recommend(np.arange(50), likes, items=np.arange(10) * 3)
    assert ids.shape == scores.shape == (50, 10)
    assert (np.sort(ids, axis=1) == np.arange(10) * 3).all()
    assert (np.diff(scores, axis=1) <= 0).all()
    short, _ = model.recommend(np.arange(50), likes, items=np.arange(10) * 3, N=4)
    assert (short == ids[:, :4]).all()
    for wrong in ([1, 2, -1], [3, 51]):
        with pytest.raises(IndexError):
            model.recommend(0, likes[0], items=wrong)


def test_similar_rows_are_of_their_kind(likes):
    i = np.arange(256)
    X = sp.csr_matrix(((i[:, None] + i) % 2 == 0).astype(float) - np.eye(256))
    model = model_of(X, factors=32, regularization=0)
    of = np.arange(50)
    for similar, key in ((model.similar_items, "items"), (model.similar_users, "users")):
        ids, scores = similar(of, N=10)
        assert ids.shape == (50, 10)
        assert (ids[:, 0] == of).all()
        np.testing.assert_allclose(scores[:, 0], 1, atol=1e-4)
        assert ((ids - of[:, None]) % 2 == 0).all()
        left, _ = similar(of, N=10, **{f"filter_{key}": np.arange(52) * 5})
        assert (left % 5 != 0).all()
        among, _ = similar(of, N=10, **{key: np.arange(10)})
        assert (np.sort(among, axis=1) == np.arange(10)).all()
    again, _ = model.similar_items(of, N=10, recalculate_item=True, item_users=X.T.tocsr()[of])
    assert (again[:, 0] == of).all()
    hollow = likes.toarray()
    for empty in (42, 49):
        hollow[empty] = hollow[:, empty] = 0
    model = model_of(sp.csr_matrix(hollow), factors=32, regularization=0)
    assert not np.isin(model.similar_items(np.arange(40), N=10)[0], [42, 49]).any()


@pytest.mark.parametrize("use_cg", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_small_matrix_is_reproduced(use_cg, dtype, rng):
    """As many factors as columns and no penalty; also factors beyond both sides, where nothing is NaN."""
    X = sp.csr_matrix((rng.random((7, 6)) < 0.5) * 2.0)
    for factors in (6, 40):
        model = model_of(X, factors=factors, regularization=0, dtype=dtype, use_cg=use_cg, iterations=30)
        np.testing.assert_allclose(
            model.user_factors @ model.item_factors.T, X.toarray() / 2, atol=1e-3 if factors > 6 else 1e-4
        )
        assert model.user_factors.dtype == dtype


@pytest.mark.parametrize("use_cg", [True, False])
def test_nothing_is_nan(use_cg):
    """Weights that fall along rows, with empty rows and columns; and a matrix of next to nothing."""
    falls = np.triu(1 / np.maximum(np.arange(12) - np.arange(12)[:, None], 1) + 1, 1)
    falls[5] = falls[:, 6] = falls[11] = 0
    for X, options in (
        (sp.csr_matrix(falls), {"factors": 3, "regularization": 0.01, "dtype": np.float64}),
        (sp.random(100, 100, 0.0005, format="csr", dtype=np.float32, random_state=42), {"factors": 33}),
        (sp.random(100, 100, 0.0005, format="csr", random_state=1), {"factors": 33, "regularization": 10}),
    ):
        model = model_of(X, use_cg=use_cg, iterations=10, **options)
        assert np.isfinite(model.user_factors).all()
        assert np.isfinite(model.item_factors).all()


def test_explanations_add_up(rng):
    X = sp.csr_matrix(rng.poisson(0.9, (7, 7)) * 2.0)
    model = model_of(X, factors=4, regularization=20, use_cg=False, iterations=100)
    ids, scores = model.recommend(0, X[0], N=3)
    again, same = model.recommend(0, X[0], N=3, recalculate_user=True)
    assert ids.tolist() == again.tolist()
    np.testing.assert_allclose(scores, same, atol=1e-4)
    score, contributions, weights = model.explain(0, X, itemid=ids[0])
    added = [value for _, value in contributions]
    assert score == pytest.approx(same[0], abs=1e-4)
    assert sum(added) == pytest.approx(score, abs=1e-4)
    assert added == sorted(added, reverse=True)
    assert sorted(item for item, _ in contributions) == X[0].indices.tolist()
    top, two, _ = model.explain(0, X, itemid=ids[0], user_weights=weights, N=2)
    assert top == pytest.approx(score)
    assert two == contributions[:2]


def test_empty_matrices():
    for size in (3, 1):
        model = model_of(sp.csr_matrix((size, size)))
        assert not model.item_factors.any()

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


def model_of(X, **options):
    model = AlternatingLeastSquares(**{"factors": 3, "regularization": 0.01, "random_state": 23, **options})
    model.fit(X, show_progress=False)
    return model


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


def test_empty_matrices():
    for size in (3, 1):
        model = model_of(sp.csr_matrix((size, size)))
        assert not model.item_factors.any()

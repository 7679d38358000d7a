"""What all recommenders share: how many items they name, what they say of users' items, and their files."""

from __future__ import annotations

import inspect
import pickle

import numpy as np
import pytest
import scipy.sparse as sp

import latom

X = sp.csr_array((np.random.default_rng(0).random((20, 25)) < 0.2).astype(np.float32))
ALL = {
    "als": latom.AlternatingLeastSquares(4, iterations=3, random_state=0),
    "bpr": latom.PointwiseFactorization(4, max_iter=3, random_state=0, item_bias=True),
    "nbpo": latom.PointwiseFactorization(4, loss="nbpo", noise_components=3, max_iter=3, random_state=0),
    "ips": latom.IPSFactorization(4, max_iter=3, random_state=0),
    "logistic": latom.IPSFactorization(4, link="logistic", propensity=None, max_iter=3, random_state=0),
    "given": latom.IPSFactorization(
        4, propensity=np.linspace(0.2, 1, 25).tolist(), max_iter=3, random_state=0
    ),
}
for each in ALL.values():
    each.fit(X)


@pytest.mark.parametrize("name", ALL)
def test_more_items_than_there_are(name):
    model = ALL[name]
    ids, scores = model.recommend([0, 1], X[[0, 1]], N=300)
    assert ids.shape == scores.shape == (2, 25)
    for row, has in zip(ids, X[[0, 1]].toarray(), strict=True):
        left = np.flatnonzero(has == 0)
        assert sorted(row[: len(left)]) == left.tolist()
        assert (row[len(left) :] == -1).all()
    assert model.recommend([0, 1], X[[0, 1]], N=300, items=[3, 4, 9])[0].shape == (2, 3)
    for options, items in [({}, 25), ({"items": [1, 2]}, 2), ({"filter_items": [4, 4, 7]}, 23)]:
        for made in model.recommend(np.zeros(0, int), X[:0], N=300, **options):
            assert made.shape == (0, items)
    with pytest.raises(IndexError, match=r"items must be in \[0, 25\)"):
        model.recommend([], X[:0], items=[25])
    assert model.similar_items([0, 1], N=300)[0].shape == (2, 25)
    assert model.similar_users([0, 1], N=300)[0].shape == (2, 20)


@pytest.mark.parametrize("name", ALL)
def test_what_users_have_is_asked_for_in_words_that_help(name):
    model = ALL[name]
    own = rf"{type(model).__name__}\.recommend: user_items must be a CSR matrix; got "
    for given, words in [
        (None, r"None\. Pass a row per id, such as X\[ids\].*, or filter_already_liked_items=False\."),
        (
            X.toarray()[[0]],
            r"ndarray of shape \(1, 25\)\. Convert it, .*scipy\.sparse\.csr_array\(user_items\)",
        ),
        (X[[0]].tocsc(), r"csc of shape \(1, 25\)\. Convert it with \.tocsr\(\)\."),
        (sp.csr_array(X[[0]].toarray()[0]), r"csr of shape \(25,\)\. Index with a list, as X\[\[3\]\]\."),
    ]:
        with pytest.raises(ValueError, match=own + words):
            model.recommend(0, given)
    assert len(model.recommend(0, filter_already_liked_items=False)[0]) == 10


def test_items_are_solved_for_only_where_that_works():
    for name, model in ALL.items():
        parameters = inspect.signature(model.similar_items).parameters
        assert hasattr(model, "recalculate_item") == ("recalculate_item" in parameters) == (name == "als")
    with pytest.raises(ValueError, match=r"item_users must be a CSR matrix; got None\. Pass a row per id"):
        ALL["als"].similar_items(0, recalculate_item=True)


@pytest.mark.filterwarnings("ignore:Sparse CS. tensor support is in beta")
@pytest.mark.parametrize("name", ALL)
def test_what_users_have_may_be_a_sparse_tensor(name):
    torch = pytest.importorskip("torch")
    rows, model = torch.tensor(X[[3, 4]].toarray()), ALL[name]
    for options in ({}, {"recalculate_user": True}):
        wanted = model.recommend([3, 4], X[[3, 4]], **options)
        for given in (rows.to_sparse(), rows.to_sparse_csr(), rows.to_sparse_csc()):
            for one, other in zip(model.recommend([3, 4], given, **options), wanted, strict=True):
                assert (one == other).all()


@pytest.mark.parametrize("kind", ["path", "bare", "file", "Path"])
@pytest.mark.parametrize("name", ALL)
def test_a_file_holds_all_that_answers_need(name, kind, tmp_path):
    model = ALL[name]
    place = str(tmp_path / "model.npz") if kind == "path" else str(tmp_path / "model")
    if kind == "Path":
        place = tmp_path / "model"
    if kind == "file":
        with open(place, "wb") as file:
            model.save(file)
        with open(place, "rb") as file:
            loaded = type(model).load(file)
    else:
        model.save(place)
        loaded = type(model).load(place)
    for one, other in zip(
        model.recommend([3, 4], X[[3, 4]]), loaded.recommend([3, 4], X[[3, 4]]), strict=True
    ):
        assert (one == other).all()
    assert (model.recalculate_user([0, 1], X[[5, 6]]) == loaded.recalculate_user([0, 1], X[[5, 6]])).all()
    for parameter, value in model.get_params().items():
        assert np.array_equal(getattr(loaded, parameter), value), parameter
    again = loaded.fit(X)
    assert (again.item_factors == model.item_factors).all()


def test_files_that_cannot_be(tmp_path):
    pairs = sp.csr_array(X * 0.5)
    model = latom.IPSFactorization(2, propensity=pairs, max_iter=2, random_state=0).fit(X)
    with pytest.raises(ValueError, match=r"IPSFactorization\.save: propensity must not be sparse"):
        model.save(tmp_path / "x.npz")
    np.savez(tmp_path / "code.npz", user_factors=np.array([pickle.dumps], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        latom.PointwiseFactorization.load(str(tmp_path / "code.npz"))
    ALL["bpr"].save(tmp_path / "bpr.npz")
    with np.load(tmp_path / "bpr.npz") as parts:
        changed = dict(parts)
    changed["n_components"] = np.asarray(-1)
    np.savez(tmp_path / "bad.npz", **changed)
    with pytest.raises(ValueError, match=r"PointwiseFactorization\.load: n_components must be"):
        latom.PointwiseFactorization.load(str(tmp_path / "bad.npz"))


def test_files_hold_no_options_of_the_writer_and_no_objects(tmp_path, monkeypatch):
    """numpy before 2 takes each keyword of savez for an array to store."""
    written, write = [], np.savez
    monkeypatch.setattr(np, "savez", lambda file, **parts: (written.append(set(parts)), write(file, **parts)))
    ALL["ips"].save(tmp_path / "model.npz")
    assert "item_factors" in written[0]
    assert "allow_pickle" not in written[0]
    odd = pickle.loads(pickle.dumps(ALL["ips"])).set_params(propensity=np.array([pickle.dumps], object))
    with pytest.raises(ValueError, match=r"IPSFactorization\.save: propensity must hold numbers or words"):
        odd.save(tmp_path / "odd.npz")
    assert not (tmp_path / "odd.npz").exists()

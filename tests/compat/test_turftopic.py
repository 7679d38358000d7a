"""latom.compat.turftopic: what it computes, and in turftopic's own models where that is installed."""

from __future__ import annotations

import datetime
import inspect
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import nnls
from sklearn.base import clone
from texts import StubEncoder, agree, documents

import latom
from latom.compat import sklearn as compat_sklearn
from latom.compat.turftopic import SNMF, TopKAutoEncoder

pytestmark = pytest.mark.filterwarnings("default")  # of the hosts: missing JAX, joblib, deprecations


@pytest.fixture
def X(rng):
    """200 unit rows of 12 columns, mixed of four directions."""
    rows = rng.dirichlet(np.full(4, 0.2), 200) @ rng.standard_normal((4, 12))
    rows += 0.1 * rng.standard_normal(rows.shape)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def host(module):
    return pytest.importorskip(module, reason="turftopic is not installed")


# ---- SNMF


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_fit_ends_where_neither_factor_can_better_it(X, dtype):
    X = X.astype(dtype)
    model = SNMF(4, tol=0, max_iter=800, random_state=0)
    G = model.fit_transform(X)
    assert G.dtype == model.components_.dtype == dtype
    assert G.min() >= 0
    assert np.linalg.norm(G) == pytest.approx(1, rel=1e-5)
    assert model.n_iter_ == 800
    wide, H = G.astype(float), model.components_.astype(float)
    assert np.linalg.norm(X - wide @ H) == pytest.approx(model.reconstruction_err_, rel=1e-4)
    best = np.linalg.lstsq(wide, X.astype(float), rcond=None)[0]
    np.testing.assert_allclose(H, best, atol=1e-3 * np.abs(best).max())
    gradient = (wide @ H - X) @ H.T
    assert np.abs(np.minimum(gradient, wide * np.abs(gradient).max())).max() < 1e-2 * np.abs(X @ H.T).max()


def test_codes_of_rows_are_optimal_and_their_own(X):
    model = SNMF(4, random_state=0).fit(X)
    H = model.components_
    G = model.transform(X)
    np.testing.assert_allclose(model.transform(X[7:8])[0], G[7], rtol=1e-6, atol=1e-9)
    for x, g in zip(X[:40], G[:40], strict=True):
        assert np.linalg.norm(x - g @ H) <= nnls(H.T, x)[1] + 1e-6
    np.testing.assert_allclose(model.transform(X, F=3 * H.T), G / 3, atol=1e-6)


def test_with_sparsity_the_steps_are_those_of_the_formula(X):
    model = SNMF(3, sparsity=4.0, tol=0, max_iter=20, random_state=0)
    found = model.fit_transform(X)
    G = model._start("test", X)
    G /= np.linalg.norm(G)
    for _ in range(20):
        H = np.linalg.pinv(G) @ X
        P, Q = X @ H.T, H @ H.T
        above = (np.abs(P) + P) / 2 + G @ ((np.abs(Q) - Q) / 2)
        below = (np.abs(P) - P) / 2 + G @ ((np.abs(Q) + Q) / 2) + 4.0
        G = G * np.sqrt(above / below)
        G /= np.linalg.norm(G)
    np.testing.assert_allclose(found, G, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(model.components_, np.linalg.pinv(G) @ X, rtol=1e-6, atol=1e-9)
    model.set_params(max_iter=500).fit(X)
    codes = model.transform(X)
    assert np.linalg.norm(codes) == pytest.approx(1)
    H = model.components_
    P, Q = X @ H.T, H @ H.T
    G = np.full(codes.shape, 0.2)
    for _ in range(500):
        above = (np.abs(P) + P) / 2 + G @ ((np.abs(Q) - Q) / 2)
        G = G * np.sqrt(above / ((np.abs(P) - P) / 2 + G @ ((np.abs(Q) + Q) / 2) + 4.0))
        G /= np.linalg.norm(G)
    np.testing.assert_allclose(codes, G, atol=0.01 * G.max())
    assert model.rec_err(X) < 1.05 * model.reconstruction_err_


def test_new_components_stand_beside_frozen_ones(X):
    model = SNMF(2, random_state=0).fit(X)
    before, error = model.components_.copy(), model.rec_err(X)
    model.fit_new_components(X, 2)
    assert (model.components_[:2] == before).all()
    assert model.n_components == len(model.components_) == 4
    assert model.n_datapoints_ == 400
    assert model.reconstruction_err_ < 0.5 * error
    assert model.rec_err(X) < 0.7 * error


def test_the_criterion_tells_the_number_of_components(X):
    scores = {}
    for k in range(1, 8):
        model = SNMF(k, tol=1e-7, max_iter=1000, random_state=0)
        G = model.fit_transform(X)
        scores[k] = model.bic(X, G=G)
        n, d = X.shape
        wanted = np.log(((X - G @ model.components_) ** 2).sum())
        wanted += k * (n + d) / (n * d) * np.log(n * d / (n + d))
        assert scores[k] == pytest.approx(wanted)
        assert model.bic(X) <= scores[k] + 1e-9
        assert model.bic(X, F=model.components_.T, G=G) == scores[k]
    assert min(scores, key=scores.get) == 4


def test_timeslices_are_least_squares(X, rng):
    G = rng.random((200, 3))
    found = SNMF(3).fit_timeslice(X, G)
    np.testing.assert_allclose(found, np.linalg.lstsq(G, X, rcond=None)[0], atol=1e-9)


def test_models_are_merged_by_a_function(X):
    first, second = (SNMF(k, sparsity=0.5, random_state=k).fit(X) for k in (2, 3))
    seen = []

    def stack(pair, weights, match_threshold):
        seen.append((weights, match_threshold))
        return np.vstack(pair), [[0, 1], [2, 3, 4]]

    merged, history = first.merge_with(second, 0.4, stack)
    assert seen == [([200, 200], 0.4)]
    assert history == [[0, 1], [2, 3, 4]]
    assert merged.get_params() == {**first.get_params(), "n_components": 5}
    assert merged.n_datapoints_ == 400
    assert merged.transform(X).shape == (200, 5)


def test_more_components_than_rows_and_a_seed_that_repeats(X):
    G = SNMF(6, random_state=0).fit_transform(X[:4])
    assert np.isfinite(G).all()
    assert (SNMF(6, random_state=0).fit_transform(X[:4]) == G).all()
    assert (SNMF(4, random_state=0).fit_transform(X) == SNMF(4, random_state=0).fit_transform(X)).all()


@pytest.mark.parametrize(
    ("run", "match"),
    [
        (lambda X: SNMF(4).fit(X * np.nan), "row 0"),
        (lambda X: SNMF(4, sparsity=-1).fit(X), r"SNMF.fit_transform: sparsity must .*got -1\. "),
        (
            lambda X: SNMF(2).fit(X).transform(X[:, :3]),
            r"SNMF.transform: X must have the 12 columns .*got 3\. ",
        ),
        (lambda X: SNMF(2).fit(X).fit_new_components(X, 0), "n_new_components must"),
    ],
)
def test_wrong_calls_are_refused(X, run, match):
    with pytest.raises(ValueError, match=match):
        run(X)
    with pytest.raises(TypeError, match="X must be dense"):
        SNMF(2).fit(sp.csr_array(X))


def test_snmf_has_the_shape_of_turftopics(X):
    theirs = host("turftopic.models._snmf").SNMF
    names = [
        "__init__",
        "fit",
        "fit_transform",
        "transform",
        "bic",
        "rec_err",
        "fit_new_components",
        "_fit_new",
    ]
    for name in [*names, "fit_timeslice", "inverse_transform", "merge_with"]:
        own, its = (inspect.signature(getattr(c, name)).parameters.values() for c in (SNMF, theirs))
        assert [(p.name, p.default) for p in own] == [(p.name, p.default) for p in its], name
    for sparsity in (0.0, 1.0):
        parameters = dict(random_state=0, sparsity=sparsity)
        own, its = SNMF(4, **parameters), theirs(4, **parameters)
        G, its_G = own.fit_transform(X), its.fit_transform(X)
        assert {name for name in vars(its) if name.endswith("_")} <= set(vars(own))
        assert own.reconstruction_err_ < its.reconstruction_err_ * 1.02
        assert own.bic(X, G=G) < its.bic(X, G=its_G) + 0.05
    for method in ("symmetric_mean", "asymmetric_mean", "keep_first"):
        merged, history = own.merge_with(own, merge_method=method)
        assert len(merged.components_) == 4  # each is like itself
        assert [len(part) for part in history] == [4, 4]


# ---- LatentTerms' autoencoder


@pytest.fixture
def weights(rng):
    """Of 40 latents, whole numbers, so that every sum is exact; some latents are equal."""
    W = rng.integers(-2, 3, (12, 40)).astype(np.float32)
    W[:, 20:] = W[:, :20]
    bias = rng.integers(-1, 2, 40).astype(np.float32)
    return {"W_e": W, "b_e": bias, "W_d": W.T.copy(), "b_d": np.zeros(12, np.float32)}


@pytest.fixture
def described(weights):
    return {"attr": {"n_latent": 40, "top_k": 7}, "params": weights, "loss_curve": [1.0, 0.5]}


def test_codes_are_those_of_the_formula_with_ties(weights, described, rng):
    X = rng.integers(-2, 3, (300, 12)).astype(np.float32)
    X[5] = 0
    z = X.astype(float) @ weights["W_e"] + weights["b_e"]
    wanted = np.where(z >= np.sort(z, axis=1)[:, [-7]], z, 0)
    model = TopKAutoEncoder.from_dict(described)
    codes = model.transform(X)
    assert isinstance(codes, sp.csr_array)
    assert codes.dtype == np.float32
    assert (codes.toarray() == wanted).all()
    assert codes.nnz == np.count_nonzero(wanted)
    assert 0 < (np.count_nonzero(wanted, axis=1) > 7).sum() < 300, "rows with ties and without"
    model.batch_size = 128
    assert (model.transform(sp.csr_matrix(X)) != codes).nnz == 0
    model.top_k = 40
    np.testing.assert_array_equal(model.transform(X).toarray(), z)


def test_an_autoencoder_goes_to_a_dict_and_to_a_file(described, rng):
    X = rng.standard_normal((20, 12))
    model = TopKAutoEncoder.from_dict(described)
    codes = model.transform(X)
    for again in (TopKAutoEncoder.from_dict(model.to_dict()), pickle.loads(pickle.dumps(model))):
        assert (again.transform(X) != codes).nnz == 0
    model.coef_ = model.coef_[:, ::-1].copy()
    assert (model.transform(X) != codes).nnz > 0, "weights are packed anew"
    assert clone(model).get_params() == model.get_params()


def test_the_autoencoder_answers_as_turftopics(described, rng):
    theirs = host("turftopic.vectorizers.latent_terms.top_k_autoencoder").TopKAutoEncoder
    own, its = (inspect.signature(c.__init__).parameters.values() for c in (TopKAutoEncoder, theirs))
    assert [(p.name, p.default) for p in own] == [(p.name, p.default) for p in its]
    X = rng.integers(-2, 3, (50, 12)).astype(np.float32)
    model = TopKAutoEncoder.from_dict(described)
    other = theirs.from_dict({**model.to_dict(), "attr": {**model.get_params(), "show_progress_bar": False}})
    assert (model.transform(X).toarray() == other.transform(X).toarray()).all()
    assert (TopKAutoEncoder.from_dict(other.to_dict()).transform(X) != model.transform(X)).nnz == 0


def test_latent_terms_vectorizes_with_it(described, rng):
    module = host("turftopic.vectorizers.latent_terms.latent_terms")

    class Tokens:
        def encode_tokens(self, texts, show_progress_bar):
            return [rng.standard_normal((len(text.split()), 12)) ** 2 for text in texts], None

    labels = np.array([f"concept {j}" for j in range(40)])
    vectorizer = module.LatentTermsVectorizer(
        Tokens(), TopKAutoEncoder.from_dict(described), labels, show_progress_bar=False
    )
    with np.errstate(invalid="ignore"):  # turftopic takes roots of sums that may be negative
        codes = vectorizer.fit_transform(["one two three", "four five"])
    assert codes.shape == (2, 40)
    assert "W_e" in vectorizer.to_dict()["autoencoder"]["params"]


# ---- turftopic's models


def test_senstopic_runs_on_it(monkeypatch):
    module = host("turftopic.models.senstopic")
    monkeypatch.setattr(module, "SNMF", SNMF)
    texts, themes = documents()
    model = module.SensTopic(3, encoder=StubEncoder(), random_state=0)
    assert agree(model.fit_transform(texts).argmax(axis=1), themes)
    assert isinstance(model.decomposition, SNMF)
    assert agree(model.transform(texts).argmax(axis=1), themes)
    model.partial_fit(texts, n_new_components=2)
    automatic = module.SensTopic("auto", encoder=StubEncoder(), random_state=0).fit(texts)
    assert automatic.n_components_ == 3


def test_keynmf_runs_on_the_names_of_scikit_learn(monkeypatch):
    module = host("turftopic.models._keynmf")
    turftopic = host("turftopic")
    texts, themes = documents()
    stamps = [datetime.datetime(2020, 1, 1)] * 45 + [datetime.datetime(2021, 1, 1)] * 45
    plain = turftopic.KeyNMF(3, encoder=StubEncoder(), random_state=0).fit_transform(texts)
    for name in ("NMF", "MiniBatchNMF", "_initialize_nmf", "_update_coordinate_descent"):
        monkeypatch.setattr(module, name, getattr(compat_sklearn, name))
    model = turftopic.KeyNMF(3, encoder=StubEncoder(), random_state=0)
    codes = model.fit_transform(texts)
    np.testing.assert_allclose(codes, plain, rtol=1e-5, atol=1e-8)
    assert agree(codes.argmax(axis=1), themes)
    assert agree(model.transform(texts).argmax(axis=1), themes)
    model = turftopic.KeyNMF(3, encoder=StubEncoder(), random_state=0)
    model.fit_transform_dynamic(texts, timestamps=stamps, bins=2)
    assert np.isfinite(model.temporal_components_).all()
    assert turftopic.KeyNMF("auto", encoder=StubEncoder(), random_state=0).fit_transform(texts).shape[0] == 90


def test_online_keynmf_runs_on_the_names_of_scikit_learn(monkeypatch):
    module = host("turftopic.models._keynmf")
    for name in ("NMF", "MiniBatchNMF", "_initialize_nmf"):
        monkeypatch.setattr(module, name, getattr(compat_sklearn, name))
    texts, _ = documents()
    keywords = [{word: 1.0 for word in text.split()} for text in texts]
    model = module.KeywordNMF(3, seed=0)
    for first in range(0, 90, 30):
        model.partial_fit(keywords[first : first + 30])
    assert model.components.shape == (3, 18)
    assert model.transform(keywords).shape == (90, 3)


@pytest.mark.parametrize("kind", [latom.SphericalKMeans, latom.KMeans, latom.MiniBatchKMeans])
def test_turftopics_clustering_takes_latoms_estimators(kind):
    turftopic = host("turftopic")
    texts, themes = documents()
    model = turftopic.ClusteringTopicModel(
        encoder=StubEncoder(),
        clustering=kind(3, random_state=0),
        dimensionality_reduction=latom.SemiNMF(4, random_state=0),
        feature_importance="c-tf-idf",
    )
    assert agree(model.fit_predict(texts), themes)


def test_turftopics_s3_takes_semi_nmf():
    turftopic = host("turftopic")
    texts, themes = documents()
    model = turftopic.SemanticSignalSeparation(
        3, encoder=StubEncoder(), decomposition=latom.SemiNMF(3, random_state=0)
    )
    assert agree(model.fit_transform(texts).argmax(axis=1), themes)

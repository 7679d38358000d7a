"""TopKEncoder: scikit-learn's contract, weights, caches."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import latom
from latom import _core

D, M = 12, 30  # as conftest.py has them


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([
    latom.TopKEncoder(),
    latom.TopKEncoder(k=1),
    latom.TopKEncoder(k=1, activation="abs"),
    latom.TopKEncoder(sparse_output=False),
])  # fmt: skip
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def same(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and (a != b).nnz == 0


# ---- the estimator


def test_weights_need_no_fit(X, weights):
    W, W_dec, b, c = weights.values()
    encoder = latom.TopKEncoder(W, 4, W_dec=W_dec, b_enc=b, b_pre=c, activation="identity")
    codes = encoder.transform(X)
    assert same(codes, latom.encode(X, W, 4, b_enc=b, b_pre=c, activation="identity"))
    assert isinstance(codes, sp.csr_array)
    assert encoder.inverse_transform(codes).tobytes() == latom.decode(codes, W_dec, b_pre=c).tobytes()
    assert (encoder.inverse_transform(codes.toarray()) == encoder.inverse_transform(codes)).all()
    assert same(encoder.fit(X).transform(X), codes)
    assert encoder.components_ is W
    assert list(encoder.get_feature_names_out()[:2]) == ["topkencoder0", "topkencoder1"]
    assert len(encoder.get_feature_names_out()) == M


def test_biases_of_the_decoder(X, weights):
    W, _, _, c = weights.values()
    codes = latom.TopKEncoder(W, 4).transform(X)
    tied = latom.decode(codes, W)
    assert (latom.TopKEncoder(W, 4).inverse_transform(codes) == tied).all()
    for encoder in (latom.TopKEncoder(W, 4, b_pre=c), latom.TopKEncoder(W, 4, b_dec=c)):
        assert np.allclose(encoder.inverse_transform(codes), tied + c, atol=1e-5)
    assert (latom.TopKEncoder(W, 4, b_pre=c, b_dec=0 * c).inverse_transform(codes) == tied).all()


@pytest.mark.parametrize("tied", [False, True])
def test_rescaling_by_the_decoder_norm(tied, X, weights):
    W, W_dec, b, c = weights.values()
    decoder = W if tied else W_dec
    lengths = np.linalg.norm(decoder.astype(np.float64), axis=1)
    P = np.maximum(((X - c).astype(np.float64) @ W.T.astype(np.float64) + b) * lengths, 0)
    kth = np.sort(P, axis=1)[:, [-5]]
    P = np.where(kth <= P, P, 0)
    encoder = latom.TopKEncoder(
        W, 5, W_dec=None if tied else W_dec, b_enc=b, b_pre=c, rescale_by_decoder_norm=True
    )
    codes = encoder.transform(X)
    assert ((codes != 0).toarray() == (P != 0)).all()
    assert np.allclose(codes.toarray(), P, rtol=1e-4, atol=1e-5)
    before = codes.copy()
    assert np.allclose(encoder.inverse_transform(codes), (P / lengths) @ decoder + c, rtol=1e-3, atol=1e-4)
    assert same(codes, before)
    plain = encoder.set_params(rescale_by_decoder_norm=False).transform(X)
    assert (plain.indices != codes.indices[: plain.nnz]).any()  # scaling changes what is chosen
    decoder[3] = 0
    with pytest.raises(ValueError, match="W_dec must have 30 rows, none of them zero"):
        latom.TopKEncoder(W, 5, W_dec=decoder, rescale_by_decoder_norm=True).transform(X)


def test_atoms_are_packed_once_and_again_when_weights_change(X, weights, monkeypatch):
    made = []

    class Spy(_core.AtomIndex):
        def __init__(self, *rest):
            made.append(rest[1])
            super().__init__(*rest)

    monkeypatch.setattr(_core, "AtomIndex", Spy)
    W, W_dec, b, _ = weights.values()
    encoder = latom.TopKEncoder(W, 4)
    first = encoder.transform(X)
    assert same(encoder.transform(X), first)
    encoder.set_params(k=3).transform(X)
    assert len(made) == 1
    assert np.shares_memory(made[0], W)
    assert same(encoder.set_params(W_enc=W_dec, k=4).transform(X), latom.encode(X, W_dec, 4))
    assert same(encoder.set_params(b_enc=b).transform(X), latom.encode(X, W_dec, 4, b_enc=b))
    count = len(made)
    encoder.transform(X.astype(np.float64))
    encoder.transform(X)
    assert len(made) == count + 1


def test_pickle_and_clone(X, weights):
    W, W_dec, b, c = weights.values()
    encoder = latom.TopKEncoder(W, 4, W_dec=W_dec, b_enc=b, b_pre=c).fit(X)
    codes = encoder.transform(X)
    for other in (pickle.loads(pickle.dumps(encoder)), clone(encoder)):
        assert same(other.transform(X), codes)
        assert (other.inverse_transform(codes) == encoder.inverse_transform(codes)).all()
    drawn = latom.TopKEncoder(k=2, n_components=5, random_state=0).fit(X)
    assert same(pickle.loads(pickle.dumps(drawn)).transform(X), drawn.transform(X))
    with pytest.raises(NotFittedError, match="W_enc must be given or fit"):
        clone(drawn).transform(X)


def test_fit_draws_rows_of_X_and_scales_them(X):
    encoder = latom.TopKEncoder(k=3, n_components=8, random_state=1).fit(X)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    assert encoder.components_.shape == (8, D)
    assert (np.abs(unit[:, None] - encoder.components_[None]).max(axis=2).min(axis=0) < 1e-6).all()
    rows = latom.kmeans_plusplus(X, 8, random_state=1)[0]
    assert np.allclose(encoder.components_, rows / np.linalg.norm(rows, axis=1, keepdims=True), atol=1e-6)
    assert latom.TopKEncoder(k=3, random_state=1).fit(X).components_.shape == (D, D)
    assert latom.TopKEncoder(k=3, random_state=1).fit(X[:7]).components_.shape == (7, D)


@pytest.mark.parametrize("n_components", [None, 5])
def test_a_drawn_dictionary_of_fewer_latents_keeps_them_all(n_components, X):
    encoder = latom.TopKEncoder(n_components=n_components, activation="identity", random_state=0).fit(X)
    scores = X.astype(np.float64) @ encoder.components_.T.astype(np.float64)
    assert scores.shape[1] == (n_components or D) < encoder.k
    assert np.allclose(encoder.transform(X).toarray(), scores, atol=1e-5)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_half_precision(kind, X, weights):
    dtype = np.float16 if kind == "float16" else pytest.importorskip("ml_dtypes").bfloat16
    rows = X.astype(dtype)
    encoder = latom.TopKEncoder(weights["W_enc"], 4)
    assert same(encoder.fit(rows).transform(rows), latom.encode(rows.astype(np.float32), weights["W_enc"], 4))
    drawn = latom.TopKEncoder(k=2, n_components=5, random_state=0).fit(rows)
    assert drawn.components_.dtype == np.float32


def test_tensors(X, weights):
    torch = pytest.importorskip("torch")
    W = torch.from_numpy(weights["W_enc"])
    encoder = latom.TopKEncoder(W.bfloat16(), 4)
    rows = torch.from_numpy(X).bfloat16()
    expected = latom.encode(rows.float().numpy(), W.bfloat16().float().numpy(), 4)
    assert same(encoder.fit(rows).transform(rows), expected)
    assert same(pickle.loads(pickle.dumps(encoder)).transform(rows), expected)


def test_in_a_pipeline(X, weights):
    pipe = make_pipeline(StandardScaler(), latom.TopKEncoder(weights["W_enc"], 4))
    assert same(pipe.fit_transform(X), latom.encode(StandardScaler().fit_transform(X), weights["W_enc"], 4))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"k": 31}, r"fit: k must be an integer in \[1, 30\]; got 31"),
        ({"activation": "gelu"}, "fit: activation must be"),
        ({"n_threads": -1}, "fit: n_threads must be"),
        ({"W_enc": np.ones((5, D + 1))}, f"fit: W_enc must have as many columns as X, {D}; got {D + 1}"),
        ({"W_enc": None, "n_components": 61}, "fit: n_components must be at most the number of rows"),
        ({"W_enc": None, "n_components": 0}, "fit: n_components must be a positive integer"),
        ({"W_enc": None, "k": 0}, "fit: k must be a positive integer; got 0"),
        ({"b_enc": np.ones(3)}, r"fit: b_enc must have shape \(30,\); got \(3,\)"),
    ],
)
def test_bad_parameters_say_what_to_do(change, words, X, weights):
    arguments = {
        "W_enc": weights["W_enc"],
        "k": 4,
    }
    with pytest.raises(ValueError, match=words) as error:
        latom.TopKEncoder(**(arguments | change)).fit(X)
    assert str(error.value).startswith("TopKEncoder.fit: ")


def test_transform_checks_its_rows(X, weights):
    encoder = latom.TopKEncoder(weights["W_enc"], 4)
    with pytest.raises(ValueError, match=f"X must have as many columns as atoms, {D}; got {D - 1}"):
        encoder.transform(X[:, 1:])
    with pytest.raises(TypeError, match=r"transform: X must be dense, not sparse"):
        encoder.transform(sp.csr_array(X))
    X[7, 2] = np.nan
    with pytest.raises(ValueError, match=r"X must be finite.*row 7"):
        encoder.transform(X)
    with pytest.raises(ValueError, match=r"k must be an integer in \[1, 30\]; got 31"):
        encoder.set_params(k=31).transform(X)

"""TopKEncoder: scikit-learn's contract, weights, caches; checkpoints of other libraries."""

from __future__ import annotations

import json
import pickle
import sys

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

D, M = 12, 30


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([
    latom.TopKEncoder(),
    latom.TopKEncoder(k=1),
    latom.TopKEncoder(k=1, activation="abs"),
    latom.TopKEncoder(sparse_output=False),
])  # fmt: skip
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture
def X(rng):
    return rng.standard_normal((60, D)).astype(np.float32)


@pytest.fixture
def weights(rng):
    """W_enc [m, d], W_dec [m, d], b_enc, b_dec."""
    return {
        "W_enc": rng.standard_normal((M, D)).astype(np.float32),
        "W_dec": rng.standard_normal((M, D)).astype(np.float32),
        "b_enc": rng.standard_normal(M).astype(np.float32),
        "b_dec": rng.standard_normal(D).astype(np.float32),
    }


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


# ---- checkpoints


def reference(X, W_enc, W_dec, b_enc, b_pre, b_dec, k):
    """Codes [n, m] and rows [n, d] of a top-k autoencoder in float64."""
    P = (X.astype(np.float64) - b_pre) @ W_enc.astype(np.float64).T + b_enc
    P = np.maximum(P, 0)
    kth = np.sort(P, axis=1)[:, [-k]]
    P = np.where(kth <= P, P, 0)
    return P, P @ W_dec.astype(np.float64) + b_dec


def check(encoder, X, W_enc, W_dec, b_enc, b_pre, b_dec, k):
    codes, rows = reference(X, W_enc, W_dec, b_enc, b_pre, b_dec, k)
    got = encoder.transform(X)
    assert encoder.k == k
    assert ((got != 0).toarray() == (codes != 0)).all()
    assert np.allclose(got.toarray(), codes, rtol=1e-4, atol=1e-5)
    assert np.allclose(encoder.inverse_transform(got), rows, rtol=1e-3, atol=1e-4)


def write_json(path, **config):
    path.write_text(json.dumps(config))


def save_safetensors(path, tensors):
    from_numpy = pytest.importorskip("safetensors.numpy")
    from_numpy.save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, path)


def sae_lens(folder, weights, tensors=None, **config):
    W, W_dec, b, c = weights.values()
    arrays = {"W_enc": W.T, "W_dec": W_dec, "b_enc": b, "b_dec": c} | (tensors or {})
    save_safetensors(folder / "sae_weights.safetensors", arrays)
    plain = {"architecture": "topk", "d_in": D, "d_sae": M, "k": 5, "normalize_activations": "none"}
    write_json(folder / "cfg.json", **(plain | config))
    return folder


@pytest.mark.parametrize("subtract", [True, False])
def test_sae_lens(subtract, X, weights, tmp_path):
    W, W_dec, b, c = weights.values()
    sae_lens(tmp_path, weights, apply_b_dec_to_input=subtract)
    for path in (tmp_path, str(tmp_path), tmp_path / "sae_weights.safetensors"):
        encoder = latom.TopKEncoder.from_pretrained(path)
        check(encoder, X, W, W_dec, b, c if subtract else 0 * c, c, 5)
    check(latom.TopKEncoder.from_pretrained(tmp_path, k=3), X, W, W_dec, b, c if subtract else 0 * c, c, 3)


def test_sae_lens_rescaled_and_of_older_versions(X, weights, tmp_path):
    W, W_dec, b, c = weights.values()
    lengths = np.linalg.norm(W_dec, axis=1)[:, None]
    sae_lens(tmp_path, weights, rescale_acts_by_decoder_norm=True)
    unit = (W * lengths, W_dec / lengths, b * lengths[:, 0])
    check(latom.TopKEncoder.from_pretrained(tmp_path), X, *unit, c, c, 5)
    old = {"architecture": "standard", "activation_fn_str": "topk", "activation_fn_kwargs": {"k": 6}}
    sae_lens(tmp_path, weights, k=None, **old)
    check(latom.TopKEncoder.from_pretrained(tmp_path), X, W, W_dec, b, c, c, 6)


def test_sae_lens_in_bfloat16(X, weights, tmp_path):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    half = {name: value.astype(ml_dtypes.bfloat16) for name, value in weights.items()}
    sae_lens(tmp_path, half)
    W, W_dec, b, c = (value.astype(np.float32) for value in half.values())
    encoder = latom.TopKEncoder.from_pretrained(tmp_path)
    assert (encoder.W_enc == W).all()
    check(encoder, X, W, W_dec, b, c, c, 5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"architecture": "jumprelu"}, "got architecture 'jumprelu'"),
        ({"architecture": "batchtopk"}, "got architecture 'batchtopk'"),
        ({"architecture": "standard"}, "got architecture 'standard'"),
        ({"normalize_activations": "layer_norm"}, "got normalize_activations 'layer_norm'"),
        ({"tensors": {"threshold": np.ones(M, np.float32)}}, r"\['threshold'\] as well .*means JumpReLU"),
        ({"tensors": {"scaling_factor": np.ones(M, np.float32)}}, r"\['scaling_factor'\] as well"),
    ],
)
def test_what_is_not_computed_is_refused(change, words, weights, tmp_path):
    sae_lens(tmp_path, weights, **change)
    with pytest.raises(ValueError, match=words) as error:
        latom.TopKEncoder.from_pretrained(tmp_path, k=5)
    assert str(error.value).startswith("TopKEncoder.from_pretrained: path must be a checkpoint ")


@pytest.mark.parametrize("transcode", [False, True])
def test_sparsify(transcode, X, weights, tmp_path):
    W, W_dec, b, c = weights.values()
    tensors = {"encoder.weight": W, "encoder.bias": b, "W_dec": W_dec, "b_dec": c}
    save_safetensors(tmp_path / "sae.safetensors", tensors)
    config = {"activation": "topk", "k": 5, "d_in": D, "num_latents": M, "transcode": transcode}
    write_json(tmp_path / "cfg.json", **config)
    check(latom.TopKEncoder.from_pretrained(tmp_path), X, W, W_dec, b, 0 * c if transcode else c, c, 5)
    for option, value in (("activation", "groupmax"), ("skip_connection", True)):
        write_json(tmp_path / "cfg.json", **(config | {option: value}))
        with pytest.raises(ValueError, match=f"checkpoint of {option}"):
            latom.TopKEncoder.from_pretrained(tmp_path)
    write_json(tmp_path / "cfg.json", **config)
    save_safetensors(tmp_path / "sae.safetensors", tensors | {"W_skip": np.eye(D, dtype=np.float32)})
    with pytest.raises(ValueError, match=r"\['W_skip'\] as well"):
        latom.TopKEncoder.from_pretrained(tmp_path)
    del tensors["b_dec"]
    save_safetensors(tmp_path / "sae.safetensors", tensors)
    with pytest.raises(ValueError, match=r"got sae.safetensors without \['b_dec'\]"):
        latom.TopKEncoder.from_pretrained(tmp_path)


def torch_dict(tensors):
    torch = pytest.importorskip("torch")
    return {
        name: torch.from_numpy(np.ascontiguousarray(value)) if isinstance(value, np.ndarray) else value
        for name, value in tensors.items()
    }


def test_dictionary_learning(X, weights, tmp_path):
    torch = pytest.importorskip("torch")
    W, W_dec, b, c = weights.values()
    tensors = {"encoder.weight": W, "encoder.bias": b, "decoder.weight": W_dec.T, "b_dec": c}
    state = torch_dict(tensors) | {"k": torch.tensor(5), "threshold": torch.tensor(0.3)}
    torch.save(state, tmp_path / "ae.pt")
    with pytest.raises(FileNotFoundError, match=r"path must hold config\.json beside ae\.pt"):
        latom.TopKEncoder.from_pretrained(tmp_path)
    write_json(tmp_path / "config.json", trainer={"dict_class": "AutoEncoderTopK"})
    for path in (tmp_path, tmp_path / "ae.pt"):
        check(latom.TopKEncoder.from_pretrained(path), X, W, W_dec, b, c, c, 5)
    write_json(tmp_path / "config.json", trainer={"dict_class": "BatchTopKSAE"})  # its threshold counts
    with pytest.raises(ValueError, match="got 'BatchTopKSAE'"):
        latom.TopKEncoder.from_pretrained(tmp_path)


@pytest.mark.parametrize("tied", [False, True])
def test_openai(tied, X, weights, tmp_path):
    torch = pytest.importorskip("torch")
    W, W_dec, b, c = weights.values()
    tensors = {
        "encoder.weight": W,
        "latent_bias": b,
        "pre_bias": c,
        "stats_last_nonzero": np.zeros(M, np.int64),
    }
    tensors |= {"decoder.linear.weight": W} if tied else {"decoder.weight": W_dec.T}
    state = {"activation": "TopK", "activation_state_dict": {"k": 5, "postact_fn": "ReLU"}}
    file = tmp_path / "layer.pt"
    torch.save(torch_dict(tensors) | state, file)
    with pytest.raises(ValueError, match=r"input_normalized must be True.*x.std\(ddof=1\)"):
        latom.TopKEncoder.from_pretrained(file)
    encoder = latom.TopKEncoder.from_pretrained(file, input_normalized=True)
    check(encoder, X, W, W if tied else W_dec, b, c, c, 5)
    assert encoder.activation == "topk-relu"
    torch.save(torch_dict(tensors) | {"activation": "ReLU"}, file)
    with pytest.raises(ValueError, match="got activation 'ReLU'"):
        latom.TopKEncoder.from_pretrained(file, input_normalized=True)


@pytest.mark.parametrize("name", ["encoder.weight", "decoder.linear.weight"])
@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_sentence_transformers(file, name, X, weights, tmp_path):
    W, _, b, c = weights.values()
    tensors = {name: W, "latent_bias": b, "pre_bias": c, "stats_last_nonzero": np.zeros(M, np.int64)}
    if file.endswith("bin"):
        pytest.importorskip("torch").save(torch_dict(tensors), tmp_path / file)
    else:
        save_safetensors(tmp_path / file, tensors)
    config = {"input_dim": D, "hidden_dim": M, "k": 5, "k_aux": 8, "normalize": False}
    write_json(tmp_path / "config.json", **config)
    check(latom.TopKEncoder.from_pretrained(tmp_path), X, W, W, b, c, c, 5)
    write_json(tmp_path / "config.json", **(config | {"normalize": True}))
    with pytest.raises(ValueError, match="input_normalized must be True"):
        latom.TopKEncoder.from_pretrained(tmp_path)
    check(latom.TopKEncoder.from_pretrained(tmp_path, input_normalized=True), X, W, W, b, c, c, 5)


def test_npz(X, weights, tmp_path):
    W, W_dec, b, c = weights.values()
    arrays = {"W_enc": W.T, "W_dec": W_dec, "b_enc": b, "b_dec": c}
    np.savez(tmp_path / "params.npz", **arrays)
    for path in (tmp_path, tmp_path / "params.npz"):
        check(latom.TopKEncoder.from_pretrained(path, k=4), X, W, W_dec, b, 0 * c, c, 4)
    with pytest.raises(ValueError, match="k must be given"):
        latom.TopKEncoder.from_pretrained(tmp_path)
    np.savez(tmp_path / "params.npz", **arrays, threshold=np.zeros(M))  # as Gemma Scope has it
    with pytest.raises(ValueError, match=r"\['threshold'\] as well .*means JumpReLU"):
        latom.TopKEncoder.from_pretrained(tmp_path, k=4)


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="path must be a checkpoint of SAELens"):
        latom.TopKEncoder.from_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match="path must be a checkpoint of SAELens"):
        latom.TopKEncoder.from_pretrained(tmp_path / "missing.pt")


@pytest.mark.parametrize(
    ("file", "library", "extra"),
    [("model.safetensors", "safetensors", "pretrained"), ("pytorch_model.bin", "torch", "torch")],
)
def test_a_missing_library_names_the_extra(file, library, extra, tmp_path, monkeypatch):
    (tmp_path / file).touch()
    write_json(tmp_path / "config.json", k=5)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=rf"{library} must be installed.*pip install 'latom\[{extra}\]'"):
        latom.TopKEncoder.from_pretrained(tmp_path)

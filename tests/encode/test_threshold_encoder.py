"""ThresholdEncoder: JumpReLU, BatchTopK and ReLU, and the checkpoints that have them."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from sklearn.base import clone

import latom

D, M = 12, 30  # as conftest.py has them


@pytest.fixture
def threshold(rng):
    return rng.uniform(-0.5, 3, M).astype(np.float32)


def reference(X, W_enc, W_dec, b_enc, b_pre, b_dec, threshold):
    P = (X.astype(np.float64) - b_pre) @ W_enc.astype(np.float64).T + b_enc
    P = np.where(np.maximum(threshold, 0) < P, P, 0)
    return P, P @ W_dec.astype(np.float64) + b_dec


def check(encoder, X, *parts):
    codes, rows = reference(X, *parts)
    got = encoder.transform(X)
    assert got.dtype == np.float32
    assert got.has_sorted_indices
    assert ((got != 0).toarray() == (codes != 0)).all()
    assert np.allclose(got.toarray(), codes, rtol=1e-5, atol=1e-6)
    assert np.allclose(encoder.inverse_transform(got), rows, rtol=1e-3, atol=1e-4)


def test_codes_are_those_of_the_formula(X, weights, threshold):
    W, W_dec, b, c = weights.values()
    for value in (0.0, 1.5, -2.0, threshold):
        encoder = latom.ThresholdEncoder(W, value, W_dec=W_dec, b_enc=b, b_pre=c, b_dec=2 * c)
        check(encoder.fit(X), X, W, W_dec, b, c, 2 * c, np.broadcast_to(value, M))
    again = pickle.loads(pickle.dumps(clone(encoder)))
    codes = encoder.transform(X)
    assert (again.transform(X.reshape(6, 10, D)) != codes).nnz == 0
    dense = latom.ThresholdEncoder(W, 1.0, sparse_output=False).transform(X)
    assert np.array_equal(dense, latom.ThresholdEncoder(W, 1.0).transform(X).toarray())
    encoder.threshold = 50.0
    assert encoder.transform(X).nnz == 0


def test_a_latent_at_its_threshold_does_not_fire():
    X = np.array([[1.0, 2.0], [2.0, 3.0]])
    codes = latom.ThresholdEncoder(np.eye(2), [1.0, 2.5]).transform(X)
    assert codes.toarray().tolist() == [[0, 0], [2, 3]]


def test_wrong_parameters_are_refused(X, weights):
    W = weights["W_enc"]
    for bad, words in ((np.ones(5), "threshold must have shape"), (np.nan, "threshold must be finite")):
        with pytest.raises(ValueError, match=rf"^ThresholdEncoder\.transform: {words}"):
            latom.ThresholdEncoder(W, bad).transform(X)
    with pytest.raises(ValueError, match="W_enc must have as many columns as X, 11"):
        latom.ThresholdEncoder(W).fit(X[:, 1:])


# ---- checkpoints


def sae_lens(folder, weights, threshold=None, **config):
    numpy_files = pytest.importorskip("safetensors.numpy")
    W, W_dec, b, c = weights.values()
    arrays = {"W_enc": W.T, "W_dec": W_dec, "b_enc": b, "b_dec": c}
    if threshold is not None:
        arrays["threshold"] = threshold
    arrays = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
    numpy_files.save_file(arrays, folder / "sae_weights.safetensors")
    (folder / "cfg.json").write_text(
        json.dumps({"d_in": D, "d_sae": M, "normalize_activations": "none"} | config)
    )
    return folder


@pytest.mark.parametrize("subtract", [True, False])
def test_sae_lens(subtract, X, weights, threshold, tmp_path):
    W, W_dec, b, c = weights.values()
    sae_lens(tmp_path, weights, threshold, architecture="jumprelu", apply_b_dec_to_input=subtract)
    encoder = latom.ThresholdEncoder.from_pretrained(tmp_path)
    check(encoder, X, W, W_dec, b, c if subtract else 0 * c, c, threshold)
    sae_lens(tmp_path, weights, architecture="standard", apply_b_dec_to_input=subtract)
    encoder = latom.ThresholdEncoder.from_pretrained(tmp_path / "sae_weights.safetensors")
    check(encoder, X, W, W_dec, b, c if subtract else 0 * c, c, np.zeros(M))


def test_transcoders_write_into_another_space(X, weights, threshold, rng, tmp_path):
    W, _, b, _ = weights.values()
    W_dec = rng.standard_normal((M, 7)).astype(np.float32)
    c = rng.standard_normal(7).astype(np.float32)
    parts = {"W_enc": W, "W_dec": W_dec, "b_enc": b, "b_dec": c}
    sae_lens(tmp_path, parts, threshold, architecture="jumprelu_transcoder")
    check(latom.ThresholdEncoder.from_pretrained(tmp_path), X, W, W_dec, b, 0, c, threshold)
    sae_lens(tmp_path, parts, architecture="transcoder")
    check(latom.ThresholdEncoder.from_pretrained(tmp_path), X, W, W_dec, b, 0, c, np.zeros(M))


@pytest.mark.parametrize("scaling", ["expected_average_only_in", "constant_norm_rescale", "layer_norm"])
@pytest.mark.parametrize("cls", [latom.ThresholdEncoder, latom.TopKEncoder])
def test_scaled_input_must_be_said_to_be_scaled(cls, scaling, X, weights, tmp_path):
    kind = {"architecture": "topk", "k": 4} if cls is latom.TopKEncoder else {"architecture": "standard"}
    sae_lens(tmp_path, weights, normalize_activations=scaling, **kind)
    with pytest.raises(ValueError, match=f"input_normalized must be True .* {scaling!r}; got False"):
        cls.from_pretrained(tmp_path)
    encoder = cls.from_pretrained(tmp_path, input_normalized=True)
    assert encoder.transform(X).shape == (60, M)
    sae_lens(tmp_path, weights, normalize_activations="other", **kind)
    with pytest.raises(ValueError, match="normalize_activations 'other'"):
        cls.from_pretrained(tmp_path, input_normalized=True)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"architecture": "topk", "k": 3}, "a top-k one. Use TopKEncoder"),
        ({"architecture": "gated"}, "'gated': a gate with weights of its own"),
        ({"architecture": "skip_transcoder"}, "a skip connection"),
        ({"architecture": "jumprelu"}, r"without \['threshold'\]"),
        ({"architecture": "standard", "activation_fn": "tanh-relu"}, "activation_fn 'tanh-relu'"),
        ({"rescale_acts_by_decoder_norm": True}, "rescale_acts_by_decoder_norm True"),
        ({"architecture": "transcoder", "apply_b_dec_to_input": True}, "centered by b_dec"),
    ],
)
def test_what_cannot_be_exact_is_refused(config, words, weights, tmp_path):
    sae_lens(tmp_path, weights, **config)
    with pytest.raises(ValueError, match=words):
        latom.ThresholdEncoder.from_pretrained(tmp_path)


def test_the_other_loader_is_named(weights, threshold, tmp_path):
    sae_lens(tmp_path, weights, threshold, architecture="jumprelu")
    with pytest.raises(ValueError, match=r"'jumprelu'\. Use ThresholdEncoder\.from_pretrained"):
        latom.TopKEncoder.from_pretrained(tmp_path)


def dictionary_learning(folder, tensors, **trainer):
    torch = pytest.importorskip("torch")
    torch.save({name: torch.from_numpy(np.array(value)) for name, value in tensors.items()}, folder / "ae.pt")
    (folder / "config.json").write_text(json.dumps({"trainer": trainer}))
    return folder


def test_dictionary_learning(X, weights, threshold, tmp_path):
    W, W_dec, b, c = weights.values()
    linear = {"encoder.weight": W, "encoder.bias": b, "decoder.weight": W_dec.T.copy()}
    plain = {"W_enc": W.T.copy(), "W_dec": W_dec, "b_enc": b, "b_dec": c}
    batch = {**linear, "b_dec": c, "k": 5, "threshold": np.float32(1.25)}
    load = latom.ThresholdEncoder.from_pretrained
    check(
        load(dictionary_learning(tmp_path, batch, dict_class="BatchTopKSAE")),
        X,
        W,
        W_dec,
        b,
        c,
        c,
        np.full(M, 1.25),
    )
    nested = {**plain, "k": 5, "threshold": np.float32(0.5), "group_sizes": np.array([10, 20])}
    dictionary_learning(tmp_path, nested, dict_class="MatryoshkaBatchTopKSAE")
    check(load(tmp_path), X, W, W_dec, b, c, c, np.full(M, 0.5))
    dictionary_learning(tmp_path, {**plain, "threshold": threshold}, dict_class="JumpReluAutoEncoder")
    check(load(tmp_path), X, W, W_dec, b, 0, c, threshold)
    dictionary_learning(tmp_path, {**linear, "bias": c}, dict_class="AutoEncoder")
    check(load(tmp_path), X, W, W_dec, b, c, c, np.zeros(M))
    dictionary_learning(tmp_path, {**batch, "threshold": np.float32(-1)}, dict_class="BatchTopKSAE")
    with pytest.raises(ValueError, match="with the threshold that training finds; got threshold -1"):
        load(tmp_path)
    dictionary_learning(tmp_path, batch, dict_class="GatedAutoEncoder")
    with pytest.raises(ValueError, match="got 'GatedAutoEncoder'"):
        load(tmp_path)
    with pytest.raises(ValueError, match=r"Use ThresholdEncoder\.from_pretrained"):
        latom.TopKEncoder.from_pretrained(tmp_path)


def test_gemma_scope(X, weights, threshold, tmp_path):
    W, W_dec, b, c = weights.values()
    np.savez(tmp_path / "params.npz", W_enc=W.T, W_dec=W_dec, b_enc=b, b_dec=c, threshold=threshold)
    for path in (tmp_path, tmp_path / "params.npz"):
        check(latom.ThresholdEncoder.from_pretrained(path), X, W, W_dec, b, 0, c, threshold)
    np.savez(tmp_path / "params.npz", W_enc=W.T, W_dec=W_dec, b_enc=b, b_dec=c, threshold=threshold[1:])
    with pytest.raises(ValueError, match="threshold of shape"):
        latom.ThresholdEncoder.from_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match="be a checkpoint of SAELens or dictionary_learning"):
        latom.ThresholdEncoder.from_pretrained(tmp_path / "nothing")

"""TopKEncoder.from_pretrained: checkpoints of other libraries."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

import latom

D, M = 12, 30  # as conftest.py has them


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


@pytest.mark.parametrize("rescale", [False, True])
def test_sae_lens_by_magnitude(rescale, X, weights, tmp_path):
    W, W_dec, b, c = weights.values()
    sae_lens(tmp_path, weights, architecture="abstopk", rescale_acts_by_decoder_norm=rescale)
    encoder = latom.TopKEncoder.from_pretrained(tmp_path)
    P = (X.astype(np.float64) - c) @ W.astype(np.float64).T + b
    lengths = np.linalg.norm(W_dec, axis=1) if rescale else 1.0
    P = P * lengths
    P = np.where(np.sort(np.abs(P), axis=1)[:, [-5]] <= np.abs(P), P, 0)
    codes = encoder.transform(X)
    assert (codes.data < 0).any()
    assert ((codes != 0).toarray() == (P != 0)).all()
    assert np.allclose(codes.toarray(), P, rtol=1e-4, atol=1e-5)
    assert np.allclose(encoder.inverse_transform(codes), (P / lengths) @ W_dec + c, rtol=1e-3, atol=1e-4)
    with pytest.raises(ValueError, match=r"a top-k one\. Use TopKEncoder\.from_pretrained"):
        latom.ThresholdEncoder.from_pretrained(tmp_path)


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
        ({"normalize_activations": "sphere"}, "got normalize_activations 'sphere'"),
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

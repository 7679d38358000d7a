"""`TopKEncoder.from_pretrained` on malformed checkpoints: one form of error, and no weight is changed."""

from __future__ import annotations

import io
import os
import re
import zipfile

import numpy as np
import pytest
from checkpoints import LAYOUTS, D, K, M, save

import latom

MESSAGE = re.compile(r"TopKEncoder\.from_pretrained: \S+ must .+; got .+\. .+", re.DOTALL)


def load(path, **arguments):
    return latom.TopKEncoder.from_pretrained(path, **arguments)


def refused(path, words, kind=ValueError, **arguments):
    with pytest.raises(kind, match=words) as error:
        load(path, **arguments)
    assert type(error.value) is kind
    assert MESSAGE.fullmatch(str(error.value)), error.value
    assert len(str(error.value)) < 900


def found(name):
    """The layout of a name, where the library that writes it is installed."""
    layout = LAYOUTS[name]
    if not layout.file.endswith(".npz"):
        pytest.importorskip("safetensors" if layout.file.endswith(".safetensors") else "torch")
    return layout


@pytest.fixture(params=LAYOUTS)
def layout(request):
    return found(request.param)


def test_every_layout_loads(layout, rng, tmp_path):
    tensors = layout.tensors(rng)
    encoder = load(save(layout, tmp_path, tensors), **layout.arguments)
    assert encoder.k == K
    for parameter, name in layout.parts.items():
        stored = tensors[name.removesuffix(".T")]
        assert np.array_equal(getattr(encoder, parameter), stored.T if name.endswith(".T") else stored)
    assert encoder.transform(rng.standard_normal((5, D)).astype(np.float32)).shape == (5, M)


@pytest.mark.parametrize("content", [b"", b"PK\3\4 not an archive", b"\x80\x02}q\0.", b"\xff" * 64])
def test_files_that_are_none(content, layout, rng, tmp_path):
    path = save(layout, tmp_path, layout.tensors(rng))
    (tmp_path / layout.file).write_bytes(content)
    refused(path, "path must be a checkpoint ", **layout.arguments)


def test_cut_files(layout, rng, tmp_path):
    path = save(layout, tmp_path, layout.tensors(rng))
    whole = (tmp_path / layout.file).read_bytes()
    for end in (9, len(whole) // 2, len(whole) - 1):
        (tmp_path / layout.file).write_bytes(whole[:end])
        refused(
            path, "path must be a checkpoint that can be read; got .*Download it again", **layout.arguments
        )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "config|cfg.json: Expecting value"),
        (b"\xff\xfe{}", "can't decode"),
        (b"[1, 2]", "which is no JSON object"),
        (b"null", "which is no JSON object"),
        (b"{" * 9, "Expecting property name"),
        (b'{"a": ' * 100_000, "must be a checkpoint that can be read"),
        (b'{"k": ' + b"9" * 5000 + b"}", "must be a checkpoint that can be read"),
    ],
)
@pytest.mark.parametrize("name", [name for name, layout in LAYOUTS.items() if layout.config_file])
def test_configurations_that_are_none(content, words, name, rng, tmp_path):
    layout = found(name)
    refused(save(layout, tmp_path, layout.tensors(rng), content), words)


@pytest.mark.parametrize(
    "k", [2.5, "2", True, 0, -1, M + 1, [2], {"k": 2}, float("nan"), float("inf"), 1e300]
)
def test_k_is_whole_and_fits(k, layout, rng, tmp_path):
    tensors, config = layout.tensors(rng), dict(layout.config)
    if layout.k_at:
        config["k"] = k
    elif layout.file == "ae.pt":
        tensors["k"] = np.array(k)
    elif layout.file == "layer.pt":
        tensors["activation_state_dict"] = {"k": k, "postact_fn": "ReLU"}
    else:
        return refused(save(layout, tmp_path, tensors), r"k must be an integer in \[1, 6\]", k=k)
    path = save(layout, tmp_path, tensors, config)
    refused(path, r"whose k is an integer in \[1, 6\]; got k = .* Pass k\.|can be read", **layout.arguments)
    if layout.file != "ae.pt":  # where numpy could not store it
        assert load(path, **(layout.arguments | {"k": 3})).k == 3
    return None


@pytest.mark.parametrize("dtype", ["complex64", "bool", "U5", "V2"])
def test_weights_that_are_not_real(dtype, layout, rng, tmp_path):
    tensors = layout.tensors(rng)
    name = layout.parts["b_enc"]
    if dtype in ("U5", "V2") and not layout.file.endswith(".npz"):
        return
    tensors[name] = tensors[name].astype(dtype) if dtype != "V2" else tensors[name].view("V2")
    refused(save(layout, tmp_path, tensors), f"{name}|dtype ", **layout.arguments)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite(value, layout, rng, tmp_path):
    tensors = layout.tensors(rng)
    tensors[layout.parts["W_enc"].removesuffix(".T")][1, 2] = value
    words = rf"of finite weights; got {value} in '{layout.parts['W_enc'].removesuffix('.T')}'"
    refused(save(layout, tmp_path, tensors), words, **layout.arguments)


@pytest.mark.parametrize(
    ("name", "parameter"), [(n, p) for n, layout in LAYOUTS.items() for p in layout.parts]
)
@pytest.mark.parametrize("change", ["short", "deep", "flat", "empty", "number"])
def test_shapes_that_do_not_fit(name, parameter, change, rng, tmp_path):
    layout = found(name)
    if (name, parameter, change) == ("gemma_scope", "W_enc", "short"):
        return  # rows that come out may be wider than those that go in
    name = layout.parts[parameter].removesuffix(".T")
    tensors = layout.tensors(rng)
    part = tensors[name]
    tensors[name] = {
        "short": part[:-1],
        "deep": part[None],
        "flat": part.reshape(-1) if part.ndim == 2 else part.reshape(1, -1),
        "empty": part[:0],
        "number": part.reshape(-1)[:1].reshape(()),
    }[change]
    refused(
        save(layout, tmp_path, tensors), "is a vector|is a matrix|that fit the encoder", **layout.arguments
    )


@pytest.mark.parametrize(
    ("layout_name", "change", "words"),
    [
        ("sae_lens", {"apply_b_dec_to_input": "false"}, "of apply_b_dec_to_input true or false; got 'false'"),
        ("sae_lens", {"rescale_acts_by_decoder_norm": 0.0}, "of rescale_acts_by_decoder_norm true or false"),
        ("sae_lens", {"architecture": ["topk"]}, r"of a top-k autoencoder; got architecture \['topk'\]"),
        ("sae_lens", {"architecture": "x" * 10_000}, "of a top-k autoencoder; got architecture 'xxx"),
        ("sae_lens", {"k": None, "activation_fn_kwargs": [2]}, "k must be given"),
        ("sparsify", {"transcode": "no"}, "of transcode true or false; got 'no'"),
        ("sentence_transformers", {"normalize": "False"}, "of normalize true or false; got 'False'"),
        ("dictionary_learning", {"trainer": ["AutoEncoderTopK"]}, "of dict_class 'AutoEncoderTopK'; got"),
        ("dictionary_learning", {"trainer": None}, "of dict_class 'AutoEncoderTopK'; got None"),
    ],
)
def test_options_of_another_type(layout_name, change, words, rng, tmp_path):
    layout = found(layout_name)
    refused(save(layout, tmp_path, layout.tensors(rng), layout.config | change), words)


def test_states_of_torch_that_hold_no_weights(rng, tmp_path):
    torch = pytest.importorskip("torch")
    layout = LAYOUTS["openai"]
    tensors = layout.tensors(rng)
    path = save(layout, tmp_path, tensors)
    for change, words in (
        ({"activation": np.ones(3, np.float32)}, "of a top-k autoencoder; got activation array"),
        ({"activation_state_dict": {"k": 2, "postact_fn": ["ReLU"]}}, "with ReLU or Identity after top-k"),
        ({"latent_bias": "a string"}, "of real, dense weights; got 'latent_bias' of dtype <U8"),
        ({"latent_bias": [1.0, "a"]}, "of real, dense weights"),
        ({"latent_bias": None}, "of real, dense weights"),
        (
            {"encoder.weight": torch.ones(M, D).to_sparse()},
            "of real, dense weights; got 'encoder.weight' of ",
        ),
        ({"encoder.weight": torch.ones(M, D, device="meta")}, "'encoder.weight' of a tensor on meta"),
    ):
        refused(save(layout, tmp_path, tensors | change), words, **layout.arguments)
    for state in ([1, 2], torch.ones(3), {1: torch.ones(3)}, "text"):
        torch.save(state, path)
        refused(path, "which is no dict of tensors", **layout.arguments)
    save(layout, tmp_path, tensors | {"latent_bias": torch.ones(M, requires_grad=True)})
    assert (load(path, **layout.arguments).b_enc == 1).all()


def test_arrays_of_objects_are_not_unpickled(rng, tmp_path):
    layout = LAYOUTS["gemma_scope"]
    tensors = layout.tensors(rng) | {"b_enc": np.array([None] * M)}
    refused(save(layout, tmp_path, tensors), "Object arrays cannot be loaded", **layout.arguments)
    np.save(tmp_path / "x.npy", tensors["b_dec"])
    (tmp_path / "x.npy").rename(tmp_path / "params.npz")
    refused(tmp_path, "path must be a checkpoint that can be read", **layout.arguments)


def test_an_archive_that_claims_more_than_memory_holds(rng, tmp_path):
    layout = LAYOUTS["gemma_scope"]
    tensors = layout.tensors(rng)
    del tensors["b_enc"]
    path = save(layout, tmp_path, tensors)
    head = io.BytesIO()
    claim = {"descr": "<f8", "fortran_order": False, "shape": (1 << 45,)}
    np.lib.format.write_array_header_1_0(head, claim)
    with zipfile.ZipFile(tmp_path / layout.file, "a") as archive:
        archive.writestr("b_enc.npy", head.getvalue())
    refused(path, "path must fit in memory; got params.npz: Unable to allocate", MemoryError, k=2)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ">f4", np.longdouble, np.int8, np.int64])
def test_other_types_of_weights_keep_their_values(dtype, rng, tmp_path):
    layout = LAYOUTS["gemma_scope"]
    tensors = {name: (8 * value).round().astype(dtype) for name, value in layout.tensors(rng).items()}
    encoder = load(save(layout, tmp_path, tensors), **layout.arguments)
    assert np.array_equal(encoder.W_enc, tensors["W_enc"].T)
    assert encoder.W_enc.dtype == (np.float32 if dtype in (np.float16, ">f4") else np.float64)


def test_paths(rng, tmp_path):
    refused(tmp_path / ("x" * 5000), "path must be a checkpoint that can be read; got x")
    refused(5, "path must be a str or a path; got 5", TypeError)
    refused(tmp_path / "a\0b", "path must be a checkpoint of SAELens", FileNotFoundError)
    refused(tmp_path, "input_normalized must be True or False; got 'no'", input_normalized="no")
    if os.geteuid():  # root may read everything
        save(LAYOUTS["gemma_scope"], tmp_path, LAYOUTS["gemma_scope"].tensors(rng))
        (tmp_path / "params.npz").chmod(0)
        refused(tmp_path, "path must be readable; got Permission denied", PermissionError, k=2)


def test_a_model_of_several_modules_names_the_one_to_pass(rng, tmp_path):
    layout = found("sentence_transformers")
    inner = tmp_path / "1_SparseAutoEncoder"
    inner.mkdir()
    save(layout, inner, layout.tensors(rng))
    for name in ("model.safetensors", "config.json", "modules.json"):
        (tmp_path / name).write_bytes(b"{}")
    refused(tmp_path, "1_SparseAutoEncoder")
    assert load(inner).k == K

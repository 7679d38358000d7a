"""Rows of more than two dimensions, as tokens are, and results as tensors or dense for who asks for them."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest
import scipy.sparse as sp

import latom

D, M, K = 6, 20, 3


@pytest.fixture
def tokens(rng):
    return rng.standard_normal((4, 5, D)).astype(np.float32)


@pytest.fixture
def W(rng):
    return rng.standard_normal((M, D)).astype(np.float32)


def same(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and (a != b).nnz == 0


# ---- [batch, seq, d]


@pytest.mark.parametrize("shape", [(4, 5, D), (2, 2, 5, D), (20, 1, D)])
@pytest.mark.parametrize(
    "make", [np.asarray, np.asfortranarray, lambda A: A.tolist(), lambda A: A.astype(np.float16)]
)
def test_tokens_give_what_their_rows_give(shape, make, tokens, W):
    X = make(tokens.reshape(shape))
    rows = np.asarray(X, np.float64 if isinstance(X, list) else X.dtype).reshape(-1, D)
    values, indices = latom.topk(X, W, K)
    assert values.shape == indices.shape == (*shape[:-1], K)
    flat = latom.topk(rows, W, K)
    assert np.array_equal(values.reshape(-1, K), flat[0])
    assert np.array_equal(indices.reshape(-1, K), flat[1])
    codes = latom.encode(X, W, K)
    assert same(codes, latom.encode(rows, W, K))
    assert codes.shape == (20, M)
    decoded = latom.decode((values, indices), W)
    assert decoded.shape == shape
    assert np.array_equal(decoded.reshape(-1, D), latom.decode(flat, W))
    assert same(latom.TopKEncoder(W, K).fit(X).transform(X), codes)
    assert latom.TopKEncoder(n_components=4, random_state=0).fit(X).components_.shape == (4, D)
    assert same(latom.above(X, W, 0.5), latom.above(rows, W, 0.5))
    bars = np.linspace(-1, 1, 20)
    expected = latom.above(rows, W, bars)
    assert same(latom.above(X, W, bars), expected)
    assert same(latom.above(X, W, bars.reshape(shape[:-1])), expected)


def test_shapes_that_do_not_fit_tokens(tokens, W):
    with pytest.raises(
        ValueError, match=r"threshold must be a number or have shape \(4, 5\); got shape \(5, 4\)"
    ):
        latom.above(tokens, W, np.zeros((5, 4)))
    with pytest.raises(ValueError, match=r"topk: X must have at least one row .* got shape \(0, 6\)"):
        latom.topk(tokens[:, :0], W, K)
    with pytest.raises(ValueError, match="topk: X must have as many columns as atoms, 6; got 5"):
        latom.topk(tokens[..., 1:], W, K)
    with pytest.raises(
        ValueError, match=r"decode: codes must be two arrays of one shape \(n, k\); got \(4, 5, 3\)"
    ):
        latom.decode((np.ones((4, 5, K)), np.ones((20, K), int)), W)
    with pytest.raises(ValueError, match=r"assign: X must have two dimensions; got shape \(4, 5, 6\)"):
        latom.assign(tokens, W)


# ---- dense codes, pandas


def test_dense_codes_are_those_of_csr(tokens, W):
    X = tokens.reshape(-1, D)
    sparse, dense = latom.TopKEncoder(W, K), latom.TopKEncoder(W, K, sparse_output=False)
    codes = dense.transform(X)
    assert isinstance(codes, np.ndarray)
    assert np.array_equal(codes, sparse.transform(X).toarray())
    assert np.array_equal(dense.inverse_transform(codes), sparse.inverse_transform(sparse.transform(X)))
    with pytest.raises(ValueError, match="transform: sparse_output must be True or False; got 'no'"):
        latom.TopKEncoder(W, K, sparse_output="no").transform(X)


def test_set_output_gives_frames_of_dense_codes(tokens, W):
    pytest.importorskip("pandas")
    X = tokens.reshape(-1, D)
    encoder = latom.TopKEncoder(W, K, sparse_output=False).set_output(transform="pandas")
    frame = encoder.transform(X)
    assert list(frame.columns[:2]) == ["topkencoder0", "topkencoder1"]
    assert np.array_equal(frame.to_numpy(), latom.encode(X, W, K).toarray())
    assert np.array_equal(encoder.fit_transform(X).to_numpy(), frame.to_numpy())
    words = r"transform: sparse_output must be False for set_output\(transform='pandas'\); got True"
    with pytest.raises(ValueError, match=words):
        encoder.set_params(sparse_output=True).transform(X)


# ---- tensors


def dense(tensor):
    return (tensor.to_dense() if tensor.is_sparse else tensor).numpy()


def test_tensors_come_on_request(tokens, W):
    torch = pytest.importorskip("torch")
    X = torch.tensor(tokens, requires_grad=True)
    values, indices = latom.topk(tokens, W, K)
    assert isinstance(latom.topk(X, W, K)[0], np.ndarray)
    found = latom.topk(X, torch.tensor(W), K, output="torch", return_stats=True)
    assert found[2]["scored"] > 0
    assert found[0].dtype == torch.float32
    assert found[1].dtype == torch.int64
    assert np.array_equal(found[0].numpy(), values)
    assert np.array_equal(found[1].numpy(), indices)
    assert not found[0].requires_grad
    picked = torch.gather(X.reshape(20, D) @ torch.tensor(W).T, 1, found[1].reshape(20, K))
    assert np.allclose(picked.detach().numpy(), values.reshape(20, K), atol=1e-5)
    assert np.array_equal(
        latom.decode(found[:2], W, output="torch").numpy(), latom.decode((values, indices), W)
    )


def test_sparse_tensors_are_codes(tokens, W):
    torch = pytest.importorskip("torch")
    codes = latom.encode(tokens, W, K)
    tensor = latom.encode(tokens, W, K, output="torch")
    assert tensor.layout == torch.sparse_coo
    assert tensor.is_coalesced()
    assert np.array_equal(tensor.to_dense().numpy(), codes.toarray())
    torch.sparse.mm(tensor, torch.tensor(W))  # its invariants hold
    rows = latom.decode(codes, W)
    twice = torch.cat([tensor, tensor]).coalesce()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # CSR is in beta state there
        compressed = tensor.to_sparse_csr()
    for given in (tensor, compressed, tensor.double(), tensor.detach().requires_grad_()):
        assert np.array_equal(latom.decode(given, W), rows)
        assert np.array_equal(latom.TopKEncoder(W, K).inverse_transform(given), rows)
    assert np.array_equal(latom.decode(twice, W)[20:], rows)


@pytest.mark.parametrize("sparse_output", [True, False])
def test_the_encoder_speaks_tensors_on_request(sparse_output, tokens, W):
    torch = pytest.importorskip("torch")
    encoder = latom.TopKEncoder(torch.tensor(W), K, output="torch", sparse_output=sparse_output)
    codes = encoder.transform(torch.tensor(tokens))
    assert codes.is_sparse is sparse_output
    assert np.array_equal(dense(codes), latom.encode(tokens, W, K).toarray())
    rows = encoder.inverse_transform(codes)
    assert np.array_equal(rows.numpy(), latom.decode(latom.encode(tokens, W, K), W))


def test_output_is_checked(tokens, W, monkeypatch):
    for call in (
        lambda output: latom.topk(tokens, W, K, output=output),
        lambda output: latom.encode(tokens, W, K, output=output),
        lambda output: latom.decode(sp.csr_array(np.eye(M)), W, output=output),
        lambda output: latom.TopKEncoder(W, K, output=output).transform(tokens),
    ):
        with pytest.raises(ValueError, match=r"^[\w.]+: output must be 'numpy' or 'torch'; got 'jax'\. "):
            call("jax")
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "torch", None)
            with pytest.raises(
                ImportError, match=r"^[\w.]+: torch must be installed .*; got no such module\. pip"
            ):
                call("torch")

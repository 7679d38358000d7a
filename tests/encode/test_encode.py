"""encode against float64 numpy: which atoms are kept, in which order of cutting, and what is refused."""

from __future__ import annotations

import core
import numpy as np
import pytest
import scipy.sparse as sp
from plain_codes import best, dense_codes, whole

import latom


@pytest.fixture
def X(rng):
    return rng.standard_normal((150, 40)).astype(np.float32)


@pytest.fixture
def W(rng):
    return rng.standard_normal((300, 40)).astype(np.float32)


def pre_activations(X, W, b_enc, b_pre):
    return (X.astype(np.float64) - b_pre) @ W.astype(np.float64).T + b_enc


@pytest.mark.parametrize("activation", ["relu", "topk-relu", "identity", "abs"])
@pytest.mark.parametrize("k", [4, 250])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_encode_orders(activation, k, dtype, X, W, rng):
    X, W, b_enc, b_pre = X.astype(dtype), W.astype(dtype), rng.standard_normal(300), rng.standard_normal(40)
    P = pre_activations(X, W, b_enc, b_pre)
    if activation == "topk-relu":  # as the libraries write it: choose, then cut
        value, index = best(P, k)
        expected = dense_codes(np.maximum(value, 0), index, 300)
    elif activation == "relu":
        expected = dense_codes(*best(np.maximum(P, 0), k), 300)
    else:
        expected = dense_codes(*best(P, k, activation), 300)
    codes = latom.encode(X, W, k, b_enc=b_enc, b_pre=b_pre, activation=activation)
    assert isinstance(codes, sp.csr_array)
    assert codes.shape == (150, 300)
    assert codes.dtype == dtype
    assert ((codes != 0).toarray() == (expected != 0)).all()
    assert np.allclose(codes.toarray(), expected, rtol=1e-5, atol=1e-5 if dtype == np.float32 else 1e-12)
    assert (codes.data != 0).all()
    assert all(
        (np.diff(codes.indices[a:b]) > 0).all() for a, b in zip(codes.indptr, codes.indptr[1:], strict=False)
    )
    assert codes.indices.dtype == codes.indptr.dtype == np.int32
    if activation in ("relu", "topk-relu"):
        assert (codes.data > 0).all()
        assert (np.diff(codes.indptr) < k).any() == (k == 250)


def test_both_relu_orders_give_the_same_bits_even_among_ties(rng):
    X, W = whole(rng, 100, 3, low=-2, high=3), whole(rng, 60, 3, low=-2, high=3)
    a, b = (latom.encode(X, W, 12, activation=name) for name in ("relu", "topk-relu"))
    value, index = latom.topk(X, W, 12)
    expected = dense_codes(np.maximum(value, 0), index, 60)
    for codes in (a, b):
        assert (codes.toarray() == expected).all()
    assert (a.indptr == b.indptr).all()


def test_atoms_that_score_exactly_zero_are_not_stored():
    codes = latom.encode(np.eye(3), np.eye(3), 3, activation="identity")
    assert codes.nnz == 3
    assert latom.encode(np.zeros((4, 3)), np.eye(3), 2, activation="identity").nnz == 0


def test_the_bias_is_folded_in_float64(rng):
    """A center of 1e4 times the spread: float32 differences would lose the choice."""
    b_pre = (1e4 * rng.standard_normal(40)).astype(np.float32)
    X = (b_pre + rng.standard_normal((80, 40))).astype(np.float32)
    W = rng.standard_normal((200, 40)).astype(np.float32)
    P = pre_activations(X, W, 0, b_pre)
    codes = latom.encode(X, W, 5, b_pre=b_pre, activation="identity")
    assert ((codes != 0).toarray() == (dense_codes(*best(P, 5), 200) != 0)).all()
    exact = -(W.astype(np.float64) @ b_pre.astype(np.float64))
    folded = [core.fold_center(W, b_pre.astype(np.float64), None, threads) for threads in (1, 3)]
    assert np.allclose(folded[0], exact, rtol=1e-12, atol=1e-7)
    assert folded[0].tobytes() == folded[1].tobytes()


def test_encode_refuses(X, W):
    with pytest.raises(ValueError, match=r"encode: b_enc must have shape \(300,\); got \(4,\)"):
        latom.encode(X, W, 3, b_enc=np.ones(4))
    with pytest.raises(ValueError, match=r"encode: b_pre must have shape \(40,\)"):
        latom.encode(X, W, 3, b_pre=np.ones(41))
    with pytest.raises(ValueError, match="encode: b_pre must be finite; got inf at 2"):
        latom.encode(X, W, 3, b_pre=np.where(np.arange(40) == 2, np.inf, 0))
    with pytest.raises(
        ValueError, match="encode: activation must be 'relu', 'topk-relu', 'identity' or 'abs'"
    ):
        latom.encode(X, W, 3, activation="softmax")
    with pytest.raises(ValueError, match=r"encode: k must be an integer in \[1, 300\]; got 400"):
        latom.encode(X, W, 400)
